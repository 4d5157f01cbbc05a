"""A tool's signature as data that validates inputs and results, and describes both."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fact_magics.errors import InvalidInput, InvalidResult, did_you_mean
from fact_magics.signature.parameters import KINDS, Parameter, python_annotation
from fact_magics.signature.schema import default_json, type_schema
from fact_magics.signature.vocabulary import (
    Bounded,
    Default,
    DictOf,
    ListOf,
    ObjectOf,
    Scalar,
    SetOf,
    TupleOf,
    Type,
    UnionOf,
    shape,
)
from fact_magics.text import one_line, plural
from fact_magics.values import ValueTypeError, WireError, decode_result, encode, encode_call, normalise
from fact_magics.values.showing import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails, SchemaValidator


_HINT = 200
_SUBJECT = re.compile(r"^\w+ should")  # Pydantic's subject, "Input" or "String", is the field here


@dataclass(frozen=True)
class Signature:
    """What a tool takes and returns.

    Attributes
    ----------
    name : str
        The function.
    parameters : tuple of Parameter
        In order.
    returns : Type
        What it returns.
    doc : str
        Its docstring, or an empty text.
    is_async : bool
        Whether it is a coroutine function.
    """

    name: str
    parameters: tuple[Parameter, ...]
    returns: Type
    doc: str
    is_async: bool

    @cached_property
    def text(self) -> str:
        """The signature on one line: ``slugify(text: str, *, sep: str = '-') -> str``."""
        parts = []
        previous = KINDS.POSITIONAL_ONLY if self.parameters else None
        for index, parameter in enumerate(self.parameters):
            if previous == KINDS.POSITIONAL_ONLY and parameter.kind != previous and index:
                parts.append("/")
            if parameter.kind == KINDS.KEYWORD_ONLY and previous != parameter.kind:
                parts.append("*")
            parts.append(parameter.text)
            previous = parameter.kind
        if previous == KINDS.POSITIONAL_ONLY:
            parts.append("/")
        return f"{self.name}({', '.join(parts)}) -> {self.returns.text}"

    @cached_property
    def takes_paths(self) -> bool:
        """Whether an input may hold a path."""
        return any(_mentions_path(parameter.type) for parameter in self.parameters)

    def inspect_signature(self) -> inspect.Signature:
        """Give the signature as `inspect` has it; annotations outside the builtins only print themselves."""
        # A required parameter may follow one whose default only Field(...) knows; inspect would refuse that.
        return inspect.Signature(
            [parameter.inspected() for parameter in self.parameters],
            return_annotation=python_annotation(self.returns),
            __validate_parameters__=False,
        )

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Give a call's arguments their names, by the rules of Python.

        Missing and unknown names are left to `validate`.

        Raises
        ------
        InvalidInput
            For too many positional arguments, a name given twice, or a positional-only one given by name.
        """
        positional = self._positional
        if len(args) > len(positional):
            raise InvalidInput(
                f"{self.name}() takes {plural(len(positional), 'positional argument')}, got {len(args)}.",
                hint=self._hint,
            )
        bound = dict(zip(positional, args, strict=False))
        for name in kwargs:
            if name in bound:
                raise InvalidInput(f"{self.name}() got {name!r} twice.", hint="Give it once.")
            if name in self._positional_only:
                raise InvalidInput(f"{self.name}() takes {name!r} by its position only.", hint=self._hint)
        bound.update(kwargs)
        return bound

    def validate(self, parameters: Mapping[str, object]) -> dict[str, object]:
        """Check a call's input and give it the canonical form that is hashed and passed to the tool.

        Parameters
        ----------
        parameters : mapping of str to object
            Arguments by name, the positional-only ones too: whatever `normalise` understands.

        Returns
        -------
        dict
            In the order of the signature, literal defaults filled in; others are left to the tool.

        Raises
        ------
        InvalidInput
            With one detail line a field: field, problem, value.
        """
        fields = {**self._defaults, **parameters}
        if fields.keys() <= self._by_name.keys() and self._required <= fields.keys():
            try:
                for name, value in parameters.items():
                    if type(value) is not str:
                        fields[name] = normalise(value)
                validated: dict[str, object] = self._validator.validate_python(fields)
            except (ValueError, ValueTypeError):  # Pydantic's ValidationError is a ValueError
                pass
            else:
                return validated
        raise self._invalid(parameters)

    def _invalid(self, parameters: Mapping[str, object]) -> InvalidInput:
        """Tell everything that is wrong with an input, a line a field."""
        known = self._by_name
        problems: dict[str, str] = {}
        fields: dict[str, object] = {}
        for name, value in parameters.items():
            if name not in known:
                others = [other for other in known if other not in parameters] or known
                shown = one_line(str(name), 60)
                problems[shown] = f"{shown}: unknown field. {did_you_mean(str(name), others)}".strip()
                continue
            try:
                fields[name] = normalise(value, where=name)
            except ValueTypeError as error:
                problems[name] = str(error)
        for name in self._required - parameters.keys():
            problems[name] = f"{name}: missing, should be {known[name].type.text}"
        self._find_misfits(fields, problems)
        details = [problems[name] for name in sorted(problems, key=[*known, *problems].index)]
        many = len(problems) != 1
        return InvalidInput(
            f"{self.name}() was not run: {plural(len(problems), 'field')} of its input "
            f"{'do' if many else 'does'} not fit.",
            hint=self._hint,
            details=details,
        )

    def _find_misfits(self, fields: dict[str, object], problems: dict[str, str]) -> None:
        from pydantic_core import ValidationError

        try:
            self._validator.validate_python(fields)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
        else:
            return
        counts = Counter(str(detail["loc"][0]) for detail in details)
        for detail in details:
            name = str(detail["loc"][0])
            if name not in problems:
                more = f" (and {counts[name] - 1} more)" if counts[name] > 1 else ""
                problems[name] = _problem(detail, name) + more

    def wire(self, validated: Mapping[str, object]) -> bytes:
        """Write what `validate` returned as the canonical ``{"args": [...], "kwargs": {...}}``.

        Raises
        ------
        InvalidInput
            Where a positional-only argument would have to skip one that only the tool can fill in.
        """
        if not self._positional_only:
            return encode_call((), validated)
        args: list[object] = []
        kwargs: dict[str, object] = {}
        skipped = ""
        for parameter in self.parameters:
            name = parameter.name
            if name not in validated:
                skipped = skipped or (name if parameter.kind == KINDS.POSITIONAL_ONLY else "")
            elif parameter.kind != KINDS.POSITIONAL_ONLY:
                kwargs[name] = validated[name]
            elif not skipped:
                args.append(validated[name])
            elif name not in self._defaults or encode(validated[name]) != encode(self._defaults[name]):
                raise InvalidInput(
                    f"{self.name}() takes {name!r} by position, so {skipped!r} must be given too.",
                    hint=self._hint,
                )
        return encode_call(args, kwargs)

    def read_result(self, wire: bytes) -> object:
        """Read what a tool's process claims that it returned, as the return annotation says.

        Raises
        ------
        InvalidResult
            For bytes that are no value, and for a value that does not fit, naming the path inside it.
        """
        from pydantic_core import ValidationError

        try:
            value = decode_result(wire)
        except WireError as error:
            raise InvalidResult(
                f"{self.name}() gave a result that can't be read: {error}.", hint="Return plain data."
            ) from None
        try:
            return self._result_validator.validate_python(value)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            raise InvalidResult(
                f"{self.name}() returned something else than {self.returns.text}.",
                hint="Mend the tool or its return annotation.",
                details=[_problem(detail, "result", skip=0)],
            ) from None

    def json_schema(self) -> dict[str, Any]:
        """Describe the input as JSON Schema, draft 2020-12."""
        properties: dict[str, Any] = {}
        for parameter in self.parameters:
            schema = type_schema(parameter.type)
            if parameter.description:
                schema["description"] = parameter.description
            if parameter.name in self._defaults:
                schema["default"] = default_json(self._defaults[parameter.name], parameter.type)
            properties[parameter.name] = schema
        return {
            "type": "object",
            "properties": properties,
            "required": [parameter.name for parameter in self.parameters if parameter.default is None],
            "additionalProperties": False,
        }

    def skeleton(self) -> str:
        """Give the body of a run to fill in: ``text = ...  # str, required``.

        A default that a notebook would not read as the same value is commented out.
        """
        lines = []
        for parameter in self.parameters:
            about = f": {parameter.description}" if parameter.description else ""
            about = " ".join(about.split())
            default = parameter.default
            if default is None:
                lines.append(f"{parameter.name} = ...  # {parameter.type.text}, required{about}")
            elif _reads_back(default):
                lines.append(f"{parameter.name} = {default.source}  # {parameter.type.text}{about}")
            else:
                lines.append(f"# {parameter.name} = {default.source}  # {parameter.type.text}{about}")
        return "\n".join(lines)

    def constant_fault(self) -> tuple[str, str] | None:
        """Find what is wrong with patterns and literal defaults: the writer's errors, and no caller's.

        Returns
        -------
        (str, str) or None
            The problem and what to do about it.
        """
        from pydantic_core import SchemaError, ValidationError

        try:
            self._validator.validate_python(self._defaults)
        except SchemaError:
            return (
                f"{self.name}() has a pattern that can't be compiled",
                "Write it without look-around and back-references.",
            )
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            problem = f"the default of {_problem(detail, str(detail['loc'][0]))}"
            return problem, "Mend the default or the annotation."
        return None

    @property
    def _hint(self) -> str:
        return f"It is {one_line(self.text, _HINT)}."

    @cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters if parameter.default is None)

    @cached_property
    def _positional(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters if p.kind != KINDS.KEYWORD_ONLY)

    @cached_property
    def _positional_only(self) -> frozenset[str]:
        return frozenset(p.name for p in self.parameters if p.kind == KINDS.POSITIONAL_ONLY)

    @cached_property
    def _defaults(self) -> dict[str, object]:
        return {
            p.name: p.default.value for p in self.parameters if p.default is not None and p.default.literal
        }

    @cached_property
    def _validator(self) -> SchemaValidator:
        from fact_magics.signature.validation import fields_validator

        return fields_validator({name: parameter.type for name, parameter in self._by_name.items()}, "input")

    @cached_property
    def _result_validator(self) -> SchemaValidator:
        from fact_magics.signature.validation import validator

        return validator(self.returns, "result")


