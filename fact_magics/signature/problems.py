"""Messages of one line about values that do not fit a signature: place, problem, value."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import KeysView, ValuesView
from math import isnan
from typing import TYPE_CHECKING

from fact_magics.text import one_line, plural
from fact_magics.values import brief

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, ValidationError

_SUBJECT = re.compile(r"^\w+ should")  # Pydantic's "Input" or "String", replaced by the field's name


def problems_of(error: ValidationError) -> dict[str, str]:
    """Return the first problem of each field, with the number of its other problems."""
    details = _details(error)
    counts = Counter(str(detail["loc"][0]) for detail in details)
    problems: dict[str, str] = {}
    for detail in details:
        name = str(detail["loc"][0])
        count = counts[name] - 1
        more = f" ({plural(count, 'more problem')} in {name})" if count else ""
        problems.setdefault(name, _problem(detail, name) + _conversion(detail) + more)
    return problems


def first_problem(error: ValidationError) -> str:
    """Return the first problem of the first field."""
    [detail, *_] = _details(error)
    return _problem(detail, str(detail["loc"][0]))


def problem_of_result(error: ValidationError) -> str:
    """Return the first problem of a tool's result."""
    return _problem(_details(error)[0], "result", skip=0)


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False)


def _problem(detail: ErrorDetails, name: str, *, skip: int = 1) -> str:
    path = "".join("" if step == "[key]" else f"[{brief(step, 40)}]" for step in detail["loc"][skip:])
    place = f"{name}{path}"
    if detail["type"] == "missing":
        return f"{place}: missing"
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown field"
    message = _SUBJECT.sub("should", detail["msg"]).replace(" after validation", "")
    return f"{place}: {one_line(message, 160)}, got {brief(detail['input'])}"


def _conversion(detail: ErrorDetails) -> str:
    """Say how to convert a float that pandas made of an integer, because its column has gaps."""
    value = detail["input"]
    if detail["type"] != "int_type" or type(value) is not float or not (isnan(value) or value.is_integer()):
        return ""
    number = "" if isnan(value) else "it with int(…), or "
    return f'; convert {number}its column with .astype("Int64")'


def has_rows(value: object) -> bool:
    """Whether a value may be the input of many runs: a list, Series, array or table."""
    if isinstance(value, list | tuple | range | deque | KeysView | ValuesView):
        return True
    kind = type(value)
    is_data = any(hasattr(kind, name) for name in ("dtype", "columns", "to_pylist"))
    return is_data and hasattr(kind, "__len__") and getattr(value, "ndim", 1) > 0
