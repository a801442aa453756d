"""The oracle: the state of a server while a backup has it paused, and what of it a restored server lacks.

    figures, state = oracle.backup(server)
    oracle.compare(state, restored_server, info)    # raises with the names of all that differs

A state is a dictionary {(what, name): value}. Needs a build with GB_TEST_HOOKS for backup().
"""
import hashlib

import pymysql

from . import backups, checks
from .checks import quoted
from .server import query
from .suite import say

VIRTUAL = ('information_schema', 'performance_schema')
# written by the server on its own as soon as it runs, or about the cluster that it is in
UNSTEADY = {('mysql', name) for name in (
    'innodb_table_stats', 'innodb_index_stats', 'wsrep_cluster', 'wsrep_cluster_members', 'wsrep_streaming_log',
    'wsrep_allowlist')}
ER_LOCK_WAIT_TIMEOUT = 1205
ER_TABLESPACE_DISCARDED = 1814
DDL_STORM = '2112'
UNFINISHED = ('statements', 'that have not ended')
KEPT = '(kept by a statement that waits for the end of the pause)'
ABSENT = '(absent)'
DISCARDED = '(without a tablespace: discarded)'
ERROR = '(error) '
READ_TIMEOUT_S = 300
KNOWN = {ER_LOCK_WAIT_TIMEOUT: KEPT, ER_TABLESPACE_DISCARDED: DISCARDED}


def _ask(connection, sql):
    """Rows; or KEPT, DISCARDED, or the error as text."""
    try:
        return query(connection, sql)
    except pymysql.MySQLError as error:
        return KNOWN.get(error.args[0], f'{ERROR}{error.args[0]} {error.args[1]}')


def _text(rows, first=0):
    """Rows as comparable text, in the order they came."""
    return rows if isinstance(rows, str) else '\n'.join('\t'.join(str(value) for value in row[first:]) for row in rows)


def _digest(rows):
    """Any number of rows, in whatever order: how many, and a hash."""
    if isinstance(rows, str):
        return rows
    lines = sorted(repr(row) for row in rows)
    return f'{len(lines)} rows, {hashlib.sha1(chr(10).join(lines).encode()).hexdigest()}'


def _rows(connection, table):
    """CHECKSUM TABLE; where it says nothing, the number of rows. What keeps it from looking at the table it tells as a warning alone."""
    found = _ask(connection, f'CHECKSUM TABLE {table} EXTENDED')
    if isinstance(found, str):
        return found
    if found[0][1] is not None:
        return found[0][1]
    why = query(connection, 'SHOW WARNINGS')
    if why:
        return KNOWN.get(why[0][1], ERROR + _text(why))
    return _text(_ask(connection, f'SELECT COUNT(*) FROM {table}'))


def _history(connection, schema, name):
    """All rows that a system-versioned table ever had, with their times."""
    columns = query(connection, 'SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = %s AND table_name = %s AND '
                    'generation_expression IN ("ROW START", "ROW END")', (schema, name))
    times = '' if columns[0][0] else ', row_start, row_end'
    return _digest(_ask(connection, f'SELECT *{times} FROM {quoted(schema, name)} FOR SYSTEM_TIME ALL'))


def _tables(connection, marks, state):
    for schema, name, kind in query(connection, 'SELECT table_schema, table_name, table_type FROM information_schema.tables '
                                    f'WHERE table_schema NOT IN ({marks})', VIRTUAL):
        if (schema, name) in UNSTEADY:
            continue
        key, table = f'{schema}.{name}', quoted(schema, name)
        if kind == 'VIEW':
            state['view', key] = _text(_ask(connection, f'SHOW CREATE VIEW {table}'), 1)
            continue
        # its AUTO_INCREMENT is compared by itself
        created = _text(_ask(connection, f'SHOW CREATE TABLE {table}'), 1)
        head, sep, tail = created.rpartition('\n)')
        state['definition of', key] = head + sep + ' '.join(word for word in tail.split(' ')
                                                            if not word.startswith('AUTO_INCREMENT='))
        if created == KEPT:
            state['rows of', key] = KEPT
            continue
        if kind == 'SEQUENCE':
            state['next value of', key] = _text(_ask(connection, f'SELECT * FROM {table}'))
            continue
        state['rows of', key] = _rows(connection, table)
        if kind == 'SYSTEM VERSIONED':
            state['history of', key] = _history(connection, schema, name)


