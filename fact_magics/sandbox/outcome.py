"""What a sandbox is asked to run, and what it reports back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.errors import CellError

if TYPE_CHECKING:
    from fact_magics.tool import Status

_LONGEST_SECONDS = 86_400
_MOST_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one tool.

    Attributes
    ----------
    source : str
        The tool's whole source; it is executed inside the sandbox only.
    function : str
        The function in it to call.
    arguments : bytes
        Wire form of ``{"args": [...], "kwargs": {...}}``; see `fact_magics.values`.
    timeout_seconds : float
        Wall-clock limit, of a day at most.
    memory_mb : int
        Limit of the address space, in MiB, above what the interpreter uses; a TiB at most.
    permissions : tuple of str
        Sorted grants, such as ``net:api.github.com``.
    imports : tuple of str
        Top-level packages that the tool imports: they choose the zygote that preloaded them.
    verified : bool
        The source ships with fact_magics, so that it may also run where files and network can't be enforced.

    Raises
    ------
    CellError
        A limit is none.
    """

    source: str
    function: str
    arguments: bytes
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    permissions: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    verified: bool = False

    def __post_init__(self) -> None:
        seconds, memory = self.timeout_seconds, self.memory_mb
        if not (isinstance(seconds, int | float) and 0 < seconds <= _LONGEST_SECONDS):
            raise CellError(
                f"A timeout of {seconds!r:.40} seconds is none.",
                hint=f"Give a number up to {_LONGEST_SECONDS}.",
            )
        if not (isinstance(memory, int) and 0 < memory <= _MOST_MB):
            raise CellError(
                f"A memory limit of {memory!r:.40} MB is none.", hint=f"Give a whole number up to {_MOST_MB}."
            )


@dataclass(frozen=True, slots=True)
class ToolError:
    """The exception a tool raised, as its process told it.

    Attributes
    ----------
    type_name : str
        Qualified name of its class; builtins are bare: ``ValueError``, ``json.decoder.JSONDecodeError``.
    message : str
        ``str()`` of the exception, bounded.
    traceback : str
        The tool's own frames, as text.
    mro : tuple of str
        Qualified names of its class and of what it derives from.
    denied : (str, str) or None
        What the tool lacked, as its process told it: a kind of permission (``net``, ``read``, ``write``,
        ``env``), ``host`` for one that is not named, or of what none allows (``program``, ``listen``,
        ``udp``, ``semaphore``), and its target. It has the form of such a claim, and no more is known.
    """

    type_name: str
    message: str
    traceback: str
    mro: tuple[str, ...]
    denied: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. All of it is the tool's claim: bounded, but to be validated.

    Attributes
    ----------
    status : Status
        ``ok``, ``error``, ``timeout``, ``limit`` or ``interrupted``.
    result : bytes or None
        Wire form of what the tool returned, where it returned.
    error : ToolError or None
        What it raised, where it raised.
    printed : str
        What it printed, bounded.
    duration_ms : float
        From the call's start to its end.
    limit : str or None
        Which limit stopped it, with its value: ``memory 1024 MB``.
    isolation : tuple of str
        The layers that were in force.
    used : str
        What it used of a limit that stopped it, where that is known: ``70 MB``.
    hint : str
        One sentence on how to raise that limit.
    """

    status: Status
    result: bytes | None
    error: ToolError | None
    printed: str
    duration_ms: float
    limit: str | None
    isolation: tuple[str, ...]
    used: str = ""
    hint: str = ""
