"""Results that are pictures, recognised by their content and shown as images, which run no scripts."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from struct import unpack_from

from fact_magics.display.html import Html, text
from fact_magics.display.words import byte_size

_BYTES = 2_000_000
# A small file may unpack to a picture that takes gigabytes to draw.
_PIXELS = 50_000_000
_SVG = "http://www.w3.org/2000/svg"
_SVG_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\b|!--|!DOCTYPE\s+svg\b|svg\b)")
_DECLARATION = re.compile(r"\A\ufeff?\s*(?:<\?xml\b[^>]{0,200}\?>\s*)?")
_ROOT_WITHIN = 4_096
_LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:px)?\s*\Z")
_JPEG_SEGMENTS = 1_000
# Most pictures are made for a white page; one with a transparent background may be invisible on a black page.
_STYLE = "max-width:100%;max-height:40em;background:#fff;margin:0.3em 0"

Size = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, JPEG, GIF or SVG file, with its width and height in pixels if the file states them."""

    kind: str
    data: bytes
    size: Size

    @property
    def fits(self) -> bool:
        """Whether the picture is small enough for a notebook."""
        pixels = self.size[0] * self.size[1] if self.size and self.kind != "SVG" else 0
        return len(self.data) <= _BYTES and pixels <= _PIXELS

    @property
    def plain(self) -> str:
        """A description: ``PNG picture · 120 by 80 pixels · 3.4 kB``."""
        size = f" · {self.size[0]:g} by {self.size[1]:g} pixels" if self.size else ""
        about = f"{self.kind} picture{size} · {byte_size(len(self.data))}"
        return about if self.fits else f"{about} · too large to show here"

    def html(self) -> Html:
        """Build an image element that contains the data, so the page fetches nothing."""
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
    """Recognise PNG, JPEG and GIF by their first bytes, and SVG by the root element of its XML."""
    if type(value) is bytes:
        if value.startswith(b"\x89PNG\r\n\x1a\n") and value[12:16] == b"IHDR" and len(value) >= 24:
            return Picture("PNG", value, unpack_from(">II", value, 16))
        if value.startswith((b"GIF87a", b"GIF89a")) and len(value) >= 10:
            return Picture("GIF", value, unpack_from("<HH", value, 6))
        if value.startswith(b"\xff\xd8\xff") and (size := _jpeg_size(value)):
            return Picture("JPEG", value, size)
        return _svg(value) if b"<svg" in value[:_ROOT_WITHIN] else None
    if type(value) is str and len(value) <= _BYTES and "<svg" in value[:_ROOT_WITHIN]:
        document = _DECLARATION.sub("", value, count=1)  # a declaration may name an encoding other than UTF-8
        return _svg(document.encode(errors="surrogatepass"))  # the parser refuses surrogates
    return None


def _jpeg_size(data: bytes) -> Size:
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


def _svg(document: bytes) -> Picture | None:
    """Recognise a well-formed SVG document; one with entities, which could expand endlessly, is refused."""
    if len(document) > _BYTES or not _SVG_BEGINNING.match(document):
        return None
    from xml.parsers import expat

    # With a separator, expat puts the namespace before each name.
    parser = expat.ParserCreate(namespace_separator=" ")
    roots: list[tuple[str, dict[str, str], int]] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        roots.append((name, attributes, parser.CurrentByteIndex))
        parser.StartElementHandler = None

    def refuse(*_: object) -> None:
        raise ValueError

    parser.StartElementHandler = begin
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError):
        return None
    [(name, attributes, at)] = roots
    if name not in ("svg", f"{_SVG} svg"):
        return None
    if name == "svg":
        # Models often omit the namespace: SVG within HTML does not need it, but an image file does.
        at += len("<svg")
        document = b'%b xmlns="%b"%b' % (document[:at], _SVG.encode(), document[at:])
    return Picture("SVG", document, _svg_size(attributes))


def _svg_size(root: dict[str, str]) -> Size:
    box = root.get("viewBox", "").replace(",", " ").split()[2:4]
    for stated in ([root.get("width", ""), root.get("height", "")], box):
        lengths = [float(found[1]) for found in map(_LENGTH.match, stated) if found]
        if len(lengths) == 2:
            return lengths[0], lengths[1]
    return None
