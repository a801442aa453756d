#!/usr/bin/python3
"""catalog sync: the SQL catalog made anew from the repositories equals what was there; and catalog export, read by other programs."""
import csv
import hashlib
import io
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, query_dicts  # noqa: E402
from gbtest.suite import Shared, Suite  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

UNREACHABLE, CORRUPT, NOT_FOUND_CODE = 8, 13, 3005
# what no repository knows: how much was expected to be read, what the resync was like; and when the row was written
UNKNOWN = ('bytes_total', 'desync_s', 'resync', 'warnings', 'as_of')
COMMENT = 'with "quotes", commas,\n a second line, \u00e9\u20ac; and \'these\' %s \\'

suite = Suite()


class Scene:
    """A server and two repositories: two backups in the first, one of them in the second too, and one there alone."""

    def __init__(self):
        self.server = Server('alone', {'log-bin': 'binlog', 'server-id': '7'})
        self.server.create()
        self.server.start()
        self.paths = {name: os.path.join(self.server.base, f'repository-{name}') for name in ('default', 'second')}
        for path in self.paths.values():
            os.makedirs(path)
        self.agent = Agent(self.server, repositories={name: {'type': 'directory', 'path': path, 'min-free': '0%'}
                                                      for name, path in self.paths.items()}).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 1, 2 << 20)
        self.first = self.take(comment=COMMENT)
        self.both = self.take()
        shutil.copytree(self.directory(self.both), self.directory(self.both, 'second'))
        self.alone = self.take(repository='second')
        backups.hold(self.server, 'COPY')
        try:
            self.failed = backups.start(self.server)
            backups.call(self.server, 'BACKUP_CANCEL', self.failed)
        finally:
            backups.release(self.server)
        self.agent.cli('verify', self.first)
        wait_for(lambda: self.server.value('SELECT state FROM galera_backup.backups WHERE id = %s', (self.failed,)) == 'cancelled', 30, 'the last words')
        wait_for(lambda: self.server.value("SELECT COUNT(*) FROM galera_backup.backups WHERE state = 'running'") == 0, 30, 'the others\' as well')
        self.sync()  # the copy becomes known
        self.right = self.rows()
        assert set(self.right) == {self.first, self.both, self.alone, self.failed}, self.right

    def take(self, **options):
        backup = backups.take(self.server, **options)['id']
        wait_for(lambda: self.server.value('SELECT state FROM galera_backup.backups WHERE id = %s', (backup,)) == 'succeeded', 30, 'its row')
        return backup

    def directory(self, backup, repository='default'):
        return os.path.join(self.paths[repository], self.agent.cluster, 'backups', backup)

    def rows(self):
        """{id: row}, of the columns that a repository knows."""
        return {row['id']: {name: value for name, value in row.items() if name not in UNKNOWN}
                for row in query_dicts(self.server.connection(), 'SELECT * FROM galera_backup.backups')}

    def sync(self, *options, **expected):
        """What it answers; of the counts those that are named must be these, and all others 0 but for found."""
        answer = self.agent.json('catalog', 'sync', *options)
        if expected:
            counts = {'added': 0, 'mended': 0, 'gone': 0, 'unknown': 0, 'unread': 0, **expected}
            assert {name: answer[name] for name in counts} == counts, answer
        return answer

    def is_right(self, but=None):
        found = self.rows()
        wanted = {**self.right, **(but or {})}
        different = {backup: {name: (row[name], found[backup][name]) for name in row if row[name] != found[backup][name]}
                     for backup, row in wanted.items() if backup in found and row != found[backup]}
        assert set(found) == set(wanted) and not different, (set(found) ^ set(wanted), different)

    def is_idle(self):
        """Another one writes nothing."""
        before = self.server.rows('SELECT id, as_of FROM galera_backup.backups ORDER BY id')
        self.sync(added=0)
        assert self.server.rows('SELECT id, as_of FROM galera_backup.backups ORDER BY id') == before


shared = Shared(Scene)


