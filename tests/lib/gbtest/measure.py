"""Figures: medians, CPU time, and the pause as the rest of the cluster sees it."""
import statistics
import threading
import time

from . import processes
from .server import query

POLL_S = 0.001


def median(values):
    return statistics.median(values)


def spread(values, form='{:.1f}'):
    """'median (least to most)'"""
    if len(values) == 1:
        return form.format(values[0])
    return f'{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})'


class StandStill:
    """Polls wsrep_last_committed of a node that others write through, and keeps the longest time in which it stood
    still. The figure holds the poll's own time, and the writers' pauses: compare it with that of a quiet spell."""

    def __init__(self, node):
        self.node = node
        self.longest_ms = 0.0
        self.flow_control_before = int(node.status('wsrep_flow_control_sent'))
        self.flow_control_sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        processes.on_cleanup(self._stop.set)
        return self

    def __exit__(self, *ignored):
        self._stop.set()
        self._thread.join(30)
        self.flow_control_sent = int(self.node.status('wsrep_flow_control_sent')) - self.flow_control_before

    def _run(self):
        connection = self.node.connect()
        query(connection, 'SET SESSION wsrep_sync_wait = 0')
        last, since = None, time.monotonic()
        while not self._stop.is_set():
            value = query(connection, "SHOW GLOBAL STATUS LIKE 'wsrep\\_last\\_committed'")[0][1]
            now = time.monotonic()
            if value != last:
                if last is not None:
                    self.longest_ms = max(self.longest_ms, (now - since) * 1000)
                last, since = value, now
            self._stop.wait(POLL_S)
        connection.close()


class Memory:
    """The most memory that a process has of its own or shares (not files) while the body runs, in MiB; `before` at its start."""

    def __init__(self, pid):
        self.pid = pid
        self.before = self.most = self._now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _now(self):
        with open(f'/proc/{self.pid}/status', encoding='ascii') as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(('RssAnon:', 'RssShmem:'))) / 1024

    def __enter__(self):
        self._thread.start()
        processes.on_cleanup(self._stop.set)
        return self

    def __exit__(self, *ignored):
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        while not self._stop.wait(0.02):
            self.most = max(self.most, self._now())
