"""Faults that are loaded into a process with LD_PRELOAD: give .environment to it when it starts, then begin() and end().

    faults = Faults(); agent.environment = faults.environment; agent.start()
    faults.begin('write EIO 000001.seg.part')
"""
import errno
import os
import tempfile

from . import processes


class Switch:
    """What is done while a file is there."""

    def __init__(self, library, variable, **environment):
        self.file = tempfile.mktemp(prefix='fault-', dir=processes.run_dir())
        self.environment = processes.preload(library, **{variable: self.file}, **environment)

    def write(self, text):
        with open(self.file + '.new', 'w', encoding='ascii') as f:
            f.write(text)
        os.rename(self.file + '.new', self.file)

    def end(self):
        if os.path.exists(self.file):
            os.remove(self.file)


class Faults(Switch):
    """Calls on files that fail (tests/lib/fault_io.c): lines "CALL ERRNO END", CALL one of open, read, write, sync, ERRNO by its name, END the
    end of the path. threads: only in threads whose name begins so."""

    def __init__(self, threads=None):
        super().__init__('fault_io', 'GB_FAULT_FILE', **({'GB_FAULT_THREADS': threads} if threads else {}))

    def begin(self, *lines):
        words = (line.split(' ', 2) for line in lines)
        self.write(''.join(f'{call} {getattr(errno, number)} {end}\n' for call, number, end in words))


class Clock(Switch):
    """A time of day that is off by so many seconds (tests/lib/step_clock.c)."""

    def __init__(self):
        super().__init__('step_clock', 'GB_CLOCK_FILE')

    def begin(self, seconds):
        self.write(f'{seconds}\n')
