"""Figures and images that a tool returns are rendered in its process, which has no display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.pictures import image

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CHART = """
    import sys
    was_there = "matplotlib.pyplot" in sys.modules

    from matplotlib import get_cachedir, get_configdir, pyplot as plt

    def tool(size):
        figure, axes = plt.subplots(figsize=(size, 2))
        axes.set_title("Wide")
        return [plt.get_backend(), was_there, get_cachedir(), get_configdir(), figure]
    """
OPTIONS: dict[str, Any] = {"imports": ("matplotlib",), "timeout_seconds": 60}


async def test_a_figure_is_drawn_without_a_display_and_its_caches_stay_in_the_scratch(bench: Bench) -> None:
    """Each call finds pyplot imported, and nothing is written outside its own directories."""
    backend, was_there, *directories, drawn = await bench.value(CHART, 3, **OPTIONS)
    home = await bench.value("def tool(): import os; return os.environ['HOME']")
    assert (backend.lower(), was_there) == ("agg", True)
    assert image(drawn).title == "Wide"
    root = home.rsplit("/", 2)[0]
    assert all(directory.startswith(root) for directory in directories)


async def test_a_fresh_process_draws_it_too(unwalled: Bench) -> None:
    """Without zygotes nothing is preloaded."""
    backend, was_there, *_, drawn = await unwalled.value(CHART, 3, **OPTIONS)
    assert (backend.lower(), was_there) == ("agg", False)
    assert image(drawn).title == "Wide"


async def test_a_huge_figure_is_one_clear_error(bench: Bench) -> None:
    """The tool fails before memory is taken."""
    said = await bench.error(CHART, 3_000_000, **OPTIONS)
    assert said.endswith("result[4]: a figure of 300,000,000 by 200 pixels can't leave the tool; "
                         "return one of at most 50,000,000 pixels")  # fmt: skip


async def test_an_image_is_rendered(bench: Bench) -> None:
    source = "from PIL import Image\ndef tool(): return Image.new('CMYK', (30, 20))"
    assert image(await bench.value(source, imports=("PIL",))).size == (30, 20)
