"""Frames, Series and arrays of polars and Arrow: what they mean, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

from fact_magics.values import ValueTypeError, encode, normalise

pytestmark = pytest.mark.slow

DAY = date(2024, 2, 29)
NOON = datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
NAN = float("nan")
# What Python holds, with the types of polars and Arrow that mean it.
COLUMNS = {
    "integers": ([1, None, -(2**63)], pl.Int64, pa.int64()),
    "small integers": ([1, None, 255], pl.UInt8, pa.uint8()),
    "large integers": ([1, None, 2**64 - 1], pl.UInt64, pa.uint64()),
    "numbers": ([1.5, None, NAN, float("inf"), -0.0], pl.Float64, pa.float64()),
    "short numbers": ([0.5, None, NAN], pl.Float32, pa.float32()),
    "truths": ([True, None, False], pl.Boolean, pa.bool_()),
    "text": (["é", None, ""], pl.String, pa.string()),
    "large text": (["é", None], pl.String, pa.large_string()),
    "bytes": ([b"\0", None], pl.Binary, pa.binary()),
    "dates": ([DAY, None], pl.Date, pa.date32()),
    "times": ([NOON.time(), None], pl.Time, pa.time64("ns")),
    "moments": ([NOON.replace(tzinfo=None), None], pl.Datetime("us"), pa.timestamp("us")),
    "fine moments": ([NOON.replace(tzinfo=None), None], pl.Datetime("ns"), pa.timestamp("ns")),
    "moments in UTC": ([NOON, None], pl.Datetime("us", "UTC"), pa.timestamp("us", "UTC")),
    "fine moments in a zone": (
        [NOON.astimezone(PARIS), None],
        pl.Datetime("ns", "Europe/Paris"),
        pa.timestamp("ns", "Europe/Paris"),
    ),
    "durations": ([timedelta(-1, 5, 7), None], pl.Duration("us"), pa.duration("us")),
    "fine durations": ([timedelta(-1, 5, 7), None], pl.Duration("ns"), pa.duration("ns")),
    "decimals": ([Decimal("1.10"), None], pl.Decimal(10, 2), pa.decimal128(10, 2)),
    "categories": (["a", None, "a"], pl.Categorical, pa.dictionary(pa.int32(), pa.string())),
    "a fixed choice": (["b", None, "a"], pl.Enum(["a", "b"]), pa.dictionary(pa.int8(), pa.string())),
    "lists": ([[1, None], None, []], pl.List(pl.Int64), pa.list_(pa.int64())),
    "pairs": ([[1, 2], None], pl.Array(pl.Int64, 2), pa.list_(pa.int64(), 2)),
    "structs": (
        [{"on": DAY, "size": [1.5, None]}, {"on": None, "size": None}],
        pl.Struct({"on": pl.Date, "size": pl.List(pl.Float64)}),
        pa.struct({"on": pa.date32(), "size": pa.list_(pa.float64())}),
    ),
    "nothing": ([None, None], pl.Null, pa.null()),
    "no rows": ([], pl.Int64, pa.int64()),
}


class Stream:
    """An object of a library that is not known, with Arrow's C data interface for tables."""

    def __init__(self, held: object) -> None:
        self._held = held

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._held.__arrow_c_stream__(requested_schema)


class Batch:
    """The same, with the interface for one array."""

    def __init__(self, held: object) -> None:
        self._held = held

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._held.__arrow_c_array__(requested_schema)


@pytest.mark.parametrize(("values", "series_type", "array_type"), COLUMNS.values(), ids=COLUMNS.keys())
class TestColumns:
    def test_a_series_of_polars_is_a_list(self, values, series_type, array_type):
        del array_type
        assert encode(pl.Series(values, dtype=series_type)) == encode(values)

    def test_a_dataframe_of_polars_is_its_records(self, values, series_type, array_type):
        del array_type
        frame = pl.DataFrame({"": range(len(values)), "$a": pl.Series(values, dtype=series_type)})
        assert encode(frame) == encode([{"": index, "$a": value} for index, value in enumerate(values)])

    def test_an_array_of_arrow_is_a_list(self, values, series_type, array_type):
        del series_type
        array = pa.array(values, array_type)
        assert encode(array) == encode(values)
        assert encode(pa.chunked_array([array, array])) == encode(values * 2)
        assert encode([*array]) == encode(values)

    def test_a_table_of_arrow_is_its_records(self, values, series_type, array_type):
        del series_type
        batch = pa.record_batch({"": range(len(values)), "$a": pa.array(values, array_type)})
        records = [{"": index, "$a": value} for index, value in enumerate(values)]
        assert encode(batch) == encode(records)
        assert encode(pa.Table.from_batches([batch])) == encode(records)


