"""Tables, Series and arrays on the wire: what survives, what is refused, and what a hostile process can send."""

from __future__ import annotations

import datetime as dt
import struct
from contextlib import suppress
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pandas.testing import assert_frame_equal, assert_series_equal

from fact_magics.values import Table, ValueTypeError, WireError, arrow_tables, decode, encode, plain, texts
from fact_magics.values import columns as columns_module
from fact_magics.values.attachments import head_of
from fact_magics.values.beginning import items_of
from fact_magics.values.glimpse import glimpse
from fact_magics.values.summaries import describe
from fact_magics.values.tables import converted, open_table, opened, stand_ins

pytestmark = pytest.mark.slow

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["pyarrow", "no pyarrow"])
def arrow(request, monkeypatch):
    """Run a test with pyarrow, and as if it were not installed.

    Pandas has imported it already, so it is only hidden from this package, and pandas stores texts without it.
    """
    if request.param == "no pyarrow":
        for module in (columns_module, texts, arrow_tables):
            monkeypatch.setattr(module, "pyarrow", lambda: None)
        with pd.option_context("mode.string_storage", "python"):
            yield
    else:
        yield


def wire_of(value: Any) -> bytes:
    return encode(stand_ins(value, describe))


def sent(value: Any) -> Any:
    """Return what a tool gets, after a check that the caller of a tool gets the same."""
    wire = wire_of(value)
    there = decode(bytearray(wire), classes={})
    back = opened(decode(encode(there, tables=True)))
    again = wire_of(back)
    assert head_of(again) == head_of(wire)
    assert again == wire
    return there


NAMES = (
    st.none() | st.text(max_size=3) | st.integers(-5, 5) | st.tuples(st.text(max_size=2), st.integers(0, 3))
)
PLAIN = st.sampled_from(
    ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "?"]
    + [f"{kind}8[{unit}]" for kind in "Mm" for unit in ("s", "ms", "us", "ns")]
)
OBJECTS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3),
    st.decimals(allow_nan=False), st.dates(), st.times(), st.datetimes(), st.timedeltas(), st.uuids(),
    st.sampled_from([
        pd.NaT, pd.NA, float("nan"), np.float32(1.5), np.int8(3),
        pd.Timestamp("2024-01-02 03:04:05.678901234"), pd.Timestamp("2024-03-31 02:30", tz="UTC"),
        pd.Timestamp("2024-01-02", tz="Europe/Paris"), pd.Timedelta("1 day 2 ns"),
    ]),
)  # fmt: skip
NESTED = (
    st.lists(st.integers(), max_size=2)
    | st.tuples(st.text(max_size=1))
    | st.dictionaries(st.text(max_size=1), st.floats(), max_size=2)
)


@st.composite
def columns(draw: st.DrawFn, size: int, objects: st.SearchStrategy[Any] = OBJECTS | NESTED) -> Any:
    """Draw a column of any dtype that can travel."""
    kind = draw(st.integers(0, 9))
    items = st.lists(st.integers(0, 100) | st.none(), min_size=size, max_size=size)
    if kind <= 1:
        return draw(hnp.arrays(draw(PLAIN), size))
    if kind == 2:
        values = draw(st.lists(objects, min_size=size, max_size=size))
        made = np.empty(size, object)
        made[:] = values
        return pd.Series(made, dtype=object).array
    if kind == 3:
        values = draw(st.lists(st.none() | st.text(max_size=4), min_size=size, max_size=size))
        dtype = draw(st.sampled_from(["object", "str", "string"]))
        return pd.Series(values, dtype=dtype).array
    if kind == 4:
        return pd.array(
            draw(items), dtype=draw(st.sampled_from(["Int8", "Int64", "UInt16", "Float32", "Float64"]))
        )
    if kind == 5:
        return pd.array(
            draw(st.lists(st.booleans() | st.none(), min_size=size, max_size=size)), dtype="boolean"
        )
    if kind == 6:
        categories = draw(
            st.lists(st.text(max_size=2), unique=True, max_size=4)
            | st.lists(st.integers(), unique=True, max_size=3)
        )
        codes = draw(st.lists(st.integers(-1, len(categories) - 1), min_size=size, max_size=size))
        return pd.Categorical.from_codes(codes, categories, ordered=draw(st.booleans()))
    seconds = draw(hnp.arrays("i8", size, elements=st.integers(0, 10**9)))
    moments = seconds.view("M8[s]").astype(draw(st.sampled_from(["M8[s]", "M8[us]", "M8[ns]"])))
    if kind == 7:
        zone = draw(st.sampled_from(["UTC", "Europe/Paris", dt.timezone(dt.timedelta(hours=5, minutes=30))]))
        return pd.DatetimeIndex(moments, tz="UTC").tz_convert(zone).array
    if kind == 8:
        return pd.PeriodIndex(moments, freq=draw(st.sampled_from(["D", "M", "W-SUN", "h"]))).array
    left = draw(hnp.arrays("f8", size, elements=st.floats(-5, 5)))
    return pd.arrays.IntervalArray.from_arrays(left, left + 1, closed=draw(st.sampled_from(["left", "both"])))


