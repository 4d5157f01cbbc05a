"""The toolbox: every version of every tool, which one is current, and finding them by words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fact_magics.errors import StoreError, UnknownName
from fact_magics.store import sessions
from fact_magics.store.binding import bound, encodable, records, words
from fact_magics.store.search import indexable, match_expression
from fact_magics.text import utc_now
from fact_magics.tool import ToolMetadata, ToolVersion

if TYPE_CHECKING:
    import sqlite3

    from fact_magics.store.rows import Candidate

_EXACT = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
_PARTIAL = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", re.ASCII)


def accept(connection: sqlite3.Connection, candidate: Candidate, session_id: str | None) -> ToolVersion:
    """Give a candidate the next version number, make it current, and pin the session to it.

    The number follows the current version: another signature, a new major; another contract, a new minor;
    otherwise a new patch; each above all that were ever given, also to removed versions.
    """
    major, minor, patch = _next_number(connection, candidate)
    version = candidate.numbered(f"{major}.{minor}.{patch}")
    add(connection, version, candidate.signature_id, session_id)
    set_current(connection, candidate.name, candidate.id, session_id)
    return version


def add(
    connection: sqlite3.Connection, version: ToolVersion, signature_id: str, session_id: str | None
) -> None:
    """Keep a version under the number it has.

    Raises
    ------
    StoreError
        The number is taken, or is none.
    """
    metadata = version.metadata
    number = _EXACT.fullmatch(metadata.version)
    if not number:
        raise StoreError(f"{version.reference} has no version of the form 1.0.0.")
    major, minor, patch = map(int, number.groups())
    taken = "SELECT id FROM tools WHERE name = ? AND major = ? AND minor = ? AND patch = ?"
    if connection.execute(taken, (metadata.name, major, minor, patch)).fetchone():
        raise StoreError(f"{version.reference} is in the database already.")
    connection.execute(
        """
        INSERT INTO tools (
            id, name, version, major, minor, patch, source, signature_id, description, contract,
            permissions, tags, provider, model, proven, varies, request_hash, session_id, created_at
        ) VALUES (
            :id, :name, :version, :major, :minor, :patch, :source, :signature_id, :description, :contract,
            :permissions, :tags, :provider, :model, :proven, :varies, :request_hash, :session_id, :created_at
        )
        """,
        bound(
            {
                "id": metadata.id,
                "name": metadata.name,
                "version": metadata.version,
                "major": major,
                "minor": minor,
                "patch": patch,
                "source": version.source,
                "signature_id": signature_id,
                "description": metadata.description,
                "contract": metadata.contract,
                "permissions": metadata.permissions,
                "tags": metadata.tags,
                "provider": metadata.provider,
                "model": metadata.model,
                "proven": metadata.proven,
                "varies": metadata.varies,
                "request_hash": metadata.request_hash,
                "session_id": session_id,
                "created_at": metadata.created_at,
            }
        ),
    )


def set_current(connection: sqlite3.Connection, name: str, tool_id: str, session_id: str | None) -> None:
    """Make a version the current one of its name, and pin the session to it.

    Raises
    ------
    UnknownName
        There is no such version, or it was removed.
    """
    query = "SELECT description, tags FROM tools WHERE id = ? AND name = ? AND removed_at IS NULL"
    found = connection.execute(query, (tool_id, name)).fetchone()
    if not found:
        raise UnknownName(f"{name!r} has no version with the id {tool_id}.")
    connection.execute(
        """
        INSERT INTO toolbox (name, tool_id, updated_at) VALUES (?, ?, ?)
        ON CONFLICT (name) DO UPDATE SET tool_id = excluded.tool_id, updated_at = excluded.updated_at
        """,
        (name, tool_id, utc_now()),
    )
    (seq,) = connection.execute("SELECT seq FROM toolbox WHERE name = ?", (name,)).fetchone()
    description, tags = found
    connection.execute("DELETE FROM tool_search WHERE rowid = ?", (seq,))
    connection.execute(
        "INSERT INTO tool_search (rowid, name, description, tags) VALUES (?, ?, ?, ?)",
        (seq, indexable(name), indexable(description), indexable(" ".join(words(tags)))),
    )
    if session_id is not None:
        sessions.pin(connection, session_id, name, tool_id)


def remove(connection: sqlite3.Connection, name: str, removed_at: str) -> int:
    """Take a name out of the toolbox; its versions stay for the history.

    Returns
    -------
    int
        How many versions were removed; 0 where the name is not there.
    """
    row = connection.execute("SELECT seq FROM toolbox WHERE name = ?", (name,)).fetchone()
    if row:
        connection.execute("DELETE FROM tool_search WHERE rowid = ?", row)
        connection.execute("DELETE FROM toolbox WHERE seq = ?", row)
    gone = "UPDATE tools SET removed_at = ? WHERE name = ? AND removed_at IS NULL"
    return connection.execute(gone, (removed_at, name)).rowcount


def get(
    connection: sqlite3.Connection, name: str, version: str | None, session_id: str | None
) -> ToolVersion | None:
    """Find what ``NAME`` or ``NAME@VERSION`` means to a session."""
    if version is None:
        return (_pinned(connection, name, session_id) if session_id else None) or _current(connection, name)
    number = _PARTIAL.fullmatch(version)
    if not number:
        return None
    digits = [int(part) for part in number.groups() if part is not None]
    conditions = ("major = ?", "minor = ?", "patch = ?")[: len(digits)]
    highest = ("ORDER BY minor DESC, patch DESC LIMIT 1", "ORDER BY patch DESC LIMIT 1", "")[len(digits) - 1]
    query = " ".join(
        (
            "SELECT * FROM tools WHERE name = ? AND removed_at IS NULL AND",
            " AND ".join(conditions),
            highest,
        )
    )
    return _first(connection.execute(query, (name, *digits)))


def by_id(connection: sqlite3.Connection, tool_id: str) -> ToolVersion | None:
    """Find a version by its id, removed or not."""
    return _first(connection.execute("SELECT * FROM tools WHERE id = ?", (tool_id,)))


def by_request(connection: sqlite3.Connection, request_hash: str) -> ToolVersion | None:
    """Find the version that was accepted last for a request."""
    query = "SELECT * FROM tools WHERE request_hash = ? AND removed_at IS NULL ORDER BY seq DESC LIMIT 1"
    return _first(connection.execute(query, (request_hash,))) if request_hash else None


def same(
    connection: sqlite3.Connection, name: str, source: str, contract: str, permissions: tuple[str, ...]
) -> ToolVersion | None:
    """Find the version that was kept last with this very source, contract and permissions."""
    query = """
        SELECT * FROM tools WHERE name = :name AND removed_at IS NULL
        AND source = :source AND contract = :contract AND permissions = :permissions
        ORDER BY seq DESC LIMIT 1
    """
    wanted = {"name": name, "source": source, "contract": contract, "permissions": permissions}
    return _first(connection.execute(query, bound(wanted)))


def versions(connection: sqlite3.Connection, name: str) -> list[ToolVersion]:
    """List the versions of a name, the highest first."""
    query = """
        SELECT * FROM tools WHERE name = ? AND removed_at IS NULL
        ORDER BY major DESC, minor DESC, patch DESC
    """
    return _all(connection.execute(query, (name,)))


def latest(connection: sqlite3.Connection, limit: int) -> list[ToolVersion]:
    """List current versions, the one that became current last first."""
    query = """
        SELECT tools.* FROM toolbox CROSS JOIN tools ON tools.id = toolbox.tool_id
        ORDER BY toolbox.updated_at DESC LIMIT ?
    """
    return _all(connection.execute(query, (limit,)))


def names(connection: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """List the toolbox's names that begin so, in their order."""
    # The highest code point sorts above every name: bounds, unlike LIKE, are searched in the index.
    query = "SELECT name FROM toolbox WHERE name >= ? AND name < ? ORDER BY name LIMIT ?"
    return [row[0] for row in connection.execute(query, (prefix, f"{prefix}\U0010ffff", limit))]


