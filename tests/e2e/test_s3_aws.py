#!/usr/bin/python3
"""What AWS S3 has and Swift's s3api has not: temporary keys of an instance and of a web identity, encryption by the store, storage class, tags, object lock,
client certificates; and the bandwidth limit. The store is the real Swift, behind a server of the tests that knows the rules of these (gbtest/s3_rules.py)."""
import hashlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.s3_rules import CUSTOMER, S3Rules, TemporaryKeys  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.swift import Swift  # noqa: E402

CREDENTIALS, CONFIGURATION, UNREACHABLE = 10, 3, 8
DATA_MB = 60  # a thread's segment is more than a part, however the threads share it
RATE_MB = 8
SHORT_S = 8

suite = Suite()


class Scene:
    def __init__(self):
        for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
            os.environ.pop(name, None)
        self.swift = Swift().start().make_bucket()
        self.rules = S3Rules(self.swift)
        self.keys = TemporaryKeys(self.rules)
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        self.token = os.path.join(self.server.base, 'web-identity')
        self.write(self.token, self.keys.web_identity + '\n')
        self.customer, self.other = (self.write(os.path.join(self.server.base, name), each)
                                     for name, each in (('customer', processes.run(['openssl', 'rand', '-base64', '32']).stdout), ('other', 'k' * 32)))
        self.bare = {name: value for name, value in os.environ.items() if not name.startswith('AWS_')}
        role = {'credentials_file': None, 'request_attempts': 2}
        web = {**role, 'credentials': 'web-identity', 'role_arn': self.keys.role, 'web_identity_token_file': self.token,
               'sts_endpoint': self.keys.endpoint}

        def one(prefix, **options):
            return self.rules.repository(compression='none', prefix=prefix, **options)
        self.agent = Agent(self.server, agent_options={'threads': 2}, repositories={
            'default': one('instance', **role, credentials='instance'), 'web': one('web', **web),
            'sse': one('sse', server_side_encryption='AES256', storage_class='STANDARD_IA', tags='team=db, use = nightly & weekly',
                       object_lock='governance', object_lock_time='30d'),
            'kms': one('kms', server_side_encryption='aws:kms', kms_key_id='arn:aws:kms:us-east-1:123456789012:key/0123'),
            'customer': one('customer', server_side_encryption='customer', customer_key_file=self.customer),
            'other': one('customer', server_side_encryption='customer', customer_key_file=self.other),
            'none': one('customer'),
            'certified': one('certified', endpoint=self.rules.asking_endpoint, client_certificate=self.rules.certificate,
                             client_key=self.rules.certificate_key),
            'stranger': one('certified', endpoint=self.rules.asking_endpoint, request_attempts=2),
            'slow': self.swift.repository(compression='none', prefix='slow', rate_limit=f'{RATE_MB}M')})
        self.agent.environment = {**self.bare, 'AWS_EC2_METADATA_SERVICE_ENDPOINT': self.keys.endpoint}
        os.environ['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = self.keys.endpoint  # of the command line
        self.agent.start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 1, DATA_MB << 20)

    @staticmethod
    def write(path, text):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='ascii') as f:
            f.write(text)
        return path

    def take(self, repository):
        """A backup there, and what was asked of the store for it."""
        self.rules.seen.clear()
        backup = backups.take(self.server, repository=repository)['id']
        seen = list(self.rules.seen)
        assert 'good' in self.agent.cli('verify', backup, '--repository', repository).stdout
        return backup, seen


shared = Shared(Scene)


def kept(seen):
    """Requests that make an object of a backup; and those that make what is written over or removed."""
    makes = [each for each in seen if each.method == 'PUT' and 'partNumber' not in each.query or each.query.startswith('uploads')]
    written_once = [each for each in makes if each.path.endswith(('.seg', '/index', '/backup.json'))]
    return written_once, [each for each in makes if each not in written_once]


