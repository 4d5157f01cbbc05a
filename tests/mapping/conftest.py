"""A core with a stored tool, and a sandbox that the tests of a file share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fact_magics import FactCore, load_settings
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture
async def core(home: Path) -> AsyncIterator[FactCore]:
    async with FactCore(load_settings({}, home.parent, {"FACT_HOME": str(home)})) as running:
        yield running


@pytest.fixture
def keep(core: FactCore) -> Callable[..., Awaitable[Any]]:
    """Store a source as a proven version of the tool ``f``."""

    async def keep(source: str, **fields: object) -> Any:
        identity = signature_identity(read_signature(source, "f"))
        known = {"contract": ">>> f(1)\n1", "proven": True, "provider": "hand", "description": "d", **fields}
        candidate = Candidate(name="f", source=source, signature_id=identity, **known)  # type: ignore[arg-type]
        await core._store.tools.accept(candidate, session_id=core.session_id)
        return await core.tool("f")

    return keep
