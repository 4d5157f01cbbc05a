"""Signatures: read without evaluating, validated without surprises, described as they are."""

from __future__ import annotations

import inspect
import json
import math
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, get_type_hints
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from fact_magics.errors import InvalidInput, InvalidResult, SignatureError
from fact_magics.signature import Signature, read_signature, signature_identity
from fact_magics.values import ToolEnum, ToolObject, decode, encode

HEADER = """
import datetime as dt
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum, auto
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, NamedTuple, NewType, Optional, TypedDict, Union
from typing_extensions import NotRequired, Required
from uuid import UUID

import annotated_types as at
from pydantic import Field

Number = int | float
UserId = NewType("UserId", int)

class Colour(Enum):
    RED = "red"
    BLUE = 2
    def shade(self): return self

class Level(IntEnum):
    LOW = auto()
    HIGH = auto()

class Word(StrEnum):
    ONE = auto()

@dataclass
class Base:
    x: int

@dataclass(frozen=True)
class Point(Base):
    y: float = 0.5
    tags: list[str] = field(default_factory=list)
    area: float = field(init=False, default=0.0)
    count: t.ClassVar[int] = 0

class Row(TypedDict):
    name: str
    size: NotRequired[int]

class Loose(TypedDict, total=False):
    name: Required[str]
    size: int

class Pair(NamedTuple):
    a: int
    b: str = "b"
"""


LAUGHS = "A1 = int\n" + "".join(f"A{i + 1} = tuple[{f'A{i}, ' * 9}int]\n" for i in range(1, 15))
LAUGHS += f"def f({', '.join(f'x{i}: A{i}' for i in range(1, 16))}) -> int: ..."

TABLES = "Write pandas.DataFrame, polars.DataFrame or pyarrow.Table"


def read(declaration: str, *, name: str = "f") -> Signature:
    return read_signature(f"{HEADER}\n{declaration}", name)


def taking(annotation: str) -> Signature:
    return read(f"def f(x: {annotation}) -> None: ...")


def returning(annotation: str) -> Signature:
    return read(f"def f() -> {annotation}: ...")


def accepted(annotation: str, value: object) -> object:
    return taking(annotation).validate({"x": value})["x"]


def refused(annotation: str, value: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        taking(annotation).validate({"x": value})
    line, signature = caught.value.lines
    assert signature.startswith("Not run: f(")
    return line


class TestReading:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("str", "str"),
            ("'str'", "str"),
            ("None", "None"),
            ("object", "Any"),
            ("t.Any", "Any"),
            ("list", "list"),
            ("List", "list"),
            ("List[int]", "list[int]"),
            ("'List[\"int\"]'", "list[int]"),
            ("Sequence[int]", "list[int]"),
            ("Dict[str, t.List[int]]", "dict[str, list[int]]"),
            ("Mapping[str, Any]", "dict[str, Any]"),
            ("dict", "dict"),
            ("tuple", "tuple"),
            ("tuple[int, ...]", "tuple[int, ...]"),
            ("tuple[int, str]", "tuple[int, str]"),
            ("tuple[()]", "tuple[()]"),
            ("frozenset[str]", "frozenset[str]"),
            ("Optional[int]", "int | None"),
            ("Union[int, str, None]", "int | str | None"),
            ("int | (str | None)", "int | str | None"),
            ("int | int", "int"),
            (" | ".join(["int", "str", "None"] * 40), "int | str | None"),
            ("Number", "int | float"),
            ("UserId", "int"),
            ("dt.datetime", "datetime"),
            ("dt.date | None", "date | None"),
            ("Literal['a', 1, True, None]", "Literal['a', 1, True, None]"),
            ("Annotated[int, 'meaningless', Field(ge=0)]", "int"),
            ("Colour", "Colour"),
            ("list[Point]", "list[Point]"),
        ],
    )
    def test_every_spelling_of_the_vocabulary_is_read(self, written, meant):
        assert taking(written).parameters[0].type.text == meant

    def test_the_text_shows_every_kind_of_parameter(self):
        signature = read("async def f(a: int, /, b: str = 'x', *, c: float = -1.5) -> list[str]: ...")
        assert signature.text == "f(a: int, /, b: str = 'x', *, c: float = -1.5) -> list[str]"
        assert signature.is_async
        assert read("def f(a: int, /) -> None: ...").text == "f(a: int, /) -> None"
        assert read("def f(*, a: int) -> None: ...").text == "f(*, a: int) -> None"
        assert read("def f() -> None: ...").text == "f() -> None"

    def test_inspect_shows_the_same_signature(self):
        signature = read(
            "def f(a: int, /, b: Row | None = None, *, c: datetime = datetime.now()) -> list[str]: ..."
        )
        shown = signature.inspect_signature()
        assert isinstance(shown, inspect.Signature)
        assert f"f{shown}" == signature.text

    def test_nothing_of_the_source_is_evaluated(self, tmp_path):
        mark = tmp_path / "mark"
        poison = f"open({str(mark)!r}, 'w').close()"
        source = (
            f"{poison}\nclass E(__import__('enum').Enum):\n    {poison}\n"
            f"def f(x: int = {poison}, *, y: 'str' = (lambda: {poison})()) -> None:\n    {poison}\n"
        )
        read_signature(source, "f").validate({})
        assert not mark.exists()

    def test_the_last_definition_counts_and_guarded_imports_are_seen(self):
        source = (
            "try:\n    from typing import Optional\n"
            "except ImportError:\n    from typing_extensions import Optional\n"
            "def f(x: int) -> int: ...\ndef f(y: Optional[str]) -> str: ...\n"
        )
        assert read_signature(source, "f").text == "f(y: str | None) -> str"

    def test_a_future_import_changes_nothing(self):
        assert read_signature("from __future__ import annotations\ndef f(x: int) -> int: ...", "f").text

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
    def test_type_statements_are_aliases(self):
        assert read_signature("type X = list[int]\ndef f(x: X) -> X: ...", "f").returns.text == "list[int]"

    def test_none_as_a_default_makes_a_type_optional(self):
        assert read("def f(x: str = None) -> None: ...").validate({}) == {"x": None}


