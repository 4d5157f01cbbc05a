"""Totals of the history, so that ``%fact stats`` need not read its rows.

A total belongs to a scope and a period. The scope is a session and a tool; an empty text means all of them.
The period is an hour, a day, a month (in UTC) or all time, so that few periods cover any span of time. A
session is short, so it has no totals of days and months.

Rows are added to the totals in groups, by the transaction that stores the last row of a group: adding each
row by itself would take longer than storing it. `tail` reads the rows of the group that is not complete.

Durations are counted in buckets whose limits grow by 2 %, so that a percentile is at most 1 % off. The column
`durations` is JSON, such as ``{"ok 117": 3}``: the number of rows with an outcome in a bucket.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fact_magics.tool import HAND, IMPORTED, Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

GROUP = 128
"""The number of runs that are added to the totals together."""

ALL_TIME = ""
HOUR, DAY, MONTH = "H", "D", "M"
"""How the name of a period begins; its time follows, in ISO 8601."""

LENGTHS = {HOUR: 13, DAY: 10, MONTH: 7}
CACHED, GENERATED = "cached", "generated"
"""Outcomes besides the statuses of runs: a run that the cache answered, and a generation."""

_TOTAL = """
    CREATE TABLE NAME (
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        period     TEXT NOT NULL,
        first_seq  INTEGER NOT NULL,
        last_seq   INTEGER NOT NULL,
        durations  TEXT NOT NULL,
        COLUMNS,
        PRIMARY KEY (session_id, tool_name, period)
    ) WITHOUT ROWID
"""
_RUN_TOTALS = _TOTAL.replace("NAME", "run_totals").replace(
    "COLUMNS", "runs INTEGER, hits INTEGER, errors INTEGER, saved_ms REAL"
)
_GENERATION_TOTALS = _TOTAL.replace("NAME", "generation_totals").replace(
    "COLUMNS",
    "generations INTEGER, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, "
    "cache_creation_tokens INTEGER, cost_usd REAL",
)

TABLES_OF_TOTALS = (
    # How long the answer of a cached run once took. In older rows it is NULL.
    "ALTER TABLE tool_executions ADD COLUMN saved_ms REAL",
    _RUN_TOTALS,
    "CREATE INDEX run_totals_by_runs ON run_totals (session_id, period, runs) WHERE tool_name <> ''",
    _GENERATION_TOTALS,
    # The last row of each table that the totals include, and the last time that old runs were removed.
    """
    CREATE TABLE history_state (
        one                 INTEGER PRIMARY KEY CHECK (one = 1),
        tool_executions_seq INTEGER NOT NULL,
        generations_seq     INTEGER NOT NULL,
        pruned_at           TEXT NOT NULL
    )
    """,
    "INSERT INTO history_state VALUES (1, 0, 0, '')",
)
"""The statements of the migration that creates the tables."""

# A transaction adds at most this many rows, so that other kernels can write in between.
_MOST_ROWS = 20_000
_MOST = 2**53
_STEP = math.log(1.02)
_SHORTEST_MS = 1e-6
_NO_TIME = -2_000
_LAST = 2**62


class Event(NamedTuple):
    """A run, or a generation with all its attempts.

    Attributes
    ----------
    first, seq : int
        The numbers of its first and its last row.
    outcome : str
        A status, `CACHED` or `GENERATED`.
    took_ms : float or None
        None if it does not count as a duration, such as that of a failed run.
    amounts : tuple
        What adds up, in the order of `Kind.amounts`; None for an unknown amount.
    """

    first: int
    seq: int
    at: str
    session_id: str
    tool_name: str
    outcome: str
    took_ms: float | None
    amounts: tuple[float | None, ...]

    @property
    def has_duration(self) -> bool:
        """Whether `durations` counts it; each run is counted there, which gives the runs by outcome."""
        return self.outcome != GENERATED or self.took_ms is not None


class Kind(NamedTuple):
    """One of the two tables that have totals: its names, and the query that `events` reads."""

    rows: str
    totals: str
    amounts: tuple[str, ...]
    query: str


RUNS = Kind(
    "tool_executions",
    "run_totals",
    ("runs", "hits", "errors", "saved_ms"),
    """
    SELECT seq, executed_at, session_id, tool_name, status, cached, duration_ms,
        CASE WHEN cached THEN coalesce(saved_ms, (SELECT duration_ms FROM cache WHERE key = cache_key)) END
    FROM tool_executions
    """,
)
GENERATIONS = Kind(
    "generations",
    "generation_totals",
    (
        "generations",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_creation_tokens",
        "cost_usd",
    ),
    """
    SELECT seq, started_at, session_id, tool_name, provider, generation_id, duration_ms, input_tokens,
        output_tokens, cache_read_tokens, cache_creation_tokens, cost_usd
    FROM generations
    """,
)


def events(connection: sqlite3.Connection, kind: Kind, conditions: str, *values: object) -> list[Event]:
    """Read rows as events; another program may have written any values into them."""
    query = " ".join((kind.query, "WHERE", conditions))
    found = connection.execute(query, values)
    return [*(map(_run, found) if kind is RUNS else _generations(found))]


def _run(row: tuple[Any, ...]) -> Event:
    seq, at, session, tool, status, cached, took, saved = row
    outcome = CACHED if cached else _text(status)
    is_measured = outcome in (CACHED, Status.OK)
    amounts = (1, int(outcome == CACHED), int(not is_measured), _number(saved))
    took_ms = _number(took) if is_measured else None
    return Event(seq, seq, _text(at), _text(session), _text(tool), outcome, took_ms, amounts)


def _generations(rows: Iterable[tuple[Any, ...]]) -> Iterator[Event]:
    """Join the attempts of each generation, which were stored by one transaction."""
    joined: dict[object, Event] = {}
    for seq, at, session, tool, provider, generation, took, *amounts in rows:
        took_ms = None if provider in (HAND, IMPORTED) else _number(took)
        known, numbers = joined.get(generation), tuple(map(_number, amounts))
        if known is None:
            place = _text(at), _text(session), _text(tool)
            joined[generation] = Event(seq, seq, *place, GENERATED, took_ms, (1, *numbers))
            continue
        summed = (1, *map(added_up, known.amounts[1:], numbers))
        joined[generation] = known._replace(seq=seq, took_ms=added_up(known.took_ms, took_ms), amounts=summed)
    return iter(joined.values())


def _text(stored: object) -> str:
    return stored if type(stored) is str else ""


def _number(stored: object) -> float | None:
    return stored if type(stored) in (int, float) and 0 <= stored < _MOST else None  # type: ignore[operator, return-value]


def added_up(one: float | None, other: float | None) -> float | None:
    """Add two amounts, each of which may be unknown."""
    return one if other is None else other if one is None else one + other


@dataclass(slots=True)
class Total:
    """The total of a scope in a period: the first and last row, the sums of amounts, and the durations."""

    first: int
    last: int
    amounts: tuple[float | None, ...]
    durations: dict[str, int]

    @classmethod
    def of(cls, kind: Kind, members: Sequence[Event] = ()) -> Self:
        """Add up events, which are in order."""
        if not members:
            return cls(_LAST, 0, (None,) * len(kind.amounts), {})
        known = ([amount for amount in column if amount is not None] for column in _columns(members))
        amounts = tuple(sum(column) if column else None for column in known)
        durations = Counter(
            f"{event.outcome} {bucket(event.took_ms or 0.0)}" for event in members if event.has_duration
        )
        return cls(members[0].first, members[-1].seq, amounts, durations)

    def add(self, other: Self) -> None:
        """Add another total."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.amounts = tuple(map(added_up, self.amounts, other.amounts))
        add_durations(self.durations, other.durations)


