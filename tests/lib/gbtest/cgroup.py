"""A cgroup of the test's own, v1 or v2, where the machine lets us make one: for the CPU or for memory.

    group = cgroup.make('small', quota=0.7)   # None: can't be had here
    group.add(pid)
"""
import os

PERIOD_US = 100000


def _mounts(controller):
    """(v2, directory of our own cgroup) of each hierarchy that may have the controller."""
    own = {}
    with open('/proc/self/cgroup', encoding='utf-8') as f:
        for line in f:
            _, controllers, path = line.rstrip('\n').split(':', 2)
            own['' if not controllers else controller if controller in controllers.split(',') else controllers] = path
    with open('/proc/self/mountinfo', encoding='utf-8') as f:
        for line in f:
            left, right = line.rstrip('\n').split(' - ')
            kind, _, options = right.split(' ', 2)
            v2 = kind == 'cgroup2'
            if (v2 or (kind == 'cgroup' and controller in options.split(','))) and ('' if v2 else controller) in own:
                yield v2, left.split(' ')[4] + own['' if v2 else controller]


class Group:
    def __init__(self, directory, v2):
        self.directory, self.v2 = directory, v2

    def _write(self, name, value):
        with open(os.path.join(self.directory, name), 'w', encoding='ascii') as f:
            f.write(str(value))

    def limit(self, processors):
        quota = int(processors * PERIOD_US)
        if self.v2:
            self._write('cpu.max', f'{quota} {PERIOD_US}')
        else:
            self._write('cpu.cfs_period_us', PERIOD_US)
            self._write('cpu.cfs_quota_us', quota)

    def limit_memory(self, size):
        """Bytes. What is more is taken back, or a process of the group is killed when it asks for more yet."""
        try:
            self._write('memory.max' if self.v2 else 'memory.limit_in_bytes', size)
        except OSError:  # v1 can't go below what is in use: as far as it can
            with open(os.path.join(self.directory, 'memory.usage_in_bytes'), encoding='ascii') as f:
                self._write('memory.limit_in_bytes', int(f.read()) + 4096)

    def add(self, pid):
        self._write('cgroup.procs', pid)

    def command(self, argv):
        """The command line that runs argv in the group from its beginning."""
        return ['sh', '-c', f'echo $$ >{self.directory}/cgroup.procs; exec "$@"', 'sh'] + list(argv)

    def remove(self):
        """Those of its processes that still run go back to where the group was made."""
        with open(os.path.join(self.directory, 'cgroup.procs'), encoding='ascii') as f:
            for pid in f.read().split():
                Group(os.path.dirname(self.directory), self.v2).add(pid)
        os.rmdir(self.directory)


def make(name, quota=None, memory=False):
    """A new group below our own, for the CPU or for memory; quota: processors. None where the system has none to give."""
    for v2, parent in _mounts('memory' if memory else 'cpu'):
        group = Group(os.path.join(parent, f'gb-test-{os.getpid()}-{name}'), v2)
        try:
            os.mkdir(group.directory)
        except OSError:
            continue
        try:
            limits = ('memory.limit_in_bytes', 'memory.max') if memory else ('cpu.cfs_quota_us', 'cpu.max')
            if not os.path.exists(os.path.join(group.directory, limits[v2])):
                raise OSError('the controller is not enabled here')
            if quota:
                group.limit(quota)
            return group
        except OSError:
            group.remove()
    return None
