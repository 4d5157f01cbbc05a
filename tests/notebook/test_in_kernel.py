"""``--in-kernel``: a run in the notebook's own process, on its live objects, unisolated and said so."""

from __future__ import annotations

import threading

import pytest
from kernels import each_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

GROW = (
    "from typing import Any\n\ndef grow(items: Any, *, by: int = 1) -> int:\n"
    "    print('grown by', by)\n    items.append(by)\n    return len(items)\n"
)
SAME = "from typing import Any\n\ndef same(thing: Any) -> Any:\n    return thing\n"
FAILS = (
    "from typing import Any\n\ndef fails(thing: Any) -> int:\n    print('before')\n    return _inner(thing)\n\n"
    "def _inner(thing):\n    raise ValueError(f'no {type(thing).__name__}')\n"
)
MOVED = (
    "from dataclasses import dataclass\n\n@dataclass\nclass Point:\n    x: int\n    y: int = 2\n\n"
    "def moved(point: Point, /, by: int = 1) -> Point:\n"
    "    return Point(point.x + by, point.y)\n"
)
HERE = (
    "import asyncio, os\nfrom typing import Any\n\nasync def here(wait: float, loops: Any) -> int:\n"
    "    loops.append(asyncio.get_running_loop())\n    print('waiting', flush=True)\n"
    "    await asyncio.sleep(wait)\n    print('done')\n    return os.getpid()\n"
)
NAP = "import time\n\ndef nap(seconds: int) -> int:\n    print('napping', flush=True)\n    time.sleep(seconds)\n    return 1\n"
BUSY = (
    "import asyncio\n\nasync def busy(turns: int) -> int:\n    print('busy', flush=True)\n"
    "    await asyncio.sleep(0)\n    while turns:\n        turns += 1\n    return turns\n"
)


@pytest.fixture(scope="module")
def live(module_desk):
    sources = {"grow": GROW, "same": SAME, "fails": FAILS, "moved": MOVED, "here": HERE, "nap": NAP}
    made = [module_desk.write(name, source) for name, source in sources.items()]
    assert [cell.status for cell in made] == ["ok"] * len(made), [cell.traceback for cell in made]
    return module_desk


@pytest.fixture
def desk(live):
    live.server._script.clear()
    live.run("class Mine:\n    pass\nmine, items, loops = Mine(), [1], []")
    return live


def last_run(desk):
    [row] = desk.query(
        "SELECT tool_name, status, isolation, input_data, output_data, printed, error, cached "
        "FROM tool_executions ORDER BY executed_at DESC LIMIT 1"
    )
    names = ("tool", "status", "isolation", "input", "output", "printed", "error", "cached")
    return dict(zip(names, row, strict=True))


# What reaches the tool


def test_a_parameter_annotated_any_is_the_live_object_itself(desk):
    cell = desk.run("%%fact_run grow --in-kernel\nitems = items\nby = 5")
    assert cell.status == "ok", cell.traceback
    assert desk.value("items") == [1, 5]
    assert desk.run("%%fact_run same --in-kernel\nthing = mine").status == "ok"
    assert desk.value("_.result is mine")


def test_other_parameters_are_validated_and_canonical(desk):
    refused = desk.run("%%fact_run grow --in-kernel\nitems = items\nby = 'x'")
    assert (refused.status, refused.error_name) == ("error", "InvalidInput")
    assert "by: should be a valid integer" in refused.error
    assert desk.run("%%fact_run grow --in-kernel\nby = 2").error_name == "InvalidInput"
    assert desk.value("items") == [1]
    assert "{'x': 5, 'y': 2}" in desk.run('%%fact_run moved --in-kernel\npoint = {"x": 4}').plain


def test_the_result_is_judged_by_its_annotation(desk):
    desk.server.writes("from typing import Any\n\ndef wrong(thing: Any) -> int:\n    return thing\n")
    desk.run("%%fact_generate wrong\nReturn it.")
    for options in ("", "--in-kernel"):
        error = desk.run(f"%%fact_run wrong {options}\nthing = 'x'").error
        assert error.startswith("wrong() returned a value that is not int")
    assert (
        "returned a value that can't be passed on"
        in desk.run("%%fact_run wrong --in-kernel\nthing = mine").error
    )


# What is said and kept


def test_it_says_that_nothing_isolated_it(desk):
    cell = desk.run("%%fact_run grow --in-kernel\nitems = items")
    assert "isolation: none, in kernel" in cell.plain
    assert "isolation: none, in kernel" in cell.html
    assert desk.value("list(_.metadata['isolation'])") == ["none", "in kernel"]
    row = last_run(desk)
    assert (row["status"], row["isolation"], row["printed"]) == ("ok", "none, in kernel", "grown by 1\n")
    assert row["input"] == '{"items": [1], "by": 1}'


