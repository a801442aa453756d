#!/usr/bin/python3
"""What happens to the repository, and to redo that it does not take, while a backup runs: full, hung, gone, failing; redo-memory and the redo
spool. What must be true afterwards: see test_faults.py.
"""
import contextlib
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, oracle, processes, restored  # noqa: E402
from gbtest.faults import HELD, Scene, add_cells, some  # noqa: E402
from gbtest.preloaded import Faults  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
shared = Shared(lambda: Scene('store'))


def full_repository(stage):
    s = shared()
    if not s.small:
        suite.skip('no right to mount a small file system')
    caller, before = s.held_at(stage)
    filler = s.fill()
    try:
        since = time.monotonic()
        s.locks_gone(since)
        say(f'  {caller.failed_with("GB3002", "GB3008")}')
        s.desync_off()
        s.nothing_listed(before)
    finally:
        os.remove(filler)
    s.next_succeeds()


STALL_TIMEOUT_S = 3


def hung_in_the_commit(part, cancel):
    """The repository takes nothing more of what has `part` in its path: the backup ends by stall-timeout, or by a cancel at once, and
    what is written when the repository moves again does not become a backup."""
    s = shared()
    s.ready()
    s.agent.stop()
    store = processes.Stall(part)
    s.agent.environment = store.environment
    s.agent.agent_options['stall-timeout'] = f'{STALL_TIMEOUT_S}s'
    s.agent.start()
    try:
        caller, before = s.held_at('COMMIT')
        store.begin()
        since = time.monotonic()
        s.locks_gone(since)
        if cancel:
            wait_for(lambda: any(part in name for name in parts(s)), 20, 'the agent to hang')
            since = time.monotonic()
            backups.call(s.node, 'BACKUP_CANCEL', None)
        text = caller.failed_with('GB2101' if cancel else 'GB3008')
        took = time.monotonic() - since
        say(f'  after {took:.1f} s: {text}')
        assert cancel or f'has taken nothing for {STALL_TIMEOUT_S} s' in text, text
        assert took < 5 if cancel else STALL_TIMEOUT_S <= took < STALL_TIMEOUT_S + 20, f'it took {took:.1f} s'
        s.desync_off()
        s.nothing_listed(before)
        assert parts(s), 'the repository did not hang'
        store.end()
        directory = os.path.join(s.repository, s.cluster.name, 'backups')
        wait_for(lambda: set(os.listdir(directory)) == set(before), 20, 'what was written to be removed')
        s.nothing_listed(before)
    finally:
        store.end()
        s.agent.stop()
        s.agent.environment = None
        del s.agent.agent_options['stall-timeout']
        s.agent.start()
    s.next_succeeds()


def parts(s):
    """Objects that are being written."""
    return [name for _, _, names in os.walk(os.path.join(s.repository, s.cluster.name)) for name in names if name.endswith('.part')]


def hung_store(stage):
    """It accepts, and never answers: nothing is locked meanwhile, and stall-timeout ends it."""
    s = shared()
    store = processes.Stall('store-small')
    s.restart_agent(store.environment, stall_timeout=f'{STALL_TIMEOUT_S}s')
    try:
        caller, before = s.held_at(stage)
        store.begin()
        begin = time.monotonic()
        s.locks_gone(begin)
        while caller.number is None and caller.rows is None and time.monotonic() < begin + 30:
            s.locks_gone(time.monotonic())
        text = s.left_nothing(caller, before, 'GB3008')
        assert f'has taken nothing for {STALL_TIMEOUT_S} s' in text and s.repository in text, text
    finally:
        store.end()
        s.restart_agent(stall_timeout=None)
    s.next_succeeds()


def moved_repository(stage):
    """Its directory gets another name: what is written no longer goes to where it is looked for."""
    s = shared()
    caller, before = s.held_at(stage)
    path, away = os.path.join(s.repository, s.cluster.name), os.path.join(s.repository, '.away', s.cluster.name)
    os.makedirs(os.path.dirname(away), exist_ok=True)
    os.rename(path, away)
    try:
        s.locks_gone(time.monotonic())
        text = caller.failed_with('GB3008')
        assert path in text and 'moved' in text, text
        s.desync_off()
        s.nothing_listed([])
    finally:
        # the agent may still be ending the backup, and making the directory again
        wait_for(lambda: shutil.rmtree(path, ignore_errors=True) or os.rename(away, path) or True, 20, 'the repository to be put back')
    s.nothing_listed(before)
    s.next_succeeds()


def removed_repository(stage):
    s = shared()
    caller, before = s.held_at(stage)
    path = os.path.join(s.repository, s.cluster.name)
    # the backup still writes there
    wait_for(lambda: shutil.rmtree(path, ignore_errors=True) or not os.path.lexists(path), 20, 'the repository to be removed')
    s.locks_gone(time.monotonic())
    text = s.left_nothing(caller, [], 'GB3008')
    assert path in text, text
    s.next_succeeds()


