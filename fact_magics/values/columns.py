"""The columns of pandas and NumPy as descriptions and buffers, and back.

Numbers travel as they are in memory, text as offsets and UTF-8, other objects as plain data in the
description. Equal columns give equal descriptions and buffers, however they were made.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .arrow_tables import pyarrow, read_stream, write_stream
from .buffers import numpy, travels
from .foreign import normalise_at
from .forms import ValueTypeError, WireError
from .texts import read_text, write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .buffers import Reader, Writer

_CELLS = frozenset(
    {str, bool, int, float, bytes, type(None), list, tuple, dict, set, frozenset}
    | {date, datetime, time, timedelta, Decimal, UUID}
)
_TEXT = {str, type(None)}
_DTYPES = {"LongDoubleDType": "float64", "CLongDoubleDType": "complex128", "StringDType": "object"}
_DAY_SECONDS = 86_400
_MOST_ROWS = 1 << 31
_MOST_LEVELS = 100


def write_column(column: Any, writer: Writer) -> list[object]:
    """Describe a Series, an Index or a NumPy array with one dimension, and add its buffers.

    Raises
    ------
    ValueTypeError
        Values of this dtype can't travel, or an object in the column can't.
    """
    dtype = column.dtype
    if not hasattr(dtype, "byteorder"):  # a dtype of pandas
        write = _WRITERS.get(type(dtype).__name__)
        if write is None:
            raise _foreign_dtype(dtype)
        return write(column.array, writer)
    array = column.to_numpy() if hasattr(column, "to_numpy") else column
    if dtype.kind == "O":
        return _write_objects(array.tolist(), writer)
    if dtype.names is not None:
        problem = f"a structured array with the fields {', '.join(dtype.names)[:80]}"
        raise ValueTypeError(problem, "a DataFrame, or one array for each field")
    if not dtype.itemsize and dtype.kind in "SU":
        array = array.astype(f"{dtype.kind}1")
    if not travels(array.dtype):
        raise _foreign_dtype(dtype)
    return ["plain", *writer.add_array(array)]


def _foreign_dtype(dtype: object) -> ValueTypeError:
    plain = _DTYPES.get(type(dtype).__name__) or getattr(dtype, "subtype", None)  # of a sparse dtype
    instead = f'its .astype("{plain}")' if plain else "data of another dtype"
    return ValueTypeError(f"data of dtype {str(dtype)[:60]}", instead)


def read_column(described: object, reader: Reader) -> Any:
    """Make the array of a column: an array of NumPy, or an extension array of pandas."""
    match described:
        case [str(form), *rest] if form in _READERS:
            return _READERS[form](rest, reader)
    raise WireError("a table with a column of an unknown form")


def _write_objects(values: list[Any], writer: Writer) -> list[object]:
    if values and set(map(type, values)) <= _TEXT:
        write_text(values, writer)
        return ["text"]
    described: list[Any] = write_objects(values)
    plain, special = described
    if values and not special and set(map(type, plain)) <= _TEXT:  # texts of a subclass of str
        write_text(plain, writer)
        return ["text"]
    return ["objects", *described]


def write_objects(values: list[Any]) -> list[object]:
    """Convert objects to plain data, with a list of those that plain data can't express, by position."""
    special: list[object] = []
    if not set(map(type, values)) <= _CELLS:
        values = [_cell(value, at, special) for at, value in enumerate(values)]
    return [normalise_at(values, "", 0), special]


def _cell(value: Any, at: int, special: list[object]) -> object:
    kind = type(value).__name__
    if type(value) in _CELLS:
        return value
    if kind in ("NaTType", "NAType"):
        special.append([at, kind])
    elif kind in ("Timestamp", "Timedelta"):
        moment = value.to_datetime64() if kind == "Timestamp" else value.to_timedelta64()
        zone = _zone(value.tzinfo) if kind == "Timestamp" else None
        special.append([at, kind, int(moment.view("i8")), value.unit, zone])
    elif isinstance(value, str | bytes | int | float) or type(value).__module__ == "numpy":
        if getattr(value, "ndim", 0) == 0:  # a scalar of NumPy, or an instance of a subclass
            return normalise_at(value, "", 0)
        raise _foreign_cell(kind, at)
    else:
        raise _foreign_cell(kind, at)
    return None


def _foreign_cell(kind: str, at: int) -> ValueTypeError:
    problem = ValueTypeError(f"an object of type {kind}", "text, numbers, dates or other plain data")
    problem.path = [f"[{at}]"]
    return problem


def read_objects(described: list[object]) -> list[Any]:
    """Read what `write_objects` wrote."""
    match described:
        case [list(values), list(special)]:
            values = [*values]
            for found in special:
                match found:
                    case [int(at), str(kind), *rest] if 0 <= at < len(values) and kind in _SPECIAL:
                        values[at] = _SPECIAL[kind](*rest)
                    case _:
                        raise WireError("a table with an unknown object")
            return values
    raise WireError("a table with objects of an unknown form")


def _pandas() -> Any:
    return import_module("pandas")


