#!/usr/bin/python3
"""What people type and read: each column of BACKUP_STATUS is seen to change, bottleneck, ETA and redo headroom are held
against what then happened, each option of BACKUP_START against its effect, each exit status and --json of the command line.

What mysql-test-run holds already (values that are refused, defaults, the rows of list and log) is not repeated here.
"""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, cgroup, load, measure, processes  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.server import query, query_dicts  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import WaitTimeout, wait_for  # noqa: E402

MIB = 1 << 20
DATA = 64 * MIB  # more than the ring: readers wait for an agent that takes nothing
SMALL_MB = 8
ATTEMPTS = 3  # to foretell a time, on a machine that others may use
HEADROOM_S = 6  # what is left, about, when the agent stops

suite = Suite()


class Scene:
    """Two nodes; n2, whose binary log has everything, is backed up into a repository that can be made to hang."""

    def __init__(self):
        # ibdata1 grows by little: what it has allocated and never used is in bytes_total, and so in the ETA
        options = {'log-bin': 'binlog', 'log-slave-updates': 'ON', 'server-id': '7', 'innodb-autoextend-increment': '4'}
        self.cluster = Cluster(2, options, name='surface').create().start()
        self.writer, self.node = self.cluster
        self.repository = processes.new_dir('repository')
        self.store = processes.Stall(self.repository)
        dense = {'type': 'directory', 'path': processes.new_dir('dense'), 'min-free': '0%', 'compression': 'zstd:19'}
        full = {'type': 'directory', 'path': processes.new_dir('full'), 'min-free': '99%'}
        small = {'type': 'directory', 'path': processes.new_dir('small'), 'min-free': '0%'}
        self.small = processes.mount_tmpfs(small['path'], f'{SMALL_MB}M')
        processes.mount_mostly_empty(full['path'], f'{SMALL_MB}M', 1)
        default = {'type': 'directory', 'path': self.repository, 'min-free': '0%'}
        self.agent = Agent(self.node, repository=self.repository, agent_options={'threads': '1'},
                           repositories={'default': default, 'dense': dense, 'full': full, 'small': small})
        self.agent.environment = self.store.environment
        self.agent.start()
        backups.install(self.writer)
        self.node.execute(f'SET GLOBAL galera_backup_ring_size = {48 * MIB}')
        load.bulk(self.writer, 'd', 1, DATA)
        self.writer.execute('CREATE DATABASE probe', 'CREATE TABLE probe.m (a INT) ENGINE=MyISAM',
                            'CREATE TABLE probe.t (a INT PRIMARY KEY, n INT)', 'INSERT INTO probe.t VALUES (1, 0)',
                            'CREATE TABLE probe.a (id INT PRIMARY KEY, v CHAR(200)) ENGINE=InnoDB',
                            'INSERT INTO probe.a SELECT seq, MD5(seq) FROM seq_1_to_20000')
        self.cluster.wait_caught_up()

    def status(self, backup=None):
        return backups.call(self.node, 'BACKUP_STATUS', backup)[0]

    def wait_status(self, deadline_s, what, condition):
        def look():
            row = self.status()
            assert row['state'] == 'running', f'{row["state"]}, {row["error"]}, before {what}'
            return condition(row) and row
        return wait_for(look, deadline_s, what)

    def idle(self):
        """Whatever a failed test has left is ended."""
        backups.release(self.node)
        self.store.end()
        self.agent.thaw()
        if backups.state(self.node)['state'] == 'running':
            try:
                backups.call(self.node, 'BACKUP_CANCEL', None)
            except pymysql.MySQLError as error:  # it has ended meanwhile
                if error.args[0] != 22004:
                    raise
        wait_for(self.node.synced, 30, 'the node to be Synced')

    def cancel(self):
        backups.call(self.node, 'BACKUP_CANCEL', None)
        wait_for(self.node.synced, 30, 'the node to be Synced')


shared = Shared(Scene)


def scene():
    s = shared()
    s.idle()
    return s


# -- BACKUP_STATUS

def values(rows, name):
    return [row[name] for row in rows]