def test_what_it_prints_streams_as_output_and_is_recorded_once(desk):
    cell = desk.run("%%fact_run grow --in-kernel\nitems = items")
    assert cell.stdout == "grown by 1\n"
    assert cell.plain.count("grown by 1") == 1
    assert "grown by 1" not in cell.html
    assert desk.value("_.metadata['printed']") == "grown by 1\n"


def test_what_it_prints_is_recorded_up_to_a_bound(desk):
    desk.server.writes(
        "def loud(lines: int) -> int:\n    for _ in range(lines):\n        print('x' * 99)\n    return lines\n"
    )
    desk.run("%%fact_generate loud\nPrint.")
    cell = desk.run("%%fact_run loud --in-kernel\nlines = 10000")
    assert len(cell.stdout) == 1_000_000
    printed = last_run(desk)["printed"]
    assert len(printed) < 300_000
    assert "more bytes were printed" in printed


def test_live_objects_are_named_in_the_history(desk):
    desk.run("%%fact_run same --in-kernel\nthing = mine")
    row = last_run(desk)
    assert (row["input"], row["output"]) == ('{"thing": "a live Mine"}', '"a live Mine"')
    assert "isolation" in desk.run("%fact history --json -n 1").stdout


def test_it_is_never_answered_from_the_cache_nor_kept(desk):
    before = desk.counts()["cache"]
    for _ in range(3):
        desk.run("%%fact_run moved --in-kernel\npoint = {'x': 77}")
    assert desk.counts()["cache"] == before
    assert last_run(desk)["cached"] == 0
    isolated = desk.run("%%fact_run moved\npoint = {'x': 77}")
    assert "isolation: none" not in isolated.plain
    assert "cached" not in isolated.plain


def test_options_that_can_t_be_kept_there_are_named(desk):
    cell = desk.run("%%fact_run grow --in-kernel --timeout 3 --memory 64 --ttl 60\nitems = items")
    assert cell.status == "ok", cell.traceback
    assert "--timeout and --memory can't be applied in the kernel" in cell.stderr
    assert "--ttl can't be applied in the kernel: answers are not cached there." in cell.stderr
    assert desk.run("%%fact_run grow --in-kernel\nitems = items").stderr == ""


def test_into_a_semicolon_and_capture_work_as_ever(desk):
    cell = desk.run("%%fact_run grow --in-kernel --into length;\nitems = items")
    assert [output for output in cell.outputs if output.get("data")] == []
    assert cell.stdout == "grown by 1\n"
    assert desk.value("length") == 2
    desk.run("%%capture got\n%%fact_run grow --in-kernel\nitems = items")
    assert desk.value("got.stdout") == "grown by 1\n"


def test_required_isolation_refuses_it_with_one_line(desk):
    desk.run("%config FactMagics.isolation = 'require'")
    try:
        cell = desk.run("%%fact_run grow --in-kernel\nitems = items")
    finally:
        desk.run("%config FactMagics.isolation = 'auto'")
    assert cell.error_name == "IsolationError"
    assert "\n" not in cell.error
    assert desk.value("items") == [1]


def test_no_code_of_the_tool_runs_before_a_cell_asks_for_it(desk):
    desk.server.writes(
        "from typing import Any\nimport builtins\nbuiltins.fact_was_here = True\n\ndef trap(thing: Any) -> int:\n    return 1\n"
    )
    desk.run("%%fact_generate trap\nOne.")
    desk.run("trap; trap.text; help(trap)")
    assert desk.run("%%fact_run trap --in-kernel").status == "ok"  # an empty body only shows what it takes
    assert not desk.value("hasattr(__import__('builtins'), 'fact_was_here')")
    assert desk.run("%%fact_run trap --in-kernel\nthing = 1").status == "ok"
    assert desk.value("__import__('builtins').fact_was_here")
    desk.run("del __import__('builtins').fact_was_here")


# How it fails


def test_an_error_is_one_line_and_the_tool_s_own_frames(desk):
    cell = desk.run("%%fact_run fails --in-kernel\nthing = mine")
    assert cell.error_name == "ToolFailed"
    assert cell.error.startswith("fails raised ValueError: no Mine\n")
    assert 'File "<fails>", line 8, in _inner' in cell.error
    assert "fact_magics" not in cell.traceback
    assert cell.stdout == "before\n"
    assert last_run(desk)["status"] == "error"
    given = desk.run("%%fact_run fails --in-kernel --no-raise\nthing = mine")
    assert given.status == "ok"
    assert desk.value("[_.success, _.metadata['error_type']]") == [False, "ValueError"]


