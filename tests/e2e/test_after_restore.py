#!/usr/bin/python3
"""What follows the files of a restore: recovery in a private server, the position, a new history, a replica, a check of all
tables."""
import json
import os
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, processes, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster, saved_position  # noqa: E402
from gbtest.server import Server, as_root, query  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
INTERNAL, CANCELLED, CONFIGURATION, USAGE, DAMAGED = 1, 7, 3, 2, 13
REPLICATOR = ("CREATE USER replicator@'127.0.0.1' IDENTIFIED BY 'replicator'",
              "GRANT REPLICATION SLAVE ON *.* TO replicator@'127.0.0.1'")
MARKER = 'galera-backup-restore.incomplete'
JOURNAL = 'galera-backup-restore.journal'
ATTEMPTS = 3  # to foretell a time, on a machine that others may use


def churn(server, megabytes):
    """Changes rows all over sbtest until so much redo lies behind the checkpoint."""
    rows = server.value('SELECT COUNT(*) FROM sbtest.t1')
    while int(server.status('Innodb_checkpoint_age')) < megabytes << 20:
        for number in (1, 2):
            server.execute(f'UPDATE sbtest.t{number} JOIN (SELECT DISTINCT 1 + FLOOR(RAND() * {rows}) AS id FROM '
                           'seq_1_to_3000) r USING (id) SET k = FLOOR(RAND() * 2000000000), '
                           'c = RPAD(MD5(RAND()), 200, MD5(RAND()))')


class Alone:
    """A primary with a binary log whose checkpoint is held back, and two backups of it: of little redo and of more."""
    SIZES = (120, 480) if LONG else (20, 80)

    def __init__(self):
        self.server = Server('alone', {
            'log-bin': 'binlog', 'server-id': '11', 'innodb-log-file-size': '1G' if LONG else '256M',
            'innodb-buffer-pool-size': '1G' if LONG else '300M', 'innodb-max-dirty-pages-pct': '99',
            'innodb-max-dirty-pages-pct-lwm': '98', 'innodb-adaptive-flushing': 'OFF',
            'innodb-flush-log-at-trx-commit': '2', 'innodb-io-capacity': '200'})
        self.server.create()
        self.server.start()
        self.agent = Agent(self.server).start()
        backups.install(self.server)
        self.loads = [load.Transfers(self.server, 1), load.Sequence(self.server, 2)]
        for each in self.loads:
            each.prepare(self.server)
        load.bulk(self.server, 'sbtest', 2, (200 if LONG else 20) << 20)
        self.server.execute(*REPLICATOR)
        self.small = self.grown(self.SIZES[0])
        self.large = self.grown(self.SIZES[1])

    def grown(self, megabytes):
        churn(self.server, megabytes)
        with load.running(self.loads):
            return backups.take(self.server)['id']


alone = Shared(Alone)


def replicate(replica, primary, answer):
    """CHANGE MASTER as the restore printed it, with what it leaves to fill in; what differs when the replica has caught up."""
    statement, start = answer['change_master'].rstrip(';').split('; ')
    statement = re.sub(r"MASTER_HOST='[^']*', MASTER_PORT=\d+", f"MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}",
                       statement).replace("'USER'", "'replicator'").replace("'PASSWORD'", "'replicator'")
    replica.execute(statement, start)

    def caught_up():
        state = replica.row('SHOW SLAVE STATUS')
        if state['Last_SQL_Errno'] or state['Last_IO_Errno']:
            failed.append(f'{state["Last_SQL_Error"]} {state["Last_IO_Error"]}')
            return True
        return replica.value('SELECT @@gtid_slave_pos') == primary.value('SELECT @@gtid_binlog_pos')
    failed = []
    wait_for(caught_up, 600 if LONG else 120, 'the replica to catch up', while_true=replica.alive)
    assert not failed, failed
    names = [name for name in checks.tables(primary.connection()) if not name.startswith(('mysql.', 'galera_backup.'))]
    assert names
    return checks.differences(checks.checksums(primary.connection(), names), checks.checksums(replica.connection(), names))


