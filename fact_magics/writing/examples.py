"""The body of a cell that asks for a tool: plain language, and the examples that are its contract.

An example is ``>>> NAME(literal, ...)``, continued by ``...`` lines, and below it one literal, or the
header of a traceback and an exception. A blank line or the next ``>>>`` ends it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from fact_magics.errors import CellError
from fact_magics.text import one_line
from fact_magics.tool import Example, Raised, Returned
from fact_magics.values.literals import SPELLINGS, LiteralError, dotted_name, read_literal, source_of

_PROMPT = re.compile(r"^\s*>>>(?: |$)")
_ANY_PROMPT = re.compile(r"^\s*>>>")
_CONTINUATION = re.compile(r"^\s*\.\.\.(?: |$)")
_TRACEBACK = re.compile(r"^Traceback \((?:most recent call last|innermost last)\):?\s*$")
_EXCEPTION = re.compile(r"^([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::[ \t]*(.*))?$", re.DOTALL)
_DIRECTIVE = re.compile(r"#\s*doctest:")
_MAX_BODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Body:
    """A cell's body, taken apart.

    Attributes
    ----------
    description : str
        The plain language, without the examples.
    examples : tuple of Example
        In their order.
    """

    description: str
    examples: tuple[Example, ...]


class _Block(NamedTuple):
    """The lines of one example as they stand in the cell."""

    line: int
    call: list[str]
    expected: list[str]


def read_body(body: str, name: str) -> Body:
    """Take a cell's body apart.

    Parameters
    ----------
    body : str
        The cell below its magic line, as it was written: before ``{{name}}`` is filled in.
    name : str
        The tool, which every example must call.

    Raises
    ------
    CellError
        For an example outside the grammar, with its line.
    """
    if len(body) > _MAX_BODY:
        raise CellError(f"The cell has {len(body):,} characters.", hint="Describe the tool in fewer.")
    text, blocks = _split(body)
    if not blocks:
        _refuse_lost_prompts(text, name)
    return Body(text, tuple(_example(block, name) for block in blocks))


def _refuse_lost_prompts(text: str, name: str) -> None:
    """Refuse what was an example before IPython took the prompts out, as it does with a whole script."""
    lines = text.split("\n")
    for number, (line, following) in enumerate(pairwise(map(str.strip, lines)), start=1):
        if line.startswith(f"{name}(") and _is_call(line) and _is_outcome(following):
            raise _refuse(
                number,
                line,
                "this looks like an example that lost its >>>",
                "Write it; from a script, which IPython takes the prompts out of, it only comes through "
                "if the extension was loaded before: ipython --ext fact_magics SCRIPT.",
            )


def _is_call(text: str) -> bool:
    try:
        return isinstance(ast.parse(text, mode="eval").body, ast.Call)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_outcome(text: str) -> bool:
    try:
        return bool(_TRACEBACK.match(text)) or isinstance(ast.literal_eval(text), object)
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return False


def _split(body: str) -> tuple[str, list[_Block]]:
    prose: list[str] = []
    blocks: list[_Block] = []
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    index = 0
    while index < len(lines):
        if not _ANY_PROMPT.match(lines[index]):
            prose.append(lines[index])
            index += 1
            continue
        if not _PROMPT.match(lines[index]):
            raise _refuse(index + 1, lines[index], "an example has a space after >>>", "Write >>> NAME(...).")
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
    return CellError(f"Line {line}: {problem}.", hint=hint, details=[one_line(text, 120)])


def _example(block: _Block, name: str) -> Example:
    source = "\n".join(block.call).strip()
    args, kwargs = _read_call(block, source, name)
    return Example(source, args, kwargs, _read_expected(block), block.line)


def _read_call(block: _Block, source: str, name: str) -> tuple[tuple[object, ...], dict[str, object]]:
    hint = f"Write one call with literal arguments: >>> {name}(...)."
    shown = f">>> {block.call[0]}"
    if _DIRECTIVE.search(source):
        raise _refuse(block.line, shown, "an example takes no doctest directives", hint)
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        line = block.line + (error.lineno or 1) - 1
        raise _refuse(line, shown, f"the example does not parse: {error.msg}", hint) from None
    except (ValueError, RecursionError, MemoryError):
        raise _refuse(block.line, shown, "the example does not parse", hint) from None
    match statements:
        case [ast.Expr(ast.Call() as call)] if dotted_name(call.func) == name:
            return _arguments(block, call, shown)
        case [ast.Expr(ast.Await(ast.Call() as call))] if dotted_name(call.func) == name:
            raise _refuse(block.line, shown, "an example calls an async tool without await", hint)
        case [ast.Assign() | ast.AnnAssign() | ast.AugAssign()]:
            raise _refuse(block.line, shown, "an example is no assignment", hint)
        case [ast.Expr(ast.Call() as call)]:
            called = dotted_name(call.func) or source_of(call.func)
            raise _refuse(block.line, shown, f"the example calls {called} instead of {name}", hint)
        case []:
            raise _refuse(block.line, shown, "the example is empty", hint)
        case [_, _, *_]:
            raise _refuse(block.line, shown, "the example is more than one call", hint)
    raise _refuse(block.line, shown, f"the example is no call of {name}", hint)


def _arguments(block: _Block, call: ast.Call, shown: str) -> tuple[tuple[object, ...], dict[str, object]]:
    starred = any(isinstance(node, ast.Starred) for node in call.args)
    if starred or any(keyword.arg is None for keyword in call.keywords):
        raise _refuse(block.line, shown, "an example takes no * or ** arguments", "Write each argument out.")
    names = [str(keyword.arg) for keyword in call.keywords]
    for name in names:
        if names.count(name) > 1:
            raise _refuse(block.line, shown, f"the example gives {name} twice", "Give it once.")
    try:
        args = tuple(read_literal(node) for node in call.args)
        kwargs = {str(keyword.arg): read_literal(keyword.value) for keyword in call.keywords}
    except LiteralError as error:
        raise _refuse(
            block.line + error.node.lineno - 1, shown, str(error), f"An argument is one of: {SPELLINGS}."
        ) from None
    return args, kwargs


def _read_expected(block: _Block) -> Returned | Raised:
    line = block.line + len(block.call)
    shown = f">>> {block.call[0]}"
    if not block.expected:
        raise _refuse(
            block.line,
            shown,
            "the example has no expected value",
            "Write it on the next line; None too is written out.",
        )
    if _TRACEBACK.match(block.expected[0]):
        return _read_raised(block, line)
    if block.expected[0].startswith("Traceback"):
        raise _refuse(
            line,
            block.expected[0],
            "a traceback begins otherwise",
            "Write Traceback (most recent call last):",
        )
    source = "\n".join(block.expected)
    try:
        value: Any = read_literal(_expression(source))
    except LiteralError as error:
        raise _refuse(
            line + error.node.lineno - 1, source, str(error), f"An expected value is one of: {SPELLINGS}."
        ) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        hint = "Put one literal below the call, and a blank line between it and the text that follows."
        raise _refuse(line, source, "the expected value is no literal", hint) from None
    return Returned(value, source.strip())


def _expression(source: str) -> ast.expr:
    # Parentheses would let two lines of text become one; a statement of its own can't.
    match ast.parse(source.strip()).body:
        case [ast.Expr(value)]:
            return value
    raise SyntaxError("not one expression")


def _read_raised(block: _Block, line: int) -> Raised:
    # Frames may be pasted along: the exception begins at the first line that is not indented.
    rest = block.expected[1:]
    start = next((i for i, text in enumerate(rest) if text[:1].strip() and text.strip() != "..."), None)
    if start is None:
        raise _refuse(
            line, block.expected[0], "the traceback names no exception", "Write it below, like ValueError."
        )
    match = _EXCEPTION.match("\n".join(rest[start:]).strip())
    if match is None:
        raise _refuse(
            line + 1 + start,
            rest[start],
            "the traceback ends with no exception",
            "Write its type, like ValueError, or its type and message, like ValueError: too short.",
        )
    message = match[2]
    return Raised(match[1], message.strip() if message is not None and message.strip() else None)
