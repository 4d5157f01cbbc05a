"""Why a call could not begin: the error between the parts of the parent's side, and what a person is told."""

from __future__ import annotations

import errno

from fact_magics.errors import IsolationError

USE_PROCESS = (
    'Write %config FactMagics.isolation = "process" to run tools in processes of their own: with limits, but '
    "with your files and the network within their reach."
)

_DESCRIPTORS = "Close files and connections that are open, or restart the kernel."
_ROOM = "Make room for temporary files, or name another place in the environment variable TMPDIR."
_OTHERS = "Let other processes end, then try again."
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
    """A zygote could not be started, or came to an end before a call began.

    Attributes
    ----------
    hint : str
        What to do about what the system ran out of; empty where that is not known to be the reason.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def closed() -> IsolationError:
    """Make the error of a call that came when its sandbox was closed already."""
    return IsolationError("The tool was not run: its sandbox was closed.", hint="Run it again.")


def shortage_hint(error: BaseException) -> str:
    """Say what to do where the system ran out of something; empty for any other error."""
    return _SHORTAGES.get(getattr(error, "errno", None) or 0, "")
