"""``%%fact_edit`` and what moves a name: insert, rollback, remove; and ``%fact rerun``."""

from __future__ import annotations

import json

import pytest
from waiting import BEGIN

pytestmark = pytest.mark.kernel

SOURCE = 'def {name}(n: int) -> int:\n    """Double a number.\n\n    >>> {name}(4)\n    8\n    """\n    return 2 * n\n'
EXAMPLES = ">>> {name}(2)\n4\n\n>>> {name}(0)\n0\n"


def source(name: str, body: str = "2 * n") -> str:
    return SOURCE.format(name=name).replace("2 * n", body)


def write(desk, name: str, body: str = "2 * n") -> None:
    cell = desk.write(name, source(name, body), examples=EXAMPLES.format(name=name), options="--fresh")
    assert cell.status == "ok", cell.traceback


def versions(desk, name: str) -> list[str]:
    return [row[0] for row in desk.query("SELECT version FROM tools WHERE name = ? ORDER BY seq", name)]


class TestEdit:
    def test_the_cell_s_source_is_the_next_version_bound_and_the_cell_s_value(self, desk):
        write(desk, "mend")
        asked = len(desk.server.requests)
        cell = desk.run(f"%%fact_edit mend\n{source('mend', 'n + n')}")
        assert cell.status == "ok", cell.traceback
        assert len(desk.server.requests) == asked
        assert desk.value("[mend.version, mend(4), mend is _]") == ["1.0.1", 8, True]
        for text in (cell.plain, cell.html):
            assert "1.0.1" in text
            assert "proven on 2 examples" in text
            assert "written by hand" in text
        assert len(cell.displays) == 1
        assert desk.value("mend.source") == source("mend", "n + n")  # with the prompts of its docstring

    def test_what_fails_shows_each_example_and_changes_nothing(self, desk):
        write(desk, "failing")
        cell = desk.run(f"%%fact_edit failing\n{source('failing', 'n + 2')}")
        assert cell.error_name == "GenerationFailed"
        assert cell.error.startswith("The edited source of failing was not accepted: 1 of 2 examples failed.")
        assert "Traceback" not in cell.traceback
        assert "✓ failing(2) → 4" in cell.plain
        assert "✗ failing(0) → expected 0, got 2" in cell.plain
        assert "What was wrong" in cell.html
        assert desk.value("[failing.version, failing(5)]") == ["1.0.0", 10]
        assert versions(desk, "failing") == ["1.0.0"]
        assert desk.query(
            "SELECT status FROM generations WHERE tool_name = 'failing' AND provider = 'hand'"
        ) == [("error",)]

    @pytest.mark.parametrize(
        ("code", "kind", "told"),
        [
            ("%%fact_edit lines\n", "CellError", "has no body"),
            ("%%fact_edit lines\n  \n\n", "CellError", "%fact insert lines"),
            ("%%fact_edit lnes\nx = 1", "UnknownName", "Did you mean 'lines'"),
            ("%%fact_edit\nx = 1", "CellError", "needs NAME"),
            ("%%fact_edit lines@1\nx = 1", "CellError", "lines@1"),
            ("%%fact_edit lines --modle x\nx = 1", "CellError", "has no option --modle"),
        ],
    )
    def test_what_can_t_be_done_is_one_line(self, desk, code, kind, told):
        if not desk.query("SELECT 1 FROM tools WHERE name = 'lines'"):
            write(desk, "lines")
        cell = desk.run(code)
        assert cell.error_name == kind
        assert told in cell.error
        assert len(cell.error.splitlines()) == 1
        assert cell.plain == ""

    def test_the_same_source_says_so_and_run_all_adds_nothing(self, desk):
        write(desk, "again")
        cells = [f"%%fact_edit again\n{source('again')}", f"%%fact_edit again\n{source('again', 'n + n')}"]
        assert "again@1.0.0 already" in desk.run(cells[0]).plain
        for _ in range(2):
            for cell in desk.kernel.queue(cells):
                assert cell.status == "ok", cell.traceback
        assert versions(desk, "again") == ["1.0.0", "1.0.1"]
        assert desk.value("again.version") == "1.0.1"

    def test_what_is_bound_and_no_tool_is_not_lost(self, desk):
        write(desk, "precious")
        desk.run("precious = 'mine'")
        code = source("precious", "n + n")
        cell = desk.run(f"%%fact_edit precious\n{code}")
        assert cell.error_name == "BindingRefused"
        assert desk.value("precious") == "mine"
        assert desk.run(f"%%fact_edit precious --replace\n{code}").status == "ok"
        assert desk.value("precious(3)") == 6

    def test_every_way_that_a_cell_can_come_in_carries_it_whole(self, desk):
        write(desk, "ways")
        bodies = ["n + n", "n * 2", "n << 1"]
        cells = [
            f"# a remark\n%%fact_edit ways\n{source('ways', bodies[0])}",
            f"%%time\n%%fact_edit ways\n{source('ways', bodies[1])}",
            f"get_ipython().run_cell_magic('fact_edit', 'ways', {source('ways', bodies[2])!r})",
        ]
        for cell, body in zip(cells, bodies, strict=True):
            assert desk.run(cell).status == "ok"
            assert desk.value("ways.source") == source("ways", body)
        assert versions(desk, "ways") == ["1.0.0", "1.0.1", "1.0.2", "1.0.3"]

    def test_an_interrupt_records_the_attempt_and_binds_nothing(self, desk):
        write(desk, "slow")
        request = desk.kernel.send(
            f"%%fact_edit slow\n{source('slow', BEGIN + ' or __import__(chr(116)+chr(105)+chr(109)+chr(101)).sleep(60)')}"
        )
        desk.kernel.wait_for_tool()
        desk.kernel.interrupt()
        cell = desk.kernel.collect(request)
        assert cell.error_name == "Interrupted"
        assert "nothing was bound" in cell.error
        assert desk.value("[slow.version, slow(4)]") == ["1.0.0", 8]
        rows = desk.query("SELECT status FROM generations WHERE tool_name = 'slow' AND provider = 'hand'")
        assert rows == [("interrupted",)]


