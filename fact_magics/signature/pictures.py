"""Types of pictures: figures and images, which a tool's process renders as PNG files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fact_magics.pictures.bitmap import bitmap
from fact_magics.signature.scalars import TEXT, checked, should_be
from fact_magics.signature.vocabulary import Mode, Type
from fact_magics.values.rendering import MOST_PIXELS

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

PICTURE_NAMES = {
    "matplotlib.figure.Figure": "matplotlib.figure.Figure",
    "matplotlib.pyplot.Figure": "matplotlib.figure.Figure",
    "PIL.Image.Image": "PIL.Image.Image",
}
"""The full names of the classes, and the class that each of them means."""


@dataclass(frozen=True)
class PictureOf(Type):
    """``matplotlib.figure.Figure`` or ``PIL.Image.Image``; the value is the bytes of a PNG file."""

    name: str

    @property
    def text(self) -> str:
        return self.name

    def shape(self) -> list[object]:
        return ["picture", self.name]

    def core_schema(self, mode: Mode) -> CoreSchema:
        del mode

        def take(value: Any) -> bytes:
            found = bitmap(value) if type(value) is bytes else None
            if found is None or found.kind != "PNG" or not 0 < found.pixels <= MOST_PIXELS:
                raise should_be(f"be a {self.name}")
            return bytes(value)

        return checked(take)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}

    @property
    def json_kinds(self) -> frozenset[str]:
        return TEXT
