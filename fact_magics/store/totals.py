"""Totals of the history, so that ``%fact stats`` need not read its rows.

The rows of a table form blocks of up to 64, in the order of their numbers; rows of a map that are stored
together form blocks of up to 512. A scope is a session and a tool; an empty text means all of them. When a
block ends, each scope with rows in the block gets a total, which counts all rows of the scope up to there. So
the difference between two totals counts the rows between the ends of two blocks. The rows after the last
block are read themselves. So are the rows of a scope before its first total, which `blocks` stores when the
scope has about 64 rows.

A block also has the latest time of all rows up to its end. The rows since a time are the difference to the
total of the block that reached the time, and some rows of this block.

The runs of a scope by outcome and duration are kept after every 256th run; each total has those of its block,
which are added when they are asked for. They are JSON, such as ``{"ok 117": 3, "error": 1}``: a duration is
the number of a bucket, and the limits of buckets grow by 2 %, so that a percentile is at most 1 % off. The
sums of tokens and costs of generations are kept with them.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.tool import HAND, IMPORTED, REPLAY, Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

CACHED, GENERATED = "cached", "generated"
"""Outcomes besides the statuses of runs: a run that the cache answered, and a generation."""

RUNS, GENERATIONS = "tool_executions", "generations"
"""The tables whose rows are counted. A generation with all its attempts counts once."""

Scope = tuple[str, str]
EVERYTHING = ("", "")
"""The scope of all sessions and all tools."""

_WELL = frozenset({CACHED, Status.OK.value, GENERATED})
_MOST = 2**53
LAST = 2**62
"""No row has a higher number."""

_STEP = math.log(1.02)
_SHORTEST_MS = 1e-6
_NO_TIME = -2_000


def _quantity(column: str) -> str:
    """Return an SQL expression that is NULL where another program wrote no quantity."""
    return f"iif({column} >= 0 AND {column} < {_MOST}, {column}, NULL)"


def text_of(column: str) -> str:
    """Return an SQL expression that is an empty text where another program wrote no text."""
    return f"iif(typeof({column}) = 'text', {column}, '')"


AMOUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "cost_usd")
"""The columns of generations that are summed. Nobody paid for the tokens of a replayed answer."""

# Older rows don't have the duration of the run that computed their answer.
_SAVED = "coalesce(saved_ms, (SELECT duration_ms FROM cache WHERE key = cache_key))"
_QUERIES = {
    RUNS: f"""
        SELECT seq, {text_of("executed_at")}, {text_of("session_id")}, {text_of("tool_name")} AS name,
            iif(cached, '{CACHED}', {text_of("status")}) AS outcome,
            iif(cached OR status = 'ok', {_quantity("duration_ms")}, NULL) AS took,
            iif(cached, coalesce({_quantity(_SAVED)}, 0), 0) AS saved, NULL
        FROM tool_executions WHERE
    """,  # noqa: S608 - no input
    GENERATIONS: f"""
        SELECT generation_id, seq, {text_of("started_at")}, {text_of("session_id")}, {text_of("tool_name")},
            iif(provider IN ('{HAND}', '{IMPORTED}', '{REPLAY}'), NULL, {_quantity("duration_ms")}),
            {", ".join(f"iif(provider = '{REPLAY}', NULL, {_quantity(name)})" for name in AMOUNTS)}
        FROM generations WHERE
    """,  # noqa: S608 - no input
}


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
    session_id: str
    tool_name: str
    outcome: str
    took_ms: float | None
    saved_ms: float = 0.0
    amounts: Mapping[str, float] | None = None


class Total(NamedTuple):
    """The counts of the rows of a scope up to the end of a block."""

    runs: int = 0
    hits: int = 0
    errors: int = 0
    saved_ms: float = 0.0

    def plus(self, other: Total) -> Total:
        """Add the counts of other rows."""
        return Total(
            self.runs + other.runs,
            self.hits + other.hits,
            self.errors + other.errors,
            self.saved_ms + other.saved_ms,
        )

    def minus(self, base: Total) -> Total:
        """Return the counts of the rows that another total of the scope does not count."""
        return Total(
            max(0, self.runs - base.runs),
            max(0, self.hits - base.hits),
            max(0, self.errors - base.errors),
            max(0.0, self.saved_ms - base.saved_ms),
        )


def events(
    connection: sqlite3.Connection,
    of: str,
    scope: Scope,
    after: int,
    until: int = LAST,
    limit: int = -1,
) -> list[Event]:
    """Read the rows of a scope in order; another program may have written any values into them."""
    named = [(name, value) for name, value in zip(("session_id", "tool_name"), scope, strict=True) if value]
    where = "".join(f"{name} = ? AND " for name, _ in named)
    query = f"{_QUERIES[of]} {where} seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    found = connection.execute(query, (*(value for _, value in named), after, until, limit))
    return [*(map(Event._make, found) if of == RUNS else _generations(found))]


def _generations(rows: Iterable[tuple[Any, ...]]) -> Iterator[Event]:
    """Join the attempts of each generation, which were stored by one transaction."""
    for _, attempts in groupby(rows, key=lambda row: row[0]):
        joined = [*attempts]
        amounts: dict[str, float] = {}
        for _, _, _, _, _, _, *spent in joined:
            add(
                amounts,
                {name: number for name, number in zip(AMOUNTS, spent, strict=True) if number is not None},
            )
        times = [(row[2], row[5]) for row in joined if row[5] is not None]
        _, _, at, session, tool, *_ = joined[0]
        took_ms = _covered_ms(times) if times else None
        yield Event(joined[-1][1], at, session, tool, GENERATED, took_ms, 0.0, amounts)


def _covered_ms(attempts: Sequence[tuple[str, float]]) -> float:
    """Return how long at least one attempt lasted; each has the time of its start and its milliseconds.

    Candidates that were asked for together are written at the same time.
    """
    if len(attempts) == 1:
        return attempts[0][1]
    try:
        starts = [datetime.fromisoformat(at).timestamp() * 1e3 for at, _ in attempts]
    except (ValueError, OverflowError):  # another program wrote these times
        return sum(took for _, took in attempts)
    covered, end = 0.0, -math.inf
    for start, took in sorted(zip(starts, (took for _, took in attempts), strict=True)):
        if start >= end:  # not from a difference, which would be inexact
            covered += took
        else:
            covered += max(0.0, start + took - end)
        end = max(end, start + took)
    return covered


def add(numbers: dict[str, float], others: Mapping[str, float]) -> None:
    """Add other numbers to `numbers`."""
    for name, number in others.items():
        numbers[name] = numbers.get(name, 0) + number


def bucket(milliseconds: float) -> int:
    """Return the number of the bucket that counts a duration."""
    return _NO_TIME if milliseconds < _SHORTEST_MS else math.ceil(math.log(milliseconds) / _STEP)


def middle_of(number: int) -> float:
    """Return a duration in a bucket that differs from all others in it by at most 1 %."""
    return 0.0 if not _NO_TIME < number < -_NO_TIME else 2 * math.exp(number * _STEP) / (1 + math.exp(_STEP))


def last_block(connection: sqlite3.Connection, of: str) -> int:
    """Return the last row of the last block; 0 if there is no block."""
    query = "SELECT max(seq) FROM blocks WHERE of = ? AND seq BETWEEN 0 AND ?"
    (seq,) = connection.execute(query, (of, LAST)).fetchone()
    return seq or 0


def block_that_reached(connection: sqlite3.Connection, of: str, at: str) -> tuple[int, int]:
    """Return the last rows of two blocks: all blocks up to the first one had only reached earlier times.

    The second one is the next block, or the same if there is none.
    """
    earlier = (
        "SELECT seq FROM blocks WHERE of = ? AND reached_at < ? ORDER BY reached_at DESC, seq DESC LIMIT 1"
    )
    following = "SELECT min(seq) FROM blocks WHERE of = ? AND seq > ?"
    [before] = connection.execute(earlier, (of, at)).fetchone() or (0,)
    [reached] = connection.execute(following, (of, before)).fetchone()
    return before, reached or before


def total_at(connection: sqlite3.Connection, of: str, scope: Scope, seq: int) -> Total:
    """Count the rows of a scope up to the end of a block."""
    if not seq:
        return Total()
    return stored_total(connection, of, scope, seq) or sum_of(events(connection, of, scope, 0, seq))


def stored_total(connection: sqlite3.Connection, of: str, scope: Scope, seq: int) -> Total | None:
    """Read a total of a scope, if it has one up to a row."""
    query = """
        SELECT runs, hits, errors, saved_ms FROM block_totals
        WHERE of = ? AND session_id = ? AND tool_name = ? AND seq <= ? ORDER BY seq DESC LIMIT 1
    """
    return checked_total(connection.execute(query, (of, *scope, seq)).fetchone() or ())


def checked_total(row: Sequence[Any]) -> Total | None:
    """Make a total of the four numbers of a row; None if another program wrote no numbers."""
    if row and all(type(number) in (int, float) and 0 <= number < _MOST for number in row):
        return Total(*row)
    return None


def first_total(connection: sqlite3.Connection, of: str, scope: Scope, after: int) -> int:
    """Return the end of the next block with a total of a scope; 0 if there is none."""
    query = """
        SELECT min(seq) FROM block_totals WHERE of = ? AND session_id = ? AND tool_name = ? AND seq > ?
    """
    (seq,) = connection.execute(query, (of, *scope, after)).fetchone()
    return seq if type(seq) is int else 0


def sum_of(counted: Iterable[Event]) -> Total:
    """Count events."""
    runs = hits = errors = 0
    saved_ms = 0.0
    for event in counted:
        runs += 1
        hits += event.outcome == CACHED
        errors += event.outcome not in _WELL
        saved_ms += event.saved_ms
    return Total(runs, hits, errors, saved_ms)


_STORED = """
    SELECT name, runs, hits, errors, saved_ms FROM (SELECT value AS name FROM json_each(:names))
    CROSS JOIN block_totals ON of = :of AND session_id = :session AND tool_name = name AND seq = (
        SELECT max(seq) FROM block_totals
        WHERE of = :of AND session_id = :session AND tool_name = name AND seq > :after AND seq <= :until
    )
