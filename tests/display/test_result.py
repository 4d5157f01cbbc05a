"""Results as markup and as plain text: the same content, readable, inert, and no larger than a cell should be."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from late import Late

from fact_magics.display.result import show

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '"><svg onload=alert(1)>',
    '<a href="javascript:alert(1)">x</a>',
    "</li></ul></details></pre></td></table><b>out</b>",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "line\n\n<script>alert(1)</script>\n\n",
    "\x00\x07\x9b31m\udcff",
]
OURS = {
    "details",
    "summary",
    "ul",
    "li",
    "span",
    "pre",
    "div",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")


def nested(depth: int) -> object:
    value: object = "at the bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


PEOPLE = [
    {"name": "Ann", "age": 31, "balance": Decimal("12.50"), "active": True, "since": date(2026, 1, 2)},
    {"name": "Bob", "age": 9, "balance": Decimal("-3.00"), "active": False, "since": None},
]
REPORT = {
    "title": "A report that is long enough to need more than a line of its own",
    "totals": {"net": 12.5, "gross": 15.0, "regions": {"north": list(range(40)), "south": None}},
    "tags": ("a", "b"),
    "seen": {3, 1, 2},
    "when": datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
}


class TestSingleValues:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (None, "None"),
            (True, "True"),
            (42, "42"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (float("nan"), "nan"),
            (Decimal("1.50"), "Decimal('1.50')"),
            (date(2026, 1, 2), "2026-01-02"),
            (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02 03:04:00+00:00"),
            (time(3, 4, 5), "03:04:05"),
            (timedelta(days=1, seconds=5), "1 day 0:00:05"),
            (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
            (PurePosixPath("/x"), "PurePosixPath('/x')"),
            ("hello-world", "'hello-world'"),
            ("", "''"),
            ("None", "'None'"),
            (b"\x00ab", "b'\\x00ab'"),
            ([], "[]"),
            (set(), "set()"),
            ((1,), "(1,)"),
            (frozenset({1}), "frozenset({1})"),
            ({3, 1, 2}, "{1, 2, 3}"),
            ({"a": [1, None], 2: {"b": (1.5, "x")}}, "{'a': [1, None], 2: {'b': (1.5, 'x')}}"),
        ],
    )
    def test_a_value_that_fits_a_line_is_one_line(self, parse, value, shown):
        result = show(value)
        assert result.plain == shown
        assert [element.tag for element in parse(result.html).all()] == ["pre"]
        assert parse(result.html).text == shown

    def test_items_that_have_no_order_are_shown_as_they_come(self):
        for value in ({1, "a"}, {Decimal(1), Decimal("NaN")}):
            assert sorted(show(value).plain.strip("{}").split(", ")) == sorted(map(repr, value))

    def test_bytes_are_shown_by_their_beginning_and_their_size(self):
        assert show(b"\x01\x02" * 4_000).plain == f"{bytes([1, 2] * 8)!r}… (8.0 kB)"

    def test_a_number_of_a_million_digits_is_told_by_its_size(self):
        assert show(1 << 3_000_000).plain == "<an int of 3,000,001 bits>"
        assert show(10**4_000).plain.endswith("… (3,001 more digits)")

    def test_an_object_of_another_kind_is_named_and_its_code_never_run(self):
        class Loud:
            def __repr__(self):
                raise AssertionError("a result's own code must not run")

        assert show(Loud()).plain == "<Loud>"
        assert "<Loud>" in show([Loud()] * 90).plain


class TestText:
    def test_text_of_several_lines_keeps_them(self, parse):
        letter = "Dear reader,\n\n  this is  indented.\n\t\nYours <b>\n"
        result = show(letter)
        assert result.plain == letter
        [pre] = parse(result.html).all("pre")
        assert pre.text == letter

    def test_a_line_feed_at_the_beginning_is_kept(self, parse):
        [pre] = parse(show("\n\nfirst\nsecond").html).all("pre")
        assert pre.text == "\n\nfirst\nsecond"

    @pytest.mark.parametrize(
        "text",
        [
            Late(lambda: "x" * 1_000_000),
            Late(lambda: "line\n" * 200_000),
            Late(lambda: "\n" * 1_000_000),
            Late(lambda: "é\u202e" * 500_000),
        ],
    )
    def test_long_text_is_cut_and_how_much_follows_is_said(self, parse, text):
        result = show(text)
        assert len(result.plain) < 61_000
        assert len(result.html) < 62_000
        assert re.search(r"… \(\d{3},\d{3} more characters\)\Z", result.plain)
        assert "more characters" in parse(result.html).text

    def test_so_many_lines_are_shown_and_no_more(self):
        assert show("line\n" * 200_000).plain.count("\n") == 299


class TestTree:
    def test_dicts_and_lists_fold_with_their_sizes_and_keys(self, parse):
        page = parse(show(REPORT).html)
        summaries = [summary.text for summary in page.all("summary")]
        assert summaries[0] == "dict · 5 items"
        assert summaries[1].startswith("totals: dict · 3 items")
        lines = [line.text for line in page.all("li")]
        assert "tags: ('a', 'b')" in lines
        assert "seen: {1, 2, 3}" in lines
        assert "when: 2026-11-22 09:30:00+00:00" in lines
        assert "net: 12.5" in lines

    def test_the_plain_twin_is_laid_out_and_holds_every_word_of_the_tree(self, parse):
        result = show(REPORT)
        assert result.plain.splitlines()[1].startswith(" 'totals': {'net': 12.5,")
        for word in ("A report that", "gross", "15.0", "[0, 1, 2,", "39", "None", "2026-11-22"):
            assert word in result.plain
        text = parse(result.html).text
        for word in re.findall(r"\w+", result.plain):
            assert word in text

    def test_what_is_short_stands_open_and_what_is_long_is_closed(self, parse):
        long = {
            "short": {f"k{i}": "x" * 30 for i in range(5)},
            "long": {f"k{i}": "x" * 30 for i in range(50)},
        }
        opened = {
            details.all("summary")[0].text.split(":")[0]: "open" in details.attributes
            for details in parse(show(long).html).all("details")
        }
        assert opened == {"dict · 2 items": True, "short": True, "long": False}
        closed = parse(show(long).html).all("summary")[2].text
        assert closed == "long: dict · 50 items · k0, k1, k2, k3, k4, k5, k6, k7, …"

    def test_items_of_a_list_are_numbered_and_short_ones_share_lines(self, parse):
        items = [line.text for line in parse(show([["x" * 60], {"y" * 60: 1}, "z" * 60]).html).all("li")]
        assert [item.split(":")[0] for item in items] == ["0", "1", "2"]
        [line] = parse(show(list(range(150))).html).all("li")
        assert line.text == ", ".join(map(str, range(150)))

    def test_a_text_of_several_lines_keeps_them_in_a_tree(self, parse):
        page = parse(show({"note": "one\n\ntwo", "more": "x" * 100}).html)
        assert [pre.text for pre in page.all("pre")] == ["one\n\ntwo"]

    @pytest.mark.parametrize(
        ("key", "label"),
        [("a b", "a b"), ("", "''"), ("None", "'None'"), (None, "None"), (1, "1"), ("1", "'1'"), ((1, "a"), "(1, 'a')"),
         ("a\nb", "'a\\nb'"), (date(2026, 1, 2), "2026-01-02"), ("k" * 900, "k" * 79 + "…")],
    )  # fmt: skip
    def test_keys_are_text_and_can_be_told_apart(self, parse, key, label):
        [line, _] = parse(show({key: 1, "other": "x" * 100}).html).all("li")
        assert line.text == f"{label}: 1"


class TestRows:
    def test_a_list_of_dicts_is_a_table_with_headings_and_a_count(self, parse):
        result = show(PEOPLE)
        [table] = parse(result.html).all("table")
        assert table.rows == [
            ["name", "age", "balance", "active", "since"],
            ["Ann", "31", "12.50", "True", "2026-01-02"],
            ["Bob", "9", "-3.00", "False", "None"],
        ]
        assert [head.attributes["scope"] for head in table.all("th")] == ["col"] * 5
        assert [caption.text for caption in table.all("caption")] == ["2 rows"]
        assert result.plain.splitlines() == [
            "name  age  balance  active  since",
            "Ann    31    12.50  True    2026-01-02",
            "Bob     9    -3.00  False   None",
            "2 rows",
        ]

    def test_numbers_are_right_aligned_and_nothing_else(self, parse):
        for row in parse(show(PEOPLE).html).all("tr"):
            aligned = [
                re.search("text-align:([a-z]+)", cell.attributes["style"])[1] for cell in row.all("th", "td")
            ]
            assert aligned == ["left", "right", "right", "left", "left"]

    def test_the_first_rows_and_columns_are_shown_and_both_are_counted(self, parse):
        result = show([{f"c{column}": row * column for column in range(34)} for row in range(500)])
        [table] = parse(result.html).all("table")
        assert len(table.rows) == 21
        assert {len(row) for row in table.rows} == {16}
        assert table.all("caption")[0].text == "the first 20 of 500 rows, the first 16 of 34 columns"
        assert result.plain.splitlines()[-1] == table.all("caption")[0].text

    def test_missing_empty_none_nan_and_texts_that_look_like_them_are_told_apart(self, parse):
        values = [None, float("nan"), "", "None", "nan", 5, "5", " x", "x"]
        rows = [{"at": position, "value": value} for position, value in enumerate(values)] + [{"at": 9}]
        shown = [row[1] for row in parse(show(rows).html).all("table")[0].rows[1:]]
        assert shown == ["None", "nan", "''", "'None'", "'nan'", "5", "'5'", "' x'", "x", ""]

    def test_ragged_rows_have_all_their_columns_and_nested_cells_are_short(self, parse):
        rows = [{"a": 1, "b": 2}, {"b": 3, "c": [1, 2]}, {"a": 4, "c": {"long": "x" * 200}}]
        assert parse(show(rows).html).all("table")[0].rows == [
            ["a", "b", "c"],
            ["1", "2", ""],
            ["", "3", "[1, 2]"],
            ["4", "", "dict · 1 item"],
        ]

    def test_a_field_that_was_not_looked_at_is_not_taken_for_a_missing_one(self, parse):
        first = {f"k{i}": i for i in range(30)}
        rows = parse(show([first, dict(reversed(first.items()))]).html).all("table")[0].rows
        assert rows[1][:3] == ["0", "1", "2"]
        assert rows[2][:3] == ["…", "…", "…"]

    def test_dicts_that_share_no_fields_are_a_tree(self, parse):
        page = parse(show([{f"only in {i}": "x" * 30} for i in range(8)]).html)
        assert page.all("details")
        assert not page.all("table")

    def test_rows_within_a_dict_are_a_table_in_the_tree(self, parse):
        page = parse(show({"total": 40, "rows": PEOPLE * 20}).html)
        assert [caption.text for caption in page.all("caption")] == ["the first 20 of 40 rows"]
        assert "rows: list · 40 items" in [summary.text for summary in page.all("summary")]

    def test_wide_letters_stay_in_their_columns_in_plain_text(self):
        lines = show(
            [{"name": "日本", "n": 1}, {"name": "abcdef", "n": 22}, {"name": "e\u0301", "n": 3}]
        ).plain.splitlines()
        assert lines[1:4] == ["日本     1", "abcdef  22", "e\u0301        3"]


BIG = {
    "10,000 keys": Late(lambda: {f"key {i}": {"value": i} for i in range(10_000)}),
    "200,000 numbers": Late(lambda: list(range(200_000))),
    "100,000 rows": Late(lambda: [{"a": i, "b": "x" * 500} for i in range(100_000)]),
    "rows of 5,000 fields": Late(lambda: [{f"f{i}": "x" * 100 for i in range(5_000)}] * 50),
    "200 levels": Late(lambda: nested(200)),
    "wide at every level": Late(lambda: {f"a{i}": {f"b{j}": {f"c{k}": ["x" * 90] * 9 for k in range(9)} for j in range(9)} for i in range(9)}),
    "long texts": Late(lambda: {f"key {i}": "x" * 1_000_000 for i in range(5)}),
    "long keys": Late(lambda: {"k" * 100_000 + str(i): i for i in range(50)}),
    "keys that are tuples": Late(lambda: {tuple(range(i, i + 1_000)): i for i in range(50)}),
    "many empty lists": Late(lambda: [[[]] * 1_000] * 1_000),
    "a large set": Late(lambda: set(range(100_000))),
    "many long texts": Late(lambda: ["word " * 400] * 300),
    "many texts of many lines": Late(lambda: {f"text {i}": "line\n" * 400 for i in range(60)}),
}  # fmt: skip


@pytest.mark.parametrize("value", BIG.values(), ids=BIG)
def test_a_large_result_is_cut_with_its_size_said(parse, value):
    result = show(value)
    assert len(result.html) < 120_000
    assert len(result.plain) < 60_000
    assert parse(result.html).text
    assert "…" in result.plain
    assert "…" in result.html


def test_no_more_of_a_result_is_looked_at_than_is_shown():
    taken = []

    class Watched(dict):
        def items(self):
            for pair in super().items():
                taken.append(pair)
                yield pair

    show(Watched((f"k{i}", i) for i in range(50_000)))
    assert len(taken) <= 61


def test_the_fields_of_the_top_level_are_all_named_before_any_is_gone_into():
    plain = show({f"part {i}": [list(range(50, 90))] * 50 for i in range(60)}).plain
    assert all(f"part {i}'" in plain for i in range(60))


def test_how_many_items_are_left_out_is_said_where_they_are_left_out():
    assert show(list(range(1_000))).plain.endswith("… 800 more items]")
    assert show({f"k{i}": i for i in range(61)}).plain.endswith("… 1 more item}")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        lambda text: {text: text},
        lambda text: {text: [text] * 50, "more": {text: text}},
        lambda text: [{text: text, "n": 1}, {text: text, "n": 2}],
        lambda text: {(text, 1): {text}, "long": "x" * 100},
        lambda text: [text * 3_000],
    ],
)
def test_hostile_text_is_inert_wherever_it_stands(parse, wrap, text):
    result = show(wrap(text))
    page = parse(result.html)
    assert {element.tag for element in page.all()} <= OURS
    attributes = {name for element in page.all() for name in element.attributes}
    assert attributes <= {"style", "open", "scope", "align", "cellpadding"}
    assert not ACTIVE.search(result.html + result.plain)
    assert not re.search(r"\n[ \t]*\n", result.html)
