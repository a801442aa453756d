"""A CPU cgroup of the test's own, v1 or v2, where the machine lets us make one.

    group = cgroup.make('small', quota=0.7)   # None: can't be had here
    group.add(pid)
"""
import os

PERIOD_US = 100000


def _mounts():
    """(v2, directory of our own cgroup) of each hierarchy that has a CPU controller."""
    own = {}
    with open('/proc/self/cgroup', encoding='utf-8') as f:
        for line in f:
            _, controllers, path = line.rstrip('\n').split(':', 2)
            own['' if not controllers else 'cpu' if 'cpu' in controllers.split(',') else controllers] = path
    with open('/proc/self/mountinfo', encoding='utf-8') as f:
        for line in f:
            left, right = line.rstrip('\n').split(' - ')
            kind, _, options = right.split(' ', 2)
            v2 = kind == 'cgroup2'
            if (v2 or (kind == 'cgroup' and 'cpu' in options.split(','))) and ('' if v2 else 'cpu') in own:
                yield v2, left.split(' ')[4] + own['' if v2 else 'cpu']


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


def make(name, quota=None):
    """A new group below our own; quota: processors. None where the system has none to give."""
    for v2, parent in _mounts():
        group = Group(os.path.join(parent, f'gb-test-{os.getpid()}-{name}'), v2)
        try:
            os.mkdir(group.directory)
        except OSError:
            continue
        try:
            if not os.path.exists(os.path.join(group.directory, 'cpu.max' if v2 else 'cpu.cfs_quota_us')):
                raise OSError('the CPU controller is not enabled here')
            if quota:
                group.limit(quota)
            return group
        except OSError:
            group.remove()
    return None
