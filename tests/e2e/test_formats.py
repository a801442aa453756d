#!/usr/bin/python3
"""Every format that a MariaDB server can write: a server of its own for each cell holds one of everything (gbtest/kinds.py), is
backed up while all of it is written to, and is compared with what comes back by the oracle, CHECK TABLE and innochecksum.

    tests/e2e/test_formats.py [CELL...]      GB_TEST_SEED=N: which cells are in the short form; GB_TEST_LONG=1: all of them
"""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, kinds, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, as_root  # noqa: E402
from gbtest.suite import LONG, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

SEED = int(os.environ.get('GB_TEST_SEED', time.time()))
SHARE = 2  # cells of the short form
PAGE_SIZES = (4, 8, 16, 32, 64)
CHECKSUMS = ('crc32', 'strict_crc32', 'full_crc32', 'strict_full_crc32')
ENGINES = 'ha_archive.so;ha_blackhole.so'
MIB = 1 << 20


class Cell:
    def __init__(self, name, options=None, page_size=16384, plugins='', keys=0):
        """options: of both servers; what mariadb-install-db must know is among them."""
        self.name, self.page_size, self.keys = name, page_size, keys
        self.plugins = ';'.join(each for each in (ENGINES, plugins) if each)
        self.options = {'innodb-page-size': page_size, **(options or {})}

    def run(self):
        server = self.make()
        agent = Agent(server).start()
        backups.install(server)
        server.execute(*kinds.statements(self.page_size, self.keys))
        loads = self.loads(server)
        for each in loads:
            each.prepare(server)
        try:
            with load.running(loads):
                for each in loads:
                    wait_for(lambda one=each: one.done > 3 or one.failure, 60, f'{type(each).__name__} to write')
                self.prepare(server)
                figures, expected = oracle.backup(server, self.during(server))
        finally:
            agent.stop()
            server.stop()
        back = restored.Restored(agent, figures['id'], options=self.restore_options())
        try:
            self.check_image(back)
            self.tell(back.server)
            back.start()
            back.check_lsn(back.server.log_text())
            self.look(back.server)
            tables = back.check_data(self.adapt(expected))
            files = self.check_end(back)
        finally:
            back.remove()
        say(f'  {len(expected)} things, {tables} tables, {files} tablespaces, {sum(each.done for each in loads)} statements of loads')

    def make(self):
        """A server with the cell's options in a data directory that was made with them."""
        server = Server(self.name, {**self.options, 'log-bin': 'binlog', 'server-id': '7', 'gtid-strict-mode': 'ON',
                                    'plugin-load-add': 'galera_backup.so;' + self.plugins})
        words = [f'--{name}={value}' for name, value in self.options.items()]
        processes.run(['mariadb-install-db', '--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db',
                       '--innodb-log-file-size=10M', f'--datadir={server.datadir}', f'--tmpdir={server.base}'] + as_root() + words)
        return server.start()

    def loads(self, server):
        tables = [f'kinds.{name}' for name in kinds.formats(self.page_size, self.keys)]
        return [load.Transfers(server, 1), load.Sequence(server, 2), load.Unlogged(server, 3), load.Ddl(server, 4, self.churn()),
                load.Touch(server, 5, tables + ['kinds.plain', 'kinds.parts', 'kinds.subparts', 'kinds.words', 'kinds.aria', 'kinds.myisam'])]

    def churn(self):
        return [engine for engine in load.ENGINES if self.page_size <= 16384 or 'COMPRESSED' not in engine]

    def prepare(self, server):
        """Before the backup, under load."""

    def during(self, server):
        """{stage: function} of what is done while the backup is held there."""
        return {}

    def restore_options(self):
        return []

    def tell(self, server):
        """The restored server's options."""
        server.options.update(self.options)
        server.options['plugin-load-add'] = self.plugins

    def check_image(self, back):
        back.check_image()

    def check_end(self, back):
        """After a clean shutdown; returns how many tablespaces were looked at."""
        return back.check_pages_after()

    def adapt(self, state):
        """What is to be expected of the restored server."""
        return state

    def look(self, server):
        """What no checksum says, on the restored server."""
        words = server.value('SELECT COUNT(*) FROM kinds.words WHERE v LIKE "%common%"')
        found = server.value('SELECT COUNT(*) FROM kinds.words WHERE MATCH (v) AGAINST ("common")')
        assert words == found, f'{words} rows have the word, its index finds {found}'
        near = server.value('SELECT COUNT(*) FROM kinds.places WHERE MBRContains(ST_GeomFromText('
                            '"Polygon((0 0, 0 100, 10.5 100, 10.5 0, 0 0))"), p)')
        assert near == 10, f'the spatial index finds {near} of 10'
        reader = server.connect(user='reader', password='secret', database='kinds')
        reader.close()


