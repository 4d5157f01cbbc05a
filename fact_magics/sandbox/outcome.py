"""The call that a sandbox runs, and the outcome that it reports."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import CellError

if TYPE_CHECKING:
    from fact_magics.tool import Status
    from fact_magics.values import Wire

_LONGEST_SECONDS = 86_400
_MOST_MB = 1 << 20


class Surroundings(NamedTuple):
    """What a tool sees besides its input. Runs use the defaults; proofs also try other values.

    Attributes
    ----------
    hash_seed : int
        Decides in which order Python iterates over a set of strings.
    time_zone, locale : str
        The values of ``TZ``, ``LANG`` and ``LC_ALL``.
    ahead_seconds : int
        How far the clock is ahead; without sandlock it is never ahead.
    sorts_listings : bool
        Whether the files of a directory are listed in the order of their names; needs sandlock too.
    """

    hash_seed: int = 0
    time_zone: str = "UTC"
    locale: str = "C.UTF-8"
    ahead_seconds: int = 0
    sorts_listings: bool = False


USUAL = Surroundings()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one tool.

    Attributes
    ----------
    source : str
        The tool's whole source, which is executed only inside the sandbox.
    function : str
        The name of the function to call.
    arguments : bytes, bytearray or memoryview
        Wire form of ``{"args": [...], "kwargs": {...}}``; see `fact_magics.values`.
    timeout_seconds : float
        Wall-clock limit, at most a day.
    memory_mb : int
        Limit of the address space in MiB above what the interpreter uses, at most a TiB.
    permissions : tuple of str
        Sorted permissions, such as ``net:api.github.com``.
    imports : tuple of str
        Top-level packages that the tool imports; a zygote that preloaded them is chosen.
    verified : bool
        Whether the source ships with fact_magics. Such a source may run where the system can't isolate files
        and network.
    tables : bool
        Whether tables, Series and arrays in the result stay what they are; otherwise they become records.

    Raises
    ------
    CellError
        A limit is out of range.
    """

    source: str
    function: str
    arguments: Wire
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    permissions: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    verified: bool = False
    surroundings: Surroundings = USUAL
    tables: bool = False

    def __post_init__(self) -> None:
        seconds, memory = self.timeout_seconds, self.memory_mb
        if not (isinstance(seconds, int | float) and 0 < seconds <= _LONGEST_SECONDS):
            raise CellError(
                f"timeout_seconds must be above 0 and at most {_LONGEST_SECONDS}; got {seconds!r:.40}."
            )
        if not (isinstance(memory, int) and 0 < memory <= _MOST_MB):
            raise CellError(f"memory_mb must be a whole number from 1 to {_MOST_MB}; got {memory!r:.40}.")

    @property
    def batch(self) -> dict[str, object]:
        """The fields that only a request for many rows has; see `fact_magics.sandbox.batch`."""
        return {}

    @property
    def cpu_seconds(self) -> int:
        """Limit of processor time: the wall time rounded up, plus one second."""
        return ceil(self.timeout_seconds) + 1

    @property
    def memory_bytes(self) -> int:
        """Limit of memory in bytes, above what the interpreter uses."""
        return self.memory_mb << 20


@dataclass(frozen=True, slots=True)
class ToolError:
    """The exception that a tool raised, as its process claims.

    Attributes
    ----------
    type_name : str
        Qualified name of its class; builtins are bare: ``ValueError``, ``json.decoder.JSONDecodeError``.
    message : str
        ``str()`` of the exception, bounded.
    traceback : str
        The tool's own frames, as text.
    mro : tuple of str
        Qualified names of its class and its base classes.
    denied : (str, str) or None
        What was denied: a kind and a target. The kind is that of a permission (``net``, ``read``, ``write``,
        ``env``), ``host`` for an unknown host, or ``program``, ``listen``, ``udp`` or ``semaphore``, which no
        permission allows.
    """

    type_name: str
    message: str
    traceback: str
    mro: tuple[str, ...]
    denied: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. A tool can forge its result, error and text: only their sizes are limited.

    Attributes
    ----------
    status : Status
        ``ok``, ``error``, ``timeout``, ``limit`` or ``interrupted``.
    result : bytes, bytearray, memoryview or None
        Wire form of the value that the tool returned.
    error : ToolError or None
        The exception that it raised.
    printed : str
        The text that it printed, bounded.
    duration_ms : float
        From the call's start to its end.
    limit : str or None
        The limit that stopped it, with its value: ``memory 1024 MB``.
    isolation : tuple of str
        The layers that were in force.
    used : str
        How much of that limit it used, if known: ``70 MB``.
    hint : str
        How to raise that limit, in one sentence.
    """

    status: Status
    result: Wire | None
    error: ToolError | None
    printed: str
    duration_ms: float
    limit: str | None
    isolation: tuple[str, ...]
    used: str = ""
    hint: str = ""
