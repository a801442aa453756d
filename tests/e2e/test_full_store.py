#!/usr/bin/python3
"""A living three-node cluster, backed up encrypted to an object store over https, through the S3 API and through Swift's own; the store is killed in the middle
of one. From each backup a wrecked node comes back: nothing but the URL, the private key and the trusted signer is needed, and it rejoins by IST.
"""
import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, checks, load, oracle, processes, restored  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.cluster import Cluster  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.swift import Swift  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

PREFIX = 'control-plane/db'
BESIDE = 'control-plane/second'
DATA_MB = 24
OPTIONS = {'wsrep-mode': 'REPLICATE_MYISAM,REPLICATE_ARIA'}

suite = Suite()


class Scene:
    def __init__(self):
        for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
            os.environ.pop(name, None)
        self.swift = Swift(tls=True).start().make_bucket()
        keys = processes.new_dir('keys')
        self.key, self.sign = os.path.join(keys, 'key'), os.path.join(keys, 'sign')
        processes.run([binary(), 'key', 'generate', self.key])
        processes.run([binary(), 'key', 'generate', self.sign, '--kind', 'ed25519'])
        self.cluster = Cluster(3, OPTIONS, name='store').create().start()
        common = {'prefix': PREFIX, 'compression': 'none', 'encryption_recipient': f'file:{self.key}.pub', 'signing_key': self.sign,
                  'request_attempts': 3, 'request_timeout': '10s'}
        self.node = self.cluster[2]
        self.agent = Agent(self.node, repositories={'default': self.swift.repository(**common), 'swift': self.swift.native(**common),
                                                    'beside': self.swift.native(**{**common, 'prefix': BESIDE})}).start()
        backups.install(self.cluster[0])
        writer = self.cluster[1]
        self.loads = [load.Transfers(writer, 21), load.Sequence(writer, 22), load.Ddl(writer, 23)]
        for each in self.loads:
            each.prepare(writer)
        load.bulk(writer, 'sbtest', 2, DATA_MB // 2 << 20)
        self.cluster.wait_caught_up()

    @contextlib.contextmanager
    def written_to(self):
        with load.running(self.loads):
            yield

    def wait_written(self, more=5):
        goals = [(each, each.done + more) for each in self.loads]
        wait_for(lambda: all(each.done >= goal or each.failure for each, goal in goals), 120, 'the loads to write')

    def to_read(self, url):
        return ['--repository', url, '--key', self.key, '--trusted-signer', f'{self.sign}.pub']


shared = Shared(Scene)


def comes_back(repository, url):
    s = shared()
    with s.written_to():
        s.wait_written()
        figures, expected = oracle.backup(s.node, repository=repository)
        s.wait_written()
        s.node.kill()
        s.node.wipe()
        s.wait_written()
        processes.run([binary(), 'restore', figures['id'], *s.to_read(url), '--datadir', s.node.datadir, '--yes', '--progress', 'none'])
        s.node.start()
        how, lines = s.node.transfer()
        assert how == 'IST' and not any('Proceeding with SST' in line for line in lines), f'joined by {how}: {lines}'
        s.wait_written()
    position = s.cluster.wait_caught_up()
    alike = checks.assert_alike(s.cluster.nodes)
    for each in (load.Transfers, load.Sequence):
        each.check(s.node)
    # and what was in the pause is what a server of its own has
    back = restored.Restored(s.agent, figures['id'], options=s.to_read(url))
    try:
        back.check_recovery()
        back.start()
        back.check_data(expected)
    finally:
        back.remove()
    say(f'  restored at {figures["position"]}, all at {position}, {len(alike)} tables alike on 3 nodes')


@suite.test
def through_s3_a_wrecked_node_comes_back_by_ist():
    comes_back('default', shared().swift.url(PREFIX))


@suite.test
def a_store_that_is_killed_in_the_middle_leaves_the_cluster_as_it_was():
    s = shared()
    before = s.agent.listed()
    with s.written_to():
        backups.hold(s.node, 'FLUSH')
        caller = backups.Caller(s.node, repository='swift')
        backups.wait_held(s.node, 'FLUSH')
        s.swift.kill()
        backups.release(s.node)
        say(f'  {caller.failed_with("GB3013", "GB3008")}')
        wait_for(lambda: s.node.status('wsrep_local_state_comment') == 'Synced', 60, f'{s.node.name} to be Synced')
        assert s.node.value('SELECT @@GLOBAL.wsrep_desync') == 0
        s.wait_written()
    s.swift.start()
    assert sorted(s.agent.listed()) == sorted(before)


@suite.test
def through_swift_a_wrecked_node_comes_back_by_ist():
    comes_back('swift', shared().swift.native_url(PREFIX))
    s = shared()
    listed = [row for row in s.agent.json('list', '--repository', 'swift')['backups'] if row['state'] == 'succeeded']
    left = {key.split('/backups/')[1].split('/')[0] for key in s.swift.keys() if '/backups/' in key}
    assert left == {row['id'] for row in listed}, f'{left}: what the killed store kept has not been tidied up'


@suite.test
def both_get_one_backup_at_once():
    s = shared()
    with s.written_to():
        backup = backups.take(s.node, repository=['default', 'beside'])['id']
    for url in (s.swift.url(PREFIX), s.swift.native_url(BESIDE)):
        s.agent.cli('verify', backup, *s.to_read(url))


suite.main()
