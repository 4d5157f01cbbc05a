"""Decide which permissions are never granted, and which permissions the user has to confirm."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.permissions import places
from fact_magics.permissions.grammar import ANY_PORT

if TYPE_CHECKING:
    from fact_magics.permissions.grammar import Permission


@dataclass(frozen=True, slots=True)
class Danger:
    """Why the user has to confirm a permission, or why it is `never` granted.

    The reason is a clause about the target of the permission: ``it is a device``.
    """

    reason: str
    never: bool = False


@dataclass(frozen=True, slots=True)
class Protected:
    """The places that belong to fact_magics and to the notebook.

    Attributes
    ----------
    fixed_directory : Path or None
        Relative paths are resolved against it; None means the working directory at the time of each use.
    home, database, trusted : Path
        The data directory, the database file, and the directory that contains the list of trusted files.
    """

    fixed_directory: Path | None
    home: Path
    database: Path
    trusted: Path

    @property
    def directory(self) -> Path:
        """The directory where relative paths start and modules are found; `CellError` if it was deleted."""
        return self.fixed_directory or places.working_directory()

    @property
    def kept(self) -> tuple[Path, ...]:
        """Real paths that no tool may write to; everything below them is protected too."""
        database = places.real(self.database)
        ends = ("", "-wal", "-shm", "-journal", "-leases")
        files = [database.with_name(f"{database.name}{end}") for end in ends]
        return (places.real(self.home), places.real(self.trusted), *files)


def danger(permission: Permission, protected: Protected) -> Danger | None:
    """Return why a permission is dangerous, or None if it is not."""
    if refused := refusal(permission, protected):
        return Danger(refused, never=True)
    doubt = _doubt(permission, protected)
    return Danger(doubt) if doubt else None


def refusal(permission: Permission, protected: Protected) -> str:
    """Return why a permission is never granted; empty if it may be granted."""
    if permission.kind == "net":
        return ""
    if permission.kind == "env":
        return "it is the key that signs exported tools" if permission.target.upper() == "SECRET_KEY" else ""
    path, writes = Path(permission.target), permission.kind == "write"
    if writes and any(places.overlap(path, kept) for kept in protected.kept):
        return "fact_magics keeps its tools, history, cache or list of trusted files there"
    return places.untouchable(path, writes=writes)


def _doubt(permission: Permission, protected: Protected) -> str:
    if permission.kind == "net":
        return endpoint_doubt(*permission.endpoint)
    if permission.kind == "env":
        return variable_doubt(permission.target)
    path = Path(permission.target)
    if permission.kind == "write" and (reason := places.executed(path, protected.directory)):
        return reason
    # A permission to write a file also allows reading it.
    if reason := places.secret(path):
        return reason
    kept = any(places.overlap(path, place) for place in protected.kept)
    return "fact_magics keeps its tools, history and cache there" if kept else ""


_METADATA = "it hands out the keys of this cloud machine"
_METADATA_NAMES = frozenset(
    {
        "metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.internal",
        "metadata.azure.com", "metadata.tencentyun.com", "instance-data", "instance-data.ec2.internal",
    }
)  # fmt: skip
_METADATA_ADDRESSES = frozenset(
    map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_THIS_MACHINE = "the tool could reach every service of this machine, including this notebook's server"
OWN_NAMES = frozenset(
    {
        "localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback",
        "host.docker.internal", "gateway.docker.internal", "host.containers.internal",
    }
)  # fmt: skip


def endpoint_doubt(host: str, port: str) -> str:
    """Return why the user has to confirm an endpoint; empty if no confirmation is needed.

    The host is a name or an address; an IPv6 address is in brackets. The port is a number or `ANY_PORT`.
    """
    address = read_address(host)
    if host in _METADATA_NAMES or address in _METADATA_ADDRESSES or (address and address.is_link_local):
        return _METADATA
    if port != ANY_PORT:
        return ""
    return _THIS_MACHINE if (_is_own_name(host) if address is None else _is_own(address)) else ""


def read_address(host: str) -> IPv4Address | IPv6Address | None:
    """Parse an IP address, or return None for a name. An IPv4-mapped IPv6 address becomes an IPv4 address."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_own_name(host: str) -> bool:
    own = socket.gethostname().lower()
    return host in OWN_NAMES or host.endswith(".localhost") or host in (own, own.partition(".")[0])


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))  # only an address of this machine can be bound; nothing is sent
    except OSError:
        return False
    return True


_SAYS_SO = "its name says that it holds a secret"
_TELLING_TEXTS = ("APIKEY", "CREDENTIAL", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN")
_TELLING_WORDS = frozenset(
    {"AUTH", "COOKIE", "CREDS", "DSN", "JWT", "KEY", "KEYS", "PASS", "PAT", "PRIVATE", "PW", "PWD"}
)
_PLAIN_NAMES = frozenset({"PWD", "OLDPWD"})
_SETTINGS = frozenset({"DATABASE_URL", "FACT_CACHE_URL", "CONNECTION_STRING"})
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def variable_doubt(name: str) -> str:
    """Return why a variable probably holds a secret; empty if it does not."""
    upper = name.upper()
    if upper in _PLAIN_NAMES:
        return ""
    if (
        any(text in upper for text in _TELLING_TEXTS)
        or not _TELLING_WORDS.isdisjoint(upper.split("_"))
        or upper in _SETTINGS
        or upper.endswith("CONNECTION_STRING")
    ):
        return _SAYS_SO
    return "its value holds a password" if _PASSWORD_IN_URL.search(os.environ.get(name, "")) else ""
