"""What records and ``%fact`` say about prices, and the settings of budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics.display.record import generation_record
from fact_magics.errors import FactError
from fact_magics.events import GenerationEnded
from fact_magics.testing import ModelServer
from fact_magics.tool import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

GOOD = "def double(n: int) -> int:\n    return 2 * n\n"
USAGE = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 2_000, "cache_creation_tokens": 0}
SPEC = ToolSpec("double", "Double a number.\n\n>>> double(2)\n4\n", attempts=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def test_prices_stand_in_records_and_tables_and_unknown_ones_are_unknown(server, workshop, fact):
    ended: list[GenerationEnded] = []

    def listen(event: object) -> None:
        if isinstance(event, GenerationEnded):
            ended.append(event)

    server.writes(GOOD, usage=USAGE)
    workshop.run(workshop.core.generate(SPEC, listen))
    server.breaks(f"```python\n{GOOD}" * 20, "cut")
    with pytest.raises(FactError):
        workshop.run(workshop.core.generate(SPEC.model_copy(update={"fresh": True}), listen))
    shown, broken = (generation_record(each).plain for each in ended)
    assert "3,000 tokens in, 100 out · 2,000 tokens from the prompt cache · $0.0032" in shown
    assert "$0.0038 saved by the prompt cache" in shown
    assert "price unknown" in broken
    assert "$0.0032" not in broken
    history = fact("history")
    assert "2 rows, $0.0032 and the unknown price of 1 attempt in all" in history.plain
    assert history.plain.count("price unknown") == 1
    newest, first = (row["generation_id"] for row in fact("history --json"))
    assert fact(f"show {newest}").plain.endswith("Cost       price unknown")
    assert fact(f"show {first}").plain.endswith("Cost       $0.0032")
    assert "Cost: $0.0032" in fact("show double").plain
    assert "$0.0032 in this session; price unknown for 1 request, at most " in fact("").plain
    spending = fact("--json")["spending"]
    assert (spending["spent_usd"], spending["unknown_requests"], spending["budget_usd"]) == (0.0032, 1, None)
    assert fact("stats --json")["saved_usd"] == pytest.approx(0.0038)


def test_models_have_prices_of_a_million_tokens(server, fact, monkeypatch):
    monkeypatch.setenv("FACT_MODEL", "claude-nothing-9")
    rows = {row["name"]: row["per_million_tokens"] for row in fact("models --json")["models"]}
    assert rows["claude-sonnet-5-5"] == {"input_usd": 2.0, "output_usd": 10.0}
    assert rows["claude-nothing-9"] is None
    shown = fact("models").plain
    assert "$2.00 in, $10.00 out" in shown
    assert "price unknown" in shown
