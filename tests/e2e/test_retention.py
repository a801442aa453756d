#!/usr/bin/python3
"""Retention with a server, an agent and a directory: what goes is what was announced, what is needed stays, and what is interrupted goes on."""
import datetime
import json
import os
import re
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.preloaded import Clock, Faults  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

NOT_FIT, BUSY, NOT_FOUND, USAGE, CORRUPT = 4, 5, 14, 2, 13
DAY = datetime.timedelta(days=1)
suite = Suite()


class Scene:
    """A small server; one real backup of it, and copies of that under the labels of other days, each with a manifest of its own."""

    def __init__(self):
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server, repository_options={'keep-last': 1000}).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 1, 1 << 20)
        figures, self.expected = oracle.backup(self.server)
        self.first = figures['id']
        self.cluster = self.agent.cluster
        self.store = os.path.join(self.agent.repository, self.cluster, 'backups')
        self.failed = os.path.join(self.store, '..', 'failed.json')
        self.kept = processes.new_dir('kept')
        shutil.copytree(os.path.join(self.store, self.first), os.path.join(self.kept, self.first))
        self.today = datetime.datetime.strptime(self.first[:16], '%Y%m%dT%H%M%SZ')

    def put(self, when, number=0, kind='full'):
        """A backup (or a save) of that moment: its bytes are those of the first one, its manifest says so itself."""
        label = f'{when:%Y%m%dT%H%M%SZ}-{kind}-{number:08x}'
        target = os.path.join(self.store, label)
        shutil.copytree(os.path.join(self.kept, self.first), target)
        stamp = f'{when:%Y-%m-%dT%H:%M:%SZ}'
        backups.change_manifest(os.path.join(target, 'backup.json'), id=label, type=kind, started_at=stamp, finished_at=stamp)
        return label

    def fill(self, days):
        """Nothing but a backup of each of so many days before the first one; newest first."""
        for name in os.listdir(self.store):
            shutil.rmtree(os.path.join(self.store, name))
        if os.path.exists(self.failed):
            os.remove(self.failed)
        return [self.put(self.today - day * DAY) for day in range(1, days + 1)]

    def there(self):
        return sorted(os.listdir(self.store), reverse=True)

    def becomes(self, labels):
        """What the agent makes of it by itself."""
        try:
            wait_for(lambda: self.there() == labels, 30, 'the agent', while_true=self.agent.alive)
        except AssertionError as error:
            raise AssertionError(f'{self.there()}, not {labels}: {self.agent.log_text()[-1500:]}') from error

    def rules(self, **rules):
        """The agent anew with these rules (underscores for dashes)."""
        self.agent.stop()
        options = {key: value for key, value in self.agent.repositories['default'].items() if not key.startswith('keep-') and key != 'append-only'}
        self.agent.repositories['default'] = {**options, **{key.replace('_', '-'): value for key, value in rules.items()}}
        before = self.agent.log_text().count(' listens at ')
        self.agent.start()
        # it has collected what looked left over
        wait_for(lambda: self.agent.log_text().count(' listens at ') > before, 30, 'the agent to begin', while_true=self.agent.alive)

    def run_expire(self, *options, check=True):
        """What the agent does by itself after a backup may still be under way: it is waited for."""
        def run():
            ran = self.agent.cli('expire', *options, check=False)
            return ran.returncode != BUSY and ran
        ran = wait_for(run, 30, 'nobody else to expire')
        assert not check or ran.returncode == 0, ran
        return ran

    def expire(self, *options, check=True):
        ran = self.run_expire('--json', *options, check=check)
        return json.loads(ran.stdout) if ran.stdout else None, ran

    def rows(self):
        return {row['id']: row for row in backups.call(self.server, 'BACKUP_LIST', None)}


shared = Shared(Scene)


def decided(answer, what):
    return [each['id'] for each in answer['backups'] if each['decision'] == what]


