"""What must hold of a restored directory and of servers that should be alike."""
import contextlib
import os
import re
import signal
import time

from . import processes
from .cluster import PROVIDER
from .server import as_root, query

# what each node keeps for itself, or what statistics and logs write at their own time; procs_priv and tables_priv: a node that applies a
# GRANT puts <wsrep_applier> where the granting one puts the grantor
LOCAL_TABLES = {'mysql.innodb_index_stats', 'mysql.innodb_table_stats', 'mysql.gtid_slave_pos', 'mysql.general_log',
                'mysql.slow_log', 'mysql.transaction_registry', 'mysql.wsrep_cluster', 'mysql.wsrep_cluster_members',
                'mysql.wsrep_streaming_log', 'mysql.wsrep_allowlist', 'mysql.index_stats', 'mysql.table_stats',
                'mysql.column_stats', 'mysql.plugin', 'mysql.procs_priv', 'mysql.tables_priv'}
VIRTUAL_SCHEMAS = ('information_schema', 'performance_schema', 'sys')
RECOVER_DEADLINE_S = 300
SETTLE_S = 20
CHECK_TIMEOUT_S = 600  # of one table


def pairs(connection):
    """(schema, table) of all tables that have rows of their own."""
    marks = ', '.join(['%s'] * len(VIRTUAL_SCHEMAS))
    return sorted(query(connection, 'SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN '
                        f'("BASE TABLE", "SYSTEM VERSIONED") AND table_schema NOT IN ({marks})', VIRTUAL_SCHEMAS))


def tables(connection):
    """Sorted schema.table of all tables but those that may differ between nodes."""
    names = ['.'.join(pair) for pair in pairs(connection)]
    return sorted(name for name in names if name not in LOCAL_TABLES)


def quoted(*parts):
    return '.'.join('`' + part.replace('`', '``') + '`' for part in parts)


def checksums(connection, only=None):
    """{schema.table: checksum}, all rows read."""
    names = only if only is not None else tables(connection)
    result = {}
    for name in names:
        result[name] = query(connection, f'CHECKSUM TABLE {quoted(*name.split(".", 1))} EXTENDED')[0][1]
    return result


def differences(one, two):
    """What differs between two results of checksums(), as text; '' when nothing does."""
    words = []
    for name in sorted(set(one) | set(two)):
        if name not in one or name not in two:
            words.append(f'{name} is missing on the {"first" if name not in one else "second"}')
        elif one[name] != two[name]:
            words.append(f'{name}: {one[name]} and {two[name]}')
    return '; '.join(words)


def assert_alike(servers):
    """Every table has the same checksum everywhere; returns {table: checksum}. For a moment without writes: what agents write into the
    catalog meanwhile is waited for."""
    first = checksums(servers[0].connection())
    assert all(value is not None for value in first.values()), f'not readable: {first}'
    catalog = [name for name in first if name.startswith('galera_backup.')]
    for server in servers[1:]:
        def compared():
            first.update(checksums(servers[0].connection(), catalog))
            return differences(first, checksums(server.connection()))
        deadline = time.monotonic() + SETTLE_S
        while found := compared():
            only_catalog = all(words.startswith('galera_backup.') for words in found.split('; '))
            assert only_catalog and time.monotonic() < deadline, f'{servers[0].name} and {server.name}: {found}'
            time.sleep(1)
    return first


def complaints(connection, pair):
    """What CHECK TABLE ... EXTENDED finds wrong."""
    return [f'{".".join(pair)}: {kind} {text}' for _, _, kind, text in query(connection, f'CHECK TABLE {quoted(*pair)} EXTENDED')
            if kind.lower() in ('error', 'warning') or (kind == 'status' and text not in ('OK', 'Table is already up to date'))]


