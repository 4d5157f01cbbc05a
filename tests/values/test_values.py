"""The canonical form: what is told apart, what comes back, what is refused, and who may load it."""

from __future__ import annotations

import array
import collections
import dataclasses
import enum
import itertools
import json
import marshal
import math
import subprocess
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID

import numpy as np
import pandas as pd
import pydantic
import pytest

from fact_magics.sandbox import boot
from fact_magics.values import (
    ToolEnum,
    ToolObject,
    ValueTypeError,
    WireError,
    decode,
    encode,
    encode_call,
    normalise,
    plain,
)
from fact_magics.values.attachments import LARGE
from fact_magics.values.forms import MAX_DEPTH


class Colour(enum.Enum):
    RED = "r"


class Word(enum.StrEnum):
    ONE = "one"


class Pair(collections.namedtuple("Pair", "a b")):  # noqa: SLOT002 - the untyped kind, subclassed
    pass


@dataclasses.dataclass
class Point:
    x: int
    tags: list[str]


class Item(pydantic.BaseModel):
    name: str
    schema_: int = 1


SUPPORTED = [
    None,
    True,
    0,
    1,
    -(2**63),
    2**63,
    -(2**64),
    10**5000,
    1.0,
    -0.0,
    5e-324,
    1e308,
    math.inf,
    -math.inf,
    "",
    "é",
    "e\u0301",
    "\0\x1b",
    "\u2028",
    "😀",
    "\ud800",
    "\ud83d\ude00",
    "😀\ud800",
    ["\ud83d\ude00", "😀"],
    {"\ud83d\ude00": 1},
    [],
    {},
    (),
    [1, "a", None, 1.5],
    (1, [2, (3,)]),
    {"b": 1, "a": 2},
    {"$tuple": [1]},
    {"$": 1},
    {"": {"$x": ()}},
    {1: 2, "a": 3, None: 4, (1, 2): 5},
    {True: 1},
    {1.0: 1},
    set(),
    {1, 2, 3},
    frozenset({("a", 1), ("b", 2)}),
    b"",
    b"\x00\xff",
    date.min,
    datetime.fromisoformat("9999-12-31T23:59:59.999999"),
    datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30, seconds=-1))),
    time(23, 59, 59, 999999),
    time(1, tzinfo=UTC),
    timedelta(-1, 5, 7),
    timedelta.max,
    Decimal("1.00"),
    Decimal("-0"),
    Decimal("1E+400"),
    Decimal("sNaN123"),
    UUID(int=5),
    Path("/a/ü"),
    Path(),
]


def exactly(value: object) -> object:
    """A form in which two values are equal only if they are the same, types and order included."""
    if type(value) in (list, tuple):
        return (type(value), [exactly(item) for item in value])
    if type(value) is dict:
        return (dict, [(exactly(key), exactly(item)) for key, item in value.items()])
    if type(value) in (set, frozenset):
        return (type(value), sorted(map(repr, value)))
    return (type(value), hex(value) if type(value) is int else repr(value))


class TestRoundTrip:
    @pytest.mark.parametrize("value", SUPPORTED, ids=lambda value: ascii(encode(value))[:40])
    def test_every_supported_value_comes_back_as_itself(self, value):
        wire = encode(value)
        assert exactly(decode(wire)) == exactly(value)
        assert encode(decode(wire)) == wire

    def test_nan_comes_back_as_nan(self):
        assert math.isnan(decode(encode(math.nan)))

    @pytest.mark.parametrize("value", SUPPORTED, ids=lambda value: ascii(encode(value))[:40])
    def test_the_wire_is_json_in_utf_8(self, value):
        json.loads(encode(value).decode("utf-8"))

    def test_containers_nested_to_the_limit_come_back_in_their_dearest_forms(self):
        for wrap in (lambda v: [v], lambda v: (v,), lambda v: {1: v}, lambda v: {"a": v}):
            value = wrap(1)
            for _ in range(MAX_DEPTH - 1):
                value = wrap(value)
            assert decode(encode(value)) == value

    def test_classes_of_the_tool_become_instances_where_they_are_known(self):
        wire = encode({"p": ToolObject("Point", {"x": 1, "tags": ["a"]}), "c": ToolEnum("Colour", "RED")})
        assert decode(wire, classes={"Point": Point, "Colour": Colour}) == {
            "p": Point(1, ["a"]),
            "c": Colour.RED,
        }
        assert decode(wire) == {
            "p": ToolObject("Point", {"x": 1, "tags": ["a"]}),
            "c": ToolEnum("Colour", "RED"),
        }

    def test_what_a_constructor_of_the_tool_raises_is_the_tools_own_error(self):
        class Strict:
            def __init__(self, **_: object) -> None:
                raise ValueError("too strict")

        with pytest.raises(ValueError, match="too strict") as caught:
            decode(encode(ToolObject("Strict", {})), classes={"Strict": Strict})
        assert not isinstance(caught.value, WireError)


