"""Cells that are queued at once, as Run All does it: each runs, in its turn, on both generations of ipykernel."""

from __future__ import annotations

import json

import pytest
from kernels import each_kernel

pytestmark = pytest.mark.kernel

DOUBLE = 'def double(n: int) -> int:\n    """Double."""\n    print("doubling", n)\n    return 2 * n\n'


@each_kernel
def test_ten_cells_queued_at_once_all_run_in_their_order(modelled, server, shout, shout_cell):
    server.writes(shout, pace=100)
    server.writes(DOUBLE)
    cells = modelled.queue(
        [
            "order = ['start']",
            shout_cell,
            "%%fact_run shout --into first\ntext = 'a'",
            "order.append(first)",
            "%%fact_generate double\nDouble a number.\n\n>>> double(2)\n4\n",
            "%%fact_run double --into second\nn = len(order) * 10",
            "order.append(second); await shout.acall(str(second))",
            "%fact history --json",
            "%%fact_run double\nn = 20",
            "order + [double(second)]",
        ]
    )
    assert [cell.status for cell in cells] == ["ok"] * 10, [cell.traceback for cell in cells]
    assert cells[6].plain == "'40!'"
    assert "cached" in cells[8].plain  # the sixth cell ran it
    assert cells[9].plain.endswith("['start', 'A!', 40, 80]")
    rows = json.loads(cells[7].stdout)
    assert [(row["tool_name"], row["kind"]) for row in rows] == [
        ("shout", "run"),
        ("double", "run"),
        ("double", "generation"),
        ("shout", "run"),
        ("shout", "generation"),
    ]
    counts = [cell.execution_count for cell in cells if cell.execution_count]
    assert counts == sorted(counts)


@each_kernel
def test_a_cell_that_fails_leaves_the_queued_ones_after_it_whole(modelled, server, shout, shout_cell):
    server.writes(shout)
    server.reply("No.")
    cells = modelled.queue(
        [
            shout_cell,
            "%%fact_generate other --attempts 1\nSomething.\n",
            "%%fact_run shout\ntext = 3",
            "%%fact_run missing\nx = 1",
            "%%fact_run shout\ntext = 'still here'",
            "1 + 1",
        ]
    )
    assert [cell.status for cell in cells] == ["ok", "error", "error", "error", "ok", "ok"]
    assert [cell.error_name for cell in cells[1:4]] == ["GenerationFailed", "InvalidInput", "UnknownName"]
    assert "STILL HERE!" in cells[4].plain
    assert cells[5].plain == "2"


@each_kernel
def test_what_a_cell_prints_and_shows_lands_in_that_cell(modelled, server):
    server.writes('def say(n: int) -> int:\n    print("saying", n)\n    return n\n')
    made = "%%fact_generate say\nSay.\n\n>>> say(0)\n0\n"
    cells = modelled.queue([made, *(f"%%fact_run say\nn = {number}" for number in range(1, 6)), "say(6)"])
    for number, cell in enumerate(cells[1:6], start=1):
        assert cell.plain.count("saying") == 1
        assert f"saying {number}" in cell.plain
    assert cells[6].stdout == "saying 6\n"
