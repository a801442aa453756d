#!/usr/bin/python3
"""The catalog of a restored server: the backup that it comes from is in it as running, until an agent has looked."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.store_proxy import HANG, StoreProxy  # noqa: E402
from gbtest.suite import Shared, Suite  # noqa: E402
from gbtest.swift import Swift  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

FIGURES = ('started_at', 'finished_at', 'duration_s', 'data_bytes', 'stored_bytes', 'bytes_done', 'repositories', 'position', 'gtid',
           'binlog_file', 'binlog_pos', 'lsn_start', 'lsn_end', 'server_version', 'blocked_ms', 'comment', 'user', 'verified', 'verified_at')
HUNG_S = 60

suite = Suite()


class Scene:
    """A server and a backup of it whose row was in the catalog before its pages were read."""

    def __init__(self):
        self.server = Server('alone', {'log-bin': 'binlog', 'server-id': '7'})
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 1, 10 << 20)
        backups.hold(self.server, 'COPY')
        try:
            self.backup = backups.start(self.server, comment='the one')
            wait_for(lambda: self.state() == 'running', 30, 'the row of the running backup')
        finally:
            backups.release(self.server)
        figures = backups.wait_end(self.server, self.backup)
        assert figures['state'] == 'succeeded', figures
        wait_for(lambda: self.state() == 'succeeded', 30, 'the last row of the backup')
        self.agent.cli('verify', self.backup, '--quick')
        self.row = self.catalog_row()
        assert self.row['verified'] == 'quick' and self.row['verified_at'], self.row

    def catalog_row(self):
        return self.server.row('SELECT * FROM galera_backup.backups WHERE id = %s', (self.backup,))

    def state(self):
        return self.server.value('SELECT state FROM galera_backup.backups WHERE id = %s', (self.backup,))

    def restore(self):
        self.server.stop()
        self.server.wipe()
        self.agent.restore(self.backup, self.server.datadir)

    def check_settled(self):
        wait_for(lambda: self.state() != 'running', 30, 'the row to be settled', while_true=self.server.alive)
        found = self.catalog_row()
        assert found['state'] == 'succeeded', found
        different = {name: (self.row[name], found[name]) for name in FIGURES if self.row[name] != found[name]}
        assert not different, different


shared = Shared(Scene)


@suite.test
def an_agent_that_starts_beside_the_restored_server_corrects_the_row():
    s = shared()
    s.agent.stop()
    s.restore()
    s.server.start()
    assert s.state() == 'running', 'what was on the pages'
    s.server.execute("INSERT INTO galera_backup.backups (cluster, id, node, state, as_of) VALUES "
                     "('alone', '20260101T000000Z-full-00000000', 'elsewhere', 'running', UTC_TIMESTAMP())")
    s.agent.start()
    s.check_settled()
    assert s.server.value("SELECT state FROM galera_backup.backups WHERE node = 'elsewhere'") == 'running'


@suite.test
def an_agent_that_runs_meanwhile_corrects_it_too():
    s = shared()
    s.restore()
    s.server.start()
    s.check_settled()


@suite.test
def a_store_that_hangs_holds_no_rows_up():
    """What became of a backup is asked of all repositories; those of the others are written meanwhile, and the agent ends when it is told to."""
    s = shared()
    left, hung = '20260101T000000Z-full-00000001', StoreProxy(Swift('store').start().make_bucket())
    s.agent.stop()
    s.agent.repositories['far'] = hung.swift.repository(endpoint=hung.endpoint, request_timeout=f'{HUNG_S}s')
    s.server.execute("INSERT INTO galera_backup.backups (cluster, id, node, state, as_of) VALUES "
                     f"('alone', '{left}', @@hostname, 'running', UTC_TIMESTAMP())")
    hung.rule = lambda request: HANG
    s.agent.start()

    def state(backup):
        return s.server.value('SELECT state FROM galera_backup.backups WHERE id = %s', (backup,))
    try:
        wait_for(lambda: sum(hung.counts.values()), 30, 'the store to be asked', while_true=s.agent.alive)
        backup = backups.take(s.server, repository='default')['id']
        wait_for(lambda: state(backup) == 'succeeded', HUNG_S / 4, 'its row')
        assert state(left) == 'running'
        began = time.monotonic()
        s.agent.stop()
        assert time.monotonic() - began < HUNG_S / 4, 'it was waited for'
    finally:
        hung.rule = None
        hung.let_go()
    s.agent.start()
    wait_for(lambda: state(left) == 'failed', 30, 'the row to be settled', while_true=s.agent.alive)


suite.main()