def signature_identity(signature: Signature) -> str:
    """Hash what a caller sees of a signature: names, kinds, types, defaults and what is returned."""
    seen = [
        [
            parameter.name,
            parameter.kind.name,
            shape(parameter.type),
            None if parameter.default is None else parameter.default.source,
        ]
        for parameter in signature.parameters
    ]
    wire = encode([seen, shape(signature.returns), signature.is_async])
    return hashlib.blake2b(wire, digest_size=16).hexdigest()


def _reads_back(default: Default) -> bool:
    """Whether a default's source, which is shown on one line and cut, still is its value."""
    try:
        value = ast.literal_eval(default.source)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return default.literal and type(value) is type(default.value) and bool(value == default.value)


def _problem(detail: ErrorDetails, name: str, *, skip: int = 1) -> str:
    path = "".join("" if step == "[key]" else f"[{brief(step, 40)}]" for step in detail["loc"][skip:])
    place = f"{name}{path}"
    if detail["type"] == "missing":
        return f"{place}: missing"
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown field"
    message = _SUBJECT.sub("should", detail["msg"]).replace(" after validation", "")
    return f"{place}: {one_line(message, 160)}, got {brief(detail['input'])}"


def _mentions_path(type_: Type) -> bool:
    match type_:
        case Scalar(name):
            return name == "Path"
        case ListOf(item) | SetOf(item, _):
            return _mentions_path(item)
        case TupleOf(items, _) | UnionOf(items):
            return any(map(_mentions_path, items))
        case DictOf(key, value):
            return _mentions_path(key) or _mentions_path(value)
        case Bounded(base, _):
            return _mentions_path(base)
        case ObjectOf(_, _, fields):
            return any(_mentions_path(field.type) for field in fields)
    return False
