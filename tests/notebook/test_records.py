"""What a cell shows: text while it streams, then one record that holds everything and nothing alive."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

pytestmark = pytest.mark.kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred\x1b]8;;http://evil\x07\u202ereversed"
)
LONG = (
    "def slowly(n: int) -> int:\n"
    + "".join(f"    # line {i} of a long remark\n" for i in range(60))
    + "    return n\n"
)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def tags(html: str):
    parser = _Tags()
    parser.feed(html)
    return parser.tags


def assert_inert(cell):
    """No markup and no control of a model's or a tool's is left in what the cell shows."""
    for tag, attributes in tags(cell.html):
        assert tag in {
            "div",
            "p",
            "strong",
            "pre",
            "code",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "details",
            "summary",
            "small",
            "span",
            "em",
            "ul",
            "li",
            "time",
        }, tag
        assert not any(name.startswith("on") or name in ("src", "href") for name in attributes)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", cell.plain + cell.html)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", cell.traceback)


def test_a_generation_shows_one_record_in_html_and_in_plain_text(desk):
    cell = desk.write("shown", "def shown(n: int) -> int:\n    return n\n", examples=">>> shown(3)\n3\n")
    [display] = cell.displays
    assert set(display["data"]) == {"text/html", "text/plain"}
    for text in display["data"].values():
        for part in ("shown", "1.0.0", "claude-sonnet-5-5", "tokens", "1 attempt", "✓", "shown(3)"):
            assert part in text
    assert "return n" in display["data"]["text/plain"]
    assert "<strong>return</strong> n" in display["data"]["text/html"]


def test_a_run_shows_one_record_and_out_holds_the_value(desk):
    desk.write(
        "say", "def say(n: int) -> int:\n    print('said', n)\n    return n\n", examples=">>> say(0)\n0\n"
    )
    for code in ("%%fact_run say\nn = 3", "%%fact_run say\nn = 3", "_"):
        cell = desk.run(code)
        [display] = cell.displays
        assert set(display["data"]) == {"text/html", "text/plain"}
        for text in display["data"].values():
            assert ("said 3" in text) == (
                code == "_"
            )  # a cell without a live view prints it above the record
            assert "say" in text
            assert "1.0.0" in text
            assert "cached" in text or "isolated" in text
        assert cell.plain.count("said 3") == 1
    assert desk.value("[_.result, Out[max(Out)].result, type(_).__name__]") == [3, 3, "ToolOutput"]


SHAPES = """
import base64


def shaped(kind: str) -> dict[str, list[int]] | list[dict[str, int | None]] | bytes | str:
    if kind == "tree":
        return {"few": [1, 2], "many": list(range(5000))}
    if kind == "rows":
        return [{"n": n, "square": n * n if n % 2 else None} for n in range(300)]
    if kind == "picture":
        pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        return base64.b64decode(pixel)
    if kind == "drawing":
        return "<svg width='9' height='8'><script>alert(1)</script></svg>"
    return "two\\nlines"
