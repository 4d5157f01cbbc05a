"""The grammar of permissions: ``net:HOST[:PORT]``, ``read:PATH``, ``write:PATH``, ``env:NAME``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, get_args

from fact_magics.errors import CellError, did_you_mean
from fact_magics.permissions import places
from fact_magics.text import one_line

Kind = Literal["net", "read", "write", "env"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ANY_PORT = "*"
"""The port of an endpoint that includes every port."""

_TARGETS = {"net": "HOST[:PORT]", "read": "PATH", "write": "PATH", "env": "NAME"}
_FORMS = "Write net:HOST[:PORT], read:PATH, write:PATH or env:NAME."
_HOST_FORMS = "Write net:api.example.com, net:127.0.0.1:8080 or net:[2001:db8::1]:443."
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_HOST = 253
_SHOWN = 120
# Endings of file names without a directory; a host can have no such name.
_FILE_ENDINGS = (
    ".csv",
    ".json",
    ".txt",
    ".parquet",
    ".xlsx",
    ".db",
    ".md",
    ".html",
    ".xml",
    ".yaml",
    ".toml",
)


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One granted permission, in canonical form.

    Attributes
    ----------
    kind : {"net", "read", "write", "env"}
        The kind of access to the target.
    target : str
        A host with or without a port, an absolute real path, or the name of an environment variable.
    """

    kind: Kind
    target: str

    @property
    def text(self) -> str:
        """The permission as text. Permissions that grant the same access have the same text."""
        return f"{self.kind}:{self.target}"

    @property
    def endpoint(self) -> tuple[str, str]:
        """Host (an IPv6 address in brackets) and port (or `ANY_PORT`) of a ``net`` permission."""
        host, colon, port = self.target.rpartition(":")
        return (host, port) if colon and not port.endswith("]") else (self.target, ANY_PORT)


def read_permission(text: str, directory: Path) -> Permission:
    """Parse a permission into its canonical form.

    Hosts become lower case. Relative paths are resolved against the absolute `directory`, and ``~`` is the
    user's home. Links are resolved now, so that a later change of a link does not change the permission.

    Raises
    ------
    CellError
        The text is malformed; the hint shows the correct form.
    """
    kind, _, target = text.partition(":")
    if kind not in KINDS:
        raise _malformed(text, "is not a permission", _meant(text, directory) or _FORMS)
    if not target.strip():
        form = _TARGETS[kind]
        missing = form.partition("[")[0].lower()
        raise _malformed(text, f"is a permission without a {missing}", f"Write {kind}:{form}.")
    if kind == "net":
        return Permission("net", _endpoint(target))
    if kind == "env":
        if not _VARIABLE.fullmatch(target):
            raise _malformed(text, "does not name a variable", "Write one env:NAME for each variable.")
        return Permission("env", target)
    if not places.is_possible(target):
        raise _malformed(text, "is not a path", "Write the path of a file or directory.")
    try:
        place = os.path.realpath(directory / Path(target).expanduser())
    except RuntimeError:
        raise _malformed(text, "names an unknown user", "Write an absolute path: /home/….") from None
    return Permission("read", place) if kind == "read" else Permission("write", place)


_KINDS_MEANT = {
    **dict.fromkeys(("network", "internet", "host", "web", "url"), "net"),
    **dict.fromkeys(("file", "files", "path", "dir", "directory", "folder"), "read"),
    **dict.fromkeys(("environ", "environment", "variable", "var"), "env"),
}


def _meant(text: str, directory: Path) -> str:
    """Return a hint with the permission that a text without a known kind probably means; empty if unclear."""
    kind, colon, target = text.partition(":")
    meant = kind.lower()
    known = meant if meant in KINDS else _KINDS_MEANT.get(meant, "")
    if not known and (close := did_you_mean(kind, KINDS)):
        return f"{close} {_FORMS}"
    is_url = target.startswith("//")
    if is_url:
        known, target = "net", target[2:].partition("/")[0].rpartition("@")[2]
    elif not colon and text in os.environ:
        known, target = "env", text
    elif text.startswith(("/", "./", "../", "~")) or (not known and text.endswith(_FILE_ENDINGS)):
        known, target = "read", text
    elif not known:
        known, target = ("net" if "." in text else ""), text
    if not known:
        return ""
    if not target.strip():
        return f"Write {known}:{_TARGETS[known]}."
    try:
        read_permission(f"{known}:{target}", directory)
    except CellError:
        return f"Write {known}:{_TARGETS[known]}."
    shown = one_line(target, _SHOWN)
    alone = "the host alone: " if is_url else ""
    return f"Write {alone}{known}:{shown}{f', or write:{shown}' if known == 'read' != meant else ''}."


def _malformed(text: str, problem: str, hint: str) -> CellError:
    return CellError(f"{one_line(text, _SHOWN)!r} {problem}.", hint=hint)


def _endpoint(target: str) -> str:
    text = f"net:{target}"
    lowered = target.lower()
    if "/" in lowered:
        host = re.sub(r"^[a-z0-9+.-]*:?//", "", lowered).partition("/")[0]
        raise _malformed(text, "is not a host", f"Write the host alone: net:{one_line(host, _SHOWN)}.")
    if "*" in lowered or "," in lowered:
        raise _malformed(text, "names more than one host", "Write one --allow per host.")
    if lowered.startswith("["):
        inner, bracket, rest = lowered[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _malformed(text, "does not name a host", _HOST_FORMS)
        host, colon, port = _ipv6(text, inner), rest[:1], rest[1:]
    elif lowered.count(":") > 1:
        raise _malformed(text, "does not name a host", f"Write an IPv6 address in brackets. {_HOST_FORMS}")
    else:
        name, colon, port = lowered.partition(":")
        host = _host(text, name)
    if not colon:
        return host
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 0xFFFF):
        raise _malformed(text, "does not name a port", "Write a port from 1 to 65535, or leave it out.")
    return f"{host}:{int(port)}"


def _ipv6(text: str, inner: str) -> str:
    try:
        address = IPv6Address(inner)
    except AddressValueError:
        raise _malformed(text, "does not name an IPv6 address", _HOST_FORMS) from None
    if address.scope_id is not None:
        raise _malformed(text, "names a network interface of this machine", _HOST_FORMS)
    return f"[{address}]"


def _host(text: str, name: str) -> str:
    if not name.isascii():
        raise _malformed(text, "is not written in ASCII", "Write the host in Punycode, as xn--….")
    name = name.removesuffix(".")
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        # Resolvers also accept addresses such as 127.1, 0x7f.1 and 2130706433, but not all in the same way.
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise _malformed(text, "does not name an IPv4 address", _HOST_FORMS) from None
    if len(name) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise _malformed(text, "does not name a host", _HOST_FORMS)
    return name
