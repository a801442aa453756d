#!/usr/bin/python3
"""Defects that were found by reading and shown by a script, each kept from coming back: readers that leave, rounds that are
tried again, files whose life began or ended between two looks, names in another character set, locks that a close loses.
"""
import contextlib
import os
import re
import shutil
import sys
import threading
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.server import Server, query  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import WaitTimeout, wait_for  # noqa: E402

suite = Suite()
FILES = 40
STORM_BACKUPS = 6
SOON_S = 20  # for what a right build need not show
MIB = 1 << 20
USAGE = 2  # exit status


def soon(condition, what, most_s=SOON_S):
    with contextlib.suppress(WaitTimeout):
        wait_for(condition, most_s, what)


class Scene:
    """One server for all. latin1: what is not ASCII must not depend on the server's character set. No tablespace is opened
    before somebody asks for its table."""

    def __init__(self):
        self.server = Server('regressions', {'character-set-server': 'latin1', 'innodb-buffer-pool-load-at-startup': '0',
                                             'aria-checkpoint-interval': '1', 'galera-backup-block-timeout': '60000',
                                             'plugin-maturity': 'unknown', 'general-log': '0', 'log-output': 'TABLE'})
        self.stall = processes.StallOpen()
        self.server.environment = self.stall.environment
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server)
        self.store = processes.Stall(self.agent.repository)
        self.agent.environment = self.store.environment
        self.agent.start()
        backups.install(self.server)
        self.server.execute('CREATE DATABASE d', 'CREATE TABLE d.kept (id INT PRIMARY KEY) ENGINE=MyISAM',
                            'INSERT INTO d.kept VALUES (1), (2)',
                            'CREATE DATABASE odd CHARACTER SET greek', 'CREATE VIEW d.first AS SELECT 1 AS n')  # older than the backup that matters

    def idle(self):
        """A backup that a failed test has left is let go and waited for."""
        self.stall.end()
        self.store.end()
        backups.release(self.server)
        if backups.state(self.server)['state'] == backups.RUNNING:
            backups.wait_end(self.server, backups.state(self.server)['id'])

    def held(self, stage, **options):
        """The id of a backup that waits there."""
        self.idle()
        backups.hold(self.server, stage)
        backup = backups.start(self.server, **options)
        backups.wait_held(self.server, stage)
        return backup

    def next_round(self, backup, meanwhile):
        """Lets the round go on, which must not end well; when it is given up, calls meanwhile; returns when the next one
        is about to begin."""
        backups.hold(self.server, 'COPY')
        wait_for(lambda: self.server.in_log(f'{backup} stage .* had to wait for'), SOON_S, 'the round to be given up')
        meanwhile()
        backups.wait_held(self.server, 'COPY')

    def finish(self, backup):
        """Lets it go on to the end of its pause; returns the state of then. It must succeed."""
        return oracle.finish(self.server, backup)

    def succeeded(self, backup):
        figures = backups.wait_end(self.server, backup)
        assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'

    @contextlib.contextmanager
    def restored(self, backup, expected, again=False):
        """The restored server, after what must be true of each; expected {}: its user compares. again: at its second start."""
        back = restored.Restored(self.agent, backup)
        try:
            back.check_image()
            server = back.start()
            back.check_lsn(server.log_text())
            if expected:
                oracle.compare(expected, server, back.info)
            checks.check_tables(server)
            if again:
                back.check_second_start()
            yield server
        finally:
            back.remove()

    def compare(self, backup, expected):
        with self.restored(backup, expected):
            pass


shared = Shared(Scene)


def locks(server):
    """The POSIX locks that the server's process holds on files that it must have for itself."""
    names = {os.stat(os.path.join(server.datadir, name)).st_ino: name for name in ('ibdata1', 'aria_log_control')}
    with open('/proc/locks', encoding='ascii') as f:
        fields = [line.split() for line in f]
    return {names[inode] for pid, inode in ((each[-4], int(each[-3].rsplit(':', 1)[1])) for each in fields)
            if pid == str(server.process.pid) and inode in names}


@suite.test
def the_server_keeps_its_locks_on_its_files():
    """A close of any descriptor of a file drops the process's POSIX locks on it; a second server could start then."""
    s = shared()
    before = locks(s.server)
    assert before == {'ibdata1', 'aria_log_control'}, f'not what this test expects of the server: {before}'
    backups.call(s.server, 'BACKUP_CHECK', None)
    assert locks(s.server) == before, f'after BACKUP_CHECK: {locks(s.server)}'
    backups.take(s.server)
    assert locks(s.server) == before, f'after a backup: {locks(s.server)}'


@suite.test
def readers_that_leave_hand_over_what_they_hold():
    """BACKUP_SET to fewer threads in COPY: what the others have read is not lost with them."""
    s = shared()
    for n in range(FILES):
        s.server.execute(f'CREATE TABLE d.f{n} (id INT PRIMARY KEY, v VARCHAR(600)) ENGINE=InnoDB',
                         f'INSERT INTO d.f{n} SELECT seq, REPEAT(MD5(seq), 16) FROM seq_1_to_500')
    s.server.restart()  # nothing of them is in the redo: their pages come from their files alone
    s.server.execute(*[f'SELECT 1 FROM d.f{n} LIMIT 1' for n in range(FILES)])
    backup = s.held('COPY', threads=16, rate='5M')
    backups.release(s.server)
    wait_for(lambda: int(backups.state(s.server)['bytes_done']) > 2 * MIB, 30, 'the readers to have read something')
    backups.call(s.server, 'BACKUP_SET', '{"threads": 1}')
    wait_for(lambda: int(backups.state(s.server)['bytes_done']) > 7 * MIB, 30, 'the other readers to have left')
    backups.call(s.server, 'BACKUP_SET', '{"rate": 0}')
    expected = s.finish(backup)
    s.agent.cli('verify', backup)
    s.compare(backup, expected)


@suite.test
def a_tablespace_that_goes_while_it_is_listed_is_not_missed():
    """InnoDB's list is answered after a tablespace in it has been dropped and the redo follower has read of that."""
    s = shared()
    doomed = [f'd.doomed{n}' for n in range(20)]
    s.server.execute(*[f'CREATE TABLE {name} (id INT) ENGINE=InnoDB' for name in doomed + ['d.last']])
    backup = s.held('COPY', rate='5M')
    backups.release(s.server)
    wait_for(lambda: int(backups.state(s.server)['bytes_done']) > MIB, 30, 'the first list to have been read')
    s.stall.begin('stat /d/last.ibd')
    backups.call(s.server, 'BACKUP_SET', '{"rate": 0}')
    soon(s.stall.reached, 'the second list to be made')
    s.server.execute(*[f'DROP TABLE {name}' for name in doomed])
    s.stall.end()
    s.succeeded(backup)
    s.server.execute('DROP TABLE d.last', *[f'DROP TABLE IF EXISTS d.f{n}' for n in range(FILES)])


class Storm(load.Load):
    """A table comes and goes."""
    pace_s = 0

    def step(self, connection):
        name = f'd.storm{self.random.randint(0, 6)}_{id(self)}'
        query(connection, f'CREATE TABLE {name} (id INT) ENGINE=InnoDB')
        query(connection, f'DROP TABLE {name}')


