"""Turn tables, Series and arrays of libraries into `Table` stand-ins, and stand-ins into objects.

`KINDS` lists these classes. A library is imported only to make one of its objects.
"""

from __future__ import annotations

from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from .arrow_tables import read_polars, read_stream, write_polars, write_stream
from .buffers import Reader, Writer
from .columns import read_column, read_index, read_objects, write_column, write_index, write_objects
from .foreign import attributes, key_text
from .forms import MAX_DEPTH, Table, ValueTypeError, WireError, replaced

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_DIMENSIONS = 64


class Kind(NamedTuple):
    """How the objects of one class of a library travel.

    Attributes
    ----------
    write : callable
        Adds the data of an object to a `Writer`, and returns its description, which is plain data.
    read : callable
        Makes an object from the description and a `Reader`; both may come from a hostile process.
    build : callable
        Makes an object from what an agent can send: records, which are dicts, or the items of a list.
    from_kinds : mapping of str to callable
        Makes an object from one of another kind.
    """

    write: Callable[[Any, Writer], object]
    read: Callable[[Any, Reader], Any]
    build: Callable[[list[Any]], Any]
    from_kinds: dict[str, Callable[[Any], Any]]


def kind_of(value: object) -> str | None:
    """Name the kind of an object, or of a stand-in: ``pandas.DataFrame``; None if it is not in `KINDS`."""
    if type(value) is Table:
        return value.kind
    for base in type(value).__mro__:
        name = f"{str(base.__module__).partition('.')[0]}.{base.__name__}"
        if name in KINDS:
            return name
    return None


def stand_in(value: Any, kind: str) -> Table:
    """Make the stand-in of an object; it shares the memory of the object where possible.

    Raises
    ------
    ValueTypeError
        A part of the object can't travel; the path names the column.
    """
    writer = Writer()
    head = KINDS[kind].write(value, writer)
    return Table(kind, head, tuple(writer.buffers))


def stand_ins(value: Any, finish: Callable[[Table, Any], None] = lambda *_: None, depth: int = 0) -> Any:
    """Replace the objects of `KINDS` by stand-ins, also inside lists, dicts, tuples and dataclasses.

    `finish` is called with each stand-in and its object.

    Raises
    ------
    ValueTypeError
        A part of an object can't travel.
    """
    if depth >= MAX_DEPTH:  # `normalise` refuses it
        return value
    if hasattr(type(value), "__dataclass_fields__"):
        value = attributes(value, type(value).__dataclass_fields__)
    if not isinstance(value, dict | list | tuple):
        kind = kind_of(value)
        if kind is None or type(value) is Table:
            return value
        table = stand_in(value, kind)
        finish(table, value)
        return table
    made: dict[Any, Any] = {}
    key: Any = None
    try:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            made[key] = stand_ins(item, finish, depth + 1)
    except ValueTypeError as error:
        error.path.insert(0, f"[{key_text(key)}]")
        raise
    if isinstance(value, dict):
        return made
    return tuple(made.values()) if isinstance(value, tuple) else [*made.values()]


def open_table(table: Table) -> Any:
    """Make the object that a stand-in stands for, with memory of its own if the buffers are read-only.

    Raises
    ------
    WireError
        The description and the buffers don't fit each other, or the library is not installed.
    """
    reader = Reader(table.buffers)
    if table.kind not in KINDS:
        raise WireError(f"a table of an unknown kind {table.kind[:60]!r}")
    try:
        made = KINDS[table.kind].read(table.head, reader)
    except WireError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries raise many kinds of errors for descriptions that are false
        reason = " ".join(str(error).split())[:200]
        raise WireError(f"a {table.kind} that can't be made ({type(error).__name__}: {reason})") from None
    reader.end()
    return made


def opened(value: Any) -> Any:
    """Replace the stand-ins in plain data by their objects; lists and dicts are changed in place."""
    return replaced(value, _opened)


def _opened(item: Any) -> Any:
    if type(item) is not Table:
        return item
    made = item.made
    item.made = None  # two callers must not share an object that can be changed
    return open_table(item) if made is None else made


def converted(value: Any, kind: str) -> Any:
    """Make an object of a kind from one of another kind, or from JSON data that stands for it.

    Raises
    ------
    TypeError
        There is no such conversion.
    Exception
        Whatever the library raises for data that don't fit.
    """
    if isinstance(value, list | tuple):
        return KINDS[kind].build([*value])
    convert = KINDS[kind].from_kinds.get(kind_of(value) or "")
    if convert is None:
        raise TypeError
    return convert(value)


def _in_column(label: object, write: Callable[[Any, Writer], Any], column: Any, writer: Writer) -> Any:
    try:
        return write(column, writer)
    except ValueTypeError as error:
        error.path.insert(0, f"[{key_text(label)}]")
        raise


def _write_frame(frame: Any, writer: Writer) -> object:
    index = _in_column("index", write_index, frame.index, writer)
    columns = _in_column("columns", write_index, frame.columns, writer)
    series = (frame.iloc[:, at] for at in range(frame.shape[1]))
    return [
        index,
        columns,
        [
            _in_column(label, write_column, column, writer)
            for label, column in zip(frame.columns, series, strict=True)
        ],
    ]


