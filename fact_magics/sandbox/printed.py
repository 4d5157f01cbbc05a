"""Collect the text that a tool prints: stream and keep it up to a limit, and count the rest."""

from __future__ import annotations

import codecs
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Printed:
    """Collect bytes from a tool's stdout and stderr.

    The first `kept` characters are kept, and passed to `on_text` as they arrive. The rest is only counted.
    """

    def __init__(self, kept: int, on_text: Callable[[str], None] | None = None) -> None:
        self._room = kept
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        # One buffer: a tool may print single characters, and each would need fifty bytes as a string.
        self._kept = StringIO(newline="")
        self._cut = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self.total += len(data)
        if self._room:
            self._take(self._decoder.decode(data))
        elif data:
            self._count(len(data))

    def close(self) -> str:
        """Add a note if something was cut, and return all the text that is kept."""
        if self._room:
            self._take(self._decoder.decode(b"", final=True))
        if self._cut:
            self._show(f" {self._cut:,} more bytes were printed and are cut here.\n")
            self._cut = 0
        return self._kept.getvalue()

    def _take(self, text: str) -> None:
        shown = text[: self._room]
        self._room -= len(shown)
        self._show(shown)
        if len(shown) < len(text):
            self._count(len(text[len(shown) :].encode("utf-8", "replace")))

    def _count(self, size: int) -> None:
        if not self._cut:
            self._show("\n…")  # at once, so that the user knows why nothing more comes
        self._cut += size

    def _show(self, text: str) -> None:
        if not text:
            return
        self._kept.write(text)
        if self._on_text is not None:
            self._on_text(text)