@suite.test
def backups_in_a_storm_of_create_and_drop_succeed():
    s = shared()
    backups.release(s.server)
    with load.running([Storm(s.server, seed) for seed in (1, 2)]) as storms:
        for _ in range(STORM_BACKUPS):
            backups.take(s.server)
    say(f'  {sum(each.done for each in storms)} tables')


@suite.test
def copies_under_way_when_a_round_is_given_up_are_made_again():
    """MyISAM, online Aria and a log table: readers have them open when the pause runs out of its time."""
    s = shared()
    s.server.execute('CREATE TABLE d.busy (v CHAR(250)) ENGINE=Aria TRANSACTIONAL=1', 'SET GLOBAL log_output = "TABLE"',
                     'SET GLOBAL slow_query_log = ON')
    slow = s.server.connect(init_command='SET SESSION long_query_time = 0')
    control = os.path.join(s.server.datadir, 'aria_log_control')
    backup = s.held('WINDOW', threads=6, block_timeout='1s')
    s.server.execute('CREATE TABLE d.m (id INT) ENGINE=MyISAM', 'CREATE TABLE d.o (v INT) ENGINE=Aria TRANSACTIONAL=1')
    s.stall.begin('open /d/m.MYD', 'open /d/o.MAD', 'open /mysql/slow_log.CSV')
    s.next_round(backup, s.stall.end)
    # what a reader has copied since is of no use: other content, and Aria's log is replayed from a later checkpoint
    s.server.execute('INSERT INTO d.m SELECT seq FROM seq_1_to_100', 'INSERT INTO d.o VALUES (1)',
                     'INSERT INTO d.o SELECT seq FROM seq_1_to_1000', 'FLUSH TABLES d.m, d.o')
    query(slow, 'SELECT "said in the second round"')
    with open(control, 'rb') as f:
        before = f.read()
    s.server.execute('INSERT INTO d.busy VALUES ("")', *['INSERT INTO d.busy SELECT MD5(seq) FROM seq_1_to_12000'] * 2)

    def checkpoint():
        with open(control, 'rb') as f:
            return f.read() != before
    wait_for(checkpoint, 30, "Aria's checkpoint")
    slow.close()
    with s.restored(backup, s.finish(backup)) as server:
        said = server.value('SELECT COUNT(*) FROM mysql.slow_log WHERE sql_text LIKE "%said in the second round%"')
        assert said == 1, f'{said} lines in mysql.slow_log'
    s.server.execute('SET GLOBAL slow_query_log = OFF', 'DROP TABLE d.m, d.o, d.busy')


@suite.test
def copies_that_a_hung_repository_holds_up_are_made_again():
    """The round is given up in FLUSH, in the middle of a MyISAM table: writes to such tables must not wait for a store."""
    s = shared()
    s.server.execute('SET GLOBAL galera_backup_ring_size = 48 * 1024 * 1024',
                     'CREATE TABLE d.large (id INT, v VARBINARY(1024)) ENGINE=MyISAM',
                     'INSERT INTO d.large SELECT seq, RANDOM_BYTES(1024) FROM seq_1_to_50000', 'FLUSH TABLES')
    backup = s.held('FLUSH')
    s.store.begin()
    s.next_round(backup, s.store.end)
    s.server.execute('UPDATE d.large SET id = id + 100000, v = "changed" WHERE id % 2', 'FLUSH TABLES')
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE d.large', 'SET GLOBAL galera_backup_ring_size = DEFAULT')


@suite.test
def a_table_that_is_back_in_the_next_round_is_copied():
    s = shared()
    s.server.execute('CREATE TABLE d.back (id INT) ENGINE=MyISAM', 'FLUSH TABLES')
    backup = s.held('FLUSH')
    s.server.execute('DROP TABLE d.back')
    blocker = s.server.connect()
    query(blocker, 'LOCK TABLES d.kept WRITE')
    s.next_round(backup, blocker.close)
    backups.hold(s.server, 'FLUSH')
    backups.wait_held(s.server, 'FLUSH')
    s.server.execute('CREATE TABLE d.back (id INT) ENGINE=MyISAM', 'INSERT INTO d.back VALUES (1), (2), (3)', 'FLUSH TABLES')
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE d.back')


@suite.test
def a_job_that_ran_out_of_time_does_not_meddle_with_the_next_round():
    s = shared()
    backup = s.held('WINDOW', threads=4, block_timeout='1s')
    s.stall.begin('open /ddl.log')
    backups.hold(s.server, 'FLUSH')
    soon(s.stall.reached, 'ddl.log to be read')
    # a right build perhaps begins no round before the job has ended
    soon(lambda: backups.state(s.server)['test_held'] == '1', 'the next round', 4)
    s.server.execute('CREATE TABLE d.late (id INT) ENGINE=InnoDB')
    s.stall.end()
    backups.wait_held(s.server, 'FLUSH')
    checks.checksums(s.server.connection())  # takes longer than the job
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE d.late')


@suite.test
def a_name_that_is_not_ascii_is_known_among_tables_in_use():
    """A session writes a MyISAM table during FLUSH: only the pause can copy it."""
    s = shared()
    writer, keeper = s.server.connect(), s.server.connect()
    query(writer, 'CREATE TABLE d.`таблица` (v VARCHAR(30)) ENGINE=MyISAM')
    query(keeper, 'SELECT GET_LOCK("written", 0)')
    insert = threading.Thread(target=query, args=(
        writer, 'INSERT INTO d.`таблица` SELECT CONCAT(seq, GET_LOCK("written", 50)) FROM seq_1_to_100'), daemon=True)
    insert.start()
    try:
        waits = 'SELECT 1 FROM information_schema.processlist WHERE state = "User lock"'
        wait_for(lambda: s.server.value(waits), 20, 'the INSERT')
        backup = s.held('WINDOW')
    finally:
        keeper.close()
        insert.join()
    s.compare(backup, s.finish(backup))
    query(writer, 'DROP TABLE d.`таблица`')
    writer.close()


def definitions(datadir):
    """{path: content} of files that define, {path: None} of all others and of directories below the data directory."""
    found = {}
    for schema in (each.path for each in os.scandir(datadir) if each.is_dir()):
        found[os.path.relpath(schema, datadir)] = None
        for each in os.scandir(schema):
            with open(each.path, 'rb') as f:
                known = f.read() if each.name.endswith(('.TRN', '.TRG', '.opt', '.frm')) else None
            found[os.path.relpath(each.path, datadir)] = known
    return found


def same_files(s, backup):
    """What was restored has the files of the server, no more and no less."""
    back = restored.Restored(s.agent, backup)
    one, two = definitions(s.server.datadir), definitions(back.server.datadir)
    back.remove()
    assert one == two, f'not alike: {sorted(name for name in {**one, **two} if one.get(name, 0) != two.get(name, 0))}'


@contextlib.contextmanager
def same_after(s, backup):
    """Ends the held backup, compares its restored files and data with the server's; the restored server."""
    expected = s.finish(backup)
    same_files(s, backup)
    with s.restored(backup, expected) as server:
        yield server