def _read_frame(head: object, reader: Reader) -> Any:
    pd = import_module("pandas")
    match head:
        case [index, columns, list(described)]:
            rows, labels = read_index(index, reader), read_index(columns, reader)
            arrays = [_as_series(pd, read_column(column, reader), rows) for column in described]
            frame = pd.DataFrame(dict(enumerate(arrays)), index=rows, copy=False)
            frame.columns = labels
            return frame
    raise WireError("a DataFrame of an unknown form")


def _as_series(pd: Any, array: Any, index: Any) -> Any:
    # Without a dtype, pandas would make text of an array of objects.
    return pd.Series(array, index=index, dtype=array.dtype, copy=False)


def _write_series(series: Any, writer: Writer) -> object:
    index = _in_column("index", write_index, series.index, writer)
    name = write_objects([series.name])
    return [index, name, write_column(series, writer)]


def _read_series(head: object, reader: Reader) -> Any:
    match head:
        case [index, list(name), column]:
            rows = read_index(index, reader)
            series = _as_series(import_module("pandas"), read_column(column, reader), rows)
            (series.name,) = read_objects(name)
            return series
    raise WireError("a Series of an unknown form")


def _write_array(array: Any, writer: Writer) -> object:
    if hasattr(array, "mask"):
        raise ValueTypeError("a masked array", "the array of its filled(…), and the mask")
    np = import_module("numpy")
    return [[*array.shape], write_column(np.asarray(array).ravel(), writer)]


def _read_array(head: object, reader: Reader) -> Any:
    match head:
        case [list(shape), column] if len(shape) <= _MOST_DIMENSIONS and {*map(type, shape)} <= {int}:
            array = read_column(column, reader)
            if type(array).__module__ == "numpy" and min(shape, default=0) >= 0 and prod(shape) == array.size:
                return array.reshape(shape)
    raise WireError("an array of an unknown form")


def _build_array(items: list[Any]) -> Any:
    np = import_module("numpy")
    array = np.array(items)
    if array.dtype.kind in "OUS" and len({*map(type, _leaves(items))}) > 1:
        raise ValueError("its items are of different types")
    if array.dtype.kind in "SU" and any(leaf[-1:] in ("\0", b"\0") for leaf in _leaves(items)):
        return np.array(items, object)  # NumPy's own texts and bytes can't end in NUL
    return array


def _leaves(items: Any) -> Any:
    for item in items:
        if isinstance(item, list | tuple):
            yield from _leaves(item)
        else:
            yield item


def _records(make: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def build(items: list[Any]) -> Any:
        for number, item in enumerate(items):
            if type(item) is not dict:
                raise ValueError(f"its item {number} is not a record, which is a dict from columns to values")
        return make(items)

    return build


def _build_arrow(records: list[dict[str, Any]]) -> Any:
    # `Table.from_pylist` would leave out the fields that the first record does not have.
    names = dict.fromkeys(name for record in records for name in record)
    return import_module("pyarrow").table({name: [record.get(name) for record in records] for name in names})


def _build_series(items: list[Any]) -> Any:
    return import_module("pandas").Series(items, dtype=None if items else object)


def _polars() -> Any:
    return import_module("polars")


def _read_table(_head: object, reader: Reader) -> Any:
    return read_stream(reader)


def _write_table(table: Any, writer: Writer) -> object:
    write_stream(table, writer)
    return None


def _read_polars_series(head: object, reader: Reader) -> Any:
    return read_polars(head, reader).to_series()


KINDS: dict[str, Kind] = {
    "pandas.DataFrame": Kind(
        _write_frame,
        _read_frame,
        _records(lambda records: import_module("pandas").DataFrame(records)),
        {
            "polars.DataFrame": lambda frame: frame.to_pandas(),
            "pyarrow.Table": lambda table: table.to_pandas(),
        },
    ),
    "pandas.Series": Kind(
        _write_series,
        _read_series,
        _build_series,
        {
            "numpy.ndarray": lambda array: import_module("pandas").Series(array),
            "polars.Series": lambda series: series.to_pandas(),
        },
    ),
    "numpy.ndarray": Kind(
        _write_array,
        _read_array,
        _build_array,
        {
            "pandas.Series": lambda series: series.to_numpy(),
            "polars.Series": lambda series: series.to_numpy(),
        },
    ),
    "polars.DataFrame": Kind(
        write_polars,
        read_polars,
        _records(lambda records: _polars().DataFrame(records, infer_schema_length=None)),
        {
            "pandas.DataFrame": lambda frame: _polars().from_pandas(frame),
            "pyarrow.Table": lambda table: _polars().from_arrow(table),
        },
    ),
    "polars.Series": Kind(
        lambda series, writer: write_polars(series.to_frame(), writer),
        _read_polars_series,
        lambda items: _polars().Series(items),
        {
            "pandas.Series": lambda series: _polars().from_pandas(series),
            "numpy.ndarray": lambda array: _polars().Series(array),
        },
    ),
    "pyarrow.Table": Kind(
        _write_table,
        _read_table,
        _records(_build_arrow),
        {
            "pandas.DataFrame": lambda frame: import_module("pyarrow").Table.from_pandas(frame),
            "polars.DataFrame": lambda frame: frame.to_arrow(),
        },
    ),
}
"""The classes whose objects travel, each with how they do. Another class is one more entry."""
