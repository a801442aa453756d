#!/usr/bin/python3
"""Verifications: what they find is recorded beside the backup, shown, and decides which backup is the latest; a large one is read in parts."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, load, processes  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.preloaded import Faults  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

CORRUPT, USAGE, UNREACHABLE = 13, 2, 8
RECORD = 'verified.json'
FRAME_HEADER = 40

suite = Suite()


class Scene:
    """A server with an agent, two backups of it in one repository."""

    def __init__(self):
        self.server = Server('alone')
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        load.bulk(self.server, 'sbtest', 2, 10 << 20)
        self.old = backups.take(self.server)['id']
        self.new = backups.take(self.server)['id']
        for backup in (self.old, self.new):
            wait_for(lambda which=backup: self.row(which), 30, f'the row of {backup}')

    def path(self, backup, name):
        return os.path.join(self.agent.repository, self.agent.cluster, 'backups', backup, name)

    def record(self, backup):
        try:
            with open(self.path(backup, RECORD), encoding='utf-8') as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def forget(self):
        for backup in (self.old, self.new):
            if os.path.exists(self.path(backup, RECORD)):
                os.remove(self.path(backup, RECORD))

    def verify(self, *arguments, env=None):
        """(exit status, its JSON or None, standard error)"""
        result = processes.run(self.agent.argv('verify', *arguments, '--json'), check=False, env=env)
        return result.returncode, json.loads(result.stdout) if result.stdout else None, result.stderr

    def row(self, backup):
        return self.server.row("SELECT verified, verified_at FROM galera_backup.backups WHERE id = %s AND state = 'succeeded'", (backup,))

    def listed(self, backup):
        return next(row for row in self.agent.json('list')['backups'] if row['id'] == backup)


shared = Shared(Scene)


class Damaged:
    """A byte of an object is another one, until it is mended."""

    def __init__(self, path, at):
        self.path, self.at = path, at

    def flip(self):
        with open(self.path, 'r+b') as f:
            f.seek(self.at)
            byte = f.read(1)[0]
            f.seek(self.at)
            f.write(bytes([byte ^ 0x10]))

    def __enter__(self):
        self.flip()
        return self

    def __exit__(self, *ignored):
        self.flip()


def frames(path):
    """[(offset of the stored bytes, their number)] of a segment."""
    with open(path, 'rb') as f:
        data = f.read()
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 12:at + 16], 'big')
        found.append((at + FRAME_HEADER, size))
        at += FRAME_HEADER + size
    return found


@suite.test
def what_was_verified_is_recorded_and_shown():
    s = shared()
    s.forget()
    assert s.listed(s.new)['verified'] == 'none' and s.listed(s.new)['verified_at'] is None
    for options, level in ((['--quick'], 'quick'), ([], 'deep')):
        status, answer, error = s.verify(s.new, *options)
        assert (status, answer['result'], answer['level'], answer['verified'], answer['damaged']) == (0, 'ok', level, level, 0), (answer, error)
        record = s.record(s.new)
        at = record['verified_at']
        assert answer['verified_at'] == at and answer['recorded']
        assert {key: record[key] for key in ('schema', 'level', 'result', 'sampled', 'problems', 'id')} == \
            {'schema': 1, 'level': level, 'result': 'ok', 'sampled': None, 'problems': [], 'id': s.new}
        assert (s.listed(s.new)['verified'], s.listed(s.new)['verified_at']) == (level, at)
        assert s.agent.json('info', s.new)['verified']['verified_at'] == at
        assert f'verified    {level}, {at}' in s.agent.cli('info', s.new).stdout
        row, = (row for row in backups.call(s.server, 'BACKUP_LIST', None) if row['id'] == s.new)
        assert (row['verified'], row['verified_at'].strftime('%Y-%m-%dT%H:%M:%SZ')) == (level, at), row
    line, = (line for line in s.agent.cli('list').stdout.splitlines() if line.startswith(s.new))
    assert ' deep ' in line, line
    assert s.record(s.old) is None and s.row(s.old)['verified'] == 'none'


@suite.test
def the_latest_is_one_that_was_not_found_damaged():
    s = shared()
    s.forget()
    target = processes.new_dir('latest')

    def latest():
        result = s.agent.cli('info', 'latest', '--json')
        return json.loads(result.stdout)['id'], result.stderr

    assert latest()[0] == s.new
    segment = s.path(s.new, 'data/000001.seg')
    at, size = frames(segment)[-1]
    with Damaged(segment, at + size // 2):
        assert latest()[0] == s.new, 'nobody has looked yet'
        for options in (['--quick'], [], ['--sample', '100']):
            status, answer, error = s.verify('latest', *options)
            assert status == CORRUPT and answer['id'] == s.new and answer['result'] == 'damaged', (status, answer, error)
            assert any('000001.seg' in text for text in answer['problems']), answer
            assert s.record(s.new)['problems'] == answer['problems'][:10]
            found, said = latest()
            assert found == s.old and f'{s.new} is not the latest: it was found damaged' in said and '000001.seg' in said, (found, said)
            assert s.listed(s.new)['verified'] == s.row(s.new)['verified'] == 'damaged'
        s.agent.restore('latest', target)
        assert s.new not in s.agent.cli('info', 'latest').stdout
        shutil.rmtree(target)
        # by its id it is still there to be tried
        assert s.agent.json('info', s.new)['id'] == s.new
        with Damaged(s.path(s.old, 'index'), 30):
            assert s.verify(s.old)[0] == CORRUPT
        none = s.agent.cli('restore', 'latest', '--datadir', target, '--dry-run', check=False)
        assert none.returncode == CORRUPT and 'all 2 backups' in none.stderr, none
    # mended: a quick look does not take back what a deep one has said
    status, answer, _ = s.verify(s.new, '--quick')
    assert status == 0 and answer['result'] == 'ok' and answer['verified'] == 'damaged', answer
    assert latest_is_refused(s, target)
    status, answer, _ = s.verify(s.new)
    assert status == 0 and answer['verified'] == 'deep' and latest()[0] == s.new
    assert s.row(s.new)['verified'] == 'deep'


def latest_is_refused(s, target):
    return s.agent.cli('restore', 'latest', '--datadir', target, '--dry-run', check=False).returncode == CORRUPT


@suite.test
def parts_in_turn_find_every_damage():
    """Frames and objects have their turn one after another; each damaged one is found in its own, and in no other."""
    s = shared()
    s.forget()
    segments = sorted(os.listdir(s.path(s.new, 'data')))
    percent, turns = 20, 5
    read = []
    for turn in range(turns):
        status, answer, error = s.verify(s.new, '--sample', f'{percent}%')
        assert status == 0 and answer['record']['rounds']['deep'] == {'turn': turn, 'turns': turns, 'clean': turn + 1}, (answer, error)
        assert answer['record']['sampled'] == percent
        assert (answer['record']['deep_at'] is not None) == (turn + 1 == turns), answer
        read.append(answer['frames'])
    whole = s.verify(s.new)[1]['frames']
    assert sum(read[1:]) < whole <= sum(read), f'{read} frames in turns, {whole} in all'  # the first has the redo as a whole
    places = [(name, at + size // 2) for name in segments for at, size in frames(s.path(s.new, f'data/{name}'))][::7]
    for name, at in places:
        with Damaged(s.path(s.new, f'data/{name}'), at):
            results = [s.verify(s.new, '--sample', str(percent))[:2] for _ in range(turns)]
        damaged = [answer for status, answer in results if status == CORRUPT]
        assert damaged and all(name in str(answer['problems']) for answer in damaged), f'{name} at {at}: {results}'
        assert len(damaged) <= 3, f'{name} at {at} was found in {len(damaged)} of {turns} turns'  # frame, segment, redo
        assert results[-1][1]['verified'] == 'damaged', 'forgotten before all was read again'
    say(f'  {len(places)} places; frames in turns {read} of {whole}')
    for turn in range(turns):  # all of it, once more: then it is good
        status, answer, _ = s.verify(s.new, '--sample', str(percent))
    assert status == 0 and answer['verified'] == 'deep', answer


@suite.test
def all_of_them():
    """Of two clusters; one backup damaged, one without a readable manifest."""
    s = shared()
    s.forget()
    top = os.path.join(processes.new_dir('all'), 'repository')
    shutil.copytree(s.agent.repository, top)
    other = os.path.join(top, 'other', 'backups')
    shutil.copytree(os.path.join(top, s.agent.cluster, 'backups', s.old), os.path.join(other, s.old))

    def verify(*options):
        result = processes.run([binary(), 'verify', 'all', '--repository', top, '--json', *options], check=False)
        return result.returncode, json.loads(result.stdout)['backups'], result.stderr

    manifest = os.path.join(other, s.old, 'backup.json')
    backups.change_manifest(manifest, cluster='other')
    status, found, _ = verify('--quick')
    assert status == 0 and sorted((row['cluster'], row['id'], row['verified']) for row in found) == sorted(
        [(s.agent.cluster, s.old, 'quick'), (s.agent.cluster, s.new, 'quick'), ('other', s.old, 'quick')]), found
    with Damaged(os.path.join(top, s.agent.cluster, 'backups', s.new, 'data', '000001.seg'), 100), Damaged(manifest, 50):
        status, found, error = verify('--threads', '2')
        assert status == CORRUPT and 'all: ' in error, error
        results = {(row.get('cluster'), row.get('id')): row['result'] for row in found}
        assert results == {(s.agent.cluster, s.old): 'ok', (s.agent.cluster, s.new): 'damaged', (None, None): 'damaged'}, results
        status, found, _ = verify('--cluster', 'other')
        assert status == CORRUPT and len(found) == 1 and 'backup.json' in found[0]['problems'][0], found
        status, found, _ = verify('--cluster', s.agent.cluster, '--quick')
        assert status == CORRUPT and len(found) == 2, found
    shutil.rmtree(top)


@suite.test
def a_store_that_cant_be_written_to_is_read_all_the_same():
    s = shared()
    s.forget()
    faults = Faults()
    faults.begin(f'write EROFS {RECORD}.part')
    try:
        status, answer, error = s.verify(s.new, '--quick', env=faults.environment)
    finally:
        faults.end()
    assert status == 0 and answer['result'] == 'ok' and not answer['recorded'] and 'is not recorded' in error, (answer, error)
    assert s.record(s.new) is None


@suite.test
def a_store_that_is_away_is_no_damage():
    """An NFS server that has lost the file handles of its clients says nothing of what it holds."""
    s = shared()
    s.forget()
    for number in ('ESTALE', 'ETIMEDOUT'):
        for options in (['--quick'], []):
            faults = Faults()
            faults.begin(f'read {number} .seg')
            try:
                status, _, error = s.verify(s.new, *options, env=faults.environment)
            finally:
                faults.end()
            assert status == UNREACHABLE and '.seg' in error and '"code":3013' in error, (status, error)
            assert s.record(s.new) is None and s.listed(s.new)['verified'] == 'none', s.record(s.new)
    assert s.agent.json('info', 'latest')['id'] == s.new


@suite.test
def a_damaged_record_is_found_and_made_anew():
    s = shared()
    s.forget()
    s.verify(s.new, '--quick')
    size = os.path.getsize(s.path(s.new, RECORD))
    for at in (0, size // 3, size - 2):
        Damaged(s.path(s.new, RECORD), at).flip()
        assert s.listed(s.new)['verified'] == 'none'
        status, answer, error = s.verify(s.new, '--quick')
        assert status == CORRUPT and RECORD in error and 'made anew' in error and answer['result'] == 'ok', (status, answer, error)
        assert s.verify(s.new, '--quick')[0] == 0


@suite.test
def a_backup_may_be_read_back_before_it_has_succeeded():
    """And what is damaged has failed: a byte is changed while the store takes no index."""
    s = shared()
    s.agent.stop()
    stall = processes.Stall('/index.part')
    s.agent.environment = stall.environment
    s.agent.start()
    try:
        for level in ('quick', 'deep'):
            backup = backups.take(s.server, verify=level)['id']
            assert (s.record(backup)['level'], s.record(backup)['result']) == (level, 'ok')
            wait_for(lambda which=backup, word=level: s.row(which) and s.row(which)['verified'] == word, 30, 'its row')
        assert s.record(backups.take(s.server, verify='none')['id']) is None
        result = s.agent.cli('backup', '--verify', 'deep', '--json')
        backup = json.loads(result.stdout)['status']['id']
        assert s.record(backup)['level'] == 'deep'

        stall.begin()
        backup = backups.start(s.server, verify='quick')
        index = s.path(backup, 'index.part')
        segment = s.path(backup, 'data/000001.seg')
        wait_for(lambda: os.path.exists(index) and os.path.exists(segment), 60, 'the index to be written')
        Damaged(segment, 100).flip()
        stall.end()
        figures = backups.wait_end(s.server, backup)
        assert figures['state'] == 'failed' and figures['error_code'] == '3006', figures
        assert 'it is stored' in figures['error'] and '000001.seg' in figures['error'], figures['error']
        assert s.record(backup)['result'] == 'damaged' and s.listed(backup)['verified'] == 'damaged'
        assert s.agent.json('info', 'latest')['id'] != backup
        wait_for(lambda: s.server.value('SELECT state FROM galera_backup.backups WHERE id = %s', (backup,)) == 'failed', 30, 'its row')
        assert s.server.value('SELECT verified FROM galera_backup.backups WHERE id = %s', (backup,)) == 'damaged'
    finally:
        stall.end()
        s.agent.stop()
        s.agent.environment = None
        s.agent.start()
    backups.take(s.server)


@suite.test
def what_makes_no_sense_is_refused():
    s = shared()
    for sample in ('0', '101', '-5', '5.5', 'x', '', '5%%'):
        result = s.agent.cli('verify', 'latest', f'--sample={sample}', check=False)
        assert result.returncode == USAGE and '--sample' in result.stderr, (sample, result)


suite.main()
