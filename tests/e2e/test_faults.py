#!/usr/bin/python3
"""Whatever ends a backup leaves nothing behind: no lock, no desync, no backup in the list; the caller is told. Here: what is done to the
server and its sessions; beside it test_faults_agent, _store, _locks, _cluster and _data.

Each stage is hit by each fault; galera_backup_test_hold (GB_TEST_HOOKS) makes the stage a known one. Light writing goes on through another
node all the time. The short form has a share of the stages, chosen by GB_TEST_SEED; tests that are named are never left out.
"""
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups  # noqa: E402
from gbtest.faults import HELD, LOCKS_GONE_S, STAGES, Scene, add_cells  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402
from gbtest.waiting import wait_for  # noqa: E402

SHUTDOWN_S = 30
UNINSTALL_S = 10

suite = Suite()
shared = Shared(lambda: Scene(nodes=3))


def cancelled(stage):
    s = shared()
    caller, before = s.held_at(stage)
    since = time.monotonic()
    canceller = threading.Thread(target=backups.call, args=(s.node, 'BACKUP_CANCEL', None))  # returns when the backup has ended
    canceller.start()
    wait_for(lambda: backups.state(s.node)['test_held'] == '0', 10, 'the cancel to end the hold')
    s.locks_gone(since)
    canceller.join(60)
    assert not canceller.is_alive(), 'the cancel does not return'
    if stage == 'COMMIT':
        caller.wait()
        new = set(s.agent.listed()) - set(before)
        assert bool(new) == (caller.number is None), f'listed {new}, the caller got {caller.text}'
        s.desync_off()
    else:
        say(f'  {caller.failed_with("GB2101")}')
        s.desync_off()
        s.nothing_listed(before)
    s.next_succeeds()


def server_shut_down(stage):
    s = shared()
    caller, before = s.held_at(stage)
    begin = time.monotonic()
    status = s.node.stop(SHUTDOWN_S)
    assert status == 0, f'mariadbd ended with status {status}'
    text = s.node.log_text()
    assert 'Shutdown complete' in text, f'no clean shutdown: ...{text[-1500:]}'
    assert 'signal' not in text.rsplit('Normal shutdown', 1)[-1], f'a crash: ...{text[-3000:]}'
    caller.wait()
    if stage != 'COMMIT':
        assert caller.number is not None, f'the CALL succeeded: {caller.rows}'
        say(f'  down in {time.monotonic() - begin:.1f} s; the caller got {caller.number}: {caller.text}')
        s.nothing_listed(before)
    s.node.start()
    s.next_succeeds()


def server_killed(stage):
    """The agent takes what it has for nothing; the server recovers and joins again."""
    s = shared()
    caller, before = s.held_at(stage)
    told = len(s.agent.log_text())
    s.node.kill()
    caller.wait()
    assert caller.number is not None or stage == 'COMMIT', f'the CALL succeeded: {caller.rows}'
    s.node.start_after_crash()
    wait_for(lambda: re.search('failed|succeeded', s.agent.log_text()[told:]), 20, 'the agent to notice')
    new = set(s.agent.listed()) - set(before)
    assert stage == 'COMMIT' or not new, f'listed now: {new}'
    s.next_succeeds()


def uninstalled(stage):
    """UNINSTALL ends the backup, and is itself refused by the server in the pause."""
    s = shared()
    caller, before = s.held_at(stage)
    if stage in ('BLOCK_DDL', 'BLOCK_COMMIT'):
        number, text = backups.error_of(s.node.execute, "UNINSTALL SONAME 'galera_backup'")
        assert number == 1047 and 'paused' in text, f'{number}: {text}'
        s.locks_gone(time.monotonic())
        caller.wait()
        assert caller.number is None, caller.text
    else:
        begin = time.monotonic()
        s.node.execute("UNINSTALL SONAME 'galera_backup'")
        try:
            assert time.monotonic() - begin < UNINSTALL_S, 'UNINSTALL took its time'
            wait_for(s.probe, LOCKS_GONE_S, 'the locks to be gone')
            s.told_the_truth(caller, before)
            assert stage == 'COMMIT' or caller.number in (22101, 22001), f'{caller.number}: {caller.text}'
        finally:
            s.node.execute("INSTALL SONAME 'galera_backup'")
    s.next_succeeds()


def caller_killed(stage):
    """KILL of the waiting CALL is none of the backup's business."""
    s = shared()
    caller, before = s.held_at(stage)
    backup = backups.state(s.node)['id']
    s.node.execute(f'KILL {caller.connection_id}')
    caller.wait()
    assert caller.number is not None, f'the CALL succeeded: {caller.rows}'
    backups.release(s.node)
    figures = backups.wait_end(s.node, backup)
    assert figures['state'] == 'succeeded', f'{figures["state"]}: {figures["error"]}'
    s.desync_off()
    assert set(s.agent.listed()) - set(before) == {backup}
    s.next_succeeds()


add_cells(suite, cancelled, STAGES, 3)
add_cells(suite, server_shut_down, STAGES, 2)
add_cells(suite, server_killed, STAGES, 1)
add_cells(suite, uninstalled, STAGES, 2)
add_cells(suite, caller_killed, HELD, 1)


@suite.test
def a_second_start_names_the_first():
    s = shared()
    caller, _ = s.held_at('COPY')
    running = backups.state(s.node)['id']
    number, text = backups.error_of(backups.start, s.node)
    assert number == 22003 and running in text, f'{number}: {text}'
    say(f'  {text}')
    backups.release(s.node)
    caller.wait()
    assert caller.number is None, caller.text
    s.next_succeeds()


@suite.test
def the_writing_went_on():
    shared().the_writing_went_on()


suite.main()