def _timestamp(count: int, unit: str, zone: object) -> Any:
    np = numpy()
    moment = _pandas().Timestamp(np.datetime64(int(count), unit))
    return moment if zone is None else moment.tz_localize(UTC).tz_convert(_read_zone(zone))


def _timedelta(count: int, unit: str, _zone: object) -> Any:
    np = numpy()
    return _pandas().Timedelta(np.timedelta64(int(count), unit))


_SPECIAL: dict[str, Callable[..., Any]] = {
    "NaTType": lambda: _pandas().NaT,
    "NAType": lambda: _pandas().NA,
    "Timestamp": _timestamp,
    "Timedelta": _timedelta,
}


def _zone(zone: Any) -> object:
    """Describe a time zone by its name, or by its seconds from UTC."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str) and name != "UTC":
        return name
    offset = zone.utcoffset(None) if isinstance(zone, timezone) else timedelta(0)
    if (name == "UTC" or isinstance(zone, timezone)) and not offset.microseconds:
        return offset // timedelta(seconds=1)
    raise ValueTypeError(f"a time zone of type {type(zone).__name__}", "one of zoneinfo, as Europe/Paris is")


def _read_zone(described: object) -> Any:
    from zoneinfo import ZoneInfo

    if type(described) is int and abs(described) < _DAY_SECONDS:
        return timezone(timedelta(seconds=described)) if described else UTC
    if isinstance(described, str):
        return ZoneInfo(described)
    raise WireError("a table with an unknown time zone")


def _read_object_text(_rest: list[object], reader: Reader) -> Any:
    texts = read_text(reader)
    return as_objects(texts) if isinstance(texts, list) else texts.to_numpy(zero_copy_only=False)


def as_objects(values: list[Any]) -> Any:
    """Make a one-dimensional NumPy array of Python objects, whatever they are."""
    np = numpy()
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _write_string(array: Any, writer: Writer) -> list[object]:
    pa, dtype = pyarrow(), array.dtype
    if pa is not None and dtype.storage == "pyarrow":
        write_text(pa.array(array).cast(pa.large_string()), writer)
    else:
        write_text(array.to_numpy(object, na_value=None).tolist(), writer)
    return ["string", dtype.storage, dtype.na_value is _pandas().NA]


def _read_string(rest: list[Any], reader: Reader) -> Any:
    storage, has_na = rest
    pd, texts = _pandas(), read_text(reader)
    dtype = pd.StringDtype(storage, **({} if has_na else {"na_value": float("nan")}))
    return pd.array(texts, dtype=dtype) if isinstance(texts, list) else dtype.__from_arrow__(texts)


def _write_masked(array: Any, writer: Writer) -> list[object]:
    missing = array.isna()
    described = writer.add_array(array.to_numpy(array.dtype.numpy_dtype, na_value=0))
    return ["masked", *described, *writer.add_array(missing)]


def _read_masked(rest: list[Any], reader: Reader) -> Any:
    data, missing = reader.take_array(rest[:1]), reader.take_array(rest[1:])
    arrays = _pandas().arrays
    kinds = {"b": arrays.BooleanArray, "f": arrays.FloatingArray}
    return kinds.get(data.dtype.kind, arrays.IntegerArray)(data, missing)


def _write_zoned(array: Any, writer: Writer) -> list[object]:
    return ["zoned", array.unit, _zone(array.tz), *writer.add_array(array.view("i8"))]


def _read_zoned(rest: list[Any], reader: Reader) -> Any:
    unit, zone, *described = rest
    moments = reader.take_array(described).view(f"M8[{unit}]")
    return _pandas().DatetimeIndex(moments, tz="UTC").tz_convert(_read_zone(zone)).array


def _write_categorical(array: Any, writer: Writer) -> list[object]:
    codes = writer.add_array(array.codes)
    return ["categorical", bool(array.ordered), codes, write_index(array.categories, writer)]


def _read_categorical(rest: list[Any], reader: Reader) -> Any:
    ordered, described, categories = rest
    codes = reader.take_array(described)
    if codes.dtype.kind != "i":
        raise WireError("a table with categories whose codes are no integers")
    make = _pandas().Categorical.from_codes
    return make(codes, categories=read_index(categories, reader), ordered=bool(ordered))


def _write_period(array: Any, writer: Writer) -> list[object]:
    return ["period", array.freqstr, *writer.add_array(array.view("i8"))]


def _read_period(rest: list[Any], reader: Reader) -> Any:
    freq, *described = rest
    return _pandas().PeriodIndex.from_ordinals(reader.take_array(described).astype("i8"), freq=freq).array


def _write_interval(array: Any, writer: Writer) -> list[object]:
    return ["interval", array.closed, write_column(array.left, writer), write_column(array.right, writer)]


def _read_interval(rest: list[Any], reader: Reader) -> Any:
    closed, left, right = rest
    make = _pandas().arrays.IntervalArray.from_arrays
    return make(read_column(left, reader), read_column(right, reader), closed=closed)


def _write_arrow(array: Any, writer: Writer) -> list[object]:
    pa: Any = pyarrow()
    write_stream(pa.table({"": pa.chunked_array(array.__arrow_array__())}), writer)
    return ["arrow"]


def _read_arrow(_rest: list[object], reader: Reader) -> Any:
    column = read_stream(reader).column(0)
    return _pandas().ArrowDtype(column.type).__from_arrow__(column)


_WRITERS: dict[str, Callable[[Any, Writer], list[object]]] = {
    "StringDtype": _write_string,
    "DatetimeTZDtype": _write_zoned,
    "CategoricalDtype": _write_categorical,
    "PeriodDtype": _write_period,
    "IntervalDtype": _write_interval,
    "ArrowDtype": _write_arrow,
    "BooleanDtype": _write_masked,
    **{f"{'U' * unsigned}Int{bits}Dtype": _write_masked for unsigned in (0, 1) for bits in (8, 16, 32, 64)},
    **{f"Float{bits}Dtype": _write_masked for bits in (32, 64)},
}
_READERS: dict[str, Callable[[list[Any], Reader], Any]] = {
    "plain": lambda rest, reader: reader.take_array(rest),
    "objects": lambda rest, _: as_objects(read_objects(rest)),
    "text": _read_object_text,
    "string": _read_string,
    "zoned": _read_zoned,
    "categorical": _read_categorical,
    "period": _read_period,
    "interval": _read_interval,
    "arrow": _read_arrow,
    "masked": _read_masked,
}


def write_index(index: Any, writer: Writer) -> list[object]:
    """Describe an index. Evenly spaced int64 labels are a range, which pandas treats as equal to them."""
    names = write_objects([*index.names])
    if hasattr(index, "codes") and hasattr(index, "levels"):
        levels = zip(index.levels, index.codes, strict=True)
        return ["levels", names, [_write_level(labels, codes, writer) for labels, codes in levels]]
    if (bounds := _bounds(index)) is not None:
        return ["range", names, *bounds]
    return ["labels", names, write_column(index, writer), _frequency(index)]


def _frequency(index: Any) -> str | None:
    """Return the frequency of an index of dates or durations, if its name says all about it."""
    name: str | None = getattr(index, "freqstr", None) if hasattr(index, "freq") else None
    if name is None or type(index).__name__ == "PeriodIndex":
        return None
    try:
        return name if import_module("pandas.tseries.frequencies").to_offset(name) == index.freq else None
    except ValueError:
        return None


def _bounds(index: Any) -> tuple[int, int, int] | None:
    """Return the first label, the step and the length of an index that is a range."""
    if index.dtype != "int64" or type(index).__name__ == "CategoricalIndex":
        return None
    size = len(index)
    if size < 2:
        return (int(index[0]) if size else 0, 1, size)
    first, step = int(index[0]), int(index[1]) - int(index[0])
    if type(index).__name__ != "RangeIndex":
        labels = index.to_numpy()
        if (
            not step
            or int(labels[-1]) != first + step * (size - 1)
            or (labels[1:] - labels[:-1] != step).any()
        ):
            return None
    return first, step, size


def read_index(described: object, reader: Reader) -> Any:
    """Read what `write_index` wrote."""
    pd = _pandas()
    match described:
        case ["range", list(names), int(first), int(step), int(size)] if 0 <= size < _MOST_ROWS:
            index = pd.RangeIndex(first, first + step * size, step)
        case ["labels", list(names), column, None | str() as freq]:
            array = read_column(column, reader)
            index = pd.Index(array, dtype=array.dtype, copy=False)
            if freq is not None:
                index = type(index)(index, freq=freq)
        case ["levels", list(names), list(columns)] if 0 < len(columns) <= _MOST_LEVELS:
            levels = [_read_level(level, reader) for level in columns]
            index = pd.MultiIndex([labels for labels, _ in levels], [codes for _, codes in levels])
        case _:
            raise WireError("a table with an unknown index")
    index.names = read_objects(names)
    return index


def _write_level(labels: Any, codes: Any, writer: Writer) -> list[object]:
    """Describe a level of an index: the labels that occur, in the order in which they do, and their codes."""
    np = numpy()
    codes = np.asarray(codes)
    used = _pandas().unique(codes[codes >= 0])
    places = np.full(len(labels) + 1, -1)  # the last one is that of a missing label, whose code is -1
    places[used] = np.arange(len(used))
    described = writer.add_array(places[codes])
    return [described, write_column(labels.take(used), writer)]


def _read_level(level: object, reader: Reader) -> tuple[Any, Any]:
    """Return the labels of a level, sorted if they can be, and their codes."""
    match level:
        case [["<i8"] as described, column]:
            codes, array = reader.take_array(described), read_column(column, reader)
        case _:
            raise WireError("a table with an unknown index")
    np = numpy()
    labels = _pandas().Index(array, dtype=array.dtype)
    if codes.size and not -1 <= codes.min() <= codes.max() < len(labels):
        raise WireError("a table with an index whose codes have no labels")
    try:
        order = labels.argsort()
    except TypeError:  # labels of several types
        return labels, codes
    ranks = np.full(len(labels) + 1, -1)
    ranks[order] = np.arange(len(labels))
    return labels.take(order), ranks[codes]
