#!/usr/bin/python3
"""Rules that need a moment of their own: IMPORT TABLESPACE after the copy (11), a log that is replaced or overrun (18), a
follower that falls behind (19), a page that is damaged on disk, pages without a checksum (14), Aria's checkpoints and new
log files during the backup (17), more redo than the server's log holds (10).
"""
import os
import shutil
import sys
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, oracle, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, query  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
ARIA_ROWS = 40000
MIB = 1 << 20


class Scene:
    def __init__(self, name='rules', options=None):
        self.server = Server(name, {'aria-checkpoint-interval': '1', **(options or {})})
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        self.server.execute('SET GLOBAL galera_backup_block_timeout = 60000', 'SET GLOBAL aria_log_file_size = 8 * 1024 * 1024',
                            'CREATE DATABASE d',
                            'CREATE TABLE d.a (id INT PRIMARY KEY, v CHAR(200)) ENGINE=InnoDB',
                            'INSERT INTO d.a SELECT seq, MD5(seq) FROM seq_1_to_20000',
                            'CREATE TABLE d.aria (id INT PRIMARY KEY AUTO_INCREMENT, v CHAR(250)) ENGINE=Aria TRANSACTIONAL=1',
                            'INSERT INTO d.aria (v) VALUES ("a load into an empty table is not logged")')

    def held_none(self):
        """A backup that a failed test left is let go and waited for."""
        backups.release(self.server)
        if backups.state(self.server)['state'] == backups.RUNNING:
            backups.wait_end(self.server, backups.state(self.server)['id'])

    def held(self, stage):
        """The id of a backup that waits at that stage."""
        self.held_none()
        backups.hold(self.server, stage)
        backup = backups.start(self.server)
        backups.wait_held(self.server, stage)
        return backup

    def finish(self, backup):
        """Lets it go on to BLOCK_COMMIT; returns the state of then. It must succeed."""
        return oracle.finish(self.server, backup)

    def compare(self, backup, expected, log_file_size='96M', innochecksum=True):
        back = restored.Restored(self.agent, backup, log_file_size)
        try:
            if innochecksum:
                back.check_image()
            server = back.start()
            back.check_lsn(server.log_text())
            oracle.compare(expected, server, back.info)
            checks.check_tables(server)
            back.check_second_start()
        finally:
            back.remove()


shared = Shared(Scene)


@suite.test
def a_table_imported_after_its_copy_is_copied_again():
    s = shared()
    s.server.execute('CREATE TABLE d.b LIKE d.a', 'INSERT INTO d.b VALUES (1, "old")',
                     'CREATE TABLE d.other LIKE d.a', 'INSERT INTO d.other SELECT seq, "new" FROM seq_1_to_5000')
    session = s.server.connect()
    with session.cursor() as cursor:
        cursor.execute('FLUSH TABLES d.other FOR EXPORT')
        for suffix in ('ibd', 'cfg'):
            shutil.copy(os.path.join(s.server.datadir, 'd', f'other.{suffix}'), os.path.join(s.server.datadir, f'kept.{suffix}'))
        cursor.execute('UNLOCK TABLES')
    session.close()
    backup = s.held('FLUSH')  # all tablespaces have been copied
    s.server.execute('ALTER TABLE d.b DISCARD TABLESPACE')
    for suffix in ('ibd', 'cfg'):
        path = os.path.join(s.server.datadir, 'd', f'b.{suffix}')
        shutil.move(os.path.join(s.server.datadir, f'kept.{suffix}'), path)
        shutil.copystat(os.path.join(s.server.datadir, 'ibdata1'), path)
    s.server.execute('ALTER TABLE d.b IMPORT TABLESPACE')
    assert s.server.value('SELECT COUNT(*) FROM d.b') == 5000
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE d.b, d.other')


def export(server, table, name):
    """Keeps the table's .ibd and .cfg beside the data directory."""
    session = server.connect()
    with session.cursor() as cursor:
        cursor.execute(f'FLUSH TABLES d.{table} FOR EXPORT')
        for suffix in ('ibd', 'cfg'):
            shutil.copy(os.path.join(server.datadir, 'd', f'{table}.{suffix}'), os.path.join(server.base, f'{name}.{suffix}'))
    session.close()


