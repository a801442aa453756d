#!/usr/bin/python3
"""A wrecked node comes back by IST; a lost cluster comes back from one backup, without a state transfer."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
OPTIONS = {'wsrep-mode': 'REPLICATE_MYISAM,REPLICATE_ARIA'}


class Scene:
    """Three nodes with agents that share a repository, and loads that write through one of them."""

    def __init__(self):
        self.cluster = Cluster(3, OPTIONS, name='full').create().start()
        self.repository = processes.new_dir('repository')
        self.agents = [Agent(node, repository=self.repository).start() for node in self.cluster]
        backups.install(self.cluster[0])
        writer = self.cluster[1]
        self.loads = [load.Transfers(writer, 11), load.Sequence(writer, 12), load.Unlogged(writer, 13),
                      load.Ddl(writer, 14)]
        for each in self.loads:
            each.prepare(writer)
        load.bulk(writer, 'sbtest', 2, 20 << 20)


shared = Shared(Scene)


def wait_written(loads, more):
    """Until each load has done so many steps more."""
    goals = [(each, each.done + more) for each in loads]
    wait_for(lambda: all(each.done >= goal or each.failure for each, goal in goals), 60, 'the loads to write')


def checked_by_transfer(node, kind='IST'):
    how, lines = node.transfer()
    assert how == kind, f'{node.name} joined by {how}, not {kind}: {lines}'
    assert not any('Proceeding with SST' in line for line in lines), f'{node.name}: data were transferred'


@suite.test
def a_wrecked_node_rejoins_by_ist():
    scene = shared()
    cluster = scene.cluster
    with load.running(scene.loads):
        wait_written(scene.loads, 5)
        figures = backups.take(cluster[2])
        wait_written(scene.loads, 5)
        cluster[2].kill()
        cluster[2].wipe()
        wait_written(scene.loads, 5)
        scene.agents[2].restore(figures['id'], cluster[2].datadir)
        cluster[2].start()
        checked_by_transfer(cluster[2])
        wait_written(scene.loads, 5)
    position = cluster.wait_caught_up()
    alike = checks.assert_alike(cluster.nodes)
    load.Transfers.check(cluster[2])
    load.Sequence.check(cluster[2])
    say(f'  restored at {figures["position"]}, all at {position}, {len(alike)} tables alike on 3 nodes')
    # and the restored node can be backed up in its turn
    backups.take(cluster[2])


@suite.test
def a_lost_cluster_comes_back_from_one_backup():
    scene = shared()
    cluster = scene.cluster
    with load.running(scene.loads):
        wait_written(scene.loads, 10)
        figures = backups.take(cluster[0])
    for agent in scene.agents:
        agent.stop()
    cluster.kill()
    cluster.wipe()
    token = None
    for index, node in enumerate(cluster):
        history = ['--history', f'new:{token}'] if token else ['--safe-to-bootstrap']
        answer = json.loads(scene.agents[index].restore(figures['id'], node.datadir, '--json', *history).stdout)
        token = answer['history']['token']
    cluster[0].bootstrap()
    first = cluster[0].value('SELECT COUNT(*) FROM bank.sequence')
    for node in cluster.nodes[1:]:
        node.start()
        how, lines = node.transfer()
        assert how != 'SST', f'{node.name} joined by {how}: {lines}'
    cluster.wait_size(3)
    load.Transfers.check(cluster[1])
    assert load.Sequence.check(cluster[2]) == first
    cluster.wait_caught_up()
    checks.assert_alike(cluster.nodes)
    # it works as a cluster again
    for each in scene.loads[:2]:
        each.server = cluster[2]
    with load.running(scene.loads[:2]):
        wait_written(scene.loads[:2], 10)
    cluster.wait_caught_up()
    checks.assert_alike(cluster.nodes)
    load.Transfers.check(cluster[0])


suite.main()
