#!/usr/bin/python3
"""Repositories in a bucket: OpenStack Swift with its S3 API, over https with a certificate authority of its own, and through a proxy that does what
stores do on a bad day. What must be true: what comes back is what was there; what fails says why, names the store, and leaves nothing behind."""
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.measure import Memory  # noqa: E402
from gbtest.preloaded import Clock  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.store_proxy import CUT, FLIP, HANG, LOSE, StoreProxy  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.swift import Swift  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

UNREACHABLE, CREDENTIALS, CORRUPT, USAGE = 8, 10, 13, 2
PREFIX = 'control-plane/db'
DATA_MB = 300 if LONG else 40
PART_MB = 8
RING_MB = 64
THREADS = 2
TIMEOUT_S = 10
IMPATIENT_S = 1
SKEW_S = 3600
FOREIGN_SEGMENTS = 12  # more than a backup here has
SIGPIPE_BLOCKED = 1 << (signal.SIGPIPE - 1)
QUOTA_ROOM_BYTES = 2 << 20  # more than what is small, less than a part
RENEWAL_S = 60  # of a lock
MEMORY_SIZES_MB = [int(word) for word in os.environ.get('GB_TEST_MEMORY_MB', '2048,10240').split(',')]
MEMORY_APART_MB = 32
MEMORY_RATE = 24 << 20  # bytes a second that the store takes
MEMORY_PAGE_BYTES, MEMORY_ROW_BYTES, MEMORY_ROWS_OF_PAGE = 16384, 4900, 3
MEMORY_ROWS_AT_ONCE = 20000
MEMORY_DEADLINE_S = 3600

suite = Suite()


