"""What the tests of faults share: a node with an agent, a backup that waits at a stage, and what must be true after anything that ends it.

    s = Scene(); caller, before = s.held_at('COPY'); ...the fault...; s.left_nothing(caller, before, 'GB2007')
"""
import os
import random
import shutil
import sys
import threading
import time

import pymysql

from . import backups, load, processes
from .agent import Agent
from .cluster import Cluster
from .server import query
from .suite import LONG, say
from .waiting import wait_for

SEED = int(os.environ.get('GB_TEST_SEED', 1))
STAGES = ['PREFLIGHT', 'DESYNC', 'COPY', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT', 'REDO', 'COMMIT']
HELD = STAGES[2:]   # from COPY on there are pages, locks and a ring
PROBE_S = 2         # a statement of another session; what takes longer hangs
LOCKS_GONE_S = 5    # a second, and what a machine with other work adds
DESYNC_OFF_S = 5.0
TO_LOOK = 'list shows whether the backup was committed'  # what nobody can know, the caller is told to look for


def some(what, items, share):
    """So many of the items, chosen by the seed, in the short form; all of them if tests are named. In their order."""
    if LONG or any(not word.startswith('-') for word in sys.argv[1:]):
        return list(items)
    chosen = random.Random(f'{SEED} {what}').sample(range(len(items)), min(share, len(items)))
    return [items[at] for at in sorted(chosen)]


def add_cells(suite, fault, stages, share):
    """A test for each stage, or for a share of them: fault(stage)."""
    for stage in some(fault.__name__, stages, share):
        suite.add(f'{fault.__name__}_at_{stage}', fault, stage)


def tell_seed():
    say(f'  seed {SEED} (GB_TEST_SEED)')


class Scene:
    """A cluster, an agent at its first node with a repository on a small file system, a sequence written through the last but one."""

    def __init__(self, name='faults', nodes=1, options=None, environment=None, agent_environment=None, agent_options=None, small='400M',
                 megabytes=20, provider_options=None):
        """environment: of the first node's server. small: size of the repository's file system."""
        tell_seed()
        self.cluster = Cluster(nodes, {'wsrep-mode': 'REPLICATE_MYISAM', **(options or {})}, name=name,
                               provider_options=provider_options).create()
        self.node = self.cluster[0]
        self.node.environment = environment
        self.cluster.start()
        self.repository = os.path.join(processes.run_dir(), f'{name}-small')
        self.small = processes.mount_tmpfs(self.repository, small)
        self.agent = Agent(self.node, repository=self.repository, agent_options=agent_options)
        self.agent.environment = agent_environment
        self.agent.start()
        backups.install(self.node)
        self.node.execute('CREATE DATABASE probe', 'CREATE TABLE probe.t (id INT PRIMARY KEY, n INT) ENGINE=InnoDB',
                          'CREATE TABLE probe.m (id INT PRIMARY KEY) ENGINE=MyISAM', 'INSERT INTO probe.t VALUES (1, 1)')
        if megabytes:
            load.bulk(self.node, 'sbtest', 2, megabytes << 20)
        writer = self.cluster[1 if nodes > 1 else 0]
        self.load = load.Sequence(writer, 5, may_lose_server=nodes == 1)
        self.load.pace_s = 0.02
        self.load.prepare(writer)
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
        """A commit and a DDL of another session: refused while the provider is paused, hanging under the locks. To be called until it
        succeeds (locks_gone): the pause of a backup that goes on is short, and may be now."""
        connection = self.node.connect(PROBE_S)
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

    def desync_off(self, base=0):
        wait_for(lambda: int(self.node.status('wsrep_local_recv_queue')) <= 10, 60, 'an empty receive queue')
        wait_for(lambda: self.node.status('wsrep_desync_count') == str(base) and (base or self.node.synced()), DESYNC_OFF_S,
                 'desync to be off')

    def nothing_listed(self, before):
        listed = self.agent.listed()
        assert listed == before, f'listed now: {sorted(set(listed) - set(before))}'

    def left_nothing(self, caller, before, *names):
        """The caller was told one of these errors, the node is as before, no backup more is listed; returns what was told."""
        text = caller.failed_with(*names)
        say(f'  {text}')
        self.desync_off()
        self.nothing_listed(before)
        return text

    def told_the_truth(self, caller, before):
        """Where either may happen: a backup is listed if and only if the caller was told that it succeeded, or to look whether it is."""
        caller.wait()
        new = set(self.agent.listed()) - set(before)
        assert bool(new) == (caller.number is None) or (new and TO_LOOK in caller.text), f'listed {new}, the caller got {caller.text}'
        say(f'  {caller.text or "it had been committed"}')
        self.desync_off()

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
        return figures

    def held_at(self, stage, **options):
        """A backup that waits at that stage, its CALL, and the list before."""
        self.ready()
        before = self.agent.listed()
        backups.hold(self.node, stage)
        caller = backups.Caller(self.node, **options)
        backups.wait_held(self.node, stage)
        return caller, before

    def restart_agent(self, environment=None, **options):
        """With other options than before; None takes one back."""
        self.agent.stop()
        self.agent.environment = environment
        for name, value in options.items():
            name = name.replace('_', '-')
            if value is None:
                self.agent.agent_options.pop(name, None)
            else:
                self.agent.agent_options[name] = value
        self.agent.start()

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

    def the_writing_went_on(self):
        self.load.stop()
        self.cluster.wait_caught_up()
        count = load.Sequence.check(self.node)
        say(f'  {count} rows in the sequence, no gap, {self.load.retried} retried')


class Blocker:
    """A session that holds something until end(): by a statement that runs all the time, or by one that has ended."""

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
            self.thread = threading.Thread(target=self._run, args=(statement,), daemon=True)
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
