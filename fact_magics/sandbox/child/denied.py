"""Which permission a call lacked: what it tried last, by an audit hook, beside the error that it ended with.

It runs in the sandbox on the standard library alone, in the tool's own process; what it finds is the tool's
claim. The errors by which sandlock 0.9.0 and Landlock deny were measured: EACCES for files, programs and,
where no host is granted, connections; ECONNREFUSED for connections beside granted ones; gaierror for names.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    _Claim = tuple[str, str]

_KEPT = 32
_CHAIN_LIMIT = 50
_WRITING_MODES = frozenset("wax+")
_DENIED = (errno.EACCES, errno.EPERM)
_NOT_REACHED = (errno.EACCES, errno.ECONNREFUSED)
_KERNELS_OWN = ("/proc", "/dev")

# Events, and which of their arguments are kept: never the objects, which would then live longer.
_CONNECT, _LOOK_UPS = "socket.connect", ("socket.getaddrinfo", "socket.gethostbyname")
_OPEN, _LISTINGS = "open", ("os.listdir", "os.scandir")
_CHANGES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink", "os.truncate")
_DATABASE = "sqlite3.connect"
_PROGRAMS = ("subprocess.Popen", "os.posix_spawn", "os.exec")
_EVENTS = {
    _CONNECT: slice(1, 2),
    **dict.fromkeys(_LOOK_UPS, slice(2)),
    _OPEN: slice(3),
    **dict.fromkeys((*_LISTINGS, *_PROGRAMS, _DATABASE), slice(1)),
    **dict.fromkeys(_CHANGES, slice(2)),
}


class Witness:
    """Remembers what a call tries, once it watches, and tells what of it was denied.

    Parameters
    ----------
    scratch : str
        The call's own directory, in which nothing is denied.
    walled : bool
        Whether files, hosts and programs are denied at all, or the environment alone is kept from the call.
    """

    def __init__(self, scratch: str, *, walled: bool = True) -> None:
        self._walled = walled
        self._scratch = os.path.realpath(scratch)
        self._network: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=_KEPT)
        self._files: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=_KEPT)

    def watch(self) -> None:
        """Install the audit hook; there is no way to remove it, and each audited event costs a little."""
        if not self._walled:
            return
        kept = {
            event: (self._network if event.startswith("socket.") else self._files, part)
            for event, part in _EVENTS.items()
        }

        def note(event: str, arguments: tuple[Any, ...]) -> None:
            known = kept.get(event)
            if known is not None:
                events, part = known
                events.append((event, arguments[part]))

        sys.addaudithook(note)

    def claim(self, raised: BaseException) -> _Claim | None:
        """Name what was denied, if an error comes from that.

        Returns
        -------
        (kind, target) or None
            The kind is ``net`` (host and port), ``read`` or ``write`` (paths), ``env`` (a name); ``host`` for
            one whose name is lost; or, of what no permission allows, ``program`` (its name), ``listen``,
            ``udp`` or ``semaphore``.
        """
        for error in _chain(raised):
            found = self._of(error)
            if found is not None:
                return found
        return None

    def _of(self, error: BaseException) -> _Claim | None:
        frame = _innermost(error)
        if frame is None:
            return None
        if isinstance(error, KeyError):
            return _variable(error, frame)
        if not self._walled:
            return None
        if isinstance(error, OSError):
            name = type(error).__name__
            if name in ("gaierror", "herror"):
                return self._unknown_host(frame)
            if error.filename is not None:
                return self._file_or_program(error)
            return self._unnamed(error, frame)
        if f"{type(error).__module__}.{type(error).__name__}" == "sqlite3.OperationalError":
            return self._database(str(error))
        return None

    # The network

    def _unknown_host(self, frame: FrameType) -> _Claim | None:
        if frame.f_code.co_name == "getaddrinfo" and isinstance(frame.f_locals.get("host"), str | bytes):
            return _endpoint(frame.f_locals["host"], frame.f_locals.get("port"))
        if "connect" in frame.f_code.co_names:
            return "host", "HOST"  # a socket looks its address up by itself, and tells nobody
        for event, arguments in reversed(self._network):
            if event in _LOOK_UPS:
                return _endpoint(*arguments) if arguments[0] else None
        return None

    def _unnamed(self, error: OSError, frame: FrameType) -> _Claim | None:
        """Judge an error that names no file by the code that met it."""
        names = frame.f_code.co_names
        if error.errno in _NOT_REACHED and ("connect" in names or "connect_ex" in names):
            return self._refused_host()
        if error.errno in (*_DENIED, errno.ECONNREFUSED) and ("sendto" in names or _makes_socket(frame)):
            return "udp", "UDP"
        if error.errno not in _DENIED:
            return None
        if any(name.startswith("exec") for name in names):
            event, arguments = self._files[-1] if self._files else ("", ())
            return ("program", os.fsdecode(arguments[0])) if event == "os.exec" else None
        if "bind" in names or "listen" in names:
            return ("listen", "a port")
        return ("semaphore", "multiprocessing") if "_multiprocessing" in names else None

    def _refused_host(self) -> _Claim | None:
        tried = iter(reversed(self._network))
        address: Any = next((arguments[0] for event, arguments in tried if event == _CONNECT), None)
        if not isinstance(address, tuple) or len(address) < 2:
            return None  # a Unix socket: no permission reaches it
        host, port = address[:2]
        # The addresses of a name are tried one after the other, after the one look-up that gave them.
        for event, arguments in tried:
            if event in _LOOK_UPS:
                named = arguments[0]
                asked = arguments[1] if len(arguments) > 1 else None
                if named and (not asked or str(asked) == str(port)):
                    return _endpoint(named, port)
                break
        return _endpoint(host, port)

    # Files and programs

    def _file_or_program(self, error: OSError) -> _Claim | None:
        for event, arguments in reversed(self._files):
            if not _same(error.filename, arguments[0]):
                continue
            if event in _PROGRAMS:
                known = (*_DENIED, errno.ENOENT)
                return ("program", os.fsdecode(arguments[0])) if error.errno in known else None
            if error.errno not in _DENIED:
                return None
            if event in _CHANGES:
                return self._change(event, arguments)
            return self._write(arguments[0]) if _writes(event, arguments) else self._read(arguments[0])
        return None

    def _change(self, event: str, arguments: tuple[Any, ...]) -> _Claim | None:
        if event == "os.truncate":
            return self._write(arguments[0])
        if event == "os.symlink":
            return self._write_beside(arguments[1])
        to = arguments[1] if event == "os.rename" else arguments[0]
        return self._write_beside(to) or self._write_beside(arguments[0])

    def _database(self, message: str) -> _Claim | None:
        opened = (arguments[0] for event, arguments in reversed(self._files) if event == _DATABASE)
        path = next(opened, None)
        if path is None or "database" not in message:
            return None
        path = os.fsdecode(path)
        if path.startswith("file:"):
            from urllib.parse import unquote, urlsplit

            path = unquote(urlsplit(path).path)
        if message.startswith("unable to open"):
            return self._read(path) or self._write_beside(path)
        # Beside the file there is a journal while it is being written.
        return self._write_beside(path) if "readonly" in message else None

    def _read(self, path: Any) -> _Claim | None:
        place = self._outside(path)
        if place and _has_mode(place, os.R_OK) and _is_denied(place, os.O_RDONLY):
            return "read", place
        return None

    def _write(self, path: Any) -> _Claim | None:
        place = self._outside(path)
        if not place:
            return None
        if not os.path.lexists(place):
            return self._write_beside(place)
        if _has_mode(place, os.W_OK) and _is_denied(place, os.O_WRONLY):
            return "write", place
        return None

    def _write_beside(self, path: Any) -> _Claim | None:
        """Name the directory in which something would be made, replaced or removed."""
        place = os.path.dirname(self._outside(path))  # noqa: PTH120 - pathlib is one import more in each call
        while place and not os.path.isdir(place):  # noqa: PTH112
            place = os.path.dirname(place)  # noqa: PTH120
        return ("write", place) if place and _has_mode(place, os.W_OK | os.X_OK) else None

    def _outside(self, path: Any) -> str:
        """Follow a path's links; empty for one that no permission is about."""
        if isinstance(path, int):
            return ""
        place = os.path.realpath(os.fsdecode(path))
        inside = (self._scratch, *_KERNELS_OWN)
        return "" if any(place == root or place.startswith(f"{root}/") for root in inside) else place


