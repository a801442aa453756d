#!/usr/bin/python3
"""What happens to the cluster while a backup runs: the node loses the others, is asked for a state transfer; streaming replication goes on.
With wsrep_gtid_mode, and all that is restored joins again. What must be true afterwards: see test_faults.py.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, restored  # noqa: E402
from gbtest.faults import HELD, Scene, add_cells, some  # noqa: E402
from gbtest.server import query  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

LET_GO_S = 5  # of the stage, by a node that is not Primary
UNINSTALL_S = 10
GTID = {'wsrep-gtid-mode': 'ON', 'wsrep-gtid-domain-id': '7', 'server-id': '77', 'log-bin': 'bin', 'log-slave-updates': 'ON'}

suite = Suite()


class ClusterScene(Scene):
    def __init__(self):
        super().__init__('cluster', nodes=3, options=GTID, megabytes=4)
        for number, node in enumerate(self.cluster, 1):
            node.execute(f'SET GLOBAL gtid_domain_id = {10 + number}')

    def isolate(self, on):
        self.node.execute(f"SET GLOBAL wsrep_provider_options = 'gmcast.isolate={int(on)}'")


shared = Shared(ClusterScene)


def nobody_holds_a_stage(node):
    session = node.connect(2)
    try:
        query(session, 'SET SESSION wsrep_on = 0, lock_wait_timeout = 1')
        query(session, 'BACKUP STAGE START')
        query(session, 'BACKUP STAGE END')
    finally:
        session.close()
    return True


def not_primary(stage):
    """The node is cut off. It lets go of its locks there and then, and is Synced once it is back. Before the pause that is waited for; the pause
    itself fails; what had been copied by then is a backup."""
    s = shared()
    caller, before = s.held_at(stage)
    s.isolate(True)
    try:
        wait_for(lambda: s.cluster[1].status('wsrep_cluster_size') == '2', 30, 'the others to go on without it')
        if stage not in ('BLOCK_DDL', 'BLOCK_COMMIT', 'PAUSED'):
            wait_for(lambda: s.node.status('wsrep_cluster_status') != 'Primary', 30, 'the node not to be Primary')
        backups.release(s.node)
        if stage in ('COPY', 'FLUSH'):  # held there, it holds nothing yet; it goes on until it sees where it is
            wait_for(lambda: (lambda f: f['state'] != 'running' or 'Primary' in f['waiting_for'])(backups.state(s.node)), 30,
                     'the round to be given up')
        wait_for(lambda: nobody_holds_a_stage(s.node), LET_GO_S, 'the stage to be let go of')
    finally:
        s.isolate(False)
    s.cluster.wait_size(3)
    caller.wait()
    figures = wait_for(lambda: (lambda f: f['state'] != 'running' and f)(backups.state(s.node)), 30, 'the end of the backup')
    say(f'  {figures["state"]}: {figures["error"] or figures["resync"]}')
    s.desync_off()
    new = set(s.agent.listed()) - set(before)
    assert bool(new) == (figures['state'] == 'succeeded'), f'listed {new}, {figures["state"]}: {figures["error"]}'
    # 2106: joined again at the very moment of the pause
    assert new or figures['error_code'] == '2106' or (figures['error_code'] == '2010' and 'Primary' in figures['error']), \
        f'{figures["error_code"]}: {figures["error"]}'
    assert not new or stage != 'WINDOW', 'paused on a node that is not Primary'
    if new:
        restored.verify(s.agent, new.pop())
    s.next_succeeds()


def asked_for_a_state_transfer(stage):
    """Another node has lost its data and wants them from this one alone: it gets them when the backup has ended."""
    s = shared()
    caller, before = s.held_at(stage)
    joiner = s.cluster[2]
    joiner.kill()
    joiner.wipe()
    os.makedirs(joiner.datadir)
    joiner.launch([f'--wsrep-sst-donor={s.node.name}'])
    wait_for(lambda: joiner.in_log('State transfer required|Requesting state transfer|impossible to select State Transfer donor'), 60,
             'the request for a state transfer', while_true=joiner.alive)
    backups.release(s.node)
    caller.wait(120)
    say(f'  {caller.text or "the backup succeeded"}')
    assert caller.number is None or 'GB2111' in caller.text or 'GB2106' in caller.text, caller.text
    new = set(s.agent.listed()) - set(before)
    assert bool(new) == (caller.number is None), f'listed {new}, the caller got {caller.text}'
    wait_for(joiner.ready, 120, 'the other node to be up', while_true=joiner.alive)
    joiner.wait_synced(120)
    s.node.wait_synced()
    s.desync_off()
    s.next_succeeds()


add_cells(suite, not_primary, ['COPY', 'FLUSH', 'WINDOW', 'BLOCK_DDL', 'BLOCK_COMMIT', 'PAUSED', 'REDO', 'COMMIT'], 1)


def rejoined(s, backup, node):
    """The node, its data replaced by that backup's, joins by IST."""
    node.kill()
    node.wipe()
    s.agent.restore(backup, node.datadir, '--as', 'galera')
    node.start()
    kind, lines = node.transfer()
    assert kind != 'SST', lines[-5:]


