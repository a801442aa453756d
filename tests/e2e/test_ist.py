#!/usr/bin/python3
"""What is said about IST, held against how the node then joined (rule 29).

Three nodes with a gcache of some megabytes: a backup that is in its reach, and the same one when writes have pushed its
position out.
"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, processes  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

GCACHE_MB = 8
WRITE_BYTES = 50000

suite = Suite()


class Scene:
    def __init__(self):
        self.cluster = Cluster(3, name='gcache', provider_options={'gcache.size': f'{GCACHE_MB}M'}).create().start()
        self.donor, _, self.wrecked = self.cluster
        repository = processes.new_dir('repository')
        backups.install(self.donor)
        self.agents = [Agent(node, repository=repository).start() for node in self.cluster]
        self.donor.execute('CREATE DATABASE t', 'CREATE TABLE t.t (a INT PRIMARY KEY AUTO_INCREMENT, b MEDIUMTEXT)',
                           "CREATE USER asker@'127.0.0.1' IDENTIFIED BY 'not on the command line'")
        self.home, self.strange_home = self.make_home('asker'), self.make_home('stranger')
        self.backup = None

    def make_home(self, user):
        home = processes.new_dir(f'home-{user}')
        with open(os.path.join(home, '.my.cnf'), 'w', encoding='ascii') as f:
            f.write(f'[client]\nuser = {user}\npassword = "not on the command line"\n')
        return home

    def write(self, megabytes):
        for _ in range(megabytes * 1000000 // WRITE_BYTES):
            self.donor.execute(f'INSERT INTO t.t (b) VALUES (REPEAT("x", {WRITE_BYTES}))')
        self.cluster.wait_caught_up()

    def known(self, node):
        """{node: seqno} of the donors that a node knows."""
        return dict(node.rows('SELECT node, cached_downto FROM galera_backup.donors'))

    def listed(self, agent):
        return next(row for row in agent.json('list')['backups'] if row['id'] == self.backup)

    def listed_by_sql(self, node):
        return next(row for row in backups.call(node, 'BACKUP_LIST', None) if row['id'] == self.backup)

    def checked(self, node):
        return next(row for row in backups.call(node, 'BACKUP_CHECK', None) if row['check'] == 'ist_window')

    def asking(self, home, datadir, *options):
        """What a restore says that asks the donor."""
        argv = self.agents[2].argv('restore', self.backup, '--datadir', datadir, '--yes', '--donor', f'127.0.0.1:{self.donor.port}', *options)
        return processes.run(argv, env={**os.environ, 'HOME': home}).stdout

    def restore(self, home):
        self.wrecked.kill()
        self.wrecked.wipe()
        return self.asking(home, self.wrecked.datadir)

    def planned(self, home):
        """(text, JSON) of a dry run; nothing is written."""
        datadir = os.path.join(processes.run_dir(), 'planned')
        answers = self.asking(home, datadir, '--dry-run'), json.loads(self.asking(home, datadir, '--dry-run', '--json'))
        assert not os.path.exists(datadir)
        return answers

    def rejoin(self):
        """How the node asks to come back, once the log says it."""
        self.wrecked.launch()
        return wait_for(lambda: {'nothing': None}.get(self.wrecked.transfer()[0], self.wrecked.transfer()[0]), 60,
                        'the node to join')


shared = Shared(Scene)


@suite.test
def every_node_knows_all_donors():
    s = shared()
    wait_for(lambda: set(s.known(s.donor)) == set(s.known(s.wrecked)) == {'n1', 'n2', 'n3'}, 30, 'all agents to have told')
    for node in s.cluster:
        row = node.row("SELECT * FROM galera_backup.nodes WHERE node = 'n1'")
        assert row['gcache_bytes'] == GCACHE_MB << 20 and row['address'] == f'127.0.0.1:{s.donor.port}', row
        assert row['state_uuid'] == node.status('wsrep_cluster_state_uuid'), row
    # its own figures a node tells as they are now
    s.write(1)
    live = int(s.donor.status('wsrep_last_committed'))
    assert s.donor.value("SELECT last_committed FROM galera_backup.donors WHERE node = 'n1'") >= live


@suite.test
def possible_and_it_was_ist():
    s = shared()
    s.backup = backups.take(s.wrecked)['id']
    seqno = int(s.agents[2].json('info', s.backup)['position'].split(':')[1])
    s.write(2)
    for index, node in enumerate(s.cluster):
        wait_for(lambda: s.listed_by_sql(node)['ist'] == 'yes', 30, 'the list to say yes')
        least = node.last_committed() - seqno  # agents write in between
        row = s.listed(s.agents[index])
        assert row['ist'] == 'yes' and least <= row['ist_writesets'] <= node.last_committed() - seqno, row
        assert row['ist_writesets'] <= s.listed_by_sql(node)['ist_writesets'] <= node.last_committed() - seqno
        assert 'n1' in row['ist_donors'], row
    assert re.search(r'(?m)^ID .* IST +POSITION$', s.agents[0].cli('list').stdout)
    assert re.search(r'(?m)^IST +possible: \d+ write-sets', s.agents[0].cli('info', s.backup).stdout)
    found = wait_for(lambda: s.checked(s.donor)['result'] == 'OK' and s.checked(s.donor), 30, 'the check to be content')
    assert s.backup in found['detail'] and f'gcache.size {GCACHE_MB} MB' in found['detail'], found
    before, (text, plan) = s.donor.last_committed() - seqno, s.planned(s.home)
    assert re.search(r'(?m)^IST +possible: \d+ write-sets .* from n1', text), text
    assert plan['ist'] == 'yes' and before <= plan['ist_writesets'] <= s.donor.last_committed() - seqno and 'n1' in plan['ist_donors'], plan
    report = s.restore(s.home)
    assert re.search(r'(?m)^IST +possible: \d+ write-sets .* from n1', report), report
    assert s.rejoin() == 'IST', s.wrecked.transfer()
    s.wrecked.wait_synced()
    assert s.donor.rows('CHECKSUM TABLE t.t') == s.wrecked.rows('CHECKSUM TABLE t.t')


@suite.test
def a_donor_that_cannot_be_asked_is_told_what_to_ask():
    s = shared()
    wait_for(lambda: len(s.known(s.donor)) == 3, 60, 'the node that came back to be known')
    text, plan = s.planned(s.strange_home)
    assert 'could not be asked' in text and 'stranger' in text and (plan['ist'], plan['ist_writesets']) == ('unknown', None), (text, plan)
    report = s.restore(s.strange_home)
    seqno = s.agents[2].json('info', s.backup)['position'].split(':')[1]
    assert f"wsrep_local_cached_downto': possible where it is {seqno} or less" in report, report
    assert 'could not be asked' in report and 'stranger' in report and 'restored' in report, report
    # who has left is not counted any more
    wait_for(lambda: set(s.known(s.donor)) == {'n1', 'n2'}, 60, 'the node that is gone not to be counted')
    result = s.agents[1].cli('list', '--donor', 'nowhere:0', check=False)
    assert 'GB1003' in result.stderr or 'HOST:PORT' in result.stderr, result.stderr
    s.wrecked.start()


@suite.test
def not_possible_and_it_was_sst():
    s = shared()
    wait_for(lambda: len(s.known(s.donor)) == 3, 60, 'the node that came back to be known')
    s.write(GCACHE_MB + 4)
    downto = int(s.donor.status('wsrep_local_cached_downto'))
    seqno = int(s.agents[2].json('info', s.backup)['position'].split(':')[1])
    assert downto > seqno, f'{downto}, {seqno}: the gcache still has it'
    wait_for(lambda: s.listed_by_sql(s.donor)['ist'] == 'no', 30, 'the list to say no')
    least, row = s.donor.last_committed() - seqno, s.listed_by_sql(s.donor)
    assert least <= row['ist_writesets'] <= s.donor.last_committed() - seqno, row
    assert s.listed(s.agents[0])['ist'] == 'no'
    found = s.checked(s.donor)
    wanted = int(re.search(r'at least (\d+)M', found['remedy']).group(1))
    assert found['result'] == 'WARN' and 'SST' in found['detail'] and wanted > GCACHE_MB, found
    # all that was written since the backup: 2 MB, a node that came back twice, and what pushed it out
    assert GCACHE_MB + 6 < wanted < 2 * (GCACHE_MB + 6), found
    say(f'  {found["detail"]}; {found["remedy"]}')
    result = s.agents[0].cli('check', check=False)
    assert re.search(r'(?m)^WARN +ist_window', result.stdout), result.stdout
    text, plan = s.planned(s.home)
    assert re.search(r'(?m)^IST +not possible: \d+ write-sets are missing.*gcache.size = \d+M', text), text
    assert plan['ist'] == 'no' and row['ist_writesets'] <= plan['ist_writesets'] <= s.donor.last_committed() - seqno, plan
    report = s.restore(s.home)
    assert re.search(r'(?m)^IST +not possible: \d+ write-sets are missing.*gcache.size = \d+M', report), report
    assert s.rejoin() == 'SST', s.wrecked.transfer()


suite.main()
