"""Types without parts: how each type is validated, described as JSON Schema, bounded and recorded.

Inputs and results follow the same rules. A bool is not a number, text is never converted to a number, and an
int is accepted as a float. Values of types that JSON lacks can be given as text: ISO text for dates and
times, and the text of a Decimal, UUID or Path.
"""

from __future__ import annotations

import base64
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator
from pydantic_core import core_schema as cs

if TYPE_CHECKING:
    from collections.abc import Callable

    _Build = Callable[[bool, dict[str, Any]], CoreSchema]

ORDER = frozenset({"ge", "gt", "le", "lt"})
SIZE = frozenset({"min_length", "max_length"})
_NUMBER = ORDER | {"multiple_of"}

# The history writes NaN, infinities ("nan") and integers with too many decimal digits ("hex") as text.
AMBIGUOUS = frozenset({"nan", "hex"})
TEXT = frozenset({"text"}) | AMBIGUOUS
_JSON_KINDS = {bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
_SHORTEST_HEX = 3_000


def json_kind(data: object) -> str:
    """Return the kind of a JSON value; text that may stand for a number has the kind ``nan`` or ``hex``."""
    if not isinstance(data, str):
        return _JSON_KINDS.get(type(data), "text")
    if data in ("NaN", "Infinity", "-Infinity"):
        return "nan"
    return "hex" if len(data) > _SHORTEST_HEX and data.lstrip("-").startswith("0x") else "text"


class ScalarRules(NamedTuple):
    """The rules of one scalar type, which `vocabulary.Scalar` applies."""

    json_schema: dict[str, Any]
    json_kinds: frozenset[str]
    core_schema: _Build  # takes Mode.exact and the bounds
    bound_names: frozenset[str] = frozenset()
    from_recorded: Callable[[Any], object] = lambda data: data


def should_be(expected: str) -> PydanticCustomError:
    """Build the error for a value that is not as expected."""
    return PydanticCustomError("value", "Input should {expected}", {"expected": expected})


def checked(function: Callable[[Any], object]) -> CoreSchema:
    """Build a core schema from a function that returns the accepted value, or raises."""
    return cs.no_info_plain_validator_function(function)


def _native(build: Callable[..., CoreSchema]) -> _Build:
    return lambda _exact, bounds: build(strict=True, **bounds)


def _float(exact: bool, bounds: dict[str, Any]) -> CoreSchema:
    number = cs.float_schema(strict=True, allow_inf_nan=True, **bounds)
    return cs.chain_schema([cs.is_instance_schema(float), number]) if exact else number


def _converted(kind: type, read: Callable[[Any], object], expected: str) -> _Build:
    """Accept instances of `kind` and, if conversion is allowed, values that `read` can convert to `kind`."""

    def build(exact: bool, bounds: dict[str, Any]) -> CoreSchema:
        def take(value: Any) -> object:
            if type(value) is kind:
                return value
            if not exact:
                try:
                    return read(value)
                except (ValueError, TypeError, AttributeError, ArithmeticError):  # `read` gets any value
                    pass
            raise should_be(f"be {expected}")

        schema = checked(take)
        return cs.chain_schema([schema, checked(_bounds_check(bounds))]) if bounds else schema

    return build


_CHECKS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("be greater than or equal to", lambda value, bound: value >= bound),
    "gt": ("be greater than", lambda value, bound: value > bound),
    "le": ("be less than or equal to", lambda value, bound: value <= bound),
    "lt": ("be less than", lambda value, bound: value < bound),
    "multiple_of": ("be a multiple of", lambda value, bound: value % bound == 0),
    "min_length": ("have a length of at least", lambda value, bound: len(value) >= bound),
    "max_length": ("have a length of at most", lambda value, bound: len(value) <= bound),
}


