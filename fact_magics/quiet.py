"""Keep out of the user's logs what libraries log while they work for fact_magics.

If a notebook sets its root logger to DEBUG, libraries for databases and networks would otherwise write lines
into every cell. The user's own work with the same libraries is logged as ever.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass

# Tasks, and the threads that they wait for, inherit the context, so this is also true in their libraries.
_ours = ContextVar("fact_magics_works", default=False)


def begin_work() -> None:
    """Mark the current context: from here on, libraries work for fact_magics."""
    _ours.set(True)


@dataclass(frozen=True, slots=True)
class _ForUser:
    """A filter of logging; equal filters are added to a logger once."""

    below: int

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self.below or not _ours.get()


def quieten(*libraries: str, below: int = logging.WARNING) -> None:
    """Drop what these libraries log below a level while they work for fact_magics.

    Parameters
    ----------
    libraries : str
        The first words of the names of their loggers. Call this after the import of a library, because a
        filter of a logger does not apply to the loggers below it.
    below : int
        The level from which on records are for the user.
    """
    known = [name for name in [*logging.root.manager.loggerDict] if name.partition(".")[0] in libraries]
    for name in (*libraries, *known):
        logging.getLogger(name).addFilter(_ForUser(below))
