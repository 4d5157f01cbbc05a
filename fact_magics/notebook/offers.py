"""The completions at the cursor: in a line of these magics, in a cell's body, and in an import of tools."""

from __future__ import annotations

import ast
import re
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from IPython.core.completer import SimpleCompletion

from fact_magics.notebook.arguments import CELLS, GENERATE, MAP, REFINE, RUN, pairs, split_at_cursor
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from IPython.core.completer import SimpleMatcherResult

    from fact_magics.notebook.options import Command
    from fact_magics.notebook.work import Host

# The kinds for which front ends have an icon.
_Kind = Literal["function", "keyword", "param", "value", "path", "instance"]

# Names that take longer to find are not offered, so that Tab never feels slow.
_PATIENCE_SECONDS = 0.2
_PATHS_LISTED = 200
_CELL = re.compile(r"\s*%%(fact_\w+)(?:\s|$)")
_LINE = re.compile(r"\s*(?:[\w\s,]+=\s*)?%fact\s")
_FIELD = re.compile(r"\s*(\w*)")
_GIVEN = re.compile(r"^\s*(\w+)\s*=(?!=)", re.MULTILINE)
_JSON_NAME = re.compile(r'[{,]\s*("\w*)$')
_JSON_GIVEN = re.compile(r'"(\w+)"\s*:')
_VARIABLE = re.compile(r"\{\{\s*(\w*)$")
_IMPORT = re.compile(r"\s*from\s+fact_magics\.tools\s+import\s+\(?(?P<names>[\w\s,]*)", re.ASCII)


def offers_at(lines: Sequence[str], number: int, before: str, known: Known) -> SimpleMatcherResult | None:
    """Complete the text `before` the cursor in `lines[number]`; None if the text is not for these magics."""
    after = lines[number][len(before) :]
    if line := _LINE.match(before):
        return _in_fact_line(before[line.end() :], after, known)
    if begun := _in_import(before, known):
        return begun
    head = next((at for at in range(number, -1, -1) if _CELL.match(lines[at])), None)
    cell = _CELL.match(lines[head]) if head is not None else None
    command = CELLS.get(cell[1]) if cell else None
    if head is None or cell is None or command is None:
        return None
    if head == number:
        is_after_name = cell.end() <= len(before)
        return _in_line(command, before[cell.end() :], after, known) if is_after_name else None
    if command in (GENERATE, REFINE):
        return _in_description(before, after, known)
    if command not in (RUN, MAP):
        return None
    words = lines[head][cell.end() :].split()
    reference = next((word for word in words if not word.startswith("-")), "")
    above, below = "\n".join(lines[head + 1 : number]), "\n".join(lines[number + 1 :])
    return _in_run_body(reference, above, before, below, known)


class Known:
    """Finds the names to offer. A method that fails or takes more than 0.2 seconds returns none."""

    def __init__(self, host: Host) -> None:
        self._session = host.session
        self.variables = host.own_names
        self._asking: threading.Thread | None = None

    def stored(self, read: Callable[[ModuleType, Path], Sequence[str]]) -> Sequence[str]:
        """Call `read` with the module `fact_magics.store.glance` and the path of the database."""
        # On a separate thread: the core's thread may be busy, and a drive that hangs blocks only this thread.
        if self._asking is not None and self._asking.is_alive():
            return ()
        answers: list[Sequence[str]] = []

        def run() -> None:
            self._session.wait_for_imports()
            with suppress(Exception):  # the next cell reports the error
                from fact_magics.store import glance  # on this thread, because the import is slow

                answers.append(read(glance, self._session.database_path))

        self._asking = threading.Thread(target=run, name="fact_magics completion", daemon=True)
        self._asking.start()
        self._asking.join(_PATIENCE_SECONDS)
        return answers[0] if answers else ()

    def tools(self, prefix: str) -> Sequence[str]:
        """List the names of stored tools that begin with `prefix`."""
        return self.stored(lambda glance, path: glance.names(path, prefix))

    def models(self) -> Sequence[str]:
        """List the models of the settings, then those in the history."""

        def configured(*_: object) -> Sequence[str]:
            from fact_magics.providers.choose import known_models

            return known_models(self._session.settings())

        used = self.stored(lambda glance, path: glance.models(path))
        return tuple(dict.fromkeys((*self.stored(configured), *used)))

    def fields(self, reference: str) -> Sequence[str]:
        """List the parameters of a tool, in order."""

        def read(glance: ModuleType, path: Path) -> Sequence[str]:
            from fact_magics.signature import read_signature

            name, _, version = reference.partition("@")
            core = self._session.opened
            pinned = core.pinned(reference) if core is not None else None
            if pinned is not None:
                signature = pinned.loaded.signature
            else:
                signature = read_signature(glance.source(path, name, version or None), name)
            return [parameter.name for parameter in signature.parameters]

        return self.stored(read)


def _offer(fragment: str, texts: Iterable[str], kind: _Kind = "value") -> SimpleMatcherResult:
    """Offer those texts that begin with `fragment`, the unfinished word before the cursor."""
    completions = [SimpleCompletion(text, type=kind) for text in texts if text.startswith(fragment)]
    if not completions:
        return {"completions": []}
    return {"completions": completions, "matched_fragment": fragment, "suppress": True, "ordered": True}


