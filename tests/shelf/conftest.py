"""What the shelf's tests share: its entries, its index, and its tools as functions."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.shelf.entry import SHELF, Entry, read_shelf
from fact_magics.shelf.search import ShelfIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def shelf() -> dict[str, Entry]:
    return {entry.name: entry for entry in read_shelf()}


@pytest.fixture(scope="session")
def index(shelf: dict[str, Entry]) -> Iterator[ShelfIndex]:
    index = ShelfIndex(list(shelf.values()))
    yield index
    index.close()


@pytest.fixture
def tool(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """The tool that a test module names as `TOOL`, imported from its file: these are our own files."""
    name = request.module.TOOL if not hasattr(request, "param") else request.param
    spec = importlib.util.spec_from_file_location(name, SHELF / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)
