#!/usr/bin/python3
"""galera-backup repo, and retention where there is no directory: the same in Swift by its s3api, by its own API, and on a disk."""
import datetime
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.preloaded import Clock  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.swift import Swift  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

NOT_FIT, BUSY, UNREACHABLE, USAGE, NOT_FOUND = 4, 5, 8, 2, 14
CREDENTIALS = 10
suite = Suite()


class Scene:
    """A small server whose agent has one repository of each kind, each with keep-last = 2."""

    def __init__(self):
        for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
            os.environ.pop(name, None)
        self.swift = Swift(tls=True).start().make_bucket()
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        self.wrong = os.path.join(self.server.base, 'wrong')
        with open(os.open(self.wrong, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
            f.write('[default]\naws_access_key_id = test:tester\naws_secret_access_key = no\n')
        s3 = self.swift.repository(prefix='by-s3')
        self.agent = Agent(self.server, repositories={
            'default': {'type': 'directory', 'path': os.path.join(self.server.base, 'repository'), 'min-free': '0%', 'keep-last': 2},
            's3': {**s3, 'keep-last': 2},
            'short': {**s3, 'request-attempts': 2},
            'native': {**self.swift.native(prefix='by-swift'), 'keep-last': 2},
            'held-back': {**s3, 'keep-last': 1, 'append-only': 'yes'},
            'wrong-keys': {**s3, 'keep-last': 2, 'expire-credentials-file': self.wrong}}).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 1, 1 << 20)

    def cli(self, *arguments, repository, check=True):
        return self.agent.cli(*arguments, '--repository', repository, check=check)

    def json(self, *arguments, repository):
        return json.loads(self.cli(*arguments, '--json', repository=repository).stdout)

    def listed(self, repository):
        return [row['id'] for row in self.json('list', repository=repository)['backups'] if row['state'] == 'succeeded']


shared = Shared(Scene)


def rows_of(answer):
    return {row['check']: row for row in answer['checks']}


def expires_and_is_held(kind):
    s = shared()
    taken = [backups.take(s.server, repository=kind)['id'] for _ in range(3)]
    wait_for(lambda: s.listed(kind) == taken[:0:-1], 60, 'the agent to expire', while_true=s.agent.alive)
    wait_for(lambda: not [key for key in s.swift.keys() if taken[0] in key], 60, 'all of it to be gone')
    # a hold by SQL, seen by the command line
    backups.call(s.server, 'BACKUP_HOLD', taken[1], '1d')
    taken += [backups.take(s.server, repository=kind)['id'] for _ in range(2)]
    wait_for(lambda: s.listed(kind) == [taken[4], taken[3], taken[1]], 60, 'the agent to expire', while_true=s.agent.alive)
    wait_for(lambda: s.json('repo', 'unlock', repository=kind)['locks'] == [], 60, 'it to have ended that')
    listed = {row['id']: row for row in s.json('list', repository=kind)['backups']}
    assert listed[taken[1]]['keep_reason'].startswith('held until'), listed[taken[1]]
    backups.call(s.server, 'BACKUP_RELEASE', taken[1])
    announced = s.json('expire', '--dry-run', repository=kind)
    assert [each['id'] for each in announced['backups'] if each['decision'] == 'expire'] == [taken[1]]
    # the store's clock counts
    clock = Clock()
    clock.begin(400)  # the certificate is as old as this test
    ran = processes.run(s.agent.argv('expire', '--repository', kind), check=False, env={**os.environ, **clock.environment})
    clock.end()
    assert ran.returncode == NOT_FIT and 'clock' in ran.stderr, ran
    done = s.json('expire', repository=kind)
    assert [each['id'] for each in done['backups'] if each['removed']] == [taken[1]]
    assert s.listed(kind) == [taken[4], taken[3]] and 'good' in s.cli('verify', taken[4], repository=kind).stdout
    rows = rows_of(s.json('repo', 'check', repository=kind))
    assert {row['result'] for row in rows.values()} == {'OK'}, rows
    assert set(rows) == {'reachable', 'writable', 'conditional_put', 'space', 'clock', 'identity', 'left_overs', 'locks'}, rows
    say('  ' + rows['conditional_put']['detail'])


suite.add('retention_in_a_bucket', expires_and_is_held, 's3')
suite.add('retention_in_a_container', expires_and_is_held, 'native')


@suite.test
def who_may_write_need_not_be_able_to_remove():
    s = shared()
    before = s.listed('s3')
    assert len(before) == 2
    first = backups.take(s.server, repository='held-back')['id']
    s.agent.stop()
    s.agent.start()
    assert len(s.listed('s3')) == 3
    # other credentials for expiring: these are wrong, and the backup succeeds nonetheless
    backup = backups.take(s.server, repository='wrong-keys')['id']
    wait_for(lambda: s.agent.in_log(f'{backup}.*expiring in repository wrong-keys: .*403'), 60, 'the agent to say so', while_true=s.agent.alive)
    assert len(s.listed('s3')) == 4
    assert s.cli('expire', repository='wrong-keys', check=False).returncode == CREDENTIALS
    s.cli('expire', repository='s3')
    assert s.listed('s3') == [backup, first, before[0]], s.listed('s3')  # the last one has been verified


@suite.test
def what_is_left_over_is_named_and_collected():
    s = shared()
    label = '20200101T000000Z-full-0badc0de'
    key = f'by-s3/{s.agent.cluster}/backups/{label}/data/000001.seg'
    complete = f'by-s3/{s.agent.cluster}/backups/{s.listed("s3")[0]}/data/000001.seg'
    s.swift.put(f'{key}', b'half')
    for each in (key, complete):
        status, _, _ = s.swift.request('POST', f'{s.swift.bucket}/{each}', {'uploads': ''})
        assert status == 200
    assert len(s.swift.uploads()) == 2
    rows = rows_of(s.json('repo', 'check', repository='s3'))
    assert rows['left_overs']['result'] == 'WARN' and 'repo gc' in rows['left_overs']['remedy'], rows
    before = [each for each in s.swift.keys() if label not in each]
    done = s.json('repo', 'gc', repository='s3')
    assert done['left_overs'] == 1 and done['uploads'] == 1, done  # the other upload went with its label
    failed = f'by-s3/{s.agent.cluster}/failed.json'  # what it was is known still
    assert s.swift.uploads() == [] and set(s.swift.keys()) == {*before, failed} and label in s.swift.get(failed).decode()
    s.swift.delete(failed)
    assert rows_of(s.json('repo', 'check', repository='s3'))['left_overs']['result'] == 'OK'
    # on a disk
    path = os.path.join(s.server.base, 'repository', s.agent.cluster, 'backups', label, 'data')
    backups.take(s.server)
    s.agent.stop()  # it collects when it expires
    os.makedirs(path)
    assert rows_of(s.json('repo', 'check', repository='default'))['left_overs']['result'] == 'WARN'
    assert s.json('repo', 'gc', repository='default')['left_overs'] == 1 and not os.path.exists(os.path.dirname(path))
    s.agent.start()
    assert s.json('repo', 'upgrade', repository='default')['upgraded'] is False


@suite.test
def locks_are_shown_and_only_stale_ones_taken_away():
    s = shared()
    for kind in ('default', 's3'):
        backups.hold(s.server, 'COMMIT')
        try:
            backup = backups.start(s.server, repository=kind)
            backups.wait_held(s.server, 'COMMIT')
            lock, = s.json('repo', 'unlock', repository=kind)['locks']
            name = f'{s.agent.cluster}/backups/{backup}/.lock'
            assert lock['name'] == name and lock['held'] and f'process {s.agent.process.pid}' in lock['owner'], lock
            taken = datetime.datetime.strptime(lock['since'], '%Y-%m-%dT%H:%M:%SZ').replace(tzinfo=datetime.timezone.utc).timestamp()
            assert abs(time.time() - taken) < 120, lock
            ran = s.cli('repo', 'unlock', '--lock', name, repository=kind, check=False)
            assert ran.returncode == BUSY and f'process {s.agent.process.pid}' in ran.stderr, ran
        finally:
            backups.release(s.server)
        figures = backups.wait_end(s.server, backup)
        assert figures['state'] == 'succeeded', figures
        wait_for(lambda k=kind: s.json('repo', 'unlock', repository=k)['locks'] == [], 60, 'the locks to be free')
    assert s.cli('repo', 'unlock', '--lock', name, repository='default', check=False).returncode == NOT_FOUND
    stale = os.path.join(s.server.base, 'repository', s.agent.cluster, 'locks', 'expire')
    with open(stale, 'w', encoding='ascii') as f:
        f.write('db7, process 4711\n')
    lock, = s.json('repo', 'unlock', repository='default')['locks']
    assert not lock['held'] and lock['owner'] == 'db7, process 4711', lock
    assert rows_of(s.json('repo', 'check', repository='default'))['locks']['result'] == 'WARN'
    assert s.json('repo', 'unlock', '--lock', lock['name'], repository='default')['locks'] == [] and not os.path.exists(stale)


@suite.test
def what_is_wrong_is_said():
    s = shared()
    ran = s.cli('repo', 'tidy', repository='default', check=False)
    assert ran.returncode == USAGE and 'check, gc, unlock' in ran.stderr, ran
    path = os.path.join(s.server.base, 'repository', s.agent.cluster, 'cluster.json')
    with open(path, encoding='ascii') as f:
        text = f.read()
    with open(path, 'w', encoding='ascii') as f:
        f.write(text[:20])
    ran = s.cli('repo', 'check', repository='default', check=False)
    with open(path, 'w', encoding='ascii') as f:
        f.write(text)
    assert ran.returncode == UNREACHABLE and 'FAIL  identity' in ran.stdout and 'repo adopt' in ran.stdout, ran
    s.swift.kill()
    ran = s.cli('repo', 'check', repository='short', check=False)
    assert ran.returncode == UNREACHABLE and 'FAIL  reachable' in ran.stdout, ran


suite.main()
