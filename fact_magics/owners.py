"""Find files and directories that other users of the machine own or can change."""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_ALL_RIGHTS = 0o777
_OTHERS_MAY_ENTER = stat.S_IXGRP | stat.S_IXOTH


class Exposure(NamedTuple):
    """The reason why a file or directory is not safe from other users.

    `reason` continues a sentence that begins with the path. `remedy` is a command that denies others the
    access; it is empty if only another user can run it. `otherwise` says what to do if neither that command
    nor another directory helps.
    """

    path: Path
    reason: str
    remedy: str = ""
    otherwise: str = ""

    def hint(self, setting: str = "FACT_HOME") -> str:
        """Say what to do next; `setting` can name another directory."""
        if not self.remedy:
            return f"Point {setting} at a directory of your own{self.otherwise}."
        comment = f" # {self.otherwise}: point {setting} elsewhere" if self.otherwise else ""
        return f"Run: {self.remedy}{comment}"  # the whole line can be copied into a shell


def exposure(*paths: Path) -> Exposure | None:
    """Return why the first unsafe path is unsafe; None if all paths are safe or don't exist.

    A safe path belongs to this user or to root, and no other user can write to it. The group may write if
    this user is its only member. A directory with the sticky bit, such as ``/tmp``, is safe too:
    users can change only their own files in it. Systems without POSIX owners have no unsafe paths.
    """
    if not hasattr(os, "geteuid"):
        return None
    return next(filter(None, map(_exposure, paths)), None)


def refuse_exposed(*paths: Path) -> None:
    """Raise `SettingsError` if a file or directory below ``FACT_HOME`` is unsafe, as in `exposure`."""
    if found := exposure(*paths):
        raise SettingsError(
            f"{found.path} {found.reason}, so it is not used.",
            hint=found.hint(),
        )


def _exposure(path: Path) -> Exposure | None:
    try:
        link, found = path.lstat(), path.stat()
    except (OSError, ValueError):
        return None
    for owner in (link.st_uid, found.st_uid):
        if owner not in (0, os.geteuid()):
            otherwise = "" if os.geteuid() else f", or run as user {owner}: docker run --user {owner}"
            return Exposure(path, f"belongs to another user ({_user(owner)})", otherwise=otherwise)
    if not _others_can_write(found, path):
        return None
    remedy = f"chmod go-w {shlex.quote(str(path))}" if found.st_uid == os.geteuid() else ""
    # Drives of Windows and some of networks show this mode for each file, whatever chmod does.
    is_any_mode = remedy and stat.S_IMODE(found.st_mode) == _ALL_RIGHTS
    otherwise = "if that changes nothing, the drive keeps no permissions" if is_any_mode else ""
    return Exposure(path, "can be changed by other users", remedy, otherwise)


def _others_can_write(found: os.stat_result, path: Path) -> bool:
    writers = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writers == stat.S_IWGRP and _is_private(found.st_gid):
        return False
    if not writers:
        return False
    if stat.S_ISDIR(found.st_mode):
        return not found.st_mode & stat.S_ISVTX
    return stat.S_ISREG(found.st_mode) and bool(path.resolve().parent.stat().st_mode & _OTHERS_MAY_ENTER)


def _is_private(group_id: int) -> bool:
    """Return whether a group has this user as its only member, by the system's lists of users and groups."""
    import grp
    import pwd

    try:
        user, members = pwd.getpwuid(os.geteuid()).pw_name, set(grp.getgrgid(group_id).gr_mem)
    except KeyError:
        return False
    everyone = {entry.pw_name: entry.pw_gid for entry in pwd.getpwall()}
    # A list without this user is not complete.
    members |= {name for name, primary in everyone.items() if primary == group_id}
    return user in everyone and members <= {user}


def _user(owner: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user id {owner}"
