"""Read the body of a cell that asks for a tool: a description and examples.

An example is a call, ``>>> NAME(literal, ...)``, which may continue on ``...`` lines. Below the call is one
literal, or the header of a traceback and an exception. A blank line or the next ``>>>`` ends the example.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from fact_magics.errors import CellError
from fact_magics.text import odd_character, one_line
from fact_magics.tool import Example, Raised, Returned
from fact_magics.values.literals import SPELLINGS, LiteralError, dotted_name, read_literal, source_of
from fact_magics.values.table_literals import TABLE_CALLS, TABLE_SPELLINGS, table_name

_PROMPT = re.compile(r"^\s*>>>(?: |$)")
_ANY_PROMPT = re.compile(r"^\s*>>>")
_CONTINUATION = re.compile(r"^\s*\.\.\.(?: |$)")
_TRACEBACK = re.compile(r"^Traceback \((?:most recent call last|innermost last)\):?\s*$")
_EXCEPTION = re.compile(r"^([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::[ \t]*(.*))?$", re.DOTALL)
_DIRECTIVE = re.compile(r"#\s*doctest:")
# A string, which may contain anything, or a variable: no literal has two braces outside of a string.
_VARIABLE = re.compile(r"(['\"]).*?\1|(?P<variable>\{\{.*?\}\})")
_MAX_BODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Body:
    """The parts of a cell's body: the description without the examples, and the examples in order."""

    description: str
    examples: tuple[Example, ...]


class _Block(NamedTuple):
    """The lines of one example, as written in the cell."""

    line: int
    call: list[str]
    expected: list[str]

    def refuse(self, problem: str, hint: str, *, line: int = 0, text: str = "") -> CellError:
        """Build an error about the call or about `text`; `line` is an offset from the call's first line."""
        whole = "\n".join((*self.call, *self.expected))
        if found := next(filter(None, (match["variable"] for match in _VARIABLE.finditer(whole))), ""):
            problem = f"an example can't contain a variable, such as {one_line(found, 60)}"
            hint = "Write its value instead; only the description is filled in."
        return _refuse(self.line + line, text or f">>> {self.call[0]}", problem, hint)


def read_body(body: str, name: str) -> Body:
    """Separate a cell's body into description and examples.

    Parameters
    ----------
    body : str
        The text of the cell below its magic line, before each ``{{name}}`` is replaced by its value.
    name : str
        The tool that every example must call.

    Raises
    ------
    CellError
        An example is malformed; the message names its line.
    """
    if len(body) > _MAX_BODY:
        raise CellError(
            f"The cell has {len(body):,} characters; the limit is {_MAX_BODY:,}.",
            hint="Describe the tool in fewer words.",
        )
    text, blocks = _split(body, name)
    if not blocks:
        _refuse_lost_prompts(text, name)
    unique: dict[tuple[str, ...], _Block] = {}
    for block in blocks:  # an example that is repeated proves nothing more
        unique.setdefault((*block.call, *block.expected), block)
    return Body(text, tuple(_example(block, name) for block in unique.values()))


def _refuse_lost_prompts(text: str, name: str) -> None:
    """Refuse lines that look like examples without ``>>>``, which IPython removes in a script."""
    lines = text.split("\n")
    for number, (line, following) in enumerate(pairwise(map(str.strip, lines)), start=1):
        if line.startswith(f"{name}(") and _is_example(line, following):
            raise _refuse(
                number,
                line,
                "this looks like an example without >>>",
                "Write >>> before it. In a script, IPython removes the >>> unless the extension is loaded "
                "first: ipython --ext fact_magics SCRIPT.",
            )


def _is_example(line: str, following: str) -> bool:
    """Tell whether a line is a call, and the next line a literal or the header of a traceback."""
    try:
        if not _TRACEBACK.match(following):
            ast.literal_eval(following)
        return isinstance(ast.parse(line, mode="eval").body, ast.Call)
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return False


def _split(body: str, name: str) -> tuple[str, list[_Block]]:
    inside = re.compile(rf">>>[ \t]*(?:await )?{re.escape(name)}[ \t]*\(")
    prose: list[str] = []
    blocks: list[_Block] = []
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    index = 0
    while index < len(lines):
        if not _ANY_PROMPT.match(lines[index]):
            if inside.search(lines[index]):
                hint = "Write nothing before >>>, and the expected value on the next line."
                raise _refuse(index + 1, lines[index], "an example must begin its line", hint)
            prose.append(lines[index])
            index += 1
            continue
        if not _PROMPT.match(lines[index]):
            raise _refuse(index + 1, lines[index], "the space after >>> is missing", "Write >>> NAME(...).")
        start = index
        indent = len(lines[index]) - len(lines[index].lstrip())
        call = [_PROMPT.sub("", lines[index])]
        index += 1
        while index < len(lines) and _CONTINUATION.match(lines[index]):
            call.append(_CONTINUATION.sub("", lines[index]))
            index += 1
        expected = []
        while index < len(lines) and lines[index].strip() and not _ANY_PROMPT.match(lines[index]):
            expected.append(_dedent(lines[index], indent))
            index += 1
        blocks.append(_Block(start + 1, call, expected))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(prose)).strip(), blocks