@suite.test
def an_empty_catalog_is_made_anew():
    s = shared()
    failed = s.right[s.failed]
    s.server.execute(f"DELETE FROM galera_backup.backups WHERE id <> '{s.failed}'")
    assert s.sync(added=3)['found'] == 3
    s.is_right()
    s.is_idle()
    assert s.rows()[s.failed] == failed
    s.server.execute('CREATE TABLE sbtest.kept AS SELECT * FROM galera_backup.backups', 'TRUNCATE galera_backup.backups')
    s.sync(added=3)
    s.server.execute(f"INSERT INTO galera_backup.backups SELECT * FROM sbtest.kept WHERE id = '{s.failed}'", 'DROP TABLE sbtest.kept')
    s.is_right()
    s.is_idle()


@suite.test
def rows_that_differ_are_mended():
    s = shared()
    for change in ("position = 'x:1', lsn_end = 5, gtid = ''", "state = 'failed', error_code = 2007, error = 'lost', hint = 'look'",
                   "comment = '', node = 'elsewhere', user = ''", "repositories = '[]'", "repositories = 'no JSON'",
                   "verified = 'deep', verified_at = '2020-01-01'", "verified = 'none', verified_at = NULL",
                   "started_at = NULL, finished_at = NULL, duration_s = NULL", "stored_bytes = 0, data_bytes = 1, type = 'odd'"):
        s.server.execute(f"UPDATE galera_backup.backups SET {change} WHERE id = '{s.first}'")
        s.sync(mended=1)
        s.is_right()
        s.is_idle()


@suite.test
def what_no_repository_has_any_more_is_marked():
    s = shared()
    away = processes.new_dir('away')
    os.rename(s.directory(s.first), os.path.join(away, s.first))
    s.sync(gone=1)
    row = s.rows()[s.first]
    assert (row['state'], row['error_code']) == ('failed', NOT_FOUND_CODE) and 'no repository has it' in row['error'], row
    assert s.first not in [each['id'] for each in backups.call(s.server, 'BACKUP_LIST', '{"state": "succeeded"}')]
    s.is_right(but={s.first: row})
    s.is_idle()
    os.rename(os.path.join(away, s.first), s.directory(s.first))
    s.sync(mended=1)
    s.is_right()
    # from one of two: it is in the other
    os.rename(s.directory(s.both), os.path.join(away, s.both))
    s.sync(mended=1)
    row = s.rows()[s.both]
    assert row['state'] == 'succeeded' and [each['name'] for each in json.loads(row['repositories'])] == ['second'], row
    os.rename(os.path.join(away, s.both), s.directory(s.both))
    s.sync(mended=1)
    assert [each['name'] for each in json.loads(s.rows()[s.both]['repositories'])] == ['default', 'second']
    s.is_right()


@suite.test
def one_repository_alone_says_nothing_of_the_other():
    s = shared()
    s.sync('--repository', 'second', unknown=1)  # the first is in another one, which was not asked
    found = s.rows()
    assert found[s.first] == s.right[s.first] and found[s.alone] == s.right[s.alone]
    assert {each['name'] for each in json.loads(found[s.both]['repositories'])} == {'default', 'second'}
    s.sync('--repository', 'default')
    s.sync()
    s.is_right()


@suite.test
def backups_of_another_node_may_be_in_a_directory_of_its_own():
    s = shared()
    other = '20260101T000000Z-full-00000001'
    s.server.execute("INSERT INTO galera_backup.backups (cluster, id, node, state, repositories, as_of) VALUES "
                     f"('{s.agent.cluster}', '{other}', 'db9', 'succeeded', '[{{\"name\":\"default\",\"type\":\"directory\",\"state\":\"succeeded\",\"bytes\":1}}]', UTC_TIMESTAMP()), "
                     "('another', '20260101T000000Z-full-00000002', 'db9', 'succeeded', '[]', UTC_TIMESTAMP())")
    kept = s.rows()
    s.sync(unknown=1)
    assert s.rows() == kept
    # once the directory holds something of that node it is known to be shared
    theirs = '20260101T000000Z-full-00000003'
    shutil.copytree(s.directory(s.alone, 'second'), s.directory(theirs))
    backups.change_manifest(os.path.join(s.directory(theirs), 'backup.json'), id=theirs, node='db9')
    s.sync(added=1, gone=1)
    assert s.rows()[other]['state'] == 'failed' and s.rows()[theirs]['node'] == 'db9'
    shutil.rmtree(s.directory(theirs))
    s.server.execute("DELETE FROM galera_backup.backups WHERE node = 'db9'")
    s.is_right()


