"""Kernels that ask a scripted model server over the real wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def modelled(start_kernel: Callable, server: ModelServer, request: pytest.FixtureRequest):
    """A kernel whose model is the server, on the ipykernel that the test names, else on 7."""
    return start_kernel(version=getattr(request, "param", 7), **server.environment())


EACH_KERNEL = pytest.mark.parametrize("modelled", [7, 6], indirect=True, ids=["ipykernel7", "ipykernel6"])


@pytest.fixture
def shout() -> str:
    """A tool's source that no shelf has."""
    return (
        "def shout(text: str, *, times: int = 1) -> str:\n"
        '    """Write text loudly."""\n'
        '    return text.upper() + "!" * times\n'
    )


@pytest.fixture
def shout_cell() -> str:
    return '%%fact_generate shout\nWrite text loudly.\n\n>>> shout("hi")\n\'HI!\'\n'
