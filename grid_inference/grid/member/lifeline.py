"""Ends a process when the one that started it is gone, however it went; run as a script beside the process.

In: the process id, the seconds that it may take, and a pipe as standard input. A byte on the pipe means that all is
well and the watch is over; the pipe's end means that the starter died. Only the standard library, on every system:
Linux's PR_SET_PDEATHSIG would fire when the starting *thread* ends, and does not exist elsewhere.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

CHECK_S = 1.0
POLL_S = 0.1


def alive(process_id: int) -> bool:
    """Tell whether the process is there (or is a zombie that its starter has yet to reap)."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def starter_died(process_id: int) -> bool:
    """Wait until the watch is over (False) or the starter is gone (True)."""
    if sys.platform == "win32":  # no select on pipes, and no os.kill(..., 0) to look with
        return not os.read(0, 1)
    starter = os.getppid()
    while True:
        readable, _, _ = select.select([0], [], [], CHECK_S)
        if readable:
            return not os.read(0, 1)
        # A forked child of the starter may hold the pipe open after the starter's death.
        if os.getppid() != starter:
            return True
        if not alive(process_id):
            return False


def end(process_id: int, grace_s: float) -> None:
    """Ask the process to stop, and kill it if it does not."""
    os.kill(process_id, signal.SIGTERM)
    if sys.platform == "win32":
        return
    until = time.monotonic() + grace_s
    while alive(process_id):
        if time.monotonic() > until:
            os.kill(process_id, signal.SIGKILL)
            return
        time.sleep(POLL_S)


def main() -> None:
    """Watch, and end the process if its starter dies first."""
    process_id, grace_s = int(sys.argv[1]), float(sys.argv[2])
    if starter_died(process_id):
        try:
            end(process_id, grace_s)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    main()
