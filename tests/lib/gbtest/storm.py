"""A storm of DDL: whatever makes, changes or removes tables and their files, chosen by a seed.

    each = Storm(node, 1, 'one'); each.prepare(node); each.start(); ...; each.counts  # {kind of statement: how many}

A storm has schemas of its own, two that stay and some that come and go. What may be done to a table is told by the first letter of its name:
t all of ALTER TABLE, by any engine; b the same, and it is larger than what may be left to the pause; p and q partitioned (InnoDB, Aria), x and y of the
same columns, to be exchanged with a partition; c such a partition made a table; w words with a full-text index; i imported.
"""
import collections
import contextlib
import os
import shutil

import pymysql

from . import load
from .server import query

ENGINES = ('InnoDB', 'InnoDB', 'InnoDB', 'InnoDB', 'InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4', 'MyISAM', 'Aria', 'Aria TRANSACTIONAL=0')
# what an engine is changed to; nothing of the old one's options stays
CHANGES = ('InnoDB ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=0', 'InnoDB ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=0', 'MyISAM ROW_FORMAT=DEFAULT KEY_BLOCK_SIZE=0',
           'Aria ROW_FORMAT=PAGE KEY_BLOCK_SIZE=0')
PLAIN = '(id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0, filler VARCHAR(255) NOT NULL DEFAULT "")'
LISTED = '(id INT NOT NULL, g INT NOT NULL, filler VARCHAR(255), PRIMARY KEY (id, g))'
PARTITIONED = {'p': 'InnoDB', 'q': 'Aria'}
PARTNER = {'p': 'x', 'q': 'y'}
PARTITIONS = ', '.join(f'PARTITION l{each} VALUES IN ({each})' for each in range(3))
TABLES, DATABASES, WORDS = 12, 2, 3
BIG_ROWS = 45000  # 10 MB
DEADLOCK = 1213
IMPORT_WAIT_S = 0.3
# ALGORITHM that this table can't do it by; a trigger keeps a table in its schema; a table that differs from the partition; the trigger of
# that name has gone to another table with a swap of their names
REFUSED_ERRORS = {1845, 1846, 1435, 1736, 1360}