def check_tables(server, but=(), source=None):
    """CHECK TABLE ... EXTENDED on every table but those (schema.table); returns how many. source: the server that was backed up,
    if nothing writes to it now: what it says of its own table in the same words the backup is not to blame for."""
    bad = []
    with contextlib.closing(server.connect(CHECK_TIMEOUT_S)) as connection:
        found = [pair for pair in pairs(connection) if '.'.join(pair) not in but]
        for pair in found:
            words, known = complaints(connection, pair), []
            if words and source:
                with contextlib.closing(source.connect(CHECK_TIMEOUT_S)) as other:
                    known = complaints(other, pair)
            bad += [each for each in words if each not in known]
            for each in known:
                print(f'  as on the server itself: {each}')
    assert not bad, '; '.join(bad)
    return len(found)


def tablespaces(datadir):
    """Paths of all InnoDB tablespaces in the directory."""
    found = []
    for directory, _, names in os.walk(datadir):
        for name in names:
            if name.endswith('.ibd') or (directory == datadir and re.fullmatch(r'ibdata\d+|undo\d{3}', name)):
                found.append(os.path.join(directory, name))
    return sorted(found)


def innochecksum(datadir, page_size=16384):
    """innochecksum of every tablespace; returns how many files."""
    files = tablespaces(datadir)
    assert any(os.path.basename(path) == 'ibdata1' for path in files), f'no ibdata1 in {datadir}'
    for path in files:
        if os.path.basename(path) == 'ibdata1':
            begin, end = doublewrite(path, page_size)
            if begin:
                processes.run(['innochecksum', '-e', str(begin - 1), path])
                processes.run(['innochecksum', '-s', str(end), path])
                continue
        processes.run(['innochecksum', path])
    return len(files)


def doublewrite(ibdata, page_size):
    """(first page, page after the last) of the doublewrite area, as the TRX_SYS page (5) names it; (0, 0) if there is
    none. Its pages are copies of any table's, of compressed ones too: innochecksum can't judge them."""
    with open(ibdata, 'rb') as f:
        f.seek(5 * page_size + page_size - 200 + 10)
        magic, first, second = (int.from_bytes(f.read(4), 'big') for _ in range(3))
    if magic != 536853855:
        return 0, 0
    extent = max(64, (1 << 20) // page_size)  # pages
    assert second == first + extent, f'doublewrite blocks at {first} and {second}'
    return first, second + extent


def recover(datadir, options=()):
    """Runs mariadbd --wsrep-recover on the directory: {'position': uuid:seqno or None, 'lsn': end of log, 'log'}.
    'lsn' is None when the log was empty (a clean directory)."""
    log = os.path.join(os.path.dirname(datadir.rstrip('/')), os.path.basename(datadir.rstrip('/')) + '.recover.err')
    if os.path.exists(log):
        os.remove(log)
    result = processes.run(['mariadbd', '--no-defaults'] + as_root() + [
        f'--datadir={datadir}', '--wsrep-recover', '--wsrep-on=ON', f'--wsrep-provider={PROVIDER}',
        '--wsrep-cluster-address=gcomm://', '--binlog-format=ROW', f'--log-error={log}',
        '--innodb-buffer-pool-size=64M', '--skip-networking', f'--socket={log}.sock', f'--pid-file={log}.pid'] +
        list(options), timeout=RECOVER_DEADLINE_S, check=False)
    with open(log, encoding='utf-8', errors='replace') as f:
        text = f.read()
    # docs/restore.md: a server's defect, met where tables have full-text indexes, when all has been recovered and told
    told = re.search(r'WSREP: Recovered position.*got signal 11', text, re.S)
    assert not result.returncode or (result.returncode == -signal.SIGSEGV and told), f'--wsrep-recover ended with {result.returncode}: {text[-4000:]}'
    position = re.findall(r'WSREP: Recovered position: ?(\S+)', text)
    end = re.findall(r'InnoDB: End of log at LSN=(\d+)', text)
    return {'position': position[-1] if position else None, 'lsn': int(end[0]) if end else None, 'log': text}


def fact(info, *names):
    """The value of the first of these keys in galera-backup info's JSON, at any depth."""
    def search(node, name):
        if isinstance(node, dict):
            if name in node:
                return node[name]
            for value in node.values():
                found = search(value, name)
                if found is not None:
                    return found
        return None
    for name in names:
        found = search(info, name)
        if found is not None:
            return found
    raise AssertionError(f'none of {names} in {info}')
