#!/usr/bin/python3
"""What happens to the agent while a backup runs: killed, out of memory, stopped, cancelled while it is stopped, its clock set. And agents that
are not there or not ours: refused before anything is touched. What must be true afterwards: see test_faults.py.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, cgroup, processes  # noqa: E402
from gbtest.faults import HELD, STAGES, TO_LOOK, Scene, add_cells  # noqa: E402
from gbtest.preloaded import Clock  # noqa: E402
from gbtest.suite import LONG, Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

STOPPED_S = 60 if LONG else 10
ARIA_ROWS = 120000  # more of Aria's log than the ring has reserved
OUT_OF_MEMORY = 256 << 10  # less than the agent needs for anything

suite = Suite()
shared = Shared(lambda: Scene('agent'))


def killed_agent(stage):
    s = shared()
    caller, before = s.held_at(stage)
    since = time.monotonic()
    s.agent.kill()
    s.locks_gone(since)
    if stage == 'COMMIT':
        # all was sent: either the agent had committed, and the caller knows, or there is no backup
        caller.wait()
        s.desync_off()
        s.agent.start()
        new = set(s.agent.listed()) - set(before)
        assert bool(new) == (caller.number is None), f'listed {new}, the caller got {caller.text}'
    else:
        say(f'  {caller.failed_with("GB2007")}')
        s.desync_off()
        s.agent.start()
        s.nothing_listed(before)
    s.next_succeeds()


def stopped_agent_and_cancel(stage):
    """A stopped agent holds up neither the locks nor a cancel."""
    s = shared()
    caller, before = s.held_at(stage)
    s.agent.freeze()
    try:
        since = time.monotonic()
        s.locks_gone(since)
        # past the pause it is the agent that decides whether the cancel comes in time: it is given some seconds
        backups.call(s.node, 'BACKUP_CANCEL', None)
        s.locks_gone(time.monotonic())
        say(f'  {caller.failed_with("GB2101")}')
        s.desync_off()
    finally:
        s.agent.thaw()
    s.nothing_listed(before)
    s.next_succeeds()


def stopped_agent(stage):
    """The agent stands still for STOPPED_S: nobody is locked out meanwhile. In COPY it is waited for, but not for a minute."""
    s = shared()
    caller, before = s.held_at(stage)
    s.agent.freeze()
    try:
        begin = time.monotonic()
        s.locks_gone(begin)
        while time.monotonic() < begin + STOPPED_S:
            s.locks_gone(time.monotonic())
    finally:
        s.agent.thaw()
    s.told_the_truth(caller, before)
    assert caller.number is None or any(name in caller.text for name in ('GB2007', 'GB2111')), caller.text
    assert caller.number is not None or STOPPED_S < 60, 'an agent that said nothing for a minute was waited for'
    # it may go on with its commit, and come to its end before it learns that the plugin has given it up; in COMMIT is a backup too that
    # needed nothing of it on the way there
    asked = s.node.in_log(f'{backups.state(s.node)["id"]} stage COMMIT') and caller.number is not None
    assert bool(asked) == (TO_LOOK in (caller.text or '')), caller.text
    s.next_succeeds()


def agent_out_of_memory(stage):
    """The kernel kills the agent for its memory."""
    s = shared()
    group = cgroup.make('agent', memory=True)
    if not group:
        suite.skip('no memory cgroup can be had')
    caller, before = s.held_at(stage)
    process = s.agent.process
    try:
        group.add(process.pid)
        since = time.monotonic()
        group.limit_memory(OUT_OF_MEMORY)
        s.locks_gone(since)
        wait_for(lambda: process.poll() is not None, 30, 'the agent to be killed')
        assert process.returncode == -signal.SIGKILL, f'the agent ended with status {process.returncode}'
        s.agent.kill()
        if stage == 'COMMIT':
            caller.wait()
        else:
            say(f'  {caller.failed_with("GB2007")}')
        s.desync_off()
    finally:
        group.remove()
    s.agent.start()
    new = set(s.agent.listed()) - set(before)
    assert bool(new) == (caller.number is None), f'listed {new}, the caller got {caller.text}'
    s.next_succeeds()


def set_clock(stage):
    """The time of day of the agent's machine jumps, an hour ahead or a day back: no wait of the agent's is longer or shorter for it."""
    s = shared()
    clock = Clock()
    s.restart_agent(clock.environment, stall_timeout='10s')
    try:
        for step_s in (3600, -86400):
            caller, before = s.held_at(stage)
            backup = backups.state(s.node)['id']
            clock.begin(step_s)
            backups.release(s.node)
            caller.wait(20)
            assert caller.number is None, caller.text
            s.desync_off()
            assert set(s.agent.listed()) - set(before) == {backup}
            row = wait_for(lambda: s.node.row(f'SELECT * FROM galera_backup.backups WHERE id = "{backup}" AND state = "succeeded"'), 10,
                           'the row of the catalog')
            assert row['finished_at'] >= row['started_at'] and row['duration_s'] >= 0, row
            clock.end()
        s.next_succeeds()
        clock.begin(-86400)
        begin = time.monotonic()
        s.agent.stop()
        assert time.monotonic() - begin < 8, 'the agent took its time to stop'
    finally:
        clock.end()
        s.restart_agent(stall_timeout=None)
    s.next_succeeds()


add_cells(suite, killed_agent, STAGES, 3)
add_cells(suite, stopped_agent_and_cancel, HELD[:-1], 1)
add_cells(suite, stopped_agent, HELD, 1)
add_cells(suite, agent_out_of_memory, HELD, 1)
add_cells(suite, set_clock, HELD, 1)


@suite.test
def ring_full_at_BLOCK_DDL():
    """What changed before the pause does not fit into the memory that was reserved for it, and the agent takes nothing: the pause is let go of
    at once, and the reason is told."""
    s = shared()
    s.node.execute('CREATE OR REPLACE TABLE probe.aria (id INT PRIMARY KEY AUTO_INCREMENT, v CHAR(250)) ENGINE=Aria TRANSACTIONAL=1',
                   'INSERT INTO probe.aria (v) VALUES ("a load into an empty table is not logged")')
    caller, before = s.held_at('WINDOW', lock_wait=3)
    s.node.execute(f'INSERT INTO probe.aria (v) SELECT REPEAT(MD5(seq), 7) FROM seq_1_to_{ARIA_ROWS}')
    s.agent.freeze()
    try:
        begin = time.monotonic()
        s.locks_gone(begin)
        while caller.number is None and time.monotonic() < begin + 30:
            s.locks_gone(time.monotonic())
            caller.join(0.1)
    finally:
        s.agent.thaw()
    text = s.left_nothing(caller, before, 'GB2111', 'GB2007')
    assert s.node.in_log('fewer changed files in the pause'), text
    s.next_succeeds()


@suite.test
def agent_without_memory():
    """malloc() and mmap() fail in the agent: it says so and lives on."""
    s = shared()
    caller, before = s.held_at('COPY')
    with open(f'/proc/{s.agent.process.pid}/statm', encoding='ascii') as f:
        size = int(f.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    processes.run(['prlimit', f'--pid={s.agent.process.pid}', f'--as={size}:unlimited'])
    try:
        s.locks_gone(time.monotonic())
        caller.wait()
    finally:
        processes.run(['prlimit', f'--pid={s.agent.process.pid}', '--as=unlimited:unlimited'])
    s.told_the_truth(caller, before)
    assert caller.number is None or any(name in caller.text for name in ('GB9001', 'GB2007')), caller.text
    s.next_succeeds()


# -- refused before anything is touched

def refused(s, *names):
    """The start is refused with that error, and the node was never desynced."""
    before = s.node.log_text()
    begin = time.monotonic()
    number, text = backups.error_of(backups.start, s.node)
    took = time.monotonic() - begin
    assert any(name in text for name in names), f'expected {names}: {number} {text}'
    assert number > 20000, f'{number}: {text}'
    assert took < 5, f'the refusal took {took:.1f} s'
    new = s.node.log_text()[len(before):]
    assert 'desync' not in new.lower(), f'the node was desynced: {new}'
    say(f'  {text}')
    return text


@suite.test
def refused_without_an_agent():
    s = shared()
    s.ready()
    s.agent.stop()
    refused(s, 'GB2005')
    s.agent.start()
    s.next_succeeds()


@suite.test
def refused_by_a_socket_nobody_listens_at():
    s = shared()
    s.ready()
    s.agent.kill()
    assert os.path.exists(s.node.agent_socket), 'a killed agent leaves its socket'
    refused(s, 'GB2005')
    s.next_succeeds()


@suite.test
def refused_by_a_stopped_agent():
    s = shared()
    s.ready()
    s.agent.freeze()
    try:
        refused(s, 'GB2005', 'GB2007')
    finally:
        s.agent.thaw()
    s.next_succeeds()


@suite.test
def refused_with_a_peer_that_is_not_ours():
    s = shared()
    if os.geteuid() != 0:
        suite.skip('another user can be had by root only')
    s.ready()
    s.agent.stop()
    path = s.node.agent_socket
    if os.path.exists(path):
        os.remove(path)
    os.chmod(s.node.base, 0o777)
    stranger = processes.start(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '/usr/bin/python3', '-c',
                                'import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1] + ".new")\ns.listen(5)\n'
                                'os.rename(sys.argv[1] + ".new", sys.argv[1])\nwhile True:\n    c = s.accept()', path])
    try:
        wait_for(lambda: os.path.exists(path), 10, 'the stranger to listen')
        refused(s, 'GB2006')
    finally:
        processes.end(stranger, signal.SIGKILL)
        os.chmod(s.node.base, 0o755)
        os.remove(path)
    s.next_succeeds()


@suite.test
def the_writing_went_on():
    shared().the_writing_went_on()


suite.main()
