#!/usr/bin/python3
"""Compressions: what each stores, and that it comes back; and the one whose level follows the store."""
import collections
import glob
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402

NONE, ZSTD, LZ4 = 0, 1, 2
CODECS = {'none': NONE, 'lz4': LZ4, 'lz4:9': LZ4, 'zstd:1': ZSTD, 'zstd:9': ZSTD}
FRAME_HEADER = 40
DATA_MB = 800 if LONG else 60
TABLE_MB = 10
SLOW_BYTES_S = (5 if LONG else 3) << 20

suite = Suite()


class Scene:
    """One server, an agent with a repository for each compression; that called auto is on a file system that can be made slow."""

    def __init__(self):
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        self.slow = processes.Stall('repository-auto')
        repositories = {}
        for compression in [*CODECS, 'zstd:auto']:
            name = compression.replace(':', '-') if compression in CODECS else 'auto'
            path = os.path.join(self.server.base, f'repository-{name}')
            os.makedirs(path)
            if name == 'auto' and not LONG:  # quick on every machine but when the test makes it slow
                processes.mount_tmpfs(path, '1G')
            repositories[name] = {'type': 'directory', 'path': path, 'min-free': '0%', 'compression': compression}
        self.paths = {name: options['path'] for name, options in repositories.items()}
        self.agent = Agent(self.server, repositories=repositories)
        self.agent.environment = self.slow.environment
        self.agent.start()
        backups.install(self.server)
        self.fill()

    def fill(self):
        """Texts of words, some much more frequent than others: a higher level makes less of them. Tables are alike, frames are not."""
        choice = random.Random(1)
        words = [''.join(choice.choices('etaoinshrdlu', k=choice.randint(2, 9))) for _ in range(4000)]
        weights = [1 / (at + 3) for at in range(len(words))]
        self.server.execute('CREATE DATABASE texts', 'CREATE TABLE texts.t1 (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB')
        rows = [' '.join(choice.choices(words, weights, k=150)) for _ in range(TABLE_MB << 10)]
        connection = self.server.connect()
        with connection.cursor() as cursor:
            for first in range(0, len(rows), 500):
                cursor.executemany('INSERT INTO texts.t1 VALUES (%s, %s)', list(enumerate(rows))[first:first + 500])
        connection.commit()
        connection.close()
        for number in range(2, DATA_MB // TABLE_MB + 1):
            self.server.execute(f'CREATE TABLE texts.t{number} ENGINE=InnoDB AS SELECT * FROM texts.t1')

    def frames(self, name, backup):
        """{codec: (frames, stored bytes)} as the headers of its segments say."""
        found = collections.defaultdict(lambda: [0, 0])
        for path in glob.glob(os.path.join(self.paths[name], '*', 'backups', backup, 'data', '*.seg')):
            with open(path, 'rb') as f:
                data = f.read()
            at = 0
            while at < len(data):
                assert data[at:at + 4] == b'GBF1', f'{path} at {at}'
                size, codec = int.from_bytes(data[at + 12:at + 16], 'big'), data[at + 20]
                found[codec][0] += 1
                found[codec][1] += size
                at += FRAME_HEADER + size
        return {codec: tuple(sums) for codec, sums in found.items()}


shared = Shared(Scene)


@suite.test
def each_compression_stores_what_it_says_and_comes_back():
    s = shared()
    stored = {}
    for compression, codec in CODECS.items():
        name = compression.replace(':', '-')
        backup, expected = oracle.backup(s.server, repository=name)
        frames = s.frames(name, backup['id'])
        stored[compression] = int(backup['bytes_stored'])
        say(f'  {compression}: {stored[compression] >> 20} MB, frames {frames}')
        assert set(frames) <= {codec, NONE} and codec in frames, f'{compression}: {frames}'
        assert 'good' in s.agent.cli('verify', backup['id'], '--repository', name).stdout
        if compression == 'lz4':
            say('  ' + restored.verify(Named(s.agent, name), backup['id'], expected, galera=False))
    assert stored['none'] > stored['lz4'] > stored['lz4:9'] and stored['none'] > stored['zstd:1'] > stored['zstd:9'], stored


class Named:
    """The agent's command line with one repository."""

    def __init__(self, agent, name):
        self.agent, self.name = agent, name

    def json(self, *arguments):
        return self.agent.json(*arguments, '--repository', self.name)

    def restore(self, backup, datadir, *options):
        return self.agent.restore(backup, datadir, '--repository', self.name, *options)


def adapted(backup, slow):
    """(the highest level, stored bytes) of a backup with zstd:auto."""
    s = shared()
    found = s.agent.in_log(rf'{backup["id"]}\S* compression zstd:auto: level (\d+) at the end, (\d+) at most')
    assert found, s.agent.log_text()[-2000:]
    say(f'  {"slow" if slow else "fast"}: level {found[1]} at the end, {found[2]} at most, {int(backup["bytes_stored"]) >> 20} MB')
    return int(found[2]), int(backup['bytes_stored'])


@suite.test
def the_level_follows_the_store():
    """A store that takes little gets less; what was stored at several levels comes back."""
    s = shared()
    fast_level, fast_bytes = adapted(backups.take(s.server, repository='auto'), False)
    with open(s.slow.file, 'w', encoding='ascii') as f:
        f.write(str(SLOW_BYTES_S))
    try:
        backup, expected = oracle.backup(s.server, repository='auto')
    finally:
        s.slow.end()
    slow_level, slow_bytes = adapted(backup, True)
    assert slow_level >= fast_level + 2, f'level {slow_level} with a slow store, {fast_level} with a fast one'
    assert slow_bytes < 0.99 * fast_bytes, f'{slow_bytes} bytes in a slow store, {fast_bytes} in a fast one'
    say('  ' + restored.verify(Named(s.agent, 'auto'), backup['id'], expected, galera=False))


@suite.test
def a_save_adapts_too():
    s = shared()
    s.server.stop()
    saves = []
    for slow in (False, True):
        if slow:
            with open(s.slow.file, 'w', encoding='ascii') as f:
                f.write(str(SLOW_BYTES_S))
        try:
            saves.append(processes.run(s.agent.argv('save', '--datadir', s.server.datadir, '--repository', 'auto', '--json'),
                                       env=s.slow.environment).stdout)
        finally:
            s.slow.end()
    fast, slow = (int(re.search(r'"stored_bytes": (\d+)', text)[1]) for text in saves)
    say(f'  fast {fast >> 20} MB, slow {slow >> 20} MB')
    assert slow < 0.97 * fast, f'{slow} bytes in a slow store, {fast} in a fast one'


suite.main()
