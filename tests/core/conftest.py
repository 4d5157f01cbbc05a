"""A core without a notebook, whose model is the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics import FactCore, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fact_magics.testing import ModelServer


@pytest.fixture(autouse=True)
def reserve(one_in_reserve: None) -> None:
    """Start no process that most tests do not need; modules that run several calls at once replace this."""


@pytest.fixture
def settings(home: Path, server: ModelServer) -> Settings:
    return load_settings({}, home.parent, {"FACT_HOME": str(home), **server.environment()})


@pytest.fixture
async def core(settings: Settings) -> AsyncIterator[FactCore]:
    async with FactCore(settings) as running:
        yield running