class TestRefusedSources:
    @pytest.mark.parametrize(
        ("declaration", "problem"),
        [
            ("def f(x) -> int: ...", "the parameter x has no annotation"),
            ("def f(x: int): ...", "no return annotation"),
            ("def f(*xs: int) -> int: ...", r"the parameter \*xs"),
            ("def f(**xs: int) -> int: ...", r"the parameter \*\*xs"),
            ("def g() -> int: ...", "no function f"),
            ("class f: ...", "f is a class"),
            ("f = 1", "f is not a function"),
            ("def f() -> int: ...\nf = 1", "f is not a function"),
            ("class A:\n    def f(self) -> int: ...", "no function f"),
            ("def f(", "does not parse"),
            ("def f() -> int:\n    yield 1", "is a generator"),
            ("@wraps\ndef f() -> int: ...", "the decorator wraps"),
            ("def f(x: complex) -> int: ...", "the type complex can't be validated"),
            ("def f(x: lsit[int]) -> int: ...", "Did you mean 'list'"),
            ("def f(x: Callable) -> int: ...", "Callable is not defined"),
            ("def f(x: dict[int]) -> int: ...", "wrong number of types"),
            ("def f(x: set[list[int]]) -> int: ...", "can't be a set's item"),
            ("def f(x: dict[dict[str, int], int]) -> int: ...", "can't be a dict's key"),
            ("def f() -> Iterator[int]: ...", "Use a list"),
            ("A = list['A']\ndef f(x: A) -> int: ...", "contains itself"),
            ("@dataclass\nclass N:\n    kids: 'list[N]'\ndef f(x: N) -> int: ...", "contains itself"),
            ("class N(M): ...\ndef f(x: N) -> int: ...", "the class N can't be validated"),
            ("@dataclass\nclass N(M): ...\ndef f(x: N) -> int: ...", "the base M, which can't be read"),
            ("@dataclass\nclass N(N): ...\ndef f(x: N) -> int: ...", "inherits from itself"),
            (
                "@dataclass\nclass N:\n    def __init__(self): ...\ndef f(x: N) -> int: ...",
                "constructor of its own",
            ),
            ("class E(Enum):\n    A = object()\ndef f(x: E) -> int: ...", "a value that can't be read"),
            ("class E(Enum): ...\ndef f(x: E) -> int: ...", "no members"),
            ("def f(x: str = Field(pattern='(?=a)')) -> int: ...", "pattern that can't be compiled"),
            ("def f(x: str = Field('a', ge=1)) -> int: ...", "ge=1 does not fit the type str"),
            ("def f(x: int = Field(ge=limit())) -> int: ...", "is not a literal"),
            ("def f(x: list[int] = Field(default_factory=make)) -> int: ...", "default factory make"),
            ("def f(x: str = 5) -> int: ...", "the default of x"),
            ("def f(x: int, x: int) -> int: ...", "two parameters are named x"),
            ("def f(x: __import__('os').system('x')) -> int: ...", "can't be validated"),
            ("def f(x: 1) -> int: ...", "can't be validated"),
            ("def f(x: '') -> int: ...", "is not a type"),
            ("def f(x: (int, str)) -> int: ...", "can't be validated"),
            ("def f(x: Literal[1.5]) -> int: ...", "can't be in a Literal"),
            ("def f(x: Literal[y]) -> int: ...", "not defined|not a literal"),
            (f"def f(x: {'list[' * 60}int{']' * 60}) -> int: ...", "nested too deep"),
            (f"def f(x: '{'list[' * 60}int{']' * 60}') -> int: ...", "nested too deep"),
            (f"x = {'-' * 100_000}1\ndef f() -> int: ...", "does not parse"),
            (LAUGHS, "too large"),
            ("if a: pass\n" + "elif b: pass\n" * 3_000 + "def f() -> int: ...", "nested too deep"),
            ("def f(x: str = Field(pattern='(a{1000}){1000}')) -> int: ...", "can't be compiled"),
            ("\0", "does not parse"),
            ("x = " + "9" * 5_000, "does not parse"),
        ],
        ids=lambda value: value[:40].strip(),
    )  # fmt: skip
    def test_what_can_not_be_validated_is_refused_in_one_line_with_what_to_do(self, declaration, problem):
        with pytest.raises(SignatureError, match=problem) as caught:
            read(declaration)
        assert caught.value.hint
        assert "\n" not in caught.value.line

    @pytest.mark.parametrize(
        ("imported", "annotation", "hint"),
        [
            ("import polars as pl", "pl.LazyFrame", TABLES),
            ("import polars as pl", "'pl.LazyFrame | None'", TABLES),
            ("import pyarrow as pa", "list[pa.RecordBatch]", TABLES),
            ("from pandera.typing import DataFrame", "DataFrame[Row]", TABLES),
            ("import pandas as pd", "pd.Index", "Write pandas.Series"),
            ("import numpy as np", "np.array", "Write pandas.Series"),
            ("import pyarrow as pa", "pa.ChunkedArray", "Write pandas.Series"),
            ("import numpy as np", "np.float64", "Write float."),
            ("import numpy as np", "np.uint8", "Write int."),
            ("import numpy as np", "np.bool_", "Write bool."),
            ("import pandas as pd", "pd.Timestamp", "Write datetime.datetime."),
        ],
    )
    def test_a_type_of_a_data_library_is_told_what_to_write_in_its_place(self, imported, annotation, hint):
        for function in (f"def f(x: {annotation}) -> int: ...", f"def f() -> {annotation}: ..."):
            with pytest.raises(SignatureError, match="can't be validated") as caught:
                read(f"{imported}\n{function}")
            assert hint in caught.value.hint

    @pytest.mark.parametrize("annotation", ["pd.DataFrame", "DataFrame", "np.ndarray"])
    def test_a_type_of_a_data_library_must_be_imported(self, annotation):
        with pytest.raises(SignatureError, match="is not defined") as caught:
            read(f"def f(x: {annotation}) -> int: ...")
        assert "Import" in caught.value.hint

    def test_a_class_of_the_tool_may_have_the_name_of_a_data_type(self):
        source = "@dataclass\nclass DataFrame:\n    size: int\ndef f(x: DataFrame) -> int: ..."
        assert read(source).text == "f(x: DataFrame) -> int"
        with pytest.raises(SignatureError, match="not defined"):
            read("def f(x: Table) -> int: ...")

    def test_the_line_is_told_and_shown(self):
        with pytest.raises(SignatureError, match="Line 2:") as caught:
            read_signature("def f(a: int,\n      b: complex) -> int: ...", "f")
        assert caught.value.details == ("b: complex) -> int: ...",)


