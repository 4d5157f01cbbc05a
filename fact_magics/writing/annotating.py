"""Complete the signature of a candidate: annotations that are missing, and types without their import.

A missing type is read off the examples and the default, else off a type comment or a docstring.
"""

from __future__ import annotations

import ast
import re
import typing
from contextlib import suppress
from tokenize import OP, generate_tokens
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.errors import SignatureError
from fact_magics.signature import read_signature
from fact_magics.signature.annotations import AnnotationReader
from fact_magics.signature.source import ToolSource
from fact_magics.text import one_line
from fact_magics.tool import Returned
from fact_magics.values import Table
from fact_magics.values.literals import LiteralError, dotted_name, read_literal, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fact_magics.tool import Example

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Place = tuple[tuple[int, int, int], str]  # line, start and end as in `_Edit`, and the sign before the type

# What names in annotations mean, if Python does not know them or no value can be checked against them.
_MEANINGS = {
    "any": "Any", "string": "str", "integer": "int", "boolean": "bool", "number": "int | float",
    "Number": "int | float", "numbers.Number": "int | float", "numbers.Real": "int | float",
    "numbers.Integral": "int",
}  # fmt: skip
# Tables of other libraries are written with the name of the library, which the source must then import.
_BARE_TABLES = ("pandas.DataFrame", "pandas.Series", "numpy.ndarray")
_IMPORTED = {
    **dict.fromkeys(typing.__all__, "typing"),
    **dict.fromkeys(("date", "datetime", "time", "timedelta"), "datetime"),
    "Decimal": "decimal",
    "UUID": "uuid",
    "Path": "pathlib",
    **{name: module for module, _, name in (kind.partition(".") for kind in _BARE_TABLES)},
}
_WORDS = {
    "str": "text", "int": "number", "float": "number", "int | float": "number", "bool": "flag",
    "list": "items", "tuple": "items", "set": "items", "dict": "data", "date": "day",
    "datetime": "moment", "bytes": "content", "DataFrame": "df", "Series": "series", "ndarray": "array",
}  # fmt: skip
_KNOWN_IMPORTS = "\n".join(f"from {module} import {name}" for name, module in _IMPORTED.items())
_DOCUMENTED = re.compile(  # numpy's "name : type", or Google's "name (type):"
    r"^\s*(?P<name>\w+)\s*(?:\s:\s*(?P<numpy>[^\n]+)|\((?P<google>[^\n]+?)\)\s*:.*)$", re.MULTILINE
)
_DOCUMENTED_RESULT = re.compile(
    r"^Returns:?\s*\n(?:-{3,}\s*\n)?\s*(?P<type>[^\n:]+?)\s*(?::.*)?$", re.MULTILINE
)
_NO_TYPE = re.compile(r",?\s*(?:optional|default\b.*)$")


class Completed(NamedTuple):
    """A candidate with a complete signature.

    `notes` say which types were added. A type that could not be found is `Any`; then `missing` asks for the
    whole line.
    """

    source: ToolSource
    notes: tuple[str, ...] = ()
    missing: str = ""


class _Edit(NamedTuple):
    """Text that replaces the bytes from `start` to `end` of a line."""

    line: int  # from 1
    start: int  # in bytes
    end: int
    text: str


def complete(source: ToolSource, examples: Sequence[Example]) -> Completed:
    """Annotate the parameters and the result of a candidate that have no annotation.

    Names of types that the source does not import are imported, and names that are no types, such as `any`,
    are replaced by what they mean. A source that does not define the function is returned as it is.
    """
    function = _function(source.tree, source.name)
    if function is None:
        return Completed(source)
    reader = AnnotationReader(source.text, source.tree or ast.Module([], []))
    edits = [*_renamed(function, reader)]
    asked: list[_Edit] = []  # the same, with TYPE for each type that is not known
    notes: list[str] = []
    for name, place, types in _Types(source, function, examples).without_annotation():
        known = next(filter(None, (_spelled(text, reader) for text in types if text and _is_type(text))), "")
        if known:
            notes.append(f"{name}: {known}")
        at, sign = place
        edits.append(_Edit(*at, f"{sign} {known or 'Any'}"))
        asked.append(_Edit(*at, f"{sign} {known or 'TYPE'}"))
    edited = ToolSource(_edited(source.text, edits), source.name) if edits else source
    imported = _with_imports(edited, reader)
    if imported == source.text:
        return Completed(source)
    told = (f"types that the examples or the source show: {', '.join(notes)}",) if notes else ()
    return Completed(ToolSource(imported, source.name), told, _missing(source, function, asked))


