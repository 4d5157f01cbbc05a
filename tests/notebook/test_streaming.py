"""Clients without widgets: printed text and the phases of a generation stream as ordinary output."""

from __future__ import annotations

import threading

import pytest
from waiting import BEGIN, begun_tools

pytestmark = pytest.mark.kernel

TICKS = (
    "import time\n\ndef ticks(n: int) -> int:\n    for i in range(n):\n"
    "        print('tick', i, flush=True)\n        time.sleep(0.3)\n"
    "    if n == 3:\n        raise ValueError('three')\n    return n\n"
)
# It waits after its first line for a file, which a test makes when that line has arrived.
PACED = (
    "import os\nimport time\n\ndef paced(n: int) -> int:\n"
    f"    if n:\n        {BEGIN}\n        print('first', flush=True)\n"
    "        while not os.path.exists('released'):\n            time.sleep(0.01)\n"
    "        print('second')\n    return n\n"
)
LOUD = (
    "def loud(lines: int) -> int:\n    for i in range(lines):\n        print('line', i, 'x' * 80)\n"
    "    return lines\n"
)
COLOURED = (
    "def coloured(n: int) -> int:\n"
    "    print('\\x1b[1;32mgreen\\x1b[0m\\x1b[2K', '\\x1b]8;;http://evil\\x07', '\\u202e', end='')\n    return n\n"
)
ALL = "tick 0\ntick 1\n"


@pytest.fixture(scope="module")
def streaming(module_desk):
    for name, source in {"ticks": TICKS, "paced": PACED, "loud": LOUD, "coloured": COLOURED}.items():
        made = module_desk.write(name, source, examples=f">>> {name}(0)\n0\n")
        assert made.status == "ok", made.traceback
    return module_desk


@pytest.fixture
def desk(streaming):
    streaming.server._script.clear()
    return streaming


def streams(cell):
    return [message["content"]["text"] for message in cell.messages if message["msg_type"] == "stream"]


def run_paced(desk, code):
    """Run a cell with the tool `paced`, which ends only if its first line arrives while it runs."""

    def release(message):
        if message["msg_type"] == "stream" and "first" in message["content"]["text"]:
            for begun in begun_tools(desk.kernel.pid):
                begun.with_name("released").touch()

    return desk.run(code, on_message=release)


class TestPrintedText:
    def test_it_arrives_while_the_tool_runs_and_the_record_does_not_repeat_it(self, desk):
        cell = run_paced(desk, "%%fact_run paced --fresh\nn = 1")
        assert cell.stdout == "first\nsecond\n"
        [display] = cell.displays
        for shown in display["data"].values():
            assert "first" not in shown
            assert "isolated" in shown

    def test_a_cached_answer_prints_the_same(self, desk):
        desk.run("%%fact_run ticks\nn = 1")
        for forget in ("", "from fact_magics.tools import _current\n_current().core._memory.clear()"):
            desk.run(forget)
            cell = desk.run("%%fact_run ticks\nn = 1")
            assert cell.stdout == "tick 0\n"
            assert "cached" in cell.plain
            assert "tick 0" not in cell.html

    def test_the_value_shown_later_shows_all_of_it(self, desk):
        desk.run("%%fact_run ticks\nn = 2")
        assert ALL in desk.run("_").displays[0]["data"]["text/plain"]

    def test_a_run_that_fails_keeps_it_above_the_status_and_the_error(self, desk):
        cell = desk.run("%%fact_run ticks\nn = 3")
        assert cell.error_name == "ToolFailed"
        assert cell.stdout == f"{ALL}tick 2\n"
        [display] = cell.displays
        assert display["data"]["text/plain"].startswith("ticks · 1.0.0 · error · ")

    def test_an_interrupt_keeps_it_and_says_how_the_run_ended(self, desk):
        def interrupt(message):
            if message["msg_type"] == "stream" and "tick 1" in message["content"]["text"]:
                threading.Timer(0.1, desk.kernel.interrupt).start()

        cell = desk.run("%%fact_run ticks\nn = 200", on_message=interrupt)
        assert cell.error_name == "Interrupted"
        assert cell.stdout.startswith(ALL)
        assert cell.stdout.count("tick 0\n") == 1
        [display] = cell.displays
        assert display["data"]["text/plain"].startswith("ticks · interrupted · ")

    def test_a_cell_that_ends_in_a_semicolon_shows_it_as_it_arrives_and_nothing_else(self, desk):
        cell = run_paced(desk, "%%fact_run paced --fresh;\nn = 1")
        assert (cell.stdout, cell.displays) == ("first\nsecond\n", [])

    def test_a_run_that_is_repeated_with_a_semicolon_shows_it_and_nothing_else(self, desk):
        desk.run("%%fact_run ticks\nn = 2")
        run = desk.history("--tool ticks")[0]["id"]
        cell = desk.run(f"%fact rerun {run};")
        assert (cell.status, cell.stdout, cell.displays) == ("ok", ALL, [])

    @pytest.mark.parametrize("options", ["--fresh", ""])
    def test_capture_takes_it_as_it_takes_what_a_call_prints(self, desk, options):
        cell = desk.run(f"%%capture caught\n%%fact_run ticks {options}\nn = 2")
        assert (cell.status, cell.outputs) == ("ok", [])
        assert desk.value("caught.stdout") == ALL
        record = desk.value("[o.data['text/plain'] for o in caught.outputs if o.data]")
        assert len(record) == 1
        assert "tick" not in record[0].replace("ticks", "")

    def test_where_a_live_view_may_show_nothing_is_printed_besides(self, desk):
        cell = desk.run("%%fact_run ticks --fresh\nn = 2", browser=True)
        assert cell.status == "ok"
        assert cell.stdout == ""
        assert cell.plain.count(ALL) == 1

    def test_with_live_off_there_is_only_the_record(self, desk):
        desk.run("%config FactMagics.live = 'off'")
        cell = desk.run("%%fact_run ticks --fresh\nn = 2")
        desk.run("%config FactMagics.live = 'auto'")
        assert cell.stdout == ""
        assert cell.plain.count(ALL) == 1

    def test_much_of_it_is_cut_in_the_middle_with_a_note(self, desk):
        cell = desk.run("%%fact_run loud\nlines = 2_000")
        assert len(cell.stdout) < 61_000
        assert cell.stdout.startswith("line 0 xx")
        assert cell.stdout.endswith(f"line 1999 {'x' * 80}\n")
        assert "more characters) …\n" in cell.stdout
        assert len(streams(cell)) < 200  # far fewer messages than lines

    def test_colours_are_dropped_and_controls_are_written_out(self, desk):
        shown = "green \\x1b]8;;http://evil\\x07 \\u202e"
        assert desk.run("%%fact_run coloured\nn = 1").stdout == shown
        assert desk.run("x = coloured(2)").stdout == shown


