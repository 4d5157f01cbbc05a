"""Measure in ``/proc`` how much memory, disk and threads all processes of a call take together.

The kernel only limits each process. Without measuring, a call could exceed its limits by forking, by keeping
deleted files open, by starting threads, or by filling the buffers of sockets and pipes.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.sandbox import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fact_magics.sandbox.limits import Limits

_BLOCK = 512
_DELETED = b" (deleted)"
_PIPE_BYTES = 1 << 16  # the size of a pipe, which a call may not change
# A queue of a TCP connection takes about this many times the bytes that are in it.
_QUEUE_OVERHEAD = 2
_INTERNET = {b"TCP": "tcp", b"TCPv6": "tcp6", b"UDP": "udp", b"UDPv6": "udp6"}
_PAUSING_ROUNDS = 8
_MOST_MEMBERS = 4096
# After measuring the disk of a paused call, wait this many times as long before pausing it for that again.
_REST = 4
_PAGE_TABLES = b"VmPTE:"
_LINKS_OF_ONE_THREAD = 3  # of the directory of a process's threads


@dataclass(slots=True)
class Meter:
    """Measure one call: all descendants of the process `root`, and the call's scratch directory.

    `memory` is in bytes, for all descendants together; memory that they share with `root` does not count.
    Page tables and the buffers of sockets and pipes do count, although the sizes of processes don't include
    them. What can't be measured counts as too much.
    """

    root: int
    directory: Path
    memory: int
    limits: Limits
    may_hide: bool = False  # whether a process may be one that its user can't measure
    _rested: float = field(default=0.0, init=False)
    _was_in_flight: bool = field(default=False, init=False)

    def exceeded(self) -> str | None:
        """Name a limit that the processes exceed (``threads`` or ``memory``), or None."""
        members = []
        threads = 0
        for member in _family(self.root):
            threads += member.threads
            if threads > self.limits.threads:
                return "threads"
            members.append(member)
        held = _Held(members)
        is_hidden = held.hidden and not self.may_hide
        return "memory" if is_hidden or self._memory_is_exceeded(held.buffers()) else None

    def disk_exceeded(self) -> str | None:
        """Name the limit ``scratch`` if it is exceeded; this takes long if there are many files."""
        size, complete = scratch.measure(self.directory, self.limits.scratch_bytes)
        if not complete and time.monotonic() >= self._rested:
            # A tool could hide files by moving them all the time, so it is paused for a second measurement.
            # Harmless tools move files too, so this must stay rare.
            began = time.monotonic()
            with _paused(self.root):
                size, _ = scratch.measure(self.directory, self.limits.scratch_bytes)
            self._rested = time.monotonic() + _REST * (time.monotonic() - began)
        if size < self.limits.scratch_bytes:
            members = list(_family(self.root))
            held = _Held(members)
            size += self._deleted(members, held)
            # A descriptor on its way through a socket may be a socket that holds more. Ordinary programs
            # receive it before the next measurement.
            if held.in_flight and self._was_in_flight:
                return "scratch"
            self._was_in_flight = held.in_flight
        return "scratch" if size >= self.limits.scratch_bytes else None

    def has_forked(self) -> bool:
        """Tell whether the call has more than one process; this takes about 0.1 ms."""
        first = _children(self.root)
        return len(first) > 1 or any(map(_children, first))

    def memory_exceeded(self) -> str | None:
        """Name the limit ``memory`` if processes alone exceed it; this is faster than `exceeded`."""
        return "memory" if self._memory_is_exceeded(0) else None

    def _memory_is_exceeded(self, buffers: int) -> bool:
        shared = _resident(f"/proc/{self.root}")
        allowed = self.memory - buffers
        # Each process is read as soon as it is found, because it may end at once.
        if sum(_resident(one.folder) for one in _family(self.root)) - shared <= allowed:
            return False
        # The sum counts shared memory once per process. Exact numbers take longer, so they come second.
        # `shared` is not subtracted for each process, because one may have changed, and so copied, all of it.
        with _paused(self.root) as (found, complete):
            return not complete or sum(_proportional(one.folder) for one in found) - shared > allowed

    def _deleted(self, members: list[_Member], held: _Held) -> int:
        """Add up the sizes of deleted files that are still open or mapped."""
        known = {inode for _, inode in held.deleted}
        mapped = {inode for member in members for inode in self._mapped(member)} - known
        return sum(held.deleted.values()) + len(mapped) * self.limits.file_bytes

    def _mapped(self, member: _Member) -> Iterator[int]:
        mark = os.fsencode(self.directory)
        for line in _read(f"{member.folder}/maps").splitlines():
            if line.endswith(_DELETED) and mark in line:
                yield int(line.split(None, 5)[4])


class _Member(NamedTuple):
    """A process of a call, its directory in ``/proc``, its number of threads, and whether it has ended.

    A process can go on without its first thread, whose directory then shows no memory and no descriptors. In
    this case `folder` belongs to another thread.
    """

    pid: int
    folder: str
    threads: int
    ended: bool


class _Held:
    """The deleted files, pipes and sockets that processes hold open.

    Attributes
    ----------
    deleted : dict
        Bytes on disk of each deleted file, by device and inode.
    in_flight : bool
        Whether descriptors are on their way through sockets.
    hidden : bool
        Whether a process hides what it holds, because it runs a program that its user may not read.
    """

    def __init__(self, members: list[_Member]) -> None:
        self.deleted: dict[tuple[int, int], int] = {}
        self.in_flight = False
        self.hidden = False
        self._sockets: dict[int, str] = {}  # by inode, the file in `_INTERNET` that lists it
        self._pipes: set[int] = set()
        self._folder = ""  # of a process with an internet socket
        for member in members:
            for descriptor in self._descriptors(member.folder) if not member.ended else ():
                with suppress(OSError):
                    self._add(member.folder, descriptor)

    def _descriptors(self, folder: str) -> list[str]:
        try:
            return os.listdir(f"{folder}/fd")  # noqa: PTH208 - names alone
        except PermissionError:
            # The directory of a process that has ended, and has no memory, can't be read either.
            self.hidden = self.hidden or _resident(folder) > 0
        except OSError:
            pass
        return []

    def _add(self, folder: str, descriptor: str) -> None:
        path = f"{folder}/fd/{descriptor}"
        status = os.stat(path)  # noqa: PTH116 - hundreds of them
        if stat.S_ISSOCK(status.st_mode):
            self._sockets[status.st_ino] = ""
            self.in_flight = self.in_flight or _is_in_flight(folder, descriptor)
            protocol = os.getxattr(path, "system.sockprotoname").rstrip(b"\0")
            if protocol in _INTERNET:
                self._sockets[status.st_ino], self._folder = _INTERNET[protocol], folder
        elif stat.S_ISFIFO(status.st_mode):
            self._pipes.add(status.st_ino)
        elif stat.S_ISREG(status.st_mode) and not status.st_nlink:
            self.deleted[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK

    def buffers(self) -> int:
        """Add up the most bytes that the sockets and pipes can hold, and the bytes in TCP connections."""
        # The lists hold the sockets of all processes, so they are only read if they are needed.
        lists = {listed for listed in self._sockets.values() if listed}
        queued = _queued(self._folder, lists)
        sockets = (queued.get(inode, _socket_bytes()) for inode in self._sockets)
        return sum(sockets) + len(self._pipes) * _PIPE_BYTES


def _family(root: int) -> Iterator[_Member]:
    """Yield each descendant of `root`, but not without end if they fork all the time."""
    waiting = _children(root)
    for _ in range(_MOST_MEMBERS):
        if not waiting:
            break
        pid = waiting.pop()
        folder = f"/proc/{pid}"
        fields = _read(f"{folder}/stat").rpartition(b")")[2].split()
        if len(fields) < 18:
            continue
        first_has_ended, threads = fields[0] == b"Z", int(fields[17])
        if first_has_ended and threads > 1:
            others = (f"{folder}/task/{thread}" for thread in _entries(f"{folder}/task"))
            folder = next(filter(_resident, others), folder)
        ended = first_has_ended and threads <= 1
        yield _Member(pid, folder, threads, ended)
        if not ended:  # otherwise its children belong to another process
            waiting += _children(pid)


def is_alone(zygote: int, pid: int) -> bool:
    """Tell whether a zygote has no descendants besides the process `pid`, which has a single thread.

    False also if the system does not list the children of processes.
    """
    children = f"/proc/{zygote}/task/{zygote}/children"
    listed = _read(children).split()
    if not listed:  # it has ended, and was waited for
        return os.path.exists(children)  # noqa: PTH110
    if listed != [b"%d" % pid]:
        return False
    with suppress(OSError):
        if os.stat(f"/proc/{pid}/task").st_nlink == _LINKS_OF_ONE_THREAD:  # noqa: PTH116
            return not _read(f"/proc/{pid}/task/{pid}/children")
    return False


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in _entries(f"/proc/{pid}/task"):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


@contextmanager
def _paused(root: int) -> Iterator[tuple[list[_Member], bool]]:
    """Stop the descendants of `root` for a moment, so that they don't change while they are measured.

    The second value is false if not all could be stopped, because each forks and ends before that.
    """
    handles: dict[int, int] = {}
    stopped: set[int] = set()
    members: list[_Member] = []
    running: list[int] = []
    try:
        for _ in range(_PAUSING_ROUNDS):
            members = list(_family(root))
            running = [one.pid for one in members if one.pid not in stopped and not one.ended]
            if not running:
                break
            for pid in running:
                with suppress(OSError):
                    if pid in handles:  # and still in the family, so the handle belongs to a descendant
                        signal.pidfd_send_signal(handles[pid], signal.SIGSTOP)
                        stopped.add(pid)
                    else:
                        handles[pid] = os.pidfd_open(pid)
        yield members, not running
    finally:
        for pid, handle in handles.items():
            with suppress(OSError):
                if pid in stopped:
                    signal.pidfd_send_signal(handle, signal.SIGCONT)
            os.close(handle)


def _resident(folder: str) -> int:
    """Read the bytes of a process's page tables, and of its memory that no file backs, swapped out or not."""
    return _kilobytes(f"{folder}/status", (b"RssAnon:", b"RssShmem:", b"VmSwap:", _PAGE_TABLES)) * 1024


