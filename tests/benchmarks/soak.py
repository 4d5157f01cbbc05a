"""Use everything at random for a while, from several processes that are killed now and then; then look what is left.

Run it: ``python tests/benchmarks/soak.py --seconds 600 --seed 1``. It ends with exit code 1 if the database is not
sound, a row of a run that had ended is missing, an answer was wrong, or memory, files or processes were left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fact_magics import FactCore, ToolInput, load_settings
from fact_magics.errors import FactError
from fact_magics.store import Store
from fact_magics.text import utc_text

KERNELS = 3
_FROM_KILL_TO_KILL = 4.0
_MOST_GROWTH_MB = 60.0  # of a process between its first and its last quarter
_SETTLED_SECONDS = 5.0

SOURCES = {
    "double": "def double(n: int) -> int:\n    return 2 * n\n",
    "slow": "import time\n\n\ndef slow(n: int) -> int:\n    time.sleep(0.05)\n    return 2 * n\n",
    "loud": "def loud(n: int) -> int:\n    print('n' * (n % 5000))\n    return 2 * n\n",
    "failing": "def failing(n: int) -> int:\n    if n % 3 == 0:\n        raise ValueError(n)\n    return 2 * n\n",
    "endless": "def endless(n: int) -> int:\n    while n % 2:\n        pass\n    return 2 * n\n",
    "large": "def large(n: int) -> list[int]:\n    return [n] * (n % 20_000)\n",
    "chance": "import random\n\n\ndef chance(n: int) -> float:\n    return random.random()\n",
}
_RIGHT = {
    "double": lambda n: 2 * n,
    "slow": lambda n: 2 * n,
    "loud": lambda n: 2 * n,
    "large": lambda n: [n] * (n % 20_000),
}


class Kernel:
    """One process that works on the shared database, and notes what has ended in a file of its own."""

    def __init__(self, core: FactCore, rng: random.Random, ended: Any) -> None:
        self._core = core
        self._random = rng
        self._ended = ended
        self._numbers = 0

    def _number(self) -> int:
        """Choose a new number, which finds its row again, or an earlier one, which the cache may know."""
        self._numbers += 1
        return os.getpid() * 1_000_000 + self._numbers

    async def _run(self, name: str, n: int, **options: Any) -> None:
        output = await self._core.execute_tool(ToolInput(name, {"n": n}, **options))
        known = output.metadata
        if output.success and name in _RIGHT and output.result != _RIGHT[name](n):
            self._note(wrong=f"{name}({n}) gave {output.result!r:.80}")
        if name == "chance" and known.get("cached"):
            self._note(wrong="a random answer came from the cache")
        if not known.get("warning"):
            self._note(tool=name, n=n)

    def _note(self, **what: Any) -> None:
        self._ended.write(json.dumps(what) + "\n")
        self._ended.flush()

    async def new(self) -> None:
        """A run with a new input."""
        await self._run(self._random.choice([*SOURCES]), self._number(), timeout_seconds=0.5)

    async def known(self) -> None:
        """A run that was probably made before, perhaps by another kernel at this moment."""
        await self._run(self._random.choice([*_RIGHT]), self._random.randrange(50))

    async def many(self) -> None:
        """Many calls at once, some the same."""
        numbers = [self._random.choice((self._number(), 7)) for _ in range(30)]
        await asyncio.gather(*(self._run(self._random.choice([*_RIGHT]), n) for n in numbers))

    async def interrupted(self) -> None:
        """A run that is stopped after a while."""
        running = asyncio.ensure_future(self._run("slow", self._number()))
        await asyncio.sleep(self._random.random() * 0.1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def invalid(self) -> None:
        """An input that does not fit."""
        await self._core.execute_tool(ToolInput("double", {"n": "x"}))

    async def edited(self) -> None:
        """A new version, and back."""
        source = SOURCES["double"] + f"# {self._number()}\n"
        version = (await self._core.edit_tool("double", source)).version
        await self._run(f"double@{version}", self._number())

    async def rolled_back(self) -> None:
        """An earlier version."""
        versions = await self._core.versions("double")
        await self._core.roll_back("double", self._random.choice(versions).metadata.version)

    async def exported(self) -> None:
        """A tool that travels."""
        text = await self._core.export_tool("double")
        await self._core.import_tool(
            text.replace("double", f"double_{self._random.randrange(5)}"), replace=True
        )

    async def read(self) -> None:
        """Lists, searches and statistics."""
        await self._core.list_runs(limit=50, search=str(self._random.randrange(50)))
        await self._core.list_runs(limit=50, session_id=self._core.session_id)
        await self._core.list_generations(limit=50)
        await self._core.list_tools("double")
        await self._core.stats()

    async def kept_for_a_while(self) -> None:
        """An answer that is good for a moment."""
        await self._core.execute_tool(ToolInput("chance", {"n": 1}, ttl_seconds=2))

    async def cleared(self) -> None:
        """Answers are removed while others use them."""
        before = datetime.now(UTC) - timedelta(seconds=self._random.choice((0, 5)))
        await self._core.clear_cache(before=utc_text(before))

    async def pruned(self) -> None:
        """The history is shortened, but not by what the soak looks for at its end."""
        await self._core.prune("90d")

    async def work(self, until: float) -> None:
        """Do one thing after another, several at a time."""
        things = [
            *[self.new] * 12, *[self.known] * 12, *[self.many] * 2, *[self.interrupted] * 3, self.invalid, self.edited,
            self.rolled_back, self.exported, *[self.read] * 2, self.kept_for_a_while, self.cleared, self.pruned,
        ]  # fmt: skip
        while time.time() < until:
            chosen = [self._random.choice(things) for _ in range(self._random.randrange(1, 4))]
            for thing, ended in zip(
                chosen, await asyncio.gather(*(one() for one in chosen), return_exceptions=True), strict=True
            ):
                if isinstance(ended, FactError):
                    self._note(refused=f"{thing.__name__}: {ended}")
                elif isinstance(ended, BaseException):
                    self._note(wrong=f"{thing.__name__}: {ended!r}")
            self._note(memory_mb=_memory_mb())


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def kernel(home: Path, seed: int, until: float, noted: Path) -> None:
    """Work in this process until a time; a kill may end it earlier."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    with noted.open("w", encoding="utf-8") as file:
        async with FactCore(load_settings({}, home.parent, {**env, "FACT_HOME": str(home)})) as core:
            await Kernel(core, random.Random(seed), file).work(until)  # noqa: S311 - a repeatable choice


