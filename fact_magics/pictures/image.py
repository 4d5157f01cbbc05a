"""Recognise pictures by their content, and build images that run no scripts and fetch nothing."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from fact_magics.pictures.bitmap import bitmap
from fact_magics.text import byte_size, inert, one_line

# The modules for SVG are imported when there is a drawing, since the core's import must be fast.
_NAMESPACE = "http://www.w3.org/2000/svg"
_BYTES = 2_000_000
# The number of pictures that are not read again if they are shown again. Each has up to `_BYTES`.
_KEPT = 16
_TOO_LARGE = "too large to show here"
_BITMAPS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
# What browsers would show too, but whose cost is not known here.
_OTHERS = re.compile(rb"RIFF....(WEBP)|....ftyp(avi[fs])", re.DOTALL)
_NOT_SHOWN = "not shown, because only PNG, JPEG, GIF and SVG are"
_SVG_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\b|!--|!DOCTYPE\s+svg\b|svg\b)")
_DECLARATION = re.compile(r"\A\ufeff?\s*(?:<\?xml\s[^>]{0,200}\?>\s*)?")
_ROOT_WITHIN = 4_096
_TITLE = 200
_LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:px\s*)?\Z")
# The size that browsers give to an image that does not state its own.
_DEFAULT_SIZE = (300.0, 150.0)
# Most pictures are made for a white page; one with a transparent background may be invisible on a black page.
_STYLE = "max-width:100%;max-height:40em;background:#fff;margin:0.3em 0"

Size = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Image:
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
    title : str
        The title that the file states, on one line: the entry ``Title`` of a PNG file, or the ``<title>`` of
        an SVG document.
    maker : str
        The name of the tool that made it.
    preview : bytes
        A JPEG file that is shown in its place, because it is too large; empty for none.
    """

    kind: str
    data: bytes
    size: Size
    problem: str = ""
    title: str = ""
    maker: str = ""
    preview: bytes = b""

    @property
    def fits(self) -> bool:
        """Whether the picture is small enough for a notebook, and quick enough to draw."""
        return not self.problem

    @property
    def plain(self) -> str:
        """A description: ``PNG picture: Sales per month · 120 by 80 pixels · 3.4 kB``."""
        size = f" · {self.size[0]:,.10g} by {self.size[1]:,.10g} pixels" if self.size else ""
        title = f": {self.title}" if self.title else ""
        about = f"{self.kind} picture{title}{size} · {byte_size(len(self.data))}"
        note = self.problem or ("shown smaller" if self.preview else "")
        return inert(f"{about} · {note}" if note else about)

    @property
    def alt(self) -> str:
        """The text for people who can't see the picture: ``chart: Sales per month``."""
        return inert(": ".join(filter(None, (self.maker, self.title or self.plain))))

    @property
    def html(self) -> str:
        """An image element that contains the data, above the description."""
        about = escape(self.plain, quote=False)
        if not self.fits:
            return f"<p>{about}</p>"
        alt = escape(self.alt)
        return f'<img src="{self._address()}" alt="{alt}" style="{_STYLE}"><br><small>{about}</small>'

    @property
    def media(self) -> dict[str, str]:
        """The picture as an entry of a MIME bundle; empty if it is not shown."""
        if not self.fits:
            return {}
        if self.kind != "SVG":
            return {f"image/{self._media}": self._base64()}
        # A front end may insert the SVG into its page, where scripts and styles in it would work. In an
        # image within it, they don't.
        width, height = self.size or _DEFAULT_SIZE
        size = f'width="{width:.10g}" height="{height:.10g}"'
        image = f'<image {size} href="{self._address()}"/>'
        return {"image/svg+xml": f'<svg xmlns="{_NAMESPACE}" {size}>{image}</svg>'}

    @property
    def bundle(self) -> dict[str, str]:
        """The MIME bundle that shows the picture."""
        return {**self.media, "text/html": f"<div>{self.html}</div>", "text/plain": self.plain}

    @property
    def _media(self) -> str:
        return "jpeg" if self.preview else {"SVG": "svg+xml"}.get(self.kind, self.kind.lower())

    def _address(self) -> str:
        return f"data:image/{self._media};base64,{self._base64()}"

    def _base64(self) -> str:
        return b64encode(self.preview or self.data).decode("ascii")


