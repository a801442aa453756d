#!/usr/bin/python3
"""Aria and MyISAM under nothing but DDL on a standalone server: each backup is restored and compared with the paused server.

    tests/e2e/test_aria.py            GB_TEST_BACKUPS=N (default 7; GB_TEST_LONG: 150), GB_TEST_SEED=N (default 1)

No backup lock holds up INSERT on transactional Aria, so one that waits for the end of the pause keeps its table: that table
is not compared in that backup. Most of them are.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, oracle, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

COUNT = int(os.environ.get('GB_TEST_BACKUPS', 150 if LONG else 7))
SEED = int(os.environ.get('GB_TEST_SEED', 1))


class Scene:
    def __init__(self):
        self.server = Server('aria')
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        self.compared = self.kept = 0
        self.load = load.Ddl(self.server, SEED, ('Aria', 'Aria', 'Aria', 'Aria TRANSACTIONAL=0', 'MyISAM'))
        self.load.prepare(self.server)
        self.load.start()
        wait_for(lambda: self.load.done > 30 or self.load.failure, 60, 'some tables')

    def backup(self):
        figures, expected = oracle.backup(self.server)
        kept = oracle.kept(expected)
        assert len(kept) <= 1, f'one session writes, and {kept} are locked'
        back = restored.Restored(self.agent, figures['id'])
        try:
            server = back.start()
            back.check_lsn(server.log_text())
            oracle.compare(expected, server, back.info)
            checks.check_tables(server)
        finally:
            back.remove()
        assert self.load.failure is None, repr(self.load.failure)
        self.compared += sum(what == 'rows of' for what, _ in expected) - len(kept)
        self.kept += len(kept)


suite = Suite()
shared = Shared(Scene)


def one():
    shared().backup()


def the_ddl_went_on():
    scene = shared()
    scene.load.stop()
    say(f'  {scene.load.done} statements; {scene.compared} tables compared, {scene.kept} kept by a waiting statement')
    assert scene.load.done > 5 * COUNT and scene.kept < COUNT


for number in range(1, COUNT + 1):
    suite.add(f'backup_{number}', one)
suite.add('the_ddl_went_on', the_ddl_went_on)
suite.main()
