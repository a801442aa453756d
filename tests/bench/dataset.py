"""The data sets: made once on a plain server (no replication to wait for), then given to two Galera nodes."""
import os
import shutil

from gbtest import processes
from gbtest.cluster import Cluster, saved_position
from gbtest.server import Server

A_MB = int(os.environ.get('BENCH_A_MB', 2048))
A_TABLES = 4
B_TABLES = int(os.environ.get('BENCH_B_TABLES', 3000))
POOL = os.environ.get('BENCH_POOL', '512M')
ROWS_PER_MB = 4200  # of a sysbench table with its index

OPTIONS = {'innodb-buffer-pool-size': POOL, 'innodb-log-file-size': '512M', 'table-open-cache': '8000',
           'loose-galera-backup-busy-rate': False}  # the plugin's own default
LOADING = {'innodb-flush-log-at-trx-commit': '0', 'innodb-doublewrite': '0', 'innodb-io-capacity': '5000'}


def sysbench_tables(server, megabytes, tables):
    rows = megabytes * ROWS_PER_MB // tables
    server.execute('CREATE DATABASE IF NOT EXISTS sbtest')
    processes.run(['sysbench', 'oltp_read_write', f'--mysql-socket={server.socket}', '--mysql-user=root',
                   f'--tables={tables}', f'--table-size={rows}', '--threads=2', '--create_secondary=on', 'prepare'],
                  timeout=3600)


def small_tables(server, count):
    server.execute('CREATE DATABASE IF NOT EXISTS small')
    for number in range(1, count + 1):
        server.execute(f'CREATE TABLE small.t{number} (id INT PRIMARY KEY, k INT, c VARCHAR(120), KEY (k)) ENGINE=InnoDB',
                       f'INSERT INTO small.t{number} SELECT seq, CRC32(seq) DIV 2, REPEAT(MD5(seq * {number}), 3) '
                       'FROM seq_1_to_100')


def make(key, note):
    """(title, data directory) of a data set, a clean first node of a cluster."""
    server = Server(f'make-{key}', {**OPTIONS, **LOADING}, plugin=False)
    server.create()
    server.start()
    note(f'making data set {key}')
    if key in ('A', 'E'):
        sysbench_tables(server, A_MB, A_TABLES)
        title = f'{key}: {A_TABLES} sysbench tables'
    else:
        small_tables(server, B_TABLES)
        title = f'B: {B_TABLES} small tables'
    server.stop()
    seed = Cluster(1, OPTIONS, plugin=False, name=f'seed-{key}')
    os.rename(server.datadir, seed[0].datadir)
    seed[0].bootstrap()
    seed[0].stop()
    os.remove(os.path.join(seed[0].datadir, 'galera.cache'))
    size = sum(os.lstat(os.path.join(directory, name)).st_blocks * 512
               for directory, _, names in os.walk(seed[0].datadir) for name in names if not name.startswith('ib_logfile'))
    return f'{title}, {size / (1 << 20):.0f} MiB', seed[0].datadir


def cluster(key, source, plugin):
    """Two running nodes with that data; the first node takes the directory, the second a copy of it."""
    nodes = Cluster(2, OPTIONS, plugin=plugin, name=f'bench-{key}')
    shutil.copytree(source, nodes[1].datadir)
    os.rename(source, nodes[0].datadir)
    nodes[1].grastate(*saved_position(nodes[0].datadir), 0)
    return nodes.start()