class TestIdentity:
    def test_values_that_differ_have_wires_that_differ(self):
        wires = [
            encode(value) for value in [*SUPPORTED, math.nan, "nan", 0.0, False, "1", [True], [1], [1.0]]
        ]
        assert len(set(wires)) == len(wires)

    def test_sets_are_written_in_one_order_whatever_their_history(self):
        sets = [set(order) for order in itertools.permutations([0, 8, 16, 24])]
        assert len({tuple(items) for items in sets}) > 1
        assert len({encode(items) for items in sets}) == 1

    def test_the_order_of_a_dict_counts(self):
        assert encode({"a": 1, "b": 2}) != encode({"b": 2, "a": 1})

    def test_a_pair_of_surrogates_is_not_the_character_it_would_spell(self):
        assert encode(["\ud800", "😀"]) != encode(["\ud800", "\ud83d\ude00"])


class TestForeignObjects:
    @pytest.mark.parametrize(
        ("value", "meaning"),
        [
            (np.float64(1.5), 1.5),
            (np.float32(0.5), 0.5),
            (np.int8(3), 3),
            (np.bool_(True), True),
            (np.str_("a"), "a"),
            (np.bytes_(b"a"), b"a"),
            (np.longdouble(1.5), 1.5),
            (np.array(3), 3),
            (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
            (np.array([1, "a", None], dtype=object), [1, "a", None]),
            (np.ma.array([1, 2], mask=[0, 1]), [1, None]),
            (
                np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"),
                [datetime.fromisoformat("2024-01-01T00:00"), None],
            ),
            (np.datetime64("2024-01-01"), date(2024, 1, 1)),
            (np.datetime64("2024-01-01T01:02"), datetime.fromisoformat("2024-01-01T01:02")),
            (np.timedelta64(90, "s"), timedelta(seconds=90)),
            (pd.Series([1, 2]), [1, 2]),
            (pd.Series([1, None], dtype="Int64"), [1, None]),
            (pd.Index(["a", "b"]), ["a", "b"]),
            (pd.Categorical(["a", "b"]), ["a", "b"]),
            (pd.Timestamp("2024-01-01 01:00"), datetime.fromisoformat("2024-01-01T01:00")),
            (pd.Timedelta("1h"), timedelta(hours=1)),
            (pd.NaT, None),
            (pd.NA, None),
            (pd.DataFrame(), []),
            ([*pd.DataFrame({"n": [1], "s": ["a"]}).itertuples()], [(0, 1, "a")]),
            (Colour.RED, "r"),
            (Word.ONE, "one"),
            (Pair(1, 2), (1, 2)),
            (Point(1, ["a"]), {"x": 1, "tags": ["a"]}),
            (Item(name="a"), {"name": "a", "schema_": 1}),
            (collections.OrderedDict(a=1), {"a": 1}),
            (collections.Counter("aab"), {"a": 2, "b": 1}),
            (collections.ChainMap({"a": 1}), {"a": 1}),
            (collections.deque([1, 2]), [1, 2]),
            ({1: 2}.keys(), [1]),
            (range(3), [0, 1, 2]),
            (array.array("d", [1.5]), [1.5]),
            (bytearray(b"x"), b"x"),
            (memoryview(b"x"), b"x"),
            (PurePosixPath("a/b"), Path("a/b")),
            (PureWindowsPath("a"), Path("a")),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_object_is_taken_as_what_it_means(self, value, meaning):
        assert exactly(normalise(value)) == exactly(meaning)
        assert encode([value]) == encode([meaning])

    def test_a_dataframe_is_its_records_and_what_it_lacks_is_none(self):
        frame = pd.DataFrame(
            {
                "name": ["a", None],
                "score": [1.5, None],
                "day": pd.to_datetime(["2024-01-01", None]),
                7: [1, 2],
            }
        )
        first, second = normalise(frame)
        assert first == {"name": "a", "score": 1.5, "day": datetime.fromisoformat("2024-01-01T00:00"), 7: 1}
        assert second["name"] is None
        assert second["day"] is None
        assert math.isnan(second["score"])
        assert type(second[7]) is int

    def test_an_aware_timestamp_keeps_its_offset(self):
        stamp = pd.Timestamp("2024-07-01 12:00", tz="Europe/Paris")
        assert encode(stamp) == b'{"$datetime":"2024-07-01T12:00:00+02:00"}'

    def test_plain_json_is_not_copied(self):
        value = {"rows": [{"a": 1}]}
        assert normalise(value) is value


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (
                {"rows": [1, 2, 3, (item for item in "a")]},
                'result["rows"][3]: a generator can\'t leave the tool; return a list',
            ),
            (iter([1]), "an iterator (list_iterator)"),
            (lambda: 1, "the function <lambda>"),
            ([json], "result[0]: the module json"),
            (1j, "a complex number"),
            (object(), "an object of type object"),
            (Point, "the class Point"),
            (ValueError("x"), "an exception (ValueError)"),
            (open, "an object of type builtin_function_or_method"),
            ({"a": {1: {(2,): 1j}}}, 'result["a"][1][<tuple>]: a complex number'),
            ({"r": 1, Colour.RED: 2}, "two keys become the same plain value"),
            (np.array([1j]), "result[0]: a complex number"),
            (np.datetime64("99999-01-01"), "outside the range of Python's dates"),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "repeated column names"),
            (range(10**12), "a range of that length"),
            (range(10**30), "a range of that length"),
            (np.random.default_rng(), "an object of type Generator"),
        ],
        ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
    )  # fmt: skip
    def test_what_has_no_meaning_is_named_with_the_path_to_it(self, value, problem):
        with pytest.raises(ValueTypeError) as caught:
            encode(value)
        assert problem in str(caught.value)

    def test_a_cycle_is_refused_at_once_however_it_branches(self):
        cycle: list[object] = []
        cycle += [cycle, cycle, (cycle, {"a": cycle})]
        with pytest.raises(ValueTypeError, match="inside itself"):
            encode(cycle)
        assert plain(cycle)

    def test_nesting_beyond_the_limit_is_refused(self):
        value: object = 1
        for _ in range(MAX_DEPTH + 1):
            value = (value,)
        with pytest.raises(ValueTypeError, match="nested deeper"):
            encode(value)

    def test_an_input_is_named_and_told_what_to_pass(self):
        with pytest.raises(ValueTypeError, match=r"rows\[0\]: a generator can't enter a tool; pass a list"):
            normalise([(item for item in "a")], where="rows")

    def test_an_object_that_raises_when_it_is_read_is_refused_by_name(self):
        class Array:
            def tolist(self) -> list[int]:
                raise RuntimeError("no")

        with pytest.raises(ValueTypeError, match=r"a Array that fails when it is read \(RuntimeError\)"):
            encode([Array()])

    def test_a_long_path_is_cut_in_the_middle(self):
        value: object = 1j
        for _ in range(50):
            value = [value]
        with pytest.raises(ValueTypeError) as caught:
            encode(value)
        assert len(str(caught.value)) < 120