class TestInsert:
    def inserted(self, desk, line: str) -> str:
        code = f"%fact insert {line}\nimport json\nprint(json.dumps(get_ipython().payload_manager.read_payload()))"
        cell = desk.run(code)
        assert cell.status == "ok", cell.traceback
        [payload] = json.loads(cell.stdout)
        assert (payload["source"], payload["replace"]) == ("set_next_input", False)
        return payload["text"]

    def test_a_cell_with_the_source_comes_below_and_runs_as_it_stands(self, desk):
        write(desk, "below")
        text = self.inserted(desk, "below")
        assert text == f"%%fact_edit below\n{source('below')}"
        assert "below@1.0.0 already" in desk.run(text).plain
        assert desk.run(text.replace("2 * n", "n + n")).status == "ok"
        assert desk.value("below.version") == "1.0.1"
        assert self.inserted(desk, "below@1.0.0") == text

    def test_of_what_is_not_there_nothing_is_inserted(self, desk):
        write(desk, "beneath")
        assert "Did you mean 'beneath'" in desk.run("%fact insert beneat").error
        assert "It has 1.0.0" in desk.run("%fact insert beneath@2").error


class TestRollback:
    def test_it_moves_the_name_and_what_the_notebook_holds_under_it(self, desk):
        write(desk, "moved")
        desk.run(f"%%fact_edit moved\n{source('moved', 'n + n')}")
        cell = desk.run("alias = moved\n%fact rollback moved 1.0.0")
        assert cell.status == "ok"
        assert "1.0.1" in cell.plain
        assert desk.value("[moved.version, alias.version]") == ["1.0.0", "1.0.1"]
        assert "1.0.0" in desk.run("%%fact_run moved\nn = 4").plain
        told = json.loads(desk.run("%fact rollback moved 1 --json").stdout)
        assert told == {"name": "moved", "version": "1.0.1", "before": "1.0.0", "bound": True}
        assert "as before" in desk.run("%fact rollback moved@1.0.1").plain

    def test_something_else_that_is_bound_is_left_alone(self, desk):
        write(desk, "kept")
        desk.run("kept = 'mine'")
        assert json.loads(desk.run("%fact rollback kept 1.0.0 --json").stdout)["bound"] is False
        assert desk.value("kept") == "mine"

    def test_without_a_version_it_says_which_there_are(self, desk):
        write(desk, "which")
        write(desk, "which", "n + n")
        assert "Its versions are 1.0.1, 1.0.0." in desk.run("%fact rollback which").error
        assert "It has 1.0.1, 1.0.0." in desk.run("%fact rollback which 7").error
        assert "Did you mean 'which'" in desk.run("%fact rollback whihc").error


