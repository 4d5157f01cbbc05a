"""A tool's parameter, and how `inspect` shows it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fact_magics.signature.vocabulary import Scalar, Type

if TYPE_CHECKING:
    from fact_magics.signature.classes import Default

KINDS = inspect._ParameterKind  # noqa: SLF001 - the enumeration has no public name
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
        None if the parameter is required.
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
        """Give the parameter as `inspect` shows it."""
        default: Any = inspect.Parameter.empty
        if self.default is not None:
            default = self.default.value if self.default.literal else _Shown(self.default.source)
        annotation = python_annotation(self.type)
        return inspect.Parameter(self.name, self.kind, default=default, annotation=annotation)


class _Shown:
    """An annotation or default that `inspect` prints as it is written in the source."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def python_annotation(type_: Type) -> Any:
    """Give a type as an annotation: a builtin as itself, any other as an object that prints as the type."""
    if isinstance(type_, Scalar) and type_.name in _PYTHON_TYPES:
        return _PYTHON_TYPES[type_.name]
    return _Shown(type_.text)
