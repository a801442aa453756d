#!/usr/bin/python3
"""One backup of a server that keeps its files in many places, restored in every way; what must not be is refused. The source is
stopped and its files outside the data directory are moved away before anything is restored, as on another host."""
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, processes, suite as suites  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server, as_root  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

INTERNAL, USAGE, NO_SPACE, NOT_FOUND, REFUSED, UNREACHABLE = 1, 2, 9, 14, 15, 8
MARKER = 'galera-backup-restore.incomplete'
JOURNAL = 'galera-backup-restore.journal'
KILLS = 20 if suites.LONG else 4
TABLES = '''
CREATE DATABASE far;
CREATE TABLE far.one (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB DATA DIRECTORY='{far}';
INSERT INTO far.one SELECT seq, MD5(seq) FROM seq_1_to_20000;
CREATE TABLE far.renamed (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB DATA DIRECTORY='{far}';
INSERT INTO far.renamed SELECT * FROM far.one;
CREATE TABLE far.parts (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB PARTITION BY RANGE (id)
  (PARTITION a VALUES LESS THAN (10000) DATA DIRECTORY='{far}', PARTITION b VALUES LESS THAN MAXVALUE DATA DIRECTORY='{far}');
INSERT INTO far.parts SELECT * FROM far.one;
CREATE TABLE far.myisam (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=MyISAM DATA DIRECTORY='{far}' INDEX DIRECTORY='{far}';
INSERT INTO far.myisam SELECT * FROM far.one;
CREATE TABLE far.aria (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=Aria TRANSACTIONAL=1;
INSERT INTO far.aria SELECT * FROM far.one;
CREATE TABLE far.here (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB;
INSERT INTO far.here SELECT * FROM far.one
'''

suite = Suite()


class Scene:
    """backup: changes to every table are in its redo; later: a table was renamed while it ran; rebuilt: one was rebuilt."""

    def __init__(self):
        self.out = processes.new_dir('out')
        self.places = {name: os.path.join(self.out, name) for name in ('home', 'undo', 'aria', 'redo', 'far')}
        for path in self.places.values():
            os.mkdir(path)
        server = Server('source', self.options(self.places))
        processes.run(['mariadb-install-db', '--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db',
                       '--innodb-log-file-size=10M', f'--datadir={server.datadir}', f'--tmpdir={server.base}'] + as_root() +
                      [f'--{name}={value}' for name, value in self.options(self.places).items()])
        server.start()
        self.agent = Agent(server).start()
        backups.install(server)
        server.execute(*[sql for sql in TABLES.format(far=self.places['far']).split(';\n') if sql.strip()])
        load.bulk(server, 'sbtest', 2, 10 << 20)
        # to disk: a table whose first page is in the redo alone can't be moved
        server.execute('FLUSH TABLES far.one, far.renamed, far.parts FOR EXPORT', 'UNLOCK TABLES')
        self.backup, self.expected = self.take(server, 'UPDATE far.{} SET v = REVERSE(v)')
        self.finished = self.agent.json('info', self.backup)['finished_at']
        wait_for(lambda: f'{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}' > self.finished, 5, 'the next second: --as-of knows no less')
        server.execute('INSERT INTO far.here VALUES (0, "later")')
        self.later, self.expected_later = self.take(server, 'UPDATE far.{} SET v = UPPER(v)',
                                                    'RENAME TABLE far.renamed TO far.other')
        server.execute('RENAME TABLE far.other TO far.renamed')
        self.rebuilt, _ = self.take(server, 'UPDATE far.{} SET v = LOWER(v)', 'ALTER TABLE far.renamed ADD KEY (v), ALGORITHM=COPY')
        self.tables = checks.tables(server.connection())
        server.stop()
        self.agent.stop()
        self.source = server
        os.rename(self.out, self.out + '.gone')

    @staticmethod
    def options(places):
        names = {'home': 'innodb-data-home-dir', 'undo': 'innodb-undo-directory', 'aria': 'aria-log-dir-path',
                 'redo': 'innodb-log-group-home-dir'}
        return {'innodb-undo-tablespaces': '2', **{names[each]: path for each, path in places.items() if each in names}}

    @staticmethod
    def take(server, update, *statements):
        """(backup, checksums): the changes are made after its checkpoint, so that the redo has them."""
        session = server.connect()
        backups.hold(server, 'COPY')
        backup = backups.start(server)
        backups.wait_held(server, 'COPY')
        for name in ('one', 'renamed', 'parts', 'myisam', 'aria', 'here'):
            server.execute(update.format(name))
        server.execute(*statements)
        server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
        backups.hold(server, 'PAUSED')
        backups.wait_held(server, 'PAUSED')
        expected = checks.checksums(session)
        backups.release(server)
        figures = backups.wait_end(server, backup)
        assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
        return backup, expected