def put(server, name, table):
    for suffix in ('ibd', 'cfg'):
        path = os.path.join(server.datadir, 'd', f'{table}.{suffix}')
        shutil.copy(os.path.join(server.base, f'{name}.{suffix}'), path)
        shutil.copystat(os.path.join(server.datadir, 'ibdata1'), path)
        os.utime(path)


def changed_around_an_import(rename=False, stage='FLUSH'):
    """InnoDB's recovery throws away all redo of a tablespace whose FILE_DELETE, of the DISCARD, it has seen; of one that is renamed
    afterwards it applies what was before the DISCARD to the imported pages, which have no LSN."""
    s = shared()
    s.server.execute('CREATE TABLE d.changed LIKE d.a', 'INSERT INTO d.changed SELECT seq, "exported" FROM seq_1_to_5000')
    export(s.server, 'changed', 'changed')
    backup = s.held(stage)
    s.server.execute('UPDATE d.changed SET v = "before" WHERE id % 2', 'DELETE FROM d.changed WHERE id > 2500')
    for _ in range(2):
        s.server.execute('ALTER TABLE d.changed DISCARD TABLESPACE')
        put(s.server, 'changed', 'changed')
        s.server.execute('ALTER TABLE d.changed IMPORT TABLESPACE', 'UPDATE d.changed SET v = MD5(id) WHERE id % 3 = 0',
                         'INSERT INTO d.changed SELECT seq, "after" FROM seq_10001_to_11000')
    name = 'renamed' if rename else 'changed'
    if rename:
        s.server.execute('RENAME TABLE d.changed TO d.renamed', 'UPDATE d.renamed SET v = "renamed" WHERE id % 5 = 0')
    expected = s.finish(backup)
    assert s.server.value(f'SELECT COUNT(*) FROM d.{name}') == 6000
    s.compare(backup, expected)
    s.server.execute(f'DROP TABLE d.{name}')


@suite.test
def changes_of_an_imported_table_are_in_the_backup():
    changed_around_an_import()


@suite.test
def changes_of_an_imported_table_that_was_renamed_are_in_the_backup():
    changed_around_an_import(rename=True)


@suite.test
def an_import_right_before_the_pause_is_in_the_backup():
    changed_around_an_import(stage='WINDOW')


def renamed_around_an_import(back=True, name_taken=False):
    """The second RENAME, of a table that has no file, is not in the log: recovery would give the imported file the name that the first one gave."""
    s = shared()
    s.server.execute('DROP TABLE IF EXISTS d.here, d.there', 'CREATE TABLE d.here LIKE d.a', 'INSERT INTO d.here SELECT seq, "exported" FROM seq_1_to_5000')
    export(s.server, 'here', 'here')
    backup = s.held('FLUSH')
    s.server.execute('RENAME TABLE d.here TO d.there', 'UPDATE d.there SET v = "before"', 'ALTER TABLE d.there DISCARD TABLESPACE')
    name = 'here' if back else 'there'
    if back:
        s.server.execute('RENAME TABLE d.there TO d.here')
    put(s.server, 'here', name)
    s.server.execute(f'ALTER TABLE d.{name} IMPORT TABLESPACE', f'UPDATE d.{name} SET v = MD5(id) WHERE id % 3 = 0')
    if name_taken:
        s.server.execute('CREATE TABLE d.there LIKE d.a', 'INSERT INTO d.there VALUES (1, "another")')
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE IF EXISTS d.here, d.there')


@suite.test
def a_table_that_was_renamed_before_its_import_is_found_under_its_own_path():
    renamed_around_an_import(back=False)


@suite.test
def a_table_that_was_renamed_before_its_import_and_back_keeps_its_name():
    renamed_around_an_import()


@suite.test
def a_table_that_was_renamed_before_its_import_and_back_and_another_that_has_that_name_are_in_the_backup():
    renamed_around_an_import(name_taken=True)


