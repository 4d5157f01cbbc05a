"""Results that are pictures, told by their first bytes and shown as images, in which nothing runs."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from struct import unpack_from
from typing import TYPE_CHECKING

from fact_magics.display.html import Html, text
from fact_magics.display.words import byte_size

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = 2_000_000
# A small file may unpack to a picture that takes gigabytes to draw.
_PIXELS = 50_000_000
_SVG = "http://www.w3.org/2000/svg"
_SVG_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\b|!--|!DOCTYPE\s+svg\b|svg\b)")
_DECLARATION = re.compile(r"\A\ufeff?\s*(?:<\?xml\b[^>]{0,200}\?>\s*)?")
_ROOT_WITHIN = 4_096
_LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:px)?\s*\Z")
_JPEG_SEGMENTS = 1_000
# Most pictures are drawn to stand on white paper, and those with a clear ground are not to be seen on black.
_STYLE = "max-width:100%;max-height:40em;background:#fff;margin:0.3em 0"

Size = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture.

    Attributes
    ----------
    kind : str
        ``PNG``, ``JPEG``, ``GIF`` or ``SVG``.
    data : bytes
        The file.
    size : (float, float) or None
        Width and height in pixels, where the file says so.
    """

    kind: str
    data: bytes
    size: Size

    @property
    def about(self) -> str:
        """What it is: ``PNG picture · 120 by 80 pixels · 3.4 kB``."""
        size = f" · {self.size[0]:g} by {self.size[1]:g} pixels" if self.size else ""
        return f"{self.kind} picture{size} · {byte_size(len(self.data))}"

    @property
    def fits(self) -> bool:
        """Whether it is small enough to be put into a notebook."""
        pixels = self.size[0] * self.size[1] if self.size and self.kind != "SVG" else 0
        return len(self.data) <= _BYTES and pixels <= _PIXELS

    @property
    def plain(self) -> str:
        """The picture as text."""
        return self.about if self.fits else f"{self.about} · too large to show here"

    def html(self) -> Html:
        """Build the image; its data are in it, so nothing is fetched, and an image's scripts never run."""
        about = text(self.plain)
        if not self.fits:
            return Html(f"<p>{about}</p>")
        media = "svg+xml" if self.kind == "SVG" else self.kind.lower()
        source = b64encode(self.data).decode("ascii")
        return Html(
            f'<img src="data:image/{media};base64,{source}" alt="{about}" style="{_STYLE}">'
            f"<br><small>{about}</small>"
        )


def picture(value: object) -> Picture | None:
    """Recognise a picture: PNG, JPEG or GIF by the first bytes, SVG by the root of its XML."""
    if type(value) is bytes:
        for kind, beginning, measure in _KINDS:
            if value.startswith(beginning):
                size = measure(value)
                return Picture(kind, value, size) if size else None
        return _svg(value) if b"<svg" in value[:_ROOT_WITHIN] else None
    if type(value) is str and len(value) <= _BYTES and "<svg" in value[:_ROOT_WITHIN]:
        document = _DECLARATION.sub("", value, count=1)  # it may name another encoding than the one used here
        try:
            return _svg(document.encode())
        except UnicodeEncodeError:
            return None
    return None


def _png(data: bytes) -> Size:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    return unpack_from(">II", data, 16)


def _gif(data: bytes) -> Size:
    return unpack_from("<HH", data, 6) if len(data) >= 10 else None


def _jpeg(data: bytes) -> Size:
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        if at + 9 > len(data) or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + unpack_from(">H", data, at + 2)[0]
    return None


_KINDS: tuple[tuple[str, bytes, Callable[[bytes], Size]], ...] = (
    ("PNG", b"\x89PNG\r\n\x1a\n", _png),
    ("JPEG", b"\xff\xd8\xff", _jpeg),
    ("GIF", b"GIF87a", _gif),
    ("GIF", b"GIF89a", _gif),
)


class _NoPicture(Exception):
    """It is no SVG document, or one that is not shown."""


def _svg(document: bytes) -> Picture | None:
    """Take a well-formed document whose root is SVG's; one that declares entities may unpack without end."""
    if len(document) > _BYTES or not _SVG_BEGINNING.match(document):
        return None
    from xml.parsers import expat

    # Names come with their namespace before them.
    parser = expat.ParserCreate(namespace_separator=" ")
    root: dict[str, str] = {}
    unnamed_at = -1

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal unnamed_at
        if name not in ("svg", f"{_SVG} svg"):
            raise _NoPicture
        if name == "svg":
            unnamed_at = parser.CurrentByteIndex
        root.update(attributes)
        parser.StartElementHandler = None

    def refuse(*_: object) -> None:
        raise _NoPicture

    parser.StartElementHandler = begin
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, _NoPicture):
        return None
    if unnamed_at >= 0:
        # Without its namespace an image is not drawn; in a page, where models see most of it, it needs none.
        tag_end = unnamed_at + len("<svg")
        document = b'%b xmlns="%b"%b' % (document[:tag_end], _SVG.encode(), document[tag_end:])
    return Picture("SVG", document, _svg_size(root))


def _svg_size(root: dict[str, str]) -> Size:
    stated = [_LENGTH.match(root.get(side, "")) for side in ("width", "height")]
    if stated[0] and stated[1]:
        return float(stated[0][1]), float(stated[1][1])
    box = [_LENGTH.match(side) for side in root.get("viewBox", "").replace(",", " ").split()[2:4]]
    return (float(box[0][1]), float(box[1][1])) if len(box) == 2 and box[0] and box[1] else None
