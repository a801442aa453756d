"""Set E: both tools as they are used off the host, encrypted; to a directory, and to OpenStack Swift over https.

galera-backup encrypts for a public key (X25519) and reads with the private one; to Swift it goes through Swift's own API and through
the S3 API. mariadb-backup has its pipe one process longer, `| openssl enc -aes-256-ctr`, into a file, or into `curl -T -`: one object
through Swift's own API. Swift is that of the tests (gbtest/swift.py): one replica, on the same machine.
"""
import os
import shutil

from contenders import GaleraBackup, MariadbBackup, start_agent
from gbtest import processes
from gbtest.agent import binary
from gbtest.swift import Swift


class Place:
    """What set E's tools share: the key files, and the store."""

    def __init__(self):
        for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
            os.environ.pop(name, None)
        self.base = processes.new_dir('encrypted')
        self.key, self.phrase, self.curl = (os.path.join(self.base, name) for name in ('key', 'phrase', 'curl'))
        processes.run([binary(), 'key', 'generate', self.key])
        processes.run(['openssl', 'rand', '-base64', '-out', self.phrase, '32'])
        self.swift = Swift(tls=True).start().make_bucket()
        url, token = self.swift.account()
        self.object = f'{url}/{self.swift.bucket}/mariadb-backup'
        with open(os.open(self.curl, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
            f.write(f'header = "X-Auth-Token: {token}"\ncacert = "{self.swift.ca}"\nfail\nsilent\nshow-error\n')

    def end(self):
        self.swift.kill()
        shutil.rmtree(self.swift.base)
        shutil.rmtree(self.base)


class AtOnce:
    """What is discarded is removed at once: these are few and large files, and many runs."""

    def __init__(self, node, place):
        super().__init__(node)
        self.place = place

    def discard(self, path):
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


class Plain(AtOnce, GaleraBackup):
    name = 'galera-backup-plain'
    title = 'galera-backup, not encrypted'


class Encrypted(AtOnce, GaleraBackup):
    name = 'galera-backup-encrypted'
    title = 'galera-backup'

    def __init__(self, node, place):
        super().__init__(node, place)
        self.to_read = ('--key', place.key)

    def section(self):
        return {**super().section(), **self.encryption()}

    def encryption(self):
        return {'encryption-recipient': f'file:{self.place.key}.pub'}


class InSwift:
    def store_cpu(self):
        return sum(processes.cpu_seconds(process.pid) for process in self.place.swift.servers.values())

    def stored(self):
        """By the store's own count; S3's parts are in a container beside."""
        swift = self.place.swift
        answers = [swift.native_request('HEAD', container) for container in (swift.bucket, f'{swift.bucket}+segments')]
        return sum(int(headers['x-container-bytes-used']) for status, headers, _ in answers if status == 204)

    def forget(self):
        for key in self.place.swift.keys():
            if not key.endswith('/cluster.json'):
                self.place.swift.delete(key)


class ToSwift(InSwift, Encrypted):
    name = 'galera-backup-swift'
    title = 'galera-backup, Swift API'

    def section(self):
        return self.place.swift.native(prefix='swift', **self.encryption())


class ToS3(InSwift, Encrypted):
    name = 'galera-backup-s3'
    title = 'galera-backup, S3 API'

    def section(self):
        return self.place.swift.repository(prefix='s3', **self.encryption())


class Pipe(AtOnce, MariadbBackup):
    name = 'mariadb-backup-encrypted'
    title = 'mariadb-backup'

    def cipher(self, *more):
        return ' '.join(('openssl enc -aes-256-ctr -pbkdf2', f'-pass file:{self.place.phrase}', *more))

    def out(self):
        return f'zstd -q -1 -T2 | {self.cipher("-out", self.path())} && sync {self.path()}'

    def back(self):
        return f'{self.cipher("-d", "-in", self.path())} | zstd -q -dc'


class PipeToSwift(InSwift, Pipe):
    name = 'mariadb-backup-swift'

    def out(self):
        return f'zstd -q -1 -T2 | {self.cipher()} | curl -K {self.place.curl} -T - {self.place.object}'

    def back(self):
        return f'curl -K {self.place.curl} {self.place.object} | {self.cipher("-d")} | zstd -q -dc'


def tools(node, place, ours, theirs):
    """(those to a directory, those to Swift, the one without encryption or None)"""
    directory, store, plain = [], [], None
    if ours:
        directory, store, plain = [Encrypted(node, place)], [ToSwift(node, place), ToS3(node, place)], Plain(node, place)
        start_agent(node, [*directory, *store, plain])
    if theirs:
        directory.append(Pipe(node, place))
        store.append(PipeToSwift(node, place))
    return directory, store, plain