@suite.test
def what_is_dropped_or_renamed_before_the_pause_leaves_nothing_behind():
    s = shared()
    s.server.execute('CREATE DATABASE gone', 'CREATE DATABASE full', 'CREATE TABLE full.t (id INT)',
                     *[f'CREATE TABLE d.t{n} (id INT)' for n in (1, 2)],
                     *[f'CREATE TRIGGER d.trg{n} BEFORE INSERT ON d.t{n} FOR EACH ROW SET @x = 1' for n in (1, 2)])
    backup = s.held('WINDOW')
    s.server.execute('DROP DATABASE gone', 'DROP DATABASE full', 'DROP TABLE d.t1', 'RENAME TABLE d.t2 TO d.t3')
    with same_after(s, backup) as server:
        server.execute('CREATE DATABASE gone', 'CREATE DATABASE full', 'DROP TRIGGER d.trg2', 'CREATE TABLE d.t1 (id INT)',
                       *[f'CREATE TRIGGER d.trg{n} BEFORE INSERT ON d.t1 FOR EACH ROW SET @x = 1' for n in (1, 2)])
    s.server.execute('DROP TABLE d.t3')


@suite.test
def triggers_that_no_scan_has_seen_are_renamed_with_their_table():
    """As it is where a scan of the directory and a RENAME meet: it may see neither the old file nor the new one."""
    s = shared()
    s.server.execute('CREATE TABLE d.hidden (id INT)', 'CREATE TRIGGER d.hidden_trg BEFORE INSERT ON d.hidden FOR EACH ROW SET @x = 1',
                     'FLUSH TABLES')
    places = [(os.path.join(s.server.datadir, 'd', name), os.path.join(s.server.base, name)) for name in ('hidden.TRG', 'hidden_trg.TRN')]
    for seen, unseen in places:
        os.rename(seen, unseen)
    backup = s.held('WINDOW')
    for seen, unseen in places:
        os.rename(unseen, seen)
    s.server.execute('RENAME TABLE d.hidden TO d.found')
    with same_after(s, backup) as server:
        assert server.value('SELECT event_object_table FROM information_schema.triggers WHERE trigger_name = "hidden_trg"') == 'found'
    s.server.execute('DROP TABLE d.found')


@suite.test
def triggers_that_follow_their_table_after_the_scan_are_found():
    """RENAME TABLE is in ddl.log before its triggers' files have their names: a scan between finds the old ones, and no line comes any more."""
    s = shared()
    s.server.execute('CREATE TABLE d.slow (id INT)', 'CREATE TRIGGER d.slow_trg BEFORE INSERT ON d.slow FOR EACH ROW SET @x = 1', 'FLUSH TABLES')
    aside = processes.new_dir('aside')

    def move(source, target, names):
        for name in names:
            os.rename(os.path.join(source, name), os.path.join(target, name))
    old, new, here = ('slow.TRG', 'slow_trg.TRN'), ('slower.TRG', 'slow_trg.TRN'), os.path.join(s.server.datadir, 'd')
    for name in old:
        shutil.copy2(os.path.join(here, name), os.path.join(aside, name))
    before, after = aside, processes.new_dir('renamed')
    backup = s.held('FLUSH')
    s.server.execute('RENAME TABLE d.slow TO d.slower')
    move(here, after, new)
    move(before, here, old)
    backups.hold(s.server, 'WINDOW')
    backups.wait_held(s.server, 'WINDOW')
    move(here, before, old)
    move(after, here, new)
    with same_after(s, backup) as server:
        assert server.value('SELECT event_object_table FROM information_schema.triggers WHERE trigger_name = "slow_trg"') == 'slower'
    s.server.execute('DROP TABLE d.slower')


@suite.test
def views_that_are_renamed_before_the_pause_have_their_new_names():
    """RENAME TABLE of a view is in no ddl.log."""
    s = shared()
    backup = s.held('COPY')
    s.server.execute('CREATE VIEW d.second AS SELECT 2 AS n')
    backups.hold(s.server, 'WINDOW')
    backups.wait_held(s.server, 'WINDOW')
    s.server.execute('RENAME TABLE d.first TO d.third', 'RENAME TABLE d.second TO d.fourth')
    with same_after(s, backup) as server:
        assert [server.value(f'SELECT n FROM d.{name}') for name in ('third', 'fourth')] == [1, 2]
    s.server.execute('DROP VIEW d.third', 'DROP VIEW d.fourth')


@suite.test
def a_view_whose_rename_waited_has_its_new_name():
    """RENAME TABLE is counted, and waits for its view, before it holds any stage of the backup up."""
    s = shared()
    s.server.execute('CREATE VIEW d.waits AS SELECT 3 AS n')
    reader = s.server.connect()
    query(reader, 'BEGIN')
    query(reader, 'SELECT * FROM d.waits')
    renamer = s.server.connect()
    pool = futures.ThreadPoolExecutor(1)
    renamed = pool.submit(query, renamer, 'RENAME TABLE d.waits TO d.waited')
    wait_for(lambda: s.server.rows('SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE "Waiting for table metadata%"'), SOON_S, 'it to wait')
    backup = s.held('WINDOW')
    query(reader, 'COMMIT')
    reader.close()
    renamed.result()
    pool.shutdown()
    renamer.close()
    with same_after(s, backup) as server:
        assert server.value('SELECT n FROM d.waited') == 3
    s.server.execute('DROP VIEW d.waited')


@suite.test
def a_drop_of_a_database_that_fails_takes_its_options_along():
    s = shared()
    note = os.path.join(s.server.datadir, 'odd', 'note.txt')
    load.seconds(3)  # what was made shortly before the backup is looked at anyway
    backup = s.held('WINDOW')
    with open(note, 'w', encoding='ascii') as f:
        f.write('not the server\'s')
    assert backups.error_of(s.server.execute, 'DROP DATABASE odd')[0] == 1010
    s.finish(backup)
    os.unlink(note)
    same_files(s, backup)
    s.server.execute('DROP DATABASE odd')


@suite.test
def names_that_are_too_long_for_the_server_are_told():
    """ALTER TABLE of such a table while BACKUP STAGE START is held ends mariadbd: its ddl.log has a buffer of 438 bytes."""
    s = shared()
    database, table = '\u6f22' * 16, '\u5b57' * 16
    s.server.execute(f'CREATE DATABASE `{database}`', f'CREATE TABLE `{database}`.`{table[:-1]}` (id INT) ENGINE=InnoDB')

    def told():
        rows = [row for row in backups.call(s.server, 'BACKUP_CHECK', None) if row['check'] == 'names']
        figures = backups.take(s.server)
        assert bool(rows) == ('GB2401' in figures['warnings']), (rows, figures['warnings'])
        return rows
    assert not told()
    backup = s.held('COPY')
    s.server.execute(f'ALTER TABLE `{database}`.`{table[:-1]}` ADD COLUMN n INT')  # what is not told is not harmful
    backups.release(s.server)
    s.succeeded(backup)
    s.server.execute(f'CREATE TABLE `{database}`.`{table}` (id INT) ENGINE=InnoDB')
    rows = told()
    assert [row['result'] for row in rows] == ['WARN'] and '@5b57' in rows[0]['detail'], rows
    s.server.execute(f'DROP DATABASE `{database}`')


@contextlib.contextmanager
def away(s, outside):
    """The server is stopped, and what it has in that directory out of the way: for restores to the same path."""
    s.server.stop()
    os.rename(outside, outside + '.away')
    try:
        yield
    finally:
        shutil.rmtree(outside, ignore_errors=True)
        os.rename(outside + '.away', outside)
        s.server.start()


