"""Frame the canonical form of a value with tables: a mark, the JSON, and the buffers of the tables.

The mark is a NUL, which no JSON begins with, and seven bytes for the length of the JSON. The JSON and each
buffer are filled up to a multiple of 64 bytes, so that NumPy and Arrow can use the buffers where they are.
"""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Any

from .forms import Table, ToolObject, WireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

START = b"\0"
_PREFIX = 8
ALIGNED = 64

LARGE = 1 << 20
"""From this number of bytes on, each copy counts."""

Wire = bytes | bytearray | memoryview
"""A canonical form. If it is large and holds tables, it may be other than bytes."""


def with_buffers(json: bytes, buffers: Iterable[memoryview]) -> list[bytes | memoryview]:
    """Write the parts of a canonical form: the JSON, and the buffers behind it."""
    parts: list[bytes | memoryview] = [START + len(json).to_bytes(_PREFIX - 1, "big"), json]
    parts.append(bytes(-(_PREFIX + len(json)) % ALIGNED))
    for buffer in buffers:
        parts += (buffer, bytes(-buffer.nbytes % ALIGNED))
    return parts


def gathered(parts: list[bytes | memoryview]) -> Wire:
    """Copy the parts of a canonical form to one place: bytes, or a read-only view of large tables."""
    size = sum(map(len, parts))
    if size < LARGE or len(parts) == 1:  # what reads a form without tables needs the methods of bytes
        return b"".join(parts)
    whole, at = memory(size), 0
    for part in parts:
        whole[at : at + len(part)] = part
        at += len(part)
    return whole.toreadonly()


def memory(size: int) -> memoryview:
    """Return memory for a large canonical form. It is used only once it is written to.

    NumPy asks for huge pages, which take less time.
    """
    if (numpy := sys.modules.get("numpy")) is not None:
        return memoryview(numpy.empty(size, numpy.uint8))
    flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    return memoryview(mmap.mmap(-1, size, **flags))


def buffers_of(value: Any) -> Iterator[memoryview]:
    """Yield the buffers of the tables in a normalised value, in the order in which they are written."""
    kind = type(value)
    if kind is Table:
        yield from value.buffers
    elif kind is dict or kind is ToolObject:
        for item in (value if kind is dict else value.fields).values():
            yield from buffers_of(item)
    elif kind is list or kind is tuple:
        for item in value:
            yield from buffers_of(item)


def head_of(wire: Any) -> Any:
    """Return the JSON of a canonical form; `wire` itself if no buffers follow it."""
    if wire[:1] != START:
        return wire
    return bytes(wire[_PREFIX : _PREFIX + int.from_bytes(wire[1:_PREFIX], "big")])


class Attached:
    """The buffers behind the JSON of a canonical form, in their order."""

    def __init__(self, wire: Wire) -> None:
        self._wire = memoryview(wire)
        size = int.from_bytes(self._wire[1:_PREFIX], "big")
        self._at = _aligned(_PREFIX + size)

    def take(self, sizes: list[Any]) -> tuple[memoryview, ...]:
        """Return the next buffers; raises `WireError` if there are no buffers of these sizes."""
        taken = []
        for size in sizes:
            if type(size) is not int or not 0 <= size <= len(self._wire) - self._at:
                raise WireError("a table whose buffers are shorter than it says")
            taken.append(self._wire[self._at : self._at + size])
            self._at += _aligned(size)
        return tuple(taken)

    def end(self) -> None:
        """Check that all buffers were taken."""
        if self._at != len(self._wire):
            raise WireError("a table followed by bytes that belong to nothing")


def _aligned(size: int) -> int:
    return size + -size % ALIGNED