@suite.test
def a_backup_of_a_parallel_replica_starts_and_replicates():
    """A worker that waits for the commit before its own has its transaction prepared: without the binary log of then no server would start with it."""
    s = alone()
    options = {'server-id': '21', 'log-bin': 'binlog', 'log-slave-updates': 'ON', 'slave-parallel-threads': '4',
               'slave-parallel-mode': 'optimistic', 'gtid-strict-mode': 'ON'}
    s.server.execute('CREATE TABLE sbtest.one (id INT PRIMARY KEY, v INT) ENGINE=InnoDB', 'CREATE TABLE sbtest.two LIKE sbtest.one',
                     'INSERT INTO sbtest.one VALUES (1, 1)', 'INSERT INTO sbtest.two VALUES (1, 1)')
    source = restored.Restored(s.agent, backups.take(s.server)['id'], '96M')
    shutil.rmtree(source.server.datadir)
    answer = json.loads(s.agent.restore(source.backup, source.server.datadir, '--as', 'replica', '--json').stdout)
    source.server.options.update(options)
    source.server.plugin = True
    replica = source.start()
    agent = Agent(replica)
    try:
        replicate(replica, s.server, answer)
        agent.start()
        blocker = replica.connect()
        query(blocker, 'BEGIN')
        query(blocker, 'SELECT * FROM sbtest.one WHERE id = 1 FOR UPDATE')
        for table in ('one', 'two'):
            s.server.execute(f'UPDATE sbtest.{table} SET v = 2 WHERE id = 1')
        wait_for(lambda: replica.rows('SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = "Waiting for prior transaction to commit"'), 30,
                 'a transaction that is prepared')
        backup = backups.take(replica)['id']
        wait_for(lambda: replica.rows('SELECT 1 FROM galera_backup.backups WHERE id = %s AND state = "succeeded"', (backup,)), 30, 'its row')
        assert '-21-' not in replica.value('SELECT @@gtid_binlog_pos'), 'the agent has written to the binary log of a replica'
        query(blocker, 'ROLLBACK')
        blocker.close()
        wait_for(lambda: replica.value('SELECT v FROM sbtest.two') == 2, 60, 'the replica to go on')
        for extra in ((), ('--as', 'replica')):
            back = restored.Restored(agent, backup, '96M')
            shutil.rmtree(back.server.datadir)
            answer = json.loads(agent.restore(backup, back.server.datadir, '--json', *extra).stdout)
            assert answer['recovered'], answer
            back.server.options.update({**options, 'server-id': '22'})
            server = back.start()
            assert [server.value(f'SELECT v FROM sbtest.{table}') for table in ('one', 'two')] == [1, 1]
            if extra:
                difference = replicate(server, replica, answer)
                assert not difference, difference
                assert [server.value(f'SELECT v FROM sbtest.{table}') for table in ('one', 'two')] == [2, 2]
            back.remove()
        replica.execute('STOP ALL SLAVES')
        backups.take(replica)
        wait_for(lambda: '-21-' in replica.value('SELECT @@gtid_binlog_pos'), 30, 'the catalog in the binary log of a replica that was promoted')
    finally:
        agent.kill()
        source.remove()


@suite.test
def the_binary_log_goes_on_from_the_backup_to_a_point_in_time():
    s = alone()
    names = ['bank.account', 'bank.sequence', 'sbtest.kept']
    s.server.execute('CREATE TABLE sbtest.kept (id INT PRIMARY KEY) ENGINE=InnoDB')
    with load.running(s.loads):
        backup = backups.take(s.server)['id']
        s.server.execute('FLUSH BINARY LOGS', 'INSERT INTO sbtest.kept SELECT seq FROM seq_1_to_100')
    expected = checks.checksums(s.server.connection(), names)
    stop = s.server.row('SHOW MASTER STATUS')
    s.server.execute('DROP TABLE sbtest.kept')
    back = restored.Restored(s.agent, backup, '256M')
    try:
        server = back.start()
        differ = checks.differences(expected, checks.checksums(server.connection(), names))
        assert all(name in differ for name in names), f'the same before the binary log: {differ}'
        logs = [row[0] for row in s.server.rows('SHOW BINARY LOGS')]
        logs = logs[logs.index(back.fact('binlog_file')):logs.index(stop['File']) + 1]
        assert len(logs) > 1, logs
        events = os.path.join(processes.run_dir(), 'events.sql')
        processes.run(['mariadb-binlog', f'--start-position={back.fact("binlog_pos")}', f'--stop-position={stop["Position"]}', f'--result-file={events}',
                       *(os.path.join(s.server.datadir, name) for name in logs)])
        with open(events, 'rb') as f:
            processes.run(['mariadb', '--no-defaults', f'--socket={server.socket}', '--user=root'], stdin=f)
        differ = checks.differences(expected, checks.checksums(server.connection(), names))
        assert not differ, differ
    finally:
        back.remove()


