#!/usr/bin/python3
"""The readers step back for the server: lower priority, a pace that follows what commits cost, and the limits that
people and cgroups set.
"""
import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, cgroup, load  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, query  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
MIB = 1 << 20
DATA_MIB = 2000
PROCESSORS = len(os.sched_getaffinity(0))
SLOT = MIB
READER_NICE, WORKER_NICE = 10, 15
ATTEMPTS = 3  # two seconds of reading, on a machine that others may use: one backup may end before


class Scene:
    def __init__(self):
        self.server = Server('pace', {'innodb-buffer-pool-size': '256M', 'innodb-flush-log-at-trx-commit': '0',
                                      'innodb-log-file-size': '256M', 'innodb-io-capacity': '8000', 'innodb-doublewrite': 'OFF'})
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        self.server.execute('CREATE DATABASE d', 'CREATE TABLE d.big (id INT PRIMARY KEY, v LONGBLOB) ENGINE=InnoDB',
                            *(f'INSERT INTO d.big SELECT seq, REPEAT(RANDOM_BYTES(1024), 1000) FROM seq_{first}_to_{first + 99}'
                              for first in range(1, DATA_MIB, 100)),
                            'SET GLOBAL innodb_max_dirty_pages_pct = 0')
        # redo that has to be caught up with first would be in the way of what is measured here
        wait_for(lambda: int(self.server.status('Innodb_checkpoint_age')) < MIB, 60, 'a checkpoint')

    def running(self, **options):
        if backups.state(self.server)['state'] == backups.RUNNING:  # a failed test has left it
            self.cancel(backups.state(self.server)['id'])
        backup = backups.start(self.server, **options)
        backups.wait_stage(self.server, 'COPY')
        return backup

    def cancel(self, backup):
        backups.call(self.server, 'BACKUP_CANCEL', backup)
        return backups.wait_end(self.server, backup)


shared = Shared(Scene)


