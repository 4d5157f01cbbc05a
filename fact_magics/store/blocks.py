"""Counting of rows: the end of a block stores the totals of its sessions and tools; see `totals`."""

from __future__ import annotations

import json
from collections import Counter
from itertools import repeat
from typing import TYPE_CHECKING

from fact_magics.store.totals import (
    CACHED,
    EVERYTHING,
    LAST,
    RUNS,
    Event,
    Scope,
    Total,
    add,
    bucket,
    events,
    first_total,
    last_block,
    numbers_at,
    numbers_of,
    stored_total,
    sum_of,
    total_at,
)
from fact_magics.text import utc_now

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from fact_magics.store.map_rows import MapRows

LEADERS = 32
"""How many tools of a session are in the table `leaders`."""

BLOCK = 64
"""The largest number of rows in a block, except of rows of a map."""

# Rows of a map that are stored together have one session, one tool and nearly the same time, so that their
# block is seldom read row by row.
_LARGE = 512

# After so many runs of a scope, their numbers are stored.
_NUMBERED = 256
# If a new hour begins, a block ends after this many rows or 1/512 of all, so that the chart is right.
_FEW = 16
# One transaction counts this many rows, so that cells and other kernels can write in between.
_CHUNK = 1_000
# If more rows are missing, commits leave them to `catch_up`.
_FAR_BEHIND = 5_000
_HOUR = len("2026-11-22T09")


def is_due(seq: int) -> bool:
    """Choose about one of 64 numbers, at irregular distances, so that no pattern in the rows avoids them."""
    return seq % 2147483648 * 2654435761 % 4294967296 < 67108864


def keep_up(connection: sqlite3.Connection, of: str, stored: Sequence[int]) -> None:
    """Complete the blocks that end before the newest of the rows that were stored, given by their numbers.

    If far more rows are missing in the totals, a commit would take seconds; `catch_up` counts them.
    """
    if stored and stored[-1] // BLOCK > (stored[0] - 1) // BLOCK and missing(connection, of) <= _FAR_BEHIND:
        catch_up(connection, of, _FAR_BEHIND)


def keep_up_with_map(connection: sqlite3.Connection, rows: MapRows, first: int) -> bool:
    """Complete blocks of rows of a map that were just stored, the first of which has the number `first`.

    Their values are at hand, so counting them takes a fraction of the time that it would take to read them.
    False if they are not counted, because they are few, or many earlier rows are missing.
    """
    if len(rows) < BLOCK or first - 1 - last_block(connection, RUNS) > _FAR_BEHIND:
        return False
    while last_block(connection, RUNS) < first - 1 and catch_up(
        connection, RUNS, until=first - 1, to_the_end=True
    ):
        pass
    same, took_ms = rows.same, rows.durations_ms
    outcome = CACHED if same.cached else same.status.value
    for start in range(0, len(rows), _LARGE):
        part = took_ms[start : start + _LARGE]
        counted = Counter(map(bucket, repeat(0.0, len(part)) if same.cached else part))
        block = _Block(connection, RUNS, last_block(connection, RUNS))
        block.add_many(
            (same.session_id or "", same.tool_name),
            first + start + len(part) - 1,
            max(rows.times[start : start + _LARGE]),
            Total(len(part), len(part), 0, sum(part)) if same.cached else Total(len(part)),
            {f"{outcome} {number}": runs for number, runs in counted.items()},
        )
        block.end()
    return True


def missing(connection: sqlite3.Connection, of: str) -> int:
    """Return how many rows may be missing in the totals; after a migration, all rows are."""
    (latest,) = connection.execute(f"SELECT max(seq) FROM {of}").fetchone()  # noqa: S608 - no input
    return (latest or 0) - last_block(connection, of)


def catch_up(
    connection: sqlite3.Connection,
    of: str,
    limit: int = _CHUNK,
    *,
    until: int = LAST,
    to_the_end: bool = False,
) -> bool:
    """Complete the next blocks in a transaction of the caller; return whether there were any.

    Rows after the number `until` are left out. The last of the rows that are read ends a block only with
    `to_the_end`.
    """
    after = last_block(connection, of)
    block = _Block(connection, of, after)
    for event in events(connection, of, EVERYTHING, after, until, limit):
        if block.ends_before(event):
            block.end()
            block = _Block(connection, of, block.seq)
        block.add(event)
    if to_the_end and block.counted:
        block.end()
        return True
    return block.start > after


