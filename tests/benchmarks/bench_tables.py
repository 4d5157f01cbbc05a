"""What passing a table in and out costs against writing and reading a Feather file.

Run it: ``python tests/benchmarks/bench_tables.py``. A DataFrame of a million rows and ten columns of floats goes to a
tool that returns it, in isolation: written, sent, read there, and back. `to_feather` and `read_feather` of the same
frame, in memory where the system has a file system there, and a call without a table are measured turn by turn. The
time of the round trip, less that of the bare call, is promised to be at most 1.5 times that of the file. Hashing the
table for the cache is shown by itself.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from figures import Line, at_most, median, show, shown

from fact_magics.sandbox import Call, Sandbox
from fact_magics.tool import Status
from fact_magics.values import decode_result, encode_call
from fact_magics.values.summaries import describe
from fact_magics.values.tables import open_table, stand_ins

PROMISED = 1.5
ROUNDS = 9
ROWS = 1_000_000
SAME = "import pandas as pd\n\ndef same(df: pd.DataFrame) -> pd.DataFrame:\n    return df\n"
BARE = "import pandas as pd\n\ndef same(df: int) -> int:\n    return df\n"
MEMORY = Path("/dev/shm")  # noqa: S108 - only the parent of a directory with a name of its own


async def passed(sandbox: Sandbox, source: str, value: Any) -> tuple[float, Any]:
    """Pass a value in and out; milliseconds, and what came back."""
    started = time.perf_counter()
    arguments = encode_call((), {"df": stand_ins(value)})
    outcome = await sandbox.run(Call(source, "same", arguments, imports=("pandas",), tables=source == SAME))
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    got = decode_result(outcome.result)
    got = open_table(got) if source == SAME else got  # type: ignore[arg-type]
    return (time.perf_counter() - started) * 1e3, got


def filed(frame: pd.DataFrame, path: Path) -> float:
    """Write a frame to a file, and read it back; milliseconds."""
    started = time.perf_counter()
    frame.to_feather(path)
    pd.read_feather(path)
    return (time.perf_counter() - started) * 1e3


async def measure(rounds: int = ROUNDS, rows: int = ROWS) -> list[Line]:
    """Measure the round trips, turn by turn."""
    frame = pd.DataFrame({f"c{at}": np.random.default_rng(at).random(rows) for at in range(10)})
    tables, bare, files, hashed = [], [], [], []
    sandbox = Sandbox(size=1)
    await sandbox.start()
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        try:
            await passed(sandbox, SAME, frame.head())
            for _ in range(rounds):
                took, got = await passed(sandbox, SAME, frame)
                pd.testing.assert_frame_equal(got, frame)
                del got
                tables.append(took)
                bare.append((await passed(sandbox, BARE, 1))[0])
                files.append(filed(frame, Path(folder, "frame")))
                table, started = stand_ins(frame), time.perf_counter()
                describe(table, frame)
                hashed.append((time.perf_counter() - started) * 1e3)
        finally:
            await sandbox.aclose()
    trip, call, file = median(tables), median(bare), median(files)
    measured = f"{trip:.0f} ms, {call:.1f} ms without a table; the file {file:.0f} ms"
    return [
        at_most("a table in and out", PROMISED, (trip - call) / file, "x", measured),
        shown("hashing it for the cache", median(hashed), "ms", f"{rows:,} rows by 10 columns"),
    ]


if __name__ == "__main__":
    sys.exit(show(asyncio.run(measure())))