def grows(rows, name):
    """Never less, and more at the end than at the beginning."""
    series = [value for value in values(rows, name) if value is not None]
    return series == sorted(series) and series[-1] > series[0]


def set_at_the_end(rows, name):
    return not rows[0][name] and bool(rows[-1][name])


def ever(rows, name, condition):
    return any(value is not None and condition(value) for value in values(rows, name))


# column: what must hold of the rows of one backup, first to last
COLUMNS = {
    'id': lambda rows: len(set(values(rows, 'id'))) == 1,
    'cluster': lambda rows: rows[-1]['cluster'] == 'surface',
    'node': lambda rows: rows[-1]['node'] == 'n2',
    'type': lambda rows: rows[-1]['type'] == 'full',
    'parent': lambda rows: rows[-1]['parent'] is None,
    'state': lambda rows: (rows[0]['state'], rows[-1]['state']) == ('running', 'succeeded'),
    'stage': lambda rows: {'COPY', 'BLOCK_COMMIT', 'REDO', 'COMMIT', 'DONE'} <= set(values(rows, 'stage')),
    'percent': lambda rows: grows(rows, 'percent') and rows[-1]['percent'] == 100,
    'eta_s': lambda rows: ever(rows, 'eta_s', lambda v: v > 0) and rows[-1]['eta_s'] == 0,
    'started_at': lambda rows: len(set(values(rows, 'started_at'))) == 1 and rows[0]['started_at'].year > 2000,
    'elapsed_s': lambda rows: grows(rows, 'elapsed_s'),
    'stage_s': lambda rows: ever(rows, 'stage_s', lambda v: v > 0) and rows[-1]['stage_s'] == 0,
    'bytes_total': lambda rows: rows[-1]['bytes_total'] > DATA,
    'bytes_done': lambda rows: grows(rows, 'bytes_done') and rows[-1]['bytes_done'] > DATA,
    'bytes_stored': lambda rows: grows(rows, 'bytes_stored') and rows[-1]['bytes_stored'] < rows[-1]['bytes_done'],
    'read_rate': lambda rows: ever(rows, 'read_rate', lambda v: v > 0) and rows[-1]['read_rate'] == 0,
    'store_rate': lambda rows: ever(rows, 'store_rate', lambda v: v > 0) and rows[-1]['store_rate'] == 0,
    'bottleneck': lambda rows: 'throttle' in values(rows, 'bottleneck') and not rows[-1]['bottleneck'],
    'rate_limit': lambda rows: (rows[0]['rate_limit'], rows[-1]['rate_limit']) == (12 * MIB, 0),
    'redo_bytes': lambda rows: grows(rows, 'redo_bytes'),
    'redo_headroom_s': lambda rows: ever(rows, 'redo_headroom_s', lambda v: v > 0) and rows[-1]['redo_headroom_s'] is None,
    'waiting_for': lambda rows: ever(rows, 'waiting_for', bool) and not rows[-1]['waiting_for'],
    'desynced': lambda rows: 1 in values(rows, 'desynced') and rows[-1]['desynced'] == 0,
    'desync_s': lambda rows: grows(rows, 'desync_s'),
    'recv_queue': lambda rows: ever(rows, 'recv_queue', lambda v: v > 10),
    'recv_queue_max': lambda rows: rows[-1]['recv_queue_max'] > 10,
    'flow_control_sent': lambda rows: rows[-1]['flow_control_sent'] == 0,
    'ddl_blocked_ms': lambda rows: rows[-1]['ddl_blocked_ms'] >= 300,
    'commit_blocked_ms': lambda rows: rows[-1]['commit_blocked_ms'] >= 300,
    'blocked_ms': lambda rows: rows[-1]['blocked_ms'] >= max(rows[-1]['commit_blocked_ms'], rows[-1]['ddl_blocked_ms']),
    'position': lambda rows: set_at_the_end(rows, 'position'),
    'gtid': lambda rows: set_at_the_end(rows, 'gtid'),
    'binlog_file': lambda rows: set_at_the_end(rows, 'binlog_file') and rows[-1]['binlog_file'].startswith('binlog.'),
    'binlog_pos': lambda rows: set_at_the_end(rows, 'binlog_pos'),
    'lsn_start': lambda rows: rows[-1]['lsn_start'] > 0,
    'lsn_end': lambda rows: rows[-1]['lsn_end'] > rows[-1]['lsn_start'],
    'repositories': lambda rows: [json.loads(next(row['repositories'] for row in each if row['repositories'] not in ('', '[]')))[0]['state']
                                  for each in (rows, rows[::-1])] == ['running', 'succeeded'],
    'resync': lambda rows: 'waiting' in values(rows, 'resync') and rows[-1]['resync'] == 'timeout',
    'warnings': lambda rows: 'flow control' in rows[-1]['warnings'] and not rows[0]['warnings'],
    'error_code': lambda rows: rows[-1]['error_code'] == 0,
    'error': lambda rows: not rows[-1]['error'],
    'hint': lambda rows: not rows[-1]['hint'],
    'as_of': lambda rows: rows[-1]['as_of'] > rows[0]['as_of'],
}


