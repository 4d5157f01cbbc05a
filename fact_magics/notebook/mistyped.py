"""Find lines that were meant for these magics but are written wrongly, and say how to write them.

IPython only prints a warning for an unknown magic, and goes on.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from fact_magics.errors import CellError, similar
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

# What IPython makes of a magic, and of a program after a `!`, up to the rest of the line.
_MAGIC = re.compile(r"get_ipython\(\)\.run_(line|cell)_magic\('(%*[^'%]*)', (?=(?:'([^']*))?)")
_PROGRAM = re.compile(r"get_ipython\(\)\.(?:system|getoutput)\((?='(fact(?:_\w+)?)(?: |'))")
_BARE = re.compile(r"(fact_(?:generate|refine|edit|run))(?:[ \t]+([^=\s(.\[,:].*))?")
_OURS = re.compile(r"facts?|fact[-_ ].*|fact(?:generate|refine|edit|run)")
_SHOWN = 60
_BELOW = {
    "fact_generate": "its description",
    "fact_refine": "what to change",
    "fact_edit": "its source",
    "fact_run": "its input",
}


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

    def replaced(match: re.Match[str]) -> str:
        kind, name, rest = match.groups()
        meant = name.strip("%") or (rest or "").strip().partition(" ")[0]
        if name in magics(kind) or not _OURS.fullmatch(meant.lower()):
            return match[0]
        return f"{refuse}{('%%' if kind == 'cell' else '%') + name!r}, "

    def replaced_program(match: re.Match[str]) -> str:
        return match[0] if shutil.which(match[1]) else f"{refuse}'!', "

    if not any("fact" in line.lower() for line in lines):
        return lines
    first = next(
        (at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), 0
    )
    bare = _BARE.fullmatch(lines[first].strip())
    if bare and bare[1] not in variables:
        return [f"{refuse}{bare[1]!r}, {bare[2] or ''!r})\n"]
    return [_PROGRAM.sub(replaced_program, _MAGIC.sub(replaced, line)) for line in lines]


def refusal(
    written: str, line: str, body: str, cells: Sequence[str], subcommands: Sequence[str]
) -> CellError:
    """Build the error for a magic that does not exist.

    Parameters
    ----------
    written : str
        The magic with its percent signs, as the user wrote it; ``!`` for a program.
    cells, subcommands : sequence of str
        The names of the cell magics, and of the subcommands of ``%fact``.
    """
    name = written.strip("%")
    rest = f" {one_line(line, _SHOWN)}" if line.strip() else ""
    if written == "!":
        return CellError(
            f"{line.split()[0]} is not a program but a magic.",
            hint=f"Write {_percent(line, cells)}{rest.strip()}",
        )
    if name in cells and written.startswith("%%"):
        return CellError(
            f"%%{name} must be the first line of its cell.",
            hint="Move it and what follows to another cell.",
        )
    if name in cells:
        return CellError(
            f"{written} needs two percent signs.",
            hint=f"Write %%{name}{rest or ' NAME'}, and {_BELOW[name]} in the lines below.",
        )
    if name == "fact":
        words = rest or f" {one_line(body, _SHOWN)}"
        return CellError("%fact has one percent sign, and no cell.", hint=f"Write %fact{words}".rstrip())
    if not name:  # a blank follows the percent signs
        name = line.split()[0]
        written += f" {name}"
    hint = _similar(name, cells, subcommands)
    return CellError(f"There is no magic {one_line(written, _SHOWN)}.", hint=hint)


def _percent(line: str, cells: Sequence[str]) -> str:
    return "%%" if line.split()[0] in cells else "%"


def _similar(name: str, cells: Sequence[str], subcommands: Sequence[str]) -> str:
    # The common beginning is left out, because it would make all names similar.
    word = re.sub(r"^fact[-_ ]?", "", name.lower())
    known = {cell.removeprefix("fact_"): f"%%{cell}" for cell in cells}
    known |= {subcommand: f"%fact {subcommand}" for subcommand in subcommands if subcommand not in known}
    if word in known:
        return f"Did you mean {known[word]!r}?"
    if word in ("", "s"):
        return "Did you mean '%fact'?"
    if close := similar(word, known):
        return f"Did you mean {known[close[0]]!r}?"
    return f"The cell magics are {', '.join(f'%%{cell}' for cell in cells)}."
