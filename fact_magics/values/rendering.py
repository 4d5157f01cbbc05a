"""Render figures of matplotlib and images of Pillow as PNG files, in the process that has them.

The worker of the sandbox is sent this module too. Neither library is imported here: a figure or an image
brings it along.
"""

from __future__ import annotations

import io
import struct
import sys
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from .forms import ValueTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_PIXELS = 50_000_000
"""The largest picture; as an image in memory it takes 200 MB."""

SHOWN_BYTES = 2_000_000
"""The largest file that notebooks show as it is; a larger one contains a preview."""

_PREVIEW_SIDE = 1_000
_TITLE_LIMIT = 200
_REASON_LIMIT = 200
# What matplotlib leaves around a figure that is cut to its content, in inches.
_MARGIN = 0.1
_HEADER = 33  # the length of the beginning of a PNG file, after which other chunks may stand
# The modes of images that a PNG file keeps exactly; each other mode with the one that it is converted to.
_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
_CONVERTED = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_CONVERTED |= {"LAB": "RGB", "HSV": "RGB", "I;16L": "I;16", "I;16B": "I;16", "I;16N": "I;16"}


def figure_png(figure: Any) -> bytes:
    """Draw a `matplotlib.figure.Figure` as a PNG file, whose entry ``Title`` is the title of the figure.

    The picture is cut or enlarged to what was drawn, as in a notebook. Its size in pixels is that size in
    inches times the figure's own resolution.

    Raises
    ------
    ValueTypeError
        The picture would have more than `MOST_PIXELS` pixels.
    """
    dpi = float(figure.dpi)
    width, height = figure.get_size_inches()
    _check_size(width * dpi, height * dpi, "a figure")
    with warnings.catch_warnings(action="ignore"):  # what is drawn below warns again
        figure.draw_without_rendering()
        box = figure.get_tightbbox().padded(_MARGIN)
    _check_size(box.width * dpi, box.height * dpi, "a figure whose content")
    title = _title(figure)
    # Without `Software`, which names matplotlib's version: the answer depends on it only if the drawing does.
    metadata = {"Software": None, **({"Title": title} if title else {})}
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, bbox_inches=box, metadata=metadata, backend="agg")
    return out.getvalue()


def image_png(image: Any) -> bytes:
    """Write a `PIL.Image.Image` as a PNG file, with its pixels as they are if PNG has its mode.

    Raises
    ------
    ValueTypeError
        The image has no pixels or more than `MOST_PIXELS`, or its numbers are no colours (mode F, or mode I
        outside 0 to 65535).
    """
    width, height = image.size
    if not width or not height:
        raise ValueTypeError(f"an image of {width} by {height} pixels", "an image that has pixels")
    _check_size(width, height, "an image")
    if image.mode == "I":
        least, most = image.getextrema()
        if not 0 <= least <= most < 1 << 16:
            raise ValueTypeError(
                f"an image of mode I with values from {least} to {most}", "values from 0 to 65535"
            )
        image = image.convert("I;16")
    elif image.mode not in _MODES:
        if image.mode not in _CONVERTED:
            raise ValueTypeError(
                f"an image of mode {image.mode}", 'image.convert("L") with values from 0 to 255'
            )
        image = image.convert(_CONVERTED[image.mode])
    out = io.BytesIO()
    image.save(out, format="png")
    return out.getvalue()


def rendered(value: object) -> bytes | None:
    """Render a figure or an image as a PNG file; None for any other value.

    Raises
    ------
    ValueTypeError
        It can't be rendered.
    """
    for module, name, what, render in _RENDERERS:
        if _is_instance(value, module, name):
            try:
                picture = render(value)
                return picture if len(picture) <= SHOWN_BYTES else _with_preview(picture)
            except (ValueTypeError, MemoryError, RecursionError):
                raise
            except Exception as error:  # such as for a title whose formula can't be parsed
                why = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON_LIMIT]
                raise ValueTypeError(
                    f"{what} that can't be drawn ({why})", "one that can be drawn"
                ) from error
    return None


_RENDERERS: tuple[tuple[str, str, str, Callable[[Any], bytes]], ...] = (
    ("matplotlib.figure", "Figure", "a figure", figure_png),
    ("PIL.Image", "Image", "an image", image_png),
)


def _with_preview(picture: bytes) -> bytes:
    """Add a small JPEG file to a PNG file, in a chunk that programs ignore if they don't know it."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as small:
        if small.mode.startswith("I"):  # JPEG has no such shades
            return picture
        small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
        out = io.BytesIO()
        small.convert("RGB").save(out, format="jpeg", quality=85)
    content = b"prVW" + out.getvalue()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return picture[:_HEADER] + chunk + picture[_HEADER:]


def _is_instance(value: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)  # the library need not have been imported
    return isinstance(kind, type) and isinstance(value, kind)


def _check_size(width: float, height: float, what: str) -> None:
    if not 0 < width * height <= MOST_PIXELS:  # also false for NaN
        size = f"{what} of {width:,.0f} by {height:,.0f} pixels"
        raise ValueTypeError(size, f"one of at most {MOST_PIXELS:,} pixels")


def _title(figure: Any) -> str:
    titles = dict.fromkeys(" ".join(text.split()) for text in _titles(figure))
    return ", ".join(filter(None, titles))[:_TITLE_LIMIT]


def _titles(figure: Any) -> Iterator[str]:
    if title := figure.get_suptitle():
        yield str(title)
        return
    for axes in figure.axes:
        yield from (str(axes.get_title(loc=place)) for place in ("left", "center", "right"))