class Watch:
    """Rows of BACKUP_STATUS, as they come."""

    def __init__(self, s):
        self.connection, self.rows = s.node.connect(), []

    def until(self, deadline_s, what, condition):
        def look():
            self.rows.append(query_dicts(self.connection, 'CALL galera_backup.BACKUP_STATUS(NULL)')[0])
            return condition(self.rows[-1])
        try:
            return wait_for(look, deadline_s, what)
        except WaitTimeout as late:
            raise AssertionError(f'{late}; {self.rows[-1]}') from late


@suite.test
def every_column_of_the_status_changes():
    s = scene()
    transfers = load.Transfers(s.writer, 3)
    transfers.prepare(s.writer)
    s.cluster.wait_caught_up()
    transfers.pace_s = 0.001
    blocker = s.node.connect()
    with load.running([transfers]):
        backups.hold(s.node, 'PAUSED')
        backups.start(s.node, rate='12M', resync_timeout='2s', block_timeout='20s')
        watch = Watch(s)
        watch.until(60, 'half of it', lambda row: row['percent'] > 50 and row['elapsed_s'] > 2)
        query(blocker, 'LOCK TABLES probe.m WRITE')
        backups.call(s.node, 'BACKUP_SET', '{"rate": 0}')
        watch.until(60, 'something to wait for', lambda row: row['waiting_for'])
        query(blocker, 'UNLOCK TABLES')
        watch.until(60, 'the pause', lambda row: row['stage'] == 'BLOCK_COMMIT')
        held = time.monotonic()
        wait_for(lambda: time.monotonic() - held > 0.3, 5, 'the pause to be long enough to measure')
        backups.hold(s.node, 'REDO')
        watch.until(30, 'the end of the pause', lambda row: row['stage'] == 'REDO')
        query(blocker, 'FLUSH TABLES WITH READ LOCK')
        watch.until(30, 'a receive queue', lambda row: int(s.node.status('wsrep_local_recv_queue')) > 10)
        backups.release(s.node)
        watch.until(60, 'its end', lambda row: row['state'] != 'running')
        query(blocker, 'UNLOCK TABLES')
    blocker.close()
    rows = watch.rows
    assert set(rows[0]) == set(COLUMNS), f'columns without a test: {set(rows[0]) ^ set(COLUMNS)}'
    wrong = [f'{name}: {sorted(set(map(str, values(rows, name))))[:12]}' for name, holds in COLUMNS.items() if not holds(rows)]
    assert not wrong, '; '.join(wrong)
    say(f'  {len(rows)} rows, {len(COLUMNS)} columns')


@suite.test
def a_failed_run_says_why_in_status_and_list():
    s = scene()
    backup = backups.start(s.node, rate='1M', max_duration='1s')
    figures = backups.wait_end(s.node, backup)
    row = s.status()
    assert (row['state'], row['error_code']) == ('failed', 2103) and 'max_duration' in row['error'] and row['hint'], row
    listed = wait_for(lambda: [each for each in backups.call(s.node, 'BACKUP_LIST', '{"state": "failed"}') if each['id'] == backup], 20,
                      'the row of the failed run')[0]
    assert listed['error_code'] == 2103 and listed['error'] == row['error'] == figures['error'], listed


