#!/usr/bin/python3
"""The pause: as short with a stopped agent or a stalled repository as with a fast one; it does not grow with tables.

Times on a shared machine are noisy, so each figure is taken seven times; the least one is held against the limits
(noise only ever adds), medians are told. Beside them: the server's own share, BLOCK_DDL to END with nothing between.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, measure, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

TIMES = 7
LIMIT_MS = 50      # on an idle cluster
SAME_MS = 5        # what two figures may differ in, whatever their ratio: a scheduler's time slice
TABLES = (50, 3000 if LONG else 1500)
FC_LIMIT = 300     # write-sets; a node that stands still for a moment has less in its receive queue
AFTER_WINDOW = ('REDO', 'COMMIT', 'DONE')

suite = Suite()


class Scene:
    def __init__(self):
        self.cluster = Cluster(2, name='pause', provider_options={'gcs.fc_limit': FC_LIMIT}).create().start()
        self.node = self.cluster[1]
        self.repository = processes.new_dir('repository')
        self.store = processes.Stall(self.repository)
        self.agent = Agent(self.node, repository=self.repository)
        self.agent.environment = self.store.environment
        self.agent.start()
        backups.install(self.cluster[0])
        load.bulk(self.cluster[0], 'sbtest', 2, 10 << 20)
        self.tables = 0

    def make_tables(self, count):
        """So many small tables in all, each open in the table cache of the node."""
        writer = self.cluster[0]
        writer.execute('CREATE DATABASE IF NOT EXISTS many')
        for number in range(self.tables + 1, count + 1):
            writer.execute(f'CREATE TABLE many.t{number} (id INT PRIMARY KEY, v VARCHAR(40)) ENGINE=InnoDB',
                           f'INSERT INTO many.t{number} VALUES (1, "one")')
        self.tables = count
        self.cluster.wait_caught_up()
        for number in range(1, count + 1):
            self.node.value(f'SELECT v FROM many.t{number}')

    def server_share(self):
        """Milliseconds from BLOCK_DDL to END, typed by hand."""
        session = self.node.connect()
        with session.cursor() as cursor:
            for statement in ('SET SESSION wsrep_sync_wait = 0', 'BACKUP STAGE START', 'BACKUP STAGE FLUSH'):
                cursor.execute(statement)
            begin = time.monotonic()
            for stage in ('BLOCK_DDL', 'BLOCK_COMMIT', 'END'):
                cursor.execute(f'BACKUP STAGE {stage}')
            share = (time.monotonic() - begin) * 1000
        session.close()
        return share

    def blocked(self, before_window=None, after_window=None):
        """blocked_ms of one backup; the functions are called right before the pause begins and after it has ended."""
        if before_window is None:
            return int(backups.take(self.node)['blocked_ms'])
        backups.hold(self.node, 'WINDOW')
        backup = backups.start(self.node)
        try:
            wait_for(lambda: backups.state(self.node)['test_held'] == '1', 60, 'the hold before the window')
            before_window()
            backups.release(self.node)
            wait_for(lambda: backups.state(self.node)['stage'] in AFTER_WINDOW, 60, 'the end of the window')
        finally:
            backups.release(self.node)
            after_window()
        figures = backups.wait_end(self.node, backup)
        assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
        return int(figures['blocked_ms'])


shared = Shared(Scene)


@suite.test
def neither_a_stopped_agent_nor_a_stalled_repository_shows_in_it():
    s = shared()
    s.make_tables(TABLES[0])
    fast, stopped, stalled = [], [], []
    for _ in range(TIMES):
        fast.append(s.blocked())
        stopped.append(s.blocked(s.agent.freeze, s.agent.thaw))
        stalled.append(s.blocked(s.store.begin, s.store.end))
    say(f'  blocked_ms: fast {measure.spread(fast, "{:.0f}")}, agent stopped {measure.spread(stopped, "{:.0f}")}, '
        f'repository stalled {measure.spread(stalled, "{:.0f}")}')
    limit = max(2 * min(fast), min(fast) + SAME_MS)
    assert min(stopped) <= limit and min(stalled) <= limit, f'{fast}, {stopped}, {stalled}'


@suite.test
def it_does_not_grow_with_the_tables():
    s = shared()
    least, share = {}, {}
    for count in TABLES:
        s.make_tables(count)
        taken, by_hand = [], []
        for _ in range(TIMES):
            taken.append(s.blocked())
            by_hand.append(s.server_share())
        least[count], share[count] = min(taken), min(by_hand)
        say(f'  {count} tables: blocked_ms {measure.spread(taken, "{:.0f}")}, the server\'s share '
            f'{measure.spread(by_hand, "{:.1f}")}')
    (few, many), (share_few, share_many) = least.values(), share.values()
    assert max(few, many) < LIMIT_MS, f'{least}'
    assert many <= max(2 * few, few + SAME_MS) + max(share_many - share_few, 0), f'{least}, {share}'


def queue(s):
    return int(s.node.status('wsrep_local_recv_queue'))


@suite.test
def no_flow_control_is_sent():
    """The pause lasts until much more waits in the receive queue than a node may have that is not desynced."""
    s = shared()
    s.make_tables(TABLES[0])
    writer = s.cluster[0]
    loads = [load.Transfers(writer, 1), load.Sequence(writer, 2)]
    for each in loads:
        each.prepare(writer)
        each.pace_s = 0.001
    with load.running(loads):
        wait_for(lambda: loads[0].done > 50, 30, 'the loads to write')
        with measure.StandStill(s.node) as still:
            backups.hold(s.node, 'PAUSED')
            try:
                backup = backups.start(s.node, block_timeout='60s')
                backups.wait_held(s.node, 'PAUSED')
                wait_for(lambda: queue(s) > 2 * FC_LIMIT, 40, 'a receive queue')
            finally:
                backups.release(s.node)
            with load.resting(loads):
                wait_for(lambda: queue(s) == 0, 60, 'the receive queue to be empty')
            figures = backups.wait_end(s.node, backup)
            assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
            wait_for(s.node.synced, 60, 'the node to be Synced')
    say(f'  wsrep_last_committed stood still for {still.longest_ms:.0f} ms at most, blocked_ms {figures["blocked_ms"]} with the test\'s hold, '
        f'{loads[0].done + loads[1].done} transactions')
    assert still.flow_control_sent == 0, f'{still.flow_control_sent} flow control messages'
    assert figures['flow_control_sent'] == '0', figures['flow_control_sent']


suite.main()