class Scene:
    """A server with enough in it for several parts, an agent with one bucket under several names, no compression: parts are what is tested."""

    def __init__(self):
        for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
            os.environ.pop(name, None)
        self.swift = Swift(tls=True, page=3).start().make_bucket()
        self.proxy = StoreProxy(self.swift)
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        nobody, = processes.free_ports(1)
        wrong = os.path.join(self.server.base, 'wrong')
        with open(os.open(wrong, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
            f.write('[default]\naws_access_key_id = test:tester\naws_secret_access_key = no\n')
        common = {'compression': 'none', 'prefix': PREFIX}
        proxied = {**common, 'endpoint': self.proxy.endpoint, 'ca_file': None, 'request_timeout': f'{TIMEOUT_S}s'}
        self.agent = Agent(self.server, agent_options={'threads': THREADS}, repositories={
            'default': self.swift.repository(**common),
            'proxied': self.swift.repository(**proxied, request_attempts=6),
            'short': self.swift.repository(**proxied, request_attempts=3),
            'impatient': self.swift.repository(**{**proxied, 'request_timeout': f'{IMPATIENT_S}s'}, request_attempts=3),
            'secret': self.swift.repository(credentials_file=wrong),
            'bucket': self.swift.repository(bucket='nowhere'),
            'untrusted': self.swift.repository(ca_file=None),
            'nobody': self.swift.repository(endpoint=f'http://127.0.0.1:{nobody}', ca_file=None, request_attempts=3)}).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 2, DATA_MB // 2 << 20)

    def labels(self):
        """Of all that is in the bucket, whatever it is."""
        return {re.sub(rf'^{PREFIX}/[^/]+/backups/([^/]+)/.*', r'\1', key) for key in self.swift.keys() if not key.endswith(('/cluster.json', '/failed.json'))}

    def clean(self, before):
        """Nothing is there that was not, and nothing is begun; the caller is told before it is tidied up."""
        wait_for(lambda: self.swift.uploads() == [] and self.labels() == set(before), 30, 'all to be tidied up')
        assert sorted(self.agent.listed()) == sorted(before)

    def fails(self, rule, *codes, repository='short'):
        """A backup during which the store does that; the text of its error."""
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
    return request.method == 'PUT' and 'partNumber=' in request.query


@suite.test
def a_backup_goes_into_a_bucket_and_comes_back():
    s = shared()
    with Memory(s.agent.process.pid) as memory:
        figures, expected = oracle.backup(s.server)
    backup = figures['id']
    keys = s.swift.keys()
    etags = [s.swift.etag(key) for key in keys if key.endswith('.seg')]
    parts = [int(etag.split('-')[1]) for etag in etags if '-' in etag]
    assert parts, f'no object was put in parts: {etags}'
    assert keys.count(f'{PREFIX}/alone/cluster.json') == 1
    keys.remove(f'{PREFIX}/alone/cluster.json')
    assert all(key.startswith(f'{PREFIX}/alone/backups/{backup}/') for key in keys), keys
    assert sorted(key.rsplit('/', 1)[1] for key in keys if not key.endswith('.seg')) == ['backup.json', 'index'], keys
    s.clean([backup])
    # one buffer for each open segment (workers, prompt ones, redo) and one for each part that is being sent; the ring is seen here, too
    bound = (2 * THREADS + 3 + 8) * PART_MB + RING_MB + 40
    assert memory.most - memory.before < bound, f'{memory.most:.0f} MiB, {memory.before:.0f} before'
    say(f'  the agent took {memory.most - memory.before:.0f} MiB of {bound}')
    assert 'good' in s.agent.cli('verify', backup).stdout
    # nothing but the URL is needed to read it
    url = s.swift.url(PREFIX)
    listed = processes.run([binary(), 'list', '--repository', url, '--json'])
    assert [row['id'] for row in json.loads(listed.stdout)['backups']] == [backup]
    assert f's3://{s.swift.bucket}/{PREFIX}' in processes.run([binary(), 'info', backup, '--repository', url]).stdout
    back = restored.Restored(s.agent, backup, options=['--repository', url])
    try:
        back.check_image()
        back.check_lsn(back.start().log_text())
        tables = back.check_data(expected)
    finally:
        back.remove()
    say(f'  {tables} tables; {len(keys)} objects, parts {sorted(parts)}')


def checked(s, name):
    """Rows of BACKUP_CHECK by their names; a store that is slow to answer, on a busy machine, is a warning."""
    return {row['check']: row for row in backups.call(s.server, 'BACKUP_CHECK', json.dumps({'repository': name}))}


@suite.test
def what_is_wrong_with_a_store_is_said():
    s = shared()
    slow = processes.start(s.agent.argv('list', '--repository', 'nobody'), stdout=open(os.path.join(s.server.base, 'nobody.out'), 'wb'))
    for name, code, status, words in (('secret', 'GB3011', CREDENTIALS, 'wrong'), ('bucket', 'GB3014', UNREACHABLE, 'no bucket nowhere'),
                                      ('untrusted', 'GB3012', UNREACHABLE, 'ca-file')):
        text = backups.Caller(s.server, repository=name).failed_with(code)
        assert words in text and s.swift.endpoint in text, text
        result = s.agent.cli('list', '--repository', name, check=False)
        assert result.returncode == status and code in result.stderr and words in result.stderr, result.stderr
        wait_for(lambda each=name: checked(s, each)[f'repository {each}']['result'] == 'FAIL', 30, f'the check of {name}')
        say(f'  {text}')
    wait_for(lambda: checked(s, 'default')['repository default']['result'] == 'OK', 30, 'the check of default')
    assert 'off_host' not in checked(s, 'default')
    assert slow.wait(60) == UNREACHABLE
    with open(os.path.join(s.server.base, 'nobody.out'), encoding='utf-8') as f:
        text = f.read()
    assert 'GB3013' in text and '3 times' in text and '127.0.0.1' in text, text
    assert backups.state(s.server)['state'] != 'running'


@suite.test
def keys_may_come_from_the_environment_and_not_from_a_url():
    s = shared()
    url = re.sub(r'&?credentials-file=[^&]*', '', s.swift.url(PREFIX))
    keys = {'AWS_ACCESS_KEY_ID': 'test:tester', 'AWS_SECRET_ACCESS_KEY': 'testing'}
    bare = {name: value for name, value in os.environ.items() if not name.startswith('AWS_')}
    processes.run([binary(), 'verify', 'latest', '--quick', '--repository', url], env={**bare, **keys})
    result = processes.run([binary(), 'list', '--repository', url], env=bare, check=False)
    assert result.returncode == CREDENTIALS and 'GB3011' in result.stderr and 'AWS_ACCESS_KEY_ID' in result.stderr, result.stderr
    result = processes.run([binary(), 'list', '--repository', url + '&secret-access-key=testing'], env=bare, check=False)
    assert result.returncode == USAGE and 'testing' not in result.stderr, result.stderr


@suite.test
def a_bucket_may_be_part_of_the_host_name():
    s = shared()
    s.proxy.counts.clear()
    hosts = []
    s.proxy.rule = lambda request: hosts.append(request.host)
    url = f's3://{s.swift.bucket}/{PREFIX}?endpoint=http://localhost:{s.proxy.port}&addressing=virtual-host&credentials-file={s.swift.credentials}'
    try:
        listed = json.loads(processes.run([binary(), 'list', '--repository', url, '--json']).stdout)
    finally:
        s.proxy.rule = None
    assert [row['id'] for row in listed['backups']] == s.agent.listed() and hosts
    assert set(hosts) == {f'{s.swift.bucket}.localhost:{s.proxy.port}'}, hosts


@suite.test
def a_store_with_bad_moments_gets_the_whole_backup():
    s = shared()
    asked = []

    def rule(request):
        """Most that is asked fails at first, and only then."""
        if (request.method, request.path, request.query) in asked:
            return None
        asked.append((request.method, request.path, request.query))
        return (500, 503, CUT, FLIP if request.size else None, None)[len(asked) % 5]

    s.proxy.counts.clear()
    s.proxy.rule = rule
    try:
        backup = backups.take(s.server, repository='proxied')['id']
        assert 'good' in s.agent.cli('verify', backup, '--quick', '--repository', 'proxied').stdout
    finally:
        s.proxy.rule = None
    done = {what: sum(count for (_, each), count in s.proxy.counts.items() if each == what) for what in (CUT, FLIP, 500, 503)}
    assert all(done.values()), done
    assert 'good' in s.agent.cli('verify', backup).stdout
    s.clean(s.agent.listed())
    say(f'  {done}')


@suite.test
def a_clock_that_is_wrong_is_set_right():
    s = shared()
    clock = Clock()
    clock.begin(SKEW_S)
    listed = json.loads(processes.run(s.agent.argv('list', '--json'), env=clock.environment).stdout)
    assert [row['id'] for row in listed['backups'] if row['state'] == 'succeeded'] == s.agent.listed()


@suite.test
def a_clock_that_is_wrong_is_set_right_by_whatever_is_asked_first():
    """Of a backup, a check and a copy that is a HEAD, and its answer says nothing but a status."""
    s = shared()
    clock = Clock()
    s.agent.stop()
    s.agent.environment = clock.environment
    try:
        s.agent.start()
        clock.begin(SKEW_S)
        wait_for(lambda: checked(s, 'default')['repository default']['result'] == 'OK', 30, 'the check')
        backup = backups.take(s.server, repository='default')['id']
        assert backup in s.agent.listed()
        elsewhere = s.swift.url('elsewhere')
        ran = processes.run(s.agent.argv('copy', backup, '--to', elsewhere, '--json'), env=clock.environment)
        assert [row['result'] for row in json.loads(ran.stdout)['backups']] == ['copied'], ran.stdout
    finally:
        clock.end()
        s.agent.stop()
        s.agent.environment = None
        s.agent.start()
    for key in s.swift.keys():
        if key.startswith('elsewhere/'):
            s.swift.delete(key)


@suite.test
def a_connection_that_a_store_closes_ends_no_command():
    """By a SIGPIPE: while it waits for a store it can't be had."""
    s = shared()
    s.proxy.rule = lambda request: HANG
    running = processes.start(s.agent.argv('list', '--repository', 'proxied'), stdout=open(os.devnull, 'wb'))

    def blocked():
        with open(f'/proc/{running.pid}/status', encoding='ascii') as f:
            return int(re.search(r'^SigBlk:\t(\w+)$', f.read(), re.M)[1], 16)

    try:
        wait_for(lambda: s.proxy.counts['GET', HANG] > 0, 30, 'the request', while_true=lambda: running.poll() is None)
        assert blocked() & SIGPIPE_BLOCKED, 'SIGPIPE ends it'
    finally:
        s.proxy.rule = None
        s.proxy.let_go()
    assert running.wait(60) == 0


@suite.test
def a_store_that_fails_for_good_ends_the_backup():
    s = shared()
    text, before = s.fails(lambda request: 500 if is_part(request) else None, 'GB3013')
    assert s.proxy.endpoint in text and 'InternalError' in text and '3 times' in text, text
    s.clean(before)


@suite.test
def a_store_that_never_answers_ends_the_backup():
    s = shared()
    begin = time.monotonic()
    text, before = s.fails(lambda request: HANG if is_part(request) else None, 'GB3013', repository='impatient')
    assert s.proxy.endpoint in text and f'no answer within {IMPATIENT_S} s' in text and 'request-timeout' in text, text
    assert time.monotonic() - begin < 30
    s.clean(before)
    # from the first request on: the plugin is told in time that somebody is there, and then why it was in vain
    text, before = s.fails(lambda request: HANG, 'GB3013', repository='impatient')
    assert s.proxy.endpoint in text and f'no answer within {IMPATIENT_S} s' in text, text
    s.clean(before)


@suite.test
def a_store_that_takes_no_connection_is_told_from_one_that_never_answers():
    s = shared()
    inside = []
    with socket.create_server(('127.0.0.1', 0), backlog=0) as full:
        port = full.getsockname()[1]
        while not inside or not failed:  # until its queue is full: then the kernel answers nobody
            inside.append(socket.socket())
            inside[-1].settimeout(1)
            failed = inside[-1].connect_ex(('127.0.0.1', port))
        config = os.path.join(s.server.base, 'full.cnf')
        with open(s.agent.config, encoding='utf-8') as old, open(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='utf-8') as new:
            new.write(old.read().replace(f'endpoint = {s.proxy.endpoint}', f'endpoint = http://127.0.0.1:{port}'))
        result = processes.run([binary(), '--config', config, 'list', '--repository', 'impatient'], check=False)
        for one in inside:
            one.close()
    assert result.returncode == UNREACHABLE and 'GB3013' in result.stderr, result.stderr
    assert f'no connection within {IMPATIENT_S} s' in result.stderr and 'no answer' not in result.stderr, result.stderr


@suite.test
def a_store_that_is_killed_leaves_nothing_when_it_is_back():
    s = shared()
    before = s.agent.listed()
    reached = threading.Event()

    def rule(request):
        if is_part(request) and request.query.startswith('partNumber=2'):
            reached.set()
            return HANG
        return None

    s.proxy.rule = rule
    caller = backups.Caller(s.server, repository='short')
    try:
        wait_for(reached.is_set, 60, 'the second part of an object')
        told = len(s.agent.log_text())
        s.swift.kill()
    finally:
        s.proxy.rule = None
        s.proxy.let_go()
    try:
        say(f'  {caller.failed_with("GB3013", "GB3008")}')
        wait_for(lambda: re.search('warning: GB[0-9]+ .*GET s3://.*/.lock', s.agent.log_text()[told:]), 30, 'the agent to find nobody to tidy up with')
    finally:
        s.swift.start()
    left = s.labels() - set(before)
    assert left and s.swift.uploads(), 'the store was not killed in the middle'
    assert sorted(s.agent.listed()) == sorted(before)
    wait_for(lambda: backups.state(s.server)['state'] == 'failed', 30, 'the end of the backup')
    backup = backups.take(s.server, repository='proxied')['id']
    s.clean([*before, backup])


@suite.test
def a_store_with_conditions_is_used_with_them():
    """If-None-Match: an object whose answer was lost is known as our own; one that is another's is not written over."""
    s = shared()
    lost = []

    def rule(request):
        if request.method == 'PUT' and request.path.endswith('/backup.json') and not lost:
            lost.append(request.path)
            return LOSE
        return None

    s.proxy.conditions = True
    s.proxy.rule = rule
    try:
        backup = backups.take(s.server, repository='proxied')['id']
    finally:
        s.proxy.conditions = False
        s.proxy.rule = None
    assert lost and s.proxy.counts['If-None-Match', 412] == 1, s.proxy.counts
    assert 'good' in s.agent.cli('verify', backup, '--quick').stdout


@suite.test
def a_lock_of_another_process_counts_until_it_is_old():
    s = shared()
    before = s.agent.listed()
    label = '20000101T000000Z-full-00000000'
    prefix = f'{PREFIX}/{s.agent.cluster}/backups/{label}'
    s.swift.put(f'{prefix}/.lock', b'galera-backup lock\nowner=db9, process 1\nprocess=0\nlock=0\n')
    s.swift.put(f'{prefix}/data/000001.seg', b'x')
    first = backups.take(s.server, repository='proxied')['id']
    assert label in s.labels(), 'a backup that somebody writes was removed'
    assert label not in s.agent.listed()
    s.proxy.headers = lambda headers: [(name, 'Sat, 01 Jan 2000 00:00:00 GMT' if name.lower() == 'last-modified' else value)
                                       for name, value in headers]
    try:
        second = backups.take(s.server, repository='proxied')['id']
    finally:
        s.proxy.headers = list
    s.clean([*before, first, second])


@suite.test
def a_backup_whose_lock_is_gone_is_none():
    s = shared()
    before = s.agent.listed()
    backups.loses_its_lock(s.server, s.swift, s.swift.delete)
    s.clean(before)


def whose_lock_another_has(committed):
    """A writer that hung until its lock was another's fails, and what the other has there stays as it is: its lock, or what it has committed, and
    the objects of it that have the names of the writer's own."""
    s = shared()
    before, foreign = s.agent.listed(), {}

    def meanwhile(lock):
        if committed:
            s.swift.delete(lock)
            foreign[lock.replace('/.lock', '/backup.json')] = b'{}'
        else:
            foreign[lock] = b'galera-backup lock\nowner=other\nprocess=1\nlock=2\n'
        for name in ('index', *(f'data/{number:06}.seg' for number in range(1, FOREIGN_SEGMENTS + 1))):
            foreign[lock.replace('/.lock', f'/{name}')] = b'of another: ' + name.encode()
        for key, text in foreign.items():
            s.swift.put(key, text)

    lock = backups.loses_its_lock(s.server, s.swift, meanwhile)
    wait_for(lambda: s.swift.uploads() == [], 30, 'uploads to be ended')
    assert set(foreign) <= set(s.swift.keys()), s.swift.keys()
    for key, text in foreign.items():
        assert s.swift.get(key) == text, f'{key} is not the other\'s any more'
    for key in s.swift.keys():
        if key.startswith(lock.replace('.lock', '')):
            s.swift.delete(key)
    s.clean(before)


@suite.test
def a_lock_that_is_anothers_by_now_is_left_to_it():
    whose_lock_another_has(committed=False)


@suite.test
def what_another_has_committed_meanwhile_is_left_to_it():
    whose_lock_another_has(committed=True)


@suite.test
def what_another_makes_while_it_is_published_is_left_to_it():
    """The lock is another's, and so is the object, between the last look at the lock and the next one."""
    s = shared()
    published, foreign = [], {}

    def rule(request):
        key = request.path.split('/', 2)[2] if request.path.count('/') > 1 else ''
        if request.method == 'POST' and 'uploadId=' in request.query and key.endswith('.seg') and not published:
            published.append(key)
        elif published and not foreign and key.endswith('/.lock') and request.method in ('GET', 'HEAD'):
            wait_for(lambda: published[0] in s.swift.keys(), 30, 'the object to be published')
            foreign.update({key: b'galera-backup lock\nowner=other\nprocess=1\nlock=2\n', published[0]: b'of another'})
            for name, text in foreign.items():
                s.swift.put(name, text)

    text, before = s.fails(rule, 'GB3008', repository='proxied')
    assert 'lock' in text and len(foreign) == 2, (text, published)
    wait_for(lambda: s.swift.uploads() == [], 30, 'uploads to be ended')
    for key, text in foreign.items():
        assert key in s.swift.keys() and s.swift.get(key) == text, f'{key} is not the other\'s any more'
    for key in s.swift.keys():
        if key.startswith(os.path.dirname(os.path.dirname(published[0])) + '/'):
            s.swift.delete(key)
    s.clean(before)


@suite.test
def a_quota_that_is_reached_is_said_so():
    s = shared()
    parts = f'{s.swift.bucket}+segments'  # where s3api has those of uploads
    assert s.swift.native_request('PUT', parts)[0] in (201, 202)
    used = int(s.swift.native_request('HEAD', parts)[1]['x-container-bytes-used'])
    assert s.swift.native_request('POST', parts, {'X-Container-Meta-Quota-Bytes': str(used + QUOTA_ROOM_BYTES)})[0] == 204
    try:
        text, before = s.fails(None, 'GB3002', repository='default')
    finally:
        assert s.swift.native_request('POST', parts, {'X-Remove-Container-Meta-Quota-Bytes': 'x'})[0] == 204
    assert f's3://{s.swift.bucket}/' in text, text
    s.clean(before)


def a_lock_is_written_anew_while_it_is_held():
    """In the long form: that takes a minute."""
    s = shared()

    def written():
        status, headers, _ = s.swift.request('HEAD', f'{s.swift.bucket}/{lock}')
        assert status == 200, f'{lock}: {status}'
        return next(value for name, value in headers.items() if name.lower() == 'last-modified')

    backups.hold(s.server, 'WINDOW')
    caller = backups.Caller(s.server)
    try:
        backups.wait_held(s.server, 'WINDOW')
        lock, = (key for key in s.swift.keys() if key.endswith('/.lock'))
        first, body = written(), s.swift.get(lock)
        wait_for(lambda: written() != first, RENEWAL_S + 30, 'the lock to be written anew')
        assert s.swift.get(lock) == body
    finally:
        backups.release(s.server)
    caller.wait()
    assert caller.number is None, caller.text


if LONG:
    suite.test(a_lock_is_written_anew_while_it_is_held)


@suite.test
def a_changed_object_stops_verify_and_restore():
    s = shared()
    backup = s.agent.listed()[0]
    key = min(each for each in s.swift.keys(f'{PREFIX}/{s.agent.cluster}/backups/{backup}/data/'))
    data = bytearray(s.swift.get(key))
    data[len(data) // 2] ^= 1
    s.swift.put(key, bytes(data))
    result = s.agent.cli('verify', backup, '--quick', check=False)
    assert result.returncode == CORRUPT and key.rsplit('/', 1)[1] in result.stderr, result.stderr
    target = os.path.join(processes.run_dir(), 'changed')
    result = s.agent.cli('restore', backup, '--datadir', target, '--yes', check=False)
    assert result.returncode == CORRUPT and key.rsplit('/', 1)[1] in result.stderr, result.stderr
    shutil.rmtree(target, ignore_errors=True)
    # a store that is away is no damage
    s.swift.kill()
    result = s.agent.cli('verify', backup, '--repository', 'short', check=False)
    assert result.returncode == UNREACHABLE and 'GB3013' in result.stderr, result.stderr


def fill(server, table, size):
    """Made as quickly as the disk allows: what is in the rows is all the same, without compression."""
    rows = size // MEMORY_PAGE_BYTES * MEMORY_ROWS_OF_PAGE
    server.execute('CREATE DATABASE IF NOT EXISTS wide', f'CREATE TABLE wide.{table} (id INT PRIMARY KEY, c VARBINARY(5000)) ENGINE=InnoDB')
    for first in range(1, rows + 1, MEMORY_ROWS_AT_ONCE):
        server.execute(f'INSERT INTO wide.{table} SELECT seq, REPEAT(CHAR(65 + seq % 26), {MEMORY_ROW_BYTES}) '
                       f'FROM seq_{first}_to_{min(rows, first + MEMORY_ROWS_AT_ONCE - 1)}')


def peak_mb(pid):
    """The most that the process has had resident in its life, as the kernel counts it."""
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('VmHWM:')) / 1024


def memory_is_the_same_whatever_the_size():
    """Done when: 2 GB and 10 GB into a store that is slow, the agent's peak resident sizes within 32 MiB of each other. In the long form;
    GB_TEST_MEMORY_MB=SMALL,LARGE for other sizes."""
    swift = Swift('slow').start().make_bucket()
    proxy = StoreProxy(swift)
    proxy.rate = MEMORY_RATE
    server = Server('growing', {'innodb-flush-log-at-trx-commit': '0', 'innodb-log-file-size': '512M', 'innodb-buffer-pool-size': '512M'})
    server.create()
    server.start()
    backups.install(server)
    agent = Agent(server, agent_options={'threads': THREADS},
                  repositories={'default': swift.repository(endpoint=proxy.endpoint, compression='none')})
    loaded, peaks = 0, []
    for number, size in enumerate(MEMORY_SIZES_MB):
        for half in range(2):
            fill(server, f't{number}_{half}', (size - loaded) // 2 << 20)
        loaded = size
        server.restart()  # a checkpoint: hundreds of megabytes of redo would be more than redo-memory for such a store
        agent.start()
        begin = time.monotonic()
        backup = backups.start(server)
        wait_for(lambda: backups.state(server)['bottleneck'] == 'store' or backups.ended(server, backup), 60, 'the store to be what is waited for')
        figures = backups.wait_end(server, backup, MEMORY_DEADLINE_S)
        took = time.monotonic() - begin
        assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
        peaks.append(peak_mb(agent.process.pid))
        agent.stop()
        stored = 0
        for key in swift.keys():
            stored += int(next(value for name, value in swift.request('HEAD', f'{swift.bucket}/{key}')[1].items() if name.lower() == 'content-length'))
            swift.delete(key)
        assert stored > 0.9 * (size << 20), f'{backup} has {stored >> 20} MiB'
        say(f'  {stored >> 20} MiB in {took:.0f} s: at most {peaks[-1]:.0f} MiB resident')
    assert max(peaks) - min(peaks) < MEMORY_APART_MB, peaks


if LONG or 'GB_TEST_MEMORY_MB' in os.environ:
    suite.test(memory_is_the_same_whatever_the_size)

suite.main()
