"""Errors of calls that could not begin, and their hints."""

from __future__ import annotations

import errno

from fact_magics.errors import IsolationError

USE_PROCESS = (
    'Write %config FactMagics.isolation = "process" to run tools in plain processes. These have '
    "limits, but can reach your files and the network."
)

_DESCRIPTORS = "Close files and connections, or restart the kernel."
_ROOM = "Free disk space for temporary files, or name another directory in the environment variable TMPDIR."
_OTHERS = "End other processes, then try again."
_SHORTAGES = {
    errno.EMFILE: _DESCRIPTORS,
    errno.ENFILE: _DESCRIPTORS,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: _ROOM,
    errno.EOPNOTSUPP: _ROOM,
    errno.EAGAIN: _OTHERS,
    errno.ENOMEM: _OTHERS,
}


class ZygoteLostError(Exception):
    """A zygote could not be started, or ended before a call began. Its hint may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def closed() -> IsolationError:
    """Build the error for a call to a closed sandbox."""
    return IsolationError("The tool was not run: its sandbox was closed.", hint="Run it again.")


def shortage_hint(error: BaseException) -> str:
    """Say what to do if an error means that a resource ran out; empty for other errors."""
    return _SHORTAGES.get(getattr(error, "errno", None) or 0, "")
