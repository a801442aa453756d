#!/usr/bin/python3
"""What keeps a backup from its pause: DDL, locks, other tools. Nothing is locked while it is waited for (rule 1), the blocker is named, and what
ends in time is waited for. What must be true afterwards: see test_faults.py.
"""
import contextlib
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, processes  # noqa: E402
from gbtest.faults import DESYNC_OFF_S, Blocker, Scene, add_cells, some  # noqa: E402
from gbtest.server import query  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
shared = Shared(lambda: Scene('locks', nodes=2, megabytes=4))


def blocked_by(session, statement, what, stage, writes=True):
    """A backup against a statement that runs all the time: refused, nothing locked, the blocker named (of LOCK TABLES
    only that an idle session is the likely one: the server does not show who holds what). The blocker
    comes before the backup (START), or while it waits at that stage."""
    s = shared()
    if stage != 'START':
        caller, before = s.held_at(stage, lock_wait=3)
    else:
        s.ready()
        before = s.agent.listed()
    blocker = session(s, statement)
    try:
        if stage != 'START':
            backups.release(s.node)
        else:
            caller = backups.Caller(s.node, lock_wait=3)
        end = time.monotonic() + 60
        while caller.number is None and caller.rows is None and time.monotonic() < end:
            # all the while other sessions can work, but for a moment
            begin = time.monotonic()
            if writes:
                query(blocker.other, 'UPDATE probe.t SET n = n + 1')
            took = time.monotonic() - begin
            assert took < 5, f'a commit had to wait for {took:.1f} s'
            caller.join(0.05)
        text = caller.failed_with('GB2111')
        say(f'  {text}')
        for word in what:
            assert word in text, f'{word!r} is not named in: {text}'
        if writes:
            s.locks_gone(time.monotonic())
    finally:
        blocker.end()
    s.desync_off()
    s.nothing_listed(before)
    s.next_succeeds()


def local_ddl(s, statement):
    return Blocker(s.node, ['SET SESSION wsrep_on = 0'], statement, True)


def lock_tables(s, statement):
    return Blocker(s.node, [], statement, False)


def of_its_own(s, statement):
    """DDL on this node alone, by its rolling schema upgrade."""
    return Blocker(s.node, ['SET SESSION wsrep_OSU_method = RSU'], statement, True)


SLOW_ALTER = ('ALTER TABLE probe.long_alter ADD COLUMN IF NOT EXISTS {} INT NOT NULL '
              'DEFAULT (LENGTH(SHA2(REPEAT(CHAR(64 + a % 100), 15000000), 512))), ALGORITHM=COPY')


def make_long_alter(s, rows):
    s.ready()
    s.node.execute('CREATE OR REPLACE TABLE probe.long_alter (a INT PRIMARY KEY) ENGINE=InnoDB',
                   f'INSERT INTO probe.long_alter SELECT seq FROM seq_1_to_{rows}')


def blocked_by_a_local_ddl(stage):
    blocked_by(local_ddl, 'CREATE TABLE probe.slow ENGINE=InnoDB AS SELECT SLEEP(60) AS s', ['CREATE TABLE probe.slow'], stage)


def blocked_by_lock_tables(stage):
    blocked_by(lock_tables, 'LOCK TABLES probe.m WRITE', ['LOCK TABLES', 'thread'], stage)


def blocked_by_a_local_alter(stage):
    make_long_alter(shared(), 600)  # it is killed in the end
    blocked_by(of_its_own, SLOW_ALTER.format('b'), ['ALTER TABLE probe.long_alter'], stage, writes=False)


def blocked_by_ftwrl(stage):
    blocked_by(lock_tables, 'FLUSH TABLES WITH READ LOCK', ['FLUSH TABLES', 'thread'], stage, writes=False)


def blocked_by_another_backup(stage):
    blocked_by(lock_tables, 'BACKUP STAGE START', ['BACKUP STAGE', 'thread'], stage)


for each in some('locks', [blocked_by_a_local_ddl, blocked_by_lock_tables, blocked_by_a_local_alter], 2):
    add_cells(suite, each, ['START', 'FLUSH'], 1)
