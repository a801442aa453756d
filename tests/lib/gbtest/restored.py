"""A backup, restored into a fresh directory and held against what was true when it was taken."""
import os
import re
import shutil

from . import checks, load, oracle
from .server import Server
from .suite import say

COUNTER = [0]


class Restored:
    """A restored directory and, when it runs, its server: a standalone one, whatever was backed up."""

    def __init__(self, agent, backup, log_file_size='96M', options=(), settings=None):
        """options: of the restore; settings: of the server, beside the size of its log."""
        COUNTER[0] += 1
        self.agent, self.backup = agent, backup
        at = list(options).index('--repository') if '--repository' in options else len(options)
        self.info = agent.json('info', backup, *list(options)[at:at + 2])
        self.settings = {'innodb-log-file-size': log_file_size, **(settings or {})}
        self.server = Server(f'restored{COUNTER[0]}', self.settings, plugin=False)
        agent.restore(backup, self.server.datadir, *options)

    def fact(self, *names):
        return checks.fact(self.info, *names)

    def position(self):
        return self.fact('position')

    def lsn_end(self):
        return int(self.fact('lsn_end', 'end_lsn'))

    def check_image(self):
        """Before anything has written to it: every page whole, and no tablespace without its first one (agent/restore/settle.h)."""
        for path in checks.tablespaces(self.server.datadir):
            with open(path, 'rb') as f:
                assert any(f.read(1024)) or not path.endswith('.ibd'), f'{path} has no first page'
        return checks.innochecksum(self.server.datadir, int(self.fact('innodb_page_size')))

    def check_recovery(self):
        """Crash recovery ends exactly at the manifest's position and LSN."""
        try:
            found = checks.recover(self.server.datadir, [f'--{name}={value}' for name, value in self.settings.items()])
        except AssertionError as error:
            say(f'  the manifest ends at LSN {self.lsn_end()}' + missing_spaces(self.server.datadir, str(error)))
            raise
        assert found['position'] == self.position(), \
            f'--wsrep-recover: {found["position"]}, the manifest says {self.position()}'
        self.check_lsn(found['log'])
        return found

    def check_lsn(self, log):
        end = re.findall(r'InnoDB: End of log at LSN=(\d+)', log)
        assert end, f'no end of log: ...{log[-2000:]}'
        assert int(end[0]) == self.lsn_end(), f'end of log at {end[0]}, the manifest says {self.lsn_end()}'

    def start(self):
        self.server.start()
        return self.server

    def check_data(self, expected=None, source=None):
        """expected: the oracle's state of the paused node. CHECK TABLE comes after it: it may repair counters. source: as check_tables()."""
        discarded = oracle.discarded(expected or {})
        if expected is not None:
            oracle.compare(expected, self.server, self.info)
        count = checks.check_tables(self.server, discarded, source)
        found = checks.tables(self.server.connection())
        for name, each in (('bank.account', load.Transfers), ('bank.sequence', load.Sequence)):
            if name in found:
                each.check(self.server)
        known = '|'.join(['event_scheduler', 'mysql.user'] + [re.escape(name).replace(r'\.', '`?[./]`?') + r'\b' for name in discarded])
        errors = [line for line in self.server.log_text().splitlines() if re.search(r'\[ERROR\]', line) and not re.search(known, line)]
        assert not errors, f'the error log: {errors[:5]}'
        return count

    def check_second_start(self):
        """What the first start has found through the redo log, this one must find by itself."""
        first = checks.checksums(self.server.connection())
        self.server.restart()
        difference = checks.differences(first, checks.checksums(self.server.connection()))
        assert not difference, f'first start and second: {difference}'

    def check_pages_after(self):
        """After recovery and a clean shutdown."""
        self.server.stop()
        return checks.innochecksum(self.server.datadir, int(self.fact('innodb_page_size')))

    def remove(self, passed=False):
        """With GB_TEST_KEEP it stays, but not if all was as it should be."""
        self.server.kill()
        if passed or not os.environ.get('GB_TEST_KEEP'):
            shutil.rmtree(self.server.base, ignore_errors=True)


def missing_spaces(datadir, log):
    """What there is to say of each tablespace that recovery did not find: which file has its id, whose id the file of that name has, and where the
    redo log speaks of that name (offset, the bytes before it, what follows: of a FILE_RENAME the new name)."""
    ids = {}
    for path in checks.tablespaces(datadir):
        with open(path, 'rb') as f:
            ids[os.path.relpath(path, datadir)] = int.from_bytes(f.read(38)[34:38], 'big')
    with open(os.path.join(datadir, 'ib_logfile0'), 'rb') as f:
        redo = f.read()
    text = ''
    for number, path in re.findall(r'Tablespace (\d+) was not found at \./(\S+)\.', log):
        text += f'\n  {number}: in {[name for name, each in ids.items() if each == int(number)]}; {path} has {ids.get(path, "no file")}'
        for match in re.finditer(re.escape(f'./{path}'.encode()), redo):
            text += f'\n    {match.start()}: {redo[match.start() - 8:match.start()].hex(" ")} {redo[match.end():match.end() + 80]!r}'
    return text


def verify(agent, backup, expected=None, log_file_size='96M', galera=True, settings=None, look=None, source=None):
    """All of it; returns a few words of what was seen. look: function(server) for what else must hold; source: as check_tables()."""
    restored = Restored(agent, backup, log_file_size, settings=settings)
    passed = False
    try:
        files = restored.check_image()
        if galera:
            restored.check_recovery()
        server = restored.start()
        if not galera:
            restored.check_lsn(server.log_text())
        count = restored.check_data(expected, source)
        if look:
            look(server)
        restored.check_second_start()
        restored.check_pages_after()
        passed = True
        return f'{files} tablespaces, {count} tables, position {restored.position() or "none"}, LSN {restored.lsn_end()}'
    finally:
        restored.remove(passed)
