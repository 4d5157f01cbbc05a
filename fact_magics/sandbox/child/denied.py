"""Find the permission that a failed call lacked, from its error and from its last actions.

This runs in the tool's own process, so the parent treats the result as an unproven claim. Sandlock 0.9.0 and
Landlock report a denial by these errors: EACCES for files and programs, and for connections if no host is
granted; ECONNREFUSED for connections if some host is granted; gaierror for host names.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    _Claim = tuple[str, str]

_KEPT = 64
_DENIED = (errno.EACCES, errno.EPERM)
_LISTEN, _UDP = ("listen", "a port"), ("udp", "UDP")
_DATAGRAM = 2
_TYPE_MASK = 0xF  # selects the type of a socket; the other bits are flags
_KERNELS_OWN = ("/proc", "/dev")

_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")
_ENTRIES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink")  # events that change a directory
_PROGRAMS = ("subprocess.Popen", "os.posix_spawn")
_FILES = ("open", "os.listdir", "os.scandir", "os.truncate", "sqlite3.connect", *_ENTRIES, *_PROGRAMS)
_SOCKETS = ("socket.connect", "socket.bind", "socket.sendto")
# The audit events to record, each with the slice of its arguments to keep. Sockets are left out, because a
# reference would keep them open.
_EVENTS = {
    **dict.fromkeys(_LOOK_UPS, slice(2)),
    **dict.fromkeys(_SOCKETS, slice(1, 2)),
    "socket.__new__": slice(2, 3),
    **dict.fromkeys((*_FILES, "os.exec"), slice(1)),
    "open": slice(3),
    "mmap.__new__": slice(1),
}


class Witness:
    """Record the actions of a call, and find out which one was denied.

    Access to `scratch`, the call's own directory, is never denied. If `walled` is false, only environment
    variables can be denied.
    """

    def __init__(self, scratch: str, *, walled: bool = True) -> None:
        self._walled = walled
        self._free = (os.path.realpath(scratch), *_KERNELS_OWN)
        # Two logs, because an import between a look-up and its error opens many files, which would push the
        # look-up out of a common log.
        self._network: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=_KEPT)
        self._files: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=_KEPT)

    def watch(self) -> None:
        """Install the audit hook, which can't be removed and slows every audited event a little."""
        if not self._walled:
            return
        files = dict.fromkeys(_FILES, self._files)
        kept = {event: (files.get(event, self._network), part) for event, part in _EVENTS.items()}

        def note(event: str, arguments: tuple[Any, ...]) -> None:
            known = kept.get(event)
            if known is not None:
                tried, part = known
                tried.append((event, arguments[part]))

        sys.addaudithook(note)

    def claim(self, errors: Iterable[BaseException]) -> _Claim | None:
        """Return the kind and the target of the denied access, if one of the errors shows them.

        The kind is ``net`` (the target is a host and port), ``read`` or ``write`` (a path), ``env`` (a name),
        or ``host`` (a host whose name is unknown). Four other kinds can't be permitted: ``program`` (its
        name), ``listen``, ``udp`` and ``semaphore``.
        """
        return next(filter(None, map(self._of, errors)), None)

    def _of(self, error: BaseException) -> _Claim | None:
        module = _raised_in(error)
        if isinstance(error, KeyError):
            return ("env", os.fsdecode(error.args[0])) if module == "os" else None
        if not self._walled or not module:
            return None
        if isinstance(error, OSError):
            if type(error).__name__ == "gaierror":
                return self._unknown_host()
            return self._unnamed(error, module) if error.filename is None else self._named(error)
        if f"{type(error).__module__}.{type(error).__name__}" == "sqlite3.OperationalError":
            return self._database(str(error))
        return None

    def _last(self, *events: str) -> tuple[str, tuple[Any, ...]]:
        tried = (one for log in (self._network, self._files) for one in reversed(log) if one[0] in events)
        return next(tried, ("", (None,)))

    def _unknown_host(self) -> _Claim | None:
        event, arguments = self._last(*_LOOK_UPS, "socket.__new__")
        if event == "socket.__new__":
            return "host", "HOST"  # `socket.connect` looks up a host without an audit event
        return _endpoint(*arguments) if arguments[0] else None

    def _unnamed(self, error: OSError, module: str) -> _Claim | None:
        """Judge an error without a file name by the last action that can cause such an error."""
        if error.errno == errno.EOPNOTSUPP and self._last(*_EVENTS)[0] == "mmap.__new__":
            return "semaphore", "mmap"
        if error.errno not in (*_DENIED, errno.ECONNREFUSED):
            return None
        if module == "multiprocessing.synchronize":
            return "semaphore", "multiprocessing"
        event, (argument,) = self._last("os.exec", "socket.__new__", *_SOCKETS)
        if event == "os.exec":
            return "program", _path(argument)
        if event == "socket.connect":
            return self._refused_host(argument) if error.errno != errno.EPERM else None
        if event == "socket.__new__":
            return _UDP if argument & _TYPE_MASK == _DATAGRAM else _LISTEN
        return {"socket.bind": _LISTEN, "socket.sendto": _UDP}.get(event)

    def _refused_host(self, address: Any) -> _Claim | None:
        if not isinstance(address, tuple) or len(address) < 2:
            return None  # no permission grants a Unix socket
        host, port = address[:2]
        named, *asked = self._last(*_LOOK_UPS)[1]
        # The address comes from the last look-up, unless that look-up was for another port.
        found = named and (not asked or not asked[0] or str(asked[0]) == str(port))
        return _endpoint(named if found else host, port)

    def _named(self, error: OSError) -> _Claim | None:
        name = _path(error.filename)
        tried = (one for one in reversed(self._files) if name and _path(one[1][0]) == name)
        event, arguments = next(tried, ("", ()))
        if event in _PROGRAMS:
            return ("program", name) if error.errno in (*_DENIED, errno.ENOENT) else None
        if not event or error.errno not in _DENIED:
            return None
        if event in _ENTRIES:
            return self._directory(_path(error.filename2)) or self._directory(name)
        if event == "os.truncate" or (event == "open" and _writes(*arguments[1:])):
            return self._write(name)
        return self._read(name)

    def _database(self, message: str) -> _Claim | None:
        path = _path(self._last("sqlite3.connect")[1][0])
        if path.startswith("file:"):
            from urllib.parse import unquote, urlsplit

            path = unquote(urlsplit(path).path)
        if message.startswith("unable to open database"):
            return self._read(path) or self._directory(path)
        # SQLite needs to create a journal beside the file.
        return self._directory(path) if "readonly database" in message else None

    def _read(self, path: str) -> _Claim | None:
        place = self._outside(path)
        return ("read", place) if place and _lets(place, os.R_OK) else None

    def _write(self, path: str) -> _Claim | None:
        place = self._outside(path)
        if not os.path.lexists(place):
            return self._directory(place)
        return ("write", place) if _lets(place, os.W_OK) else None

    def _directory(self, path: str) -> _Claim | None:
        """Name the directory in which an entry would have been made, replaced or removed."""
        place = os.path.dirname(self._outside(path))  # noqa: PTH120 - pathlib would be one more import in each call
        while place and not os.path.isdir(place):  # noqa: PTH112
            place = os.path.dirname(place)  # noqa: PTH120
        return ("write", place) if place and _lets(place, os.W_OK | os.X_OK) else None

    def _outside(self, path: str) -> str:
        """Resolve a path's links; return an empty string if the path needs no permission."""
        place = os.path.realpath(path) if path else ""
        return "" if any(place == root or place.startswith(f"{root}/") for root in self._free) else place


def _raised_in(error: BaseException) -> str:
    """Return the name of the module whose code raised an error; empty if the error was never raised."""
    name, step = "", error.__traceback__
    while step is not None:
        name, step = step.tb_frame.f_globals.get("__name__", ""), step.tb_next
    return name


def _path(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes | os.PathLike) else ""


def _endpoint(host: Any, port: Any = None) -> _Claim:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if ":" in name:
        name = f"[{name.partition('%')[0]}]"
    return "net", f"{name}:{port}" if str(port).isdigit() and int(port) else name


def _writes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return not {"w", "a", "x", "+"}.isdisjoint(mode)
    return isinstance(flags, int) and flags & os.O_ACCMODE != os.O_RDONLY


def _lets(place: str, wanted: int) -> bool:
    """Tell whether a file's mode gives this user the wanted access; `os.access` would ask sandlock."""
    try:
        status = os.stat(place)  # noqa: PTH116
    except OSError:
        return False
    mode = status.st_mode
    if status.st_uid == os.geteuid():
        mode >>= 6
    elif status.st_gid in (os.getegid(), *os.getgroups()):
        mode >>= 3
    return mode & wanted == wanted
