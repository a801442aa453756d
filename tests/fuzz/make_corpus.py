#!/usr/bin/python3
"""Writes the first inputs of each fuzz target into tests/fuzz/corpus: real pages and redo of tests/unit/data, and one
well-formed message, index, manifest, configuration, command for each kind. What fuzzing found beside them stays.

    tests/fuzz/make_corpus.py
"""
import glob
import json
import os
import struct
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
DATA = os.path.join(HERE, '..', 'unit', 'data')


def put(target, name, data):
    directory = os.path.join(HERE, 'corpus', target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), 'wb') as f:
        f.write(data)


def blocks(name):
    """(offset, bytes) of a vector file: tests/unit/vectors.h."""
    with open(os.path.join(DATA, name), 'rb') as f:
        data = f.read()
    assert data[:4] == b'GBV1'
    at = 12
    while at < len(data):
        offset, size, _, packed = struct.unpack_from('>QIII', data, at)
        at += 20
        end, out = at + packed, b''
        while at < end:
            n, = struct.unpack_from('>H', data, at)
            out += data[at + 2:at + 2 + n]
            repeats, byte = struct.unpack_from('>HB', data, at + 2 + n)
            out += bytes([byte]) * repeats
            at += 5 + n
        yield offset, out[:size]


# ---- pages: place in formats[] of fuzz_page.c, and page size ----

PAGES = {'plain_full.16k': (1, 16384), 'crypt_full.16k': (1, 16384), 'comp_full.16k': (3, 16384),
         'freed_full.16k': (1, 16384), 'plain_crc.4k': (4, 4096), 'crypt_crc.4k': (4, 4096), 'comp_crc.4k': (7, 4096),
         'compcrypt_crc.4k': (7, 4096), 'freed_crc.4k': (4, 4096), 'rtree_crc.4k': (4, 4096), 'ibdata1.4k': (4, 4096),
         'zip1_crc.16k': (9, 1024), 'zip1_crc.4k': (10, 1024), 'zip8_crc.16k': (11, 8192), 'old_innodb.16k': (5, 16384),
         'old_none.16k': (5, 16384), 'old_blank.16k': (5, 16384), 'oldzip_adler.16k': (9, 1024), 'oldzip_none.16k': (9, 1024)}


def pages():
    for name, (form, size) in PAGES.items():
        kept = 0
        for offset, data in blocks(name + '.vec'):
            page = data[:size].rstrip(b'\0')
            if not page or kept == 3 or (len(page) > 6000 and kept):
                continue
            number = offset // size
            put('page', f'{name}.{number}', struct.pack('>BIB', form, number, 0) + page)
            kept += 1
    xid = bytearray(4096)
    at = 38 + 34 + 4096 // 16 * 4 + 528
    struct.pack_into('>III', xid, at, 1, 32, 0)
    xid[at + 12:at + 20] = b'WSREPXid'
    xid[at + 20:at + 36] = bytes(range(16))
    struct.pack_into('<q', xid, at + 36, 18499231)
    put('page', 'rseg', struct.pack('>BIB', 4, 3, 1) + bytes(xid).rstrip(b'\0'))


# ---- redo ----

def number(n):
    for more, (start, mark) in enumerate([(0, 0), (0x80, 0x80), (0x4080, 0xc0), (0x204080, 0xe0), (0x10204080, 0xf0)]):
        if n - start < 1 << (7 * (more + 1) if more < 4 else 32):
            return bytes([mark | (n - start) >> 8 * more & 0xff]) + (n - start & (1 << 8 * more) - 1).to_bytes(more, 'big')
    raise ValueError(n)


def record(kind, payload):
    if len(payload) < 16:
        return bytes([kind | len(payload)]) + payload
    return bytes([kind]) + number(len(payload) + 1 - 15) + payload