# -- bottleneck, ETA, headroom: true?

@suite.test
def a_rate_limit_is_the_bottleneck_and_the_eta_comes_true():
    s = scene()
    # a table that is not on disk yet is read in no time
    s.node.execute('SET GLOBAL innodb_max_dirty_pages_pct = 0')
    wait_for(lambda: s.node.status('Innodb_buffer_pool_pages_dirty') == '0', 30, 'all pages to be on disk')
    s.node.execute('SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT')
    backups.start(s.node, rate='8M')
    s.wait_status(20, 'the limit to be seen', lambda row: row['stage'] == 'COPY' and row['stage_s'] >= 2 and row['bottleneck'] == 'throttle' and
                  0.6 * 8 * MIB < row['read_rate'] < 1.4 * 8 * MIB)
    foretold = []

    def copied(row):
        foretold.append((time.monotonic(), row['eta_s']))
        return row['stage'] != 'COPY'
    s.wait_status(60, 'the end of the copy', copied)
    end = foretold.pop()[0]
    s.idle()
    ratios = [(eta - 0.5) / (end - at) for at, eta in foretold if end - at > 2]  # whole seconds, rounded up
    assert len(ratios) > 5, ratios
    say(f'  8 MiB/s: {foretold[0][1]} s foretold, {end - foretold[0][0]:.1f} s it took; in the median {measure.median(ratios):.2f} times as long')
    assert 0.6 < measure.median(ratios) < 1.7, foretold[::20]


@suite.test
def a_limit_that_is_lifted_is_no_bottleneck_any_more():
    s = scene()
    backups.start(s.node, rate='2M', repository='dense')
    s.wait_status(30, 'throttle', lambda row: row['bottleneck'] == 'throttle')
    backups.call(s.node, 'BACKUP_SET', '{"rate": 0}')
    # level 19 with one thread: the agent's processor is what it waits for
    s.wait_status(30, 'cpu', lambda row: row['bottleneck'] == 'cpu')
    s.cancel()


@suite.test
def a_store_that_hangs_is_the_bottleneck():
    s = scene()
    backup = backups.start(s.node, rate='4M')
    s.wait_status(30, 'the copy', lambda row: row['stage'] == 'COPY' and row['bytes_stored'] > 0)
    s.store.begin()
    backups.call(s.node, 'BACKUP_SET', '{"rate": 0}')
    row = s.wait_status(30, 'store', lambda row: row['bottleneck'] == 'store')
    assert row['store_rate'] == 0 or s.wait_status(10, 'nothing to be stored', lambda r: r['store_rate'] == 0)
    s.store.end()
    assert backups.wait_end(s.node, backup)['state'] == 'succeeded'


@suite.test
def a_lock_is_the_bottleneck():
    s = scene()
    blocker = s.node.connect()
    backups.hold(s.node, 'FLUSH')
    backup = backups.start(s.node)
    backups.wait_held(s.node, 'FLUSH')
    query(blocker, 'LOCK TABLES probe.m WRITE')
    backups.release(s.node)
    row = s.wait_status(30, 'lock', lambda row: row['bottleneck'] == 'lock')
    assert row['waiting_for'], row
    blocker.close()
    assert backups.wait_end(s.node, backup)['state'] == 'succeeded'


class Redo(load.Load):
    pace_s = 0.02

    def step(self, connection):
        query(connection, 'UPDATE probe.a SET v = MD5(RAND()) WHERE id BETWEEN %s AND %s + 1500', (self.done * 1500 % 18000,) * 2)


def redo_rate(s):
    """Bytes a second that this load writes here."""
    with load.running([Redo(s.node, 1)]) as (redo,):
        wait_for(lambda: redo.done > 2, 30, 'the load to write')
        begin, first = time.monotonic(), int(s.node.status('Innodb_lsn_current'))
        load.seconds(2)
        return (int(s.node.status('Innodb_lsn_current')) - first) / (time.monotonic() - begin)