def looks_like_image(value: object) -> bool:
    """Tell from the beginning of bytes or text whether they may be a picture; much faster than `image`."""
    if isinstance(value, str):
        beginning = value[:_ROOT_WITHIN]
        return "<svg" in beginning and _SVG_BEGINNING.match(_undeclared(beginning)) is not None
    if not isinstance(value, bytes):
        return False
    if value.startswith(_BITMAPS) or _OTHERS.match(value):
        return True
    return b"<svg" in value[:_ROOT_WITHIN] and _SVG_BEGINNING.match(value) is not None


def image(value: object) -> Image | None:
    """Recognise PNG, JPEG and GIF by their first bytes, and SVG by the root element of its XML.

    WebP and AVIF are recognised too, but described only.
    """
    return _recognised(value, is_checked=True)


def described(value: object) -> str:
    """Describe a picture, but not whether a drawing can be shown, which takes long to find out.

    The description is empty for a value that is not a picture.
    """
    found = _recognised(value, is_checked=False)
    return found.plain if found else ""


def _recognised(value: object, *, is_checked: bool) -> Image | None:
    if not (isinstance(value, str | bytes) and looks_like_image(value)):
        return None
    return (_kept if len(value) <= _BYTES else _read)(value, is_checked=is_checked)


def _read(value: str | bytes, *, is_checked: bool) -> Image | None:
    if isinstance(value, str):
        return _svg(_undeclared(value), is_checked=is_checked) if len(value) <= _BYTES else None
    data = bytes(value)
    if other := _OTHERS.match(data):
        return Image("WebP" if other[1] else "AVIF", data, None, _NOT_SHOWN)
    if (found := bitmap(data)) is not None:
        fits = found.fits and len(data) <= _BYTES
        small = None if fits else bitmap(found.preview)
        preview = found.preview if small and small.kind == "JPEG" and small.fits else b""
        problem = "" if fits or preview else _TOO_LARGE
        title = one_line(found.title, _TITLE)
        return Image(found.kind, data, (found.width, found.height), problem, title, preview=preview)
    return _svg(data, is_checked=is_checked)


_kept = lru_cache(_KEPT)(_read)


def _undeclared(text: str) -> bytes:
    """Encode text without its XML declaration, which may name another encoding than UTF-8."""
    return _DECLARATION.sub("", text, count=1).encode(errors="surrogatepass")


def _svg(document: bytes, *, is_checked: bool) -> Image | None:
    if len(document) > _BYTES or not _SVG_BEGINNING.match(document):
        return None
    from fact_magics.pictures.drawing import read

    drawing = read(document, root_only=not is_checked)
    if drawing is None:
        return None
    size = _svg_size(drawing.root.attributes)
    problem = drawing.problem(size) if is_checked else ""
    if not drawing.has_namespace:
        # Models often omit the namespace: SVG within HTML does not need it, but an image file does.
        at = drawing.root_at + len("<svg")
        document = b'%b xmlns="%b"%b' % (document[:at], _NAMESPACE.encode(), document[at:])
    title = "".join(
        piece for child in drawing.root.children if child.tag == "title" for piece in child.pieces
    )
    why = f"not shown, because {problem}" if problem else ""
    return Image("SVG", document, size, why, one_line(title, _TITLE))


def _svg_size(root: dict[str, str]) -> Size:
    box = root.get("viewBox", "").replace(",", " ").split()[2:4]
    for stated in ([root.get("width", ""), root.get("height", "")], box):
        lengths = [float(found[1]) for found in map(_LENGTH.match, stated) if found]
        if len(lengths) == 2:
            return lengths[0], lengths[1]
    return None
