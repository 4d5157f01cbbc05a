"""What can go wrong, each as one clear line: what happened, to what, and what to do next."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fact_magics.text import inert, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

_SITES = 8
_LINE_LIMIT = 120


class FactError(Exception):
    """Base of every error that fact_magics raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what happened and to what.
    hint : str, optional
        What to do next. It joins the message on its line.
    details : sequence of str, optional
        Lines that belong under the message: one an invalid field, or a tool's own traceback.
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
        message = " ".join(self.message.split())
        if message.endswith(("..", "?.", "!.", "….")) and not message.endswith("..."):
            message = message[:-1]  # what was quoted at its end has a stop of its own
        if not self.hint:
            return message
        stop = "" if message.endswith((".", "!", "?", "…")) else "."
        return f"{message}{stop} {' '.join(self.hint.split())}"

    def __str__(self) -> str:
        return inert("\n".join((self.line, *self.details)))

    def _render_traceback_(self) -> list[str]:
        """Show the error itself where IPython would show a traceback of this package's frames."""
        name = type(self).__name__
        lines = [*map(inert, self.details), *call_sites(self.__traceback__)]
        return [f"{name}: {inert(self.line)}", *(f"  {line}" for line in lines)]


class CellError(FactError):
    """A cell's options, body or examples are not what the magic reads."""


class UnknownName(FactError):
    """A tool, version, session or notebook variable that is not there."""


class ToolImportError(UnknownName, ImportError):
    """``from fact_magics.tools import NAME`` of a tool that is not there."""


class BindingRefused(FactError):
    """The notebook already holds something else under the tool's name."""


class SignatureError(FactError):
    """A tool's source does not declare a signature that can be validated and described."""


class InvalidInput(FactError, ValueError):
    """A tool's input does not fit its signature; one detail line a field."""

    status = "invalid"


class InvalidResult(FactError):
    """What a tool returned does not fit its return annotation, or can't be represented."""


class ToolFailed(FactError):
    """A tool raised, or its process broke; the details are the tool's own frames."""


class ToolTimedOut(FactError):
    """A tool was stopped at its wall-clock limit."""

    status = "timeout"


class LimitReached(FactError):
    """A tool was stopped by a limit other than wall-clock time."""

    status = "limit"


class GenerationFailed(FactError):
    """No candidate was accepted: rejected, refused, truncated, or nothing on the shelf."""


class ProviderError(FactError):
    """A model could not be asked: no key, key refused, no network, overloaded, unknown model."""


class MissingExtra(FactError):
    """A feature whose optional dependency is not installed."""


class SettingsError(FactError):
    """A setting that can't be used, and where it came from."""


class StoreError(FactError):
    """The database can't be opened, read or written, or is from a newer version."""


class TransferRefused(FactError):
    """A tool can't go into a file, or not come out of it: foreign, changed, newer, unsigned, unproven."""


class IsolationError(FactError):
    """The system can't isolate a tool as the settings require."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a generation or a run; a `KeyboardInterrupt`, so that no loop swallows it.

    Parameters
    ----------
    message : str
        One sentence: what was stopped and what was kept.
    """

    status = "interrupted"

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {inert(self.message)}"]


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Name what is close to `name`, as a hint: ``Did you mean 'slugify'?``.

    Returns
    -------
    str
        A sentence, or an empty string where nothing is close.
    """
    close = get_close_matches(name, list(known), n=limit, cutoff=0.6)
    if not close:
        return ""
    quoted = [repr(match) for match in close]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return f"Did you mean {listed}?"


def call_sites(traceback: TracebackType | None) -> list[str]:
    """List the lines of the person's own code that led to a tool's call, the outermost first.

    Returns
    -------
    list of str
        The last few; empty where no tool was called as a function, or the cell is nothing but that call.
    """
    # Only a failure needs these, which loading the extension has no time for.
    import linecache
    import sysconfig
    from pathlib import Path
    from traceback import extract_tb

    tool_module = str(Path(__file__).with_name("core") / "handle.py")
    libraries = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
    frames = extract_tb(traceback)
    called = next((at for at, frame in enumerate(frames) if frame.filename == tool_module), 0)
    # Compiled code, and that which other magics execute, has no lines to show.
    own = [frame for frame in frames[:called] if frame.line and not frame.filename.startswith(libraries)]
    if len(own) == 1 and len(linecache.getlines(own[0].filename)) == 1:
        return []
    return [
        f"at line {frame.lineno}{'' if frame.name.startswith('<') else f' in {frame.name}'}: "
        f"{one_line(str(frame.line), _LINE_LIMIT)}"
        for frame in own[-_SITES:]
    ]