def _programs(connection, marks, state):
    # named by its table, for that of a table that is kept is not listed
    for schema, name, table, order in query(connection, 'SELECT trigger_schema, trigger_name, event_object_table, action_order FROM '
                                            f'information_schema.triggers WHERE trigger_schema NOT IN ({marks})', VIRTUAL):
        state[f'trigger {name} of', f'{schema}.{table}'] = f'{order}\t' + _text(_ask(connection, f'SHOW CREATE TRIGGER {quoted(schema, name)}'), 1)
    for schema, name, kind in query(connection, 'SELECT routine_schema, routine_name, routine_type FROM information_schema.routines '
                                    f'WHERE routine_schema NOT IN ({marks})', VIRTUAL):
        state[kind.lower(), f'{schema}.{name}'] = _text(_ask(connection, f'SHOW CREATE {kind} {quoted(schema, name)}'), 1)
    for row in query(connection, 'SELECT event_schema, event_name, status, event_type, execute_at, interval_value, interval_field, '
                     'starts, ends, on_completion, originator, event_comment FROM information_schema.events '
                     f'WHERE event_schema NOT IN ({marks})', VIRTUAL):
        state['event', f'{row[0]}.{row[1]}'] = _text([row], 2) + '\n' + _text(_ask(connection, f'SHOW CREATE EVENT {quoted(*row[:2])}'), 1)


def _accounts(connection, state):
    for user, host, role in query(connection, 'SELECT user, host, is_role FROM mysql.user'):
        account = quoted(user) if role == 'Y' else f'{quoted(user)}@{quoted(host)}'
        grants = _ask(connection, f'SHOW GRANTS FOR {account}')
        # with skip_name_resolve there are accounts that the server does not know
        state['grants of', account] = grants.removeprefix(ERROR) if isinstance(grants, str) else _text(sorted(grants))


def take(server):
    """The state now. A table that a statement keeps, because that waits for the end of the pause, is KEPT."""
    connection = server.connect(READ_TIMEOUT_S)
    marks = ', '.join(['%s'] * len(VIRTUAL))
    state = {}
    try:
        # or a checksum waits for such a statement, and is that of after the pause
        query(connection, 'SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, time_zone = "+00:00"')
        for schema, in query(connection, f'SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ({marks})', VIRTUAL):
            state['database', schema] = _text(_ask(connection, f'SHOW CREATE DATABASE {quoted(schema)}'), 1)
        _tables(connection, marks, state)
        _programs(connection, marks, state)
        _accounts(connection, state)
        for schema, name, number in query(connection, 'SELECT table_schema, table_name, auto_increment FROM information_schema.tables '
                                          f'WHERE auto_increment IS NOT NULL AND table_schema NOT IN ({marks})', VIRTUAL):
            if state.get(('rows of', f'{schema}.{name}'), KEPT) != KEPT:
                state['AUTO_INCREMENT of', f'{schema}.{name}'] = int(number)
        # what inserts rows while the server is held and can't end: their numbers have been given, in memory
        state[UNFINISHED] = [info for info, in query(
            connection, 'SELECT INFO FROM information_schema.processlist WHERE ID <> CONNECTION_ID() AND INFO IS NOT NULL UNION ALL '
            'SELECT IFNULL(trx_query, "") FROM information_schema.innodb_trx WHERE trx_rows_modified > 0')]
        for variable in ('gtid_slave_pos', 'gtid_binlog_pos'):
            state['position', variable] = query(connection, f'SELECT @@global.{variable}')[0][0]
        master = query(connection, 'SHOW MASTER STATUS')
        state['position', 'binary log'] = '{}:{}'.format(*master[0]) if master else ':0'
    finally:
        connection.close()
    return state


def kept(state):
    """Names of tables that could not be looked at."""
    return {name for (what, name), value in state.items() if value == KEPT}


def discarded(state):
    """Names of tables that have no tablespace: CHECK TABLE takes them for damaged."""
    return {name for (what, name), value in state.items() if value == DISCARDED}


