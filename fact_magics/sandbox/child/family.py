"""Find and kill the descendants of a process, as listed in ``/proc``."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

_ROUNDS = 200
_PAUSE_SECONDS = 0.002


def kill_descendants(pid: int) -> None:
    """Kill all descendants of `pid`, but not `pid` itself, which adopts and reaps them.

    Descendants may fork meanwhile, so this repeats until none is left, but at most `_ROUNDS` times. Without
    ``/proc`` it does nothing.
    """
    for _ in range(_ROUNDS):
        found = descendants(pid)
        if not found:
            return
        for one in found:
            with suppress(OSError):
                os.kill(one, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)


def descendants(pid: int) -> list[int]:
    """List the living processes that descend from `pid`, nearest first."""
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - thousands of names, and no paths needed
    except OSError:
        return []
    children: dict[int, list[int]] = {}
    for entry in entries:
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        mine = children.get(waiting.pop(0), [])
        found += mine
        waiting += mine
    return found
