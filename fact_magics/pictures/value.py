"""`Picture`, a result that is a picture: the same bytes or text, but notebooks show the image."""

from __future__ import annotations

from typing import Any

from fact_magics.pictures.image import Image, described, image, looks_like_image


class Picture:
    """A picture that a tool returned: also an instance of `bytes`, or of `str` if the tool returned SVG text.

    It equals the bytes or the text, can be written to a file, and can be the input of another tool.

    Examples
    --------
    >>> chart(3)  # doctest: +SKIP
    <PNG picture · 640 by 480 pixels · 12.3 kB>
    >>> Path("chart.png").write_bytes(chart(3))  # doctest: +SKIP
    """

    __slots__ = ()

    @property
    def image(self) -> Image | None:
        """The picture as it is shown; None for content that only begins like a picture."""
        return image(self)

    def __repr__(self) -> str:
        about = described(self)
        return f"<{about}>" if about else super().__repr__()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str] | None:
        del include, exclude
        found = self.image
        return found.bundle if found else None


class BytesPicture(Picture, bytes):
    """The bytes of a PNG, JPEG, GIF or SVG file."""

    __slots__ = ()


class TextPicture(Picture, str):
    """The text of an SVG document."""

    __slots__ = ()


def may_hold_pictures(wire: bytes) -> bool:
    """Tell from the canonical form of a value whether a picture may be in it."""
    # A search for one character is many times as fast as one for a longer text, and most values lack both.
    return (b"$" in wire and b'"$bytes"' in wire) or (b"<" in wire and b"<svg" in wire)


def with_pictures(value: Any) -> Any:
    """Replace the pictures in plain data by instances of `Picture`; lists and dicts are changed in place."""
    kind = type(value)
    if kind is bytes:
        return BytesPicture(value) if looks_like_image(value) else value
    if kind is str:
        return TextPicture(value) if looks_like_image(value) else value
    if kind is list:
        value[:] = map(with_pictures, value)
    elif kind is tuple:
        return tuple(map(with_pictures, value))
    elif kind is dict:
        for key, item in value.items():
            value[key] = with_pictures(item)
    return value