"""


def test_a_result_is_shown_as_what_it_is_and_out_holds_all_of_it(desk):
    assert desk.write("shaped", SHAPES, examples=">>> shaped('')\n'two\\nlines'\n").status == "ok"
    shown = {}
    for kind in ("tree", "rows", "picture", "drawing", "text"):
        [display] = desk.run(f"%%fact_run shaped\nkind = {kind!r}").displays
        found = tags(display["data"]["text/html"])
        shown[kind] = {tag for tag, _ in found}, display["data"]["text/plain"]
        for tag, attributes in found:
            assert tag not in ("svg", "script", "iframe", "a")
            assert not any(name.startswith("on") for name in attributes)
            assert attributes.get("src", "data:image/").startswith("data:image/")
        if kind == "rows":
            assert desk.value("len(_.result)") == 300
    assert {"details", "summary", "ul", "li"} <= shown["tree"][0]
    assert "… 4,800 more items" in shown["tree"][1]
    assert {"table", "caption", "th"} <= shown["rows"][0]
    assert "\n 1       1\n 2    None\n" in shown["rows"][1]
    assert "the first 20 of 300 rows" in shown["rows"][1]
    assert "img" in shown["picture"][0]
    assert shown["picture"][1].startswith("PNG picture · 1 by 1 pixels · 70 bytes\n")
    assert {"img", "details"} <= shown["drawing"][0]
    assert shown["text"][1].startswith("two\nlines\n")


def test_tools_and_outputs_within_other_values_are_one_line_each(desk):
    desk.write("inner", "def inner(n: int) -> int:\n    return n\n", examples=">>> inner(0)\n0\n")
    desk.run("%%fact_run inner\nn = 5")
    assert desk.run("{'of': inner, 'came': _}").plain == (
        "{'of': <Tool inner(n: int) -> int · 1.0.0 · proven>,\n 'came': <ToolOutput inner 1.0.0 · ok · 5>}"
    )


def test_a_tool_that_is_shown_tells_how_often_it_ran(desk):
    desk.write("used", "def used(n: int) -> int:\n    return n\n", examples=">>> used(0)\n0\n")
    assert "Uses: none yet" in desk.run("%fact show used").plain
    for n in (1, 2, 1):
        desk.run(f"%%fact_run used\nn = {n}")
    assert "Uses: 3 runs, the last " in desk.run("%fact show used").plain


def test_the_value_shown_again_later_shows_the_record(desk):
    desk.write("again", "def again(n: int) -> int:\n    return n\n", examples=">>> again(0)\n0\n")
    desk.run("%%fact_run again\nn = 5")
    cell = desk.run("_")
    [display] = cell.displays
    assert display["data"]["text/plain"].startswith("5\n")
    assert "again" in desk.run("again").displays[0]["data"]["text/html"]
    assert "again" in desk.run("display(again)").displays[0]["data"]["text/html"]


@pytest.mark.parametrize("pace", [None, 60])
def test_streamed_or_not_the_final_outputs_hold_no_widget_and_one_record(desk, pace):
    name = f"paced{pace or 0}"
    desk.server.writes(LONG.replace("slowly", name), pace=pace, chunk=12)
    cell = desk.write(name, examples=f">>> {name}(1)\n1\n")
    assert cell.status == "ok"
    [display] = cell.displays
    assert WIDGET not in display["data"]
    assert "line 59 of a long remark" in display["data"]["text/plain"]


def test_a_generation_that_fails_leaves_one_record_and_no_widget(desk):
    desk.server.writes(
        LONG.replace("slowly", "failing").replace("return n", "return n + 1"), pace=60, chunk=12
    )
    cell = desk.write("failing", examples=">>> failing(1)\n1\n", options="--attempts 1")
    assert cell.status == "error"
    [display] = cell.displays
    assert set(display["data"]) == {"text/html", "text/plain"}
    assert "✗ failing(1)" in display["data"]["text/plain"]
    assert "line 59" in display["data"]["text/plain"]


def test_a_run_that_fails_after_printing_for_long_leaves_one_record_and_no_widget(desk):
    source = (
        "import time\n\ndef dying(n: int) -> int:\n    for i in range(n):\n        print('tick', i, flush=True)\n"
        "        time.sleep(0.3)\n    if n:\n        raise ValueError('over')\n    return n\n"
    )
    desk.write("dying", source, examples=">>> dying(0)\n0\n")
    cell = desk.run("%%fact_run dying\nn = 2")
    assert cell.error_name == "ToolFailed"
    [display] = cell.displays
    assert set(display["data"]) == {"text/html", "text/plain"}
    assert "error" in display["data"]["text/plain"]
    assert cell.stdout == "tick 0\ntick 1\n"
    assert cell.plain.count("tick 1") == 1


def test_hostile_text_of_a_model_is_inert(desk):
    desk.server.reply(
        f"{HOSTILE}\n```python\ndef evil(n: int) -> int:\n    '''{HOSTILE}'''\n    return n\n```\n{HOSTILE}",
        pace=30,
    )
    cell = desk.write("evil", examples=">>> evil(1)\n1\n")
    assert_inert(cell)
    for code in ("evil", "%fact show evil", "%fact tools", "%fact history"):
        assert_inert(desk.run(code))
    desk.server.reply(f"{HOSTILE} I won't.")
    assert_inert(desk.write("evil2", options="--attempts 1"))
    desk.server.refuses(HOSTILE)
    assert_inert(desk.write("evil2", options="--attempts 1"))


def test_hostile_text_of_a_tool_is_inert(desk):
    source = (
        "def rude(n: int) -> str:\n"
        f"    text = {HOSTILE!r}\n    print(text)\n    if n > 1:\n        raise ValueError(text)\n"
        "    return text if n else ''\n"
    )
    assert desk.write("rude", source, examples=">>> rude(0)\n''\n").status == "ok"
    for code in (
        "%%fact_run rude\nn = 1",
        "%%fact_run rude\nn = 1",
        "%%fact_run rude\nn = 2",
        "%%fact_run rude --no-raise\nn = 2",
        "_",
        "%fact history",
        "%fact history --tool rude --status error",
    ):
        assert_inert(desk.run(code))
    row = desk.history("--tool rude -n 1")[0]["id"]
    assert_inert(desk.run(f"%fact show {row}"))


def test_hostile_text_in_a_request_and_in_input_is_inert(desk):
    desk.run(f"hostile = {HOSTILE!r}")
    source = "def mirror(text: str) -> str:\n    return text\n"
    cell = desk.write(
        "mirror", source, text="Mirror {{hostile}}.", examples=f">>> mirror({HOSTILE!r})\n{HOSTILE!r}\n"
    )
    assert cell.status == "ok", cell.traceback
    assert_inert(cell)
    for code in (
        "%%fact_run mirror\ntext = hostile",
        "%%fact_run mirror\ntext = [hostile]",
        "mirror",
        "%fact history",
        "%fact show mirror",
    ):
        assert_inert(desk.run(code))
    generation = next(row for row in desk.history("--tool mirror") if row["kind"] == "generation")
    assert_inert(desk.run(f"%fact show {generation['generation_id']}"))
    assert_inert(desk.run("%fact tools --search '<script>alert(1)</script>'"))
    assert_inert(desk.run("%%fact_run '<script>'\nx = 1"))


def test_a_result_too_big_to_show_is_cut_with_a_note_and_the_value_is_whole(desk):
    desk.write(
        "many", "def many(n: int) -> list[int]:\n    return list(range(n))\n", examples=">>> many(1)\n[0]\n"
    )
    cell = desk.run("%%fact_run many --into whole\nn = 300_000")
    assert len(cell.displays[0]["data"]["text/plain"]) < 30_000
    assert "… 299,800 more items]" in cell.plain
    assert desk.value("[len(whole), len(_.result) if hasattr(_, 'result') else 0]")[0] == 300_000


def test_ten_megabytes_of_printed_text_don_t_flood_the_cell(desk):
    desk.write(
        "loud",
        "def loud(n: int) -> int:\n    for i in range(n):\n        print('x' * 99)\n    return n\n",
        examples=">>> loud(0)\n0\n",
    )
    cell = desk.run("%%fact_run loud --no-raise\nn = 100_000")
    assert cell.status == "ok"
    assert sum(len(str(m["content"])) for m in cell.messages) < 2_000_000
    assert desk.value("1 + 1") == 2