@suite.test
def an_import_of_a_file_that_came_right_before_the_pause_is_in_the_backup():
    """The DISCARD was before the checkpoint, there was no file when FLUSH looked, and the IMPORT leaves no record in the log."""
    s = Scene('absent')
    s.server.execute('CREATE TABLE d.absent (id INT PRIMARY KEY, v CHAR(200)) ENGINE=InnoDB STATS_PERSISTENT=0',
                     'INSERT INTO d.absent SELECT seq, "exported" FROM seq_1_to_5000')
    export(s.server, 'absent', 'absent')
    s.server.execute('ALTER TABLE d.absent DISCARD TABLESPACE')
    s.server.restart()
    s.server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
    backup = s.held('WINDOW')
    put(s.server, 'absent', 'absent')
    s.server.execute('ALTER TABLE d.absent IMPORT TABLESPACE')
    assert s.server.value('SELECT COUNT(*) FROM d.absent') == 5000
    s.compare(backup, s.finish(backup))
    s.agent.kill()
    s.server.kill()


def imported_late(stage):
    """The IMPORT is counted when it begins, and has waited for its table since before the backup; it leaves no record in the log."""
    s = shared()
    s.server.execute('CREATE TABLE d.late LIKE d.a', 'INSERT INTO d.late SELECT seq, "exported" FROM seq_1_to_5000')
    export(s.server, 'late', 'late')
    s.server.execute('ALTER TABLE d.late DISCARD TABLESPACE')
    put(s.server, 'late', 'late')
    keeper, importer = s.server.connect(), s.server.connect()
    query(keeper, 'LOCK TABLES d.late READ')
    with futures.ThreadPoolExecutor(1) as pool:
        imported = pool.submit(query, importer, 'ALTER TABLE d.late IMPORT TABLESPACE')
        wait_for(lambda: s.server.rows('SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE "Waiting for table metadata%"'), 10, 'it to wait')
        backup = s.held(stage)
        query(keeper, 'UNLOCK TABLES')
        imported.result()
    for session in (keeper, importer):
        session.close()
    assert s.server.value('SELECT COUNT(*) FROM d.late') == 5000
    s.compare(backup, s.finish(backup))
    s.server.execute('DROP TABLE d.late')


@suite.test
def an_import_that_waited_since_before_the_backup_is_in_it():
    imported_late('FLUSH')


@suite.test
def an_import_that_waited_until_right_before_the_pause_is_in_the_backup():
    imported_late('WINDOW')


@suite.test
def an_import_into_a_table_that_nobody_has_opened_is_in_the_backup():
    """The file that waits has the table's id, so it was taken for the table; the IMPORT leaves no record in the log."""
    s = Scene('imported')
    s.server.execute('CREATE TABLE d.cold (id INT PRIMARY KEY, v CHAR(200)) ENGINE=InnoDB STATS_PERSISTENT=0',
                     'INSERT INTO d.cold SELECT seq, "one" FROM seq_1_to_1000')
    export(s.server, 'cold', 'one')
    s.server.execute('INSERT INTO d.cold SELECT seq, "two" FROM seq_1001_to_9000')
    export(s.server, 'cold', 'two')
    s.server.execute('ALTER TABLE d.cold DISCARD TABLESPACE')
    put(s.server, 'one', 'cold')
    s.server.restart()
    s.server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
    backup = s.held('FLUSH')
    put(s.server, 'two', 'cold')
    s.server.execute('ALTER TABLE d.cold IMPORT TABLESPACE')
    assert s.server.value('SELECT COUNT(*) FROM d.cold') == 9000
    s.compare(backup, s.finish(backup))


@suite.test
def a_bulk_insert_into_aria_that_ends_late_is_in_the_backup():
    """Aria writes BULK_INSERT to ddl.log before it writes the table's indexes, none of which is in its log."""
    s = shared()
    s.server.execute('CREATE OR REPLACE TABLE d.bulk (id INT PRIMARY KEY, a INT, b INT, c CHAR(40), KEY(a), KEY(b), KEY(c)) '
                     'ENGINE=Aria TRANSACTIONAL=1')
    backup = s.held('FLUSH')
    insert = s.server.connect(120)
    thread = backups.threading.Thread(target=query, args=(
        insert, 'INSERT INTO d.bulk SELECT seq, seq * 7919 % 1000003, seq * 31 % 65537, MD5(seq) FROM seq_1_to_250000'))
    thread.start()
    with open(os.path.join(s.server.datadir, 'ddl.log'), encoding='utf-8', errors='replace') as ddl_log:
        # from its beginning each time: a line may be read in pieces
        wait_for(lambda: ddl_log.seek(0) or 'BULK_INSERT' in ddl_log.read(), 60, 'the line in ddl.log', poll_s=0.001)
    s.compare(backup, s.finish(backup))
    thread.join(60)
    insert.close()
    s.server.execute('DROP TABLE d.bulk')