class TestHostileWires:
    @pytest.mark.parametrize(
        "wire",
        [
            b"",
            b"nonsense",
            b"[1",
            b"\xff",
            b"NaN",
            b"-Infinity",
            b'{"$tuple":1}',
            b'{"$unknown":1}',
            b'{"$tuple":[],"a":1}',
            b'{"a":1,"$tuple":[]}',
            b'{"\\u0024tuple":1}',
            b'{"$set":[[1]]}',
            b'{"$dict":[[[],1]]}',
            b'{"$dict":[1]}',
            b'{"$int":"zz"}',
            b'{"$float":"infinity"}',
            b'{"$decimal":"x"}',
            b'{"$decimal":1}',
            b'{"$timedelta":[1e999,0,0]}',
            b'{"$timedelta":[true,0,0]}',
            b'{"$timedelta":[99999999999999,0,0]}',
            b'{"$bytes":"a"}',
            b'{"$bytes":["YQ=="]}',
            b'{"$date":"2024-99-01"}',
            b'{"$uuid":"x"}',
            b'{"$str":"/w=="}',
            b'{"$object":["A",{"$dict":[[1,2]]}]}',
            b'{"$object":["A"]}',
            b'{"$enum":["A",1]}',
            b"[" * 100_000,
            b"[" * 250 + b"]" * 250,
            b'{"a":' * 250 + b"1" + b"}" * 250,
            b"1" * 5000,
        ],
        ids=lambda wire: repr(wire[:30]),
    )
    def test_what_is_no_canonical_form_is_refused_and_never_evaluated(self, wire):
        with pytest.raises(WireError):
            decode(wire)

    def test_only_classes_that_were_passed_are_made(self):
        with pytest.raises(WireError, match="no class"):
            decode(b'{"$object":["Path",{}]}', classes={})
        with pytest.raises(WireError, match="member"):
            decode(b'{"$enum":["Colour","__class__"]}', classes={"Colour": Colour})


