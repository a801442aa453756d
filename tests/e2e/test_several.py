#!/usr/bin/python3
"""One backup that goes to several repositories: each has all of it, in the same layout, sealed or not; what one that must have it lacks, none has; one with
required = no costs the backup no more than a warning and its patience.
"""
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

USAGE, NOT_EVERYWHERE, NOT_FIT = 2, 12, 4
STALL_TIMEOUT_S = 8  # a disk that others use may take nothing for some seconds
NAMES = ('default', 'vault', 'spare', 'optional')

suite = Suite()


class Scene:
    """A server, an agent with four directories: as it comes, encrypted, plain and required, plain and not required."""

    def __init__(self):
        self.keys = processes.new_dir('keys')
        self.key = os.path.join(self.keys, 'key')
        processes.run([binary(), 'key', 'generate', self.key])
        self.server = Server('several')
        self.server.create()
        self.server.start()
        self.path = {name: os.path.join(self.server.base, f'to-{name}') for name in NAMES}
        plain = {'type': 'directory', 'min-free': '0%'}
        self.agent = Agent(self.server, repositories={
            'default': {**plain, 'path': self.path['default']},
            'vault': {**plain, 'path': self.path['vault'], 'encryption-recipient': f'file:{self.key}.pub', 'decryption-key': f'file:{self.key}'},
            'spare': {**plain, 'path': self.path['spare'], 'compression': 'lz4'},
            'optional': {**plain, 'path': self.path['optional'], 'required': 'no'}})
        self.owed = os.path.join(self.agent.agent_options['state-dir'], 'catch-up.json')
        self.agent.start()
        backups.install(self.server)
        self.load = load.Transfers(self.server, 31)
        self.load.prepare(self.server)
        load.bulk(self.server, 'sbtest', 3, 24 << 20)

    def directory(self, name, backup):
        return os.path.join(self.path[name], self.agent.cluster, 'backups', backup)

    def has(self, name, backup):
        return os.path.exists(os.path.join(self.directory(name, backup), 'backup.json'))

    def left(self, name):
        """Labels below a repository, whether they are backups or not."""
        directory = os.path.join(self.path[name], self.agent.cluster, 'backups')
        return set(os.listdir(directory)) if os.path.isdir(directory) else set()

    @contextlib.contextmanager
    def away(self, name):
        """There is no directory where the repository was."""
        path = self.path[name]
        os.rename(path, path + '.away')
        with open(path, 'w', encoding='ascii') as f:
            f.write('not a directory')
        try:
            yield
        finally:
            os.remove(path)
            os.rename(path + '.away', path)

    def restart(self, store=None):
        """store: a Stall that is going to begin."""
        self.agent.stop()
        self.agent.agent_options['stall-timeout'] = f'{STALL_TIMEOUT_S}s' if store else '15m'
        self.agent.environment = store.environment if store else None
        self.agent.start()


    def settle(self):
        """Nothing is owed to any repository."""
        def owes_nothing():
            if not os.path.exists(self.owed):
                return True
            with open(self.owed, encoding='utf-8') as f:
                return not json.load(f)['owed']
        wait_for(owes_nothing, 60, 'what is owed to be copied', while_true=self.agent.alive)

    def held_at(self, stage, *names):
        """The CALL of a backup to these repositories that waits at that stage."""
        backups.hold(self.server, stage)
        caller = backups.Caller(self.server, repository=names)
        try:
            backups.wait_held(self.server, stage)
        except AssertionError as error:
            raise AssertionError(f'{error}; the CALL: {caller.text}') from None
        return caller


shared = Shared(Scene)


def manifest(s, name, backup):
    with open(os.path.join(s.directory(name, backup), 'backup.json'), encoding='utf-8') as f:
        return json.load(f)


def catalog_row(s, backup):
    row = wait_for(lambda: s.server.row("SELECT state, repositories, warnings FROM galera_backup.backups WHERE id = %s AND state <> 'running'",
                                        (backup,)), 30, f'the row of {backup}')
    return row['state'], {place['name']: place for place in json.loads(row['repositories'])}, row['warnings']