@suite.test
def what_cant_be_read_is_left_as_it_is():
    s = shared()
    manifest = os.path.join(s.directory(s.first), 'backup.json')
    with open(manifest, 'rb') as f:
        text = f.read()
    with open(manifest, 'wb') as f:
        f.write(text.replace(b'"full"', b'"fu11"'))
    try:
        result = s.agent.cli('catalog', 'sync', check=False)
        assert result.returncode == CORRUPT and s.first in result.stderr, result
        s.is_right()
        exported = s.agent.cli('catalog', 'export', check=False)
        assert exported.returncode == CORRUPT and s.first in exported.stderr, exported
        assert sorted(row['id'] for row in json.loads(exported.stdout)['backups']) == sorted([s.both, s.both, s.alone])
    finally:
        with open(manifest, 'wb') as f:
            f.write(text)
    s.server.execute(f"DELETE FROM galera_backup.backups WHERE id = '{s.alone}'")
    os.rename(s.paths['second'], s.paths['second'] + '.away')
    with open(s.paths['second'], 'w', encoding='ascii'):
        pass
    try:
        result = s.agent.cli('catalog', 'sync', check=False)
        assert result.returncode == UNREACHABLE and s.paths['second'] in result.stderr, result
        assert s.alone not in s.rows(), 'rows were written without one of the repositories'
    finally:
        os.remove(s.paths['second'])
        os.rename(s.paths['second'] + '.away', s.paths['second'])
    s.sync(added=1)
    s.is_right()


@suite.test
def a_directory_that_is_away_has_lost_nothing():
    """There is nothing where it was, or the empty directory that a file system was mounted on."""
    s = shared()
    memory = os.path.join(s.agent.agent_options['state-dir'], 'repositories.json')
    for empty, remembered in ((False, True), (False, False), (True, True)):
        os.rename(s.paths['default'], s.paths['default'] + '.away')
        if empty:
            os.mkdir(s.paths['default'])
        if not remembered:
            os.rename(memory, memory + '.away')
        try:
            result = s.agent.cli('catalog', 'sync', check=False)
            assert result.returncode, result
            s.is_right()
        finally:
            if not remembered:
                os.rename(memory + '.away', memory)
            if os.path.isdir(s.paths['default']):
                os.rmdir(s.paths['default'])
            os.rename(s.paths['default'] + '.away', s.paths['default'])
    s.is_idle()


@suite.test
def exported_as_csv_and_json():
    s = shared()
    rows = s.agent.json('catalog', 'export')['backups']
    text = s.agent.cli('catalog', 'export', '--format', 'csv').stdout
    read = list(csv.DictReader(io.StringIO(text, newline='')))
    assert [{name: '' if value is None else str(value) for name, value in row.items()} for row in rows] == read
    assert sorted((row['id'], row['repository']) for row in rows) == sorted(
        [(s.first, 'default'), (s.both, 'default'), (s.both, 'second'), (s.alone, 'second')])
    for row in rows:
        with open(os.path.join(row['place'], 'backup.json'), 'rb') as f:
            data = f.read()
        manifest, listed = json.loads(data), s.right[row['id']]
        assert row['sha256'] == hashlib.sha256(data).hexdigest()
        assert row['place'] == s.directory(row['id'], row['repository'])
        for name in ('started_at', 'finished_at', 'data_bytes', 'stored_bytes', 'server_version', 'comment', 'node', 'type', 'parent'):
            assert row[name] == manifest[name], name
        assert (row['duration_s'], row['gtid'], row['verified']) == (listed['duration_s'], listed['gtid'] or None,
                                                                     listed['verified'] if row['repository'] == 'default' else 'none')
    first, = (row for row in rows if row['id'] == s.first)
    assert first['comment'] == COMMENT and first['verified'] == 'deep' and first['verified_at']
    one = s.agent.json('catalog', 'export', '--repository', s.paths['second'], '--cluster', s.agent.cluster)['backups']
    assert sorted(row['id'] for row in one) == sorted([s.both, s.alone])
    assert s.agent.json('catalog', 'export', '--cluster', 'nobody')['backups'] == []
    for arguments in (['rebuild'], ['export', '--format', 'xml'], ['export', '--json', '--format', 'csv'], ['sync', '--format', 'csv'],
                      ['sync', '--repository', s.paths['second']]):
        assert s.agent.cli('catalog', *arguments, check=False).returncode == 2, arguments


suite.main()
