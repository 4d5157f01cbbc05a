"""Measure in ``/proc`` how much memory, disk and threads all processes of a call take together.

The kernel only limits each process. Without measuring, a call could exceed its limits by forking, by keeping
deleted files open, by starting threads, or by filling the buffers of sockets and pipes.
"""

from __future__ import annotations

import os
import signal
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.sandbox import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.sandbox.limits import Limits

_BLOCK = 512
_DELETED = b" (deleted)"
_PIPE_BYTES = 1 << 16  # the size of a pipe, which a call may not change
# A queue of a TCP connection takes about this many times the bytes that are in it.
_QUEUE_OVERHEAD = 2
_INTERNET = ("tcp", "tcp6", "udp", "udp6")


@dataclass(frozen=True, slots=True)
class Meter:
    """Measure one call: all descendants of the process `root`, and the call's scratch directory.

    `memory` is in bytes, for all descendants together; memory that they share with `root` does not count. The
    buffers of sockets and pipes count too, although the figures of processes don't include them.
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
        held = _Held(members)
        if on_disk + self._deleted(members, held) >= self.limits.scratch_bytes:
            return "scratch"
        return "memory" if self._memory_is_exceeded(members, held.buffers()) else None

    def has_forked(self) -> bool:
        """Tell whether the call has more than one process; this takes about 0.1 ms."""
        first = _children(self.root)
        return len(first) > 1 or any(map(_children, first))

    def memory_exceeded(self) -> str | None:
        """Name the limit ``memory`` if processes alone exceed it; this is faster than `exceeded`."""
        members = [pid for pid, _ in _family(self.root)]
        return "memory" if self._memory_is_exceeded(members, 0) else None

    def _memory_is_exceeded(self, members: list[int], buffers: int) -> bool:
        shared = _resident(self.root)
        allowed = self.memory - buffers
        if sum(max(0, _resident(pid) - shared) for pid in members) <= allowed:
            return False
        # The sum counts shared memory once per process. Exact numbers take longer, so they come second.
        with _paused(members):
            return sum(max(0, _proportional(pid) - shared) for pid in members) > allowed

    def _deleted(self, members: list[int], held: _Held) -> int:
        """Add up the sizes of deleted files that are still open, mapped, or on their way through a socket."""
        known = {inode for _, inode in held.deleted}
        mapped = {inode for pid in members for inode in self._mapped(pid)} - known
        return sum(held.deleted.values()) + (held.unseen + len(mapped)) * self.limits.file_bytes

    def _mapped(self, pid: int) -> Iterator[int]:
        mark = os.fsencode(self.directory)
        for line in _read(f"/proc/{pid}/maps").splitlines():
            if line.endswith(_DELETED) and mark in line:
                yield int(line.split(None, 5)[4])


class _Held:
    """The deleted files, pipes and sockets that processes hold open.

    Attributes
    ----------
    deleted : dict
        Bytes on disk of each deleted file, by device and inode.
    unseen : int
        The number of descriptors that are on their way through sockets.
    """

    def __init__(self, members: list[int]) -> None:
        self.deleted: dict[tuple[int, int], int] = {}
        self.unseen = 0
        self._sockets: dict[int, int] = {}  # by inode, a process that holds it
        self._pipes: set[int] = set()
        for pid in members:
            for descriptor in _entries(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH116 - hundreds of them
                    self._add(pid, descriptor, status)

    def _add(self, pid: int, descriptor: str, status: os.stat_result) -> None:
        if stat.S_ISSOCK(status.st_mode):
            self._sockets[status.st_ino] = pid
            self.unseen += _in_flight(pid, descriptor)
        elif stat.S_ISFIFO(status.st_mode):
            self._pipes.add(status.st_ino)
        elif stat.S_ISREG(status.st_mode) and not status.st_nlink:
            self.deleted[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK

    def buffers(self) -> int:
        """Add up the most bytes that the sockets and pipes can hold, and the bytes in TCP connections."""
        queued = _queued(next(iter(self._sockets.values()))) if self._sockets else {}
        sockets = (queued.get(inode, _socket_bytes()) for inode in self._sockets)
        return sum(sockets) + len(self._pipes) * _PIPE_BYTES


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


@contextmanager
def _paused(members: list[int]) -> Iterator[None]:
    """Stop processes for a moment, so that they don't take more memory while it is measured."""
    for pid in members:
        with suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in members:
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)


def _resident(pid: int) -> int:
    """Read the bytes of memory that no file backs, swapped out or not."""
    return _kilobytes(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:", b"VmSwap:")) * 1024


def _proportional(pid: int) -> int:
    """Read the same as `_resident`, but divide each page by the number of processes that share it."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")) * 1024


def _kilobytes(path: str, names: tuple[bytes, ...]) -> int:
    return sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


@cache
def _socket_bytes() -> int:
    """Read the largest number of bytes that can wait in a socket; a call may not change it."""
    return int(_read("/proc/sys/net/core/wmem_default") or 1 << 18)


def _queued(pid: int) -> dict[int, int]:
    """Map the inode of each internet socket of a process's network to the bytes that its queues take."""
    found = {}
    for protocol in _INTERNET:
        for line in _read(f"/proc/{pid}/net/{protocol}").splitlines()[1:]:
            fields = line.split()
            sent, received = (int(size, 16) for size in fields[4].split(b":"))
            found[int(fields[9])] = (sent + received) * _QUEUE_OVERHEAD
    return found


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
