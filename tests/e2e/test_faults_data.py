#!/usr/bin/python3
"""What is wrong with the data while a backup runs: damaged, cut, unreadable, vanished, failing; a redo log that is overrun. The backup fails
and names file and place within the time that the retries take, or did not need what is gone. What must be true afterwards: see test_faults.py.
"""
import contextlib
import os
import sys
import threading
import time
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups  # noqa: E402
from gbtest.faults import Scene, add_cells, some  # noqa: E402
from gbtest.preloaded import Faults  # noqa: E402
from gbtest.server import query  # noqa: E402
from gbtest.suite import Shared, Suite  # noqa: E402

PAGE = 16384
READ_FROM = ['PREFLIGHT', 'DESYNC', 'COPY', 'FLUSH']  # stages after which files are read; tablespaces not after FLUSH
TOLD_S = 8  # eleven reads, 100 ms apart; twenty looks for a file; and what the backup does beside that
MIB = 1 << 20

suite = Suite()


class DataScene(Scene):
    def __init__(self):
        self.faults = Faults('gb-')
        super().__init__('data', environment=self.faults.environment)
        self.node.execute('CREATE DATABASE d')

    def hurt(self, engine='InnoDB'):
        """A table whose files are on disk; returns the path without a suffix."""
        self.node.execute(f'CREATE OR REPLACE TABLE d.hurt (id INT PRIMARY KEY, v CHAR(200)) ENGINE={engine}',
                          'INSERT INTO d.hurt SELECT seq, MD5(seq) FROM seq_1_to_5000', 'FLUSH TABLES d.hurt FOR EXPORT' if engine == 'InnoDB'
                          else 'FLUSH TABLES d.hurt', 'UNLOCK TABLES')
        return os.path.join(self.node.datadir, 'd', 'hurt')


shared = Shared(DataScene)


def fails(stage, engine, harm, mend, *words):
    """harm(path) at that stage: the backup fails with these words and in time."""
    s = shared()
    s.ready()
    path = s.hurt(engine)
    caller, before = s.held_at(stage)
    kept = harm(path)
    try:
        begin = time.monotonic()
        s.locks_gone(begin)
        caller.wait()
        took = time.monotonic() - begin
        text = s.left_nothing(caller, before, words[0])
        assert took < TOLD_S, f'it was told after {took:.1f} s'
        for word in words:
            assert word in text, f'{word!r} is not in: {text}'
    finally:
        backups.release(s.node)
        mend(path, kept)
        s.node.execute('DROP TABLE d.hurt')
    s.next_succeeds()


def exchange(path, at, data):
    """Puts data there; returns what was there."""
    with open(path, 'r+b') as f:
        f.seek(at)
        kept = f.read(len(data))
        f.seek(at)
        f.write(data)
    return kept


def corrupt_page(stage):
    at = 9 * PAGE
    fails(stage, 'InnoDB', lambda path: exchange(f'{path}.ibd', at + 5000, b'damaged'),
          lambda path, kept: exchange(f'{path}.ibd', at + 5000, kept), 'GB2201', 'page 9 of d/hurt.ibd', f'offset {at}')


def cut(path, size):
    with open(path, 'rb') as f:
        f.seek(size)
        kept = f.read()
    os.truncate(path, size)
    return size, kept


def paste(path, kept):
    with open(path, 'r+b') as f:
        f.seek(kept[0])
        f.write(kept[1])


def truncated_tablespace(stage):
    fails(stage, 'InnoDB', lambda path: cut(f'{path}.ibd', 20 * PAGE), lambda path, kept: paste(f'{path}.ibd', kept),
          'GB2201', 'd/hurt.ibd', 'ends at page 20', f'offset {20 * PAGE}')


def fails_by(stage, engine, rule, *words):
    s = shared()
    fails(stage, engine, lambda path: s.faults.begin(rule), lambda path, kept: s.faults.end(), *words)


def unreadable_tablespace(stage):
    fails_by(stage, 'InnoDB', 'open EACCES d/hurt.ibd', 'GB2108', 'd/hurt.ibd', 'Permission denied')


def failing_tablespace(stage):
    fails_by(stage, 'InnoDB', 'read EIO d/hurt.ibd', 'GB2108', 'd/hurt.ibd', 'Input/output error')