@suite.test
def a_data_directory_that_nobody_has_opened_is_in_the_backup():
    s = shared()
    outside = processes.new_dir('outside')
    s.server.execute(f'CREATE TABLE d.far (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY = "{outside}"',
                     'INSERT INTO d.far SELECT seq FROM seq_1_to_100')
    s.server.restart()
    s.server.restart()  # the first has opened it, as the redo log names it
    backup = s.held('FLUSH')
    expected = s.finish(backup)
    with away(s, outside):
        s.compare(backup, expected)
    s.server.execute('DROP TABLE d.far')


@suite.test
def partitions_outside_keep_their_links():
    """ddl.log names their tables alone. The redo leads the first start to the files, .isl each one after it."""
    s = shared()
    outside = processes.new_dir('outside_parts')
    how = (f'(id INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY LIST (id) (PARTITION one VALUES IN (1) DATA DIRECTORY "{outside}", '
           'PARTITION two VALUES IN (2))')
    s.server.execute(f'CREATE TABLE d.emptied {how}', f'CREATE TABLE d.older {how}', 'INSERT INTO d.older VALUES (1), (2)')
    backup = s.held('WINDOW')
    s.server.execute('TRUNCATE TABLE d.emptied', 'INSERT INTO d.emptied VALUES (1)', 'RENAME TABLE d.older TO d.newer', f'CREATE TABLE d.made {how}',
                     'INSERT INTO d.made VALUES (1), (2)')
    expected = s.finish(backup)
    with away(s, outside), s.restored(backup, expected, again=True):
        pass
    s.server.execute('DROP TABLE d.emptied, d.newer, d.made')


@suite.test
def a_table_outside_that_came_from_another_database_is_not_moved():
    """Its file stays in a directory of the first one's name, its link has the second one's: recovery and dictionary would look for different links."""
    s = shared()
    outside = processes.new_dir('outside_came')
    s.server.execute('CREATE DATABASE origin', f'CREATE TABLE origin.t (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY = "{outside}"',
                     'INSERT INTO origin.t VALUES (1), (2)', 'RENAME TABLE origin.t TO d.came', 'DROP DATABASE origin')
    s.server.restart()
    s.server.restart()  # the log of the first one has FILE_RENAME
    backup = s.held('FLUSH')
    expected = s.finish(backup)
    with away(s, outside):
        target = os.path.join(processes.run_dir(), 'came')
        done = s.agent.cli('restore', backup, '--datadir', target, '--yes', f'--map={outside}={outside}.new', check=False)
        assert done.returncode == USAGE and f'{outside}/origin/came.ibd is of a table that was renamed' in done.stderr, done
        assert not os.path.exists(target) and not os.path.exists(outside + '.new'), 'the refused restore has written'
        with s.restored(backup, expected, again=True):
            pass
    s.server.execute('DROP TABLE d.came')


def damage(path, offset):
    with open(path, 'r+b') as f:
        f.seek(offset)
        f.write(b'ROTTEN')


@suite.test
def a_damaged_page_of_a_table_that_nobody_has_opened_fails_the_backup():
    s = shared()
    s.server.execute('CREATE TABLE d.rotten (id INT PRIMARY KEY, v VARCHAR(600)) ENGINE=InnoDB',
                     'INSERT INTO d.rotten SELECT seq, REPEAT("x", 500) FROM seq_1_to_2000')
    s.server.restart()
    s.server.stop()  # after the second start nothing has opened it
    page, size = 10, 16384
    damage(os.path.join(s.server.datadir, 'd', 'rotten.ibd'), page * size + 5000)
    s.server.start()
    backup = backups.start(s.server)
    figures = backups.wait_end(s.server, backup)
    assert (figures['state'], figures['error_code']) == ('failed', '2201'), f'{figures["state"]}: {figures["error"]}'
    assert f'page {page} of d/rotten.ibd' in figures['error'], figures['error']
    assert backup not in s.agent.listed()
    s.server.execute('DROP TABLE d.rotten')
    backups.take(s.server)


@suite.test
def tablespaces_that_nobody_has_opened_and_that_are_removed_are_told():
    s = shared()
    s.server.execute('CREATE TABLE d.one (id INT)', 'CREATE TABLE d.two (id INT)')
    s.server.restart()
    s.server.restart()  # as above
    backup = backups.start(s.server, rate='256K')
    wait_for(lambda: int(backups.state(s.server)['bytes_done']) > MIB, 30, 'the copy of what is large, with all listed')
    for name in ('one', 'two'):
        os.remove(os.path.join(s.server.datadir, 'd', f'{name}.ibd'))
    backups.call(s.server, 'BACKUP_SET', '{"rate": 0}')
    figures = backups.wait_end(s.server, backup)
    assert figures['state'] == 'succeeded' and re.match('GB2403 .*: 2, the first is d/(one|two).ibd', figures['warnings']), \
        (figures['state'], figures['error'], figures['warnings'])
    s.server.execute('DROP TABLE d.one', 'DROP TABLE d.two')


@suite.test
def the_sequence_number_is_that_of_the_position():
    """Write-sets between the pause and the end of the backup are not in it."""
    node = Cluster(1).create().start()[0]
    agent = Agent(node).start()
    backups.install(node)
    node.execute('CREATE DATABASE d', 'CREATE TABLE d.a (id INT PRIMARY KEY AUTO_INCREMENT)')
    backups.hold(node, 'REDO')
    backup = backups.start(node)
    backups.wait_held(node, 'REDO')
    node.execute(*['INSERT INTO d.a VALUES (NULL)'] * 5)
    backups.release(node)
    figures = backups.wait_end(node, backup)
    assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
    info = agent.json('info', backup)
    position, uuid, seqno = (str(checks.fact(info, name)) for name in ('position', 'uuid', 'seqno'))
    assert position == figures['position'], f'{position}, the status says {figures["position"]}'
    assert f'{uuid}:{seqno}' == position, f'seqno {seqno}, position {position}'


@suite.test
def a_table_that_is_kept_in_the_pause_is_waited_for():
    """Where appliers write MyISAM, what has changed since its copy is closed in the pause; a session that has it open kept the backup from that."""
    node = Cluster(1, {'wsrep-mode': 'REPLICATE_MYISAM'}, name='kept').create().start()[0]
    agent = Agent(node).start()
    backups.install(node)
    node.execute('CREATE DATABASE d', 'CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM', 'INSERT INTO d.m VALUES (1)',
                 'SET GLOBAL galera_backup_block_timeout = 60000')
    backups.hold(node, 'WINDOW')
    backup = backups.start(node)
    backups.wait_held(node, 'WINDOW')
    keeper = node.connect()
    query(keeper, 'BEGIN')
    query(keeper, 'SELECT * FROM d.m')
    backups.hold(node, 'PAUSED')
    try:
        wait_for(lambda: node.in_log(f'{backup} stage BLOCK_DDL had to wait for: a table that'), SOON_S, 'the round to be given up')
    finally:
        keeper.close()
        backups.wait_held(node, 'PAUSED')
        backups.release(node)
    figures = backups.wait_end(node, backup)
    assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'


