#!/usr/bin/python3
"""Damage to a repository, at random places of each kind of object: bits flipped, bytes overwritten, objects cut, lengthened, lost,
exchanged with those of another backup, brought back to what an older one held. verify finds each and names the object, and in a
segment the frame; restore refuses, names the object and leaves nothing that boots, or has written exactly the right bytes. And beside the random
places, a bit of each region of each kind of object: each field of a header, each line of a JSON text.

What restore does not notice: a bit in the compressed bytes that means nothing to who decompresses them (what comes out has the frame's own
hash), and what stands beside the backup (the record of verifications, the hold, whose the directory is), from which nothing is
restored. verify names both. Of an encrypted and signed backup no bit of what is stored passes, and keys.json is one object more.

The short form has 40 places and 10 regions, of a sealed backup 20 of the 1,000 places and 10 regions; the long one 1,000 and all, of either. GB_TEST_SEED
chooses them; the seed is printed.
"""
import hashlib
import os
import random
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, processes  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402

CORRUPT, NOT_FOUND, NEWER = 13, 14, 8
PLACES = int(os.environ.get('GB_TEST_PLACES', 1000 if LONG else 40))
SEED = int(os.environ.get('GB_TEST_SEED', 1))
MARKER = 'galera-backup-restore.incomplete'
MANIFEST = 'backup.json'
RECORD, HOLD, IDENTITY = 'verified.json', 'hold.json', '../../cluster.json'  # as seen from the backup
KEYS = 'keys.json'
BESIDE = (RECORD, HOLD, IDENTITY)  # nothing is restored from them
REGIONS = None if LONG else 10
FRAME_HEADER = 40

suite = Suite()


class Source:
    """Two backups of one server in each of two repositories, of which one is encrypted and signed. Between the first and the second some of its
    tables change; the older one is the other one's past."""

    def __init__(self):
        self.keys = processes.new_dir('keys')
        for name, kind in (('key', 'x25519'), ('second', 'rsa'), ('signer', 'ed25519')):
            processes.run([binary(), 'key', 'generate', os.path.join(self.keys, name), '--kind', kind])
        key, second, signer = (os.path.join(self.keys, name) for name in ('key', 'second', 'signer'))
        server = Server('source', {'innodb-data-file-path': 'ibdata1:10M:autoextend'})
        server.create()
        server.start()
        paths = {name: os.path.join(processes.new_dir(name), 'repository') for name in ('plain', 'sealed')}
        self.agent = Agent(server, repositories={
            'plain': {'path': paths['plain'], 'min-free': '0%'},
            'sealed': {'path': paths['sealed'], 'min-free': '0%', 'encryption-recipient': f'{key}.pub, {second}.pub', 'decryption-key': key,
                       'signing-key': signer}}).start()
        backups.install(server)
        server.execute('CREATE DATABASE d',
                       'CREATE TABLE d.same (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB',
                       'INSERT INTO d.same SELECT seq, REPEAT(MD5(seq), 4) FROM seq_1_to_20000',
                       'CREATE TABLE d.other ENGINE=InnoDB AS SELECT * FROM d.same',
                       'CREATE TABLE d.aria ENGINE=Aria AS SELECT * FROM d.same',
                       'CREATE TABLE d.myisam ENGINE=MyISAM AS SELECT * FROM d.same')
        old = {name: backups.take(server, repository=name)['id'] for name in paths}
        server.execute('UPDATE d.other SET v = REVERSE(v)', 'DELETE FROM d.aria WHERE id % 2', 'DELETE FROM d.myisam WHERE id % 3')
        new = {name: backups.take(server, repository=name)['id'] for name in paths}
        for name in paths:
            self.agent.cli('verify', 'all', '--quick', '--repository', name)
            self.agent.cli('hold', new[name], '--repository', name)
        server.stop()
        self.agent.stop()
        self.plain = Stored(paths['plain'], old['plain'], new['plain'])
        self.sealed = Stored(paths['sealed'], old['sealed'], new['sealed'], key, f'{signer}.pub')


