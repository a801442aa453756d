#!/usr/bin/python3
"""A storm of DDL: backups of a standalone server and of a cluster's node while tables of every kind are made, changed, imported and dropped
there and by the other nodes. Each is restored and compared with the paused node; CHECK TABLE ... EXTENDED on all of it.

    tests/e2e/test_storm.py [standalone] [cluster]      GB_TEST_BACKUPS=N (default 3; GB_TEST_LONG: 200), GB_TEST_SEED=N (default: the time)

Half of the backups, and one more, are the server's. Needs a build with GB_TEST_HOOKS: the pause is held while the oracle looks at the paused node.
"""
import collections
import os
import random
import shutil
import sys
import time

import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, oracle, restored, storm  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

COUNT = int(os.environ.get('GB_TEST_BACKUPS', 200 if LONG else 3))
SEED = int(os.environ.get('GB_TEST_SEED', time.time()))
RETRYABLE = {'2111': 'lock_wait', '2112': 'ddl_storm'}  # what a storm may do to a backup; it says so, and the next one is right
SHARE = 0.1  # of the backups, at most, and one in any case
TRIES = 3
REDO_RESIZED = '2205'
NOT_FIT = 22010  # SQL error: an RSU ALTER is under way on the node, so the backup is not begun
RESIZE_EVERY = 8 if LONG else 3
SIZES = ('64M', '96M', '128M')
MIB = 1 << 20
PASS_S = 2  # for so many seconds statements are let pass, if locks keep them
UNDO = {'innodb-undo-tablespaces': 3}
# of the restored servers: 10.11.19 can fail to recover a truncated undo tablespace when it needs several batches for the redo
RESTORED = {**UNDO, 'innodb-buffer-pool-size': '400M'}
OPTIONS = {**UNDO, 'innodb-max-undo-log-size': 10 * MIB, 'innodb-undo-log-truncate': 'ON', 'innodb-purge-rseg-truncate-frequency': 1}


if os.environ.get('GB_TEST_KEEP'):  # for who looks for the cause of a difference
    OPTIONS['general-log'] = 'ON'


class Plan:
    """What is chosen for one backup, by the seed and its number alone."""

    def __init__(self, scene, number):
        chooser = random.Random(f'{SEED} {scene} {number}')
        self.before = chooser.randint(10, 60)  # statements of the storm
        self.stages = {stage: chooser.randint(3, 30) for stage in ('COPY', 'FLUSH', 'WINDOW') if chooser.random() < 0.4}
        self.options = {'threads': chooser.choice((1, 2, 4))}
        if chooser.random() < 0.4:
            self.options['rate'] = '20M'
        self.resized = chooser.choice(SIZES) if number % RESIZE_EVERY == 2 else None

    def __str__(self):
        resized = f', after one whose redo log is resized to {self.resized}' if self.resized else ''
        return f'held at {self.stages or "no stage"}, {self.options}{resized}'