def refuses_to_boot(datadir):
    """mariadbd ends with an error there, whatever its buffer pool."""
    result = processes.run(['mariadbd', '--no-defaults', '--user=root', f'--datadir={datadir}', '--skip-networking',
                            f'--socket={datadir}.sock', f'--pid-file={datadir}.pid'], timeout=120, check=False)
    return result.returncode != 0 and 'an unfinished restore' in result.stderr


def recovery_log(datadir):
    with open(os.path.join(datadir, 'galera-backup-recovery.log'), encoding='utf-8', errors='replace') as f:
        return f.read()


@suite.test
def recover_leaves_a_clean_directory_with_the_same_data():
    s = alone()
    plain = restored.Restored(s.agent, s.large, '256M')
    recovered = restored.Restored(s.agent, s.large, '96M', ['--recover', '--verify-boot'])
    try:
        log = recovery_log(recovered.server.datadir)
        recovered.check_lsn(log)
        assert 'Multi-batch recovery' not in log, 'one pass was promised'
        left = [name for name in os.listdir(recovered.server.datadir) if name.startswith('galera-backup')]
        assert left == ['galera-backup-recovery.log'], left
        recovered.check_image()
        begin = time.monotonic()
        server = recovered.start()
        took = time.monotonic() - begin
        assert not server.in_log('Starting crash recovery'), 'there was something to recover'
        plain.start()
        difference = checks.differences(checks.checksums(plain.server.connection()),
                                        checks.checksums(server.connection()))
        assert not difference, difference
        recovered.check_data()
        say(f'  started in {took:.1f} s')
    finally:
        plain.remove()
        recovered.remove()


@suite.test
def the_first_start_takes_about_as_long_as_the_plan_says():
    s = alone()
    # the second figure, seconds: a part of them goes into what a start takes anyway, and a disk that is quick is probed in an instant
    factor, spare = (2, 3) if LONG else (4, 1)

    def first_start(backup):
        """(seconds told, seconds that it took)"""
        back = restored.Restored(s.agent, backup, '96M')
        try:
            back.server.options['innodb-buffer-pool-size'] = '128M'
            back.server.options['innodb-io-capacity'] = '200'
            target = os.path.join(processes.run_dir(), 'plan')
            plan = s.agent.cli('restore', backup, '--datadir', target, '--dry-run').stdout
            words = re.search(r'first start: about (?:(\d+)m)?(\d+)s', plan)
            seconds = 60 * int(words.group(1) or 0) + int(words.group(2))
            begin = time.monotonic()
            back.start()
            took = time.monotonic() - begin
            say(f'  {back.fact("redo_bytes") / 1e6:.0f} MB of redo: told {seconds} s, took {took:.1f} s')
            return seconds, took
        finally:
            back.remove()
    for backup in (s.small, s.large):
        for _ in range(ATTEMPTS):
            seconds, took = first_start(backup)
            true = took / factor - spare <= seconds <= took * factor + spare
            if true:
                break
        assert true, f'told {seconds} s, took {took:.1f} s'


