"""A small HTTP proxy before Swift, for what a store does on a bad day: answers 500 or 503, is slow, never answers, breaks off, changes bytes.

    proxy = StoreProxy(swift)
    proxy.rule = lambda request: 503 if request.method == 'PUT' and request.number % 5 == 0 else None

A rule is asked at each request and answers what to do with it: None, pass it on; a number, answer that status (with S3's SlowDown,
InternalError); HANG, accept it and never answer; CUT, close the connection without an answer; LOSE, pass it on and then do that; FLIP, change
a byte of its body. With .conditions the proxy knows If-None-Match, as newer stores do and Swift 2.30 does not. What comes is http; what goes on to
the store is http or https. Everything runs in threads of the test and ends with it.
"""
import collections
import http.server
import socketserver
import threading
import time

from . import processes

HANG, CUT, LOSE, FLIP = 'hang', 'cut', 'lose', 'flip'
CODES = {500: 'InternalError', 503: 'SlowDown', 429: 'SlowDown', 403: 'AccessDenied', 412: 'PreconditionFailed'}
PIECE = 256 << 10

Request = collections.namedtuple('Request', 'number method path query size host')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *ignored):
        pass

    def any(self):
        proxy = self.server.proxy
        path, _, query = self.path.partition('?')
        size = int(self.headers.get('Content-Length') or 0)
        what, ended = proxy.decide(self.command, path, query, size, self.headers.get('Host'))
        if what == HANG:
            ended.wait()
            self.close_connection = True
            return
        body = self.read_body(size, proxy)
        if isinstance(what, int):
            self.refuse(what)
        elif proxy.conditions and self.headers.get('If-None-Match') and proxy.swift.request('HEAD', path[1:])[0] == 200:
            proxy.count('If-None-Match', 412)
            self.refuse(412)
        elif what == CUT:
            self.close_connection = True
        else:
            if what == FLIP and body:
                body = body[:-1] + bytes([body[-1] ^ 1])
            self.forward(body, proxy, what == LOSE)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = any

    def read_body(self, size, proxy):
        pieces = []
        while size:
            piece = self.rfile.read(min(size, PIECE))
            if not piece:
                break
            size -= len(piece)
            pieces.append(piece)
            proxy.pace(len(piece))
        return b''.join(pieces)

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ('connection', 'transfer-encoding', 'content-length', 'keep-alive'):
                self.send_header(name, value)
        length = [value for name, value in headers if name.lower() == 'content-length']
        self.send_header('Content-Length', length[0] if self.command == 'HEAD' and length else str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def refuse(self, status):
        code = CODES.get(status, 'InternalError')
        self.answer(status, [], f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>of the test</Message></Error>'.encode())

    def forward(self, body, proxy, lose):
        connection = proxy.swift.connect()
        try:
            dropped = ('expect', 'connection', 'if-none-match') if proxy.conditions else ('expect', 'connection')
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            answered = answer.read()
            if lose:
                self.close_connection = True
            else:
                self.answer(answer.status, proxy.headers(proxy.addressed(answer.getheaders())), answered)
        except OSError:
            self.close_connection = True  # the store is gone: so are we, for this client
        finally:
            connection.close()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that has gone


class StoreProxy:
    def __init__(self, swift):
        self.swift = swift
        self.port, = processes.free_ports(1)
        self.rule = None
        self.conditions = False
        self.rate = None  # bytes a second that it takes, of all connections together
        self._free = 0  # when what has come is through
        self.headers = list  # what becomes of the headers of an answer
        self.counts = collections.Counter()  # by (method, what was done)
        self.number = 0
        self.ended = threading.Event()
        self._mutex = threading.Lock()
        self._server = Server(('127.0.0.1', self.port), Handler)
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()
        processes.on_cleanup(self.close)

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    def addressed(self, headers):
        """The address of an account that Swift answers with is ours: it is of the Host that was asked, not of its scheme."""
        return [(name, value.replace(f'https://127.0.0.1:{self.port}', self.endpoint)) if name.lower() == 'x-storage-url' else (name, value)
                for name, value in headers]

    def decide(self, method, path, query, size, host):
        """What is to be done with a request, and the end of those that hang: who is counted as hanging is let go by the next let_go()."""
        with self._mutex:
            self.number += 1
            request = Request(self.number, method, path, query, size, host)
            what = self.rule(request) if self.rule else None
            self.counts[method, what] += 1
            return what, self.ended

    def pace(self, size):
        """Waits until that much is through, behind what others have sent."""
        if not self.rate:
            return
        with self._mutex:
            now = time.monotonic()
            self._free = max(self._free, now) + size / self.rate
            wait = self._free - now
        self.ended.wait(wait)

    def count(self, method, what):
        with self._mutex:
            self.counts[method, what] += 1

    def let_go(self):
        """Those that hang are let go, without an answer."""
        with self._mutex:
            self.ended.set()
            self.ended = threading.Event()

    def close(self):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
