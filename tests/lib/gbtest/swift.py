"""OpenStack Swift with its own API and its S3 API, from Debian's packages: a real object store on the loopback, http or https.

    swift = Swift('store', tls=True).start()
    swift.make_bucket(); swift.repository()      # the options of a [repository:NAME] in it, by the S3 API
    swift.native()                               # the same by Swift's own
    swift.keys(); swift.uploads()                # what is in it, asked with a client of the tests' own

One replica on one device, four processes (account, container, object, proxy) and memcached, which it wants for signatures, started in about four seconds. What
it keeps is below the run's directory; kill() and start() again find it there.
"""
import datetime
import hashlib
import hmac
import http.client
import os
import re
import signal
import socket
import ssl
import urllib.parse

from . import processes
from .waiting import wait_for

START_DEADLINE_S = 60
ACCOUNT, USER = 'test', 'tester'
ACCESS_KEY, SECRET_KEY = f'{ACCOUNT}:{USER}', 'testing'
REGION = 'us-east-1'
PACKAGES = 'swift-proxy swift-account swift-container swift-object memcached'

RINGS = '''
import sys
from swift.common.ring import RingBuilder
directory = sys.argv[1]
for name, port in zip(('object', 'container', 'account'), map(int, sys.argv[2:5])):
    ring = RingBuilder(4, 1, 1)
    ring.add_dev(dict(id=0, region=1, zone=1, ip='127.0.0.1', port=port, replication_ip='127.0.0.1', replication_port=port,
                      device='d1', weight=1.0, meta=''))
    ring.rebalance(seed=1)
    ring.get_ring().save('%s/%s.ring.gz' % (directory, name))
'''

# /etc/swift/swift.conf is the machine's own: ours is named before anything reads it.
RUN = '''
import sys
import swift.common.utils as utils
kind, directory = sys.argv[1], sys.argv[2]
utils.SWIFT_CONF_FILE = directory + '/swift.conf'
from swift.common import constraints, storage_policy
constraints.reload_constraints()
storage_policy.reload_storage_policies()
from swift.common.wsgi import run_wsgi
options = {}
if kind == 'object':
    from swift.obj import server
    options['global_conf_callback'] = server.global_conf_callback
sys.exit(run_wsgi('%s/%s.conf' % (directory, kind), 'proxy-server' if kind == 'proxy' else kind + '-server', verbose=True, **options))
'''

SWIFT_CONF = '''[swift-hash]
swift_hash_path_suffix = test
swift_hash_path_prefix = test
[storage-policy:0]
name = Policy-0
default = yes
'''

SERVER_CONF = '''[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
devices = {devices}
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
# a machine that stalls for a second does not make an object vanish from the lists
conn_timeout = 20
node_timeout = 30
container_update_timeout = 30
log_address = {etc}/nolog
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
'''

PROXY_CONF = '''[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
log_address = {etc}/nolog
{tls}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk {auth} container_quotas copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# a server that is not there yet, or was killed, is asked again
error_suppression_limit = 1000000
conn_timeout = 20
node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
connect_timeout = 10
pool_timeout = 10
io_timeout = 10
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = {region}
storage_domain = localhost
min_segment_size = 5242880
max_upload_part_num = 10000
max_bucket_listing = {page}
{keystone}
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {secret} .admin
[filter:container_quotas]
use = egg:swift#container_quotas
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
max_manifest_segments = {segments}
[filter:dlo]
use = egg:swift#dlo
'''

# In place of TempAuth: who asks is known to Keystone.
KEYSTONE_CONF = '''[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = admin
password = {password}
project_name = admin
user_domain_name = Default
project_domain_name = Default
delay_auth_decision = true
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
'''


def certificate(directory):
    """A certificate authority and a server's certificate for 127.0.0.1 signed by it; returns (ca, certificate, key)."""
    ca, ca_key, cert, key, request, extensions = (os.path.join(directory, name) for name in (
        'ca.pem', 'ca.key', 'cert.pem', 'key.pem', 'request.pem', 'extensions'))
    processes.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test authority', '-days', '2',
                   '-keyout', ca_key, '-out', ca])
    processes.run(['openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1', '-keyout', key, '-out', request])
    with open(extensions, 'w', encoding='ascii') as f:
        f.write('subjectAltName = IP:127.0.0.1\n')
    processes.run(['openssl', 'x509', '-req', '-in', request, '-CA', ca, '-CAkey', ca_key, '-days', '2', '-out', cert,
                   '-extfile', extensions])
    return ca, cert, key


