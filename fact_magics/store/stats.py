"""`read_stats` reads the numbers of ``%fact stats``; a large history hardly slows it down."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.store.blocks import LEADERS
from fact_magics.store.savings import read_saved
from fact_magics.store.totals import (
    AMOUNTS,
    CACHED,
    GENERATED,
    GENERATIONS,
    RUNS,
    Event,
    Scope,
    Total,
    add,
    block_that_reached,
    checked_total,
    counted_totals,
    events,
    first_total,
    gained_totals,
    last_block,
    numbers_at,
    outcome_of,
    removed_at,
    stored_total,
    sum_of,
    total_at,
)
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable

TOOLS_LISTED, TOOLS_OF_MANY_RUNS = 50, 20
"""How many tools are listed, those with the most runs; fewer if runs are not read row by row."""

ROWS_READ = 1_000
"""Up to this many rows are read one by one, for exact percentiles."""

# So many rows around the beginning of `since` are read to tell which of them count. In a scope with more
# rows up to its first total, which is hardly possible, all of them count.
_MOST_AT_SINCE = 2_000

# Among so many runs, tools with many runs since a time are looked for.
_SAMPLE = 16

_POINTS = 60
_HOUR, _DAY, _MONTH = len("2026-11-22T09"), len("2026-11-22"), len("2026-11")
# How many hours and days are shown one by one before they are shown as days and months.
_MOST_HOURS, _MOST_DAYS = 48, 62

Durations = tuple[tuple[float, int], ...]


class Point(NamedTuple):
    """The runs of one hour, day or month, which begins at the UTC time `start`."""

    start: str
    runs: int
    hits: int
    errors: int


class ToolStats(NamedTuple):
    """The runs of one tool."""

    tool: str
    runs: int
    hits: int
    errors: int
    saved_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The numbers of all runs and generations that were asked for.

    Attributes
    ----------
    since : str or None
        The time from which rows count; None for all.
    hits, saved_ms : int, float
        The runs that the cache answered, and how long their answers once took.
    errors : dict
        The number of runs with each status other than ``ok``.
    amounts : dict
        The tokens and the cost of generations, by the names of their columns; None where nothing is known.
    durations : dict
        The durations in milliseconds of the runs that went well (``ok``), of the answers of the cache
        (``cached``) and of the generations (``generated``), each with its number, in ascending order.
    saved_usd : float or None
        What reused tools and the prompt caches of providers saved.
    tools : list of ToolStats
        The tools with the most runs.
    points : list of Point
        The runs over time, the earliest first.
    """

    since: str | None = None
    runs: int = 0
    hits: int = 0
    saved_ms: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    generations: int = 0
    amounts: dict[str, float | None] = field(default_factory=dict)
    durations: dict[str, Durations] = field(default_factory=dict)
    saved_usd: float | None = None
    tools: list[ToolStats] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def percentiles(self, outcome: str) -> dict[str, float | None]:
        """Return the median and the 95th percentile of durations; None if there are none."""
        known = self.durations.get(outcome, ())
        return {"p50": percentile(known, 0.5), "p95": percentile(known, 0.95)}

    @property
    def data(self) -> dict[str, Any]:
        """The numbers as ``%fact stats --json`` prints them."""
        tokens = {name: value for name, value in self.amounts.items() if name != "cost_usd"}
        return {
            "runs": self.runs,
            "hits": self.hits,
            "hit_rate": self.hits / self.runs if self.runs else None,
            "saved_ms": self.saved_ms,
            "saved_usd": self.saved_usd,
            "cost_usd": self.amounts.get("cost_usd"),
            "tokens": tokens,
            "run_ms": self.percentiles(Status.OK),
            "hit_ms": self.percentiles(CACHED),
            "generation_ms": self.percentiles(GENERATED),
            "errors": self.errors,
            "tools": [tool._asdict() for tool in self.tools],
        }


def percentile(durations: Durations, share: float) -> float | None:
    """Interpolate linearly between the two durations around a rank."""
    total = sum(number for _, number in durations)
    if not total:
        return None
    rank = share * (total - 1)

    def at(wanted: int) -> float:
        for value, number in durations:
            wanted -= number
            if wanted < 0:
                return value
        return durations[-1][0]

    low, high = at(floor(rank)), at(ceil(rank))
    return low + (high - low) * (rank - floor(rank))


