"""Validators for the closed vocabulary of types, built on Pydantic's core.

Inputs and results share the rules: a bool is no number, text is never taken for a number, an int may stand
for a float, and what JSON can't say may come as JSON says it: ISO text for dates and times, text for Decimal,
UUID and Path, a list for a tuple or a set. Only classes of the tool differ: an input becomes what the worker
makes an instance of, a result stays plain data.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic_core import PydanticCustomError, SchemaValidator
from pydantic_core import core_schema as cs

from fact_magics.signature.vocabulary import (
    NONE,
    Bounded,
    ClassField,
    DictOf,
    EnumOf,
    ListOf,
    LiteralOf,
    ObjectOf,
    Scalar,
    SetOf,
    TupleOf,
    Type,
    UnionOf,
)
from fact_magics.values import ToolEnum, ToolObject

if TYPE_CHECKING:
    from collections.abc import Callable

Direction = Literal["input", "result"]

_NATIVE_BOUNDS = ("int", "float", "str")
_INTEGER = re.compile(r"-?[0-9]{1,40}")


def validator(type_: Type, direction: Direction) -> SchemaValidator:
    """Build the validator of one type."""
    return SchemaValidator(_Builder(direction).schema(type_, exact=False))


def fields_validator(fields: dict[str, Type], direction: Direction) -> SchemaValidator:
    """Build the validator of a mapping whose keys are among these; which may be absent, the caller knows."""
    builder = _Builder(direction)
    return SchemaValidator(
        cs.typed_dict_schema(
            {
                name: cs.typed_dict_field(builder.schema(type_, exact=False), required=False)
                for name, type_ in fields.items()
            },
            extra_behavior="forbid",
        )
    )


class _Builder:
    """Builds core schemas; `exact` ones take a value only if nothing of it has to be converted."""

    def __init__(self, direction: Direction) -> None:
        self._direction = direction

    def schema(self, type_: Type, *, exact: bool) -> cs.CoreSchema:
        match type_:
            case Scalar():
                return _scalar(type_, exact, {})
            case Bounded(base, bounds):
                return self._bounded(base, dict(bounds), exact)
            case LiteralOf() | EnumOf():
                return self._choice(type_)
            case UnionOf():
                return self._union(type_, exact)
            case ObjectOf():
                return self._object(type_, exact)
        return self._container(type_, exact, {})

    def _bounded(self, base: Type, bounds: dict[str, Any], exact: bool) -> cs.CoreSchema:
        if isinstance(base, Scalar):
            if base.name in _NATIVE_BOUNDS:
                return _scalar(base, exact, bounds)
            return cs.chain_schema([_scalar(base, exact, {}), _plain(_bounds_check(bounds))])
        return self._container(base, exact, bounds)

    def _container(self, type_: Type, exact: bool, bounds: dict[str, Any]) -> cs.CoreSchema:
        match type_:
            case ListOf(item):
                inner: cs.CoreSchema = cs.list_schema(
                    self.schema(item, exact=exact), strict=True, fail_fast=True, **bounds
                )
                return inner if exact else cs.no_info_before_validator_function(_tuple_as_list, inner)
            case SetOf(item, frozen):
                build = cs.frozenset_schema if frozen else cs.set_schema
                return build(self.schema(item, exact=exact), strict=exact, fail_fast=True, **bounds)
            case TupleOf(items, variadic):
                inner = cs.tuple_schema(
                    [self.schema(item, exact=exact) for item in items],
                    variadic_item_index=0 if variadic else None,
                    strict=True,
                    fail_fast=True,
                    **bounds,
                )
                return inner if exact else cs.no_info_before_validator_function(_list_as_tuple, inner)
            case DictOf(key, value):
                return cs.dict_schema(
                    self._key(key, exact), self.schema(value, exact=exact), strict=True, **bounds
                )
        raise AssertionError(f"no container: {type_}")

    def _key(self, type_: Type, exact: bool) -> cs.CoreSchema:
        schema = self.schema(type_, exact=exact)
        base = type_.base if isinstance(type_, Bounded) else type_
        if base == Scalar("int") and not exact:
            return cs.no_info_before_validator_function(_integer_key, schema)
        return schema

    def _choice(self, type_: LiteralOf | EnumOf) -> cs.CoreSchema:
        if isinstance(type_, LiteralOf):
            choices = [(value, value) for value in type_.values]
            names: dict[str, object] = {}
        else:
            given = self._direction == "input"
            choices = [(v, ToolEnum(type_.name, name) if given else v) for name, v in type_.members]
            names = {name: ToolEnum(type_.name, name) for name, _ in type_.members} if given else {}
        shown = ", ".join(repr(value) for value, _ in choices)

        def choose(value: Any) -> object:
            if isinstance(value, ToolEnum):
                value = (
                    value.member if isinstance(type_, EnumOf) and value.class_name == type_.name else value
                )
            for known, chosen in choices:
                if type(value) is type(known) and value == known:
                    return chosen
            if isinstance(value, str) and value in names:
                return names[value]
            raise _error("should be {expected}", f"one of {shown}" if len(choices) > 1 else shown)

        return _plain(choose)

    def _union(self, type_: UnionOf, exact: bool) -> cs.CoreSchema:
        members = [member for member in type_.members if member != NONE]
        if len(members) == 1:
            only = self.schema(members[0], exact=exact)
        else:
            # A member that fits as it stands wins over one that would convert: 1 is an int in `float | int`.
            choices: list[cs.CoreSchema | tuple[cs.CoreSchema, str]] = [
                self.schema(member, exact=True) for member in members
            ]
            if not exact:
                members.sort(
                    key=lambda member: member == Scalar("datetime")
                )  # any ISO date is a datetime too
                choices += [self.schema(member, exact=False) for member in members]
            only = cs.union_schema(
                choices,
                mode="left_to_right",
                custom_error_type="union",
                custom_error_message="Input should be {expected}",
                custom_error_context={"expected": type_.text},
            )
        return cs.nullable_schema(only) if len(members) < len(type_.members) else only

    def _object(self, type_: ObjectOf, exact: bool) -> cs.CoreSchema:
        given = self._direction == "input"
        fields = [field for field in type_.fields if field.init or not given]
        if type_.kind == "NamedTuple" and not given:
            return self._container(TupleOf(tuple(field.type for field in fields), False), exact, {})
        schema: cs.CoreSchema = cs.typed_dict_schema(
            {field.name: self._field(field, exact) for field in fields}, extra_behavior="forbid", strict=True
        )
        if not given or type_.kind == "TypedDict":
            return schema
        names = [field.name for field in fields]
        positional = type_.kind == "NamedTuple"

        def opened(value: object) -> object:
            if isinstance(value, ToolObject) and value.class_name == type_.name:
                return value.fields
            if positional and isinstance(value, list | tuple) and len(value) <= len(names):
                return dict(zip(names, value, strict=False))
            return value

        def closed(value: dict[str, object]) -> ToolObject:
            return ToolObject(type_.name, value)

        return cs.no_info_after_validator_function(
            closed, cs.no_info_before_validator_function(opened, schema)
        )

    def _field(self, field: ClassField, exact: bool) -> cs.TypedDictField:
        schema = self.schema(field.type, exact=exact)
        default = field.default
        if self._direction == "input" and default is not None and default.literal:
            schema = cs.with_default_schema(schema, default=default.value)
            return cs.typed_dict_field(schema, required=False)
        return cs.typed_dict_field(schema, required=field.required)


def _plain(function: Callable[[Any], object]) -> cs.CoreSchema:
    return cs.no_info_plain_validator_function(function)


def _error(template: str, expected: str) -> PydanticCustomError:
    return PydanticCustomError("value", f"Input {template}", {"expected": expected})


def _scalar(type_: Scalar, exact: bool, bounds: dict[str, Any]) -> cs.CoreSchema:
    match type_.name:
        case "Any":
            return cs.any_schema()
        case "None":
            return cs.none_schema()
        case "bool":
            return cs.bool_schema(strict=True)
        case "int":
            return cs.int_schema(strict=True, **bounds)
        case "str":
            return cs.str_schema(strict=True, **bounds)
        case "float":
            number = cs.float_schema(strict=True, allow_inf_nan=True, **bounds)
            return cs.chain_schema([cs.is_instance_schema(float), number]) if exact else number
    return _plain(_EXACT[type_.name] if exact else _CONVERT[type_.name])


def _tuple_as_list(value: object) -> object:
    return list(value) if type(value) is tuple else value


def _list_as_tuple(value: object) -> object:
    return tuple(value) if type(value) is list else value


def _integer_key(value: object) -> object:
    # JSON has no keys but text, and as a key no other reading of it is possible.
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def _instance(kind: type, expected: str) -> Callable[[Any], object]:
    def check(value: Any) -> object:
        if type(value) is kind:
            return value
        raise _error("should be {expected}", expected)

    return check


def _from_text(kind: type, read: Callable[[str], object], expected: str) -> Callable[[Any], object]:
    def convert(value: Any) -> object:
        if type(value) is kind:
            return value
        if isinstance(value, str):
            try:
                return read(value)
            except (ValueError, ArithmeticError):
                pass
        raise _error("should be {expected}", expected)

    return convert


def _date(value: Any) -> object:
    if type(value) is datetime and value.time() == time() and value.tzinfo is None:
        return value.date()
    return _from_text(date, date.fromisoformat, _DATE)(value)


def _datetime(value: Any) -> object:
    if type(value) is date:
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no zone either
    return _from_text(datetime, datetime.fromisoformat, _DATETIME)(value)


def _decimal(value: Any) -> object:
    if type(value) is Decimal:
        return value
    if type(value) is int or type(value) is float:
        return Decimal(repr(value)) if type(value) is float else Decimal(value)
    if isinstance(value, str):
        try:
            return Decimal(value.strip())
        except DecimalException:
            pass
    raise _error("should be {expected}", _DECIMAL)


def _bytes(value: Any) -> object:
    if type(value) is bytes:
        return value
    # Text alone could mean itself or base64; JSON says which by the canonical form.
    if type(value) is dict and set(value) == {"$bytes"} and isinstance(value["$bytes"], str):
        try:
            return base64.b64decode(value["$bytes"], validate=True)
        except (binascii.Error, ValueError):
            pass
    raise _error("should be {expected}", 'bytes, or {"$bytes": "<base64>"}')


def _path(value: Any) -> object:
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    return _instance(type(Path()), _PATH)(value)


def _timedelta_text(text: str) -> object:
    return _DURATIONS.validate_python(text)


_DATE = "a date, or ISO text like '2024-12-31'"
_DATETIME = "a datetime, or ISO text like '2024-12-31T18:00:00+00:00'"
_TIME = "a time, or ISO text like '18:00:00'"
_TIMEDELTA = "a timedelta, or ISO text like 'P1DT2H'"
_DECIMAL = "a Decimal, a number, or a number's text"
_UUID = "a UUID, or its text"
_PATH = "a Path, or its text"
_DURATIONS = SchemaValidator(cs.chain_schema([cs.str_schema(strict=True), cs.timedelta_schema()]))

_EXACT: dict[str, Callable[[Any], object]] = {
    "bytes": _instance(bytes, "bytes"),
    "date": _instance(date, _DATE),
    "datetime": _instance(datetime, _DATETIME),
    "time": _instance(time, _TIME),
    "timedelta": _instance(timedelta, _TIMEDELTA),
    "Decimal": _instance(Decimal, _DECIMAL),
    "UUID": _instance(UUID, _UUID),
    "Path": _instance(type(Path()), _PATH),
}
_CONVERT: dict[str, Callable[[Any], object]] = {
    "bytes": _bytes,
    "date": _date,
    "datetime": _datetime,
    "time": _from_text(time, time.fromisoformat, _TIME),
    "timedelta": _from_text(timedelta, _timedelta_text, _TIMEDELTA),
    "Decimal": _decimal,
    "UUID": _from_text(UUID, UUID, _UUID),
    "Path": _path,
}


def _bounds_check(bounds: dict[str, Any]) -> Callable[[Any], object]:
    """Check the bounds of what the core has no bounds for: Decimal, temporal types, bytes."""
    checks: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
        "ge": ("be greater than or equal to", lambda value, bound: value >= bound),
        "gt": ("be greater than", lambda value, bound: value > bound),
        "le": ("be less than or equal to", lambda value, bound: value <= bound),
        "lt": ("be less than", lambda value, bound: value < bound),
        "multiple_of": ("be a multiple of", lambda value, bound: value % bound == 0),
        "min_length": ("have a length of at least", lambda value, bound: len(value) >= bound),
        "max_length": ("have a length of at most", lambda value, bound: len(value) <= bound),
    }

    def check(value: Any) -> object:
        for name, bound in bounds.items():
            words, fits = checks[name]
            if isinstance(value, Decimal) and isinstance(bound, float):
                bound = Decimal(repr(bound))  # 0.1 means a tenth here
            try:
                held = fits(value, bound)
            except (TypeError, ArithmeticError):  # aware against naive; a Decimal that is no number
                held = False
            if not held:
                raise _error("should {expected}", f"{words} {bound}")
        return value

    return check
