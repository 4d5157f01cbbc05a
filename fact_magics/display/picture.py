"""Results that are pictures, recognised by their content and shown as images, which run no scripts."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from fact_magics.display.bitmap import bitmap
from fact_magics.display.drawing import SVG, read
from fact_magics.display.html import Html, text
from fact_magics.display.words import byte_size

_BYTES = 2_000_000
_TOO_LARGE = "too large to show here"
# What browsers would show too, but whose cost is not known here.
_OTHERS = re.compile(rb"RIFF....(WEBP)|....ftyp(avi[fs])", re.DOTALL)
_NOT_SHOWN = "not shown, because only PNG, JPEG, GIF and SVG are"
_SVG_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\b|!--|!DOCTYPE\s+svg\b|svg\b)")
_DECLARATION = re.compile(r"\A\ufeff?\s*(?:<\?xml\s[^>]{0,200}\?>\s*)?")
_ROOT_WITHIN = 4_096
_LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:px\s*)?\Z")
# Most pictures are made for a white page; one with a transparent background may be invisible on a black page.
_STYLE = "max-width:100%;max-height:40em;background:#fff;margin:0.3em 0"

Size = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that contains a picture.

    Attributes
    ----------
    kind : str
        ``PNG``, ``JPEG``, ``GIF``, ``SVG``, ``WebP`` or ``AVIF``.
    data : bytes
        The file.
    size : (float, float) or None
        Width and height in pixels, if the file states them.
    problem : str
        Why it is not shown; empty if it is shown.
    """

    kind: str
    data: bytes
    size: Size
    problem: str = ""

    @property
    def fits(self) -> bool:
        """Whether the picture is small enough for a notebook, and quick enough to draw."""
        return not self.problem

    @property
    def plain(self) -> str:
        """A description: ``PNG picture · 120 by 80 pixels · 3.4 kB``."""
        size = f" · {self.size[0]:,.10g} by {self.size[1]:,.10g} pixels" if self.size else ""
        about = f"{self.kind} picture{size} · {byte_size(len(self.data))}"
        return f"{about} · {self.problem}" if self.problem else about

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
    """Recognise PNG, JPEG and GIF by their first bytes, and SVG by the root element of its XML.

    WebP and AVIF are recognised too, but described only.
    """
    if type(value) is bytes:
        if other := _OTHERS.match(value):
            return Picture("WebP" if other[1] else "AVIF", value, None, _NOT_SHOWN)
        if (found := bitmap(value)) is not None:
            fits = found.fits and len(value) <= _BYTES
            return Picture(found.kind, value, (found.width, found.height), "" if fits else _TOO_LARGE)
        return _svg(value) if b"<svg" in value[:_ROOT_WITHIN] else None
    if type(value) is str and len(value) <= _BYTES and "<svg" in value[:_ROOT_WITHIN]:
        document = _DECLARATION.sub("", value, count=1)  # a declaration may name an encoding other than UTF-8
        return _svg(document.encode(errors="surrogatepass"))  # the parser refuses surrogates
    return None


def _svg(document: bytes) -> Picture | None:
    if len(document) > _BYTES or not _SVG_BEGINNING.match(document):
        return None
    drawing = read(document)
    if drawing is None:
        return None
    size = _svg_size(drawing.root.attributes)
    problem = drawing.problem(size)
    if not drawing.has_namespace:
        # Models often omit the namespace: SVG within HTML does not need it, but an image file does.
        at = drawing.root_at + len("<svg")
        document = b'%b xmlns="%b"%b' % (document[:at], SVG.encode(), document[at:])
    return Picture("SVG", document, size, f"not shown, because {problem}" if problem else "")


def _svg_size(root: dict[str, str]) -> Size:
    box = root.get("viewBox", "").replace(",", " ").split()[2:4]
    for stated in ([root.get("width", ""), root.get("height", "")], box):
        lengths = [float(found[1]) for found in map(_LENGTH.match, stated) if found]
        if len(lengths) == 2:
            return lengths[0], lengths[1]
    return None