@suite.test
def each_repository_has_all_of_it():
    s = shared()
    with load.running([s.load]):
        figures, expected = oracle.backup(s.server, repository=['default', 'vault', 'spare', 'optional'])
    backup = figures['id']
    state, where, warnings = catalog_row(s, backup)
    assert state == 'succeeded' and not warnings, warnings
    assert {name: place['state'] for name, place in where.items()} == dict.fromkeys(NAMES, 'succeeded'), where
    # the same layout everywhere, and byte for byte but for the seal
    found = {name: manifest(s, name, backup) for name in NAMES}
    objects = {name: {o['name']: o for o in found[name]['objects']} for name in NAMES}
    for name in NAMES[1:]:
        assert found[name]['nonce'] == found['default']['nonce']
        assert found[name]['stored_bytes'] == where[name]['bytes']
        for each in objects['default']:
            if each != 'index':
                assert objects[name][each]['bytes'] == objects['default'][each]['bytes'], f'{name}: {each}'
            same = objects[name][each]['sha256'] == objects['default'][each]['sha256']
            assert same == (name != 'vault'), f'{name}: {each}'
    assert found['vault']['encryption'] and not found['spare']['encryption']
    for name in NAMES:
        s.agent.cli('verify', backup, '--repository', name)
    # data that was changing: what each restores is what was true in the pause
    for name in ('default', 'vault'):
        target = restored.Restored(s.agent, backup, options=['--repository', name, '--as', 'standalone'])
        try:
            target.start()
            target.check_data(expected)
            load.Transfers.check(target.server)
        finally:
            target.remove()
    say(f'  {sum(o["bytes"] for o in objects["default"].values()) >> 20} MB each')


@suite.test
def who_is_named_twice_or_unknown_is_refused():
    s = shared()
    for names, what in (('default,default', 'named twice'), ('default,offsite', 'offsite'), ('default,', 'not the name'), (',', 'not the name')):
        number, text = backups.error_of(backups.start, s.server, repository=names)
        assert what in text, f'{number}: {text}'
    assert not s.left('default') - s.left('spare')


@suite.test
def one_that_is_required_fails_it_everywhere():
    s = shared()
    before = {name: s.left(name) for name in NAMES}
    with s.away('spare'):
        _, text = backups.error_of(backups.start, s.server, repository=['default', 'spare', 'optional'], wait=True)
        assert 'spare' in text, text
    wait_for(lambda: {name: s.left(name) for name in NAMES} == before, 20, 'what was begun to be removed')


@suite.test
def one_that_hangs_in_the_commit_fails_it_everywhere():
    s = shared()
    before = {name: s.left(name) for name in NAMES}
    store = processes.Stall('to-spare')
    s.restart(store)
    try:
        caller = s.held_at('COMMIT', 'default', 'spare')
        store.begin()
        backups.release(s.server)
        text = caller.failed_with('GB3008')
        assert 'spare' in text and f'nothing for {STALL_TIMEOUT_S} s' in text, text
        say(f'  {text}')
        store.end()
        wait_for(lambda: {name: s.left(name) for name in NAMES} == before, 20, 'what was written to be removed')
    finally:
        store.end()
        s.restart()


def not_everywhere(s, backup, why):
    state, where, warnings = catalog_row(s, backup)
    assert state == 'succeeded', state
    assert where['default']['state'] == 'succeeded' and where['optional']['state'] == 'failed', where
    assert why in where['optional']['error'] and 'repository optional' in warnings, (where, warnings)
    assert s.has('default', backup) and not s.has('optional', backup)
    s.agent.cli('verify', backup, '--repository', 'default')


