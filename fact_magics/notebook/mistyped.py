"""Find lines that were meant for these magics but are written wrongly, and say how to write them.

IPython only prints a warning for an unknown magic, and goes on.
"""

from __future__ import annotations

import ast
import re
import shutil
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.errors import CellError, similar
from fact_magics.notebook.arguments import CELLS
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

_PROGRAM = re.compile(r"fact(_\w+)?")
_WORDS = "|".join(name.removeprefix("fact_") for name in CELLS)
_BARE = re.compile(rf"(fact_(?:{_WORDS}))(?:[ \t]+([^=\s(.\[,:].*))?")
_OURS = re.compile(rf"facts?|fact[-_\s].*|fact(?:{_WORDS})")
_CALLED = re.compile(r"get_ipython\(\)\.(?:run_line_magic|run_cell_magic|system|getoutput)\(")
_SHOWN = 60
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def refuse_mistyped(
    lines: list[str], refuse: str, magics: Callable[[str], Container[str]], variables: Container[str]
) -> list[str]:
    """Replace calls of unknown magics whose names resemble ours by calls that raise the error of `refusal`.

    Parameters
    ----------
    lines : list of str
        The lines of a cell, after IPython turned its magics into calls.
    refuse : str
        The beginning of the call: the name of a function that takes the arguments of `refusal`.
    magics : callable
        Returns the names of the registered magics of a kind, ``line`` or ``cell``.
    variables : container of str
        The names of the notebook's variables.
    """
    if not any("fact" in line.lower() for line in lines):
        return lines
    first = next(
        (at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), 0
    )
    bare = _BARE.fullmatch(lines[first].strip())
    if bare and bare[1] not in variables:
        return [f"{refuse}{bare[1]!r}, {bare[2] or ''!r})\n"]
    text = "".join(lines)
    if not _CALLED.search(text):
        return lines
    try:
        return _with_refusals(text, refuse, magics)
    except _UNREADABLE:
        # Below a magic with one percent sign too few may be text, which is not Python.
        with suppress(*_UNREADABLE):
            refused = _with_refusals(lines[first], refuse, magics)
            return refused if refused != [lines[first]] else lines
        return lines


def _with_refusals(text: str, refuse: str, magics: Callable[[str], Container[str]]) -> list[str]:
    # Only calls count: the same text in a string may be the content of a file, or another cell.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cell itself gives its warnings later
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    source = text.encode()
    starts = [0, *(found.end() for found in re.finditer(rb"\r\n?|\n", source))]
    # The last call comes first, so that the positions of the calls before it stay true.
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset), reverse=True):
        written = _mistyped(call, magics)
        begin = starts[call.lineno - 1] + call.col_offset
        # Python 3.11 gives wrong positions for calls inside f-strings.
        if written and source.startswith(b"get_ipython()", begin):
            kept = call.args[0 if written == "!" else 1]
            end = starts[kept.lineno - 1] + kept.col_offset
            source = source[:begin] + f"{refuse}{written!r}, ".encode() + source[end:]
    return source.decode().splitlines(keepends=True)


def _mistyped(call: ast.Call, magics: Callable[[str], Container[str]]) -> str:
    """Return what the user wrote for a call that IPython made of it; empty if it is not refused."""
    match call:
        case ast.Call(
            func=ast.Attribute(
                ast.Call(ast.Name("get_ipython")), "run_line_magic" | "run_cell_magic" as method
            ),
            args=[ast.Constant(str(name)), rest, *_],
        ):
            kind = "cell" if method == "run_cell_magic" else "line"
            line = rest.value if isinstance(rest, ast.Constant) else ""
            meant = name.strip("%") or str(line).strip().partition(" ")[0]
            if name not in magics(kind) and _OURS.fullmatch(meant.lower()):
                return ("%%" if kind == "cell" else "%") + name
        case ast.Call(
            func=ast.Attribute(ast.Call(ast.Name("get_ipython")), "system" | "getoutput"),
            args=[ast.Constant(str(line))],
        ):
            program = line.partition(" ")[0]
            if _PROGRAM.fullmatch(program) and not shutil.which(program):
                return "!"
    return ""


def refusal(written: str, line: str, body: str, subcommands: Sequence[str]) -> CellError:
    """Build the error for a magic that does not exist.

    Parameters
    ----------
    written : str
        The magic with its percent signs, as the user wrote it; ``!`` for a program.
    subcommands : sequence of str
        The names of the subcommands of ``%fact``.
    """
    name = written.strip("%")
    if re.search(r"\s", name):  # IPython ends a magic's name only at a space
        return CellError(
            f"There is no magic {one_line(written, _SHOWN)}.",
            hint=f"Write a space, not a tab, after {written.split()[0]}.",
        )
    rest = f" {one_line(line, _SHOWN)}" if line.strip() else ""
    if written == "!":
        return CellError(
            f"{line.split()[0]} is not a program but a magic.",
            hint=f"Write {_percent(line)}{rest.strip()}",
        )
    if name in CELLS and written.startswith("%%"):
        return CellError(
            f"%%{name} must be the first line of its cell.",
            hint="Move it and what follows to another cell.",
        )
    if name in CELLS:
        return CellError(
            f"{written} needs two percent signs.",
            hint=f"Write %%{name}{rest or ' NAME'}, and {CELLS[name].body} in the lines below.",
        )
    if name == "fact":
        words = rest or f" {one_line(body, _SHOWN)}"
        return CellError("%fact has one percent sign, and no cell.", hint=f"Write %fact{words}".rstrip())
    if not name:  # a blank follows the percent signs
        name = line.split()[0]
        written += f" {name}"
    hint = _similar(name, subcommands)
    return CellError(f"There is no magic {one_line(written, _SHOWN)}.", hint=hint)


def _percent(line: str) -> str:
    return "%%" if line.split()[0] in CELLS else "%"


def _similar(name: str, subcommands: Sequence[str]) -> str:
    # The common beginning is left out, because it would make all names similar.
    word = re.sub(r"^fact[-_ ]?", "", name.lower())
    known = {cell.removeprefix("fact_"): f"%%{cell}" for cell in CELLS}
    known |= {subcommand: f"%fact {subcommand}" for subcommand in subcommands if subcommand not in known}
    if word in known:
        return f"Did you mean {known[word]!r}?"
    if word in ("", "s"):
        return "Did you mean '%fact'?"
    if close := similar(word, known):
        return f"Did you mean {known[close[0]]!r}?"
    return f"The cell magics are {', '.join(f'%%{cell}' for cell in CELLS)}."
