"""`Picture`: a result that is the same bytes or text as before, and that notebooks show as an image."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import re
import struct
import zlib
from base64 import b64decode

import pytest

from fact_magics.display.result import show
from fact_magics.pictures import Picture, summarised, with_pictures
from fact_magics.pictures.drawing import Drawing
from fact_magics.values import brief, decode, encode, normalise

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80"><circle r="9"/></svg>'


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0abc\0def")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


JPEG = b"\xff\xd8\xff\xc0\x00\x08\x08" + struct.pack(">HH", 5, 7) + b"\x01\xff\xd9"
GIF = b"GIF89a" + struct.pack("<HH", 7, 5) + b"\x80\x00\x00\x00\x00\x00\xff\xff\xff;"
FILES = {"png": png(), "jpeg": JPEG, "gif": GIF, "svg": SVG.encode(), "svg text": SVG}


@pytest.mark.parametrize("value", FILES.values(), ids=FILES)
class TestSameValue:
    def test_it_is_equal_to_what_the_tool_returned_and_of_its_type(self, value):
        found = with_pictures(value)
        assert isinstance(found, Picture)
        assert isinstance(found, type(value))
        assert found == value
        assert value == found
        assert len(found) == len(value)
        assert hash(found) == hash(value)
        assert found[:4] == value[:4]
        assert type(found[:4]) is type(value)

    def test_it_can_be_written_to_a_file(self, value, tmp_path):
        text = isinstance(value, str)
        with (tmp_path / "file").open("w" if text else "wb") as file:
            file.write(with_pictures(value))
        assert (tmp_path / "file").read_bytes() == (value.encode() if text else value)

    def test_keys_the_wire_and_the_history_see_no_difference(self, value):
        found = with_pictures(value)
        assert encode(found) == encode(value)
        assert encode({"a": [found]}) == encode({"a": [value]})
        assert type(normalise(found)) is type(value)
        assert type(decode(encode(found))) is type(value)

    def test_a_copy_is_a_picture_too(self, value):
        found = with_pictures(value)
        pickled = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own bytes
        for copied in (copy.copy(found), copy.deepcopy(found), pickled):
            assert copied == value
            assert isinstance(copied, Picture)

    def test_its_repr_describes_it_on_one_line(self, value):
        found = with_pictures(value)
        assert re.fullmatch(r"<(PNG|JPEG|GIF|SVG) picture · \d+ by \d+ pixels · \d+ bytes>", repr(found))
        assert brief(found) == repr(found)
        assert repr([found]) == f"[{found!r}]"


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif"])
def test_the_bundle_of_a_bitmap_has_its_file_beside_the_html_and_the_words(kind):
    bundle = with_pictures(FILES[kind])._repr_mimebundle_()
    assert set(bundle) == {f"image/{kind}", "text/html", "text/plain"}
    assert b64decode(bundle[f"image/{kind}"]) == FILES[kind]
    assert f'src="data:image/{kind};base64,' in bundle["text/html"]
    assert bundle["text/plain"].startswith(f"{kind.upper()} picture · ")


@pytest.mark.parametrize("value", [SVG, SVG.encode()], ids=["text", "bytes"])
def test_the_bundle_of_a_drawing_wraps_it_in_an_image_so_that_nothing_in_it_runs(value):
    hostile = "<script>alert(1)</script><style>*{display:none}</style><a href='javascript:alert(1)'/><circle"
    given = value.replace(
        *(["<circle", hostile] if isinstance(value, str) else [b"<circle", hostile.encode()])
    )
    bundle = with_pictures(given)._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/html", "text/plain"}
    shown = bundle["image/svg+xml"]
    assert re.findall(r"<(\w+)", shown) == ["svg", "image"]
    assert shown.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80"><image ')
    data = re.search('href="data:image/svg\\+xml;base64,([^"]+)"', shown)[1]
    assert b64decode(data) == (given.encode() if isinstance(given, str) else given)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (png(60_000, 60_000), "too large to show here"),
        (png() + bytes(3_000_000), "too large to show here"),
        (SVG.replace("<circle", "<script/><foreignObject/>" * 60_000 + "<circle"), "not shown, because "),
        (b"RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00", "not shown, because only PNG"),
    ],
    ids=["many pixels", "many bytes", "many elements", "webp"],
)
def test_a_picture_that_is_not_shown_is_described_in_words_only(value, why):
    bundle = with_pictures(value)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert why in bundle["text/plain"]
    assert "<img" not in bundle["text/html"]


@pytest.mark.parametrize(
    "value", ["<svg is a tag", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\x00", "<!-- <svg> -->"]
)
def test_what_only_begins_like_a_picture_is_shown_as_plain_data(value):
    found = with_pictures(value)
    assert repr(found) == repr(value)
    assert found == value
    if isinstance(found, Picture):
        assert found._repr_mimebundle_() is None


@pytest.mark.parametrize("value", ["text", b"bytes", 3, None, {"a": 1}, [1.5], "about <svg> elements"])
def test_other_values_stay_as_they_are(value):
    assert with_pictures(value) is value


def test_pictures_within_lists_tuples_and_dicts_are_found():
    found = with_pictures({"a": [png(), "x"], "b": (SVG, {"c": GIF}), "d": b"data"})
    assert [isinstance(each, Picture) for each in (found["a"][0], found["b"][0], found["b"][1]["c"])] == [
        True
    ] * 3
    assert (type(found["a"][1]), type(found["d"])) == (str, bytes)
    assert found == {"a": [png(), "x"], "b": (SVG, {"c": GIF}), "d": b"data"}


def test_svg_text_is_still_text_for_print_format_and_json():
    found = with_pictures(SVG)
    assert (str(found), f"{found}", json.loads(json.dumps(found))) == (SVG, SVG, SVG)


class TestCost:
    @pytest.fixture
    def checks(self, monkeypatch):
        """The drawings whose cost was estimated."""
        checked = []
        problem = Drawing.problem

        def spied(drawing, size):
            checked.append(drawing)
            return problem(drawing, size)

        monkeypatch.setattr(Drawing, "problem", spied)
        return checked

    @staticmethod
    def drawings(count, shape):
        return [
            with_pictures(SVG.replace("<circle", f"<{shape} x='{number}'/><circle"))
            for number in range(count)
        ]

    def test_a_repr_does_not_estimate_how_long_a_drawing_takes(self, checks):
        drawings = self.drawings(3, "g")
        assert repr(drawings).count("<SVG picture · 120 by 80 pixels · ") == 3
        assert brief(drawings[0]).startswith("<SVG picture")
        assert checks == []

    def test_the_same_picture_is_read_once(self, checks):
        for value in self.drawings(1, "rect") + self.drawings(1, "rect"):
            assert value._repr_mimebundle_()["text/plain"] == value.image.plain
        assert len(checks) == 1

    def test_of_many_pictures_only_those_within_the_limits_are_read(self, checks):
        assert show(self.drawings(30, "path")).html.count("<img") == 20
        assert len(checks) == 20

    def test_pictures_beyond_the_limit_of_their_bytes_are_not_read(self, checks):
        padding = "<!--" + 900_000 * "-x" + "-->"
        shown = show(
            [with_pictures(SVG.replace("<circle", f"{padding}<circle r='{n}'/><circle")) for n in (1, 2)]
        )
        assert shown.html.count("<img") == 1
        assert shown.plain.count("SVG picture · 120 by 80 pixels · 1.8 MB") == 2
        assert len(checks) == 1


def titled(kind: bytes, entry: bytes) -> bytes:
    chunk = struct.pack(">I", len(entry)) + kind + entry + struct.pack(">I", zlib.crc32(kind + entry))
    return FILES["png"][:33] + chunk + FILES["png"][33:]


class TestTextForThoseWhoCannotSeeIt:
    @pytest.mark.parametrize(
        ("value", "title"),
        [
            (titled(b"tEXt", b"Title\0Caf\xe9"), "Café"),
            (titled(b"iTXt", b"Title\0\0\0de\0Titel\0" + "Größe\n日".encode()), "Größe 日"),
            (titled(b"iTXt", b"Title\0\1\0\0\0" + zlib.compress(b"packed")), ""),
            (titled(b"iTXt", b"Title\0"), ""),
            (titled(b"iTXt", b"Title\0\0\0" + b"\xff\xfe"), ""),
            (titled(b"tEXt", b"Author\0me"), ""),
            (SVG.replace("<circle", "<title>A &amp; B</title><circle"), "A & B"),
            (SVG.replace("<circle", "<g><title>of a part</title></g><circle"), ""),
        ],
        ids=["latin", "utf-8", "packed", "cut", "broken", "another entry", "svg", "part of an svg"],
    )
    def test_the_title_is_read_from_the_file(self, value, title):
        found = with_pictures(value, "chart").image
        assert found.title == title
        assert found.alt == f"chart: {title or found.plain}"

    @pytest.mark.parametrize(
        "preview", [b"", b"GIF89a", FILES["png"], b"\xff\xd8\xff" + bytes(20), bytes(2_000_000)], ids=range(5)
    )
    def test_a_preview_that_is_no_jpeg_file_is_not_shown(self, preview):
        value = titled(b"prVW", preview) + bytes(2_000_000)
        found = with_pictures(value).image
        assert (found.preview, found.media) == (b"", {})
        assert found.plain.endswith("too large to show here")

    def test_without_tool_and_title_it_is_the_description(self):
        found = with_pictures(FILES["png"]).image
        assert found.alt == found.plain

    def test_it_is_in_the_html_and_can_t_leave_its_attribute(self):
        value = titled(b"tEXt", b'Title\0" onload="alert(1)"><script>x</script>' + b"y" * 900)
        found = with_pictures([value], "chart")[0]
        html = found._repr_mimebundle_()["text/html"]
        assert 'alt="chart: &quot; onload=&quot;alert(1)&quot;&gt;&lt;script&gt;' in html
        assert "<script" not in html
        assert len(found.image.title) <= 200
        assert show(found).html in html

    def test_copies_keep_the_tool(self):
        found = with_pictures(FILES["svg text"], "chart")
        for copied in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301 - our own
            assert copied.image.alt.startswith("chart: ")


def test_the_history_keeps_what_a_picture_is_and_not_its_bytes():
    value = titled(b"tEXt", b"Title\0Sales")
    data = {"chart": [value, (value, 1)], "svg": SVG, "bytes": b"\x89PNG"}
    about = {
        "type": "PNG picture",
        "title": "Sales",
        "size": [3, 2],
        "bytes": len(value),
        "sha256": hashlib.sha256(value).hexdigest(),
    }
    assert summarised(data) == {"chart": [about, (about, 1)], "svg": SVG, "bytes": b"\x89PNG"}
    assert "title" not in summarised(FILES["png"])
