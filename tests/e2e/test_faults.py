#!/usr/bin/python3
"""Whatever ends a backup leaves nothing behind: no lock, no desync, no backup in the list; the caller is told.

Each stage is hit by each fault; galera_backup_test_hold (GB_TEST_HOOKS) makes the stage a known one. Light writing goes
on through another node all the time. The short form leaves out pairs that a longer run has.
"""
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.server import query  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import WaitTimeout, wait_for  # noqa: E402

import pymysql  # noqa: E402

STAGES = ['PREFLIGHT', 'DESYNC', 'COPY', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT', 'REDO', 'COMMIT']
LOCKS_GONE_S = 2  # a second, and what a machine with other work adds
DESYNC_OFF_S = 5.0
SHUTDOWN_S = 30

suite = Suite()


class Scene:
    """Three nodes, one agent at n1 with a repository on a small file system, a sequence written through n2."""

    def __init__(self):
        self.cluster = Cluster(3, {'wsrep-mode': 'REPLICATE_MYISAM'}, name='faults').create().start()
        self.node = self.cluster[0]
        path = os.path.join(processes.run_dir(), 'small')
        self.small = processes.mount_tmpfs(path, '400M')
        self.repository = path
        self.agent = Agent(self.node, repository=path).start()
        backups.install(self.node)
        self.node.execute('CREATE DATABASE probe', 'CREATE TABLE probe.t (id INT PRIMARY KEY, n INT) ENGINE=InnoDB',
                          'CREATE TABLE probe.m (id INT PRIMARY KEY) ENGINE=MyISAM', 'INSERT INTO probe.t VALUES (1, 1)')
        load.bulk(self.node, 'sbtest', 2, 20 << 20)
        self.load = load.Sequence(self.cluster[1], 5)
        self.load.pace_s = 0.02
        self.load.prepare(self.cluster[1])
        self.load.start()

    # -- what must be true before and after each test

    def ready(self):
        if self.node.process is None:
            self.node.start()
        if self.agent.process is None:
            self.agent.start()
        self.node.execute('SET GLOBAL galera_backup_test_hold = ""', 'SET GLOBAL galera_backup_block_timeout = 60000')
        wait_for(self.idle, 60, 'a node without a backup, Synced', while_true=self.node.alive)

    def idle(self):
        return (backups.state(self.node)['state'] != 'running' and self.node.synced() and
                self.node.status('wsrep_desync_count') == '0')

    def probe(self):
        """A commit and a DDL of another session: refused while the provider is paused, hanging under the locks."""
        connection = self.node.connect(2)
        try:
            query(connection, 'UPDATE probe.t SET n = n + 1')
            query(connection, 'CREATE OR REPLACE TABLE probe.ddl (id INT PRIMARY KEY) ENGINE=InnoDB')
        finally:
            connection.close()
        return True

    def locks_gone(self, since):
        """Another session can commit and do DDL; the test's own hold does not count any longer."""
        backups.release(self.node)
        wait_for(self.probe, LOCKS_GONE_S, 'the locks to be gone')
        took = time.monotonic() - since
        assert took <= LOCKS_GONE_S, f'the locks were gone only after {took:.2f} s'

    def desync_off(self):
        wait_for(lambda: int(self.node.status('wsrep_local_recv_queue')) <= 10, 60, 'an empty receive queue')
        wait_for(lambda: self.node.status('wsrep_desync_count') == '0' and self.node.synced(), DESYNC_OFF_S,
                 'desync to be off')

    def nothing_listed(self, before):
        listed = self.agent.listed()
        assert listed == before, f'listed now: {sorted(set(listed) - set(before))}'

    def next_succeeds(self):
        self.ready()
        figures = backups.take(self.node)
        listed = self.agent.listed()
        assert figures['id'] in listed, f'{figures["id"]} is not in {listed}'
        assert self.load.failure is None, f'the load: {self.load.failure!r}'
        directory = os.path.join(self.repository, self.cluster.name, 'backups')
        left = set(os.listdir(directory)) - set(listed)
        assert not left, f'what failed backups left was not collected: {left}'
        for old in listed:  # the file system is small
            if old != figures['id']:
                shutil.rmtree(os.path.join(directory, old))

    def held_at(self, stage, **options):
        """A backup that waits at that stage, its CALL, and the list before."""
        self.ready()
        before = self.agent.listed()
        backups.hold(self.node, stage)
        caller = backups.Caller(self.node, **options)
        backups.wait_held(self.node, stage)
        return caller, before

    def fill(self):
        """Leaves no room in the repository's file system."""
        path = os.path.join(self.repository, 'filler')
        with open(path, 'wb', buffering=0) as f:
            try:
                while f.write(b'\0' * (1 << 16)):
                    pass
            except OSError:
                pass
        return path


shared = Shared(Scene)


def killed_agent(stage):
    s = shared()
    caller, before = s.held_at(stage)
    since = time.monotonic()
    s.agent.kill()
    s.locks_gone(since)
    if stage == 'COMMIT':
        # all was sent: either the agent had committed, and the caller knows, or there is no backup
        caller.wait()
        s.desync_off()
        s.agent.start()
        new = set(s.agent.listed()) - set(before)
        assert bool(new) == (caller.number is None), f'listed {new}, the caller got {caller.text}'
    else:
        say(f'  {caller.failed_with("GB2007")}')
        s.desync_off()
        s.agent.start()
        s.nothing_listed(before)
    s.next_succeeds()


def stopped_agent_and_cancel(stage):
    """A stopped agent holds up neither the locks nor a cancel."""
    s = shared()
    caller, before = s.held_at(stage)
    s.agent.freeze()
    try:
        since = time.monotonic()
        s.locks_gone(since)
        # past the pause it is the agent that decides whether the cancel comes in time: it is given some seconds
        backups.call(s.node, 'BACKUP_CANCEL', None)
        s.locks_gone(time.monotonic())
        say(f'  {caller.failed_with("GB2101")}')
        s.desync_off()
    finally:
        s.agent.thaw()
    s.nothing_listed(before)
    s.next_succeeds()


def cancelled(stage):
    s = shared()
    caller, before = s.held_at(stage)
    since = time.monotonic()
    backups.call(s.node, 'BACKUP_CANCEL', None)
    s.locks_gone(since)
    if stage == 'COMMIT':
        caller.wait()
        new = set(s.agent.listed()) - set(before)
        assert bool(new) == (caller.number is None), f'listed {new}, the caller got {caller.text}'
        s.desync_off()
    else:
        say(f'  {caller.failed_with("GB2101")}')
        s.desync_off()
        s.nothing_listed(before)
    s.next_succeeds()


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


def server_shut_down(stage):
    s = shared()
    caller, before = s.held_at(stage)
    begin = time.monotonic()
    status = s.node.stop(SHUTDOWN_S)
    assert status == 0, f'mariadbd ended with status {status}'
    text = s.node.log_text()
    assert 'Shutdown complete' in text, f'no clean shutdown: ...{text[-1500:]}'
    assert 'signal' not in text.rsplit('Normal shutdown', 1)[-1], f'a crash: ...{text[-3000:]}'
    caller.wait()
    if stage != 'COMMIT':
        assert caller.number is not None, f'the CALL succeeded: {caller.rows}'
        say(f'  down in {time.monotonic() - begin:.1f} s; the caller got {caller.number}: {caller.text}')
        s.nothing_listed(before)
    s.node.start()
    s.next_succeeds()


FAULTS = [(killed_agent, STAGES), (cancelled, STAGES), (server_shut_down, STAGES),
          (stopped_agent_and_cancel, ['COPY', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT', 'REDO']),
          (full_repository, ['COPY', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT', 'REDO'])]
SHORT = {server_shut_down: ['PREFLIGHT', 'COPY', 'BLOCK_DDL', 'BLOCK_COMMIT', 'COMMIT'],
         stopped_agent_and_cancel: ['COPY', 'BLOCK_COMMIT'], full_repository: ['COPY', 'BLOCK_COMMIT']}
for fault, stages in FAULTS:
    for each in (stages if LONG else SHORT.get(fault, stages)):
        suite.add(f'{fault.__name__}_at_{each}', fault, each)


# -- a repository that hangs while the agent commits

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
            backups.call(s.node, 'BACKUP_CANCEL', None)
        text = caller.failed_with('GB2101' if cancel else 'GB3008')
        took = time.monotonic() - since
        say(f'  after {took:.1f} s: {text}')
        assert cancel or f'has taken nothing for {STALL_TIMEOUT_S} s' in text, text
        assert took < 5 if cancel else STALL_TIMEOUT_S <= took < STALL_TIMEOUT_S + 5, f'it took {took:.1f} s'
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


suite.add('hung_in_the_commit', hung_in_the_commit, 'small', False)
suite.add('hung_at_backup_json', hung_in_the_commit, 'backup.json', False)
suite.add('hung_at_backup_json_and_cancelled', hung_in_the_commit, 'backup.json', True)


# -- what keeps BLOCK_DDL from being granted (rule 1)

def blocked_by(session, statement, what, stage):
    """A backup against a statement that runs all the time: refused, nothing locked, the blocker named (of LOCK TABLES
    only that an idle session is the likely one: the server does not show who holds what). The blocker
    comes before the backup, or (stage) while the backup holds BACKUP STAGE START."""
    s = shared()
    if stage:
        caller, before = s.held_at(stage, lock_wait=3)
    else:
        s.ready()
        before = s.agent.listed()
    blocker = session(s, statement)
    try:
        if stage:
            backups.release(s.node)
        else:
            caller = backups.Caller(s.node, lock_wait=3)
        end = time.monotonic() + 60
        while caller.number is None and caller.rows is None and time.monotonic() < end:
            # all the while other sessions can work, but for a moment
            begin = time.monotonic()
            query(blocker.other, 'UPDATE probe.t SET n = n + 1')
            took = time.monotonic() - begin
            assert took < 5, f'a commit had to wait for {took:.1f} s'
            caller._thread.join(0.05)
        text = caller.failed_with('GB2111')
        say(f'  {text}')
        for word in what:
            assert word in text, f'{word!r} is not named in: {text}'
        s.locks_gone(time.monotonic())
        s.desync_off()
        s.nothing_listed(before)
    finally:
        blocker.end()
    s.next_succeeds()


class Blocker:
    """A session that holds something until end()."""

    def __init__(self, node, before, statement, running):
        self.node = node
        self.other = node.connect(20)
        query(self.other, 'SET SESSION lock_wait_timeout = 10')
        self.connection = node.connect(120)
        self.id = query(self.connection, 'SELECT CONNECTION_ID()')[0][0]
        for sql in before:
            query(self.connection, sql)
        self.thread = None
        if running:
            self.thread = backups.threading.Thread(target=self._run, args=(statement,), daemon=True)
            self.thread.start()
            wait_for(lambda: node.value('SELECT INFO FROM information_schema.processlist WHERE ID = %s', (self.id,)), 10,
                     'the blocker to run')
        else:
            query(self.connection, statement)

    def _run(self, statement):
        try:
            query(self.connection, statement)
        except pymysql.MySQLError:
            pass

    def end(self):
        try:
            self.node.execute(f'KILL {self.id}')
        except pymysql.MySQLError:
            pass
        if self.thread is not None:
            self.thread.join(60)
        self.other.close()


def local_ddl(s, statement):
    return Blocker(s.node, ['SET SESSION wsrep_on = 0'], statement, True)


def lock_tables(s, statement):
    return Blocker(s.node, [], statement, False)


for stage in (None, 'FLUSH'):
    when = f'_from_{stage}_on' if stage else ''
    suite.add(f'blocked_by_a_local_ddl{when}', blocked_by, local_ddl,
              'CREATE TABLE probe.slow ENGINE=InnoDB AS SELECT SLEEP(60) AS s', ['CREATE TABLE probe.slow'], stage)
    suite.add(f'blocked_by_lock_tables{when}', blocked_by, lock_tables, 'LOCK TABLES probe.m WRITE', ['LOCK TABLES', 'thread'], stage)


@suite.test
def a_long_alter_is_waited_for():
    """A TOI ALTER of some seconds on this node: the backup waits for it outside the pause and then succeeds."""
    s = shared()
    s.ready()
    s.node.execute('CREATE OR REPLACE TABLE probe.long_alter (a INT PRIMARY KEY) ENGINE=InnoDB',
                   'INSERT INTO probe.long_alter SELECT seq FROM seq_1_to_40')
    blocker = Blocker(s.node, [], 'ALTER TABLE probe.long_alter ADD COLUMN b INT NOT NULL DEFAULT '
                      '(LENGTH(SHA2(REPEAT(CHAR(64 + a), 15000000), 512))), ALGORITHM=COPY', True)
    try:
        wait_for(lambda: s.node.value('SELECT 1 FROM information_schema.processlist WHERE ID = %s AND TIME_MS > 1500 AND '
                                      'INFO IS NOT NULL', (blocker.id,)), 30, 'the ALTER to be 1.5 s old')
        figures = backups.take(s.node, lock_wait=120)
        assert int(figures['blocked_ms']) < 2000, f'paused for {figures["blocked_ms"]} ms'
    finally:
        blocker.thread.join(120)
        blocker.other.close()
    s.next_succeeds()


@suite.test
def a_receive_queue_that_does_not_empty_is_not_waited_for_for_ever():
    """FTWRL keeps the node's appliers from working after the pause: at resync_timeout the node is resynced all the same (rule 7)."""
    s = shared()
    s.ready()
    s.node.execute('SET GLOBAL galera_backup_resync_timeout = 3')
    caller, _ = s.held_at('REDO')
    session = s.node.connect()
    query(session, 'FLUSH TABLES WITH READ LOCK')
    try:
        wait_for(lambda: int(s.node.status('wsrep_local_recv_queue')) > 10, 30, 'a receive queue')
        before = int(s.node.status('wsrep_desync_count'))
        backups.release(s.node)
        begin = time.monotonic()
        wait_for(lambda: int(s.node.status('wsrep_desync_count')) == before - 1, 3 + DESYNC_OFF_S, 'our desync to be undone')
        took = time.monotonic() - begin
        assert took > 2, f'resynced after {took:.1f} s, before the timeout'
        caller.wait()
    finally:
        query(session, 'UNLOCK TABLES')
        session.close()
        s.node.execute('SET GLOBAL galera_backup_resync_timeout = DEFAULT')
    assert caller.number is None, caller.text
    figures = backups.state(s.node)
    assert figures['resync'] == 'timeout' and 'flow control' in figures['warnings'], (figures['resync'], figures['warnings'])
    s.next_succeeds()


# -- refused before anything is touched

def refused(s, *names):
    """The start is refused with that error, and the node was never desynced."""
    before = s.node.log_text()
    begin = time.monotonic()
    number, text = backups.error_of(backups.start, s.node)
    took = time.monotonic() - begin
    assert any(name in text for name in names), f'expected {names}: {number} {text}'
    assert number > 20000, f'{number}: {text}'
    assert took < 5, f'the refusal took {took:.1f} s'
    new = s.node.log_text()[len(before):]
    assert 'desync' not in new.lower(), f'the node was desynced: {new}'
    say(f'  {text}')
    return text


@suite.test
def refused_without_an_agent():
    s = shared()
    s.ready()
    s.agent.stop()
    refused(s, 'GB2005')
    s.agent.start()
    s.next_succeeds()


@suite.test
def refused_by_a_socket_nobody_listens_at():
    s = shared()
    s.ready()
    s.agent.kill()
    assert os.path.exists(s.node.agent_socket), 'a killed agent leaves its socket'
    refused(s, 'GB2005')
    s.next_succeeds()


@suite.test
def refused_by_a_stopped_agent():
    s = shared()
    s.ready()
    s.agent.freeze()
    try:
        refused(s, 'GB2005', 'GB2007')
    finally:
        s.agent.thaw()
    s.next_succeeds()


@suite.test
def refused_with_a_peer_that_is_not_ours():
    s = shared()
    if os.geteuid() != 0:
        suite.skip('another user can be had by root only')
    s.ready()
    s.agent.stop()
    path = s.node.agent_socket
    if os.path.exists(path):
        os.remove(path)
    os.chmod(s.node.base, 0o777)
    stranger = processes.start(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '/usr/bin/python3', '-c',
                                'import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\n'
                                's.listen(5)\nwhile True:\n    c = s.accept()', path])
    try:
        wait_for(lambda: os.path.exists(path), 10, 'the stranger to listen')
        refused(s, 'GB2006')
    finally:
        processes.end(stranger, signal.SIGKILL)
        os.chmod(s.node.base, 0o755)
        os.remove(path)
    s.next_succeeds()


@suite.test
def a_second_start_names_the_first():
    s = shared()
    caller, _ = s.held_at('COPY')
    running = backups.state(s.node)['id']
    number, text = backups.error_of(backups.start, s.node)
    assert number == 22003 and running in text, f'{number}: {text}'
    say(f'  {text}')
    backups.release(s.node)
    caller.wait()
    assert caller.number is None, caller.text
    s.next_succeeds()


@suite.test
def the_writing_went_on():
    s = shared()
    s.load.stop()
    s.cluster.wait_caught_up()
    count = load.Sequence.check(s.node)
    say(f'  {count} rows in the sequence, no gap, {s.load.retried} retried')


suite.main()
