"""``%%fact_refine``, and what a cell says about the version that it replaces."""

from __future__ import annotations

import pytest
from waiting import BEGIN

pytestmark = pytest.mark.kernel

EXAMPLES = ">>> {name}(2)\n4\n\n>>> {name}(0)\n0\n"


def source(name: str, body: str = "2 * n") -> str:
    return f"def {name}(n: int) -> int:\n    return {body}\n"


def write(desk, name: str) -> None:
    cell = desk.write(name, source(name), examples=EXAMPLES.format(name=name))
    assert cell.status == "ok", cell.traceback


def wish(name: str) -> str:
    return f"%%fact_refine {name}\nBegin at one hundred.\n\n>>> {name}(1)\n102\n\n>>> {name}(2)\n104\n\n>>> {name}(0)\n100\n"


def test_the_changed_tool_is_bound_shown_and_the_cell_s_value(desk):
    write(desk, "grow")
    desk.server.writes(source("grow", "2 * n + 100"))
    cell = desk.run(wish("grow"))
    assert cell.status == "ok", cell.traceback
    assert desk.value("[grow.version, grow(4), grow is _]") == ["1.1.0", 108, True]
    for text in (cell.plain, cell.html):
        assert "grow 1.1.0" in text
        assert "proven on 3 examples" in text
        assert "replaces 1.0.0, proven on 2 examples; undo: %fact rollback grow 1.0.0" in text
        assert "grow(2) now gives 104; the earlier example gives 4" in text
    assert len(cell.displays) == 1
    assert desk.run("%fact rollback grow 1.0.0").status == "ok"
    assert desk.value("grow(4)") == 8


def test_a_cell_reads_the_stored_versions_once(desk):
    write(desk, "once")
    desk.server.writes(source("once", "2 * n + 100"))
    desk.run(
        "import fact_magics.store.tools as _tools\n_versions, _reads = _tools.Tools.versions, []\n"
        "def _counted(self, name):\n    _reads.append(name)\n    return _versions(self, name)\n"
        "_tools.Tools.versions = _counted"
    )
    cell = desk.run(wish("once"))
    reads = desk.value("_reads")
    desk.run("_tools.Tools.versions = _versions")
    assert cell.status == "ok", cell.traceback
    assert reads == ["once"]


def test_run_all_calls_no_model_a_second_time(desk):
    cells = [
        f"%%fact_generate again\nDouble.\n\n{EXAMPLES.format(name='again')}",
        wish("again"),
        "%%fact_run again\nn = 3",
    ]
    desk.server.writes(source("again"))
    desk.server.writes(source("again", "2 * n + 100"))
    asked = len(desk.server.requests)
    for _ in range(3):
        done = desk.kernel.queue(cells)
        assert [cell.status for cell in done] == ["ok"] * 3, done[1].traceback
        assert done[2].plain.startswith("106")
    assert len(desk.server.requests) == asked + 2
    assert "no model was called" in done[1].plain


def test_it_arrives_whole_in_every_way(desk):
    write(desk, "ways")
    body = wish("ways").partition("\n")[2]
    cells = [
        f"# so\n{wish('ways')}",
        f"%%time\n{wish('ways').replace('Begin', 'Now begin')}",
        f"get_ipython().run_cell_magic('fact_refine', 'ways', {body.replace('Begin', 'Please begin')!r})",
    ]
    for cell in cells:
        desk.server.writes(source("ways", "2 * n + 100"))
        assert desk.run(cell).status == "ok"
        assert desk.value("ways.metadata.contract").endswith(">>> ways(1)\n102")