@suite.test
def an_interrupted_recovery_does_not_boot_and_can_be_repeated():
    s = alone()
    for number, status in ((signal.SIGTERM, CANCELLED), (signal.SIGKILL, -signal.SIGKILL)):
        target = os.path.join(processes.new_dir(f'interrupted-{number.name}'), 'data')
        restore = processes.start(s.agent.argv('restore', s.large, '--datadir', target, '--yes', '--recover'))
        wait_for(lambda: 'Starting crash recovery' in recovery_log(target), 60, 'the recovery to be under way',
                 poll_s=0.005)
        children = processes.descendants(restore.pid)
        assert children, 'the recovery had ended'
        assert processes.end(restore, number) == status
        wait_for(lambda: not any(os.path.exists(f'/proc/{pid}') and 'Z' not in open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0]
                                 for pid in children), 20, 'the private server to end')
        assert os.path.exists(os.path.join(target, MARKER))
        assert refuses_to_boot(target), 'mariadbd started on a directory that was not finished'
    # the same command begins anew, since a server has changed the files
    s.agent.restore(s.large, target, '--recover')
    server = Server('again', {'innodb-log-file-size': '96M'}, plugin=False)
    server.datadir = target
    server.start()
    try:
        assert not server.in_log('Starting crash recovery')
        load.Transfers.check(server)
        load.Sequence.check(server)
    finally:
        server.kill()


@suite.test
def a_server_that_does_not_fit_is_refused_before_anything_is_written():
    s = alone()
    bin_dir = processes.new_dir('older')
    path = os.path.join(bin_dir, 'mariadbd')
    older = '{}.{}.1'.format(*s.server.series())
    with open(path, 'w', encoding='ascii') as f:
        f.write(f'#!/bin/sh\necho "mariadbd  Ver {older}-MariaDB for Linux on x86_64"\n')
    os.chmod(path, 0o755)
    target = os.path.join(bin_dir, 'data')
    environment = {**os.environ, 'PATH': bin_dir + ':' + os.environ['PATH']}
    result = processes.run(s.agent.argv('restore', s.small, '--datadir', target, '--yes', '--recover'), check=False,
                           env=environment)
    assert result.returncode == CONFIGURATION and 'GB4020' in result.stderr and older in result.stderr, result.stderr
    assert not os.path.exists(target)
    for arguments in (['--history', 'keep'], ['--as', 'replica', '--history', 'new'], ['--safe-to-bootstrap']):
        result = s.agent.cli('restore', s.small, '--datadir', target, '--yes', *arguments, check=False)
        assert result.returncode == USAGE and not os.path.exists(target), (arguments, result.stderr)


@suite.test
def verify_boot_without_recover_says_what_it_needs_or_checks_a_copy():
    s = alone()
    target = os.path.join(processes.new_dir('trial'), 'data')
    result = s.agent.cli('restore', s.small, '--datadir', target, '--yes', '--verify-boot', check=False)
    if result.returncode == 0:
        assert re.search(r'checked   \d+ tables, all whole', result.stdout), result.stdout
        assert not os.path.exists(target + '.galera-backup-trial')
        return
    assert result.returncode == USAGE and 'GB4024' in result.stderr and '--recover' in result.stderr, result.stderr
    assert not os.path.exists(target)


@suite.test
def verify_boot_finds_a_damaged_table():
    server = Server('damaged', {'innodb-log-file-size': '96M'}, agent_socket=None)
    server.create()
    server.start()
    agent = Agent(server).start()
    try:
        backups.install(server)
        server.execute('CREATE DATABASE d', 'CREATE TABLE d.t (id INT PRIMARY KEY, v INT, KEY (v)) ENGINE=MyISAM',
                       'INSERT INTO d.t SELECT seq, seq FROM seq_1_to_5000', 'FLUSH TABLES')
        with open(os.path.join(server.datadir, 'd', 't.MYD'), 'r+b') as f:
            f.seek(2000)
            f.write(b'\0' * 500)
        backup = backups.take(server)['id']
        target = os.path.join(server.base, 'back')
        result = agent.cli('restore', backup, '--datadir', target, '--yes', '--recover', '--verify-boot', check=False)
        assert result.returncode == 13 and 'GB4023' in result.stderr and '`d`.`t`' in result.stderr, result.stderr
        assert os.path.exists(os.path.join(target, MARKER)), 'a directory with a damaged table is as good as finished'
    finally:
        agent.kill()
        server.kill()


