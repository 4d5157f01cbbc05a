"""Totals of the history, so that ``%fact stats`` need not read its rows.

A total belongs to a scope, which is a session and a tool; an empty text means all of them. It counts the rows
of the scope up to `last_seq`. The rows after it, the scope's tail, are read through an index.

One of 64 rows brings the totals of its scopes up to date when it is stored. So a tail has about 64 rows, and
tools and sessions with few rows have no totals at all. Adding every row would take longer than storing it.

`earlier_totals` holds totals as they were when a scope had reached a time. The difference between a total and
an earlier one counts the rows since that time.

The column `numbers` is JSON, such as ``{"ok 117": 3, "error": 1}``: the runs by outcome and bucket of
durations, and the amounts of generations. The limits of buckets grow by 2 %, so that a percentile is at most
1 % off.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.text import utc_now
from fact_magics.tool import HAND, IMPORTED, Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

CACHED, GENERATED = "cached", "generated"
"""Outcomes besides the statuses of runs: a run that the cache answered, and a generation."""

RUNS, GENERATIONS = "tool_executions", "generations"
"""The tables whose rows are counted. A generation with all its attempts counts once."""

EVERYTHING = ("", "")
"""The scope of all sessions and all tools."""

_COLUMNS = """
        of         TEXT NOT NULL,
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        last_seq   INTEGER NOT NULL,
        reached_at TEXT NOT NULL,
        runs       INTEGER NOT NULL,
        hits       INTEGER NOT NULL,
        errors     INTEGER NOT NULL,
        saved_ms   REAL NOT NULL,
        numbers    TEXT NOT NULL,
""".strip()
TABLES_OF_TOTALS = (
    f"""
    CREATE TABLE totals (
        {_COLUMNS}
        removed_at TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (of, session_id, tool_name)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX totals_by_runs ON totals (of, session_id, runs) WHERE tool_name <> ''",
    f"""
    CREATE TABLE earlier_totals (
        {_COLUMNS}
        PRIMARY KEY (of, session_id, tool_name, reached_at, last_seq)
    ) WITHOUT ROWID
    """,
)
"""The statements of the migration that creates the tables."""

ROWS_READ = 1_000
"""Up to this many rows are read one by one, for exact percentiles."""

# An earlier total is kept after this many rows. If a new hour begins, fewer rows or 1/512 of all are enough,
# so that the chart is right. Most scopes stay small; they are read row by row, and need fewer.
_APART, _FEW, _FEW_OF_SMALL = 256, 16, 64
# One transaction counts this many rows, so that cells and other kernels can write in between.
_CHUNK = 1_000
# If more rows are missing, commits leave them to `catch_up`.
_FAR_BEHIND = 5_000
_MEASURED = frozenset({CACHED, Status.OK.value})
_WELL = _MEASURED | {GENERATED}
_MOST = 2**53
_LAST = 2**62
_STEP = math.log(1.02)
_SHORTEST_MS = 1e-6
_NO_TIME = -2_000
_HOUR = len("2026-11-22T09")

# Older rows don't have the duration of the run that computed their answer.
SAVED_MS = "iif(cached, coalesce(saved_ms, (SELECT duration_ms FROM cache WHERE key = cache_key)), 0)"
_QUERIES = {
    RUNS: f"""
        SELECT seq, executed_at, tool_name, status, cached, duration_ms, {SAVED_MS}
        FROM tool_executions WHERE
    """,  # noqa: S608 - no input
    GENERATIONS: """
        SELECT generation_id, seq, started_at, tool_name, provider, duration_ms, input_tokens, output_tokens,
            cache_read_tokens, cache_creation_tokens, cost_usd
        FROM generations WHERE
    """,
}
AMOUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "cost_usd")
"""The columns of generations that are summed."""

# About one of 64 numbers, at irregular distances, so that no pattern in the rows can avoid them.
_DUE = "(seq % 2147483648) * 2654435761 % 4294967296 < 67108864"


