"""The signature of a tool: validates and describes inputs and results."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaError, SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from fact_magics.errors import InvalidInput, InvalidResult, did_you_mean
from fact_magics.signature.classes import Default, default_json
from fact_magics.signature.libraries import LibraryOf
from fact_magics.signature.problems import first_problem, has_rows, problem_of_result, problems_of
from fact_magics.signature.runtime import runtime_type
from fact_magics.signature.vocabulary import PATH, Mode, Type
from fact_magics.text import clipped, one_line, plural
from fact_magics.values import (
    Table,
    ValueTypeError,
    WireError,
    decode_result,
    encode,
    encode_call,
    normalise,
)
from fact_magics.values.summaries import describe, describe_copy
from fact_magics.values.tables import opened, stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fact_magics.values import Wire

KINDS = inspect._ParameterKind  # noqa: SLF001 - the enumeration has no public name
_BUILTINS = {"str": str, "int": int, "float": float, "bool": bool, "bytes": bytes, "None": None}
_HINT = 98
_SHOWN = 60


@dataclass(frozen=True)
class Parameter:
    """A parameter of a tool; a parameter without a default is required."""

    name: str
    kind: inspect._ParameterKind
    type: Type
    default: Default | None
    description: str


class _Written:
    """An annotation or default whose `repr` is its text in the source, for signatures of `inspect`."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


