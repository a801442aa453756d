#!/usr/bin/python3
"""A backup is a crash image: what the design's section 3 promises, under load, over redo sizes and flush settings.

    tests/e2e/test_invariant.py            GB_TEST_BACKUPS=N (default 7; GB_TEST_LONG: 24), GB_TEST_SEED=N (default 1)

Needs a build with GB_TEST_HOOKS: the pause is held while the oracle looks at the paused node.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

COUNT = int(os.environ.get('GB_TEST_BACKUPS', 24 if LONG else 7))
SEED = int(os.environ.get('GB_TEST_SEED', 1))
REDO_SIZES = {'10M': 10 << 20, '96M': 96 << 20, '1G': 1 << 30}
FLUSH = (0, 1, 2)


def plan(count, seed):
    """(flush_log_at_trx_commit, redo size, node) of each backup: every pair in turn, in an order the seed picks."""
    pairs = [(flush, size) for flush in FLUSH for size in REDO_SIZES]
    chooser = random.Random(seed)
    chosen = []
    while len(chosen) < count:
        chooser.shuffle(pairs)
        chosen += pairs
    return [(flush, size, chooser.choice((0, 2))) for flush, size in chosen[:count]]


class Scene:
    def __init__(self):
        self.cluster = Cluster(3, {'wsrep-mode': 'REPLICATE_MYISAM,REPLICATE_ARIA', 'innodb-log-buffer-size': '8M'},  # a log of 10M takes no larger
                               name='invariant').create().start()
        repository = processes.new_dir('repository')
        self.agents = [Agent(node, repository=repository).start() for node in self.cluster]
        backups.install(self.cluster[0])
        writer = self.cluster[1]
        self.loads = [load.Transfers(writer, SEED), load.Sequence(writer, SEED + 1), load.Unlogged(writer, SEED + 2),
                      load.Ddl(writer, SEED + 3)]
        for each in self.loads:
            each.prepare(writer)
        load.bulk(writer, 'sbtest', 2, 15 << 20)
        for each in self.loads:
            each.start()

    def resize(self, node, size):
        """Resizes the redo log online and waits until the new one is in place."""
        path = os.path.join(node.datadir, 'ib_logfile0')
        node.execute(f'SET GLOBAL innodb_log_file_size = {size}')
        wait_for(lambda: os.path.getsize(path) == size, 60, f'the redo log of {node.name} to have {size} bytes',
                 while_true=node.alive)

    def backup(self, flush, size, index):
        node, agent = self.cluster[index], self.agents[index]
        node.execute(f'SET GLOBAL innodb_flush_log_at_trx_commit = {flush}')
        self.resize(node, REDO_SIZES[size])
        figures, expected = oracle.backup(node)
        wait_for(node.synced, 60, f'{node.name} to be Synced again', while_true=node.alive)
        seen = restored.verify(agent, figures['id'], expected, size)
        for each in self.loads:
            assert each.failure is None, f'{type(each).__name__}: {each.failure!r}'
        return seen


suite = Suite()
shared = Shared(Scene)


def one(flush, size, index):
    say(f'  {shared().backup(flush, size, index)}')


def the_loads_went_on_and_the_nodes_are_alike():
    scene = shared()
    for each in scene.loads:
        each.stop()
        say(f'  {type(each).__name__}: {each.done} done, {each.retried} retried')
        assert each.done > COUNT, f'{type(each).__name__} hardly ran'
    scene.cluster.wait_caught_up()
    checks.assert_alike(scene.cluster.nodes)
    for node in scene.cluster:
        assert node.status('wsrep_desync_count') == '0', f'{node.name} is desynced'


for number, (flush, size, index) in enumerate(plan(COUNT, SEED), 1):
    suite.add(f'backup_{number}_flush_{flush}_redo_{size}_on_n{index + 1}', one, flush, size, index)
suite.add('the_loads_went_on_and_the_nodes_are_alike', the_loads_went_on_and_the_nodes_are_alike)
suite.main()