@suite.test
def a_truncate_after_the_copy_is_in_the_backup():
    """TRUNCATE makes a table of these engines anew: not in ddl.log, held up by neither FLUSH nor anything before it, and not
    replayed by Aria's recovery."""
    s = shared()
    tables = {'logged': 'Aria TRANSACTIONAL=1', 'unlogged': 'Aria TRANSACTIONAL=0', 'my': 'MyISAM'}
    for when in ('FLUSH', 'WINDOW'):
        for name, engine in tables.items():
            s.server.execute(f'CREATE OR REPLACE TABLE d.{name} (id INT PRIMARY KEY, v CHAR(40)) ENGINE={engine}',
                             f'INSERT INTO d.{name} SELECT seq, MD5(seq) FROM seq_1_to_3000')
        backup = s.held(when)
        s.server.execute(*(f'TRUNCATE TABLE d.{name}' for name in tables))
        expected = s.finish(backup)
        assert not any(s.server.value(f'SELECT COUNT(*) FROM d.{name}') for name in tables)
        s.compare(backup, expected)
    s.server.execute(*(f'DROP TABLE d.{name}' for name in tables))


VECTOR_ENGINES = {'inno': 'InnoDB', 'my': 'MyISAM', 'logged': 'Aria TRANSACTIONAL=1', 'unlogged': 'Aria TRANSACTIONAL=0'}
VECTORS = 200


def make_vectors(server, table, engine, keys=''):
    server.execute(f'CREATE OR REPLACE TABLE v.{table} (id INT PRIMARY KEY, n INT, v VECTOR(3) NOT NULL, VECTOR INDEX (v){keys}) ENGINE={engine}',
                   f'INSERT INTO v.{table} SELECT seq, 0, VEC_FromText(CONCAT("[", seq, ",", seq * 7 % 31, ",1]")) FROM seq_1_to_{VECTORS}')


def find_vectors(server, table):
    """The vector index, whose search is not exact, finds nearly each row by its own vector; an index that is not that of these rows does not."""
    rows, missed = server.rows(f'SELECT id, VEC_ToText(v) FROM v.{table} WHERE id % 9 = 0'), {}
    for key, vector in rows:
        search = f'SELECT id FROM v.{table} FORCE INDEX (v) ORDER BY VEC_DISTANCE_EUCLIDEAN(v, VEC_FromText("{vector}")) LIMIT 3'
        plan, found = server.row(f'EXPLAIN {search}'), [each for each, in server.rows(search)]
        assert plan['key'] == 'v', f'{table}: {plan}'
        if key not in found:
            missed[key] = found
    assert len(missed) <= len(rows) // 10, f'{table}: of {len(rows)} rows not found: {missed}'


def vector_indexes_made_meanwhile(when):
    """Each is a table beside its own (t#i#NN), of the same engine, which nothing names: neither ddl.log nor the lists of tables."""
    s = shared()
    if s.server.series() < (11, 7):
        suite.skip('vector indexes came with 11.7')
    s.server.execute('CREATE OR REPLACE DATABASE v')
    for name, engine in VECTOR_ENGINES.items():
        for table in (f'{name}_stays', f'{name}_moves', f'{name}_goes', f'{name}_changes', f'{name}_empties'):
            make_vectors(s.server, table, engine)
    backup = s.held(when)
    for name, engine in VECTOR_ENGINES.items():
        s.server.execute(f'RENAME TABLE v.{name}_moves TO v.{name}_moved', f'DROP TABLE v.{name}_goes')
        if when != 'WINDOW' or engine == 'InnoDB':  # FLUSH holds up those of others
            s.server.execute(f'TRUNCATE TABLE v.{name}_empties', f'ALTER TABLE v.{name}_changes ADD KEY (n)')  # another number
        if when == 'COPY':
            make_vectors(s.server, f'{name}_comes', engine)
            s.server.execute(f'DELETE FROM v.{name}_stays WHERE id > 100')
    expected = s.finish(backup)
    back = restored.Restored(s.agent, backup)
    try:
        server = back.start()
        oracle.compare(expected, server, back.info)
        for name in VECTOR_ENGINES:
            for table in (f'{name}_stays', f'{name}_moved', f'{name}_changes', f'{name}_empties') + ((f'{name}_comes',) if when == 'COPY' else ()):
                find_vectors(server, table)
                server.execute(f'INSERT INTO v.{table} VALUES (990, 0, VEC_FromText("[990,1,1]")), (999, 0, VEC_FromText("[999,1,1]"))')
                find_vectors(server, table)
        names = sorted(name for name in os.listdir(os.path.join(back.server.datadir, 'v')) if '#i#' in name)
        assert names == sorted(name for name in os.listdir(os.path.join(s.server.datadir, 'v')) if '#i#' in name), names
        checks.check_tables(server)
    finally:
        back.remove()
    s.server.execute('DROP DATABASE v')


