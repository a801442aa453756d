#!/usr/bin/python3
"""One backup of a server that keeps its files in many places, restored in every way; what must not be is refused. The source is
stopped and its files outside the data directory are moved away before anything is restored, as on another host."""
import contextlib
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
        # far.fresh: the redo alone has its first page
        self.backup, self.expected = self.take(server, 'UPDATE far.{} SET v = REVERSE(v)',
                                               f'CREATE TABLE far.fresh (id INT PRIMARY KEY) DATA DIRECTORY="{self.places["far"]}"',
                                               'INSERT INTO far.fresh VALUES (1), (2)')
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


def command(backup, target, *options, yes=True, repository=None):
    """The command line without a configuration file, an agent or a server."""
    return [binary(), 'restore', *([backup] if backup else []), '--repository', repository or shared().agent.repository,
            '--datadir', target, *(['--yes'] if yes else []), '--progress', 'none', *options]


def restore(*arguments, check=True, start=False, env=None, **more):
    """start: a process, to be killed."""
    argv = command(*arguments, **more)
    return processes.start(argv, env=env) if start else processes.run(argv, check=check)


def planned(*arguments):
    return json.loads(restore(*arguments, '--dry-run', '--json').stdout)


def killed(until, *arguments, env=None):
    """A restore is killed when it has come that far."""
    process = restore(*arguments, start=True, env=env)
    until(process)
    assert processes.end(process, signal.SIGKILL) == -signal.SIGKILL, 'the restore had ended'


def killed_at_mark(number, *arguments):
    """When it is about to write its marker for that time: it does so before and after it clears old content, and before and after it writes
    the files."""
    stall = processes.StallOpen()
    stall.begin(f'create:{number} {MARKER}.new')
    killed(lambda process: wait_for(lambda: stall.reached() or process.poll() is not None, 60, 'the marker'), *arguments, env=stall.environment)


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


def files_in(top):
    """The same of files alone."""
    return {name: value for name, value in snapshot(top).items() if value[3]}


def differing(before, now):
    return [(name, before.get(name), now.get(name)) for name in sorted(set(before) | set(now)) if before.get(name) != now.get(name)]


def home(target):
    """Everything that was outside goes into the data directory."""
    return [f'--map={path}={target}' for path in shared().places.values()]


def new_target(name):
    return os.path.join(processes.run_dir(), name)


def compare(target, expected, options=None, after=None, remove=True):
    """A server starts there twice, with every table as it was when the backup was taken: the first start finds files through the redo as well, the second
    does not. after: called with the server."""
    server = Server(os.path.basename(target) + '.server', {'innodb-undo-tablespaces': '2', **(options or {})}, plugin=False)
    server.datadir = target
    try:
        for start in (server.start, server.restart):
            start()
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
    plan = planned(s.backup, target, '--limit-rate', '1M', *maps)
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
        killed(has(f'{places["redo"]}/galera-backup-recovery/ib_logfile0'), s.backup, target, '--recover', *below)
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
    # FILE_RENAME to the old path is in the redo
    refused(USAGE, 'other.ibd was renamed while', s.later, target, all_of_it)
    refused(USAGE, 'renamed.ibd was renamed while', s.rebuilt, target, all_of_it)
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

def not_of(owner, top):
    """{path: (uid, gid)} of what belongs to others; top itself counts."""
    paths = [top] + [os.path.join(top, name) for name in snapshot(top)]
    owners = {path: (os.lstat(path).st_uid, os.lstat(path).st_gid) for path in paths}
    return {path: each for path, each in owners.items() if each != owner}


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
    assert not_of((uid, gid), target) == not_of((uid, gid), new) == {}
    refused(USAGE, 'no such user', s.backup, target + '2', '--owner', 'nobody-at-all')
    compare(target, s.expected, Scene.options({name: os.path.join(new, name) for name in s.places}))
    shutil.rmtree(new)


