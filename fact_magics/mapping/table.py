"""The rows of a map: read from columns, from a table, or from an iterator, a part at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

from fact_magics.errors import InvalidInput, did_you_mean
from fact_magics.text import one_line, plural
from fact_magics.values import ValueTypeError, brief, normalise
from fact_magics.values.foreign import reading_method

if TYPE_CHECKING:
    from fact_magics.signature import Signature

PART_SECONDS = 0.1
"""How long rows of a slow iterator are collected before they are planned."""

_NAMES_SHOWN = 8


class Pulled:
    """Reads an iterator in parts; if it raises an error, the items before the error are returned first."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._error: Exception | None = None

    def take(self, size: int, seconds: float = math.inf) -> list[Any]:
        """Return the next items: fewer at the end, or if they have taken so many seconds."""
        if self._error is not None:
            raise self._error
        taken: list[Any] = []
        late_at = time.monotonic() + seconds
        try:
            for item in islice(self._items, size):
                taken.append(item)
                if time.monotonic() >= late_at:
                    break
        except Exception as error:
            if not taken:
                raise
            self._error = error
        return taken


class Each:
    """Values that vary from row to row; made by ``each(…)`` in a cell."""

    def __init__(self, items: Any) -> None:
        self.items = items


def each(items: Any) -> Each:
    """Mark values that vary from row to row in a map; all other values are the same for each row."""
    return Each(items)


@dataclass(slots=True)
class Table:
    """The input of a map.

    Attributes
    ----------
    columns : dict
        The values that vary, by parameter name; a column is a sequence or an iterator.
    fixed : dict
        The values that are the same for each row, by parameter name.
    records : sequence or iterator, optional
        The rows themselves, if there are no columns: mappings from names to values.
    total : int or None
        The number of rows; None if it is not known before the last one.
    index : object
        The index of the input, for `MapResult.to_frame`.
    left_out : tuple of str
        Columns that the tool does not take.
    library : str
        ``polars`` if the input is one of its objects.
    known : frozenset of str, optional
        What the tool takes, if other columns of an iterator's rows are left out as they are read.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    records: Any = None
    total: int | None = None
    index: Any = None
    left_out: tuple[str, ...] = ()
    library: str = "pandas"
    known: frozenset[str] | None = None

    @property
    def is_lazy(self) -> bool:
        """Whether reading rows runs code of the user, as a generator does."""
        return isinstance(self.records, Iterator) or any(
            isinstance(column, Pulled) for column in self.columns.values()
        )

    def ends(self) -> list[str]:
        """Return the beginning of the first and last value of each column; nothing of an iterator."""
        shown: list[str] = []
        for items in self.columns.values() if self.records is None else (self.records,):
            if isinstance(items, Pulled | Iterator):
                continue
            cells = getattr(items, "iloc", items)
            shown += [brief(cells[at]) for at in (0, len(items) - 1)] if len(items) else []
        return shown

    def parts(self, *sizes: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the parameters of the rows in parts of at most these sizes, and fewer of a slow iterator.

        The last size is that of all further parts.
        """
        each_size = chain(sizes, repeat(sizes[-1]))
        if self.records is not None:
            yield from self._parts_of_records(each_size)
            return
        start = 0
        paced = next((column for column in self.columns.values() if isinstance(column, Pulled)), None)
        for size in each_size:
            pulled = [] if paced is None else paced.take(size, PART_SECONDS)
            most = size if paced is None else max(1, len(pulled))  # one more tells whether another goes on
            columns = {
                name: pulled if column is paced else _taken(column, start, most)
                for name, column in self.columns.items()
            }
            lengths = {name: len(items) for name, items in columns.items()}
            count = min(lengths.values(), default=0)
            if any(length != count for length in lengths.values()):
                raise _unequal({name: start + length for name, length in lengths.items()})
            if not count:
                return
            names = [*columns]
            rows = zip(*columns.values(), strict=True)
            yield [{**self.fixed, **dict(zip(names, items, strict=True))} for items in rows]
            start += count

    def _parts_of_records(self, sizes: Iterator[int]) -> Iterator[list[dict[str, Any]]]:
        rows = Pulled(iter(self.records))
        start, dropped = 0, set(self.left_out)
        known = self.known
        while part := rows.take(next(sizes), PART_SECONDS):
            read = []
            for number, row in enumerate(part, start):
                if number == 0 and _is_frame(row):
                    raise InvalidInput(
                        f"Each item is a table of its own, of type {type(row).__name__}.",
                        hint="Map each of them by itself, or join them to one table.",
                    )
                if not isinstance(row, Mapping) and number == 0:
                    raise InvalidInput(
                        f"The rows are of type {type(row).__name__}, not dicts.",
                        hint="Write NAME = each(…) for values that vary, or give each row as a dict.",
                    )
                if not isinstance(row, Mapping):
                    raise InvalidInput(
                        f"Row {number} is of type {type(row).__name__}, but the rows before it are dicts.",
                        hint="Give each row as a dict from names to values.",
                    )
                more = [] if known is None else [key for key in map(str, row) if key not in known | dropped]
                if more:
                    dropped.update(more)
                    self.left_out += tuple(dict.fromkeys(more))
                read.append({**self.fixed, **{str(key): row[key] for key in row if str(key) not in dropped}})
            yield read
            start += len(part)


