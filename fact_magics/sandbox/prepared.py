"""A child process that a zygote prepared for the next call, and the parent's ends of its pipes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox.child.confine import take_descriptor
from fact_magics.sandbox.child.worker import address_space

if TYPE_CHECKING:
    from pathlib import Path

_PIPE_SIZE = 1 << 20


@dataclass(slots=True)
class Prepared:
    """A child that waits for its request, and the parent's ends of its pipes."""

    number: int
    scratch: Path
    taken: int | None = None
    requests: int = -1
    results: int = -1
    printed: int = -1
    pid: int = 0
    handle: int = -1

    def take_over(self, zygote: int, handle: int, ready: dict[str, Any]) -> None:
        """Take the pipes that the zygote reports. After an error, call `close`.

        Parameters
        ----------
        zygote, handle : int
            The zygote's pid and pidfd.

        Raises
        ------
        OSError
            The system does not let this process take descriptors of its children, or has none left.
        """
        requests, results, printed = ready["pipes"]
        self.requests = _taken(zygote, handle, requests, os.O_WRONLY)
        self.results = _taken(zygote, handle, results, os.O_RDONLY)
        self.printed = _taken(zygote, handle, printed, os.O_RDONLY)
        for end in (self.requests, self.results, self.printed):
            os.set_blocking(end, False)
        widen(self.results)
        self.pid = int(ready["pid"])
        self.handle = os.pidfd_open(self.pid)
        if self.taken is None:
            self.taken = address_space(self.pid)

    def close(self) -> None:
        """Close the parent's ends of the pipes."""
        for descriptor in (self.requests, self.results, self.printed, self.handle):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self.requests = self.results = self.printed = self.handle = -1


def _taken(zygote: int, handle: int, number: int, mode: int) -> int:
    """Take an end of a pipe from the zygote, for writing or for reading as `mode` says."""
    try:
        return take_descriptor(handle, number)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            raise
    # Many containers forbid that call. The number comes from the zygote, so it must not be trusted: a file
    # that the zygote may only read could be opened for writing here.
    found = os.open(f"/proc/{zygote}/fd/{int(number)}", os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISFIFO(os.fstat(found).st_mode):
            raise OSError(errno.EBADF, "the zygote reported something other than a pipe")
        return os.open(f"/proc/self/fd/{found}", mode | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(found)


def widen(pipe: int) -> None:
    """Let a pipe hold more, so that large data take fewer steps."""
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