class TestScalars:
    @pytest.mark.parametrize(
        ("annotation", "value", "canonical"),
        [
            ("int", 10**400, 10**400),
            ("int", np.int64(5), 5),
            ("float", 1, 1.0),
            ("float", np.float32(0.5), 0.5),
            ("bool", True, True),
            ("str", "\ud800", "\ud800"),
            ("str", np.str_("a"), "a"),
            ("bytes", b"a", b"a"),
            ("bytes", bytearray(b"a"), b"a"),
            ("bytes", {"$bytes": "YQ=="}, b"a"),
            ("date", "2024-02-29", date(2024, 2, 29)),
            ("date", pd.Timestamp("2024-02-29"), date(2024, 2, 29)),
            ("datetime", "2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
            ("datetime", date(2024, 1, 1), datetime.fromisoformat("2024-01-01")),
            ("time", "01:02:03", time(1, 2, 3)),
            ("timedelta", "P1DT2H", timedelta(days=1, hours=2)),
            ("timedelta", pd.Timedelta("1h"), timedelta(hours=1)),
            ("Decimal", 0.1, Decimal("0.1")),
            ("Decimal", 3, Decimal(3)),
            ("Decimal", "1.50", Decimal("1.50")),
            ("UUID", "00000000-0000-0000-0000-000000000005", UUID(int=5)),
            ("Path", "a/b", Path("a/b")),
            ("None", None, None),
            ("Any", (1, {2}), (1, {2})),
        ],
    )
    def test_what_means_the_type_is_taken_in_its_canonical_form(self, annotation, value, canonical):
        taken = accepted(annotation, value)
        assert taken == canonical
        assert type(taken) is type(canonical)

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            ("int", True),
            ("int", np.bool_(True)),
            ("int", "5"),
            ("int", 5.0),
            ("int", Decimal(5)),
            ("int", None),
            ("float", True),
            ("float", "1.5"),
            ("float", 10**400),
            ("bool", 1),
            ("bool", "true"),
            ("str", 1),
            ("str", b"a"),
            ("str", Path("a")),
            ("bytes", "YQ=="),
            ("bytes", {"$bytes": "?"}),
            ("date", 20240101),
            ("date", "2024-13-01"),
            ("date", datetime(2024, 1, 1, 5, tzinfo=UTC)),
            ("datetime", 1_700_000_000),
            ("datetime", "1700000000x"),
            ("timedelta", 5),
            ("timedelta", "soon"),
            ("Decimal", True),
            ("Decimal", "x"),
            ("UUID", "x"),
            ("Path", ""),
            ("Path", "a\0b"),
            ("None", 0),
            ("list[int]", "12"),
            ("list[int]", {1, 2}),
            ("list[int]", {1: 2}),
            ("set[int]", {1: 2}),
            ("tuple[int, str]", [1]),
            ("dict[str, int]", [("a", 1)]),
            ("Literal['a', 1]", True),
            ("Literal[True]", 1),
            ("Literal[1]", 1.0),
        ],
    )
    def test_what_only_resembles_the_type_is_refused(self, annotation, value):
        assert refused(annotation, value).startswith("x")

    @pytest.mark.parametrize(
        ("annotation", "good", "bad"),
        [
            ("Annotated[int, Field(ge=0, le=10)]", 10, 11),
            ("Annotated[int, Field(multiple_of=5)]", 10, 11),
            ("Annotated[float, at.Gt(0), at.Lt(1)]", 0.5, 1.0),
            ("Annotated[str, Field(min_length=1, max_length=3)]", "abc", ""),
            ("Annotated[str, Field(pattern='^[a-z]+$')]", "abc", "ABC"),
            ("Annotated[list[int], at.Len(1, 2)]", [1], []),
            ("Annotated[dict[str, int], Field(min_length=1)]", {"a": 1}, {}),
            ("Annotated[Decimal, Field(ge=0.1)]", Decimal("0.1"), Decimal("0.09")),
            ("Annotated[Decimal, Field(ge=0)]", Decimal(0), Decimal("NaN")),
            ("Annotated[date, Field(ge=date(2024, 1, 1))]", date(2024, 1, 1), date(2023, 1, 1)),
            ("Annotated[bytes, Field(max_length=1)]", b"a", b"ab"),
            ("Annotated[int | None, Field(gt=0)]", None, 0),
            ("Annotated[str | int, Field(gt=0)]", "a", 0),
        ],
    )
    def test_bounds_hold(self, annotation, good, bad):
        assert accepted(annotation, good) == good
        assert "x: should" in refused(annotation, bad)


