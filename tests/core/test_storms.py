"""Generations against a server that fails at random: each ends in a tool or in one clear line, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.errors import GenerationFailed, ProviderError
from fact_magics.providers import choose as choosing
from fact_magics.testing.wires import Ending

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def reserve() -> None:
    """Calls run at once here: start as many processes in advance as a notebook does."""


GOOD = "def double(n: int) -> int:\n    return 2 * n\n"
STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 429, 451, 500, 502, 503, 504, 529)
ENDINGS = [ending for ending in get_args(Ending) if ending != "complete"]


def script(server, chance):
    """Script one request: mostly a fault."""
    fault = chance.choice(
        ("status", "status", "ending", "ending", "pause", "stop", "wrong", "wrong", "good", "good")
    )
    text = f"Here:\n```python\n{GOOD}```\n"
    if fault == "status":
        server.fails(chance.choice(STATUSES), chance.choice(("Loading model", "no", "spend limit", "")))
    elif fault == "ending":
        server.breaks(text, chance.choice(ENDINGS), after=chance.choice((0, 3, 30, 60)))
    elif fault == "pause":
        server.fails(429, retry_after=chance.choice((0, 0.01, 31, 86_400)))
    elif fault == "stop":
        server.reply(chance.choice(("", "No.", text)), stop_reason=chance.choice(("refusal", "max_tokens")))
    elif fault == "wrong":
        server.writes(GOOD.replace("2", str(chance.randrange(3, 9))))
    else:
        server.writes(GOOD, delay=chance.choice((0, 0.05)))


def left_open():
    """Count this process's sockets and child processes."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was the one that lists them
            found += str(descriptor.readlink()).startswith("socket:")
    return found, len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize(
    ("model", "generations"),
    [
        ("claude-sonnet-5-5", 8),
        ("openai/gpt-4o", 5),
        pytest.param("claude-sonnet-5-5", 100, marks=pytest.mark.thorough),
        pytest.param("openai/gpt-4o", 100, marks=pytest.mark.thorough),
        pytest.param("llama_cpp/small", 100, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.usefixtures("no_user_settings")
async def test_each_ends_in_a_tool_or_one_line_and_leaves_nothing(
    server, home, monkeypatch, model, generations
):
    patience = choosing.Patience(first_delay_seconds=0.01, longest_delay_seconds=0.02)
    monkeypatch.setattr(choosing, "Patience", lambda **_: patience)
    environment = {"FACT_HOME": str(home), "LLAMA_CPP_API_BASE": server.url, **server.environment()}
    chance = random.Random(4711)  # noqa: S311 - no secrets
    ends: Counter[str] = Counter()
    async with FactCore(load_settings({}, home.parent, environment)) as core:
        spec = ToolSpec("double", "Double.\n\n>>> double(2)\n4\n", model=model, fresh=True)
        server.writes(GOOD)
        await core.generate(spec)  # imports the SDK, and starts what stays
        patience = replace(patience, silence_seconds=1.5)
        tasks, before = len(asyncio.all_tasks()), left_open()
        rows = len(await core.list_generations(limit=None))
        for _ in range(generations):
            for _ in range(20):
                script(server, chance)
            asked = len(server.requests)
            try:
                async with asyncio.timeout(120):
                    tool = await core.generate(spec)
            except (GenerationFailed, ProviderError) as error:
                ends["one line" if error.hint and "\n" not in error.line else repr(error)] += 1
            else:
                assert await tool.acall(2) == 4
                ends["tool"] += 1
            assert len(server.requests) > asked
            server.clear()
        assert len(asyncio.all_tasks()) <= tasks
        gc.collect()
        assert left_open() <= before
        recorded = await core.list_generations(limit=None)
        assert len(recorded) - rows >= generations
        assert {row.status for row in recorded} <= {"ok", "error"}
    print(model, dict(ends))
    assert set(ends) == {"tool", "one line"}