def _taken(column: Any, start: int, size: int) -> list[Any]:
    """Return the next items of a column: scalars as plain values, other objects as they are.

    The row of an object converts it, for the tool may take it as it is, such as a DataFrame.
    """
    if isinstance(column, Pulled):
        return column.take(size)
    part = column.iloc[start : start + size] if hasattr(column, "iloc") else column[start : start + size]
    if isinstance(part, list | tuple) or getattr(part, "ndim", 1) > 1:
        return [*part]
    if getattr(getattr(part, "dtype", None), "kind", "") == "O" and hasattr(part, "tolist"):
        is_pandas = hasattr(part, "isna")  # where NaN marks a missing object
        return [
            None if is_pandas and type(item) is float and math.isnan(item) else item for item in part.tolist()
        ]
    try:
        plain: Any = normalise(part)
    except ValueTypeError:
        plain = part.tolist() if hasattr(part, "tolist") else part
    return list(plain)


def _unequal(lengths: Mapping[str, int]) -> InvalidInput:
    (short, fewest), *_ = sorted(lengths.items(), key=lambda item: item[1])
    longest = max(lengths, key=lambda name: lengths[name])
    most = f"{lengths[longest]:,}" if lengths[longest] != fewest else "more"
    return InvalidInput(
        f"The column {short!r} ends after {plural(fewest, 'row')}, but {longest!r} has {most}.",
        hint="Give columns of the same length. Write a value that is the same for all rows without each(…).",
    )


def holds_many(value: Any) -> bool:
    """Whether a value is a list, a Series, an array or an iterator, and so may vary from row to row."""
    is_many = (
        isinstance(value, list | tuple | range | Iterator)
        or hasattr(value, "iloc")
        or hasattr(value, "dtype")
        or hasattr(value, "to_pylist")  # of Arrow
    )
    return is_many and getattr(value, "ndim", 1) != 0


def read_columns(signature: Signature, given: Mapping[str, Any]) -> Table:
    """Read the input of a map by names: an `Each` varies, other values are the same for each row."""
    columns = {name: value.items for name, value in given.items() if isinstance(value, Each)}
    fixed = {name: value for name, value in given.items() if not isinstance(value, Each)}
    if not columns:
        name = next((name for name, value in given.items() if holds_many(value)), "NAME")
        raise InvalidInput(
            "Nothing varies from row to row.",
            hint=f"Write {name} = each(…) for values that vary (by position in Python), or give a table.",
        )
    known = [parameter.name for parameter in signature.parameters]
    if unknown := next((name for name in given if name not in known), None):
        hint = did_you_mean(unknown, known) or f"It takes: {signature.text}"
        raise InvalidInput(f"{signature.name} does not take {one_line(unknown, 60)!r}.", hint=hint)
    missing = [p.name for p in signature.parameters if p.default is None and p.name not in given]
    if missing:
        raise InvalidInput(
            f"{signature.name} needs {', '.join(missing)} for each row.", hint=f"It takes: {signature.text}"
        )
    columns = {name: _column(name, items) for name, items in columns.items()}
    table = Table(columns, fixed)
    lengths = {name: len(column) for name, column in columns.items() if hasattr(column, "__len__")}
    if len(set(lengths.values())) > 1:
        raise _unequal(lengths)
    if lengths and len(lengths) == len(columns):
        table.total = next(iter(lengths.values()))
    for column in columns.values():
        if table.index is None:
            table.index = getattr(column, "index", None) if hasattr(column, "iloc") else None
        if type(column).__module__.partition(".")[0] == "polars":
            table.library = "polars"
    return table


def refuse_unread(value: object) -> None:
    """Raise `InvalidInput` for a lazy frame, a data set or a stream, whose rows are not read yet."""
    if method := reading_method(value):
        kind = type(value).__name__
        raise InvalidInput(
            f"The rows of the {kind} are not read yet.", hint=f"Map the result of its {method}()."
        )


