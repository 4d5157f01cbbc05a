"""What a kernel sends while a cell works, to front ends that have widgets and to those that have none."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import nbformat
import pytest
from kernels import each_kernel
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

WIDGET = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b]8;;http://evil\x07\u202ereversed"
LONG = (
    "def slowly(n: int) -> int:\n"
    + "".join(f"    # line {i} of a long remark\n" for i in range(60))
    + "    return n\n"
)
TICKS = (
    "import time\n\ndef ticks(n: int) -> int:\n    for i in range(n):\n"
    "        print('tick', i, flush=True)\n        time.sleep(0.2)\n    return n\n"
)
MADE = "%%fact_generate ticks\nTick.\n\n>>> ticks(0)\n0\n"
WAIT = "import time\n\ndef wait(n: int) -> int:\n    print('begun', flush=True)\n    time.sleep(n)\n    return n\n"


@dataclass
class Watched:
    """The browser's half of a view: the state that the kernel sent, and what became of it."""

    comm: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    updates: int = 0
    closed: bool = False

    def __call__(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_open" and content["target_name"] == "jupyter.widget":
            assert not self.comm, "a cell has one view"
            self.comm = content["comm_id"]
            self.state = dict(content["data"]["state"])
        elif message["msg_type"] == "comm_msg" and content["comm_id"] == self.comm:
            self.state |= content["data"]["state"]
            self.updates += 1
        elif message["msg_type"] == "comm_close" and content["comm_id"] == self.comm:
            self.closed = True

    def steps(self, kind: str) -> list[list[Any]]:
        parts = (self.state[f"p{number}"] for number in range(len(self.state)) if f"p{number}" in self.state)
        return [step[1:] for part in parts for step in part if step[0] == kind]

    @property
    def text(self) -> str:
        return "".join(step[0] for step in self.steps("text"))

    @property
    def rows(self) -> list[str]:
        numbers = range(self.state.get("first", 0), self.state.get("end", 0))
        runs = (self.state[f"r{number % self.state['kept']}"] for number in numbers)
        return ["".join(text for _, text in row) for row in runs]


def browse(kernel, code):
    """Run a cell as a browser does; gives it and its view."""
    view = Watched()
    return kernel.run(code, on_message=view, browser=True), view


def assert_closed(kernel, view):
    """A view that may not have been loaded yet is closed when it must have been."""
    while not view.closed:
        view(kernel.client.get_iopub_msg(timeout=10))


@each_kernel
def test_a_generation_s_text_phases_and_verdicts_arrive_while_it_goes_on_and_end_in_one_record(
    modelled, server
):
    server.writes(LONG.replace("return n", "return n + 1"), pace=60, chunk=16, before="Here it is.")
    server.writes(LONG, pace=60, chunk=16)
    seen: list[int] = []
    view = Watched()

    def watch(message):
        view(message)
        seen.append(len(view.text))

    cell = modelled.run(
        "%%fact_generate slowly\nSlowly.\n\n>>> slowly(1)\n1\n\n>>> slowly(2)\n2\n",
        on_message=watch,
        browser=True,
    )

    assert cell.status == "ok", cell.traceback
    assert len(set(seen)) >= 8  # it grew, again and again
    # What came last is in the record, which takes the view's place without waiting for it.
    assert view.text.count("line 40 of a long remark") == 2
    assert view.text.startswith("Here it is.")
    assert view.steps("examples") == [[["slowly(1)", "slowly(2)"], 2]]
    assert view.steps("example")[:2] == [[1, False, "2", "1"], [2, False, "3", "2"]]
    assert [step[:2] for step in view.steps("attempt")] == [[1, 3], [2, 3]]
    phases = [" ".join(step).strip() for step in view.steps("phase")]
    first = ["waiting", "writing", "checking", "proving 1/2", "proving 2/2", "repairing 1/2"]
    assert phases[:8] == [*first, "waiting", "writing"]
    assert_closed(modelled, view)
    [display] = cell.displays
    assert set(display["data"]) == {"text/html", "text/plain"}


@each_kernel
def test_printed_text_arrives_as_a_terminal_would_show_it(modelled, server):
    server.writes(
        "import time\n\ndef bar(n: int) -> int:\n    for i in range(n):\n"
        "        print(f'\\r{i} of {n} \\x1b[32m' + '#' * i + '\\x1b[0m', end='', flush=True)\n"
        "        time.sleep(0.1)\n    print('\\n\\x1b[1mover\\x1b[0m')\n    time.sleep(0.3)\n    return n\n"
    )
    modelled.run("%%fact_generate bar\nA bar.\n\n>>> bar(0)\n0\n")
    cell, view = browse(modelled, "%%fact_run bar\nn = 8")
    assert cell.status == "ok", cell.traceback
    assert view.rows == ["7 of 8 #######", "over", ""]
    assert view.state["r0"] == [["", "7 of 8 "], ["c2", "#######"]]
    assert view.state["r1"] == [["b", "over"]]
    assert view.updates >= 4
    assert_closed(modelled, view)
    [display] = cell.displays
    assert "7 of 8 #######\nover" in display["data"]["text/plain"]
    assert "6 of 8" not in display["data"]["text/plain"]
    assert "\x1b" not in display["data"]["text/html"]


@each_kernel
def test_what_ends_at_once_shows_its_record_and_no_widget(modelled, server):
    server.writes("def quick(n: int) -> int:\n    print('quick')\n    return n\n")
    modelled.run("%%fact_generate quick\nQuick.\n\n>>> quick(0)\n0\n")
    modelled.run("%%fact_run quick --fresh\nn = 0")
    for _ in range(3):  # the second is cached; a busy machine may make the first one slow
        cell, view = browse(modelled, "%%fact_run quick\nn = 1")
    assert not view.comm
    assert len(cell.displays) == 1
    assert "cached" in cell.plain


def test_with_live_off_there_is_no_widget_at_all(modelled, server):
    modelled.run("%config FactMagics.live = 'off'")
    server.writes(LONG, pace=60, chunk=16)
    cell, view = browse(modelled, "%%fact_generate slowly\nSlowly.\n\n>>> slowly(1)\n1\n")
    modelled.run("%config FactMagics.live = 'auto'")
    assert cell.status == "ok"
    assert not view.comm
    assert len(cell.displays) == 1


def test_under_capture_there_is_no_widget_and_what_is_captured_is_the_record(modelled, server):
    server.writes(LONG, pace=60, chunk=16)
    cell, view = browse(modelled, "%%capture caught\n%%fact_generate slowly\nSlowly.\n\n>>> slowly(1)\n1\n")
    assert cell.status == "ok", cell.traceback
    assert not view.comm
    assert "line 59" in modelled.run("print(caught.outputs[0].data['text/plain'])").stdout


@each_kernel
def test_under_another_magic_the_view_is_live_and_asks_for_no_click(modelled, server):
    server.writes(TICKS)
    modelled.run(MADE)
    cell, view = browse(modelled, "%%time\n%%fact_run ticks\nn = 3")
    assert cell.status == "ok", cell.traceback
    assert "tick 2" in view.rows
    assert view.state["asks"] is False
    assert_closed(modelled, view)


@each_kernel
def test_a_failing_run_leaves_what_it_printed_and_no_widget(modelled, server):
    server.writes(TICKS.replace("    return n", "    if n:\n        raise ValueError('over')\n    return n"))
    modelled.run(MADE)
    cell, view = browse(modelled, "%%fact_run ticks\nn = 2")
    assert cell.error_name == "ToolFailed"
    assert_closed(modelled, view)
    [display] = cell.displays
    assert set(display["data"]) == {"text/html", "text/plain"}
    assert "tick 1" in display["data"]["text/plain"]


class TestStop:
    """The view's button: what the browser sends when it is there, and when it is clicked."""

    def say(self, kernel, view, content):
        kernel.post("comm_msg", {"comm_id": view.comm, "data": {"method": "custom", "content": content}})

    def click(self, kernel, code, until):
        """Run a cell, say that the view is there, click once it is `until`; gives cell, view and seconds."""
        view = Watched()
        said = clicked = 0.0

        def watch(message):
            nonlocal said, clicked
            view(message)
            if view.comm and not said:
                said = time.monotonic()
                self.say(kernel, view, "ready")
            if view.state.get("stop") and until(view) and not clicked:
                clicked = time.monotonic()
                self.say(kernel, view, "stop")

        cell = kernel.run(code, on_message=watch, browser=True)
        return cell, view, time.monotonic() - clicked

    def test_a_click_stops_a_run_as_an_interrupt_does(self, modelled, server):
        server.writes(WAIT)
        modelled.run("%%fact_generate wait\nWait.\n\n>>> wait(0)\n0\n")
        cell, view, seconds = self.click(
            modelled, "%%fact_run wait\nn = 60", lambda view: "begun" in view.rows
        )
        assert cell.error_name == "Interrupted"
        assert "wait was stopped" in cell.error
        assert seconds < 20  # of the 60 that it would take
        assert_closed(modelled, view)
        [display] = cell.displays
        assert set(display["data"]) == {"text/html", "text/plain"}
        assert "begun" in display["data"]["text/plain"]
        assert "interrupted" in display["data"]["text/plain"]
        rows = json.loads(modelled.run("%fact history --json --tool wait -n 1").stdout)
        assert [row["status"] for row in rows] == ["interrupted"]
        assert modelled.run("1 + 1").plain == "2"

    def test_a_click_stops_a_generation_and_keeps_what_was_written(self, modelled, server, shout):
        server.writes("# " + "slow " * 2000 + "\n" + shout, pace=50)
        cell, view, seconds = self.click(
            modelled,
            "%%fact_generate shout\nShout.\n\n>>> shout('a')\n'A!'\n",
            lambda view: "slow slow" in view.text,
        )
        assert cell.error_name == "Interrupted"
        assert seconds < 20  # of the 200 that the model would write
        assert server.wait_for_disconnect()
        assert_closed(modelled, view)
        assert "slow slow" in cell.plain
        [row] = json.loads(modelled.run("%fact history --json").stdout)
        assert (row["kind"], row["status"]) == ("generation", "interrupted")
        assert "slow slow" in row["text"]

    def test_queued_cells_are_dropped_as_after_an_interrupt(self, modelled, server):
        server.writes(WAIT)
        modelled.run("%%fact_generate wait\nWait.\n\n>>> wait(0)\n0\n")
        view = Watched()
        request = modelled.send("%%fact_run wait\nn = 60", browser=True, stop_on_error=True)
        queued = modelled.send("ran = True", browser=True, stop_on_error=True)
        told = set()

        def watch(message):
            view(message)
            if view.comm and "ready" not in told:
                told.add("ready")
                self.say(modelled, view, "ready")
            if view.state.get("stop") and "stop" not in told:
                told.add("stop")
                self.say(modelled, view, "stop")

        assert modelled.collect(request, on_message=watch).error_name == "Interrupted"
        while (reply := modelled.client.get_shell_msg(timeout=20))["parent_header"]["msg_id"] != queued:
            pass
        assert reply["content"]["status"] == "aborted"
        assert modelled.run("'ran' in globals()").plain == "False"

    @pytest.mark.parametrize("modelled", [6], indirect=True, ids=["ipykernel6"])
    def test_where_no_click_arrives_while_a_cell_runs_none_is_asked_for(self, modelled, server):
        server.writes(TICKS)
        modelled.run(MADE)
        cell, view = browse(modelled, "%%fact_run ticks\nn = 3")
        assert cell.status == "ok"
        assert view.state["asks"] is False
        assert "stop" not in view.state

    def test_a_browser_that_was_loaded_anew_gets_all_that_was_shown(self, modelled, server):
        server.writes(TICKS)
        modelled.run(MADE)
        first, second = Watched(), Watched()
        request = modelled.send("%%fact_run ticks\nn = 15", browser=True)
        while "tick 2" not in first.rows:
            first(modelled.client.get_iopub_msg(timeout=20))
        second.comm = first.comm
        modelled.post("comm_msg", {"comm_id": first.comm, "data": {"method": "request_state"}})
        while "_esm" not in second.state:
            second(modelled.client.get_iopub_msg(timeout=20))
        assert second.rows[:3] == ["tick 0", "tick 1", "tick 2"]
        assert (second.state["title"], second.state["kind"]) == ("ticks", "running")
        assert modelled.collect(request).status == "ok"


def test_hostile_text_reaches_the_view_as_plain_json_without_controls(modelled, server):
    server.reply(
        f"{HOSTILE}\n```python\n# {HOSTILE}\ndef evil(n: int) -> str:\n    return ''\n```\n", pace=30
    )
    cell, view = browse(modelled, f"%%fact_generate evil --attempts 1\nx\n\n>>> evil(1)\n{HOSTILE!r}\n")
    assert cell.error_name == "GenerationFailed"
    assert "<script>alert(1)</script>" in view.text
    for shown in (view.text, json.dumps(view.steps("example")), json.dumps(view.steps("failed"))):
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)

    server.writes(
        f"import time\n\ndef rude(n: int) -> int:\n    print({HOSTILE!r}, flush=True)\n    time.sleep(n)\n    return n\n"
    )
    modelled.run("%%fact_generate rude\nRude.\n\n>>> rude(0)\n0\n")
    _, view = browse(modelled, "%%fact_run rude\nn = 1")
    [row, _] = view.rows
    assert row.startswith("<script>")
    assert not {"\x1b", "\x07", "\u202e"} & set(row)