@suite.test
def keys_of_the_instance_are_renewed():
    s = shared()
    s.take('default')
    assert s.keys.given and {how for how, _ in s.keys.given} == {'instance'}, s.keys.given
    asked = len(s.keys.given)
    # before they expire ...
    s.keys.lifetime_s = SHORT_S
    backups.hold(s.server, 'WINDOW')
    caller = backups.Caller(s.server)
    try:
        backups.wait_held(s.server, 'WINDOW')
        given = len(s.keys.given)
        assert given > asked
        # ... and when the store takes them no more
        s.keys.forget()
        s.keys.lifetime_s = 3600
    finally:
        backups.release(s.server)
    caller.wait()
    assert caller.number is None and len(s.keys.given) > given, f'{caller.text}: {len(s.keys.given)} after {given}'
    s.keys.lifetime_s = SHORT_S
    s.rules.seen.clear()
    expired = time.monotonic()
    result = s.agent.cli('verify', caller.rows[0]['id'])
    assert 'good' in result.stdout
    s.keys.lifetime_s = 3600
    say(f'  {len(s.keys.given)} keys; the last verify took {time.monotonic() - expired:.1f} s with keys of {SHORT_S} s')


@suite.test
def keys_of_a_web_identity_come_from_sts():
    s = shared()
    s.keys.given.clear()
    backup, _ = s.take('web')
    assert {how for how, _ in s.keys.given} == {'web-identity'}
    # as Kubernetes says it, without a word in the configuration; the token is read anew
    url = f's3://{s.swift.bucket}/web?endpoint={s.rules.endpoint}&ca-file={s.rules.ca}'
    pod = {**s.bare, 'AWS_ROLE_ARN': s.keys.role, 'AWS_WEB_IDENTITY_TOKEN_FILE': s.token, 'AWS_ENDPOINT_URL_STS': s.keys.endpoint}
    listed = json.loads(processes.run([binary(), 'list', '--repository', url, '--json'], env=pod).stdout)
    assert [row['id'] for row in listed['backups']] == [backup]
    good, s.keys.web_identity = s.keys.web_identity, 'another'
    result = s.agent.cli('list', '--repository', 'web', check=False)
    assert result.returncode == CREDENTIALS and 'InvalidIdentityToken' in result.stderr and s.keys.role in result.stderr, result.stderr
    assert good not in result.stderr
    say(f'  {" ".join(result.stderr.split())}')
    s.write(s.token, 'another')
    assert s.agent.cli('list', '--repository', 'web').returncode == 0
    s.keys.web_identity = good
    s.write(s.token, good)


@suite.test
def a_session_token_goes_with_its_keys():
    s = shared()
    name, secret, token, _ = s.keys.give('hand')
    file = os.path.join(s.server.base, 'session')

    def listed(token, env):
        text = f'[default]\naws_access_key_id = {name}\naws_secret_access_key = {secret}\naws_session_token = {token}\n'
        url = f's3://{s.swift.bucket}/web?endpoint={s.rules.endpoint}&ca-file={s.rules.ca}'
        if env:
            keys = {'AWS_ACCESS_KEY_ID': name, 'AWS_SECRET_ACCESS_KEY': secret, 'AWS_SESSION_TOKEN': token}
            return processes.run([binary(), 'list', '--repository', url], env={**s.bare, **keys}, check=False)
        s.write(file, text)
        return processes.run([binary(), 'list', '--repository', f'{url}&credentials-file={file}'], env=s.bare, check=False)
    for env in (False, True):
        assert listed(token, env).returncode == 0
        result = listed('another', env)
        assert result.returncode == CREDENTIALS and 'InvalidToken' in result.stderr and secret not in result.stderr, result.stderr


@suite.test
def encryption_class_tags_and_lock_go_with_what_is_kept():
    s = shared()
    begin = time.time()
    _, seen = s.take('sse')
    objects, locks = kept(seen)
    assert any(each.query.startswith('uploads') for each in objects) and any(each.method == 'PUT' for each in objects) and locks
    for each in objects:
        told = {name: value for name, value in each.headers.items() if name.startswith('x-amz-')}
        until = told['x-amz-object-lock-retain-until-date']
        until_s = time.mktime(time.strptime(until, '%Y-%m-%dT%H:%M:%SZ')) - time.timezone
        assert told['x-amz-server-side-encryption'] == 'AES256' and told['x-amz-storage-class'] == 'STANDARD_IA', told
        assert told['x-amz-tagging'] == 'team=db&use%20=%20nightly%20%26%20weekly' and told['x-amz-object-lock-mode'] == 'GOVERNANCE', told
        assert 30 * 86400 - 5 < until_s - begin < 30 * 86400 + 300, f'{until}: {until_s - begin}'
    for each in locks:
        assert each.headers['x-amz-server-side-encryption'] == 'AES256'
        assert not {'x-amz-storage-class', 'x-amz-tagging', 'x-amz-object-lock-mode'} & set(each.headers), each.headers
    for each in seen:
        if 'partNumber' in each.query or each.method in ('GET', 'HEAD', 'DELETE'):
            assert 'x-amz-server-side-encryption' not in each.headers, each
        assert each.method != 'PUT' or each.headers.get('content-md5'), each