def unmounted_repository(stage):
    """Its mount goes: nothing is written into the directory below it, nor told to be a backup that nobody can find."""
    s = shared()
    if not s.small:
        suite.skip('no right to mount a small file system')
    caller, before = s.held_at(stage)
    processes.umount(s.repository)
    try:
        s.locks_gone(time.monotonic())
        text = caller.failed_with('GB3008')
        assert s.repository in text and 'unmounted' in text, text
        s.desync_off()
        assert not os.listdir(s.repository), os.listdir(s.repository)
        # nor does the agent take the directory for a new repository
        backups.Caller(s.node).failed_with('GB3001')
        assert not os.listdir(s.repository), os.listdir(s.repository)
    finally:
        processes.mount_tmpfs(s.repository, '400M')
    # an empty one, to begin anew in
    os.remove(os.path.join(s.agent.agent_options['state-dir'], 'repositories.json'))
    s.next_succeeds()


def failing_store(stage, call):
    s = shared()
    faults = Faults()
    s.restart_agent(faults.environment)
    try:
        caller, before = s.held_at(stage)
        faults.begin(f'{call} EIO .part')
        s.locks_gone(time.monotonic())
        text = s.left_nothing(caller, before, 'GB3008')
        assert 'Input/output error' in text and s.repository in text, text
    finally:
        faults.end()
        s.restart_agent()
    s.next_succeeds()


def writes_fail(stage):
    failing_store(stage, 'write')


def syncs_fail(stage):
    failing_store(stage, 'sync')


add_cells(suite, full_repository, HELD[:-1], 1)
add_cells(suite, hung_store, HELD, 1)
for each in some('away', [moved_repository, removed_repository, unmounted_repository], 2):
    add_cells(suite, each, HELD, 1)
for each in some('fail', [writes_fail, syncs_fail], 1):
    add_cells(suite, each, HELD, 1)
for name, part, cancel in some('hung', [('hung_in_the_commit', 'small', False), ('hung_at_backup_json', 'backup.json', False),
                                        ('hung_at_backup_json_and_cancelled', 'backup.json', True)], 2):
    suite.add(name, hung_in_the_commit, part, cancel)


@suite.test
def a_directory_that_is_slow_to_begin():
    """Longer than the plugin waits for an answer: the backup waits, BACKUP_CHECK says so; stall-timeout ends it."""
    s = shared()
    s.ready()
    store = processes.Stall('store-small')
    s.restart_agent(store.environment, stall_timeout=f'{STALL_TIMEOUT_S}s')
    before = s.agent.listed()
    try:
        for everything in (True, False):
            store.begin(everything)
            row = next(each for each in backups.call(s.node, 'BACKUP_CHECK', None) if each['check'].startswith('repository '))
            assert row['result'] == 'WARN' and 'has not answered within' in row['detail'], row
        caller = backups.Caller(s.node)
        caller.join(1.5)
        store.end()
        caller.wait()
        assert caller.number is None, caller.text
        before = s.agent.listed()
        for everything in (True, False):
            store.begin(everything)
            text = s.left_nothing(backups.Caller(s.node), before, 'GB3008')
            assert f'has not let a backup begin for {STALL_TIMEOUT_S} s' in text, text
            row = 'SELECT COUNT(*) FROM galera_backup.backups WHERE state = "failed" AND id = "' + backups.state(s.node)['id'] + '"'
            wait_for(lambda: s.node.value(row) == 1, 10, 'the catalog to tell it while the repository hangs')
    finally:
        store.end()
        s.restart_agent(stall_timeout=None)
    s.next_succeeds()


# -- redo that the repository does not take

def spooled(s):
    """Bytes in the agent's spool, a file without a name."""
    size = 0
    for name, path in processes.descriptors(s.agent.process.pid).items():
        if '/spool/' in path:
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                size += os.stat(name).st_blocks * 512
    return size


WAITING_REDO = 8 << 20


def redo(s, times):
    for _ in range(times):
        s.node.execute('UPDATE sbtest.t1 SET c = RPAD(MD5(RAND()), 200, MD5(RAND())) WHERE id <= 15000')


class Spooling:
    """An agent with little redo-memory and a repository that hangs from FLUSH on, when all pages have gone to it."""

    def __init__(self, **options):
        self.scene = s = shared()
        self.directory = os.path.join(processes.run_dir(), 'spool')
        os.makedirs(self.directory, exist_ok=True)
        self.store = processes.Stall('store-small')
        s.restart_agent(self.store.environment, redo_memory='1M',
                        **{name: self.directory if value is True else value for name, value in options.items()})

    def __enter__(self):
        try:
            self.caller, self.before = self.scene.held_at('FLUSH')
        except BaseException:
            self.__exit__()
            raise
        self.store.begin()
        return self

    def __exit__(self, *failure):
        self.store.end()
        self.scene.restart_agent(redo_memory=None, redo_spool=None, redo_spool_size=None)


