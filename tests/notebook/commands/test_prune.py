"""``%fact prune`` in a notebook."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError
from fact_magics.store import ExecutionRow
from fact_magics.tool import Status


@pytest.fixture
def old_and_new(workshop):
    old = [
        ExecutionRow(tool_name="t", status=Status.OK, input_data="1", executed_at="2020-01-01T00:00:00.000Z")
    ]
    new = [ExecutionRow(tool_name="t", status=Status.OK)]
    workshop.submit(workshop.core._store.commit(old * 1 + new)).wait(lambda: None)


def test_old_runs_go_and_the_page_says_how_many(fact, old_and_new):
    plain = fact("prune --older-than 90d").plain
    assert "Removed  1 run (1 byte), older than 90d" in plain
    assert fact("prune --older-than '12 weeks' --json") == {"runs": 0, "bytes": 0}
    assert fact("stats --json")["runs"] == 2
    assert len(fact("history --session all --json")) == 1


def test_an_age_of_zero_removes_all_runs(fact, old_and_new):
    assert fact("prune --older-than 0d --json")["runs"] == 2
    assert fact("stats --json")["runs"] == 2


@pytest.mark.parametrize("written", ["soon", "90", "-1d", "yesterday", "90d ago", "9" * 300 + "d"])
def test_an_age_that_can_not_be_read_is_one_line(fact, written):
    with pytest.raises(CellError, match="is not a duration such as 90d") as caught:
        fact(f"prune --older-than '{written}'")
    assert "\n" not in str(caught.value)


def test_nothing_goes_without_an_age(fact, old_and_new):
    with pytest.raises(CellError, match="Write: %fact prune --older-than 90d"):
        fact("prune")
    assert fact("stats --json")["runs"] == 2