def _proportional(folder: str) -> int:
    """Read the same as `_resident`, but divide each page by the number of processes that share it."""
    pages = _kilobytes(f"{folder}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")) * 1024
    if not pages:  # the process hides its pages, or has ended
        return _resident(folder)
    return pages + _kilobytes(f"{folder}/status", (_PAGE_TABLES,)) * 1024


def _kilobytes(path: str, names: tuple[bytes, ...]) -> int:
    return sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


@cache
def _socket_bytes() -> int:
    """Read the largest number of bytes that can wait in a socket; a call may not change it."""
    return int(_read("/proc/sys/net/core/wmem_default") or 1 << 18)


def _queued(folder: str, lists: set[str]) -> dict[int, int]:
    """Map the inode of each internet socket of a process's network to the bytes that its queues take."""
    found = {}
    for name in lists:
        for line in _read(f"{folder}/net/{name}").splitlines()[1:]:
            fields = line.split()
            sent, received = (int(size, 16) for size in fields[4].split(b":"))
            found[int(fields[9])] = (sent + received) * _QUEUE_OVERHEAD
    return found


def _is_in_flight(folder: str, descriptor: str) -> bool:
    """Tell whether descriptors were sent through a socket and not received yet."""
    return any(
        line.startswith(b"scm_fds:") and int(line.split()[1]) > 0
        for line in _read(f"{folder}/fdinfo/{descriptor}").splitlines()
    )


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 - names alone
    except OSError:
        return []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib takes twice as long
            return file.readall()
    except OSError:
        return b""
