"""Tables, Series and arrays on the wire: what survives, what is refused, and what a hostile process can send."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pandas.testing import assert_frame_equal

from fact_magics.values import arrow_tables, decode, encode
from fact_magics.values import columns as columns_module
from fact_magics.values.attachments import head_of
from fact_magics.values.summaries import describe
from fact_magics.values.tables import opened, stand_ins

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["pyarrow", "no pyarrow"])
def arrow(request, monkeypatch):
    """Run a test with pyarrow, and as if it were not installed.

    Pandas has imported it already, so it is only hidden from this package, and pandas stores texts without it.
    """
    if request.param == "no pyarrow":
        for module in (columns_module, arrow_tables):
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
        zone = draw(
            st.sampled_from(
                ["UTC", "Europe/Paris", datetime.timezone(datetime.timedelta(hours=5, minutes=30))]
            )
        )
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


class TestRoundTrips:
    @QUICK
    @given(frame=frames())
    def test_a_frame_survives(self, arrow, frame):
        assert_frame_equal(sent(frame), frame)