@suite.test
def a_directory_that_a_killed_restore_has_made_belongs_to_whom_its_plan_said():
    s = shared()
    if os.geteuid() or processes.run(['id', 'mysql'], check=False).returncode:
        suite.skip('only root gives files away, and to a user mysql')
    import pwd
    mysql = pwd.getpwnam('mysql')
    target, new = os.path.join(new_target('owned-by-mysql'), 'data'), os.path.join(processes.run_dir(), 'new8')
    moved = f'--map={s.out}={new}'
    told = planned(s.backup, target, moved)['to']['owner']
    assert told.startswith('mysql:'), told
    killed(has(os.path.join(target, MARKER)), s.backup, target, moved, '--limit-rate', '1M')
    assert planned(s.backup, target, moved)['to']['owner'] == told
    restore(s.backup, target, moved)
    for top in (os.path.dirname(target), new):
        strange = not_of((mysql.pw_uid, mysql.pw_gid), top)
        assert strange == {}, f'not of mysql: {strange}'
        shutil.rmtree(top)


@suite.test
def the_rate_is_held():
    s = shared()
    target = new_target('slow')
    stored = planned(s.backup, target, *home(target))['from']['read_bytes']
    begin = time.monotonic()
    restore(s.backup, target, '--limit-rate', str(stored // 3), *home(target))
    took = time.monotonic() - begin
    # the end waits for the disk, with all that others have written to it
    assert 2.5 < took < 40, f'{stored} bytes at a third of that a second took {took:.1f} s'
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
    plan = planned(s.backup, target, '--replace', 'keep', *home(target))
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


def kept_in(directory):
    """What --replace=keep has moved aside file by file, by its old name."""
    return {re.sub(r'\.before-\d{8}T\d{6}Z$', '', name): value for name, value in files_in(directory).items() if '.before-' in name}


@suite.test
def files_outside_that_are_in_the_way_are_replaced_too():
    s = shared()
    target, new = new_target('outside-old'), os.path.join(processes.run_dir(), 'new4')
    moved = f'--map={s.out}={new}'
    restore(s.backup, target, moved)
    old = files_in(new)
    shutil.rmtree(target)
    refused(REFUSED, f'{new}/.*exists', s.backup, target, moved)
    restore(s.backup, target, moved, '--replace', 'keep')
    assert old == kept_in(new)
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
def what_was_kept_in_a_mount_point_keeps_its_owner():
    s = shared()
    target = new_target('mounted-owned')
    if os.geteuid() or not processes.mount_tmpfs(target, '300m'):
        suite.skip('nothing can be mounted, or given away, here')
    root = os.lstat(target).st_uid, os.lstat(target).st_gid
    old_content(target)
    restore(s.backup, target, '--replace', 'keep', '--owner', 'nobody:daemon', *home(target))
    aside, = aside_of(target)
    assert not_of(root, aside) == {}, 'old content was given away'
    restore(s.backup, target, '--replace', 'delete', '--owner', 'daemon', *home(target))
    assert not_of(root, aside) == {} and aside_of(target) == [aside]
    processes.umount(target)


@suite.test
def a_mount_point_in_the_directory_is_named_and_nothing_goes():
    s = shared()
    for where in ('db', 'many/below'):
        target = new_target('mounted-below-' + os.path.basename(where))
        old_content(target)
        inside = os.path.join(target, where)
        shutil.rmtree(inside, ignore_errors=True)
        if not processes.mount_tmpfs(inside, '1m'):
            suite.skip('nothing can be mounted here')
        with open(os.path.join(inside, 't.ibd'), 'wb') as f:
            f.write(b'old')
        for how in ('keep', 'delete'):
            refused(REFUSED, f'GB4001.*{inside}.*is a mount point', s.backup, target, '--replace', how, *home(target))
        assert aside_of(target) == []
        processes.umount(inside)
        restore(s.backup, target, '--replace', 'delete', *home(target))
        check(target)


@suite.test
def a_directory_that_a_save_reads_is_not_replaced():
    s = shared()
    target, store = new_target('being-saved'), processes.Stall('/data/')
    restore(s.backup, target, *home(target))
    repository = processes.new_dir('saves')
    store.begin()
    save = processes.start([binary(), 'save', '--datadir', target, '--repository', repository, '--cluster', 'c'], env=store.environment)
    try:
        wait_for(lambda: any(name.endswith('.part') for _, _, names in os.walk(repository) for name in names), 20, 'the save to write')
        for how in ('keep', 'delete'):
            refused(REFUSED, 'GB4002.*is being read by a galera-backup save', s.backup, target, '--replace', how, *home(target))
    finally:
        store.end()
    assert processes.end(save, 0) == 0, 'the save failed'
    restore(s.backup, target, '--replace', 'delete', *home(target))
    check(target)


@suite.test
def the_repository_is_never_cleared():
    s = shared()
    inside = os.path.join(s.agent.repository, 'data')
    refused(USAGE, 'lie in one another', s.backup, s.agent.repository, '--replace', 'delete')
    refused(USAGE, 'lie in one another', s.backup, os.path.dirname(s.agent.repository), '--replace', 'delete')
    os.mkdir(inside)
    refused(USAGE, 'lie in one another', s.backup, inside, '--replace', 'keep')
    os.rmdir(inside)


# -- what comes meanwhile

def asked(target, *options):
    """A restore that has asked whether it shall."""
    terminal = processes.Terminal(command(shared().backup, target, *options, yes=False))
    terminal.wait_for('Restore? [y/N]')
    return terminal


@suite.test
def one_restore_at_a_time_is_at_work_in_a_directory():
    s = shared()
    target = new_target('two-at-once')
    disk = processes.Stall(target)
    first = restore(s.backup, target, *slowly(8), *home(target), start=True, env=disk.environment)
    has(os.path.join(target, JOURNAL))(first)
    disk.begin()  # it goes on when the others have been refused
    for backup, *options in ((s.backup,), (s.backup, '--restart'), (s.backup, '--dry-run'), (s.later, '--restart'), (s.later, '--replace', 'delete')):
        second = restore(backup, target, *options, *home(target), check=False)
        assert first.poll() is None, 'the first has ended'
        assert second.returncode == REFUSED and 'GB4002' in second.stderr and 'another galera-backup restore' in second.stderr, f'{options}: {second}'
    say('  ' + second.stderr.splitlines()[0])
    disk.end()
    assert processes.end(first, 0) == 0, 'the first failed'
    check(target)


def starts_while_it_asks(target, moved, options=None):
    """Of a server that starts then, after "y", nothing is touched."""
    s = shared()
    restore(s.backup, target, *moved)
    terminal = asked(target, '--replace', 'delete', *moved)

    def answer(server):
        status, said = terminal.answer('y')
        assert status == REFUSED and 'GB4002' in said, f'status {status}: {said}'
        assert MARKER not in os.listdir(target)
        difference = checks.differences(s.expected, checks.checksums(server.connection()))
        assert not difference, difference
        server.restart()

    compare(target, s.expected, options, answer)


@suite.test
def a_server_that_starts_while_the_restore_asks_is_left_alone():
    target = new_target('asked')
    starts_while_it_asks(target, home(target))


@suite.test
def a_server_with_files_elsewhere_that_starts_while_the_restore_asks_is_left_alone():
    s = shared()
    new = os.path.join(processes.run_dir(), 'new9')
    starts_while_it_asks(new_target('asked-elsewhere'), [f'--map={s.out}={new}'], Scene.options({name: os.path.join(new, name) for name in s.places}))
    shutil.rmtree(new)


@contextlib.contextmanager
def nothing_comes_into_the_root_directory():
    """Of what a data directory holds; what does is removed."""
    before = set(os.listdir('/'))
    try:
        yield
    finally:
        came = {'mysql', 'ib_logfile0', 'aria_log_control', 'grastate.dat'} & set(os.listdir('/')) - before
        for name in came:
            (os.rmdir if os.path.isdir('/' + name) else os.remove)('/' + name)
    assert not came, f'{came} came into the root directory'


def comes_while_it_asks(top, name, target, *options):
    """A file that somebody puts there then is not touched, nor is anything else."""
    terminal = asked(target, *options)
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(b"somebody's")
    before = snapshot(target), snapshot(top)
    status, said = terminal.answer('y')
    assert status == REFUSED and 'GB4001' in said, f'status {status}: {said}'
    assert differing(before[0], snapshot(target)) == [] and differing(before[1], snapshot(top)) == []
    os.remove(path)


@suite.test
def what_comes_into_an_empty_directory_while_the_restore_asks_is_left_alone():
    target = new_target('asked-empty')
    comes_while_it_asks(target, 'ibdata1', target, *home(target))
    assert os.listdir(target) == []
    comes_while_it_asks(target, 'ibdata1', target, *home(target))
    os.rmdir(target)


@suite.test
def what_comes_to_an_absolute_path_while_the_restore_asks_is_left_alone():
    s = shared()
    target, new = processes.new_dir('asked-outside'), os.path.join(processes.run_dir(), 'new10')
    for name in ('far/far/one.ibd', 'redo/ib_logfile0'):
        comes_while_it_asks(new, name, target, f'--map={s.out}={new}')
    shutil.rmtree(new)
    os.rmdir(target)


@suite.test
def a_directory_that_is_made_while_the_restore_asks_about_files_outside_is_left_alone():
    s = shared()
    target, new = new_target('asked-missing'), os.path.join(processes.run_dir(), 'new12')
    os.makedirs(os.path.join(new, 'home'))
    with open(os.path.join(new, 'home', 'ibdata1'), 'wb') as f:
        f.write(b'old')
    for how in ('keep', 'delete'):
        with nothing_comes_into_the_root_directory():
            comes_while_it_asks(target, 'ib_logfile0', target, f'--map={s.out}={new}', '--replace', how)
        os.rmdir(target)
    shutil.rmtree(new)


# -- interrupted

def slowly(seconds):
    """The rate of a restore that takes that long."""
    target = new_target('none')
    return '--limit-rate', str(int(planned(shared().backup, target, *home(target))['from']['read_bytes'] / seconds))


def begin(target, seconds, *options, until=None):
    """A restore that would take that long is killed; True if it was still running."""
    process = restore(shared().backup, target, *slowly(seconds), *home(target), *options, start=True)
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
    return lambda process: wait_for(lambda: all(os.path.exists(path) for path in paths) or process.poll() is not None, 60, paths)


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
        slower = 1 + kills // KILLS  # a machine that needs longer for something to be on disk gets it
        if wanted() and begin(target, 4 * slower, until=after(chance.uniform(0.05, 2.5 * slower))):
            kills += 1
            plan = planned(s.backup, target, *home(target))
            assert plan['start'] == ('go_on' if os.path.exists(os.path.join(target, MARKER)) else 'fresh'), plan['start']
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
def one_killed_before_its_first_marker_begins_again():
    s = shared()
    target = new_target('unmarked')
    killed_at_mark(1, s.backup, target, *home(target))
    assert os.listdir(target) == [f'{MARKER}.new'], os.listdir(target)
    assert planned(s.backup, target, *home(target))['start'] == 'fresh'
    restore(s.backup, target, *home(target))
    check(target)


@suite.test
def a_file_system_that_fills_up_ends_it_and_it_goes_on_afterwards():
    s = shared()
    top = os.path.join(processes.run_dir(), 'filling')
    target, filler = os.path.join(top, 'data'), os.path.join(top, 'filler')
    size = planned(s.backup, target, *home(target))['to']['bytes']
    if not processes.mount_tmpfs(top, f'{size + (32 << 20)}'):
        suite.skip('no right to mount a small file system')
    process = processes.start(command(s.backup, target, *slowly(5), *home(target)), stderr=subprocess.PIPE)
    has(os.path.join(target, MARKER))(process)
    with open(filler, 'wb', buffering=0) as f:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                f.write(bytes(1 << 20))
    words = process.communicate()[1].decode()
    assert process.returncode == NO_SPACE and 'GB4003' in words, (process.returncode, words)
    os.remove(filler)
    assert refuses_to_boot(target), 'mariadbd started on a directory that was not finished'
    assert planned(s.backup, target, *home(target))['start'] == 'go_on'
    restore(s.backup, target, *home(target))
    processes.run(['mount', '-o', f'remount,size={size + (512 << 20)}', top])  # a server needs room of its own
    check(target)


@suite.test
def a_killed_replacement_loses_nothing():
    s = shared()
    chance = random.Random(int(os.environ.get('GB_TEST_SEED', time.time())))
    for n in range(KILLS):
        target = new_target(f'replaced{n}')
        old = old_content(target)
        killed = begin(target, 20, '--replace', 'keep', until=lambda process: (
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
    killed(has(os.path.join(target, JOURNAL)), s.backup, target, f'--map={s.out}={new}', '--limit-rate', '1M')
    assert os.path.exists(os.path.join(new, 'aria', 'aria_log_control'))
    restore(s.backup, target, *home(target), '--restart')
    assert [names for _, _, names in os.walk(new) if names] == [], 'files of the unfinished restore are left'
    check(target)
    # a journal that is damaged counts as none
    assert begin(target, 20, until=has(os.path.join(target, JOURNAL)))
    with open(os.path.join(target, JOURNAL), 'r+b') as f:
        f.seek(20)
        f.write(b'\xff\xff')
    plan = planned(s.backup, target, *home(target))
    assert plan['start'] == 'go_on' and plan['done_bytes'] == 0, plan
    restore(s.backup, target, *home(target))
    check(target)


class Elsewhere:
    """A restore with files outside the data directory, killed when nothing is left to be written."""

    def __init__(self, name):
        s = shared()
        self.target, self.new = new_target(name), os.path.join(processes.run_dir(), name + '-new')
        self.moved = f'--map={s.out}={self.new}'
        self.places = {name: os.path.join(self.new, name) for name in s.places}
        self.kill(*slowly(4))

    def kill(self, *options):
        killed_at_mark(2, shared().backup, self.target, self.moved, *options)

    def end(self):
        restore(shared().backup, self.target, self.moved)
        compare(self.target, shared().expected, Scene.options(self.places))
        shutil.rmtree(self.new)


@suite.test
def files_outside_have_other_names_until_the_end():
    e = Elsewhere('held')
    files = set(files_in(e.new))
    named = {name for name in files if not name.endswith('.restoring')}
    assert named == {'redo/ib_logfile0', 'aria/aria_log_control'}, f'{named} of {files}'
    assert {'home/ibdata1.restoring', 'undo/undo001.restoring', 'far/far/one.ibd.restoring', 'redo/ib_logfile0.restoring'} <= files, files
    e.end()


@suite.test
def a_file_outside_that_is_lost_meanwhile_is_written_again():
    s = shared()
    e = Elsewhere('lost')
    plan = planned(s.backup, e.target, e.moved)
    assert plan['start'] == 'go_on' and plan['done_bytes'] > 0, plan
    for name in ('home/ibdata1', 'undo/undo001', 'far/far/one.ibd'):
        os.remove(os.path.join(e.new, name + '.restoring'))
        e.kill()
    shutil.rmtree(os.path.join(e.new, 'far'))
    e.end()


@suite.test
def a_file_outside_that_came_meanwhile_is_left_alone():
    s = shared()
    e = Elsewhere('came')
    for name in ('far/far/one.ibd', 'redo/ib_logfile0'):
        path, guard = os.path.join(e.new, name), e.new + '.guard'
        if os.path.exists(path):
            os.rename(path, guard)
        with open(path, 'wb') as f:
            f.write(b"somebody's")
        before = snapshot(e.new)
        for options in ([], ['--restart'], ['--dry-run']):
            refused(REFUSED, f'GB4001.*{path} is there, and the interrupted restore has not made it', s.backup, e.target, e.moved, *options)
        assert differing(before, snapshot(e.new)) == []
        os.remove(path)
        if os.path.exists(guard):
            os.rename(guard, path)
    e.end()


@suite.test
def old_files_outside_are_kept_although_there_was_no_data_directory():
    s = shared()
    target, new = new_target('kept-outside'), os.path.join(processes.run_dir(), 'new11')
    moved = f'--map={s.out}={new}'
    restore(s.backup, target, moved)
    old = files_in(new)
    shutil.rmtree(target)
    with nothing_comes_into_the_root_directory():
        killed_at_mark(2, s.backup, target, moved, '--replace', 'keep')
        assert os.path.isdir(os.path.join(target, 'mysql')), 'killed too early'
        restore(s.backup, target, moved, '--replace', 'keep')
    assert old == kept_in(new)
    compare(target, s.expected, Scene.options({name: os.path.join(new, name) for name in s.places}))


# -- the accident guard

def refuses_to_boot(target, *options):
    """For the guards' sake: that of Aria, which comes first, or of InnoDB."""
    log = os.path.join(processes.run_dir(), 'boot.err')
    with contextlib.suppress(FileNotFoundError):
        os.remove(log)
    status = processes.run(server_command(target) + list(options), check=False, timeout=60).returncode
    with open(log, encoding='utf-8', errors='replace') as f:
        text = f.read()
    # for a moment there is neither the old log nor the guard in its place, and no server starts without one
    neither = not os.path.exists(os.path.join(target, 'ib_logfile0')) and 'ib_logfile0 was not found' in text
    assert not status or neither or 'Missing valid id at start of file' in text or 'an unfinished restore' in text, text
    return status != 0


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
    killed(has(os.path.join(target, JOURNAL)), s.backup, target, moved, '--limit-rate', '1M', '--replace', 'keep')
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


def nothing_starts(how, kill):
    """A restore is killed while it clears old content."""
    s = shared()
    target, new = new_target(f'{how}-{kill.__name__}'), os.path.join(processes.run_dir(), f'{how}-{kill.__name__}-new')
    moved, replace = f'--map={s.out}={new}', ('--replace', how)
    places = {name: os.path.join(new, name) for name in s.places}
    restore(s.backup, target, moved)
    old = snapshot(target), files_in(new)
    kill(target, s.backup, target, moved, *replace)
    before = snapshot(target), snapshot(new)
    assert refuses_to_boot(target, *(f'--{name}={value}' for name, value in Scene.options(places).items())), 'mariadbd started'
    changed = differing(before[0], snapshot(target)) + differing(before[1], snapshot(new))
    restore(s.backup, target, moved, *replace)
    if how == 'keep':
        aside, = aside_of(target)
        lost = [each for each in differing(old[0], snapshot(aside)) + differing(old[1], kept_in(new)) if each[1]]
        assert lost == [], f'old content was lost: {lost[:5]}'
        shutil.rmtree(aside)
    compare(target, s.expected, Scene.options(places))
    assert changed == [], f'a start changed something: {changed[:5]}'
    shutil.rmtree(new)


def amid(target, *arguments):
    far, mysql = os.path.join(target, 'far'), os.path.join(target, 'mysql')
    for number in range(40000):  # they go between these two, which takes a while
        with open(os.path.join(target, f'many.{number}'), 'wb'):
            pass
    killed(lambda process: wait_for(lambda: not os.path.exists(far) or process.poll() is not None, 20, 'something to go', poll_s=0), *arguments)
    assert os.listdir(mysql), 'the clearing had ended'


def at_the_end_of(_, *arguments):
    killed_at_mark(2, *arguments)


def right_after(_, *arguments):
    killed_at_mark(3, *arguments)


for each in ('keep', 'delete'):
    for moment in (amid, at_the_end_of, right_after):
        suite.add(f'nothing_starts_{moment.__name__}_replace_{each}_of_content_whose_logs_are_elsewhere', nothing_starts, each, moment)

suite.main()
