"""The grammars of the cells' first lines and of a run's body; nothing here knows IPython."""

from __future__ import annotations

import ast
import json
import keyword
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError, UnknownName, did_you_mean
from fact_magics.silence import line_is_silenced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a magic.

    Attributes
    ----------
    name : str
        With its dashes: ``--timeout``.
    help : str
        One line for ``--help``.
    value : str
        What its value is called in the help; empty for a switch.
    read : callable
        Turns the value's text into what the magic uses; raises ValueError with the reason.
    repeatable : bool
        Whether it may be given more than once.
    """

    name: str
    help: str
    value: str = ""
    read: Callable[[str], Any] = str
    repeatable: bool = False

    @property
    def key(self) -> str:
        """The option's name as a Python identifier."""
        return self.name.lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Command:
    """What a magic, or a subcommand of one, reads from its line.

    Attributes
    ----------
    usage : str
        The line that the help begins with.
    summary : str
        One sentence.
    positional : tuple of str
        Names of the words that must be given, in order; a trailing ``?`` makes one optional.
    options : tuple of Option
        What may follow, in any order.
    examples : tuple of str
        Lines that can be copied into a cell.
    """

    usage: str
    summary: str
    positional: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()

    def help_text(self) -> str:
        """Write the page that ``--help`` shows."""
        rows = [(f"{option.name} {option.value}".strip(), option.help) for option in self.options]
        rows.append(("--help", "Show this page."))
        width = max(len(name) for name, _ in rows)
        lines = [self.usage, "", self.summary, "", "Options"]
        lines += [f"  {name.ljust(width)}  {text}" for name, text in rows]
        if self.examples:
            lines += ["", "Examples", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Arguments:
    """A line that was read: its words by name, its options by key; and whether a ``;`` asks for silence."""

    words: Mapping[str, str]
    options: Mapping[str, Any]
    help: bool = False
    silent: bool = False

    def get(self, key: str, default: Any = None) -> Any:
        """Give an option's value, or `default` where it was not given."""
        return self.options.get(key, default)


def seconds(text: str) -> float:
    """Read a positive number of seconds."""
    value = _number(text)
    if not 0 < value <= 86_400:
        raise ValueError("must be more than 0 and at most 86400 seconds")
    return value


def megabytes(text: str) -> int:
    """Read a memory limit in MiB."""
    value = _number(text)
    if not value.is_integer() or not 16 <= value <= 1_048_576:
        raise ValueError("must be a whole number of MB, at least 16")
    return int(value)


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    value = _number(text)
    if not value.is_integer() or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return int(value)


def attempts(text: str) -> int:
    """Read how many candidates may be asked for: 1 to 10."""
    value = count(text)
    if value > 10:
        raise ValueError("must be a whole number from 1 to 10")
    return value


def identifier(text: str) -> str:
    """Read a Python name that is free to be bound."""
    if not text.isidentifier():
        raise ValueError("is no Python identifier")
    if keyword.iskeyword(text) or keyword.issoftkeyword(text):
        raise ValueError("is a Python keyword")
    return text


ALLOW = Option(
    "--allow",
    "Let the tool reach net:HOST[:PORT], read:PATH, write:PATH or env:NAME; repeatable.",
    "PERMISSION",
    repeatable=True,
)
YES_REALLY = Option("--yes-really", "Allow even what is dangerous, such as a home directory or a key.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


GENERATE = Command(
    usage="%%fact_generate NAME [options]",
    summary="Have a tool written from the cell's plain description and proven on its >>> examples.",
    positional=("NAME",),
    options=(
        Option("--model", "The model to ask: claude-…, provider/model, or shelf.", "M"),
        Option("--attempts", "How many candidates may be asked for (3).", "N", attempts),
        ALLOW,
        YES_REALLY,
        Option("--timeout", "Wall-clock limit of each example (30).", "S", seconds),
        Option("--tag", "A word to find the tool by; repeatable.", "T", repeatable=True),
        Option("--fresh", "Ask again, even if this request has an accepted tool."),
        Option("--replace", "Bind the name even if the notebook holds something else under it."),
    ),
    examples=(
        "%%fact_generate slugify",
        "%%fact_generate slugify --model claude-sonnet-5-5 --attempts 5",
        "%%fact_generate stars --allow net:api.github.com:443",
    ),
)

EDIT = Command(
    usage="%%fact_edit NAME [options]",
    summary="Take the cell's Python source as a tool's next version, proven on the contract that it has.",
    positional=("NAME",),
    options=(
        Option("--timeout", "Wall-clock limit of each example (30).", "S", seconds),
        Option("--replace", "Bind the name even if the notebook holds something else under it."),
    ),
    examples=("%%fact_edit slugify", "%fact insert slugify  puts such a cell below, with the source in it"),
)

RUN = Command(
    usage="%%fact_run NAME[@VERSION] [options]",
    summary="Run a tool, isolated, on the cell's name = expression lines or its one JSON object.",
    positional=("NAME",),
    options=(
        Option("--timeout", "Wall-clock limit (30).", "S", seconds),
        Option("--memory", "Memory limit in MB (1024).", "MB", megabytes),
        ALLOW,
        YES_REALLY,
        Option("--fresh", "Run even if the answer is cached, and replace it."),
        Option("--no-raise", "Give a ToolOutput with success=False instead of failing the cell."),
        Option("--into", "Bind the result's value to this name.", "VAR", identifier),
        Option("--in-kernel", "Run unisolated in the notebook's own process, on its live objects."),
    ),
    examples=(
        "%%fact_run slugify",
        "%%fact_run slugify@1 --timeout 5 --into slug",
        "%%fact_run summarize --allow read:data",
    ),
)


def read_line(line: str, command: Command) -> Arguments:
    """Read a magic's line.

    Raises
    ------
    CellError
        An unknown, repeated or unfinished option, a word too few or too many, a quote left open.
    """
    given = _split(line, command)
    known = {option.name: option for option in command.options}
    names: list[str] = []
    options: dict[str, Any] = {}
    position = 0
    while position < len(given):
        word = given[position]
        position += 1
        if word in ("--help", "-h"):
            return Arguments({}, {}, help=True)
        if not word.startswith("-") or word == "-":
            names.append(word)
            continue
        name, equals, text = word.partition("=")
        option = known.get(name)
        if option is None:
            hint = did_you_mean(name, known) or f"It takes: {', '.join(known) or 'no options'}."
            raise CellError(f"{_magic(command)} has no option {name}.", hint=hint)
        if option.value and not equals:
            if position == len(given):
                raise CellError(f"{name} needs a value.", hint=f"Write {name} {option.value}.")
            text = given[position]
            position += 1
        elif not option.value and equals:
            raise CellError(f"{name} takes no value.", hint=f"Write {name} alone.")
        _keep(options, option, text)
    return Arguments(_named(names, command), options, silent=line_is_silenced(line))


def _split(line: str, command: Command) -> list[str]:
    text = line.strip().removesuffix(";")
    try:
        return shlex.split(text)
    except ValueError:
        raise CellError(
            f"{_magic(command)} could not read its line: a quote is left open in {text!r}.",
            hint="Close it, or remove it.",
        ) from None


def _keep(options: dict[str, Any], option: Option, text: str) -> None:
    if option.key in options and not option.repeatable:
        raise CellError(f"{option.name} is given twice.", hint="Give it once.")
    if not option.value:
        options[option.key] = True
        return
    try:
        value = option.read(text)
    except ValueError as error:
        problem = str(error)
        raise CellError(
            f"{option.name} {text!r} {problem}{'' if problem.endswith(('.', '?')) else '.'}"
        ) from None
    if option.repeatable:
        options.setdefault(option.key, []).append(value)
    else:
        options[option.key] = value


def _named(words: Sequence[str], command: Command) -> dict[str, str]:
    names = [name.rstrip("?") for name in command.positional]
    required = sum(not name.endswith("?") for name in command.positional)
    if len(words) < required:
        raise CellError(f"{_magic(command)} needs {names[len(words)]}.", hint=f"Write: {command.usage}")
    if len(words) > len(names):
        extra = " ".join(words[len(names) :])
        raise CellError(f"{_magic(command)} does not read {extra!r}.", hint=f"Write: {command.usage}")
    return dict(zip(names, words, strict=False))


def _magic(command: Command) -> str:
    return command.usage.split(" [")[0].split(" NAME")[0]


def tool_name(text: str) -> str:
    """Check the name of a tool to be written.

    Raises
    ------
    CellError
        It is no identifier, a keyword or private.
    """
    try:
        identifier(text)
    except ValueError as error:
        raise CellError(
            f"{text!r} {error}.", hint="Name the tool as you would a function: slugify, parse_date."
        ) from None
    if text.startswith("_"):
        raise CellError(
            f"{text!r} begins with an underscore, which notebooks keep for themselves.", hint="Drop it."
        )
    return text


def split_reference(text: str) -> tuple[str, str | None]:
    """Split ``NAME@VERSION`` into its name and its version (None where there is none).

    Raises
    ------
    CellError
        The name is no identifier or the version is not ``1``, ``1.2`` or ``1.2.3``.
    """
    name, at, version = text.partition("@")
    if not name.isidentifier():
        raise CellError(f"{name!r} is no tool's name.", hint="Write NAME or NAME@VERSION.")
    parts = version.split(".")
    if at and not (len(parts) <= 3 and all(part.isascii() and part.isdigit() for part in parts)):
        raise CellError(f"{version!r} is no version.", hint=f"Write {name}@1, {name}@1.2 or {name}@1.2.3.")
    return name, version or None


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
    lines = body.splitlines()
    read: list[tuple[str, ast.expr]] = []
    for statement in tree.body:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            shown = lines[statement.lineno - 1].strip()
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
        try:
            code = compile(ast.Expression(expression), f"<input {name}>", "eval")
            names[name] = values[name] = eval(code, names)  # noqa: S307 - the user's own cell
        except NameError as error:
            missing = error.name or ""
            raise CellError(
                f"The value of {name!r} could not be computed: {error}.",
                hint=did_you_mean(missing, (key for key in names if not key.startswith("_"))),
            ) from error
        except Exception as error:
            raise CellError(
                f"The value of {name!r} could not be computed: {type(error).__name__}: {error}",
                hint=f"Line {expression.lineno} of the body raised it.",
            ) from error
    return values


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
        hint = did_you_mean(name, known) or "Run the cell that defines it first."
        raise UnknownName(f"{{{{{name}}}}} names no variable of this notebook.", hint=hint)
    value = namespace[name]
    if isinstance(value, str):
        return _bounded(value, "characters of text")
    kind = type(value)
    if kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] in ("pandas", "polars"):
        return _bounded(_frame(value), "characters of a table")
    return _bounded(repr(value), "characters of a repr")


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