for moment in ('COPY', 'FLUSH', 'WINDOW'):
    suite.add(f'vector_indexes_made_anew_at_{moment}_are_in_the_backup', vector_indexes_made_meanwhile, moment)


@suite.test
def aria_logs_rotate_and_checkpoints_run_meanwhile():
    s = shared()
    before = sorted(name for name in os.listdir(s.server.datadir) if name.startswith('aria_log.'))
    backup = s.held('FLUSH')
    s.server.execute(f'INSERT INTO d.aria (v) SELECT REPEAT(MD5(seq), 7) FROM seq_1_to_{ARIA_ROWS}',
                     'DELETE FROM d.aria WHERE id % 3 = 0', 'CREATE USER rotated@localhost',
                     'GRANT SELECT ON d.* TO rotated@localhost')
    after = sorted(name for name in os.listdir(s.server.datadir) if name.startswith('aria_log.'))
    assert after[-1] > before[-1], f'no rotation: {before}, {after}'
    s.compare(backup, s.finish(backup))
    say(f'  {before} before, {after} after')


class Redo(load.Load):
    """Some hundred kilobytes of redo a step."""
    pace_s = 0.02

    def step(self, connection):
        query(connection, 'UPDATE d.a SET v = MD5(RAND()) WHERE id BETWEEN %s AND %s + 1500', (self.done * 1500 % 18000,) * 2)


def behind(s):
    """A backup whose page readers have work for a long time; the agent is stopped."""
    backup = backups.start(s.server, rate='1M')
    backups.wait_stage(s.server, 'COPY')
    s.agent.freeze()
    return backup


@suite.test
def readers_slow_down_while_the_follower_is_behind():
    s = shared()
    s.held_none()
    s.server.execute(f'SET GLOBAL innodb_log_file_size = {64 * MIB}')
    redo = Redo(s.server, 1)
    redo.pace_s = 0.1  # on a quick machine, too, some seconds pass until the log is overrun
    with load.running([redo]):
        backup = behind(s)
        try:
            wait_for(lambda: s.server.in_log(f'{backup} page readers slow down for the sake of the redo follower'), 14, 'the readers to slow down')
        finally:
            s.agent.thaw()
        wait_for(lambda: s.server.in_log(f'{backup} page readers run at full speed again'), 60, 'the readers to recover')
    backups.call(s.server, 'BACKUP_SET', '{"rate": 0}')
    figures = backups.wait_end(s.server, backup)
    assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'


@suite.test
def a_backup_starts_where_the_checkpoint_is_far_behind():
    """A busy server lets its checkpoint fall back to seven tenths of the log and keeps it there."""
    s = Scene('far', {'innodb-adaptive-flushing': 'OFF', 'innodb-flush-log-at-trx-commit': '0'})
    far = int(0.7 * 96 * MIB)
    with load.running([Redo(s.server, 1)]) as (redo,):
        redo.pace_s = 0
        wait_for(lambda: int(s.server.status('Innodb_checkpoint_age')) > far, 60, 'the checkpoint to fall behind')
        redo.pace_s = Redo.pace_s  # else what is left of the log is written in a second
        figures = backups.take(s.server)
    lag = int(figures['redo_bytes'])
    assert lag > far // 2, f'{lag} bytes of redo: the checkpoint was not behind'
    s.agent.kill()
    s.server.kill()