def redo():
    sealed, encrypted = 8, 2
    records = [record(0x80, number(5) + number(0) + b'./test/t1.ibd'), record(0x90, number(300) + number(0) + b'./db/a.ibd'),
               record(0xa0, number(70000) + number(0) + b'./db/a.ibd\0./db/b.ibd'), record(0xb0, number(5) + number(0) + b'/x/y.ibd'),
               record(0xf0, number(0) + number(0) + struct.pack('>Q', 99000)), record(0xf0, b'\0'),
               record(0x30, number(5) + number(4) + b'abcdef') + record(0xb0, b'next change of the same page'),
               record(0x10, number(5) + number(9)), record(0x00, number(5) + number(9)), record(0x20, number(3) + number(640) + b'\x0a')]
    for i, each in enumerate(records):
        put('redo', f'record.{i}', bytes([sealed]) + each)
    put('redo', 'records', bytes([sealed]) + b''.join(records[:4]) + records[6])
    put('redo', 'records.encrypted', bytes([sealed | encrypted]) + records[6])
    for name, choice in (('redo', 0), ('redo_encrypted', encrypted)):
        header, log = b'', []
        for offset, data in blocks(name + '.vec'):
            if offset == 0:
                header = data[:512]
            if offset == 0:
                points = data[0x1000:0x1040] + data[0x2000:0x2040] if len(data) >= 0x3000 else b''
            elif offset in (0x1000, 0x2000):
                points = points + data[:64]
            if offset >= 0x3000:
                log.append(data[:6000])
        put('redo', name + '.header', bytes([1 | choice]) + struct.pack('>Q', 96 << 20) + header + points)
        put('redo', name + '.header_sealed', bytes([1 | 8 | choice]) + struct.pack('>Q', 96 << 20) + header + points)
        for i, each in enumerate(log[:3]):
            put('redo', f'{name}.log.{i}', bytes([choice]) + each)


# ---- protocol ----

def packed(form, *values):
    out = b''
    for kind, value in zip(form, values, strict=True):
        if kind == 's':
            out += struct.pack('>H', len(value)) + value.encode()
        elif kind == 'x':
            out += value
        else:
            out += struct.pack('>' + kind, value)
    return out


def wire():
    facts = packed('Issss', 2, 'position', '5c3f0000-0000-11ee-0000-000000000001:18', 'gtid', '0-1-100')
    row = '[{"name":"default","state":"running","bytes":1}]'
    messages = {
        1: packed('HHsss', 1, 1, '10.11.14-MariaDB', 'db1', 'region'),
        2: packed('sssssQsss', 'id', 'full', 'default', 'why', 'root@localhost', 1 << 30, '', 'forever', 'deep'),
        3: packed('III', 1 << 20, 56, 8), 4: packed('QQx', 100000, 100100, bytes(range(256)) * 2),
        5: packed('IBIIIs', 1, 3, 7, 16384, 0o660, 'db/t.ibd'), 6: packed('IIIQIIIQII', 0, 2, 1, 0, 16384, 0, 0, 4096, 512, 16384),
        7: packed('IQBQ', 1, 98304, 0, 16384), 8: packed('I', 1), 9: packed('Is', 1, 'db/u.ibd'),
        10: packed('Bss', 1, 'COPY', 'a message'), 11: packed('sQQQII', 'COPY', 1000, 10, 5, 1, 99), 12: facts,
        13: packed('BHss', 1, 2101, 'cancelled', 'start again'), 14: facts, 15: packed('sQQ', 'default', 1 << 30, 2049),
        64: packed('Hs', 1, '0.1.0'), 65: packed('s', row), 66: packed('Hss', 3002, 'no space', 'free some'),
        67: packed('III', 2, 0, 5), 68: packed('QQBQs', 1, 2, 1, 3, row), 69: packed('Qs', 4096, row),
        70: packed('Issss', 1, 'agent', 'OK', 'it is there', ''), 71: packed('s', 'slow')}
    for kind, payload in messages.items():
        put('wire', f'message.{kind:02}', struct.pack('>IHH', len(payload), kind, 0) + payload)
    both = b''.join(struct.pack('>IHH', len(payload), kind, 0) + payload for kind, payload in messages.items())
    put('wire', 'all', both)


# ---- repository ----