class Stored:
    """The two backups in one of the repositories, the right content of the newer one, and how to read it."""

    def __init__(self, repository, old, new, key=None, signer=None):
        self.repository, self.old, self.new, self.sealed = repository, old, new, key is not None
        self.options = ['--key', key, '--trusted-signer', signer] if key else []
        self.lines = f'decryption-key = {key}\ntrusted-signer = {signer}\n' if key else ''
        self.cluster, = os.listdir(repository)
        self.store = os.path.join(repository, self.cluster, 'backups')
        target = processes.new_dir('right')
        shutil.rmtree(target)
        self.restore(repository, target)
        self.right = content(target)
        shutil.rmtree(target)
        self.objects = self.names(self.new) + [IDENTITY]
        shared_names = {MANIFEST, RECORD, 'index', 'data/000001.seg'} | ({KEYS} if key else set())
        assert set(self.objects) & set(self.names(old)) >= shared_names and HOLD in self.objects, self.objects
        say(f'{len(self.right)} files, objects {self.objects}')

    def names(self, backup):
        top = os.path.join(self.store, backup)
        return sorted(os.path.relpath(os.path.join(directory, name), top) for directory, _, files in os.walk(top) for name in files)

    def read(self, backup, name):
        with open(os.path.join(self.store, backup, name), 'rb') as f:
            return f.read()

    def restore(self, repository, target, check=True):
        return processes.run([binary(), 'restore', self.new, '--repository', repository, '--datadir', target, '--yes', '--progress',
                              'none', *self.options], check=check)

    def verify(self, repository, *options):
        config = os.path.join(os.path.dirname(repository), 'verify.cnf')
        with open(config, 'w', encoding='utf-8') as f:
            f.write(f'[repository:default]\npath = {repository}\nmin-free = 0%\n{self.lines}')
        return processes.run([binary(), '--config', config, 'verify', self.new, '--cluster', self.cluster, *options], check=False)

    def copy(self):
        """The repository once more; objects are links to the same files, never written to."""
        top = os.path.join(processes.new_dir('damaged'), 'repository')
        shutil.copytree(self.repository, top, copy_function=os.link)
        return top


def content(top):
    """{path: (mode, size, hash)}"""
    found = {}
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            with open(path, 'rb') as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            found[os.path.relpath(path, top)] = (os.stat(path).st_mode, os.path.getsize(path), digest)
    return found


shared = Shared(Source)


# -- kinds of damage: the new bytes of the object (None: it is gone), and where the first changed byte is

def flip(choice, data, past):
    at = choice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << choice.randrange(8)]) + data[at + 1:], at


def overwrite(choice, data, past):
    at = choice.randrange(len(data))
    n = min(choice.choice((1, 16, 512, 4096, 100000)), len(data) - at)
    return data[:at] + choice.choice((bytes(n), choice.randbytes(n))) + data[at + n:], at


def cut(choice, data, past):
    at = choice.choice((0, len(data) - 1, choice.randrange(len(data))))
    return data[:at], at


def lengthen(choice, data, past):
    return data + choice.randbytes(choice.choice((1, 40, 4096))), len(data)


def lose(choice, data, past):
    return None, 0


def take_out(choice, data, past):
    at = choice.randrange(len(data))
    return data[:at] + data[at + choice.choice((1, 40, 4096)):], at


def exchange(choice, data, past):
    return past, 0


def roll_back(choice, data, past):
    """A piece of it, at the same place, is what the older backup has there."""
    at = choice.randrange(min(len(data), len(past)))
    n = min(choice.choice((64, 4096, 1 << 20)), len(past) - at, len(data) - at)
    return data[:at] + past[at:at + n] + data[at + n:], at


KINDS = [flip, overwrite, cut, lengthen, lose, take_out, exchange, roll_back]


def damage(s, choice, kind, name):
    """(new bytes, offset of the first that differs), or None if nothing has changed."""
    data = s.read(s.new, name)
    past = s.read(s.old, name) if name in s.names(s.old) else s.read(s.old, 'data/000001.seg')
    changed, at = kind(choice, data, past)
    if changed == data:
        return None
    if changed is not None:
        both = min(len(changed), len(data))
        at = next((i for i in range(at, both) if changed[i] != data[i]), both) if changed[:at] == data[:at] else \
            next(i for i in range(both) if changed[i] != data[i])
    return changed, at


def frames(data):
    """Offset of each frame of a segment and of its end."""
    offsets = [0]
    while offsets[-1] < len(data):
        at = offsets[-1]
        assert data[at:at + 4] == b'GBF1'
        offsets.append(at + FRAME_HEADER + int.from_bytes(data[at + 12:at + 16], 'big'))
    return offsets


