"""HTTP for `fact_magics.testing.ModelServer`: one request per connection, streamed answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from fact_magics.testing.wires import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.testing.wires import Reply, Wire

LARGEST_HEAD = 64 * 1024


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Read one request: its method, its path, its headers by lower-case name, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = request_line.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return method, target.partition("?")[0], headers, body


async def send_json(
    writer: asyncio.StreamWriter, status: int, value: dict[str, Any], headers: Mapping[str, str] | None = None
) -> None:
    """Send a complete JSON response."""
    body = dumps(value)
    own = {"content-type": "application/json", "content-length": str(len(body))}
    writer.write(_head(status, {**own, **(headers or {})}) + body)
    await writer.drain()


async def send_page(writer: asyncio.StreamWriter) -> None:
    """Send a web page, as the login page of a network does."""
    writer.write(_head(200, {"content-type": "text/html", "content-length": "17"}) + b"<h1>Log in</h1>\n\n")
    await writer.drain()


async def send_stream(writer: asyncio.StreamWriter, wire: Wire, reply: Reply, body: dict[str, Any]) -> None:
    """Stream a reply at its pace, and end the stream as its `ending` says."""
    own = {"content-type": wire.content_type, "transfer-encoding": "chunked"}
    writer.write(_head(200, {**own, **reply.headers}))
    if reply.ending != "complete":
        after = len(reply.text) // 2 if reply.after is None else reply.after
        reply = replace(reply, text=reply.text[:after])
    clock = asyncio.get_running_loop()
    began, tokens = clock.time(), 0
    pending = b""
    for frame in wire.frames(reply, body):
        if frame.last and reply.ending != "complete":
            break
        if reply.pace is not None and frame.paced:
            await asyncio.sleep(began + tokens / reply.pace - clock.time())
            tokens += 1
        # Each frame is held back until the next one, so that the last frame is sent together with the end of
        # the body. Otherwise a client could hang up between the two.
        if pending:
            writer.write(_chunk(pending))
            await writer.drain()
        pending = frame.data
    writer.write(_chunk(pending))
    if reply.ending == "error":
        writer.write(_chunk(wire.error_event("Overloaded")))
    elif reply.ending == "garbage":
        writer.write(_chunk(wire.garbage()))
    if reply.ending in ("complete", "cut", "error", "garbage"):
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    if reply.ending == "stall":
        await asyncio.Event().wait()
    elif reply.ending == "reset":
        await asyncio.sleep(0.05)  # lets the client read the data before the reset
        sock = cast("socket.socket", writer.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