@suite.test
def one_that_is_not_required_may_be_away():
    s = shared()
    with s.away('optional'):
        result = s.agent.cli('backup', '--repository', 'optional,default', '--progress', 'none', check=False)
        assert result.returncode == NOT_EVERYWHERE, f'{result.returncode}: {result.stdout}{result.stderr}'
        assert 'GB3022' in result.stderr and 'optional' in result.stderr, result.stderr
        say(f'  {result.stderr.strip().splitlines()[0]}')
        backup = s.agent.listed()[0]
        not_everywhere(s, backup, 'to-optional')
        assert 'repository optional' in backups.state(s.server)['warnings']


def owed_rows(s):
    return [row for row in backups.call(s.server, 'BACKUP_CHECK', None) if row['check'] == 'catch_up']


@suite.test
def what_it_lacks_it_gets_by_itself():
    """Also after the agent was stopped: the copy is the same, the row says so, and only what it was owed is copied."""
    s = shared()
    s.agent.stop()
    shutil.rmtree(s.path['optional'], ignore_errors=True)
    os.mkdir(s.path['optional'], 0o700)
    with s.away('optional'):
        s.agent.start()
        backup = backups.take(s.server, repository=['default', 'optional'])['id']
        wait_for(lambda: os.path.exists(s.owed) and backup in open(s.owed, encoding='utf-8').read(), 20, 'what is owed to be written down')
        ids = {each['id'] for each in json.load(open(s.owed, encoding='utf-8'))['owed'] if each['to'] == 'optional'}
        [row] = owed_rows(s)
        assert row['result'] == 'WARN' and f'optional lacks {len(ids)} backup' in row['detail'] and min(ids) in row['remedy'], row
        s.agent.stop()
    s.agent.start()
    wait_for(lambda: s.has('optional', backup), 60, 'the copy', while_true=s.agent.alive)
    s.agent.cli('verify', backup, '--repository', 'optional')
    assert manifest(s, 'optional', backup) == manifest(s, 'default', backup)
    wait_for(lambda: catalog_row(s, backup)[1]['optional']['state'] == 'succeeded', 20, 'the row to say so')
    _, where, _ = catalog_row(s, backup)
    assert where['optional']['bytes'] == where['default']['bytes'] and 'error' not in where['optional'], where
    wait_for(lambda: backup not in open(s.owed, encoding='utf-8').read(), 20, 'it to be struck out')
    wait_for(lambda: not owed_rows(s), 60, 'nothing to be owed', while_true=s.agent.alive)


@suite.test
def expired_in_one_it_is_in_the_other():
    s = shared()
    s.agent.stop()
    for name in ('default', 'spare'):
        shutil.rmtree(s.path[name], ignore_errors=True)
        os.mkdir(s.path[name], 0o700)
    s.agent.repositories['default'] |= {'keep-last': 1, 'keep-min': 1}
    s.agent.start()
    try:
        both = backups.take(s.server, repository=['default', 'spare'])['id']
        backups.take(s.server, repository='default')
        wait_for(lambda: not s.has('default', both), 20, f'{both} to expire')
        wait_for(lambda: list(catalog_row(s, both)[1]) == ['spare'], 20, 'the row to say so')
        s.agent.cli('verify', both, '--repository', 'spare')
        backups.take(s.server, repository='default')
        assert s.server.value('SELECT COUNT(*) FROM galera_backup.backups WHERE id = %s', (both,)) == 1
    finally:
        s.agent.stop()
        s.agent.repositories['default'] = {k: v for k, v in s.agent.repositories['default'].items() if not k.startswith('keep-')}
        s.agent.start()


