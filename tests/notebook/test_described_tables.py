"""Tables of polars and Arrow in a description: their columns, types and first rows."""

from __future__ import annotations

from datetime import date

import polars as pl
import pyarrow as pa
import pytest

from fact_magics.notebook.bodies import fill_variables

pytestmark = pytest.mark.slow


def filled_with(frame) -> str:
    return "".join(piece.text for piece in fill_variables("{{frame}}", {"frame": frame}))


@pytest.mark.parametrize(
    ("make", "types"),
    [
        (pl.DataFrame, "city: String, n: Int64, day: Date, found: List(Float64)"),
        (pa.table, "city: string, n: int64, day: date32[day], found: list<item: double>"),
        (
            pa.RecordBatch.from_pydict,
            "city: string, n: int64, day: date32[day], found: list<item: double>",
        ),
    ],
    ids=["polars", "table", "batch"],
)
def test_a_table_of_polars_or_arrow_goes_in_as_columns_types_and_first_rows(make, types):
    data = {
        "city": ["Rome\nItaly", "Oslo"] * 10,
        "n": [*range(20)],
        "day": [date(2024, 2, 29), None] * 10,
        "found": [[0.5], [1.5] * 200] * 10,
    }
    filled = filled_with(make(data))
    head, names, *rows = filled.split("\n")
    assert head == f"A table of 20 rows. Columns: {types}. First rows:"
    assert names.split() == ["city", "n", "day", "found"]
    assert [row.split()[:3] for row in rows[:2]] == [
        ["Rome\\nItaly", "0", "2024-02-29"],
        ["Oslo", "1", "None"],
    ]
    assert rows[0].endswith(" [0.5]")
    assert rows[1].endswith("…")
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (pl.DataFrame({f"column {index}": [index] for index in range(30)}), "column 12 column 13"),
        (pl.DataFrame(), "A table of 0 rows"),
        (pl.DataFrame({"n": pl.Series([], dtype=pl.Int64)}), "n: Int64. First rows:\nn"),
        (pa.table({}), "A table of 0 rows"),
        (pa.table([[1], [2]], names=["a", "a"]), "\na a\n1 2"),
        (pl.DataFrame({"held": [object()], "n": [1]}), "<unreadable> 1"),
        (pl.DataFrame({"day": pl.Series([10**7]).cast(pl.Date)}), "<unreadable>"),
        (type("Frame", (pl.DataFrame,), {})({"n": [7]}), "n: Int64. First rows:\nn\n7"),
    ],
    ids=["wide", "empty", "no rows", "empty table", "equal names", "objects", "no date of Python", "subclass"],
)  # fmt: skip
def test_an_odd_table_is_shown_too(frame, shown):
    assert shown in filled_with(frame)