def test_a_megabyte_on_one_line_costs_what_it_is_long_and_no_more(modelled, server):
    server.reply("```python\nx = '" + "y" * 1_000_000 + "'\n```\n", chunk=20_000)
    size = 0

    def count(message):
        nonlocal size
        if message["msg_type"].startswith("comm_"):
            size += len(json.dumps(message["content"]))

    cell = modelled.run(
        "%%fact_generate big --attempts 1\nBig.\n\n>>> big(1)\n1\n", on_message=count, browser=True
    )
    assert cell.error_name == "GenerationFailed"
    assert size < 1_200_000


class TestWithoutAFrontEnd:
    """Clients that have no widgets: text that streams, the same records, and nothing left of a widget."""

    def notebook(self, server, pace):
        server.writes(LONG, pace=pace, chunk=16)
        server.writes(TICKS)
        cells = [
            "%load_ext fact_magics",
            "%%fact_generate slowly\nSlowly.\n\n>>> slowly(1)\n1\n",
            MADE,
            "%%fact_run ticks\nn = 3",
        ]
        kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
        return new_notebook(
            cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernelspec}
        )

    def test_nbclient_leaves_records_and_no_widget_state(self, plain_environment, server, tmp_path):
        from nbclient import NotebookClient

        nb = self.notebook(server, 60)
        NotebookClient(nb, timeout=120).execute(
            env={**plain_environment, **server.environment()}, cwd=str(tmp_path)
        )
        assert "widgets" not in nb.metadata
        assert WIDGET not in nbformat.writes(nb)
        shown = [cell.outputs for cell in nb.cells[1:]]
        for outputs in shown:
            assert [output.output_type for output in outputs[:-1]] == ["stream"] * (len(outputs) - 1)
            assert outputs[-1].output_type == "display_data"
        streamed = ["".join(output.text for output in outputs[:-1]) for outputs in shown]
        assert streamed[0] == "asking claude-sonnet-5-5…\nwriting…\ntesting 1 example…\n"
        assert streamed[2] == "tick 0\ntick 1\ntick 2\n"
        assert "line 59 of a long remark" in shown[0][-1].data["text/plain"]
        assert "tick" not in shown[2][-1].data["text/html"].replace("<strong>ticks</strong>", "")

    @each_kernel
    def test_a_client_that_never_answers_loses_nothing(self, modelled, server):
        """The views are open, and nobody speaks for them."""
        server.writes(LONG, pace=60, chunk=16)
        server.writes(TICKS)
        for code in (
            "%%fact_generate slowly\nSlowly.\n\n>>> slowly(1)\n1\n",
            MADE,
            "%%fact_run ticks\nn = 3",
        ):
            cell, _ = browse(modelled, code)
            assert cell.status == "ok"
            assert len(cell.displays) == 1
            assert not cell.stderr
        assert "tick 2" in cell.plain

    @each_kernel
    def test_without_anywidget_there_are_records_and_no_complaint(self, modelled, server):
        modelled.run(
            "import importlib.metadata as metadata\nfrom fact_magics.display import channel\n"
            "_real = metadata.Distribution.from_name\n"
            "def _none(name):\n    raise metadata.PackageNotFoundError(name)\n"
            "metadata.Distribution.from_name = _none\nchannel._front_end_version.cache_clear()"
        )
        server.writes(LONG, pace=60, chunk=16)
        cell, view = browse(modelled, "%%fact_generate slowly\nSlowly.\n\n>>> slowly(1)\n1\n")
        modelled.run("metadata.Distribution.from_name = _real\nchannel._front_end_version.cache_clear()")
        assert cell.status == "ok"
        assert not view.comm
        assert not cell.stderr
        assert "line 59" in cell.plain
