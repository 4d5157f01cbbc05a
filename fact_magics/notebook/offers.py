"""What can come next at the cursor: in a line of these magics, in a body, and in an import of tools.

Nothing here imports IPython. Each function takes the text around the cursor.
"""

from __future__ import annotations

import ast
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from fact_magics.notebook.arguments import pairs, split_at_cursor
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import ModuleType

    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.notebook.arguments import Command
    from fact_magics.session import Session

# The kinds that front ends have an icon for.
Kind = Literal["function", "keyword", "param", "value", "path", "instance"]

# Whoever presses Tab is in the middle of a thought: what takes longer is not offered.
_PATIENCE_SECONDS = 0.2
_PATHS_LISTED = 200
_FIELD = re.compile(r"\s*(\w*)")
_GIVEN = re.compile(r"^\s*(\w+)\s*=(?!=)", re.MULTILINE)
_JSON_NAME = re.compile(r'[{,]\s*("\w*)$')
_JSON_GIVEN = re.compile(r'"(\w+)"\s*:')
_VARIABLE = re.compile(r"\{\{\s*(\w*)$")
_IMPORT = re.compile(r"\s*from\s+fact_magics\.tools\s+import\s+\(?(?P<names>[\w\s,]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Offers:
    """The texts that can replace `fragment`, the end of the text before the cursor.

    Attributes
    ----------
    fragment : str
        May be empty.
    texts : tuple of str
        Each begins with the fragment; in the order in which to show them.
    kind : str
        The kind of all of them, for the front end's icon.
    """

    fragment: str
    texts: tuple[str, ...]
    kind: Kind = "value"


def _offer(fragment: str, texts: Iterable[str], kind: Kind = "value") -> Offers:
    return Offers(fragment, tuple(text for text in texts if text.startswith(fragment)), kind)


class Known:
    """The names that can be offered. A method that fails, or takes over 0.2 seconds, gives none."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell: Any = shell
        self._session = session
        self._asking: threading.Thread | None = None

    def stored(self, read: Callable[[ModuleType, Path], Sequence[str]]) -> Sequence[str]:
        """List what `read` finds with `fact_magics.store.glance` in the database at this path."""
        return self._soon(lambda: read(_glance(), self._session.database_path))

    def tools(self, prefix: str) -> Sequence[str]:
        """List the names of stored tools that begin with `prefix`."""
        return self.stored(lambda glance, path: glance.names(path, prefix))

    def versions(self, name: str) -> Sequence[str]:
        """List the versions of a tool, the highest first."""
        return self.stored(lambda glance, path: glance.versions(path, name))

    def fields(self, reference: str) -> Sequence[str]:
        """List the parameters of a tool, in order."""

        def ask() -> Sequence[str]:
            from fact_magics.signature import read_signature

            name, _, version = reference.partition("@")
            core = self._session.opened
            pinned = core.pinned(reference) if core is not None else None
            if pinned is not None:
                signature = pinned.loaded.signature
            else:
                source = _glance().source(self._session.database_path, name, version or None)
                signature = read_signature(source, name)
            return [parameter.name for parameter in signature.parameters]

        return self._soon(ask)

    def models(self) -> Sequence[str]:
        """List the models of the settings, then those that were asked before."""

        def named() -> Sequence[str]:
            from fact_magics.providers.choose import known_models

            return known_models(self._session.settings())

        asked = self.stored(lambda glance, path: glance.models(path))
        return tuple(dict.fromkeys((*self._soon(named), *asked)))

    def variables(self) -> Sequence[str]:
        """List the notebook's own variables."""
        hidden = self._shell.user_ns_hidden
        return sorted(
            name
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and hidden.get(name, self) is not value
        )

    def _soon(self, work: Callable[[], Sequence[str]]) -> Sequence[str]:
        # On a thread of its own: the core's may be busy, and a drive that hangs then costs only this thread.
        if self._asking is not None and self._asking.is_alive():
            return ()
        answers: list[Sequence[str]] = []

        def run() -> None:
            self._session.wait_for_imports()
            with suppress(Exception):  # the next cell reports what is wrong
                answers.append(work())

        self._asking = threading.Thread(target=run, name="fact_magics completion", daemon=True)
        self._asking.start()
        self._asking.join(_PATIENCE_SECONDS)
        return answers[0] if answers else ()


def _glance() -> ModuleType:
    # Its imports take longer than Tab may, so they happen on the asking thread.
    from fact_magics.store import glance

    return glance


def in_line(command: Command, before: str, after: str, known: Known) -> Offers:
    """Offer the words, options and values of a command's line, without the command's name."""
    words, fragment = split_at_cursor(before)
    *read, (option, value) = pairs([*words, fragment], command)
    names = [word for option, word in read if option is None and word and not word.startswith("-")]
    if option is not None and value is not None:
        return _values(option.value, _Place(value, names, known))
    if not fragment.startswith("-") and len(names) < len(command.words):
        offers = _values(command.keys[len(names)], _Place(fragment, names, known))
        if offers.texts or fragment or not command.words[len(names)].endswith("?"):
            return offers
    given = {option.name for option, _ in (*read, *pairs(after.split(), command)) if option is not None}
    free = [option.name for option in command.options if option.repeatable or option.name not in given]
    return _offer(fragment, (*free, "--help"), "keyword")


def in_fact_line(commands: Mapping[str, Command], before: str, after: str, known: Known) -> Offers:
    """Offer a subcommand of ``%fact``, then what that one reads.

    Parameters
    ----------
    commands : mapping
        By name; the command of the empty name reads a line without a subcommand.
    """
    words, fragment = split_at_cursor(before)
    if not words and not fragment.startswith("-"):
        offers = _offer(fragment, filter(None, commands), "keyword")
        return offers if offers.texts else in_line(commands[""], before, after, known)
    word = words[0] if words else "-"
    if word in commands:
        return in_line(commands[word], before.lstrip()[len(word) :], after, known)
    return in_line(commands[""], before, after, known) if word.startswith("-") else Offers(fragment, ())


class _Place(NamedTuple):
    """The word being written, and the plain words before it."""

    fragment: str
    names: Sequence[str]
    known: Known


def _values(placeholder: str, place: _Place) -> Offers:
    sources = [_SOURCES[part] for part in placeholder.split("|") if part in _SOURCES]
    texts = dict.fromkeys(text for _, source in sources for text in source(place))
    return _offer(place.fragment, texts, sources[0][0] if sources else "value")


def _tools(place: _Place) -> Iterable[str]:
    name, at, _ = place.fragment.partition("@")
    if at:
        return (f"{name}@{version}" for version in place.known.versions(name))
    return place.known.tools(place.fragment)


def _permissions(place: _Place) -> Iterable[str]:
    kind, colon, target = place.fragment.partition(":")
    if colon and kind in ("read", "write"):
        return (f"{kind}:{path}" for path in _paths(target))
    return ("net:", "read:", "write:", "env:")


def _paths(written: str) -> list[str]:
    """List the paths that begin as `written`, without those that would need quotes."""
    folder, slash, begun = written.rpartition("/")
    try:
        entries = sorted(islice(Path(f"{folder}{slash}" or ".").expanduser().iterdir(), _PATHS_LISTED))
    except (OSError, RuntimeError):  # no such folder, or no such user after a ~
        return []
    return [
        f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(begun)
        and (begun or not entry.name.startswith("."))
        and re.fullmatch(r"[\w.+@%,:=-]+", entry.name)
    ]


# By the placeholders of words and options.
_Source: TypeAlias = "tuple[Kind, Callable[[_Place], Iterable[str]]]"
_SOURCES: dict[str, _Source] = {
    "NAME": ("function", _tools),
    "VERSION": ("instance", lambda place: place.known.versions(place.names[0]) if place.names else ()),
    "ID": ("value", lambda place: place.known.stored(lambda glance, path: glance.runs(path))),
    "TAG": ("value", lambda place: place.known.stored(lambda glance, path: glance.tags(path))),
    "MODEL": ("value", lambda place: place.known.models()),
    "STATUS": ("value", lambda _: Status),
    "SESSION": ("value", lambda _: ("all",)),
    "PERMISSION": ("value", _permissions),
    "PATH": ("path", lambda place: _paths(place.fragment)),
    "FILE": ("path", lambda place: _paths(place.fragment)),
}


def in_run_body(reference: str, above: str, line: str, below: str, known: Known) -> Offers | None:
    """Offer the fields of a run that its body does not give yet.

    Parameters
    ----------
    reference : str
        ``NAME`` or ``NAME@VERSION``.
    above, line, below : str
        The body's lines before the cursor's own, that line up to the cursor, and the lines after it.

    Returns
    -------
    Offers or None
        None inside an expression, which is left to Python's own completion.
    """
    if f"{above}\n{line}".lstrip().startswith("{"):
        begun = _JSON_NAME.search(line) or (_JSON_NAME.search(f"{above}\n{line}") if above else None)
        pattern, form = _JSON_GIVEN, '"{}": '
    else:
        begun = _FIELD.fullmatch(line) if _is_complete(above) else None
        pattern, form = _GIVEN, "{} = "
    if begun is None:
        return None
    given = {name for text in (above, line, below) for name in pattern.findall(text)}
    fields = (form.format(name) for name in known.fields(reference) if name not in given)
    return _offer(begun[1], fields, "param")


def _is_complete(above: str) -> bool:
    """Tell whether the statements above a line are finished, so that the line begins a new one."""
    try:
        ast.parse(above)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def in_description(before: str, after: str, known: Known) -> Offers | None:
    """Offer the notebook's variables after ``{{``."""
    begun = _VARIABLE.search(before)
    if begun is None:
        return None
    closing = "" if after.startswith("}}") else "}}"
    return _offer(begun[1], (f"{name}{closing}" for name in known.variables()), "instance")


def in_import(before: str, known: Known) -> Offers | None:
    """Offer the stored tools after ``from fact_magics.tools import``."""
    begun = _IMPORT.fullmatch(before)
    if begun is None:
        return None
    *listed, fragment = (part.lstrip() for part in begun["names"].split(","))
    if fragment and not fragment.isidentifier():
        return None
    given = {part.split(maxsplit=1)[0] for part in listed if part}
    return _offer(fragment, (name for name in known.tools(fragment) if name not in given), "function")