class TestUnions:
    @pytest.mark.parametrize("annotation", ["bool | int | float | str", "str | float | int | bool"])
    @pytest.mark.parametrize("value", [True, 1, 1.0, "1"])
    def test_a_member_that_fits_as_it_stands_wins_whatever_the_order(self, annotation, value):
        assert type(accepted(annotation, value)) is type(value)

    def test_exactness_goes_down_into_containers(self):
        assert type(accepted("list[float] | list[int]", [1])[0]) is int
        assert type(accepted("list[float] | list[int]", [1.0])[0]) is float
        assert type(accepted("dict[str, float] | dict[str, bool]", {"a": True})["a"]) is bool

    def test_conversion_is_the_second_choice(self):
        assert type(accepted("float | str", 1)) is float
        assert accepted("str | date", "2024-01-01") == "2024-01-01"
        assert accepted("datetime | date", "2024-01-01") == date(2024, 1, 1)
        assert accepted("date | datetime", "2024-01-01T01:00:00Z") == datetime(2024, 1, 1, 1, tzinfo=UTC)
        assert type(accepted("Decimal | float", 1.5)) is float

    def test_a_misfit_is_one_line_that_names_the_union(self):
        assert refused("int | str | None", [1]) == "x: should be int | str | None, got [1]"
        assert refused("list[int | str]", [1, None]) == "x[1]: should be int | str, got None"

    def test_unions_within_unions_stay_small(self):
        nested = "int | str"
        for _ in range(8):
            nested = f"list[{nested}] | dict[str, int]"
        assert accepted(nested, [[[[[[[[1]]]]]]]])


