"""A sandbox of plain processes and of zygotes, and tools to probe in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fact_magics.probing.prober import probe
from fact_magics.sandbox import Sandbox
from fact_magics.tool import ToolMetadata, ToolVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fact_magics.probing.questions import Probe


def version_of(source: str, contract: str = "", **about: object) -> ToolVersion:
    """Make a version of the last function of a source."""
    name = source.rpartition("def ")[2].partition("(")[0]
    return ToolVersion(ToolMetadata(name=name, contract=contract, proven=bool(contract), **about), source)


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
