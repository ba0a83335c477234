"""Finds and ends the processes below this one; in the command line's process only.

JupyterHub's cleanup stops the servers and the proxy that it knows. This is the net
below it: for a hub that crashed, for a second Ctrl-C, and for what a user started in a
terminal. Every server is a process group of its own, so signals to one group won't do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PROC = Path("/proc")

_COLUMNS = "pid=,ppid="
"""What ps prints, without headings."""

PR_SET_CHILD_SUBREAPER = 36
"""From ``linux/prctl.h``."""


def adopt_orphans() -> None:
    """Become the parent of processes below this one whose own parent dies.

    Linux only (``man 2 PR_SET_CHILD_SUBREAPER``); elsewhere nothing happens, and a
    server of a hub that crashed may stay.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """Find the processes below one.

    Args:
        pid: the process whose children, and theirs, are wanted.

    Returns:
        Their ids, without its own.
    """
    children: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        children.setdefault(parent, []).append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        fresh = [c for c in children.get(waiting.pop(), ()) if c not in found]
        found.update(fresh)
        waiting.extend(fresh)
    return found


def kill_descendants(seconds: float = 5.0) -> set[int]:
    """Kill every process below this one, the orphans that it adopted included.

    Args:
        seconds: how long to try; new ones may appear while the old ones die.

    Returns:
        The ids of those that are still there, normally none.
    """
    until = time.monotonic() + seconds
    while remaining := descendants(os.getpid()):
        if time.monotonic() > until:
            break
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        _reap()
    return remaining


def _reap() -> None:
    """Take note of the children that ended, or they stay in the table as zombies."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _parents() -> dict[int, int]:
    """Map each process of the machine to its parent."""
    return _parents_from_proc() if (PROC / "self").exists() else _parents_from_ps()


def _parents_from_proc() -> dict[int, int]:
    parents = {}
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            status = (folder / "stat").read_text(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        # "PID (NAME) STATE PARENT ...", where NAME may hold spaces and brackets
        parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    return parents


def _parents_from_ps() -> dict[int, int]:
    ps = shutil.which("ps")
    if not ps:
        return {}
    argv = [ps, "-A", "-o", _COLUMNS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ps
        output, _ = process.communicate()
    rows = (line.split() for line in output.splitlines())
    parents = {int(row[0]): int(row[1]) for row in rows if row}
    parents.pop(process.pid, None)  # it lists itself, as one of our children
    return parents