class Scene:
    """Of either kind. node: what is backed up; storms: what is told of."""
    galera = False

    def __init__(self):
        self.backups = self.kept = self.compared = 0
        self.retried = collections.Counter()
        self.resized = self.refused = 0
        self.truncations = 0
        self.told = False
        say(f'  seed {SEED} (GB_TEST_SEED)')

    def begin(self):
        for each in self.loads:
            each.prepare(each.server)
            each.start()

    def statements(self):
        return sum(each.done for each in self.storms)

    def let_pass(self, count):
        """So many statements of the storm, or as many as locks let through."""
        upto, until = self.statements() + count, time.monotonic() + PASS_S
        wait_for(lambda: self.statements() >= upto or time.monotonic() > until, 60, f'{count} statements')

    def no_failure(self):
        for each in self.loads:
            if each.failure is not None and not self.told:
                self.told = True
                for server in dict.fromkeys(one.server for one in self.loads):
                    say(f'  {server.name}, {"running" if server.process.poll() is None else "ended"}:\n{server.last_words()}')
            assert each.failure is None, f'{type(each).__name__} on {each.server.name}: {each.failure!r}'

    def resize(self, size):
        """Online, and waits until the new log is in place and something has been written to it."""
        current = os.path.getsize(os.path.join(self.node.datadir, 'ib_logfile0'))
        if current == int(size[:-1]) * MIB:
            size = SIZES[(SIZES.index(size) + 1) % len(SIZES)]
        session = self.node.connect(60)
        load.query(session, f'SET GLOBAL innodb_log_file_size = {int(size[:-1]) * MIB}')
        session.close()
        wait_for(lambda: os.path.getsize(os.path.join(self.node.datadir, 'ib_logfile0')) != current, 50, 'the new redo log')
        self.let_pass(5)

    def attempt(self, during, **options):
        """Begun when the node is fit, and again if an RSU ALTER comes first."""
        while True:
            wait_for(self.fit, 60, f'{self.node.name} to be Synced', while_true=self.node.alive)
            try:
                return oracle.attempt(self.node, during, **options)
            except pymysql.err.OperationalError as error:
                if error.args[0] != NOT_FIT:
                    raise
                self.refused += 1

    def backup(self, number):
        plan = Plan(type(self).__name__, number)
        say(f'  {plan}')
        self.let_pass(plan.before)
        if plan.resized:
            figures, _ = self.attempt({'FLUSH': lambda: self.resize(plan.resized)})
            assert figures['error_code'] == REDO_RESIZED, f'resized, and the backup {figures["state"]}: {figures["error"]}'
            self.resized += 1
        words = {}
        during = {stage: lambda count=count: self.let_pass(count) for stage, count in plan.stages.items()}
        during['PAUSED'] = lambda: words.update(storm.words(self.node))
        for _ in range(TRIES):
            words.clear()
            figures, state = self.attempt(during, **plan.options)
            self.no_failure()
            if state:
                break
            assert figures['error_code'] in RETRYABLE, f'{figures["state"]}: {figures["error"]}'
            self.retried[figures['error_code']] += 1
            say(f'  {figures["error"]}')
        assert state, f'{TRIES} backups in a row: {figures["error"]}'
        wait_for(self.fit, 60, f'{self.node.name} to be Synced again', while_true=self.node.alive)
        with load.resting(self.loads):
            self.truncations = int(self.node.status('Innodb_undo_truncations'))
            seen = restored.verify(self.agent, figures['id'], state, galera=self.galera, settings=RESTORED,
                                   look=lambda server: storm.check_words(server, words), source=self.node)
        self.backups += 1
        kept = oracle.kept(state)
        self.kept += len(kept)
        self.compared += sum(what == 'rows of' for what, _ in state) - len(kept)
        shutil.rmtree(os.path.join(self.agent.repository, self.agent.cluster, 'backups', figures['id']))
        say(f'  {seen}; paused for {figures["blocked_ms"]} ms, with the test\'s hold')

    def fit(self):
        return True

    def totals(self):
        for each in self.loads:
            each.stop()
            if isinstance(each, storm.Storm):
                each.tidy()
        counts, errors = collections.Counter(), collections.Counter()
        for each in self.storms:
            counts.update(each.counts)
            errors.update(each.errors)
        retried = sum(self.retried.values())
        say(f'  seed {SEED}: {self.backups} backups restored and compared, {self.compared} tables in them, {self.kept} not looked at as a statement '
            f'kept them; {retried} retried ({dict(self.retried)}), {self.refused} not begun, {self.resized} failed as their redo log was resized; '
            f'{self.truncations} undo tablespaces truncated')
        say(f'  {sum(counts.values())} DDL statements: {", ".join(f"{count} {kind}" for kind, count in counts.most_common())}')
        say(f'  refused or retried, by error: {dict(errors)}; ' + ', '.join(
            f'{type(each).__name__} {each.done} done, {each.retried} retried' for each in self.loads))
        assert self.backups, 'no backup was compared'
        assert retried <= max(1, SHARE * self.backups), f'{retried} of {self.backups} backups had to be retried'
        assert self.kept <= self.compared / 20, f'{self.kept} tables were not compared'
        if LONG and not self.galera:  # the nodes' directories were made without undo tablespaces
            assert self.truncations, 'no undo tablespace was truncated'


class OnServer(Scene):
    def __init__(self):
        super().__init__()
        self.node = Server('storm', {'innodb-fast-shutdown': '0', **OPTIONS})
        self.node.create()
        self.node.start()
        self.node.restart()  # the undo tablespaces come when nothing is left to purge
        self.agent = Agent(self.node).start()
        backups.install(self.node)
        self.storms = [storm.Storm(self.node, f'{SEED} {name}', name) for name in ('one', 'two')]
        self.loads = [load.Transfers(self.node, 1), load.Sequence(self.node, 2), load.Unlogged(self.node, 3), storm.Undo(self.node, 4), *self.storms]
        self.begin()


class InCluster(Scene):
    """The first node is backed up. DDL comes from each, by total order isolation, and by RSU in turns."""
    galera = True

    def __init__(self):
        super().__init__()
        self.cluster = Cluster(3 if LONG else 2, {'wsrep-mode': 'REPLICATE_MYISAM,REPLICATE_ARIA', **OPTIONS}, name='storms').create().start()
        self.node = self.cluster[0]
        self.agent = Agent(self.node).start()
        backups.install(self.node)
        writer, last = self.cluster[1], self.cluster[-1]
        self.storms = [storm.Storm(node, f'{SEED} {node.name}', node.name, self.cluster.nodes) for node in self.cluster]
        self.storms.append(storm.Rolling(self.cluster.nodes, f'{SEED} rolling'))
        self.loads = [load.Transfers(writer, 1), load.Sequence(self.node, 2), load.Unlogged(writer, 3), *self.storms]
        if LONG:
            self.loads.append(storm.Undo(last, 4))
        self.begin()

    def fit(self):
        return self.node.synced()

    def totals(self):
        super().totals()
        self.cluster.wait_caught_up()
        checks.assert_alike(self.cluster.nodes)
        for node in self.cluster:
            assert node.status('wsrep_desync_count') == '0', f'{node.name} is desynced'


suite = Suite()
for name, scene, count in (('standalone', Shared(OnServer), (COUNT + 1) // 2), ('cluster', Shared(InCluster), COUNT // 2)):
    for number in range(1, count + 1):
        suite.add(f'{name}_backup_{number}', lambda one=scene, at=number: one().backup(at))
    if count:
        suite.add(f'{name}_totals', lambda one=scene: one().totals())
suite.main()