def _chain(raised: BaseException) -> Iterator[BaseException]:
    """Give an error and those that it came from, outermost first."""
    waiting: deque[BaseException | None] = deque([raised])
    seen: list[BaseException] = []
    while waiting and len(seen) < _CHAIN_LIMIT:
        error = waiting.popleft()
        if error is None or any(error is known for known in seen):
            continue
        seen.append(error)
        yield error
        waiting += (error.__cause__, error.__context__)
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions


def _innermost(error: BaseException) -> FrameType | None:
    last, step = None, error.__traceback__
    while step is not None:
        last, step = step, step.tb_next
    return None if last is None else last.tb_frame


def _makes_socket(frame: FrameType) -> bool:
    return frame.f_code.co_name == "__init__" and type(frame.f_locals.get("self")).__module__ == "socket"


def _variable(error: KeyError, frame: FrameType) -> _Claim | None:
    """Tell a variable that is not in the environment from any other key that is not in a dict."""
    kind: Any = type(os.environ)
    if frame.f_code not in (kind.__getitem__.__code__, kind.__delitem__.__code__) or len(error.args) != 1:
        return None
    name = error.args[0]
    return ("env", os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _endpoint(host: Any, port: Any = None) -> _Claim:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if ":" in name:
        name = f"[{name.partition('%')[0]}]"
    return "net", f"{name}:{port}" if str(port).isdigit() and int(port) else name


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    if event != _OPEN:
        return False
    mode, flags = arguments[1:3]
    if isinstance(mode, str):
        return not _WRITING_MODES.isdisjoint(mode)
    return isinstance(flags, int) and flags & os.O_ACCMODE != os.O_RDONLY


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int) or isinstance(other, int):
        return False
    return os.fsdecode(one) == os.fsdecode(other)


def _has_mode(place: str, wanted: int) -> bool:
    """Tell whether the system itself would let this user; `os.access` is answered by sandlock, and not so."""
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


def _is_denied(place: str, flags: int) -> bool:
    """Try again, so as not to take an error that the tool raised itself for one that the system gave."""
    try:
        descriptor = os.open(place, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        return error.errno in _DENIED
    os.close(descriptor)
    return False