@suite.test
def what_is_announced_is_what_goes():
    s = shared()
    labels = s.fill(40)
    s.rules(keep_daily=7, keep_weekly=4, keep_monthly=2, keep_min=2)
    announced, _ = s.expire('--dry-run')
    assert s.there() == labels, 'a dry run removed something'
    refused, ran = s.expire(check=False)
    assert ran.returncode == NOT_FIT and 'more than half' in ran.stderr and '--confirm-mass-expire' in ran.stderr, ran
    assert s.there() == labels and refused['removed'] == 0
    done, _ = s.expire('--confirm-mass-expire')
    assert decided(done, 'expire') == decided(announced, 'expire') == [each['id'] for each in done['backups'] if each['removed']]
    assert [each['reason'] for each in done['backups']] == [each['reason'] for each in announced['backups']]
    assert s.there() == decided(done, 'keep') == s.agent.listed(), s.there()
    assert {label[:8] for label in labels[:7]} <= {label[:8] for label in s.there()}
    again, _ = s.expire()
    assert again['removed'] == 0 and s.there() == decided(again, 'keep')
    text = s.agent.cli('expire', '--dry-run').stdout
    assert re.search(rf'{labels[0]} +keep +daily 1 of 7, weekly 1 of 4, monthly 1 of 2', text), text
    say('  ' + text.splitlines()[-1])


@suite.test
def a_backup_expires_others_and_itself_is_whole():
    s = shared()
    labels = s.fill(4)
    s.rules(keep_last=3)
    figures, expected = oracle.backup(s.server)
    backup = figures['id']
    s.becomes([backup] + labels[:2])
    wait_for(lambda: s.agent.in_log(f'{backup}.*expired {labels[2]}: no rule keeps it'), 30, 'the log to say so')
    row = wait_for(lambda: (lambda r: r if r['keep_reason'] else None)(s.rows()[backup]), 30, 'the catalog to follow')
    assert row['keep_reason'] == 'last 1 of 3' and row['hold_until'] is None, row
    back = restored.Restored(s.agent, backup)
    try:
        back.start()
        back.check_data(expected)
    finally:
        back.remove()
    # what is gone is gone in the catalog, too
    s.rules(keep_last=1)
    newer = backups.take(s.server)['id']
    assert backup in s.rows()
    ran = s.run_expire('--confirm-mass-expire')
    assert not ran.stderr, ran.stderr
    assert s.there() == [newer] and backup not in s.rows(), s.rows().keys()


@suite.test
def nothing_expires_without_rules_nor_where_only_adding_is_allowed():
    s = shared()
    labels = s.fill(5)
    s.rules()
    answer, _ = s.expire()
    assert answer['expire'] == 0 and {each['reason'] for each in answer['backups']} == {'no retention is configured'}
    assert [row for row in backups.call(s.server, 'BACKUP_CHECK', None) if row['check'] == 'retention' and row['result'] == 'WARN']
    s.rules(keep_last=1, append_only='yes')
    assert not [row for row in backups.call(s.server, 'BACKUP_CHECK', None) if row['check'] == 'retention']
    backup = backups.take(s.server)['id']
    s.agent.stop()  # it ends what it has begun
    assert s.there() == [backup] + labels


@suite.test
def held_ones_stay():
    s = shared()
    labels = s.fill(6)
    s.rules(keep_last=2)
    s.agent.cli('hold', labels[5])
    until = f'{datetime.datetime.utcnow() + DAY:%Y-%m-%dT%H:%M:%SZ}'
    held = backups.call(s.server, 'BACKUP_HOLD', labels[4], until.replace('T', ' ').rstrip('Z'))
    assert f'{held[0]["hold_until"]:%Y-%m-%dT%H:%M:%SZ}' == until and held[0]['id'] == labels[4], held
    ran = s.agent.cli('hold', labels[3], '--until', '2020-01-01T00:00:00Z', check=False)
    assert ran.returncode == USAGE and 'has passed' in ran.stderr, ran
    assert s.agent.cli('hold', '20200101T000000Z-full-00000000', check=False).returncode == NOT_FOUND
    number, text = backups.error_of(backups.call, s.server, 'BACKUP_HOLD', '20200101T000000Z-full-00000000', None)
    assert number == 23005 and 'GB3005' in text, text
    number, text = backups.error_of(backups.call, s.server, 'BACKUP_HOLD', labels[0], 'tomorrow')
    assert number == 21003, text
    answer, _ = s.expire()
    reasons = {each['id']: each['reason'] for each in answer['backups']}
    assert reasons[labels[5]] == 'held' and reasons[labels[4]] == f'held until {until}', reasons
    assert s.there() == [labels[0], labels[1], labels[4], labels[5]]
    listed = {row['id']: row for row in s.agent.json('list')['backups']}
    assert listed[labels[5]]['hold_until'] == 'forever' and listed[labels[4]]['expires_at'] == until, listed
    assert listed[labels[0]]['keep_reason'] == 'last 1 of 2' and listed[labels[0]]['hold_until'] is None
    assert backups.call(s.server, 'BACKUP_RELEASE', labels[4])[0]['hold_until'] is None
    s.agent.cli('release', labels[5])
    s.expire()
    assert s.there() == labels[:2]
    # the catalog made anew knows it, too
    s.agent.cli('hold', labels[1], '--until', until)
    s.server.execute('DELETE FROM galera_backup.backups')
    s.agent.cli('catalog', 'sync')
    rows = s.rows()
    assert set(rows) == set(labels[:2]) and rows[labels[0]]['hold_until'] is None, rows
    assert f'{rows[labels[1]]["hold_until"]:%Y-%m-%dT%H:%M:%SZ}' == until, rows[labels[1]]
    assert rows[labels[1]]['keep_reason'] == f'last 2 of 2, held until {until}', rows[labels[1]]
    s.agent.cli('release', labels[1])
    # held from its first moment on
    with_hold = backups.take(s.server, hold=True)['id']
    newer = [backups.take(s.server)['id'] for _ in range(2)]
    s.expire()
    assert set(newer) | {with_hold} == set(s.there()), s.there()
    assert s.rows()[with_hold]['hold_until'] == datetime.datetime(9999, 12, 31, 23, 59, 59)
    text = backups.Caller(s.server, hold='2020-01-01T00:00:00Z').failed_with('GB1003')
    assert 'not a time to come' in text, text


