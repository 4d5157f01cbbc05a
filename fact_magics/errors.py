"""The errors of fact_magics: each is one line that says what happened, to what, and what to do next."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from fact_magics.text import distance, inert, odd_character, one_line, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

_SITES = 8
# If a word in an error has more than _LONGEST_WORD characters, only the first _WORD_SHOWN are shown.
_LONGEST_WORD = 1_000
_WORD_SHOWN = 60
_LINE_LIMIT = 120
# Jupyter breaks longer lines in the middle of a word.
_COLUMNS = 100
# The most lines of an error that says why a tool was not accepted.
_LINES = 4
_NARROWEST = 40
# A name with more typing errors is another name.
_MOST_ERRORS = 3
_SHORTEST_BEGINNING = 3
_CLOSE = 0.8


class FactError(Exception):
    """Base of every error that fact_magics raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what happened and to what.
    hint : str, optional
        What to do next; it follows the message on the same line, or is the last line (see `hint_is_last`).
    details : sequence of str, optional
        Lines below the message: more invalid fields, or the traceback of a tool.
    """

    status = "error"

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        self.message = message
        self.hint = hint
        self.details = tuple(details)
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The message and the hint on one line."""
        message = _sentence(self.message)
        if not self.hint:
            return message
        stop = "" if message.endswith((".", "!", "?", "…")) else "."
        return f"{message}{stop} {_folded(self.hint)}"

    @property
    def hint_is_last(self) -> bool:
        """Whether the hint is a line of its own, below the details."""
        return False

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines, with what is wrong first."""
        if not self.hint_is_last:
            return (self.line, *self.details)
        return (_sentence(self.message), *self.details, *filter(None, [_folded(self.hint)]))

    def __str__(self) -> str:
        return inert("\n".join(self.lines))

    def _rows(self) -> tuple[str, ...]:
        return self.lines

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback.

        An error of one line stays one line. The lines of a longer error are broken between words, but not if
        they contain a path or an option, which must be easy to copy.
        """
        first, *others = map(inert, self._rows())
        others += call_sites(self.__traceback__)
        first = f"{type(self).__name__}: {first}"
        if not others:
            return [first]
        columns = max(_NARROWEST, min(_COLUMNS, shutil.get_terminal_size((_COLUMNS, 0)).columns))
        shown = []
        for line, indent in ((first, "  "), *((f"  {other}", "    ") for other in others)):
            can_break = "/" not in line and "--" not in line
            shown += wrapped(line, columns, indent=indent) if can_break else [line]
        return shown


def _folded(text: str) -> str:
    """Write text on one line, and cut words that nobody can read, such as a name of 70,000 letters."""
    words = (word if len(word) <= _LONGEST_WORD else f"{word[:_WORD_SHOWN]}…" for word in text.split())
    return " ".join(words)


def _sentence(message: str) -> str:
    folded = _folded(message)
    if folded.endswith(("..", "?.", "!.", "….")) and not folded.endswith("..."):
        return folded[:-1]  # the quotation at the end already has a full stop
    return folded


class CellError(FactError):
    """The options, body or examples of a cell can't be read."""


class UnknownName(FactError):
    """A tool, version, session, run or notebook variable does not exist, or its id is ambiguous."""


class ToolImportError(UnknownName, ImportError):
    """``from fact_magics.tools import NAME`` names a tool that does not exist."""


class BindingRefused(FactError):
    """The tool's name holds something that would be lost: another value, or a proven version."""


class SignatureError(FactError):
    """A tool's source does not declare a signature that can be validated and described."""


class InvalidInput(FactError, ValueError):
    """A tool's input does not fit its signature.

    The message and the details are a line for each invalid field. The hint is the signature.
    """

    status = "invalid"

    @property
    def hint_is_last(self) -> bool:
        """Always, because a signature may be long."""
        return True

    @property
    def line(self) -> str:
        """The line of the first invalid field."""
        return _sentence(self.message)


class InvalidResult(FactError):
    """A tool's result does not fit its return annotation, or can't be stored."""


class ToolFailed(FactError):
    """A tool raised, or its process ended; the details are the traceback of the tool's own frames."""


class ToolTimedOut(FactError):
    """A tool was stopped at its wall-clock limit."""

    status = "timeout"


class LimitReached(FactError):
    """A tool was stopped by a limit other than wall-clock time."""

    status = "limit"


class GenerationFailed(FactError):
    """No candidate was accepted, the model declined, or the shelf has no suitable tool."""

    @property
    def hint_is_last(self) -> bool:
        """True if there are one or two details: message, details and hint are then at most four lines."""
        return 0 < len(self.details) <= _LINES - 2

    def _rows(self) -> tuple[str, ...]:
        # Without details too, the notebook shows the hint on a line of its own: such errors are long.
        return self.lines if self.details or not self.hint else (_sentence(self.message), _folded(self.hint))


