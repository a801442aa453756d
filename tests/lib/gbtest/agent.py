"""The agent beside a server, and the command line.

    agent = Agent(server); agent.start()
    agent.cli('list').stdout; agent.json('info', id)
"""
import json
import os
import re
import signal
import socket

from . import processes
from .server import build_dir
from .waiting import wait_for

START_DEADLINE_S = 60
STOP_DEADLINE_S = 60


def binary():
    """GB_AGENT_BUILD: a build whose agent is to be used beside the plugin of BUILD (one with TSan has no plugin)."""
    return os.path.join(os.path.abspath(os.environ.get('GB_AGENT_BUILD') or build_dir()), 'galera-backup')


class Agent:
    def __init__(self, server, repository=None, cluster=None, agent_options=None, repository_options=None,
                 repositories=None):
        """repository: its directory (default: one of this server's own). repositories: {name: options} for more
        than the one named "default"."""
        self.server = server
        self.cluster = cluster or (server.cluster.name if hasattr(server, 'cluster') else server.name)
        self.repository = repository or os.path.join(server.base, 'repository')
        os.makedirs(self.repository, exist_ok=True)
        self.config = os.path.join(server.base, 'galera-backup.cnf')
        self.log = os.path.join(server.base, 'agent.log')
        self.agent_options = {'cluster': self.cluster, 'socket': server.agent_socket,
                              'state-dir': os.path.join(server.base, 'agent-state')}
        self.agent_options.update(agent_options or {})
        self.repositories = repositories or {'default': {'type': 'directory', 'path': self.repository,
                                                         'min-free': '0%', **(repository_options or {})}}
        self.environment = None  # of the daemon, where it is not ours
        self.process = None

    def write_config(self):
        sections = {'agent': self.agent_options, 'server': {'socket': self.server.socket, 'user': 'root'}}
        for name, options in self.repositories.items():
            sections[f'repository:{name}'] = options
        with open(self.config, 'w', encoding='utf-8') as f:
            for section, options in sections.items():
                f.write(f'[{section}]\n')
                for key, value in options.items():
                    f.write(f'{key} = {value}\n')
                f.write('\n')

    # -- the daemon

    def start(self):
        self.write_config()
        said = self.log_text().count(' listens at ') if os.path.exists(self.log) else 0
        with open(self.log, 'ab') as log:
            self.process = processes.start([binary(), '--config', self.config, 'agent'], stdout=log,
                                            env=self.environment)
        # before it says so it removes what a killed one has left
        wait_for(lambda: self.listening() and self.log_text().count(' listens at ') > said, START_DEADLINE_S, f'the agent of {self.server.name}', while_true=self.alive)
        return self

    def listening(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.server.agent_socket)
        return True

    def alive(self):
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f'the agent of {self.server.name} has ended; its log: ...{self.log_text()[-3000:]}')
        return True

    def log_text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def in_log(self, pattern):
        return re.search(pattern, self.log_text())

    def stop(self):
        process, self.process = self.process, None
        return processes.end(process, signal.SIGTERM, STOP_DEADLINE_S) if process else 0

    def kill(self):
        process, self.process = self.process, None
        if process:
            processes.end(process, signal.SIGKILL)

    def freeze(self):
        """SIGSTOP: there, but it does nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    # -- the command line

    def argv(self, *arguments):
        if not os.path.exists(self.config):
            self.write_config()
        return [binary(), '--config', self.config] + [str(each) for each in arguments]

    def cli(self, *arguments, check=True, timeout=300):
        """Runs one command to its end; .returncode, .stdout, .stderr."""
        return processes.run(self.argv(*arguments), timeout=timeout, check=check)

    def json(self, *arguments):
        """The answer of a reading command with --json."""
        return json.loads(self.cli(*arguments, '--json').stdout)

    def listed(self):
        """Ids of the backups that exist, newest first (failed runs left out)."""
        answer = self.json('list')
        rows = answer.get('backups', answer) if isinstance(answer, dict) else answer
        return [row['id'] for row in rows if row.get('state', 'succeeded') == 'succeeded']

    def restore(self, backup, datadir, *options, timeout=600):
        return self.cli('restore', backup, '--datadir', datadir, '--yes', *options, timeout=timeout)