@suite.test
def after_a_failed_run_nothing_goes():
    s = shared()
    labels = s.fill(3)
    s.rules(keep_last=2)
    faults = Faults()
    s.agent.stop()
    s.agent.environment = faults.environment
    s.agent.start()
    try:
        faults.begin('write EIO 000001.seg.part')
        backups.Caller(s.server).failed_with('GB3008')
    finally:
        faults.end()
        s.agent.stop()
        s.agent.environment = None
        s.agent.start()
    answer, ran = s.expire(check=False)
    assert ran.returncode == NOT_FIT and 'failed' in answer['refused']['message'] and answer['expire'] == 1, ran
    assert s.there() == labels
    # an agent that was killed has written nothing: what it left says it
    s.fill(3)
    backups.hold(s.server, 'COMMIT')
    try:
        backup = backups.start(s.server)
        backups.wait_held(s.server, 'COMMIT')
        running, _ = s.expire('--dry-run')
        assert running['refused'] is None, running['refused']  # one that runs has not failed
        s.agent.kill()
    finally:
        backups.release(s.server)
    wait_for(lambda: backups.state(s.server)['state'] == 'failed', 30, 'the end of the backup')
    answer, ran = s.expire(check=False)
    assert ran.returncode == NOT_FIT and backup in answer['refused']['message'], ran
    assert s.there() == [backup] + labels
    # nor when an agent that starts has collected what it left
    s.agent.start()
    s.becomes(labels)
    answer, ran = s.expire(check=False)
    assert ran.returncode == NOT_FIT and f'{backup}, failed: its agent did not live' in answer['refused']['message'], ran
    # the next one that succeeds sets it right
    backup = backups.take(s.server)['id']
    s.becomes([backup, labels[0]])
    assert not os.path.exists(s.failed)


@suite.test
def a_clock_that_was_wrong_neither_hides_a_failed_run_nor_keeps_it():
    s = shared()
    labels = s.fill(3)
    s.rules(keep_last=2)
    # a good backup of a host whose clock is a year ahead, then one that fails
    ahead = s.put(s.today + 365 * DAY)
    backups.hold(s.server, 'COMMIT')
    try:
        killed = backups.start(s.server)
        backups.wait_held(s.server, 'COMMIT')
        s.agent.kill()
    finally:
        backups.release(s.server)
    wait_for(lambda: backups.state(s.server)['state'] == 'failed', 30, 'the end of the backup')
    for agent_runs in (False, True):
        if agent_runs:
            s.agent.start()
        answer, ran = s.expire(check=False)
        assert ran.returncode == NOT_FIT and killed in answer['refused']['message'], ran
        assert set(labels) <= set(s.there())
    # one that failed where the clock was ahead is over with the next good one
    with open(s.failed, 'w', encoding='ascii') as f:
        json.dump({'format': 1, 'id': ahead, 'failed_at': '2030-01-01T00:00:00Z', 'error_code': 3008, 'error': 'of the test'}, f)
    assert s.expire('--dry-run')[0]['refused'] is not None
    backup = backups.take(s.server)['id']
    s.becomes([ahead, backup, labels[0]])