class TestContainers:
    def test_lists_tuples_and_sets_take_what_json_can_say(self):
        assert accepted("tuple[int, str]", [1, "a"]) == (1, "a")
        assert accepted("list[int]", (1, 2)) == [1, 2]
        assert accepted("set[int]", [1, 1, 2]) == {1, 2}
        assert accepted("frozenset[str]", ["a"]) == frozenset({"a"})

    def test_keys_need_not_be_text(self):
        assert accepted("dict[int, str]", {1: "a"}) == {1: "a"}
        assert accepted("dict[int, str]", {"1": "a"}) == {1: "a"}
        assert accepted("dict[tuple[int, int], str]", {(1, 2): "a"}) == {(1, 2): "a"}
        assert accepted("dict[date, int]", {"2024-01-01": 1}) == {date(2024, 1, 1): 1}
        assert 'x["b"]' in refused("dict[int, str]", {"b": "a"}).replace("'", '"')

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["polars:DataFrame", "pyarrow:table"])
    def test_a_table_of_polars_or_arrow_is_taken_as_its_records(self, name):
        frame = resolve_name(name)
        assert accepted("list[Row]", frame({"name": ["a"], "size": [1]})) == [{"name": "a", "size": 1}]
        assert accepted("list[dict[str, Any]]", frame({"name": []})) == []
        assert refused("list[dict[str, int]]", frame({"n": [1, None]})).startswith(
            "x[1]['n']: should be a valid"
        )
        assert accepted("list[int]", frame({"n": [1, 2]})["n"]) == [1, 2]
        assert accepted("list[int | None]", frame({"n": [1, None]})["n"]) == [1, None]

    @pytest.mark.slow
    def test_a_lazy_frame_is_refused_with_what_to_call(self):
        assert refused("list[Row]", resolve_name("polars:LazyFrame")({"name": ["a"]})).endswith(
            "pass the result of its collect()"
        )

    def test_what_notebooks_hold_is_taken(self):
        frame = pd.DataFrame({"name": ["a"], "size": [1]})
        assert accepted("list[Row]", frame) == [{"name": "a", "size": 1}]
        assert accepted("list[float]", np.array([1, 2])) == [1.0, 2.0]
        assert accepted("list[int]", pd.Series([1, 2])) == [1, 2]

    def test_a_hundred_thousand_wrong_items_are_one_line(self):
        assert refused("list[int]", ["a"] * 100_000) == "x[0]: should be a valid integer, got 'a'"

    def test_values_are_shown_bounded(self):
        assert len(refused("int", "a" * 10_000_000)) < 150
        assert len(refused("int", [10**5000] * 1_000)) < 150
        assert "\x1b" not in refused("Literal['a']", "\x1b[31m")


class TestPaths:
    @pytest.mark.parametrize(
        "annotation",
        [
            "Path",
            "Path | None",
            "list[tuple[int, Path]]",
            "dict[Path, int]",
            "Annotated[set[Path], at.MinLen(1)]",
        ],
    )
    def test_a_path_is_found_wherever_it_is_in_the_input(self, annotation):
        assert taking(annotation).takes_paths

    def test_paths_in_fields_are_found_and_those_in_results_are_not(self):
        assert read("@dataclass\nclass D:\n    a: list[Path]\ndef f(x: D) -> None: ...").takes_paths
        assert not read("def f(x: list[Point], y: Any) -> Path: ...").takes_paths


class TestClassesOfTheTool:
    def test_an_enumeration_takes_values_and_names(self):
        assert accepted("Colour", "red") == ToolEnum("Colour", "RED")
        assert accepted("Colour", 2) == ToolEnum("Colour", "BLUE")
        assert accepted("Colour", "BLUE") == ToolEnum("Colour", "BLUE")
        assert accepted("Level", 2) == ToolEnum("Level", "HIGH")
        assert accepted("Word", "one") == ToolEnum("Word", "ONE")
        assert refused("Colour", "green") == "x: should be one of 'red', 2, got 'green'"
        assert refused("Level", True).startswith("x: should be one of 1, 2")

    def test_a_member_as_default_goes_to_the_tool(self):
        signature = read("def f(c: Colour = Colour.RED) -> None: ...")
        assert (
            signature.wire(signature.validate({})) == b'{"args":[],"kwargs":{"c":{"$enum":["Colour","RED"]}}}'
        )
        assert signature.json_schema()["properties"]["c"] == {"enum": ["red", 2], "default": "red"}

    def test_a_dataclass_takes_its_fields_inherited_ones_too(self):
        point = accepted("Point", {"x": 1})
        assert point == ToolObject("Point", {"x": 1, "y": 0.5})
        assert accepted("Point", {"x": 1, "y": 2, "tags": ("a",)}).fields == {"x": 1, "y": 2.0, "tags": ["a"]}
        assert accepted("Point", point) == point
        assert refused("Point", {"x": "1"}).startswith("x['x']: should be a valid integer")
        assert refused("Point", {"x": 1, "area": 1.0}) == "x['area']: unknown field"
        assert refused("Point", {}) == "x['x']: missing"

    def test_a_typed_dict_stays_a_dict(self):
        assert accepted("Row", {"name": "a"}) == {"name": "a"}
        assert accepted("Loose", {"name": "a", "size": 1}) == {"name": "a", "size": 1}
        assert refused("Loose", {"size": 1}) == "x['name']: missing"

    def test_a_named_tuple_takes_fields_and_positions(self):
        expected = ToolObject("Pair", {"a": 1, "b": "b"})
        assert accepted("Pair", [1]) == accepted("Pair", {"a": 1}) == accepted("Pair", (1, "b")) == expected

    def test_results_are_plain_data(self):
        assert returning("Colour").read_result(encode("red")) == "red"
        assert returning("Pair").read_result(encode((1, "b"))) == (1, "b")
        point = {"x": 1, "y": 2.0, "tags": [], "area": 3.0}
        assert returning("list[Point]").read_result(encode([point])) == [point]
        assert returning("Row").read_result(encode({"name": "a"})) == {"name": "a"}


