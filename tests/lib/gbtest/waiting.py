"""Waiting for a state with a deadline. A wait that runs out is a failure, never a shrug."""
import time

POLL_S = 0.02


class WaitTimeout(AssertionError):
    pass


def wait_for(condition, deadline_s, what, poll_s=POLL_S, while_true=None):
    """Calls condition() until it returns something true, and returns that.

    An exception of condition() counts as "not yet" and is told in the failure. while_true, if given, is called at
    each poll and must stay true (a process that must stay alive); what it raises ends the wait at once.
    """
    end = time.monotonic() + deadline_s
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except Exception as error:  # told if the time runs out
            last = error
        if while_true is not None and while_true() is False:
            raise WaitTimeout(f'waited for {what}, which can\'t come any more; last: {last!r}')
        if time.monotonic() >= end:
            raise WaitTimeout(f'waited {deadline_s:g} s for {what}; last: {last!r}')
        time.sleep(poll_s)