@suite.test
def a_tablespace_that_an_alter_makes_in_the_pause_comes_from_the_redo():
    """An ALTER TABLE that began before the pause makes its table anew in it, when nothing is copied any more. That it waits for a reader of
    the table until then is what happens by itself now and then."""
    s = shared()
    s.server.execute('CREATE TABLE d.remade (id INT PRIMARY KEY, v CHAR(200)) ENGINE=InnoDB',
                     'INSERT INTO d.remade SELECT seq, MD5(seq) FROM seq_1_to_5000')
    with contextlib.closing(s.server.connect()) as session:
        expected = {name: sum for name, sum in checks.checksums(session).items() if name.startswith('d.')}
    state = 'SELECT COALESCE(MAX(STATE), "") FROM information_schema.PROCESSLIST WHERE INFO LIKE "ALTER TABLE d.remade%"'
    backup = s.held('FLUSH')
    reader, session = s.server.connect(), s.server.connect(120)
    query(reader, 'BEGIN')
    query(reader, 'SELECT COUNT(*) FROM d.remade')
    alter = threading.Thread(target=query, args=(session, 'ALTER TABLE d.remade FORCE, ADD COLUMN w INT DEFAULT 1, ALGORITHM=INPLACE'))
    alter.start()
    wait_for(lambda: 'metadata lock' in s.server.value(state), SOON_S, 'the ALTER to be about to make its tablespace')
    backups.hold(s.server, 'PAUSED')
    backups.wait_held(s.server, 'PAUSED')
    reader.close()
    wait_for(lambda: any(name.startswith('#sql-alter') and name.endswith('.ibd') for name in os.listdir(os.path.join(s.server.datadir, 'd'))),
             SOON_S, 'the tablespace')
    wait_for(lambda: 'backup lock' in s.server.value(state), SOON_S, 'the ALTER to wait for the end of the pause')
    backups.release(s.server)
    s.succeeded(backup)
    alter.join(60)
    session.close()
    with s.restored(backup, {}) as server, contextlib.closing(server.connect()) as session:
        found = checks.checksums(session)
        assert {name: found.get(name) for name in expected} == expected, found
        assert not [name for name in os.listdir(os.path.join(server.datadir, 'd')) if name.startswith('#sql')]
    s.server.execute('DROP TABLE d.remade')


@suite.test
def a_partition_that_becomes_a_table_before_the_pause_is_in_the_backup():
    """Or a table that becomes a partition: ddl.log names the partitioned table alone, not the other."""
    s = shared()
    s.server.execute('CREATE TABLE d.parts (id INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY LIST (id) '
                     '(PARTITION one VALUES IN (1), PARTITION two VALUES IN (2))', 'INSERT INTO d.parts VALUES (1), (2)')
    for change in ('CONVERT PARTITION two TO TABLE d.two', 'CONVERT TABLE d.two TO PARTITION two VALUES IN (2)'):
        backup = s.held('WINDOW')
        s.server.execute(f'ALTER TABLE d.parts {change}')
        expected = s.finish(backup)
        same_files(s, backup)
        s.compare(backup, expected)
    s.server.execute('DROP TABLE d.parts')


@suite.test
def an_alter_right_before_the_pause_does_not_keep_it_off():
    """With this setting the log is never written to its end; a cluster with an ALTER TABLE each second got no pause for a minute."""
    s = shared()
    s.server.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 0', 'CREATE TABLE d.altered (id INT PRIMARY KEY) ENGINE=InnoDB',
                     'INSERT INTO d.altered VALUES (1)')
    backup = s.held('WINDOW')
    s.server.execute('ALTER TABLE d.altered ADD COLUMN a INT DEFAULT 7', 'ALTER TABLE d.altered ADD COLUMN b INT DEFAULT 8, FORCE, ALGORITHM=COPY',
                     'INSERT INTO d.altered VALUES (2, 2, 2)')
    expected = s.finish(backup)
    s.server.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 1')
    gave_up = s.server.in_log(f'{backup} stage .* had to wait.*')
    assert not gave_up, gave_up.group(0)
    s.compare(backup, expected)
    s.server.execute('DROP TABLE d.altered')


@suite.test
def a_create_table_that_fails_before_the_pause_leaves_nothing_behind():
    """CREATE TABLE ... SELECT has made its files when FLUSH looks for them; that they go again is not in ddl.log."""
    s = shared()
    waits = 'SELECT COUNT(*) FROM information_schema.processlist WHERE state = "User lock"'
    engines = ('InnoDB', 'Aria TRANSACTIONAL=1', 'Aria TRANSACTIONAL=0', 'MyISAM')
    with contextlib.closing(s.server.connect()) as keeper:
        query(keeper, 'SELECT GET_LOCK("made", 0)')
        backup = s.held('FLUSH')
        sessions, threads = [s.server.connect(120) for _ in engines], []
        for number, engine in enumerate(engines):
            sql = f'CREATE TABLE d.half{number} (id INT) ENGINE={engine} AS SELECT seq AS id, GET_LOCK("made", 50) AS l FROM seq_1_to_10'
            threads.append(threading.Thread(target=backups.error_of, args=(query, sessions[number], sql)))
            threads[-1].start()
        wait_for(lambda: s.server.value(waits) == len(engines), SOON_S, 'the tables to be half made')
        backups.hold(s.server, 'WINDOW')
        backups.wait_held(s.server, 'WINDOW')
        for session, thread in zip(sessions, threads):
            s.server.execute(f'KILL QUERY {session.thread_id()}')
            thread.join(SOON_S)
            session.close()
    assert not [name for name in os.listdir(os.path.join(s.server.datadir, 'd')) if name.startswith('half')]
    expected = s.finish(backup)
    same_files(s, backup)
    s.compare(backup, expected)


@suite.test
def an_aria_table_made_anew_while_it_is_opened_is_copied_again():
    """The index file of one table, open, was read by the header of the other that has taken its place."""
    s = shared()
    wide = ', '.join([f'c{n} VARCHAR(40), KEY (c{n}, c{n + 1}, c{n + 2})' for n in range(60)] + [f'c{n} VARCHAR(40)' for n in range(60, 300)])  # a header of several blocks
    s.server.execute('CREATE TABLE d.large (id INT PRIMARY KEY, v LONGBLOB) ENGINE=InnoDB',
                     'INSERT INTO d.large SELECT seq, REPEAT(RANDOM_BYTES(1024), 1000) FROM seq_1_to_20',
                     f'CREATE TABLE d.anew (id INT PRIMARY KEY, {wide}) ENGINE=Aria TRANSACTIONAL=1',
                     'INSERT INTO d.anew (id, c1, c29) SELECT seq, MD5(seq), MD5(-seq) FROM seq_1_to_20000', 'FLUSH TABLES')
    backup = s.held('COPY', rate='20M', threads=1)
    s.stall.begin('open /d/anew.MAI')
    backups.release(s.server)
    soon(s.stall.reached, 'the scan to look at the table')
    s.stall.end()
    load.seconds(0.02)  # one that waits looks every millisecond
    s.stall.begin('open:2 /d/anew.MAI')  # the file, its header; it is larger than the other
    soon(s.stall.reached, 'the index to be open and its header not read')
    s.server.execute('DROP TABLE d.anew', 'CREATE TABLE d.anew (id INT PRIMARY KEY) ENGINE=Aria TRANSACTIONAL=1',
                     'INSERT INTO d.anew SELECT seq FROM seq_1_to_1000')
    s.stall.end()
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE d.anew, d.large')