def _in_line(command: Command, before: str, after: str, known: Known) -> SimpleMatcherResult:
    """Offer the words, options and values of a command's line, without the command's name."""
    words, fragment = split_at_cursor(before)
    *read, (option, value) = pairs([*words, fragment], command)
    names = [word for known_option, word in read if not known_option and word and not word.startswith("-")]
    if option is not None and value is not None:
        return _values(option.value, _Place(value, names, known))
    if not fragment.startswith("-") and len(names) < len(command.words):
        offers = _values(command.keys[len(names)], _Place(fragment, names, known))
        if offers["completions"] or fragment or not command.words[len(names)].endswith("?"):
            return offers
    given = {option.name for option, _ in (*read, *pairs(after.split(), command)) if option is not None}
    free = [option.name for option in command.options if option.repeatable or option.name not in given]
    return _offer(fragment, (*free, "--help"), "keyword")


def _in_fact_line(before: str, after: str, known: Known) -> SimpleMatcherResult:
    """Offer the subcommands of ``%fact``, or after a subcommand its words and options."""
    from fact_magics.notebook.commands import COMMANDS

    words, fragment = split_at_cursor(before)
    if not words:
        offers = _offer(fragment, filter(None, COMMANDS), "keyword")
        return offers if offers["completions"] else _in_line(COMMANDS[""], before, after, known)
    name = "" if words[0].startswith("-") else words[0]
    if name not in COMMANDS:
        return _offer(fragment, ())
    return _in_line(COMMANDS[name], before.lstrip().removeprefix(name), after, known)


class _Place(NamedTuple):
    """The unfinished word, and the words before it that are not options."""

    fragment: str
    names: Sequence[str]
    known: Known


def _values(placeholder: str, place: _Place) -> SimpleMatcherResult:
    sources = [_SOURCES[part] for part in placeholder.split("|") if part in _SOURCES]
    texts = dict.fromkeys(text for _, source in sources for text in source(place))
    return _offer(place.fragment, texts, sources[0][0] if sources else "value")


def _tools(place: _Place) -> Iterable[str]:
    name, at, _ = place.fragment.partition("@")
    return (f"{name}@{version}" for version in _versions(place, name)) if at else place.known.tools(name)


def _versions(place: _Place, name: str) -> Sequence[str]:
    return place.known.stored(lambda glance, path: glance.versions(path, name))


def _permissions(place: _Place) -> Iterable[str]:
    kind, colon, target = place.fragment.partition(":")
    if colon and kind in ("read", "write"):
        return (f"{kind}:{path}" for path in _paths(target))
    return ("net:", "read:", "write:", "env:")


def _paths(written: str) -> list[str]:
    """List the paths that begin with `written` and need no quotes."""
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


# For each placeholder on a help page, such as NAME: the kind of its completions, and what lists them.
_Source: TypeAlias = "tuple[_Kind, Callable[[_Place], Iterable[str]]]"
_SOURCES: dict[str, _Source] = {
    "NAME": ("function", _tools),
    "VERSION": ("instance", lambda place: _versions(place, place.names[0])),
    "V": ("instance", lambda place: _versions(place, place.names[0])),
    "W": ("instance", lambda place: _versions(place, place.names[0])),
    "ID": ("value", lambda place: place.known.stored(lambda glance, path: glance.runs(path))),
    "TAG": ("value", lambda place: place.known.stored(lambda glance, path: glance.tags(path))),
    "MODEL": ("value", lambda place: place.known.models()),
    "STATUS": ("value", lambda _: Status),
    "SESSION": ("value", lambda _: ("all",)),
    "PERMISSION": ("value", _permissions),
    "PATH": ("path", lambda place: _paths(place.fragment)),
    "FILE": ("path", lambda place: _paths(place.fragment)),
}


def _in_run_body(
    reference: str, above: str, line: str, below: str, known: Known
) -> SimpleMatcherResult | None:
    """Offer the parameters that a run's body does not set yet; None inside an expression."""
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
    """Tell whether the text above a line is complete, so that the line begins a new statement."""
    try:
        ast.parse(above)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _in_description(before: str, after: str, known: Known) -> SimpleMatcherResult | None:
    """Offer the notebook's variables after ``{{``."""
    begun = _VARIABLE.search(before)
    if begun is None:
        return None
    closing = "" if after.startswith("}}") else "}}"
    names = sorted(name for name in known.variables() if not name.startswith("_"))
    return _offer(begun[1], (f"{name}{closing}" for name in names), "instance")


def _in_import(before: str, known: Known) -> SimpleMatcherResult | None:
    """Offer the stored tools after ``from fact_magics.tools import``."""
    begun = _IMPORT.fullmatch(before)
    if begun is None:
        return None
    *listed, fragment = (part.lstrip() for part in begun["names"].split(","))
    if fragment and not fragment.isidentifier():
        return None
    given = {part.split(maxsplit=1)[0] for part in listed if part}
    return _offer(fragment, (name for name in known.tools(fragment) if name not in given), "function")
