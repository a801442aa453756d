"""What writes while a backup runs. Each load is one thread with one connection, seeded, paced so that two cores serve
a cluster beside it; it ends by stop(), which raises what it could not explain.

    loads = [Transfers(node, 1), Sequence(node, 2), Ddl(node, 3)]
    for load in loads: load.prepare(node)
    with running(loads): ...
"""
import contextlib
import random
import threading
import time

import pymysql

from . import processes
from .server import query
from .waiting import wait_for

REST_POLL_S = 0.02
# deadlock (also: aborted by replication), lock wait, node not ready, commit failed, interrupted, definition changed
RETRY_ERRORS = {1213, 1205, 1047, 1180, 1317, 1412, 1020, 1969}
# a table that another DDL of ours has just renamed or dropped
DDL_ERRORS = {1050, 1051, 1146, 1091, 1060, 1061}
# connection lost, refused: only where the test ends the server
CONNECTION_ERRORS = {0, 2002, 2003, 2006, 2013, 2014, 2055, 1053, 1927}


class Load:
    pace_s = 0.004  # a pause between transactions: a rate, not a wait for anything

    def __init__(self, server, seed, may_lose_server=False):
        self.server = server
        self.random = random.Random(seed)
        self.may_lose_server = may_lose_server
        self.done = 0
        self.retried = 0
        self.failure = None
        self._stop = threading.Event()
        self._rest, self._rests = threading.Event(), threading.Event()
        self._thread = None

    def prepare(self, server):
        """Makes what step() needs; from the test's thread."""

    def step(self, connection):
        raise NotImplementedError

    def start(self):
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()
        processes.on_cleanup(self._stop.set)
        return self

    def stop(self, deadline_s=90):
        """Ends the load; the failure it met, if any, is raised."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(deadline_s)
            assert not self._thread.is_alive(), f'{type(self).__name__} does not end: a statement hangs'
            self._thread = None
        if self.failure is not None:
            raise AssertionError(f'{type(self).__name__} on {self.server.name}: {self.failure!r}') from self.failure

    def rest(self):
        """No further step until go_on(), once the one under way has ended."""
        self._rests.clear()
        self._rest.set()

    def wait_rests(self):
        wait_for(lambda: self._rests.is_set() or not self._thread.is_alive(), 120, f'{type(self).__name__} to end a step')

    def go_on(self):
        self._rest.clear()

    def _run(self):
        connection = None
        while not self._stop.is_set():
            if self._rest.is_set():
                self._rests.set()
                self._stop.wait(REST_POLL_S)
                continue
            try:
                if connection is None:
                    connection = self.server.connect(120, autocommit=True)
                    query(connection, 'SET SESSION innodb_lock_wait_timeout=20, lock_wait_timeout=60')
                self.step(connection)
                self.done += 1
            except pymysql.MySQLError as error:
                number = error.args[0] if error.args else 0
                if number in CONNECTION_ERRORS or isinstance(error, pymysql.err.InterfaceError):
                    connection = None
                    if not self.may_lose_server and not self._stop.is_set():
                        self.failure = error
                        return
                elif number in RETRY_ERRORS or self.expected(number):
                    self.retried += 1
                    with contextlib.suppress(pymysql.MySQLError):
                        connection.rollback()
                else:
                    self.failure = error
                    return
            except OSError as error:
                connection = None
                if not self.may_lose_server:
                    self.failure = error
                    return
            except Exception as error:  # what ends the thread is seen by stop()
                self.failure = error
                return
            self._stop.wait(self.pace_s)
        if connection is not None:
            with contextlib.suppress(pymysql.MySQLError):
                connection.close()

    def expected(self, number):
        return False


class Transfers(Load):
    """Money moves between accounts; the sum never changes."""
    ACCOUNTS, BALANCE = 400, 1000

    def prepare(self, server):
        server.execute('CREATE DATABASE IF NOT EXISTS bank',
                       'CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL, '
                       'note VARCHAR(200) NOT NULL DEFAULT "", KEY (balance)) ENGINE=InnoDB',
                       f'INSERT INTO bank.account SELECT seq, {self.BALANCE}, "" FROM seq_1_to_{self.ACCOUNTS}')

    def step(self, connection):
        one, two = self.random.sample(range(1, self.ACCOUNTS + 1), 2)
        amount = self.random.randint(1, 50)
        note = 'x' * self.random.randint(0, 200)
        query(connection, 'START TRANSACTION')
        query(connection, f'UPDATE bank.account SET balance = balance - {amount}, note = "{note}" WHERE id = {one}')
        query(connection, f'UPDATE bank.account SET balance = balance + {amount} WHERE id = {two}')
        query(connection, 'COMMIT')

    @classmethod
    def check(cls, server):
        total = server.value('SELECT SUM(balance) FROM bank.account')
        count = server.value('SELECT COUNT(*) FROM bank.account')
        assert (total, count) == (cls.ACCOUNTS * cls.BALANCE, cls.ACCOUNTS), f'accounts: sum {total}, {count} rows'


class Sequence(Load):
    """max + 1 in each transaction: a lost transaction in the middle shows as a gap."""

    def prepare(self, server):
        server.execute('CREATE DATABASE IF NOT EXISTS bank',
                       'CREATE TABLE bank.sequence (n BIGINT PRIMARY KEY, filler VARBINARY(400)) ENGINE=InnoDB',
                       'INSERT INTO bank.sequence VALUES (1, "")')

    def step(self, connection):
        query(connection, 'INSERT INTO bank.sequence SELECT MAX(n) + 1, '
                          f'REPEAT("s", {self.random.randint(0, 400)}) FROM bank.sequence')

    @staticmethod
    def check(server):
        low, high, count = server.rows('SELECT MIN(n), MAX(n), COUNT(*) FROM bank.sequence')[0]
        assert low == 1 and high == count, f'sequence: {count} rows, {low} to {high}'
        return count


class Unlogged(Load):
    """Aria, transactional and not, and MyISAM. On a cluster: wsrep_mode with REPLICATE_MYISAM,REPLICATE_ARIA."""
    TABLES = {'myisam': 'ENGINE=MyISAM', 'aria': 'ENGINE=Aria TRANSACTIONAL=0',
              'aria_transactional': 'ENGINE=Aria TRANSACTIONAL=1 PAGE_CHECKSUM=1'}
    pace_s = 0.02

    def prepare(self, server):
        server.execute('CREATE DATABASE IF NOT EXISTS other')
        for name, engine in self.TABLES.items():
            server.execute(f'CREATE TABLE other.{name} (id INT PRIMARY KEY, n INT NOT NULL, '
                           f'filler VARCHAR(300), KEY (n)) {engine}',
                           f'INSERT INTO other.{name} SELECT seq, seq, REPEAT("f", seq % 300) FROM seq_1_to_2000')
        self.next = 2001

    def step(self, connection):
        for name in self.TABLES:
            number = self.random.randint(1, 2000)
            what = self.random.random()
            if what < 0.4:
                query(connection, f'REPLACE INTO other.{name} VALUES ({self.next}, {number}, REPEAT("n", {number % 300}))')
                self.next += 1
            elif what < 0.9:
                query(connection, f'UPDATE other.{name} SET n = n + 1, filler = REPEAT("u", {number % 300}) '
                                  f'WHERE id = {number}')
            else:
                query(connection, f'DELETE FROM other.{name} WHERE id = {number + 2000}')


class Touch(Load):
    """Rows of all the tables that are given come, change and go: tables with (id, v), of kinds.py."""
    pace_s = 0.01

    def __init__(self, server, seed, tables, **options):
        super().__init__(server, seed, **options)
        self.tables = sorted(tables)

    def step(self, connection):
        table, first = self.random.choice(self.tables), self.random.randint(1, 1000)
        query(connection, self.random.choice([
            f'UPDATE {table} SET v = MD5(RAND()) WHERE id BETWEEN {first} AND {first + 30}',
            f'REPLACE INTO {table} (id, v) SELECT seq + {first}, MD5(RAND()) FROM seq_1001_to_1020',
            f'DELETE FROM {table} WHERE id > 1000 + {first}']))


ENGINES = ('InnoDB', 'InnoDB', 'InnoDB', 'InnoDB ROW_FORMAT=COMPRESSED', 'MyISAM', 'Aria')


class Ddl(Load):
    """Tables come, change their names and their files, and go."""
    pace_s = 0.05
    TABLES = 12

    def __init__(self, server, seed, engines=ENGINES, **options):
        super().__init__(server, seed, **options)
        self.engines = engines

    def prepare(self, server):
        server.execute('CREATE DATABASE IF NOT EXISTS churn')
        self.counter = 0

    def expected(self, number):
        return number in DDL_ERRORS

    def step(self, connection):
        names = sorted(row[0] for row in query(
            connection, 'SELECT table_name FROM information_schema.tables WHERE table_schema = "churn"'))
        if len(names) < self.TABLES or (self.random.random() < 0.2 and len(names) < 2 * self.TABLES):
            self.create(connection)
            return
        name = self.random.choice(names)
        self.counter += 1
        statement = self.random.choice([
            f'DROP TABLE churn.{name}',
            f'RENAME TABLE churn.{name} TO churn.r{self.counter}',
            f'TRUNCATE TABLE churn.{name}',
            f'OPTIMIZE TABLE churn.{name}',
            f'ALTER TABLE churn.{name} FORCE',
            f'ALTER TABLE churn.{name} ADD COLUMN c{self.counter} INT NOT NULL DEFAULT {self.counter}',
            f'INSERT INTO churn.{name} (filler) SELECT REPEAT("i", seq % 250) FROM seq_1_to_500',
        ])
        query(connection, statement)

    def create(self, connection):
        self.counter += 1
        name = f't{self.counter}'
        engine = self.random.choice(self.engines)
        rows = self.random.choice([0, 10, 1000])
        query(connection, f'CREATE TABLE churn.{name} (id INT AUTO_INCREMENT PRIMARY KEY, filler VARCHAR(255)) '
                          f'ENGINE={engine}')
        if rows:
            query(connection, f'INSERT INTO churn.{name} (filler) SELECT REPEAT("d", seq % 250) FROM seq_1_to_{rows}')


@contextlib.contextmanager
def running(loads):
    """Runs the loads while the body runs. What a load met is raised unless the body has failed already."""
    for load in loads:
        load.start()
    try:
        yield loads
    except BaseException:
        for load in loads:
            with contextlib.suppress(AssertionError):
                load.stop()
        raise
    for load in loads:
        load.stop()


@contextlib.contextmanager
def resting(loads):
    """No load does anything while the body runs."""
    for load in loads:
        load.rest()
    for load in loads:
        load.wait_rests()
    try:
        yield
    finally:
        for load in loads:
            load.go_on()


def bulk(server, schema, tables, bytes_each, row_bytes=200):
    """Tables of about that size with random-looking rows, made by INSERT ... SELECT in chunks."""
    server.execute(f'CREATE DATABASE IF NOT EXISTS {schema}')
    rows = max(1, bytes_each // (row_bytes + 40))
    for number in range(1, tables + 1):
        server.execute(f'CREATE TABLE {schema}.t{number} (id INT PRIMARY KEY, k INT NOT NULL, c VARCHAR(255), KEY (k)) '
                       'ENGINE=InnoDB')
        for first in range(1, rows + 1, 20000):
            last = min(rows, first + 19999)
            server.execute(f'INSERT INTO {schema}.t{number} SELECT seq, CRC32(seq) DIV 2, '
                           f'RPAD(MD5(seq + {number}), {row_bytes}, MD5(seq * {number + 6})) FROM seq_{first}_to_{last}')


def seconds(count):
    """A plain pause for measurements ("write for so long"); never to wait for a state."""
    time.sleep(count)
