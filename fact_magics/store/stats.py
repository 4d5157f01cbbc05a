"""`read_stats` reads the numbers of ``%fact stats``; a large history hardly slows it down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, floor
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.store.savings import read_saved
from fact_magics.store.totals import (
    ALL_TIME,
    CACHED,
    DAY,
    GENERATED,
    GENERATIONS,
    HOUR,
    LENGTHS,
    MONTH,
    RUNS,
    Total,
    add_durations,
    events,
    levels,
    outcome_and_time,
    period,
    read_durations,
    stored,
    tail,
)
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from fact_magics.store.totals import Event, Kind

TOOLS_LISTED = 50
"""The tools with the most runs are listed, at most so many."""

# As many rows as this are read themselves, for exact percentiles and an exact beginning of `since`.
_ROWS_READ = 1_000
_POINTS = 60
_HOUR = timedelta(hours=1)
# How many hours and days are shown one by one before they are shown as days and months.
_MOST_HOURS, _MOST_DAYS = 48, 62
# What comes after each period of a level, and the character after the one that ends a day or a month.
_END = {HOUR: "I", DAY: "E", MONTH: "N"}
_AFTER_DAY, _AFTER_MONTH = "U", "."

# The first period, and what comes after the last one.
Range = tuple[str, str]
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
        The time from which rows count. If the hour of the time that was asked for has too many runs, it is
        the beginning of that hour.
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
    """The events that were read of one kind of rows, and the ranges of periods whose totals count.

    The events in `late` are not in any totals yet.
    """

    events: list[Event]
    ranges: list[Range]
    since: str | None
    late: list[Event]


def read_stats(
    connection: sqlite3.Connection, *, session_id: str = "", tool_name: str = "", since: str | None = None
) -> Stats:
    """Read the numbers of a session and of a tool, or of all of them, since a time in the form of the rows.

    The numbers of a few rows are exact. Of more rows, percentiles are at most 1 % off; and if more than 1,000
    of them are in the hour of `since`, the whole hour counts.
    """
    reader = _Reader(connection, session_id, tool_name)
    runs, generations = (reader.find(kind, since) for kind in (RUNS, GENERATIONS))
    number, hits, _, saved = reader.amounts(RUNS, runs)
    made, *amounts = reader.amounts(GENERATIONS, generations)
    counted = reader.durations(RUNS, runs) + reader.durations(GENERATIONS, generations)
    measured: dict[str, list[tuple[float, int]]] = {}
    for (outcome, took), times in sorted(counted.items()):
        measured.setdefault(outcome, []).append((took, times))
    failed = [outcome for outcome in measured if outcome not in (Status.OK, CACHED, GENERATED)]
    return Stats(
        since=min(filter(None, (runs.since, generations.since)), default=None),
        runs=int(number or 0),
        hits=int(hits or 0),
        saved_ms=saved or 0.0,
        errors={outcome: sum(times for _, times in measured.pop(outcome)) for outcome in failed},
        generations=int(made or 0),
        amounts=dict(
            zip(GENERATIONS.amounts[1:], map(_whole, GENERATIONS.amounts[1:], amounts), strict=True)
        ),
        durations={outcome: tuple(known) for outcome, known in measured.items()},
        saved_usd=read_saved(connection, session_id, tool_name, since),
        tools=reader.tools(runs),
        points=reader.points(runs),
    )


def _whole(name: str, amount: float | None) -> float | None:
    return amount if amount is None or name == "cost_usd" else int(amount)


class _Reader:
    """Reads what belongs to one session and tool; an empty text stands for all."""

    def __init__(self, connection: sqlite3.Connection, session_id: str, tool_name: str) -> None:
        self._connection = connection
        self._scope = session_id, tool_name
        named = {"session_id": session_id, "tool_name": tool_name}
        self._values = [value for value in named.values() if value]
        self._conditions = "".join(f" AND {name} = ?" for name, value in named.items() if value)

    def find(self, kind: Kind, since: str | None) -> _Found:
        """Choose what to read: few rows themselves, or the totals and the rows of the first hour."""
        hour = since and since[: LENGTHS[HOUR]]
        late = tail(self._connection, kind, f"TRUE{self._conditions}", *self._values)
        late = [event for event in late if since is None or event.at >= since]
        ranges = self._ranges(since)
        rows = self._read(kind, ranges, hour)
        if rows is None and since is not None:
            rows, rest = self._read(kind, ranges[:1], hour), ranges[1:]
        else:
            rest = []
        if rows is None:
            return _Found(late, ranges, None if hour is None else f"{hour}:00:00.000Z", late)
        recent = (event for event in rows if since is None or event.at >= since)
        return _Found([*recent, *late], rest, since, late)

    def _ranges(self, since: str | None) -> list[Range]:
        """Return ranges that together cover the time from the beginning of an hour; this hour comes first."""
        if since is None:
            return [(ALL_TIME, f"{ALL_TIME} ")]
        hour, day, month = (period(level, since) for level in (HOUR, DAY, MONTH))
        first = hour, f"{hour} "
        if levels(self._scope[0]) == (HOUR,):
            return [first, (f"{hour} ", _END[HOUR])]
        day_end, month_end = f"{HOUR}{day[1:]}{_AFTER_DAY}", f"{DAY}{month[1:]}{_AFTER_MONTH}"
        return [first, (f"{hour} ", day_end), (f"{day} ", month_end), (f"{month} ", _END[MONTH])]

    def _read(self, kind: Kind, ranges: list[Range], hour: str | None) -> list[Event] | None:
        """Read the rows that the totals of these periods include; None for many rows, or if some are gone."""
        total = self._total(kind, [], ranges)
        number = total.amounts[0]
        if not number:
            return []
        if number > _ROWS_READ:
            return None
        found = events(
            self._connection,
            kind,
            f"seq BETWEEN ? AND ?{self._conditions} ORDER BY seq LIMIT {2 * _ROWS_READ}",
            total.first,
            total.last,
            *self._values,
        )
        within = [event for event in found if hour is None or self._is_in(event, ranges)]
        return within if len(within) == number else None

    def _is_in(self, event: Event, ranges: list[Range]) -> bool:
        named = [period(level, event.at) for level in (HOUR, DAY, MONTH)]
        return any(low <= name < high for name in named for low, high in ranges)

    def _total(self, kind: Kind, found: list[Event], ranges: list[Range]) -> Total:
        total = Total.of(kind, found)
        for limits in ranges:
            for each, _ in stored(self._connection, kind, *self._scope, *limits):
                total.add(each)
        return total

    def amounts(self, kind: Kind, found: _Found) -> tuple[float | None, ...]:
        """Add up what was found."""
        return self._total(kind, found.events, found.ranges).amounts

    def durations(self, kind: Kind, found: _Found) -> Counter[tuple[str, float]]:
        """Count each duration that was found, by outcome."""
        known: dict[str, int] = {}
        for limits in found.ranges:
            for _, durations in stored(self._connection, kind, *self._scope, *limits):
                add_durations(known, read_durations(durations))
        counted = Counter({outcome_and_time(name): number for name, number in known.items()})
        counted.update((event.outcome, event.took_ms or 0.0) for event in found.events if event.has_duration)
        return counted

    def tools(self, found: _Found) -> list[ToolStats]:
        """Return the tools with the most runs; of a span of time, those with the most runs in its parts."""
        names = Counter(event.tool_name for event in found.events)
        session, tool = self._scope
        query = """
            SELECT tool_name, runs FROM run_totals
            WHERE session_id = ? AND period = ? AND tool_name <> '' ORDER BY runs DESC LIMIT ?
        """
        if tool:
            names = Counter((tool,))
        else:
            for name in self._periods(found):
                names.update(dict(self._connection.execute(query, (session, name, TOOLS_LISTED))))
        listed = []
        for name, _ in names.most_common(TOOLS_LISTED):
            own = _Reader(self._connection, session, name)
            members = [event for event in found.events if event.tool_name == name]
            runs, hits, errors, saved = own.amounts(RUNS, found._replace(events=members))
            if runs:
                known = ToolStats(name, int(runs), int(hits or 0), int(errors or 0), saved or 0.0)
                listed.append(known)
        return sorted(listed, key=lambda known: (-known.runs, known.tool))

    def _periods(self, found: _Found) -> Iterator[str]:
        query = """
            SELECT period FROM run_totals
            WHERE session_id = ? AND tool_name = '' AND period >= ? AND period < ?
        """
        for limits in found.ranges:
            for (name,) in self._connection.execute(query, (self._scope[0], *limits)):
                yield name

    def points(self, found: _Found) -> list[Point]:
        """Return the runs over time, by hour, day or month; those of the first hour count as a whole."""
        missing = found.late if found.ranges else found.events
        ends = [event.at[: LENGTHS[HOUR]] for event in missing]
        first = found.since or ""
        if found.ranges:
            ends += [name[1:] for name in self._ends(period(HOUR, first))]
        if not any(ends):
            return []
        level = _level(min(ends), max(ends))
        if found.ranges and level not in levels(self._scope[0]):
            level = HOUR
        counted: dict[str, tuple[float, ...]] = {}
        if found.ranges:
            query = """
                SELECT period, runs, hits, errors FROM run_totals
                WHERE session_id = ? AND tool_name = ? AND period >= ? AND period < ?
                ORDER BY period DESC LIMIT ?
            """
            wanted = (*self._scope, period(level, first), _END[level], _POINTS)
            counted = {name: tuple(numbers) for name, *numbers in self._connection.execute(query, wanted)}
        for event in missing:
            name = period(level, event.at)
            known = counted.get(name, (0, 0, 0))
            counted[name] = tuple(
                map(sum, zip(known, (amount or 0 for amount in event.amounts), strict=False))
            )
        latest = sorted(counted)[-_POINTS:]
        return [Point(name[1:], *map(int, counted[name])) for name in latest]

    def _ends(self, first: str) -> Iterator[str]:
        """Return the first hour from `first` on that has runs, and the last hour that has any."""
        query = """
            SELECT period FROM run_totals
            WHERE session_id = ? AND tool_name = ? AND period >= ? AND period < ?
            ORDER BY period ORDER LIMIT 1
        """
        for order in ("ASC", "DESC"):
            limits = (*self._scope, first, _END[HOUR])
            for (name,) in self._connection.execute(query.replace("ORDER LIMIT", f"{order} LIMIT"), limits):
                yield name


def _level(first: str, last: str) -> str:
    """Choose the level that shows a span of hours in a few points."""
    try:
        hours = (datetime.fromisoformat(f"{last}:00") - datetime.fromisoformat(f"{first}:00")) / _HOUR
    except (ValueError, TypeError):  # another program wrote these times
        return MONTH
    return HOUR if hours <= _MOST_HOURS else DAY if hours <= 24 * _MOST_DAYS else MONTH
