"""OpenStack Keystone from Debian's packages, on the loopback: who may use Swift, and where it is.

    keystone = Keystone().start()
    swift = Swift(keystone=keystone).start()
    keystone.serve(swift)                  # into the catalog
    secret = keystone.application_credential()

A database of sqlite below the run's directory, made in some fifteen seconds. There is the project databases with the user backup in a domain
of their own, and the administrator.
"""
import contextlib
import http.client
import json
import os
import sqlite3

from . import processes
from .waiting import wait_for

START_DEADLINE_S = 60
PACKAGES = 'python3-keystone python3-keystonemiddleware uwsgi-core uwsgi-plugin-python3'
ADMIN_PASSWORD = 'admin-geheim'
DOMAIN, PROJECT, USER, PASSWORD, REGION = 'Customers', 'databases', 'backup', 'user-geheim', 'RegionOne'

CONF = '''[DEFAULT]
log_file = {base}/keystone.log
[database]
connection = sqlite:///{base}/keystone.db
[fernet_tokens]
key_repository = {base}/fernet
[credential]
key_repository = {base}/credential
[cache]
enabled = false
'''


class Keystone:
    admin_password = ADMIN_PASSWORD

    def __init__(self, name='keystone'):
        self.base = processes.new_dir(name)
        self.port, = processes.free_ports(1)
        self.process = None
        self.config = os.path.join(self.base, 'keystone.conf')
        for each in ('fernet', 'credential'):
            os.makedirs(os.path.join(self.base, each), 0o700)
        with open(self.config, 'w', encoding='ascii') as f:
            f.write(CONF.format(base=self.base))

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}/v3'

    def _manage(self, *arguments):
        processes.run(['keystone-manage', '--config-file', self.config, *arguments], timeout=START_DEADLINE_S)

    def start(self):
        user, group = (processes.run(['id', each]).stdout.strip() for each in ('-un', '-gn'))
        self._manage('db_sync')
        with contextlib.closing(sqlite3.connect(os.path.join(self.base, 'keystone.db'))) as database:
            database.execute('PRAGMA journal_mode = WAL')  # else who reads keeps the same process from writing
        self._manage('fernet_setup', '--keystone-user', user, '--keystone-group', group)
        self._manage('bootstrap', '--bootstrap-password', ADMIN_PASSWORD, '--bootstrap-public-url', self.url, '--bootstrap-internal-url', self.url,
                     '--bootstrap-region-id', REGION)
        with open(os.path.join(self.base, 'server.log'), 'ab') as log:
            self.process = processes.start(['uwsgi', '--plugin', 'python3', '--http-socket', f'127.0.0.1:{self.port}', '--wsgi-file',
                                            '/usr/bin/keystone-wsgi-public', '--processes', '2', '--die-on-term', '--master'], stdout=log,
                                           env={**os.environ, 'OS_KEYSTONE_CONFIG_FILES': self.config})
        wait_for(lambda: self.request('GET', '', token=None)[0] == 200, START_DEADLINE_S, 'Keystone to start', while_true=self.alive)
        domain = self.made('domains', {'domain': {'name': DOMAIN}})
        self.project = self.made('projects', {'project': {'name': PROJECT, 'domain_id': domain}})
        self.user = self.made('users', {'user': {'name': USER, 'password': PASSWORD, 'domain_id': domain}})
        roles = self.request('GET', '/roles?name=member', token=self.token())[2]['roles']
        assert self.request('PUT', f'/projects/{self.project}/users/{self.user}/roles/{roles[0]["id"]}', token=self.token())[0] == 204
        return self

    def alive(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.base, 'server.log'), encoding='utf-8', errors='replace') as f:
                raise AssertionError(f'Keystone has ended ({PACKAGES} are needed): {f.read()[-2000:]}')
        return True

    def request(self, method, path, body=None, token=None):
        """(status, headers, document)"""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            connection.request(method, f'/v3{path}', json.dumps(body) if body else None,
                               {'Content-Type': 'application/json', **({'X-Auth-Token': token} if token else {})})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, answer.headers, json.loads(text) if text else {}
        finally:
            connection.close()

    def token(self, user='admin', password=ADMIN_PASSWORD, project='admin', domain='Default'):
        status, headers, document = self.request('POST', '/auth/tokens', {'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {'name': user, 'password': password, 'domain': {'name': domain}}}},
            'scope': {'project': {'name': project, 'domain': {'name': domain}}}}})
        assert status == 201, document
        return headers['X-Subject-Token']

    def made(self, kind, body, token=None):
        """The id of what is created."""
        status, _, document = self.request('POST', f'/{kind}', body, token or self.token())
        assert status == 201, f'{kind}: {document}'
        return next(iter(document.values()))['id']

    def serve(self, swift):
        """Its account, in the catalog: internal where it is, public where nobody is."""
        service = self.made('services', {'service': {'name': 'swift', 'type': 'object-store'}})
        nobody, = processes.free_ports(1)
        for interface, endpoint in (('public', f'http://127.0.0.1:{nobody}'), ('internal', swift.endpoint)):
            self.made('endpoints', {'endpoint': {'service_id': service, 'interface': interface, 'region_id': REGION,
                                                 'url': f'{endpoint}/v1/AUTH_%(tenant_id)s'}})
        return self

    def user_token(self):
        return self.token(USER, PASSWORD, PROJECT, DOMAIN)

    def application_credential(self):
        """(id, secret)"""
        status, _, document = self.request('POST', f'/users/{self.user}/application_credentials',
                                           {'application_credential': {'name': 'backup', 'roles': [{'name': 'member'}]}}, self.user_token())
        assert status == 201, document
        return document['application_credential']['id'], document['application_credential']['secret']

    def withdraw(self, credential):
        assert self.request('DELETE', f'/users/{self.user}/application_credentials/{credential}', token=self.user_token())[0] == 204
