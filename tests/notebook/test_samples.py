"""What of a notebook's data is sent to a model, and where it can be seen."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.kernel

TOTAL = 'def total(rows: list[dict[str, float]]) -> float:\n    return sum(row["price"] for row in rows)\n'
FRAME = 'import pandas as pd\npeople = pd.DataFrame({"name": ["Ada", "Grace"], "price": [1.5, 2.0]})'


def asked(desk) -> str:
    return desk.server.requests[-1].body["messages"][0]["content"]


@pytest.fixture(autouse=True)
def frame(desk):
    made = desk.run(FRAME)
    assert made.status == "ok", made.traceback


def test_what_was_sent_of_a_table_can_be_seen(desk):
    made = desk.write("total", TOTAL, text="Add up the prices in {{people}}.")
    assert made.status == "ok", made.error
    sent = asked(desk)
    assert " name price\n  Ada   1.5\nGrace   2.0\n" in sent
    assert "pandas.DataFrame" in sent
    [row] = [row for row in desk.history() if row["kind"] == "generation" and row["tool_name"] == "total"]
    shown = desk.run(f"%fact show {row['generation_id'][:8]}")
    for part in ("A table of 2 rows. Columns: name: str, price: float64. First rows:", "Grace   2.0"):
        assert part in sent
        assert part in shown.plain
        assert part in shown.html


def test_without_samples_no_row_leaves_the_notebook(desk):
    made = desk.write(
        "total2", TOTAL.replace("total", "total2"), options="--no-samples", text="Add up {{people}}."
    )
    assert made.status == "ok", made.error
    assert "Columns: name: str, price: float64." in asked(desk)
    assert "Ada" not in asked(desk)
    count = len(desk.server.requests)
    again = desk.run("%%fact_generate total2 --no-samples\nAdd up {{people}}.\n")
    assert "already accepted for this request" in again.plain
    assert len(desk.server.requests) == count


def test_a_wish_has_the_same_option(desk):
    desk.write("total3", TOTAL.replace("total", "total3"), text="Add up prices.")
    desk.server.writes(TOTAL.replace("total", "total3").replace("price", "name"))
    made = desk.run("%%fact_refine total3 --no-samples\nTake the names of {{people}}.\n")
    assert made.status == "ok", made.error
    assert "Columns: name: str" in asked(desk)
    assert "Ada" not in asked(desk)