def test_leaving_is_an_error_and_not_the_kernel_s_end(desk):
    desk.server.writes("import sys\n\ndef leave(code: int) -> int:\n    sys.exit(code)\n")
    desk.server.writes("import sys\n\nasync def leave_later(code: int) -> int:\n    sys.exit(code)\n")
    for name in ("leave", "leave_later"):
        desk.run(f"%%fact_generate {name}\nLeave.")
        for above in ("", "%%time\n"):
            cell = desk.run(f"{above}%%fact_run {name} --in-kernel\ncode = 3")
            assert "raised SystemExit: 3" in cell.error
    assert desk.value("1 + 1") == 2


# Coroutines


def test_a_coroutine_runs_on_the_kernel_s_own_loop(desk):
    cell = desk.run("%%fact_run here --in-kernel\nwait = 0.01\nloops = loops")
    assert cell.stdout == "waiting\ndone\n"
    desk.run("import asyncio, os\nloops.append(asyncio.get_running_loop())\nawait asyncio.sleep(0)")
    assert desk.value("[loops[0] is loops[1], len(loops)]") == [True, 2]


@each_kernel
def test_an_awaited_cell_needs_no_nested_loop_and_a_blocking_one_nests_it_then(modelled, server):
    server.writes(HERE)
    modelled.run("%%fact_generate here\nHere.")
    modelled.run("import sys, asyncio\nloops = []\nrun = asyncio.run")
    code = "%%fact_run here --in-kernel\nwait = 0.01\nloops = loops"
    assert modelled.run(code).status == "ok"
    assert modelled.run("'_nest_asyncio2' in vars(asyncio)").plain == "False"
    blocking = modelled.run(f"%%time\n{code}")
    assert blocking.status == "ok", blocking.traceback
    assert "Wall time" in blocking.stdout
    assert modelled.run("loops[0] is loops[1] is asyncio.get_event_loop()").plain == "True"
    # The core's own loop is of the same class, and goes on.
    assert "ok" in modelled.run("%%fact_run here\nwait = 0.0\nloops = []").status


@each_kernel
@pytest.mark.parametrize("above", ["", "%%time\n"], ids=["awaited", "blocking"])
def test_five_queued_cells_all_run_in_their_order(modelled, server, above):
    server.writes(HERE)
    modelled.run("%%fact_generate here\nHere.")
    modelled.run("order, loops = [], []")
    cells = [
        f"{above}%%fact_run here --in-kernel\nwait = 0.1\nloops = loops + [order.append({n})]"
        for n in range(5)
    ]
    ran = modelled.queue([*cells, "print(order)"])
    assert [cell.status for cell in ran] == ["ok"] * 6, [cell.traceback for cell in ran]
    assert [cell.stdout.count("done") for cell in ran[:5]] == [1] * 5
    assert ran[5].stdout == "[0, 1, 2, 3, 4]\n"


@each_kernel
@pytest.mark.parametrize("above", ["", "%%time\n"], ids=["awaited", "blocking"])
@pytest.mark.parametrize(
    ("name", "source", "body"),
    [
        ("nap", NAP, "seconds = 60"),
        ("here", HERE, "wait = 60\nloops = []"),
        ("busy", BUSY, "turns = 1"),
    ],
)
def test_an_interrupt_ends_it_and_is_recorded(modelled, server, above, name, source, body):
    server.writes(source)
    assert modelled.run(f"%%fact_generate {name}\nIt.").status == "ok"
    interrupted = threading.Event()

    def interrupt_once(message):
        if message["msg_type"] == "stream" and not interrupted.is_set():
            interrupted.set()
            threading.Timer(0.2, modelled.interrupt).start()

    cell = modelled.run(
        f"{above}%%fact_run {name} --in-kernel\n{body}", on_message=interrupt_once, timeout=30
    )
    assert (cell.status, cell.error_name) == ("error", "Interrupted")
    assert f"{name} was stopped" in cell.error
    # Nothing of it goes on, and the kernel works as before.
    assert modelled.run("import asyncio\nlen(asyncio.all_tasks())").status == "ok"
    assert '"interrupted"' in modelled.run("%fact history --json -n 1").stdout
    assert "none, in kernel" in modelled.run("%fact history --json -n 1").stdout