def hangs_at(stage):
    s = shared()
    before = s.left('optional')
    store = processes.Stall('to-optional')
    s.restart(store)
    try:
        caller = s.held_at(stage, 'default', 'optional')
        store.begin()
        with load.running([s.load]):
            backups.release(s.server)
            caller.wait(60)
        assert caller.rows, f'{caller.number}: {caller.text}'
        backup = backups.state(s.server)['id']
        not_everywhere(s, backup, f'nothing for {STALL_TIMEOUT_S} s')
        # what hangs is in nobody's way
        began = time.monotonic()
        again = backups.take(s.server, repository='default')['id']
        without = time.monotonic() - began
        assert s.has('default', again)
        began = time.monotonic()
        more = backups.take(s.server, repository=['default', 'optional'])['id']
        took = time.monotonic() - began
        not_everywhere(s, more, 'hangs since an earlier backup')
        assert took < max(2 * without, STALL_TIMEOUT_S), f'it was waited for again: {took:.1f} s, {without:.1f} without it'
        with open(s.owed, encoding='utf-8') as f:
            assert {backup, more} <= {entry['id'] for entry in json.load(f)['owed']}
        store.end()
        wait_for(lambda: all(s.has('optional', each) for each in s.left('optional') - before), 20, 'what was half written to be removed')
    finally:
        store.end()
        s.restart()


for stage in ('COPY', 'BLOCK_COMMIT', 'COMMIT'):
    def cell(stage=stage):
        hangs_at(stage)
    cell.__name__ = f'one_that_is_not_required_may_hang_at_{stage.lower()}'
    suite.test(cell)


@suite.test
def a_cancelled_one_is_nowhere():
    s = shared()
    s.settle()
    before = {name: s.left(name) for name in NAMES}
    caller = s.held_at('COMMIT', 'default', 'vault', 'optional')
    backups.call(s.server, 'BACKUP_CANCEL', None)
    backups.release(s.server)
    caller.failed_with('GB2101')
    wait_for(lambda: {name: s.left(name) for name in NAMES} == before, 20, 'what was written to be removed')


@suite.test
def an_agent_that_is_killed_leaves_nothing_anywhere():
    s = shared()
    s.settle()
    before = {name: s.left(name) for name in NAMES}
    caller = s.held_at('FLUSH', 'default', 'vault', 'optional')
    s.agent.kill()
    backups.release(s.server)
    caller.failed_with('GB2007')
    s.agent.start()
    taken = backups.take(s.server, repository=['default', 'vault', 'optional'])['id']
    for name in ('default', 'vault', 'optional'):
        assert s.left(name) == before[name] | {taken}, name


@suite.test
def an_agent_that_is_killed_between_two_commits_owes_it_to_the_second():
    s = shared()
    s.settle()
    store = processes.Stall('to-spare*backup.json')
    s.restart(store)
    try:
        store.begin()
        before = s.left('default')
        caller = backups.Caller(s.server, repository=['default', 'spare'])
        wait_for(lambda: any(s.has('default', each) for each in s.left('default') - before), 30, 'the commit to the first')
        s.agent.kill()
        caller.failed_with('GB2007')
    finally:
        store.end()
    backup, = s.left('default') - before
    assert not s.has('spare', backup)
    s.restart()
    wait_for(lambda: s.has('spare', backup), 60, 'the copy', while_true=s.agent.alive)
    s.settle()
    assert manifest(s, 'spare', backup) == manifest(s, 'default', backup)
    s.agent.cli('verify', backup, '--repository', 'spare')


@suite.test
def a_source_that_has_lost_it_is_not_the_only_one():
    """Two repositories have what a third lacks."""
    s = shared()
    s.settle()
    with s.away('optional'):
        s.agent.stop()
        s.agent.start()
        backup = backups.take(s.server, repository=['default', 'spare', 'optional'])['id']
        s.agent.stop()
        shutil.rmtree(s.directory('default', backup))
    s.agent.start()
    wait_for(lambda: s.has('optional', backup), 60, 'the copy', while_true=s.agent.alive)
    s.settle()
    s.agent.cli('verify', backup, '--repository', 'optional')