def _bounds_check(bounds: dict[str, Any]) -> Callable[[Any], object]:
    """Check bounds of Decimal, dates, times and bytes, which Pydantic's core can't check here."""

    def check(value: Any) -> object:
        for name, bound in bounds.items():
            words, fits = _CHECKS[name]
            if isinstance(value, Decimal) and isinstance(bound, float):
                bound = Decimal(repr(bound))  # so that the bound 0.1 is exactly one tenth
            try:
                fit = fits(value, bound)
            except (TypeError, ArithmeticError):  # only one of two times has a zone; a Decimal is NaN
                fit = False
            if not fit:
                raise should_be(f"{words} {bound}")
        return value

    return check


def _bytes(value: Any) -> object:
    # Plain text could be meant literally or as base64, so only the canonical form is accepted.
    match value:
        case {"$bytes": str(text), **rest} if not rest:
            return base64.b64decode(text, validate=True)
    raise TypeError


def _date(value: Any) -> object:
    if type(value) is datetime and value.time() == time() and value.tzinfo is None:
        return value.date()
    return date.fromisoformat(value)


def _datetime(value: Any) -> object:
    if type(value) is date:
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no zone either
    return datetime.fromisoformat(value)


def _decimal(value: Any) -> object:
    if type(value) is int:
        return Decimal(value)
    if type(value) is float or isinstance(value, str):
        return Decimal(str(value).strip())
    raise TypeError


def _path(value: Any) -> object:
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise TypeError


_DURATIONS = SchemaValidator(cs.chain_schema([cs.str_schema(strict=True), cs.timedelta_schema()]))


def _textual(
    kind: type,
    json_format: str,
    read: Callable[[Any], object],
    expected: str,
    bound_names: frozenset[str] = frozenset(),
) -> ScalarRules:
    schema = {"type": "string", "format": json_format}
    return ScalarRules(schema, TEXT, _converted(kind, read, expected), bound_names)


SCALARS: dict[str, ScalarRules] = {
    "Any": ScalarRules({}, frozenset(_JSON_KINDS.values()) | TEXT, lambda _exact, _bounds: cs.any_schema()),
    "None": ScalarRules({"type": "null"}, frozenset({"null"}), lambda _exact, _bounds: cs.none_schema()),
    "bool": ScalarRules({"type": "boolean"}, frozenset({"bool"}), _native(cs.bool_schema)),
    "int": ScalarRules(
        {"type": "integer"},
        frozenset({"int", "hex"}),
        _native(cs.int_schema),
        _NUMBER,
        lambda data: int(data, 16) if isinstance(data, str) else data,
    ),
    "float": ScalarRules({"type": "number"}, frozenset({"float", "nan"}), _float, _NUMBER, float),
    "str": ScalarRules({"type": "string"}, TEXT, _native(cs.str_schema), SIZE | {"pattern"}),
    "bytes": ScalarRules(
        {
            "type": "object",
            "properties": {"$bytes": {"type": "string", "contentEncoding": "base64"}},
            "required": ["$bytes"],
            "additionalProperties": False,
        },
        TEXT,
        _converted(bytes, _bytes, 'bytes, or {"$bytes": "<base64>"}'),
        SIZE,
        lambda data: base64.b64decode(data, validate=True),
    ),
    "date": _textual(date, "date", _date, "a date, or ISO text like '2024-12-31'", ORDER),
    "datetime": _textual(
        datetime, "date-time", _datetime, "a datetime, or ISO text like '2024-12-31T18:00:00+00:00'", ORDER
    ),
    "time": _textual(time, "time", time.fromisoformat, "a time, or ISO text like '18:00:00'", ORDER),
    "timedelta": _textual(
        timedelta, "duration", _DURATIONS.validate_python, "a timedelta, or ISO text like 'P1DT2H'", ORDER
    ),
    "Decimal": ScalarRules(
        {"type": ["string", "number"]},
        TEXT,
        _converted(Decimal, _decimal, "a Decimal, a number, or a number's text"),
        _NUMBER,
    ),
    "UUID": _textual(UUID, "uuid", UUID, "a UUID, or its text"),
    "Path": _textual(type(Path()), "path", _path, "a Path, or its text"),
}
