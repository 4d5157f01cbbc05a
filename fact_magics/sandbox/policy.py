"""Build the policy of a zygote: the files of its interpreter, the granted access, and the limits.

Hosts are looked up before a zygote that may reach them is started.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.errors import IsolationError
from fact_magics.packages import exists, module_path
from fact_magics.permissions import KINDS, Permission, places, read_permission
from fact_magics.permissions.dangers import endpoint_doubt, read_address
from fact_magics.permissions.grammar import ANY_PORT
from fact_magics.sandbox import boot
from fact_magics.sandbox.outcome import USUAL, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fact_magics.sandbox.limits import Limits

# Files that the C library, the dynamic linker and the resolver read.
_SYSTEM_FILES = """
    /usr/lib /usr/lib32 /usr/lib64 /usr/local/lib /lib /lib32 /lib64 /nix/store /usr/share/zoneinfo
    /usr/share/locale /etc/ld.so.cache /etc/localtime /etc/timezone /etc/nsswitch.conf /etc/mime.types
    /dev/null /dev/zero /dev/random /dev/urandom /sys/devices/system/cpu /proc/cpuinfo /proc/meminfo
    /proc/stat /proc/sys/vm/overcommit_memory
""".split()  # noqa: SIM905
# Numeric libraries and psutil read these files about their own process. Sandlock opens the files for the
# process that asks, so that `self` means that process and no other. The environment is left out: it may
# hold granted secrets.
_OWN_PROCESS_FILES = tuple(
    f"/proc/self/{name}" for name in ("limits", "maps", "smaps", "smaps_rollup", "stat", "statm", "status")
)
# Includes the places of certificates, but not the directories above them, which also contain private keys.
_NETWORK_FILES = """
    /etc/hosts /etc/resolv.conf /etc/gai.conf /etc/services
    /etc/ssl/certs /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem /etc/ssl/openssl.cnf
    /etc/pki/tls/certs /etc/pki/tls/cert.pem /etc/pki/tls/openssl.cnf /etc/pki/ca-trust/extracted
    /etc/ca-certificates/extracted /usr/share/ca-certificates /usr/share/pki
    /usr/local/share/ca-certificates /var/lib/ca-certificates
