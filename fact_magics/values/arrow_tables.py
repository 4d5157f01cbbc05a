"""The tables of Arrow and the frames of polars, as Arrow's IPC streams; both sides check them.

Without pyarrow, the columns of polars travel as plain data in the description.
"""

from __future__ import annotations

import struct
from importlib import import_module
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from .columnar import panics_as_errors
from .foreign import normalise_at
from .forms import ValueTypeError, WireError

if TYPE_CHECKING:
    from .buffers import Reader, Writer

_MOST_NULLS = 100_000_000
_CONTINUATION = 0xFFFFFFFF
_DICTIONARY, _RECORDS = 2, 3
_NAME_CHARACTERS = 60


def pyarrow() -> Any:
    """Import pyarrow; None where it is not installed."""
    try:
        return import_module("pyarrow")
    except ImportError:
        return None


def write_stream(table: Any, writer: Writer) -> None:
    """Add an Arrow table as an IPC stream; equal tables give equal bytes, however they were made.

    Raises
    ------
    ValueTypeError
        A column has a type of an extension, or a run-end encoded one.
    """
    pa: Any = pyarrow()
    for field in table.schema:
        if not _travels(pa, field.type):
            problem = ValueTypeError(f"data of type {str(field.type)[:60]}", "data of another type")
            problem.path = [f"[{field.name[:_NAME_CHARACTERS]!r}]"]
            raise problem
    table = table.combine_chunks()
    for at, field in enumerate(table.schema):
        if table.column(at).null_count or field.type.num_fields:
            # The bytes at a missing value are arbitrary, so they would differ between equal tables.
            table = table.set_column(at, field, _rewritten(pa, table.column(at)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    writer.add(sink.getvalue())


def _rewritten(pa: Any, column: Any) -> Any:
    try:
        return column.take(pa.array(range(len(column)), pa.int64()))
    except pa.ArrowNotImplementedError:  # string_view and binary_view
        return pa.array(column.to_pylist(), column.type)


def read_stream(reader: Reader) -> Any:
    """Read what `write_stream` wrote, without a copy; every length, offset and text is checked."""
    pa = pyarrow()
    if pa is None:
        raise WireError("a table that only pyarrow can read, which is not installed")
    data = reader.take()
    _refuse_compressed(data)
    try:
        table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise WireError(f"a table that can't be read: {error}") from None
    if not all(_travels(pa, field.type) for field in table.schema):
        raise WireError("a table with a type that can't travel")
    chunks = [chunk for column in table.columns for chunk in column.chunks]
    if max([table.num_rows, *map(_longest, chunks)]) > max(_MOST_NULLS, 8 * data.nbytes):
        raise WireError("a table with items that take no bytes")
    return table


def _longest(array: Any) -> int:
    """Return the number of items on the level that has most: nulls in a list take no bytes."""
    if hasattr(array, "dictionary"):
        inner = [array.dictionary]
    elif hasattr(array, "values"):
        inner = [array.values]
    else:
        inner = [array.field(at) for at in range(array.type.num_fields)]
    return max([len(array), *map(_longest, inner)])


def _travels(pa: Any, kind: Any) -> bool:
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_run_end_encoded(kind):
        return False
    fields = [kind.field(at).type for at in range(kind.num_fields)]
    inner = [kind.value_type] if pa.types.is_dictionary(kind) else fields
    return all(_travels(pa, part) for part in inner)


def _refuse_compressed(data: memoryview) -> None:
    """Refuse compressed batches, because a small one can expand to any size.

    A message of the format is a mark, the length of its metadata, the metadata (a FlatBuffer), and its body.
    """
    at = 0
    try:
        while at + 8 <= data.nbytes:
            mark, length = unpack_from("<Ii", data, at)
            if mark != _CONTINUATION or length < 0:
                raise WireError("a table that is not an IPC stream of Arrow")
            if not length:
                return
            message = at + 8 + unpack_from("<I", data, at + 8)[0]
            kind, batch, body = (_field(data, message, number) for number in (1, 2, 3))
            kind_of_batch = data[kind] if kind else 0
            batch += unpack_from("<I", data, batch)[0]
            if kind_of_batch == _DICTIONARY:
                batch = _field(data, batch, 1)
                batch += unpack_from("<I", data, batch)[0]
            if kind_of_batch in (_DICTIONARY, _RECORDS) and _field(data, batch, 3):
                raise WireError("a table that is compressed")
            size = unpack_from("<q", data, body)[0] if body else 0
            if size < 0:
                raise WireError("a table that is not an IPC stream of Arrow")
            at += 8 + length + size
    except (struct.error, IndexError):
        raise WireError("a table that is not an IPC stream of Arrow") from None


def _field(data: memoryview, table: int, number: int) -> int:
    """Find a field of a FlatBuffer's table; 0 if it is absent."""
    vtable = table - unpack_from("<i", data, table)[0]
    entry = 4 + 2 * number
    offset = (
        unpack_from("<H", data, vtable + entry)[0] if entry + 2 <= unpack_from("<H", data, vtable)[0] else 0
    )
    return table + int(offset) if offset else 0


def write_polars(frame: Any, writer: Writer) -> object:
    """Add the columns of a DataFrame of polars: as Arrow's stream, or as plain data without pyarrow."""
    pl, pa = import_module("polars"), pyarrow()
    if pa is None:
        return [_plain_column(series) for series in frame.get_columns()]
    for series in frame.clear().get_columns():
        try:
            back = _from_arrow(pl, series.to_frame().to_arrow()).to_series().dtype
        except pa.ArrowException:  # an integer of 128 bits
            back = None
        if back != series.dtype:
            raise _foreign(series.name, series.dtype)
    write_stream(frame.to_arrow(), writer)
    return None


def read_polars(described: object, reader: Reader) -> Any:
    """Read what `write_polars` wrote."""
    pl = import_module("polars")
    if described is None:
        return _from_arrow(pl, read_stream(reader))
    if not isinstance(described, list):
        raise WireError("a table with unknown columns")
    columns = [_read_plain(pl, column) for column in described]
    frame = pl.DataFrame({str(number): column for number, column in enumerate(columns)})
    frame.columns = [column.name for column in columns]
    return frame


def _from_arrow(pl: Any, table: Any) -> Any:
    """Make a frame of an Arrow table; polars itself gives a column without a name another one."""
    with panics_as_errors():
        frame = pl.from_arrow(table.rename_columns([*map(str, range(table.num_columns))]))
    frame.columns = table.column_names
    return frame


_PHYSICAL = {"Date": "Int32", "Time": "Int64", "Datetime": "Int64", "Duration": "Int64"}
_PARAMETERS = {
    **dict.fromkeys(
        ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64"], ()
    ),
    **dict.fromkeys(("Boolean", "String", "Binary", "Null", "Date", "Time", "Categorical"), ()),
    "Datetime": ("time_unit", "time_zone"),
    "Duration": ("time_unit",),
    "Decimal": ("precision", "scale"),
    "Enum": ("categories",),
}


def _foreign(name: str, dtype: object) -> ValueTypeError:
    problem = ValueTypeError(f"data of type {str(dtype)[:60]}", "data of another type")
    problem.path = [f"[{name[:_NAME_CHARACTERS]!r}]"]
    return problem


def _plain_column(series: Any) -> list[object]:
    name = type(series.dtype).__name__
    if name not in _PARAMETERS:
        raise _foreign(series.name, series.dtype)
    parameters = [getattr(series.dtype, parameter) for parameter in _PARAMETERS[name]]
    if name == "Enum":
        parameters = [parameters[0].to_list()]
    values = (series.to_physical() if name in _PHYSICAL else series).to_list()
    return [series.name, name, parameters, normalise_at(values, "", 0)]


def _read_plain(pl: Any, column: object) -> Any:
    match column:
        case [str(name), str(kind), list(parameters), list(values)] if kind in _PARAMETERS:
            dtype = getattr(pl, kind)(*parameters)
            physical = getattr(pl, _PHYSICAL[kind])() if kind in _PHYSICAL else dtype
            return pl.Series(name, values, physical).cast(dtype)
    raise WireError("a table with an unknown column")
