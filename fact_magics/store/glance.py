"""Quick queries for completion and lists, which may not wait: nothing is made, kept open or changed.

Each query has a connection of its own that can only read. It raises `sqlite3.Error`, `OSError` or
`LookupError` if there is no file, or it can't be read, or its tables are those of another version.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fact_magics.store import tools
from fact_magics.store.binding import words
from fact_magics.tool import HAND, IMPORTED, SHELF, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_SECONDS = 0.1
# The most rows that a query looks at, so that it takes no longer in a large database.
_LATEST = 500
_RUNS = 20


def names(path: Path, prefix: str = "") -> list[str]:
    """List the names in the toolbox that begin with `prefix`."""
    with _opened(path) as connection:
        return tools.names(connection, prefix, _LATEST)


def versions(path: Path, name: str) -> list[str]:
    """List the numbers of a tool's versions, the highest first."""
    query = """
        SELECT version FROM tools WHERE name = ? AND removed_at IS NULL
        ORDER BY major DESC, minor DESC, patch DESC LIMIT ?
    """
    return _column(path, query, name, _LATEST)


def source(path: Path, name: str, version: str | None) -> str:
    """Give the source of a version; empty if there is none."""
    with _opened(path) as connection:
        found = tools.get(connection, name, version)
    return found.source if found else ""


def tags(path: Path) -> list[str]:
    """List the tags of the tools that became current last."""
    query = """
        SELECT tools.tags FROM toolbox CROSS JOIN tools ON tools.id = toolbox.tool_id
        ORDER BY toolbox.updated_at DESC LIMIT ?
    """
    return sorted({tag for stored in _column(path, query, _LATEST) for tag in words(stored)})


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The use of a model by the latest attempts of generations.

    Attributes
    ----------
    provider, model : str
        As the attempts name them; all entries of the shelf count as one.
    last_used : str
        UTC, ISO 8601.
    attempts, accepted : int
        How many attempts asked the model, and how many of them became a version.
    """

    provider: str
    model: str
    last_used: str
    attempts: int
    accepted: int


def model_uses(path: Path) -> list[ModelUse]:
    """List the models of the 500 latest attempts, the latest first; not of what people wrote or imported."""
    query = "SELECT provider, model, status, started_at FROM generations ORDER BY started_at DESC LIMIT ?"
    found: dict[tuple[str, str], ModelUse] = {}
    with _opened(path) as connection:
        for provider, model, status, started_at in connection.execute(query, (_LATEST,)):
            if provider in (HAND, IMPORTED):
                continue
            key = (provider, SHELF if provider == SHELF else model)
            use = found.get(key, ModelUse(*key, started_at, 0, 0))
            accepted = use.accepted + (status == Status.OK)
            found[key] = replace(use, attempts=use.attempts + 1, accepted=accepted)
    return list(found.values())


def models(path: Path) -> list[str]:
    """List the names of the models that were asked last, the latest first, without the shelf."""
    return list(dict.fromkeys(use.model for use in model_uses(path) if use.provider != SHELF))


def runs(path: Path) -> list[str]:
    """List the beginnings of the ids of the latest runs, the latest first."""
    query = "SELECT substr(id, 1, 8) FROM tool_executions ORDER BY executed_at DESC LIMIT ?"
    return _column(path, query, _RUNS)


def _column(path: Path, query: str, *parameters: str | int) -> list[str]:
    with _opened(path) as connection:
        return [row[0] for row in connection.execute(query, parameters)]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    wal = path.with_name(f"{path.name}-wal")
    # Without a -wal nobody writes, and SQLite need not make the file that readers and writers share.
    immutable = "" if wal.exists() and wal.stat().st_size else "&immutable=1"
    address = f"{path.as_uri()}?mode=ro{immutable}"
    with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)) as connection:
        yield connection