async def prepare(home: Path) -> Path:
    """Store the tools; returns the path of the database."""
    from toolbox import candidate

    path = load_settings({}, home.parent, {"FACT_HOME": str(home)}).database_path
    async with await Store.open(path) as store:
        for name, source in SOURCES.items():
            made = candidate(name, source)
            await store.tools.accept(made.model_copy(update={"contract": "", "varies": name == "chance"}))
    return path


def soak(folder: Path, seconds: float, seed: int) -> tuple[list[str], dict[str, Any]]:
    """Let kernels work and die; returns what is wrong, and what happened."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable choice
    home = folder / "home"
    database = asyncio.run(prepare(home))
    temporary = folder / "tmp"
    temporary.mkdir()
    until = time.time() + seconds
    running: list[subprocess.Popen[bytes]] = []
    started = killed = 0
    while time.time() < until:
        running = [process for process in running if process.poll() is None]
        while len(running) < KERNELS:
            started += 1
            command = [
                sys.executable,
                __file__,
                "--kernel",
                str(home),
                str(seed + started),
                str(until),
                str(folder / f"{started}.jsonl"),
            ]
            running.append(subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)}))
        time.sleep(min(_FROM_KILL_TO_KILL * 2 * rng.random(), max(0.0, until - time.time())))
        if time.time() < until - 1:
            rng.choice(running).send_signal(signal.SIGKILL)
            killed += 1
    codes = [process.wait(60) for process in running]
    wrong = [f"a kernel ended with exit code {code}" for code in codes if code not in (0, -signal.SIGKILL)]
    noted = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in _whole_lines(path)]
    wrong += [each["wrong"] for each in noted if "wrong" in each]
    wrong += _lost(database, [each for each in noted if "n" in each])
    wrong += [told for path in sorted(folder.glob("*.jsonl")) for told in _growth(path)]
    wrong += _left_behind(temporary, running)
    happened = {
        "kernels": started,
        "killed": killed,
        "ended runs": sum("n" in each for each in noted),
        "refused": sum("refused" in each for each in noted),
        "megabytes": round(database.stat().st_size / 1e6, 1),
    }
    return wrong, happened


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _lost(database: Path, ended: list[dict[str, Any]]) -> list[str]:
    """Check the database, and find each run that had ended."""
    with closing(sqlite3.connect(database)) as connection:
        [sound] = connection.execute("PRAGMA integrity_check").fetchone()
        wrong = [] if sound == "ok" else [f"the database is not sound: {sound}"]
        rows: dict[tuple[str, int], int] = {}
        for name, given in connection.execute("SELECT tool_name, input_data FROM tool_executions"):
            n = json.loads(given).get("n")
            rows[name, n] = rows.get((name, n), 0) + 1
    counted: dict[tuple[str, int], int] = {}
    for each in ended:
        key = each["tool"].partition("@")[0], each["n"]
        counted[key] = counted.get(key, 0) + 1
    missing = [
        f"{name}({n}) ended {count} times and has {rows.get((name, n), 0)} rows"
        for (name, n), count in counted.items()
        if rows.get((name, n), 0) < count
    ]
    return wrong + missing[:5]


def _growth(path: Path) -> list[str]:
    memory = [json.loads(line)["memory_mb"] for line in _whole_lines(path) if "memory_mb" in line]
    quarter = len(memory) // 4
    if quarter < 10:  # killed too early to tell
        return []
    first, last = max(memory[:quarter]), min(memory[-quarter:])
    grown = last - first
    return [f"a kernel grew from {first:.0f} to {last:.0f} MB"] if grown > _MOST_GROWTH_MB else []


def _left_behind(temporary: Path, kernels: list[subprocess.Popen[bytes]]) -> list[str]:
    """Find directories and processes of kernels that have ended in peace; the next kernel removes those of killed ones."""
    owners = {str(process.pid) for process in kernels if process.returncode == 0}
    left = [path.name for path in temporary.glob("fact_magics-*") if path.name.split("-")[1] in owners]
    end = time.monotonic() + _SETTLED_SECONDS
    while (alive := _processes_in(temporary)) and time.monotonic() < end:
        time.sleep(0.1)
    return [f"directories are left: {left}"] * bool(left) + [f"processes are left: {alive}"] * bool(alive)


def _processes_in(temporary: Path) -> list[int]:
    """List the processes whose temporary files are in a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.resolve().is_relative_to(temporary):
                found.append(int(path.parent.name))
    return found


def main() -> int:
    """Soak, or be one of its kernels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).timestamp()))
    parser.add_argument("--kernel", nargs=4, metavar=("HOME", "SEED", "UNTIL", "NOTES"))
    chosen = parser.parse_args()
    if chosen.kernel:
        home, seed, until, noted = chosen.kernel
        asyncio.run(kernel(Path(home), int(seed), float(until), Path(noted)))
        return 0
    with tempfile.TemporaryDirectory(prefix="fact-soak-") as folder:
        wrong, happened = soak(Path(folder), chosen.seconds, chosen.seed)
    print(f"seed {chosen.seed}: {happened}")
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
