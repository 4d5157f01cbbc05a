"""The Python types that a tool's annotations stand for, as `typing.get_type_hints` gives them.

They are built from the vocabulary, so that no code of the tool is evaluated.
"""

from __future__ import annotations

import builtins
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from fact_magics.signature.classes import LiteralOf
from fact_magics.signature.vocabulary import Bounded, Container, Scalar, UnionOf

if TYPE_CHECKING:
    from fact_magics.signature.vocabulary import Type

_CLASSES = (bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal, UUID, Path)
_SCALARS: dict[str, Any] = {"Any": Any, "None": None, **{kind.__name__: kind for kind in _CLASSES}}


def runtime_type(annotation: Type) -> Any:
    """Return the Python type of an annotation; `Any` for a class that the tool's own module defines."""
    match annotation:
        case Scalar(name):
            return _SCALARS[name]
        case Bounded(base=base):
            return runtime_type(base)
        case Container(kind, items, variadic):
            arguments = [runtime_type(item) for item in items]
            return getattr(builtins, kind)[(*arguments, ...) if variadic else (*arguments,)]
        case UnionOf(members):
            return reduce(or_, map(runtime_type, members))
        case LiteralOf(values):
            return Literal[values]
    return Any