class Encrypted(Cell):
    """File keys; threads that encrypt and decrypt tablespaces all the time, since the setting is switched to and fro."""

    def __init__(self, name, options=None, **more):
        super().__init__(name, {'innodb-encryption-threads': 3, 'innodb-encrypt-tables': 'ON', 'aria-encrypt-tables': 'ON',
                                'innodb-encryption-rotate-key-age': 1, **(options or {})},
                         plugins='file_key_management.so', keys=2, **more)

    def make(self):
        path = os.path.join(processes.run_dir(), 'keys')
        with open(path, 'w', encoding='ascii') as f:
            f.write('1;770A8A65DA156D24EE2A093277530142\n2;F5502320F8429037B8DAEF761B189D12F5502320F8429037B8DAEF761B189D12\n')
        self.options['file-key-management-filename'] = path
        self.options['plugin-load-add'] = 'file_key_management.so'
        return super().make()

    def loads(self, server):
        return super().loads(server) + [Recrypt(server, 6)]

    def prepare(self, server):
        wait_for(lambda: server.value('SELECT COUNT(*) FROM information_schema.innodb_tablespaces_encryption WHERE encryption_scheme = 1') > 20,
                 60, 'tablespaces to be encrypted')


    def check_image(self, back):
        """innochecksum takes encrypted pages for damaged ones while page 0 says that the tablespace is not encrypted as a whole."""

    def check_end(self, back):
        back.server.restart()
        return checks.check_tables(back.server)


class Recrypt(load.Load):
    pace_s = 1

    def step(self, connection):
        load.query(connection, f'SET GLOBAL innodb_encrypt_tables = {"ON" if self.done % 2 else "OFF"}')


class Rotated(Encrypted):
    """A key plugin whose keys get new versions: the tablespaces are encrypted anew while they are copied."""

    def __init__(self, name, **more):
        super().__init__(name, **more)
        self.plugins, self.keys = ENGINES + ';debug_key_management.so', 1
        self.versions = None

    def make(self):
        self.options.update({'plugin-load-add': 'debug_key_management.so', 'plugin-maturity': 'unknown'})
        return Cell.make(self)

    def loads(self, server):
        self.versions = Versions(server, 6)
        return Cell.loads(self, server) + [self.versions]

    check_image, check_end = Cell.check_image, Cell.check_end

    def tell(self, server):
        super().tell(server)
        server.options['debug-key-management-version'] = self.versions.version


class Versions(load.Load):
    pace_s = 0.5
    version = 1

    def step(self, connection):
        self.version += 1
        load.query(connection, f'SET GLOBAL debug_key_management_version = {self.version}')


class Undo(Cell):
    """Undo tablespaces that are truncated while the backup runs."""

    def __init__(self, name):
        super().__init__(name, {'innodb-undo-tablespaces': 3, 'innodb-max-undo-log-size': 10 * MIB, 'innodb-undo-log-truncate': 'ON',
                                'innodb-purge-rseg-truncate-frequency': 1, 'innodb-log-file-size': 512 * MIB})

    def prepare(self, server):
        server.execute('CREATE DATABASE big', 'CREATE TABLE big.t (id INT PRIMARY KEY, v CHAR(250)) ENGINE=InnoDB',
                       'INSERT INTO big.t SELECT seq, MD5(seq) FROM seq_1_to_30000')

    def during(self, server):
        def truncate():
            before = int(server.status('Innodb_undo_truncations'))

            def truncated():
                server.execute('UPDATE big.t SET v = MD5(RAND())')
                return int(server.status('Innodb_undo_truncations')) > before

            wait_for(truncated, 50, 'an undo tablespace to be truncated')
        return {'COPY': truncate, 'FLUSH': truncate}


