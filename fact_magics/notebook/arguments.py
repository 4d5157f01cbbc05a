"""The grammar of the magics' lines; nothing here knows IPython."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError, did_you_mean
from fact_magics.notebook.silence import line_is_silenced
from fact_magics.tool import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


# What a database still counts.
_MOST = 1_000_000_000


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
        raise ValueError("must be a whole number of MB, at least 16 and at most 1048576")
    return int(value)


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    value = _number(text)
    if not value.is_integer() or value < 1:
        raise ValueError("must be a whole number of at least 1")
    if value > _MOST:
        raise ValueError(f"must be at most {_MOST:,}")
    return int(value)


def attempts(text: str) -> int:
    """Read how many candidates may be asked for: 1 to 10."""
    value = count(text)
    if value > 10:
        raise ValueError("must be a whole number from 1 to 10")
    return value


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
        raise CellError(
            f"{_magic(command)} does not read {extra!r}.",
            hint=f"Write: {command.usage}; a value with blanks in it goes between quotes.",
        )
    return dict(zip(names, words, strict=False))


def _magic(command: Command) -> str:
    """Give what the usage begins with: ``%%fact_run``, ``%fact show``."""
    return " ".join(takewhile(lambda word: word[0] == "%" or word[0].islower(), command.usage.split()))