def threads(process, name):
    """{thread id: nice value} of the threads of that name."""
    found = {}
    for tid in os.listdir(f'/proc/{process.pid}/task'):
        try:
            with open(f'/proc/{process.pid}/task/{tid}/comm', encoding='ascii', errors='replace') as f:
                if name in ('', f.read().strip()):
                    found[int(tid)] = os.getpriority(os.PRIO_PROCESS, int(tid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return found


def settled(s, count):
    """(readers, prompt ones, workers), as threads(), once all are there with the priority they are to have."""
    readers, prompt = (threads(s.server.process, name) for name in ('gb-reader', 'gb-prompt'))
    workers = threads(s.agent.process, 'gb-worker')
    right = len(readers) == len(prompt) == count and set(readers.values()) == {READER_NICE} and set(workers.values()) == {WORKER_NICE}
    return right and (readers, prompt, workers)


@suite.test
def bulk_threads_have_low_priority_and_no_others():
    s = shared()
    backup = s.running(rate='1M', threads=2)
    # a thread has its name before its priority
    readers, prompt, workers = wait_for(lambda: settled(s, 2), 20, 'readers and workers')
    redo = {**threads(s.server.process, 'gb-redo-early'), **threads(s.agent.process, 'gb-redo-early'), **threads(s.agent.process, 'gb-catch-up')}
    others = {**threads(s.server.process, ''), **threads(s.agent.process, '')}
    s.cancel(backup)
    assert set(redo.values()) <= {READER_NICE, WORKER_NICE}, redo
    rest = {tid: nice for tid, nice in others.items() if tid not in readers and tid not in workers and tid not in redo}
    assert set(rest.values()) == {0}, rest


@suite.test
def the_number_of_readers_changes_while_they_run():
    s = shared()
    backup = s.running(rate='64M', threads=1)
    wait_for(lambda: len(threads(s.server.process, 'gb-reader')) == 1, 20, 'one reader')
    backups.call(s.server, 'BACKUP_SET', '{"threads": 5}')
    wait_for(lambda: len(threads(s.server.process, 'gb-reader')) == 5, 20, 'five readers')
    assert backups.state(s.server)['threads'] == '5'
    backups.call(s.server, 'BACKUP_SET', '{"threads": 2, "rate": 0}')
    figures = backups.wait_end(s.server, backup)
    assert (figures['state'], figures['threads']) == ('succeeded', '2'), f'{figures["state"]}: {figures["error"]}'


@suite.test
def a_hard_rate_is_never_exceeded():
    s = shared()
    rate, seen = 400 * MIB, []
    begin = time.monotonic()
    backup = backups.start(s.server, rate=rate, threads=4)
    while True:
        figures = backups.state(s.server)
        seen.append((time.monotonic() - begin, int(figures['bytes_done'])))
        if figures['stage'] in ('FLUSH', 'DONE') or figures['state'] != backups.RUNNING:
            break
        load.seconds(0.1)
    figures = backups.wait_end(s.server, backup)
    assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
    assert figures['rate_limit'] == str(rate), figures['rate_limit']
    for passed, done in seen:  # a quarter of a second may have been saved up
        assert done <= rate * (passed + 0.25) + 4 * SLOT, f'{done} bytes in {passed:.2f} s at {rate} bytes a second'
    passed, done = seen[-1]
    say(f'  {done / MIB:.0f} MiB in {passed:.1f} s: {done / passed / rate:.2f} of the rate')


class Calculations(load.Load):
    """A client that keeps a processor busy in the server."""
    pace_s = 0

    def step(self, connection):
        query(connection, 'DO BENCHMARK(2000000, MD5(1))')


@suite.test
def the_server_has_the_processors_that_it_needs():
    s = shared()
    available = len(os.sched_getaffinity(s.server.process.pid))
    each = min(5, max(1, 20 // available))  # where there are many, the data must not be copied before the readers slow down
    lowest = each * MIB * available
    with load.running([Calculations(s.server, seed) for seed in range(available)]):
        backup = s.running(rate=4 * lowest, busy_rate=f'{each}M')
        figures = wait_for(lambda: at_rest(s, lowest), 30, 'the readers to slow down')
        assert figures['waiting_for'].startswith('processors that the server uses ('), figures['waiting_for']
        begin, done = time.monotonic(), int(figures['bytes_done'])
        load.seconds(3)
        rate = (int(backups.state(s.server)['bytes_done']) - done) / (time.monotonic() - begin)
        assert 0.2 * lowest < rate < 1.5 * lowest, f'{rate / MIB:.1f} MiB/s'
        assert s.server.in_log(f'{backup} page readers slow down for the sake of the server.s own work: waiting for processors that')
        said = s.agent.cli('set', '--busy-rate', '0').stdout
        assert 'busy-rate 0 for each processor (as fast as it can)' in said, said
        wait_for(lambda: not backups.state(s.server)['waiting_for'], 30, 'nothing to be waited for any more')
        assert backups.state(s.server)['stage'] == 'COPY', backups.state(s.server)
        assert s.server.in_log(f'{backup} page readers run at full speed again')
    say(f'  {rate / MIB:.1f} MiB/s, {figures["waiting_for"]}')
    s.cancel(backup)


def at_rest(s, lowest):
    """The figures once the readers are as slow as they get for the server's sake."""
    figures = backups.state(s.server)
    assert figures['stage'] in ('PREFLIGHT', 'COPY'), figures
    return figures if figures['waiting_for'] and 0 < int(figures['read_rate']) < 1.5 * lowest else None


class Commits(load.Load):
    pace_s = 0

    def step(self, connection):
        query(connection, 'UPDATE d.busy SET n = n + 1 WHERE id = %s', (self.random.randint(1, 500),))


def slowed(s, rates):
    """The figures once the readers are slow for the sake of commits, or COPY has ended without."""
    figures = backups.state(s.server)
    rates.append(int(figures['read_rate']))
    shown = figures['waiting_for'].startswith('commits') and figures['bottleneck'] == 'throttle' and \
        rates[-1] < 0.7 * max(rates)
    return figures if shown or figures['stage'] not in ('PREFLIGHT', 'COPY') else None


def on_one_processor(process, processors):
    for tid in threads(process, ''):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(tid, processors)


@suite.test
def readers_slow_down_while_commits_are_slower_and_recover():
    """What low priority can't do, as between containers: here readers that push aside everything on one processor."""
    if not LONG:
        suite.skip('what commits cost is the machine\'s: long form only')
    s = shared()
    if os.geteuid():
        suite.skip('only root may raise a priority')
    s.server.execute('CREATE TABLE d.busy (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB',
                     'INSERT INTO d.busy SELECT seq, 0 FROM seq_1_to_500')
    s.server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
    loads = [Commits(s.server, seed) for seed in range(4)]
    everywhere = os.sched_getaffinity(s.server.process.pid)
    on_one_processor(s.server.process, {min(everywhere)})
    try:
        with load.running(loads):
            wait_for(lambda: loads[0].done > 100, 30, 'commits')
            for _ in range(ATTEMPTS):
                backup = s.running(threads=8)
                for tid in wait_for(lambda: threads(s.server.process, 'gb-reader'), 20, 'the readers'):
                    os.setpriority(os.PRIO_PROCESS, tid, -20)
                before = []
                slow = wait_for(lambda: slowed(s, before), 30, 'the readers to slow down')
                if slow['stage'] == 'COPY':
                    break
        assert slow['stage'] == 'COPY', f'COPY ended before the readers slowed down: {slow}'
        after = []

        def recovered():
            after.append(int(backups.state(s.server)['read_rate']))
            return s.server.in_log(f'{backup} page readers run at full speed again')
        wait_for(recovered, 60, 'the readers to recover')
    finally:
        on_one_processor(s.server.process, everywhere)
    figures = backups.wait_end(s.server, backup)
    least = min(before[-1:] + after)
    say(f'  {slow["waiting_for"]}; {max(before) / MIB:.0f} MiB/s before, {least / MIB:.0f} then, {max(after) / MIB:.0f} after the load')
    assert s.server.in_log(f'{backup} page readers slow down for the sake of commits')
    assert max(after) > least, f'{before}, {after}'
    assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
    assert figures['waiting_for'] == '' and figures['bottleneck'] == '', figures


@suite.test
def threads_follow_the_cpu_limit_of_the_cgroup():
    s = shared()
    group = cgroup.make('few', 0.7)
    if not group:
        suite.skip('a CPU cgroup can\'t be made here')
    group.add(s.server.process.pid)
    group.add(s.agent.process.pid)
    all_workers = None
    for processors in (0.7, PROCESSORS):
        group.limit(processors)
        backup = s.running(rate='1M')
        expected = 1 if processors < 1 else min(PROCESSORS, 8)
        workers = len(wait_for(lambda: settled(s, expected), 20, f'{expected} readers with {processors} processors')[2])
        figures = s.cancel(backup)
        assert figures['threads'] == str(expected), figures['threads']
        if all_workers is not None:
            assert workers - all_workers == PROCESSORS - 1, f'{all_workers} and {workers} workers'
        all_workers = workers
    group.remove()


suite.main()
