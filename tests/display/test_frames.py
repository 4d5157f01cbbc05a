"""Tables, Series and arrays in records."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bs4 import BeautifulSoup
from late import Late

from fact_magics.display.frames import COLUMNS, ROWS
from fact_magics.display.result import show

pytestmark = pytest.mark.slow


def large() -> pd.DataFrame:
    return pd.DataFrame({"n": range(1_000_000), "word": ["a", "b"] * 500_000})


def parse(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def heads(node) -> list[str]:
    return [head.get_text(" ").strip() for head in node.select("thead th")]


def rows(node) -> list[list[str]]:
    return [[cell.get_text() for cell in row.select("th, td")] for row in node.select("tbody tr")]


@pytest.mark.parametrize(
    ("value", "title", "heading", "first"),
    [
        (pd.DataFrame({"n": [1], "word": ["x"]}), "pandas.DataFrame · 1 row by 2 columns", ["n int64", "word str"], ["1", "x"]),
        (Late(large), "pandas.DataFrame · 1,000,000 rows by 2 columns · the first 20 rows", ["n int64", "word str"], ["0", "a"]),
        (pd.DataFrame({"n": [1.5]}, pd.Index(["k"], name="key")), "pandas.DataFrame · 1 row by 1 column", ["key str", "n float64"], ["k", "1.5"]),
        (pd.Series([1, None], name="n", dtype="Int64"), "pandas.Series · 2 values", ["n Int64"], ["1"]),
        (pl.DataFrame({"n": [1], "at": [None]}), "polars.DataFrame · 1 row by 2 columns", ["n Int64", "at Null"], ["1", "None"]),
        (pl.Series("n", [2]), "polars.Series · 1 value", ["n Int64"], ["2"]),
        (pa.table({"n": [Decimal("1.50")]}), "pyarrow.Table · 1 row by 1 column", ["n decimal128(3, 2)"], ["1.50"]),
        (np.array([[1, 2], [3, 4]]), "numpy.ndarray · 2 by 2 of int64", ["0", "1"], ["1", "2"]),
        (np.zeros((100, 100)), "numpy.ndarray · 100 by 100 of float64 · the first 20 rows and 16 columns", [str(n) for n in range(16)], ["0.0"] * 16),
    ],
    ids=range(9),
)  # fmt: skip
def test_the_class_the_size_the_types_and_the_first_rows_are_shown(value, title, heading, first):
    record = show(value)
    node = parse(record.html)
    assert node.caption.get_text() == title
    assert heads(node) == heading
    assert rows(node)[0] == first
    assert len(rows(node)) <= ROWS
    assert len(heads(node)) <= COLUMNS
    lines = record.plain.split("\n")
    assert lines[-1] == title
    assert [name for head in heading for name in head.split()[:1]] == lines[0].split()
    assert {*first} <= {*" ".join(lines[1:]).split()}


def test_an_index_heads_its_rows_and_numbers_are_right_aligned():
    frame = pd.DataFrame({"n": [1], "n ": ["x"]}, pd.MultiIndex.from_tuples([("k", 2)], names=["key", None]))
    frame.columns = ["n", "n"]
    node = parse(show(frame).html)
    cells = node.select("tbody th, tbody td")
    assert [cell.name for cell in cells] == ["th", "th", "td", "td"]
    assert [cell.get("scope") for cell in cells[:2]] == ["row", "row"]
    assert [cell.get("align") for cell in cells] == [None, "right", "right", None]
    assert node.div["style"] == "overflow-x:auto"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (pd.DataFrame(), "pandas.DataFrame · 0 rows by 0 columns"),
        (np.zeros((2, 3, 4)), "numpy.ndarray · 2 by 3 by 4 of float64"),
        (np.array(5), "numpy.ndarray · one value of int64"),
        (np.zeros((0, 4)), "numpy.ndarray · 0 by 4 of float64"),
    ],
)
def test_what_has_no_rows_is_said_by_its_size(value, said):
    assert show(value).plain.endswith(said)


def test_an_array_of_one_dimension_has_no_headings():
    record = show(np.array([7, 12]))
    assert not parse(record.html).select("thead")
    assert record.plain == " 7\n12\nnumpy.ndarray · 2 of int64"


def test_rows_inside_of_other_data_are_shown_there():
    record = show({"prices": pd.DataFrame({"n": [1]}), "more": [np.arange(3)], "one": 1})
    captions = [caption.get_text() for caption in parse(record.html).select("caption")]
    assert captions == ["pandas.DataFrame · 1 row by 1 column", "numpy.ndarray · 3 of int64"]
    assert "'prices': <pandas.DataFrame · 1 row by 1 column>" in record.plain


def test_many_tables_in_a_list_are_bounded():
    record = show([large()] * 1_000)
    assert 5 <= len(parse(record.html).select("caption")) <= 20
    assert len(record.html) < 200_000


def test_no_more_is_read_than_is_shown(monkeypatch):
    """The record of a large table costs no more than that of a small one."""
    value, read, tolist = large(), [], pd.Series.tolist
    monkeypatch.setattr(pd.Series, "tolist", lambda series: read.append(len(series)) or tolist(series))
    show(value)
    assert read == [ROWS, ROWS]


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u202eevil",
    "a\nb\x1b[31m",
    "$x$",
    "`|",
    Late(lambda: "x" * 10**7),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_cells_and_names_are_inert(text):
    frame = pd.DataFrame([[text, b"\x00", 1]], columns=[text, "b", "c"], index=pd.Index([text], name=text))
    frame["object"] = [object()]
    for value in (frame, {"a": frame}, pl.DataFrame({text or "x": [text]}), pa.table({text: [text]})):
        record = show(value)
        node = parse(record.html)
        assert not node.select("script, img")
        assert len(record.html) < 10_000
        for shown in (record.plain, node.get_text()):
            assert not {*"\u202e\x1b\x00"} & {*shown}
        assert all("\n" not in cell for row in rows(node) for cell in row)