@contextlib.contextmanager
def about_to_read(s, table):
    """In FLUSH: the last scan has found this transactional Aria table changed, and the reader, which is at another, comes to it next."""
    large, small = 'SELECT seq, REPEAT(MD5(seq), 30) FROM seq_1_to_20000', 'SELECT seq, MD5(seq) FROM seq_1_to_4000'
    s.server.execute(f'DROP TABLE IF EXISTS {table}, d.large')
    for name in (table, 'd.large'):
        s.server.execute(f'CREATE TABLE {name} (id INT PRIMARY KEY, v VARCHAR(1000)) ENGINE=Aria TRANSACTIONAL=1')
    backup = s.held('FLUSH', threads=1)
    s.server.execute(f'TRUNCATE TABLE {table}', 'TRUNCATE TABLE d.large', f'INSERT INTO {table} {small}', f'INSERT INTO d.large {large}')
    s.stall.begin('open /d/large.MAD')
    backups.release(s.server)
    wait_for(s.stall.reached, SOON_S, 'the reader to be at the larger table')
    yield
    s.stall.end()
    s.compare(backup, s.finish(backup))
    s.server.execute(f'DROP TABLE {table}, d.large')


@suite.test
def an_aria_table_that_is_truncated_while_it_is_read_is_not_lost():
    """TRUNCATE empties the index file and then writes its header; ddl.log does not name it."""
    s = shared()
    with contextlib.closing(s.server.connect()) as session:
        caller = threading.Thread(target=lambda: session.cursor().execute('TRUNCATE TABLE d.anew'))
        with about_to_read(s, 'd.anew'):
            s.stall.also('create /d/anew.MAI')
            caller.start()
            wait_for(s.stall.reached, SOON_S, 'the index file to be empty')
            s.stall.let('open /d/large.MAD')
            load.seconds(0.3)  # a reader needs some milliseconds for both
            backups.hold(s.server, 'PAUSED')
        caller.join()


@suite.test
def a_table_that_is_away_for_a_moment_is_not_lost():
    s = shared()
    index = os.path.join(s.server.datadir, 'd', 'away.MAI')
    with about_to_read(s, 'd.away'):
        os.rename(index, index + '.kept')
        backups.hold(s.server, 'WINDOW')
        s.stall.end()
        backups.wait_held(s.server, 'WINDOW')
        os.rename(index + '.kept', index)
        backups.hold(s.server, 'PAUSED')


@suite.test
def an_aria_table_that_loses_its_log_before_it_is_read_is_not_damaged():
    """Pages of a table that is not transactional look otherwise: as those of one that is they would have wrong checksums."""
    s = shared()
    with about_to_read(s, 'd.plainer'):
        s.server.execute('ALTER TABLE d.plainer TRANSACTIONAL=0')
        backups.hold(s.server, 'PAUSED')
        s.stall.end()


@contextlib.contextmanager
def read_again(s, path, **options):
    """Of a file that the server does not have open a reader has found a block damaged, and looks at it again ten times in a second."""
    backups.hold(s.server, 'FLUSH')
    backup = backups.start(s.server, **options)
    wait_for(lambda: path in processes.descriptors(s.server.process.pid).values(), SOON_S, f'{path} to be read', poll_s=0.001)
    load.seconds(0.3)  # of the second
    yield
    backups.wait_held(s.server, 'FLUSH')
    s.compare(backup, s.finish(backup))


@suite.test
def an_aria_table_that_is_truncated_while_a_block_is_read_again_is_not_damaged():
    s = shared()
    s.idle()
    s.server.execute('CREATE TABLE d.cut (id INT PRIMARY KEY, v CHAR(200)) ENGINE=Aria', 'INSERT INTO d.cut SELECT seq, seq FROM seq_1_to_3000',
                     'FLUSH TABLES')
    index = os.path.join(s.server.datadir, 'd', 'cut.MAI')
    damage(index, 8192 + 100)
    with read_again(s, index):
        s.server.execute('TRUNCATE TABLE d.cut')
    s.server.execute('DROP TABLE d.cut')


def cut_while_read_again(s, rows=2000, **options):
    """As undo tablespaces are; this one by hand, with a table that nobody has opened."""
    s.idle()
    s.server.execute('CREATE TABLE d.shorn (id INT PRIMARY KEY, v VARCHAR(600)) ENGINE=InnoDB',
                     f'INSERT INTO d.shorn SELECT seq, REPEAT("x", 500) FROM seq_1_to_{rows}')
    s.server.restart()
    s.server.restart()
    path = os.path.join(s.server.datadir, 'd', 'shorn.ibd')
    with open(path, 'rb') as f:
        whole = f.read()
    damage(path, 30 * 16384 + 5000)
    with read_again(s, path, **options):
        os.truncate(path, 5 * 16384)
        load.seconds(0.25)  # a reader looks ten times a second
        with open(path, 'r+b') as f:
            f.write(whole)
    s.server.execute('DROP TABLE d.shorn')


@suite.test
def a_tablespace_that_is_cut_while_a_page_is_read_again_is_not_damaged():
    cut_while_read_again(shared())


@suite.test
def what_was_read_of_a_tablespace_that_is_cut_leaves_room_for_others():
    """Its reader goes on with a smaller one, in the slot that has the thirty pages before the damaged one."""
    s = shared()
    s.server.execute('CREATE DATABASE next', 'CREATE TABLE next.one (id INT PRIMARY KEY, v VARCHAR(600)) ENGINE=InnoDB',
                     'INSERT INTO next.one SELECT seq, REPEAT("y", 500) FROM seq_1_to_4000')
    cut_while_read_again(s, rows=8000, threads=1)
    s.server.execute('DROP DATABASE next')


@suite.test
def partitions_that_get_their_names_after_the_scan_are_in_the_backup():
    """ddl.log has the line of an ALTER before its new partitions, of an engine other than InnoDB, have their names."""
    s = shared()
    s.idle()
    s.server.execute('CREATE TABLE d.pieces (id INT PRIMARY KEY) ENGINE=Aria PARTITION BY LIST (id) (PARTITION one VALUES IN (1), '
                     'PARTITION two VALUES IN (2, 3))', 'INSERT INTO d.pieces VALUES (1), (2), (3)')
    backup = s.held('FLUSH')
    with contextlib.closing(s.server.connect()) as session:
        alter = threading.Thread(target=lambda: session.cursor().execute(
            'ALTER TABLE d.pieces REORGANIZE PARTITION two INTO (PARTITION three VALUES IN (2), PARTITION four VALUES IN (3))'))
        s.stall.begin('rename #P#three#TMP#.MAI')
        alter.start()
        wait_for(s.stall.reached, SOON_S, 'the first partition to get its name')
        backups.hold(s.server, 'WINDOW')
        backups.wait_held(s.server, 'WINDOW')
        s.stall.end()
        alter.join()
    expected = s.finish(backup)
    same_files(s, backup)
    s.compare(backup, expected)
    s.server.execute('DROP TABLE d.pieces')


@suite.test
def tables_of_an_engine_that_is_not_loaded_are_told():
    s = shared()
    parts = 'PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (9))'
    s.server.execute(f'CREATE TABLE d.parts (a INT) ENGINE=MyISAM {parts}')
    assert 'not loaded' not in backups.take(s.server)['warnings']
    s.server.execute("INSTALL SONAME 'ha_example'", 'CREATE TABLE d.orphan (a INT NOT NULL) ENGINE=EXAMPLE', 'FLUSH TABLES',
                     "UNINSTALL SONAME 'ha_example'")
    figures = backups.take(s.server)
    assert re.match('GB2402 .*not loaded: 1, the first is d/orphan', figures['warnings']), figures['warnings']
    told = f'SELECT warnings FROM galera_backup.backups WHERE id = "{figures["id"]}"'
    wait_for(lambda: s.server.value(told) == figures['warnings'], SOON_S, 'the catalog to have them')
    assert s.agent.json('info', figures['id'])['facts']['warnings'] == figures['warnings']
    s.server.execute("INSTALL SONAME 'ha_example'", 'DROP TABLE d.orphan, d.parts', "UNINSTALL SONAME 'ha_example'")