@dataclass(frozen=True)
class Signature:
    """The name, parameters, return type and docstring of a tool; see `reading.read_signature`."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: Type
    doc: str
    is_async: bool

    @cached_property
    def text(self) -> str:
        """The signature on one line: ``slugify(text: str, *, sep: str = '-') -> str``."""
        written = self._inspected(
            lambda type_: _Written(type_.text), lambda default: _Written(default.source)
        )
        return f"{self.name}{written}"

    @cached_property
    def takes_paths(self) -> bool:
        """Whether an input can contain a path."""
        return PATH in self._parts()

    @cached_property
    def returns_tables(self) -> bool:
        """Whether a table, Series or array in the result stays one; otherwise it becomes records."""
        return _holds_tables(self.returns)

    @property
    def passes_tables(self) -> bool:
        """Whether a table, Series or array can be passed to the tool, or returned by it, as such."""
        return self.returns_tables or bool(self._tabular)

    def summarised(self, parameters: Mapping[str, object]) -> dict[str, object]:
        """Replace the tables in a refused input, which may be large, by their short descriptions."""
        summaries: dict[str, object] = {}
        for name in parameters.keys() & self._tabular:
            try:
                summaries[name] = stand_ins(parameters[name], describe)
            except ValueTypeError:
                summaries[name] = f"<{type(parameters[name]).__name__}>"
        return {**parameters, **summaries}

    @cached_property
    def _tabular(self) -> frozenset[str]:
        return frozenset(p.name for p in self.parameters if _holds_tables(p.type))

    def _prepared(self, name: str, value: object) -> object:
        """Convert a value to plain data, in which a table is a stand-in if the parameter takes tables."""
        if name in self._tabular:
            # While files are read, the caller may go on.
            finish = describe_copy if self.takes_paths else describe
            try:
                return normalise(stand_ins(value, finish), where=name)
            except ValueTypeError as error:
                error.where = name
                raise
        return normalise(opened(value) if type(value) is Table else value, where=name)

    def takes_many(self, name: str) -> bool:
        """Whether a parameter takes a list or another container of items, so that a list can be one value."""
        type_ = self._by_name[name].type
        return "array" in type_.json_kinds

    def _takes_one(self, name: str) -> bool:
        return self._by_name[name].type.json_kinds.isdisjoint({"array", "object"})

    def inspect_signature(self) -> inspect.Signature:
        """Build the signature for `inspect`; an annotation that is not a builtin only prints its text."""
        return self._inspected(
            lambda type_: _BUILTINS.get(type_.text, _Written(type_.text)),
            lambda default: default.value if default.literal else _Written(default.source),
        )

    def annotations(self) -> dict[str, Any]:
        """Return the types of the parameters by name, and that of the result as ``return``."""
        types = {parameter.name: parameter.type for parameter in self.parameters}
        return {name: runtime_type(type_) for name, type_ in (*types.items(), ("return", self.returns))}

    def _inspected(
        self, annotation: Callable[[Type], Any], default: Callable[[Default], Any]
    ) -> inspect.Signature:
        parameters = [
            inspect.Parameter(
                parameter.name,
                parameter.kind,
                default=default(parameter.default) if parameter.default else inspect.Parameter.empty,
                annotation=annotation(parameter.type),
            )
            for parameter in self.parameters
        ]
        # A default may be in a Field(...). inspect would refuse a required parameter after such a default.
        returns = annotation(self.returns)
        return inspect.Signature(parameters, return_annotation=returns, __validate_parameters__=False)

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Match arguments to parameter names, as Python does; `validate` refuses missing and unknown names.

        Raises
        ------
        InvalidInput
            There are too many positional arguments, an argument is given twice, or a positional-only argument
            is given by name.
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
                raise InvalidInput(f"{self.name}() got {name!r} twice.", hint=self._hint)
            if name in self._positional_only:
                raise InvalidInput(f"{self.name}() takes {name!r} by position only.", hint=self._hint)
        bound.update(kwargs)
        return bound

    def validate(self, parameters: Mapping[str, object]) -> dict[str, object]:
        """Check a call's input and convert it to the canonical form that is hashed and passed to the tool.

        Parameters
        ----------
        parameters : mapping of str to object
            All arguments by name, even positional-only arguments. Values may be any that `normalise` accepts.

        Returns
        -------
        dict
            Arguments in the order of the signature, with literal defaults. Python fills in other defaults.

        Raises
        ------
        InvalidInput
            With one line for each invalid field: field, problem, value.
        """
        fields = {**self._defaults, **parameters}
        if fields.keys() <= self._by_name.keys() and self._required <= fields.keys():
            try:
                for name, value in parameters.items():
                    if type(value) is not str:
                        fields[name] = self._prepared(name, value)
                validated: dict[str, object] = self._validator.validate_python(fields)
            except (ValueError, ValueTypeError):  # Pydantic's ValidationError is a ValueError
                pass
            else:
                return validated
        raise self._invalid(parameters)

    def _invalid(self, parameters: Mapping[str, object]) -> InvalidInput:
        known = self._by_name
        problems: dict[str, str] = {}
        fields: dict[str, object] = {}
        for name, value in parameters.items():
            if name not in known:
                others = [other for other in known if other not in parameters] or known
                shown = one_line(str(name), 60)
                problems[shown] = f"{shown}: unknown field. {did_you_mean(str(name), others)}".strip()
                continue
            if value is ...:  # left over from `skeleton`
                problems[name] = f"{name}: missing, replace ... with a value of type {known[name].type.text}"
                continue
            try:
                fields[name] = self._prepared(name, value)
            except ValueTypeError as error:
                problems[name] = str(error)
        for name in self._required - parameters.keys():
            problems[name] = f"{name}: missing, should be {known[name].type.text}"
        try:
            self._validator.validate_python(fields)
        except ValidationError as error:
            problems = problems_of(error) | problems
        first, *others = (problems[name] for name in sorted(problems, key=[*known, *problems].index))
        can_be_mapped = any(
            name in known and has_rows(parameters[name]) and self._takes_one(name)
            for name in problems.keys() & parameters.keys()
        )
        mapped = f". To run it on each row, write {self.name}.map(…)." if can_be_mapped else ""
        return InvalidInput(first, hint=self._hint + mapped, details=others)

    def wire(self, validated: Mapping[str, object]) -> Wire:
        """Write validated input as the canonical ``{"args": [...], "kwargs": {...}}``.

        Raises
        ------
        InvalidInput
            A positional-only argument is given, but an earlier one is missing and has no literal default.
        """
        if not self._positional_only:
            return encode_call((), validated)
        args: list[object] = []
        kwargs = dict(validated)
        skipped = ""
        for name in self._positional_only:
            if name not in validated:
                skipped = skipped or name
            elif not skipped:
                args.append(kwargs.pop(name))
            elif name in self._defaults and encode(validated[name]) == encode(self._defaults[name]):
                del kwargs[name]
            else:
                problem = f"{self.name}() takes {name!r} by position, so {skipped!r} must be given too."
                raise InvalidInput(problem, hint=self._hint)
        return encode_call(args, kwargs)

    def read_result(self, wire: Wire) -> object:
        """Decode the result that a tool's process sent, and validate it against the return annotation.

        Raises
        ------
        InvalidResult
            The bytes can't be decoded, or the value does not fit the annotation; the message gives the path
            to the part that does not fit.
        """
        try:
            value = decode_result(wire)
        except WireError as error:
            raise InvalidResult(
                f"The result of {self.name}() can't be read: {error}.", hint="Return plain data."
            ) from None
        try:
            return self._result_validator.validate_python(value)
        except ValidationError as error:
            annotation = clipped(self.returns.text, _SHOWN)
            raise InvalidResult(
                f"{self.name}() returned a value that is not {annotation}: {problem_of_result(error)}.",
                hint="Correct the tool or its return annotation.",
            ) from None

    def json_schema(self) -> dict[str, Any]:
        """Describe the input as JSON Schema, draft 2020-12."""
        properties: dict[str, Any] = {}
        for parameter in self.parameters:
            schema = parameter.type.json_schema()
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
        """Write the body of a run cell for the user to fill in: ``text = ...  # str, required``.

        A line with a default is commented out if a run cell would read the default as another value.
        """
        lines = []
        for parameter in self.parameters:
            default = parameter.default
            about = " ".join(f": {parameter.description}".split()) if parameter.description else ""
            about = f"  # {parameter.type.text}{'' if default else ', required'}{about}"
            comment = "" if default is None or _reads_back(default) else "# "
            lines.append(f"{comment}{parameter.name} = {default.source if default else '...'}{about}")
        return "\n".join(lines)

    def read_recorded(self, text: str) -> dict[str, object]:
        """Read an input back from the history, which stores inputs as JSON that is written for people.

        Returns
        -------
        dict
            The arguments by name, for `validate`.

        Raises
        ------
        ValueError
            The text is not a complete input of this signature, or has more than one meaning.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("the input is not a JSON object")  # noqa: TRY004 - callers expect one kind of error
        # Positional-only arguments are recorded under their position.
        placed = {str(index): name for index, name in enumerate(self._positional_only)}
        named = {placed.get(str(key), str(key)): value for key, value in data.items()}
        if unknown := named.keys() - self._by_name.keys():
            raise ValueError(f"the input has fields that the signature does not have: {sorted(unknown)}")
        return {name: self._by_name[name].type.from_recorded(value) for name, value in named.items()}

    @property
    def recorded_exactly(self) -> bool:
        """Whether `read_recorded` always returns exactly the input that was recorded."""
        return all(part.recorded_exactly for part in self._parts())

    def constant_fault(self) -> tuple[str, str] | None:
        """Find an error in the patterns or literal defaults; return the problem and a hint."""
        try:
            self._validator.validate_python(self._defaults)
        except SchemaError:
            return (
                f"{self.name}() has a pattern that can't be compiled",
                "Write it without look-around and back-references.",
            )
        except ValidationError as error:
            return f"the default of {first_problem(error)}", "Correct the default or the annotation."
        return None

    def _parts(self) -> Iterator[Type]:
        return (part for parameter in self.parameters for part in parameter.type.walk())

    @property
    def _hint(self) -> str:
        return clipped(f"Not run: {self.text}", _HINT)

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
    def _positional_only(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters if p.kind == KINDS.POSITIONAL_ONLY)

    @cached_property
    def _defaults(self) -> dict[str, object]:
        return {
            p.name: p.default.value for p in self.parameters if p.default is not None and p.default.literal
        }

    @cached_property
    def _validator(self) -> SchemaValidator:
        mode = Mode("input")
        fields = {
            parameter.name: cs.typed_dict_field(parameter.type.core_schema(mode), required=False)
            for parameter in self.parameters
        }
        return SchemaValidator(cs.typed_dict_schema(fields, extra_behavior="forbid"))

    @cached_property
    def _result_validator(self) -> SchemaValidator:
        return SchemaValidator(self.returns.core_schema(Mode("result")))


def signature_identity(signature: Signature) -> str:
    """Hash the parts of a signature that matter to callers: names, kinds, types, defaults, return type."""
    parameters = [
        [p.name, p.kind.name, p.type.shape(), None if p.default is None else p.default.source]
        for p in signature.parameters
    ]
    wire = encode([parameters, signature.returns.shape(), signature.is_async])
    return hashlib.blake2b(wire, digest_size=16).hexdigest()


def _reads_back(default: Default) -> bool:
    """Whether a default's source, which may have been shortened, still evaluates to the default."""
    try:
        value = ast.literal_eval(default.source)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return default.literal and type(value) is type(default.value) and bool(value == default.value)


def _holds_tables(type_: Type) -> bool:
    return any(isinstance(part, LibraryOf) for part in type_.walk())
