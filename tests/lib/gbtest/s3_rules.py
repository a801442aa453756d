"""What AWS S3 does and Swift's s3api does not, in front of Swift: keys that are temporary, encryption by the store, storage class, tags, object lock, client
certificates. What it does not do itself it passes on, signed anew; it checks as S3 does and keeps what it was told.

    rules = S3Rules(swift)
    rules.endpoint, rules.seen                    # what was asked: Seen(method, path, query, headers)
    keys = TemporaryKeys(rules)                   # a metadata service (IMDSv2) and STS in one, whose keys are good for lifetime_s
    keys.endpoint, keys.given

Signatures are checked by SigV4, over all headers that S3 wants signed. A part or a read without the key that an object was begun with is refused, as is the
put of a locked object without Content-MD5.
"""
import base64
import collections
import datetime
import hashlib
import hmac
import http.server
import json
import re
import secrets
import ssl
import threading
import time
import urllib.parse

from . import processes
from .store_proxy import Server
from .swift import ACCESS_KEY, SECRET_KEY, certificate

Seen = collections.namedtuple('Seen', 'method path query headers')
CUSTOMER = 'x-amz-server-side-encryption-customer-'


def backwards(text):
    return re.sub(r'[0-9a-f]{32}', lambda found: found.group()[::-1], text)


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *ignored):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get('Content-Length') or 0))

    def answer(self, status, body=b'', headers=()):
        self.send_response(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == 'content-length':
                length = value
            elif name.lower() not in ('connection', 'transfer-encoding', 'date'):
                self.send_header(name, value)
        self.send_header('Content-Length', length)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)


def serve(handler, owner, tls=None):
    port, = processes.free_ports(1)
    server = Server(('127.0.0.1', port), handler)
    server.owner = owner
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def close():
        server.shutdown()
        server.server_close()
    processes.on_cleanup(close)
    return port


class StoreHandler(Quiet):
    def any(self):
        rules, body = self.server.owner, self.body()
        path, _, query = self.path.partition('?')
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            rules.check(self.command, path, query, headers, body)
        except Refused as why:
            self.answer(why.status, f'<?xml version="1.0"?><Error><Code>{why.code}</Code><Message>of the test</Message></Error>'.encode())
            return
        if self.command == 'POST' and query.startswith('uploadId=') and rules.encrypted.get(path) not in (None, 'AES256'):
            body = backwards(body.decode()).encode()
            del headers['content-md5']
        status, answered, text = rules.swift.request(
            self.command, urllib.parse.unquote(path)[1:], dict(urllib.parse.parse_qsl(query, keep_blank_values=True)), body,
            {name: headers[name] for name in ('range', 'if-none-match', 'content-md5') if name in headers})
        self.answer(status, text, rules.answered(path, list(answered.items())))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = any


