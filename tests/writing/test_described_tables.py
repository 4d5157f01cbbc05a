"""Tables, Series and arrays in a description: their columns, types and first rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from late import Late

from fact_magics.writing.variables import fill_variables

pytestmark = pytest.mark.slow


def filled_with(value, **options) -> str:
    return "".join(piece.text for piece in fill_variables("{{value}}", {"value": value}, **options))


@pytest.mark.parametrize(
    ("make", "types"),
    [
        (pd.DataFrame, "city: str, n: int64, day: object, found: object"),
        (pl.DataFrame, "city: String, n: Int64, day: Date, found: List(Float64)"),
        (pa.table, "city: string, n: int64, day: date32[day], found: list<item: double>"),
        (
            pa.RecordBatch.from_pydict,
            "city: string, n: int64, day: date32[day], found: list<item: double>",
        ),
    ],
    ids=["pandas", "polars", "table", "batch"],
)
def test_a_table_goes_in_as_columns_types_and_first_rows(make, types):
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
    assert rows[1].endswith(" 1.5, … 192 more]")
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (pl.DataFrame({f"column {index}": [index] for index in range(30)}), "column 12 column 13"),
        (pl.DataFrame(), "A table of 0 rows"),
        (pl.DataFrame({"n": pl.Series([], dtype=pl.Int64)}), "A table of 0 rows. Columns: n: Int64."),
        (pa.table({}), "A table of 0 rows. Columns: none."),
        (pa.table([[1], [2]], names=["a", "a"]), "\na a\n1 2"),
        (pl.DataFrame({"held": [object()], "n": [1]}), "<object> 1"),
        (pl.DataFrame({"day": pl.Series([10**7]).cast(pl.Date)}), "<unreadable>"),
        (type("Frame", (pl.DataFrame,), {})({"n": [7]}), "n: Int64. First rows:\nn\n7"),
    ],
    ids=["wide", "empty", "no rows", "empty table", "equal names", "objects", "no date of Python", "subclass"],
)  # fmt: skip
def test_an_odd_table_is_shown_too(frame, shown):
    assert shown in filled_with(frame)


def prices() -> pd.DataFrame:
    return pd.DataFrame({"price": [1.5, float("nan")] * 500_000})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Late(lambda: prices().set_index(pd.Index(range(1, 1_000_001), name="id"))), "A table of 1,000,000 rows. Index: id: int64. Columns: price: float64. First rows:\nid price\n 1   1.5\n 2   NaN"),
        (pd.DataFrame({"n": [1]}, pd.MultiIndex.from_tuples([("a", 1)], names=["k", None])), "Index: k: str, int64. Columns: n: int64. First rows:\nk   n\na 1 1"),
        (pd.DataFrame({"made": pd.to_datetime(["2024-02-29", None])}), "made: datetime64[us]. First rows:\n               made\n2024-02-29 00:00:00\n                NaT"),
        (Late(lambda: prices()["price"]), "A Series of 1,000,000 values. Type: price: float64. First rows:\nprice\n  1.5\n  NaN"),
        (pd.Series([1, None], dtype="Int64"), "A Series of 2 values. Type: Int64. First rows:\n   1\n<NA>"),
        (pd.Index(["a", "b"]), "A Series of 2 values. Type: str. First rows:\na\nb"),
        (pl.Series("n", [1, None]), "A Series of 2 values. Type: n: Int64. First rows:\n   n\n   1\nNone"),
        (pa.chunked_array([[1], [2]]), "A Series of 2 values. Type: int64. First rows:\n1\n2"),
        (np.arange(6.0).reshape(2, 3), "An array of shape (2, 3), float64. First rows:\n0.0 1.0 2.0\n3.0 4.0 5.0"),
        (np.array(["2024-02-29"], "M8[D]"), "An array of shape (1,), datetime64[D]. First rows:\n2024-02-29"),
        (np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")]), "('x', '<f8')]. First rows:\n1 2.5"),
        (np.zeros((2, 3, 4)), "An array of shape (2, 3, 4), float64."),
        (np.zeros((0, 3)), "An array of shape (0, 3), float64."),
        (np.array(5), "An array of shape (), int64."),
        (pd.DataFrame(np.zeros((2, 100_000))), "Columns (the first 100 of 100,000): 0: float64, 1: float64"),
        (Late(lambda: pd.DataFrame({"text": ["x" * 10**8]})), f"\n{'x' * 200}…"),
    ],
    ids=range(16),
)  # fmt: skip
def test_its_index_its_kind_and_its_size_are_said(value, shown):
    filled = filled_with(value)
    assert shown in filled
    assert len(filled) < 4_200


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (pd.DataFrame({"name": ["Ada"], "age": [36]}), "A table of 1 row. Columns: name: str, age: int64."),
        (pl.DataFrame({"name": ["Ada"]}), "A table of 1 row. Columns: name: String."),
        (pa.table({"name": ["Ada"]}), "A table of 1 row. Columns: name: string."),
        (pd.Series(["Ada"], index=["Grace"]), "A Series of 1 value. Index: str. Type: str."),
        (np.array(["Ada"]), "An array of shape (1,), <U3."),
        ([{"name": "Ada", "age": 36}, {"name": None}], "A value of type list with 2 items. Fields: name: NoneType | str, age: int."),
        (["Ada"], "A value of type list with 1 item."),
        ({"Ada": 36}, "A value of type dict with 1 item."),
        (type("People", (), {"__repr__": lambda _: "Ada"})(), "A value of type People."),
        ("kept", "kept"),
        (36, "36"),
        (date(2024, 2, 29), "datetime.date(2024, 2, 29)"),
    ],
    ids=range(12),
)  # fmt: skip
def test_without_samples_no_row_is_in_it(value, shown):
    assert filled_with(value, samples=False) == shown