@suite.test
def redo_waits_in_the_spool():
    """More redo than redo-memory has room for: the backup is right all the same."""
    s = shared()
    with Spooling(redo_spool=True, redo_spool_size='64M') as spooling:
        redo(s, 6)
        most = wait_for(lambda: spooled(s), 20, 'redo in the spool')
        spooling.store.end()
        redo(s, 2)
        backup = backups.state(s.node)['id']
        expected = oracle.finish(s.node, backup)
        spooling.caller.wait()
        assert spooling.caller.number is None, spooling.caller.text
        say(f'  {most} bytes in the spool; {restored.verify(s.agent, backup, expected)}')
        assert not os.listdir(spooling.directory)
    s.next_succeeds()


@suite.test
def redo_waits_in_the_log_while_nothing_hurries():
    """In COPY, without a spool, more redo than redo-memory has room for waits in the server's log for the store."""
    s = shared()
    store = processes.Stall('store-small')
    s.restart_agent(store.environment, redo_memory='4M')  # that of purge, in the pause, has to fit on a busy disk
    s.node.execute(f'SET GLOBAL innodb_log_file_size = {1 << 30}')
    try:
        backup = backups.start(s.node, rate='1M')
        wait_for(lambda: int(backups.state(s.node)['bytes_done']) > 1 << 20, 20, 'pages')
        store.begin()

        def waiting():
            """Bytes of redo since the checkpoint that the agent has not been given."""
            figures = backups.state(s.node)
            assert (figures['state'], figures['stage']) == ('running', 'COPY'), figures
            return int(s.node.status('Innodb_lsn_current')) - int(figures['lsn_start']) - int(figures['redo_bytes'])

        def written():
            redo(s, 1)
            load.seconds(1)  # what memory and ring have room for is taken
            return waiting() > WAITING_REDO
        wait_for(written, 60, 'redo to wait')
        load.seconds(3)
        assert waiting() > WAITING_REDO, 'it was taken'
        store.end()
        backups.call(s.node, 'BACKUP_SET', '{"rate": 0}')
        expected = oracle.finish(s.node, backup)
        say(f'  {restored.verify(s.agent, backup, expected)}')
    finally:
        store.end()
        s.node.execute(f'SET GLOBAL innodb_log_file_size = {96 << 20}')
        s.restart_agent(redo_memory=None)
    s.next_succeeds()


@suite.test
def flush_waits_for_room_for_redo():
    """From FLUSH on redo can't wait in the server's log: what fills redo-memory in COPY is stored first."""
    s = shared()
    store = processes.Stall('store-small')
    s.restart_agent(store.environment, redo_memory='1M')
    s.node.execute(f'SET GLOBAL galera_backup_ring_size = {512 << 20}')  # for all that the tests before have written, too
    try:
        backup = backups.start(s.node, rate='2M')
        wait_for(lambda: int(backups.state(s.node)['bytes_done']) > 1 << 20, 20, 'pages')
        store.begin()  # the pages that are left last for longer than what fills the memory
        redo(s, 2)
        backups.call(s.node, 'BACKUP_SET', '{"rate": 0}')

        def waits():
            figures = backups.state(s.node)
            assert figures['stage'] == 'COPY', figures
            return figures['waiting_for'] == 'the repository to take redo'
        wait_for(waits, 60, 'the backup to wait for room')
        store.end()
        expected = oracle.finish(s.node, backup)
        say(f'  {restored.verify(s.agent, backup, expected)}')
    finally:
        store.end()
        s.node.execute('SET GLOBAL galera_backup_ring_size = DEFAULT')
        s.restart_agent(redo_memory=None)
    s.next_succeeds()


def redo_without_room(words, **options):
    s = shared()
    # little redo before the hold: what is behind the checkpoint comes faster than it is stored
    s.node.execute('SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0')
    wait_for(lambda: int(s.node.status('Innodb_checkpoint_age')) < 100000, 60, 'a checkpoint')
    s.node.execute('SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT')
    with Spooling(**options) as spooling:
        begin = time.monotonic()
        while spooling.caller.number is None and time.monotonic() < begin + 30:
            redo(s, 1)
        s.locks_gone(time.monotonic())
        text = s.left_nothing(spooling.caller, spooling.before, *words[:1])
        assert all(word in text for word in words), text
    s.next_succeeds()


suite.add('full_redo_memory', redo_without_room, ('GB3009', 'redo-memory'))
suite.add('full_redo_spool', redo_without_room, ('GB3009', 'redo-spool of 1 MB'), redo_spool_size='1M', redo_spool=True)


@suite.test
def full_file_system_of_the_redo_spool():
    s = shared()
    path = os.path.join(processes.run_dir(), 'tiny', 'spool')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not processes.mount_tmpfs(os.path.dirname(path), '1M'):
        suite.skip('no right to mount a small file system')
    os.makedirs(path)
    redo_without_room(('GB2108', 'redo-spool', 'No space left'), redo_spool=path)


suite.main()
