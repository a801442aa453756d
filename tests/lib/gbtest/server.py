"""A private MariaDB server: its own data directory, socket and port; never the machine's configuration.

    server = Server('alone'); server.create(); server.start()
    server.value('SELECT 1')

A new data directory is a copy of a template that mariadb-install-db made once in the run (GB_TEST_TEMPLATE: made by
an outer run). The plugin directory is private: links to the distribution's plugins and to galera_backup.so of BUILD.
"""
import os
import re
import shutil
import signal

import pymysql

from . import processes
from .waiting import wait_for

START_DEADLINE_S = 90
STOP_DEADLINE_S = 60
DISTRIBUTION_PLUGINS = '/usr/lib/mysql/plugin'
SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..', '..'))


def build_dir():
    """Where plugin and agent were built: BUILD, else build-test/ in the source tree (with the test hooks)."""
    return os.path.abspath(os.environ.get('BUILD', os.path.join(SOURCE, 'build-test')))


def sanitizers(directory=None):
    """What a build was made with: GB_SANITIZE of its cache, '' for none."""
    try:
        with open(os.path.join(directory or build_dir(), 'CMakeCache.txt'), encoding='utf-8') as f:
            return ''.join(re.findall(r'^GB_SANITIZE:\w+=(.*)$', f.read(), re.M))
    except FileNotFoundError:
        return ''


def sanitized_environment():
    """Of a mariadbd that loads a plugin built with ASan: its library comes first. What the server itself leaks, or how it
    allocates, is not ours. None for any other build."""
    if 'address' not in sanitizers():
        return None
    library = processes.run(['cc', '-print-file-name=libasan.so']).stdout.strip()
    options = os.environ.get('ASAN_OPTIONS', '')
    return {**os.environ, 'LD_PRELOAD': os.path.realpath(library),
            'ASAN_OPTIONS': f'{options}:detect_leaks=0:alloc_dealloc_mismatch=0:detect_odr_violation=0:handle_segv=0:handle_abort=0'}


def plugin_file():
    return os.path.join(build_dir(), 'plugin', 'galera_backup.so')


def plugin_dir():
    path = os.path.join(processes.run_dir(), 'plugin')
    if not os.path.isdir(path):
        os.makedirs(path)
        for name in os.listdir(DISTRIBUTION_PLUGINS):
            os.symlink(os.path.join(DISTRIBUTION_PLUGINS, name), os.path.join(path, name))
        if os.path.exists(plugin_file()):
            os.symlink(plugin_file(), os.path.join(path, 'galera_backup.so'))
    return path


def as_root():
    """mariadbd refuses to run as root unless told so."""
    return ['--user=root'] if os.geteuid() == 0 else []


def install_db(path):
    processes.run(['mariadb-install-db', '--no-defaults', '--auth-root-authentication-method=normal',
                   '--skip-test-db', '--innodb-log-file-size=10M', f'--datadir={path}',
                   f'--tmpdir={processes.run_dir()}'] + as_root())


def template():
    """A fresh data directory, made once."""
    path = os.environ.get('GB_TEST_TEMPLATE') or os.path.join(processes.run_dir(), 'template')
    if not os.path.isdir(os.path.join(path, 'mysql')):
        install_db(path)
    return path


def connect(socket_path, timeout=60, autocommit=True, **options):
    # a default database, for the sequence engine's seq_1_to_N
    options.setdefault('database', 'mysql')
    return pymysql.connect(unix_socket=socket_path, user=options.pop('user', 'root'), charset='utf8mb4',
                           autocommit=autocommit, connect_timeout=5, read_timeout=timeout, write_timeout=timeout,
                           **options)


def query(connection, sql, args=None):
    """All rows of the first result set (a list of tuples); further ones are drained."""
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        rows = list(cursor.fetchall())
        while cursor.nextset():
            pass
        return rows


