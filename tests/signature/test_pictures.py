"""Results that are figures and images: named in annotations, and PNG files for whoever gets them."""

from __future__ import annotations

import struct
import zlib

import pytest

from fact_magics.errors import InvalidResult, SignatureError
from fact_magics.signature import read_signature
from fact_magics.values import encode


def png(width: int = 3, height: int = 2) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def signature(imported: str, returns: str, parameters: str = ""):
    return read_signature(f"{imported}\n\ndef draw({parameters}) -> {returns}:\n    return None\n", "draw")


@pytest.mark.parametrize(
    ("imported", "returns", "text"),
    [
        ("import matplotlib.figure", "matplotlib.figure.Figure", "matplotlib.figure.Figure"),
        ("from matplotlib.figure import Figure", "Figure", "matplotlib.figure.Figure"),
        ("from matplotlib import figure as mf", "mf.Figure", "matplotlib.figure.Figure"),
        ("import matplotlib.pyplot as plt", "plt.Figure", "matplotlib.figure.Figure"),
        ("from PIL import Image", "Image.Image", "PIL.Image.Image"),
        ("from PIL.Image import Image as Picture", "'Picture'", "PIL.Image.Image"),
        ("from PIL import Image", "Image.Image | None", "PIL.Image.Image | None"),
        (
            "import typing, PIL.Image",
            "typing.Optional[list[PIL.Image.Image]]",
            "list[PIL.Image.Image] | None",
        ),
    ],
)
def test_a_result_may_be_one_under_any_name(imported, returns, text):
    read = signature(imported, returns)
    assert read.returns.text == text
    value = [png()] if "list" in text else png()
    assert read.read_result(encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [b"", b"text", b"GIF89a" + bytes(20), png(0, 5), png(10_000, 10_000), "text", None, {"a": 1}],
    ids=["nothing", "other bytes", "gif", "no pixels", "huge", "text", "none", "dict"],
)
def test_what_is_no_picture_is_refused(value):
    with pytest.raises(InvalidResult) as refused:
        signature("from PIL import Image", "Image.Image").read_result(encode(value))
    assert "result: should be a PIL.Image.Image, got" in "\n".join(refused.value.lines)


@pytest.mark.parametrize("given", ["Image.Image", "list[Image.Image]", "dict[str, Image.Image] | None"])
def test_a_parameter_can_t_be_one(given):
    with pytest.raises(SignatureError) as refused:
        signature("from PIL import Image", "int", f"n: int, picture: {given}")
    said = str(refused.value)
    assert "the parameter picture can't be a PIL.Image.Image, which only a result can be" in said
    assert "Take the picture as its file: bytes, or a pathlib.Path." in said