class TestPlain:
    @pytest.mark.parametrize("value", [*SUPPORTED, math.nan], ids=lambda value: ascii(encode(value))[:40])
    def test_every_supported_value_has_a_strict_json_form(self, value):
        json.dumps(plain(value), allow_nan=False)

    def test_people_read_dates_as_iso_and_containers_as_lists(self):
        value = {
            "day": date(2024, 1, 2),
            "span": timedelta(days=1, hours=2, seconds=3.5),
            "back": timedelta(seconds=-5),
            "set": {3, 1, 2},
            "tuple": (1, math.nan),
            "raw": b"a",
            1: Decimal("1.50"),
        }
        assert plain(value) == {
            "day": "2024-01-02",
            "span": "P1DT2H3.5S",
            "back": "-PT5S",
            "set": [1, 2, 3],
            "tuple": [1, "NaN"],
            "raw": "YQ==",
            "1": "1.50",
        }

    def test_keys_that_would_fall_together_as_text_become_pairs(self):
        assert plain({1: "a", "1": "b"}) == [[1, "a"], ["1", "b"]]

    def test_what_has_no_form_is_named_and_the_rest_told(self):
        assert plain({"a": 1, "b": [1j, 2]}) == {"a": 1, "b": ["<complex>", 2]}

    def test_objects_that_raise_when_they_are_read_do_not_break_the_history(self):
        class Array:
            def tolist(self) -> list[int]:
                raise RuntimeError("no")

        assert plain([Array()]) == ["<Array>"]


def test_what_the_sandbox_is_sent_of_it_loads_with_the_standard_library_in_an_isolated_interpreter():
    probe = (
        "import sys\n"
        "def main(settings, modules):\n"
        "    print(modules['values.wire'].encode((1, {2})), [m for m in sys.modules if 'fact_magics' in m])\n"
    )
    modules = {name: boot.module_code(name) for name in boot.CODEC}
    modules["probe"] = marshal.dumps(compile(probe, "probe", "exec"))
    parts = [marshal.dumps(part) for part in (({}, modules), ("probe", {}))]
    python, *options = boot.command()
    done = subprocess.run(
        [python, "-S", *options],
        input=b"".join(b"%08x" % len(part) + part for part in parts),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == f"{encode((1, {2}))!r} []"


def test_a_large_call_without_tables_is_read_whether_its_arguments_have_names_or_not():
    text = "a" * 2 * LARGE
    for args, kwargs in (([text], {}), ([], {"text": text})):
        assert decode(encode_call(args, kwargs)) == {"args": args, "kwargs": kwargs}
