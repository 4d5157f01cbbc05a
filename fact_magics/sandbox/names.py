"""Hosts that a tool may reach, looked up before a zygote that may reach them is started."""

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
    """See that each host has an address, and that its name leads nowhere that needs a word of its own.

    A name says nothing about where it leads: whoever owns it may let it lead to this machine, or to a cloud's
    keys, as `fact_magics.permissions.dangers` would have said of the address.

    Parameters
    ----------
    endpoints : iterable of (str, str)
        Host and port.

    Raises
    ------
    IsolationError
        A host has no address, or one that was not agreed to.
    """
    for host, port in endpoints:
        if read_address(host) is not None:
            continue
        text = f"net:{host}" if port == ANY_PORT else f"net:{host}:{port}"
        for address in await _addresses(host, text):
            doubt = endpoint_doubt(address, port)
            if doubt and not endpoint_doubt(host, port):
                raise IsolationError(
                    f"{text} can't be granted: {host} leads to {address}, and {doubt}.",
                    hint="Name a port, or grant the address itself with --yes-really.",
                )


async def _addresses(host: str, text: str) -> list[str]:
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
        f"{text} can't be granted: {host} has no address here ({reason}).",
        hint="Correct the name, or see to the network.",
    )