class Swift:
    def __init__(self, name='swift', tls=False, bucket='backups', page=1000, segments=10000, keystone=None):
        """At most: page, names in one answer to a list of the S3 API; segments, of a static large object.
        keystone: who knows the users (keystone.py); else TempAuth."""
        self.base = processes.new_dir(name)
        self.etc = os.path.join(self.base, 'etc')
        self.bucket, self.tls = bucket, tls
        self.port, self.memcached, *self.ports = processes.free_ports(5)
        self.servers = {}
        self.keystone = keystone
        self.ca = None
        os.makedirs(self.etc)
        os.makedirs(os.path.join(self.base, 'devices', 'd1'))
        self._configure(page, segments)

    @property
    def endpoint(self):
        return f'{"https" if self.tls else "http"}://127.0.0.1:{self.port}'

    def _write(self, name, text):
        with open(os.path.join(self.etc, name), 'w', encoding='ascii') as f:
            f.write(text)

    def _configure(self, page, segments):
        tls = ''
        if self.tls:
            self.ca, cert, key = certificate(self.etc)
            tls = f'cert_file = {cert}\nkey_file = {key}'
        self.user = processes.run(['id', '-un']).stdout.strip()
        self._write('swift.conf', SWIFT_CONF)
        self._write('run.py', RUN)
        self._write('rings.py', RINGS)
        for kind, port in zip(('object', 'container', 'account'), self.ports):
            self._write(f'{kind}.conf', SERVER_CONF.format(kind=kind, port=port, user=self.user, etc=self.etc,
                                                           devices=os.path.join(self.base, 'devices')))
        auth = {'auth': 's3api tempauth', 'keystone': ''} if not self.keystone else \
            {'auth': 'authtoken keystoneauth', 'keystone': KEYSTONE_CONF.format(url=self.keystone.url, password=self.keystone.admin_password)}
        self._write('proxy.conf', PROXY_CONF.format(**auth, port=self.port, user=self.user, etc=self.etc, tls=tls, region=REGION, page=page, segments=segments, memcached=self.memcached,
                                                    account=ACCOUNT, name=USER, secret=SECRET_KEY))
        processes.run(['/usr/bin/python3', '-W', 'ignore', os.path.join(self.etc, 'rings.py'), self.etc, *map(str, self.ports)])
        self.credentials = os.path.join(self.base, 'credentials')
        self.key_file = os.path.join(self.base, 'key')
        for path, text in ((self.credentials, f'[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n'),
                           (self.key_file, f'{SECRET_KEY}\n')):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
                f.write(text)

    # -- life

    def _start_memcached(self):
        with open(os.path.join(self.base, 'memcached.log'), 'ab') as log:
            self.servers['memcached'] = processes.start(['memcached', '-u', self.user, '-l', '127.0.0.1', '-p', str(self.memcached), '-U', '0',
                                                         '-m', '16', '-t', '1'], stdout=log)
        wait_for(lambda: socket.create_connection(('127.0.0.1', self.memcached), 5).close() or True, START_DEADLINE_S, 'memcached')

    def forget_tokens(self):
        """All that TempAuth has given out are taken no more."""
        processes.end(self.servers.pop('memcached'), signal.SIGKILL)
        self._start_memcached()

    def start(self):
        self._start_memcached()
        for kind in ('account', 'container', 'object', 'proxy'):
            with open(os.path.join(self.base, f'{kind}.log'), 'ab') as log:
                self.servers[kind] = processes.start(
                    ['/usr/bin/python3', '-W', 'ignore', os.path.join(self.etc, 'run.py'), kind, self.etc], stdout=log,
                    env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'})
        wait_for(self.ready, START_DEADLINE_S, 'Swift to start', while_true=self.alive)
        return self

    def alive(self):
        for kind, process in self.servers.items():
            if process.poll() is not None:
                with open(os.path.join(self.base, f'{kind}.log'), encoding='utf-8', errors='replace') as f:
                    raise AssertionError(f'{kind} of Swift has ended ({PACKAGES} are needed): {f.read()[-2000:]}')
        return True

    def ready(self):
        for port in self.ports:
            socket.create_connection(('127.0.0.1', port), 5).close()
        connection = self.connect()
        try:
            connection.request('GET', '/healthcheck')
            return connection.getresponse().status == 200 and (self.keystone is not None or self.request('GET', '')[0] == 200)
        finally:
            connection.close()

    def kill(self):
        """All of it, the proxy first: as of a host that loses its power nobody hears from it that the others are gone."""
        servers, self.servers = self.servers, {}
        for kind in sorted(servers, key=lambda each: each != 'proxy'):
            processes.end(servers[kind], signal.SIGKILL)

    # -- what is in it

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=30,
                                               context=ssl.create_default_context(cafile=self.ca))
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)

    def request(self, method, path, query=None, body=b'', more_headers=None):
        """(status, headers, body) of a signed request; path: BUCKET/KEY. more_headers: that are not signed."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime('%Y%m%dT%H%M%SZ')
        scope = f'{now[:8]}/{REGION}/s3/aws4_request'
        path = '/' + urllib.parse.quote(path)
        query = '&'.join(f'{urllib.parse.quote(name, safe="-._~")}={urllib.parse.quote(value, safe="-._~")}'
                         for name, value in sorted((query or {}).items()))
        headers = {'host': f'127.0.0.1:{self.port}', 'x-amz-content-sha256': hashlib.sha256(body).hexdigest(), 'x-amz-date': now}
        names = ';'.join(sorted(headers))
        canonical = '\n'.join([method, path, query, *(f'{name}:{headers[name]}' for name in sorted(headers)), '', names,
                               headers['x-amz-content-sha256']])
        key = f'AWS4{SECRET_KEY}'.encode()
        for word in scope.split('/'):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        text = f'AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers['authorization'] = f'AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}'
        connection = self.connect()
        try:
            connection.request(method, path + ('?' + query if query else ''), body, {**headers, **(more_headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _done(self, method, path, query=None, body=b''):
        status, headers, answer = self.request(method, path, query, body)
        assert status < 300, f'{method} {path}: {status} {answer[:500]}'
        return headers, answer

    def make_bucket(self):
        self._done('PUT', self.bucket)
        return self

    def _listed(self, query, element):
        found, marker = [], {}
        while True:
            answer = self._done('GET', self.bucket, {**query, **marker})[1].decode()
            keys = re.findall(f'<{element}>.*?<Key>(.*?)</Key>', answer, re.S)
            found += keys
            if '<IsTruncated>true</IsTruncated>' not in answer:
                return found
            marker = {'key-marker' if 'uploads' in query else 'marker': keys[-1]}

    def keys(self, prefix=''):
        return self._listed({'prefix': prefix}, 'Contents')

    def uploads(self):
        """Keys of multipart uploads that were begun and neither completed nor aborted."""
        return self._listed({'uploads': ''}, 'Upload')

    def get(self, key):
        return self._done('GET', f'{self.bucket}/{key}')[1]

    def put(self, key, body):
        self._done('PUT', f'{self.bucket}/{key}', body=body)

    def delete(self, key):
        self._done('DELETE', f'{self.bucket}/{key}')

    def etag(self, key):
        headers = self._done('HEAD', f'{self.bucket}/{key}')[0]
        return next(value.strip('"') for name, value in headers.items() if name.lower() == 'etag')

    # -- the same by Swift's own API

    def _token(self, connection):
        """(account, token)"""
        if self.keystone:
            return self.keystone.project, self.keystone.user_token()
        connection.request('GET', '/auth/v1.0', headers={'X-Auth-User': ACCESS_KEY, 'X-Auth-Key': SECRET_KEY})
        answer = connection.getresponse()
        answer.read()
        return ACCOUNT, answer.getheader('X-Auth-Token')

    def account(self):
        """(URL, token) for another client of that API."""
        connection = self.connect()
        try:
            name, token = self._token(connection)
            return f'{self.endpoint}/v1/AUTH_{name}', token
        finally:
            connection.close()

    def native_request(self, method, path, headers=None, query=None, body=b''):
        """(status, headers in lower case, body); path: CONTAINER/OBJECT."""
        connection = self.connect()
        try:
            account, token = self._token(connection)
            query = '?' + urllib.parse.urlencode(query) if query else ''
            connection.request(method, f'/v1/AUTH_{account}/{urllib.parse.quote(path)}{query}', body, {'X-Auth-Token': token, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    # -- as a repository

    def repository(self, **options):
        """The options of a [repository:NAME]; names with "_" for "-". A value of None leaves one out."""
        all_options = {'type': 's3', 'endpoint': self.endpoint, 'bucket': self.bucket, 'region': REGION,
                       'credentials-file': self.credentials, **({'ca-file': self.ca} if self.tls else {})}
        all_options.update({name.replace('_', '-'): value for name, value in options.items()})
        return {name: value for name, value in all_options.items() if value is not None}

    def url(self, prefix=''):
        """The same as --repository takes it."""
        options = {name: value for name, value in self.repository().items() if name not in ('type', 'bucket')}
        return f's3://{self.bucket}{"/" if prefix else ""}{prefix}?{urllib.parse.urlencode(options)}'

    def native(self, **options):
        """As repository(), by Swift's own API."""
        all_options = {'type': 'swift', 'auth-url': f'{self.endpoint}/auth/v1.0', 'container': self.bucket, 'user': ACCESS_KEY,
                       'key-file': self.key_file, **({'ca-file': self.ca} if self.tls else {})}
        all_options.update({name.replace('_', '-'): value for name, value in options.items()})
        return {name: value for name, value in all_options.items() if value is not None}

    def native_url(self, prefix=''):
        options = {name: value for name, value in self.native().items() if name not in ('type', 'container')}
        return f'swift://{self.bucket}{"/" if prefix else ""}{prefix}?{urllib.parse.urlencode(options)}'
