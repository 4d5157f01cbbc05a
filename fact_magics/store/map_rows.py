"""`MapRows`: rows of a map that went well, kept as columns and stored by few statements.

A statement inserts several hundred rows, so that other threads can run meanwhile. A statement for each row
would take the interpreter's lock again for each.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from itertools import chain, count, repeat
from operator import itemgetter
from typing import TYPE_CHECKING

from fact_magics.collector import uncollected
from fact_magics.store.binding import bindable, next_number, values_of
from fact_magics.store.rows import ENTRY_OVERHEAD, CacheEntry, ExecutionRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

# How many rows a statement inserts. The last one is filled up with rows of NULL, so that each table has only
# one such statement, whose compilation takes as long as it does to insert these rows.
_AT_ONCE = 200
# The columns that differ from row to row.
_VARYING = (
    "id",
    "position",
    "input_data",
    "output_data",
    "cache_key",
    "executed_at",
    "duration_ms",
    "saved_ms",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class MapRows:
    """Rows of one map that returned a value and printed nothing.

    Attributes
    ----------
    same : ExecutionRow
        A row with the values that all rows share.
    ids, inputs, outputs, keys, times : list of str
        The texts of each row. `outputs` are the results in their canonical form, and short; `times` are those
        of the executions.
    positions : list of int
        The numbers of the rows in the map.
    durations_ms : list of float
        How long each row took, or for rows that the cache answered, how long they once took.
    """

    same: ExecutionRow
    ids: list[str]
    positions: list[int]
    inputs: list[str]
    outputs: list[str]
    keys: list[str]
    times: list[str]
    durations_ms: list[float]

    @classmethod
    def joined(cls, of_map: Iterable[MapRows]) -> list[MapRows]:
        """Join rows that share the same values, because few statements insert many rows faster."""
        groups: dict[ExecutionRow, list[MapRows]] = {}
        for many in of_map:
            groups.setdefault(many.same, []).append(many)
        return [
            cls(
                same=same,
                **{
                    name: [*chain.from_iterable(getattr(many, name) for many in group)]
                    for name in (each.name for each in fields(cls) if each.name != "same")
                },
            )
            for same, group in groups.items()
        ]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def probe(self) -> ExecutionRow:
        """A row with the texts of all rows, to search them at once."""
        texts = ("\n".join(self.inputs), "\n".join(self.outputs))
        return replace(self.same, input_data=texts[0], output_data=texts[1])

    @cached_property
    def is_storable(self) -> bool:
        """Whether the texts can be stored as they are, without the escapes of `bindable`."""
        texts = [*self.inputs, *self.outputs]
        return not any("\0" in text or bindable(text) != text for text in texts if not text.isascii())

    def rows(self) -> list[ExecutionRow]:
        """Make a row of each."""
        is_cached = self.same.cached
        texts = (self.inputs, self.outputs, self.keys, self.times)
        columns = zip(self.ids, self.positions, *texts, self.durations_ms, strict=True)
        return [
            replace(
                self.same,
                id=id_,
                position=position,
                input_data=given,
                output_data=answered,
                cache_key=key,
                executed_at=time,
                duration_ms=0.0 if is_cached else duration_ms,
                saved_ms=duration_ms if is_cached else None,
            )
            for id_, position, given, answered, key, time, duration_ms in columns
        ]

    def entries(self) -> list[CacheEntry]:
        """Make a cache entry of each answer; none if the cache answered the rows."""
        if self.same.cached or self.same.tool_id is None:
            return []
        return [
            CacheEntry(
                key=key,
                tool_id=self.same.tool_id,
                result=answered.encode(),
                duration_ms=duration_ms,
                created_at=time,
            )
            for key, answered, time, duration_ms in zip(
                self.keys, self.outputs, self.times, self.durations_ms, strict=True
            )
        ]


def insert_runs(connection: sqlite3.Connection, rows: MapRows) -> tuple[int, int]:
    """Insert the runs as `binding.insert_many` does; returns the first `seq`, and how many rows are new."""
    took: Iterable[float] = rows.durations_ms
    saved: Iterable[float | None] = repeat(None)
    if rows.same.cached:
        took, saved = repeat(0.0), rows.durations_ms
    same = {name: bindable(value) for name, value in values_of(rows.same).items() if name not in _VARYING}
    first = next_number(connection, "tool_executions")
    texts = (rows.inputs, rows.outputs, rows.keys, rows.times)
    with uncollected():
        found = [*zip(rows.ids, rows.positions, *texts, took, saved, count(first))]
    names = (*_VARYING, "seq")
    return first, _insert(connection, "tool_executions", names, same, found, "ON CONFLICT (id) DO NOTHING")


def _insert(
    connection: sqlite3.Connection,
    table: str,
    names: tuple[str, ...],
    same: Mapping[str, object],
    rows: list[tuple[object, ...]],
    conflict: str,
) -> int:
    """Insert rows with the `same` values, and with values of their own, the first of which is never NULL."""
    rows += [(None,) * len(names)] * (-len(rows) % _AT_ONCE)
    parameters = (
        (*same.values(), *chain.from_iterable(rows[start : start + _AT_ONCE]))
        for start in range(0, len(rows), _AT_ONCE)
    )
    return connection.executemany(_statement(table, names, (*same,), conflict), parameters).rowcount


@cache
def _statement(table: str, names: tuple[str, ...], same: tuple[str, ...], conflict: str) -> str:
    row = f"({', '.join('?' * len(names))})"
    chosen = (*(f"column{number}" for number in range(1, len(names) + 1)), *("?" * len(same)))
    return " ".join(
        (
            "INSERT INTO", table, f"({', '.join((*names, *same))})", "SELECT", ", ".join(chosen),
            "FROM (VALUES", ", ".join([row] * _AT_ONCE), ") WHERE column1 IS NOT NULL", conflict,
        )
    )  # fmt: skip


def insert_answers(connection: sqlite3.Connection, rows: MapRows, conflict: str, used_at: str) -> None:
    """Insert the answers of the runs into the cache; `conflict` says what replaces an older answer."""
    with uncollected():
        encoded = [answered.encode() for answered in rows.outputs]
        hashes = [hashlib.blake2b(one, digest_size=16).hexdigest() for one in encoded]
        sizes = [ENTRY_OVERHEAD + len(one) for one in encoded]
        columns = (rows.keys, encoded, hashes, rows.times, rows.durations_ms, sizes)
        # In the order of their keys, neighbours go to the same page of the index.
        found = sorted(zip(*columns, strict=True), key=itemgetter(0))
    same = {
        "tool_id": rows.same.tool_id,
        "printed": "",
        "expires_at": None,
        "confirmations": 1,
        "used_at": used_at,
    }
    names = ("key", "result", "result_hash", "created_at", "duration_ms", "size")
    _insert(connection, "cache", names, same, found, conflict)
