#!/usr/bin/python3
"""A backup that stands in several repositories and is damaged in one: a restore takes what it can't read from another, and says so; verify --repair-from mends it,
byte by byte as it was.
"""
import hashlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import LONG, Shared, Suite  # noqa: E402

USAGE, CORRUPT, KEY = 2, 13, 10

suite = Suite()


class Scene:
    """One backup, not encrypted, and its copies: the same bytes in "plain", sealed in "sealed", and a copy of that in "again"."""

    def __init__(self):
        self.top, self.good = processes.new_dir('repositories'), processes.new_dir('good')
        self.keys = processes.new_dir('keys')
        for name in ('mine', 'other', 'sign'):
            processes.run([binary(), 'key', 'generate', self.key(name), '--kind', 'ed25519' if name == 'sign' else 'x25519'])
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        common = {'type': 'directory', 'min-free': '0%'}
        keys = {'encryption-recipient': self.key('mine.pub'), 'decryption-key': self.key('mine'), 'signing-key': self.key('sign')}
        self.options = {name: {**common, 'path': self.path(name), **(keys if name in ('sealed', 'again') else {})}
                        for name in ('plain', 'other', 'sealed', 'again', 'empty')}
        for name in self.options:
            os.mkdir(self.path(name))
        self.agent = Agent(self.server, repositories={'default': self.options['other'], **self.options}).start()
        backups.install(self.server)
        self.server.execute('CREATE DATABASE data', 'USE data',
                            'CREATE TABLE one ENGINE=InnoDB AS SELECT seq, SHA2(seq, 512) AS text FROM seq_1_to_40000',
                            'CREATE TABLE two ENGINE=Aria AS SELECT seq, MD5(seq) AS text FROM seq_1_to_2000')
        figures, self.expected = oracle.backup(self.server, repository='plain')
        self.backup, self.cluster = figures['id'], self.agent.cluster
        for source, target in (('plain', 'other'), ('plain', 'sealed'), ('sealed', 'again')):
            self.agent.cli('copy', self.backup, '--repository', source, '--to', target)
        for name in self.options:
            shutil.copytree(self.path(name), os.path.join(self.good, name))

    def key(self, name):
        return os.path.join(self.keys, name)

    def path(self, repository, *below):
        return os.path.join(self.top, repository, *((self.cluster, 'backups', self.backup) + below if below else ()))

    def mend(self):
        """All as it was."""
        for name in self.options:
            shutil.rmtree(self.path(name))
            shutil.copytree(os.path.join(self.good, name), self.path(name))

    def cli(self, names, *arguments, check=True):
        """With a configuration of these repositories, in this order."""
        path = os.path.join(self.top, 'these.cnf')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(f'[agent]\ncluster = {self.cluster}\n')
            for name in names:
                f.write(f'[repository:{name}]\n' + ''.join(f'{key} = {value}\n' for key, value in self.options[name].items()))
        return processes.run([binary(), '--config', path, *arguments], check=check)

    def segments(self, repository):
        return sorted(f'data/{name}' for name in os.listdir(self.path(repository, 'data')))

    def objects(self, repository):
        found, top = {}, self.path(repository, '.')
        for directory, _, names in os.walk(top):
            for name in set(names) - {'verified.json'}:
                with open(os.path.join(directory, name), 'rb') as f:
                    found[os.path.relpath(f.name, top)] = hashlib.sha256(f.read()).hexdigest()
        return found

    def flip(self, repository, name, places=1):
        path = self.path(repository, name)
        size = os.path.getsize(path)
        with open(path, 'r+b') as f:
            for number in range(places):
                f.seek(size * (2 * number + 1) // (2 * places))
                byte = f.read(1)[0]
                f.seek(-1, os.SEEK_CUR)
                f.write(bytes([byte ^ 4]))

    def restore(self, names, repository, *options, check=True):
        target = os.path.join(self.top, 'restored')
        shutil.rmtree(target, ignore_errors=True)
        return self.cli(names, 'restore', self.backup, '--repository', repository, '--datadir', target, '--yes', '--progress', 'none', *options, check=check)

    def digests(self):
        """{path: SHA-256} of what the last restore has written."""
        found, target = {}, os.path.join(self.top, 'restored')
        for directory, _, names in os.walk(target):
            for name in names:
                with open(os.path.join(directory, name), 'rb') as f:
                    found[os.path.relpath(f.name, target)] = hashlib.sha256(f.read()).hexdigest()
        return found


shared = Shared(Scene)


def damage(s, repository):
    """Of each kind: a segment with several places, one cut, one gone, the index. Names of what was damaged."""
    segments = s.segments(repository)
    assert len(segments) >= 3, segments
    s.flip(repository, segments[0], places=5)
    os.truncate(s.path(repository, segments[1]), os.path.getsize(s.path(repository, segments[1])) // 2)
    os.remove(s.path(repository, segments[2]))
    s.flip(repository, 'index')
    return [*segments[:3], 'index']


@suite.test
def a_restore_takes_from_another_repository_what_it_can_not_read():
    s = shared()
    s.restore(['plain'], 'plain')
    whole = s.digests()
    short = (('plain', ['empty', 'sealed']), ('again', ['empty', 'sealed']))
    for home, others in ((('plain', ['other']), ('sealed', ['plain'])) if LONG else ()) + short:
        s.mend()
        damaged = damage(s, home)
        ran = s.restore([home, *others], home)
        assert s.digests() == whole, {path for path, digest in s.digests().items() if whole.get(path) != digest}
        for name in damaged:
            said = [line for line in ran.stderr.splitlines() if f'{name} is taken from repository {others[-1]}' in line]
            assert len(said) == 1, (name, ran.stderr)
            assert f'of {name} were taken from repository {others[-1]}' in ran.stdout or name == 'index' and 'index was taken' in ran.stdout, ran.stdout
        assert f"verify {s.backup} --repository '{home}' --repair-from '{others[-1]}'" in ran.stdout, ran.stdout
    ran = s.restore(['again', 'sealed'], 'again', '--json')
    taken = {row['object']: row['frames'] for row in json.loads(ran.stdout)['elsewhere']}
    assert set(taken) == set(damaged) and all(taken[name] > 0 for name in damaged if name != 'index'), taken
    s.mend()
    back = restored.Restored(s.agent, s.backup, options=['--repository', 'plain'])  # and what that directory is the oracle knows
    try:
        back.start()
        back.check_data(s.expected)
    finally:
        back.remove()
    assert 'elsewhere' not in s.restore(['plain', 'other'], 'plain').stdout


@suite.test
def the_data_key_may_come_from_there_too():
    s = shared()
    for harm in (lambda path: os.remove(path), lambda path: os.truncate(path, 100)):
        s.mend()
        harm(s.path('again', 'keys.json'))
        ran = s.restore(['again'], 'again', check=False)
        assert ran.returncode == CORRUPT and 'keys.json' in ran.stderr, ran.stderr
        ran = s.restore(['again', 'sealed'], 'again')
        assert 'keys.json is taken from repository sealed' in ran.stderr, ran.stderr
    # a key that does not open it is no damage
    s.mend()
    ran = s.restore(['again', 'sealed'], s.path('again'), '--key', s.key('other'), check=False)
    assert ran.returncode == KEY and 'taken' not in ran.stderr, ran.stderr


@suite.test
def where_nobody_has_it_right_that_is_said():
    s = shared()
    s.mend()
    segment = s.segments('plain')[0]
    for repository in ('plain', 'other'):
        s.flip(repository, segment, places=9)
    ran = s.restore(['plain', 'empty', 'other'], 'plain', check=False)
    assert ran.returncode == CORRUPT and segment in ran.stderr and 'no other repository has it right (empty: not there; other: ' in ran.stderr, ran.stderr
    # a repository that is named by its path stands alone
    ran = processes.run([binary(), 'restore', s.backup, '--repository', s.path('plain'), '--datadir', os.path.join(s.top, 'not'), '--progress', 'none'], check=False)
    assert ran.returncode == CORRUPT and segment in ran.stderr and 'other repository' not in ran.stderr, ran.stderr
    # another backup of that id is not taken for it, nor one that nobody trusted has signed
    s.mend()
    s.flip('plain', segment, places=9)
    backups.change_manifest(s.path('other', 'backup.json'), nonce='0123456789abcdef' * 2)
    ran = s.restore(['plain', 'other'], 'plain', check=False)
    assert ran.returncode == CORRUPT and 'other: not there' in ran.stderr, ran.stderr
    s.mend()
    segment = s.segments('again')[0]
    s.flip('again', segment, places=9)
    ran = s.restore(['again', 'plain'], 'again', '--trusted-signer', s.key('sign.pub'), check=False)
    assert ran.returncode == CORRUPT and 'is not signed' in ran.stderr, ran.stderr
    s.restore(['again', 'plain'], 'again')


def verify(s, names, repository, *options, source=None, check=True):
    return s.cli(names, 'verify', s.backup, '--repository', repository, '--progress', 'none', *(['--repair-from', source] if source else []), *options, check=check)


@suite.test
def what_is_damaged_is_made_anew_as_it_was():
    s = shared()
    # the same bytes; sealed from what is not; not sealed from what is; sealed with the same key; and without a key, where both are the same
    short = (('sealed', 'plain', []), ('again', 'sealed', ['--quick']))
    for home, source, options in ((('plain', 'other', []), ('plain', 'sealed', [])) if LONG else ()) + short:
        s.mend()
        before = s.objects(home)
        names = [home, source]
        good = s.objects(source)
        damaged = [*damage(s, home), *(s.segments(home) if home == 'plain' else [])]
        for name in s.segments(home):
            s.flip(home, name)
        ran = verify(s, names, home, check=False)
        assert ran.returncode == CORRUPT and all(name in ran.stderr for name in damaged), ran.stderr
        ran = verify(s, names, home, *options, source=source)
        assert all(f'mended: {name}, from {source}' in ran.stderr for name in damaged) and 'good' in ran.stdout, (ran.stdout, ran.stderr)
        assert s.objects(home) == before, {name for name, digest in s.objects(home).items() if before.get(name) != digest}
        assert s.objects(source) == good
        ran = verify(s, names, home)
        assert 'good' in ran.stdout and 'damaged' not in ran.stderr, (ran.stdout, ran.stderr)
        rows = json.loads(s.cli(names, 'list', '--repository', home, '--json').stdout)['backups']
        assert [row['verified'] for row in rows] == ['deep'], rows
    s.mend()
    damage(s, 'plain')
    answer = json.loads(verify(s, ['plain', 'other'], 'plain', '--json', source='other').stdout)
    assert answer['result'] == 'ok' and answer['damaged'] == 0 and len(answer['mended']) == 4 and answer['verified'] == 'deep', answer
    assert json.loads(verify(s, ['plain', 'other'], 'plain', '--json', source='other').stdout)['mended'] == []


@suite.test
def keys_and_manifest_too():
    s = shared()
    for name, harm in (('keys.json', lambda path: os.truncate(path, 100)), ('keys.json', os.remove), ('keys.json', lambda path: s.flip('again', 'keys.json')),
                       ('backup.json', lambda path: s.flip('again', 'backup.json')), ('backup.json', lambda path: os.truncate(path, 0))):
        s.mend()
        before = s.objects('again')
        harm(s.path('again', name))
        assert verify(s, ['again', 'sealed'], 'again', check=False).returncode == CORRUPT
        ran = verify(s, ['again', 'sealed'], 'again', source='sealed')
        assert f'mended: {name}' in ran.stderr and 'good' in ran.stdout and s.objects('again') == before, (name, ran.stdout, ran.stderr)
    # with everything else damaged but the index
    s.mend()
    before = s.objects('plain')
    for name in ('backup.json', *s.segments('plain')):
        s.flip('plain', name)
    verify(s, ['plain', 'other'], 'plain', source='other')
    assert s.objects('plain') == before


@suite.test
def what_can_not_be_mended_stays_named():
    s = shared()
    segments = s.segments('plain')
    # damaged there, too, but for one
    s.mend()
    for name in segments[:2]:
        s.flip('plain', name)
    s.flip('other', segments[0])
    ran = verify(s, ['plain', 'other'], 'plain', source='other', check=False)
    assert ran.returncode == CORRUPT and f'not mended: {segments[0]}' in ran.stderr and f'mended: {segments[1]}, from other' in ran.stderr, ran.stderr
    rows = json.loads(s.cli(['plain'], 'list', '--repository', 'plain', '--json').stdout)['backups']
    assert [row['verified'] for row in rows] == ['damaged'], rows
    with open(s.path('plain', segments[0]), 'rb') as f, open(os.path.join(s.good, 'plain', s.cluster, 'backups', s.backup, segments[0]), 'rb') as g:
        assert len(f.read()) == len(g.read())  # it is still there, as far as it goes
    # a manifest of what is sealed in another way
    s.mend()
    s.flip('plain', 'backup.json')
    text = s.objects('plain')
    ran = verify(s, ['plain', 'sealed'], 'plain', source='sealed', check=False)
    assert ran.returncode == CORRUPT and 'no object of' in ran.stderr and s.objects('plain') == text, ran.stderr
    # a data key that is another one
    s.mend()
    shutil.rmtree(s.path('again', ''))
    s.cli(['other', 'again'], 'copy', s.backup, '--repository', 'other', '--to', 'again')
    os.remove(s.path('again', 'keys.json'))
    ran = verify(s, ['again', 'sealed'], 'again', source='sealed', check=False)
    assert ran.returncode == CORRUPT and 'the data key of that copy is another one' in ran.stderr, ran.stderr
    # a recipient that was taken away does not come back
    s.mend()
    s.cli(['again'], 'key', 'add', '--repository', 'again', '--recipient', s.key('other.pub'))
    s.cli(['again'], 'key', 'remove', key_id(s.key('mine')), '--repository', 'again')
    before = s.objects('again')
    ran = verify(s, ['again', 'sealed'], 'again', source='sealed', check=False)
    assert ran.returncode == KEY and s.objects('again') == before, (ran.returncode, ran.stderr)
    # not there, another one, the same repository, a sample, somebody at work
    s.mend()
    s.flip('plain', segments[0])
    before = s.objects('plain')
    ran = verify(s, ['plain', 'empty'], 'plain', source='empty', check=False)
    assert ran.returncode == CORRUPT and 'is not in' in ran.stderr, ran.stderr
    backups.change_manifest(s.path('other', 'backup.json'), nonce='0123456789abcdef' * 2)
    ran = verify(s, ['plain', 'other'], 'plain', source='other', check=False)
    assert ran.returncode == CORRUPT and 'another backup' in ran.stderr, ran.stderr
    ran = verify(s, ['plain'], 'plain', source=s.path('plain'), check=False)
    assert ran.returncode == USAGE and 'same repository' in ran.stderr, ran.stderr
    ran = verify(s, ['plain', 'other'], 'plain', '--sample', '50', source='other', check=False)
    assert ran.returncode == USAGE and '--sample' in ran.stderr, ran.stderr
    assert s.objects('plain') == before


@suite.test
def copies_that_one_backup_has_made_mend_each_other():
    s = shared()
    s.mend()
    s.first, s.backup = s.backup, backups.take(s.server, repository=['plain', 'sealed'])['id']
    try:
        for home, source in (('plain', 'sealed'), ('sealed', 'plain')):
            before = s.objects(home)
            damage(s, home)
            ran = verify(s, [home, source], home, source=source)
            assert ran.stderr.count('mended: ') == 4 and 'good' in ran.stdout and s.objects(home) == before, (ran.stdout, ran.stderr)
    finally:
        s.backup = s.first


def key_id(path):
    return processes.run([binary(), 'key', 'id', path]).stdout.split()[0]


if __name__ == '__main__':
    suite.main()