class TestCalls:
    def test_every_invalid_field_has_a_line_and_misspelt_ones_a_suggestion(self):
        signature = read("def f(text: str, count: int, *, sep: str = '-') -> str: ...")
        with pytest.raises(InvalidInput) as caught:
            signature.validate({"txet": "a", "count": "3", "sep": (item for item in "a")})
        assert caught.value.lines == (
            "text: missing, should be str",
            "count: should be a valid integer, got '3'",
            "sep: a generator can't enter a tool; pass a list",
            "txet: unknown field. Did you mean 'text'?",
            "Not run: f(text: str, count: int, *, sep: str = '-') -> str",
        )
        assert caught.value.line == "text: missing, should be str"

    def test_a_long_signature_is_cut_between_two_words(self):
        """Jupyter would break it in the middle of a word."""
        signature = read(
            "def f(text: str, *, separator: str = '-', mode: Literal['fast', 'slow', 'careful'] = 'fast', "
            "weights: dict[str, float] = {}) -> str: ..."
        )
        with pytest.raises(InvalidInput) as caught:
            signature.validate({"text": 3})
        assert str(caught.value).splitlines() == [
            "text: should be a valid string, got 3",
            "Not run: f(text: str, *, separator: str = '-', mode: Literal['fast', 'slow', 'careful'] = …",
        ]

    def test_the_first_of_several_problems_in_a_field_is_told(self):
        with pytest.raises(InvalidInput, match=r"^x\['a'\]: .* got 'b' \(2 more problems in x\)"):
            read("def f(x: dict[str, int]) -> None: ...").validate({"x": {"a": "b", "c": "d", "e": "f"}})

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (3.0, 'got 3.0; convert it with int(…), or its column with .astype("Int64")'),
            (math.nan, 'got nan; convert its column with .astype("Int64")'),
            (2.5, "got 2.5"),
        ],
    )
    def test_an_integer_from_a_column_with_gaps_is_refused_with_how_to_convert_it(self, value, said):
        for annotation, given, place in (("int | None", value, ""), ("list[int]", [value], "[0]")):
            with pytest.raises(InvalidInput) as caught:
                read(f"def f(n: {annotation}) -> None: ...").validate({"n": given})
            assert caught.value.line == f"n{place}: should be a valid integer, {said}"

    def test_arguments_that_can_t_be_matched_come_before_the_signature(self):
        signature = read("def f(a: int, b: int = 1) -> None: ...")
        with pytest.raises(InvalidInput) as caught:
            signature.bind((1, 2, 3), {})
        assert caught.value.lines == (
            "f() takes 2 positional arguments, got 3.",
            "Not run: f(a: int, b: int = 1) -> None",
        )
        with pytest.raises(InvalidInput) as caught:
            signature.bind((1,), {"a": 2})
        assert caught.value.lines[0] == "f() got 'a' twice."

    def test_a_hostile_name_of_a_field_stays_on_its_line(self):
        with pytest.raises(InvalidInput) as caught:
            read("def f() -> None: ...").validate({"a\nb\x1b[31m" * 1_000: 1})
        line = caught.value.line
        assert len(line) < 120
        assert "\n" not in line
        assert "\x1b" not in line

    def test_order_and_spelling_of_a_call_do_not_change_its_wire(self):
        signature = read("def f(a: int, b: float = 1, *, c: str = 'x') -> str: ...")
        first = signature.wire(signature.validate({"c": "x", "a": 1}))
        second = signature.wire(signature.validate(signature.bind((1, 1.0), {})))
        assert first == second == b'{"args":[],"kwargs":{"a":1,"b":1.0,"c":"x"}}'

    def test_python_decides_what_a_call_binds(self):
        signature = read("def f(a: int, /, b: int, *, c: int = 0) -> str: ...")
        assert signature.bind((1, 2), {"c": 3}) == {"a": 1, "b": 2, "c": 3}
        for args, kwargs, problem in [
            ((1, 2, 3), {}, "takes 2 positional arguments, got 3"),
            ((1, 2), {"b": 2}, "'b' twice"),
            ((), {"a": 1, "b": 2}, "by position only"),
        ]:
            with pytest.raises(InvalidInput, match=problem):
                signature.bind(args, kwargs)

    def test_positional_only_arguments_travel_by_position(self):
        signature = read("def f(a: int, b: int = 2, /, c: int = 3) -> str: ...")
        assert signature.wire(signature.validate({"a": 1})) == b'{"args":[1,2],"kwargs":{"c":3}}'

    def test_a_default_that_only_the_tool_knows_is_left_to_it(self):
        signature = read("def f(now: datetime = datetime.now(), n: int = 1, /) -> str: ...")
        assert signature.validate({}) == {"n": 1}
        assert signature.wire({"n": 1}) == b'{"args":[],"kwargs":{}}'
        with pytest.raises(InvalidInput, match="'now' must be given too"):
            signature.wire(signature.validate({"n": 2}))

    def test_a_default_in_field_is_passed_since_python_would_pass_the_field(self):
        signature = read(
            "def f(a: int = Field(default=5, ge=0), b: list[int] = Field(default_factory=list), "
            "c: Annotated[int, Field(gt=0)] = Field(...)) -> str: ..."
        )
        assert signature.validate({"c": 1}) == {"a": 5, "b": [], "c": 1}
        with pytest.raises(InvalidInput, match="c: missing"):
            signature.validate({})

    def test_a_mutable_default_is_not_shared_between_calls(self):
        signature = read("def f(a: list[int] = []) -> str: ...")
        signature.validate({})["a"].append(1)
        assert signature.validate({}) == {"a": []}

    @pytest.mark.parametrize(
        "name",
        ["model_config", "model_fields", "schema", "json", "copy", "_x", "__x", "self", "cls", "dict"],
    )  # fmt: skip
    def test_names_that_mean_something_to_pydantic_are_only_names(self, name):
        signature = read(f"def f({name}: int) -> str: ...")
        assert signature.validate({name: 1}) == {name: 1}
        assert decode(signature.wire({name: 1})) == {"args": [], "kwargs": {name: 1}}

    def test_a_value_nested_to_the_limit_arrives(self):
        value: list[object] = []
        for _ in range(199):
            value = [value]
        signature = taking("Any")
        assert decode(signature.wire(signature.validate({"x": value}))) == {
            "args": [],
            "kwargs": {"x": value},
        }


