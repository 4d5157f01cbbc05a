"""What stands below a cell's first line: the input of a run, and the variables in a description."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError, UnknownName, did_you_mean
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType

_REASON_LIMIT = 300


def read_run_body(body: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate a run's body: ``name = expression`` statements in order, or one JSON object.

    Parameters
    ----------
    body : str
        The cell's text below its first line.
    namespace : mapping
        The notebook's names; it is not changed.

    Returns
    -------
    dict
        The tool's arguments by name; empty for an empty body.

    Raises
    ------
    CellError
        Another kind of statement, a name given twice, or text that does not parse, with its position.
    """
    if body.lstrip().startswith("{"):
        return _read_json(body)
    return _evaluate(_read_assignments(body), namespace)


def _read_json(body: str) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        read = dict(items)
        if len(read) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise CellError(f"The JSON object gives {twice!r} twice.", hint="Give it once.")
        return read

    try:
        value = json.loads(body, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise CellError(
            f"The body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            hint="Mend it there, or write name = expression lines.",
        ) from None
    except (RecursionError, ValueError) as error:
        raise CellError(f"The body's JSON can't be read: {error}.", hint="Pass it by a variable.") from None
    return dict(value)


def _read_assignments(body: str) -> list[tuple[str, ast.expr]]:
    try:
        tree = ast.parse(body)
    except SyntaxError as error:
        raise CellError(
            f"The body does not parse: {error.msg} at line {error.lineno}, column {error.offset}.",
            hint="Write name = expression lines, or one JSON object.",
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CellError(f"The body does not parse: {error}.", hint="Write name = expression lines.") from None
    read: list[tuple[str, ast.expr]] = []
    for statement in tree.body:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            shown = one_line(ast.get_source_segment(body, statement) or "", _REASON_LIMIT)
            raise CellError(
                f"Line {statement.lineno} of the body is no name = expression: {shown}",
                hint="A run's body only gives the tool its input; put other code in a cell of its own.",
            )
        name = statement.targets[0].id
        if any(name == given for given, _ in read):
            raise CellError(
                f"Line {statement.lineno} of the body gives {name!r} again.", hint="Give it once."
            )
        read.append((name, statement.value))
    return read


def _evaluate(assignments: list[tuple[str, ast.expr]], namespace: Mapping[str, Any]) -> dict[str, Any]:
    # One merged dictionary: with separate locals a comprehension does not see earlier names on Python 3.11.
    names = dict(namespace)
    values: dict[str, Any] = {}
    for name, expression in assignments:
        code = _compiled(name, expression)
        try:
            names[name] = values[name] = eval(code, names)  # noqa: S307 - the user's own cell
        except NameError as error:
            missing = error.name or ""
            raise CellError(
                f"The value of {name!r} could not be computed: {error}.",
                hint=did_you_mean(missing, (key for key in names if not key.startswith("_"))),
            ) from error
        except Exception as error:
            raise CellError(
                f"The value of {name!r} could not be computed: {_told(error)}",
                hint=f"Line {expression.lineno} of the body raised it.",
            ) from error
    return values


def _compiled(name: str, expression: ast.expr) -> CodeType:
    """Compile what parsed; ``await`` and ``yield`` do, and are no expressions by themselves."""
    try:
        return compile(ast.Expression(expression), f"<input {name}>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CellError(
            f"The value of {name!r} could not be computed: {getattr(error, 'msg', error)}.",
            hint="Compute it in a cell above, and name it here.",
        ) from None


_OPEN, _CLOSE = "{{", "}}"
_VARIABLE_LIMIT = 4_000


def fill_variables(text: str, namespace: Mapping[str, Any]) -> str:
    """Put notebook variables in the place of ``{{name}}``; single braces are left alone.

    A string goes in as it is, a DataFrame as its columns, types and first rows, anything else as its repr,
    each bounded, with a note of what was cut.

    Raises
    ------
    CellError
        What stands between the braces is no bare name.
    UnknownName
        The notebook has no such variable.
    """
    parts: list[str] = []
    rest = text
    while True:
        before, opened, after = rest.partition(_OPEN)
        name, closed, remaining = after.partition(_CLOSE)
        if not (opened and closed):
            return "".join((*parts, rest))
        parts += [before, _shown(name.strip(), namespace)]
        rest = remaining


def _shown(name: str, namespace: Mapping[str, Any]) -> str:
    if not name.isidentifier():
        raise CellError(
            f"{{{{{name[:60]}}}}} is no bare variable name.",
            hint="Assign the value to a variable in a cell above, and name that.",
        )
    if name not in namespace:
        known = [key for key in namespace if not key.startswith("_")]
        hint = did_you_mean(name, known) or (
            "Run the cell that defines it first; or, where braces are meant, name a variable that holds them."
        )
        raise UnknownName(f"{{{{{name}}}}} names no variable of this notebook.", hint=hint)
    value = namespace[name]
    if isinstance(value, str):
        return _bounded(value, "characters of text")
    kind = type(value)
    if kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] in ("pandas", "polars"):
        return _bounded(_frame(value), "characters of a table")
    try:
        return _bounded(repr(value), "characters of a repr")
    except Exception as error:
        raise CellError(
            f"{{{{{name}}}}} is a {kind.__name__} that can't be written out: {_told(error)}",
            hint="Put what the model should read of it into a variable of its own.",
        ) from error


def _frame(frame: Any) -> str:
    columns = list(frame.columns)
    types = ", ".join(f"{column}: {kind}" for column, kind in zip(columns, frame.dtypes, strict=False))
    rows = frame.head(5)
    shown = rows.to_string(index=False) if hasattr(rows, "to_string") else str(rows)
    return f"A table of {len(frame)} rows. Columns: {types}. First rows:\n{shown}"


def _bounded(text: str, what: str) -> str:
    if len(text) <= _VARIABLE_LIMIT:
        return text
    return f"{text[:_VARIABLE_LIMIT]}… ({len(text) - _VARIABLE_LIMIT} more {what} were cut)"


def _told(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", _REASON_LIMIT)