@st.composite
def indexes(draw: st.DrawFn, size: int) -> pd.Index:
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return pd.RangeIndex(size, name=draw(NAMES))
    if kind == 1:
        start, step = draw(st.integers(-3, 3)), draw(st.sampled_from([-2, 1, 3]))
        return pd.RangeIndex(start, start + step * size, step, name=draw(NAMES))
    if kind == 2:
        return pd.date_range(
            "2024-03-30",
            periods=size,
            freq=draw(st.sampled_from(["D", "h", "MS"])),
            tz=draw(st.sampled_from([None, "UTC", "Europe/Paris"])),
        )
    if kind == 3 and size:
        levels = [
            pd.Index(draw(columns(size, OBJECTS).filter(lambda array: array.dtype != "f2"))) for _ in range(2)
        ]
        return pd.MultiIndex.from_arrays(levels, names=draw(st.tuples(NAMES, NAMES)))
    array = draw(columns(size, OBJECTS).filter(lambda array: array.dtype != "f2"))  # pandas refuses it here
    return pd.Index(array, dtype=array.dtype, name=draw(NAMES))


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    size, width = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    index = draw(indexes(size))
    series = {at: pd.Series(draw(columns(size)), index=index) for at in range(width)}
    frame = pd.DataFrame(series, index=index)
    frame.columns = draw(indexes(width))
    return frame


@pytest.mark.usefixtures("arrow")
class TestRoundTrips:
    @QUICK
    @given(frame=frames())
    def test_a_frame_survives(self, frame):
        assert_frame_equal(sent(frame), frame)

    @QUICK
    @given(data=st.data())
    def test_a_series_survives(self, data):
        size = data.draw(st.integers(0, 4))
        series = pd.Series(data.draw(columns(size)), index=data.draw(indexes(size)), name=data.draw(NAMES))
        assert_series_equal(sent(series), series)

    @QUICK
    @given(
        array=hnp.arrays(
            PLAIN | st.sampled_from([">f8", ">i4", "<U3", "S2"]), hnp.array_shapes(min_dims=0, min_side=0)
        )
    )
    def test_an_array_survives(self, array):
        got = sent(array)
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)

    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame(),
            pd.DataFrame({"a": []}),
            pd.DataFrame(index=range(3)),
            pd.DataFrame([[1, 2]], columns=["a", "a"], index=["x"]),
            pd.DataFrame({"a": [1, 2]}, index=["x", "x"]),
            pd.DataFrame({("a", 1): [1], ("b", None): [2]}),
            pd.DataFrame({"a": ["\ud800", None]}, dtype=object),
            pd.DataFrame({"a": [2**70, -1, None]}, dtype=object),
            pd.DataFrame({"a": np.arange(6).reshape(2, 3).T[0]}),
            pd.DataFrame({"a": np.array([1, 2], ">i8")}),
        ],
        ids=lambda frame: f"{frame.shape} {[*frame.columns]}",
    )
    def test_odd_frames_survive(self, frame):
        assert_frame_equal(sent(frame), frame)

    @pytest.mark.parametrize(
        "frame",
        [
            pl.DataFrame(),
            pl.DataFrame({
                "i": [1, None], "f": [0.5, float("nan")], "s": ["x", None], "b": [b"x", None], "t": [True, None],
                "d": [dt.date(2024, 1, 2), None], "c": [Decimal("1.50"), None], "n": [None, None],
                "z": [dt.datetime(2024, 1, 2, tzinfo=ZoneInfo("Europe/Paris")), None],
                "h": [dt.time(1, 2, 3), None], "u": [dt.timedelta(days=1, microseconds=5), None],
            }),
            pl.DataFrame({
                "e": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
                "c": pl.Series(["a", None], dtype=pl.Categorical),
                "n": pl.Series([1, 2], dtype=pl.Datetime("ns")),
            }),
            pl.DataFrame({"": [1, 2], "column_0": ["a", "b"]}),
        ],
        ids=["empty", "columns", "categories", "no name"],
    )  # fmt: skip
    def test_a_frame_of_polars_survives(self, frame):
        got = sent(frame)
        assert got.schema == frame.schema
        assert got.equals(frame, null_equal=True)
        series = frame.get_columns()[0] if frame.width else pl.Series("x", [])
        back = sent(series)
        assert back.dtype == series.dtype
        assert back.equals(series, check_names=True, null_equal=True)

    def test_a_custom_frequency_is_left_out(self):
        """Its name, ``C``, does not say which days it skips."""
        holidays = pd.offsets.CustomBusinessDay(holidays=["2024-04-01"])
        days = pd.date_range("2024-03-29", periods=3, freq=holidays)
        got = sent(pd.Series([1, 2, 3], index=days))
        assert got.index.equals(days)
        assert got.index.freq is None

    def test_an_index_with_one_level_stays_one_with_levels(self):
        frame = pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_arrays([["x", "y"]], names=["n"]))
        assert_frame_equal(sent(frame), frame)


