"""Hostile text is inert in everything that is shown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from fact_magics.display.html import Html, element, folded, join, preformatted, table
from fact_magics.display.record import Record, result_text, run_record
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


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data


def parsed(markup: str) -> _Elements:
    parser = _Elements()
    parser.feed(markup)
    parser.close()
    return parser


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text_in_every_piece(text):
    pieces = [
        element("p", text),
        element("p", "x", title=text),
        preformatted(text, code=True),
        folded(text, Html("")),
        table((text,), [(text,)]),
        join([text, text], text),
    ]
    for piece in pieces:
        found = parsed(piece)
        assert set(found.tags) <= {
            "p",
            "pre",
            "code",
            "details",
            "summary",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        assert not [name for name in found.attributes if name.startswith("on")]
        assert "\x1b" not in piece
        assert "\u202e" not in piece
        piece.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_run_is_shown_inert(text):
    output = ToolOutput(
        True, {text: [text]}, 1.0, {"tool": "t", "version": "1.0.0", "printed": text, "isolation": ()}
    )
    failed = ToolOutput(False, None, 1.0, {"tool": "t", "version": "1.0.0", "printed": "", "error": text})
    for record in (run_record(output), run_record(failed), Table(text, (text,), ((text,),)).record()):
        assert not set(parsed(record.html).tags) & {"script", "img", "svg", "b"}
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", record.html + record.plain)


def test_what_was_escaped_reads_as_it_was_written():
    assert parsed(element("p", "<b> & &lt;")).text == "<b> & &lt;"


def test_controls_are_written_out_and_line_feeds_kept():
    assert inert("a\x1b[0m\tb\nc\u202e") == "a\\x1b[0m\tb\nc\\u202e"


class TestRunRecord:
    def test_both_forms_say_result_print_time_and_isolation(self):
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
        for part in ("x", "hello", "slugify", "1.0.0", "12 ms", "isolation: landlock, rlimits"):
            assert part in parsed(record.html).text
            assert part in record.plain

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
        assert "hello" not in run_record(output, streamed=True).plain

    def test_a_huge_result_is_cut_with_a_note(self):
        shown = result_text("x" * 1_000_000)
        assert len(shown) < 11_000
        assert "990,002 more characters" in shown

    def test_a_huge_list_is_cut_too(self):
        assert len(result_text(list(range(200_000)))) < 11_000


def test_a_table_has_a_plain_twin_in_columns():
    record = Table("2 rows", ("A", "Long head"), (("1", "x"), ("22", "y"))).record()
    assert record.plain.splitlines() == ["2 rows", "A   Long head", "1   x", "22  y"]
    assert isinstance(record, Record)


def test_what_is_cut_from_a_result_is_counted():
    assert "the beginning of 200,000 items" in result_text([0] * 200_000)
    assert "items" not in result_text([[1, 2], (3, {"a": {4}})])
    assert result_text([[1, 2], (3, {"a": {4}})]) == "[[1, 2], (3, {'a': {4}})]"
