"""Many values at once have the canonical forms that each of them has by itself."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fact_magics.values import WireError, decode_result, encode, encode_call
from fact_magics.values.many import decode_results, encode_calls, encode_results

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.sampled_from(["\ud800", "$int", '"$', "[", 2**63, -(2**63), -0.0, float("inf")])
)
PLAIN = st.recursive(
    SCALARS | st.dates() | st.binary(max_size=3),
    lambda items: (
        st.lists(items, max_size=2) | st.dictionaries(st.sampled_from(["a", "$a", "ü"]), items, max_size=2)
    ),
    max_leaves=4,
)
CALLS = st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS | PLAIN, max_size=3), min_size=1, max_size=5)


@given(CALLS)
def test_calls(calls):
    assert encode_calls(calls) == [encode_call((), call) for call in calls]


@given(st.lists(PLAIN, min_size=1, max_size=5))
def test_results(values):
    wires = encode_results(values)
    assert wires == [*map(encode, values)]
    assert [*map(encode, decode_results(wires))] == wires


@pytest.mark.parametrize(
    "wires",
    [
        [b"1,2"],
        [b'"a', b'b"'],
        [b"1", b""],
        [b"]", b"["],
        [b'{"$int":"0x1","a":1}', b"2"],
        [b"1", b"[" * 2000 + b"]" * 2000],
        [b"\xff", b"1"],
    ],
)
def test_what_is_no_result_by_itself_is_none_among_others(wires):
    with pytest.raises(WireError):
        [*map(decode_result, wires)]
    with pytest.raises(WireError):
        decode_results(wires)


def test_special_forms_are_read_among_others():
    values = [1, date(2026, 1, 2), {"$x": 1}, "\ud800", 2**70]
    assert decode_results([*map(encode, values)]) == values
