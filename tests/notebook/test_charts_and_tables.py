"""Figures, images and tables in a kernel: what tools return is shown everywhere, and what a model reads of them."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from bs4 import BeautifulSoup

pytestmark = pytest.mark.kernel

CHART = '''import matplotlib.pyplot as plt
import pandas as pd

def bars(df: pd.DataFrame, column: str = "price") -> plt.Figure:
    """Draw the values of a column."""
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.bar(range(len(df)), df[column])
    axes.set_title('Prices "so far"')
    return figure
'''
DOT = "from PIL import Image\n\ndef dot(n: int) -> Image.Image | None:\n    return Image.new('L', (n, n)) if n else None\n"
CHEAP = '''import pandas as pd

def cheap(df: pd.DataFrame, most: float) -> pd.DataFrame:
    """Keep what costs at most so much."""
    return df[df["price"] <= most]
'''
FRAME = "import pandas as pd\ndf = pd.DataFrame({'price': [1.5, 2.0, 9.0] * 20, 'name': ['<b>a</b>', 'b', 'c'] * 20})"


TOTAL = 'def total(rows: list[dict[str, float]]) -> float:\n    return sum(row["price"] for row in rows)\n'
PEOPLE = 'people = pd.DataFrame({"name": ["Ada", "Grace"], "price": [1.5, 2.0]})'


@pytest.fixture(scope="module")
def stocked(module_desk):
    assert module_desk.run(f"{FRAME}\n{PEOPLE}").status == "ok"
    for name, source in {"bars": CHART, "dot": DOT, "cheap": CHEAP}.items():
        made = module_desk.write(name, source)
        assert made.status == "ok", made.traceback
    return module_desk


@pytest.fixture
def desk(stocked):
    stocked.server._script.clear()
    return stocked


def picture(cell):
    """Check that a cell shows one picture, and return its alt text and its plain text."""
    assert cell.status == "ok", cell.traceback
    [display] = cell.displays
    data = display["data"]
    assert set(data) == {"image/png", "text/html", "text/plain"}
    assert b64decode(data["image/png"]).startswith(b"\x89PNG")
    [shown] = BeautifulSoup(data["text/html"], "html.parser").select("img")
    assert shown["src"].endswith(data["image/png"])
    return shown["alt"], data["text/plain"]


@pytest.mark.parametrize(
    "code", ["bars(df)", "await bars.acall(df)", "%%fact_run bars\ndf = df", "pic = bars(df)\npic", "_"]
)
def test_a_figure_is_a_picture_wherever_it_is_shown(desk, code):
    alt, plain = picture(desk.run(code))
    assert alt == 'bars: Prices "so far"'
    assert 'PNG picture: Prices "so far" · ' in plain


def test_a_cached_run_shows_the_same_picture(desk):
    shown = [desk.run("%%fact_run bars\ndf = df").displays[0]["data"] for _ in range(4)]
    assert "cached" in shown[-1]["text/plain"]
    assert len({data["image/png"] for data in shown}) == 1


def test_one_in_the_kernel_is_shown_once(desk):
    picture(desk.run("%%fact_run bars --in-kernel\ndf = df.head(3)"))


def test_the_history_says_what_it_was(desk):
    desk.run("bars(df.head(2))")
    [row] = desk.history("-n 1")
    output = json.loads(row["output_data"])
    assert (output["type"], output["title"]) == ("PNG picture", 'Prices "so far"')
    assert {"size", "bytes", "sha256"} < {*output}


def test_an_image_is_one_too_and_none_is_none(desk):
    alt, _ = picture(desk.run("dot(5)"))
    assert alt == "dot: PNG picture · 5 by 5 pixels · 68 bytes"
    assert desk.value("dot(0)") is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def bad(n: int) -> plt.Figure:\n    return plt.subplots()[1]\n", "the Axes of a figure can't leave the tool; return its .figure"),
        ("def bad(n: int) -> plt.Figure:\n    return n\n", "result: should be a matplotlib.figure.Figure, got 5"),
        ("def bad(n: int) -> plt.Figure:\n    return plt.figure(figsize=(9e4, 9e4))\n", "can't leave the tool; return one of at most 50,000,000 pixels"),
        ("def bad(n: int) -> plt.Figure:\n    return plt.figure().suptitle('$x').figure\n", "PNG picture"),
        ("def bad(n: int) -> plt.Figure:\n    return plt.figure().suptitle('$\\\\frac$').figure\n", "a figure that can't be drawn (ValueError: "),
    ],
    ids=["axes", "number", "huge", "dollar", "formula"],
)  # fmt: skip
def test_what_can_t_be_shown_is_one_clear_line(desk, source, said):
    desk.write("bad", f"import matplotlib.pyplot as plt\n\n{source}", options="--fresh")
    cell = desk.run("%%fact_run bad --fresh\nn = 5")
    assert said in (cell.error or cell.plain)
    assert "Traceback" not in cell.traceback.split("bad", 1)[0]


def test_pictures_of_a_map_are_shown(desk):
    cell = desk.run("%%fact_map bars\ndf = each([df.head(1), df.head(2)])")
    assert cell.status == "ok", cell.traceback
    html = BeautifulSoup(cell.displays[0]["data"]["text/html"], "html.parser")
    assert len(html.select("img")) == 2


def test_a_table_is_shown_with_its_types_size_and_first_rows(desk):
    cell = desk.run("%%fact_run cheap\ndf = df\nmost = 2")
    [display] = cell.displays
    assert "pandas.DataFrame · 40 rows by 2 columns · the first 20 rows" in display["data"]["text/plain"]
    html = BeautifulSoup(display["data"]["text/html"], "html.parser")
    assert [small.get_text() for small in html.select("thead small")] == ["int64", "float64", "str"]
    assert len(html.select("tbody tr")) == 20
    assert html.select("tbody td")[1].get_text() == "<b>a</b>"
    assert desk.value("[type(_.result).__name__, len(_.result)]") == ["DataFrame", 40]


@pytest.mark.parametrize(
    "code", ["dot(df['price'])", "await dot.acall(df['price'])", "%%fact_run dot\nn = df['price']", "%%fact_run dot --in-kernel\nn = df"]
)  # fmt: skip
def test_many_values_for_one_suggest_a_map(desk, code):
    assert "To run it on each row, write dot.map(…)." in " ".join(desk.run(code).traceback.split())


def asked(desk) -> str:
    return desk.server.requests[-1].body["messages"][0]["content"]


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