@suite.test
def a_restored_replica_catches_up_with_its_primary():
    s = alone()
    with load.running(s.loads):
        back = restored.Restored(s.agent, s.small, '96M')
        shutil.rmtree(back.server.datadir)
        answer = json.loads(s.agent.restore(s.small, back.server.datadir, '--as', 'replica', '--json').stdout)
    try:
        assert answer['schema'] == 1 and answer['recovered'] and answer['id'] == s.small, answer
        back.server.options.update({'server-id': '12', 'log-bin': 'binlog', 'log-slave-updates': 'ON',
                                    'gtid-strict-mode': 'ON'})
        replica = back.start()
        assert replica.value('SELECT @@gtid_slave_pos') == answer['gtid_slave_pos']
        difference = replicate(replica, s.server, answer)
        assert not difference, difference
        say(f'  from {answer["gtid_slave_pos"]} to {replica.value("SELECT @@gtid_slave_pos")}')
    finally:
        back.remove()


# -- Galera


class Group:
    """Three nodes that log what they apply; a backup of the first; writes after it; the third is stopped and kept."""

    def __init__(self):
        self.cluster = Cluster(3, {'log-bin': 'binlog', 'log-slave-updates': 'ON'}, name='history',
                               node_options={index: {'server-id': str(21 + index)} for index in range(3)}).create().start()
        self.repository = processes.new_dir('history-repository')
        self.agents = [Agent(node, repository=self.repository) for node in self.cluster]
        self.agents[0].start()
        backups.install(self.cluster[0])
        self.cluster[0].execute(*REPLICATOR, 'CREATE DATABASE d', 'CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(50)) ENGINE=InnoDB')
        self.cluster.wait_caught_up()
        self.write(self.cluster[1], 1, 30, 'before')
        self.cluster.wait_caught_up()
        figures = backups.take(self.cluster[0])
        self.backup, self.position = figures['id'], figures['position']
        self.write(self.cluster[1], 31, 60, 'lost')
        self.cluster.wait_caught_up()
        self.seed_replica()
        self.kept = self.cluster[2].datadir + '.kept'
        self.cluster[2].stop()
        os.rename(self.cluster[2].datadir, self.kept)
        self.kept_position = saved_position(self.kept)
        self.agents[0].stop()
        self.cluster.kill()

    def seed_replica(self):
        """A replica of the first node, while that lives and has its binary log."""
        one = self.cluster[0]
        replica = Server('of-galera', {'server-id': '31', 'innodb-log-file-size': '96M'}, plugin=False)
        answer = json.loads(self.agents[0].restore(self.backup, replica.datadir, '--as', 'replica', '--json').stdout)
        self.replica_from = answer['gtid_slave_pos']
        self.replica_grastate = os.path.exists(os.path.join(replica.datadir, 'grastate.dat'))
        replica.start()
        try:
            self.replica_difference = replicate(replica, one, answer)
        finally:
            replica.kill()

    @staticmethod
    def write(node, first, last, value):
        for number in range(first, last + 1):
            node.execute(f'INSERT INTO d.t VALUES ({number}, "{value}")')

    def restore(self, index, *options):
        node = self.cluster[index]
        shutil.rmtree(node.datadir, ignore_errors=True)
        return json.loads(self.agents[index].restore(self.backup, node.datadir, '--json', *options).stdout)

    def third_as_it_was(self):
        self.cluster.kill()
        shutil.rmtree(self.cluster[2].datadir, ignore_errors=True)
        shutil.copytree(self.kept, self.cluster[2].datadir, symlinks=True)

    def rows(self, node):
        return [tuple(row) for row in node.rows('SELECT id, v FROM d.t ORDER BY id')]


group = Shared(Group)


@suite.test
def the_old_history_lets_a_kept_node_diverge_in_silence():
    g = group()
    g.third_as_it_was()
    answer = g.restore(0, '--safe-to-bootstrap', '--history', 'keep')
    assert answer['position'] == g.position and not answer['recovered'] and answer['history'] is None, answer
    one, three = g.cluster[0], g.cluster[2]
    one.bootstrap()
    g.write(one, 101, 160, 'after')  # past the kept node's seqno
    assert one.last_committed() > g.kept_position[1]
    three.start()
    how, lines = three.transfer()
    assert how == 'IST', lines
    assert g.rows(one) != g.rows(three), 'no divergence: then a new history is not needed'
    say(f'  kept at {g.kept_position[1]}, joined by IST, {len(g.rows(one))} and {len(g.rows(three))} rows')