def query_dicts(connection, sql, args=None):
    with connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute(sql, args)
        rows = list(cursor.fetchall())
        while cursor.nextset():
            pass
        return rows


class Server:
    def __init__(self, name, options=None, base=None, plugin=True, agent_socket=None):
        """options: dictionary of mariadbd options (value None: a bare flag; a value of False: leave it out)."""
        self.name = name
        self.base = base or os.path.join(processes.run_dir(), name)
        # One of its own: a mariadbd that starts removes the temporary tables of all others from a directory that it shares with them.
        self.tmpdir = os.path.join(self.base, 'tmp')
        os.makedirs(self.tmpdir, exist_ok=True)
        self.datadir = os.path.join(self.base, 'data')
        self.socket = os.path.join(self.base, 'sock')
        self.log = os.path.join(self.base, 'log.err')  # mariadbd adds .err to a name without a dot
        self.agent_socket = agent_socket or os.path.join(self.base, 'agent.sock')
        self.port, = processes.free_ports(1)
        self.plugin = plugin
        self.environment = sanitized_environment() if plugin else None  # of mariadbd; None: ours
        self.process = None
        self._connection = None
        self.options = {
            'bind-address': '127.0.0.1', 'skip-name-resolve': None, 'performance-schema': 'OFF',
            'innodb-buffer-pool-size': '64M', 'innodb-log-file-size': '96M', 'max-connections': '120',
            'key-buffer-size': '1M', 'aria-pagecache-buffer-size': '8M', 'table-open-cache': '4000',
            'open-files-limit': '20000', 'character-set-server': 'utf8mb4',
            # in a virtual machine a checkpoint every second keeps the disk busy for nothing
            'innodb-io-capacity': '1000',
            # tests keep all processors busy: a backup of theirs is not to be slow for the server's sake
            'loose-galera-backup-busy-rate': '0',
        }
        self.options.update(options or {})

    # -- life

    def create(self):
        """A new data directory, as mariadb-install-db makes it."""
        shutil.copytree(template(), self.datadir, symlinks=True)

    def settings(self):
        """All options of the server, as its private my.cnf gets them."""
        settings = {'datadir': self.datadir, 'socket': self.socket, 'port': self.port, 'log-error': self.log,
                    'pid-file': os.path.join(self.base, 'pid'), 'tmpdir': self.tmpdir}
        if self.plugin:
            settings.update({'plugin-dir': plugin_dir(), 'plugin-maturity': 'unknown',
                             'plugin-load-add': 'galera_backup.so',
                             'loose-galera-backup-agent-socket': self.agent_socket})
        settings.update(self.options)
        return settings

    def write_config(self):
        """The private my.cnf: a defaults file of our own, because the SST scripts read one in any case."""
        path = os.path.join(self.base, 'my.cnf')
        with open(path, 'w', encoding='utf-8') as f:
            f.write('[mysqld]\n')
            for key, value in self.settings().items():
                if value is not False:
                    f.write(f'{key}\n' if value is None else f'{key} = {value}\n')
            f.write(f'\n[client]\nsocket = {self.socket}\nuser = root\n\n[sst]\nsst-syslog = 0\n')
        return path

    def arguments(self, extra=()):
        return ['mariadbd', f'--defaults-file={self.write_config()}'] + as_root() + list(extra)

    def launch(self, extra=()):
        """Starts mariadbd without waiting for it."""
        self.log_start = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(os.path.join(self.base, 'output'), 'ab') as output:  # what comes before the error log is open
            self.process = processes.start(self.arguments(extra), stdout=output, env=self.environment)

    def alive(self):
        """Raises with the end of the error log if the process is gone."""
        if self.process is None or self.process.poll() is not None:
            status = self.process.returncode if self.process else None
            raise AssertionError(f'{self.name} ended with status {status}; its log: ...{self.log_text()[-3000:]}')
        return True

    def ready(self):
        self.close()
        return self.value('SELECT 1') == 1

    def start(self, extra=(), deadline_s=START_DEADLINE_S):
        self.launch(extra)
        wait_for(self.ready, deadline_s, f'{self.name} to accept connections', while_true=self.alive)
        return self

    def stop(self, deadline_s=STOP_DEADLINE_S, number=signal.SIGTERM):
        """A clean shutdown by signal; returns the exit status."""
        self.close()
        process, self.process = self.process, None
        return processes.end(process, number, deadline_s) if process else 0

    def kill(self):
        self.close()
        process, self.process = self.process, None
        if process:
            processes.end(process, signal.SIGKILL)

    def restart(self, extra=()):
        self.stop()
        return self.start(extra)

    def wipe(self):
        """Removes the data directory, as a lost disk does."""
        assert self.process is None, 'stop or kill it first'
        shutil.rmtree(self.datadir)

    # -- SQL

    def connect(self, timeout=60, **options):
        """A new connection, the caller's own: for another thread, or a session with settings."""
        return connect(self.socket, timeout, **options)

    def connection(self):
        if self._connection is None:
            self._connection = self.connect()
        return self._connection

    def close(self):
        if self._connection is not None:
            try:
                self._connection.close()
            except pymysql.Error:
                pass
            self._connection = None

    def rows(self, sql, args=None):
        try:
            return query(self.connection(), sql, args)
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError) as error:
            if not error.args or error.args[0] in (0, 2006, 2013, 2014, 2055):
                self.close()
            raise

    def row(self, sql, args=None):
        """The first row as a dictionary."""
        rows = query_dicts(self.connection(), sql, args)
        assert rows, f'no row: {sql}'
        return rows[0]

    def value(self, sql, args=None):
        rows = self.rows(sql, args)
        return rows[0][0] if rows else None

    def execute(self, *statements):
        for sql in statements:
            self.rows(sql)

    def status(self, name):
        """A global status variable, as text ('' when there is none); never an unfiltered SHOW STATUS (30 ms)."""
        rows = self.rows('SHOW GLOBAL STATUS LIKE %s', (name.replace('_', r'\_'),))
        return rows[0][1] if rows else ''

    def statuses(self, prefix):
        """{name without the prefix, in lower case: value}"""
        rows = self.rows('SHOW GLOBAL STATUS LIKE %s', (prefix.replace('_', r'\_') + '%',))
        return {name[len(prefix):].lower(): value for name, value in rows}

    def variable(self, name):
        rows = self.rows('SHOW GLOBAL VARIABLES LIKE %s', (name.replace('_', r'\_'),))
        return rows[0][1] if rows else ''

    def series(self):
        """(10, 11), (11, 8)"""
        return tuple(int(word) for word in self.value('SELECT VERSION()').split('.')[:2])

    def source(self, path):
        """Runs an SQL file with the mariadb client (it knows DELIMITER)."""
        with open(path, encoding='utf-8') as f:
            processes.run(['mariadb', '--no-defaults', '-uroot', f'--socket={self.socket}'], stdin=f)

    # -- the error log

    def log_text(self, since_start=True):
        """What the server wrote since its last start (or ever)."""
        try:
            with open(self.log, encoding='utf-8', errors='replace') as f:
                if since_start:
                    f.seek(getattr(self, 'log_start', 0))
                return f.read()
        except FileNotFoundError:
            return ''

    def last_words(self, count=12):
        """The last lines of the log that are errors, of a crash, or tell of the cluster."""
        words = r'\[ERROR\]|\[Warning\]|got signal|Assertion|WSREP: .*(inconsist|Vote|vote|view\(|Shifting|evict|Failed|Closing)'
        lines = [line for line in self.log_text().splitlines() if re.search(words, line)]
        return '\n'.join(f'    {line[:300]}' for line in lines[-count:])

    def in_log(self, pattern, since_start=True):
        return re.search(pattern, self.log_text(since_start))
