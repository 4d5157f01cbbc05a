"""Which journal a database may use on the drive where it is."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.text import inert, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

# Processes on several machines share no memory, so that SQLite's WAL would damage a file on these drives.
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"}
    | {f"fuse.{name}" for name in ("sshfs", "glusterfs", "ceph", "rclone", "s3fs", "gcsfuse", "smbnetfs")}
    | {"davfs", "fuse.davfs2", "fuse"}
)
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_SHOWN = 200


def network_drive(path: Path) -> str:
    """Name the kind of network drive that holds a file, such as ``nfs4``; empty for a local disk."""
    holder, kind = 0, ""
    with suppress(OSError, ValueError, IndexError):
        real = path.resolve()
        for line in _MOUNTS.read_text().splitlines():  # only Linux has the file
            before, _, after = line.partition(" - ")
            place = Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), before.split()[4]))
            # A later mount on the same place hides an earlier one.
            if real.is_relative_to(place) and len(place.parts) >= holder:
                holder, kind = len(place.parts), after.split()[0]
    return kind if kind in _NETWORK else ""


def journal(path: Path, tell: Callable[[str], None]) -> str:
    """Choose SQLite's journal for a database, and tell the user about a network drive."""
    drive = network_drive(path)
    if not drive:
        return "WAL"
    tell(
        f"The database {shorten(str(path), _SHOWN)} is on a network drive ({inert(drive)}), where it is "
        "slow, and several machines must not use it at once. Point FACT_HOME at a local directory."
    )
    return "DELETE"