def _function(tree: ast.Module | None, name: str) -> _Function | None:
    """Return the last definition of the function, which is the one that counts."""
    body = tree.body if tree is not None else []
    return next((node for node in reversed(body) if isinstance(node, _Function) and node.name == name), None)


def _missing(source: ToolSource, function: _Function, asked: Sequence[_Edit]) -> str:
    """Ask for the line that defines the function, if a type in it is not known."""
    if not any(edit.text.endswith(" TYPE") for edit in asked):
        return ""
    lines = _edited(source.text, asked).split("\n")[function.lineno - 1 :]
    line, column = _colon("\n".join(lines), 0)
    written = " ".join(" ".join([*lines[: line - 1], lines[line - 1].encode()[:column].decode()]).split())
    return (
        f"Line {function.lineno}: a type is missing, which the examples do not show. Write the line as "
        f"{one_line(written, 300)}: and replace TYPE."
    )


class _Types:
    """Finds candidates for the types of the parameters and of the result, the likeliest first."""

    def __init__(self, source: ToolSource, function: _Function, examples: Sequence[Example]) -> None:
        self._source = source
        self._function = function
        self._examples = examples
        self._documented, self._result = _documented(ast.get_docstring(function) or "")
        self._comment = _type_comment(source)

    def without_annotation(self) -> Iterator[tuple[str, _Place, list[str]]]:
        """Yield the name, place and possible types of each parameter (or result) without an annotation."""
        spec = self._function.args
        positional = [*spec.posonlyargs, *spec.args]
        defaults = dict(zip(reversed(positional), reversed(spec.defaults), strict=False))
        defaults |= {
            one: value for one, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value
        }
        for at, one in enumerate((*positional, *spec.kwonlyargs)):
            if one.annotation is None:
                shown = type_of([*self._passed(at, one.arg), *_literals(defaults.get(one))])
                comment = self._comment[at] if at < len(self._comment) - 1 else ""
                end = one.end_col_offset or 0
                place = (one.end_lineno or 0, end, end), ":"
                yield one.arg, place, [shown, comment, self._documented.get(one.arg, "")]
        if self._function.returns is None:
            line, column = _colon(self._source.text, self._function.lineno - 1)
            expected = [example.expected for example in self._examples]
            values = [one.value for one in expected if isinstance(one, Returned)]
            types = [type_of(values, is_result=True), *self._comment[-1:], self._result]
            yield "result", ((line, column, column), " ->"), types

    def _passed(self, at: int, name: str) -> Iterator[object]:
        for example in self._examples:
            if at < len(example.args):
                yield example.args[at]
            elif name in example.kwargs:
                yield example.kwargs[name]


def type_of(values: Iterable[object], *, is_result: bool = False) -> str:
    """Write the type that fits all values; empty if they show none. Int and float results give ``float``."""
    by_kind: dict[type, list[Any]] = {}
    for value in values:
        by_kind.setdefault(type(value), []).append(value)
    if is_result and {int, float} <= {*by_kind}:
        del by_kind[int]
    has_none = by_kind.pop(type(None), None) is not None
    found = [_of_kind(kind, several, is_result=is_result) for kind, several in by_kind.items()]
    if has_none and (found or is_result):
        found.append("None")
    return " | ".join(found)


def signature_line(name: str, examples: Sequence[Example]) -> str:
    """Write the signature that the examples show, with names made from types for positional arguments.

    Empty if there are no examples, or if they do not pass the same number of positional arguments.
    """
    counts = {len(example.args) for example in examples}
    if len(counts) != 1:
        return ""
    types = [type_of(values) or "Any" for values in zip(*(example.args for example in examples), strict=True)]
    words = [_WORDS.get(type_.partition("[")[0], "value") for type_ in types]
    keywords = dict.fromkeys(key for example in examples for key in example.kwargs)
    repeated = [[*keywords, *words[:at]].count(word) for at, word in enumerate(words)]
    written = [
        f"{word}{before + 1 if before else ''}: {type_}"
        for word, before, type_ in zip(words, repeated, types, strict=True)
    ]
    for key in keywords:
        values = [example.kwargs[key] for example in examples if key in example.kwargs]
        written.append(f"{key}: {type_of(values) or 'Any'}{'' if len(values) == len(examples) else ' = ...'}")
    returned = [example.expected.value for example in examples if isinstance(example.expected, Returned)]
    return f"def {name}({', '.join(written)}) -> {type_of(returned, is_result=True) or 'TYPE'}:"


