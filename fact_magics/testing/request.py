"""The requests that the model server received, without their keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fact_magics.testing.wires import Wire

_SECRET_WORDS = ("authorization", "key", "token", "secret", "cookie")


@dataclass(frozen=True, slots=True)
class Request:
    """A request from a client.

    Attributes
    ----------
    wire : str
        The protocol: ``anthropic``, ``openai`` or ``ollama``.
    path : str
        The path of the URL.
    headers : mapping of str to str
        The headers by lower-case name; secret values are ``[redacted]``.
    body : mapping
        The JSON body.
    model, system : str
        The model and the system prompt in the body.
    messages : tuple of (str, str)
        The role and the text of each turn, without the system prompt.
    """

    wire: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    model: str
    system: str
    messages: tuple[tuple[str, str], ...]
    _key_digests: frozenset[str] = field(repr=False)

    @property
    def text(self) -> str:
        """The text of the last turn, which the model should answer."""
        return self.messages[-1][1] if self.messages else ""

    def carries(self, key: str) -> bool:
        """Tell whether `key` was sent to authenticate this request."""
        return _digest(key) in self._key_digests


def record(
    wire: Wire, path: str, headers: Mapping[str, str], body: dict[str, Any], keys: Iterable[str]
) -> Request:
    """Keep what a client sent, without the keys: `keys` become hashes, with which they can be recognised."""
    return Request(
        wire=wire.name,
        path=path,
        headers={
            name: "[redacted]" if any(word in name for word in _SECRET_WORDS) else value
            for name, value in headers.items()
        },
        body=body,
        model=str(body.get("model")),
        system=wire.system(body),
        messages=wire.messages(body),
        _key_digests=frozenset(map(_digest, keys)),
    )


def keys_of(headers: Mapping[str, str]) -> list[str]:
    """Return the keys that authenticate a request."""
    sent = (headers.get("x-api-key", ""), headers.get("authorization", "").removeprefix("Bearer"))
    return [key.strip() for key in sent if key.strip()]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