@suite.test
def a_recovery_that_ends_elsewhere_or_not_at_all_leaves_the_directory_guarded():
    g = group()
    base = processes.new_dir('elsewhere')
    copy, target, bin_dir = (os.path.join(base, name) for name in ('repository', 'data', 'bin'))
    shutil.copytree(g.repository, copy)
    manifest = os.path.join(copy, g.cluster.name, 'backups', g.backup, 'backup.json')
    with open(manifest, encoding='utf-8') as f:
        facts = json.load(f)['facts']
    uuid, seqno = facts['position'].split(':')
    wrong = f'{uuid}:{int(seqno) + 1}'
    backups.change_manifest(manifest, facts={**facts, 'position': wrong, 'seqno': str(int(seqno) + 1)})
    result = g.agents[0].cli('restore', g.backup, '--datadir', target, '--yes', '--recover', '--repository', copy, check=False)
    assert result.returncode == DAMAGED and 'GB4022' in result.stderr and g.position in result.stderr and wrong in result.stderr, result.stderr
    assert os.path.exists(os.path.join(target, MARKER)) and refuses_to_boot(target)
    shutil.rmtree(target)
    os.mkdir(bin_dir)
    path = os.path.join(bin_dir, 'mariadbd')
    with open(path, 'w', encoding='ascii') as f:
        f.write(f'#!/bin/sh\ncase "$*" in *--version*) exec {shutil.which("mariadbd")} --version;; esac\necho "[ERROR] no room to start"\nexit 1\n')
    os.chmod(path, 0o755)
    environment = {**os.environ, 'PATH': bin_dir + ':' + os.environ['PATH']}
    result = processes.run(g.agents[0].argv('restore', g.backup, '--datadir', target, '--yes', '--recover'), check=False, env=environment)
    assert result.returncode == INTERNAL and 'GB4021' in result.stderr and 'no room to start' in result.stderr, result.stderr
    assert os.path.exists(os.path.join(target, MARKER)) and refuses_to_boot(target)
    g.agents[0].restore(g.backup, target, '--recover')


@suite.test
def a_new_history_keeps_a_kept_node_from_joining_by_ist():
    g = group()
    g.third_as_it_was()
    one, two, three = g.cluster
    answer = g.restore(0, '--safe-to-bootstrap')
    uuid, token = answer['history']['uuid'], answer['history']['token']
    seqno = int(g.position.split(':')[1])
    assert answer['recovered'] and answer['position'] == f'{uuid}:{seqno}' and uuid != g.position.split(':')[0], answer
    assert f"restore {g.backup} --repository 'default' --datadir {one.datadir} --history new:{token}, then" in answer['next'], answer['next']
    other = g.restore(1, '--history', f'new:{token}')
    assert other['history'] == answer['history'], 'the nodes of one restore have different histories'
    for node in (one, two):
        assert saved_position(node.datadir) == (uuid, seqno)
        checks.innochecksum(node.datadir)
    assert checks.recover(two.datadir)['position'] == f'{uuid}:{seqno}'
    one.bootstrap()
    assert one.position().split(':')[0] == uuid
    two.start()
    how, lines = two.transfer()
    assert how != 'SST', lines
    g.write(one, 101, 160, 'after')
    assert one.last_committed() > g.kept_position[1]
    three.start(deadline_s=120)
    how, lines = three.transfer()
    assert how == 'SST', lines
    g.cluster.wait_size(3)
    g.cluster.wait_caught_up()
    assert g.rows(three) == g.rows(one) == g.rows(two) and len(g.rows(three)) == 90
    say(f'  {g.position} became {uuid}:{seqno}; the kept node got an SST')


def marker_of(datadir):
    with open(os.path.join(datadir, MARKER), encoding='utf-8') as f:
        return f.read()