def search(connection: sqlite3.Connection, text: str, limit: int) -> list[ToolVersion]:
    """Find current versions by words of their names, descriptions and tags, the best match first."""
    expression = match_expression(text)
    if expression is None:
        return []
    query = """
        SELECT tools.* FROM tool_search
        CROSS JOIN toolbox ON toolbox.seq = tool_search.rowid
        CROSS JOIN tools ON tools.id = toolbox.tool_id
        WHERE tool_search MATCH ? ORDER BY bm25(tool_search, 10.0, 1.0, 5.0) LIMIT ?
    """
    return _all(connection.execute(query, (expression, limit)))


def _pinned(connection: sqlite3.Connection, name: str, session_id: str) -> ToolVersion | None:
    query = """
        SELECT tools.* FROM session_pins CROSS JOIN tools ON tools.id = session_pins.tool_id
        WHERE session_pins.session_id = ? AND session_pins.name = ? AND tools.removed_at IS NULL
    """
    return _first(connection.execute(query, (session_id, name)))


def _current(connection: sqlite3.Connection, name: str) -> ToolVersion | None:
    query = (
        "SELECT tools.* FROM toolbox CROSS JOIN tools ON tools.id = toolbox.tool_id WHERE toolbox.name = ?"
    )
    return _first(connection.execute(query, (name,)))


def _next_number(connection: sqlite3.Connection, candidate: Candidate) -> tuple[int, int, int]:
    current = connection.execute(
        """
        SELECT tools.major, tools.minor, tools.signature_id, tools.contract
        FROM toolbox CROSS JOIN tools ON tools.id = toolbox.tool_id WHERE toolbox.name = ?
        """,
        (candidate.name,),
    ).fetchone()
    name = candidate.name
    if current and current[2] == candidate.signature_id:
        major, minor = current[0], current[1]
        if current[3] == encodable(candidate.contract):
            query = "SELECT max(patch) FROM tools WHERE name = ? AND major = ? AND minor = ?"
            return major, minor, _after(connection.execute(query, (name, major, minor)))
        query = "SELECT max(minor) FROM tools WHERE name = ? AND major = ?"
        return major, _after(connection.execute(query, (name, major))), 0
    return _after(connection.execute("SELECT max(major) FROM tools WHERE name = ?", (name,))), 0, 0


def _after(cursor: sqlite3.Cursor) -> int:
    (highest,) = cursor.fetchone()
    return int(highest or 0) + 1


def _first(cursor: sqlite3.Cursor) -> ToolVersion | None:
    found = _all(cursor)
    return found[0] if found else None


def _all(cursor: sqlite3.Cursor) -> list[ToolVersion]:
    return [_tool(record) for record in records(cursor)]


def _tool(record: dict[str, Any]) -> ToolVersion:
    metadata = ToolMetadata(
        id=record["id"],
        name=record["name"],
        version=record["version"],
        description=record["description"],
        contract=record["contract"],
        permissions=words(record["permissions"]),
        tags=words(record["tags"]),
        provider=record["provider"],
        model=record["model"],
        proven=bool(record["proven"]),
        varies=bool(record["varies"]),
        request_hash=record["request_hash"],
        created_at=record["created_at"],
    )
    return ToolVersion(metadata, record["source"])
