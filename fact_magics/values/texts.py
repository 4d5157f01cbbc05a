"""Columns of texts as offsets, UTF-8 and a mask; by pyarrow where it is installed, for it is much faster."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .arrow_tables import pyarrow
from .buffers import numpy
from .forms import WireError

if TYPE_CHECKING:
    from .buffers import Reader, Writer


def write_text(values: Any, writer: Writer) -> None:
    """Add the offsets, the UTF-8 and, if any is missing, the mask of texts: a list, or an array of Arrow."""
    np = numpy()
    pa = pyarrow()
    if pa is not None:
        try:
            array = values if isinstance(values, pa.Array) else pa.array(values, pa.large_string())
        except (pa.ArrowInvalid, UnicodeEncodeError):  # a lone surrogate
            pass
        else:
            _write_arrow_text(array, writer)
            return
    data = [b"" if text is None else text.encode("utf-8", "surrogatepass") for text in values]
    offsets = np.zeros(len(data) + 1, "<i8")
    np.cumsum(np.fromiter(map(len, data), "<i8", len(data)), out=offsets[1:])
    writer.add_array(offsets)
    writer.add(b"".join(data))
    missing = np.fromiter((text is None for text in values), "?", len(data))
    writer.add_array(missing if missing.any() else missing[:0])


def _write_arrow_text(array: Any, writer: Writer) -> None:
    np = numpy()
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else np.empty(0, "?")
    if array.null_count:
        array = array.fill_null("")
    offsets = np.frombuffer(array.buffers()[1], "<i8")[array.offset : array.offset + len(array) + 1]
    if not len(array):
        offsets = np.zeros(1, "<i8")
    first, last = int(offsets[0]), int(offsets[-1])
    writer.add_array(offsets - first if first else offsets)
    writer.add(memoryview(array.buffers()[2])[first:last] if last > first else b"")
    writer.add_array(missing)


def read_text(reader: Reader) -> Any:
    """Read texts as a large_string array of Arrow, or without pyarrow, or with surrogates, as a list."""
    np = numpy()
    offsets, data, missing = reader.take_array(["<i8"]), reader.take(), reader.take_array(["|b1"])
    count = offsets.size - 1
    if count < 0 or offsets[0] != 0 or offsets[-1] != data.nbytes or (offsets[1:] < offsets[:-1]).any():
        raise WireError("a table with texts whose offsets don't fit")
    if missing.size not in (0, count):
        raise WireError("a table with a mask of a wrong size")
    pa = pyarrow()
    if pa is not None:
        bits = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.size else None
        array = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data), bits)
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:  # not UTF-8: lone surrogates, or nothing that `encode` wrote
            pass
        else:
            return array
    ends = offsets.tolist()
    texts: list[str | None] = [
        str(data[start:end], "utf-8", "surrogatepass") for start, end in pairwise(ends)
    ]
    for at in np.flatnonzero(missing).tolist():
        texts[at] = None
    return texts