def _is_due(seq: int) -> bool:
    return seq % 2147483648 * 2654435761 % 4294967296 < 67108864


class Event(NamedTuple):
    """A run, or a generation with all its attempts.

    Attributes
    ----------
    seq : int
        The number of its last row.
    outcome : str
        A status, `CACHED` or `GENERATED`.
    took_ms : float or None
        None if it does not count as a duration, such as that of a failed run.
    saved_ms : float
        How long the answer of a hit once took.
    amounts : mapping, optional
        The known values of these columns, summed over a generation.
    """

    seq: int
    at: str
    tool_name: str
    outcome: str
    took_ms: float | None
    saved_ms: float = 0.0
    amounts: Mapping[str, float] | None = None


class Total(NamedTuple):
    """The counts of a scope; `reached_at` is the latest time of the rows up to `last_seq`."""

    last_seq: int = 0
    reached_at: str = ""
    runs: int = 0
    hits: int = 0
    errors: int = 0
    saved_ms: float = 0.0
    stored: object = "{}"

    @property
    def numbers(self) -> dict[str, float]:
        """The runs by outcome and bucket, and the amounts."""
        with suppress(ValueError, TypeError, AttributeError, RecursionError):  # another program wrote it
            read = json.loads(self.stored)  # type: ignore[arg-type]
            return {name: number for name, number in read.items() if _number(number) is not None}
        return {}


def _number(stored: object) -> float | None:
    return stored if type(stored) in (int, float) and 0 <= stored < _MOST else None  # type: ignore[operator, return-value]


def _text(stored: object) -> str:
    return stored if type(stored) is str else ""


def events(
    connection: sqlite3.Connection,
    of: str,
    scope: tuple[str, str],
    after: int,
    until: int = _LAST,
    limit: int = -1,
) -> list[Event]:
    """Read the rows of a scope in order; another program may have written any values into them."""
    where, values = condition(scope)
    query = f"{_QUERIES[of]} {where} seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    found = connection.execute(query, (*values, after, until, limit))
    return [*(map(_run, found) if of == RUNS else _generations(found))]


def condition(scope: tuple[str, str]) -> tuple[str, list[str]]:
    """Return the beginning of a condition for the rows of a scope, and its values."""
    named = [(name, value) for name, value in zip(("session_id", "tool_name"), scope, strict=True) if value]
    return "".join(f"{name} = ? AND " for name, _ in named), [value for _, value in named]


def _run(row: tuple[Any, ...]) -> Event:
    seq, at, tool, status, cached, took, saved = row
    outcome = CACHED if cached else status if type(status) is str else ""
    took_ms = _number(took) if outcome in _MEASURED else None
    saved_ms = _number(saved) or 0.0 if saved else 0.0
    return Event(seq, _text(at), tool if type(tool) is str else "", outcome, took_ms, saved_ms)


def _generations(rows: Iterable[tuple[Any, ...]]) -> Iterator[Event]:
    """Join the attempts of each generation, which were stored by one transaction."""
    for _, attempts in groupby(rows, key=lambda row: row[0]):
        (_, seq, at, tool, *_), *others = joined = [*attempts]
        amounts: dict[str, float] = {}
        for _, _, _, _, _, _, *spent in joined:
            known = zip(AMOUNTS, map(_number, spent), strict=True)
            add(amounts, {name: number for name, number in known if number is not None})
        times = [
            _number(took) or 0.0
            for _, _, _, _, provider, took, *_ in joined
            if provider not in (HAND, IMPORTED)
        ]
        last = others[-1][1] if others else seq
        took_ms = sum(times) if times else None
        yield Event(last, _text(at), _text(tool), GENERATED, took_ms, 0.0, amounts)


def add(numbers: dict[str, float], others: Mapping[str, float], times: int = 1) -> None:
    """Add other numbers to `numbers`, or subtract them; what is zero then is left out."""
    for name, number in others.items():
        summed = numbers.get(name, 0) + times * number
        if summed > 0 or times > 0:
            numbers[name] = summed
        else:
            numbers.pop(name, None)


