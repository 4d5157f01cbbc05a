"""What may come next in a cell's first line, in a ``%fact`` line, or in a body, without IPython."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fact_magics.notebook.arguments import Command, Option

# What front ends have a mark for.
Kind = Literal["function", "keyword", "param", "value", "path", "instance"]

_PATHS_LISTED = 200
_FIELD = re.compile(r"\s*(\w*)")
_GIVEN = re.compile(r"^\s*(\w+)\s*=(?!=)", re.MULTILINE)
_JSON_NAME = re.compile(r'[{,]\s*("\w*)$')
_JSON_GIVEN = re.compile(r'"(\w+)"\s*:')
_VARIABLE = re.compile(r"\{\{\s*(\w*)$")
_IMPORT = re.compile(r"\s*from\s+fact_magics\.tools\s+import\s+\(?(?P<names>[\w\s,]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Offers:
    """What may take the place of `fragment`, the end of the text before the cursor.

    Attributes
    ----------
    fragment : str
        May be empty.
    texts : tuple of str
        Each begins with the fragment; in the order in which to show them.
    kind : str
        What they are, in the words that front ends have a mark for.
    """

    fragment: str
    texts: tuple[str, ...]
    kind: Kind = "value"


class Known(Protocol):
    """The names that are there to be offered. Each may be empty where nothing answers in time."""

    def tools(self, prefix: str) -> Sequence[str]:
        """List the names of stored tools that begin so."""

    def versions(self, name: str) -> Sequence[str]:
        """List the versions of a tool, the highest first."""

    def fields(self, reference: str) -> Sequence[str]:
        """List the parameters of a tool, in order."""

    def tags(self) -> Sequence[str]:
        """List the words by which tools can be found."""

    def models(self) -> Sequence[str]:
        """List the models that a cell may name."""

    def runs(self) -> Sequence[str]:
        """List short ids of what ran last, the latest first."""

    def variables(self) -> Sequence[str]:
        """List the notebook's own names."""


# In a line


def in_line(command: Command, before: str, after: str, known: Known) -> Offers:
    """Offer words and options of a line.

    Parameters
    ----------
    command : Command
        What reads the line.
    before, after : str
        The line around the cursor, without the magic's name.
    """
    words, fragment = _words(before)
    names, given, pending = _read(words, command)
    if pending is None and fragment.startswith("-") and "=" in fragment:
        name, _, fragment = fragment.partition("=")
        pending = _options(command).get(name)
        if pending is None:
            return Offers(fragment, ())
    if pending is not None:
        return _values(_OPTION_VALUES.get(pending.name), _Place(fragment, names, known))
    if not fragment.startswith("-") and len(names) < len(command.positional):
        wanted = command.positional[len(names)]
        place = _Place(fragment, names, known)
        found = [_values(_WORDS.get(part), place) for part in re.findall(r"\w+", wanted)]
        texts = tuple(dict.fromkeys(text for offers in found for text in offers.texts))
        if texts or fragment or not wanted.endswith("?"):
            return Offers(fragment, texts, next((offers.kind for offers in found if offers.texts), "value"))
    given |= _read(after.split(), command)[1]
    free = [option.name for option in command.options if option.repeatable or option.name not in given]
    return Offers(fragment, tuple(name for name in (*free, "--help") if name.startswith(fragment)), "keyword")


def subcommands(commands: Mapping[str, Command], before: str, after: str, known: Known) -> Offers:
    """Offer the words of a ``%fact`` line: a subcommand, then what that one reads.

    Parameters
    ----------
    commands : mapping
        By name; that of the empty name reads a line without a subcommand.
    """
    words, fragment = _words(before)
    if not words:
        names = tuple(name for name in commands if name and name.startswith(fragment))
        if names and not fragment.startswith("-"):
            return Offers(fragment, names, "keyword")
    elif words[0] in commands:
        return in_line(commands[words[0]], before.lstrip()[len(words[0]) :], after, known)
    elif not words[0].startswith("-"):
        return Offers(fragment, ())
    return in_line(commands[""], before, after, known)


def _words(text: str) -> tuple[list[str], str]:
    """Split the text before the cursor into its whole words and the one that is being written."""
    words: list[str] = []
    word, quote = "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character.isspace():
            if word:
                words.append(word)
            word = ""
            continue
        word += character
    return words, word


def _options(command: Command) -> dict[str, Option]:
    return {option.name: option for option in command.options}


def _read(words: Iterable[str], command: Command) -> tuple[list[str], set[str], Option | None]:
    """Tell the plain words, the options that are given, and the one whose value comes next."""
    options = _options(command)
    names: list[str] = []
    given: set[str] = set()
    pending: Option | None = None
    for word in words:
        if pending is not None:
            pending = None
            continue
        name, equals, _ = word.partition("=")
        option = options.get(name)
        if option is not None:
            given.add(name)
            pending = option if option.value and not equals else None
        elif not word.startswith("-"):
            names.append(word)
    return names, given, pending


def _values(source: _Source | None, place: _Place) -> Offers:
    if source is None:
        return Offers(place.fragment, ())
    kind, texts = source(place)
    return Offers(place.fragment, tuple(text for text in texts if text.startswith(place.fragment)), kind)