class TestResults:
    @pytest.mark.parametrize(
        ("annotation", "value", "read_as"),
        [
            ("tuple[int, ...]", [1, 2], (1, 2)),
            ("list[tuple[str, float]]", [["a", 1]], [("a", 1.0)]),
            ("set[int]", [1, 2], {1, 2}),
            ("Path", "a/b", Path("a/b")),
            ("None", None, None),
            ("Any", (1, [2]), (1, [2])),
            ("float | None", None, None),
            ("dict[int, str]", {1: "a"}, {1: "a"}),
        ],
    )
    def test_a_result_takes_the_form_of_its_annotation(self, annotation, value, read_as):
        result = returning(annotation).read_result(encode(value))
        assert result == read_as
        assert type(result) is type(read_as)

    @pytest.mark.parametrize(
        ("annotation", "value", "place"),
        [
            ("None", 5, "result: "),
            ("int", True, "result: "),
            ("str", None, "result: "),
            ("list[Row]", [{"name": "a"}, {"name": 1}], "result[1]['name']: "),
            ("tuple[int, str]", (1,), "result[1]: missing"),
            ("dict[str, int]", {"a": 1.5}, "result['a']: "),
        ],
    )
    def test_a_misfit_names_the_path_inside_it(self, annotation, value, place):
        with pytest.raises(InvalidResult) as caught:
            returning(annotation).read_result(encode(value))
        assert f": {place}" in caught.value.line

    @pytest.mark.parametrize(
        "wire", [b"", b"\xff", b'{"$object":["A",{}]}', b"[" * 9_999, b'{"$enum":["A","B"]}']
    )
    def test_bytes_that_are_no_value_of_the_type_are_refused(self, wire):
        with pytest.raises(InvalidResult):
            returning("dict[str, Any]").read_result(wire)

    @pytest.mark.parametrize(
        "wire",
        [
            b'{"$object":["A",{}]}',
            b'[{"$enum":["A","B"]}]',
            b'{"$dict":[[{"$enum":["A","B"]},1]]}',
            b'{"\\u0024object":["A",{}]}',
            b"[" * 201 + b"]" * 201,
            b"[" * 201 + b"1" + b"]" * 201,
            b'{"$tuple":[' * 201 + b"]}" * 201,
        ],
    )
    def test_what_only_travels_into_a_tool_never_leaves_it(self, wire):
        decode(wire)
        with pytest.raises(InvalidResult):
            returning("Any").read_result(wire)

    @pytest.mark.parametrize("wire", [b"[" * 200 + b"]" * 200, b'{"$tuple":[' * 200 + b"1" + b"]}" * 200])
    def test_the_deepest_result_can_be_written_again(self, wire):
        assert encode(returning("Any").read_result(wire)) == wire


