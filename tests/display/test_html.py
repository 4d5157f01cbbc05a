"""The pieces that records are made of, and the record of a run: hostile text is inert in all of them."""

from __future__ import annotations

import re

import pytest

from fact_magics.display.html import Html, element, folded, join, preformatted
from fact_magics.display.record import run_record
from fact_magics.display.table import Table
from fact_magics.text import inert
from fact_magics.tool import ToolOutput

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "</pre></details><b>out</b>",
    "&lt;already&gt; &amp;",
    "\x00\x07\x9b31m",
    "lone \udcff surrogate",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text_in_every_piece(parse, text):
    pieces = [
        element("p", text),
        element("p", "x", title=text),
        preformatted(text, code=True),
        folded(text, Html("")),
        join(text, text),
    ]
    for piece in pieces:
        found = parse(piece).all()
        assert {element.tag for element in found} <= {"p", "pre", "code", "details", "summary"}
        assert {name for element in found for name in element.attributes} <= {"title", "style"}
        assert "\x1b" not in piece
        assert "\u202e" not in piece
        piece.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_run_is_shown_inert(parse, text):
    output = ToolOutput(
        True, {text: [text]}, 1.0, {"tool": "t", "version": "1.0.0", "printed": text, "isolation": ()}
    )
    failed = ToolOutput(False, None, 1.0, {"tool": "t", "version": "1.0.0", "printed": "", "error": text})
    for record in (run_record(output), run_record(failed), Table(text, (text,), ((text,),)).record()):
        assert not parse(record.html).all("script", "img", "svg", "b", "a")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", record.html + record.plain)


def test_what_was_escaped_reads_as_it_was_written(parse):
    assert parse(element("p", "<b> & &lt; 'x' \"y\"")).text == "<b> & &lt; 'x' \"y\""
    [paragraph] = parse(element("p", title="<b> & 'x' \"y\"")).all("p")
    assert paragraph.attributes["title"] == "<b> & 'x' \"y\""


@pytest.mark.parametrize("text", ["a\n\nb", "\n\na", "a \n \t \n\n\nb", "a\n\n", "\n"])
def test_no_blank_line_is_in_markup_since_one_would_end_it_in_markdown(parse, text):
    for piece in (
        element("p", text),
        preformatted(text),
        preformatted(text, code=True),
        preformatted(Html(text)),
    ):
        assert not re.search(r"\n[ \t]*\n", piece)
        assert parse(piece).text == text


def test_controls_are_written_out_and_line_feeds_kept():
    assert inert("a\x1b[0m\tb\nc\u202e") == "a\\x1b[0m\tb\nc\\u202e"


class TestRunRecord:
    def test_both_forms_say_result_print_time_and_isolation(self, parse):
        output = ToolOutput(
            True,
            "x",
            12.3,
            {
                "tool": "slugify",
                "version": "1.0.0",
                "printed": "hello\n",
                "isolation": ("landlock", "rlimits"),
            },
        )
        record = run_record(output)
        for part in ("x", "hello", "slugify", "1.0.0", "12 ms", "isolated"):
            assert part in parse(record.html).text
            assert part in record.plain
        assert "landlock" not in record.plain + parse(record.html).text
        titles = [span.attributes.get("title") for span in parse(record.html).all("span")]
        assert titles == ["Layers of isolation: landlock, rlimits"]

    @pytest.mark.parametrize("layers", [("process",), ("none", "in kernel"), ("rlimits", "fork")])
    def test_a_run_whose_files_nothing_restricts_names_its_layers(self, layers):
        told = {"tool": "f", "version": "1.0.0", "printed": "", "isolation": layers}
        record = run_record(ToolOutput(True, 1, 1.0, told))
        assert f"isolation: {', '.join(layers)}" in record.plain
        assert f"isolation: {', '.join(layers)}" in record.html

    def test_a_cached_answer_says_so(self):
        told = {
            "tool": "f",
            "version": "1.0.0",
            "printed": "",
            "cached": True,
            "age_seconds": 3 * 86400,
            "saved_ms": 1200,
        }
        assert "cached · 3 days ago · saved 1.2 s" in run_record(ToolOutput(True, 1, 0.01, told)).plain

    def test_what_was_streamed_is_not_printed_again(self):
        output = ToolOutput(True, 1, 1.0, {"tool": "f", "version": "1.0.0", "printed": "hello\n"})
        record = run_record(output, streamed=True)
        assert "hello" not in record.plain + record.html

    def test_a_picture_is_followed_by_what_is_known_of_the_run(self, parse):
        drawing = "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='4'/>"
        record = run_record(
            ToolOutput(True, drawing, 1.0, {"tool": "draw", "version": "1.0.0", "cached": True})
        )
        assert len(parse(record.html).all("img")) == 1
        assert record.plain.splitlines()[0] == "SVG picture · 8 by 4 pixels · 62 bytes"
        assert "draw · 1.0.0 · cached" in record.plain.splitlines()[-1]

    def test_a_long_print_scrolls_and_a_short_one_does_not(self, parse):
        for lines, scrolls in ((3, False), (200, True)):
            told = {"tool": "f", "version": "1.0.0", "printed": "hello\n" * lines}
            [printed, _] = parse(run_record(ToolOutput(True, 1, 1.0, told)).html).all("pre")
            assert ("overflow:auto" in printed.attributes["style"]) is scrolls

    def test_no_mathematics_is_made_of_prices(self, parse):
        bundle = run_record(ToolOutput(True, "from $5 to $9", 1.0, {"tool": "f"})).bundle
        assert set(parse(bundle["text/html"]).children[0].attributes["class"].split()) == {
            "mathjax_ignore",
            "tex2jax_ignore",
        }