@suite.test
def a_key_of_the_stores_management_is_named():
    s = shared()
    _, seen = s.take('kms')
    objects, locks = kept(seen)
    for each in objects + locks:
        assert each.headers['x-amz-server-side-encryption'] == 'aws:kms'
        assert each.headers['x-amz-server-side-encryption-aws-kms-key-id'].endswith('key/0123')


@suite.test
def a_key_of_the_customer_is_needed_to_read():
    s = shared()
    backup, seen = s.take('customer')
    reads = [each for each in s.rules.seen if each.method in ('GET', 'HEAD') and f'/{backup}/' in each.path]
    parts = [each for each in seen if 'partNumber' in each.query]
    assert reads and parts and all(CUSTOMER + 'key' in each.headers for each in kept(seen)[0] + reads + parts)
    with open(s.customer, encoding='ascii') as f:
        assert {each.headers[CUSTOMER + 'key'] for each in reads} == {f.read().strip()}
    back = restored.Restored(s.agent, backup, options=['--repository', 'customer'])
    back.check_image()
    back.remove()
    for name in ('other', 'none'):
        result = s.agent.cli('info', backup, '--repository', name, check=False)
        assert result.returncode not in (0, 13), f'{name}: {result.stdout} {result.stderr}'
    s.write(s.other, 'short')
    result = s.agent.cli('list', '--repository', 'other', check=False)
    assert result.returncode == CONFIGURATION and 'customer-key-file' in result.stderr and '32 bytes' in result.stderr, result.stderr


@suite.test
def a_client_certificate_is_shown():
    s = shared()
    backup, _ = s.take('certified')
    assert s.agent.json('list', '--repository', 'certified')['backups'][0]['id'] == backup
    result = s.agent.cli('list', '--repository', 'stranger', check=False)
    assert result.returncode == UNREACHABLE and 'GB301' in result.stderr, result.stderr


@suite.test
def the_bandwidth_limit_holds():
    s = shared()
    begin = time.monotonic()
    backup = backups.take(s.server, repository='slow')['id']
    sent = time.monotonic() - begin
    stored = s.agent.json('info', backup, '--repository', 'slow')['stored_bytes']
    least = stored / (RATE_MB << 20)
    assert sent > 0.9 * least, f'{stored >> 20} MiB in {sent:.1f} s'
    begin = time.monotonic()
    s.agent.cli('verify', backup, '--quick', '--repository', 'slow')
    read = time.monotonic() - begin
    assert read > 0.9 * least, f'{stored >> 20} MiB read in {read:.1f} s'
    say(f'  {stored >> 20} MiB in {sent:.1f} s, read in {read:.1f} s: {RATE_MB} MiB a second are {least:.1f} s')


def files(root):
    """{path: SHA-256} of what is regular."""
    found = {}
    for directory, _, names in os.walk(root):
        for path in (os.path.join(directory, name) for name in names):
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, 'rb') as f:
                    found[os.path.relpath(path, root)] = hashlib.file_digest(f, 'sha256').hexdigest()
    return found


@suite.test
def the_directory_of_a_dead_server_is_saved_into_a_bucket():
    s = shared()
    s.server.kill()
    s.rules.seen.clear()
    saved = json.loads(s.agent.cli('save', '--datadir', s.server.datadir, '--repository', 'sse', '--json').stdout)['id']
    objects, _ = kept(s.rules.seen)
    plain = [each.path for each in objects if each.headers.get('x-amz-object-lock-mode') != 'GOVERNANCE']
    assert objects and not plain, plain
    target = os.path.join(processes.run_dir(), 'saved')
    s.agent.cli('restore', saved, '--repository', 'sse', '--datadir', target, '--yes')
    there, back = files(s.server.datadir), files(target)
    different = {path for path, digest in there.items() if back.get(path) != digest}
    assert len(there) > 50 and not different, f'{len(there)} files, these differ: {sorted(different)}'


suite.main()
