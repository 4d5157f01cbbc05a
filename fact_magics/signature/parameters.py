"""A parameter of a tool, and how `inspect` has it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from fact_magics.signature.vocabulary import Default, Scalar, Type

KINDS = inspect._ParameterKind  # noqa: SLF001 - the one name of the enumeration that inspect offers
_PYTHON_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "bytes": bytes, "None": None}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a tool.

    Attributes
    ----------
    name : str
        Its name.
    kind : inspect._ParameterKind
        Positional-only, positional-or-keyword or keyword-only.
    type : Type
        Its type.
    default : Default or None
        None where it is required.
    description : str
        From its ``Field`` or the docstring.
    """

    name: str
    kind: inspect._ParameterKind
    type: Type
    default: Default | None
    description: str

    @property
    def text(self) -> str:
        """The parameter as in a function's header."""
        default = f" = {self.default.source}" if self.default else ""
        return f"{self.name}: {self.type.text}{default}"

    def inspected(self) -> inspect.Parameter:
        """Give the parameter as `inspect` has it."""
        default: Any = inspect.Parameter.empty
        if self.default is not None:
            literal = self.default.literal and self.default.value is not Ellipsis
            default = self.default.value if literal else _Shown(self.default.source)
        return inspect.Parameter(
            self.name, self.kind, default=default, annotation=python_annotation(self.type)
        )


class _Shown:
    """An annotation or default that `inspect` prints as it is written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def python_annotation(type_: Type) -> Any:
    """Give a type as an annotation: a builtin as itself, another as what prints as it is written."""
    if isinstance(type_, Scalar) and type_.name in _PYTHON_TYPES:
        return _PYTHON_TYPES[type_.name]
    return _Shown(type_.text)
