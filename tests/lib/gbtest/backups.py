"""A backup as a DBA takes one: CALL galera_backup.BACKUP_START, watched through the status variables."""
import hashlib
import json
import os
import threading

import pymysql

from .server import SOURCE, query_dicts
from .waiting import WaitTimeout, wait_for

BACKUP_DEADLINE_S = 300
RUNNING = 'running'


def install(server):
    """sql/install.sql, as the packages run it. Once for a cluster."""
    server.source(os.path.join(SOURCE, 'sql', 'install.sql'))


def call(server, procedure, *arguments, timeout=BACKUP_DEADLINE_S):
    """Rows (dictionaries) of a procedure, on a connection of its own."""
    connection = server.connect(timeout)
    try:
        marks = ', '.join(['%s'] * len(arguments))
        return query_dicts(connection, f'CALL galera_backup.{procedure}({marks})', arguments)
    finally:
        connection.close()


def start(server, **options):
    """BACKUP_START; returns the id. An option's name is its key in the JSON."""
    rows = call(server, 'BACKUP_START', json.dumps(options))
    return rows[0]['id']


def state(server):
    return server.statuses('galera_backup_')


def ended(server, backup):
    """The figures of that backup once it has ended and the node is back, else None."""
    figures = state(server)
    assert figures['id'] == backup, f'{figures["id"]} runs, not {backup}'
    return figures if figures['state'] != RUNNING else None


def wait_end(server, backup, deadline_s=BACKUP_DEADLINE_S):
    try:
        return wait_for(lambda: ended(server, backup), deadline_s, f'backup {backup} to end', while_true=server.alive)
    except WaitTimeout as error:
        figures = {name: value for name, value in state(server).items() if value not in ('', '0')}
        said = [line for line in server.log_text().splitlines() if 'galera_backup' in line][-8:]
        raise WaitTimeout(f'{error}; {figures}; its log: {said}') from None


def take(server, deadline_s=BACKUP_DEADLINE_S, **options):
    """A whole backup that must succeed; returns its figures (status variables, names without the prefix)."""
    backup = start(server, **options)
    figures = wait_end(server, backup, deadline_s)
    assert figures['state'] == 'succeeded', f'{backup} {figures["state"]}: {figures.get("error")}'
    return figures


def wait_stage(server, stage, deadline_s=60):
    return wait_for(lambda: state(server)['stage'] == stage, deadline_s, f'stage {stage}', while_true=server.alive)


# -- with GB_TEST_HOOKS: hold a backup at a stage, or at these points of one: before the pause; at its end, all copied
HELD_IN = {'WINDOW': 'FLUSH', 'PAUSED': 'BLOCK_COMMIT'}

def hold(server, stage):
    server.rows('SET GLOBAL galera_backup_test_hold = %s', (stage,))


def release(server):
    hold(server, '')


def _is_held(figures, stage):
    return figures['stage'] == HELD_IN.get(stage, stage) and figures['test_held'] in ('1', 'ON')


def wait_held(server, stage, deadline_s=60):
    def held():
        figures = state(server)
        assert figures['state'] == RUNNING or figures['stage'] == 'PREFLIGHT', \
            f'ended before {stage}: {figures["state"]} {figures.get("error")}'
        return _is_held(figures, stage)
    return wait_for(held, deadline_s, f'the hold at {stage}', while_true=server.alive)


def reaches(server, backup, stage, deadline_s=180):
    """Whether that backup comes to be held there: False if it ends before."""
    figures = {}

    def seen():
        figures.update(state(server))
        assert figures['id'] == backup, f'{figures["id"]} runs, not {backup}'
        return 'ended' if figures['state'] != RUNNING else 'held' if _is_held(figures, stage) else None
    try:
        return wait_for(seen, deadline_s, f'{backup} to be held at {stage}, or to end', while_true=server.alive) == 'held'
    except WaitTimeout as timeout:
        raise WaitTimeout(f'{timeout}; stage {figures.get("stage")}, waiting for {figures.get("waiting_for")}; its log: ...{server.log_text()[-1500:]}') from None


def error_of(function, *arguments, **options):
    """(number, text) of the SQL error that the call must end with."""
    try:
        result = function(*arguments, **options)
    except pymysql.MySQLError as error:
        return error.args[0], str(error.args[1])
    raise AssertionError(f'expected an SQL error, got {result!r}')


class Caller:
    """CALL BACKUP_START('{"wait": true, ...}') in a thread of its own, as a DBA's console would hang in it."""

    def __init__(self, server, **options):
        self.rows = self.number = self.text = None
        self._connection = server.connect(BACKUP_DEADLINE_S)
        self.connection_id = self._connection.thread_id()
        self._options = json.dumps({'wait': True, **options})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.rows = query_dicts(self._connection, 'CALL galera_backup.BACKUP_START(%s)', (self._options,))
        except pymysql.MySQLError as error:
            self.number = error.args[0] if error.args else 0
            self.text = str(error.args[1]) if len(error.args) > 1 else repr(error)
        except (OSError, AttributeError) as error:  # pymysql's own when a connection goes
            self.number, self.text = 2013, repr(error)

    def join(self, seconds):
        """Waits so long at most; the call may go on."""
        self._thread.join(seconds)

    def wait(self, deadline_s=60):
        self._thread.join(deadline_s)
        assert not self._thread.is_alive(), f'the CALL does not return within {deadline_s} s'
        return self

    def failed_with(self, *names, deadline_s=60):
        """The SQL error must be one of these ("GB2101", ...); returns its text."""
        self.wait(deadline_s)
        assert self.number is not None, f'the CALL succeeded: {self.rows}'
        assert any(name in self.text for name in names), f'expected {names}, got {self.number}: {self.text}'
        for name in names:
            if name.startswith('GB') and name in self.text:
                assert self.number == 20000 + int(name[2:]), f'{self.number} is not the number of {self.text}'
        return self.text


def change_manifest(path, **changes):
    """Writes a backup.json with other values, its own SHA-256 right (docs/format.md)."""
    with open(path, encoding='utf-8') as f:
        manifest = {**json.load(f), **changes}
    del manifest['sha256']
    text = json.dumps(manifest, indent=1)[:-2]
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'{text},\n "sha256": "{hashlib.sha256(text.encode()).hexdigest()}"\n}}')


def loses_its_lock(server, store, meanwhile):
    """A backup into this store is paused while meanwhile(key of its lock) changes what is there: it fails and names the lock. Returns the key."""
    hold(server, 'PAUSED')
    caller = Caller(server)
    try:
        wait_held(server, 'PAUSED')
        lock, = (key for key in store.keys() if key.endswith('/.lock'))
        meanwhile(lock)
    finally:
        release(server)
    text = caller.failed_with('GB3008')
    assert 'lock' in text and lock in text, text
    wait_for(lambda: state(server)['state'] == 'failed', 30, 'the end of the backup')
    return lock