def test_a_variable_is_filled_in_and_fenced(desk):
    write(desk, "filled")
    desk.run("most = 'at most 9'")
    desk.server.writes(source("filled", "min(2 * n, 9)"))
    cell = desk.run("%%fact_refine filled\nReturn {{most}}.\n\n>>> filled(9)\n9\n")
    assert cell.status == "ok", cell.traceback
    assert "<data-" in desk.server.requests[-1].text
    assert 'variable="most">at most 9</data-' in desk.server.requests[-1].text


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("%%fact_refine lines\n", "CellError", "Say below what to change, or add >>> examples."),
        ("%%fact_refine lnes\nMore.", "UnknownName", "Did you mean 'lines'"),
        ("%%fact_refine\nMore.", "CellError", "needs NAME"),
        ("%%fact_refine lines@1\nMore.", "CellError", "lines@1"),
        ("%%fact_refine lines --modle x\nMore.", "CellError", "has no option --modle"),
        (
            "%%fact_refine lines --model shelf\nMore.",
            "ProviderError",
            "needs a model, and the shelf only has",
        ),
        ("%%fact_refine lines\n>>> line(1)\n2", "CellError", "calls line instead of lines"),
    ],
)
def test_what_can_t_be_done_is_one_line_and_calls_no_model(desk, code, kind, told):
    if not desk.query("SELECT 1 FROM tools WHERE name = 'lines'"):
        write(desk, "lines")
    asked = len(desk.server.requests)
    cell = desk.run(code)
    assert cell.error_name == kind
    assert told in cell.error
    assert cell.plain == ""
    assert len(desk.server.requests) == asked


def test_what_is_bound_and_no_tool_is_not_lost(desk):
    write(desk, "precious")
    desk.run("precious = 'mine'")
    desk.server.writes(source("precious", "2 * n + 100"))
    assert desk.run(wish("precious")).error_name == "BindingRefused"
    assert desk.value("precious") == "mine"
    assert desk.run(wish("precious").replace("precious\n", "precious --replace\n", 1)).status == "ok"
    assert desk.value("precious(1)") == 102


def test_an_interrupt_records_the_attempt_and_binds_nothing(desk):
    write(desk, "slow")
    slow = f"{BEGIN} or __import__(chr(116)+chr(105)+chr(109)+chr(101)).sleep(60)"
    desk.server.writes(source("slow", slow))
    request = desk.kernel.send(wish("slow"))
    desk.kernel.wait_for_tool()
    desk.kernel.interrupt()
    cell = desk.kernel.collect(request)
    assert cell.error_name == "Interrupted"
    assert "Changing slow was stopped" in cell.error
    assert desk.value("[slow.version, slow(4)]") == ["1.0.0", 8]


def test_an_unproven_cell_does_not_replace_a_proven_tool_and_no_model_is_called(desk):
    write(desk, "kept")
    asked = len(desk.server.requests)
    cell = desk.run("%%fact_generate kept\nDouble it.")
    assert cell.error_name == "BindingRefused"
    assert cell.error == (
        "kept@1.0.0 is proven on 2 examples; a version without examples does not replace it. Write >>> examples "
        "for it, or add --replace (in Python replace=True) to replace it."
    )
    assert len(desk.server.requests) == asked
    desk.server.writes(source("kept", "n + n"))
    cell = desk.run("%%fact_generate kept --replace\nDouble it.")
    assert "replaces 1.0.0, proven on 2 examples; undo: %fact rollback kept 1.0.0" in cell.plain
    assert desk.value("kept.version") == "1.1.0"


def test_another_notebook_s_tool_is_replaced_with_its_notebook_s_name(desk, start_module_kernel):
    write(desk, "shared")
    other = start_module_kernel(
        FACT_HOME=str(desk.home), JPY_SESSION_NAME="/lab/other.ipynb", **desk.server.environment()
    )
    cell = other.run(f"%%fact_edit shared\n{source('shared', 'n + n')}")
    assert "replaces 1.0.0, proven on 2 examples" in cell.plain
    cell = desk.run(f"%%fact_edit shared\n{source('shared', 'n * 2')}")
    assert (
        "replaces 1.0.1 of other.ipynb, proven on 2 examples; this session used 1.0.0; "
        "undo: %fact rollback shared 1.0.1" in cell.plain
    )


def test_versions_and_their_differences_are_shown_and_completed(desk):
    write(desk, "told")
    desk.run(f"%%fact_edit told\n{source('told', 'n + n')}")
    assert "2 versions of told" in desk.run("%fact versions told").plain
    shown = desk.run("%fact diff told")
    assert "-    return 2 * n\n+    return n + n" in shown.plain
    assert len(shown.displays) == 1