class _Place(NamedTuple):
    """Where a word is being written: its beginning, the plain words before it, and what there is."""

    fragment: str
    names: Sequence[str]
    known: Known


def _tools(place: _Place) -> tuple[Kind, Iterable[str]]:
    name, at, _ = place.fragment.partition("@")
    if at:
        return "instance", [f"{name}@{version}" for version in place.known.versions(name)]
    return "function", place.known.tools(place.fragment)


def _versions(place: _Place) -> tuple[Kind, Iterable[str]]:
    return "instance", place.known.versions(place.names[0]) if place.names else ()


def _permissions(place: _Place) -> tuple[Kind, Iterable[str]]:
    kind, colon, target = place.fragment.partition(":")
    if colon and kind in ("read", "write"):
        return "path", [f"{kind}:{path}" for path in _paths_from(target)]
    return "value", ("net:", "read:", "write:", "env:")


def _paths(place: _Place) -> tuple[Kind, Iterable[str]]:
    return "path", _paths_from(place.fragment)


def _models(place: _Place) -> tuple[Kind, Iterable[str]]:
    return "value", place.known.models()


def _runs(place: _Place) -> tuple[Kind, Iterable[str]]:
    return "value", place.known.runs()


def _paths_from(written: str) -> list[str]:
    """List what begins as a path was begun, as it would be written; what needs quotes is left out."""
    folder, slash, begun = written.rpartition("/")
    try:
        entries = sorted(islice(Path(f"{folder}{slash}" or ".").expanduser().iterdir(), _PATHS_LISTED))
    except (OSError, RuntimeError):  # no such folder, or no such user after a ~
        return []
    found = []
    for entry in entries:
        plain = entry.name.startswith(begun) and re.fullmatch(r"[\w.+@%,:=-]+", entry.name)
        if plain and (begun or not entry.name.startswith(".")):
            found.append(f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}")
    return found


_Source: TypeAlias = "Callable[[_Place], tuple[Kind, Iterable[str]]]"
_OPTION_VALUES: dict[str, _Source] = {
    "--model": _models,
    "--escalate": _models,
    "--tag": lambda place: ("value", place.known.tags()),
    "--tool": _tools,
    "--status": lambda _: ("value", Status),
    "--session": lambda _: ("value", ("all",)),
    "--allow": _permissions,
    "--to": _paths,
}
# By what a command calls the words that it reads.
_WORDS: dict[str, _Source] = {
    "NAME": _tools,
    "V": _versions,
    "ID": _runs,
    "PATH": _paths,
    "FILE": _paths,
}


# In a body, and in a line of Python


def in_run_body(reference: str, above: str, line: str, below: str, known: Known) -> Offers | None:
    """Offer the fields of a run that are not given yet.

    Parameters
    ----------
    reference : str
        ``NAME`` or ``NAME@VERSION``.
    above, line, below : str
        The body's lines before the cursor's own, that line up to the cursor, and the lines after it.

    Returns
    -------
    Offers or None
        None in an expression, which is Python's.
    """
    if f"{above}\n{line}".lstrip().startswith("{"):
        begun = _JSON_NAME.search(line) or (_JSON_NAME.search(f"{above}\n{line}") if above else None)
        if begun is None:
            return None
        given = {*_JSON_GIVEN.findall(above), *_JSON_GIVEN.findall(line), *_JSON_GIVEN.findall(below)}
        names = [f'"{name}": ' for name in known.fields(reference) if name not in given]
        return Offers(begun[1], tuple(name for name in names if name.startswith(begun[1])), "param")
    begun = _FIELD.fullmatch(line)
    if begun is None or not _is_whole(above):
        return None
    given = {*_GIVEN.findall(above), *_GIVEN.findall(below)}
    names = [f"{name} = " for name in known.fields(reference) if name not in given]
    return Offers(begun[1], tuple(name for name in names if name.startswith(begun[1])), "param")


def _is_whole(above: str) -> bool:
    """Tell whether the statements before a line are finished, so that the line begins one."""
    import ast

    try:
        ast.parse(above)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def in_description(line: str, after: str, known: Known) -> Offers | None:
    """Offer the notebook's variables after ``{{``; `line` and `after` stand around the cursor."""
    begun = _VARIABLE.search(line)
    if begun is None:
        return None
    closing = "" if after.startswith("}}") else "}}"
    names = tuple(f"{name}{closing}" for name in known.variables() if name.startswith(begun[1]))
    return Offers(begun[1], names, "instance")


def in_import(line: str, known: Known) -> Offers | None:
    """Offer the stored tools after ``from fact_magics.tools import``."""
    begun = _IMPORT.fullmatch(line)
    if begun is None:
        return None
    *listed, fragment = (part.lstrip() for part in begun["names"].split(","))
    if not (fragment.isidentifier() or not fragment):
        return None
    given = {part.split(maxsplit=1)[0] for part in listed if part}
    return Offers(fragment, tuple(name for name in known.tools(fragment) if name not in given), "function")
