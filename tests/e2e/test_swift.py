#!/usr/bin/python3
"""Repositories in a container of OpenStack Swift, by its own API, over https with a certificate authority of its own. What must be true: what comes back
is what was there, large objects included; what fails says why and leaves nothing behind, no part of an object either."""
import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest import keystone as openstack  # noqa: E402
from gbtest.measure import Memory  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.store_proxy import CUT, FLIP, HANG, LOSE, StoreProxy  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.swift import ACCESS_KEY, SECRET_KEY, Swift  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

UNREACHABLE, CREDENTIALS, USAGE = 8, 10, 2
PREFIX = 'control-plane/db'
DATA_MB = 40
PART_MB = 5
RING_MB = 64
THREADS = 2
TIMEOUT_S = 10
SEGMENTS = 3  # that a manifest of this Swift may name: those of ours name manifests
QUOTA_ROOM_BYTES = 2 << 20  # more than what is small, less than a part

suite = Suite()


class Scene:
    """As that of test_s3: a server, an agent, one container under several names, no compression."""

    def __init__(self):
        for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
            os.environ.pop(name, None)
        self.swift = Swift(tls=True, segments=SEGMENTS).start().make_bucket()
        self.proxy = StoreProxy(self.swift)
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        nobody, = processes.free_ports(1)
        wrong = os.path.join(self.server.base, 'wrong')
        with open(os.open(wrong, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
            f.write('geheim\n')
        common = {'compression': 'none', 'prefix': PREFIX, 'part_size': f'{PART_MB}M'}
        proxied = {**common, 'auth_url': f'{self.proxy.endpoint}/auth/v1.0', 'ca_file': None, 'request_timeout': f'{TIMEOUT_S}s'}
        self.agent = Agent(self.server, agent_options={'threads': THREADS}, repositories={
            'default': self.swift.native(**common),
            'proxied': self.swift.native(**proxied, request_attempts=6),
            'short': self.swift.native(**proxied, request_attempts=3),
            'secret': self.swift.native(key_file=wrong),
            'container': self.swift.native(container='nowhere'),
            'untrusted': self.swift.native(ca_file=None),
            'nobody': self.swift.native(auth_url=f'http://127.0.0.1:{nobody}/auth/v1.0', ca_file=None, request_attempts=2)}).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 2, DATA_MB // 2 << 20)

    def labels(self):
        """Of all that is in the container, whatever it is."""
        return {re.sub(rf'^{PREFIX}/[^/]+/backups/([^/]+)/.*', r'\1', key) for key in self.swift.keys() if not key.endswith(('/cluster.json', '/failed.json'))}

    def clean(self, before):
        wait_for(lambda: self.labels() == set(before), 30, 'all to be tidied up')
        assert sorted(self.agent.listed()) == sorted(before)

    def fails(self, *codes, repository='short', rule=None):
        """A backup that must fail; the text of its error."""
        before = self.agent.listed()
        self.proxy.rule = rule
        try:
            text = backups.Caller(self.server, repository=repository).failed_with(*codes)
        finally:
            self.proxy.rule = None
            self.proxy.let_go()
        wait_for(lambda: backups.state(self.server)['state'] == 'failed', 30, 'the end of the backup')
        say(f'  {text}')
        return text, before


shared = Shared(Scene)


def is_part(request):
    return request.method == 'PUT' and '/part-' in request.path


def pieces(s, key):
    """What the manifest of a large object names."""
    status, _, body = s.swift.native_request('GET', f'{s.swift.bucket}/{key}', query={'multipart-manifest': 'get', 'format': 'json'})
    assert status == 200, f'{key}: {status}'
    return json.loads(body)


@suite.test
def a_backup_goes_into_a_container_and_comes_back():
    s = shared()
    with Memory(s.agent.process.pid) as memory:
        figures, expected = oracle.backup(s.server)
    backup = figures['id']
    keys = [key for key in s.swift.keys() if '/.' not in key]
    keys.remove(f'{PREFIX}/alone/cluster.json')
    assert all(key.startswith(f'{PREFIX}/alone/backups/{backup}/') for key in keys), keys
    assert sorted(key.rsplit('/', 1)[1] for key in keys if not key.endswith('.seg')) == ['backup.json', 'index'], keys
    named = {key: pieces(s, key) for key in keys if key.endswith('.seg') and
             s.swift.native_request('HEAD', f'{s.swift.bucket}/{key}')[1].get('x-static-large-object')}
    nested = [key for key, each in named.items() if any(piece.get('sub_slo') for piece in each)]
    assert nested and all(len(each) <= SEGMENTS for each in named.values()), f'no object was large enough: {named}'
    s.clean([backup])
    bound = (2 * THREADS + 3 + 8) * PART_MB + RING_MB + 40
    assert memory.most - memory.before < bound, f'{memory.most:.0f} MiB, {memory.before:.0f} before'
    assert 'good' in s.agent.cli('verify', backup).stdout
    # nothing but the URL is needed to read it
    url = s.swift.native_url(PREFIX)
    listed = processes.run([binary(), 'list', '--repository', url, '--json'])
    assert [row['id'] for row in json.loads(listed.stdout)['backups']] == [backup]
    assert f'swift://{s.swift.bucket}/{PREFIX}' in processes.run([binary(), 'info', backup, '--repository', url]).stdout
    back = restored.Restored(s.agent, backup, options=['--repository', url])
    try:
        back.check_image()
        back.check_lsn(back.start().log_text())
        tables = back.check_data(expected)
    finally:
        back.remove()
    say(f'  {tables} tables; {len(keys)} objects, {len(named)} large ones, {len(nested)} with manifests of manifests; '
        f'the agent took {memory.most - memory.before:.0f} MiB of {bound}')


@suite.test
def what_is_wrong_with_a_store_is_said():
    s = shared()
    for name, code, status, words in (('secret', 'GB3011', CREDENTIALS, 'user and key-file'),
                                      ('container', 'GB3014', UNREACHABLE, 'no container nowhere'),
                                      ('untrusted', 'GB3012', UNREACHABLE, 'ca-file'), ('nobody', 'GB3013', UNREACHABLE, '2 times')):
        text = backups.Caller(s.server, repository=name).failed_with(code)
        result = s.agent.cli('list', '--repository', name, check=False)
        assert result.returncode == status and code in result.stderr and words in result.stderr, result.stderr
        assert words in text and '127.0.0.1' in text and 'geheim' not in text + result.stderr, text
        say(f'  {text}')


@suite.test
def who_asks_may_come_from_the_environment_and_not_from_a_url():
    s = shared()
    url = f'swift://{s.swift.bucket}/{PREFIX}?ca-file={s.swift.ca}'
    bare = {name: value for name, value in os.environ.items() if not name.startswith(('OS_', 'ST_'))}
    for names in (('OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD'), ('ST_AUTH', 'ST_USER', 'ST_KEY')):
        keys = dict(zip(names, (f'{s.swift.endpoint}/auth/v1.0', ACCESS_KEY, SECRET_KEY)))
        processes.run([binary(), 'verify', 'latest', '--quick', '--repository', url], env={**bare, **keys})
    result = processes.run([binary(), 'list', '--repository', url], env=bare, check=False)
    assert result.returncode == CREDENTIALS and 'GB3011' in result.stderr and 'OS_AUTH_URL' in result.stderr, result.stderr
    result = processes.run([binary(), 'list', '--repository', url + '&container=other'], env=bare, check=False)
    assert result.returncode == USAGE and 'before the "?"' in result.stderr, result.stderr


@suite.test
def a_token_that_is_taken_no_more_is_renewed():
    s = shared()
    before, asked = s.agent.listed(), []
    s.proxy.rule = lambda request: asked.append(request.path) if request.path.startswith('/auth/') else None
    backups.hold(s.server, 'WINDOW')
    caller = backups.Caller(s.server, repository='proxied')
    try:
        backups.wait_held(s.server, 'WINDOW')
        assert asked, 'nobody asked for a token'
        asked.clear()
        s.swift.forget_tokens()
    finally:
        backups.release(s.server)
    caller.wait()
    s.proxy.rule = None
    assert caller.number is None and len(asked) == 1, f'{caller.text}, asked {len(asked)} times'
    backup = caller.rows[0]['id']
    assert 'good' in s.agent.cli('verify', backup).stdout
    s.clean([*before, backup])


@suite.test
def a_store_with_bad_moments_gets_the_whole_backup():
    s = shared()
    asked = []

    def rule(request):
        """Most that is asked fails at first, and only then."""
        if (request.method, request.path, request.query) in asked:
            return None
        asked.append((request.method, request.path, request.query))
        return (500, 503, CUT, FLIP if request.size else None, None)[len(asked) % 5] if '/auth/' not in request.path else None

    s.proxy.counts.clear()
    s.proxy.rule = rule
    try:
        backup = backups.take(s.server, repository='proxied')['id']
    finally:
        s.proxy.rule = None
    done = {what: sum(count for (_, each), count in s.proxy.counts.items() if each == what) for what in (CUT, FLIP, 500, 503)}
    assert all(done.values()), done
    assert 'good' in s.agent.cli('verify', backup).stdout
    s.clean(s.agent.listed())
    say(f'  {done}')


@suite.test
def an_object_whose_answer_was_lost_is_known_as_our_own():
    """If-None-Match, of objects and of manifests; one that is another's is not written over."""
    s = shared()
    lost = {}

    def rule(request):
        kind = 'backup.json' if request.path.endswith('/backup.json') else \
            'manifest' if request.query.startswith('multipart-manifest=put') else None
        if request.method == 'PUT' and kind and kind not in lost:
            lost[kind] = request.path
            return LOSE
        return None

    s.proxy.rule = rule
    try:
        backup = backups.take(s.server, repository='proxied')['id']
    finally:
        s.proxy.rule = None
    assert len(lost) == 2, lost
    assert 'good' in s.agent.cli('verify', backup).stdout


@suite.test
def a_quota_that_is_reached_is_said_so():
    s = shared()
    used = int(s.swift.native_request('HEAD', s.swift.bucket)[1]['x-container-bytes-used'])
    quota = {'X-Container-Meta-Quota-Bytes': str(used + QUOTA_ROOM_BYTES)}
    assert s.swift.native_request('POST', s.swift.bucket, quota)[0] == 204
    try:
        text, before = s.fails('GB3002', repository='default')
    finally:
        assert s.swift.native_request('POST', s.swift.bucket, {'X-Remove-Container-Meta-Quota-Bytes': 'x'})[0] == 204
    assert '413' in text and 'swift://' in text, text
    s.clean(before)


@suite.test
def a_store_that_is_killed_leaves_nothing_when_it_is_back():
    s = shared()
    before = s.agent.listed()
    reached, parts = threading.Event(), []

    def rule(request):
        if not is_part(request):
            return None
        if request.path.endswith('-00000003'):
            reached.set()
            return HANG
        parts.append(re.sub('^/v1/[^/]+/', '', request.path))
        return None

    def there():
        return [path for path in list(parts) if s.swift.native_request('HEAD', path)[0] == 200]

    s.proxy.rule = rule
    caller = backups.Caller(s.server, repository='short')
    try:
        wait_for(reached.is_set, 60, 'the third part of an object')
        wait_for(there, 60, 'a part that the store has')
        told = len(s.agent.log_text())
        s.swift.kill()
    finally:
        s.proxy.rule = None
        s.proxy.let_go()
    try:
        say(f'  {caller.failed_with("GB3013", "GB3008")}')
        wait_for(lambda: re.search('warning: GB[0-9]+ .* swift://', s.agent.log_text()[told:]), 30, 'the agent to find nobody to tidy up with')
    finally:
        s.swift.start()
    left = there()  # asked by name: a container that was killed, too, may not list them
    assert left, 'the store was not killed in the middle of an object'
    say(f'  left: {len(left)} parts of {len(parts)}')
    assert sorted(s.agent.listed()) == sorted(before)
    wait_for(lambda: backups.state(s.server)['state'] == 'failed', 30, 'the end of the backup')
    backup = backups.take(s.server, repository='proxied')['id']
    s.clean([*before, backup])


@suite.test
def a_part_that_can_not_be_put_leaves_nothing():
    s = shared()
    text, before = s.fails('GB3013', rule=lambda request: 503 if is_part(request) and request.path.endswith('-00000002') else None)
    assert s.proxy.endpoint in text and '3 times' in text, text
    s.clean(before)


@suite.test
def a_backup_whose_lock_is_gone_is_none():
    s = shared()
    before = s.agent.listed()
    backups.loses_its_lock(s.server, s.swift, s.swift.delete)
    s.clean(before)


def keystone_lets_a_backup_in():
    """Users of Keystone, by password and by application credential; the catalog says where Swift is. In the long form: 120 packages, half a minute."""
    s = shared()
    keystone = openstack.Keystone().start()
    swift = Swift('other', keystone=keystone).start()
    keystone.serve(swift)
    wait_for(lambda: swift.native_request('PUT', 'backups')[0] in (201, 202), 60, 'a container, made by a user of Keystone')
    credential, secret = keystone.application_credential()
    files = {}
    for name, text in (('password', openstack.PASSWORD), ('secret', secret), ('wrong', 'geheim')):
        files[name] = os.path.join(s.server.base, f'keystone-{name}')
        with open(os.open(files[name], os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
            f.write(f'{text}\n')
    common = {'type': 'swift', 'auth-url': keystone.url, 'container': 'backups', 'interface': 'internal', 'part-size': f'{PART_MB}M'}
    who = {'user': openstack.USER, 'project': openstack.PROJECT, 'domain': openstack.DOMAIN, 'key-file': files['password']}
    s.agent.repositories = {**s.agent.repositories,
                            'password': {**common, **who}, 'credential': {**common, 'application-credential': credential, 'key-file': files['secret']},
                            'wrong-password': {**common, **who, 'key-file': files['wrong']}, 'wrong-region': {**common, **who, 'region': 'RegionTwo'}}
    s.agent.stop()
    s.agent.start()
    figures, expected = oracle.backup(s.server, repository='password')
    assert 'good' in s.agent.cli('verify', figures['id'], '--repository', 'credential').stdout
    second = backups.take(s.server, repository='credential')['id']
    back = restored.Restored(s.agent, figures['id'], options=['--repository', 'credential'])
    try:
        back.start()
        back.check_data(expected)
    finally:
        back.remove()
    for name, code, words in (('wrong-password', 'GB3011', 'user, key-file, project and domain'), ('wrong-region', 'GB1004', 'internal of RegionOne')):
        result = s.agent.cli('list', '--repository', name, check=False)
        assert code in result.stderr and words in result.stderr, result.stderr
        say(f'  {" ".join(result.stderr.split())}')
    keystone.withdraw(credential)
    result = s.agent.cli('list', '--repository', 'credential', check=False)
    assert result.returncode == CREDENTIALS and 'application-credential and key-file' in result.stderr, result.stderr
    listed = json.loads(s.agent.cli('list', '--repository', 'password', '--json').stdout)['backups']
    assert {row['id'] for row in listed if row['state'] == 'succeeded'} == {figures['id'], second}, listed


if LONG:
    suite.test(keystone_lets_a_backup_in)

suite.main()
