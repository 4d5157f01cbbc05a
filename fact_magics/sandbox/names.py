"""Look up the hosts that a tool may reach, before a zygote that may reach them is started."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from fact_magics.errors import IsolationError
from fact_magics.permissions.dangers import endpoint_doubt, read_address
from fact_magics.permissions.grammar import ANY_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOKUP_SECONDS = 15.0


async def check_names(endpoints: Iterable[tuple[str, str]]) -> None:
    """Raise `IsolationError` for a host without an address, or with one that is dangerous to grant.

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
                f"{_text(name, port)} can't be granted: {name} leads to {address}, and {doubt}.",
                hint="Name a port, or grant the address itself with --yes-really.",
            )


def _text(name: str, port: str) -> str:
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
        f"{_text(host, port)} can't be granted: {host} has no address here ({reason}).",
        hint="Correct the name, or check the network.",
    )
