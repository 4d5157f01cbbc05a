"""One sandbox a module, and a short way to call a tool in it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fact_magics import values
from fact_magics.sandbox import Call, Limits, Outcome, Sandbox
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MIB = 1 << 20


class Bench:
    """A sandbox and ways to use it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def run(
        self, source: str, *args: object, on_printed: Callable[[str], None] | None = None, **options: Any
    ) -> Outcome:
        """Run `tool` of `source` with positional arguments."""
        wire = values.encode({"args": list(args), "kwargs": {}})
        call = Call(textwrap.dedent(source), "tool", wire, **options)
        return await self.sandbox.run(call, on_printed)

    async def value(self, source: str, *args: object, **options: Any) -> Any:
        """Run it, expect it to succeed, and decode what it returned."""
        outcome = await self.run(source, *args, **options)
        assert outcome.status is Status.OK, outcome
        assert outcome.result is not None
        return values.decode(outcome.result)

    async def error(self, source: str, *args: object, **options: Any) -> str:
        """Run it, expect it to raise, and give ``Type: message``."""
        outcome = await self.run(source, *args, **options)
        assert outcome.status is Status.ERROR, outcome
        assert outcome.error is not None
        return f"{outcome.error.type_name}: {outcome.error.message}"


@pytest.fixture(scope="module")
def limits() -> Limits:
    """Limits small enough to be reached in a test."""
    return Limits(
        result_bytes=32 * MIB,
        printed_bytes=4 * MIB,
        printed_kept=10_000,
        file_bytes=8 * MIB,
        scratch_bytes=16 * MIB,
        processes=16,
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bench(limits: Limits) -> AsyncIterator[Bench]:
    """A sandbox as the system enforces it."""
    sandbox = Sandbox(mode="require", size=2, limits=limits)
    await sandbox.start()
    yield Bench(sandbox)
    await sandbox.aclose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def unwalled(limits: Limits) -> AsyncIterator[Bench]:
    """Fresh processes without walls: here an attack succeeds, which shows that it is one."""
    sandbox = Sandbox(mode="process", size=2, limits=limits)
    yield Bench(sandbox)
    await sandbox.aclose()