class TestGeneration:
    def test_its_phases_are_short_lines_and_the_record_has_the_rest(self, desk):
        desk.server.writes("def twice(n: int) -> int:\n    return n\n")
        desk.server.writes("def twice(n: int) -> int:\n    return 2 * n\n")
        cell = desk.run("%%fact_generate twice\nDouble.\n\n>>> twice(1)\n2\n\n>>> twice(2)\n4\n")
        lines = cell.stdout.splitlines()
        assert lines[:3] == ["asking claude-sonnet-5-5…", "writing…", "testing 2 examples…"]
        assert lines[3].startswith("attempt 1 of 3 was not accepted: twice(1) ")
        assert lines[4:] == ["attempt 2 of 3: asking claude-sonnet-5-5…", "writing…", "testing 2 examples…"]
        [display] = cell.displays
        assert "return 2 * n" in display["data"]["text/plain"]

    def test_a_line_arrives_before_the_model_has_answered(self, desk):
        desk.server.breaks("```python\ndef never", "stall", after=10)

        def interrupt(message):
            if message["msg_type"] == "stream" and "asking" in message["content"]["text"]:
                threading.Timer(0.1, desk.kernel.interrupt).start()

        cell = desk.run("%%fact_generate never\nNever.\n", on_message=interrupt)
        assert cell.error_name == "Interrupted"
        assert cell.stdout.startswith("asking claude-sonnet-5-5…\n")

    @pytest.mark.parametrize("options", ["", "--model shelf"])
    def test_without_a_model_there_is_nothing_to_say(self, desk, options):
        request = "\nTurn a title into a URL slug.\n\n>>> slugify('A b')\n'a-b'\n"
        if not options:
            desk.run(f"%%fact_generate slugify --model shelf{request}")
        cell = desk.run(f"%%fact_generate slugify --model shelf{' --fresh' if options else ''}{request}")
        assert cell.status == "ok", cell.traceback
        assert cell.stdout == ""

    def test_hostile_text_of_a_model_is_one_inert_line(self, desk):
        desk.server.refuses("no \x1b[31mred\n\u202egnp <script>")
        cell = desk.run("%%fact_generate evil --attempts 1\nEvil.\n\n>>> evil(1)\n1\n")
        assert cell.status == "error"
        assert not {"\x1b", "\u202e"} & set(cell.stdout)

    def test_under_capture_the_lines_are_captured(self, desk):
        desk.server.writes("def caught_one(n: int) -> int:\n    return n\n")
        cell = desk.run("%%capture caught\n%%fact_generate caught_one\nOne.\n\n>>> caught_one(1)\n1\n")
        assert cell.outputs == []
        assert desk.value("caught.stdout").startswith("asking claude-sonnet-5-5…\n")