def _columns(members: Sequence[Event]) -> Iterator[tuple[float | None, ...]]:
    return zip(*(event.amounts for event in members), strict=True)


def add_durations(counted: dict[str, int], others: Mapping[str, int]) -> None:
    """Add the numbers in each bucket to `counted`."""
    for name, number in others.items():
        counted[name] = counted.get(name, 0) + number


def stored(
    connection: sqlite3.Connection, kind: Kind, session_id: str, tool_name: str, first: str, end: str
) -> Iterator[tuple[Total, object]]:
    """Read the totals of a scope from the period `first` until before `end`.

    Yields
    ------
    Total
        Without its durations.
    object
        What the column `durations` holds, for `read_durations`.
    """
    query = f"""
        SELECT first_seq, last_seq, durations, {", ".join(kind.amounts)} FROM {kind.totals}
        WHERE session_id = ? AND tool_name = ? AND period >= ? AND period < ?
    """  # noqa: S608 - no input
    for low, high, durations, *amounts in connection.execute(query, (session_id, tool_name, first, end)):
        if type(low) is type(high) is int:
            yield Total(low, high, tuple(map(_number, amounts)), {}), durations


def read_durations(text: object) -> dict[str, int]:
    """Read the numbers in each bucket."""
    with suppress(ValueError, TypeError, AttributeError, RecursionError):  # another program wrote it
        counted = json.loads(text)  # type: ignore[arg-type]
        return {
            name: number for name, number in counted.items() if type(number) is int and 0 < number < _MOST
        }
    return {}


def bucket(milliseconds: float) -> int:
    """Return the number of the bucket that counts a duration."""
    if milliseconds < _SHORTEST_MS:
        return _NO_TIME
    return math.ceil(math.log(milliseconds) / _STEP)


