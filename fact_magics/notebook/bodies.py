"""The body of a cell: the input of a run, the variables in a description, and a ``;`` at the end."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from fact_magics.errors import CellError, UnknownName, did_you_mean
from fact_magics.text import normalised, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_REASON_LIMIT = 300
_OPTIONS = "Options belong in the first line of the cell."
_VARIABLE_LIMIT = 4_000
_ROWS = 5
_CELL_LIMIT = 200
_LINE_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})
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
    return {"table": _evaluate("the table", expression, names)}


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
    failed = f"{name!r} could not be computed"
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


class Piece(NamedTuple):
    """A part of a description: the user's own words, or the value of a variable."""

    text: str
    variable: str = ""  # the name of the variable; empty for the user's own words


def fill_variables(text: str, namespace: Mapping[str, Any]) -> tuple[Piece, ...]:
    """Replace each ``{{name}}`` by the notebook variable of that name. Single braces are not changed.

    The texts of the returned pieces, joined, are the filled text. Lone surrogates, which no request can
    carry, become visible escapes.

    A string is inserted unchanged, a DataFrame or Arrow table as its columns, types and first rows, and any
    other value as its repr. A text of more than 4000 characters is cut, and a note gives the number of
    characters that were cut, and a digest of the whole text. An unknown variable raises `UnknownName`; an
    invalid name, or a repr that fails, raises `CellError`.
    """
    pieces: list[Piece] = []
    while True:
        before, opened, after = text.partition("{{")
        written, closed, rest = after.partition("}}")
        if not (opened and closed):
            return (*pieces, Piece(_sendable(text)))
        name = normalised(written.strip())
        pieces += [Piece(_sendable(before)), Piece(_shown(name, namespace), name)]
        text = rest


def _shown(name: str, namespace: Mapping[str, Any]) -> str:
    if not name.isidentifier():
        raise CellError(
            f"{{{{{one_line(name, 60)}}}}} is not a variable name.",
            hint="Assign the value to a variable in a cell above, and write that variable's name.",
        )
    if name not in namespace:
        hint = did_you_mean(name, (key for key in namespace if not key.startswith("_"))) or (
            "Run the cell that defines it first. To write literal double braces, put them into a variable."
        )
        shown = one_line(name, 60)
        raise UnknownName(f"{{{{{shown}}}}}: this notebook has no variable {shown!r}.", hint=hint)
    value = namespace[name]
    if isinstance(value, str):
        return _bounded(value, "characters of text")
    kind = type(value)
    write = _frame_writer(kind)
    try:
        if write is not None:
            return _bounded(write(value), "characters of a table")
        return _bounded(repr(value), "characters of a repr")
    except Exception as error:
        raise CellError(
            f"{{{{{name}}}}}: the repr of this {kind.__name__} failed: {_described(error)}",
            hint="Put the text that the model should read into a variable, and write that variable's name.",
        ) from error


def _frame_writer(kind: type) -> Callable[[Any], str] | None:
    origins = ((str(base.__module__).partition(".")[0], base.__name__) for base in kind.__mro__)
    return next((_FRAME_WRITERS[origin] for origin in origins if origin in _FRAME_WRITERS), None)


def _pandas_frame(frame: Any) -> str:
    rows = frame.head(_ROWS).to_string(index=False)
    return _frame(len(frame), zip(frame.columns, frame.dtypes, strict=False), rows)


def _polars_frame(frame: Any) -> str:
    shown = frame.head(_ROWS)
    return _frame(frame.height, frame.schema.items(), _grid(shown.columns, shown.get_columns()))


def _arrow_table(table: Any) -> str:
    shown = table.slice(0, _ROWS)
    columns = zip(shown.column_names, shown.schema.types, strict=True)
    return _frame(table.num_rows, columns, _grid(shown.column_names, shown.columns))


_FRAME_WRITERS: dict[tuple[str, str], Callable[[Any], str]] = {
    ("pandas", "DataFrame"): _pandas_frame,
    ("polars", "DataFrame"): _polars_frame,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
}


def _frame(height: int, columns: Iterable[tuple[object, object]], rows: str) -> str:
    types = ", ".join(f"{name}: {kind}" for name, kind in columns)
    return f"A table of {height} rows. Columns: {types}. First rows:\n{rows}"


def _grid(names: Iterable[str], columns: Iterable[Any]) -> str:
    from fact_magics.values import ValueTypeError, normalise  # later than `%load_ext`, which must be fast

    padded = []
    for name, column in zip(names, columns, strict=True):
        try:
            cells = [_cell(item) for item in cast("list[object]", normalise(column))]
        except ValueTypeError:  # such as a date beyond Python's range
            cells = ["<unreadable>"] * len(column)
        width = max(map(len, (name, *cells)))
        padded.append([text.rjust(width) for text in (name, *cells)])
    return "\n".join(map(" ".join, zip(*padded, strict=True)))


def _cell(item: object) -> str:
    text = str(item).translate(_LINE_BREAKS)
    return text if len(text) <= _CELL_LIMIT else f"{text[:_CELL_LIMIT]}…"


def _bounded(text: str, unit: str) -> str:
    text = _sendable(text)
    if len(text) <= _VARIABLE_LIMIT:
        return text
    # This note is part of the request: if its words change, tools accepted for such requests are not found.
    # Because of the digest, the request also changes if only the part that was cut changes.
    digest = blake2b(text.encode(), digest_size=6).hexdigest()
    cut = f"{len(text) - _VARIABLE_LIMIT} more {unit} were cut; digest of all: {digest}"
    return f"{text[:_VARIABLE_LIMIT]}… ({cut})"


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


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
