"""The body of a cell: the input of a run or a map, and a ``;`` at the end."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError, did_you_mean
from fact_magics.text import normalised, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REASON_LIMIT = 300
_OPTIONS = "Options belong in the first line of the cell."
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_INVISIBLE = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT})


def read_run_body(body: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate the body of a run: ``name = expression`` statements in order, or one JSON object.

    Returns the tool's arguments by name. The expressions see the variables in `namespace`, which is not
    changed. Another kind of statement, a repeated name, or an expression that fails raises `CellError`.
    """
    if body.lstrip().startswith("{"):
        return _read_json(body)
    # One dictionary for all names: on Python 3.11 a comprehension does not see the names in separate locals.
    names = dict(namespace)
    values: dict[str, Any] = {}
    for name, expression in _read_assignments(body).items():
        names[name] = values[name] = _evaluate(name, expression, names)
    return values


def read_map_body(body: str, namespace: Mapping[str, Any], each: Callable[[Any], object]) -> Any:
    """Evaluate the body of a map: lines as in a run, whose expressions may call `each`, or one expression.

    Returns
    -------
    dict or object
        The tool's arguments by name under ``lines``, or the value of the expression under ``table``.
    """
    names = {**namespace, "each": each}
    try:
        expression = ast.parse(body.strip(), mode="eval").body
    except _UNREADABLE:
        return {"lines": read_run_body(body, names)}
    if isinstance(expression, ast.Compare) and isinstance(expression.left, ast.Name):
        return {"lines": read_run_body(body, names)}  # which says what was meant by NAME == VALUE
    return {"table": _evaluate("The table", expression, names)}


def _read_json(body: str) -> dict[str, Any]:
    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for name, value in items:
            if name in read:
                raise CellError(f"The JSON object gives {quoted(name)} twice.", hint="Give it once.")
            read[name] = value
        return read

    try:
        given = json.loads(body, object_pairs_hook=unique)
        return unique([(normalised(name), value) for name, value in given.items()])
    except json.JSONDecodeError as error:
        if _is_python_dict(body):
            raise CellError(
                "The body is a Python dictionary, not JSON.",
                hint="Write name = expression lines, or JSON: double quotes, true, false and null, "
                "no variables, no comma at the end.",
            ) from None
        raise CellError(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            hint="Correct the JSON, or write name = expression lines.",
        ) from None
    except (RecursionError, ValueError) as error:
        raise CellError(
            f"The body's JSON can't be read: {error}.",
            hint="Assign the value to a variable, and write name = VARIABLE here.",
        ) from None


def _is_python_dict(body: str) -> bool:
    try:
        return isinstance(ast.parse(body.strip(), mode="eval").body, ast.Dict)
    except _UNREADABLE:
        return False


def _read_assignments(body: str) -> dict[str, ast.expr]:
    if body.lstrip("\n").startswith((" ", "\t")):  # as IPython, only then: dedent also changes blank lines
        body = dedent(body)
    try:
        tree = ast.parse(body)
    except _UNREADABLE as error:
        if _is_call_input(body):
            raise CellError(
                "The body is written like the input of a call.",
                hint="Write one name = expression on each line.",
            ) from None
        where = ""
        if isinstance(error, SyntaxError) and error.lineno:  # the error of a null character has no line
            where = f" at line {error.lineno}, column {error.offset}"
        raise CellError(
            f"The body can't be parsed: {getattr(error, 'msg', error)}{where}.",
            hint=_OPTIONS
            if body.lstrip().startswith("--")
            else "Write name = expression lines, or one JSON object.",
        ) from None
    read: dict[str, ast.expr] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in read:
                    raise CellError(
                        f"Line {statement.lineno} of the body gives {name!r} again.", hint="Give it once."
                    )
                read[name] = value
            case _:
                shown = one_line(ast.get_source_segment(body, statement) or "", _REASON_LIMIT)
                raise CellError(
                    f"Line {statement.lineno} of the body is not name = expression: {shown}",
                    hint=_meant(body, statement) or "Put other code into another cell.",
                )
    return read


def _is_call_input(body: str) -> bool:
    try:
        call = ast.parse(f"f({body}\n)", mode="eval").body
    except _UNREADABLE:
        return False
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and bool(call.keywords)


def _meant(body: str, statement: ast.stmt) -> str:
    """Say where options belong, or write a statement as the assignment that it resembles."""
    if (ast.get_source_segment(body, statement) or "").startswith("--"):
        return _OPTIONS
    match statement:
        case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
            value = value or annotation
            if value is annotation and not _is_literal(annotation):  # it is a type
                return f"Write {name} = VALUE"
        case ast.Expr(ast.Compare(ast.Name(name), [ast.Eq()], [value])):
            pass
        case _:
            return ""
    return f"Write {name} = {one_line(ast.get_source_segment(body, value) or '', _REASON_LIMIT)}"


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (*_UNREADABLE, TypeError):
        return False
    return True


def _evaluate(name: str, expression: ast.expr, names: dict[str, Any]) -> Any:
    failed = f"{repr(name) if name.isidentifier() else name} could not be computed"
    try:
        code = compile(ast.Expression(expression), f"<input {name}>", "eval")
    except _UNREADABLE as error:  # such as `await`, which parses but does not compile here
        raise CellError(
            f"{failed}: {getattr(error, 'msg', error)}.",
            hint="Compute the value in a cell above, and write the variable here.",
        ) from None
    try:
        return eval(code, names)  # noqa: S307 - the user's own cell
    except NameError as error:
        known = (key for key in names if not key.startswith("_"))
        hint = did_you_mean(error.name or "", known) or "Run the cell that defines it first."
        raise CellError(f"{failed}: {error}.", hint=hint) from error
    except Exception as error:
        raise CellError(
            f"{failed}: {_described(error)}", hint=f"The error is in line {expression.lineno} of the body."
        ) from error


def _described(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", _REASON_LIMIT)


def silenced_input(body: str) -> tuple[str, bool]:
    """Remove a ``;`` from the end of a run's body, and tell whether there was one.

    A ``;`` inside a string or a comment does not count.
    """
    if ";" not in body.rstrip().rpartition("\n")[2]:
        return body, False
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(body, newline="\n").readline))
    except (tokenize.TokenError, SyntaxError):
        return body, False
    last = next((token for token in reversed(tokens) if token.type not in _INVISIBLE), None)
    if last is None or last.string != ";":
        return body, False
    row, column = last.start
    lines = body.split("\n")
    return "\n".join((*lines[: row - 1], lines[row - 1][:column])), True


def silenced_description(body: str) -> tuple[str, bool]:
    """Remove a ``;`` from the end of a description, and tell whether there was one.

    The ``;`` must follow the last example or be alone on its line, because a sentence may end in ``;``.
    """
    bare = body.rstrip()
    lines = bare.rpartition("\n\n")[2].split("\n")
    is_example = any(line.lstrip().startswith(">>>") for line in lines[:-1])
    if lines[-1].strip() == ";" or (is_example and bare.endswith(";")):
        return bare[:-1], True
    return body, False