def bucket(milliseconds: float) -> int:
    """Return the number of the bucket that counts a duration."""
    return _NO_TIME if milliseconds < _SHORTEST_MS else math.ceil(math.log(milliseconds) / _STEP)


def middle_of(number: int) -> float:
    """Return a duration in a bucket that differs from all others in it by at most 1 %."""
    return 0.0 if not _NO_TIME < number < -_NO_TIME else 2 * math.exp(number * _STEP) / (1 + math.exp(_STEP))


def current(connection: sqlite3.Connection, of: str, scope: tuple[str, str]) -> Total:
    """Read the total of a scope."""
    query = """
        SELECT last_seq, reached_at, runs, hits, errors, saved_ms, numbers FROM totals
        WHERE of = ? AND session_id = ? AND tool_name = ?
    """
    return _total(connection.execute(query, (of, *scope)))


def earlier(
    connection: sqlite3.Connection, of: str, scope: tuple[str, str], before: str = "~", order: str = "DESC"
) -> Total:
    """Read the latest total of a scope that had only reached times before a time."""
    sign = "<" if order == "DESC" else ">="
    query = f"""
        SELECT last_seq, reached_at, runs, hits, errors, saved_ms, numbers FROM earlier_totals
        WHERE of = ? AND session_id = ? AND tool_name = ? AND reached_at {sign} ?
        ORDER BY reached_at {order}, last_seq {order} LIMIT 1
    """  # noqa: S608 - no input
    return _total(connection.execute(query, (of, *scope, before)))


def later(connection: sqlite3.Connection, of: str, scope: tuple[str, str], since: str) -> Total:
    """Read the first earlier total of a scope that had reached a time."""
    return earlier(connection, of, scope, since, "ASC")


def _total(rows: Iterable[tuple[Any, ...]]) -> Total:
    for row in rows:
        last_seq, reached_at, *counts, saved_ms, _ = row
        if (
            type(reached_at) is str
            and _number(saved_ms) is not None
            and all(type(number) is int and 0 <= number < _MOST for number in (last_seq, *counts))
        ):
            return Total(*row)
    return Total()


def count(
    connection: sqlite3.Connection, of: str, places: Iterable[tuple[object, object]], until: int = _LAST
) -> None:
    """Bring the totals of sessions and tools up to date, in a transaction of the caller."""
    for scope in _scopes(places):
        _count(connection, of, scope, until)


def _scopes(places: Iterable[tuple[object, object]]) -> set[tuple[str, str]]:
    named = {(_text(session), _text(tool)) for session, tool in places}
    return {EVERYTHING, *named, *((session, "") for session, _ in named), *(("", tool) for _, tool in named)}