class Files(Cell):
    """The system tablespace in several files, one of them elsewhere; all other directories elsewhere, too; restored to yet others."""
    PLACES = {'undo': 'innodb-undo-directory', 'aria': 'aria-log-dir-path', 'redo': 'innodb-log-group-home-dir'}

    def make(self):
        self.old, self.new = processes.new_dir('places'), os.path.join(processes.run_dir(), 'new-places')
        for name in (*self.PLACES, 'system', 'far'):
            os.mkdir(os.path.join(self.old, name))
        self.options.update(self.places(self.old))
        server = super().make()
        server.execute('CREATE DATABASE far', f'CREATE TABLE far.t (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=InnoDB DATA DIRECTORY="{self.old}/far"',
                       'INSERT INTO far.t SELECT seq, MD5(seq) FROM seq_1_to_2000', 'FLUSH TABLES far.t FOR EXPORT', 'UNLOCK TABLES')
        return server

    def places(self, where):
        return {'innodb-data-home-dir': '', 'innodb-data-file-path': f'ibdata1:4M;ibdata2:8M;{where}/system/ibdata3:4M:autoextend',
                'innodb-undo-tablespaces': 2, **{option: os.path.join(where, name) for name, option in self.PLACES.items()}}

    def restore_options(self):
        os.rename(self.old, self.old + '.gone')  # as on another host
        return [f'--map={self.old}={self.new}']

    def tell(self, server):
        super().tell(server)
        server.options.update(self.places(self.new))

    def adapt(self, state):
        key = ('definition of', 'far.t')
        return {**state, key: state[key].replace(self.old, self.new)}

    def look(self, server):
        super().look(server)
        assert not os.path.exists(self.old), 'something was written to the old place'


cells = [Cell(f'page_{size}k_{algorithm}', {'innodb-checksum-algorithm': algorithm}, size * 1024)
         for size in PAGE_SIZES for algorithm in CHECKSUMS]
cells += [Encrypted(f'encrypted_{size}k_{algorithm}', {'innodb-checksum-algorithm': algorithm}, page_size=size * 1024)
          for size, algorithm in ((4, 'full_crc32'), (16, 'full_crc32'), (16, 'crc32'), (16, 'strict_crc32'), (64, 'full_crc32'))]
cells += [Rotated('key_rotation'), Undo('undo_truncation'), Files('files_elsewhere')]

suite = Suite()


def refused(options, tables, number, *words):
    """A backup that is not begun, with that error, which has the words."""
    server = Server(f'refused{number}', options)
    server.create()
    server.start()
    agent = Agent(server).start()
    try:
        backups.install(server)
        server.execute(*tables)
        code, text = backups.error_of(backups.start, server)
        assert code == 20000 + number and all(word in text for word in words), f'{code} {text}'
        say(f'  {text}')
    finally:
        agent.stop()
        server.stop()


@suite.test
def an_engine_that_cannot_be_backed_up_is_refused_by_name():
    refused({'plugin-load-add': 'galera_backup.so;ha_sphinx.so;ha_example.so'},
            ['CREATE DATABASE d', 'CREATE TABLE d.kept (id INT) ENGINE=InnoDB', 'CREATE TABLE d.strange (id INT NOT NULL) ENGINE=EXAMPLE',
             'CREATE TABLE d.far (id INT UNSIGNED NOT NULL, weight INT NOT NULL, query VARCHAR(3072) NOT NULL, INDEX(query)) '
             'ENGINE=SPHINX CONNECTION="sphinx://127.0.0.1:9312/none"'], 2011, 'd.strange (EXAMPLE)', 'd.far (SPHINX)')


@suite.test
def an_encrypted_redo_log_is_refused_by_name():
    path = os.path.join(processes.run_dir(), 'key')
    with open(path, 'w', encoding='ascii') as f:
        f.write('1;770A8A65DA156D24EE2A093277530142\n')
    refused({'plugin-load-add': 'galera_backup.so;file_key_management.so', 'file-key-management-filename': path, 'innodb-encrypt-log': 'ON'},
            [], 2013, 'innodb_encrypt_log')


