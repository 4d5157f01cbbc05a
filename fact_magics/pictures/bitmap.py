"""Read the size, frames and title of PNG, JPEG and GIF files from their structure, without decoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from struct import unpack_from

# The largest number of pixels of a still picture, of one frame of an animation, and of all its frames.
_STILL = 50_000_000
_FRAME = 4_000_000
_FRAMES = 250_000_000
# A browser decodes the whole picture again for each scan of a progressive JPEG.
_SCANNED = 1_000_000_000
_CHUNKS = 100_000
_TITLE = b"Title\0"
_TITLE_BYTES = 1_000
# `fact_magics.values.rendering` adds this chunk to a large file: a JPEG file that shows it smaller.
_PREVIEW = b"prVW"
_PREVIEW_BYTES = 1_000_000
_SEGMENTS = 1_000
_SEGMENTS_WITH_LENGTH = frozenset({0xC4, 0xCC, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B


@dataclass(frozen=True, slots=True)
class Bitmap:
    """The size of a picture in pixels, its frames and scans to decode, its title, and a preview of it."""

    kind: str
    width: int
    height: int
    frames: int = 1
    scans: int = 1
    title: str = ""
    preview: bytes = b""

    @property
    def pixels(self) -> int:
        """The number of pixels of one frame."""
        return self.width * self.height

    @property
    def fits(self) -> bool:
        """Whether a browser decodes the whole picture within a few seconds and a few hundred megabytes."""
        if self.frames > 1:
            return self.pixels <= _FRAME and self.pixels * self.frames <= _FRAMES
        return self.pixels <= _STILL and self.pixels * self.scans <= _SCANNED


def bitmap(data: bytes) -> Bitmap | None:
    """Read the headers of a PNG, GIF or JPEG file; None for other data, or if the headers are broken."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return _png(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return _gif(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
    except (struct.error, IndexError):
        pass
    return None


def _png(data: bytes) -> Bitmap:
    width, height = unpack_from(">II", data, 16)
    frames, at, title, preview = 0, 8, "", b""
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            return Bitmap("PNG", width, height, max(1, frames), title=title, preview=preview)
        (length,) = unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        frames += kind == b"fcTL"
        if kind in (b"tEXt", b"iTXt") and not title:
            title = _png_title(kind, data[at + 8 : at + 8 + min(length, _TITLE_BYTES)])
        elif kind == _PREVIEW and length <= _PREVIEW_BYTES:
            preview = data[at + 8 : at + 8 + length]
        at += 12 + length
    return Bitmap("PNG", width, height, _CHUNKS)


def _png_title(kind: bytes, entry: bytes) -> str:
    """Read the entry ``Title`` of a PNG file; compressed entries are not read."""
    if not entry.startswith(_TITLE):
        return ""
    content = entry[len(_TITLE) :]
    if kind == b"tEXt":
        return content.decode("latin-1")
    # Before the text: whether and how it is compressed, its language, and its keyword in that language.
    compressed, (*_, text) = content[:1], content[2:].split(b"\0", 2)
    return "" if compressed != b"\0" else text.decode("utf-8", "ignore")


def _gif(data: bytes) -> Bitmap:
    width, height = unpack_from("<HH", data, 6)
    frames, at = 0, 13 + _colours(data[10] if len(data) > 10 else 0)
    while at < len(data) and data[at] != _GIF_END:
        if data[at] == _GIF_IMAGE and at + 10 <= len(data):
            left, top, wide, tall, flags = unpack_from("<HHHHB", data, at + 1)
            # A frame may reach beyond the size in the header.
            width, height, frames = max(width, left + wide), max(height, top + tall), frames + 1
            at += 11 + _colours(flags)
        elif data[at] == _GIF_EXTENSION:
            at += 2
        else:
            break
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return Bitmap("GIF", width, height, max(1, frames))


def _colours(flags: int) -> int:
    """Return the length of a GIF's colour table in bytes."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _jpeg(data: bytes) -> Bitmap | None:
    at = 2
    for _ in range(_SEGMENTS):
        if data[at] != 0xFF:
            return None
        while data[at] == 0xFF:  # several 0xFF bytes may precede a marker
            at += 1
        marker = data[at]
        if marker in _SEGMENTS_WITH_LENGTH:
            at += 1 + unpack_from(">H", data, at + 1)[0]
        elif 0xC0 <= marker <= 0xCF:
            height, width = unpack_from(">HH", data, at + 4)
            return Bitmap("JPEG", width, height, scans=max(1, data.count(b"\xff\xda", at)))
        else:
            return None
    return None
