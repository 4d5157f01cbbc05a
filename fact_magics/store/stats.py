"""`read_stats` reads the numbers of ``%fact stats``; a large history hardly slows it down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, floor
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.store.savings import read_saved
from fact_magics.store.totals import (
    AMOUNTS,
    CACHED,
    GENERATED,
    GENERATIONS,
    ROWS_READ,
    RUNS,
    SAVED_MS,
    Event,
    Total,
    add,
    condition,
    current,
    earlier,
    events,
    later,
    middle_of,
    removed_at,
)
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3

TOOLS_LISTED, TOOLS_OF_MANY_RUNS = 50, 20
"""How many tools are listed, those with the most runs; fewer if runs are not read row by row."""

_POINTS = 60
_HOUR, _DAY, _MONTH = len("2026-11-22T09"), len("2026-11-22"), len("2026-11")
# How many hours and days are shown one by one before they are shown as days and months.
_MOST_HOURS, _MOST_DAYS = 48, 62

Durations = tuple[tuple[float, int], ...]
Scope = tuple[str, str]


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
    """The result for a scope: the difference of two totals, and further events.

    `is_all` means that all runs are among the events.
    """

    total: Total
    base: Total
    events: list[Event]

    @property
    def is_all(self) -> bool:
        return self.total.runs == self.base.runs

    @property
    def saved_ms(self) -> float:
        """How long the answers of hits once took."""
        saved = self.total.saved_ms - self.base.saved_ms + sum(event.saved_ms for event in self.events)
        return max(0.0, saved)

    def numbers(self) -> tuple[dict[str, float], dict[str, dict[float, int]]]:
        """Add up the amounts, and count the durations by outcome; a missing duration counts as -1."""
        summed: dict[str, float] = {}
        if not self.is_all:
            add(summed, self.total.numbers)
            add(summed, self.base.numbers, -1)
        amounts: dict[str, float] = {}
        counted: dict[str, dict[float, int]] = {}
        for name, number in summed.items():
            outcome, _, bucket = name.rpartition(" ")
            if not outcome and name in AMOUNTS:
                amounts[name] = number
            else:
                took = middle_of(int(bucket)) if outcome and bucket.lstrip("-").isdecimal() else -1.0
                _count(counted, outcome or name, took, int(number))
        for event in self.events:
            add(amounts, event.amounts or {})
            _count(counted, event.outcome, -1.0 if event.took_ms is None else event.took_ms, 1)
        return amounts, counted


def _count(counted: dict[str, dict[float, int]], outcome: str, took_ms: float, number: int) -> None:
    known = counted.setdefault(outcome, {})
    known[took_ms] = known.get(took_ms, 0) + number


def read_stats(
    connection: sqlite3.Connection, *, session_id: str = "", tool_name: str = "", since: str | None = None
) -> Stats:
    """Read the numbers of a session and of a tool, or of all of them, since a time in the form of the rows.

    The numbers of up to 1,000 rows are exact. Of more rows, percentiles are at most 1 % off, a few runs may
    be counted one point late, and rows that were recorded after later ones may count as later ones. Of rows
    that were removed, up to 256 before `since` may count.
    """
    scope = session_id, tool_name
    connection.execute("BEGIN")  # other kernels may change the totals between two queries
    try:
        runs, generations = (_find(connection, of, scope, since) for of in (RUNS, GENERATIONS))
        tools = _tools(connection, scope, runs, since)
        points = _points(connection, scope, runs)
    finally:
        connection.execute("COMMIT")
    _, measured = runs.numbers()
    spent, generated = generations.numbers()
    outcomes = {outcome: sum(known.values()) for outcome, known in measured.items()}
    return Stats(
        since=since,
        runs=sum(outcomes.values()),
        hits=outcomes.get(CACHED, 0),
        saved_ms=runs.saved_ms,
        errors={name: number for name, number in outcomes.items() if name not in (Status.OK, CACHED)},
        generations=sum(generated.get(GENERATED, {}).values()),
        amounts={name: spent.get(name) for name in AMOUNTS},
        durations={
            outcome: tuple(sorted((took, number) for took, number in known.items() if took >= 0))
            for outcome, known in {**measured, **generated}.items()
            if outcome in (Status.OK, CACHED, GENERATED)
        },
        saved_usd=read_saved(connection, session_id, tool_name, since),
        tools=tools,
        points=points,
    )


def _find(connection: sqlite3.Connection, of: str, scope: Scope, since: str | None) -> _Found:
    """Choose what to read of a scope: the rows themselves if they are few, or its totals.

    The rows between the earlier totals before and after `since` are always read. If some of them were
    removed, they count together.
    """
    total = current(connection, of, scope)
    tail = events(connection, of, scope, total.last_seq)
    start = end = earlier(connection, of, scope, since) if since else Total()
    if total.runs - start.runs <= ROWS_READ:
        end = total
    elif since:
        end = later(connection, of, scope, since)
        end = end if end.runs else total
    limit = 2 * ROWS_READ
    group = (
        events(connection, of, scope, start.last_seq, end.last_seq, limit) if end.runs > start.runs else []
    )
    if len(group) < end.runs - start.runs and (
        since is None or len(group) == limit or since <= removed_at(connection, of, scope)
    ):
        end, group = start, []
    return _Found(total, end, [event for event in (*group, *tail) if since is None or event.at >= since])


def _tools(connection: sqlite3.Connection, scope: Scope, found: _Found, since: str | None) -> list[ToolStats]:
    session, tool = scope
    most_listed = TOOLS_LISTED if found.is_all else TOOLS_OF_MANY_RUNS
    common = Counter(event.tool_name for event in found.events).most_common(most_listed)
    names = {tool} if tool else {name for name, _ in common}
    if not (tool or found.is_all):
        most = """
            SELECT tool_name FROM totals WHERE of = 'tool_executions' AND session_id = ? AND tool_name <> ''
            ORDER BY runs DESC LIMIT ?
        """
        names.update(name for (name,) in connection.execute(most, (session, most_listed)))
        where, values = condition((session, ""))
        following = f"SELECT min(tool_name) FROM tool_executions WHERE {where} tool_name > ?"  # noqa: S608
        name = ""
        while len(names) < most_listed:  # if there are few tools, all of them are listed
            (name,) = connection.execute(following, (*values, name)).fetchone()
            if type(name) is not str:
                break
            names.add(name)
    listed = [_tool(connection, (session, name), since) for name in names]
    known = sorted(filter(lambda each: each.runs, listed), key=lambda each: (-each.runs, each.tool))
    return known[:most_listed]


def _tool(connection: sqlite3.Connection, scope: Scope, since: str | None) -> ToolStats:
    """Count the runs of a tool as `_find` does, without their durations."""
    total = current(connection, RUNS, scope)
    start = end = earlier(connection, RUNS, scope, since) if since else Total()
    if since and since > removed_at(connection, RUNS, scope):
        end = later(connection, RUNS, scope, since)
        end = end if end.runs else total
    counted = [
        _sums(connection, scope, since or "", *limits)
        for limits in ((start.last_seq, end.last_seq), (total.last_seq, None))
        if limits[0] != limits[1]
    ]
    runs, hits, errors, saved_ms = map(sum, zip(total[2:6], *counted, strict=True))
    return ToolStats(
        scope[1], runs - end.runs, hits - end.hits, errors - end.errors, max(0.0, saved_ms - end.saved_ms)
    )


def _sums(
    connection: sqlite3.Connection, scope: Scope, since: str, after: int, until: int | None
) -> tuple[float, ...]:
    where, values = condition(scope)
    query = f"""
        SELECT count(*), coalesce(sum(cached <> 0), 0), coalesce(sum(cached = 0 AND status <> 'ok'), 0),
            coalesce(sum(min(max({SAVED_MS}, 0), 9e15)), 0)
        FROM tool_executions WHERE {where} seq > ? AND seq <= ? AND executed_at >= ?
    """  # noqa: S608 - no input
    limits = after, 2**62 if until is None else until
    found: tuple[float, ...] = connection.execute(query, (*values, *limits, since)).fetchone()
    return found


def _points(connection: sqlite3.Connection, scope: Scope, found: _Found) -> list[Point]:
    """Count the runs over time, by hour, day or month: those of events, then those between earlier totals."""
    at, base = found.total, found.base
    times = [event.at for event in found.events]
    if not found.is_all:
        times += [at.reached_at, base.reached_at or later(connection, RUNS, scope, "").reached_at]
    if not any(times):
        return []
    length = _length(min(filter(None, times)), max(times))
    counted: dict[str, Counter[str]] = {}
    for event in found.events:
        failed = event.outcome not in (CACHED, Status.OK)
        known = counted.setdefault(event.at[:length], Counter())
        known.update(runs=1, hits=event.outcome == CACHED, errors=failed)
    for _ in range(_POINTS):
        if at.runs <= base.runs:
            break
        period = at.reached_at[:length]
        before = earlier(connection, RUNS, scope, period)
        before = before if before.runs > base.runs else base
        known = counted.setdefault(period, Counter())
        known.update(
            **{name: getattr(at, name) - getattr(before, name) for name in ("runs", "hits", "errors")}
        )
        at = before
    latest = sorted(counted.items())[-_POINTS:]
    return [Point(start, known["runs"], known["hits"], known["errors"]) for start, known in latest]


def _length(first: str, last: str) -> int:
    """Choose the periods that show a span of time in a few points."""
    try:
        span = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    except (ValueError, TypeError):  # another program wrote these times
        return _MONTH
    if span <= timedelta(hours=_MOST_HOURS):
        return _HOUR
    return _DAY if span <= timedelta(days=_MOST_DAYS) else _MONTH
