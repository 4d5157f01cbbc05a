"""`Tools`: all versions of all tools, the current version of each tool, and the full-text search."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from fact_magics.complexity import complexity
from fact_magics.errors import StoreError, UnknownName
from fact_magics.store import sessions
from fact_magics.store.binding import (
    Rows,
    UnreadableRow,
    bindable,
    execute,
    insert,
    instance,
    readable,
    records,
    spare,
    text,
    values_of,
)
from fact_magics.store.history import add_generations
from fact_magics.store.locks import LOCK_SECONDS
from fact_magics.store.search import indexable, match_expression
from fact_magics.text import one_line, utc_now
from fact_magics.tool import ToolMetadata, ToolVersion

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from fact_magics.store.database import Database
    from fact_magics.store.locks import LockWait
    from fact_magics.store.rows import Candidate, GenerationRow

_PARTIAL = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", re.ASCII)
_HIGHEST_NUMBER = 999_999_999
# Receives the version that stops being current (None if its row can't be read), and the path of the notebook
# that made it (empty if it is not known). It is called within the transaction: if it raises an error, nothing
# is stored.
Replacing: TypeAlias = "Callable[[ToolVersion | None, str], None]"

_CURRENT = "FROM toolbox CROSS JOIN tools ON tools.id = toolbox.tool_id AND tools.name = toolbox.name"


class Tools:
    """The toolbox of a database and all versions of its tools. Only `by_id` finds removed versions.

    A version whose row can't be read counts as missing; lists say which they left out.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(
        self,
        candidate: Candidate,
        *,
        session_id: str | None = None,
        generations: Sequence[GenerationRow] = (),
        replacing: Replacing | None = None,
        wait: LockWait | None = None,
    ) -> ToolVersion:
        """Store a candidate as the next version of its name, make it current and pin the session to it.

        The new number depends on the change since the current version: a new signature increases the major
        number, a new contract increases the minor number, and any other change increases the patch number. A
        number is never used twice, even if its version was removed or two kernels store versions at once.

        Parameters
        ----------
        generations : sequence of GenerationRow
            The attempts that led to the candidate, stored in the same transaction. The accepted attempt may
            have ``tool_id=candidate.id``.
        replacing : Replacing, optional
            Called before anything is stored.
        wait : LockWait, optional
            The wait for another program's lock; when it ends, `StoreLocked` is raised.
        """

        def work(connection: sqlite3.Connection) -> ToolVersion:
            _announce(connection, candidate.name, replacing)
            number = _next_number(connection, candidate)
            version = candidate.numbered("{}.{}.{}".format(*number))
            values = values_of(version.metadata) | dict(zip(("major", "minor", "patch"), number, strict=True))
            others = {"signature_id": candidate.signature_id, "session_id": session_id}
            insert(connection, "tools", values | others | {"source": version.source})
            _set_current(connection, candidate.name, candidate.id, session_id)
            add_generations(connection, generations)
            return version

        # A lock that is soon released must not cost an accepted tool, so this always waits in full.
        return await self._database.write(work, wait=wait or self._database.lock_wait(LOCK_SECONDS))

    async def get(self, name: str, version: str | None = None) -> ToolVersion | None:
        """Find a version that was not removed.

        Parameters
        ----------
        version : str or None
            None for the current version, ``1`` for the highest 1.x.x, ``1.2`` for the highest 1.2.x, or a
            full number.
        """
        return await self._database.read(lambda connection: get(connection, name, version))

    async def by_id(self, tool_id: str) -> ToolVersion | None:
        """Find a version by its id, even if the version was removed."""
        return await self._first("SELECT * FROM tools WHERE id = ?", tool_id)

    async def by_request(self, request_hash: str) -> ToolVersion | None:
        """Find the latest version that was accepted for a request."""
        query = "SELECT * FROM tools WHERE request_hash = ? AND removed_at IS NULL ORDER BY seq DESC"
        return await self._first(query, request_hash) if request_hash else None

    async def same_version(
        self, name: str, source: str, contract: str, permissions: tuple[str, ...]
    ) -> ToolVersion | None:
        """Find the latest version with exactly this source, contract and permissions."""
        query = """
            SELECT * FROM tools WHERE name = ? AND removed_at IS NULL
            AND source = ? AND contract = ? AND permissions = ?
            ORDER BY seq DESC
        """
        return await self._first(query, name, source, contract, permissions)

    async def versions(self, name: str) -> Rows[ToolVersion]:
        """List the versions of a name, the highest first."""
        query = """
            SELECT * FROM tools WHERE name = ? AND removed_at IS NULL
            ORDER BY major DESC, minor DESC, patch DESC
        """
        return await self._all(query, name)

    async def latest(self, limit: int = 100) -> Rows[ToolVersion]:
        """List the current versions; the version that became current last comes first."""
        query = f"SELECT tools.* {_CURRENT} ORDER BY toolbox.seq DESC LIMIT ?"
        return await self._all(query, spare(limit), limit=limit)

    async def names(self, prefix: str = "", limit: int = 10_000) -> list[str]:
        """List the names in the toolbox that begin with `prefix`, sorted."""
        return await self._database.read(lambda connection: names(connection, prefix, limit))

    async def search(self, wanted: str, limit: int = 20) -> Rows[ToolVersion]:
        """Find current versions by beginnings of words in name, description and tags, best match first."""
        expression = match_expression(wanted)
        if expression is None:
            return Rows()
        query = """
            SELECT tools.* FROM tool_search
            CROSS JOIN toolbox ON toolbox.seq = tool_search.rowid
            CROSS JOIN tools ON tools.id = toolbox.tool_id AND tools.name = toolbox.name
            WHERE tool_search MATCH ? ORDER BY bm25(tool_search, 10.0, 1.0, 5.0) LIMIT ?
        """
        return await self._all(query, expression, spare(limit), limit=limit)

    async def notebooks(self, name: str) -> dict[str, str]:
        """Map the ids of a name's versions to the paths of the notebooks that made them, where known."""
        query = """
            SELECT tools.id, sessions.notebook FROM tools
            CROSS JOIN sessions ON sessions.id = tools.session_id
            WHERE tools.name = ? AND tools.removed_at IS NULL
        """
        found = await self._database.read(lambda connection: execute(connection, query, name).fetchall())
        return {tool_id: path for tool_id, path in found if type(path) is str and path}

    async def set_current(
        self,
        name: str,
        tool_id: str,
        *,
        session_id: str | None = None,
        replacing: Replacing | None = None,
    ) -> None:
        """Make a version the current version of its name; if a session is given, pin it to the version.

        Parameters
        ----------
        replacing : Replacing, optional
            Called before anything is changed.

        Raises
        ------
        UnknownName
            The name has no such version, or the version was removed.
        """

        def work(connection: sqlite3.Connection) -> None:
            _announce(connection, name, replacing)
            _set_current(connection, name, tool_id, session_id)

        await self._database.write(work)

    async def set_ttl(self, version: ToolVersion, ttl_seconds: float | None) -> ToolVersion:
        """Change how long the answers of a version are good, and return the changed version."""
        changed = "UPDATE tools SET ttl_seconds = ? WHERE id = ?"
        metadata = version.metadata.model_copy(update={"ttl_seconds": ttl_seconds})
        await self._database.write(lambda connection: execute(connection, changed, ttl_seconds, metadata.id))
        return ToolVersion(metadata, version.source)

    async def remove(self, name: str) -> int:
        """Remove a name and return the number of its versions, which stay in the database for the history."""

        def work(connection: sqlite3.Connection) -> int:
            _unlist(connection, name)
            gone = "UPDATE tools SET removed_at = ? WHERE name = ? AND removed_at IS NULL"
            return execute(connection, gone, utc_now(), name).rowcount

        return await self._database.write(work)

    async def _all(self, query: str, *parameters: object, limit: int | None = None) -> Rows[ToolVersion]:
        return await self._database.read(
            lambda connection: _tools(connection, query, *parameters, limit=limit)
        )

    async def ids(self, name: str) -> list[str]:
        """List the ids of all versions of a name, also of those that were removed."""
        query = "SELECT id FROM tools WHERE name = ?"
        rows = await self._database.read(lambda connection: execute(connection, query, name).fetchall())
        return [found for (found,) in rows if isinstance(found, str)]

    async def _first(self, query: str, *parameters: object) -> ToolVersion | None:
        found = await self._all(query, *parameters, limit=1)
        return found[0] if found else None


