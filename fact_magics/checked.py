"""`Checked`, the base of the models that users build, and the one-line error of a value that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fact_magics.errors import FactError, did_you_mean
from fact_magics.values import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

_SHOWN = 60
# Pydantic's types of errors, as in "timeout_seconds must be above 0"; other errors keep Pydantic's own text.
_PROBLEMS = {
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be True or False",
    "bool_parsing": "must be True or False",
    "string_type": "must be text",
    "string_unicode": "must be text without lone surrogates",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "dict_type": "must be a dict",
    "tuple_type": "must be a list or a tuple",
    "timezone_aware": "must have a time zone",
}
_A_VERSION = "must be three numbers, such as 1.0.0"


class InvalidValue(FactError, ValidationError):
    """A value does not fit its field; raised when a `ToolSpec`, `ToolInput` or the like is built.

    It is also a Pydantic `ValidationError`, and so a ValueError; `errors()` returns Pydantic's own report.
    """

    def __init__(self, title: str, *_: object) -> None:
        super().__init__(title)  # Pydantic calls this; `of` then describes the error

    @classmethod
    def of(cls, report: ValidationError, kind: type[BaseModel]) -> InvalidValue:
        """Describe the first invalid field in the message, and the others in the details."""
        found: Any = report.errors(include_url=False)
        first, *others = (_line(each, kind) for each in found)
        return _described(cls, report.title, found, first, others)

    def __reduce__(self) -> tuple[Any, ...]:
        return _described, (type(self), self.title, [], self.message, self.details)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.line!r})"


def _described(
    kind: type[InvalidValue], title: str, found: Any, message: str, details: Sequence[str]
) -> InvalidValue:
    error = kind.from_exception_data(title, found)
    FactError.__init__(error, message, details=details)
    return error


def _line(found: ErrorDetails, kind: type[BaseModel]) -> str:
    name, *inside = found["loc"] or ("",)
    error, given = found["type"], found["input"]
    field = f"{kind.__name__}.{name}{''.join(f'[{place!r}]' for place in inside)}"
    if inside[-1:] == ["[key]"]:
        field = f"A key of {kind.__name__}.{name}"
    if error == "missing" and not inside:
        return f"{kind.__name__} needs {name}."
    if error == "extra_forbidden" and not inside:
        known = kind.model_fields
        hint = did_you_mean(str(name), known) or f"Its fields are {', '.join(known)}."
        return f"{kind.__name__} has no field {name!r}. {hint}"
    if error == "string_pattern_mismatch":
        problem = _A_VERSION
    elif error in _PROBLEMS:
        problem = _PROBLEMS[error].format_map(found.get("ctx", {}))
    else:
        problem = found["msg"].replace("Input should be", "must be", 1)
    if error == "string_too_long":
        got = f"{len(given):,}"
    elif error.endswith("_type"):  # the value may be a whole table, or a key in the wrong place
        got = f"a value of type {type(given).__name__}"
    else:
        got = brief(given, _SHOWN)
    return f"{field} {problem}; got {got}."


class Checked(BaseModel):
    """A Pydantic model that also takes its fields in order, without their names, and has clear errors.

    Only the constructor has them: ``model_validate``, ``model_validate_json`` and the assignment to a field
    raise the `ValidationError` of Pydantic itself.

    Raises
    ------
    InvalidValue
        A field is missing, unknown or does not fit.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def __init__(self, *values: Any, **named: Any) -> None:
        try:
            super().__init__(**_by_name(type(self), values, named))
        except ValidationError as error:
            raise InvalidValue.of(error, type(self)) from None

    if not TYPE_CHECKING:  # type checkers would then accept every attribute

        def __getattr__(self, name: str) -> Any:
            """Complete a model that `fill` made, when something asks for its inner state."""
            if name not in _INNER:
                # Pydantic's own method also looks for extra and private attributes, which no model here has.
                # It takes far longer, and IPython asks each result for a dozen methods.
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            for slot, value in zip(_INNER, (set(type(self).model_fields), None, None), strict=True):
                object.__setattr__(self, slot, value)
            return object.__getattribute__(self, name)


_INNER = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")

fill: Callable[[BaseModel, dict[str, Any]], None] = BaseModel.__dict__["__dict__"].__set__
"""Give a new, empty model the values of all its fields, without validation.

Nothing faster than this exists: the inner state of a Pydantic model takes longer to set than its fields, so
`Checked` sets it when it is asked for.
"""


def _by_name(kind: type[BaseModel], values: tuple[Any, ...], named: Mapping[str, Any]) -> Mapping[str, Any]:
    if not values:
        return named
    fields: Iterable[str] = kind.model_fields
    names = [*fields][: len(values)]
    if len(names) < len(values):
        raise TypeError(f"{kind.__name__} takes at most {len(names)} values, but {len(values)} were given.")
    for name in names:
        if name in named:
            raise TypeError(f"{kind.__name__} got two values for {name}.")
    return {**dict(zip(names, values, strict=True)), **named}