"""
_COUNTED = f"""
    SELECT name, count(*), sum(outcome = '{CACHED}'), sum(outcome NOT IN ('{CACHED}', 'ok')), sum(saved)
    FROM ({_QUERIES[RUNS]} tool_name IN (SELECT value FROM json_each(:names))
        AND seq > :after AND seq <= :until AND OF_SESSION)
    GROUP BY name
"""  # noqa: S608 - no input


def gained_totals(
    connection: sqlite3.Connection, session: str, names: Iterable[str], base: int, end: int
) -> dict[str, Total]:
    """Count the runs between the ends of two blocks of those of the tools that have a total between them."""
    asked = {"of": RUNS, "session": session, "names": json.dumps([*names]), "after": base, "until": end}
    found = _checked_totals(connection.execute(_STORED, asked))
    if not base or not found:
        return found
    asked |= {"names": json.dumps([*found]), "after": 0, "until": base}
    earlier = _checked_totals(connection.execute(_STORED, asked))
    unknown = found.keys() - earlier.keys()
    if removed_at(connection):  # rows up to `base` may be missing, but those up to the first total are there
        for name in unknown:
            scope = session, name
            seq = first_total(connection, RUNS, scope, base)
            first = stored_total(connection, RUNS, scope, seq) or Total()
            earlier[name] = first.minus(sum_of(events(connection, RUNS, scope, base, seq)))
    else:
        earlier |= counted_totals(connection, session, unknown, 0, base)
    return {name: total.minus(earlier.get(name, Total())) for name, total in found.items()}


def _checked_totals(rows: Iterable[tuple[Any, ...]]) -> dict[str, Total]:
    return {name: total for name, *row in rows if (total := checked_total(row))}


def counted_totals(
    connection: sqlite3.Connection, session: str, names: Collection[str], base: int, end: int
) -> dict[str, Total]:
    """Count the runs of tools between the ends of two blocks from their rows."""
    if not names:
        return {}
    asked = {"session": session, "names": json.dumps([*names]), "after": base, "until": end}
    query = _COUNTED.replace("OF_SESSION", "session_id = :session" if session else "TRUE")
    return {name: Total(*total) for name, *total in connection.execute(query, asked)}


def numbers_at(connection: sqlite3.Connection, of: str, scope: Scope, seq: int) -> dict[str, float]:
    """Count the runs of a scope up to a row by outcome and bucket, and sum the amounts of generations."""
    stored = """
        SELECT seq, numbers FROM distributions
        WHERE of = ? AND session_id = ? AND tool_name = ? AND seq <= ? ORDER BY seq DESC LIMIT 1
    """
    following = """
        SELECT seq, numbers FROM block_totals
        WHERE of = ? AND session_id = ? AND tool_name = ? AND seq > ? AND seq <= ? ORDER BY seq
    """
    after, known = connection.execute(stored, (of, *scope, seq)).fetchone() or (0, "{}")
    numbers = _read(known)
    blocks = connection.execute(following, (of, *scope, after, seq)).fetchall()
    for end, gained in blocks if blocks or after else [(seq, None)]:
        # An older version stored no numbers.
        counted = numbers_of(events(connection, of, scope, after, end)) if gained is None else _read(gained)
        add(numbers, counted)
        after = end
    return numbers


def numbers_of(counted: Iterable[Event]) -> dict[str, float]:
    """Count events by outcome and bucket, and sum their amounts."""
    numbers: dict[str, float] = {}
    for event in counted:
        name = event.outcome if event.took_ms is None else f"{event.outcome} {bucket(event.took_ms)}"
        numbers[name] = numbers.get(name, 0) + 1
        if event.amounts:
            add(numbers, event.amounts)
    return numbers


@lru_cache(4_096)
def outcome_of(name: str) -> tuple[str, float]:
    """Return the outcome and the duration that a number is stored for; -1 without a duration."""
    outcome, _, number = name.rpartition(" ")
    is_timed = outcome and number.removeprefix("-").isdecimal()
    return outcome or name, middle_of(int(number)) if is_timed else -1.0


def _read(stored: object) -> dict[str, float]:
    with suppress(ValueError, TypeError, AttributeError, RecursionError):  # another program wrote it
        read: dict[str, float] = json.loads(stored)  # type: ignore[arg-type]
        known = read.values()
        are_numbers = {*map(type, known)} <= {int, float} and min(known) >= 0 and sum(known) < _MOST
        if are_numbers and max(map(len, read)) < 100:
            return read
    return {}


def removed_at(connection: sqlite3.Connection) -> str:
    """Return the latest time of a run that was removed, or an empty text."""
    found = connection.execute("SELECT removed_at FROM history_state").fetchone()
    return found[0] if found and type(found[0]) is str else ""
