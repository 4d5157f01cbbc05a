"""Results that are pictures: recognised by their content, shown as images that contain their data and run nothing."""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64decode

import pytest
from late import Late

from fact_magics.display.result import show
from fact_magics.pictures import image

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80"><circle r="9"/></svg>'


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 600) + b"\xff" * 600
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 8, 8, height, width, 1)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(9) + comment + frame + b"\xff\xd9"


GIF = b"GIF89a" + struct.pack("<HH", 7, 5) + b"\x80\x00\x00\x00\x00\x00\xff\xff\xff;"


@pytest.mark.parametrize(
    ("value", "media", "about"),
    [
        (png(3, 2, b"\0abc\0def"), "png", "PNG picture · 3 by 2 pixels"),
        (jpeg(640, 480), "jpeg", "JPEG picture · 640 by 480 pixels"),
        (GIF, "gif", "GIF picture · 7 by 5 pixels"),
        (SVG.encode(), "svg+xml", "SVG picture · 120 by 80 pixels"),
    ],
    ids=["png", "jpeg", "gif", "svg"],
)
def test_bytes_that_are_a_picture_are_shown_as_one(parse, value, media, about):
    result = show(value)
    about = f"{about} · {len(value)} bytes"
    assert result.plain == about
    [image] = parse(result.html).all("img")
    beginning, data = image.attributes["src"].split(",")
    assert beginning == f"data:image/{media};base64"
    assert b64decode(data) == value
    assert image.attributes["alt"] == about
    assert about in parse(result.html).text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(600), "WebP"),
        (b"\x00\x00\x00\x20ftypavif" + bytes(600), "AVIF"),
        (b"\x00\x00\x00\x20ftypavis" + bytes(600), "AVIF"),
    ],
)
def test_a_picture_of_another_kind_is_described_and_not_shown(parse, value, kind):
    """A browser would decode it, but nothing here bounds what that costs."""
    result = show(value)
    assert result.plain.startswith(f"{kind} picture · 6")
    assert result.plain.endswith("bytes · not shown, because only PNG, JPEG, GIF and SVG are")
    assert not parse(result.html).all("img")


def test_text_that_is_a_drawing_is_shown_as_one_with_its_source_folded(parse):
    result = show(SVG)
    page = parse(result.html)
    assert len(page.all("img")) == 1
    assert [pre.text for pre in page.all("details")[0].all("pre")] == [SVG]
    assert "open" not in page.all("details")[0].attributes
    assert not page.all("svg", "circle")
    assert result.plain == f"SVG picture · 120 by 80 pixels · 85 bytes\n{SVG}"


@pytest.mark.parametrize(
    ("document", "size"),
    [
        ('<?xml version="1.0" encoding="UTF-16"?>\n<!-- drawn -->\n' + SVG, (120, 80)),
        ('\ufeff <!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x/svg11.dtd">\n' + SVG, (120, 80)),
        ('<svg viewBox="0 0 30 20"/>', (30, 20)),
        ('<svg viewBox="0,0,30,20" width="100%" height="2em"/>', (30, 20)),
        ('<svg width="1.5px" height=" 2 "/>', (1.5, 2)),
        ("<svg/>", None),
        ('<svg width="1e9" height="NaN" viewBox="0 0 x 1"/>', None),
    ],
)
def test_a_drawing_s_root_may_stand_after_what_xml_allows_and_says_its_size(document, size):
    found = image(document)
    assert found is not None
    assert found.size == size


def test_a_drawing_without_its_namespace_gets_it_since_it_would_not_be_drawn(parse):
    [image] = parse(show('<!-- <svg> --><svg width="2" height="2"><a/></svg>').html).all("img")
    data = b64decode(image.attributes["src"].split(",")[1]).decode()
    assert data == '<!-- <svg> --><svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"><a/></svg>'


BOMB = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'


@pytest.mark.parametrize(
    "value",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"x" * 100,
        b"\xff\xd8\xff",
        Late(lambda: b"\xff\xd8\xff\xe0\x00\x00" * 20_000),
        Late(lambda: b"\xff\xd8\xff\xe0\x00\x01" * 20_000),
        b"GIF89a",
        b"a text about <svg> and more",
        "<p>a page with <svg/></p>",
        '<html xmlns="http://www.w3.org/1999/xhtml"><svg xmlns="http://www.w3.org/2000/svg"/></html>',
        '<svg xmlns="http://example.org/another"/>',
        "<svg><unfinished></svg>",
        "<svg onload='x",
        "<svg/><script>alert(1)</script>",
        "<svgx/>",
        BOMB,
        BOMB.encode(),
        '<!DOCTYPE svg [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><svg/>',
        "<svg>\ud800</svg>",
        Late(lambda: "<svg>" + "x" * 3_000_000 + "</svg>"),
        ("<!-- " + "-" * 5_000 + " --><svg/>"),
    ],
    ids=range(20),
)
def test_what_is_no_picture_is_shown_as_what_it_is(parse, value):
    result = show(value)
    assert not parse(result.html).all("img", "svg", "script")
    assert "picture" not in result.plain[:20]


@pytest.mark.parametrize(
    "value",
    [png(60_000, 60_000), Late(lambda: png(3, 2) + bytes(3_000_000)), GIF[:6] + b"\xff" * 4],
)
def test_a_picture_too_large_for_a_cell_is_told_of(parse, value):
    result = show(value)
    assert result.plain.endswith("too large to show here")
    assert not parse(result.html).all("img")
    assert len(result.html) < 300


def test_scripts_and_links_in_a_drawing_are_in_an_image_where_nothing_runs(parse):
    document = SVG.replace(
        "<circle",
        '<script>alert(1)</script><a href="javascript:alert(1)"/><image href="http://evil"/><circle',
    )
    for value in (document, document.encode()):
        html = show(value).html
        assert not re.search("<(script|svg|image|a)[ >]", html)
        assert [set(image.attributes) for image in parse(html).all("img")] == [{"src", "alt", "style"}]
