#!/usr/bin/python3
"""A plain server: everything in it comes back, and what must not happen is refused."""
import glob
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, kinds, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, as_root  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

NOT_FOUND, CORRUPT, TARGET_REFUSED = 14, 13, 15

suite = Suite()


class Scene:
    def __init__(self):
        self.server = Server('alone', {'log-bin': 'binlog', 'server-id': '7', 'gtid-strict-mode': 'ON',
                                       'plugin-load-add': 'galera_backup.so;ha_archive.so;ha_blackhole.so'})
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        self.server.execute(*kinds.statements())
        self.loads = [load.Transfers(self.server, 1), load.Sequence(self.server, 2), load.Unlogged(self.server, 3),
                      load.Ddl(self.server, 4)]
        for each in self.loads:
            each.prepare(self.server)
        load.bulk(self.server, 'sbtest', 1, 30 << 20)


shared = Shared(Scene)


@suite.test
def everything_comes_back():
    s = shared()
    with load.running(s.loads):
        for each in s.loads:
            wait_for(lambda one=each: one.done > 5 or one.failure, 60, 'the loads to write')
        figures, expected = oracle.backup(s.server)
    assert figures['gtid'] == expected['position', 'gtid_binlog_pos'], figures['gtid']
    back = restored.Restored(s.agent, figures['id'])
    try:
        back.check_image()
        back.server.options['plugin-load-add'] = 'ha_archive.so;ha_blackhole.so'
        server = back.start()
        back.check_lsn(server.log_text())
        tables = back.check_data(expected)
        assert server.value('SELECT COUNT(*) FROM kinds.seen') == 9
        assert server.value('SELECT NEXT VALUE FOR kinds.numbers') >= 100
        assert server.value('SELECT COUNT(*) FROM kinds.words WHERE MATCH (v) AGAINST ("word77")') == 1
        assert server.rows('CALL kinds.hello()') == [('hello',)]
        server.execute('INSERT INTO kinds.parent VALUES (5000)')
        assert server.value('SELECT MAX(id) FROM kinds.parent') == 6000, 'the trigger'
        reader = server.connect(user='reader', password='secret', database='kinds')
        assert checks.query(reader, 'SELECT COUNT(*) FROM kinds.plain')[0][0] == kinds.ROWS
        reader.close()
        files = back.check_pages_after()
        say(f'  {tables} tables, {files} tablespaces; binary log {figures["binlog_file"]}:{figures["binlog_pos"]}')
    finally:
        back.remove()


@suite.test
def the_command_line_takes_lists_verifies_and_finds_damage():
    s = shared()
    s.agent.cli('backup', '--progress', 'plain')
    listed = s.agent.listed()
    backup = listed[0]
    assert backup == backups.state(s.server)['id']
    assert backup in s.agent.cli('list').stdout
    assert backups.call(s.server, 'BACKUP_LIST', None)[0]['id'] == backup
    s.agent.cli('verify', backup)
    segment = sorted(glob.glob(os.path.join(s.agent.repository, '*', 'backups', backup, 'data', '*')))[0]
    with open(segment, 'r+b') as f:
        f.seek(os.path.getsize(segment) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 0x10]))
    damaged = s.agent.cli('verify', backup, check=False)
    assert damaged.returncode == CORRUPT, f'status {damaged.returncode}: {damaged.stdout}{damaged.stderr}'
    target = os.path.join(processes.run_dir(), 'damaged')
    result = s.agent.cli('restore', backup, '--datadir', target, '--yes', check=False)
    assert result.returncode == CORRUPT, f'status {result.returncode}: {result.stdout}{result.stderr}'
    assert refuses_to_boot(target), 'mariadbd started on a failed restore'
    shutil.rmtree(target, ignore_errors=True)  # the plan may have seen the damage
    shutil.rmtree(os.path.dirname(os.path.dirname(segment)))


def refuses_to_boot(datadir):
    """mariadbd ends with an error on that directory instead of serving it."""
    log = datadir + '.boot.err'
    try:
        result = subprocess.run(['mariadbd', '--no-defaults'] + as_root() + [
            f'--datadir={datadir}', f'--log-error={log}', f'--socket={datadir}.sock', '--skip-networking',
            f'--pid-file={datadir}.pid'], timeout=20, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode != 0


@suite.test
def an_unfinished_restore_does_not_boot():
    s = shared()
    backup = backups.take(s.server)['id']
    target = os.path.join(processes.run_dir(), 'unfinished')
    disk = processes.Stall('/sbtest/')
    disk.begin()
    restore = processes.start(s.agent.argv('restore', backup, '--datadir', target, '--yes'), env=disk.environment)
    marker = os.path.join(target, 'galera-backup-restore.incomplete')
    wait_for(lambda: os.path.exists(marker) and os.path.exists(os.path.join(target, 'sbtest', 't1.ibd')), 30,
             'the restore to be under way')
    assert processes.end(restore, signal.SIGKILL) == -signal.SIGKILL, 'the restore had ended'
    assert refuses_to_boot(target), 'mariadbd started on an unfinished restore'
    assert os.path.isdir(os.path.join(target, 'mysql')), 'an entrypoint script would initialise over it'
    shutil.rmtree(target)


@suite.test
def restores_that_must_not_be_are_refused():
    s = shared()
    backup = backups.take(s.server)['id']

    def refused(status, *arguments):
        result = s.agent.cli('restore', *arguments, '--yes', check=False)
        assert result.returncode == status, f'{arguments}: {result.returncode}: {result.stdout}{result.stderr}'
        say(f'  {result.stderr.strip().splitlines()[0]}')

    refused(TARGET_REFUSED, backup, '--datadir', s.server.datadir)
    other = processes.new_dir('other')
    with open(os.path.join(other, 'precious'), 'w', encoding='ascii') as f:
        f.write('data')
    refused(TARGET_REFUSED, backup, '--datadir', other)
    assert os.listdir(other) == ['precious']
    refused(NOT_FOUND, '20000101T000000Z-full-00000000', '--datadir', os.path.join(processes.run_dir(), 'nothing'))
    s.server.value('SELECT 1')


@suite.test
def latest_is_the_newest():
    s = shared()
    backup = backups.take(s.server)['id']
    result = s.agent.cli('restore', 'latest', '--datadir', os.path.join(processes.run_dir(), 'latest'), '--yes')
    assert backup in result.stdout + result.stderr, result.stdout + result.stderr
    target = restored.Restored(s.agent, 'latest', options=['--as', 'standalone'])
    try:
        server = target.start()
        load.Transfers.check(server)
        load.Sequence.check(server)
    finally:
        target.remove()


suite.main()