class _Found(NamedTuple):
    """The result for a scope: the runs between the ends of two blocks, `base` and `end`, and other events."""

    of: str
    scope: Scope
    base: int
    end: int
    between: Total
    events: list[Event]

    def total(self) -> Total:
        """Count the runs."""
        return self.between.plus(sum_of(self.events))

    def numbers(
        self, connection: sqlite3.Connection
    ) -> tuple[dict[str, float], dict[str, list[tuple[float, int]]]]:
        """Add up the amounts, and count the durations by outcome; a missing duration counts as -1."""
        amounts: dict[str, float] = {}
        counted: dict[str, list[tuple[float, int]]] = {}
        if self.between.runs:
            earlier = numbers_at(connection, self.of, self.scope, self.base) if self.base else {}
            for name, until_end in numbers_at(connection, self.of, self.scope, self.end).items():
                number = until_end - earlier.get(name, 0)
                if number <= 0:
                    continue
                if name in AMOUNTS:
                    amounts[name] = number
                else:
                    outcome, took = outcome_of(name)
                    counted.setdefault(outcome, []).append((took, int(number)))
        for event in self.events:
            took = -1.0 if event.took_ms is None else event.took_ms
            counted.setdefault(event.outcome, []).append((took, 1))
            if event.amounts:
                add(amounts, event.amounts)
        return amounts, counted


def read_stats(
    connection: sqlite3.Connection, *, session_id: str = "", tool_name: str = "", since: str | None = None
) -> Stats:
    """Read the numbers of a session and of a tool, or of all of them, since a time in the form of the rows.

    The numbers of up to 1,000 rows are exact. Of more rows, percentiles are at most 1 % off, a few runs may
    be counted one point late, and rows that were recorded after later ones may count as later ones. Of rows
    that were removed, up to 512 before `since` may count.
    """
    scope = session_id, tool_name
    connection.execute("BEGIN")  # other kernels may change the totals between two queries
    try:
        runs, generations = (_find(connection, of, scope, since) for of in (RUNS, GENERATIONS))
        tools = _tools(connection, runs)
        points = _points(connection, runs)
        _, measured = runs.numbers(connection)
        spent, generated = generations.numbers(connection)
        saved_usd = read_saved(connection, session_id, tool_name, since)
    finally:
        connection.execute("COMMIT")
    total = runs.total()
    failed = {
        name: sum(number for _, number in known)
        for name, known in measured.items()
        if name not in (Status.OK, CACHED)
    }
    return Stats(
        since=since,
        runs=total.runs,
        hits=total.hits,
        saved_ms=max(0.0, total.saved_ms),
        errors=failed,
        generations=generations.total().runs,
        amounts={name: spent.get(name) for name in AMOUNTS},
        durations={
            outcome: tuple(sorted(each for each in known if each[0] >= 0))
            for outcome, known in {**measured, **generated}.items()
            if outcome in (Status.OK, CACHED, GENERATED)
        },
        saved_usd=saved_usd,
        tools=tools,
        points=points,
    )


def _find(connection: sqlite3.Connection, of: str, scope: Scope, since: str | None) -> _Found:
    """Choose what to read of a scope: the rows themselves if they are few, or its totals.

    The rows of the block that reached `since` are always read. If some of them were removed, all of them
    count.
    """
    end = last_block(connection, of)
    before, base = block_that_reached(connection, of, since) if since else (0, 0)
    earlier, total = (total_at(connection, of, scope, seq) for seq in (before, end))
    if total.runs - earlier.runs <= ROWS_READ:
        base = end
    elif not (base and stored_total(connection, of, scope, base)):
        base = first_total(connection, of, scope, base) or end
    reached = total if base == end else total_at(connection, of, scope, base)
    wanted = reached.runs - earlier.runs
    # Without any total, the rows were read anyway.
    limit = max(_MOST_AT_SINCE, wanted if base == end else 0)
    group = events(connection, of, scope, before, base, limit) if wanted > 0 else []
    if len(group) < wanted and (since is None or len(group) == limit or since <= removed_at(connection)):
        base, reached, group = before, earlier, []
    group += events(connection, of, scope, end)
    between = total.minus(reached)
    return _Found(
        of, scope, base, end, between, [event for event in group if since is None or event.at >= since]
    )


# The tools with the most runs, and whether they have runs after a block.
_MOST = """
    SELECT tool_name, EXISTS (
        SELECT 1 FROM block_totals AS total WHERE of = 'tool_executions'
        AND total.session_id = leaders.session_id AND total.tool_name = leaders.tool_name AND seq > ?
    )
    FROM leaders WHERE session_id = ? ORDER BY runs DESC LIMIT ?
"""
_SAMPLED = "SELECT tool_name FROM tool_executions WHERE seq IN (SELECT value FROM json_each(?))"
_NAMES = """
    WITH RECURSIVE names(name) AS (
        SELECT min(tool_name) FROM tool_executions WHERE OF_SESSION
        UNION ALL
        SELECT (SELECT min(tool_name) FROM tool_executions WHERE OF_SESSION AND tool_name > name) FROM names
        WHERE name IS NOT NULL LIMIT :limit
    )
    SELECT name FROM names
"""