for each in (blocked_by_ftwrl, blocked_by_another_backup):  # later they wait for the backup
    add_cells(suite, each, ['START'], 1)


def waited_for(before):
    """An ALTER of some seconds on this node: the backup waits for it outside the pause and then succeeds."""
    s = shared()
    make_long_alter(s, 150)
    blocker = Blocker(s.node, before, SLOW_ALTER.format('b'), True)
    try:
        wait_for(lambda: s.node.value('SELECT 1 FROM information_schema.processlist WHERE ID = %s AND TIME_MS > 1500 AND '
                                      'INFO IS NOT NULL', (blocker.id,)), 30, 'the ALTER to be 1.5 s old')
        figures = backups.take(s.node, lock_wait=120)
        assert int(figures['blocked_ms']) < 2000, f'paused for {figures["blocked_ms"]} ms'
    finally:
        blocker.thread.join(120)
        blocker.other.close()
    s.desync_off()
    s.next_succeeds()


for name, before in some('alter', [('a_long_alter_is_waited_for', []), ('a_local_alter_is_waited_for', ['SET SESSION wsrep_OSU_method = RSU'])], 1):
    suite.add(name, waited_for, before)


def paused_while_desynced(s, caller):
    """The backup succeeds, and is in the pause on a node that is desynced: by the backup, now."""
    backups.hold(s.node, 'PAUSED')
    backups.wait_held(s.node, 'PAUSED')
    assert backups.state(s.node)['desynced'] in ('1', 'ON') and s.node.status('wsrep_desync_count') == '2'
    backups.release(s.node)
    caller.wait()
    assert caller.number is None, caller.text
    s.desync_off()
    s.next_succeeds()


@suite.test
def a_desync_that_ends_meanwhile():
    """The node was desynced by the DBA when the backup began, and he takes that back while it runs."""
    s = shared()
    s.ready()
    s.node.execute('SET GLOBAL wsrep_desync = ON')
    try:
        backups.hold(s.node, 'FLUSH')
        caller = backups.Caller(s.node, lock_wait=30)
        backups.wait_held(s.node, 'FLUSH')
    finally:
        s.node.execute('SET GLOBAL wsrep_desync = OFF')
    paused_while_desynced(s, caller)


@suite.test
def our_desync_is_undone():
    """By SET GLOBAL wsrep_desync = OFF."""
    s = shared()
    caller, _ = s.held_at('COPY', lock_wait=5)
    s.node.execute('SET GLOBAL wsrep_desync = OFF')
    paused_while_desynced(s, caller)


def succeeds_when_closed(s, session, caller, told):
    """The backup waits for what that session holds, and succeeds when it has gone; told is where to look in the server's log.
    Returns when it waited, by time.monotonic()."""
    try:
        wait_for(lambda: 'had to wait for' in s.node.log_text()[told:] or caller.number is not None, 60, 'the backup to wait')
        met = time.monotonic()
    finally:
        session.close()
    caller.wait()
    assert caller.number is None, caller.text
    s.desync_off()
    s.next_succeeds()
    return met


@suite.test
def a_lock_that_ends_in_time():
    """FLUSH TABLES WITH READ LOCK, which desyncs the node for as long as it is held."""
    s = shared()
    s.ready()
    session, told = s.node.connect(), len(s.node.log_text())
    query(session, 'FLUSH TABLES WITH READ LOCK')
    succeeds_when_closed(s, session, backups.Caller(s.node, lock_wait=30), told)


@suite.test
def the_time_of_a_long_copy_is_not_lost_to_locks():
    """A lock that is met when the copy alone has taken longer than lock_wait."""
    s = shared()
    s.ready()
    lock_wait, begin = 5, time.monotonic()
    session, told = s.node.connect(), len(s.node.log_text())
    caller = backups.Caller(s.node, rate='512K', lock_wait=lock_wait)
    backups.wait_stage(s.node, 'COPY')
    wait_for(lambda: int(backups.state(s.node)['bytes_done']) > 1 << 20, 30, 'pages to be copied')
    query(session, 'LOCK TABLES probe.t WRITE')
    assert succeeds_when_closed(s, session, caller, told) - begin > lock_wait + 2, 'the copy was too short'


