#!/usr/bin/python3
"""Backups begun and cancelled, again and again, at whatever stage they are: threads, descriptors and resident memory of mariadbd and
of the agent are afterwards what they were.

60 rounds in the short form, 1,000 in the long one (GB_TEST_ROUNDS). GB_TEST_SEED chooses when each is cancelled.
"""
import collections
import os
import random
import shutil
import statistics
import sys

import pymysql

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import LONG, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

ROUNDS = int(os.environ.get('GB_TEST_ROUNDS', 1000 if LONG else 40))
SEED = int(os.environ.get('GB_TEST_SEED', 1))
NOT_RUNNING = 22004
WARM_UP = 12  # caches and arenas of malloc() grow until then
WINDOW = 10  # rounds: the median of so many at the beginning and at the end
GROWTH_KB = 8192  # what malloc() may still take; a leak of a page of 16 KB a round is twice that in the long form
SPARE_THREADS = 1 if LONG else 6
HELD = ['COPY', 'FLUSH', 'WINDOW', 'BLOCK_DDL', 'BLOCK_COMMIT', 'REDO', 'COMMIT']

suite = Suite()


class Figures:
    def __init__(self, pid):
        with open(f'/proc/{pid}/status', encoding='ascii') as f:
            lines = dict(line.rstrip('\n').split(':\t', 1) for line in f)
        self.rss_kb = int(lines['VmRSS'].split()[0])
        self.threads = int(lines['Threads'])
        self.descriptors = sorted(self.kind(path) for path in processes.descriptors(pid).values())

    @staticmethod
    def kind(path):
        """Of files that a server may open and close by itself only their kind counts."""
        return path.split('[')[0].split(':')[0] if path.startswith(('/', 'socket:', 'pipe:', 'anon_inode:')) else path

    def odd(self):
        """Descriptors that are no files of tables: sockets, memory, directories of the repository."""
        return sorted(each for each in self.descriptors if not each.endswith(('.ibd', '.MAI', '.MAD', '.MYI', '.MYD', '.CSV', '.CSM')))


def one_round(server, choice):
    """Begins a backup and cancels it, at once or where it is held; one in ten is left to succeed. How it ended."""
    how = choice.random()
    if how < 0.1:
        return backups.take(server)['state']
    stage = choice.choice(HELD) if how < 0.6 else None
    if stage:
        backups.hold(server, stage)
    backup = backups.start(server)
    if stage:
        backups.wait_held(server, stage)
    try:
        backups.call(server, 'BACKUP_CANCEL', None)
    except pymysql.MySQLError as error:
        if stage or error.args[0] != NOT_RUNNING:  # one that nothing holds may have ended
            raise
    backups.release(server)
    state = backups.wait_end(server, backup)['state']
    assert state == 'cancelled' or (state == 'succeeded' and not stage), f'{backup} {state}, cancelled at {stage}'
    return state


@suite.test
def threads_descriptors_and_memory_stay_what_they_were():
    say(f'seed {SEED}, {ROUNDS} rounds')
    server = Server('rounds', {'innodb-buffer-pool-size': '8M'})  # full before the rounds begin: it is no growth of ours
    # With an arena for each thread malloc() keeps 5 to 30 MB more, in steps; with one, 100 rounds are flat within 0.1 MB.
    server.environment = {**(server.environment or os.environ), 'MALLOC_ARENA_MAX': '1'}
    server.create()
    server.start()
    agent = Agent(server).start()
    backups.install(server)
    load.bulk(server, 'sbtest', 2, 5 << 20)
    choice, ended, seen = random.Random(SEED), {}, {'mariadbd': [], 'agent': []}
    store = os.path.join(agent.repository, server.name, 'backups')
    for number in range(WARM_UP + ROUNDS):
        state = one_round(server, choice)
        ended[state] = ended.get(state, 0) + 1
        # at the end of a round the agent removes what was cancelled: its session ends after the server's
        wait_for(lambda: all(os.path.exists(os.path.join(store, name, 'backup.json')) for name in os.listdir(store)), 30,
                 'what was cancelled to be removed', while_true=agent.alive)
        for name in os.listdir(store):
            shutil.rmtree(os.path.join(store, name))
        if number >= WARM_UP:
            if number == WARM_UP:
                before = {name: Figures(process.pid) for name, process in (('mariadbd', server.process), ('agent', agent.process))}
            seen['mariadbd'].append(Figures(server.process.pid).rss_kb)
            seen['agent'].append(Figures(agent.process.pid).rss_kb)
    say(f'ended: {ended}')
    for name, process in (('mariadbd', server.process), ('agent', agent.process)):
        first, last = statistics.median(seen[name][:WINDOW]), statistics.median(seen[name][-WINDOW:])
        now = Figures(process.pid)
        say(f'{name}: resident {first / 1024:.1f} MB, after {ROUNDS} rounds {last / 1024:.1f} MB; '
            f'{len(before[name].descriptors)} and {len(now.descriptors)} descriptors, {before[name].threads} and {now.threads} threads')
        assert last - first <= GROWTH_KB, f'{name} has grown by {last - first} KB: {seen[name][::max(1, ROUNDS // 40)]}'
        # the session of the round before the first that counts may still have been ending
        wait_for(lambda: not collections.Counter(Figures(process.pid).odd()) - collections.Counter(before[name].odd()), 20,
                 f'{name} to have no descriptors that it had not before')
        # InnoDB's pool keeps a thread that has nothing to do for a minute; a thread that each round leaves is many more than that
        wait_for(lambda: Figures(process.pid).threads <= before[name].threads + SPARE_THREADS, 90, f'{name} to have {before[name].threads} threads')
    server.stop()
    agent.stop()


suite.main()
