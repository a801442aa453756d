"""A Galera cluster on the loopback: each node a Server with provider, ports and a donor script of its own.

All nodes start from copies of one data directory, that of a node which bootstrapped once and shut down cleanly: the
first bootstraps, the others join by IST, and no state transfer is needed to begin.
"""
import os
import re
import shutil

from . import processes
from .server import Server, START_DEADLINE_S, template
from .waiting import wait_for

PROVIDER = '/usr/lib/galera/libgalera_smm.so'
SYNC_DEADLINE_S = 60


class Node(Server):
    def __init__(self, cluster, index, options, plugin, base):
        super().__init__(f'n{index + 1}', base=base, plugin=plugin)
        self.cluster = cluster
        self.group_port, self.ist_port, self.sst_port = processes.free_ports(3)
        self.options.update({
            'binlog-format': 'ROW', 'innodb-autoinc-lock-mode': '2', 'innodb-flush-log-at-trx-commit': '2',
            'wsrep-on': 'ON', 'wsrep-provider': PROVIDER, 'wsrep-cluster-name': cluster.name,
            'wsrep-node-name': self.name, 'wsrep-node-address': '127.0.0.1',
            'wsrep-sst-method': cluster.sst_method, 'wsrep-sst-auth': 'root:',
            'wsrep-sst-receive-address': f'127.0.0.1:{self.sst_port}', 'wsrep-slave-threads': '4',
        })
        self.options.update(options)

    def provider_options(self):
        given = {
            'base_host': '127.0.0.1', 'base_port': self.group_port,
            'gmcast.listen_addr': f'tcp://127.0.0.1:{self.group_port}',
            'ist.recv_addr': f'127.0.0.1:{self.ist_port}',
            'gcache.size': '64M', 'pc.recovery': 'false',
            # a dead node is forgotten within seconds; generous enough for two busy cores
            'evs.keepalive_period': 'PT0.5S', 'evs.suspect_timeout': 'PT3S', 'evs.inactive_timeout': 'PT6S',
            'evs.inactive_check_period': 'PT0.25S', 'evs.install_timeout': 'PT6S', 'pc.announce_timeout': 'PT3S',
            'gmcast.peer_timeout': 'PT2S',
        }
        given.update(self.cluster.provider_options)
        return '; '.join(f'{key}={value}' for key, value in given.items())

    def settings(self):
        others = ','.join(f'127.0.0.1:{node.group_port}' for node in self.cluster.nodes if node is not self)
        settings = super().settings()
        settings.update({'wsrep-cluster-address': f'gcomm://{others}',
                         'wsrep-provider-options': f"'{self.provider_options()}'"})
        return settings

    def bootstrap(self, deadline_s=START_DEADLINE_S):
        return self.start(['--wsrep-new-cluster'], deadline_s)

    def synced(self):
        return self.status('wsrep_local_state_comment') == 'Synced' and self.status('wsrep_ready') == 'ON'

    def wait_synced(self, deadline_s=SYNC_DEADLINE_S):
        wait_for(self.synced, deadline_s, f'{self.name} to be Synced', while_true=self.alive)
        return self

    def start(self, extra=(), deadline_s=START_DEADLINE_S):
        super().start(extra, deadline_s)
        return self.wait_synced(deadline_s)

    def start_after_crash(self):
        """As systemd does it with galera_recovery: the position comes from the data, since grastate.dat has none."""
        from .checks import recover
        position = recover(self.datadir)['position']
        assert position, f'{self.name}: no position in {self.datadir}'
        return self.start([f'--wsrep-start-position={position}'])

    def position(self):
        """uuid:seqno of the last write-set committed here."""
        return f'{self.status("wsrep_local_state_uuid")}:{self.status("wsrep_last_committed")}'

    def last_committed(self):
        return int(self.status('wsrep_last_committed'))

    def grastate(self, position_uuid, seqno, safe_to_bootstrap=0):
        with open(os.path.join(self.datadir, 'grastate.dat'), 'w', encoding='ascii') as f:
            f.write(f'# GALERA saved state\nversion: 2.1\nuuid:    {position_uuid}\nseqno:   {seqno}\n'
                    f'safe_to_bootstrap: {safe_to_bootstrap}\n')

    def transfer(self):
        """How this node got into the cluster at its last start: ('IST', 'nothing' or 'SST', the log's own lines)."""
        lines = [line for line in self.log_text().splitlines() if re.search(r'\bIST\b|SST|state transfer', line)]
        text = '\n'.join(lines)
        if re.search(r'Proceeding with SST|Resetting GCache seqno map due to different histories', text):
            return 'SST', lines
        if re.search(r'IST received: ', text) and re.search(r'Receiving IST: \d+ writesets', text):
            return 'IST', lines
        return 'nothing', lines


