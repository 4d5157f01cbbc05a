"""How often caches give a stale answer, or miss one that they have, while tools, inputs and files change.

Run it: ``python tests/benchmarks/bench_gauntlet.py``. Every cache goes through the same 5,000 seeded changes. To
`functools.lru_cache` and `joblib.Memory`, a tool is a decorated function in one notebook cell, and its constant and
helper are another cell, as they would be without fact_magics. 0 stale and 0 missed are promised.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from figures import Line, at_most, own_home, show
from gauntlet import CONTRACTS, HEAD, TOOLS, World

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gauntlet import Question

CHANGES = 5_000
SEED = 1
# Answers a question after the change of a kind to a tool, or to none; gives the answer and whether it was cached.
Ask = Callable[[str, str, "Question"], Awaitable[tuple[Any, bool]]]


class Notebook:
    """The tools as decorated functions: `decorate` adds the cache, and a call that runs is counted."""

    def __init__(self, world: World, folder: Path, decorate: Callable[[Any], Any]) -> None:
        self._world = world
        self._folder = folder
        self._decorate = decorate
        self._cells: dict[str, dict[str, Any]] = {}
        self._runs = 0
        for name in CONTRACTS:
            self._run_cells(name, "suffix")
            world.stored(name, "0")

    def _run_cells(self, name: str, changed: str) -> None:
        parts = self._world.parts[name]
        cell = self._cells.setdefault(name, {})
        exec(HEAD.format(**parts), cell)  # noqa: S102 - the sources of the gauntlet
        cell["_helper"] = self._counting(cell["_helper"])
        if changed in ("constant", "helper"):
            return
        source = TOOLS[name].format(**parts)
        path = self._folder / f"{name}.py"
        path.write_text(source)  # joblib reads the source of a function
        exec(compile(source, str(path), "exec"), cell)  # noqa: S102 - the sources of the gauntlet
        cell["asked"] = self._decorate(cell[name])

    def _counting(self, helper: Callable[[Any], str]) -> Callable[[Any], str]:
        def counted(value: Any) -> str:
            self._runs += 1
            return helper(value)

        return counted

    async def ask(self, changed: str, name: str, question: Question) -> tuple[Any, bool]:
        """Run the cells that changed, and ask."""
        if name:
            self._run_cells(name, changed)
            self._world.stored(name, str(len(self._world.versions.get(name, ()))))
        before = self._runs
        parameters = self._world.as_passed(question.tool, question.parameters)
        function = self._cells[question.tool]["asked"]
        try:
            answer = function(**parameters)
        except TypeError:  # functools.lru_cache takes hashable values only
            answer = function.__wrapped__(**parameters)
        except ValueError:
            answer = None
        return answer, self._runs == before


async def through(world: World, changes: int, ask: Ask) -> tuple[int, int, int]:
    """Go through the changes; returns how many answers were stale, missed and right from the cache."""
    answered: set[tuple[object, ...]] = set()
    stale = missed = hits = 0
    for _ in range(changes):
        kind, name = world.change()
        question = world.ask(name or world.random.choice([*CONTRACTS]))
        answer, hit = await ask(kind, name, question)
        is_stale = answer != question.answer
        stale += is_stale
        missed += not hit and question.identity in answered
        hits += hit and not is_stale
        if question.answer is not None:
            answered.add(question.identity)
    return stale, missed, hits


@contextmanager
def a_world() -> Iterator[World]:
    """Make a world in a folder of its own, which is on `sys.path` and is the working directory meanwhile."""
    before = Path.cwd()
    with TemporaryDirectory(prefix="fact-gauntlet-") as folder:
        packages = Path(folder) / "site-packages"
        packages.mkdir()
        sys.path.insert(0, str(packages))
        os.chdir(folder)
        try:
            yield World(packages, SEED, pinned=0)
        finally:
            os.chdir(before)
            sys.path.remove(str(packages))


async def with_fact_magics(changes: int) -> tuple[int, int, int]:
    """Go through the changes with a core."""
    with a_world() as world, own_home() as home, ModelServer() as server:
        env = {**home, **server.environment()}
        async with FactCore(load_settings({}, Path(env["FACT_HOME"]), env)) as core:
            for name in CONTRACTS:
                server.writes(world.source(name))
                tool = await core.generate(ToolSpec(name, f"Do {name}.\n\n{CONTRACTS[name]}\n"))
                world.stored(name, tool.version)

            async def ask(changed: str, name: str, question: Question) -> tuple[Any, bool]:
                if changed == "rollback":
                    await core.roll_back(name, world.current[name])
                elif name:
                    world.stored(name, (await core.edit_tool(name, world.source(name))).version)
                output = await core.execute_tool(ToolInput(question.tool, question.parameters))
                return output.result, bool(output.metadata["cached"])

            return await through(world, changes, ask)


async def with_decorator(changes: int, decorate: Callable[[Any], Any]) -> tuple[int, int, int]:
    """Go through the changes with decorated functions."""
    with a_world() as world, TemporaryDirectory(prefix="fact-cells-") as folder:
        return await through(world, changes, Notebook(world, Path(folder), decorate).ask)


async def main(changes: int) -> list[Line]:
    """Let each cache go through the changes; only ours promises something."""
    stale, missed, hits = await with_fact_magics(changes)
    told = f"{changes:,} changes, {hits:,} answers from the cache"
    lines = [
        at_most("stale answers", 0, stale, "", told),
        at_most("missed answers", 0, missed, "", told),
    ]
    others = {"functools.lru_cache": lru_cache(maxsize=None)}
    with TemporaryDirectory(prefix="fact-joblib-") as folder:
        try:
            from joblib import Memory
        except ImportError:
            print("joblib is not installed")
        else:
            others["joblib.Memory"] = Memory(folder, verbose=0).cache
        for name, decorate in others.items():
            stale, missed, hits = await with_decorator(changes, decorate)
            print(
                f"{name}: {stale} stale, {missed} missed; {changes:,} changes, {hits:,} right from the cache"
            )
    return lines


def measure(changes: int = CHANGES) -> list[Line]:
    """Measure ours, and show what others do."""
    return asyncio.run(main(changes))


if __name__ == "__main__":
    raise SystemExit(show(measure()))
