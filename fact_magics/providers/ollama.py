"""Find the models of a local Ollama, without an HTTP library."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fact_magics.providers.failures import checked_url

if TYPE_CHECKING:
    from fact_magics.config import Settings

OLLAMA_URL = "http://127.0.0.1:11434"

_PROBE_SECONDS = 0.3
_LARGEST_LIST = 1_000_000


def ollama_url(settings: Settings) -> str:
    """Return ``OLLAMA_API_BASE``, checked by `checked_url`, or else the usual address of a local Ollama."""
    named = settings.providers.get("OLLAMA_API_BASE")
    return checked_url(named.get_secret_value(), "OLLAMA_API_BASE") if named else OLLAMA_URL


async def local_models(url: str) -> tuple[str, ...]:
    """Return the models of the Ollama at `url`, with code models first.

    The tuple is empty if no Ollama answers within 0.3 s.
    """
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            listed = json.loads(await _get(f"{url.rstrip('/')}/api/tags"))
        names = [str(entry["name"]) for entry in listed["models"]]
    except (OSError, EOFError, ValueError, LookupError, TypeError, asyncio.LimitOverrunError):
        return ()
    usable = [name for name in names if name.isprintable() and "embed" not in name]
    return tuple(sorted(usable, key=lambda name: "code" not in name))


async def _get(url: str) -> bytes:
    """Fetch a small document without an HTTP library, whose import would take longer than the answer."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    try:
        # HTTP/1.0, so that the body comes in one piece and ends with the connection.
        writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.hostname}:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if head.split(maxsplit=2)[1] != b"200":
            raise ValueError("no list of models")
        body = bytearray()
        while part := await reader.read(65_536):
            body += part
            if len(body) > _LARGEST_LIST:
                raise ValueError("too long for a list of models")
        return bytes(body)
    finally:
        writer.close()
