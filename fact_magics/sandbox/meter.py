"""Measure in ``/proc`` how much memory, disk and threads all processes of a call take together.

The kernel only limits each process. Without measuring, a call could exceed its limits by forking, by keeping
deleted files open, or by starting threads.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.sandbox import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.sandbox.limits import Limits

_BLOCK = 512
_DELETED = b" (deleted)"


@dataclass(frozen=True, slots=True)
class Meter:
    """Measure one call: all descendants of the process `root`, and the call's scratch directory.

    `memory` is in bytes, for all descendants together; memory that they share with `root` does not count.
    """

    root: int
    directory: Path
    memory: int
    limits: Limits

    def exceeded(self) -> str | None:
        """Name a limit that is exceeded (``scratch``, ``threads`` or ``memory``), or None."""
        on_disk = scratch.size(self.directory, self.limits.scratch_bytes)
        if on_disk >= self.limits.scratch_bytes:
            return "scratch"
        members = []
        threads = 0
        for pid, its_threads in _family(self.root):
            threads += its_threads
            if threads > self.limits.threads:
                return "threads"
            members.append(pid)
        if on_disk + self._deleted(members) >= self.limits.scratch_bytes:
            return "scratch"
        return "memory" if self._memory_is_exceeded(members) else None

    def _memory_is_exceeded(self, members: list[int]) -> bool:
        shared = _resident(self.root)
        if sum(max(0, _resident(pid) - shared) for pid in members) <= self.memory:
            return False
        # The sum counts shared memory once per process. Exact numbers take longer, so they come second.
        return sum(max(0, _proportional(pid) - shared) for pid in members) > self.memory

    def _deleted(self, members: list[int]) -> int:
        """Add up the sizes of deleted files that are still open, mapped, or on their way through a socket."""
        sizes: dict[tuple[int, int], int] = {}
        unseen = 0
        for pid in members:
            for descriptor in _entries(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH116 - hundreds of them
                    if stat.S_ISSOCK(status.st_mode):
                        unseen += _in_flight(pid, descriptor)
                    elif stat.S_ISREG(status.st_mode) and not status.st_nlink:
                        sizes[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
        known = {inode for _, inode in sizes}
        mapped = {inode for pid in members for inode in self._mapped(pid)} - known
        return sum(sizes.values()) + (unseen + len(mapped)) * self.limits.file_bytes

    def _mapped(self, pid: int) -> Iterator[int]:
        mark = os.fsencode(self.directory)
        for line in _read(f"/proc/{pid}/maps").splitlines():
            if line.endswith(_DELETED) and mark in line:
                yield int(line.split(None, 5)[4])


def _family(root: int) -> Iterator[tuple[int, int]]:
    """Yield each descendant of `root` and its number of threads."""
    waiting = _children(root)
    while waiting:
        pid = waiting.pop()
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) < 18:
            continue
        yield pid, int(fields[17])
        waiting += _children(pid)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in _entries(f"/proc/{pid}/task"):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def _resident(pid: int) -> int:
    """Read the bytes of memory that no file backs, swapped out or not."""
    return _kilobytes(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:", b"VmSwap:")) * 1024


def _proportional(pid: int) -> int:
    """Read the same as `_resident`, but divide each page by the number of processes that share it."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")) * 1024


def _kilobytes(path: str, names: tuple[bytes, ...]) -> int:
    return sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


def _in_flight(pid: int, descriptor: str) -> int:
    """Count the descriptors that were sent through a socket and not received yet."""
    for line in _read(f"/proc/{pid}/fdinfo/{descriptor}").splitlines():
        if line.startswith(b"scm_fds:"):
            return int(line.split()[1])
    return 0


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 - names alone
    except OSError:
        return []


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
