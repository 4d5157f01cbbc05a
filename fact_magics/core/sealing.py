"""The form of an answer in a cache that several machines share: signed, and checked like any outside input.

A sealed answer is a line that names the form, the signature, a line of JSON about the answer, a line with the
printed text, and the result. The signature also covers the key, so that an answer can't serve another run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fact_magics.store import CacheEntry

if TYPE_CHECKING:
    from pydantic import SecretStr

ABOUT_BYTES = 1_000
"""How many bytes of a sealed answer `about` needs."""

_FORM = b"fact_magics answer 1\n"
_SIGNATURE_BYTES = 32
_Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")]


class Unusable(Exception):
    """A value is not an answer that can be used; the message completes the sentence "It …"."""


class About(BaseModel):
    """The line about an answer; `CacheEntry` describes the fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    tool: str = Field(max_length=100)
    created_at: _Time
    expires_at: _Time | None
    duration_ms: float = Field(ge=0)


def seal(entry: CacheEntry, tool: str, secret: SecretStr) -> bytes:
    """Write an answer of the tool with this name, signed with the secret."""
    about = About(
        tool=tool,
        created_at=entry.created_at,
        expires_at=entry.expires_at,
        duration_ms=entry.duration_ms,
    )
    content = b"\n".join((about.model_dump_json().encode(), json.dumps(entry.printed).encode(), entry.result))
    return _FORM + _signature(entry.key, content, secret) + content


def unseal(value: bytes, key: str, tool_id: str, secret: SecretStr) -> CacheEntry:
    """Read the answer of a run; its result must still be checked against the return annotation.

    Raises
    ------
    Unusable
        The value has another form, is not signed with the secret, or is signed for another key.
    """
    if not value.startswith(_FORM):
        raise Unusable("was written by another version of fact_magics, or by another program")
    start = len(_FORM) + _SIGNATURE_BYTES
    content = value[start:]
    if not hmac.compare_digest(_signature(key, content, secret), value[len(_FORM) : start]):
        raise Unusable("is not signed with this SECRET_KEY")
    described, _, rest = content.partition(b"\n")
    printed, _, result = rest.partition(b"\n")
    try:
        known, text = About.model_validate_json(described), json.loads(printed)
    except (ValidationError, ValueError, RecursionError):
        raise Unusable("can't be read") from None
    if not isinstance(text, str):
        raise Unusable("can't be read")
    return CacheEntry(
        key=key,
        tool_id=tool_id,
        result=result,
        printed=text,
        duration_ms=known.duration_ms,
        created_at=known.created_at,
        expires_at=known.expires_at,
    )


def about(beginning: bytes) -> About | None:
    """Read the line that describes an answer, without checking its signature; None if it is missing."""
    described, newline, _ = beginning[len(_FORM) + _SIGNATURE_BYTES :].partition(b"\n")
    if not beginning.startswith(_FORM) or not newline:
        return None
    try:
        return About.model_validate_json(described)
    except ValidationError:
        return None


def _signature(key: str, content: bytes, secret: SecretStr) -> bytes:
    signed = b"\0".join((_FORM, key.encode(), content))
    given = secret.get_secret_value().encode("utf-8", "surrogatepass")
    return hmac.new(given, signed, hashlib.sha256).digest()
