#!/usr/bin/python3
"""Copies of backups in other repositories: a copy is the backup, byte by byte, or sealed on its way to where backups are encrypted; what is damaged is not copied;
what was interrupted is no backup, and goes on.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.store_proxy import StoreProxy  # noqa: E402
from gbtest.suite import LONG, Shared, Suite  # noqa: E402
from gbtest.swift import Swift  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

USAGE, CANCELLED, UNREACHABLE, NO_SPACE, KEY, CORRUPT, UNKNOWN, STORE_FAILED = 2, 7, 8, 9, 10, 13, 3, 6
WORD = 'what nobody may read'
ANOTHER = '5c3f1a2b-c6d1-11f0-9f3a-0242ac110002'

suite = Suite()


class Scene:
    """One server with a plain and an encrypted backup; repositories of all kinds to copy to."""

    def __init__(self):
        self.top = processes.new_dir('repositories')
        self.keys = processes.new_dir('keys')
        for name in ('mine', 'other', 'sign'):
            processes.run([binary(), 'key', 'generate', self.key(name), '--kind', 'ed25519' if name == 'sign' else 'x25519'])
        self.swift = Swift('store').start().make_bucket()
        self.proxy = StoreProxy(self.swift)
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        mine = {'encryption-recipient': self.key('mine.pub')}
        self.agent = Agent(self.server, repositories={
            'default': self.directory('default'), 'second': self.directory('second'), 'third': self.directory('third'),
            'killed': self.directory('killed'), 'twice': self.directory('twice'), 'everything': self.directory('everything'),
            'sealed': self.directory('sealed', **mine, **{'signing-key': self.key('sign'), 'trusted-signer': self.key('sign.pub')}),
            'encrypted': self.directory('encrypted', **mine),
            'others': self.directory('others', **{'encryption-recipient': self.key('other.pub')}),
            'full': self.directory('full', **{'min-free': '99%'}),
            'store': self.swift.repository(prefix='some/where'),
            'forgetful': self.swift.repository(prefix='forgetful', endpoint=self.proxy.endpoint),
            'slow': self.swift.repository(prefix='some/where', rate_limit='1M'),
            'native': self.swift.native(prefix='native')}).start()
        backups.install(self.server)
        # little, but not so little that a slow copy of it has ended before it is looked at
        self.server.execute('CREATE DATABASE data', 'USE data',
                            f'CREATE TABLE one ENGINE=InnoDB AS SELECT seq, CONCAT("{WORD}", SHA2(seq, 512)) AS text FROM seq_1_to_40000',
                            'CREATE TABLE other ENGINE=Aria AS SELECT seq, MD5(seq) AS text FROM seq_1_to_2000')
        figures, self.expected = oracle.backup(self.server)
        self.backup, self.cluster = figures['id'], self.agent.cluster
        self.encrypted = backups.take(self.server, repository='encrypted')['id']

    def directory(self, name, **options):
        os.makedirs(self.path(name), exist_ok=True)
        return {'type': 'directory', 'path': self.path(name), 'min-free': '0%', 'compression': 'none', **options}

    def key(self, name):
        return os.path.join(self.keys, name)

    def path(self, repository):
        return os.path.join(self.top, repository)

    def at(self, repository, backup=None):
        return os.path.join(self.path(repository), self.cluster, 'backups', backup or self.backup)

    def objects(self, repository, backup=None):
        """{name: SHA-256} of all that stands under the label, but for what was seen of it."""
        found, top = {}, self.at(repository, backup)
        for directory, _, names in os.walk(top):
            for name in set(names) - {'verified.json'}:
                with open(os.path.join(directory, name), 'rb') as f:
                    found[os.path.relpath(f.name, top)] = hashlib.sha256(f.read()).hexdigest()
        return found

    def copy(self, what, source, target, *options, check=True):
        ran = self.agent.cli('copy', what, '--repository', source, '--to', target, '--json', *options, check=check)
        return json.loads(ran.stdout)['backups'] if ran.stdout else None, ran

    def refused(self, status, words, *arguments):
        ran = self.agent.cli('copy', *arguments, check=False)
        assert ran.returncode == status and re.search(words, ran.stderr), (ran.returncode, ran.stderr)

    def listed(self, repository, *options):
        return [row['id'] for row in self.agent.json('list', '--repository', repository, *options)['backups'] if row.get('state') != 'failed']

    def comes_back(self, repository, backup, expected, *options):
        back = restored.Restored(self.agent, backup, options=['--repository', repository, *options])
        try:
            back.check_image()
            back.check_lsn(back.start().log_text())
            back.check_data(expected)
        finally:
            back.remove()


shared = Shared(Scene)


@suite.test
def a_copy_is_the_same_bytes():
    s = shared()
    s.agent.cli('hold', s.backup, '--until', '2099-01-01T00:00:00Z', '--repository', 'default')
    rows, _ = s.copy(s.backup, 'default', 'second')
    assert [(row['id'], row['result']) for row in rows] == [(s.backup, 'copied')], rows
    there = s.objects('second')
    assert there == s.objects('default') and 'hold.json' in there and 'backup.json' in there, there
    assert 'good' in s.agent.cli('verify', s.backup, '--repository', 'second').stdout
    rows, _ = s.copy('latest', 'default', s.path('second'))
    assert rows[0]['result'] == 'there' and s.objects('second') == there, rows
    assert 'is there already' in s.agent.cli('copy', s.backup, '--to', 'second').stdout
    s.agent.cli('release', s.backup, '--repository', 'default')
    assert [row['hold_until'] for row in s.agent.json('list', '--repository', 'second')['backups']] == ['2099-01-01T00:00:00Z']


@suite.test
def there_and_back_through_both_kinds_of_store():
    s = shared()
    for source, target in (('default', 'store'), ('store', 'native'), ('native', s.path('third'))):
        rows, _ = s.copy(s.backup, source, target)
        assert rows[0]['result'] == 'copied', rows
    assert {**s.objects('default'), 'hold.json': ''} == {**s.objects('third'), 'hold.json': ''}
    assert not s.swift.uploads()
    s.comes_back('third', s.backup, s.expected)


@suite.test
def what_is_damaged_in_a_store_is_mended_there():
    s = shared()
    for repository, prefix in (('store', 'some/where'), ('native', 'native')):
        top = f'{prefix}/{s.cluster}/backups/{s.backup}'
        names = ['index', *(f'data/{name}' for name in sorted(os.listdir(os.path.join(s.at('third'), 'data'))))]
        for name in names[:3]:
            s.swift.put(f'{top}/{name}', b'something else')
        s.swift.delete(f'{top}/{names[3]}')
        assert s.agent.cli('verify', s.backup, '--repository', repository, check=False).returncode == CORRUPT
        ran = s.agent.cli('verify', s.backup, '--repository', repository, '--repair-from', 'third')
        assert 'good' in ran.stdout and ran.stderr.count('mended: ') == 4, (ran.stdout, ran.stderr)
        for name in names:
            with open(os.path.join(s.at('third'), name), 'rb') as f:
                assert s.swift.get(f'{top}/{name}') == f.read(), name


@suite.test
def what_is_not_encrypted_is_sealed_on_its_way_to_where_it_must_be():
    s = shared()
    rows, _ = s.copy(s.backup, 'default', 'sealed')
    assert rows[0]['result'] == 'sealed', rows
    for directory, _, names in os.walk(s.at('sealed')):
        for name in names:
            with open(os.path.join(directory, name), 'rb') as f:
                text = f.read()
                assert WORD.encode() not in text and b'data/one' not in text, f'{name} can be read'
    with open(os.path.join(s.at('default'), 'data/000001.seg'), 'rb') as f:
        assert b'GBF1' in f.read(4)
    with open(os.path.join(s.at('sealed'), 'backup.json'), encoding='utf-8') as f, open(os.path.join(s.at('default'), 'backup.json'), encoding='utf-8') as g:
        sealed, plain = json.load(f), json.load(g)
    differ = {key for key in sealed if sealed[key] != plain.get(key)}
    assert differ == {'encryption', 'objects', 'stored_bytes', 'signer', 'signature', 'sha256'}, differ
    assert [(o['name'], o['bytes']) for o in sealed['objects'][1:]] == [(o['name'], o['bytes']) for o in plain['objects'][1:]]
    ran = s.agent.cli('verify', s.backup, '--repository', 'sealed', '--key', s.key('mine'))
    assert 'good' in ran.stdout, ran.stdout
    assert s.agent.cli('verify', s.backup, '--repository', 'sealed', '--key', s.key('other'), check=False).returncode == KEY
    s.comes_back('sealed', s.backup, s.expected, '--key', s.key('mine'))
    rows, _ = s.copy(s.backup, 'default', 'sealed')
    assert rows[0]['result'] == 'there', rows


@suite.test
def what_is_encrypted_stays_as_it_is():
    s = shared()
    for target in ('second', 'others'):
        rows, ran = s.copy(s.encrypted, 'encrypted', target)
        assert rows[0]['result'] == 'copied' and s.objects(target, s.encrypted) == s.objects('encrypted', s.encrypted), rows
        assert ('key add' in ran.stderr) == (target == 'others'), ran.stderr
    assert 'good' in s.agent.cli('verify', s.encrypted, '--repository', 'others', '--key', s.key('mine')).stdout
    before = s.objects('others', s.encrypted)
    s.agent.cli('key', 'add', '--repository', 'others', '--recipient', s.key('other.pub'), '--key', s.key('mine'))
    assert 'good' in s.agent.cli('verify', s.encrypted, '--repository', 'others', '--key', s.key('other')).stdout
    after = s.objects('others', s.encrypted)
    assert {name for name in after if after[name] != before[name]} == {'keys.json'}
    s.refused(CORRUPT, 'GB3017.*is not signed|is not signed', s.encrypted, '--repository', 'encrypted', '--to', 'sealed')


@suite.test
def a_damaged_object_is_not_copied():
    s = shared()
    for name in sorted(name for name in s.objects('default') if name != 'hold.json'):
        shutil.rmtree(s.path('twice'))
        shutil.copytree(s.path('default'), s.path('twice'))
        path = os.path.join(s.at('twice'), name)
        with open(path, 'r+b') as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 4]))
        for target in ('killed', 'sealed') if name == 'index' else ('killed',):
            shutil.rmtree(s.path(target))
            os.mkdir(s.path(target))
            s.refused(CORRUPT, re.escape(name), s.backup, '--repository', 'twice', '--to', target)
            assert not s.listed(target) and not os.path.exists(s.at(target)), name
    shutil.rmtree(s.path('twice'))
    shutil.copytree(s.path('default'), s.path('twice'))
    os.remove(os.path.join(s.at('twice'), 'data', '000001.seg'))
    s.refused(CORRUPT, '000001.seg', s.backup, '--repository', 'twice', '--to', 'killed')


@suite.test
def a_copy_that_is_killed_is_none_and_goes_on():
    s = shared()
    shutil.rmtree(s.path('killed'))
    os.mkdir(s.path('killed'))
    s.copy(s.backup, 'default', 'store')  # there, if the test before was run
    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, CANCELLED)):
        begin = time.time_ns()
        running = processes.start(s.agent.argv('copy', s.backup, '--repository', 'slow', '--to', 'killed', '--progress', 'none'))
        data = os.path.join(s.at('killed'), 'data')
        wait_for(lambda: os.path.isdir(data) and os.stat(data).st_mtime_ns > begin and
                 sum(os.path.getsize(os.path.join(data, name)) for name in os.listdir(data)) > 0, 60, 'something to be written',
                 while_true=lambda: running.poll() is None)
        assert not s.listed('killed')
        processes.end(running, number)
        assert running.returncode == status, running.returncode
        assert os.path.exists(data) == (number == signal.SIGKILL) and not s.listed('killed')
    running = processes.start(s.agent.argv('copy', s.backup, '--repository', 'slow', '--to', 'killed', '--progress', 'none'))
    wait_for(lambda: os.path.isdir(data), 60, 'the copy to begin', while_true=lambda: running.poll() is None)
    processes.end(running, signal.SIGKILL)
    rows, _ = s.copy(s.backup, 'store', 'killed')
    assert rows[0]['result'] == 'copied' and s.objects('killed') == s.objects('third'), rows


@suite.test
def a_repair_that_is_killed_is_finished_by_the_next():
    s = shared()
    shutil.rmtree(s.path('killed'))
    shutil.copytree(s.path('third'), s.path('killed'))
    good, data = s.objects('killed'), os.path.join(s.at('killed'), 'data')
    for name in os.listdir(data):
        os.truncate(os.path.join(data, name), 1000)
    running = processes.start(s.agent.argv('verify', s.backup, '--quick', '--repository', 'killed', '--repair-from', 'slow', '--progress', 'none'))
    wait_for(lambda: [name for name in os.listdir(data) if name.endswith('.part')], 60, 'the repair to write', while_true=lambda: running.poll() is None)
    processes.end(running, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL and s.objects('killed') != good
    ran = s.agent.cli('verify', s.backup, '--repository', 'killed', '--repair-from', 'store')
    assert 'good' in ran.stdout and s.objects('killed') == good, ran.stdout


@suite.test
def all_of_them():
    s = shared()
    later = backups.take(s.server)['id']
    rows, _ = s.copy('all', 'default', 'everything')
    assert [(row['id'], row['result']) for row in rows] == [(s.backup, 'copied'), (later, 'copied')], rows
    shutil.rmtree(s.at('everything'))
    rows, _ = s.copy('all', 'default', 'everything')
    assert [row['result'] for row in rows] == ['copied', 'there'], rows
    # one that can't be copied does not keep the others from it
    shutil.rmtree(s.path('everything'))
    os.mkdir(s.path('everything'))
    source = s.path('twice')
    shutil.rmtree(source)
    shutil.copytree(s.path('default'), source)
    os.truncate(os.path.join(s.at('twice'), 'data', '000001.seg'), 1000)
    rows, ran = s.copy('all', source, 'everything', check=False)
    assert ran.returncode == CORRUPT and [row['result'] for row in rows] == ['failed', 'copied'] and '000001.seg' in ran.stderr, (rows, ran.stderr)
    assert s.listed('everything') == [later]


@suite.test
def another_backup_of_the_same_label_is_not_taken_for_it():
    s = shared()
    shutil.rmtree(s.path('twice'))
    shutil.copytree(s.path('default'), s.path('twice'))
    nonce = '0123456789abcdef' * 2
    backups.change_manifest(os.path.join(s.at('twice'), 'backup.json'), nonce=nonce)
    before = s.objects('twice')
    s.refused(USAGE, f'another backup.*{nonce}', s.backup, '--to', 'twice')
    assert s.objects('twice') == before


@suite.test
def the_target_is_asked_whose_it_is_and_whether_there_is_room():
    s = shared()
    shutil.rmtree(s.path('twice'))
    shutil.copytree(s.path('default'), s.path('twice'))
    path = os.path.join(s.at('twice'), 'backup.json')
    with open(path, encoding='utf-8') as f:
        facts = json.load(f)['facts']
    backups.change_manifest(path, facts={**facts, 'position': f'{ANOTHER[:-1]}3:17'})
    shutil.rmtree(s.path('killed'))
    os.mkdir(s.path('killed'))
    adopt = ['repo', 'adopt', '--repository', 'killed', '--cluster', s.cluster, '--wsrep-uuid']
    s.agent.cli(*adopt, ANOTHER)
    s.refused(UNREACHABLE, 'repo adopt --repository .?killed', s.backup, '--repository', 'twice', '--to', 'killed')
    assert not s.listed('killed')
    # the source says that both histories are of one cluster
    for uuid in (ANOTHER, f'{ANOTHER[:-1]}3'):
        s.agent.cli(*[word.replace('killed', 'twice') for word in adopt], uuid)
    s.copy(s.backup, 'twice', 'killed')
    assert s.listed('killed') == [s.backup]
    s.refused(NO_SPACE, 'min-free|free', s.backup, '--to', 'full')
    assert not os.path.exists(s.at('full'))


@suite.test
def a_store_that_loses_what_it_has_taken_has_no_copy():
    """It says that it has an object, and has none when the copy is about to be told: nothing is."""
    s = shared()
    put = []

    def rule(request):
        if request.method == 'PUT' and request.path.endswith(('.seg', '/index')) and '/backups/' in request.path:
            put.append(request.path.split('/', 2)[2])
            if len(put) == 2:
                s.swift.delete(put[0])

    s.proxy.rule = rule
    try:
        s.refused(STORE_FAILED, f'GB3008.*is not there.*{s.backup}', s.backup, '--to', 'forgetful', '--threads', '1')
    finally:
        s.proxy.rule = None
    assert len(put) > 1, put
    assert not s.listed('forgetful') and not [key for key in s.swift.keys() if key.startswith('forgetful/') and s.backup in key], s.swift.keys()
    rows, _ = s.copy(s.backup, 'default', 'forgetful')
    assert rows[0]['result'] == 'copied' and 'good' in s.agent.cli('verify', s.backup, '--repository', 'forgetful').stdout, rows


@suite.test
def what_nobody_trusted_has_signed_is_not_taken_for_the_copy():
    """It has the label and the nonce of the backup, and anybody could have made it."""
    s = shared()
    shutil.rmtree(s.at('sealed'), ignore_errors=True)
    shutil.copytree(s.at('default'), s.at('sealed'))
    try:
        s.refused(CORRUPT, 'GB3017.*not signed', s.backup, '--to', 'sealed')
    finally:
        shutil.rmtree(s.at('sealed'))
    rows, _ = s.copy(s.backup, 'default', 'sealed')
    assert rows[0]['result'] == 'sealed', rows


@suite.test
def what_does_not_fit_together_is_refused():
    s = shared()
    s.refused(USAGE, 'needs --to', s.backup)
    s.refused(USAGE, 'same repository', s.backup, '--to', 'default')
    s.refused(USAGE, 'same repository', s.backup, '--to', s.path('default') + '/.')
    s.refused(USAGE, 'same repository', s.backup, '--repository', 'store', '--to', 'slow')
    s.refused(UNKNOWN, 'nowhere', s.backup, '--to', 'nowhere')
    s.refused(UNREACHABLE, 'not there can.t be opened', s.backup, '--to', s.path('not there'))
    s.refused(14, 'no backup', '20200101T000000Z-full-01234567', '--to', 'second')


@suite.test
def a_restore_outlives_the_store_it_began_with():
    if not LONG:
        suite.skip('until a store is given up takes its time: GB_TEST_LONG=1')
    s = shared()
    s.copy(s.backup, 'default', 'store')
    target = os.path.join(s.top, 'restored')
    with open(os.path.join(s.top, 'said'), 'wb') as said:
        running = processes.start(s.agent.argv('restore', s.backup, '--repository', 'slow', '--datadir', target, '--yes', '--threads', '1', '--progress', 'none'),
                                  stdout=said)
    written = os.path.join(target, 'ibdata1')
    wait_for(lambda: os.path.exists(written) and os.stat(written).st_blocks > 0, 60, 'the restore to write', while_true=lambda: running.poll() is None)
    s.swift.kill()
    wait_for(lambda: running.poll() is not None, 400, 'the restore to end')
    with open(said.name, encoding='utf-8') as f:
        text = f.read()
    assert running.returncode == 0 and 'is taken from repository default' in text, text
    other = os.path.join(s.top, 'also')
    s.agent.restore(s.backup, other, '--repository', 'default')
    compared = processes.run(['diff', '-r', target, other], check=False)
    assert not compared.stdout, compared.stdout
    s.swift.start()


if __name__ == '__main__':
    suite.main()
