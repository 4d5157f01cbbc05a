"""``%fact stats``: numbers, charts and JSON."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.notebook.commands.stats import _by_limit
from fact_magics.store import ExecutionRow, GenerationRow, Stats
from fact_magics.tool import Status

SHAPE = {
    "runs", "hits", "hit_rate", "saved_ms", "saved_usd", "cost_usd", "tokens", "run_ms", "hit_ms",
    "generation_ms", "errors", "tools",
}  # fmt: skip


@pytest.fixture
def keep(workshop):
    def commit(*runs, generations=()):
        store = workshop.core._store
        workshop.submit(store.commit(runs, generations)).wait(lambda: None)

    return commit


def run(tool="slugify", status=Status.OK, **known):
    return ExecutionRow(tool_name=tool, status=status, **known)


def test_an_empty_history_knows_nothing(fact):
    assert fact("stats --json") == {
        "runs": 0,
        "hits": 0,
        "hit_rate": None,
        "saved_ms": 0.0,
        "saved_usd": None,
        "cost_usd": None,
        "tokens": dict.fromkeys(
            ["input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens"]
        ),
        "run_ms": {"p50": None, "p95": None},
        "hit_ms": {"p50": None, "p95": None},
        "generation_ms": {"p50": None, "p95": None},
        "errors": {},
        "tools": [],
    }
    assert fact("stats").plain == "Statistics in all sessions\nRuns  0"


def test_runs_hits_errors_and_costs_are_counted_in_all_sessions(fact, keep):
    keep(
        run(duration_ms=10.0),
        run(duration_ms=30.0),
        run(duration_ms=0.5, cached=True, saved_ms=10.0),
        run("parse", Status.ERROR, duration_ms=9_000.0),
        run("parse", Status.INVALID),
        generations=[
            GenerationRow(
                generation_id="1",
                attempt=1,
                tool_name="slugify",
                status=Status.OK,
                duration_ms=2_000.0,
                output_tokens=40,
                cost_usd=0.0125,
            )
        ],
    )
    data = fact("stats --json")
    assert data.keys() == SHAPE
    assert (data["runs"], data["hits"], data["hit_rate"], data["saved_ms"]) == (5, 1, 0.2, 10.0)
    assert data["errors"] == {"error": 1, "invalid": 1}
    assert data["run_ms"] == {"p50": 20.0, "p95": pytest.approx(29.0)}
    assert data["hit_ms"] == {"p50": 0.5, "p95": 0.5}
    assert data["generation_ms"]["p50"] == 2_000.0
    assert (data["cost_usd"], data["tokens"]["output_tokens"], data["tokens"]["input_tokens"]) == (
        0.0125,
        40,
        None,
    )
    assert data["tools"] == [
        {"tool": "slugify", "runs": 3, "hits": 1, "errors": 0, "saved_ms": 10.0},
        {"tool": "parse", "runs": 2, "hits": 0, "errors": 2, "saved_ms": 0.0},
    ]
    assert fact("stats --tool parse --since 1h --json")["runs"] == 2
    shown = fact("stats").plain
    for line in (
        "Statistics in all sessions",
        "Runs         5, 1 hit (20%)",
        "Saved        10 ms",
        "Run          median 20 ms, 95 % within 29 ms",
        "Errors       1 error, 1 invalid",
        "Tokens       40 out",
        "Cost         $0.0125",
    ):
        assert line in shown.splitlines()
    assert "2 tools\nTool     Runs  Hits  Errors  Saved" in shown


def test_the_page_shows_charts_and_a_limited_list_of_tools(fact, keep, parse):
    keep(
        *(
            run(f"tool_{number:02}", executed_at=f"2026-11-20T0{number % 3}:00:00.000Z")
            for number in range(30)
        )
    )
    record = fact("stats --since 2026-11-19")
    page = parse(record.html)
    assert len(page.all("svg")) == 2
    assert "The 10 tools with the most runs" in record.plain
    assert len(fact("stats --json")["tools"]) == 30
    assert record.plain.startswith("Statistics since 2026-11-")
    assert "█" in record.plain


def test_a_session_is_named_by_the_beginning_of_its_id(fact, keep, workshop):
    own = workshop.core.session_id
    keep(run(session_id=own), run())
    assert fact(f"stats --session {own[:12]} --json")["runs"] == 1
    assert fact(f"stats --session {own}").plain.startswith(f"Statistics in session {own}")
    with pytest.raises(UnknownName, match="There is no session 'ffff'"):
        fact("stats --session ffff")


def test_a_tool_that_is_written_as_a_word_is_an_error_with_the_line_to_write(fact):
    with pytest.raises(CellError, match="Write %fact stats --tool slugify"):
        fact("stats slugify")
    with pytest.raises(CellError, match="is not a time"):
        fact("stats --since soon")


def test_durations_are_counted_up_to_each_limit():
    known = {"ok": ((0.05, 2), (0.1, 1), (0.11, 1), (1e6, 3))}
    assert _by_limit(Stats(durations=known), "ok") == [3, 1, 0, 0, 0, 0, 0, 3]