@suite.test
def a_table_of_an_engine_that_came_meanwhile_is_refused():
    """It was loaded, and a table made of it, when the first look at engines was over."""
    s = shared()
    for stage in ('COPY', 'WINDOW'):
        backup = s.held(stage)
        s.server.execute("INSTALL SONAME 'ha_example'", 'CREATE TABLE d.late (a INT NOT NULL) ENGINE=EXAMPLE')
        backups.release(s.server)
        figures = backups.wait_end(s.server, backup)
        s.server.execute('DROP TABLE d.late', "UNINSTALL SONAME 'ha_example'")
        assert (figures['state'], figures['error_code']) == ('failed', '2011') and 'd.late (EXAMPLE)' in figures['error'], figures
    backups.take(s.server)


@suite.test
def settings_of_each_session_do_not_change_what_the_backup_sees():
    """Lists that end after five rows; a backslash that escapes nothing; names in double quotes."""
    s = shared()
    outside = processes.new_dir('beyond')
    s.server.execute(*[f'CREATE TABLE d.cold{n} (id INT PRIMARY KEY) ENGINE=InnoDB' for n in range(20)],
                     f'CREATE TABLE d.zlast (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY = "{outside}"', 'INSERT INTO d.zlast VALUES (7)')
    s.server.restart()
    s.server.restart()
    s.server.execute('SET GLOBAL sql_select_limit = 5, sql_mode = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT", autocommit = 0')
    backup = backups.take(s.server)['id']
    s.server.execute('SET GLOBAL sql_select_limit = DEFAULT, sql_mode = DEFAULT, autocommit = 1')
    s.server.stop()
    os.rename(outside, outside + '.away')
    try:
        with s.restored(backup, {}) as server:
            assert server.value('SELECT id FROM d.zlast') == 7
    finally:
        shutil.rmtree(outside, ignore_errors=True)
        os.rename(outside + '.away', outside)
        s.server.start()
    s.server.execute('DROP TABLE d.zlast', *[f'DROP TABLE d.cold{n}' for n in range(20)])


@suite.test
def a_gtid_position_of_many_domains_is_whole():
    s = shared()
    position = ','.join(f'{domain}-4000000007-{domain * 1000000007}' for domain in range(1, 91))
    assert len(position) > 2000
    s.server.execute(f'SET GLOBAL gtid_slave_pos = "{position}"')
    figures = backups.take(s.server)
    plan = s.agent.json('restore', figures['id'], '--datadir', os.path.join(processes.run_dir(), 'many'), '--dry-run', '--as', 'replica')
    s.server.execute('SET GLOBAL gtid_slave_pos = ""')
    for command in (['list'], ['catalog', 'export']):
        assert [one['gtid'] for one in s.agent.json(*command)['backups'] if one['id'] == figures['id']] == [position], command
    assert s.server.value(f'SELECT gtid FROM galera_backup.backups WHERE id = "{figures["id"]}"') == position
    assert sorted(plan['gtid_slave_pos'].split(',')) == sorted(position.split(',')), plan['gtid_slave_pos']
    assert position.startswith(figures['gtid'] + ','), figures['gtid']  # what a status variable holds


@suite.test
def a_schema_whose_name_begins_as_that_of_undo_tablespaces_is_none():
    s = shared()
    s.server.execute('CREATE DATABASE innodb_undo_x', 'CREATE TABLE innodb_undo_x.t (id INT PRIMARY KEY) ENGINE=InnoDB',
                     'INSERT INTO innodb_undo_x.t VALUES (1)')
    backup = s.held('COPY')
    s.server.execute('RENAME TABLE innodb_undo_x.t TO innodb_undo_x.u')
    expected = s.finish(backup)
    same_files(s, backup)
    s.compare(backup, expected)
    s.server.execute('DROP DATABASE innodb_undo_x')


@suite.test
def a_log_table_larger_than_what_a_pause_may_copy_is_in_the_backup():
    """Not written to for years, and while rows are added to it; one that is emptied in between is copied anew."""
    s = shared()
    s.idle()
    log = 'SELECT COUNT(*), MAX(LENGTH(argument)) FROM mysql.general_log'
    with contextlib.closing(s.server.connect()) as session:

        def fill(megabytes, mark=''):
            s.server.execute('SET GLOBAL general_log = 1')
            for _ in range(megabytes):
                session.cursor().execute(f'SELECT LENGTH("{mark}{"x" * MIB}")')
            s.server.execute('SET GLOBAL general_log = 0')
        fill(30)
        for meanwhile in (lambda: None, lambda: fill(2, 'late'), lambda: (s.server.execute('TRUNCATE mysql.general_log'), fill(3, 'new'))):
            backup = s.held('WINDOW')
            meanwhile()
            expected = s.server.row(log)
            backups.release(s.server)
            s.succeeded(backup)
            with s.restored(backup, {}) as server:
                assert server.row(log) == expected, f'{server.row(log)}, it was {expected}'
    s.server.execute('TRUNCATE mysql.general_log')


@suite.test
def a_table_that_is_first_written_to_in_the_pause_does_not_fail_the_backup():
    """Its first record may be that of an IMPORT, whose pages are not in the log: but none can have come when DDL is blocked."""
    s = shared()
    s.idle()
    s.server.execute('CREATE TABLE d.unread (id INT PRIMARY KEY) ENGINE=InnoDB', 'CREATE TABLE d.other (id INT PRIMARY KEY) ENGINE=InnoDB')
    s.server.restart()
    s.server.restart()
    with contextlib.closing(s.server.connect()) as session:
        query(session, 'BEGIN')
        query(session, 'INSERT INTO d.other VALUES (7)')  # who has written may go on
        backup = s.held('PAUSED')
        query(session, 'INSERT INTO d.unread VALUES (7)')
        backups.release(s.server)
        s.succeeded(backup)
    with s.restored(backup, {}) as server:
        assert server.value('SELECT COUNT(*) FROM d.unread') == 0
    s.server.execute('DROP TABLE d.unread, d.other')


@suite.test
def a_disk_that_hangs_in_the_pause_keeps_nothing_locked():
    """The job that asks it is given up, and nobody else has to wait for it: not the end of the pause, nor the cancel."""
    s = shared()
    s.idle()
    backup = s.held('WINDOW', block_timeout='1s')
    s.stall.begin('stat d/kept.MYD')
    try:
        backups.hold(s.server, '')
        wait_for(s.stall.reached, SOON_S, 'the file to be looked at')
        load.seconds(3)  # the job is given up after one
        backups.call(s.server, 'BACKUP_CANCEL', backup)
        with contextlib.closing(s.server.connect()) as session:
            session.cursor().execute('SET SESSION lock_wait_timeout = 5')
            session.cursor().execute('CREATE TABLE d.meanwhile (id INT) ENGINE=InnoDB')
            session.cursor().execute('DROP TABLE d.meanwhile')
        written = os.path.join(s.agent.repository, s.agent.cluster, 'backups', backup)
        wait_for(lambda: not os.path.exists(written), 10, 'the cancel to be seen')
    finally:
        s.stall.end()
    assert backups.wait_end(s.server, backup)['state'] == 'cancelled'


