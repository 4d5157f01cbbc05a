"""Quick read-only queries for completion and lists, which must not wait.

Each query opens and closes its own connection, and neither creates nor changes a file. A query raises
`sqlite3.Error`, `OSError` or `LookupError` if the file is missing, can't be read or has tables of another
version.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fact_magics.store import tools
from fact_magics.store.binding import UNREADABLE, moment, read_only, text, words
from fact_magics.tool import HAND, IMPORTED, REPLAY, SHELF, Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_SECONDS = 0.1
# A query reads at most this many rows, so that it takes no longer in a large database than in a small one.
_LATEST = 500
_RUNS = 20
_SECONDS = 1.0


def names(path: Path, prefix: str = "") -> list[str]:
    """List the names in the toolbox that begin with `prefix`."""
    with _opened(path) as connection:
        return tools.names(connection, prefix, _LATEST)


def versions(path: Path, name: str) -> list[str]:
    """List the version numbers of a tool, the highest first."""
    query = """
        SELECT version FROM tools WHERE name = ? AND removed_at IS NULL
        ORDER BY major DESC, minor DESC, patch DESC LIMIT ?
    """
    return [number for number in _column(path, query, name, _LATEST) if tools.is_version(number)]


def source(path: Path, name: str, version: str | None) -> str:
    """Return the source of a version, or an empty text if there is no such version."""
    with _opened(path) as connection:
        found = tools.get(connection, name, version)
    return found.source if found else ""


def tags(path: Path) -> list[str]:
    """List the tags of the 500 tools whose current version changed last."""
    query = """
        SELECT tools.tags FROM toolbox CROSS JOIN tools ON tools.id = toolbox.tool_id
        ORDER BY toolbox.seq DESC LIMIT ?
    """
    found = set()
    for stored in _column(path, query, _LATEST):
        with suppress(*UNREADABLE):
            found |= {*words(stored)}
    return sorted(found)


@dataclass(frozen=True, slots=True)
class ModelUse:
    """How the latest attempts of generations used a model.

    Attributes
    ----------
    provider, model : str
        The names recorded with the attempts; all entries of the shelf count as one model.
    last_used : str
        UTC, ISO 8601.
    attempts, accepted : int
        The number of attempts that used the model, and the number of them that became a version.
    """

    provider: str
    model: str
    last_used: str
    attempts: int
    accepted: int


def model_uses(path: Path) -> list[ModelUse]:
    """List the models of the 500 latest attempts, latest first; skip tools that no model wrote."""
    query = "SELECT provider, model, status, started_at FROM generations ORDER BY seq DESC LIMIT ?"
    found: dict[tuple[str, str], ModelUse] = {}
    with _opened(path) as connection:
        for provider, model, status, started_at in connection.execute(query, (_LATEST,)):
            try:
                text(provider), text(model), moment(started_at)
            except UNREADABLE:
                continue
            if provider in (HAND, IMPORTED, REPLAY):
                continue
            key = (provider, SHELF if provider == SHELF else model)
            use = found.get(key, ModelUse(*key, started_at, 0, 0))
            accepted = use.accepted + (status == Status.OK)
            found[key] = replace(use, attempts=use.attempts + 1, accepted=accepted)
    return list(found.values())


def models(path: Path) -> list[str]:
    """List the names of the models in `model_uses`, without the shelf."""
    return list(dict.fromkeys(use.model for use in model_uses(path) if use.provider != SHELF))


def runs(path: Path) -> list[str]:
    """List the first eight digits of the ids of the latest runs, the latest first."""
    query = "SELECT substr(id, 1, 8) FROM tool_executions ORDER BY seq DESC LIMIT ?"
    return _column(path, query, _RUNS)


def _column(path: Path, query: str, *parameters: str | int) -> list[str]:
    """Return the values of a query's only column that are texts."""
    with _opened(path) as connection:
        return [value for (value,) in connection.execute(query, parameters) if type(value) is str]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(read_only(path, _LOCK_SECONDS)) as connection:
        connection.allow(_SECONDS)
        yield connection
