#!/usr/bin/python3
"""save: the directory of a server that was killed, that is damaged or that lies on a failing disk comes back byte for byte, and
what must not be saved or would not be a save is refused or leaves nothing.

No agent, no configuration file, no plugin: only the command line, a data directory and a repository.
"""
import json
import os
import shutil
import signal
import socket
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import checks, load, processes  # noqa: E402
from gbtest.agent import binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

USAGE, BACKUP_FAILED, CANCELLED, NO_SPACE, CORRUPT, NOT_FOUND, REFUSED = 2, 6, 7, 9, 13, 14, 15
PAGE = 16384

suite = Suite()


def run(*arguments, check=True, env=None):
    return processes.run([binary()] + [str(each) for each in arguments], check=check, env=env)


class Scene:
    """A server with tables of several kinds, some of them outside its directory, killed while it is written to; `reference`
    is a copy of what it left."""

    def __init__(self):
        base = processes.new_dir('saved')
        self.outside = os.path.join(base, 'outside')
        self.repository = os.path.join(base, 'repository')
        for path in (self.outside, self.repository):
            os.makedirs(path)
        self.reference = os.path.join(base, 'reference')
        self.server = Server('saved', {'log-bin': 'binlog', 'pid-file': os.path.join(base, 'data', 'db1.pid'),
                                       'innodb-undo-tablespaces': '3'}, base=base, plugin=False)
        self.server.create()
        self.server.start()
        self.server.execute(
            'CREATE DATABASE kinds', f'CREATE TABLE kinds.elsewhere (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB '
            f'DATA DIRECTORY="{self.outside}"', 'INSERT INTO kinds.elsewhere SELECT seq, MD5(seq) FROM seq_1_to_5000',
            'CREATE TABLE kinds.packed (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB PAGE_COMPRESSED=1',
            'INSERT INTO kinds.packed SELECT seq, REPEAT(seq, 50) FROM seq_1_to_3000',
            f'CREATE TABLE kinds.linked (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=MyISAM DATA DIRECTORY="{self.outside}"',
            'INSERT INTO kinds.linked SELECT seq, MD5(seq) FROM seq_1_to_500', 'CREATE DATABASE empty_one')
        # a database that is a link, as DBAs make them
        self.server.execute('CREATE DATABASE moved', 'CREATE TABLE moved.m (id INT PRIMARY KEY) ENGINE=MyISAM',
                            'INSERT INTO moved.m SELECT seq FROM seq_1_to_100')
        load.bulk(self.server, 'sbtest', 2, 12 << 20)
        self.server.stop()  # what is in the tables' files now, is there when the server is killed
        shutil.move(os.path.join(self.server.datadir, 'moved'), os.path.join(self.outside, 'moved'))
        os.symlink(os.path.join(self.outside, 'moved'), os.path.join(self.server.datadir, 'moved'))
        self.server.start()
        self.loads = [load.Transfers(self.server, 1, may_lose_server=True), load.Sequence(self.server, 2, may_lose_server=True),
                      load.Unlogged(self.server, 3, may_lose_server=True)]
        for each in self.loads:
            each.prepare(self.server)
            each.start()
        wait_for(lambda: all(each.done > 20 for each in self.loads), 60, 'the loads to write')
        self.server.kill()
        for each in self.loads:
            each.stop()
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.join(self.server.datadir, 'mysqld.sock'))
        shutil.copytree(self.server.datadir, self.reference, symlinks=True, ignore=lambda directory, names: ['mysqld.sock'])
        self.reference_outside = os.path.join(base, 'reference_outside')
        shutil.copytree(self.outside, self.reference_outside, symlinks=True)

    def save(self, *options, check=True, env=None, datadir=None):
        return run('save', '--datadir', datadir or self.server.datadir, '--repository', self.repository, '--cluster', 'c',
                   *options, check=check, env=env)

    def saved(self, *options, **others):
        """What --json says of a save that succeeds."""
        return json.loads(self.save('--json', *options, **others).stdout)

    def listed(self):
        return [row['id'] for row in json.loads(run('list', '--repository', self.repository, '--json').stdout)['backups']]

    def restore(self, backup, datadir, *options, check=True):
        return run('restore', backup, '--repository', self.repository, '--datadir', datadir, '--yes', *options, check=check)

    def left(self):
        """What is in the repository beside backups that are listed."""
        directory = os.path.join(self.repository, 'c', 'backups')
        return set(os.listdir(directory) if os.path.isdir(directory) else []) - set(self.listed())


