#!/usr/bin/python3
"""Aria and MyISAM under nothing but DDL on a standalone server: each backup is restored and compared with the paused server.

    tests/e2e/test_aria.py            GB_TEST_BACKUPS=N (default 12; GB_TEST_LONG: 150), GB_TEST_SEED=N (default 1)

No backup lock holds up INSERT on transactional Aria, so one that waits for the end of the pause keeps its table: that table
is not compared in that backup. Most of them are.
"""
import os
import sys

import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, query  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

COUNT = int(os.environ.get('GB_TEST_BACKUPS', 150 if LONG else 12))
SEED = int(os.environ.get('GB_TEST_SEED', 1))
ER_LOCK_WAIT_TIMEOUT = 1205


class Scene:
    def __init__(self):
        self.server = Server('aria')
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        self.server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
        self.compared = self.kept = 0
        self.load = load.Ddl(self.server, SEED, ('Aria', 'Aria', 'Aria', 'Aria TRANSACTIONAL=0', 'MyISAM'))
        self.load.prepare(self.server)
        self.load.start()
        wait_for(lambda: self.load.done > 30 or self.load.failure, 60, 'some tables')

    def checksums(self):
        """Of every table that no waiting statement keeps."""
        connection = self.server.connect()
        query(connection, 'SET SESSION lock_wait_timeout = 1')
        found = {}
        for name in checks.tables(connection):
            try:
                found.update(checks.checksums(connection, [name]))
            except pymysql.MySQLError as error:
                if error.args[0] != ER_LOCK_WAIT_TIMEOUT:
                    raise
                found[name] = None
        connection.close()
        return found

    def backup(self):
        backups.hold(self.server, 'PAUSED')
        try:
            backup = backups.start(self.server)
            backups.wait_held(self.server, 'PAUSED')
            expected = self.checksums()
            assert backups.state(self.server)['test_held'] == '1', 'the hold ended while the checksums were taken'
        finally:
            backups.release(self.server)
        figures = backups.wait_end(self.server, backup)
        assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
        back = restored.Restored(self.agent, backup)
        try:
            server = back.start()
            back.check_lsn(server.log_text())
            found = checks.checksums(server.connection())
            kept = {name for name, value in expected.items() if value is None}
            found.update({name: None for name in kept & set(found)})
            difference = checks.differences(expected, found)
            assert not difference, f'paused server and restored: {difference}'
            assert len(kept) <= 1, f'one session writes, and {kept} are locked'
            checks.check_tables(server)
        finally:
            back.remove()
        assert self.load.failure is None, repr(self.load.failure)
        self.compared += len(expected) - len(kept)
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
