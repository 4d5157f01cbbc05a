"""The tables of ``%fact`` and their cells, as HTML and as plain text."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fact_magics.display import cells
from fact_magics.display.table import Table, columns, facts_table
from fact_magics.tool import Status
from fact_magics.values import plain
from fact_magics.values.summaries import describe
from fact_magics.values.tables import stand_ins

NOON = "2026-11-22T12:00:00.000Z"
NOW = datetime(2026, 11, 22, 12, 5, tzinfo=UTC).timestamp()


def test_a_table_has_headings_a_caption_and_a_plain_twin_in_columns(parse):
    table = Table(
        "2 rows", ("A", "Long head", "Took"), (("1", "x", "9 ms"), ("22", "y", "12 ms")), numbers=("Took",)
    )
    record = table.record()
    assert record.plain.splitlines() == [
        "2 rows",
        "A   Long head   Took",
        "1   x           9 ms",
        "22  y          12 ms",
    ]
    [built] = parse(record.html).all("table")
    assert built.all("caption")[0].text == "2 rows"
    assert [(head.text, head.attributes["scope"]) for head in built.all("th")] == [
        ("A", "col"),
        ("Long head", "col"),
        ("Took", "col"),
    ]
    assert built.rows[1:] == [["1", "x", "9 ms"], ["22", "y", "12 ms"]]
    assert ["text-align:right" in cell.attributes["style"] for cell in built.all("td")] == [
        False,
        False,
        True,
    ] * 2


def test_a_table_that_is_too_wide_scrolls_by_itself(parse):
    page = parse(Table("t", tuple("abcdefghij"), [["x" * 100] * 10]).record().html)
    [scrolled] = [div for div in page.all("div") if "overflow-x:auto" in div.attributes.get("style", "")]
    assert scrolled.all("table")


@pytest.mark.parametrize(("title", "wraps"), [("the first 20 of 300 rows", False), ("x" * 200, True)])
def test_a_short_caption_stays_on_one_line_above_a_narrow_table(parse, title, wraps):
    [caption] = parse(Table(title, ("n",), [["1"]]).record().html).all("caption")
    assert ("nowrap" not in caption.attributes["style"]) is wraps


def test_a_table_without_rows_is_its_title():
    record = Table("No tool matches.", ("Tool",), ()).record()
    assert record.plain == "No tool matches."
    assert "<table" not in record.html


def test_a_column_that_may_be_left_out_is_there_only_when_it_says_something():
    def head(*rows):
        return (
            Table("t", ("Tool", "Allowed", "Took"), rows, numbers=("Took",), optional=("Allowed",))
            .record()
            .plain
        )

    assert head(("a", "", "1 ms"), ("b", "", "20 ms")).splitlines()[1:] == [
        "Tool   Took",
        "a      1 ms",
        "b     20 ms",
    ]
    assert "Allowed" in head(("a", "", "1 ms"), ("b", "net:x", "2 ms"))


def test_long_and_broken_text_is_folded_onto_one_line():
    [_, _, row] = Table("t", ("A",), [["one\ntwo\x1b" + "x" * 500]]).record().plain.splitlines()
    assert row == "one two\\x1b" + "x" * 111 + "…"


def test_a_cell_of_several_lines_keeps_its_column():
    shown = Table("t", ("A", "B"), [["one\ntwo", "<three>"]]).html()
    assert shown.count("<td") == 2
    assert ">one\ntwo</td>" in shown
    assert ">&lt;three&gt;</td>" in shown


def test_a_time_is_told_as_how_long_ago_and_keeps_itself(parse):
    cell = cells.when(NOON, NOW)
    assert cell.plain == "5 min ago"
    [time] = parse(cell.html).all("time")
    assert time.text == "5 min ago"
    assert time.attributes == {"datetime": NOON, "title": "2026-11-22 12:00:00 UTC"}


@pytest.mark.parametrize(
    ("status", "cached", "shown"),
    [
        (Status.OK, False, "✓ ok"),
        (Status.OK, True, "✓ ok · cached"),
        (Status.TIMEOUT, False, "✗ timeout"),
        (Status.INTERRUPTED, False, "■ interrupted"),
    ],
)
def test_a_status_is_a_mark_and_a_word(parse, status, cached, shown):
    cell = cells.status(status, cached=cached)
    assert cell.plain == shown == parse(cell.html).text


class TestMiddle:
    def test_what_fits_stays_as_it_is_on_one_line(self):
        assert cells.middle("a\n  b", 10) == "a b"
        assert cells.middle("x" * 10, 10) == "x" * 10

    @pytest.mark.parametrize("length", [11, 50, 5_000_000])
    def test_the_beginning_and_the_end_are_kept(self, length):
        assert cells.middle("a" * (length - 5) + "bcdef", 10) == "aaaaaa…def"

    def test_controls_are_written_out(self):
        assert cells.middle("\x1b[0m\u202e", 40) == "\\x1b[0m\\u202e"


def test_input_and_output_are_both_seen_however_long(parse):
    cell = cells.in_and_out('{"text": "' + "x" * 9_000 + '"}', "[" + "1, " * 9_000 + "2]")
    given, came = cell.plain.split(" → ")
    assert given.startswith('{"text": "xx')
    assert given.endswith('x"}')
    assert came.startswith("[1, 1,")
    assert came.endswith("1, 2]")
    assert [code.text for code in parse(cell.html).all("code")] == [given, came]
    assert parse(cell.html).text == cell.plain


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: pytest.importorskip("pandas").DataFrame({"a": [1], "b": ["x"]}),
            "<pandas.DataFrame of 1 by 2>",
        ),
        (lambda: pytest.importorskip("numpy").arange(3), "<numpy.ndarray of 3>"),
        (lambda: pytest.importorskip("numpy").array(1.5), "<numpy.ndarray>"),
    ],
)
def test_a_table_is_told_by_its_type_and_size(make, told):
    kept = json.dumps(plain(stand_ins({"df": make()}, describe)))
    assert cells.in_and_out(kept, None).plain == f'{{"df": "{told}"}} → '


def test_a_picture_is_told_by_its_type_and_size():
    kept = {"type": "PNG picture", "title": "t", "size": [3, 2], "bytes": 70, "sha256": "ab"}
    assert cells.in_and_out(None, json.dumps(kept)).plain == ' → "<PNG picture of 3 by 2>"'


def test_other_data_with_a_hash_stays_as_it_is():
    for kept in ('{"type": "file", "sha256": "ab"}', '{"size": [1, 2], "sha256": "ab"}', '{"sha256": "ab'):
        assert cells.in_and_out(kept, kept).plain == f"{kept} → {kept}"


def test_an_error_is_told_in_words_and_nothing_by_nothing(parse):
    cell = cells.in_and_out('{"n": 0}', "f raised ValueError: <no>", is_data=False)
    assert cell.plain == '{"n": 0} → f raised ValueError: <no>'
    assert [code.text for code in parse(cell.html).all("code")] == ['{"n": 0}']
    assert cells.in_and_out(None, None).plain == " → "


def test_facts_have_their_names_as_the_rows_headings(parse):
    [table] = parse(facts_table([("Model", "a <b>"), ("Cache", "2 answers")])).all("table")
    assert table.rows == [["Model", "a <b>"], ["Cache", "2 answers"]]
    assert [head.attributes["scope"] for head in table.all("th")] == ["row", "row"]


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("é", 1), ("", 0)])
def test_the_columns_of_wide_letters_and_marks_are_counted(text, width):
    assert columns(text) == width