def frame_named(s, text, name, at):
    """Of a segment, verify's answer names the frame in which the first changed byte is."""
    if not name.endswith('.seg'):
        return
    bounds = frames(s.read(s.new, name))
    if at >= bounds[-1]:  # behind its end
        return
    first = max(offset for offset in bounds if offset <= at)
    said = [int(offset) for offset in re.findall(re.escape(name) + r', frame \d+ at offset (\d+)', text)]
    said += [int(end) - 1 for end in re.findall(re.escape(name) + r' ends before offset (\d+)', text)]
    assert any(offset == first or first <= offset < bounds[bounds.index(first) + 1] for offset in said), \
        f'byte {at} of {name}, in the frame at {first}: {text}'


def one_place(s, number):
    choice = random.Random(SEED * 100000 + number)
    segments = [each for each in s.objects if each.endswith('.seg')]
    kinds = [MANIFEST, 'index', BESIDE[number // 40 % 3], *([KEYS] if s.sealed else []), None, None]
    turn = number % len(KINDS)
    name = kinds[number // len(KINDS) % len(kinds)] or choice.choice(segments)  # each kind of damage meets each kind of object
    quick = choice.random() < 0.3
    # an object that is the same in both backups can't be exchanged: then the next kind
    kind, (changed, at) = next((kind, result) for kind in KINDS[turn:] + KINDS[:turn] if (result := damage(s, choice, kind, name)))
    return kind.__name__, found_and_refused(s, f'{kind.__name__} of {name} at {at}', name, changed, at, quick)


def found_and_refused(s, what, name, changed, at, quick):
    """verify finds it and names the object; restore refuses it ('refused'), or has written the right bytes ('right')."""
    repository = s.copy()
    base = os.path.dirname(repository)
    path = os.path.normpath(os.path.join(repository, s.cluster, 'backups', s.new, name))
    os.remove(path)
    if changed is not None:
        with open(path, 'wb') as f:
            f.write(changed)
    try:
        found = s.verify(repository, *(['--quick'] if quick else []))
        gone = name == MANIFEST and changed is None  # then it is no backup
        forgotten = name in BESIDE and changed is None  # then it was never verified, is not held, belongs to nobody
        wanted = {NOT_FOUND} if gone else {0} if forgotten else {CORRUPT, NEWER} if name == MANIFEST else {CORRUPT}
        text = found.stdout + found.stderr
        assert found.returncode in wanted, f'{what}: verify ended with {found.returncode}: {text}'
        assert gone or forgotten or os.path.basename(name) in text, f'{what}: {name} is not in {text}'
        target = os.path.join(base, 'target')
        restored = s.restore(repository, target, check=False)
        if restored.returncode == 0:
            assert content(target) == s.right, f'{what}: the restore passed with other bytes'
            return 'right'  # of a frame: it unpacks to the same, as where zstd has a bit that means nothing; the object's SHA-256 told
        if not gone and not quick and changed is not None:
            frame_named(s, text, name, at)
        assert restored.returncode in {CORRUPT, NOT_FOUND, NEWER}, f'{what}: restore ended with {restored.returncode}: {restored.stderr}'
        assert gone or name in restored.stderr, f'{what}: {name} is not in {restored.stderr}'
        assert not os.path.exists(target) or os.path.exists(os.path.join(target, MARKER)), f'{what}: what failed looks like a restore'
        return 'refused'
    finally:
        shutil.rmtree(base)


def no_damage_is_restored_silently(which):
    s = getattr(shared(), which)
    numbers = range(PLACES) if which == 'plain' or LONG else sorted(random.Random(SEED).sample(range(1000), PLACES // 2))
    say(f'seed {SEED}, {len(numbers)} places')
    counts = {}
    for number in numbers:
        try:
            result = one_place(s, number)
        except Exception as error:
            raise AssertionError(f'place {number} of seed {SEED}: {error}') from error
        counts[result] = counts.get(result, 0) + 1
    say(', '.join(f'{kind} {result} {count}' for (kind, result), count in sorted(counts.items())))


suite.add('no_damage_is_restored_silently', no_damage_is_restored_silently, 'plain')
suite.add('no_damage_of_a_sealed_backup_is_restored_silently', no_damage_is_restored_silently, 'sealed')


# -- regions of an object: {what it is: (first byte, byte after the last)}

FRAME_FIELDS = (('magic', 4), ('segment', 4), ('number', 4), ('stored size', 4), ('plain size', 4), ('codec', 1), ('seal', 1), ('zero', 2),
                ('hash', 16))
INDEX_FIELDS = (('magic', 4), ('version', 2), ('codec', 1), ('seal', 1), ('plain size', 8))


def fields(names, at):
    for name, size in names:
        yield name, (at, at + size)
        at += size


def regions(name, data):
    if name.endswith('.seg'):
        bounds = frames(data)
        for which in sorted({0, (len(bounds) - 1) // 2, len(bounds) - 2}):
            begin, end = bounds[which] + FRAME_HEADER, bounds[which + 1]
            for field, place in fields(FRAME_FIELDS, bounds[which]):
                yield f'frame {which}, {field}', place
            for part, place in (('first bytes', (begin, min(end, begin + 16))), ('middle', (begin, end)), ('last byte', (end - 1, end))):
                if place[0] < place[1]:
                    yield f'frame {which}, {part}', place
    elif name == 'index':
        yield from fields(INDEX_FIELDS, 0)
        yield 'first bytes', (16, 32)
        yield 'body', (16, len(data))
        yield 'last byte', (len(data) - 1, len(data))
    else:
        at = 0
        for line in data.splitlines(keepends=True):
            yield f'line {line.decode().strip()[:30]!r}', (at, at + len(line))
            at += len(line)


def a_bit_of_every_region_is_found(which):
    s = getattr(shared(), which)
    choice = random.Random(SEED)
    every = [(name, what, place) for name in s.objects for what, place in regions(name, s.read(s.new, name))]
    chosen = every if REGIONS is None else choice.sample(every, REGIONS)
    counts = {}
    for name, what, (begin, end) in chosen:
        data = s.read(s.new, name)
        at = choice.randrange(begin, end)
        changed = data[:at] + bytes([data[at] ^ 1 << choice.randrange(8)]) + data[at + 1:]
        result = found_and_refused(s, f'{name}, {what}, byte {at}, seed {SEED}', name, changed, at, False)
        stored = name.endswith('.seg') and not any(field == what.split(', ')[1] for field, _ in FRAME_FIELDS)
        assert result == 'refused' or name in BESIDE or (stored and not s.sealed), f'{name}, {what}, byte {at}: a restore passed'
        counts[name, result] = counts.get((name, result), 0) + 1
    say(f'seed {SEED}, {len(chosen)} of {len(every)} regions: ' +
        ', '.join(f'{name} {result} {count}' for (name, result), count in sorted(counts.items())))


suite.add('a_bit_of_every_region_is_found', a_bit_of_every_region_is_found, 'plain')
suite.add('a_bit_of_every_region_of_a_sealed_backup_is_found', a_bit_of_every_region_is_found, 'sealed')


def a_backup_under_the_name_of_another_is_refused(which):
    """All of the older one, objects and manifest, under the newer one's label."""
    s = getattr(shared(), which)
    repository = s.copy()
    store = os.path.join(repository, s.cluster, 'backups')
    shutil.rmtree(os.path.join(store, s.new))
    os.rename(os.path.join(store, s.old), os.path.join(store, s.new))
    found = s.verify(repository)
    assert found.returncode == CORRUPT and 'another backup' in found.stderr and s.old in found.stderr, found
    restored = s.restore(repository, os.path.join(os.path.dirname(repository), 'target'), check=False)
    assert restored.returncode == CORRUPT and s.old in restored.stderr, restored
    shutil.rmtree(os.path.dirname(repository))


def segments_that_changed_places_are_found(which):
    """Within one backup: of the same names, sizes apart."""
    s = getattr(shared(), which)
    segments = [name for name in s.objects if name.endswith('.seg')]
    if len(segments) < 2:
        suite.skip('the backup has one segment')
    repository = s.copy()
    top = os.path.join(repository, s.cluster, 'backups', s.new)
    first, second = (os.path.join(top, name) for name in segments[:2])
    os.rename(first, first + '.x')
    os.rename(second, first)
    os.rename(first + '.x', second)
    found = s.verify(repository)
    assert found.returncode == CORRUPT and all(name in found.stderr + found.stdout for name in segments[:2]), found
    restored = s.restore(repository, os.path.join(os.path.dirname(repository), 'target'), check=False)
    assert restored.returncode == CORRUPT and '.seg' in restored.stderr, restored
    shutil.rmtree(os.path.dirname(repository))


for each in (a_backup_under_the_name_of_another_is_refused, segments_that_changed_places_are_found):
    for which in ('plain', 'sealed'):
        suite.add(each.__name__ + ('_sealed' if which == 'sealed' else ''), each, which)

suite.main()
