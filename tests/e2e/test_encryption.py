#!/usr/bin/python3
"""Encrypted and signed backups. What must be true: without a key nothing of the data can be read, and the error names the key that is wanted; with one it comes back;
keys come and go without a byte of the data changing; a host that has only the public key can write and not read; who can only write to the repository can
neither forge a backup nor exchange parts of one unseen.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

USAGE, CREDENTIALS, CORRUPT, NOT_FOUND = 2, 10, 13, 14
WORDS = ('a_schema_of_secrets', 'a_table_of_secrets', 'what nobody may read')

suite = Suite()


def command(*arguments, check=True):
    return processes.run([binary(), *arguments], check=check)


class Scene:
    """A writing host, whose agent has public keys and a signing key; the private ones are elsewhere."""

    def __init__(self):
        self.keys = processes.new_dir('keys')
        for kind in ('x25519', 'rsa', 'secret', 'ed25519'):
            for name in (kind, f'other-{kind}'):
                command('key', 'generate', self.key(name), '--kind', kind)
        self.phrase = self.write('phrase', 'nobody guesses this one\n')
        self.server = Server('sealed')
        self.server.create()
        self.server.start()
        # no compression: what is readable is not hidden by it
        common = {'type': 'directory', 'min-free': '0%', 'compression': 'none'}
        self.top = processes.new_dir('repositories')
        self.agent = Agent(self.server, repositories={
            'default': {**common, 'path': self.path('default'), 'signing-key': self.key('ed25519'),
                        'encryption-recipient': f'file:{self.key("x25519.pub")}, {self.key("rsa.pub")}, {self.key("secret")}, passphrase:{self.phrase}'},
            'private': {**common, 'path': self.path('private'), 'encryption-recipient': self.key('x25519')},
            'gone': {**common, 'path': self.path('gone'), 'encryption-recipient': self.key('nowhere.pub')},
            'deep': {**common, 'path': self.path('deep'), 'encryption-recipient': self.key('x25519.pub')},
            'plain': {**common, 'path': self.path('plain')},
            'signed': {**common, 'path': self.path('plain'), 'trusted-signer': self.key('ed25519.pub')}}).start()
        backups.install(self.server)
        self.server.execute(f'CREATE DATABASE {WORDS[0]}', f'USE {WORDS[0]}',
                            f'CREATE TABLE {WORDS[1]} ENGINE=InnoDB AS SELECT seq, "{WORDS[2]}" AS text FROM seq_1_to_20000',
                            f'CREATE TABLE aria_{WORDS[1]} ENGINE=Aria AS SELECT seq, "{WORDS[2]}" AS text FROM seq_1_to_2000')
        figures, self.expected = oracle.backup(self.server)
        self.backup = figures['id']
        self.cluster = self.agent.cluster

    def key(self, name):
        return os.path.join(self.keys, name)

    def write(self, name, text):
        with open(os.open(self.key(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='ascii') as f:
            f.write(text)
        return self.key(name)

    def path(self, repository):
        return os.path.join(self.top, repository)

    def copy(self, name):
        """Of the repository, to do harm to; and the directory of the backup in it."""
        shutil.copytree(self.path('default'), self.path(name))
        return self.path(name), os.path.join(self.path(name), self.cluster, 'backups', self.backup)

    def restore(self, *options, repository='default', backup=None, check=False):
        target = os.path.join(self.top, 'restored')
        shutil.rmtree(target, ignore_errors=True)
        return command('restore', backup or self.backup, '--repository', self.path(repository), '--datadir', target, '--yes', '--progress', 'none', *options,
                       check=check)

    def opens(self, key, repository='default'):
        result = self.restore('--key', key, '--dry-run', repository=repository)
        assert result.returncode in (0, CREDENTIALS), result.stderr
        assert result.returncode == 0 or 'GB3015' in result.stderr, result.stderr
        return result.returncode == 0


shared = Shared(Scene)


def digests(top, but=('keys.json', 'key-test.json')):
    found = {}
    for directory, _, names in os.walk(top):
        for name in names:
            if name not in but:
                with open(os.path.join(directory, name), 'rb') as f:
                    found[os.path.relpath(f.name, top)] = hashlib.sha256(f.read()).hexdigest()
    return found


def contents(top):
    for directory, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(directory, name), 'rb') as f:
                yield f.name, f.read()


@suite.test
def nothing_of_the_data_can_be_read():
    s = shared()
    for path, data in contents(s.path('default')):
        for word in WORDS:
            assert word.encode() not in data, f'{word} in {path}'
    plain = backups.take(s.server, repository='plain')['id']
    assert plain in os.listdir(os.path.join(s.path('plain'), s.cluster, 'backups'))
    together = b''.join(data for _, data in contents(s.path('plain')))  # the search finds what is there
    assert all(word.encode() in together for word in WORDS[1:])
    info = s.agent.json('info', s.backup)
    assert info['encryption']['cipher'] == 'AES-256-GCM' and info['signer'] == key_id(s.key('ed25519')), info
    ids = info['key_ids'].split(', ')
    assert [each.split(':')[0] for each in ids] == ['x25519', 'rsa', 'secret', 'passphrase'], ids
    row = s.server.rows(f"SELECT encrypted, key_ids FROM galera_backup.backups WHERE id = '{s.backup}'")
    assert list(row[0]) == [1, info['key_ids']], row
    row = s.server.rows(f"SELECT encrypted, key_ids FROM galera_backup.backups WHERE id = '{plain}'")
    assert list(row[0]) == [0, ''], row


def key_id(path):
    return command('key', 'id', path).stdout.split()[0]


@suite.test
def each_key_opens_it_and_no_other_does():
    s = shared()
    for kind in ('x25519', 'rsa', 'secret'):
        assert s.opens(s.key(kind)), kind
        assert not s.opens(s.key(f'other-{kind}')), kind
    assert s.opens(f'passphrase:{s.phrase}')
    assert not s.opens('passphrase:' + s.write('wrong', 'somebody guesses this one\n'))
    result = s.restore()
    wanted = key_id(s.key('x25519.pub'))
    assert result.returncode == CREDENTIALS and 'GB3015' in result.stderr and wanted in result.stderr, result.stderr
    result = s.restore('--key', s.key('x25519.pub'))
    assert result.returncode == CREDENTIALS and 'only the public key' in result.stderr, result.stderr
    os.chmod(s.key('other-rsa'), 0o644)
    result = s.restore('--key', s.key('other-rsa'))
    assert result.returncode == CREDENTIALS and 'chmod 0600' in result.stderr, result.stderr


@suite.test
def the_plan_of_a_restore_says_which_keys_open_it():
    s = shared()
    ids = s.agent.json('info', s.backup)['key_ids'].split(', ')
    assert len(ids) == 4, ids
    for kind in ('x25519', 'rsa'):
        dry = ('--key', s.key(kind), '--dry-run')
        text = s.restore(*dry, check=True).stdout
        assert re.search(f'(?m)^keys +{key_id(s.key(kind))} is here; one of {", ".join(ids)} is needed$', text), text
        assert json.loads(s.restore(*dry, '--json', check=True).stdout)['keys'] == ids
    plain = backups.take(s.server, repository='plain')['id']
    dry = {'repository': 'plain', 'backup': plain, 'check': True}
    assert re.search(r'(?m)^keys +none needed$', s.restore('--dry-run', **dry).stdout)
    assert json.loads(s.restore('--dry-run', '--json', **dry).stdout)['keys'] == []


@suite.test
def with_a_key_all_of_it_comes_back():
    s = shared()
    assert 'good' in s.agent.cli('verify', s.backup, '--key', s.key('rsa')).stdout
    back = restored.Restored(s.agent, s.backup, options=['--key', s.key('x25519'), '--trusted-signer', s.key('ed25519.pub')])
    try:
        back.check_image()
        back.check_lsn(back.start().log_text())
        back.check_data(s.expected)
    finally:
        back.remove()


@suite.test
def a_host_that_writes_can_not_read():
    s = shared()
    result = s.agent.cli('verify', s.backup, check=False)
    assert result.returncode == CREDENTIALS and 'GB3015' in result.stderr, result.stderr
    assert 'good' in s.agent.cli('verify', s.backup, '--quick').stdout
    # all that the writing host's configuration names, tried one after the other, but for the secret key and the passphrase, which both write and read
    for name in ('x25519.pub', 'rsa.pub', 'ed25519'):
        assert s.restore('--key', s.key(name)).returncode == CREDENTIALS
    # nor does it take a private key to write with
    backups.Caller(s.server, repository='private').failed_with('GB3016', 'holds the private key')
    backups.Caller(s.server, repository='gone').failed_with('GB3016', 'nowhere.pub')
    # what it could not use itself it does not write
    backups.Caller(s.server, repository='signed').failed_with('GB3016', 'is not signed')
    # it knows the key of what it has just written, and reads it back
    assert backups.take(s.server, repository='deep', verify='deep')['state'] == 'succeeded'
    text = str(backups.call(s.server, 'BACKUP_CHECK', '{}'))
    assert 'nobody has tried' in text, text
    text = str(backups.call(s.server, 'BACKUP_CHECK', '{"repository": "private"}'))
    assert 'holds the private key' in text, text


@suite.test
def a_key_that_was_tried_is_remembered():
    s = shared()
    result = command('key', 'test', '--repository', s.path('default'), '--key', s.key('other-x25519'), check=False)
    assert result.returncode == CREDENTIALS and 'GB3015' in result.stderr, result.stderr
    before = digests(s.path('default'))
    result = command('key', 'test', '--repository', s.path('default'), '--key', s.key('x25519'))
    assert key_id(s.key('x25519')) in result.stdout and s.backup in result.stdout, result.stdout
    assert digests(s.path('default')) == before
    text = str(backups.call(s.server, 'BACKUP_CHECK', '{}'))
    assert 'was tried 0 days ago' in text and 'nobody has tried' not in text, text


@suite.test
def keys_come_and_go_and_the_data_stays():
    s = shared()
    top, _ = s.copy('rotated')
    before = digests(top)
    at = ('--repository', top)
    new = ('--recipient', s.key('other-x25519.pub'))
    result = command('key', 'add', *at, *new, '--key', s.key('other-secret'), check=False)
    assert result.returncode == CREDENTIALS and not s.opens(s.key('other-x25519'), 'rotated'), result.stderr
    command('key', 'add', *at, *new, '--key', s.key('secret'))
    assert s.opens(s.key('other-x25519'), 'rotated') and s.opens(s.key('x25519'), 'rotated')
    command('key', 'rotate', *at, '--key', s.key('x25519'), *new)
    assert s.opens(s.key('other-x25519'), 'rotated') and not s.opens(s.key('x25519'), 'rotated')
    command('key', 'rotate', *at, '--key', s.key('x25519'), *new)  # as after one that was interrupted
    result = command('key', 'rotate', *at, '--key', s.key('other-rsa'), '--recipient', s.key('other-rsa.pub'), check=False)
    assert result.returncode == CREDENTIALS, result.stderr
    result = command('key', 'remove', 'x25519:0123456789abcdef', *at, check=False)
    assert result.returncode == NOT_FOUND and 'encrypted for x25519:0123456789abcdef' in result.stderr, result.stderr
    result = command('key', 'rotate', *at, '--key', s.key('other-x25519'), *new, check=False)
    assert result.returncode == USAGE and s.opens(s.key('other-x25519'), 'rotated'), result.stderr
    ids = json.loads(command('info', s.backup, *at, '--json').stdout)['key_ids'].split(', ')
    for each in ids:
        if each != key_id(s.key('other-x25519')):
            command('key', 'remove', each, *at)
    assert not s.opens(s.key('secret'), 'rotated') and not s.opens(f'passphrase:{s.phrase}', 'rotated') and s.opens(s.key('other-x25519'), 'rotated')
    result = command('key', 'remove', key_id(s.key('other-x25519')), *at, check=False)
    assert result.returncode == USAGE and 'nobody could open' in result.stderr, result.stderr
    assert digests(top) == before
    assert 'good' in command('verify', s.backup, *at, '--key', s.key('other-x25519')).stdout
    assert s.restore('--key', s.key('other-x25519'), repository='rotated', check=True).returncode == 0


def changed(path, change):
    """A manifest with another text and the checksum of that."""
    with open(path, encoding='utf-8') as f:
        text = f.read()
    end = re.search(r',\n "sha256": "[0-9a-f]{64}"\n}$', text)
    body = change(text[:end.start()])
    os.unlink(path)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'{body},\n "sha256": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}')


@suite.test
def a_forged_backup_is_not_taken():
    s = shared()
    trusted = ('--trusted-signer', s.key('ed25519.pub'), '--key', s.key('x25519'), '--dry-run')
    assert s.restore(*trusted).returncode == 0
    for name, change, words in (
            ('changed', lambda text: text.replace('"comment": ""', '"comment": "x"'), 'was changed after'),
            ('unsigned', lambda text: re.sub(r',\n "signer": .*', '', text, flags=re.S), 'is not signed'),
            ('stranger', lambda text: text.replace(key_id(s.key('ed25519')), key_id(s.key('other-ed25519'))), 'no trusted signer'),
            ('signature', lambda text: re.sub(r'"signature": "..', lambda m: m.group(0)[:-2] + ('00' if m.group(0)[-2:] != '00' else '11'), text),
             'was changed after'),
            ('behind', lambda text: text + ',\n "added": 1', 'was changed after')):
        top, directory = s.copy(name)
        changed(os.path.join(directory, 'backup.json'), change)
        result = s.restore(*trusted, repository=name)
        assert result.returncode == CORRUPT and words in result.stderr, f'{name}: {result.returncode} {result.stderr}'
        latest = s.restore(*trusted, repository=name, backup='latest')
        assert latest.returncode == NOT_FOUND and words in latest.stderr, f'{name}: {latest.stderr}'
        assert s.restore('--key', s.key('x25519'), '--dry-run', repository=name).returncode == 0, name  # who trusts nobody takes it
    # backups without a signature are not those of this repository
    result = s.agent.cli('list', '--repository', 'signed')
    assert 'is not signed' in result.stderr and s.agent.json('list', '--repository', 'signed')['backups'] == [], result.stderr


def waits_at_a_pipe(pid):
    with open(f'/proc/{pid}/wchan', encoding='ascii') as f:
        return f.read() in ('wait_for_partner', 'fifo_open')


@suite.test
def what_info_shows_is_what_was_checked():
    """backup.json is exchanged while info, which has found the backup, reads the record of verifications: a pipe, which it waits at."""
    s = shared()
    top, directory = s.copy('shown')
    record = os.path.join(directory, 'verified.json')
    if os.path.exists(record):
        os.unlink(record)
    os.mkfifo(record)
    process = processes.start([binary(), 'info', s.backup, '--json', '--repository', top, '--trusted-signer', s.key('ed25519.pub')],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: waits_at_a_pipe(process.pid), 30, 'info to come to the record')
    changed(os.path.join(directory, 'backup.json'), lambda text: text.replace('"comment": ""', '"comment": "forged"'))
    with open(record, 'wb'):
        pass
    out, err = (text.decode() for text in process.communicate(timeout=30))
    assert process.returncode == CORRUPT and 'was changed after' in err and 'forged' not in out, (process.returncode, out, err)


@suite.test
def a_key_that_was_not_needed_is_said():
    s = shared()
    plain = backups.take(s.server, repository='plain')['id']
    said = s.restore('--key', s.key('x25519'), repository='plain', backup=plain, check=True).stderr
    assert f'{plain} is not encrypted' in said and '--trusted-signer' in said, said
    assert 'is not encrypted' not in s.restore(repository='plain', backup=plain, check=True).stderr
    assert 'is not encrypted' not in s.restore('--key', s.key('x25519'), check=True).stderr


@suite.test
def parts_of_another_backup_do_not_fit():
    s = shared()
    other = backups.take(s.server)['id']
    top, directory = s.copy('exchanged')
    theirs = os.path.join(top, s.cluster, 'backups', other)
    key = ('--key', s.key('x25519'))
    segment = os.path.join('data', '000001.seg')
    for name, words in (('keys.json', 'keys.json is that of another backup'), ('index', 'index'), (segment, '000001.seg')):
        mine, theirs_too = os.path.join(directory, name), os.path.join(theirs, name)
        os.rename(mine, mine + '.kept')
        shutil.copy(theirs_too, mine)
        result = s.restore(*key, repository='exchanged')
        assert result.returncode == CORRUPT and words in result.stderr, f'{name}: {result.stderr}'
        result = command('verify', s.backup, '--quick', '--repository', top, check=False)  # which needs no key
        assert result.returncode == CORRUPT and name in result.stderr, f'{name}: {result.stderr}'
        os.rename(mine + '.kept', mine)
    os.unlink(os.path.join(directory, 'keys.json'))
    result = s.restore(*key, repository='exchanged')
    assert result.returncode == CORRUPT and 'keys.json' in result.stderr, result.stderr
    for level in (['--quick'], key):
        result = command('verify', s.backup, *level, '--repository', top, check=False)
        assert result.returncode == CORRUPT and 'keys.json' in result.stderr, result.stderr
        info = command('info', s.backup, '--repository', top).stdout
        assert 'damaged' in info, info
    # of the others that a key opens nothing is kept back
    result = command('verify', 'all', *key, '--repository', top, check=False)
    assert result.returncode == CORRUPT and f'{other}: good' in result.stdout, result.stdout + result.stderr
    result = command('verify', 'all', '--key', s.key('other-secret'), '--repository', s.path('default'), check=False)
    assert result.returncode == CREDENTIALS and result.stderr.count('GB3015') == 1 and s.backup in result.stderr and other in result.stderr, result.stderr


@suite.test
def a_failed_run_names_no_table():
    s = shared()
    s.server.execute(f'CREATE TABLE {WORDS[0]}.damaged ENGINE=InnoDB AS SELECT seq, MD5(seq) FROM seq_1_to_20000', f'FLUSH TABLES {WORDS[0]}.damaged FOR EXPORT',
                     'UNLOCK TABLES')
    with open(os.path.join(s.server.datadir, WORDS[0], 'damaged.ibd'), 'r+b') as f:
        f.seek(5 * 16384 + 100)
        good = f.read(50)
        f.seek(5 * 16384 + 100)
        f.write(bytes(byte ^ 1 for byte in good))
        f.flush()
        try:
            text = backups.Caller(s.server).failed_with('GB2201')
        finally:
            f.seek(5 * 16384 + 100)
            f.write(good)
    assert 'damaged.ibd' in text, text
    path = os.path.join(s.path('default'), s.cluster, 'failed.json')
    wait_for(lambda: os.path.exists(path), 30, 'the record of the failed run')
    with open(path, encoding='utf-8') as f:
        record = json.load(f)
    assert record['error_code'] == 2201 and WORDS[0] not in json.dumps(record), record
    s.server.execute(f'DROP TABLE {WORDS[0]}.damaged')
    backups.take(s.server)
    wait_for(lambda: not os.path.exists(path), 30, 'the record to be removed')


@suite.test
def a_save_is_encrypted_too():
    s = shared()
    source = processes.new_dir('dead')
    shutil.copytree(s.server.datadir, os.path.join(source, 'data'), ignore=shutil.ignore_patterns('*.sock', 'sock', '*.pid'))
    result = s.agent.cli('save', '--datadir', os.path.join(source, 'data'), '--json')
    backup = json.loads(result.stdout)['id']
    for path, data in contents(os.path.join(s.path('default'), s.cluster, 'backups', backup)):
        assert not any(word.encode() in data for word in WORDS), path
    assert s.restore('--key', s.key('secret'), backup=backup, check=True).returncode == 0
    with open(os.path.join(s.top, 'restored', WORDS[0], f'{WORDS[1]}.ibd'), 'rb') as f, \
            open(os.path.join(source, 'data', WORDS[0], f'{WORDS[1]}.ibd'), 'rb') as g:
        assert f.read() == g.read()
    say(f'  {backup}')


@suite.test
def bad_words_are_refused():
    s = shared()
    for arguments, words in ((('key', 'make'), 'there are generate'), (('key',), 'key needs'), (('key', 'generate'), 'needs the name'),
                             (('key', 'generate', s.key('x25519')), 'exists'), (('key', 'generate', s.key('y'), '--kind', 'dsa'), 'none of x25519'),
                             (('key', 'add', '--repository', s.path('default')), 'needs --recipient'),
                             (('key', 'add', '--repository', s.path('default'), '--recipient', s.key('rsa')), 'private key'),
                             (('key', 'test', 'x'), 'one argument too many'), (('key', 'id', s.key('nowhere')), "can't be read"),
                             (('key', 'remove', 'x', '--recipient', s.key('rsa.pub')), 'takes no --recipient'),
                             (('list', '--key', 'x'), 'has no option --key')):
        result = command(*arguments, check=False)
        assert result.returncode and words in result.stderr, f'{arguments}: {result.stderr}'
    assert not os.path.exists(s.key('y'))
    for line, words in (('encryption-recipient = backup.pub', 'not an absolute path'), ('decryption-key = /a,b', 'not an absolute path')):
        with open(s.key('cnf'), 'w', encoding='ascii') as f:
            f.write(f'[repository:x]\npath = /x\n{line}\n')
        result = command('--config', s.key('cnf'), 'list', check=False)
        assert result.returncode == 3 and words in result.stderr, result.stderr


suite.main()
