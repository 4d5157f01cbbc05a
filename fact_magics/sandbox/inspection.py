"""What a sandbox holds at one moment, for tests and for whoever looks for leaks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.sandbox.child.family import descendants

if TYPE_CHECKING:
    from fact_magics.sandbox.policy import Grants


@dataclass(frozen=True, slots=True)
class ZygoteState:
    """One zygote.

    Attributes
    ----------
    pid : int
        Its process id; 0 before its process was started.
    prepared : bool
        Whether a child waits in it, so that a call would start at once.
    grants : Grants
        What its calls may reach.
    preload : tuple of str
        The modules that it imported ahead, beside those that every zygote imports.
    """

    pid: int
    prepared: bool
    grants: Grants
    preload: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The zygotes and directories of a sandbox. All of it is empty without zygotes.

    Attributes
    ----------
    zygotes : tuple of ZygoteState
        Least recently used first.
    directory : Path or None
        The directory that holds the zygotes' directories, and in these the scratch directories.
    pending : int
        Zygotes that are being started or ended.
    retiring : int
        Earlier settings under which calls still run.
    """

    zygotes: tuple[ZygoteState, ...] = ()
    directory: Path | None = None
    pending: int = 0
    retiring: int = 0

    def processes(self) -> list[int]:
        """List the zygotes in `directory`, and what descends from them, that are alive now."""
        return [
            pid
            for pid in descendants(os.getpid())
            if self.directory in Path(f"/proc/{pid}/cwd").resolve().parents
        ]

    @property
    def at_rest(self) -> bool:
        """Whether nothing is being started, prepared or ended."""
        return not self.pending and not self.retiring and all(one.prepared for one in self.zygotes)
