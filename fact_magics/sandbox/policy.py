"""What a tool may reach: what its interpreter needs to read, what permissions grant, and the limits."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = ("net", "read", "write", "env")

_MIB = 1 << 20

# What the C library, the dynamic linker and the resolver read.
_SYSTEM_FILES = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/nsswitch.conf",
    "/etc/mime.types",
    "/nix/store",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
)
_NETWORK_FILES = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
_PREFIX_PARTS = ("lib", "lib64", "share", "ssl")  # of an interpreter that lives in a directory of its own

# Threads of a numeric library, and allocation arenas, reserve address space that counts against the limit.
_CALM = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a call besides its wall time and memory.

    Attributes
    ----------
    result_bytes, printed_bytes, printed_kept, file_bytes, scratch_bytes : int
        The largest result; how much may be printed, and how much of it is kept; the largest file; all of the
        scratch directory.
    open_files, processes : int
        Of one process, and of all that a call starts.
    """

    result_bytes: int = 64 * _MIB
    printed_bytes: int = 64 * _MIB
    printed_kept: int = 256 * 1024
    file_bytes: int = 512 * _MIB
    scratch_bytes: int = 1024 * _MIB
    open_files: int = 256
    processes: int = 64


@dataclass(frozen=True, slots=True)
class Grants:
    """Permissions, parsed.

    Attributes
    ----------
    read, write : tuple of str
        Real paths.
    net : tuple of tuple of str
        Host and port; the port is ``*`` where none was named.
    env : tuple of tuple of str
        Name and present value of each variable that is set.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    net: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # values may be secret

    @classmethod
    def parse(cls, permissions: Iterable[str]) -> Grants:
        """Read ``net:HOST[:PORT]``, ``read:PATH``, ``write:PATH`` and ``env:NAME``.

        Raises
        ------
        CellError
            If one is malformed; the error shows it.
        """
        parts: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for permission in permissions:
            kind, colon, what = permission.partition(":")
            if kind not in parts or not colon or not what.strip() or "\0" in what:
                raise CellError(
                    f"{permission!r} is no permission.",
                    hint="Write net:HOST[:PORT], read:PATH, write:PATH or env:NAME.",
                )
            parts[kind].append(what.strip())
        return cls(
            read=tuple(sorted(_real(path) for path in parts["read"])),
            write=tuple(sorted(_real(path) for path in parts["write"])),
            net=tuple(sorted(_endpoint(text) for text in parts["net"])),
            env=tuple(sorted((name, os.environ[name]) for name in parts["env"] if name in os.environ)),
        )


def readable_paths() -> tuple[str, ...]:
    """List what the interpreter, the installed packages and the C library read, as far as it exists.

    A prefix is never granted whole: ``python -m venv .`` makes a prefix of somebody's project.
    """
    paths = set(_SYSTEM_FILES)
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths.update(sysconfig.get_path(name) for name in names)
    paths.update(_package_directories())
    executable = Path(sys.executable)
    paths.update((str(executable), str(executable.resolve())))
    if sys.prefix != sys.base_prefix:
        paths.add(f"{sys.prefix}/pyvenv.cfg")
        paths.add(f"{sys.prefix}/share")
    if sys.base_prefix not in _SHARED_PREFIXES:
        paths.update(f"{sys.base_prefix}/{part}" for part in _PREFIX_PARTS)
    library = sysconfig.get_config_var("LIBDIR")
    if library and str(library).rstrip("/") not in _SHARED_PREFIXES:
        paths.add(str(library))
    return tuple(sorted(path for path in paths if path and Path(path).exists()))


def module_path() -> tuple[str, ...]:
    """Directories of installed packages that the notebook imports from, the user's own among them."""
    return tuple(_package_directories())


def zygote_environment(grants: Grants, root: str) -> dict[str, str]:
    """Build a tool's whole environment: nothing of the notebook's but the time zone and what was granted."""
    kept = {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
    return {
        "HOME": root,
        "TMPDIR": root,
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "USER": "tool",
        "LOGNAME": "tool",
        **kept,
        **_CALM,
        **dict(grants.env),
    }


def sandlock_policy(grants: Grants, root: str, limits: Limits, *, strict: bool) -> Mapping[str, Any]:
    """Build the arguments of `sandlock.Sandbox` for a zygote.

    Parameters
    ----------
    grants : Grants
        What the tool was allowed.
    root : str
        The zygote's own directory; its calls' scratch directories are inside.
    limits : Limits
        ``processes`` is enforced by sandlock, the rest by the processes' own limits.
    strict : bool
        Refuse a kernel without signal scopes, instead of going without.
    """
    from sandlock import Protection

    readable = (*readable_paths(), *(_NETWORK_FILES if grants.net else ()), *grants.read)
    return {
        "fs_readable": [path for path in readable if Path(path).exists()],
        "fs_writable": [root, os.devnull, *(path for path in grants.write if Path(path).exists())],
        "net_allow": [f"tcp://{host}:{port}" for host, port in grants.net],
        "clean_env": True,
        "env": zygote_environment(grants, root),
        "cwd": root,
        # The zygote is one, and so is the child that waits.
        "max_processes": limits.processes + 2,
        "allow_degraded": []
        if strict
        else [Protection.SIGNAL_SCOPE, Protection.ABSTRACT_UNIX_SOCKET_SCOPE, Protection.FS_IOCTL_DEV],
    }


def _package_directories() -> list[str]:
    names = ("site-packages", "dist-packages")
    return [entry for entry in sys.path if Path(entry).name in names and Path(entry).is_dir()]


def _real(path: str) -> str:
    return os.path.realpath(Path(path).expanduser())


def _endpoint(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, "*"
    numeric = port == "*" or (port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF)
    if not host or not numeric or any(character.isspace() or character == "/" for character in host):
        raise CellError(
            f"'net:{text}' names no host and port.", hint="Write net:api.example.com or net:127.0.0.1:8080."
        )
    return (f"[{host}]" if ":" in host and not host.startswith("[") else host), port