def saved_position(datadir):
    """(uuid, seqno) of grastate.dat."""
    with open(os.path.join(datadir, 'grastate.dat'), encoding='ascii') as f:
        text = f.read()
    return re.search(r'uuid:\s*(\S+)', text).group(1), int(re.search(r'seqno:\s*(\S+)', text).group(1))


def galera_template():
    """The data directory of a cluster's first node after a clean shutdown, made once in a run."""
    path = template() + '-galera'
    if not os.path.isdir(os.path.join(path, 'mysql')):
        seed = Cluster(1, {'innodb-log-file-size': '10M'}, plugin=False, name='seed')
        Server.create(seed[0])
        seed[0].bootstrap()
        seed[0].stop()
        os.remove(os.path.join(seed[0].datadir, 'galera.cache'))
        try:
            os.rename(seed[0].datadir, path)
        except OSError:  # another lane was first
            if not os.path.isdir(os.path.join(path, 'mysql')):
                raise
    return path


class Cluster:
    def __init__(self, count=3, options=None, plugin=True, sst_method='mariabackup', provider_options=None, name=None,
                 node_options=None):
        """options: mariadbd options of all nodes; node_options: {index: options}; provider_options: dictionary."""
        self.name = name or 'gbtest'
        self.sst_method = sst_method
        self.provider_options = dict(provider_options or {})
        self.nodes = []
        for index in range(count):
            own = dict(options or {})
            own.update((node_options or {}).get(index, {}))
            base = os.path.join(processes.run_dir(), f'{self.name}-n{index + 1}')
            self.nodes.append(Node(self, index, own, plugin, base))

    def __getitem__(self, index):
        return self.nodes[index]

    def __iter__(self):
        return iter(self.nodes)

    def create(self):
        source = galera_template()
        for index, node in enumerate(self.nodes):
            shutil.copytree(source, node.datadir, symlinks=True)
            if index:
                node.grastate(*saved_position(source), 0)
        return self

    def start(self):
        self.nodes[0].bootstrap()
        for node in self.nodes[1:]:
            node.start()
        return self.wait_size(len(self.nodes))

    def wait_size(self, size):
        for node in self.nodes:
            if node.process is not None:
                wait_for(lambda n=node: n.status('wsrep_cluster_size') == str(size) and n.synced(), SYNC_DEADLINE_S,
                         f'{node.name} to see {size} nodes and be Synced', while_true=node.alive)
        return self

    def wait_caught_up(self, deadline_s=SYNC_DEADLINE_S):
        """Until all running nodes have committed the same seqno: for a moment without writes."""
        running = [node for node in self.nodes if node.process is not None]
        wait_for(lambda: len({node.position() for node in running}) == 1, deadline_s,
                 'all nodes to have the same position', while_true=lambda: [node.alive() for node in running])
        return running[0].position()

    def stop(self):
        for node in reversed(self.nodes):
            if node.process is not None:
                node.stop()

    def kill(self):
        for node in self.nodes:
            node.kill()

    def wipe(self):
        for node in self.nodes:
            node.wipe()