class TestRemove:
    def test_it_asks_and_then_frees_the_name_and_keeps_the_history(self, desk):
        write(desk, "gone")
        desk.run("%%fact_run gone\nn = 4")
        asked = desk.run("%fact remove gone")
        assert asked.error_name == "CellError"
        assert "--yes" in asked.error
        assert "gone" in desk.run("%fact tools").plain

        assert "1 version" in desk.run("%fact remove gone --yes").plain

        assert "gone" not in desk.run("%fact tools").plain
        assert desk.run("%%fact_run gone\nn = 4").error_name == "UnknownName"
        assert desk.run("%%fact_edit gone\nx = 1").error_name == "UnknownName"
        assert desk.value("gone(5)") == 10  # what the notebook holds goes on working
        assert [row["kind"] for row in desk.history("--tool gone")] == ["run", "run", "generation"]
        write(desk, "gone")
        assert desk.value("gone.version") == "2.0.0"

    def test_what_is_not_there_can_t_be(self, desk):
        write(desk, "there")
        for line in ("ther", "ther --yes"):
            assert "Did you mean 'there'" in desk.run(f"%fact remove {line}").error


class TestRerun:
    def runs(self, desk, name: str) -> list[dict]:
        return [row for row in desk.history(f"--tool {name}") if row["kind"] == "run"]

    def test_the_same_version_runs_on_the_same_input_and_not_from_the_cache(self, desk):
        code = (
            "def tell(text: str, *, times: int = 1) -> str:\n    print('telling')\n    return text * times\n"
        )
        desk.write("tell", code, examples=">>> tell('a')\n'a'\n")
        desk.run("%%fact_run tell\ntext = '<é>'\ntimes = 2")
        [first] = self.runs(desk, "tell")
        desk.run(f"%%fact_edit tell\n{code.replace('telling', 'newer')}")
        cell = desk.run(f"%fact rerun {first['id'][:8]}\n1 + 1")
        assert cell.status == "ok", cell.traceback
        assert "'<é><é>'" in cell.plain  # shown, though it is not the cell's last line
        assert "telling" in cell.plain
        second = self.runs(desk, "tell")[0]
        for field in ("tool_id", "input_data", "output_data"):
            assert second[field] == first[field]
        assert second["cached"] is False
        cell = desk.run(f"%fact rerun {first['id']}")
        assert len(cell.displays) == 1
        assert desk.value("[_.success, _.result, _.metadata['version']]") == [True, "<é><é>", "1.0.0"]
        told = json.loads(desk.run(f"%fact rerun {first['id']} --json").stdout)
        assert (told["success"], told["result"]) == (True, "<é><é>")

    def test_a_run_that_failed_fails_again_in_one_line(self, desk):
        desk.write("halve", "def halve(n: int) -> float:\n    return 1 / n\n")
        desk.run("%%fact_run halve\nn = 0")
        cell = desk.run(f"%fact rerun {self.runs(desk, 'halve')[0]['id'][:8]}")
        assert cell.error_name == "ToolFailed"
        assert "ZeroDivisionError" in cell.error
        assert [row["status"] for row in self.runs(desk, "halve")] == ["error", "error"]

    def test_more_time_can_be_given_and_an_interrupt_is_one_line(self, desk):
        desk.write(
            "nap",
            f"import time\n\ndef nap(n: float) -> float:\n    {BEGIN}\n    time.sleep(n)\n    return n\n",
        )
        desk.run("%%fact_run nap --timeout 0.3\nn = 0.6")
        [row] = self.runs(desk, "nap")
        assert row["status"] == "timeout"
        assert desk.run(f"%fact rerun {row['id']} --timeout 20").status == "ok"
        desk.run("%%fact_run nap --timeout 0.3\nn = 60")
        request = desk.kernel.send(f"%fact rerun {self.runs(desk, 'nap')[0]['id']}")
        desk.kernel.wait_for_tool()
        desk.kernel.interrupt()
        cell = desk.kernel.collect(request)
        assert (cell.error_name, len(cell.error.splitlines())) == ("Interrupted", 1)
        assert self.runs(desk, "nap")[0]["status"] == "interrupted"

    def test_what_can_t_surely_be_the_same_is_not_run(self, desk):
        source = "from typing import Any\nfrom datetime import date\n\ndef kind(x: Any) -> str:\n    return type(x).__name__\n"
        desk.write("kind", source, examples=">>> kind(1)\n'int'\n")
        desk.run("from datetime import date\nkind(date(2020, 1, 1))\nkind('2020-01-01')")
        text, day = self.runs(desk, "kind")
        assert desk.run(f"%fact rerun {text['id']}").status == "ok"  # its key says that it is the same
        cell = desk.run(f"%fact rerun {day['id']}")
        assert cell.error_name == "CellError"
        assert "can't be restored exactly" in cell.error
        desk.run("%%fact_run kind --no-raise\ny = 1")
        refused = desk.run(f"%fact rerun {self.runs(desk, 'kind')[0]['id']}")
        assert "was invalid" in refused.error

    def test_a_row_that_is_no_run_is_said_to_be_none(self, desk):
        write(desk, "norun")
        [generation] = desk.history("--tool norun")
        assert "is a generation of norun" in desk.run(f"%fact rerun {generation['generation_id']}").error
        assert "%fact history" in desk.run("%fact rerun zzzz").error
        desk.run("norun(1)")
        almost = self.runs(desk, "norun")[0]["id"][:7] + "zz"
        assert "Did you mean" in desk.run(f"%fact rerun {almost}").error

    def test_what_was_granted_to_a_run_alone_is_asked_for_again(self, desk):
        desk.run("import os\nos.environ['GREETING'] = 'hello'")
        desk.write(
            "env_of", "import os\n\ndef env_of(name: str) -> str:\n    return os.environ.get(name, '')\n"
        )
        desk.run("%%fact_run env_of --allow env:GREETING\nname = 'GREETING'")
        [row] = self.runs(desk, "env_of")
        cell = desk.run(f"%fact rerun {row['id'][:8]}")
        assert "--allow env:GREETING" in cell.error
        assert "'hello'" in desk.run(f"%fact rerun {row['id'][:8]} --allow env:GREETING").plain


@pytest.mark.parametrize("word", ["insert", "rollback", "remove", "rerun", "export", "import"])
def test_each_subcommand_has_help_and_is_listed(desk, word):
    text = desk.run(f"%fact {word} --help").stdout
    assert text.startswith(f"%fact {word}")
    assert "Examples" in text
    assert f"%fact {word}" in desk.run("%fact --help").stdout
    assert desk.run(f"%fact {word}").error_name == "CellError"
    assert desk.run("%%fact_edit --help\n").stdout.startswith("%%fact_edit NAME")