class _Block:
    """The rows after `start`, which are counted by session and tool.

    A scope gets its first total when one of its rows is due. So most tools and sessions with few rows, of
    which there may be very many, have no totals.
    """

    def __init__(self, connection: sqlite3.Connection, of: str, start: int) -> None:
        self.start = self.seq = start
        self._connection = connection
        self._of = of
        query = "SELECT reached_at FROM blocks WHERE of = ? AND seq = ?"
        [reached_at] = connection.execute(query, (of, start)).fetchone() or ("",)
        self._reached_at = reached_at if type(reached_at) is str else ""
        self._enough = max(_FEW, total_at(connection, of, EVERYTHING, start).runs // 512)
        self.counted = 0
        self._events: dict[Scope, list[Event]] = {}
        self._known: dict[Scope, tuple[Total, Mapping[str, float]]] = {}
        self._due = {EVERYTHING}

    def ends_before(self, event: Event) -> bool:
        if not self.counted:
            return False
        new_hour = event.at[:_HOUR] > self._reached_at[:_HOUR]
        return event.seq // BLOCK > self.seq // BLOCK or (new_hour and self.counted >= self._enough)

    def add(self, event: Event) -> None:
        place = event.session_id, event.tool_name
        self._events.setdefault(place, []).append(event)
        if is_due(event.seq):
            self._due |= _scopes(place)
        self.counted += 1
        self.seq = event.seq
        self._reached_at = max(self._reached_at, event.at)

    def add_many(self, place: Scope, seq: int, at: str, total: Total, numbers: Mapping[str, float]) -> None:
        """Add all rows of the block, which are of one session and tool, by their counts."""
        self._known = {place: (total, numbers)}
        self._due |= _scopes(place)
        self.seq = seq
        self._reached_at = max(self._reached_at, at)

    def end(self) -> None:
        """Store the totals of all scopes."""
        connection, of, now = self._connection, self._of, utc_now()
        if self._reached_at > now:  # a clock was ahead
            connection.execute(
                "UPDATE blocks SET reached_at = ? WHERE of = ? AND reached_at > ?", (now, of, now)
            )
        connection.execute(
            "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", (of, self.seq, min(self._reached_at, now))
        )
        gained: dict[Scope, tuple[Total, dict[str, float]]] = {}
        counts = {place: (sum_of(rows), numbers_of(rows)) for place, rows in self._events.items()}
        for place, (total, numbers) in (counts | self._known).items():
            for scope in _scopes(place):
                known, summed = gained.setdefault(scope, (Total(), {}))
                gained[scope] = known.plus(total), summed
                add(summed, numbers)
        stored: list[tuple[Scope, int, Total]] = []
        rows = []
        for scope, (total, numbers) in gained.items():
            earlier = stored_total(connection, of, scope, self.start) if self.start else None
            if earlier:
                total = earlier.plus(total)
            elif scope in self._due:
                counted = events(connection, of, scope, 0, self.seq)
                total, numbers = sum_of(counted), numbers_of(counted)
            else:
                continue
            stored.append((scope, earlier.runs if earlier else 0, total))
            rows.append((of, *scope, self.seq, *total, _text(numbers)))
        _store(connection, rows)
        for scope, runs, total in stored:
            if total.runs // _NUMBERED > runs // _NUMBERED:
                keep_numbers(connection, of, scope, self.seq)
        if of == RUNS:
            _note_leaders(connection, [(*scope, total.runs) for scope, _, total in stored if scope[1]])


def _note_leaders(connection: sqlite3.Connection, tools: list[tuple[str, str, int]]) -> None:
    connection.executemany("INSERT OR REPLACE INTO leaders VALUES (?, ?, ?)", tools)
    delete = """
        DELETE FROM leaders WHERE session_id = :session AND tool_name NOT IN
            (SELECT tool_name FROM leaders WHERE session_id = :session ORDER BY runs DESC LIMIT :most)
    """
    sessions = {session for session, *_ in tools}
    connection.executemany(delete, [{"session": session, "most": LEADERS} for session in sessions])


def keep_numbers(connection: sqlite3.Connection, of: str, scope: Scope, seq: int) -> None:
    """Store the numbers of a scope at the end of a block."""
    connection.execute(
        "INSERT OR REPLACE INTO distributions VALUES (?, ?, ?, ?, ?)",
        (of, *scope, seq, _text(numbers_at(connection, of, scope, seq))),
    )


def _text(numbers: dict[str, float]) -> str:
    return json.dumps(numbers, separators=(",", ":"))


def count_removed(
    connection: sqlite3.Connection, places: Iterable[Scope], after: int, until: int, latest: str
) -> None:
    """Count runs before they are removed: those of some sessions and tools between two rows.

    Totals that need these rows for their numbers are removed too. `latest` is the latest time of the rows.
    """
    while last_block(connection, RUNS) < until and catch_up(connection, RUNS, to_the_end=True):
        pass
    end = last_block(connection, RUNS)
    connection.execute("UPDATE history_state SET removed_at = max(removed_at, ?)", (latest,))
    last_total = "SELECT max(seq) FROM block_totals WHERE of = ? AND session_id = ? AND tool_name = ?"
    useless = """
        DELETE FROM block_totals AS these
        WHERE of = ? AND session_id = ? AND tool_name = ? AND seq > ? AND seq < ? AND NOT EXISTS (
            SELECT 1 FROM distributions AS kept
            WHERE kept.of = these.of AND kept.session_id = these.session_id
                AND kept.tool_name = these.tool_name AND kept.seq = these.seq
        )
    """
    for scope in set().union(*map(_scopes, places)):
        where = (RUNS, *scope)
        seq = first_total(connection, RUNS, scope, until - 1)
        if not seq:
            (seq,) = connection.execute(last_total, where).fetchone()
        if seq is None:
            seq = end
            total = total_at(connection, RUNS, scope, end)
            _store(connection, [(*where, end, *total, None)])
            if scope[1]:
                _note_leaders(connection, [(*scope, total.runs)])
        keep_numbers(connection, RUNS, scope, seq)
        connection.execute(useless, (*where, after, seq))


def _store(connection: sqlite3.Connection, totals: Sequence[tuple[object, ...]]) -> None:
    query = """
        INSERT OR REPLACE INTO block_totals
            (of, session_id, tool_name, seq, runs, hits, errors, saved_ms, numbers)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    """
    connection.executemany(query, totals)


def _scopes(place: Scope) -> set[Scope]:
    session, tool = place
    return {EVERYTHING, (session, ""), ("", tool), place}