class TestMeaning:
    @pytest.mark.parametrize(
        ("value", "meaning"),
        [
            (pl.DataFrame(), []),
            (pl.DataFrame(height=2), [{}, {}]),
            (pd.DataFrame(index=[0, 1]), [{}, {}]),
            (pa.table({}), []),
            (pa.table({"a": [1, 2]}).select([]), [{}, {}]),
            (pl.Series([{1, 2}, Decimal(1)], dtype=pl.Object), [{1, 2}, Decimal(1)]),
            (pl.Series([2**100], dtype=pl.Int128), [2**100]),
            (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), [{"a": 1}, None]),
            (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), [(1, 2, 3)]),
            (pa.array([bytes(16)], pa.uuid()), [UUID(int=0)]),
            (pa.scalar(1.5), 1.5),
            ({"a": pl.Series([1]), "b": [pa.array([2])]}, {"a": [1], "b": [[2]]}),
            (Stream(pa.table({"a": [1], "b": [None]})), [{"a": 1, "b": None}]),
            (Stream(pl.DataFrame({"a": ["x", "y"]})), [{"a": "x"}, {"a": "y"}]),
            (Stream(pl.Series([1, None])), [1, None]),
            (Batch(pa.array([1, None])), [1, None]),
            (Batch(pa.record_batch({"a": [1]})), [{"a": 1}]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_object_is_taken_as_what_it_means(self, value, meaning):
        assert encode(value) == encode(meaning)

    def test_pandas_polars_and_arrow_read_the_same_moments(self):
        before = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)  # an hour before the clocks of Paris go back
        ticks = [int(before.timestamp()) * 10**9 + 1_999, int(before.timestamp() + 3600) * 10**9, -1]
        moments = pd.Series(pd.to_datetime(ticks, utc=True)).dt.tz_convert("Europe/Paris")
        assert encode(pl.Series(ticks).cast(pl.Datetime("ns", "Europe/Paris"))) == encode(moments)
        assert encode(pa.array(ticks, pa.timestamp("ns", "Europe/Paris"))) == encode(moments)

    def test_a_subclass_is_its_records_too(self):
        class Frame(pl.DataFrame):
            pass

        assert normalise(Frame({"a": [1]})) == [{"a": 1}]

    def test_no_library_is_imported_to_read_another_one(self):
        program = (
            "import sys, {library} as library\n"
            "from fact_magics.values import normalise\n"
            "frame = {frame}\n"
            "before = {{*sys.modules}}\n"
            "assert normalise(frame) == [{{'a': 1}}]\n"
            "print({{name.partition('.')[0] for name in {{*sys.modules}} - before}} & {others})"
        )
        others = {"pandas", "polars", "pyarrow"}
        for library, frame in (
            ("polars", "library.DataFrame({'a': [1]})"),
            ("pyarrow", "library.table({'a': [1]})"),
        ):
            text = program.format(library=library, frame=frame, others=others - {library})
            done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
            assert done.stdout.strip() == "set()"

    def test_polars_reads_the_interface_where_arrow_is_not_imported(self, monkeypatch):
        held = Stream(pa.table({"a": [1, None]}))
        monkeypatch.delitem(sys.modules, "pyarrow")
        assert normalise(held) == [{"a": 1}, {"a": None}]
        monkeypatch.delitem(sys.modules, "polars")
        with pytest.raises(ValueTypeError, match="pass its rows as a list, or import pyarrow first"):
            normalise(held)


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (pl.LazyFrame({"a": [1]}), "whose rows are not read yet, can't enter a tool; pass the result of its collect()"),
            (pa.table({"a": [1]}).to_reader(), "pass the result of its read_all()"),
            (dataset(pa.table({"a": [1]})), "pass the result of its to_table()"),
            (pl.DataFrame({"a": [object()]}), 'input[0]["a"]: an object of type object'),
            (pl.col("a"), "an object of type Expr"),
            (pa.schema([]), "an object of type Schema"),
            (pa.table([[1], [2]], names=["a", "a"]), "a Table with repeated column names"),
            (pa.record_batch([[1], [2]], names=["a", "a"]), "a RecordBatch with repeated column names"),
            (pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())), "duplicate key was 'a'"),
            (
                pl.DataFrame({"day": pl.Series([10**7]).cast(pl.Date)}),
                "input[\"day\"]: a value of type Date that Python can't hold (year 29349 is out of range)",
            ),
            (pa.table({"day": pa.array([10**7], pa.date32())}), "input[\"day\"]: a value of type date32[day] that"),
            (pl.Series([2**62]).cast(pl.Datetime("ms")), "that Python can't hold"),
        ],
        ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
    )  # fmt: skip
    def test_what_can_not_be_read_is_named_with_what_to_do(self, value, problem):
        with pytest.raises(ValueTypeError) as caught:
            normalise(value)
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_stream_is_not_used_up_by_its_refusal(self):
        reader = pa.table({"a": [1]}).to_reader()
        with pytest.raises(ValueTypeError):
            normalise(reader)
        assert reader.read_all().num_rows == 1