def repository():
    def file(no, kind, space, page, size, path):
        return packed('IBBIIIQs', no, kind, 0, space, page, 0o660, size, path)

    def frame(segment, no, offset, stored, plain, extents):
        return packed('IIQIIBx', segment, no, offset, stored, plain, 1, bytes(16)) + packed('I', len(extents)) + b''.join(
            packed('IQI', *each) for each in extents)
    files = [file(1, 1, 0, 16384, 1 << 20, 'ibdata1'), file(2, 3, 5, 16384, 98304, 'db/t.ibd'),
             file(3, 7, 0xffffffff, 0, 900, 'db/t.frm'), file(4, 8, 0xffffffff, 0, 0, 'db'),
             file(5, 3, 6, 16384, 65536, '/elsewhere/db/u.ibd')]
    frames = [frame(1, 0, 0, 100, 32768, [(1, 0, 16384), (2, 16384, 16384)]), frame(1, 1, 140, 50, 1300, [(3, 0, 900), (9, 0, 400)]),
              frame(2, 0, 0, 60, 700, [(0, 0, 512), (0, 512, 188)])]
    body = packed('I', len(files)) + b''.join(files) + packed('I', len(frames)) + b''.join(frames)
    put('index', 'body', b'\1' + body)
    put('index', 'empty', b'\1' + bytes(8))
    links = [file(1, 9, 0xffffffff, 0, 20, 'link'), file(2, 10, 0xffffffff, 0, 7, '/etc/outside')]
    put('index', 'save', b'\1' + packed('I', 2) + b''.join(links) + bytes(4))
    # found by fuzzing: an offset that pread() takes for negative; a number for which a map took gigabytes
    put('index', 'offset', b'\1' + packed('I', 1) + files[0] + packed('I', 1) + frame(1, 0, 1 << 63, 9, 16, [(1, 0, 16)]))
    put('index', 'number', b'\1' + packed('I', 1) + file(0xfffffff0, 7, 0xffffffff, 0, 5, 'a') + bytes(4))
    put('index', 'object', b'\0' + packed('IHBBQ', 0x47424958, 1, 0, 0, len(body)) + body)
    zstd = subprocess.run(['zstd', '-q', '-3', '--no-check', '--stream-size', str(len(body))], input=body,
                          stdout=subprocess.PIPE, check=True).stdout
    put('index', 'object.zstd', b'\0' + packed('IHBBQ', 0x47424958, 1, 1, 0, len(body)) + zstd)
    text = b'the same text over and over, the same text over and over, the same text over and over ' * 4
    zstd = subprocess.run(['zstd', '-q', '-3', '--no-check'], input=text, stdout=subprocess.PIPE, check=True).stdout
    put('frame', 'zstd', packed('BHHB', 1, len(text), 45, 1) + zstd)
    lz4 = subprocess.run(['lz4', '-q', '-9', '--no-frame-crc', '-c'], input=text, stdout=subprocess.PIPE, check=True).stdout
    put('frame', 'lz4', packed('BHHB', 2, len(text), 41, 4) + lz4[11:11 + int.from_bytes(lz4[7:11], 'little')])  # its one block
    put('frame', 'lz4.long', packed('BHHB', 2, 65535, 3, 1) + b'\x1fa\x01\x00' + b'\xff' * 256 + b'\xe8\x50bcdef')
    put('frame', 'plain', packed('BHHB', 0, len(text), 30, 255) + text)
    put('frame', 'empty', packed('BHHB', 0, 0, 0, 1))
    put('frame', 'unknown', packed('BHHB', 7, 10, 60, 128) + text[:10])
    manifest = {
        'format': 1, 'id': '20261121T020000Z-full-1f3a9c2e', 'cluster': 'region', 'type': 'full', 'parent': None, 'nonce': '0' * 32,
        'node': 'db1', 'server_version': '10.11.14-MariaDB', 'agent_version': '0.1.0', 'comment': 'caf\u00e9', 'user': 'root@localhost',
        'started_at': '2026-11-21T02:00:00Z', 'finished_at': '2026-11-21T02:01:00Z', 'lsn_start': 1000, 'lsn_checkpoint_end': 1100,
        'lsn_end': 5000, 'redo_header': '00' * 512, 'data_bytes': 1 << 20, 'read_bytes': 1 << 19, 'redo_bytes': 4000,
        'stored_bytes': 5000, 'files': 5, 'encryption': None, 'facts': {'position': '5c3f0000-0000-11ee-0000-000000000001:18'},
        'objects': [{'name': 'index', 'bytes': 100, 'sha256': 'ab' * 32}, {'name': 'data/000001.seg', 'bytes': 4900, 'sha256': 'cd' * 32}]}
    for name, changes in (('full', {}), ('newer', {'format': 9}), ('sealed', {'encryption': {'cipher': 'AES-256-GCM', 'check': 'ab' * 32}}),
                          ('escaped', {'comment': '\u0000\ud83d\ude00 \\ "', 'facts': {'a': 'b' * 50}})):
        put('manifest', name, json.dumps({**manifest, **changes}, indent=1).encode()[:-2])
    wrapped = [{'id': f'{kind}:{"0f" * 8}', 'share': 'ab' * size, 'nonce': 'cd' * 12, 'key': 'ef' * 48}
               for kind, size in (('secret', 16), ('x25519', 32), ('rsa', 384), ('passphrase', 16))]
    for name, keys in (('all', wrapped), ('one', wrapped[:1]), ('none', [])):
        put('envelope', name, json.dumps({'schema': 1, 'cipher': 'AES-256-GCM', 'keys': keys}).encode())