class TestDescriptions:
    NUMPY = '''
def f(
    text: str,
    n: Annotated[int, Field(ge=1, description="How many")] = 3,
    *,
    when: date | None = None,
) -> str:
    """Do it.

    Parameters
    ----------
    text : str
        What is read,
        line by line.
    when
        The day.

    Returns
    -------
    str
        Text.
    """
'''

    def test_the_schema_is_json_and_closed(self):
        schema = read(self.NUMPY).json_schema()
        assert json.loads(json.dumps(schema)) == {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "What is read, line by line."},
                "n": {"type": "integer", "minimum": 1, "description": "How many", "default": 3},
                "when": {
                    "anyOf": [{"type": "string", "format": "date"}, {"type": "null"}],
                    "description": "The day.",
                    "default": None,
                },
            },
            "required": ["text"],
            "additionalProperties": False,
        }

    def test_google_and_rest_docstrings_are_understood(self):
        google = 'def f(a: int, b: int) -> int:\n    """Do.\n\n    Args:\n        a (int): First\n            of two.\n        b: Second.\n\n    Returns:\n        int: x\n    """'
        rest = 'def f(a: int, b: int) -> int:\n    """Do.\n\n    :param a: First\n        of two.\n    :param int b: Second.\n    :returns: x\n    """'
        for source in (google, rest):
            first, second = read(source).parameters
            assert (first.description, second.description) == ("First of two.", "Second.")

    def test_every_type_has_a_schema(self):
        schema = taking(
            "tuple[Row, Point, Pair, Colour, set[int], dict[str, Any], bytes, Decimal, Literal['a'], "
            "tuple[int, ...]]"
        ).json_schema()
        row, point, *_ = schema["properties"]["x"]["prefixItems"]
        assert row["required"] == ["name"]
        assert set(point["properties"]) == {"x", "y", "tags"}
        json.dumps(schema)

    @pytest.mark.parametrize(
        ("hint", "items"),
        [
            ("list", {}),
            ("set[Any]", {}),
            ("tuple", {}),
            ("tuple[()]", {}),
            ("tuple[int, int]", {"type": "integer"}),
            ("tuple[int, str]", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            ("tuple[int, Any]", {}),
            ("tuple[int, ...]", {"type": "integer"}),
        ],
    )
    def test_every_array_says_what_its_items_are(self, hint, items):
        schema = taking(hint).json_schema()["properties"]["x"]
        assert schema["type"] == "array"
        assert schema["items"] == items
        nested = taking(f"dict[str, list[{hint}]]").json_schema()["properties"]["x"]
        assert nested["additionalProperties"]["items"] == schema

    def test_a_bound_at_infinity_bounds_nothing(self):
        schema = taking("Annotated[float, Field(ge=0, le=float('inf'))]").json_schema()
        assert schema["properties"]["x"] == {"type": "number", "minimum": 0}

    @pytest.mark.parametrize(
        ("hint", "expected"),
        [
            ("str", str),
            ("None", type(None)),
            ("Any", Any),
            ("list", list[Any]),
            ("list[int]", list[int]),
            ("dict[str, list[float]]", dict[str, list[float]]),
            ("tuple[int, str]", tuple[int, str]),
            ("tuple[int, ...]", tuple[int, ...]),
            ("tuple[()]", tuple[()]),
            ("int | None", int | None),
            ("Optional[set[str]]", set[str] | None),
            ("Literal['a', 2]", Literal["a", 2]),
            ("Annotated[int, Field(ge=0)]", int),
            ("datetime", datetime),
            ("Path", Path),
            ("Colour", Any),
            ("Row", Any),
        ],
    )
    def test_typing_reads_the_types(self, hint, expected):
        signature = taking(hint)

        class Tool:
            __annotations__ = signature.annotations()

        assert get_type_hints(Tool())["x"] == expected

    def test_the_skeleton_is_a_body_to_fill_in(self):
        signature = read("def f(text: str, *, sep: str = '-', now: datetime = datetime.now()) -> str: ...")
        assert signature.skeleton() == (
            "text = ...  # str, required\nsep = '-'  # str\n# now = datetime.now()  # datetime"
        )


class TestIdentity:
    BASE = "def f(a: int, b: str = 'x') -> str: ..."

    @pytest.mark.parametrize(
        "other",
        [
            "def f(a: int, c: str = 'x') -> str: ...",
            "def f(a: float, b: str = 'x') -> str: ...",
            "def f(a: int, b: str = 'y') -> str: ...",
            "def f(a: int, b: str) -> str: ...",
            "def f(a: int, b: str = 'x') -> list[str]: ...",
            "def f(a: int, *, b: str = 'x') -> str: ...",
            "def f(b: str = 'x', *, a: int) -> str: ...",
            "async def f(a: int, b: str = 'x') -> str: ...",
            "def f(a: Annotated[int, Field(ge=0)], b: str = 'x') -> str: ...",
        ],
    )
    def test_what_a_caller_can_notice_changes_it(self, other):
        assert signature_identity(read(other)) != signature_identity(read(self.BASE))

    def test_names_bodies_and_quotes_do_not(self):
        other = 'def g(a: "int", b: str = "x") -> str:\n    """Another."""\n    return b'
        assert signature_identity(read(other, name="g")) == signature_identity(read(self.BASE))

    def test_literals_that_python_calls_equal_are_told_apart(self):
        assert signature_identity(taking("Literal[1]")) != signature_identity(taking("Literal[True]"))