class S3Rules:
    def __init__(self, swift, name='rules'):
        self.swift = swift
        self.keys = {ACCESS_KEY: (SECRET_KEY, None, None)}  # id: secret, session token, when it expires
        self.seen = []
        self.encrypted = {}  # path: MD5 of the customer's key, or the kind
        self._mutex = threading.Lock()
        self.ca, cert, key = certificate(processes.new_dir(name))
        self.certificate, self.certificate_key = cert, key
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.port = serve(StoreHandler, self, context)
        asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        asking.load_cert_chain(cert, key)
        asking.load_verify_locations(self.ca)
        asking.verify_mode = ssl.CERT_REQUIRED
        self.asking_port = serve(StoreHandler, self, asking)

    @property
    def endpoint(self):
        return f'https://127.0.0.1:{self.port}'

    @property
    def asking_endpoint(self):
        """The same for those who have a certificate."""
        return f'https://127.0.0.1:{self.asking_port}'

    def repository(self, **options):
        return self.swift.repository(**{'endpoint': self.endpoint, 'ca_file': self.ca, **options})

    # -- as S3 checks

    def check(self, method, path, query, headers, body):
        self._signature(method, path, query, headers, body)
        names = urllib.parse.parse_qs(query, keep_blank_values=True)
        makes = (method == 'PUT' and 'partNumber' not in names) or 'uploads' in names
        customer = headers.get(CUSTOMER + 'key-md5')
        if customer and base64.b64encode(hashlib.md5(base64.b64decode(headers[CUSTOMER + 'key'])).digest()).decode() != customer:
            raise Refused(400, 'InvalidArgument')
        if 'x-amz-object-lock-mode' in headers and method == 'PUT' and 'content-md5' not in headers:
            raise Refused(400, 'InvalidRequest')
        reads = method in ('GET', 'HEAD') and path.count('/') > 1
        with self._mutex:
            self.seen.append(Seen(method, urllib.parse.unquote(path), query, headers))
            if makes:
                self.encrypted[path] = customer or headers.get('x-amz-server-side-encryption')
            elif reads or 'partNumber' in names:
                known = self.encrypted.get(path)
                if known not in (None, 'AES256', 'aws:kms') and known != customer:
                    raise Refused(400, 'InvalidRequest')

    def _signature(self, method, path, query, headers, body):
        found = re.match(r'AWS4-HMAC-SHA256 Credential=([^,]*?)/([^,]*), SignedHeaders=([^,]*), Signature=(\w+)$', headers.get('authorization', ''))
        if not found:
            raise Refused(403, 'AccessDenied')
        who, scope, names, signature = found.groups()
        if who not in self.keys:
            raise Refused(403, 'InvalidAccessKeyId')
        secret, token, expires = self.keys[who]
        if headers.get('x-amz-security-token') != token:
            raise Refused(400, 'InvalidToken')
        if expires is not None and time.time() >= expires:
            raise Refused(400, 'ExpiredToken')
        signed = names.split(';')
        if not {'host', *(name for name in headers if name.startswith('x-amz-'))} <= set(signed) or signed != sorted(signed):
            raise Refused(403, 'AccessDenied')
        if headers['x-amz-content-sha256'] != hashlib.sha256(body).hexdigest():
            raise Refused(400, 'XAmzContentSHA256Mismatch')
        canonical = '\n'.join([method, path, query, *(f'{name}:{headers[name]}' for name in signed), '', names, headers['x-amz-content-sha256']])
        key = f'AWS4{secret}'.encode()
        for word in scope.split('/'):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        text = f'AWS4-HMAC-SHA256\n{headers["x-amz-date"]}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
        if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() != signature:
            raise Refused(403, 'SignatureDoesNotMatch')

    def answered(self, path, headers):
        """The ETag of what the store has encrypted with somebody's key is no MD5: here it is one backwards."""
        kind = self.encrypted.get(path)
        if kind in (None, 'AES256'):
            return headers
        return [(name, backwards(value) if name.lower() == 'etag' else value) for name, value in headers] + \
            ([('x-amz-server-side-encryption', 'aws:kms')] if kind == 'aws:kms' else [(CUSTOMER + 'algorithm', 'AES256')])


class KeysHandler(Quiet):
    ROLES = '/latest/meta-data/iam/security-credentials/'

    def do_PUT(self):
        keys, _ = self.server.owner, self.body()
        if self.path != '/latest/api/token' or not self.headers.get('X-aws-ec2-metadata-token-ttl-seconds'):
            return self.answer(400)
        keys.session = secrets.token_hex(8)
        return self.answer(200, keys.session.encode())

    def do_GET(self):
        keys = self.server.owner
        if not keys.session or self.headers.get('X-aws-ec2-metadata-token') != keys.session:
            return self.answer(401)
        if self.path == self.ROLES:
            return self.answer(200, b'backup-role')
        if self.path != self.ROLES + 'backup-role':
            return self.answer(404)
        name, secret, token, expires = keys.give('instance')
        return self.answer(200, json.dumps({'Code': 'Success', 'Type': 'AWS-HMAC', 'AccessKeyId': name, 'SecretAccessKey': secret, 'Token': token,
                                            'Expiration': expires}).encode())

    def do_POST(self):
        keys = self.server.owner
        form = dict(urllib.parse.parse_qsl(self.body().decode()))
        if form.get('Action') != 'AssumeRoleWithWebIdentity' or form.get('RoleArn') != keys.role or form.get('WebIdentityToken') != keys.web_identity:
            return self.answer(400, b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                                    b'<Code>InvalidIdentityToken</Code><Message>of the test</Message></Error></ErrorResponse>')
        name, secret, token, expires = keys.give('web-identity')
        return self.answer(200, f'''<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Audience>sts.amazonaws.com</Audience><Credentials><AccessKeyId>{name}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>'''.encode())


class TemporaryKeys:
    def __init__(self, rules, lifetime_s=3600):
        self.rules, self.lifetime_s = rules, lifetime_s
        self.session = None
        self.role, self.web_identity = 'arn:aws:iam::123456789012:role/backup', 'eyJ.a+b/c=.d'
        self.given = []  # (by what, id)
        self.port = serve(KeysHandler, self)

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    def give(self, how):
        name, secret, token = f'ASIA{secrets.token_hex(8)}', secrets.token_hex(20), secrets.token_urlsafe(600)
        expires = int(time.time()) + self.lifetime_s
        self.rules.keys[name] = secret, token, expires
        self.given.append((how, name))
        return name, secret, token, datetime.datetime.fromtimestamp(expires, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')

    def forget(self):
        """All that were given are taken no more, whatever they said."""
        for _, name in self.given:
            secret, token, _ = self.rules.keys[name]
            self.rules.keys[name] = secret, token, 0
