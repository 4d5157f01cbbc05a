"""Results as text."""

from __future__ import annotations

import ast

import pytest

from fact_magics.display.outline import outline

LONG = [
    list(range(200)),
    [{"name": f"row {i}", "values": [i, i + 1]} for i in range(20)],
    {"a": {"b": {"c": ["word"] * 60}}, "d": "x" * 300},
    ("one item", ["x" * 30] * 9),
    ("x" * 200,),
    [[[]] * 80, {}, set(), ()],
    {f"key {i}": (i, float(i), None, True) for i in range(30)},
    set(range(200)),
]


@pytest.mark.parametrize("value", LONG, ids=range(len(LONG)))
def test_what_is_laid_out_reads_back_as_the_same_value(value):
    written = outline(value).layout()
    assert ast.literal_eval(written) == value
    assert max(len(line) for line in written.splitlines()) <= 330


@pytest.mark.parametrize("value", [1, "text", [1, 2], {"a": 1}, (1,), set(), None, "x" * 500])
def test_what_fits_a_line_or_is_one_text_is_its_repr(value):
    assert outline(value).layout() == repr(value)


def test_short_items_share_lines_and_rows_have_their_own():
    assert len(outline(list(range(200))).layout().splitlines()) < 15
    rows = outline([{"name": f"somebody {i}", "city": "somewhere"} for i in range(5)]).layout()
    assert rows.splitlines()[1] == " {'name': 'somebody 1', 'city': 'somewhere'},"