@suite.test
def a_page_of_an_encrypted_aria_table_is_read_until_it_holds_still():
    """Its checksum is that of its plain text: a page that is being written looks like any other."""
    keys, told = (os.path.join(processes.run_dir(), name) for name in ('keys', 'torn'))
    with open(keys, 'w', encoding='ascii') as f:
        f.write('1;770A8A65DA156D24EE2A093277530142\n')
    options = {'aria-encrypt-tables': 'ON', 'plugin-load-add': 'file_key_management.so', 'file-key-management-filename': keys}
    server = Server('sealed', {**options, 'plugin-load-add': 'galera_backup.so;file_key_management.so'})
    server.environment = processes.preload('fail_read', GB_TORN_PATH='/d/t.MAD', GB_TORN_BLOCK='3', GB_TORN_SIZE='8192', GB_TORN_TOLD=told)
    server.create()
    server.start()
    agent = Agent(server).start()
    backups.install(server)
    server.execute('CREATE DATABASE d', 'CREATE TABLE d.t (id INT PRIMARY KEY, v CHAR(200)) ENGINE=Aria TRANSACTIONAL=1',
                   'INSERT INTO d.t SELECT seq, seq FROM seq_1_to_3000', 'FLUSH TABLES')
    backup = backups.take(server)['id']
    assert os.path.exists(told), 'no read was torn'
    back = restored.Restored(agent, backup)
    try:
        back.server.options.update(options)
        back.start()
        difference = checks.differences(checks.checksums(server.connection(), ['d.t']), checks.checksums(back.server.connection(), ['d.t']))
        assert not difference, difference
    finally:
        back.remove()
        server.stop()


@suite.test
def a_file_that_waits_for_its_import_keeps_no_server_from_starting():
    """It stands where the log has another tablespace, and its first page has the number of the table that it was copied from: MariaDB's recovery ends
    there, its own server's too. Ten tables have names like it but for a digit in front."""
    s = shared()
    alike = [f'd.`{digit}aits`' for digit in range(10)]
    s.server.execute(*(f'CREATE TABLE {name} (id INT) ENGINE=InnoDB' for name in alike))
    backup = s.held('COPY')
    s.server.execute('CREATE TABLE d.exported (id INT PRIMARY KEY, v CHAR(200)) ENGINE=InnoDB', 'INSERT INTO d.exported SELECT seq, MD5(seq) FROM seq_1_to_2000',
                     'CREATE TABLE d.moved LIKE d.exported', 'INSERT INTO d.moved VALUES (1, "moved")', 'CREATE TABLE d.waits LIKE d.exported',
                     'INSERT INTO d.waits VALUES (1, "gone")', 'ALTER TABLE d.waits DISCARD TABLESPACE')
    with contextlib.closing(s.server.connect()) as session:
        query(session, 'FLUSH TABLES d.exported FOR EXPORT')
        exported = checks.checksums(session, ['d.exported'])['d.exported']
        shutil.copyfile(*(os.path.join(s.server.datadir, 'd', f'{name}.ibd') for name in ('exported', 'waits')))
        query(session, 'UNLOCK TABLES')
    s.server.execute('INSERT INTO d.exported VALUES (5000, "after")')
    backups.release(s.server)
    s.succeeded(backup)
    expected = checks.checksums(s.server.connection(), ['d.exported', 'd.moved'])
    back = restored.Restored(s.agent, backup)
    try:
        back.check_image()
        server = back.start()
        difference = checks.differences(expected, checks.checksums(server.connection(), list(expected)))
        assert not difference, difference
        server.execute('ALTER TABLE d.waits IMPORT TABLESPACE')
        assert checks.checksums(server.connection(), ['d.waits'])['d.waits'] == exported
    finally:
        back.remove()
        s.server.execute(f'DROP TABLE d.exported, d.moved, d.waits, {", ".join(alike)}')


@suite.test
def tables_that_come_back_to_their_first_name_before_they_are_written_are_found():
    """MariaDB's recovery loses them, its own server's too: made, exchanged with a partition before a checkpoint, then away from there and back, and their
    first pages not on disk yet, nor those of what takes their place."""
    server = Server('comes_back', {'innodb-adaptive-flushing': 'OFF', 'innodb-io-capacity': '100', 'innodb-io-capacity-max': '100',
                                   'innodb-buffer-pool-size': '256M', 'innodb-max-dirty-pages-pct': '90', 'innodb-max-dirty-pages-pct-lwm': '0'})
    server.create()
    server.start()
    agent = Agent(server).start()
    backups.install(server)
    server.execute('CREATE DATABASE d', 'CREATE TABLE d.older (id INT PRIMARY KEY, v VARCHAR(1000))')
    formats = {'plain': '', 'packed': 'ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4', 'small': 'ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=1'}
    columns = '(id INT, g INT, PRIMARY KEY (id, g)) ENGINE=InnoDB'
    for name, how in formats.items():
        server.execute(f'CREATE TABLE d.p_{name} {columns} {how} PARTITION BY LIST (g) (PARTITION l0 VALUES IN (0), PARTITION l1 VALUES IN (1))')
    server.execute('INSERT INTO d.older SELECT seq, REPEAT("a", 900) FROM seq_1_to_40000')
    made = int(server.status('Innodb_lsn_current'))
    for name, how in formats.items():
        server.execute(f'CREATE TABLE d.x_{name} {columns} {how}', f'INSERT INTO d.x_{name} SELECT seq, 0 FROM seq_1_to_10',
                       f'ALTER TABLE d.p_{name} EXCHANGE PARTITION l0 WITH TABLE d.x_{name}', f'DROP TABLE d.x_{name}')
    checkpoint = int(server.status('Innodb_lsn_last_checkpoint'))
    server.execute('SET GLOBAL innodb_max_dirty_pages_pct = 0')
    wait_for(lambda: int(server.status('Innodb_lsn_last_checkpoint')) > checkpoint + MIB, 60, 'a checkpoint')
    server.execute('SET GLOBAL innodb_max_dirty_pages_pct = 90')
    for name, how in formats.items():
        server.execute(f'CREATE TABLE d.y_{name} {columns} {how}', f'INSERT INTO d.y_{name} SELECT seq, 0 FROM seq_1_to_20',
                       f'ALTER TABLE d.p_{name} EXCHANGE PARTITION l0 WITH TABLE d.y_{name}', f'RENAME TABLE d.y_{name} TO d.x_{name}',
                       f'INSERT INTO d.x_{name} VALUES (999, 0)')
    backup = backups.take(server)
    for name in formats:
        for file in (f'x_{name}.ibd', f'p_{name}#P#l0.ibd'):
            with open(os.path.join(server.datadir, 'd', file), 'rb') as f:
                assert not any(f.read(1024)), f'{file} was written too soon for this test'
    expected = checks.checksums(server.connection(), [f'd.{kind}_{name}' for name in formats for kind in 'px'])

    def look(back):
        difference = checks.differences(expected, checks.checksums(back.connection(), list(expected)))
        assert not difference, difference

    assert int(backup['lsn_start']) < made, f'{backup["lsn_start"]}, {made}: the checkpoint is behind the tables'
    say(restored.verify(agent, backup['id'], galera=False, look=look))
    agent.kill()
    server.kill()


suite.main()