def _of_kind(kind: type, values: list[Any], *, is_result: bool) -> str:
    name = kind.__name__
    if kind is Table:
        kinds = sorted({table.kind for table in values})
        return " | ".join(one.partition(".")[2] if one in _BARE_TABLES else one for one in kinds)
    if kind is dict:
        parts = [
            type_of((key for one in values for key in one), is_result=is_result),
            type_of((item for one in values for item in one.values()), is_result=is_result),
        ]
    elif kind is tuple and len({*map(len, values)}) == 1:
        parts = [type_of(items, is_result=is_result) for items in zip(*values, strict=True)]
    elif kind in (list, tuple, set, frozenset):
        parts = [type_of((item for one in values for item in one), is_result=is_result)]
        parts += ["..."] if kind is tuple else []
    else:
        return name
    return f"{name}[{', '.join(parts)}]" if parts and all(parts) else name


def _literals(default: ast.expr | None) -> Iterator[object]:
    if default is not None:
        with suppress(LiteralError):
            yield read_literal(default)


def _documented(docstring: str) -> tuple[dict[str, str], str]:
    """Return the types of the parameters, and of the result, that a docstring gives."""
    found = {
        match["name"]: _NO_TYPE.sub("", (match["numpy"] or match["google"]).strip())
        for match in _DOCUMENTED.finditer(docstring)
    }
    result = _DOCUMENTED_RESULT.search(docstring)
    return found, result["type"] if result else ""


def _type_comment(source: ToolSource) -> list[str]:
    """Return the types of a ``# type: (int, str) -> bool`` comment, that of the result last."""
    if "# type:" not in source.text:
        return []
    try:
        function = _function(ast.parse(source.text, type_comments=True), source.name)
        parsed = ast.parse((function and function.type_comment) or "", mode="func_type")
    except SyntaxError:
        return []
    return [source_of(one) for one in (*parsed.argtypes, parsed.returns)]


def _is_type(text: str) -> bool:
    try:
        read_signature(f"{_KNOWN_IMPORTS}\ndef f(x: {text}) -> None: ...", "f")
    except SignatureError:
        return False
    return True


def _spelled(text: str, reader: AnnotationReader) -> str:
    """Write a type with the names of the module; empty if one of its names means something else there."""
    for name in dict.fromkeys(re.findall(r"[A-Za-z]\w*", text)):
        module = _IMPORTED.get(name, "")
        if not module or not reader.binds(name) or reader.resolve(name) == f"{module}.{name}":
            continue
        if reader.resolve(module) != module:
            return ""
        text = re.sub(rf"\b{name}\b", f"{module}.{name}", text)
    return text


def _annotations(function: _Function) -> list[ast.expr]:
    spec = function.args
    arguments = (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)
    return [node for node in (*(one.annotation for one in arguments), function.returns) if node]


def _renamed(function: _Function, reader: AnnotationReader) -> Iterator[_Edit]:
    """Yield edits that replace names that are not types, such as ``any``, by the types that they mean."""
    for annotation in _annotations(function):
        for node in ast.walk(annotation):
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            name = dotted_name(node) or ""
            if reader.binds(name.partition(".")[0]):
                origin = reader.resolve(name) or ""
                name = origin if origin.startswith("numbers.") else ""
            if name in _MEANINGS:
                yield _Edit(node.lineno, node.col_offset, node.end_col_offset or 0, _MEANINGS[name])


def _colon(text: str, above: int) -> tuple[int, int]:
    """Skip `above` lines, find the colon that ends the next ``def``, and return its line and byte column."""
    lines = text.split("\n")
    depth = 0
    following = iter([f"{line}\n" for line in lines[above:]])
    for token in generate_tokens(following.__next__):
        if token.type == OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and not depth:
                line, column = token.start
                return above + line, len(lines[above + line - 1][:column].encode())
    raise AssertionError("the head of a function that parses ends with a colon")


def _edited(text: str, edits: Iterable[_Edit]) -> str:
    lines = [line.encode() for line in text.split("\n")]
    for line, start, end, new in sorted(edits, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:start] + new.encode() + old[end:]
    return b"\n".join(lines).decode()


def _with_imports(source: ToolSource, reader: AnnotationReader) -> str:
    """Import the types that the function names, and that the module, by its `reader`, does not define."""
    function = _function(source.tree, source.name)
    if function is None or source.tree is None:
        return source.text
    nodes = (node for one in _annotations(function) for node in ast.walk(one))
    named = {node.id for node in nodes if isinstance(node, ast.Name)} & _IMPORTED.keys()
    wanted = sorted(name for name in named if not reader.binds(name))
    head = [
        node.end_lineno or 0
        for node in source.tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    if ast.get_docstring(source.tree) is not None:
        head.append(source.tree.body[0].end_lineno or 0)
    lines = source.text.split("\n")
    at = max(head, default=0)
    lines[at:at] = [f"from {_IMPORTED[name]} import {name}" for name in wanted]
    return "\n".join(lines)