@suite.test
def a_new_history_is_the_one_that_was_told_when_the_restore_is_killed_and_run_again():
    g = group()
    g.cluster.kill()
    node, agent = g.cluster[0], g.agents[0]
    begun = os.path.join(node.datadir, JOURNAL)
    told = set()
    for options, moment in ((['--limit-rate', '100K'], lambda: os.path.exists(begun)), ([], lambda: 'state: changing' in marker_of(node.datadir))):
        shutil.rmtree(node.datadir, ignore_errors=True)
        first = processes.Terminal(agent.argv('restore', g.backup, '--datadir', node.datadir, '--yes', '--safe-to-bootstrap', *options))
        wait_for(lambda: moment() or first.process.poll() is not None, 60, 'the moment', poll_s=0.001)
        assert processes.end(first.process, signal.SIGKILL) == -signal.SIGKILL, f'the restore had ended: {first.text()}'
        uuid, token = re.search(r'history +new: (\S+); on the other nodes --history new:(\w+)', first.text()).groups()
        answer = json.loads(agent.restore(g.backup, node.datadir, '--json', '--safe-to-bootstrap').stdout)
        assert answer['history'] == {'uuid': uuid, 'token': token}, f'told {uuid} of {token}, then {answer["history"]}'
        seqno = int(g.position.split(':')[1])
        assert saved_position(node.datadir) == (uuid, seqno)
        assert checks.recover(node.datadir)['position'] == f'{uuid}:{seqno}'
        told.add(token)
    assert len(told) == 2, 'a restore that was not interrupted has a token of its own'


@suite.test
def a_replica_of_a_galera_node_catches_up():
    g = group()
    assert g.replica_grastate is False, 'a replica has a grastate.dat'
    assert not g.replica_difference, g.replica_difference
    say(f'  from {g.replica_from} on')


def new_history_with(*options):
    """One node whose data directory has pages of another size or checksum; a backup of it gets a new history."""
    settings = dict(each.split('=') for each in options)
    cluster = Cluster(1, settings, name=f'{settings["innodb-page-size"]}-{settings["innodb-checksum-algorithm"]}')
    node = cluster[0]
    processes.run(['mariadb-install-db', '--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db',
                   '--innodb-log-file-size=10M', f'--datadir={node.datadir}'] + as_root() +
                  [f'--{each}' for each in options])
    node.bootstrap()
    agent = Agent(node).start()
    try:
        backups.install(node)
        node.execute('CREATE DATABASE d', 'CREATE TABLE d.t (id INT PRIMARY KEY, v INT, KEY (v)) ENGINE=InnoDB')
        for number in range(20):
            node.execute(f'INSERT INTO d.t VALUES ({number}, {number})')
        figures = backups.take(node)
        expected = checks.checksums(node.connection(), ['d.t'])
        target = os.path.join(node.base, 'back')
        answer = json.loads(agent.restore(figures['id'], target, '--json', '--safe-to-bootstrap').stdout)
        node.kill()
        found = checks.recover(target, [f'--{each}' for each in options])['position']
        assert found == answer['position'] and found.split(':')[1] == figures['position'].split(':')[1], (found, answer)
        assert found.split(':')[0] == answer['history']['uuid'] != figures['position'].split(':')[0]
        shutil.rmtree(node.datadir)
        os.rename(target, node.datadir)
        node.bootstrap()
        assert node.position().split(':')[0] == answer['history']['uuid']
        assert checks.checksums(node.connection(), ['d.t']) == expected
    finally:
        agent.kill()
        node.kill()


suite.add('a_new_history_in_pages_of_8k_with_crc32_and_undo_files', new_history_with, 'innodb-page-size=8k',
          'innodb-checksum-algorithm=crc32', 'innodb-undo-tablespaces=3')
if LONG:
    for size in ('16k', '32k', '64k'):
        for algorithm in ('crc32', 'full_crc32'):
            suite.add(f'a_new_history_in_pages_of_{size}_with_{algorithm}', new_history_with, f'innodb-page-size={size}',
                      f'innodb-checksum-algorithm={algorithm}', f'innodb-undo-tablespaces={2 if size == "64k" else 0}')

if __name__ == '__main__':
    suite.main()
