#!/usr/bin/python3
"""Who may see and reach what: modes of socket, repository and what a restore leaves; links that were planted in a repository or in
a directory to be restored are not followed; a marker that somebody else wrote is not believed; a password stands in no argument,
environment, log, variable or core file. (Peers of the wrong user are refused: test_faults.)
"""
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, processes  # noqa: E402
from gbtest.agent import Agent, binary  # noqa: E402
from gbtest.server import Server  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

SECRET = 'kept-to-itself-7f3a'
MARKER = 'galera-backup-restore.incomplete'
NOBODY = 65534

suite = Suite()


class SecretAgent(Agent):
    """Logs in with a password, which stands in a file."""

    def write_config(self):
        path = os.path.join(self.server.base, 'password')
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='ascii') as f:
            f.write(SECRET + '\n')
        super().write_config()
        with open(self.config, encoding='utf-8') as f:
            text = f.read()
        with open(self.config, 'w', encoding='utf-8') as f:
            f.write(text.replace('user = root\n', f'user = keeper\npassword-file = {path}\n'))


class Scene:
    def __init__(self):
        self.server = Server('access')
        self.server.create()
        self.server.start()
        backups.install(self.server)
        self.server.execute(f"CREATE USER keeper@localhost IDENTIFIED BY '{SECRET}'", 'GRANT ALL ON *.* TO keeper@localhost',
                            'CREATE DATABASE d', 'CREATE TABLE d.t ENGINE=InnoDB AS SELECT seq, MD5(seq) FROM seq_1_to_20000')
        self.umask = os.umask(0)  # what the agent makes must not need one
        self.agent = SecretAgent(self.server).start()
        os.umask(self.umask)
        backups.hold(self.server, 'COMMIT')
        self.backup = backups.start(self.server)
        backups.wait_held(self.server, 'COMMIT')
        wait_for(lambda: any('.seg' in path for path in modes(self.agent.repository)), 60, 'the first segment')
        self.modes_meanwhile = modes(self.agent.repository)
        self.arguments = [command_line(self.agent.process.pid), command_line(self.server.process.pid)]
        backups.release(self.server)
        figures = backups.wait_end(self.server, self.backup)
        assert figures['state'] == 'succeeded', figures
        self.server.rows('DO 1')
        self.cluster, = os.listdir(self.agent.repository)

    def restore(self, target, *options, repository=None, check=True, start=False, env=None):
        argv = [binary(), 'restore', self.backup, '--repository', repository or self.agent.repository, '--datadir', target, '--yes',
                '--progress', 'none', *options]
        return processes.start(argv, env=env) if start else processes.run(argv, check=check)

    def copy(self, name):
        top = os.path.join(processes.new_dir(name), 'repository')
        shutil.copytree(self.agent.repository, top)
        return top, os.path.join(top, self.cluster, 'backups', self.backup)


shared = Shared(Scene)


def modes(top):
    """{path below: (kind, permission bits)}"""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            found[os.path.relpath(path, top)] = ('directory' if stat.S_ISDIR(mode) else 'file', stat.S_IMODE(mode))
    return found


def command_line(pid):
    text = ''
    for name in ('cmdline', 'environ'):
        with open(f'/proc/{pid}/{name}', 'rb') as f:
            text += f.read().decode('utf-8', 'replace')
    return text


