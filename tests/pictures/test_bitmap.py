"""PNG, JPEG and GIF files: what it costs to decode them is read from their structure, which may lie."""

from __future__ import annotations

import struct
import zlib

import pytest

from fact_magics.pictures import image
from fact_magics.pictures.bitmap import bitmap


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join((chunk(b"IHDR", header), *chunks, chunk(b"IEND")))


def gif(width, height, *frames):
    """Write a GIF whose frames have these places and sizes."""
    blocks = b"".join(
        b"\x21\xf9\x04\x00\x02\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", *frame, 0) + b"\x02\x01\x4c\x00"
        for frame in frames
    )
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + blocks + b"\x3b"


def frame(marker, width, height):
    return bytes((0xFF, marker)) + struct.pack(">HBHHB", 8, 8, height, width, 1)


SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x00"


@pytest.mark.parametrize(
    ("data", "size", "frames"),
    [
        (png(3, 2), (3, 2), 1),
        (png(3, 2, chunk(b"acTL", bytes(8)), *[chunk(b"fcTL", bytes(26))] * 7), (3, 2), 7),
        (gif(7, 5), (7, 5), 1),
        (gif(7, 5, (0, 0, 7, 5), (1, 1, 2, 2)), (7, 5), 2),
        (gif(7, 5, (0, 0, 900, 800)), (900, 800), 1),
        (gif(7, 5, (60_000, 0, 7, 50_000)), (60_007, 50_000), 1),
        (b"\xff\xd8" + frame(0xC0, 640, 480) + SCAN, (640, 480), 1),
        (b"\xff\xd8\xff\xff" + frame(0xC0, 640, 480) + frame(0xC0, 1, 1), (640, 480), 1),
    ],
)
def test_size_and_frames_are_those_that_a_browser_finds(data, size, frames):
    found = bitmap(data)
    assert found is not None
    assert (found.width, found.height) == size
    assert found.frames == frames


@pytest.mark.parametrize(
    "data",
    [
        png(60_000, 60_000),
        png(2_000, 2_000, *[chunk(b"fcTL", bytes(26))] * 100),
        png(5_000, 5_000, *[chunk(b"fcTL", bytes(26))] * 2),
        gif(1, 1, (0, 0, 60_000, 60_000)),
        gif(500, 500, *[(0, 0, 500, 500)] * 2_000),
        b"\xff\xd8" + frame(0xC0, 65_000, 65_000) + SCAN,
        b"\xff\xd8\xff" + frame(0xC0, 65_000, 65_000) + frame(0xC0, 1, 1) + SCAN,
        b"\xff\xd8" + frame(0xC2, 5_000, 5_000) + SCAN * 100,
    ],
)
def test_a_file_that_takes_long_to_decode_is_described_with_its_size(data):
    found = image(data)
    assert found is not None
    assert not found.fits
    assert " pixels · " in found.plain
    assert found.plain.endswith("too large to show here")
    assert "<img" not in found.html


@pytest.mark.parametrize("data", [png(640, 480), gif(640, 480, (0, 0, 640, 480))], ids=["png", "gif"])
def test_a_file_that_was_cut_anywhere_raises_nothing(data):
    for length in range(len(data)):
        bitmap(data[:length])


def test_a_jpeg_that_was_cut_anywhere_raises_nothing():
    data = b"\xff\xd8\xff\xe0\x00\x04ab" + frame(0xC0, 640, 480)
    for length in range(len(data)):
        bitmap(data[:length])


@pytest.mark.parametrize("marker", [0x01, 0xD0, 0xD7, 0xD8, 0xD9, 0x00])
def test_a_jpeg_whose_segments_could_be_read_in_two_ways_is_none(marker):
    assert bitmap(b"\xff\xd8\xff" + bytes((marker,)) + frame(0xC0, 1, 1)) is None