def _tools(connection: sqlite3.Connection, found: _Found) -> list[ToolStats]:
    """Count the runs of the tools with the most runs.

    Since a time, tools that had few runs before may be missing.
    """
    session, tool = found.scope
    counts = _sums(found.events, lambda event: event.tool_name)
    if found.between.runs:
        names: Collection[str] = {tool} if tool else _candidates(connection, found, counts)
        none, ends = Total(), (found.base, found.end)
        gained = gained_totals(connection, session, names, *ends)
        if len(names) > TOOLS_OF_MANY_RUNS:
            known = {name: gained.get(name, none).runs + counts.get(name, none).runs for name in names}
            names = nlargest(TOOLS_OF_MANY_RUNS, names, known.__getitem__)
        gained |= counted_totals(connection, session, {*names} - gained.keys(), *ends)
        counts = {name: gained.get(name, none).plus(counts.get(name, none)) for name in names}
    listed = [ToolStats(name, *total) for name, total in counts.items() if total.runs > 0]
    return sorted(listed, key=lambda each: (-each.runs, each.tool))[:TOOLS_LISTED]


def _sums(counted: Iterable[Event], key: Callable[[Event], str]) -> dict[str, Total]:
    grouped: dict[str, list[Event]] = {}
    for event in counted:
        grouped.setdefault(key(event), []).append(event)
    return {name: sum_of(each) for name, each in grouped.items()}


def _candidates(connection: sqlite3.Connection, found: _Found, counts: dict[str, Total]) -> set[str]:
    """Return the names of tools that may have the most runs."""
    session, _ = found.scope
    leaders = connection.execute(_MOST, (found.base, session, LEADERS)).fetchall()
    names = {name for name, goes_on in leaders if goes_on}
    names |= {*sorted(counts, key=lambda name: -counts[name].runs)[:TOOLS_OF_MANY_RUNS]}
    if found.base and not session:
        seqs = [found.base + (found.end - found.base) * each // _SAMPLE for each in range(1, _SAMPLE + 1)]
        names.update(name for (name,) in connection.execute(_SAMPLED, (json.dumps(seqs),)))
    if len(leaders) < TOOLS_OF_MANY_RUNS:  # if there are few tools, all of them are listed
        query = _NAMES.replace("OF_SESSION", "session_id = :session" if session else "TRUE")
        names.update(name for (name,) in connection.execute(query, {"session": session, "limit": LEADERS}))
    return {name for name in names if type(name) is str}


_LAST = """
    SELECT MAX(seq) FROM block_totals
    WHERE of = :of AND session_id = :session AND tool_name = :tool AND seq <= :end
"""
# From the last total back to the last one before its hour, day or month, and so on.
_BACK = f"""
    WITH RECURSIVE back(seq) AS (
        SELECT ({_LAST})
        UNION ALL
        SELECT (
            {
    _LAST.replace(
        ":end",
        '''(
                SELECT seq FROM blocks WHERE of = :of AND reached_at < (
                    SELECT substr(reached_at, 1, :length) FROM blocks WHERE of = :of AND seq = back.seq
                ) ORDER BY reached_at DESC, seq DESC LIMIT 1
            )''',
    )
}
        ) FROM back WHERE back.seq > :base LIMIT :limit
    )
    SELECT reached_at, runs, hits, errors, saved_ms FROM back
    CROSS JOIN blocks ON blocks.of = :of AND blocks.seq = back.seq
    CROSS JOIN block_totals AS total ON total.of = :of AND total.session_id = :session
        AND total.tool_name = :tool AND total.seq = back.seq
"""  # noqa: S608 - no input
_FIRST = _LAST.replace("MAX", "min").replace("seq <= :end", "seq > :base")
_ENDS = f"SELECT reached_at FROM blocks WHERE of = :of AND seq IN (({_LAST}), ({_FIRST}))"  # noqa: S608


def _points(connection: sqlite3.Connection, found: _Found) -> list[Point]:
    """Count the runs over time, by hour, day or month: those of events, then those between blocks."""
    session, tool = found.scope
    asked = {"of": RUNS, "session": session, "tool": tool, "base": found.base, "end": found.end}
    times = [event.at for event in found.events]
    if found.between.runs:
        times += [str(at) for (at,) in connection.execute(_ENDS, asked)]
    if not any(times):
        return []
    length = _length(min(filter(None, times)), max(times))
    counted = _sums(found.events, lambda event: event.at[:length])
    if found.between.runs:
        base = total_at(connection, RUNS, found.scope, found.base)
        rows = connection.execute(_BACK, {**asked, "length": length, "limit": _POINTS + 1})
        back = [(str(at)[:length], total) for at, *row in rows if (total := checked_total(row))]
        for (period, total), (_, before) in pairwise([*back, ("", base)]):
            gained = total.minus(before if before.runs > base.runs else base)
            counted[period] = counted.get(period, Total()).plus(gained)
    latest = sorted((start, total) for start, total in counted.items() if total.runs)[-_POINTS:]
    return [Point(start, total.runs, total.hits, total.errors) for start, total in latest]


def _length(first: str, last: str) -> int:
    """Choose the periods that show a span of time in a few points."""
    try:
        span = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    except (ValueError, TypeError):  # another program wrote these times
        return _MONTH
    if span <= timedelta(hours=_MOST_HOURS):
        return _HOUR
    return _DAY if span <= timedelta(days=_MOST_DAYS) else _MONTH