class ProviderError(FactError):
    """A model could not answer: it is unknown or busy, the key is refused, or the network fails.

    Attributes
    ----------
    requests : int
        How many requests failed before the error was raised.
    """

    requests = 1

    may_have_cost = False
    """Whether the request reached a model, so that it may have to be paid."""


class BudgetReached(FactError):
    """A request to a model could cost more than its budget allows, so it was not sent."""


class MissingExtra(FactError):
    """A feature needs an optional dependency that is not installed."""


class SettingsError(FactError):
    """A setting can't be used; the message names its source."""


class StoreError(FactError):
    """The database can't be opened, read or written, or comes from a newer version."""


class StoreLocked(StoreError):
    """Another program has locked the database for longer than the work could wait."""


class StoreUnwritable(StoreError):
    """The disk of the database is full, or the database is read-only."""


class TransferRefused(FactError):
    """A tool can't be exported to a file, or a file can't be imported."""


class RecordingError(FactError):
    """A recording of model answers can't be read or written."""


class IsolationError(FactError):
    """The system can't isolate a tool as the settings require."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a generation or a run. No ``except Exception`` catches this.

    The message is a sentence that says what was stopped and what was kept.
    """

    status = "interrupted"

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {inert(self.message)}"]


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Suggest similar names: ``Did you mean 'slugify'?``, or an empty text if there are none.

    If a known name looks the same as `name`, the suggestion says which character differs.
    """
    if len(name) > _LONGEST_WORD:
        return ""
    others = [other for other in known if other != name]
    for other in others:
        if odd := odd_character(name, other):
            return f"Did you mean {other!r}? Your name looks the same, but contains {odd}."
        if odd := odd_character(other, name):
            return f"Did you mean {other!r}? It looks the same, but contains {odd}."
    return suggestion(similar(name, others), limit=limit)


def suggestion(names: Iterable[str], *, limit: int = 3) -> str:
    """Suggest the first names: ``Did you mean 'slugify' or 'slug'?``; an empty text if there are none."""
    quoted = [repr(name) for name in names][:limit]
    if not quoted:
        return ""
    return f"Did you mean {' or '.join(filter(None, (', '.join(quoted[:-1]), quoted[-1])))}?"


def similar(name: str, known: Iterable[str]) -> list[str]:
    """List the known names that `name` was probably meant to be, the most similar first.

    These are names that differ by case, dashes or the order of their words, that begin with `name`, or that
    differ by few typing errors: one in up to five characters, two in up to eight, three in more. More errors
    are allowed if four fifths of the characters are the same.
    """
    wanted = _plain(name)
    found: list[tuple[int, str]] = []
    for other in dict.fromkeys(known):
        plain = _plain(other)
        if plain == wanted or sorted(plain.split("_")) == sorted(wanted.split("_")):
            found.append((0, other))
            continue
        longest = max(len(wanted), len(plain))
        # A letter too many or too few counts even in a name of two letters.
        allowed = max(min(_MOST_ERRORS, longest // 3), int(len(wanted) != len(plain) and longest > 1))
        errors = distance(wanted, plain, allowed)
        is_beginning = len(wanted) >= _SHORTEST_BEGINNING and plain.startswith(wanted)
        if errors > allowed and (is_beginning or _ratio(wanted, plain) >= _CLOSE):
            errors = allowed
        if errors <= allowed:
            found.append((errors, other))
    found.sort(key=lambda match: (match[0], match[1].islower() != name.islower()))
    return [other for errors, other in found if errors <= found[0][0] + 1]


def _ratio(one: str, other: str) -> float:
    from difflib import SequenceMatcher  # imported here because only errors need it

    return SequenceMatcher(None, one, other).ratio()


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_").strip("_ ")


def call_sites(traceback: TracebackType | None) -> list[str]:
    """List the lines of the user's code that led to the call of a tool, the innermost last.

    Returns
    -------
    list of str
        At most eight lines. Empty if no tool was called as a function, or if that call is the whole cell.
    """
    # Imported here because only failures need these modules, and loading the extension must be fast.
    import linecache
    import sysconfig
    from pathlib import Path
    from traceback import extract_tb

    tool_module = str(Path(__file__).with_name("core") / "handle.py")
    libraries = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
    frames = extract_tb(traceback)
    called = next((at for at, frame in enumerate(frames) if frame.filename == tool_module), 0)
    # Compiled code, and code that other magics execute, has no lines to show.
    own = [frame for frame in frames[:called] if frame.line and not frame.filename.startswith(libraries)]
    if len(own) == 1 and len(linecache.getlines(own[0].filename)) == 1:
        return []
    return [
        f"at line {frame.lineno}{'' if frame.name.startswith('<') else f' in {frame.name}'}: "
        f"{one_line(str(frame.line), _LINE_LIMIT)}"
        for frame in own[-_SITES:]
    ]