def _dedent(line: str, indent: int) -> str:
    return line[indent:] if not line[:indent].strip() else line.lstrip()


def _refuse(line: int, text: str, problem: str, hint: str) -> CellError:
    return CellError(f"Line {line}: {problem}: {one_line(text, 120)}", hint=hint)


def _example(block: _Block, name: str) -> Example:
    source = "\n".join(block.call).strip()
    args, kwargs = _arguments(block, _read_call(block, source, name))
    return Example(source, args, kwargs, _read_expected(block), block.line)


def _read_call(block: _Block, source: str, name: str) -> ast.Call:
    hint = f"Write one call with literal arguments: >>> {name}(...)."
    if _DIRECTIVE.search(source):
        raise block.refuse("an example can't have doctest directives", hint)
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        problem = f"the example does not parse: {error.msg}"
        raise block.refuse(problem, hint, line=(error.lineno or 1) - 1) from None
    except (ValueError, RecursionError, MemoryError):
        raise block.refuse("the example does not parse", hint) from None
    match statements:
        case [ast.Expr(ast.Call() as call)] if dotted_name(call.func) == name:
            return call
        case [ast.Expr(ast.Await(ast.Call() as call))] if dotted_name(call.func) == name:
            problem = "an example calls an async tool without await"
        case [ast.Assign() | ast.AnnAssign() | ast.AugAssign()]:
            problem = "an example can't be an assignment"
        case [ast.Expr(ast.Call() as call)]:
            called = dotted_name(call.func) or source_of(call.func)
            odd = odd_character(called, name) or odd_character(name, called)
            problem = f"the example calls {called} instead of {name}"
            problem += f", which looks the same, but one of them contains {odd}" if odd else ""
        case []:
            problem = "the example is empty"
        case [_, _, *_]:
            problem = "the example is more than one call"
        case _:
            problem = f"the example is not a call of {name}"
    raise block.refuse(problem, hint)


def _arguments(block: _Block, call: ast.Call) -> tuple[tuple[object, ...], dict[str, object]]:
    starred = any(isinstance(node, ast.Starred) for node in call.args)
    if starred or any(keyword.arg is None for keyword in call.keywords):
        raise block.refuse("an example can't have * or ** arguments", "Write each argument out.")
    names = [str(keyword.arg) for keyword in call.keywords]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise block.refuse(f"the example gives {repeated[0]} twice", "Give it once.")
    try:
        args = tuple(_literal(node) for node in call.args)
        kwargs = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
    except LiteralError as error:
        hint = f"Write each argument as one of: {SPELLINGS}; {TABLE_SPELLINGS}."
        raise block.refuse(str(error), hint, line=error.node.lineno - 1) from None
    return args, kwargs


def _literal(node: ast.expr) -> Any:
    return read_literal(node, table_name, TABLE_CALLS)


def _read_expected(block: _Block) -> Returned | Raised:
    below = len(block.call)
    if not block.expected:
        raise block.refuse(
            "the example has no expected value", "Write it on the next line, even if it is None."
        )
    first = block.expected[0]
    if _TRACEBACK.match(first):
        return _read_raised(block)
    if first.startswith("Traceback"):
        hint = "Write Traceback (most recent call last):"
        raise block.refuse("this is not the header of a traceback", hint, line=below, text=first)
    source = "\n".join(block.expected)
    try:
        value: Any = _literal(_expression(source))
    except LiteralError as error:
        hint = f"Write the expected value as one of: {SPELLINGS}; {TABLE_SPELLINGS}."
        raise block.refuse(str(error), hint, line=below + error.node.lineno - 1, text=source) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        hint = "Write one literal below the call, then a blank line before any other text."
        problem = "the expected value is not a literal"
        raise block.refuse(problem, hint, line=below, text=source) from None
    return Returned(value, source.strip())


def _expression(source: str) -> ast.expr:
    # Mode "eval" would need parentheses around the text, and these could join two lines into one value.
    match ast.parse(source.strip()).body:
        case [ast.Expr(value)]:
            return value
    raise SyntaxError("not one expression")


def _read_raised(block: _Block) -> Raised:
    # A pasted traceback may contain frames; the exception begins at the first line that is not indented.
    below, rest = len(block.call), block.expected[1:]
    start = next((i for i, text in enumerate(rest) if text[:1].strip() and text.strip() != "..."), None)
    if start is None:
        problem, hint = "the traceback names no exception", "Write an exception below it, such as ValueError."
        raise block.refuse(problem, hint, line=below, text=block.expected[0])
    match = _EXCEPTION.match("\n".join(rest[start:]).strip())
    if match is None:
        hint = "End it with an exception type, or with a type and a message, such as ValueError: too short."
        problem = "the traceback does not end with an exception"
        raise block.refuse(problem, hint, line=below + 1 + start, text=rest[start])
    return Raised(match[1], (match[2] or "").strip() or None)