""".split()  # noqa: SIM905
# Variables that name the user's own certificates, such as those of a company.
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# A zygote looks up addresses when it starts, and the addresses of large services change within the hour.
_NAMES_KEPT_SECONDS = 600
_LOOKUP_SECONDS = 15.0
_ROOT = Path(os.sep)
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
_PREFIX_PARTS = ("lib", "lib64", "share", "ssl")  # of an interpreter that has its own directory

# Threads of numeric libraries and allocation arenas reserve address space, which the memory limit counts.
_FEW_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the default one reserves a gigabyte at once
}


@dataclass(frozen=True, slots=True)
class Grants:
    """Permissions as the sandbox enforces them. Calls with equal grants may share a zygote.

    Attributes
    ----------
    read, write : tuple of str
        Real paths.
    net : tuple of (str, str)
        Host and port; the port is ``*`` if none was named.
    env : tuple of (str, str)
        Name and current value of each variable that is set.
    things : tuple of (int, int)
        Device and inode at each path. The kernel grants inodes, so a file that replaced another needs a new
        zygote.
    period : int
        A number that changes when host names have to be looked up again; 0 without hosts.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    net: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # values may be secret
    things: tuple[tuple[int, int], ...] = ()
    period: int = 0

    @classmethod
    def parse(cls, permissions: Iterable[str]) -> Grants:
        """Read permissions, with the current files and variables that they grant.

        Raises
        ------
        CellError
            A permission is malformed.
        IsolationError
            A path to write is missing, or a path has become a link to another place.
        """
        parts: dict[str, list[Permission]] = {kind: [] for kind in KINDS}
        for text in permissions:
            permission = read_permission(text, _ROOT)
            parts[permission.kind].append(permission)
            if permission.kind in ("read", "write"):
                _refuse_another_place(text, permission)
        read, write = (tuple(sorted(p.target for p in parts[kind])) for kind in ("read", "write"))
        net = tuple(sorted(permission.endpoint for permission in parts["net"]))
        names = [permission.target for permission in parts["env"]]
        return cls(
            read=read,
            write=write,
            net=net,
            env=tuple(sorted((name, os.environ[name]) for name in names if name in os.environ)),
            things=tuple(_thing(path) for path in (*read, *write)),
            period=int(time.monotonic() // _NAMES_KEPT_SECONDS) + 1 if net else 0,
        )


class ZygoteKind(NamedTuple):
    """The properties that a call needs in its zygote; calls of one kind may share a zygote.

    `installed` is from `packages.installed` if packages are preloaded, because a zygote never loads a module
    again.
    """

    grants: Grants = Grants()
    preload: tuple[str, ...] = ()
    surroundings: Surroundings = USUAL
    installed: tuple[int, ...] = ()


def _refuse_another_place(text: str, permission: Permission) -> None:
    # A link that replaced the granted file leads to a place that the user never allowed.
    given = Path(text.partition(":")[2])
    if given.is_absolute() and str(given) != permission.target:
        raise IsolationError(
            f"{text} can't be granted: it leads to {permission.target} now.",
            hint="Grant that path itself if the tool needs it.",
        )
    if permission.kind == "write" and (missing := places.missing(Path(permission.target))):
        raise IsolationError(
            f"{text} can't be granted: {missing}.",
            hint="Create it first, or grant a directory that exists.",
        )


def _thing(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def readable_paths() -> tuple[str, ...]:
    """List the existing paths that the interpreter, the installed packages and the C library read.

    The whole prefix is never granted, because ``python -m venv .`` turns a project's directory into a prefix.
    """
    paths = {*_SYSTEM_FILES, *_OWN_PROCESS_FILES}
    paths.update(map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))
    paths.update(module_path())
    for program in filter(None, (sys.executable, boot.ENV_PROGRAM)):
        paths.update((program, str(Path(program).resolve())))
    if sys.prefix != sys.base_prefix:
        paths.add(f"{sys.prefix}/pyvenv.cfg")
        paths.add(f"{sys.prefix}/share")
    if sys.base_prefix not in _SHARED_PREFIXES:
        paths.update(f"{sys.base_prefix}/{part}" for part in _PREFIX_PARTS)
    library = sysconfig.get_config_var("LIBDIR")
    if library and str(library).rstrip("/") not in _SHARED_PREFIXES:
        paths.add(str(library))
    return tuple(sorted(path for path in paths if path and exists(path)))


def zygote_environment(grants: Grants, root: str, surroundings: Surroundings = USUAL) -> dict[str, str]:
    """Build the environment in which a child's interpreter starts; `root` is the tool's home directory.

    Granted variables are set later: one such as ``PYTHONHOME`` must not reach the start of the interpreter.
    The tool's own subprocesses inherit the hash seed.
    """
    passed = _CERTIFICATE_VARIABLES if grants.net else ()
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    return {
        "HOME": root,
        "TMPDIR": root,
        "PATH": os.defpath,
        "LANG": surroundings.locale,
        "LC_ALL": surroundings.locale,
        "TZ": surroundings.time_zone,
        "USER": "tool",
        "LOGNAME": "tool",
        "PYTHONHASHSEED": str(surroundings.hash_seed),
        "MPLBACKEND": "Agg",  # it draws without a display
        **kept,
        **_FEW_THREADS,
    }


def sandlock_policy(kind: ZygoteKind, root: str, limits: Limits, *, strict: bool) -> Mapping[str, Any]:
    """Build the arguments of `sandlock.Sandbox` for a zygote, which owns the directory `root`.

    Sandlock enforces only the limit ``processes``. If `strict`, it refuses a kernel that lacks any of the
    protections.
    """
    from sandlock import Protection

    grants, surroundings = kind.grants, kind.surroundings
    ahead = timedelta(seconds=surroundings.ahead_seconds)
    readable = (*readable_paths(), *(_network_files() if grants.net else ()), *grants.read)
    return {
        "fs_readable": [path for path in readable if not places.missing(Path(path))],
        "fs_writable": [root, os.devnull, *(path for path in grants.write if not places.missing(Path(path)))],
        "net_allow": [f"tcp://{host}:{port}" for host, port in grants.net],
        "cwd": root,
        "time_start": datetime.now(UTC) + ahead if ahead else None,
        "deterministic_dirs": surroundings.sorts_listings,
        # The zygote and the waiting child count, too.
        "max_processes": limits.processes + 2,
        "allow_degraded": []
        if strict
        else [Protection.SIGNAL_SCOPE, Protection.ABSTRACT_UNIX_SOCKET_SCOPE, Protection.FS_IOCTL_DEV],
    }


def _network_files() -> tuple[str, ...]:
    compiled_in = ssl.get_default_verify_paths()
    named = (os.environ.get(name, "") for name in _CERTIFICATE_VARIABLES)
    return (*_NETWORK_FILES, compiled_in.openssl_cafile, compiled_in.openssl_capath, *filter(None, named))


async def check_names(endpoints: Iterable[tuple[str, str]]) -> None:
    """Raise `IsolationError` for a host without an address, or with an address that is dangerous to grant.

    The owner of a host name can let it resolve to this machine, or to the keys of a cloud machine.
    Endpoints are pairs of host and port.
    """
    for name, port in named_hosts(endpoints):
        refuse_detour(name, port, await addresses_of(name, port))


def named_hosts(endpoints: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """List the endpoints whose host is a name, not an address."""
    return [(host, port) for host, port in endpoints if read_address(host) is None]


def refuse_detour(name: str, port: str, addresses: Iterable[str]) -> None:
    """Raise `IsolationError` for a host name with an address that is dangerous to grant."""
    if endpoint_doubt(name, port):
        return  # the user confirmed it
    for address in addresses:
        if doubt := endpoint_doubt(address, port):
            raise IsolationError(
                f"{_net_text(name, port)} can't be granted: {name} leads to {address}, and {doubt}.",
                hint="If you trust the server at this address, grant the address itself, with --yes-really.",
            )


def _net_text(name: str, port: str) -> str:
    return f"net:{name}" if port == ANY_PORT else f"net:{name}:{port}"


async def addresses_of(host: str, port: str) -> list[str]:
    """Look up a host's addresses; raises `IsolationError` if there are none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        reason = f"it could not be looked up within {_LOOKUP_SECONDS:g} s"
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    else:
        return sorted({str(address[0]) for *_, address in found})
    raise IsolationError(
        f"{_net_text(host, port)} can't be granted: {host} has no address here ({reason}).",
        hint="Correct the name, or check the network.",
    )
