"""What a tool prints: streamed as it comes, kept up to a bound, and cut with a note of how much."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Printed:
    """Collect bytes from a tool's stdout and stderr.

    Parameters
    ----------
    kept : int
        Characters that are kept and streamed; the rest is counted.
    on_text : callable, optional
        Called with each piece of text as it arrives.
    """

    def __init__(self, kept: int, on_text: Callable[[str], None] | None = None) -> None:
        self._room = kept
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parts: list[str] = []
        self._cut = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self.total += len(data)
        if self._room:
            self._take(self._decoder.decode(data))
        else:
            self._cut += len(data)

    def close(self) -> str:
        """Say what was cut, if anything was, and return all that is kept."""
        if self._room:
            self._take(self._decoder.decode(b"", final=True))
        if self._cut:
            self._show(f"\n… {self._cut:,} more bytes were printed and are cut here.\n")
            self._cut = 0
        return "".join(self._parts)

    def _take(self, text: str) -> None:
        shown = text[: self._room]
        self._room -= len(shown)
        self._cut += len(text[len(shown) :].encode("utf-8", "replace"))
        self._show(shown)

    def _show(self, text: str) -> None:
        if not text:
            return
        self._parts.append(text)
        if self._on_text is not None:
            self._on_text(text)