def failing_table(stage):
    fails_by(stage, 'MyISAM', 'read EIO d/hurt.MYD', 'GB2108', 'd/hurt.MYD', 'offset 0', 'Input/output error')


def failing_aria(stage):
    fails_by(stage, 'Aria TRANSACTIONAL=1', 'read EIO d/hurt.MAD', 'GB2108', 'd/hurt.MAD', 'offset 0', 'Input/output error')


def unreadable_definition(stage):
    fails_by(stage, 'InnoDB', 'open EACCES d/hurt.frm', 'GB2108', 'd/hurt.frm', 'Permission denied')


def failing_redo_log(stage):
    fails_by(stage, 'InnoDB', 'read EIO ib_logfile0', 'GB2108', 'ib_logfile0', 'Input/output error')


def vanished_tablespace(stage):
    fails(stage, 'InnoDB', lambda path: os.rename(f'{path}.ibd', f'{path}.away'), lambda path, kept: os.rename(f'{path}.away', f'{path}.ibd'),
          'GB2202', 'd/hurt.ibd', 'space')


FAULTS = [corrupt_page, truncated_tablespace, unreadable_tablespace, failing_tablespace, vanished_tablespace, unreadable_definition, failing_table,
          failing_aria, failing_redo_log]
for each in some('data', FAULTS, 5):
    add_cells(suite, each, READ_FROM if each in (failing_table, failing_redo_log) else READ_FROM[:3], 1)


@suite.test
def vanished_tablespace_that_is_written_to():
    """Each checkpoint names it in the log anew, which is no reason to go on looking for it."""
    done = threading.Event()

    def write(node):
        with contextlib.closing(node.connect()) as session:
            while not done.is_set():
                query(session, 'UPDATE d.hurt SET v = REVERSE(v) WHERE id < 10')

    def harm(path):
        os.rename(f'{path}.ibd', f'{path}.away')
        node.execute('SET GLOBAL innodb_max_dirty_pages_pct = 0')
        return pool.submit(write, node)

    def mend(path, written):
        done.set()
        written.result(10)
        node.execute('SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT')
        os.rename(f'{path}.away', f'{path}.ibd')

    node = shared().node
    with futures.ThreadPoolExecutor(1) as pool:
        fails('COPY', 'InnoDB', harm, mend, 'GB2202', 'd/hurt.ibd', 'space')


@suite.test
def harm_after_the_copy_is_none_of_the_backup():
    """It has a good copy by then. The server's is damaged all the same, and the next backup says so."""
    s = shared()
    s.ready()
    path = s.hurt()
    caller, _ = s.held_at('REDO')
    kept = exchange(f'{path}.ibd', 9 * PAGE + 5000, b'damaged')
    try:
        backups.release(s.node)
        caller.wait()
        assert caller.number is None, caller.text
        number, text = backups.error_of(backups.start, s.node, wait=True)
        assert number == 22201 and 'page 9 of d/hurt.ibd' in text, text
    finally:
        exchange(f'{path}.ibd', 9 * PAGE + 5000, kept)
        s.node.execute('DROP TABLE d.hurt')
    s.next_succeeds()


@suite.test
def overrun_redo_log():
    """A small log, and an agent that takes nothing of it."""
    s = shared()
    s.ready()
    s.node.execute(f'SET GLOBAL innodb_log_file_size = {16 * MIB}')
    session = s.node.connect(120)
    caller, before = s.held_at('COPY', rate='1M')
    backups.release(s.node)
    backups.wait_stage(s.node, 'COPY')
    s.agent.freeze()
    try:
        while caller.number is None and caller.rows is None:
            query(session, 'UPDATE sbtest.t1 SET c = RPAD(MD5(RAND()), 200, "x") WHERE id <= 10000')
            caller.join(0.01)
    finally:
        s.agent.thaw()
        session.close()
        s.node.execute(f'SET GLOBAL innodb_log_file_size = {96 * MIB}')
    text = s.left_nothing(caller, before, 'GB2204')
    assert 'innodb_log_file_size' in text, text
    s.next_succeeds()


@suite.test
def the_writing_went_on():
    shared().the_writing_went_on()


suite.main()