@suite.test
def saves_do_not_make_up_for_backups():
    s = shared()
    s.fill(0)
    s.rules(keep_daily=30)
    saves = [s.put(s.today - day * DAY, kind='save') for day in range(2, 10)]
    labels = [s.put(s.today - DAY, number) for number in range(3)]
    answer, ran = s.expire(check=False)
    assert ran.returncode == NOT_FIT and '2 of 3 backups' in answer['refused']['message'], ran
    assert set(s.there()) == set(labels + saves)
    # and they go by the rules without a word
    shutil.rmtree(os.path.join(s.store, labels[0]))
    s.rules(keep_daily=1)
    s.expire()
    assert s.there() == [labels[2], saves[0]], s.there()


@suite.test
def a_wrong_clock_removes_nothing():
    s = shared()
    labels = s.fill(3)
    s.rules(keep_last=2)
    clock = Clock()
    for seconds in (-3600, 301, 86400 * 400):
        clock.begin(seconds)
        ran = processes.run(s.agent.argv('expire'), check=False, env={**os.environ, **clock.environment})
        clock.end()
        assert ran.returncode == NOT_FIT and 'clock' in ran.stderr, ran
        assert s.there() == labels
    clock.begin(-200)
    processes.run(s.agent.argv('expire'), env={**os.environ, **clock.environment})
    assert s.there() == labels[:2]


@suite.test
def the_newest_verified_one_stays():
    s = shared()
    labels = s.fill(5)
    s.rules(keep_last=2)
    s.agent.cli('verify', labels[3])
    s.expire()
    assert s.there() == labels[:2] + [labels[3]]
    # one that is damaged does not take the place of a good one
    labels = s.fill(5)
    segment = os.path.join(s.store, labels[0], 'data', '000001.seg')
    with open(segment, 'r+b') as f:
        f.seek(1000)
        byte = f.read(1)
        f.seek(1000)
        f.write(bytes([byte[0] ^ 1]))
    assert s.agent.cli('verify', labels[0], check=False).returncode == CORRUPT
    s.expire()
    assert s.there() == labels[:3]


@suite.test
def killed_in_the_middle_it_goes_on():
    s = shared()
    s.rules(keep_last=3)
    for point in (1, 2, 5):
        labels = s.fill(6)
        # the removal of the point-th file blocks until the process is killed
        process = processes.start(['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=unlinkat', '-e', f'inject=unlinkat:delay_enter=60000000:when={point + 3}',
                                   *s.agent.argv('expire')]) if shutil.which('strace') else None
        if process is None:
            suite.skip('strace is not installed')
        wait_for(lambda: any(not os.path.exists(os.path.join(s.store, label, 'backup.json')) for label in labels), 30, 'the removal to begin')
        for pid in processes.descendants(process.pid):  # who is traced outlives the tracer
            os.kill(pid, signal.SIGKILL)
        processes.end(process, signal.SIGKILL)
        left = s.there()
        listed = s.agent.listed()
        assert set(labels[:3]) <= set(listed) and set(listed) <= set(left), (left, listed)
        for label in listed:
            assert 'good' in s.agent.cli('verify', label).stdout
        s.expire()
        assert s.there() == labels[:3], s.there()


@suite.test
def one_at_a_time():
    s = shared()
    labels = s.fill(3)
    s.rules(keep_last=2)
    path = os.path.join(s.agent.repository, s.cluster, 'locks')
    os.makedirs(path, exist_ok=True)
    holder = processes.start(['flock', '-F', os.path.join(path, 'expire'), 'sleep', '60'])
    wait_for(lambda: processes.run(['flock', '-n', os.path.join(path, 'expire'), 'true'], check=False).returncode, 10, 'the lock')
    ran = s.agent.cli('expire', '--json', check=False)
    assert ran.returncode == BUSY and 'repository_busy' in ran.stderr, ran
    assert s.there() == labels
    processes.end(holder, signal.SIGKILL)
    wait_for(lambda: s.expire(check=False)[1].returncode == 0, 10, 'the lock to be free')
    assert s.there() == labels[:2]


suite.main()
