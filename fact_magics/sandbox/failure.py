"""Explain a failed run in one line: what happened, and what to do next."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from fact_magics.errors import FactError
from fact_magics.permissions import covers, danger, read_permission
from fact_magics.permissions.grammar import ANY_PORT, Kind, Permission
from fact_magics.text import inert, one_line, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.permissions import Protected
    from fact_magics.sandbox.outcome import Outcome

_MESSAGE_LIMIT = 300
_NAME_LIMIT = 100
_TRACEBACK_LIMIT = 8_000
_USUAL_PORTS = ("80", "443")
_ACTS = {"net": "reach", "read": "read", "write": "write to", "env": "see the variable"}

_NOT_FOUND = re.compile(r"\[Errno 2\] No such file or directory: (?P<quote>['\"])(?P<path>.+)(?P=quote)")

_ANY_HOST = "A tool can look up only the hosts that it may reach."
# Actions that no permission allows, and what to do instead.
_IMPOSSIBLE = {
    "program": (
        "A tool can't start programs such as {target}. Do it in Python, or start the program in the notebook "
        "and pass its output to the tool."
    ),
    "listen": "A tool can't accept connections. Let it open the connection, or listen in the notebook.",
    "udp": "A tool can't use UDP. Use TCP.",
    "semaphore": "A tool can't use semaphores or memory that processes share. Use threads, not processes.",
}


class Denial(NamedTuple):
    """What a tool may not do, and how to allow it; `remedy` is empty if it can't or should not be allowed."""

    problem: str
    remedy: str = ""


def failure(
    name: str, outcome: Outcome, permissions: Iterable[str], protected: Protected
) -> tuple[str, tuple[str, ...]]:
    """Say in one line why a call of the tool `name` failed, and return the lines below it.

    These are the way to allow what was denied, and the traceback of the tool's own frames. `permissions` are
    those that were granted. The status of `outcome` must not be ``ok``.
    """
    if outcome.limit is not None:
        used = f" ({outcome.used} used)" if outcome.used else ""
        return f"{name} was stopped by a limit: {outcome.limit}{used}. {outcome.hint}".rstrip(), ()
    error = outcome.error
    if error is None:
        return f"{name} ended without a result.", ()
    said = one_line(error.message, _MESSAGE_LIMIT)
    if error.type_name == "ProcessBroke":
        return f"{name} broke its own process: {said}", ()
    if error.type_name == "ValueTypeError":
        return f"{name} returned a value that can't be passed on: {said}", ()
    raised = _shown_name(error.type_name)
    line = f"{name} raised {raised}: {said}" if said else f"{name} raised {raised}"
    frames = shorten(error.traceback.rstrip(), _TRACEBACK_LIMIT).splitlines()
    if said and frames and frames[-1] == f"{error.type_name}: {said}":
        frames.pop()  # the line above says the same
    denial = denial_of(error.denied, permissions, protected) or _missing(error.type_name, said)
    if denial is None:
        return line, tuple(frames)
    line = f"{line}{'' if line.endswith(('.', '!', '?', '…')) else '.'} {denial.problem}"
    return line, (*filter(None, [denial.remedy]), *frames)


def _shown_name(type_name: str) -> str:
    """Shorten the full name of an exception, but keep the module of names such as ``re.error``."""
    module, _, bare = type_name.rpartition(".")
    telling = type_name if module and bare.lower() == "error" else bare
    return one_line(telling, _NAME_LIMIT) or "an exception"


def _missing(type_name: str, message: str) -> Denial | None:
    """Say where a relative path starts, if a tool did not find a file by one."""
    found = _NOT_FOUND.fullmatch(message) if type_name == "FileNotFoundError" else None
    if found is None or found["path"].startswith("/"):
        return None
    return Denial(
        "A relative path in a tool starts in an empty directory of its own.",
        "To pass a file: annotate the parameter as Path, from pathlib",
    )


def denial_of(
    denied: tuple[str, str] | None, permissions: Iterable[str], protected: Protected
) -> Denial | None:
    """Name the permission that a tool probably lacked; None if no permission would help.

    For a dangerous permission, the answer says why it is dangerous, and not how to grant it. `denied` is a
    kind and a target, as the tool's process claims.
    """
    if denied is None:
        return None
    kind, target = denied
    if kind == "host":
        return Denial(_ANY_HOST, f"To allow one: --allow net:{one_line(target, _NAME_LIMIT)}")
    if kind in _IMPOSSIBLE:
        return Denial(_IMPOSSIBLE[kind].format(target=one_line(target, _NAME_LIMIT)))
    permission = _read(kind, target, protected.directory)
    if permission is None or _holds(permission, permissions):
        return None
    doubt = danger(permission, protected)
    if kind == "net" and doubt is None:
        permission = _without_usual_port(permission, protected)
    allow = f"--allow {shlex.quote(permission.text)}"
    if kind == "env" and permission.target not in os.environ:
        missing = f"The notebook has no variable {permission.target} either."
        return Denial(missing, f"Set it in os.environ, and allow it{'' if doubt else f': {allow}'}")
    what = f"The tool may not {_ACTS[kind]} {permission.target}."
    if doubt is not None:
        judged = "That can't be allowed" if doubt.never else "Allowing that is dangerous"
        return Denial(f"{what} {judged}: {doubt.reason}.")
    return Denial(what, f"To allow it: {allow}")


def _without_usual_port(permission: Permission, protected: Protected) -> Permission:
    host, port = permission.endpoint
    bare = Permission("net", host)
    return bare if port in _USUAL_PORTS and danger(bare, protected) is None else permission


def _read(kind: str, target: str, directory: Path) -> Permission | None:
    """Parse a claim as a permission; None if it is not valid or not canonical."""
    if kind not in get_args(Kind) or (kind in ("read", "write") and not Path(target).is_absolute()):
        return None
    try:
        permission = read_permission(f"{kind}:{target}", directory)
    except FactError:
        return None
    return permission if inert(permission.text) == permission.text else None


def _holds(permission: Permission, permissions: Iterable[str]) -> bool:
    """Tell whether a permission is granted already, so that the call failed for another reason."""
    if permission.kind in ("read", "write"):
        granted = [text for text in permissions if permission.kind == "read" or text.startswith("write:")]
        return covers(granted, Path(permission.target))
    if permission.kind == "env":
        return permission.text in permissions
    host, port = permission.endpoint
    wanted = {f"net:{host}", f"net:{host}:{port}"} if port != ANY_PORT else {f"net:{host}"}
    return not wanted.isdisjoint(permissions)