@suite.test
def an_overrun_redo_log_fails_the_backup():
    s = shared()
    s.held_none()
    s.server.execute(f'SET GLOBAL innodb_log_file_size = {16 * MIB}')
    with load.running([Redo(s.server, 1)]):
        backup = behind(s)
        try:
            figures = backups.wait_end(s.server, backup, 30)
        finally:
            s.agent.thaw()
    s.server.execute(f'SET GLOBAL innodb_log_file_size = {96 * MIB}')
    assert (figures['state'], figures['error_code']) == ('failed', '2204'), f'{figures["state"]}: {figures["error"]}'
    assert 'innodb_log_file_size' in figures['error'], figures['error']
    assert backup not in s.agent.listed()
    backups.take(s.server)


def without_checksums(path, size=16384):
    """Gives every page of a file that is not in full_crc32 format the mark that servers before 10.6 wrote with
    innodb_checksum_algorithm=none; returns how many."""
    with open(path, 'r+b') as f:
        pages = 0
        for at in range(0, os.path.getsize(path), size):
            f.seek(at)
            if not any(f.read(size)):
                continue
            pages += 1
            for field in (at, at + size - 8):
                f.seek(field)
                f.write(b'\xde\xad\xbe\xef')
    return pages


@suite.test
def pages_without_a_checksum_are_read_until_they_hold_still():
    s = Scene('unchecked', {'innodb-checksum-algorithm': 'crc32'})
    s.server.execute('SET GLOBAL innodb_fast_shutdown = 0')
    s.server.stop()
    pages = without_checksums(os.path.join(s.server.datadir, 'd', 'a.ibd'))
    s.server.start()
    s.server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
    backup = s.held('FLUSH')
    s.server.execute('UPDATE d.a SET v = MD5(RAND()) WHERE id % 100 = 0')
    s.compare(backup, s.finish(backup), innochecksum=False)  # 10.11's knows no page without
    assert s.agent.json('verify', backup)['unverifiable'] == 1, 'd/a.ibd is not told'
    say(f'  {pages} pages')


@suite.test
def a_replaced_redo_log_fails_the_backup():
    s = shared()
    backup = s.held('FLUSH')
    # what was written before the end of the resize is in both files
    s.server.execute('SET GLOBAL innodb_log_file_size = 128 * 1024 * 1024', 'UPDATE d.a SET v = MD5(v)')
    backups.release(s.server)
    figures = backups.wait_end(s.server, backup)
    s.server.execute('SET GLOBAL innodb_log_file_size = 96 * 1024 * 1024')
    assert (figures['state'], figures['error_code']) == ('failed', '2205'), f'{figures["state"]}: {figures["error"]}'
    assert backup not in s.agent.listed()
    backups.take(s.server)


@suite.test
def redo_longer_than_the_servers_log_is_replayed():
    """The image is booted with an innodb_log_file_size smaller than the redo it has to replay (rule 10)."""
    s = shared()
    backup = s.held('FLUSH')
    s.server.execute(*['UPDATE d.a SET v = MD5(RAND())'] * 3)
    expected = s.finish(backup)
    redo = int(checks.fact(s.agent.json('info', backup), 'redo_bytes'))
    assert redo > 4 << 20, f'only {redo} bytes of redo'
    s.compare(backup, expected, log_file_size='4M')
    say(f'  {redo} bytes of redo, a log of 4 MiB')


@suite.test
def a_damaged_page_fails_the_backup_and_is_named():
    s = shared()
    s.server.execute('CREATE TABLE d.hurt LIKE d.a', 'INSERT INTO d.hurt SELECT * FROM d.a',
                     'FLUSH TABLES d.hurt FOR EXPORT', 'UNLOCK TABLES')
    page, size = 9, 16384
    path = os.path.join(s.server.datadir, 'd', 'hurt.ibd')
    with open(path, 'r+b') as f:
        f.seek(page * size + 5000)
        kept = f.read(1)
        f.seek(page * size + 5000)
        f.write(bytes([kept[0] ^ 0xff]))
    backup = backups.start(s.server)
    figures = backups.wait_end(s.server, backup)
    assert (figures['state'], figures['error_code']) == ('failed', '2201'), f'{figures["state"]}: {figures["error"]}'
    for word in (f'page {page} of d/hurt.ibd', f'offset {page * size}'):
        assert word in figures['error'], figures['error']
    assert backup not in s.agent.listed()
    s.server.execute('DROP TABLE d.hurt')
    backups.take(s.server)


suite.main()