def _is_next(name, expected, found, unfinished):
    """InnoDB keeps the highest number it gave; INSERT ... SELECT reserves up to twice the numbers that it needs, in memory. What a
    statement that has not ended has taken is none of the backup; of a transaction between statements nobody knows the tables."""
    return isinstance(expected, int) and isinstance(found, int) and found <= expected and (
        expected < 2 * found or any(not statement or name.partition('.')[2] in statement for statement in unfinished))


def _describe(one, two):
    """Of long texts the first line that differs."""
    if isinstance(one, str) and isinstance(two, str):
        for left, right in zip(one.splitlines(), two.splitlines()):
            if left != right:
                return f'{left!r} and {right!r}'
    return f'{one!r} and {two!r}'


def differences(expected, found):
    """What differs between two states, one text each."""
    words, not_seen = [], kept(expected)
    for key in sorted(set(expected) | set(found)):
        what, name = key
        one, two = expected.get(key, ABSENT), found.get(key, ABSENT)
        if name in not_seen and two != ABSENT:
            continue
        if one == two and not str(one).startswith(ERROR):
            continue
        if key == UNFINISHED or what == 'AUTO_INCREMENT of' and _is_next(name, one, two, expected.get(UNFINISHED, ())):
            continue
        words.append(f'{what} {name}: {_describe(one, two)}')
    return words


def compare(expected, server, info):
    """Raises AssertionError with all that differs; returns how many things were compared. info: what `galera-backup info` says of the
    backup. A restored server has no binary log: the position in it must be the manifest's."""
    found = take(server)
    found['position', 'gtid_binlog_pos'] = checks.fact(info, 'gtid_binlog_pos')
    found['position', 'binary log'] = f'{checks.fact(info, "binlog_file")}:{checks.fact(info, "binlog_pos")}'
    words = differences(expected, found)
    assert not words, f'{len(words)} of the paused server and the restored: ' + '; '.join(words)
    return len(found)


def _end(server, label):
    """Of a backup that will be held in its pause, or has ended before: (its figures, the state of the server at its pause, if it succeeded)."""
    state, held = None, True
    try:
        if backups.reaches(server, label, 'PAUSED'):
            state = take(server)
            held = backups.state(server)['test_held'] == '1'
    finally:
        backups.release(server)
    figures = backups.wait_end(server, label)
    assert held, f'the hold ended while the state was taken: {figures["state"]}: {figures["error"]}'
    if figures['state'] != 'succeeded':
        return figures, None
    if kept(state):
        say(f'  not compared: {", ".join(sorted(kept(state)))}')
    return figures, state


def _succeeded(figures, state):
    assert state, f'{figures["state"]}: {figures["error"]}'
    return state


def finish(server, label, let_go=None):
    """A backup that runs, and must succeed: the state of the server at its pause. let_go: what makes it go on, once it will be held
    there."""
    server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
    backups.hold(server, 'PAUSED')
    try:
        if let_go:
            let_go()
    except BaseException:
        backups.release(server)
        raise
    return _succeeded(*_end(server, label))


def attempt(server, during=None, **options):
    """A backup, however it ends: (its figures, the state of the server at its pause, None unless it succeeded). during: {stage: function},
    called while the backup is held there, in their order."""
    stages = list((during or {}).items())
    server.execute('SET GLOBAL galera_backup_block_timeout = 60000')
    backups.hold(server, stages[0][0] if stages else 'PAUSED')
    try:
        label = backups.start(server, **options)
        for at, (stage, function) in enumerate(stages):
            if not backups.reaches(server, label, stage):
                break
            function()
            backups.hold(server, stages[at + 1][0] if at + 1 < len(stages) else 'PAUSED')
    except BaseException:
        backups.release(server)
        raise
    return _end(server, label)


def backup(server, during=None, **options):
    """An attempt that must succeed. An ALTER TABLE that goes on while the state is taken, for much longer than a pause lasts, may make a
    file that is too late for the backup, which says so; then it is done once more."""
    figures, state = attempt(server, during, **options)
    if figures['error_code'] == DDL_STORM:
        figures, state = attempt(server, during, **options)
    return figures, _succeeded(figures, state)