class TestPolars:
    @pytest.mark.usefixtures("arrow")
    @pytest.mark.parametrize(
        "series",
        [
            pl.Series([1, None]),
            pl.Series([]),
            pl.Series(["a"], dtype=pl.Categorical),
            pl.Series("column_0", [1]),
        ],
        ids=lambda series: f"{series.name}{series.dtype}",
    )
    def test_a_series_without_a_name_stays_without(self, series):
        got = sent(series)
        assert (got.name, got.dtype) == (series.name, series.dtype)
        assert got.equals(series, null_equal=True)

    @pytest.mark.usefixtures("arrow")
    def test_a_column_without_a_name_can_stand_beside_the_name_that_polars_gives(self):
        frame = pl.DataFrame({"": [1], "column_0": [2]})
        assert sent(frame).to_dict(as_series=False) == {"": [1], "column_0": [2]}

    @pytest.mark.usefixtures("arrow")
    def test_integers_that_arrow_does_not_have_are_one_line_with_the_column(self):
        with pytest.raises(ValueTypeError, match=r"\['n'\]: data of type Int128 can't"):
            encode(pl.DataFrame({"a": [1], "n": pl.Series([2**100], dtype=pl.Int128)}), tables=True)


def stream_of(table: pa.Table, options: pa.ipc.IpcWriteOptions | None = None) -> memoryview:
    """Write a table as a hostile process can, without the checks."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


class TestArrow:
    @pytest.mark.parametrize(
        "table",
        [
            pa.table({}),
            pa.table({"a": [1, None], "b": [[1], None], "c": [{"x": 1}, {"x": None}]}),
            pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode(), "n": pa.nulls(3)}),
            pa.table({"a": pa.chunked_array([[1], [2, 3]])}),
            pa.table({"a": pa.array([1, 2, 3])[1:], "b": pa.array(["x", None, "z"])[1:]}),
            pa.table(
                {
                    "v": pa.array(["x" * 20, None], pa.string_view()),
                    "w": pa.array([None, b"x"], pa.binary_view()),
                }
            ),
        ],
        ids=lambda table: str(table.column_names),
    )
    def test_a_table_survives(self, table):
        assert sent(table).equals(table)

    def test_a_column_of_arrow_in_pandas_survives(self):
        frame = pd.DataFrame({"a": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64())))})
        assert_frame_equal(sent(frame), frame)

    def test_a_table_of_another_shape_in_memory_is_the_same(self):
        one = pa.table({"a": [1, None, 3]})
        other = pa.table({"a": pa.chunked_array([pa.array([0, 1, None])[1:], pa.array([3])])})
        assert wire_of(one) == wire_of(other)
        nested = pa.ListArray.from_arrays([0, 2], pa.array([9, 7, None])[1:])
        assert wire_of(pa.table({"a": nested})) == wire_of(pa.table({"a": [[7, None]]}))

    def test_a_compressed_table_is_refused_before_it_is_read(self):
        """A small stream that expands to any size."""
        table = pa.table({"a": np.zeros(1_000_000)})
        for options in (
            pa.ipc.IpcWriteOptions(compression="zstd"),
            pa.ipc.IpcWriteOptions(compression="lz4"),
        ):
            forged = Table("pyarrow.Table", None, (stream_of(table, options),))
            with pytest.raises(WireError, match="compressed"):
                open_table(forged)

    @pytest.mark.parametrize(
        "around",
        [
            lambda nulls: pa.FixedSizeListArray.from_arrays(nulls, 1 << 30),
            lambda nulls: pa.ListArray.from_arrays(pa.array([0, 1 << 30], pa.int32()), nulls),
            lambda nulls: pa.StructArray.from_arrays(
                [pa.FixedSizeListArray.from_arrays(nulls, 1 << 30)], ["x"]
            ),
            lambda nulls: pa.DictionaryArray.from_arrays(
                pa.array([0]), pa.FixedSizeListArray.from_arrays(nulls, 1 << 30)
            ),
        ],
        ids=["fixed_size_list", "list", "struct", "dictionary"],
    )
    def test_a_billion_nulls_in_a_few_bytes_are_refused(self, around):
        buffer = stream_of(pa.table({"a": around(pa.nulls(1 << 30))}))
        assert buffer.nbytes < 1_000
        for kind in ("pyarrow.Table", "polars.DataFrame", "polars.Series"):
            with pytest.raises(WireError, match="take no bytes"):
                open_table(Table(kind, None, (buffer,)))

    def test_what_polars_panics_about_is_an_error_like_others(self):
        """Polars raises a PanicException, which is no `Exception`, for a type that is not UTF-8."""
        (buffer,) = stand_ins(pa.table({"a": [[1]]})).buffers
        data = bytearray(buffer)
        at = data.index(b"item")
        data[at : at + 4] = b"\xff\xff\xff\xff"
        union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
        for forged in (data, stand_ins(pa.table({"u": union})).buffers[0]):
            with pytest.raises(WireError, match="can't be made"):
                open_table(Table("polars.DataFrame", None, (memoryview(forged),)))

    def test_offsets_out_of_bounds_are_refused(self):
        (buffer,) = stand_ins(pa.table({"a": ["abc", "def"]})).buffers
        data = bytearray(buffer)
        at = data.index(struct.pack("<3i", 0, 3, 6))
        data[at + 8 : at + 12] = struct.pack("<i", 1 << 30)
        with pytest.raises(WireError):
            open_table(Table("pyarrow.Table", None, (memoryview(data),)))

    @given(cut=st.integers(0, 500), flipped=st.integers(0, 500), bits=st.integers(1, 255))
    @settings(max_examples=150, deadline=None)
    def test_a_broken_stream_is_a_wire_error_or_another_table(self, cut, flipped, bits):
        (buffer,) = stand_ins(pa.table({"a": ["abc", None], "b": [[1], [2, 3]]})).buffers
        data = bytearray(buffer)
        data[flipped % len(data)] ^= bits
        del data[len(data) - cut :]
        with suppress(WireError, UnicodeDecodeError):
            open_table(Table("pyarrow.Table", None, (memoryview(data),))).to_pylist()


class TestKeys:
    def test_equal_frames_that_were_made_in_other_ways_are_the_same(self):
        frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, np.nan]})
        with np.errstate(invalid="ignore"):
            other_nan = np.float64(0) / np.float64(0)
        block = pd.DataFrame(np.array([[1.0, 3.0], [2.0, other_nan]]), columns=["a", "b"])
        parts = pd.concat([frame[["a"]], frame[["b"]]], axis=1)
        strided = pd.DataFrame({"a": np.array([1.0, 9, 2])[::2], "b": [3.0, np.nan]})
        indexed = frame.set_axis(pd.Index([0, 1]))
        sliced = pd.DataFrame({"a": [9.0, 1, 2], "b": [9.0, 3, np.nan]}).iloc[1:].reset_index(drop=True)
        same = {wire_of(one) for one in (frame, block, parts, strided, indexed, sliced, frame.copy())}
        assert len(same) == 1

    def test_unused_levels_and_the_order_of_levels_do_not_count(self):
        index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("c", 3)])
        frame = pd.DataFrame({"x": [1, 2, 3]}, index=index)
        fresh = pd.DataFrame({"x": [2, 3]}, index=pd.MultiIndex.from_tuples([("b", 2), ("c", 3)]))
        assert wire_of(frame.iloc[1:]) == wire_of(fresh)

    def test_texts_of_numpy_are_texts(self):
        texts = pd.Series([np.str_("a"), None], dtype=object)
        assert wire_of(texts) == wire_of(pd.Series(["a", None], dtype=object))

    def test_texts_and_masks_with_other_memory_below_are_the_same(self):
        one = pd.Series(["a", None, "c"], dtype="str")
        assert wire_of(one) == wire_of(
            pd.Series(["x", "a", None, "c"], dtype="str").iloc[1:].reset_index(drop=True)
        )
        masked = pd.arrays.IntegerArray(np.array([1, 7]), np.array([False, True]))
        assert wire_of(pd.Series(masked)) == wire_of(pd.Series([1, None], dtype="Int64"))

    @QUICK
    @given(data=st.data())
    def test_frames_are_the_same_exactly_when_they_are_equal(self, data):
        one, other = data.draw(frames()), data.draw(frames())
        try:
            assert_frame_equal(one, other, check_exact=True)
        except (AssertionError, TypeError, ValueError):
            equal = False
        else:
            equal = True
        if wire_of(one) == wire_of(other):
            assert equal
        changed = one.copy()
        assert wire_of(changed) == wire_of(one)

    @pytest.mark.parametrize(
        "change",
        [
            lambda frame: frame.assign(a=[1, 3]),
            lambda frame: frame.astype({"a": "int32"}),
            lambda frame: frame.rename(columns={"a": "b"}),
            lambda frame: frame.set_axis(["x", "y"]),
            lambda frame: frame.set_axis([0, 2]),
            lambda frame: frame.rename_axis("i"),
            lambda frame: frame[["o", "a"]],
            lambda frame: frame.assign(o=[np.nan, "x"]),
            lambda frame: frame.assign(o=frame["o"].astype("str")),
            lambda frame: frame.iloc[::-1],
        ],
    )
    def test_any_change_is_another_question(self, change):
        frame = pd.DataFrame({"a": [1, 2], "o": pd.Series([None, "x"], dtype=object)})
        assert wire_of(change(frame)) != wire_of(frame)


class _Own:
    pass


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (pd.DataFrame({"a": [1], "o": [_Own()]}), 'result["o"][0]: an object of type _Own'),
            (pd.DataFrame({"o": [[_Own()]]}), 'result["o"][0][0]: an object of type _Own'),
            ({"x": [pd.DataFrame({"o": [1, _Own()]})]}, 'result["x"][0]["o"][1]: an object of type _Own'),
            (pd.DataFrame({"o": [np.arange(3)]}), 'result["o"][0]: an object of type ndarray'),
            (
                pd.DataFrame({"s": pd.arrays.SparseArray([0, 1])}),
                'result["s"]: data of dtype Sparse[int64, 0] can\'t leave the tool; return its .astype("int64")',
            ),
            (pd.DataFrame({"a": [1]}, index=[_Own()]), 'result["index"][0]: an object of type _Own'),
            (pd.Series([_Own()]), "result[0]: an object of type _Own"),
            (np.ma.masked_array([1, 2], [True, False]), "result: a masked array"),
            (np.array([(1, 2.5)], dtype="i4,f8"), "result: a structured array with the fields f0, f1"),
            (
                np.array([1.5], "longdouble"),
                'result: data of dtype float128 can\'t leave the tool; return its .astype("float64")',
            ),
            (np.array(["a"], np.dtypes.StringDType()), 'return its .astype("object")'),
            (pl.DataFrame({"o": pl.Series([_Own()], dtype=pl.Object)}), "Object"),
            (
                pd.Series(pd.DatetimeIndex(["2024"]).tz_localize(dt.timezone(dt.timedelta(seconds=1.5)))),
                "a time zone of type timezone can't leave the tool; return one of zoneinfo, as Europe/Paris is",
            ),
            (pa.table({"o": pa.array([b"x" * 16], pa.uuid())}), "'o'"),
        ],
        ids=lambda value: value[:40] if isinstance(value, str) else type(value).__name__,
    )
    def test_what_can_not_travel_is_one_line_with_the_column(self, value, said):
        with pytest.raises(ValueTypeError) as refused:
            encode(value, tables=True)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_without_tables_they_are_records_as_ever(self):
        assert encode(pd.DataFrame({"a": [1]})) == b'[{"a":1}]'
        assert encode([np.array([1])]) == b"[[1]]"


class TestConversions:
    @pytest.mark.parametrize("kind", ["pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"])
    def test_a_field_that_only_a_later_record_has_is_a_column(self, kind):
        frame = converted([{"a": 1}, {"b": "x"}], kind)
        assert [*map(str, getattr(frame, "column_names", frame.columns))] == ["a", "b"]
        assert plain(frame)[1]["b"] == "x"
        assert converted([], kind).shape == (0, 0)

    @pytest.mark.parametrize(
        "items", [[dt.date(2024, 1, 2)], [Decimal("1.5")] * 2, [2**70], [None], [b"x\0"], ["a\0", "b"]]
    )
    def test_items_of_one_type_make_an_array(self, items):
        assert converted(items, "numpy.ndarray").tolist() == items

    @pytest.mark.parametrize("items", [[1, "a"], ["a", None], [["a"], [1]]])
    def test_items_of_several_types_do_not(self, items):
        with pytest.raises(ValueError, match="different types"):
            converted(items, "numpy.ndarray")


class TestSummaries:
    def test_the_history_has_the_shape_the_dtypes_the_first_rows_and_the_hash(self):
        frame = pd.DataFrame({"a": range(1_000), "t": ["x" * 500] * 1_000})
        shown = plain(stand_ins({"df": frame}, describe))
        about = shown["df"]
        assert about["shape"] == [1000, 2]
        assert about["columns"] == [["a", "int64"], ["t", "str"]]
        assert len(about["first"]) == 5
        assert about["first"][1] == [1, "x" * 80 + "…"]
        assert len(about["sha256"]) == 64

    @pytest.mark.parametrize(
        "value",
        [
            pa.table({"a": pa.array([1 << 61], pa.timestamp("us"))}),
            pa.table({"a": pa.array([1 << 30], pa.date32())}),
            pa.table({"a": pa.array([1 << 61], pa.duration("s"))}),
            pa.table({"a": pa.array([1], pa.timestamp("us", "Nowhere/Else"))}),
            pa.table({"a": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])}),
            pl.DataFrame({"a": pl.Series([1 << 30], dtype=pl.Int32).cast(pl.Date)}),
            pl.Series("a", [1 << 62]).cast(pl.Datetime("ms")),
            pd.DataFrame({"a": pd.arrays.ArrowExtensionArray(pa.array([1 << 61], pa.duration("s")))}),
            pa.table({"a": [[0] * 20_000]}),
            pa.table({"a": pa.array([[0] * 20_000], pa.list_view(pa.int8()))}),
            pa.table({"a": [{"x": [[0] * 20_000]}]}),
            pa.table(
                {"a": pa.array([[(str(n), n) for n in range(20_000)]], pa.map_(pa.string(), pa.int32()))}
            ),
            pl.DataFrame({"a": [{"x": [[0] * 20_000]}]}),
            pl.Series("a", [[0] * 20_000], dtype=pl.Array(pl.Int8, 20_000)),
            pd.DataFrame({"a": pd.array([[0] * 20_000], dtype=pd.ArrowDtype(pa.list_(pa.int8())))}),
        ],
        ids=lambda value: type(value).__module__.partition(".")[0],
    )
    def test_a_cell_that_python_can_not_hold_or_that_is_huge_is_left_out(self, value):
        about = plain(stand_ins(value, describe))
        assert about["columns"][0][0] == "a"
        assert about["first"] == [["<unreadable>"]]
        shown = glimpse(value, 5, 5)
        assert shown is not None
        assert shown.columns[0].cells == ("<unreadable>",)
        sent(value)

    def test_short_lists_are_read(self):
        items = [[1], None, [2, 3]]
        kinds = (pa.list_(pa.int8()), pa.list_view(pa.int8()))
        values: list[Any] = [pa.table({"a": pa.array(items, kind)}).slice(1) for kind in kinds]
        values += [pl.DataFrame({"a": items}).slice(1)]
        values += [pa.table({"a": pa.array([{"x": item} for item in items])}).slice(1)["a"].combine_chunks()]
        for value in values[:3]:
            assert plain(stand_ins(value, describe))["first"] == [[None], ["[2, 3]"]]
        assert items_of(values[3]) == [{"x": None}, {"x": [2, 3]}]
        assert items_of(pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8()))) == [[("a", 1)], None]

    def test_it_is_bounded_in_width(self):
        about = plain(stand_ins(pd.DataFrame(np.zeros((2, 5_000))), describe))
        assert about["shape"] == [2, 5000]
        assert len(about["columns"]) == len(about["first"][0]) == 30


FORGED = {
    "an unknown kind": Table("os.system", [], ()),
    "no buffers": Table("numpy.ndarray", [[2], ["plain", "<i8"]], ()),
    "too many buffers": Table("numpy.ndarray", [[0], ["plain", "<i8"]], (memoryview(b""), memoryview(b""))),
    "a shape that does not fit": Table("numpy.ndarray", [[10**12], ["plain", "<i8"]], (memoryview(bytes(8)),)),
    "a negative shape": Table("numpy.ndarray", [[-1, -1], ["plain", "<i8"]], (memoryview(bytes(8)),)),
    "objects": Table("numpy.ndarray", [[1], ["plain", "|O"]], (memoryview(bytes(8)),)),
    "a structure": Table("numpy.ndarray", [[1], ["plain", "i4,O"]], (memoryview(bytes(16)),)),
    "half an item": Table("numpy.ndarray", [[1], ["plain", "<i8"]], (memoryview(bytes(9)),)),
    "a bool of 2": Table("numpy.ndarray", [[1], ["plain", "|b1"]], (memoryview(b"\2"),)),
    "a character beyond Unicode": Table("numpy.ndarray", [[1], ["plain", "<U1"]], (memoryview(b"\xff" * 4),)),
    "a range of any length": Table("pandas.DataFrame", [["range", [[None], []], 0, 1, 10**15], ["range", [[None], []], 0, 1, 0], []], ()),
    "a code beyond the categories": Table(
        "pandas.Series",
        [["range", [[None], []], 0, 1, 1], [[None], []], ["categorical", False, ["|i1"], ["range", [[None], []], 0, 1, 1]]],
        (memoryview(b"\7"),),
    ),
    "a column of another length": Table(
        "pandas.Series", [["range", [[None], []], 0, 1, 3], [[None], []], ["plain", "<i8"]], (memoryview(bytes(8)),)
    ),
    "texts that end outside": Table(
        "pandas.Series",
        [["range", [[None], []], 0, 1, 1], [[None], []], ["text"]],
        (memoryview(struct.pack("<2q", 0, 9)), memoryview(b"ab"), memoryview(b"")),
    ),
    "texts that run backwards": Table(
        "pandas.Series",
        [["range", [[None], []], 0, 1, 2], [[None], []], ["text"]],
        (memoryview(struct.pack("<3q", 0, 9, 2)), memoryview(b"ab"), memoryview(b"")),
    ),
    "texts that are not UTF-8": Table(
        "pandas.Series",
        [["range", [[None], []], 0, 1, 1], [[None], []], ["text"]],
        (memoryview(struct.pack("<2q", 0, 1)), memoryview(b"\xff"), memoryview(b"")),
    ),
    "a time zone that is a path": Table(
        "pandas.Series",
        [["range", [[None], []], 0, 1, 1], [[None], []], ["zoned", "ns", "../../etc/passwd", "<i8"]],
        (memoryview(bytes(8)),),
    ),
}  # fmt: skip


class TestHostile:
    @pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
    @pytest.mark.usefixtures("arrow")
    def test_a_description_that_is_false_is_refused(self, forged):
        with pytest.raises(WireError) as refused:
            open_table(forged)
        assert "\n" not in str(refused.value)

    @given(at=st.integers(0, 2_000), bits=st.integers(1, 255), cut=st.integers(0, 3))
    @settings(max_examples=200, deadline=None)
    def test_changed_bytes_are_a_wire_error_or_another_value(self, at, bits, cut):
        frame = pd.DataFrame({"a": [1, 2], "s": ["x", None], "c": pd.Categorical(["u", "v"]), "o": [1, "x"]})
        wire = bytearray(wire_of([frame]))
        wire[at % len(wire)] ^= bits
        with suppress(WireError):
            opened(decode(bytes(wire[: len(wire) - cut])))

    def test_sizes_beyond_the_bytes_are_refused(self):
        wire = wire_of(np.arange(3))
        with pytest.raises(WireError, match="shorter"):
            decode(wire.replace(b"[24]", b"[99]"))
        with pytest.raises(WireError, match="belong to nothing"):
            decode(wire + bytes(64))
