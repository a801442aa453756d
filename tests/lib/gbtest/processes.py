"""Processes and directories of a test run, and their end.

Every process is started here, in a session of its own (Ctrl-C reaches the test only) and with a parent-death
signal, so that nothing outlives even a killed test. Exit, error, SIGINT, SIGTERM and SIGHUP all lead to one clean-up
that ends the processes by id, then whatever they left behind (this process is their subreaper), then unmounts and
removes the run's directory. Never by name: other servers on the machine are none of our business.

The parent-death signal fires when the THREAD that started the process ends: start() is for the main thread.
"""
import atexit
import contextlib
import ctypes
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from .waiting import wait_for

PR_SET_CHILD_SUBREAPER = 36
KILL_DEADLINE_S = 20

FIRST_PORT, LAST_PORT = 10000, 30000
LANES = 3  # so many test programs may run at a time, each in ports of its own

# mariadbd is in a directory that a user's PATH may leave out
os.environ['PATH'] = os.environ.get('PATH', '/usr/bin:/bin') + ':/usr/sbin:/sbin'

_processes = []
_mounts = []
_cleanups = []
_run_dir = None
_owner = os.getpid()
_done = False


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP reached the test."""


def _on_signal(number, frame):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def run_dir():
    """The directory of this run: short (socket paths), on a disk (redo on a tmpfs is written otherwise), removed at
    the end unless GB_TEST_KEEP is set. GB_TEST_DIR names another parent than /var/tmp."""
    global _run_dir
    if _run_dir is None:
        _run_dir = tempfile.mkdtemp(prefix='gbt-', dir=os.environ.get('GB_TEST_DIR', '/var/tmp'))
        os.chmod(_run_dir, 0o755)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        atexit.register(cleanup)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, _on_signal)
    return _run_dir


def new_dir(name):
    path = os.path.join(run_dir(), name)
    os.makedirs(path)
    return path


def on_cleanup(function):
    """Called first at the end, newest first; for threads that must not see their server go."""
    _cleanups.append(function)


def start(argv, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=None, cwd=None, stdin=subprocess.DEVNULL):
    """Starts a process that ends with us. From the main thread only."""
    assert threading.current_thread() is threading.main_thread(), 'start() is for the main thread'
    run_dir()
    process = subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', '--'] + list(argv), stdout=stdout, stderr=stderr,
                               stdin=stdin, env=env, cwd=cwd, start_new_session=True)
    _processes.append(process)
    return process


def run(argv, timeout=300, check=True, env=None, stdin=None):
    """Runs a command to its end; returns CompletedProcess with text output. A failure shows what it printed."""
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, env=env,
                            errors='replace', stdin=stdin or subprocess.DEVNULL, start_new_session=True)
    if check and result.returncode != 0:
        raise AssertionError(f'{" ".join(map(str, argv))} ended with status {result.returncode}: '
                             f'{(result.stdout + result.stderr)[-4000:]}')
    return result


def end(process, number=signal.SIGTERM, deadline_s=60):
    """Sends the signal and waits for the end; a process that does not end in time is a failure (and is killed)."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        status = process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(KILL_DEADLINE_S)
        raise AssertionError(f'process {process.pid} did not end within {deadline_s} s of {number!r}') from None
    finally:
        if process.poll() is not None and process in _processes:
            _processes.remove(process)
    return status


class Terminal:
    """A process on a terminal of its own, as somebody who sits there sees it. From the main thread only."""

    def __init__(self, argv):
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._said = b''
        self.process = start(argv, stdout=theirs, stdin=theirs)
        os.close(theirs)

    def text(self):
        """All that was said there until now."""
        with contextlib.suppress(OSError):  # nothing more yet, or it has ended
            while True:
                self._said += os.read(self._ours, 4096)
        return self._said.decode('utf-8', 'replace')

    def wait_for(self, words, deadline_s=60):
        wait_for(lambda: words in self.text(), deadline_s, f'"{words}" on the terminal', while_true=self._running)

    def _running(self):
        assert self.process.poll() is None, f'it has ended: {self.text()}'

    def answer(self, line, deadline_s=60):
        """Types that, and waits for the end; (exit status, all that was said)."""
        os.write(self._ours, line.encode() + b'\n')
        wait_for(lambda: self.text() and self.process.poll() is not None, deadline_s, f'the end after "{line}"')
        return end(self.process), self.text()


