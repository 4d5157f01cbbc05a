"""A sandbox of plain processes and of zygotes, and tools to probe in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from versions import version_of

from fact_magics.probing.prober import probe
from fact_magics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fact_magics.probing.questions import Probe


@pytest.fixture(scope="module")
def probed() -> Iterator[Callable[..., Probe]]:
    """Probe a source with a contract; all probes of a module share one sandbox."""
    with asyncio.Runner() as runner:
        sandbox = Sandbox()

        def run(source: str, contract: str = "", seconds: float = 20.0) -> Probe:
            version = version_of(source, contract)
            return runner.run(probe(version, sandbox, seconds, lambda _: None))

        yield run
        runner.run(sandbox.aclose())