def get(connection: sqlite3.Connection, name: str, version: str | None) -> ToolVersion | None:
    """Find a version as `Tools.get` does."""
    if version is None:
        found = _tools(connection, f"SELECT tools.* {_CURRENT} WHERE toolbox.name = ?", name)
    elif number := _PARTIAL.fullmatch(version):
        digits = [int(part) for part in number.groups() if part is not None]
        conditions = ("AND major = ?", "AND minor = ?", "AND patch = ?")[: len(digits)]
        highest = ("ORDER BY minor DESC, patch DESC", "ORDER BY patch DESC", "")
        query = "SELECT * FROM tools WHERE name = ? AND removed_at IS NULL"
        found = _tools(
            connection, " ".join((query, *conditions, highest[len(digits) - 1])), name, *digits, limit=1
        )
    else:
        return None
    return found[0] if found else None


def is_version(number: str) -> bool:
    """Tell whether a text is the full number of a version."""
    found = _PARTIAL.fullmatch(number)
    return found is not None and all(found.groups())


def names(connection: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """List names as `Tools.names` does."""
    # Unlike LIKE, a comparison can use the index. The highest code point sorts after every name.
    query = "SELECT name FROM toolbox WHERE name >= ? AND name < ? ORDER BY name LIMIT ?"
    found = execute(connection, query, prefix, f"{prefix}\U0010ffff", limit)
    return [name for (name,) in found if type(name) is str]


def _announce(connection: sqlite3.Connection, name: str, replacing: Replacing | None) -> None:
    """Tell `replacing` which version is current, and which notebook made it."""
    if replacing is None:
        return
    query = f"""
        SELECT tools.*, sessions.notebook AS notebook {_CURRENT}
        LEFT JOIN sessions ON sessions.id = tools.session_id WHERE toolbox.name = ?
    """
    for record in records(connection, query, name):
        path = record["notebook"]
        current: ToolVersion | None = None
        with suppress(UnreadableRow):
            current = _version(record)
        replacing(current, path if type(path) is str else "")


def _set_current(connection: sqlite3.Connection, name: str, tool_id: str, session_id: str | None) -> None:
    query = "SELECT * FROM tools WHERE id = ? AND name = ? AND removed_at IS NULL"
    found = _tools(connection, query, tool_id, name)
    if not found:
        raise UnknownName(f"{name!r} has no version with the id {one_line(tool_id)} that can be read.")
    # A new row gets a new `seq`, and tools are listed in the order of `seq`.
    _unlist(connection, name)
    listed = insert(connection, "toolbox", {"name": name, "tool_id": tool_id, "updated_at": utc_now()})
    about = found[0].metadata
    connection.execute("DELETE FROM tool_search WHERE rowid = ?", (listed.lastrowid,))
    connection.execute(
        "INSERT INTO tool_search (rowid, name, description, tags) VALUES (?, ?, ?, ?)",
        (listed.lastrowid, indexable(name), indexable(about.description), indexable(" ".join(about.tags))),
    )
    if session_id is not None:
        sessions.pin(connection, session_id, name, tool_id)


def _unlist(connection: sqlite3.Connection, name: str) -> None:
    row = execute(connection, "SELECT seq FROM toolbox WHERE name = ?", name).fetchone()
    if row:
        connection.execute("DELETE FROM tool_search WHERE rowid = ?", row)
        connection.execute("DELETE FROM toolbox WHERE seq = ?", row)


def _next_number(connection: sqlite3.Connection, candidate: Candidate) -> tuple[int, int, int]:
    def after(part: str, condition: str, *parameters: object) -> int:
        # The bounds leave out numbers that a readable version can't have.
        query = " ".join(
            ("SELECT max(", part, ") FROM tools WHERE", condition, "AND", part, "BETWEEN 0 AND ?")
        )
        (highest,) = execute(connection, query, *parameters, _HIGHEST_NUMBER).fetchone()
        if highest == _HIGHEST_NUMBER:
            raise StoreError(
                f"{name} has no version numbers left after {highest}.", hint="Give the tool another name."
            )
        return int(highest or 0) + 1

    name = candidate.name
    query = f"SELECT tools.* {_CURRENT} WHERE toolbox.name = ?"
    current = [*records(connection, query, name)]
    if not current or not _has_number(current[0]) or current[0]["signature_id"] != candidate.signature_id:
        return after("major", "name = ?", name), 0, 0
    major, minor, contract = (current[0][part] for part in ("major", "minor", "contract"))
    if contract != bindable(candidate.contract):
        return major, after("minor", "name = ? AND major = ?", name, major), 0
    return major, minor, after("patch", "name = ? AND major = ? AND minor = ?", name, major, minor)


def _has_number(record: dict[str, Any]) -> bool:
    numbers = [record[part] for part in ("major", "minor", "patch")]
    return (
        all(type(number) is int and 0 <= number <= _HIGHEST_NUMBER for number in numbers)
        and "{}.{}.{}".format(*numbers) == record["version"]
    )


def _tools(
    connection: sqlite3.Connection, query: str, *parameters: object, limit: int | None = None
) -> Rows[ToolVersion]:
    return readable(records(connection, query, *parameters), _version, limit)


def _version(record: dict[str, Any]) -> ToolVersion:
    name, number = record["name"], record["version"]
    if not _has_number(record):
        shown = f"{one_line(str(name))} {one_line(str(number))}"
        raise UnreadableRow(f"in {shown}, the columns major, minor and patch differ from the version")
    try:
        source = text(record["source"])
        if record["complexity_score"] is None:
            record["complexity_score"] = complexity(source)
        return ToolVersion(instance(ToolMetadata, record), source)
    except TypeError:
        raise UnreadableRow(f"the source of {one_line(str(name))} is not text") from None
    except UnreadableRow as error:
        raise UnreadableRow(f"in a version of {one_line(str(name))}, {error}") from None
