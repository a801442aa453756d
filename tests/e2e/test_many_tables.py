#!/usr/bin/python3
"""A server with very many tables: how long it is paused, what memory plugin and agent need, and that every table comes back.

    tests/e2e/test_many_tables.py      GB_TEST_TABLES=N (default 1,000; GB_TEST_LONG: 10,000)

Needs a build with GB_TEST_HOOKS: tables are made while a backup is held right before its pause.
"""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, measure, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, query  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402

TABLES = int(os.environ.get('GB_TEST_TABLES', 10000 if LONG else 1000))
SESSIONS = 4  # each with a schema
SAMPLE = 200 if LONG else 40  # of the tables, compared row by row
BORN_BEFORE_FLUSH = TABLES // 20
BORN_BEFORE_PAUSE = 40  # of 112 KiB: less than what sends a backup back for another round
LIMIT_MS = 1000    # of the pause, on a machine with other work
LIMIT_MIB = 160    # what mariadbd takes beside what it had, its ring of 64 MiB in it; what the agent takes

suite = Suite()


def in_sessions(server, function):
    """Calls function(connection, number) for each session at the same time, and raises what one of them has met."""
    failures = []

    def run(number):
        try:
            connection = server.connect(300)
            function(connection, number)
            connection.close()
        except Exception as error:  # told below
            failures.append(error)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(SESSIONS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]


def make(server, first, count):
    """So many tables from that number on, with a row or some."""
    def run(connection, session):
        for number in range(first + session, first + count, SESSIONS):
            query(connection, f'CREATE TABLE many{session}.t{number} (id INT PRIMARY KEY, v VARCHAR(40), KEY (v)) ENGINE=InnoDB')
            query(connection, f'INSERT INTO many{session}.t{number} SELECT seq, MD5(seq + {number}) FROM seq_1_to_{1 + number % 50}')
    in_sessions(server, run)


def spaces(server):
    """Names of all tables with a tablespace of their own that InnoDB's dictionary knows."""
    return sorted(name for name, in server.rows('SELECT name FROM information_schema.INNODB_SYS_TABLES WHERE space > 0 AND name LIKE "many%"'))


class Scene:
    def __init__(self):
        self.server = Server('many', {'open-files-limit': '40000', 'table-open-cache': '20000'})
        self.server.create()
        # the making alone need not survive a power cut
        self.server.start(['--innodb-flush-method=nosync', '--innodb-flush-log-at-trx-commit=0'])
        backups.install(self.server)
        self.server.execute(*(f'CREATE DATABASE many{each}' for each in range(SESSIONS)))
        begin = time.monotonic()
        make(self.server, 0, TABLES)
        say(f'  {TABLES} tables made in {time.monotonic() - begin:.1f} s')
        self.server.restart()
        self.agent = Agent(self.server).start()
        self.born = 0

    def backup(self, what, during=None):
        """Takes one, tells its figures, holds them against the limits."""
        begin = time.monotonic()
        with measure.Memory(self.server.process.pid) as server, measure.Memory(self.agent.process.pid) as agent:
            stages = list((during or {}).items())
            backups.hold(self.server, stages[0][0] if stages else '')
            backup = backups.start(self.server)
            for at, (stage, function) in enumerate(stages):
                backups.wait_held(self.server, stage)
                function()
                backups.hold(self.server, stages[at + 1][0] if at + 1 < len(stages) else '')
            figures = backups.wait_end(self.server, backup)
        assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
        say(f'  {what}: {time.monotonic() - begin:.1f} s, paused for {figures["blocked_ms"]} ms; mariadbd {server.before:.0f} MiB and '
            f'{server.most - server.before:.0f} more, agent {agent.most:.0f} MiB')
        assert int(figures['blocked_ms']) <= LIMIT_MS, f'paused for {figures["blocked_ms"]} ms'
        assert server.most - server.before <= LIMIT_MIB and agent.most <= LIMIT_MIB, \
            f'memory: mariadbd {server.most - server.before:.0f} MiB more, agent {agent.most:.0f} MiB'
        return figures['id']

    def give_birth(self, count):
        make(self.server, TABLES + self.born, count)
        self.born += count

    def compare(self, backup):
        begin = time.monotonic()
        back = restored.Restored(self.agent, backup, settings={'open-files-limit': '40000'})
        took = time.monotonic() - begin
        try:
            expected, chooser = spaces(self.server), random.Random(1)
            # and the newest, of which much is in the redo alone
            sample = set(chooser.sample(expected, SAMPLE)) | {name for name in expected if int(name.rpartition('t')[2]) >= TABLES}
            for path in (os.path.join(back.server.datadir, f'{name}.ibd') for name in sample):
                if os.path.exists(path) and os.path.getsize(path):  # else the redo has all of it
                    processes.run(['innochecksum', path])
            begin = time.monotonic()
            back.start()
            started = time.monotonic() - begin
            back.check_lsn(back.server.log_text())
            assert spaces(back.server) == expected, f'{len(spaces(back.server))} tables came back, {len(expected)} were there'
            names = sorted(name.replace('/', '.') for name in sample)
            one, two = (checks.checksums(each.connection(), names) for each in (self.server, back.server))
            assert all(one.values()) and not checks.differences(one, two), checks.differences(one, two)
            for name in names:
                assert back.server.rows(f'CHECK TABLE {name} EXTENDED')[0][3] == 'OK', name
            say(f'  restored in {took:.1f} s, started in {started:.1f} s; {len(expected)} tables, {len(names)} of them compared')
        finally:
            back.remove()


shared = Shared(Scene)


@suite.test
def nobody_has_opened_them():
    s = shared()
    backup = s.backup('none is open')
    if LONG:
        s.compare(backup)


@suite.test
def all_are_open_and_more_are_made():
    s = shared()

    def read(connection, session):
        for number in range(session, TABLES, SESSIONS):
            query(connection, f'SELECT COUNT(*) FROM many{session}.t{number}')
    in_sessions(s.server, read)
    s.backup('all are open')
    s.compare(s.backup('more are made', {'FLUSH': lambda: s.give_birth(BORN_BEFORE_FLUSH), 'WINDOW': lambda: s.give_birth(BORN_BEFORE_PAUSE)}))


suite.main()
