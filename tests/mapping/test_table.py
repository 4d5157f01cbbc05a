"""What varies from row to row, read from what notebooks hold."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime, timedelta, timezone

import dask.bag
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fact_magics.errors import InvalidInput
from fact_magics.mapping.result import MapResult
from fact_magics.mapping.table import each, is_table, read_columns, read_table
from fact_magics.signature import read_signature
from fact_magics.signature.source import ToolSource

pytestmark = pytest.mark.slow

SIGNATURE = read_signature("def f(text: str, n: int = 0) -> str: ...", "f")


def rows(table, size: int = 2) -> list[dict[str, object]]:
    return [row for part in table.parts(size) for row in part]


@pytest.mark.parametrize(
    "items",
    [
        ["a", "b", "c"],
        ("a", "b", "c"),
        (text for text in "abc"),
        pd.Series(["a", "b", "c"], index=[7, 7, 8]),
        pl.Series(["a", "b", "c"]),
        np.array(["a", "b", "c"]),
        dict.fromkeys("abc").keys(),
        deque("abc"),
    ],
)
def test_columns_come_as_plain_values_a_part_at_a_time(items):
    table = read_columns(SIGNATURE, {"text": each(items), "n": 5})
    assert rows(table) == [{"n": 5, "text": text} for text in "abc"]


def test_numbers_of_an_array_are_plain_and_its_length_is_known():
    table = read_columns(SIGNATURE, {"text": each(["abc"]), "n": each(np.arange(1, 2, dtype=">i4"))})
    assert table.total == 1
    assert rows(table) == [{"text": "abc", "n": 1}]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"text": ["a", "b"], "other": [1.0, None], "n": [1, 2]}),
        pl.DataFrame({"text": ["a", "b"], "other": [1.0, None], "n": [1, 2]}),
        {"text": ["a", "b"], "other": [None, None], "n": range(1, 3)},
        [{"text": "a", "other": 1, "n": 1}, {"text": "b", "n": 2}],
    ],
)
def test_a_table_gives_fields_by_name_and_leaves_out_what_the_tool_does_not_take(frame):
    table = read_table(SIGNATURE, frame, {})
    assert rows(table) == [{"text": "a", "n": 1}, {"text": "b", "n": 2}]
    assert (table.left_out, table.total) == (("other",), 2)


_PARTS = [pd.DataFrame({"n": [1]}, index=["x"]), pd.DataFrame({"n": [2]}, index=["y"])]


@pytest.mark.parametrize(
    "items", [pd.Series(_PARTS), tuple(_PARTS), pd.DataFrame({"part": _PARTS})["part"].to_numpy()]
)
def test_tables_in_a_column_stay_as_they_are(items):
    found = rows(read_columns(SIGNATURE, {"text": each(items)}))
    assert all(row["text"] is part for row, part in zip(found, _PARTS, strict=True))


def test_the_rows_of_an_array_keep_its_dtype():
    first, _ = rows(read_columns(SIGNATURE, {"text": each(np.zeros((2, 3), "float32"))}))
    assert (first["text"].dtype, first["text"].shape) == ("float32", (3,))


def test_nan_is_missing_in_an_object_column_of_pandas_but_not_in_an_array():
    mixed = np.array([1, np.nan, None], dtype=object)
    assert [row["text"] for row in rows(read_columns(SIGNATURE, {"text": each(pd.Series(mixed))}))] == [
        1,
        None,
        None,
    ]
    assert rows(read_columns(SIGNATURE, {"text": each(mixed)}))[1]["text"] is np.nan


@pytest.mark.parametrize(
    ("annotation", "hint"),
    [
        ("list[float]", "Its columns are a. To pass the whole table as xs, write f(…)."),
        ("float", "Its columns are a. Rename one, or write NAME = each(…) lines."),
    ],
)
def test_a_table_for_a_tool_that_takes_it_whole_is_refused_with_the_call(annotation, hint):
    signature = read_signature(f"def f(xs: {annotation}) -> float: ...", "f")
    with pytest.raises(InvalidInput) as raised:
        read_table(signature, pd.DataFrame({"a": [1]}), {})
    assert raised.value.hint == hint


def test_what_has_no_slices_is_read_item_by_item():
    column = pd.DataFrame({"text": ["b", "a", "b"]}).groupby("text")
    assert [row["text"][0] for row in rows(read_columns(SIGNATURE, {"text": each(column)}))] == ["a", "b"]


def test_an_index_whose_labels_are_not_numbers_is_kept():
    column = pd.Series(["a", "b"], index=pd.interval_range(0, 2))
    table = read_columns(SIGNATURE, {"text": each(column)})
    assert rows(table) == [{"text": "a"}, {"text": "b"}]
    assert table.index.equals(column.index)


def test_a_value_that_is_not_plain_is_left_to_its_row():
    odd = object()
    table = read_columns(SIGNATURE, {"text": each(pd.Series(["a", odd]))})
    assert rows(table) == [{"text": "a"}, {"text": odd}]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"text": each(["a", "b"]), "n": each([1])}, "The column 'n' ends after 1 row, but 'text' has 2."),
        ({"text": "a"}, "Nothing varies from row to row."),
        (
            {"text": each("abc")},
            "The values for text must be a list, Series, array or iterator, not of type str.",
        ),
        ({"text": each(np.array(1))}, "The array for text has no rows, because it has no dimensions."),
        ({"n": each([1])}, "f needs text for each row."),
        ({"txt": each(["a"])}, "f does not take 'txt'."),
    ],
)
def test_columns_that_do_not_fit_are_refused_in_one_line(given, line):
    with pytest.raises(InvalidInput) as raised:
        read_columns(SIGNATURE, given)
    assert raised.value.line == line


@pytest.mark.parametrize("value", [["a"], pd.Series(["a"]), np.array(["a"]), iter("a")])
def test_if_nothing_varies_the_hint_names_what_could(value):
    with pytest.raises(InvalidInput, match=r"Write text = each\(…\) for values that vary"):
        read_columns(SIGNATURE, {"n": 1, "text": value})


def test_a_slow_iterator_decides_how_many_rows_a_part_has(monkeypatch):
    monkeypatch.setattr("fact_magics.mapping.table.PART_SECONDS", 0.0)
    table = read_columns(SIGNATURE, {"n": each([1, 2, 3]), "text": each(iter("abc"))})
    assert [len(part) for part in table.parts(2)] == [1, 1, 1]
    table = read_columns(SIGNATURE, {"n": each(iter([1, 2, 3, 4])), "text": each(iter("abc"))})
    with pytest.raises(InvalidInput, match="The column 'text' ends after 3 rows, but 'n' has 4"):
        rows(table)
    table = read_columns(SIGNATURE, {"n": each(iter([1, 2])), "text": each(iter("abc"))})
    with pytest.raises(InvalidInput, match="The column 'n' ends after 2 rows, but 'text' has 3"):
        rows(table)


@pytest.mark.parametrize(
    ("unread", "hint"),
    [
        (pl.LazyFrame({"text": ["a"]}), r"The rows of the LazyFrame .* its collect\(\)"),
        (pa.table({"text": ["a"]}).to_reader(), r"The rows of the RecordBatchReader .* its read_all\(\)"),
        (dask.bag.from_sequence(["a"]), r"The rows of the Bag .* its compute\(\)"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_rows_that_are_not_read_yet_are_refused_with_the_method_that_reads_them(unread, hint):
    assert not is_table(unread)
    for read in (
        lambda: read_columns(SIGNATURE, {"text": each(unread)}),
        lambda: read_table(SIGNATURE, unread, {}),
    ):
        with pytest.raises(InvalidInput, match=f"(?s){hint}"):
            read()


def test_rows_that_are_tables_are_refused_with_what_to_do():
    with pytest.raises(InvalidInput, match=r"of type DataFrame\.\nMap each of them by itself, or join them"):
        rows(read_table(SIGNATURE, iter([pd.DataFrame({"text": ["a"]})]), {}))


def test_lengths_that_only_iterators_know_are_compared_as_they_end():
    columns = {"text": each(iter("abc")), "n": each(iter(range(9)))}
    with pytest.raises(InvalidInput, match="The column 'text' ends after 3 rows, but 'n' has 4"):
        rows(read_columns(SIGNATURE, columns))


@pytest.mark.parametrize("as_rows", [True, False])
def test_the_rows_of_a_slow_iterator_come_while_it_goes_on(as_rows, monkeypatch):
    monkeypatch.setattr("fact_magics.mapping.table.PART_SECONDS", 0.01)
    yielded = []

    def slow():
        for text in "abcdef":
            time.sleep(0.004)
            yielded.append(text)
            yield {"text": text, "n": 1} if as_rows else text

    table = read_columns(SIGNATURE, {"text": each(slow()), "n": each(iter([1] * 6))})
    parts = (read_table(SIGNATURE, slow(), {}) if as_rows else table).parts(1000)
    first = next(parts)
    assert 0 < len(first) == len(yielded) < 6
    assert [row["text"] for part in (first, *parts) for row in part] == [*"abcdef"]


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "The table has 2 columns named 'text'."),
        (pd.DataFrame({"title": ["a"]}), "The table has no column 'text', which f needs."),
    ],
)
def test_tables_that_do_not_fit_are_refused_in_one_line(frame, line):
    with pytest.raises(InvalidInput) as raised:
        read_table(SIGNATURE, frame, {})
    assert raised.value.line == line


def test_a_frame_of_the_result_keeps_the_index_and_has_the_errors():
    index = pd.Index(["x", "x", "y"], name="key")
    counts = {"ok": 2, "cached": 0, "failed": 1, "skipped": 0}
    result = MapResult("f@1.0.0", ["a", None, "c"], {1: "no"}, counts, "id", index=index)
    frame = result.to_frame()
    assert frame.index.equals(index)
    assert frame["result"].tolist()[::2] == ["a", "c"]
    assert frame["error"].tolist() == [None, "no", None]
    assert repr(result).startswith("<MapResult f@1.0.0 · 3 rows · 1 failed · 2 ok>\n  row 1: no")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    "values",
    [
        [2**60 + 1, None, 3],
        [2**60 + 1, 0.5, "x"],
        [datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1))), None],  # noqa: DTZ001
        ["\ud800", "a", None],
    ],
)
def test_a_frame_of_the_result_changes_no_value(library, values):
    counts = {"ok": 3, "cached": 0, "failed": 0, "skipped": 0}
    frame = MapResult("f@1.0.0", values, {}, counts, "id", library=library).to_frame()
    assert [*frame["result"]] == values


def test_pandas_takes_a_result_as_a_column_as_a_mask_and_as_the_data_of_a_frame():
    frame = pd.DataFrame({"a": [1, 2, 3]})
    counts = {"ok": 3, "cached": 0, "failed": 0, "skipped": 0}
    keep = MapResult("f@1.0.0", [True, False, True], {}, counts, "id")
    assert pd.DataFrame(keep)[0].tolist() == keep.values == [True, False, True]
    assert frame[keep]["a"].tolist() == frame.loc[keep]["a"].tolist() == [1, 3]
    assert frame.assign(keep=keep)["keep"].tolist() == keep[:] == [*keep]


def test_a_repeated_column_that_is_not_taken_is_left_out():
    table = read_table(SIGNATURE, pd.DataFrame([["a", 1, 2]], columns=["text", "z", "z"]), {})
    assert rows(table) == [{"text": "a"}]
    assert table.left_out == ("z",)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"n": [1]}, index=pd.Index(["a"], name="text")),
        pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([("a", 1)], names=["text", None])),
    ],
)
def test_a_missing_column_that_the_index_holds_is_refused_with_how_to_get_it(frame):
    with pytest.raises(InvalidInput) as raised:
        read_table(SIGNATURE, frame, {})
    assert raised.value.hint == "Its index is named text. Map the result of its reset_index()."
    assert rows(read_table(SIGNATURE, frame.reset_index(), {})) == [{"text": "a", "n": 1}]


def test_columns_that_are_not_taken_are_told_whatever_they_are_called():
    assert read_table(SIGNATURE, pd.DataFrame({"text": ["a"], 0: [1]}), {}).left_out == ("0",)
    table = read_table(SIGNATURE, iter([{"text": "a", 0: 1}, {"text": "b", "z": 2}]), {})
    assert rows(table, 1) == [{"text": "a"}, {"text": "b"}]
    assert table.left_out == ("0", "z")


KEEPING = {
    "it assigns count outside its function": "count = 0\ndef f(n):\n    global count\n    count += n\n    return count",
    "it changes seen": "seen = []\ndef f(n):\n    seen.append(n)\n    return len(seen)",
    "it changes known": "known = {}\ndef f(n):\n    known[n] = 1\n    return len(known)",
    "it advances ids": "import itertools\nids = itertools.count()\ndef f(n):\n    return next(ids)",
    "a default, [], can be changed": "def f(n, seen=[]):\n    seen.append(n)\n    return seen",
    "it assigns f.n": "def f(n):\n    f.n = n\n    return n",
    "it assigns C.n": "class C: ...\ndef f(n):\n    C.n = n\n    return n",
    "it imports os": "import os\ndef f(n):\n    return n",
    "it uses open": "def f(n):\n    return open('x').read()",
    "it uses setattr": "import json\ndef f(n):\n    setattr(json, 'x', n)\n    return n",
    "it is asynchronous": "async def f(n):\n    return n",
    "it uses _sys": "import collections\ndef f(n):\n    return collections._sys",
    "it uses gi_frame": "def f(n):\n    return (i for i in 'a').gi_frame",
    "it uses attrgetter": "from operator import attrgetter\ndef f(n):\n    return attrgetter('real')(n)",
    "it uses getattr with 'f_back'": "def f(n):\n    return getattr(n, 'f_back')",
    "it uses getattr with 're' + 'al'": "def f(n):\n    return getattr(n, 're' + 'al')",
    "it uses names with two underscores": "def f(n):\n    return len(f.__dict__)",
}


@pytest.mark.parametrize("why", KEEPING)
def test_the_source_tells_what_may_be_kept_between_calls(why):
    assert ToolSource(KEEPING[why], "f").kept_between_calls == why


@pytest.mark.parametrize(
    "source",
    [
        "TABLE = {}\nfor i in range(9):\n    TABLE[i] = i\ndef f(n):\n    return TABLE.get(n)",
        "import functools\n@functools.lru_cache\ndef fib(n):\n    return n\ndef f(n):\n    return fib(n)",
        "import re\nWORD = re.compile('a')\ndef f(n):\n    seen = []\n    seen.append(n)\n    return seen",
        "class C:\n    def __init__(self, n):\n        super().__init__()\n        self.n = n\ndef f(n):\n    return C(n).n",
        "def f(n, options=(), seed=0):\n    return [options, seed]",
    ],
)
def test_ordinary_sources_keep_nothing(source):
    assert ToolSource(source, "f").kept_between_calls == ""