@suite.test
def nobody_else_may_read_a_repository_or_use_the_socket():
    s = shared()
    for found in (s.modes_meanwhile, modes(s.agent.repository)):
        assert len([1 for kind, _ in found.values() if kind == 'file']) >= 3, found
        wrong = {path: f'{mode:o}' for path, (kind, mode) in found.items() if mode != (0o700 if kind == 'directory' else 0o600)}
        assert not wrong, wrong
    mode = os.lstat(s.server.agent_socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, f'{mode:o}'
    say(f'  {len(found)} objects and directories')


@suite.test
def a_restore_leaves_nothing_that_others_may_read():
    s = shared()
    target = os.path.join(processes.run_dir(), 'modes')
    old = os.umask(0)
    try:
        s.restore(target)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o700, f'{os.stat(target).st_mode:o}'
    wrong = {path: f'{mode:o}' for path, (kind, mode) in modes(target).items() if mode & 0o007}
    source = {path: f'{mode:o}' for path, (kind, mode) in modes(s.server.datadir).items() if mode & 0o007}
    assert set(wrong) <= set(source), f'wider than at the source: {set(wrong) - set(source)}'
    shutil.rmtree(target)


@suite.test
def a_link_in_a_repository_is_not_followed():
    """The same bytes, behind a link: in the place of an object, of the directory of segments, of the backup's."""
    s = shared()
    for name in ('data/000001.seg', 'index', 'backup.json', 'data', ''):
        top, backup = s.copy(f'links {name.replace("/", " ")}')
        path = os.path.join(backup, name).rstrip('/')
        elsewhere = os.path.join(os.path.dirname(top), 'elsewhere')
        os.rename(path, elsewhere)
        os.symlink(elsewhere, path)
        target = os.path.join(os.path.dirname(top), 'target')
        result = s.restore(target, repository=top, check=False)
        assert result.returncode != 0, f'{name or "the backup"}: restored through a link: {result.stdout}'
        assert not os.path.exists(target) or os.path.exists(os.path.join(target, MARKER)), name
        shutil.rmtree(os.path.dirname(top))


@suite.test
def an_agent_writes_through_no_link_of_a_repository():
    s = shared()
    outside = processes.new_dir('outside')
    backup_dir = os.path.join(s.agent.repository, s.cluster, 'backups')
    os.rename(backup_dir, backup_dir + '.kept')
    os.symlink(outside, backup_dir)
    try:
        number, text = backups.error_of(backups.take, s.server)
        say(f'  {text}')
        assert number in (23001, 23008), text
        assert not os.listdir(outside), os.listdir(outside)
    finally:
        os.remove(backup_dir)
        os.rename(backup_dir + '.kept', backup_dir)


def unfinished(name):
    """(directory, outside) of a restore that was killed before it had written d/t.ibd."""
    s = shared()
    base = processes.new_dir(name)
    target = os.path.join(base, 'target')
    disk = processes.Stall('/d/')
    disk.begin()
    restore = s.restore(target, start=True, env=disk.environment)
    wait_for(lambda: os.path.exists(os.path.join(target, 'd', 't.ibd')), 30, 'the restore to be under way')
    processes.end(restore, signal.SIGKILL)
    disk.end()
    assert os.path.exists(os.path.join(target, MARKER))
    outside = os.path.join(base, 'outside')
    os.mkdir(outside)
    return target, outside


@suite.test
def a_restore_that_goes_on_follows_no_link_that_was_planted():
    s = shared()
    target, outside = unfinished('planted')
    shutil.rmtree(os.path.join(target, 'd'))
    os.symlink(outside, os.path.join(target, 'd'))
    result = s.restore(target, check=False)
    say(f'  {result.stderr.strip().splitlines()[-1][:150]}')
    assert result.returncode != 0 and '/d' in result.stderr, result
    assert not os.listdir(outside), f'written outside: {os.listdir(outside)}'
    os.remove(os.path.join(target, 'd'))
    os.mkdir(os.path.join(target, 'd'))
    victim = os.path.join(outside, 'victim')
    with open(victim, 'w', encoding='ascii') as f:
        f.write('mine')
    os.symlink(victim, os.path.join(target, 'd', 't.ibd'))
    result = s.restore(target, check=False)
    assert result.returncode != 0 and 't.ibd' in result.stderr, result
    with open(victim, encoding='ascii') as f:
        assert f.read() == 'mine'
    s.restore(target, '--restart')  # clears the link, not what it leads to
    with open(victim, encoding='ascii') as f:
        assert f.read() == 'mine'
    assert not os.path.exists(os.path.join(target, MARKER))


@suite.test
def a_marker_of_another_user_names_nothing_to_be_removed():
    s = shared()
    if os.geteuid():
        suite.skip('needs root')
    target, outside = unfinished('forged')
    victim, marker = os.path.join(outside, 'victim'), os.path.join(target, MARKER)
    with open(victim, 'w', encoding='ascii') as f:
        f.write('mine')
    with open(marker, encoding='utf-8') as f:
        text = f.read()
    with open(marker, 'w', encoding='utf-8') as f:
        f.write(f'{text}outside: {victim}\n')
    os.chown(marker, NOBODY, NOBODY)
    result = s.restore(target, '--restart', check=False)
    with open(victim, encoding='ascii') as f:
        assert f.read() == 'mine', result
    assert result.returncode == 0, result.stderr
    assert not os.path.exists(marker)


@suite.test
def a_password_stands_nowhere():
    s = shared()
    for text in s.arguments:
        assert 'galera-backup' in text or 'mariadbd' in text
        assert SECRET not in text, 'the password is in an argument or in the environment'
    assert f'{s.backup} succeeded' in s.agent.log_text(), s.agent.log_text()
    s.agent.cli('list', check=False)
    s.agent.cli('check', check=False)
    assert SECRET not in s.agent.log_text() and SECRET not in s.server.log_text(since_start=False)
    variables = s.server.rows('SHOW GLOBAL VARIABLES') + s.server.rows('SHOW GLOBAL STATUS')
    assert variables and not [row for row in variables if SECRET in str(row)]
    rows = backups.call(s.server, 'BACKUP_LOG', s.backup) + backups.call(s.server, 'BACKUP_LIST', None)
    assert rows and SECRET not in str(rows)
    for name in os.listdir(os.path.join(s.agent.repository, s.cluster, 'backups', s.backup)):
        path = os.path.join(s.agent.repository, s.cluster, 'backups', s.backup, name)
        if os.path.isfile(path):
            with open(path, 'rb') as f:
                assert SECRET.encode() not in f.read(), path
    password = os.path.join(s.server.base, 'password')
    os.chmod(password, 0o644)
    result = s.agent.cli('status', check=False)
    os.chmod(password, 0o600)
    assert result.returncode == 3 and 'GB1004' in result.stderr and password in result.stderr, result.stderr


def core_of(process):
    """Lets it write core files, ends it by SIGABRT, and returns the bytes of what it has left beside it."""
    directory = processes.run_dir()
    before = set(os.listdir(directory))
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    processes.end(process, signal.SIGABRT)
    found = b''
    for name in set(os.listdir(directory)) - before:
        path = os.path.join(directory, name)
        with open(path, 'rb') as f:
            found += f.read()
        os.remove(path)
    return found


@suite.test
def a_password_is_in_no_core_file():
    s = shared()
    with open('/proc/sys/kernel/core_pattern', encoding='ascii') as f:
        if f.read().strip().startswith(('|', '/')):
            suite.skip('this machine writes core files elsewhere')
    client = processes.start(['/usr/bin/python3', '-c', f'import time\nsecret = "{SECRET}"\nprint(1, flush=True)\ntime.sleep(60)'],
                             stdout=subprocess.PIPE, cwd=processes.run_dir())
    client.stdout.readline()
    if SECRET.encode() not in core_of(client):
        suite.skip('this machine writes no core files')
    command = processes.start(s.agent.argv('backup', '--rate', '1M', '--progress', 'none'), cwd=processes.run_dir())
    backups.wait_stage(s.server, 'COPY')
    assert not core_of(command), 'a process that has read a password has written a core file'
    backups.call(s.server, 'BACKUP_CANCEL', None)


suite.main()