def streaming_replication_goes_on():
    """A transaction of many fragments is open on another node during the backup. Restored alone, nothing of it is there; restored into the
    cluster it is committed with all its rows, those from before the backup too."""
    s = shared()
    s.ready()
    writer = s.cluster[1]
    writer.execute('CREATE OR REPLACE TABLE probe.streamed (id INT PRIMARY KEY, v CHAR(100)) ENGINE=InnoDB')
    session = writer.connect()
    query(session, "SET SESSION wsrep_trx_fragment_unit = 'rows', wsrep_trx_fragment_size = 5, autocommit = 0")
    query(session, 'INSERT INTO probe.streamed SELECT seq, "committed" FROM seq_1_to_200')
    query(session, 'COMMIT')
    query(session, 'INSERT INTO probe.streamed SELECT seq, "open" FROM seq_1001_to_1500')
    wait_for(lambda: int(s.node.value('SELECT COUNT(*) FROM mysql.wsrep_streaming_log')) > 50, 20, 'the fragments')
    figures = backups.take(s.node)
    assert figures['flow_control_sent'] == '0', figures['flow_control_sent']
    alone = restored.Restored(s.agent, figures['id'])
    try:
        alone.check_recovery()
        server = alone.start()
        rows = server.rows('SELECT v, COUNT(*) FROM probe.streamed GROUP BY v')
        assert rows == [('committed', 200)], f'restored alone: {rows}'
        server.stop()
    finally:
        alone.remove()
    rejoined(s, figures['id'], s.cluster[2])
    query(session, 'INSERT INTO probe.streamed SELECT seq, "later" FROM seq_2001_to_2100')
    query(session, 'COMMIT')
    session.close()
    for node in s.cluster:
        wait_for(lambda n=node: n.value('SELECT COUNT(*) FROM probe.streamed') == 800, 30, f'all rows on {node.name}')
        assert node.value('SELECT COUNT(*) FROM mysql.wsrep_streaming_log') == 0
    s.next_succeeds()


def one_gtid_on_all_nodes():
    """wsrep_gtid_mode: what a restored node writes after it has joined has the same GTIDs as everywhere."""
    s = shared()
    s.ready()
    figures = backups.take(s.node)
    assert figures['gtid'].startswith('7-77-') or ',7-77-' in figures['gtid'], figures['gtid']
    assert figures['gtid'] == checks.fact(s.agent.json('info', figures['id']), 'gtid')
    rejoined(s, figures['id'], s.cluster[2])
    for number, node in enumerate(s.cluster):
        node.execute(f'REPLACE INTO probe.t VALUES ({-1 - number}, 1)')  # the load counts upwards
    s.load.stop()
    s.cluster.wait_caught_up()
    found = {node.name: node.value('SELECT @@global.gtid_binlog_pos') for node in s.cluster}
    s.load.start()
    assert found['n3'] == found['n1'] and '7-77-' in found['n1'], found
    # the server's number is the bootstrapping node's only where a state transfer has told it: n2 began with IST
    assert len({value.rsplit('-', 1)[1] for value in found.values()}) == 1, found
    s.next_succeeds()


suite.test(streaming_replication_goes_on)
if asked_for_a_state_transfer in some('cluster', [asked_for_a_state_transfer, one_gtid_on_all_nodes], 1):
    add_cells(suite, asked_for_a_state_transfer, HELD, 1)
if one_gtid_on_all_nodes in some('cluster', [asked_for_a_state_transfer, one_gtid_on_all_nodes], 1):
    suite.test(one_gtid_on_all_nodes)


class Hasty(load.Load):
    pace_s = 0

    def step(self, connection):
        query(connection, 'INSERT INTO probe.hasty VALUES (NULL)')


@suite.test
def uninstalled_while_the_cluster_writes():
    """UNINSTALL is done in total order isolation: before the plugin has gone the node applies nothing, and its receive queue can't become shorter."""
    s = shared()
    s.node.execute('CREATE TABLE probe.hasty (id INT AUTO_INCREMENT PRIMARY KEY)')
    caller, before = s.held_at('REDO')
    with load.running([Hasty(s.cluster[1], number) for number in range(8)]):
        load.seconds(1)
        begin = time.monotonic()
        s.node.execute("UNINSTALL SONAME 'galera_backup'")
        took = time.monotonic() - begin
    s.node.execute("INSTALL SONAME 'galera_backup'")
    assert took < UNINSTALL_S, f'UNINSTALL took {took:.1f} s'
    s.told_the_truth(caller, before)
    s.next_succeeds()


@suite.test
def the_writing_went_on():
    shared().the_writing_went_on()


suite.main()