def outcome_and_time(name: str) -> tuple[str, float]:
    """Return the outcome of a bucket, and the duration that all others in it differ from by at most 1 %."""
    outcome, _, number = name.rpartition(" ")
    return outcome, middle_of(int(number)) if number.lstrip("-").isdecimal() else 0.0


def middle_of(number: int) -> float:
    """Return the duration in a bucket from which all others in it differ by at most 1 %."""
    return 0.0 if not _NO_TIME < number < -_NO_TIME else 2 * math.exp(number * _STEP) / (1 + math.exp(_STEP))


def levels(session_id: str) -> tuple[str, ...]:
    """Return the periods that the totals of a session, or of all sessions, have besides all time."""
    return (HOUR,) if session_id else (HOUR, DAY, MONTH)


def period(level: str, at: str) -> str:
    """Return the period that contains a time."""
    return f"{level}{at[: LENGTHS[level]]}"


def tail(
    connection: sqlite3.Connection, kind: Kind, conditions: str = "TRUE", *values: object
) -> list[Event]:
    """Read the rows that are not in the totals yet."""
    return events(connection, kind, f"seq > coalesce(({_last(kind)}), 0) AND {conditions}", *values)


def _last(kind: Kind) -> str:
    return f"SELECT {kind.rows}_seq FROM history_state"  # noqa: S608 - no input


def missing(connection: sqlite3.Connection) -> int:
    """Return how many rows may be missing in the totals; after a migration, all rows are."""
    numbers = connection.execute(
        "SELECT coalesce((SELECT max(seq) FROM tool_executions), 0) - tool_executions_seq,"
        " coalesce((SELECT max(seq) FROM generations), 0) - generations_seq FROM history_state"
    ).fetchone()
    return max((number for number in numbers or () if type(number) is int), default=0)


def keep_up(connection: sqlite3.Connection) -> None:
    """Add the rows of this and earlier commits to the totals, in a transaction of the caller.

    If far more rows are missing, a commit would take seconds; `History.stats` then adds them.
    """
    if missing(connection) <= _MOST_ROWS:
        add_to_totals(connection)


def add_to_totals(connection: sqlite3.Connection) -> bool:
    """Add the rows that are not in the totals yet, in a transaction of the caller.

    Returns
    -------
    bool
        Whether there may be more such rows than one transaction should add.
    """
    more = [_add(connection, kind) for kind in (RUNS, GENERATIONS)]
    return any(more)


def _add(connection: sqlite3.Connection, kind: Kind) -> bool:
    end = _end_of_chunk(connection, kind)
    found = tail(connection, kind, "seq <= ? ORDER BY seq", _LAST if end is None else end)
    if not found:
        return False
    grouped: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in found:
        grouped[event.session_id, event.tool_name, event.at[: LENGTHS[HOUR]]].append(event)
    totals: dict[tuple[str, str, str], Total] = defaultdict(lambda: Total.of(kind))
    for (session, tool, hour), members in grouped.items():
        added = Total.of(kind, members)
        for scope in _scopes(session, tool, hour):
            totals[scope].add(added)
    for scope, total in totals.items():
        for known, durations in stored(connection, kind, *scope, f"{scope[2]} "):
            total.add(known)
            add_durations(total.durations, read_durations(durations))
    blanks = ", ".join("?" * (6 + len(kind.amounts)))
    connection.executemany(
        f"INSERT OR REPLACE INTO {kind.totals} VALUES ({blanks})",  # noqa: S608 - no input
        (
            (
                *scope,
                total.first,
                total.last,
                json.dumps(total.durations, separators=(",", ":")),
                *total.amounts,
            )
            for scope, total in totals.items()
        ),
    )
    changed = f"UPDATE history_state SET {kind.rows}_seq = ?"  # noqa: S608 - no input
    connection.execute(changed, (max(event.seq for event in found),))
    return end is not None


def _end_of_chunk(connection: sqlite3.Connection, kind: Kind) -> int | None:
    """Return the last row that one transaction should add; None if it can add all that are missing.

    The attempts of a generation are added together.
    """
    rows = f"SELECT seq FROM {kind.rows} WHERE seq > coalesce(({_last(kind)}), 0)"  # noqa: S608 - no input
    query = f"{rows} ORDER BY seq LIMIT 1 OFFSET {_MOST_ROWS - 1}"
    if kind is GENERATIONS:
        query = f"""
            SELECT max(seq) FROM generations
            WHERE generation_id = (SELECT generation_id FROM generations WHERE seq = ({query}))
        """  # noqa: S608 - no input
    found = connection.execute(query).fetchone()
    return None if found is None else found[0]


def _scopes(session: str, tool: str, hour: str) -> Iterator[tuple[str, str, str]]:
    for each_session in {session, ""}:
        named = (ALL_TIME, *(period(level, hour) for level in levels(each_session)))
        yield from ((each_session, each_tool, name) for each_tool in {tool, ""} for name in named)