def _count(connection: sqlite3.Connection, of: str, scope: tuple[str, str], until: int) -> None:
    total, now = current(connection, of, scope), utc_now()
    found = events(connection, of, scope, total.last_seq, until)
    if not found:
        return
    where = (of, *scope)
    numbers = total.numbers
    last_seq, reached_at, runs, hits, errors, saved_ms, _ = total
    if reached_at > now:  # a clock was ahead
        reached_at = now
        connection.execute(
            """
            UPDATE earlier_totals SET reached_at = ?
            WHERE of = ? AND session_id = ? AND tool_name = ? AND reached_at > ?
            """,
            (now, *where, now),
        )
    kept = earlier(connection, of, scope).runs
    steps = []
    for event in found:
        gained = runs - kept
        enough = _FEW_OF_SMALL if runs < ROWS_READ and scope != EVERYTHING else max(_FEW, runs // 512)
        if gained >= _APART or (gained >= enough and event.at[:_HOUR] > reached_at[:_HOUR]):
            steps.append((*where, last_seq, reached_at, runs, hits, errors, saved_ms, _written(numbers)))
            kept = runs
        name = event.outcome if event.took_ms is None else f"{event.outcome} {bucket(event.took_ms)}"
        numbers[name] = numbers.get(name, 0) + 1
        if event.amounts:
            add(numbers, event.amounts)
        last_seq = event.seq
        if event.at > reached_at:
            reached_at = min(event.at, now)
        runs += 1
        hits += event.outcome == CACHED
        errors += event.outcome not in _WELL
        saved_ms += event.saved_ms
    changed = (*where, last_seq, reached_at, runs, hits, errors, saved_ms, _written(numbers))
    blanks = ", ".join("?" * len(changed))
    connection.executemany(f"INSERT OR REPLACE INTO earlier_totals VALUES ({blanks})", steps)  # noqa: S608
    connection.execute(
        f"""
        INSERT INTO totals VALUES ({blanks}, '') ON CONFLICT DO UPDATE
        SET last_seq = excluded.last_seq, reached_at = excluded.reached_at, runs = excluded.runs,
            hits = excluded.hits, errors = excluded.errors, saved_ms = excluded.saved_ms,
            numbers = excluded.numbers
        """,  # noqa: S608 - no input
        changed,
    )


def _written(numbers: Mapping[str, float]) -> str:
    return json.dumps(numbers, separators=(",", ":"))


def keep_up(connection: sqlite3.Connection, of: str, stored: Iterable[tuple[int, str | None, str]]) -> None:
    """Count what is due after rows were stored, each given as its number, session and tool.

    If far more rows are missing in the totals, a commit would take seconds; `catch_up` counts them.
    """
    due = [(session, tool) for seq, session, tool in stored if _is_due(seq)]
    if due and missing(connection, of) <= _FAR_BEHIND:
        count(connection, of, due)


def missing(connection: sqlite3.Connection, of: str) -> int:
    """Return how many rows may be missing in the totals; after a migration, all rows are."""
    (latest,) = connection.execute(f"SELECT max(seq) FROM {of}").fetchone()  # noqa: S608 - no input
    return (latest or 0) - current(connection, of, EVERYTHING).last_seq


def catch_up(connection: sqlite3.Connection, of: str) -> bool:
    """Count the next rows as commits would, in a transaction of the caller; False if there are none."""
    after = current(connection, of, EVERYTHING).last_seq
    ends = f"SELECT max(seq) FROM (SELECT seq FROM {of} WHERE seq > ? ORDER BY seq LIMIT {_CHUNK})"  # noqa: S608
    (until,) = connection.execute(ends, (after,)).fetchone()
    if until is None:
        return False
    if of == GENERATIONS:  # its attempts belong together
        whole = "SELECT generation_id FROM generations WHERE seq = ?"
        query = f"SELECT max(seq) FROM generations WHERE generation_id = ({whole})"  # noqa: S608 - no input
        (until,) = connection.execute(query, (until,)).fetchone()
    query = f"SELECT DISTINCT session_id, tool_name FROM {of} WHERE seq > ? AND seq <= ? AND {_DUE}"  # noqa: S608
    count(connection, of, connection.execute(query, (after, until)).fetchall(), until)
    return True


def count_removed(
    connection: sqlite3.Connection, places: Iterable[tuple[object, object]], until: int, latest: str
) -> None:
    """Count runs before they are removed: those of the sessions and tools up to a row with a time."""
    scopes = _scopes(places)
    for scope in scopes:
        _count(connection, RUNS, scope, until)
    connection.executemany(
        """
        UPDATE totals SET removed_at = max(removed_at, ?)
        WHERE of = 'tool_executions' AND session_id = ? AND tool_name = ?
        """,
        [(latest, *scope) for scope in scopes],
    )


def removed_at(connection: sqlite3.Connection, of: str, scope: tuple[str, str]) -> str:
    """Return the latest time of a row of the scope that was removed, or an empty text."""
    query = "SELECT removed_at FROM totals WHERE of = ? AND session_id = ? AND tool_name = ?"
    found = connection.execute(query, (of, *scope)).fetchone()
    return _text(found[0]) if found else ""