CRYPT_MAGIC = b's\x0e\x0cREt'


@suite.test
def encrypted_tables_are_recovered_with_the_keys_of_this_host():
    """The server that --recover starts has no configuration file but for the plugins that open tables; without them nothing is begun."""
    cell = Encrypted('hosts_keys')
    server = cell.make()
    agent = Agent(server).start()
    backups.install(server)
    load.bulk(server, 'sbtest', 1, 4 * MIB)
    wait_for(lambda: server.value('SELECT COUNT(*) FROM information_schema.innodb_tablespaces_encryption WHERE name = "sbtest/t1" AND '
                                  'encryption_scheme = 1'), 60, 'it to be encrypted')
    backup = backups.take(server)['id']
    home, target = processes.new_dir('home'), os.path.join(processes.run_dir(), 'recovered')
    argv = agent.argv('restore', backup, '--datadir', target, '--yes', '--recover', '--verify-boot', '--json')
    result = processes.run(argv, check=False, env={**os.environ, 'MARIADB_HOME': home})
    assert result.returncode == 3 and '"code":4020' in result.stderr and 'key plugin' in result.stderr, result.stderr
    assert not os.path.exists(target)
    with open(os.path.join(home, 'my.cnf'), 'w', encoding='ascii') as f:
        f.write('[mysqld]\nplugin_load_add = server_audit.so;file_key_management.so\n'
                f'loose_file_key_management_filename = {cell.options["file-key-management-filename"]}\n')
    report = json.loads(processes.run(argv, env={**os.environ, 'MARIADB_HOME': home}).stdout)
    assert report['recovered'] and report['tables_checked'] > 10, report
    server.stop()


def encrypted_meanwhile(algorithm):
    """InnoDB writes to page 0 that a tablespace is encrypted before it writes the first encrypted page. In the backup, too, page 0 must
    not be the older one: without it recovery takes encrypted pages for damaged ones."""
    cell = Encrypted(f'meanwhile_{algorithm}', {'innodb-checksum-algorithm': algorithm, 'innodb-encrypt-tables': 'OFF', 'innodb-buffer-pool-size': '128M'})
    server = cell.make()
    agent = Agent(server).start()
    backups.install(server)
    load.bulk(server, 'sbtest', 1, 16 * MIB)
    server.execute('SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0')
    wait_for(lambda: int(server.status('Innodb_buffer_pool_pages_dirty')) == 0, 60, 'all pages to be on disk')
    backup = backups.start(server, rate='500K', threads=1)
    wait_for(lambda: int(backups.state(server)['bytes_done']) > MIB, 60, 'page 0 to be copied')
    server.execute('SET GLOBAL innodb_encrypt_tables = ON')
    wait_for(lambda: server.value('SELECT COUNT(*) FROM information_schema.innodb_tablespaces_encryption WHERE name = "sbtest/t1" AND '
                                  'encryption_scheme = 1 AND min_key_version = 1 AND rotating_or_flushing = 0'), 60, 'it to be encrypted')
    server.execute('UPDATE sbtest.t1 SET k = k + 1')
    expected = oracle.finish(server, backup, lambda: backups.call(server, 'BACKUP_SET', '{"rate": 0}'))
    agent.stop()
    server.stop()
    back = restored.Restored(agent, backup)
    try:
        with open(os.path.join(back.server.datadir, 'sbtest', 't1.ibd'), 'rb') as f:
            assert CRYPT_MAGIC in f.read(16384), 'page 0 is older than the encrypted pages'
        cell.tell(back.server)
        back.start()
        oracle.compare(expected, back.server, back.info)
    finally:
        back.remove()


for each in CHECKSUMS[::2] if LONG else CHECKSUMS[2:3]:
    suite.add(f'a_tablespace_that_is_encrypted_while_it_is_copied_comes_back_{each}', encrypted_meanwhile, each)


wanted = [word for word in sys.argv[1:] if not word.startswith('-')]
if not LONG and not wanted and '-l' not in sys.argv:
    say(f'seed {SEED}')
    cells = random.Random(SEED).sample(cells, SHARE)
for cell in cells:
    suite.add(cell.name, cell.run)
suite.main()