@suite.test
def beside_mariadb_backup():
    """Both come to their end, one after the other."""
    s = shared()
    s.ready()
    target = os.path.join(s.node.base, 'mariadb-backup')
    with open(os.path.join(s.node.base, 'mariadb-backup.log'), 'wb') as log:
        other = processes.start(['mariadb-backup', '--no-defaults', '--backup', f'--datadir={s.node.datadir}', '--user=root', '--galera-info',
                                 f'--socket={s.node.socket}', f'--target-dir={target}'], stdout=log)
        backups.take(s.node)
        assert other.wait(60) == 0, open(log.name, encoding='utf-8', errors='replace').read()[-1500:]
    shutil.rmtree(target)
    s.desync_off()
    s.next_succeeds()


@contextlib.contextmanager
def locked(s, statement):
    """What another session of the node locks, as long as it lasts."""
    with contextlib.closing(s.node.connect()) as session:
        query(session, statement)
        try:
            yield
        finally:
            query(session, 'UNLOCK TABLES')


def queued(s):
    wait_for(lambda: int(s.node.status('wsrep_local_recv_queue')) > 10, 30, 'a receive queue')


@suite.test
def a_receive_queue_that_does_not_empty_is_not_waited_for_for_ever():
    """FTWRL keeps the node's appliers from working after the pause: at resync_timeout the node is resynced all the same (rule 7)."""
    s = shared()
    s.ready()
    s.node.execute('SET GLOBAL galera_backup_resync_timeout = 3')
    caller, _ = s.held_at('REDO')
    try:
        with locked(s, 'FLUSH TABLES WITH READ LOCK'):
            queued(s)
            before = int(s.node.status('wsrep_desync_count'))
            backups.release(s.node)
            begin = time.monotonic()
            wait_for(lambda: int(s.node.status('wsrep_desync_count')) == before - 1, 3 + DESYNC_OFF_S, 'our desync to be undone')
            took = time.monotonic() - begin
            assert took > 2, f'resynced after {took:.1f} s, before the timeout'
            caller.wait()
    finally:
        s.node.execute('SET GLOBAL galera_backup_resync_timeout = DEFAULT')
    assert caller.number is None, caller.text
    figures = backups.state(s.node)
    assert figures['resync'] == 'timeout' and 'GB2404' in figures['warnings'] and 'flow control' in figures['warnings'], (figures['resync'], figures['warnings'])
    s.next_succeeds()


@suite.test
def why_it_failed_is_told_before_the_receive_queue_is_empty():
    s = shared()
    caller, before = s.held_at('REDO')
    with locked(s, 'FLUSH TABLES WITH READ LOCK'):
        queued(s)
        s.agent.kill()
        backups.release(s.node)
        wait_for(lambda: backups.state(s.node)['error_code'] == '2007', 30, 'the error to be told', while_true=s.node.alive)
        figures = backups.state(s.node)
        assert figures['state'] == 'running' and 'receive queue' in figures['waiting_for'], (figures['state'], figures['waiting_for'])
    s.left_nothing(caller, before, 'GB2007')
    s.next_succeeds()


@suite.test
def the_pause_of_the_provider_is_seen_while_it_waits():
    """LOCK TABLES and an applier that waits for it come between the last look and the pause, which nothing can end but UNLOCK TABLES or a KILL."""
    s = shared()
    caller, _ = s.held_at('WINDOW')
    applier = 'SELECT COUNT(*) FROM information_schema.processlist WHERE USER = "system user" AND STATE LIKE "Waiting for table%"'
    with locked(s, 'LOCK TABLES probe.t READ'):
        s.cluster[1].execute('UPDATE probe.t SET n = n + 1')
        wait_for(lambda: s.node.value(applier), 30, 'an applier to wait')
        backups.release(s.node)
        wait_for(lambda: "the provider's pause" in backups.state(s.node)['waiting_for'], 30, 'the pause to be seen')
    caller.wait()
    assert caller.number is None, caller.text
    assert not backups.state(s.node)['waiting_for']
    s.desync_off()
    s.next_succeeds()


@suite.test
def the_writing_went_on():
    shared().the_writing_went_on()


suite.main()
