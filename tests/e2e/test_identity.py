#!/usr/bin/python3
"""Whose a repository is: another cluster of the same name does not get in, by no way; the same cluster with a new history does."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, processes  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

suite = Suite()
NAME = 'regionone'
WRONG_CLUSTER = 8


def one_node(name, new_history=False):
    cluster = Cluster(1, name=name).create()
    if new_history:
        os.remove(os.path.join(cluster[0].datadir, 'grastate.dat'))
    return cluster.start()


class Scene:
    """Two clusters of one node each, both called regionone in their agents' configuration, and one repository."""

    def __init__(self):
        self.repository = processes.new_dir('identity-repository')
        self.mine, self.other = one_node('mine')[0], one_node('other', new_history=True)[0]
        self.agents = [Agent(node, repository=self.repository, cluster=NAME).start() for node in (self.mine, self.other)]
        for node in (self.mine, self.other):
            backups.install(node)

    def identity(self):
        with open(os.path.join(self.repository, NAME, 'cluster.json'), encoding='ascii') as f:
            return json.load(f)

    def known(self):
        return [each['uuid'] for each in self.identity()['wsrep']]


shared = Shared(Scene)


def uuid_of(node):
    return node.status('wsrep_cluster_state_uuid')


def repository_rows(node):
    return [row for row in backups.call(node, 'BACKUP_CHECK', None) if row['check'].startswith('repository')]


def begin_anew(agent):
    """It collects before it says that it listens."""
    agent.stop()
    before = agent.log_text().count(' listens at ')
    agent.start()
    wait_for(lambda: agent.log_text().count(' listens at ') > before, 30, 'the agent to begin', while_true=agent.alive)


def refused_to_change(s, first):
    """Nor does it hold, release, expire or collect what is there. Returns what it was told."""
    texts = []
    left = os.path.join(s.repository, NAME, 'backups', '20260101T000000Z-full-00000001')
    held = os.path.join(s.repository, NAME, 'backups', first, 'hold.json')
    os.makedirs(os.path.join(left, 'data'))
    for words in (('hold', first), ('release', first), ('expire', '--dry-run'), ('expire',), ('repo', 'gc')):
        ran = s.agents[1].cli(*words, check=False)
        assert ran.returncode == WRONG_CLUSTER and 'GB3004' in ran.stderr, (words, ran)
        texts.append(ran.stderr)
    number, text = backups.error_of(backups.call, s.other, 'BACKUP_HOLD', first, None)
    assert number == 23004 and 'GB3004' in text, text
    texts.append(text)
    begin_anew(s.agents[1])  # nor when its agent starts
    assert os.path.exists(left) and not os.path.exists(held)
    # who has no configuration has no identity; and those that it belongs to may
    processes.run([binary(), 'hold', first, '--repository', s.repository])
    assert os.path.exists(held)
    s.agents[0].cli('release', first)
    assert not os.path.exists(held)
    backups.call(s.mine, 'BACKUP_HOLD', first, None)
    assert os.path.exists(held)
    backups.call(s.mine, 'BACKUP_RELEASE', first)
    s.agents[0].cli('expire')
    begin_anew(s.agents[0])
    assert not os.path.exists(left)
    return texts


@suite.test
def another_cluster_of_that_name_is_refused_until_it_is_adopted():
    s = shared()
    first = backups.take(s.mine)['id']
    assert s.known() == [uuid_of(s.mine)], s.identity()
    before = s.agents[1].listed()
    # by BACKUP_START, its dry run, BACKUP_CHECK and save: each names both and what to do
    texts = [backups.Caller(s.other, **options).failed_with('GB3004') for options in ({}, {'dry_run': True})]
    row, = [row for row in repository_rows(s.other) if row['result'] == 'FAIL']
    texts.append(f'{row["detail"]}; {row["remedy"]}')
    copy = processes.new_dir('saved')
    for name in ('grastate.dat', 'ibdata1', 'mysql', 'ib_logfile0'):
        source = os.path.join(s.other.datadir, name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, os.path.join(copy, name))
    with open(os.path.join(copy, 'grastate.dat'), 'w', encoding='ascii') as f:
        f.write(f'# GALERA saved state\nversion: 2.1\nuuid:    {uuid_of(s.other)}\nseqno:   -1\nsafe_to_bootstrap: 0\n')
    saved = s.agents[1].cli('save', '--datadir', copy, check=False)
    assert saved.returncode == WRONG_CLUSTER, saved
    texts.append(saved.stderr)
    command = f'repo adopt --repository \'default\' --cluster {NAME} --wsrep-uuid {uuid_of(s.other)}'
    for text in texts:
        assert uuid_of(s.mine) in text and uuid_of(s.other) in text, text
        assert 'repo adopt' in text, text
    assert command in texts[0], texts[0]
    texts += refused_to_change(s, first)
    assert s.agents[1].listed() == before == [first] and s.known() == [uuid_of(s.mine)]
    say(f'  {texts[0]}')
    # the command of the message does it
    answer = s.agents[1].json(*command.replace("'", '').split())
    assert [each['uuid'] for each in answer['wsrep']] == [uuid_of(s.mine), uuid_of(s.other)] == s.known(), answer
    second = backups.take(s.other)['id']
    assert s.agents[0].listed() == [second, first]
    assert backups.take(s.mine)['state'] == 'succeeded'


@suite.test
def a_cluster_with_a_new_history_goes_on_by_itself():
    s = shared()
    backups.take(s.mine)
    before = uuid_of(s.mine)
    s.mine.stop()
    os.remove(os.path.join(s.mine.datadir, 'grastate.dat'))
    s.mine.bootstrap()
    assert uuid_of(s.mine) != before
    assert not [row for row in repository_rows(s.mine) if row['result'] == 'FAIL']
    backups.take(s.mine)
    assert uuid_of(s.mine) in s.known() and before in s.known(), s.identity()


@suite.test
def a_newer_repository_is_refused_by_name():
    s = shared()
    path = os.path.join(s.repository, NAME, 'cluster.json')
    newer = {**s.identity(), 'format': 2}
    shutil.copy(path, path + '.kept')
    with open(path, 'w', encoding='ascii') as f:
        json.dump(newer, f)
    try:
        text = backups.Caller(s.mine).failed_with('GB3007')
        assert 'format 2' in text and 'cluster.json' in text, text
    finally:
        os.rename(path + '.kept', path)
    backups.take(s.mine)


suite.main()