@suite.test
def an_older_backup_that_is_caught_up_makes_no_newer_run_good():
    s = shared()
    s.settle()
    older = backups.take(s.server, repository='optional')['id']
    with s.away('optional'):
        s.agent.stop()
        s.agent.start()
        backup = backups.take(s.server, repository=['default', 'optional'])['id']
        s.agent.stop()
    # what a later run of the same second has left there
    newer = f'{backup[:-8]}ffffffff'
    failed = os.path.join(s.path['optional'], s.agent.cluster, 'failed.json')
    os.makedirs(os.path.dirname(failed), exist_ok=True)
    with open(failed, 'w', encoding='ascii') as f:
        json.dump({'format': 1, 'id': newer, 'failed_at': '2026-01-01T00:00:00Z', 'error_code': 3008, 'error': 'of the test'}, f)
    s.agent.repositories['optional'] |= {'keep-last': 1, 'keep-min': 1}
    s.agent.start()
    try:
        wait_for(lambda: s.has('optional', backup), 60, 'the copy', while_true=s.agent.alive)
        s.settle()
        ran = s.agent.cli('expire', '--repository', 'optional', '--confirm-mass-expire', check=False)
        assert ran.returncode == NOT_FIT and 'GB3021' in ran.stderr and newer in ran.stderr, ran
        assert s.has('optional', older)
    finally:
        s.agent.repositories['optional'] = {k: v for k, v in s.agent.repositories['optional'].items() if not k.startswith('keep-')}
        if os.path.exists(failed):
            os.remove(failed)


@suite.test
def a_missing_mount_is_no_new_repository():
    """A link stands for the mount: to another file system, and in its place there is nothing, or a directory of this one."""
    s = shared()
    s.settle()
    far, mount = tempfile.mkdtemp(prefix='gbt-', dir='/dev/shm'), os.path.join(s.server.base, 'mount')
    os.symlink(far, mount)
    s.agent.repositories['mounted'] = {'type': 'directory', 'path': mount, 'min-free': '0%'}
    s.restart()
    try:
        backup = backups.take(s.server, repository='mounted')['id']
        s.agent.stop()
        os.remove(mount)
        s.agent.start()
        text = backups.Caller(s.server, repository='mounted').failed_with('GB3001')
        assert mount in text and 'mounted' in text, text
        assert not os.path.lexists(mount)
        say(f'  {text}')
        if os.stat(far).st_dev != os.stat(s.server.base).st_dev:
            os.mkdir(mount)
            text = backups.Caller(s.server, repository='mounted').failed_with('GB3001')
            assert mount in text and 'repositories.json' in text, text
            row, = (row for row in backups.call(s.server, 'BACKUP_CHECK', '{"repository": "mounted"}') if row['check'] == 'repository mounted')
            assert row['result'] == 'FAIL', row
            assert s.agent.cli('list', '--repository', 'mounted', check=False).returncode == 8
            assert not os.listdir(mount), os.listdir(mount)
            os.rmdir(mount)
            say(f'  {text}')
        os.symlink(far, mount)
        assert s.agent.json('list', '--repository', 'mounted')['backups'][0]['id'] == backup
        backups.take(s.server, repository='mounted')
        shutil.rmtree(os.path.join(far, s.agent.cluster))  # who empties it may go on
        backups.take(s.server, repository='mounted')
    finally:
        del s.agent.repositories['mounted']
        s.restart()
        shutil.rmtree(far)


@suite.test
def verified_everywhere_before_it_counts():
    s = shared()
    backup = backups.take(s.server, repository=['default', 'vault'], verify='deep')['id']
    for name in ('default', 'vault'):
        with open(os.path.join(s.directory(name, backup), 'verified.json'), encoding='utf-8') as f:
            record = json.load(f)
        assert record['level'] == 'deep' and not record['problems'], record


@suite.test
def held_and_released_everywhere():
    s = shared()
    backup = backups.take(s.server, repository=['default', 'vault'], hold=True)['id']
    for expected in (True, False, True):
        for name in ('default', 'vault'):
            assert os.path.exists(os.path.join(s.directory(name, backup), 'hold.json')) == expected, name
        backups.call(s.server, *(('BACKUP_RELEASE', backup) if expected else ('BACKUP_HOLD', backup, None)))
    backups.call(s.server, 'BACKUP_RELEASE', backup)


suite.main()
