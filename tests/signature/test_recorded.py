"""Inputs as the history keeps them, read back: the same input, or an error, and never another one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from uuid import UUID

import pytest

from fact_magics.errors import InvalidInput
from fact_magics.signature import read_signature
from fact_magics.values import decode, plain

IMPORTS = (
    "from dataclasses import dataclass\nfrom datetime import date, datetime, time, timedelta\n"
    "from decimal import Decimal\nfrom enum import Enum\nfrom pathlib import Path\nfrom typing import Annotated, Any, Literal\n"
    "from uuid import UUID\nfrom pydantic import Field\n\n"
    "@dataclass\nclass Point:\n    x: float\n    seen: date | None = None\n\n"
    "class Colour(Enum):\n    RED = 1\n    BLUE = 'b'\n    b = 'BLUE'\n\n"
)


def signature(annotation: str, *, positional: bool = False):
    end = ", /" if positional else ""
    return read_signature(f"{IMPORTS}def f(x: {annotation}{end}) -> int:\n    return 1\n", "f")


def recorded(arguments: bytes) -> str:
    """An input as its row in the history holds it."""
    read = decode(arguments)
    named = {**{str(i): value for i, value in enumerate(read["args"])}, **read["kwargs"]}
    return json.dumps(plain(named))


KEPT = [
    ("str", "a"),
    ("int", 10**30),
    ("int", -(2**70_000)),
    ("float", 1.0),
    ("float", nan),
    ("float", -inf),
    ("bool", True),
    ("bytes", b"\x00\xff ab"),
    ("date", date(2020, 1, 2)),
    ("datetime", datetime(2020, 1, 2, 3, 4, 5, 6, UTC)),
    ("time", time(1, 2, 3)),
    ("timedelta", timedelta(days=-1, seconds=3, microseconds=5)),
    ("Decimal", Decimal("1.10")),
    ("UUID", UUID(int=5)),
    ("Path", Path("/a/b")),
    ("list[bytes]", [b"\xfe", b""]),
    ("list[float]", [nan, 1.5]),
    ("set[int]", {1, 2}),
    ("frozenset[bytes]", frozenset({b"a"})),
    ("tuple[int, bytes]", (1, b"a")),
    ("tuple[float, ...]", (inf, 2.0)),
    ("dict[str, bytes]", {"a": b"b"}),
    ("dict[int, str]", {1: "a"}),
    ("dict[float, int]", {1.5: 1}),
    ("dict[bool, int]", {True: 1}),
    ("dict[date, int]", {date(2020, 1, 1): 1}),
    ("dict[tuple[int, int], str]", {(1, 2): "x"}),
    ("bytes | None", b"\xff"),
    ("date | None", None),
    ("float | None", nan),
    ("int | None", 2**70_000),
    ("float | str", "Infinite"),
    ("int | float", 1),
    ("int | float", 1.0),
    ("str | list[bytes]", [b"a"]),
    ("Literal['a', 1]", 1),
    ("Annotated[float, Field(ge=0)]", inf),
    ("Point", {"x": nan, "seen": date(2020, 1, 1)}),
    ("Colour", 1),
    ("Colour", "b"),
    ("Colour", "BLUE"),
]


@pytest.mark.parametrize(
    ("annotation", "value"), KEPT, ids=[f"{i} {kind}" for i, (kind, _) in enumerate(KEPT)]
)
@pytest.mark.parametrize("positional", [False, True])
def test_what_is_exact_is_read_back_as_it_was(annotation, value, positional):
    known = signature(annotation, positional=positional)
    assert known.recorded_exactly
    arguments = known.wire(known.validate({"x": value}))
    assert known.wire(known.validate(known.read_recorded(recorded(arguments)))) == arguments


def test_text_that_may_also_be_a_number_is_an_error():
    known = signature("float | str")
    for value in (nan, "NaN"):
        arguments = known.wire(known.validate({"x": value}))
        with pytest.raises(ValueError, match="text or a number"):
            known.read_recorded(recorded(arguments))


@pytest.mark.parametrize(
    "annotation",
    ["Any", "dict", "list", "list[Any]", "dict[str, Any]", "str | date", "bytes | Decimal", "list[int] | set[int]",
     "tuple[int, Any]", "dict[str, str | UUID]", "None | Literal['a'] | date"],
)  # fmt: skip
def test_what_json_leaves_open_is_not_exact(annotation):
    assert not signature(annotation).recorded_exactly


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[1]",
        "3",
        '{"y": 1}',
        '{"0": 1}',
        '{"x": "0x',
        '{"x": "… (3 more characters)"}',
        '{"x": {}}',
    ],
)
def test_a_text_that_is_no_input_of_it_is_an_error(text):
    known = signature("int")
    with pytest.raises((ValueError, InvalidInput)):
        known.validate(known.read_recorded(text))
