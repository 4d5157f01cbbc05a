"""A tool's signature: read from its source by `ast`, it validates inputs and results and describes both."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fact_magics.bounds import read_bounds
from fact_magics.docstrings import parameter_descriptions
from fact_magics.errors import InvalidInput, InvalidResult, SignatureError, did_you_mean
from fact_magics.functions import KINDS, arguments, check_form, find_function
from fact_magics.schema import default_json, type_schema
from fact_magics.showing import brief
from fact_magics.text import one_line, plural
from fact_magics.values import ValueTypeError, WireError, decode, encode, encode_call, normalise
from fact_magics.vocabulary import NONE, Default, Scalar, Type, allows_none, shape, union

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails, SchemaValidator

    from fact_magics.annotations import Reader
    from fact_magics.functions import Function

_HINT = 200
_SUBJECT = re.compile(r"^\w+ should")  # Pydantic's subject, "Input" or "String", is the field here
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


class _Shown:
    """An annotation or default that `inspect` prints as it is written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


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

    def inspect_signature(self) -> inspect.Signature:
        """Give the signature as `inspect` has it; annotations outside the builtins only print themselves."""
        parameters = []
        for parameter in self.parameters:
            default: Any = inspect.Parameter.empty
            if parameter.default is not None:
                literal = parameter.default.literal and parameter.default.value is not Ellipsis
                default = parameter.default.value if literal else _Shown(parameter.default.source)
            annotation = _annotation(parameter.type)
            parameters.append(
                inspect.Parameter(parameter.name, parameter.kind, default=default, annotation=annotation)
            )
        # A required parameter may follow one whose default only Field(...) knows; inspect would refuse that.
        return inspect.Signature(
            parameters, return_annotation=_annotation(self.returns), __validate_parameters__=False
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
        for name, value in kwargs.items():
            if name in bound:
                raise InvalidInput(f"{self.name}() got {name!r} twice.", hint="Give it once.")
            if name in self._positional_only:
                raise InvalidInput(f"{self.name}() takes {name!r} by its position only.", hint=self._hint)
            bound[name] = value
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
            value = decode(wire)
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
        """Give the body of a run to fill in: ``text = ...  # str, required``."""
        lines = []
        for parameter in self.parameters:
            about = f": {parameter.description}" if parameter.description else ""
            about = " ".join(about.split())
            default = parameter.default
            if default is None:
                lines.append(f"{parameter.name} = ...  # {parameter.type.text}, required{about}")
            elif default.literal:
                lines.append(f"{parameter.name} = {default.source}  # {parameter.type.text}{about}")
            else:
                lines.append(f"# {parameter.name} = {default.source}  # {parameter.type.text}{about}")
        return "\n".join(lines)

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
        from fact_magics.validation import fields_validator

        return fields_validator({name: parameter.type for name, parameter in self._by_name.items()}, "input")

    @cached_property
    def _result_validator(self) -> SchemaValidator:
        from fact_magics.validation import validator

        return validator(self.returns, "result")


def read_signature(source: str, name: str) -> Signature:
    """Read the signature of a tool from its source, of which nothing is evaluated.

    Parameters
    ----------
    source : str
        Python source that defines the function at its top level.
    name : str
        The function.

    Raises
    ------
    SignatureError
        Where there is no such function, or its signature can't be validated and described; with the line.
    """
    try:
        return _read(*find_function(source, name), name)
    except RecursionError:
        raise SignatureError(f"The source of {name} is nested too deep.", hint="Write it flatter.") from None


def _read(reader: Reader, node: Function, name: str) -> Signature:
    check_form(reader, node)
    doc = ast.get_docstring(node) or ""
    described = parameter_descriptions(doc)
    parameters = []
    for argument, kind, default in arguments(reader, node):
        if argument.annotation is None:
            raise reader.refuse(
                argument, f"the parameter {argument.arg} has no annotation", f"Write {argument.arg}: TYPE."
            )
        parameters.append(_parameter(reader, argument, kind, default, described.get(argument.arg, "")))
    if node.returns is None:
        raise reader.refuse(node, f"{name}() has no return annotation", "Write -> TYPE, or -> None.")
    returns = reader.annotation(node.returns).type
    signature = Signature(name, tuple(parameters), returns, doc, isinstance(node, ast.AsyncFunctionDef))
    _check_constants(reader, node, signature)
    return signature


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


def _parameter(
    reader: Reader,
    argument: ast.arg,
    kind: inspect._ParameterKind,
    default_node: ast.expr | None,
    described: str,
) -> Parameter:
    assert argument.annotation is not None  # noqa: S101 - read_signature has refused the others
    annotation = reader.annotation(argument.annotation)
    default: Default | None = None
    if default_node is not None:
        field = read_bounds(reader, default_node)
        if field is None:
            default = reader.default(default_node)
        else:
            annotation = reader.apply(default_node, annotation, field)
    default = default or annotation.default
    if default is not None and default.value is Ellipsis:
        default = None  # Field(...): required
    type_ = annotation.type
    if default is not None and default.literal and default.value is None and not allows_none(type_):
        type_ = union((type_, NONE))  # `x: int = None` says so, if not in its annotation
    return Parameter(argument.arg, kind, type_, default, annotation.description or described)


def _check_constants(reader: Reader, node: ast.AST, signature: Signature) -> None:
    """Check patterns and literal defaults now: they are the writer's errors, and no caller's."""
    from pydantic_core import SchemaError, ValidationError

    try:
        signature._validator.validate_python(signature._defaults)  # noqa: SLF001 - of this module
    except SchemaError:
        raise reader.refuse(
            node,
            f"{signature.name}() has a pattern that can't be compiled",
            "Write it without look-around and back-references.",
        ) from None
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False)[0]
        problem = f"the default of {_problem(detail, str(detail['loc'][0]))}"
        raise reader.refuse(node, problem, "Mend the default or the annotation.") from None


def _annotation(type_: Type) -> Any:
    if isinstance(type_, Scalar) and type_.name in _PYTHON_TYPES:
        return _PYTHON_TYPES[type_.name]
    return _Shown(type_.text)


def _problem(detail: ErrorDetails, name: str, *, skip: int = 1) -> str:
    path = "".join("" if step == "[key]" else f"[{brief(step, 40)}]" for step in detail["loc"][skip:])
    place = f"{name}{path}"
    if detail["type"] == "missing":
        return f"{place}: missing"
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown field"
    message = _SUBJECT.sub("should", detail["msg"]).replace(" after validation", "")
    return f"{place}: {one_line(message, 160)}, got {brief(detail['input'])}"
