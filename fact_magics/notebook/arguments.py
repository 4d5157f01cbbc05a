"""The options of the cell magics, and how the line of a magic is read."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError, did_you_mean
from fact_magics.names import identifier
from fact_magics.notebook.options import (
    Command,
    Option,
    body_below,
    dollars,
    label,
    one_name,
    one_of,
    seconds,
    whole_number,
)
from fact_magics.text import normalised, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


_LONGEST_VALUE = 4_096
_DAY = 86_400
_LONGEST_LIFETIME = 315_360_000  # ten years, as in `ToolInput`


@dataclass(frozen=True, slots=True)
class Arguments:
    """A parsed line: its words by name, its options by key. `silent` means that the line ends in ``;``.

    `line` is the text that was parsed, without that ``;``.
    """

    words: Mapping[str, str]
    options: Mapping[str, Any]
    help: bool = False
    silent: bool = False
    line: str = ""

    def get(self, key: str, default: Any = None) -> Any:
        """Return an option's value, or `default` if the line does not have the option."""
        return self.options.get(key, default)

    @property
    def run_request(self) -> dict[str, Any]:
        """The `ToolInput` fields that are set by the line's options."""
        return {
            "timeout_seconds": self.get("timeout", 30.0),
            "memory_mb": self.get("memory", 1024),
            "permissions": tuple(self.get("allow", ())),
            "yes_really": self.get("yes_really", False),
            "ttl_seconds": self.get("ttl"),
        }


EXAMPLE_TIMEOUT = Option(
    "--timeout", "Stop each example after this many seconds (30).", "SECONDS", seconds(_DAY)
)
TIMEOUT = Option("--timeout", "Stop the run after this many seconds (30).", "SECONDS", seconds(_DAY))
TTL = Option(
    "--ttl",
    "Cache the answer for this many seconds, even if the tool varies.",
    "SECONDS",
    seconds(_LONGEST_LIFETIME),
)
TOOL_TTL = replace(TTL, help="Cache the tool's answers for this many seconds, even if it varies.")
MEMORY = Option("--memory", "Memory limit in MB (1024).", "MB", whole_number(16, 1_048_576))
ALLOW = Option(
    "--allow",
    "Grant net:HOST[:PORT], read:PATH, write:PATH or env:NAME; repeatable.",
    "PERMISSION",
    repeatable=True,
)
YES_REALLY = Option("--yes-really", "Grant even a dangerous permission, such as a home directory or a key.")
REPLACE = Option(
    "--replace", "Replace another value of this name, or a proven version by one without examples."
)
_ASK = (
    Option("--model", "The model to ask: claude-…, PROVIDER/MODEL, or shelf.", "MODEL", label),
    Option("--attempts", "Ask at most this many times, 1 to 10 (3).", "N", whole_number(1, 10)),
    Option("--candidates", "Ask for this many candidates at once, 1 to 10 (1).", "N", whole_number(1, 10)),
    Option("--escalate", "Let this model write the last candidate.", "MODEL", label),
    ALLOW,
    YES_REALLY,
    EXAMPLE_TIMEOUT,
    TOOL_TTL,
    Option("--tag", "Add a word for %fact tools --search; repeatable.", "TAG", label, repeatable=True),
    Option("--budget", "Do not send a request that could exceed this total, in US dollars.", "USD", dollars),
    Option(
        "--max-tokens",
        "Limit each answer of the model to this many tokens (16000).",
        "N",
        whole_number(1, 1_000_000),
    ),
    Option("--fresh", "Ask again, even if this request already has an accepted tool."),
    Option("--no-samples", "Describe the variables in {{…}} by columns, types and sizes only, without rows."),
    REPLACE,
)

GENERATE = Command(
    "%%fact_generate",
    "Ask a model to write a tool from the description in the cell, and test it on the cell's >>> examples.",
    words=("NAME",),
    options=_ASK,
    examples=(
        "%%fact_generate slugify",
        "%%fact_generate slugify --model claude-sonnet-5-5 --attempts 5",
        "%%fact_generate slugify --candidates 3",
        "%%fact_generate stars --allow net:api.github.com:443",
    ),
    body="its description",
    excess=one_name,
)

REFINE = Command(
    "%%fact_refine",
    "Ask a model to change a tool as the cell says. Its examples must still hold, and those in the cell too.",
    words=("NAME",),
    options=_ASK,
    examples=("%%fact_refine slugify", "%%fact_refine slugify --model claude-opus-5-5"),
    body="what to change",
    excess=one_name,
)

EDIT = Command(
    "%%fact_edit",
    "Test the Python source in the cell on the tool's examples, and keep it as the tool's next version.",
    words=("NAME",),
    options=(EXAMPLE_TIMEOUT, REPLACE),
    examples=("%%fact_edit slugify", "%fact insert slugify  adds such a cell with the current source"),
    body="its source",
    excess=one_name,
)

RUN = Command(
    "%%fact_run",
    "Run a tool in isolation. The cell gives its input: name = expression lines, or one JSON object.",
    words=("NAME[@VERSION]",),
    options=(
        TIMEOUT,
        MEMORY,
        ALLOW,
        YES_REALLY,
        TTL,
        Option("--fresh", "Run even if the answer is cached, and replace the cached answer."),
        Option("--no-raise", "If the run fails, return a ToolOutput with success=False."),
        Option("--into", "Assign the result to this variable.", "VARIABLE", identifier),
        Option("--in-kernel", "Run without isolation, in the notebook's own process, on its live objects."),
    ),
    examples=(
        "%%fact_run slugify",
        "%%fact_run slugify@1 --timeout 5 --into slug",
        "%%fact_run summarize --allow read:data",
    ),
    body="its input",
    excess=body_below,
)