class Storm(load.Load):
    pace_s = 0.02

    def __init__(self, server, seed, name, nodes=(), **options):
        """nodes: of a cluster; IMPORT TABLESPACE is done on each of them, since it is not replicated."""
        super().__init__(server, seed, **options)
        self.name, self.nodes = f'storm_{name}', list(nodes) or [server]
        self.counts, self.errors = collections.Counter(), collections.Counter()
        self.number = 0
        self.connection = None
        self.midway = None  # a table that an import has left without its tablespace
        self.links = {}
        self.actions = {  # and how often
            self.create: 12, self.drop: 6, self.truncate: 6, self.rename: 10, self.alter: 24, self.rebuild: 6, self.change_engine: 4,
            self.change_rows: 12, self.partition: 10, self.words: 8, self.imported: 4, self.database: 4, self.program: 4, self.big: 3}

    def prepare(self, server):
        server.execute(*(f'CREATE DATABASE {self.name}_{each}' for each in (0, 1)))
        self.connection = server.connect(120)
        for _ in range(TABLES):
            self.insist(self.create)
        for letter in 'bpqxywi':
            self.insist(self.make, letter)
        self.connection.close()

    @staticmethod
    def insist(action, *arguments):
        """Until no statement of another storm wins against it."""
        while True:
            try:
                return action(*arguments)
            except pymysql.err.OperationalError as error:
                if error.args[0] != DEADLOCK:
                    raise

    def step(self, connection):
        self.connection = connection
        if self.midway:
            self.end_import()
        self.random.choices(list(self.actions), list(self.actions.values()))[0]()

    def expected(self, number):
        self.errors[number] += 1
        return number in REFUSED_ERRORS

    # -- names

    def schemas(self):
        return [row[0] for row in query(self.connection, 'SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE %s '
                                        'ORDER BY 1', (self.name.replace('_', r'\_') + r'\_%',))]

    def tables(self, letters):
        return query(self.connection, 'SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE %s AND '
                     'table_type = "BASE TABLE" AND LEFT(table_name, 1) IN %s ORDER BY 1, 2',
                     (self.name.replace('_', r'\_') + r'\_%', tuple(letters)))

    def new(self, letter):
        self.number += 1
        return f'{self.random.choice(self.schemas())}.{letter}{self.number}'

    def pick(self, letter):
        """Any table of that letter, schema.name; one is made if there is none."""
        found = self.tables(letter)
        return '.'.join(self.random.choice(found)) if found else self.make(letter)

    def do(self, kind, sql):
        try:
            query(self.connection, sql)
        except pymysql.MySQLError as error:
            error.args += (sql,)  # for who reads of a failure
            raise
        self.counts[kind] += 1

    # -- tables that come and go

    def make(self, letter):
        """A table of that letter with some rows."""
        name, rows = self.new(letter), self.random.choice((0, 10, 1000))
        if letter in PARTITIONED:
            self.do('CREATE TABLE, partitioned', f'CREATE TABLE {name} {LISTED} ENGINE={PARTITIONED[letter]} PARTITION BY LIST (g) ({PARTITIONS})')
            query(self.connection, f'INSERT INTO {name} SELECT seq, seq % 3, REPEAT("p", seq % 200) FROM seq_1_to_500')
        elif letter in 'xy':
            self.do('CREATE TABLE', f'CREATE TABLE {name} {LISTED} ENGINE={"InnoDB" if letter == "x" else "Aria"}')
            query(self.connection, f'INSERT INTO {name} SELECT seq, 0, REPEAT("x", seq % 200) FROM seq_1_to_300')
        elif letter == 'w':
            index = self.random.choice((', FULLTEXT KEY f (v)', ''))
            self.do('CREATE TABLE', f'CREATE TABLE {name} (id INT PRIMARY KEY, v TEXT{index}) ENGINE=InnoDB')
            query(self.connection, f'INSERT INTO {name} SELECT seq, CONCAT("word", seq, " common") FROM seq_1_to_200')
        else:
            engine = 'InnoDB' if letter in 'bi' else self.random.choice(ENGINES)
            rows = {'b': BIG_ROWS, 'i': 2000}.get(letter, rows)
            self.do('CREATE TABLE', f'CREATE TABLE {name} {PLAIN} ENGINE={engine}')
            if rows:
                query(self.connection, f'INSERT INTO {name} SELECT seq, seq % 97, REPEAT(MD5(seq), 1 + seq % 7) FROM seq_1_to_{rows}')
        return name

    def create(self):
        """Also in place of one, like one, out of a query."""
        if len(self.tables('t')) > 2 * TABLES:
            return self.drop()
        how = self.random.random()
        if how < 0.6:
            return self.make('t')
        old, new = self.pick('t'), self.new('t')
        if how < 0.75:
            self.do('CREATE OR REPLACE TABLE', f'CREATE OR REPLACE TABLE {old} {PLAIN} ENGINE={self.random.choice(ENGINES)}')
        elif how < 0.85:
            self.do('CREATE TABLE LIKE', f'CREATE TABLE {new} LIKE {old}')
        else:
            self.do('CREATE TABLE SELECT', f'CREATE TABLE {new} {PLAIN} ENGINE=InnoDB AS SELECT seq AS id, seq AS n, REPEAT("s", seq % 250) AS filler '
                    'FROM seq_1_to_1000')
        return None

    def drop(self):
        letters = self.random.choice(('t', 't', 't', 't', 'pqxyciwb'))
        found = ['.'.join(each) for each in self.tables(letters)]
        if len(found) > (TABLES // 2 if letters == 't' else 5):
            chosen = self.random.sample(found, self.random.choice((1, 1, 2)))
            self.do('DROP TABLE', f'DROP TABLE {", ".join(chosen)}')

    def truncate(self):
        self.do('TRUNCATE TABLE', f'TRUNCATE TABLE {self.pick(self.random.choice("tttpqwx"))}')

    def rename(self):
        one, how = self.pick(self.random.choice('ttttpqwxib')), self.random.random()
        other = '.'.join(self.random.choice(self.tables('t') or [one.split('.')]))
        if how < 0.25 and other != one and one.split('.')[1][0] == 't':
            between = self.new('t')
            self.do('RENAME TABLE, a swap', f'RENAME TABLE {one} TO {between}, {other} TO {one}, {between} TO {other}')
            return
        new = self.new(one.split('.')[1][0])
        if how < 0.5:
            new = f'{one.split(".")[0]}.{new.split(".")[1]}'
        across = '' if new.split('.')[0] == one.split('.')[0] else ' across schemas'
        if self.random.random() < 0.3:
            self.do(f'ALTER TABLE RENAME{across}', f'ALTER TABLE {one} RENAME TO {new}')
        else:
            self.do(f'RENAME TABLE{across}', f'RENAME TABLE {one} TO {new}')

    # -- ALTER TABLE

    def alter(self, letter='t'):
        name, k = self.pick(letter), self.random.randint(0, 4)
        algorithm, what = self.random.choice((
            ('INSTANT', f'ADD COLUMN IF NOT EXISTS c{k} INT NOT NULL DEFAULT {k} FIRST'), ('INSTANT', f'DROP COLUMN IF EXISTS c{k}'),
            ('INSTANT', f'ADD COLUMN IF NOT EXISTS c{k} VARCHAR(20) DEFAULT "instant"'),
            ('NOCOPY', f'ADD INDEX IF NOT EXISTS k{k} (n)'), ('NOCOPY', f'DROP INDEX IF EXISTS k{k}'),
            ('INPLACE', 'FORCE'), ('INPLACE', f'ADD INDEX IF NOT EXISTS k{k} (filler(20)), ADD COLUMN IF NOT EXISTS c{k} INT AFTER id'),
            ('COPY', 'FORCE'), ('COPY', f'ADD COLUMN IF NOT EXISTS c{k} INT NOT NULL DEFAULT 7, ADD INDEX IF NOT EXISTS k{k} (n)')))
        self.do(f'ALTER TABLE, {algorithm}', f'ALTER TABLE {name} {what}, ALGORITHM={algorithm}')

    def big(self):
        name = self.pick('b')
        if self.random.random() < 0.4:
            self.do('OPTIMIZE TABLE, 10 MB', f'OPTIMIZE TABLE {name}')
        else:
            self.alter('b')

    def rebuild(self):
        verb = self.random.choice(('OPTIMIZE', 'OPTIMIZE', 'REPAIR', 'ANALYZE'))
        self.do(f'{verb} TABLE', f'{verb} TABLE {self.pick(self.random.choice("tttpqwxy"))}')

    def change_engine(self):
        self.do('ALTER TABLE ENGINE', f'ALTER TABLE {self.pick("t")} ENGINE={self.random.choice(CHANGES)}')

    def change_rows(self):
        name, first = self.pick(self.random.choice('tttttbxi')), self.random.randint(1, 2000)
        letter = name.split('.')[1][0]
        statement = self.random.choice((
            f'UPDATE {name} SET filler = MD5(id + {first}) WHERE id BETWEEN {first} AND {first + 200}', f'DELETE FROM {name} WHERE id BETWEEN {first} AND {first + 50}',
            f'INSERT IGNORE INTO {name} ({"id, g" if letter == "x" else "id, n"}, filler) SELECT seq + {first}, 0, REPEAT("i", seq % 250) FROM seq_1_to_500'))
        query(self.connection, statement)

    # -- partitions

    def partition(self):
        letter = self.random.choice('pq')
        name, how = self.pick(letter), self.random.random()
        if how < 0.35:
            self.do('EXCHANGE PARTITION', f'ALTER TABLE {name} EXCHANGE PARTITION l0 WITH TABLE {self.pick(PARTNER[letter])}')
        elif how < 0.45:
            self.do('TRUNCATE PARTITION', f'ALTER TABLE {name} TRUNCATE PARTITION l1')
        elif how < 0.55:
            self.do('REBUILD PARTITION', f'ALTER TABLE {name} REBUILD PARTITION l0, l1')
        elif how < 0.7:
            query(self.connection, f'INSERT IGNORE INTO {name} SELECT seq, seq % 2, MD5(seq) FROM seq_501_to_800')
        elif how < 0.8:
            self.do('ADD PARTITION', f'ALTER TABLE {name} ADD PARTITION IF NOT EXISTS (PARTITION l3 VALUES IN (3))')
            self.do('DROP PARTITION', f'ALTER TABLE {name} DROP PARTITION IF EXISTS l3')
        elif letter == 'p':
            self.convert(name)
        else:
            self.do('ALTER TABLE, partitioned', f'ALTER TABLE {name} FORCE')

    def convert(self, name):
        """A partition becomes a table, or such a table a partition."""
        made = self.tables('c')
        query(self.connection, f'ALTER TABLE {name} ADD PARTITION IF NOT EXISTS (PARTITION l2 VALUES IN (2))')
        if made:
            query(self.connection, f'ALTER TABLE {name} DROP PARTITION IF EXISTS l2')
            self.do('CONVERT TABLE TO PARTITION', f'ALTER TABLE {name} CONVERT TABLE {".".join(made[0])} TO PARTITION l2 VALUES IN (2)')
        else:
            self.do('CONVERT PARTITION TO TABLE', f'ALTER TABLE {name} CONVERT PARTITION l2 TO TABLE {self.new("c")}')

    # -- full-text

    def words(self):
        found = self.tables('w')
        if len(found) < WORDS:
            self.make('w')
            return
        name, how = '.'.join(self.random.choice(found)), self.random.random()
        if how < 0.3:
            self.do('CREATE FULLTEXT INDEX', f'CREATE FULLTEXT INDEX IF NOT EXISTS f ON {name} (v)')
        elif how < 0.45:
            self.do('DROP INDEX, full-text', f'DROP INDEX IF EXISTS f ON {name}')
        elif how < 0.5:
            self.do('DROP TABLE, full-text', f'DROP TABLE {name}')
        elif how < 0.8:
            first = self.random.randint(200, 2000)
            query(self.connection, f'INSERT IGNORE INTO {name} SELECT seq + {first}, CONCAT("word", seq, " common") FROM seq_1_to_50')
        else:
            first = self.random.randint(1, 1000)
            query(self.connection, f'DELETE FROM {name} WHERE id BETWEEN {first} AND {first + 100}')

    # -- IMPORT TABLESPACE

    def link(self, node):
        """A connection to that node of this thread's own."""
        if node is self.server:
            return self.connection
        if node not in self.links:
            self.links[node] = node.connect(120)
            query(self.links[node], 'SET SESSION lock_wait_timeout = 60, wsrep_sync_wait = 15')
        return self.links[node]

    def imported(self):
        """A table goes back to what it was when it was exported: an .ibd file is put in its place, on every node."""
        name = self.pick('i')
        schema, table = name.split('.')
        kept = {suffix: os.path.join(self.server.base, f'{self.name}.{suffix}') for suffix in ('ibd', 'cfg')}
        query(self.connection, f'FLUSH TABLES {name} FOR EXPORT')
        try:
            for suffix, path in kept.items():
                shutil.copy(os.path.join(self.server.datadir, schema, f'{table}.{suffix}'), path)
        finally:
            query(self.connection, 'UNLOCK TABLES')
        query(self.connection, f'UPDATE {name} SET filler = "not in the exported file" WHERE id % 2')
        self.midway = name
        for node in self.nodes:
            if node is not self.server:
                query(self.link(node), f'SELECT COUNT(*) FROM {name}')  # it has applied all that was written
            query(self.link(node), f'ALTER TABLE {name} DISCARD TABLESPACE')
            self.counts['DISCARD TABLESPACE'] += 1
            self._stop.wait(self.random.uniform(0, IMPORT_WAIT_S))
            for suffix, path in kept.items():
                put = os.path.join(node.datadir, schema, f'{table}.{suffix}')
                shutil.copy(path, os.path.join(node.base, f'{self.name}.put'))
                os.rename(os.path.join(node.base, f'{self.name}.put'), put)
            self._stop.wait(self.random.uniform(0, IMPORT_WAIT_S))
            query(self.link(node), f'ALTER TABLE {name} IMPORT TABLESPACE')
            self.counts['IMPORT TABLESPACE'] += 1
            os.remove(os.path.join(node.datadir, schema, f'{table}.cfg'))
        self.midway = None

    def end_import(self):
        """One that an error has left: a DROP TABLE leaves the files that wait for an IMPORT."""
        query(self.connection, f'DROP TABLE IF EXISTS {self.midway}')
        for node in self.nodes:
            query(self.link(node), 'SELECT COUNT(*) FROM mysql.db')  # the DROP has been applied
            for suffix in ('ibd', 'cfg'):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(os.path.join(node.datadir, *self.midway.split('.')) + f'.{suffix}')
        self.midway = None

    def tidy(self):
        """Once it has stopped: no table is left without its tablespace."""
        with contextlib.closing(self.server.connect(120)) as self.connection:
            self.links = {}
            if self.midway:
                self.end_import()

    # -- schemas, triggers, views

    def database(self):
        made = [name for name in self.schemas() if name.startswith(f'{self.name}_d')]
        if len(made) < self.random.randint(1, DATABASES):
            self.number += 1
            name = f'{self.name}_d{self.number}'
            self.do('CREATE DATABASE', f'CREATE DATABASE {name}')
            for engine in self.random.sample(('InnoDB', 'MyISAM', 'Aria'), self.random.randint(0, 3)):
                self.number += 1
                self.do('CREATE TABLE', f'CREATE TABLE {name}.t{self.number} {PLAIN} ENGINE={engine}')
        elif self.random.random() < 0.4:
            self.do('ALTER DATABASE', f'ALTER DATABASE {made[0]} COLLATE {self.random.choice(("utf8mb4_bin", "latin1_swedish_ci"))}')
        else:
            self.do('DROP DATABASE', f'DROP DATABASE {made[0]}')

    def program(self):
        """A trigger of a table, or a view."""
        how, (schema, table) = self.random.random(), self.pick('t').split('.')
        if how < 0.4:
            self.do('CREATE TRIGGER', f'CREATE OR REPLACE TRIGGER {schema}.g_{table} BEFORE UPDATE ON {schema}.{table} FOR EACH ROW '
                    'SET NEW.n = OLD.n + 1')
        elif how < 0.7:
            self.do('DROP TRIGGER', f'DROP TRIGGER IF EXISTS {schema}.g_{table}')
        elif how < 0.85:
            self.do('CREATE VIEW', f'CREATE OR REPLACE VIEW {schema}.v AS SELECT id FROM bank.account WHERE id < {self.random.randint(1, 400)}')
        else:
            self.do('DROP VIEW', f'DROP VIEW IF EXISTS {schema}.v')


def words(server):
    """{table: (rows that have the word, rows that its full-text index finds)}; without those that a statement keeps."""
    found = {}
    with contextlib.closing(server.connect(60)) as connection:
        query(connection, 'SET SESSION lock_wait_timeout = 1')
        for schema, table in query(connection, 'SELECT table_schema, table_name FROM information_schema.statistics WHERE index_type = "FULLTEXT" '
                                   'AND table_schema LIKE "storm%"'):
            with contextlib.suppress(pymysql.err.OperationalError):
                found[f'{schema}.{table}'] = tuple(query(connection, f'SELECT COUNT(*) FROM {schema}.{table} WHERE {which}')[0][0]
                                                   for which in ('v LIKE "%common%"', 'MATCH (v) AGAINST ("common")'))
    return found


def check_words(server, expected):
    """A full-text index finds what it found on the paused server, or all: after a second CREATE FULLTEXT INDEX on the same table 10.11 does
    not find the rows of before it."""
    now = words(server)
    wrong = {name: (now.get(name), was) for name, was in expected.items() if now.get(name) not in (was, (was[0], was[0]))}
    assert not wrong, f'(has the word, is found), restored and paused: {wrong}'


class Undo(load.Load):
    """Transactions whose undo log is larger than an undo tablespace may be, so that purge truncates it."""
    pace_s = 3
    ROWS = 30000

    def prepare(self, server):
        server.execute('CREATE DATABASE purged', 'CREATE TABLE purged.t (id INT PRIMARY KEY, v CHAR(250)) ENGINE=InnoDB',
                       f'INSERT INTO purged.t SELECT seq, MD5(seq) FROM seq_1_to_{self.ROWS}')

    def step(self, connection):
        query(connection, 'UPDATE purged.t SET v = MD5(RAND())')


class Rolling(load.Load):
    """Rolling schema upgrade: an ALTER TABLE by RSU on one node of the cluster after the other."""
    pace_s = 0.5

    def __init__(self, nodes, seed, **options):
        super().__init__(nodes[0], seed, **options)
        self.nodes, self.counts, self.errors = list(nodes), collections.Counter(), collections.Counter()
        self.links = {}

    def prepare(self, server):
        server.execute('CREATE DATABASE rolling', 'CREATE TABLE rolling.t (id INT PRIMARY KEY, n INT NOT NULL, filler VARCHAR(200)) ENGINE=InnoDB',
                       'INSERT INTO rolling.t SELECT seq, seq, MD5(seq) FROM seq_1_to_5000')

    def step(self, connection):
        node, k = self.nodes[self.done % len(self.nodes)], self.random.randint(0, 2)
        if node not in self.links:
            self.links[node] = node.connect(120)
            query(self.links[node], 'SET SESSION wsrep_OSU_method = RSU, lock_wait_timeout = 20')
        query(connection, f'UPDATE rolling.t SET n = n + 1 WHERE id % 100 = {self.random.randint(0, 99)}')
        query(self.links[node], 'ALTER TABLE rolling.t ' + self.random.choice((
            f'ADD INDEX IF NOT EXISTS r{k} (n)', f'DROP INDEX IF EXISTS r{k}', 'FORCE', 'FORCE, ALGORITHM=COPY')))
        self.counts['ALTER TABLE by RSU'] += 1

    def expected(self, number):
        self.errors[number] += 1
        return False