def _column(name: str, items: Any) -> Any:
    refuse_unread(items)
    kind = type(items).__name__
    if isinstance(items, str | bytes | bytearray | Mapping) or not isinstance(items, Iterable):
        raise InvalidInput(
            f"The values for {name} must be a list, Series, array or iterator, not of type {kind}.",
            hint="Write a value that is the same for all rows without each(…) (in Python, pass it by name).",
        )
    if getattr(items, "ndim", 1) == 0:
        raise InvalidInput(f"The array for {name} has no rows, because it has no dimensions.")
    if hasattr(items, "columns"):
        raise InvalidInput(
            f"The values for {name} are a table, of type {kind}.",
            hint=f"Give one of its columns or a list of tables, or map the {kind} itself.",
        )
    if hasattr(items, "__len__"):
        return items if hasattr(items, "iloc") or _has_slices(items) else list(items)
    return Pulled(iter(items))


def _has_slices(items: Any) -> bool:
    try:
        items[:0]
    except Exception:  # noqa: BLE001 - such as a deque, or the groups of a DataFrame
        return False
    return True


def is_table(value: Any) -> bool:
    """Whether a value is a table: a frame, a dict of columns, or a list of dicts."""
    if _is_frame(value):
        return True
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(key, str) for key in value)
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and bool(value)
        and isinstance(value[0], Mapping)
    )


def _is_frame(value: Any) -> bool:
    # A LazyFrame has no length, and its columns are slow to find.
    return hasattr(value, "__len__") and hasattr(value, "columns") and hasattr(value, "__getitem__")


def read_table(signature: Signature, value: Any, fixed: Mapping[str, Any]) -> Table:
    """Read a frame, a dict of columns, or dicts as rows; leave out columns that the tool does not take."""
    refuse_unread(value)
    known = [parameter.name for parameter in signature.parameters if parameter.name not in fixed]
    if _is_frame(value) or isinstance(value, Mapping):
        names = _names_of(value)
        taken = _taken_names(names, known)
        _need(signature, taken, names, fixed, getattr(getattr(value, "index", None), "names", ()))
        columns = {name: _column_of(value, name) for name in taken}
        if isinstance(value, Mapping):
            table = read_columns(
                signature, {**fixed, **{name: Each(items) for name, items in columns.items()}}
            )
        else:
            table = Table(columns, dict(fixed), total=len(value))
            table.index = getattr(value, "index", None) if hasattr(value, "iloc") else None
        if type(value).__module__.partition(".")[0] == "polars":
            table.library = "polars"
        table.left_out = tuple(dict.fromkeys(str(name) for name in names if name not in taken))
        return table
    names = []
    if isinstance(value, Sequence):
        names = list(dict.fromkeys(str(key) for row in value if isinstance(row, Mapping) for key in row))
        _need(signature, [name for name in names if name in known], names, fixed)
    left_out = tuple(name for name in names if name not in known)
    total = len(value) if hasattr(value, "__len__") else None
    return Table({}, dict(fixed), value, total, left_out=left_out, known=frozenset(known))


def _names_of(frame: Any) -> list[str]:
    names = [*(frame.columns if not isinstance(frame, Mapping) else frame)]
    if hasattr(frame, "column_names"):  # pyarrow, whose `columns` are the data
        names = [*frame.column_names]
    return names


def _taken_names(names: list[str], known: Sequence[str]) -> list[str]:
    taken = [name for name in names if name in known]
    for name in taken:
        if taken.count(name) > 1:
            raise InvalidInput(
                f"The table has {taken.count(name)} columns named {one_line(str(name), 60)!r}.",
                hint="Rename columns, so that each name occurs once.",
            )
    return taken


def _column_of(frame: Any, name: str) -> Any:
    column = frame[name]
    return column.to_pylist() if hasattr(column, "to_pylist") else column


def _need(
    signature: Signature,
    taken: list[str],
    names: list[str],
    fixed: Mapping[str, Any],
    levels: Sequence[Any] = (),
) -> None:
    """Refuse a table that lacks a column; `levels` are the names of its index."""
    missing = [
        p.name
        for p in signature.parameters
        if p.default is None and p.name not in taken and p.name not in fixed
    ]
    if missing:
        raise InvalidInput(
            f"The table has no column {missing[0]!r}, which {signature.name} needs.",
            hint=_way_out(signature, missing[0], [*map(str, names)], levels),
        )
    if not taken:
        raise InvalidInput(
            f"{signature.name} takes none of the table's columns.", hint=f"It takes: {signature.text}"
        )


def _way_out(signature: Signature, missing: str, names: Sequence[str], levels: Sequence[Any]) -> str:
    if missing in levels:
        return f"Its index is named {missing}. Map the result of its reset_index()."
    if near := did_you_mean(missing, names):
        return near
    shown = ", ".join(one_line(name, 60) for name in names[:_NAMES_SHOWN])
    last = "Rename one, or write NAME = each(…) lines."
    if signature.takes_many(missing):
        last = f"To pass the whole table as {missing}, write {signature.name}(…)."
    return f"Its columns are {shown or 'none'}. {last}"
