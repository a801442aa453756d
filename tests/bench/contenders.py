"""The two tools, each with a full backup to a directory and a restore to a server that answers (encrypted.py: other ways of both).

mariadb-backup is run as its manual says: streamed, compressed by zstd with two threads, flushed to disk at the end as
ours is; restored by unpacking, --prepare, --move-back.
"""
import os
import resource
import shutil
import time

from gbtest import backups, measure, processes
from gbtest.agent import Agent
from gbtest.server import Server, build_dir
from gbtest.waiting import wait_for

POOL = os.environ.get('BENCH_POOL', '512M')
THREADS = os.environ.get('BENCH_THREADS', '2')
BACKUP_DEADLINE_S = 3600


class Took:
    def __init__(self, seconds, cpu, stored=0, ready=None, blocked_ms=None, synced=None, memory=None, store_cpu=None):
        self.seconds, self.cpu, self.stored, self.ready, self.blocked_ms = seconds, cpu, stored, ready, blocked_ms
        self.memory = memory  # MiB: what the server has more, what the agent has at most
        self.synced = synced  # seconds until a restored directory is on disk
        self.store_cpu = store_cpu  # of the object store's own processes, where there is one


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def size_of(path):
    return sum(os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(path)
               for name in names)


class Tool:
    name = None  # of directories
    title = property(lambda self: self.name)  # of a column

    def __init__(self, node):
        self.node = node
        self.directory = processes.new_dir(f'{node.cluster.name}-{self.name}')
        self.discarded = processes.new_dir(f'{node.cluster.name}-{self.name}-discarded')
        self.count = 0

    def discard(self, path):
        """Out of the way, and removed at the end: ext4 does not give out the inodes of removed files again for a minute to six, and
        looks for others so long that it would be most of the time of a restore of many small files."""
        self.count += 1
        os.rename(path, os.path.join(self.discarded, str(self.count)))

    def start_restored(self, datadir, begin):
        """Starts a plain server on the directory; seconds from begin to its first answer."""
        server = Server(f'{self.node.cluster.name}-{self.name}-back{self.count}', {
            'innodb-buffer-pool-size': POOL, 'innodb-log-file-size': '512M'}, plugin=False)
        os.rename(datadir, server.datadir)
        server.start(deadline_s=600)
        ready = time.monotonic() - begin
        cpu = processes.cpu_seconds(server.process.pid)
        server.kill()
        self.discard(server.base)
        return ready, cpu

    def store_cpu(self):
        """CPU seconds of the object store so far; None: it goes to a directory."""

    def forget(self):
        """Removes what the last backup stored."""

    def end(self):
        shutil.rmtree(self.discarded)


class GaleraBackup(Tool):
    """Its repository has its name; the agent is shared by all that are given to start_agent()."""
    name = 'galera-backup'
    agent = None
    to_read = ()  # more options of a restore

    def section(self):
        return {'type': 'directory', 'path': self.directory, 'min-free': '0%'}

    def cpu(self):
        return processes.cpu_seconds(self.node.process.pid) + processes.cpu_seconds(self.agent.process.pid)

    def backup(self):
        before, begin = self.cpu(), time.monotonic()
        with measure.Memory(self.node.process.pid) as server, measure.Memory(self.agent.process.pid) as agent:
            figures = backups.take(self.node, BACKUP_DEADLINE_S, threads=int(THREADS), repository=self.name)
            seconds = time.monotonic() - begin
        self.id = figures['id']
        return Took(seconds, self.cpu() - before, self.stored(), blocked_ms=int(figures['blocked_ms']),
                    memory=(server.most - server.before, agent.most))

    def stored(self):
        return size_of(self.directory)

    def restore(self):
        self.count += 1
        target = os.path.join(self.directory + '-back', str(self.count))
        before, begin = children_cpu(), time.monotonic()
        self.agent.restore(self.id, target, '--repository', self.name, *self.to_read, timeout=BACKUP_DEADLINE_S)
        seconds, cpu = time.monotonic() - begin, children_cpu() - before
        ready, server_cpu = self.start_restored(target, begin)
        return Took(seconds, cpu + server_cpu, ready=ready, synced=seconds)

    def forget(self):
        root = os.path.join(self.directory, self.node.cluster.name, 'backups', self.id)
        if os.path.isdir(root):
            self.discard(root)

    def end(self):
        super().end()
        self.agent.kill()


def start_agent(node, tools):
    agent = Agent(node, repositories={tool.name: tool.section() for tool in tools}).start()
    for tool in tools:
        tool.agent = agent


class MariadbBackup(Tool):
    name = 'mariadb-backup'

    def path(self):
        return os.path.join(self.directory, 'backup')

    def out(self):
        """The end of the pipe of a backup, and the beginning of that of a restore: back()."""
        return f'zstd -q -1 -T2 -f -o {self.path()} && sync {self.path()}'

    def back(self):
        return f'zstd -q -dc {self.path()}'

    def stored(self):
        return os.path.getsize(self.path())

    def backup(self):
        command = (f'set -o pipefail; mariadb-backup --defaults-file={self.node.base}/my.cnf --backup --user=root '
                   f'--socket={self.node.socket} --galera-info --parallel={THREADS} --stream=mbstream '
                   f'--target-dir={self.directory} 2>{self.directory}/log | {self.out()}')
        before = processes.cpu_seconds(self.node.process.pid) + children_cpu()
        begin = time.monotonic()
        processes.run(['bash', '-c', command], timeout=BACKUP_DEADLINE_S)
        seconds = time.monotonic() - begin
        cpu = processes.cpu_seconds(self.node.process.pid) + children_cpu() - before
        wait_for(self.node.synced, 120, 'the node to be Synced')
        return Took(seconds, cpu, self.stored())

    def restore(self):
        self.count += 1
        work = os.path.join(self.directory, f'unpacked{self.count}')
        target = os.path.join(self.directory, f'back{self.count}')
        os.makedirs(work)
        os.makedirs(target)
        log = os.path.join(self.directory, 'restore.log')
        command = (f'set -o pipefail; exec 2>{log}; {self.back()} | mbstream -x -p {THREADS} -C '
                   f'{work} && mariadb-backup --prepare --use-memory={POOL} --target-dir={work} && '
                   f'mariadb-backup --move-back --parallel={THREADS} --target-dir={work} --datadir={target}')
        before, begin = children_cpu(), time.monotonic()
        processes.run(['bash', '-c', command], timeout=BACKUP_DEADLINE_S)
        seconds, cpu = time.monotonic() - begin, children_cpu() - before
        processes.run(['sync', '-f', target])
        synced = time.monotonic() - begin
        ready, server_cpu = self.start_restored(target, begin + synced - seconds)  # the first start does not wait for the disk
        self.discard(work)
        return Took(seconds, cpu + server_cpu, ready=ready, synced=synced)

    def forget(self):
        self.discard(self.path())


def limit(node):
    """The tablespaces of the node read, verified, hashed and compressed by tests/bench/limit.c, and nothing else."""
    files = [os.path.join(directory, name) for directory, _, names in os.walk(node.datadir) for name in names
             if name.endswith('.ibd')]
    program = os.path.join(build_dir(), 'tests', 'limit')
    seconds, _, stored, cpu = processes.run([program, '-t', THREADS, '-v', '-h', *files]).stdout.split()
    return Took(float(seconds), float(cpu), int(stored))
