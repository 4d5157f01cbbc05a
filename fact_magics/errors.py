"""The errors of fact_magics: each is one line that says what happened, to what, and what to do next."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fact_magics.text import inert, odd_character, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

_SITES = 8
# If a word in an error has more than _LONGEST_WORD characters, only the first _WORD_SHOWN are shown.
_LONGEST_WORD = 1_000
_WORD_SHOWN = 60
_LINE_LIMIT = 120


class FactError(Exception):
    """Base of every error that fact_magics raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what happened and to what.
    hint : str, optional
        What to do next; it follows the message on the same line.
    details : sequence of str, optional
        Lines below the message: one for each invalid field, or the traceback of a tool.
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
        message = _folded(self.message)
        if message.endswith(("..", "?.", "!.", "….")) and not message.endswith("..."):
            message = message[:-1]  # the quotation at the end already has a full stop
        if not self.hint:
            return message
        stop = "" if message.endswith((".", "!", "?", "…")) else "."
        return f"{message}{stop} {_folded(self.hint)}"

    def __str__(self) -> str:
        return inert("\n".join((self.line, *self.details)))

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback."""
        name = type(self).__name__
        lines = [*map(inert, self.details), *call_sites(self.__traceback__)]
        return [f"{name}: {inert(self.line)}", *(f"  {line}" for line in lines)]


def _folded(text: str) -> str:
    """Write text on one line, and cut words that nobody can read, such as a name of 70,000 letters."""
    words = (word if len(word) <= _LONGEST_WORD else f"{word[:_WORD_SHOWN]}…" for word in text.split())
    return " ".join(words)


class CellError(FactError):
    """The options, body or examples of a cell can't be read."""


class UnknownName(FactError):
    """A tool, version, session, run or notebook variable does not exist, or its id is ambiguous."""


class ToolImportError(UnknownName, ImportError):
    """``from fact_magics.tools import NAME`` names a tool that does not exist."""


class BindingRefused(FactError):
    """The notebook already uses the tool's name for something else."""


class SignatureError(FactError):
    """A tool's source does not declare a signature that can be validated and described."""


class InvalidInput(FactError, ValueError):
    """A tool's input does not fit its signature; each invalid field has a line in the details."""

    status = "invalid"


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


class ProviderError(FactError):
    """A model could not answer: it is unknown or busy, the key is refused, or the network fails."""


class MissingExtra(FactError):
    """A feature needs an optional dependency that is not installed."""


class SettingsError(FactError):
    """A setting can't be used; the message names its source."""


class StoreError(FactError):
    """The database can't be opened, read or written, or comes from a newer version."""


class StoreLocked(StoreError):
    """Another program has locked the database for longer than the work could wait."""


class TransferRefused(FactError):
    """A tool can't be exported to a file, or a file can't be imported."""


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
    close = get_close_matches(name, others, n=limit, cutoff=0.6)
    if not close:
        return ""
    quoted = [repr(match) for match in close]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return f"Did you mean {listed}?"


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
