"""Kernels on one FACT_HOME that ask the same question at once."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

import pytest

from fact_magics.config import load_settings
from fact_magics.core import FactCore
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the locks"),
]

NAP = "import time\n\n\ndef nap(n: int) -> int:\n    time.sleep(n)\n    return n\n"


@pytest.fixture
async def kernels(start_kernel, home):
    """Four kernels that have loaded the tool."""
    async with FactCore(load_settings({}, home.parent, {"FACT_HOME": str(home)})) as core:
        identity = signature_identity(read_signature(NAP, "nap"))
        fields = {"name": "nap", "source": NAP, "description": "Nap.", "proven": True}
        await core._store.tools.accept(Candidate(signature_id=identity, **fields))
    started = [start_kernel() for _ in range(4)]
    for kernel in started:
        assert kernel.run("from fact_magics.tools import nap").status == "ok"
    return started


def executions(home) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(home / "fact_magics.db")) as connection:
        return sorted(connection.execute("SELECT status, cached FROM tool_executions"))


async def test_four_kernels_that_ask_one_question_at_once_execute_once(kernels, home):
    requests = [kernel.send("%%fact_run nap --into got\nn = 1") for kernel in kernels]
    cells = [kernel.collect(request) for kernel, request in zip(kernels, requests, strict=True)]
    assert [cell.status for cell in cells] == ["ok"] * 4
    assert executions(home) == [("ok", 0), ("ok", 1), ("ok", 1), ("ok", 1)]
