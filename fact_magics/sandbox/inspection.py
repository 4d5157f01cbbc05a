"""A snapshot of a sandbox's processes and directories, which tests use to find leaks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fact_magics.sandbox.child.family import descendants


@dataclass(frozen=True, slots=True)
class ZygoteState:
    """One zygote: its process, whether a child waits in it, and whether it has no grants and no preloads."""

    pid: int
    prepared: bool
    bare: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """The zygotes and directories of a sandbox; it is empty for a sandbox without zygotes.

    The least recently used zygote comes first. The directory holds one directory for each zygote, with its
    scratch directories. `pending` zygotes are being started or ended; `retiring` counts earlier settings that
    running calls still use.
    """

    zygotes: tuple[ZygoteState, ...] = ()
    directory: Path | None = None
    pending: int = 0
    retiring: int = 0

    @property
    def at_rest(self) -> bool:
        """Tell whether no zygote is being started, prepared or ended."""
        return not self.pending and not self.retiring and all(one.prepared for one in self.zygotes)

    def processes(self) -> list[int]:
        """List the living zygotes of this sandbox, and their descendants."""
        places = {pid: Path(f"/proc/{pid}/cwd").resolve() for pid in descendants(os.getpid())}
        return [pid for pid, place in places.items() if self.directory in place.parents]
