"""What is left behind: by isolated calls, by an open database at the kernel's exit, by answers in memory.

Run it: ``python tests/benchmarks/bench_remains.py``. After three times 500 isolated calls there must be no process,
descriptor or scratch directory more than after the first ones, and the median of the three must take no more memory
than a few kilobytes a call; the same holds for three times 100 calls that fail, by errors, crashes and every limit. A kernel must exit within a second with its database
open.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Line, at_most, median, own_home, show
from kernels import kernel
from toolbox import REPEAT, stock

from fact_magics import values
from fact_magics.sandbox import Call, Limits, Sandbox
from fact_magics.store import CacheEntry, MemoryCache
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EXIT_SECONDS = 1.0
REST_SECONDS = 1.5  # until the zygotes are back that failing calls took with them
CALLS = 500
FAILING = 100
KILOBYTES_A_CALL = 4.0
# A failing call takes its zygote with it, and of each sandlock keeps some.
KILOBYTES_A_FAILURE = 16.0
ANSWERS = 10_000
EXITS = 5
BLOCKS = 3


def descendants() -> int:
    """Count the living processes below this one."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(folder.name)] = int(fields[1])
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return len(below) - 1


def resident_kilobytes() -> int:
    """Tell this process's resident memory."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def counts() -> dict[str, int]:
    """Count what a call could leave behind."""
    gc.collect()
    scratch = list(Path(tempfile.gettempdir()).rglob("*"))
    return {
        "processes": descendants(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "scratch files": len(scratch),
    }


async def after_calls(
    calls: int, call: Callable[[Sandbox, int], Awaitable[None]], what_kind: str, first: int
) -> list[Line]:
    """Make isolated calls and count before and after; `first` of them come before the counting."""
    limits = Limits(printed_bytes=1 << 20, result_bytes=1 << 20, file_bytes=1 << 20, processes=8, threads=50)
    sandbox = Sandbox(size=2, limits=limits)
    await sandbox.start()
    try:
        for number in range(first):
            await call(sandbox, number)
        await asyncio.sleep(REST_SECONDS)
        before, memory = counts(), [resident_kilobytes()]
        for _ in range(BLOCKS):
            for number in range(calls):
                await call(sandbox, number)
            await asyncio.sleep(REST_SECONDS)
            memory.append(resident_kilobytes())
        after = counts()
    finally:
        await sandbox.aclose()
    name = f"after {BLOCKS} × {calls} {what_kind} calls"
    lines = [
        at_most(
            f"{what}, {name}",
            0,
            after[what] - before[what],
            "",
            f"{before[what]} before, {after[what]} after",
        )
        for what in before
    ]
    # The allocator takes some megabytes at once now and then: that is in one block, a leak is in each of them.
    grown = [after - before for before, after in pairwise(memory)]
    measured = f"resident: {memory[0]:,} KB before, then {', '.join(f'{block:+,}' for block in grown)} KB"
    most = KILOBYTES_A_CALL if call is good_call else KILOBYTES_A_FAILURE
    return [*lines, at_most(f"memory, {name}", most, median(grown) / calls, "KB", measured)]


async def good_call(sandbox: Sandbox, number: int) -> None:
    """Run a small tool."""
    arguments = values.encode_call((), {"text": f"word {number}"})
    outcome = await sandbox.run(Call(REPEAT, "repeat", arguments))
    if outcome.status is not Status.OK:
        raise SystemExit(f"an isolated call failed: {outcome}")


# How calls fail: an error, crashes, and each limit.
FAILURES = (
    "raise ValueError",
    "os._exit(1)",
    "os.kill(os.getpid(), 9)",
    "os.kill(os.getpid(), 19)",
    "time.sleep(60)",
    "return 'x' * (2 << 20)",
    "print('x' * (2 << 20))\n    time.sleep(60)",
    "return bytearray(300 << 20)",
    "open('f', 'wb').write(bytes(2 << 20))",
    "[os.fork() or time.sleep(60) for _ in range(20)]",
    "if os.fork(): return 1\n    os.fork()\n    time.sleep(60)",
    "for n in range(500): open(str(n), 'w').close()\n    open('/etc/passwd')",
)


async def failing_call(sandbox: Sandbox, number: int) -> None:
    """Run a tool that fails, each in another way; every seventh is cancelled."""
    body = FAILURES[number % len(FAILURES)]
    source = f"import os, time\ndef tool():\n    {body}\n"
    wire = values.encode_call((), {})
    running = asyncio.ensure_future(
        sandbox.run(Call(source, "tool", wire, timeout_seconds=0.2, memory_mb=200))
    )
    if number % 7 == 6:
        await asyncio.sleep(0.05)
        running.cancel()
    await asyncio.wait((running,))


def cached_answers(answers: int) -> Line:
    """Measure what answers of about 1 KB take in memory, against what the cache counts."""
    cache = MemoryCache()
    gc.collect()
    tracemalloc.start()
    for number in range(answers):
        result = values.encode(f"{number:08} " + "x" * 1_000)
        cache.put(CacheEntry(key=f"{number:040x}", tool_id="t", result=result))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = cache.stats().bytes
    measured = f"{taken / 1e6:.1f} MB taken, {counted / 1e6:.1f} MB counted"
    return at_most(f"memory of {answers:,} cached answers", 1.5, taken / counted, "×", measured)


def kernel_exit(rounds: int) -> Line:
    """Time a kernel's exit, asked for as a front end does, with the database open."""
    taken = []
    with own_home() as env:
        asyncio.run(stock(env))
        for number in range(rounds):
            with kernel(env) as running:
                running.run("%load_ext fact_magics")
                running.run(f"%%fact_run repeat\ntext = 'a' * {number + 1}")
                taken.append(running.close())
    measured = f"{min(taken):.2f} to {max(taken):.2f} s, {rounds} kernels"
    return at_most("kernel exit, database open", EXIT_SECONDS, median(taken), "s", measured)


def measure(calls: int = CALLS, answers: int = ANSWERS, exits: int = EXITS) -> list[Line]:
    """Measure everything; what needs /proc only where there is one."""
    lines = [cached_answers(answers), kernel_exit(exits)]
    if sys.platform == "linux":
        with tempfile.TemporaryDirectory(prefix="fact-bench-") as folder:
            before, tempfile.tempdir = tempfile.tempdir, folder
            try:
                lines += asyncio.run(after_calls(calls, good_call, "isolated", 20))
                failing = min(calls, FAILING)
                # Until then the process takes memory that it keeps and uses again: about 20 MB in all.
                warm = min(calls, 2 * FAILING)
                lines += asyncio.run(after_calls(failing, failing_call, "failing", warm))
            finally:
                tempfile.tempdir = before
    return lines


if __name__ == "__main__":
    raise SystemExit(show(measure()))