# ---- texts ----

CONFIG = """[agent]
cluster = regionone                     ; a comment
socket = /run/galera-backup/agent.sock
redo-memory = 128M
redo-spool = /var/spool/galera-backup
threads = auto
stall-timeout = 15m

[server]
socket = /run/mysqld/mysqld.sock
user = galera-backup

[repository:default]
type = directory
path = /var/lib/galera-backup
compression = zstd:1
min-free = 10%
required = yes
"""

COMMANDS = {
    'start': {'op': 'start', 'id': '20261121T020000Z-full-1f3a9c2e', 'user': 'root@localhost', 'node': 'db1', 'cluster': 'region',
              'options': {'type': 'full', 'repository': ['default', 'offsite'], 'comment': 'caf\u00e9 "x"', 'rate': '100M', 'threads': 4,
                          'lock_wait': '1.5m', 'block_timeout': '2s', 'max_duration': '6h', 'resync_timeout': 600, 'verify': 'none',
                          'dry_run': False, 'hold': False, 'wait': True},
              'keys': ['type', 'repository', 'comment', 'rate', 'threads', 'lock_wait', 'block_timeout', 'max_duration',
                       'resync_timeout', 'verify', 'dry_run', 'hold', 'wait']},
    'plain': {'op': 'start', 'id': 'a', 'options': None},
    'later': {'op': 'start', 'id': 'a', 'options': {'type': 'incremental'}, 'keys': ['type']},
    'unknown': {'op': 'start', 'id': 'a', 'options': {'reposiory': 'x'}, 'keys': ['reposiory']},
    'set': {'op': 'set', 'options': {'rate': 0, 'threads': '8'}, 'keys': ['rate', 'threads']},
    'check': {'op': 'check', 'id': 'c', 'options': {'repository': 'default'}, 'keys': ['repository']},
    'rows': {'op': 'check_rows', 'id': 'c'},
    'cancel': {'op': 'cancel', 'id': ''}}


def texts():
    put('config', 'full', CONFIG.encode())
    put('config', 'short', b'[repository:a]\npath=/a\ncompression=none\nmin-free=0%\nrequired=no\n[repository:b]\npath=/b\n')
    put('config', 'wrong', b'[repositry:a]\npath=/a\n')
    put('config', 'key', b'[agent]\nsocet=/a\n')
    put('config', 'number', b'1.5G')
    put('config', 'codec', b'zstd:-7')
    for name, command in COMMANDS.items():
        put('request', name, json.dumps(command).encode())
    put('request', 'escapes', b'{"op":"start","id":"\\u0041\\n\\ud83d\\ude00","options":{"comment":"\\u0000x","rate":1e3}}')
    marker = ('This directory is being written by galera-backup restore X.\n\nbackup: 20261121T020000Z-full-1f3a9c2e\nnonce: '
              + '0' * 32 + '\nbegan: 20261121T031500Z\nstate: writing\noutside: /elsewhere/db/u.ibd\n')
    put('unfinished', 'marker', b'\0' + marker.encode())
    put('unfinished', 'marker.relative', b'\0' + marker.replace('/elsewhere', '../elsewhere').encode() + b'aside: x\n')
    put('unfinished', 'marker.aside', b'\0' + marker.replace('writing', 'moving old content aside').encode() + b'aside: /var/lib/mysql.before\n')
    journal = b'GBJ1' + struct.pack('>Q', 100) + b'\xff' * 6 + bytes(7) + bytes(8)
    put('unfinished', 'journal', b'\1' + journal)
    put('unfinished', 'journal.sealed', b'\2' + journal)


pages()
redo()
wire()
repository()
texts()
for directory in sorted(glob.glob(os.path.join(HERE, 'corpus', '*'))):
    files = glob.glob(os.path.join(directory, '*'))
    print(f'{os.path.basename(directory)}: {len(files)} files, {sum(os.path.getsize(f) for f in files)} bytes')