ISOLATE = Option(
    "--isolate",
    "row: run each row in a process of its own. auto: rows share processes if possible (auto).",
    "HOW",
    one_of("auto", "row"),
)
MAP = Command(
    "%%fact_map",
    "Run a tool on many rows. The cell gives the input: NAME = each(EXPRESSION) lines vary from row to row, "
    "NAME = EXPRESSION lines are the same for all rows. Or it is one expression that gives a table.",
    words=("NAME[@VERSION]",),
    options=(
        Option("--into", "Assign the MapResult to this variable.", "VARIABLE", identifier),
        ISOLATE,
        Option(
            "--on",
            "Run the rows on a Dask cluster: dask starts one here, tcp://HOST:PORT is the address of one.",
            "CLUSTER",
        ),
        Option("--stop-on-error", "Stop the map at the first row that fails."),
        Option("--timeout", "Stop a row after this many seconds (30).", "SECONDS", seconds(_DAY)),
        Option("--memory", "Memory limit of each row in MB (1024).", "MB", whole_number(16, 1_048_576)),
        ALLOW,
        YES_REALLY,
        TTL,
        Option("--fresh", "Run all rows, even if their answers are cached, and replace the cached answers."),
    ),
    examples=(
        "%%fact_map slugify --into slugs",
        "%%fact_map parse_price --stop-on-error --timeout 2",
    ),
    body="its rows",
    excess=body_below,
)

CELLS = {command.name.removeprefix("%%"): command for command in (GENERATE, REFINE, EDIT, RUN, MAP)}
"""The cell magics by their names."""


def line_is_silenced(line: str) -> bool:
    """Tell whether a magic's line ends in ``;``."""
    return line.rstrip().endswith(";")


def read_line(line: str, command: Command) -> Arguments:
    """Parse the line of a magic; a line that does not fit the command raises `CellError`."""
    text = line.strip().removesuffix(";")
    try:
        given = shlex.split(text)
    except ValueError:
        raise CellError(
            f"{command.name} can't read its line: a quote is not closed in {quoted(text)}.",
            hint="Close the quote, or remove it.",
        ) from None
    words: list[str] = []
    options: dict[str, Any] = {}
    for option, value in pairs(given, command):
        if option is not None:
            _keep(options, option, value)
        elif value in ("--help", "-h"):
            return Arguments({}, {}, help=True)
        elif value is not None and value.startswith("-") and value != "-":
            name = value.partition("=")[0]
            known = [option.name for option in command.options]
            hint = did_you_mean(name, known) or _where(name, command)
            raise CellError(f"{command.name} has no option {one_line(name, 60)}.", hint=hint)
        else:
            words.append(value or "")
    named = _named(words, options, command, text)
    return Arguments(named, options, silent=line_is_silenced(line), line=text)


def _where(name: str, command: Command) -> str:
    """Say which cell magic has an option, or where the options of this command are listed."""
    having = [other.name for other in CELLS.values() if name in (option.name for option in other.options)]
    if having and command.name.startswith("%%"):
        return f"It is an option of {', '.join(having)}."
    return f"{command.name} --help lists its options."


def pairs(given: Iterable[str], command: Command) -> Iterator[tuple[Option | None, str | None]]:
    """Yield each known option with its value or None, and each other word with None as its option."""
    known = {option.name: option for option in command.options}
    rest = iter(given)
    for word in rest:
        name, equals, value = word.partition("=")
        option = known.get(name)
        if option is None:
            yield None, word
        elif equals:
            yield option, value
        else:
            yield option, next(rest, None) if option.value else None


def split_at_cursor(before: str) -> tuple[list[str], str]:
    """Split the text before the cursor into its complete words and the raw text of the unfinished word."""
    for blank in reversed(list(re.finditer(r"\s+", before))):
        try:
            return shlex.split(before[: blank.end()]), before[blank.end() :]
        except ValueError:  # this blank is inside quotes
            continue
    return [], before


def _keep(options: dict[str, Any], option: Option, text: str | None) -> None:
    if not option.value:
        if text is not None:
            raise CellError(f"{option.name} takes no value.", hint=f"Write {option.name} alone.")
        value: Any = True
    elif not (text and text.strip()):
        raise CellError(f"{option.name} needs a value.", hint=f"Write {option.name} {option.value}.")
    elif len(text) > _LONGEST_VALUE:
        raise CellError(
            f"{option.name} has a value of {len(text):,} characters; at most {_LONGEST_VALUE:,} are allowed.",
            hint=f"Write {option.name} {option.value}.",
        )
    else:
        try:
            value = option.read(text)
        except ValueError as error:
            problem = f"{option.name}: {quoted(text)} {error}"
            raise CellError(problem if problem.endswith(("?", ".")) else f"{problem}.") from None
    if option.repeatable:
        options.setdefault(option.key, []).append(value)
    elif option.key in options:
        raise CellError(f"{option.name} is given twice.", hint="Give it once.")
    else:
        options[option.key] = value


def _named(words: Sequence[str], options: Mapping[str, Any], command: Command, line: str) -> dict[str, str]:
    keys = command.keys
    required = sum(not word.endswith("?") for word in command.words)
    if len(words) < required:
        raise CellError(f"{command.name} needs {keys[len(words)]}.", hint=f"Write: {command.usage}")
    if len(words) > len(keys):
        extra = " ".join(words[len(keys) :])
        quotes = " Put quotes around a value that has spaces." if options else ""
        hint = command.excess(words, bool(options), line) or f"Write: {command.usage} [options].{quotes}"
        raise CellError(f"{command.name} does not take {quoted(extra)}.", hint=hint)
    named = dict(zip(keys, words, strict=False))
    if "NAME" in named:
        named["NAME"] = normalised(named["NAME"])
    return named