def descendants(pid):
    """Ids of all processes below pid, children first."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='utf-8', errors='replace') as f:
                    parent = int(f.read().rsplit(')', 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def descriptors(pid):
    """What the process has open: {/proc/PID/fd/N: where that leads}."""
    found = {}
    for name in os.listdir(f'/proc/{pid}/fd'):
        path = f'/proc/{pid}/fd/{name}'
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found[path] = os.readlink(path)
    return found


def cpu_seconds(pid):
    """User and system time of a process with its ended children, seconds."""
    with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / os.sysconf('SC_CLK_TCK')


def mount_tmpfs(path, size):
    """A small file system of its own, for "repository full"; needs root. False if the machine does not let us."""
    os.makedirs(path, exist_ok=True)
    result = run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', path], check=False)
    if result.returncode == 0:
        _mounts.append(path)
    return result.returncode == 0


def preload(name, **environment):
    """The environment of a process into which tests/lib/NAME.c is loaded, with these variables."""
    library = os.path.join(run_dir(), f'{name}.so')
    if not os.path.exists(library):
        source = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', f'{name}.c')
        run(['cc', '-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'])
    return {**os.environ, 'LD_PRELOAD': library, **environment}


def mount_mostly_empty(path, size, megabytes):
    """A file system of its own, of which so many megabytes are taken and, as on no large disk, never 99 % free; False as mount_tmpfs()."""
    mounted = mount_tmpfs(path, size)
    if mounted:
        with open(os.path.join(path, 'taken'), 'wb') as f:
            f.write(bytes(megabytes << 20))
    return mounted


class Stall:
    """A hung file system for a process started with .environment: between begin() and end() its writes to files whose
    path holds `part` wait (tests/lib/stall_store.c), and if everything hangs also who asks what they are."""

    def __init__(self, part):
        self.file = tempfile.mktemp(prefix='stall-', dir=run_dir())
        self.environment = preload('stall_store', GB_STALL_FILE=self.file, GB_STALL_PATH=part)

    def begin(self, everything=False):
        with open(self.file, 'w', encoding='ascii') as f:
            f.write('everything' if everything else '')

    def end(self):
        if os.path.exists(self.file):
            os.remove(self.file)


class StallOpen:
    """The same for a path: between begin(lines) and end(), of a process with .environment the first that opens for reading, stats or renames such a path, or
    has created it, waits; a line is "open END", "stat END", "rename END" or "create END", END the end of the path; "open:3 END": the third
    (tests/lib/stall_open.c). also(): the same of more lines; let(): who waits at that line, and whoever comes there, goes on."""

    def __init__(self):
        self.file = tempfile.mktemp(prefix='stall-', dir=run_dir())
        self.environment = preload('stall_open', GB_STALL_FILE=self.file)

    def begin(self, *lines):
        self.end()
        self._write(lines)

    def also(self, *lines):
        self._write([*self._lines(), *lines])

    def let(self, line):
        self._write([each for each in self._lines() if each != line])

    def _lines(self):
        with open(self.file, encoding='ascii') as f:
            return f.read().splitlines()

    def _write(self, lines):
        with open(self.file + '.new', 'w', encoding='ascii') as f:
            f.writelines(f'{each}\n' for each in lines)
        os.rename(self.file + '.new', self.file)

    def reached(self):
        """Whether somebody waits, or has waited, at each of the lines."""
        if not os.path.exists(self.file + '.reached'):
            return False
        with open(self.file + '.reached', encoding='ascii') as reached:
            return set(self._lines()) <= set(reached.read().splitlines())

    def end(self):
        for name in (self.file, self.file + '.reached'):
            if os.path.exists(name):
                os.remove(name)


def umount(path):
    run(['umount', '-l', path], check=False)
    if path in _mounts:
        _mounts.remove(path)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on, below the range that outgoing connections use. The run's own id
    picks where to look first, so that two runs at a time rarely look at the same; those of one tests/check never do (GB_TEST_LANE)."""
    lane = os.environ.get('GB_TEST_LANE')
    width = (LAST_PORT - FIRST_PORT) // LANES
    first, last = (FIRST_PORT, LAST_PORT) if lane is None else (FIRST_PORT + width * int(lane), FIRST_PORT + width * (int(lane) + 1))
    ports, port = [], first + (os.getpid() * 37) % (last - first)
    for _ in range(last - first):
        port = port + 1 if port < last - 1 else first
        if port in free_ports.given:
            continue
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
            except OSError:
                continue
        free_ports.given.add(port)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError('no free ports')


free_ports.given = set()


def cleanup():
    """Ends everything this run has started. Runs once, in the process that started it."""
    global _done
    if _done or os.getpid() != _owner:
        return
    _done = True
    for function in reversed(_cleanups):
        try:
            function()
        except Exception as error:
            print(f'clean-up: {error}', file=sys.stderr)
    for process in _processes:
        if process.poll() is None:
            process.kill()
    for process in _processes:
        try:
            process.wait(KILL_DEADLINE_S)
        except subprocess.TimeoutExpired:
            print(f'clean-up: process {process.pid} does not end', file=sys.stderr)

    def none_left():
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                return True
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return False

    try:
        wait_for(none_left, KILL_DEADLINE_S, 'the end of left-over processes')
    except AssertionError as error:
        print(f'clean-up: {error}', file=sys.stderr)
    for path in list(_mounts):
        umount(path)
    if _run_dir:
        if os.environ.get('GB_TEST_KEEP'):
            print(f'kept: {_run_dir}', file=sys.stderr)
        else:
            shutil.rmtree(_run_dir, ignore_errors=True)
