"""The buffers of a table: collected for the wire, and taken from it with a check of each size."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .forms import WireError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Numbers, dates and durations of fixed width, and text and bytes of fixed length. No objects, no structures.
_DTYPE = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|c(?:8|16)|[mM]8\[\d{0,9}[A-Za-z]{1,2}\]|[SU]\d{1,9})")
_LAST_CHARACTER = 0x10FFFF


def numpy() -> Any:
    """Import NumPy."""
    return import_module("numpy")


def travels(dtype: Any) -> bool:
    """Tell whether an array of a NumPy dtype can be read from a buffer without risk."""
    return dtype.itemsize > 0 and _DTYPE.fullmatch(dtype.str) is not None


class Writer:
    """Collects the buffers of one table, as contiguous bytes, without copying them where possible."""

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []

    def add(self, data: Any) -> None:
        """Add bytes, or an object with Python's buffer protocol."""
        view = memoryview(data)
        self.buffers.append(view if view.nbytes == 0 else view.cast("B"))

    def add_array(self, array: Any) -> list[str]:
        """Add a NumPy array for which `travels` holds, in C order; return its description."""
        np = numpy()
        array = np.ascontiguousarray(array)
        if array.dtype.kind in "fc":
            array = _with_one_nan(array)
        self.add(array.view(np.uint8) if array.size else b"")
        return [str(array.dtype.str)]


def _with_one_nan(array: Any) -> Any:
    """Give each NaN the same bits, so that equal arrays are equal bytes: 0/0 differs from float("nan")."""
    np = numpy()
    parts = array.view(
        f"{array.dtype.str[0]}f{array.dtype.itemsize // (2 if array.dtype.kind == 'c' else 1)}"
    )
    missing = np.isnan(parts)
    if not missing.any():
        return array
    bits = f"{parts.dtype.str[0]}u{parts.dtype.itemsize}"
    usual = np.array([np.nan], parts.dtype)
    if (parts.view(bits)[missing] == usual.view(bits)[0]).all():
        return array
    parts = parts.copy()
    parts[missing] = np.nan
    return parts.view(array.dtype)


class Reader:
    """Gives the buffers of one table one after the other. Descriptions may be false; `WireError` says so."""

    def __init__(self, buffers: Iterable[memoryview]) -> None:
        self._buffers = list(buffers)[::-1]

    def take(self) -> memoryview:
        """Return the next buffer."""
        if not self._buffers:
            raise WireError("a table with fewer buffers than it describes")
        return self._buffers.pop()

    def take_array(self, described: object) -> Any:
        """Return the next buffer as a NumPy array that can be changed; it is copied where needed."""
        np = numpy()
        match described:
            case [str(text)] if _DTYPE.fullmatch(text):
                dtype = np.dtype(text)
            case _:
                raise WireError("a table with a dtype that can't travel")
        buffer = self.take()
        if not dtype.itemsize or buffer.nbytes % dtype.itemsize:
            raise WireError("a table with a buffer of a wrong size")
        array = np.frombuffer(buffer, dtype) if buffer.nbytes else np.empty(0, dtype)
        if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise WireError("a table with a bool that is neither true nor false")
        if dtype.kind == "U" and array.size and array.view(f"{dtype.str[0]}u4").max() > _LAST_CHARACTER:
            raise WireError("a table with a character that does not exist")
        return array if array.flags.writeable and array.flags.aligned else array.copy()

    def end(self) -> None:
        """Check that all buffers were taken."""
        if self._buffers:
            raise WireError("a table with more buffers than it describes")
