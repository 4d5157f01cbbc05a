"""Messages between the notebook's process and a pool's process: marshalled tuples, each after its length."""

from __future__ import annotations

import asyncio
import marshal
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = 8


class Channel(asyncio.Protocol):
    """One end of the connection. `on_message` gets each message, and `on_end` is called at the end.

    Both ends trust each other: they are processes of this package, outside all sandboxes.
    """

    def __init__(self, on_message: Callable[[Any], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._received = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for `send`."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and pass on the messages that are complete."""
        self._received += data
        while len(self._received) >= _PREFIX:
            end = _PREFIX + int.from_bytes(self._received[:_PREFIX], "big")
            if len(self._received) < end:
                return
            with memoryview(self._received) as received:
                message = marshal.loads(received[_PREFIX:end])  # noqa: S302 - from this package
            del self._received[:end]
            self._on_message(message)

    def connection_lost(self, _: Exception | None) -> None:
        """Report that the other end is gone, or that this end was closed."""
        self._on_end()

    def send(self, *message: Any) -> None:
        """Send a message, which may hold only what `marshal` accepts; without effect once closed."""
        if self._transport is not None and not self._transport.is_closing():
            body = marshal.dumps(message)
            self._transport.write(len(body).to_bytes(_PREFIX, "big") + body)

    def close(self) -> None:
        """Close this end once everything was sent; closing twice is not an error."""
        if self._transport is not None:
            self._transport.close()