def headroom(s):
    """A backup whose agent stops, until the redo log overtakes it: {seconds foretold: seconds that were left}."""
    seen = []
    with load.running([Redo(s.node, 1)]):
        backup = backups.start(s.node, rate='1M')
        s.wait_status(30, 'a headroom', lambda row: row['stage'] == 'COPY' and row['redo_headroom_s'])
        s.agent.freeze()
        try:
            def ended():
                row = s.status()
                seen.append((time.monotonic(), row['redo_headroom_s']))
                return row['state'] != 'running' and row
            end = wait_for(ended, 14, 'the redo log to overtake the backup')
        finally:
            s.agent.thaw()
    assert (end['state'], end['error_code'], end['id']) == ('failed', 2204, backup), (end['state'], end['error'])
    over = seen[-1][0]
    # from when the follower stood still: the figure of each second against the time that was left
    told = {value: over - at for at, value in reversed(seen) if value}
    say('  ' + ', '.join(f'{value} s foretold and {left:.1f} s left' for value, left in sorted(told.items(), reverse=True)[:6]))
    return told


@suite.test
def the_redo_headroom_comes_true():
    s = scene()
    # as much log as this machine writes in that time
    size = max(20, min(64, int(redo_rate(s) * HEADROOM_S / 0.7) // MIB))
    s.node.execute(f'SET GLOBAL innodb_log_file_size = {size * MIB}')
    try:
        for _ in range(ATTEMPTS):
            s.idle()
            told = headroom(s)
            near = [(value, left) for value, left in told.items() if 1 <= left <= 4]
            true = near and all(value <= 2 * left + 1.5 and left <= 2 * (value + 1) + 1.5 for value, left in near)
            if true:
                break
        assert true, told
    finally:
        s.node.execute(f'SET GLOBAL innodb_log_file_size = {96 * MIB}')


# -- options of BACKUP_START that have an effect on how it goes

def lock_wait(s):
    blocker = s.node.connect()
    query(blocker, 'LOCK TABLES probe.m WRITE')
    begin = time.monotonic()
    number, text = backups.error_of(backups.call, s.node, 'BACKUP_START', '{"wait": true, "lock_wait": 2}')
    took = time.monotonic() - begin
    blocker.close()
    assert number == 22111 and 'for 2 s' in text and took < 45, (text, took)  # the default is a minute


def block_timeout(s):
    backups.hold(s.node, 'BLOCK_DDL')
    backup = backups.start(s.node, block_timeout='100ms')
    backups.wait_held(s.node, 'BLOCK_DDL')
    held = time.monotonic()
    wait_for(lambda: time.monotonic() - held > 0.2, 5, 'block_timeout to pass')
    backups.release(s.node)
    figures = backups.wait_end(s.node, backup)
    assert s.node.in_log(f'{backup} stage [A-Z_]+ had to wait for'), 'it did not let go'
    assert figures['state'] == 'succeeded' and int(figures['blocked_ms']) < 200, figures


def rate(s):
    begin = time.monotonic()
    figures = backups.take(s.node, rate='32M')
    took = time.monotonic() - begin
    least = int(figures['bytes_done']) / (32 * MIB)
    assert least * 0.85 < took, f'{took:.1f} s for what takes {least:.1f} s at the rate'


def readers(s):
    """How many reader threads the server has."""
    names = []
    for task in os.listdir(f'/proc/{s.node.process.pid}/task'):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            with open(f'/proc/{s.node.process.pid}/task/{task}/comm', encoding='ascii', errors='replace') as f:
                names.append(f.read().strip())
    return names.count('gb-reader')


def threads(s):
    backup = backups.start(s.node, rate='4M', threads=5)
    assert backups.state(s.node)['threads'] == '5'
    wait_for(lambda: readers(s) == 5, 10, 'five reader threads')
    rows = backups.call(s.node, 'BACKUP_SET', '{"threads": 9}')
    assert rows[0]['threads'] == 9, rows
    wait_for(lambda: readers(s) == 9, 10, 'nine reader threads')
    backups.call(s.node, 'BACKUP_CANCEL', backup)


def repository(s):
    row = backups.call(s.node, 'BACKUP_START', '{"repository": ["dense"], "dry_run": false, "rate": "8M"}')[0]
    assert json.loads(row['repositories'])[0]['name'] == 'dense', row
    s.cancel()
    number, text = backups.error_of(backups.call, s.node, 'BACKUP_START', '{"repository": "full"}')
    assert number == 23002, text


def dry_run(s):
    before = s.agent.listed()
    row = backups.call(s.node, 'BACKUP_START', '{"dry_run": true, "wait": true}')[0]
    assert row['state'] == 'succeeded' and s.agent.listed() == before, row
    assert not any(row['id'] == each['id'] for each in backups.call(s.node, 'BACKUP_LIST', None))


for option in (lock_wait, block_timeout, rate, threads, repository, dry_run):
    suite.add(f'option_{option.__name__}', lambda f: f(scene()), option)


# -- BACKUP_CHECK: what it warns of

def checks(s, options=None):
    return {row['check']: row for row in backups.call(s.node, 'BACKUP_CHECK', options)}


@suite.test
def the_check_warns_of_places_and_of_too_small_a_redo_log():
    s = scene()
    rows = checks(s)
    here = os.stat(s.node.datadir).st_dev == os.stat(s.repository).st_dev
    assert rows['repository default']['result'] == ('WARN' if here else 'OK'), rows['repository default']
    assert rows['off_host']['result'] == 'WARN' and rows['off_host']['remedy'], rows['off_host']
    assert 'versions' not in rows and 'redo_headroom' not in rows, rows
    # two backups, an hour apart, with 3.6 GB of redo between them: 96 MB last for a minute and a half
    s.node.execute(*[f"INSERT INTO galera_backup.backups (cluster, id, node, state, finished_at, lsn_start, lsn_end, as_of) VALUES ('surface', "
                     f"'20990101T0{hour}0000Z-full-00000000', 'n2', 'succeeded', '2099-01-01 0{hour}:10:00', 1, {1000000 + hour * 3600000000}, "
                     "UTC_TIMESTAMP())" for hour in (1, 2)])
    found = checks(s)['redo_headroom']
    s.node.execute("DELETE FROM galera_backup.backups WHERE id LIKE '2099%'")
    assert found['result'] == 'WARN' and '100s' not in found['detail'] and '1000 kB/s' in found['detail'], found
    assert 'innodb_log_file_size = 1 * 1073741824' in found['remedy'], found


@suite.test
def a_repository_with_less_room_than_there_is_data_is_told():
    s = scene()
    if not s.small:
        suite.skip('no file system can be mounted here')
    assert not [name for name in checks(s) if name.startswith('room')]
    row = checks(s, '{"repository": "small"}')['room in repository small']
    free, data = (int(re.search(f'([0-9]+) MB {what}', row['detail'])[1]) for what in ('are free', 'of data'))
    assert row['result'] == 'WARN' and row['remedy'] and free <= SMALL_MB < DATA // MIB <= data <= 4 * DATA // MIB, row


@suite.test
def a_memory_limit_that_a_backup_would_exceed_refuses_it():
    """The ring is shared memory of the server: beyond the limit the kernel would kill it."""
    s = scene()
    assert checks(s)['memory']['result'] == checks(s)['agent_memory']['result'] == 'OK', checks(s)
    group = cgroup.make('server', memory=True)
    if not group:
        suite.skip('no cgroup for memory here')
    group.limit_memory(120 * MIB)
    s.node.execute(f'SET GLOBAL galera_backup_ring_size = {128 * MIB}')
    group.add(s.node.process.pid)
    group.add(s.agent.process.pid)
    try:
        rows = checks(s)
        assert rows['memory']['result'] == 'FAIL' and '160 MB' in rows['memory']['detail'] and rows['memory']['remedy'], rows['memory']
        assert rows['agent_memory']['result'] == 'WARN' and 'redo-memory' in rows['agent_memory']['remedy'], rows['agent_memory']
        try:
            backups.start(s.node)
            raise AssertionError('it began')
        except pymysql.MySQLError as error:
            assert error.args[0] == 22107 and 'memory limit' in error.args[1], error
        s.node.execute(f'SET GLOBAL galera_backup_ring_size = {48 * MIB}')
        assert checks(s)['memory']['result'] == 'OK', checks(s)['memory']
    finally:
        s.node.execute(f'SET GLOBAL galera_backup_ring_size = {48 * MIB}')
        group.remove()
    assert checks(s)['memory']['result'] == 'OK', checks(s)['memory']


# -- the command line

@suite.test
def every_reading_command_answers_in_json():
    s = scene()
    backup = backups.take(s.node, comment='the one')['id']
    wait_for(lambda: s.agent.json('log', backup)['log'], 20, 'the log')
    answers = {'check': 'checks', 'status': 'status', 'list': 'backups', 'info': None, 'log': 'log', 'verify': None, 'version': None}
    for command, key in answers.items():
        arguments = [command] + ([backup] if command in ('info', 'verify', 'status', 'log') else [])
        answer = s.agent.json(*arguments)
        assert answer['schema'] == 1 and (key is None or answer[key]), f'{command}: {answer}'
    row = next(each for each in s.agent.json('list')['backups'] if each['id'] == backup)
    unknown = {'key_ids', 'error_code', 'error', 'as_of'}  # to the repository alone
    missing = set(backups.call(s.node, 'BACKUP_LIST', None)[0]) - set(row) - unknown
    assert not missing and (row['encrypted'], row['chain_length'], row['parent']) == (False, 1, None), (missing, row)
    row = s.agent.json('status', backup)['status'][0]
    assert row['bytes_done'] > DATA and row['percent'] == 100 and row['error_code'] == 0, row
    assert row['repositories'][0]['state'] == 'succeeded' and row['parent'] is None, row
    started = s.agent.json('backup', '--no-wait', '--rate', '1M')
    assert started['schema'] == 1 and started['status']['state'] == 'running', started
    assert s.agent.json('set', '--rate', '2M')['set'] == [{'rate': 2 * MIB, 'threads': 2, 'busy_rate': 0}]
    assert s.agent.json('cancel')['cancelled'][0]['state'] == 'cancelled'


def failing(s, *arguments, status, code, config=None):
    """The command must end with that status and with that error, said in words and as JSON."""
    argv = [binary(), '--config', config or s.agent.config] + list(arguments)
    words = processes.run(argv, check=False)
    if arguments[0] == 'restore':  # tells people only
        assert (words.returncode, f'GB{code} ' in words.stderr) == (status, True), words.stderr
        return None
    told = processes.run(argv + ['--json'], check=False)
    assert words.returncode == told.returncode == status, f'{arguments}: {words.returncode}, {told.returncode}: {words.stderr}'
    assert f'GB{code} ' in words.stderr and '\n  do: ' in words.stderr, words.stderr
    error = json.loads(told.stderr.strip().splitlines()[-1])
    assert error['schema'] == 1 and set(error['error']) == {'code', 'name', 'class', 'message', 'hint'}, error
    assert error['error']['code'] == code and all(error['error'].values()), error
    return error['error']


def config_file(name, text):
    path = os.path.join(processes.run_dir(), name)
    with open(path, 'w', encoding='ascii') as f:
        f.write(text)
    return path


@suite.test
def exit_statuses_and_errors():
    s = scene()
    backup = backups.take(s.node)['id']
    nobody = config_file('nobody.cnf', '[server]\nsocket = /nowhere/sock\n')
    stranger = config_file('stranger.cnf', f'[server]\nsocket = {s.node.socket}\nuser = stranger\n')
    damaged = config_file('damaged.cnf', '[agent]\nredo-memory = much\n')
    nowhere = os.path.join(processes.run_dir(), 'no-repository')
    gone = config_file('gone.cnf', f'[repository:default]\npath = {nowhere}\n')
    s.node.execute('CREATE USER IF NOT EXISTS bare@localhost')
    bare = config_file('bare.cnf', f'[server]\nsocket = {s.node.socket}\nuser = bare\n')
    for arguments, status, code, config in (
            (['verify', 'latest', '--threads', 'x'], 2, 1003, None), (['lits'], 2, 1001, None), (['list', '--rate', '1'], 2, 1002, None),
            (['consolidate'], 2, 1005, None), (['list'], 3, 1004, damaged), (['backup', '--repository', 'elsewhere'], 3, 3003, None),
            (['status'], 4, 5001, nobody), (['list'], 8, 3001, gone), (['backup', '--repository', 'full'], 9, 3002, None),
            (['status'], 10, 5003, stranger), (['status'], 10, 5003, bare), (['info', '20200101T000000Z-full-00000000'], 14, 3005, None), (['cancel'], 14, 2004, None),
            (['backup', '--rate', '1M', '--max-duration', '1s', '--progress', 'none'], 6, 2103, None),
            (['restore', backup, '--yes', '--datadir', s.node.datadir], 15, 4002, None)):
        failing(s, *arguments, status=status, code=code, config=config)
        s.idle()
    assert not os.path.exists(nowhere), 'a command that reads has made a repository'
    running = backups.start(s.node, rate='1M')
    backups.wait_stage(s.node, 'COPY')
    busy = failing(s, 'backup', status=5, code=2003)
    assert running in busy['message'] and 'COPY' in busy['message'], busy
    s.cancel()
    # 13: one byte of a backup changed
    place = os.path.join(s.repository, 'surface', 'backups', backup, 'data')
    with open(os.path.join(place, sorted(os.listdir(place))[0]), 'r+b') as f:
        f.seek(5000)
        byte = f.read(1)
        f.seek(5000)
        f.write(bytes([byte[0] ^ 1]))
    failing(s, 'verify', backup, status=13, code=3006)
    s.node.execute('DROP PROCEDURE galera_backup.BACKUP_CANCEL')
    missing = failing(s, 'cancel', status=6, code=2104)
    assert 'install.sql' in missing['hint'], missing
    backups.install(s.node)
    failing(s, 'cancel', status=14, code=2004)


@suite.test
def interrupted_once_it_cancels_and_twice_it_leaves():
    s = scene()
    for interrupts, status in ((1, 7), (2, 11)):
        s.idle()
        process = processes.start(s.agent.argv('backup', '--rate', '1M', '--progress', 'none'), stderr=subprocess.PIPE)
        backups.wait_stage(s.node, 'COPY')
        if interrupts == 2:
            s.agent.freeze()  # the cancel takes a second longer
        process.send_signal(signal.SIGINT)
        words = process.stderr.readline() + process.stderr.readline()
        assert b'cancelling' in words, words
        if interrupts == 2:
            process.send_signal(signal.SIGINT)
        code = process.wait(30)
        assert interrupts == 2 or b'the node is Synced' in process.stderr.read()
        state = backups.state(s.node)['state']
        assert code == status and (interrupts == 2 or state == 'cancelled'), (interrupts, code, state)
        s.agent.thaw()
        wait_for(lambda: backups.state(s.node)['state'] == 'cancelled', 60, 'the cancel to go on in the server')



@suite.test
def a_command_that_loses_its_connection_says_how_to_go_on():
    s = scene()
    s.idle()

    def following():
        """Connections that have come and have left BACKUP_START behind."""
        return [row[0] for row in s.node.rows('SELECT ID FROM information_schema.PROCESSLIST WHERE HOST = "localhost" AND IFNULL(INFO, "") NOT LIKE "%BACKUP_START%"')
                if row[0] not in before]

    before = ()
    before = following()
    process = processes.start(s.agent.argv('backup', '--rate', '1M', '--progress', 'none'), stderr=subprocess.PIPE)
    backups.wait_stage(s.node, 'COPY')
    backup = backups.state(s.node)['id']
    wait_for(following, 20, 'the command to follow its backup')
    for number in following():
        s.node.execute(f'KILL {number}')
    words = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 11 and 'GB5002' in words and f'galera-backup status {backup} --watch' in words, (process.returncode, words)
    assert backups.state(s.node)['state'] == 'running', 'the backup has ended with the command'
    watching = processes.start(s.agent.argv('status', backup, '--watch'), stdout=subprocess.PIPE)
    words = b''
    while b'running' not in words:
        said = watching.stdout.read1(1 << 16)
        assert said, words
        words += said
    backups.call(s.node, 'BACKUP_SET', '{"rate": 0}')
    words = (words + watching.communicate(timeout=120)[0]).decode()
    assert watching.returncode == 0 and 'running' in words and words.rstrip().rfind('succeeded') > words.rfind('running'), words


suite.main()