shared = Shared(Scene)


def restore(backup, target, *options, check=True, yes=True, repository=None, start=False):
    """The command line without a configuration file, an agent or a server. start: a process, to be killed."""
    argv = [binary(), 'restore', *([backup] if backup else []), '--repository', repository or shared().agent.repository,
            '--datadir', target, *(['--yes'] if yes else []), '--progress', 'none', *options]
    return processes.start(argv) if start else processes.run(argv, check=check)


def refused(status, word, backup, target, *options, **more):
    """Refused with that exit status, the message holds the word, and nothing of the target has changed."""
    before = snapshot(target)
    result = restore(backup, target, *options, check=False, **more)
    assert result.returncode == status, f'{options}: status {result.returncode}: {result.stdout}{result.stderr}'
    assert re.search(word, result.stderr), f'{word} is not in {result.stderr}'
    assert snapshot(target) == before, f'{options}: the target has changed'
    say('  ' + result.stderr.strip().splitlines()[0])
    return result.stderr


def snapshot(top):
    """{path: (mode, size, time, hash)} of everything below."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            digest = None
            if name in files and not os.path.islink(path):
                with open(path, 'rb') as f:
                    digest = hashlib.sha1(f.read()).hexdigest()
            found[os.path.relpath(path, top)] = (st.st_mode, st.st_size, st.st_mtime_ns if digest else 0, digest)
    return found


def differing(before, now):
    return [(name, before.get(name), now.get(name)) for name in sorted(set(before) | set(now)) if before.get(name) != now.get(name)]


def home(target):
    """Everything that was outside goes into the data directory."""
    return [f'--map={path}={target}' for path in shared().places.values()]


def new_target(name):
    return os.path.join(processes.run_dir(), name)


def compare(target, expected, options=None, after=None, remove=True):
    """A server starts there, with every table as it was when the backup was taken. after: called with the server."""
    server = Server(os.path.basename(target) + '.server', {'innodb-undo-tablespaces': '2', **(options or {})}, plugin=False)
    server.datadir = target
    try:
        server.start()
        found = checks.checksums(server.connection())
        difference = checks.differences(expected, found)
        assert not difference, f'backup and restored: {difference}'
        errors = [line for line in server.log_text().splitlines() if re.search(r'\[ERROR\]', line) and
                  not re.search(r"database name '(lost\+found|\.before-\d{8}T\d{6}Z)'", line)]
        assert not errors, f'the error log: {errors[:5]}'
        if after:
            after(server)
    finally:
        server.kill()
        if remove:
            shutil.rmtree(target, ignore_errors=True)
            shutil.rmtree(server.base, ignore_errors=True)
    return len(found)


def comparable(top):
    return {name: (value[0], value[1] if value[3] else None, value[3]) for name, value in snapshot(top).items()
            if not name.startswith(('lost+found', '.before-'))}


def check(target, remove=True):
    """Byte for byte what a restore is that nothing disturbed, and of which files_outside_come_home_... starts a server."""
    if not hasattr(check, 'whole'):
        reference = new_target('reference')
        restore(shared().backup, reference, *home(reference))
        check.whole = comparable(reference)
        shutil.rmtree(reference)
    difference = differing(check.whole, comparable(target))
    assert not difference, f'not as an undisturbed restore: {difference[:5]}'
    if suites.LONG:
        compare(target, shared().expected, remove=False)
    if remove:
        shutil.rmtree(target)


# -- which backup, from where

@suite.test
def as_of_takes_what_had_finished_and_latest_says_how_old():
    s = shared()
    target = new_target('as-of')
    result = restore(None, target, '--as-of', s.finished, *home(target))
    assert s.backup in result.stdout, result.stdout
    check(target)
    result = restore('latest', target, '--dry-run')
    assert s.rebuilt in result.stdout and re.search(r'finished \S+Z, \d+s old|\dm\d\ds old', result.stdout), result.stdout
    before = datetime.datetime.fromisoformat(s.finished.rstrip('Z')) - datetime.timedelta(seconds=1)
    refused(NOT_FOUND, s.backup, None, target, '--as-of', before.isoformat() + 'Z')
    refused(USAGE, 'future', None, target, '--as-of', '2999-01-01T00:00:00Z')
    refused(USAGE, 'not a time', None, target, '--as-of', 'yesterday')
    refused(USAGE, 'not both', 'latest', target, '--as-of', s.finished)
    refused(USAGE, 'needs ID', None, target)


@suite.test
def a_repository_is_named_by_path_or_url():
    s = shared()
    target = new_target('by-url')
    two = processes.new_dir('two clusters')
    cluster, = os.listdir(s.agent.repository)
    shutil.copytree(os.path.join(s.agent.repository, cluster), os.path.join(two, cluster))
    shutil.copytree(os.path.join(s.agent.repository, cluster), os.path.join(two, 'other'))
    for directory, _, files in os.walk(os.path.join(two, 'other')):
        if 'backup.json' in files:
            backups.change_manifest(os.path.join(directory, 'backup.json'), cluster='other')
    refused(USAGE, f'several clusters: .*{cluster}', 'latest', target, repository=two)
    refused(USAGE, 'in 2 clusters', s.backup, target, repository=two)
    restore(s.backup, target, '--cluster', 'other', *home(target), repository='file://' + two.replace(' ', '%20'))
    check(target)
    shutil.rmtree(two)
    refused(UNREACHABLE, 'No such file', s.backup, target, repository='/nowhere/at/all')
    assert not os.path.exists('/nowhere')
    refused(USAGE, 'ftp are not supported', s.backup, target, repository='ftp://bucket/x')
    refused(USAGE, 'file:///PATH', s.backup, target, repository='file://relative')
    refused(NOT_FOUND, 'no backup', '20000101T000000Z-full-00000000', target)


# -- the plan

@suite.test
def a_dry_run_says_all_and_writes_nothing():
    s = shared()
    target = new_target('dry')
    maps = [f'--map={s.out}={s.out}.moved']
    series = '.'.join(s.agent.json('info', s.backup)['server_version'].split('.')[:2])
    text = restore(s.backup, target, '--dry-run', '--threads', '2', *maps).stdout
    for word in (s.backup, s.agent.repository, target, f'MariaDB {series}', '2 threads', 'about', s.places['far'] + '/far/one.ibd -> ',
                 f'innodb_undo_directory={s.out}.moved/undo', f'innodb_data_home_dir={s.out}.moved/home',
                 f'aria_log_dir_path={s.out}.moved/aria', f'innodb_log_group_home_dir={s.out}.moved/redo', 'keys', 'owner', 'free'):
        assert word in text, f'{word} is not in the plan: {text}'
    plan = json.loads(restore(s.backup, target, '--dry-run', '--json', '--limit-rate', '1M', *maps).stdout)
    info = s.agent.json('info', s.backup)
    assert plan['schema'] == 1 and plan['backup']['id'] == s.backup and plan['server_version'] == series, plan
    assert plan['to']['files'] == info['files'] and plan['to']['bytes'] >= info['read_bytes'], plan
    assert plan['to']['available_bytes'] > plan['to']['bytes'] and plan['from']['read_bytes'] <= info['stored_bytes'], plan
    assert abs(plan['estimate_s'] - plan['from']['read_bytes'] / (1 << 20)) < 2, plan
    assert {'from': s.places['undo'] + '/undo001', 'to': f'{s.out}.moved/undo/undo001'} in plan['outside'], plan
    assert plan['settings']['innodb_undo_directory'] == f'{s.out}.moved/undo', plan
    assert not os.path.exists(target) and not os.path.exists(s.out + '.moved')
    small = os.path.join(processes.run_dir(), 'small')
    if not processes.mount_tmpfs(small, '20m'):
        suite.skip('no small file system can be made here')
    refused(NO_SPACE, 'needs .* MB', s.backup, small, *home(small))
    refused(NO_SPACE, f'{small}/home/ibdata1 needs .* MB', s.backup, target, f'--map={s.out}={small}')


# -- other places

@suite.test
def files_outside_go_to_other_places_and_are_found_there():
    s = shared()
    target, new = new_target('moved'), os.path.join(processes.run_dir(), 'new')
    restore(s.backup, target, f'--map={s.out}={new}', f'--map={s.places["undo"]}={new}/undo.elsewhere')
    places = {name: os.path.join(new, name) for name in s.places}
    places['undo'] = os.path.join(new, 'undo.elsewhere')
    assert sorted(os.listdir(places['undo'])) == ['undo001', 'undo002']
    assert 'ibdata1' in os.listdir(places['home']) and 'aria_log_control' in os.listdir(places['aria'])
    assert os.listdir(places['redo']) == ['ib_logfile0'] and not os.path.exists(os.path.join(target, 'ib_logfile0'))
    with open(os.path.join(target, 'far', 'one.isl'), encoding='utf-8') as f:
        assert f.read() == f'{new}/far/far/one.ibd'

    def look(server):
        assert f"DATA DIRECTORY='{new}/far" in server.rows('SHOW CREATE TABLE far.one')[0][1]
        server.execute('UPDATE far.one SET v = REVERSE(v)', 'INSERT INTO far.parts VALUES (0, "new")')
        server.restart()
        assert server.value('SELECT COUNT(*) FROM far.parts') == 20001
        assert checks.check_tables(server) > 0

    compare(target, s.expected, Scene.options(places), look)
    assert not os.path.exists(s.out), 'something was written to the old place'
    shutil.rmtree(new)


@suite.test
def files_outside_come_home_into_the_data_directory():
    s = shared()
    target = new_target('at-home')
    restore(s.backup, target, *home(target))
    assert os.path.exists(os.path.join(target, 'far', 'one.ibd')) and not os.path.exists(os.path.join(target, 'far', 'one.isl'))

    def look(server):
        server.restart()
        assert server.value('SELECT COUNT(*) FROM far.one') == 20000

    say(f'  {compare(target, s.expected, after=look)} tables')
    assert not os.path.exists(s.out)


@suite.test
def a_recovery_finds_its_files_in_other_places_and_below_the_data_directory():
    s = shared()
    target, new = new_target('recovered'), os.path.join(processes.run_dir(), 'new6')
    for where in (new, target + '/sub'):
        below = [f'--map={path}={where}/{name}' for name, path in s.places.items() if name != 'far'] + [f'--map={s.places["far"]}={target}']
        places = {name: f'{where}/{name}' for name in s.places}
        process = restore(s.backup, target, '--recover', *below, start=True)
        has(f'{places["redo"]}/galera-backup-recovery/ib_logfile0')(process)
        assert processes.end(process, signal.SIGKILL) == -signal.SIGKILL, 'the recovery had ended'
        assert refuses_to_boot(target, *(f'--{name}={value}' for name, value in Scene.options(places).items())), 'mariadbd started'
        text = restore(s.backup, target, '--recover', *below).stdout
        for name, option in Scene.options(places).items():
            assert option.isdigit() or f'{name.replace("-", "_")}={option}' in text, f'{name} is not in the plan: {text}'
        assert os.listdir(places['redo']) == ['ib_logfile0'] and not os.path.exists(os.path.join(target, 'ib_logfile0'))
        compare(target, s.expected, Scene.options(places))
    shutil.rmtree(new)


@suite.test
def maps_that_cannot_work_are_refused():
    s = shared()
    target, new = new_target('unmappable'), os.path.join(processes.run_dir(), 'new2')
    all_of_it = f'--map={s.out}={new}'
    text = refused(USAGE, 'nothing below /wrong', s.backup, target, '--map=/wrong=/right', all_of_it)
    assert s.places['far'] in text and s.places['undo'] in text, f'it does not say what there is: {text}'
    refused(USAGE, 'two absolute paths', s.backup, target, '--map=relative=/x')
    refused(USAGE, r'without //, \. and \.\.', s.backup, target, f'--map={s.out}={new}/../x')
    refused(USAGE, 'in the data directory, where InnoDB', s.backup, target, f'--map={s.places["far"]}={target}/x')
    # FILE_RENAME to the old path is in the redo; or nothing but the redo has the first page
    refused(USAGE, 'other.ibd was renamed while', s.later, target, all_of_it)
    refused(USAGE, 'renamed.ibd was being made|renamed.ibd was renamed while', s.rebuilt, target, all_of_it)
    # what is at the old place would be opened by the first start
    os.makedirs(os.path.join(s.places['far'], 'far'))
    with open(os.path.join(s.places['far'], 'far', 'one.ibd'), 'wb') as f:
        f.write(b'old')
    refused(REFUSED, 'one.ibd is still there', s.backup, target, all_of_it)
    refused(REFUSED, 'one.ibd.*exists', s.backup, target)
    shutil.rmtree(s.out)
    assert not os.path.exists(new)
    # the same backup at its own places
    restore(s.later, target)
    compare(target, s.expected_later, Scene.options(s.places))
    shutil.rmtree(s.out)


# -- owner, rate

@suite.test
def everything_gets_the_owner():
    s = shared()
    if os.geteuid():
        suite.skip('only root gives files away')
    target, new = new_target('owned'), os.path.join(processes.run_dir(), 'new3')
    restore(s.backup, target, '--owner', 'nobody:daemon', f'--map={s.out}={new}')
    import grp
    import pwd
    uid, gid = pwd.getpwnam('nobody').pw_uid, grp.getgrnam('daemon').gr_gid
    for top in (target, new):
        for directory, names, files in os.walk(top):
            for path in [directory] + [os.path.join(directory, name) for name in names + files]:
                st = os.lstat(path)
                assert (st.st_uid, st.st_gid) == (uid, gid), f'{path} belongs to {st.st_uid}:{st.st_gid}'
    refused(USAGE, 'no such user', s.backup, target + '2', '--owner', 'nobody-at-all')
    compare(target, s.expected, Scene.options({name: os.path.join(new, name) for name in s.places}))
    shutil.rmtree(new)


@suite.test
def the_rate_is_held():
    s = shared()
    target = new_target('slow')
    stored = json.loads(restore(s.backup, target, '--dry-run', '--json', *home(target)).stdout)['from']['read_bytes']
    begin = time.monotonic()
    restore(s.backup, target, '--limit-rate', str(stored // 3), *home(target))
    took = time.monotonic() - begin
    assert 2.5 < took < 5, f'{stored} bytes at a third of that a second took {took:.1f} s'
    say(f'  {stored >> 20} MB at {stored / 3 / (1 << 20):.1f} MB/s took {took:.1f} s')
    check(target)


# -- what is in the way

def old_content(target, empty=False):
    """As a server left it, with what the file system and Galera put there; its snapshot."""
    os.makedirs(target, exist_ok=True)
    if not empty:
        for name in ('ibdata1', 'ib_logfile0', 'mysql/user.frm', 'mysql/deep/er.frm', 'db/t.ibd', 'galera.cache', 'gvwstate.dat',
                     'grastate.dat', '.hidden') + tuple(f'many/{n}' for n in range(500)):
            os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
            with open(os.path.join(target, name), 'w', encoding='ascii') as f:
                f.write('old ' + name)
        os.symlink('/nowhere', os.path.join(target, 'link'))
    os.makedirs(os.path.join(target, 'lost+found'), exist_ok=True)
    return {name: value for name, value in snapshot(target).items() if name != 'lost+found'}


def aside_of(target):
    """What --replace=keep has moved, beside the directory or in it."""
    parent, name = os.path.split(target)
    found = [os.path.join(parent, each) for each in os.listdir(parent) if each.startswith(name + '.before-')]
    return found + [os.path.join(target, each) for each in os.listdir(target) if each.startswith('.before-')]


@suite.test
def old_content_is_kept_or_deleted_and_never_without_being_asked():
    s = shared()
    target = new_target('in-the-way')
    old = old_content(target)
    text = refused(REFUSED, 'holds ibdata1 of 20.* no server runs there', s.backup, target, *home(target))
    assert f'--replace=keep moves it to {target}.before-2' in text, text
    refused(USAGE, 'give --yes', s.backup, target, '--replace', 'keep', *home(target), yes=False)
    refused(USAGE, 'give --yes', s.backup, target, '--replace', 'delete', *home(target), yes=False)
    refused(USAGE, 'neither keep nor delete', s.backup, target, '--replace', 'overwrite', *home(target))
    refused(USAGE, 'nothing below', s.backup, target, '--replace', 'delete', '--map=/wrong=/right', *home(target))
    plan = json.loads(restore(s.backup, target, '--dry-run', '--json', '--replace', 'keep', *home(target)).stdout)
    assert plan['replace']['how'] == 'keep' and plan['replace']['aside'].startswith(target + '.before-'), plan['replace']
    assert aside_of(target) == []
    restore(s.backup, target, '--replace', 'keep', *home(target))
    aside, = aside_of(target)
    assert snapshot(aside) == old, 'the old content has changed'
    assert not {'galera.cache', 'gvwstate.dat', 'grastate.dat', 'db', 'many'} & set(os.listdir(target))
    assert 'lost+found' in os.listdir(target)
    check(target, remove=False)
    restore(s.backup, target, '--replace', 'delete', *home(target))
    assert snapshot(aside) == old and aside_of(target) == [aside]

    def while_it_runs(server):
        refused_running = restore(s.backup, target, '--replace', 'delete', *home(target), check=False)
        assert refused_running.returncode == REFUSED and f'(pid {server.process.pid})' in refused_running.stderr, refused_running
        assert server.value('SELECT COUNT(*) FROM far.one') == 20000
        say('  ' + refused_running.stderr.splitlines()[0])

    compare(target, s.expected, after=while_it_runs)
    shutil.rmtree(aside)


@suite.test
def files_outside_that_are_in_the_way_are_replaced_too():
    s = shared()
    target, new = new_target('outside-old'), os.path.join(processes.run_dir(), 'new4')
    moved = f'--map={s.out}={new}'
    restore(s.backup, target, moved)
    old = snapshot(new)
    shutil.rmtree(target)
    refused(REFUSED, f'{new}/.*exists', s.backup, target, moved)
    restore(s.backup, target, moved, '--replace', 'keep')
    kept = {re.sub(r'\.before-\d{8}T\d{6}Z$', '', name): value for name, value in snapshot(new).items() if '.before-' in name}
    assert {name: value for name, value in old.items() if value[3]} == kept
    restore(s.backup, target, moved, '--replace', 'delete')
    compare(target, s.expected, Scene.options({name: os.path.join(new, name) for name in s.places}))
    shutil.rmtree(new)


@suite.test
def a_mount_point_keeps_its_old_content_inside():
    s = shared()
    target = new_target('mounted')
    if not processes.mount_tmpfs(target, '300m'):
        suite.skip('nothing can be mounted here')
    old = old_content(target)
    restore(s.backup, target, '--replace', 'keep', *home(target))
    aside, = aside_of(target)
    assert os.path.dirname(aside) == target and snapshot(aside) == old
    check(target, remove=False)
    for name in os.listdir(target):
        if name != os.path.basename(aside):
            path = os.path.join(target, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    restore(s.backup, target, *home(target))  # what was moved aside is not content
    assert snapshot(aside) == old
    check(target, remove=False)
    processes.umount(target)


@suite.test
def the_repository_is_never_cleared():
    s = shared()
    inside = os.path.join(s.agent.repository, 'data')
    refused(USAGE, 'lie in one another', s.backup, s.agent.repository, '--replace', 'delete')
    refused(USAGE, 'lie in one another', s.backup, os.path.dirname(s.agent.repository), '--replace', 'delete')
    os.mkdir(inside)
    refused(USAGE, 'lie in one another', s.backup, inside, '--replace', 'keep')
    os.rmdir(inside)


# -- interrupted

def begin(target, seconds, *options, until=None):
    """A restore that would take that long is killed; True if it was still running."""
    stored = json.loads(restore(shared().backup, new_target('none'), '--dry-run', '--json', *home(new_target('none'))).stdout)
    process = restore(shared().backup, target, '--limit-rate', str(int(stored['from']['read_bytes'] / seconds)), *home(target),
                      *options, start=True)
    until(process)
    return processes.end(process, signal.SIGKILL) == -signal.SIGKILL


def after(seconds):
    def wait(process):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    return wait


def has(*paths):
    return lambda process: wait_for(lambda: all(os.path.exists(path) for path in paths) or process.poll() is not None, 20, paths)


@suite.test
def a_killed_restore_goes_on():
    s = shared()
    seed = int(os.environ.get('GB_TEST_SEED', time.time()))
    chance = random.Random(seed)
    say(f'  seed {seed}')
    target, kills, number, saved = new_target('killed0'), 0, 0, []

    def wanted():
        """So many, and more of them if none came late enough for something to be on disk."""
        return kills < KILLS or (not any(saved) and kills < 5 * KILLS)
    while wanted() or os.path.exists(target):
        if wanted() and begin(target, 4, until=after(chance.uniform(0.05, 2.5))):
            kills += 1
            plan = json.loads(restore(s.backup, target, '--dry-run', '--json', *home(target)).stdout)
            assert plan['start'] == ('go_on' if os.path.exists(target) else 'fresh'), plan['start']
            saved.append(plan['done_bytes'] >> 20)
            assert plan['done_bytes'] == 0 or plan['from']['read_bytes'] < plan['to']['bytes'], plan
            continue
        begun = time.monotonic()
        said = restore(s.backup, target, *home(target), check=False)
        if said.returncode == 0 and 'on disk already' in said.stdout:
            say(f'  {said.stdout[said.stdout.index("restored"):].splitlines()[0]} ({time.monotonic() - begun:.1f} s)')
        if said.returncode:  # the restore that was to be killed had ended
            assert said.returncode == REFUSED and 'unfinished' not in said.stderr, said.stderr
        check(target)
        if not wanted():
            break
        number += 1
        target = new_target(f'killed{number}')
    say(f'  {kills} kills; MB that were on disk after each: {saved}')
    assert max(saved) > 0, 'no kill came after a checkpoint: nothing was saved'


@suite.test
def a_killed_replacement_loses_nothing():
    s = shared()
    chance = random.Random(int(os.environ.get('GB_TEST_SEED', time.time())))
    for n in range(KILLS):
        target = new_target(f'replaced{n}')
        old = old_content(target)
        killed = begin(target, 2, '--replace', 'keep', until=lambda process: (
            wait_for(lambda: os.path.exists(os.path.join(target, MARKER)) or process.poll() is not None, 20, 'the marker'),
            after(chance.uniform(0, 0.02))(process)))
        assert killed, 'the restore had ended'
        assert os.path.isdir(os.path.join(target, 'mysql')), 'a start script would initialise it'
        assert refuses_to_boot(target), 'mariadbd started'
        restore(s.backup, target, '--replace', 'keep', *home(target))
        aside, = aside_of(target)
        # killed before Aria's guard was up, mariadbd has made a log of Aria: one more file is no loss
        lost = [each for each in differing(old, snapshot(aside)) if each[0] in old]
        assert lost == [], f'old content was lost: {lost[:5]}'
        if n == 0:
            check(target)
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(aside)


@suite.test
def an_unfinished_restore_is_gone_on_with_or_begun_anew():
    s = shared()
    target = new_target('unfinished')
    assert begin(target, 20, until=has(os.path.join(target, JOURNAL)))
    before = snapshot(target)
    text = refused(REFUSED, f'unfinished restore of {s.backup}, begun at', s.later, target)
    assert '--restart' in text
    refused(REFUSED, 'with other places', s.backup, target)
    refused(REFUSED, 'unfinished restore', s.later, target, '--replace', 'delete')
    refused(USAGE, 'give --yes', s.later, target, '--restart', yes=False)
    assert snapshot(target) == before
    os.makedirs(s.out)
    restore(s.later, target, '--restart')
    compare(target, s.expected_later, Scene.options(s.places))
    shutil.rmtree(s.out)
    # what lies outside is removed with the rest
    new = os.path.join(processes.run_dir(), 'new5')
    process = restore(s.backup, target, f'--map={s.out}={new}', '--limit-rate', '1M', start=True)
    has(os.path.join(target, JOURNAL))(process)
    assert processes.end(process, signal.SIGKILL) == -signal.SIGKILL
    assert os.path.exists(os.path.join(new, 'aria', 'aria_log_control'))
    restore(s.backup, target, *home(target), '--restart')
    assert [names for _, _, names in os.walk(new) if names] == [], 'files of the unfinished restore are left'
    check(target)
    # a journal that is damaged counts as none
    assert begin(target, 20, until=has(os.path.join(target, JOURNAL)))
    with open(os.path.join(target, JOURNAL), 'r+b') as f:
        f.seek(20)
        f.write(b'\xff\xff')
    plan = json.loads(restore(s.backup, target, '--dry-run', '--json', *home(target)).stdout)
    assert plan['start'] == 'go_on' and plan['done_bytes'] == 0, plan
    restore(s.backup, target, *home(target))
    check(target)


# -- the accident guard

def refuses_to_boot(target, *options):
    return processes.run(server_command(target) + list(options), check=False, timeout=60).returncode != 0


def server_command(target):
    """mariadbd as a start script runs it; on a good directory it ends by itself, with status 0."""
    init = os.path.join(processes.run_dir(), 'shutdown.sql')
    with open(init, 'w', encoding='ascii') as f:
        f.write('SHUTDOWN;\n')
    return ['mariadbd', '--no-defaults', *as_root(), f'--datadir={target}', f'--socket={processes.run_dir()}/boot.sock',
            '--skip-networking', f'--pid-file={processes.run_dir()}/boot.pid', f'--log-error={processes.run_dir()}/boot.err',
            '--innodb-undo-tablespaces=2', f'--init-file={init}']


def entrypoint(kind, target):
    script = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib', 'entrypoint')
    return processes.run([script, kind, target, *server_command(target)], timeout=60).stdout.split()[-1]


@suite.test
def nothing_starts_on_an_unfinished_restore_and_nothing_of_it_changes():
    s = shared()
    target = new_target('guarded')
    # the scripts do what they are for
    empty = new_target('new-one')
    assert entrypoint('official', empty) == 'INITIALISED'
    assert entrypoint('official', empty) == 'STARTED'
    assert entrypoint('galera', empty) == 'BOOTSTRAPPED'
    shutil.rmtree(empty)
    for moment in (has(os.path.join(target, 'aria_log_control')), has(os.path.join(target, 'far', 'one.ibd')),
                   has(os.path.join(target, JOURNAL))):
        assert begin(target, 20, until=moment), 'the restore had ended'
        assert os.path.exists(os.path.join(target, MARKER))
        before = snapshot(target)
        assert refuses_to_boot(target), 'mariadbd started'
        for kind in ('official', 'galera'):
            assert entrypoint(kind, target) == 'REFUSED', kind
        changed = differing(before, snapshot(target))
        assert changed == [], f'a start changed the directory: {changed}'
    with open(os.path.join(processes.run_dir(), 'boot.err'), encoding='utf-8', errors='replace') as f:
        assert 'unfinished restore' in f.read()
    restore(s.backup, target, *home(target))
    check(target, remove=False)
    assert entrypoint('official', target) == 'STARTED'
    compare(target, s.expected)


@suite.test
def nothing_starts_on_an_unfinished_restore_whose_logs_are_elsewhere():
    s = shared()
    target, new = new_target('guarded-outside'), os.path.join(processes.run_dir(), 'new7')
    moved = f'--map={s.out}={new}'
    places = {name: os.path.join(new, name) for name in s.places}
    told = [f'--{name}={value}' for name, value in Scene.options(places).items()]
    os.makedirs(places['redo'])
    for name in ('ib_logfile0', 'ib_logfile1'):  # of a server that was here before
        with open(os.path.join(places['redo'], name), 'wb') as f:
            f.write(b'old')
    refused(REFUSED, 'redo/ib_logfile0.*exists|ib_logfile1 is of another redo log', s.backup, target, moved)
    refused(REFUSED, 'ib_logfile1 is of another redo log', s.backup, target, moved, '--replace', 'keep')
    os.remove(os.path.join(places['redo'], 'ib_logfile1'))
    process = restore(s.backup, target, moved, '--limit-rate', '1M', '--replace', 'keep', start=True)
    has(os.path.join(target, JOURNAL))(process)
    assert processes.end(process, signal.SIGKILL) == -signal.SIGKILL, 'the restore had ended'
    before = snapshot(target), snapshot(new)
    for options in (told, told[:-1], [each for each in told if 'aria' not in each]):
        assert refuses_to_boot(target, *options), f'mariadbd started with {options}'
    assert differing(before[0], snapshot(target)) == [] and differing(before[1], snapshot(new)) == []
    restore(s.backup, target, moved, '--replace', 'keep')
    kept, = (name for name in os.listdir(places['redo']) if '.before-' in name)
    with open(os.path.join(places['redo'], kept), 'rb') as f:
        assert f.read() == b'old'
    compare(target, s.expected, Scene.options(places))
    shutil.rmtree(new)


suite.main()