shared = Shared(Scene)


def tree(root, leave_out=()):
    """{path: what it is}: directories with modes, links with targets, files with modes and bytes."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            below = os.path.relpath(path, root)
            if below in leave_out:
                continue
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[below] = ('link', os.readlink(path))
            elif stat.S_ISDIR(mode):
                found[below] = ('directory', stat.S_IMODE(mode))
            else:
                assert stat.S_ISREG(mode), f'{path} is of mode {mode:o}'
                with open(path, 'rb') as f:
                    found[below] = ('file', stat.S_IMODE(mode), f.read())
    return found


def same(one, other, leave_out=(), modes_of_directories=True):
    a, b = tree(one, leave_out), tree(other, leave_out)
    assert set(a) == set(b), f'only in one of {one} and {other}: {sorted(set(a) ^ set(b))}'
    for name in a:
        if a[name][0] == b[name][0] == 'directory' and not modes_of_directories:
            continue
        assert a[name] == b[name], f'{name} differs: {[each[:2] for each in (a[name], b[name])]}'
    return len(a)


def left_of_a_killed_server():
    """What recovery makes of the reference, on a copy of it: {table: checksum}."""
    s = shared()
    # the tables outside are those of the directory that is saved: this is asked for before it is wrecked
    server = s.server
    server.start()
    try:
        load.Transfers.check(server)
        load.Sequence.check(server)
        return checks.checksums(server.connection())
    finally:
        server.kill()


@suite.test
def a_killed_server_comes_back_byte_for_byte_and_recovers():
    s = shared()
    answer = s.saved('--comment', 'before anything', '--threads', '2')
    backup = answer['id']
    assert sorted(each.split(' ')[0] for each in answer['left_out']) == ['db1.pid', 'mysqld.sock'], answer['left_out']
    assert answer['outside_files'] >= 5 and not answer['warnings'], answer
    row, = json.loads(run('list', '--repository', s.repository, '--json').stdout)['backups']
    assert (row['id'], row['type'], row['comment'], row['position']) == (backup, 'save', 'before anything', ''), row
    assert 'a save' in run('info', backup, '--repository', s.repository).stdout
    run('verify', backup, '--repository', s.repository)
    expected = left_of_a_killed_server()
    shutil.rmtree(s.server.datadir)
    shutil.rmtree(s.outside)
    said = s.restore(backup, s.server.datadir).stdout
    assert 'byte for byte' in said and 'standalone' not in said, said
    files = same(s.server.datadir, s.reference, {'db1.pid'})
    same(s.outside, s.reference_outside, modes_of_directories=False)
    s.server.start()
    try:
        assert s.server.in_log('InnoDB: Starting crash recovery|InnoDB: End of log at LSN'), s.server.log_text()[-2000:]
        found = checks.checksums(s.server.connection())
        assert not checks.differences(expected, found), checks.differences(expected, found)
        count = load.Sequence.check(s.server)
        load.Transfers.check(s.server)
        assert s.server.value('SELECT COUNT(*) FROM kinds.elsewhere') == 5000
        assert s.server.value('SELECT COUNT(*) FROM moved.m') == 100
        checks.check_tables(s.server)
        say(f'  {files} files and directories, {answer["pages"]} pages looked at, {len(found)} tables alike, {count} rows in sequence')
    finally:
        s.server.stop()
        shutil.rmtree(s.server.datadir)
        shutil.rmtree(s.outside)
        shutil.copytree(s.reference, s.server.datadir, symlinks=True)
        shutil.copytree(s.reference_outside, s.outside, symlinks=True)


def damaged_copy(name):
    """A copy of the reference with a damaged page, a tablespace and a MyISAM file cut short, and no redo log; its path."""
    s = shared()
    path = os.path.join(processes.run_dir(), name)
    shutil.copytree(s.reference, path, symlinks=True)
    for below in ('moved', 'kinds'):  # what is outside is not this test's
        if os.path.islink(os.path.join(path, below)):
            os.remove(os.path.join(path, below))
        else:
            shutil.rmtree(os.path.join(path, below))
    with open(os.path.join(path, 'sbtest', 't1.ibd'), 'r+b') as f:
        f.seek(5 * PAGE + 8000)
        f.write(b'not what was there')
    os.truncate(os.path.join(path, 'sbtest', 't2.ibd'), 100 * PAGE + 5000)
    os.truncate(os.path.join(path, 'other', 'myisam.MYD'), 1000)
    os.remove(os.path.join(path, 'ib_logfile0'))
    os.remove(os.path.join(path, 'db1.pid'))
    shutil.rmtree(os.path.join(path, 'mysql'))
    return path


@suite.test
def a_damaged_directory_comes_back_as_damaged_as_it_was():
    s = shared()
    path = damaged_copy('damaged')
    answer = s.saved(datadir=path)
    assert answer['damaged_pages'] == 2, answer
    assert any('t1.ibd' in each and 'page 5 ' in each for each in answer['damage']), answer['damage']
    assert any('t2.ibd' in each and 'within a page' in each for each in answer['damage']), answer['damage']
    assert any('ib_logfile0' in each for each in answer['warnings']), answer['warnings']
    run('verify', answer['id'], '--repository', s.repository)
    back = os.path.join(processes.run_dir(), 'damaged-back')
    s.restore(answer['id'], back)
    same(back, path)
    assert not os.path.exists(os.path.join(back, 'ib_logfile0')) and not os.path.exists(os.path.join(back, 'mysql'))
    shutil.rmtree(back)
    shutil.rmtree(path)


@suite.test
def what_the_disk_does_not_give_is_zeros_and_told():
    s = shared()
    path = damaged_copy('sectors')
    bad, size = 40 * PAGE + 4096, 8192
    env = processes.preload('fail_read', GB_FAIL_PATH='/sbtest/t1.ibd', GB_FAIL_FROM=str(bad), GB_FAIL_TO=str(bad + size))
    result = s.save('--json', datadir=path, env=env, check=False)
    assert result.returncode == CORRUPT and 'GB4204' not in result.stdout, f'{result.returncode}: {result.stderr}'
    assert json.loads(result.stderr.splitlines()[-1])['error']['code'] == 4204, result.stderr
    answer = json.loads(result.stdout)
    assert answer['unreadable_bytes'] == size, answer
    with open(os.path.join(path, 'sbtest', 't1.ibd'), 'r+b') as f:
        f.seek(bad)
        f.write(b'\0' * size)
    back = os.path.join(processes.run_dir(), 'sectors-back')
    s.restore(answer['id'], back)
    same(back, path)
    shutil.rmtree(back)
    shutil.rmtree(path)


def refused(result, status, *words):
    text = result.stdout + result.stderr
    assert result.returncode == status, f'status {result.returncode}, not {status}: {text}'
    for word in words:
        assert word in text, f'{word!r} is not in: {text}'
    say(f'  {result.stderr.strip().splitlines()[0]}')


@suite.test
def what_must_not_be_saved_is_refused():
    s = shared()
    before = s.listed()
    refused(run('save', '--repository', s.repository, check=False), USAGE, '--datadir')
    empty = processes.new_dir('nothing')
    refused(s.save(datadir=empty, check=False), REFUSED, 'GB4201', empty)
    refused(s.save(datadir=os.path.join(empty, 'missing'), check=False), BACKUP_FAILED, 'GB4203')
    inside = os.path.join(s.reference, 'inside')
    os.mkdir(inside)
    refused(run('save', '--datadir', s.reference, '--cluster', 'c', '--repository', inside, check=False), USAGE,
            'is inside what is to be saved')
    os.rmdir(inside)
    config, full = os.path.join(processes.run_dir(), 'full.cnf'), processes.new_dir('full')
    processes.mount_mostly_empty(full, '2G', 40)
    with open(config, 'w', encoding='ascii') as f:
        f.write(f'[repository:default]\npath = {full}\nmin-free = 99%\n')
    refused(run('--config', config, 'save', '--datadir', s.reference, '--cluster', 'c', check=False), NO_SPACE, 'GB3002', 'min-free')
    processes.umount(full)
    unfinished = os.path.join(processes.run_dir(), 'unfinished')
    shutil.copytree(s.reference, unfinished, symlinks=True)
    with open(os.path.join(unfinished, 'galera-backup-restore.incomplete'), 'w', encoding='ascii'):
        pass
    refused(s.save(datadir=unfinished, check=False), REFUSED, 'GB4005')
    shutil.rmtree(unfinished)
    assert s.listed() == before and not s.left(), (s.listed(), s.left())


@suite.test
def a_running_server_is_refused_and_kept_out():
    s = shared()
    s.server.start()
    try:
        refused(s.save(check=False), REFUSED, 'GB4202', f'pid {s.server.process.pid}')
    finally:
        s.server.kill()
    store = processes.Stall('/backups/')
    store.begin()
    process = processes.start([binary(), 'save', '--datadir', s.server.datadir, '--repository', s.repository, '--cluster', 'c'],
                              env=store.environment)
    try:
        wait_for(lambda: s.left(), 20, 'the save to write')
        s.server.launch()
        wait_for(lambda: s.server.in_log('Unable to lock ./ibdata1|another mysqld process is using|Can.t lock aria control file'), 30,
                 'the server to be kept out')
        s.server.kill()
    finally:
        store.end()
    assert processes.end(process, 0) == 0, 'the save failed'
    assert not s.left()


@suite.test
def a_save_is_not_the_latest_and_is_restored_as_it_is():
    s = shared()
    backup = s.saved()['id']
    target = os.path.join(processes.run_dir(), 'other')
    refused(s.restore('latest', target, check=False), NOT_FOUND, 'GB3005')
    for options in (['--as', 'standalone'], ['--as', 'galera'], ['--safe-to-bootstrap']):
        refused(s.restore(backup, target, *options, check=False), USAGE, 'byte for byte', options[0])
    assert not os.path.exists(target)
    refused(s.restore(backup, target, check=False), REFUSED, 'GB4001', s.outside)  # what was outside is still there


def writing(s, store):
    """A save whose repository takes nothing any more."""
    store.begin()
    process = processes.start([binary(), 'save', '--datadir', s.reference, '--repository', s.repository, '--cluster', 'c'],
                              env=store.environment)
    wait_for(lambda: any(name.endswith('.part') for each in s.left() for _, _, names in
                         os.walk(os.path.join(s.repository, 'c', 'backups', each)) for name in names), 20, 'the save to write')
    return process


@suite.test
def an_interrupted_save_leaves_nothing_that_looks_like_one():
    s = shared()
    before = s.listed()
    store = processes.Stall('/data/')  # segments: the lock is written before them
    process = writing(s, store)
    process.send_signal(signal.SIGINT)
    store.end()
    status = process.wait(30)
    assert status == CANCELLED, f'status {status}'
    assert s.listed() == before and not s.left(), (s.listed(), s.left())
    process = writing(s, store)
    processes.end(process, signal.SIGKILL)
    store.end()
    assert s.listed() == before and len(s.left()) == 1, (s.listed(), s.left())
    backup = s.saved(datadir=s.reference)['id']
    assert sorted(s.listed()) == sorted([backup] + before), (backup, before, s.listed())  # two labels of one second have no order
    assert not s.left(), 'the next save takes away what the killed one left'


@suite.test
def progress_is_lines_of_json():
    s = shared()
    backup = s.saved(datadir=s.reference)['id']
    target = os.path.join(processes.run_dir(), 'progress')
    shutil.rmtree(s.outside)
    try:
        for name, result in (('saving', s.save('--progress', 'json', datadir=s.reference)),
                             ('verifying', run('verify', backup, '--repository', s.repository, '--progress', 'json')),
                             ('restoring', s.restore(backup, target, '--progress', 'json'))):
            lines = [json.loads(line) for line in result.stderr.splitlines()]
            done = [each['done_bytes'] for each in lines]
            assert lines and done == sorted(done), result.stderr
            last = lines[-1]
            assert (last['schema'], last['event'], last['doing']) == (1, 'progress', name), last
            assert last['done_bytes'] == last['total_bytes'] > 10 << 20 and last['percent'] == 100 and last['eta_s'] == 0, last
            assert last['elapsed_s'] > 0 and (last['rate'] > 0 or last['elapsed_s'] < 1), last  # no rate of a blink
        plain = s.save('--progress', 'plain', datadir=s.reference).stderr.splitlines()
        assert plain and all(word in plain[-1] for word in ('saving: 100 %', '/s', 'ETA')), plain
        assert s.save('--progress', 'none', datadir=s.reference).stderr == ''
    finally:
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(s.outside, ignore_errors=True)
        shutil.copytree(s.reference_outside, s.outside, symlinks=True)


suite.main()
