"""`Picture`, a result that is a picture: the same bytes or text, but notebooks show the image."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from fact_magics.pictures.image import Image, described, image, looks_like_image
from fact_magics.values.forms import replaced


class Picture:
    """A picture that a tool returned: also an instance of `bytes`, or of `str` if the tool returned SVG text.

    It equals the bytes or the text, can be written to a file, and can be the input of another tool.

    Attributes
    ----------
    maker : str
        The name of the tool, for the text that stands in for the picture.

    Examples
    --------
    >>> chart(3)  # doctest: +SKIP
    <PNG picture · 640 by 480 pixels · 12.3 kB>
    >>> Path("chart.png").write_bytes(chart(3))  # doctest: +SKIP
    """

    maker: str = ""

    @property
    def image(self) -> Image | None:
        """The picture as it is shown; None for content that only begins like a picture."""
        found = image(self)
        return replace(found, maker=self.maker) if found and self.maker else found

    def __repr__(self) -> str:
        about = described(self)
        return f"<{about}>" if about else super().__repr__()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str] | None:
        del include, exclude
        found = self.image
        return found.bundle if found else None


class BytesPicture(Picture, bytes):
    """The bytes of a PNG, JPEG, GIF or SVG file."""


class TextPicture(Picture, str):
    """The text of an SVG document."""

    __slots__ = ()  # `Picture` has the attributes


def may_hold_pictures(wire: bytes) -> bool:
    """Tell from the canonical form of a value whether a picture may be in it."""
    # A search for one character is many times as fast as one for a longer text, and most values lack both.
    return (b"$" in wire and b'"$bytes"' in wire) or (b"<" in wire and b"<svg" in wire)


def with_pictures(value: Any, maker: str = "") -> Any:
    """Replace the pictures in plain data by instances of `Picture`; lists and dicts are changed in place.

    `maker` is the name of the tool that returned the data.
    """

    def picture(item: Any) -> Any:
        kind = _PICTURES.get(type(item))
        if kind is None or not looks_like_image(item):
            return item
        made = kind(item)
        made.maker = maker
        return made

    return replaced(value, picture)


def summarised(value: Any) -> Any:
    """Replace the picture files in plain data by their kind, title, size and hash, which the history keeps.

    Lists and dicts are changed in place. SVG text stays as it is.
    """
    return replaced(value, _summary)


def _summary(item: Any) -> Any:
    if type(item) is not bytes or not (found := image(item)):
        return item
    title = {"title": found.title} if found.title else {}
    about = {"type": f"{found.kind} picture", **title, "size": [*(found.size or ())]}
    return {**about, "bytes": len(item), "sha256": sha256(item).hexdigest()}


_PICTURES: dict[type, type] = {bytes: BytesPicture, str: TextPicture}
