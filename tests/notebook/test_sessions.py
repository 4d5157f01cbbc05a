"""What lives longer than a cell: pins, restarts, other kernels, killed kernels, unloading, exit."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import suppress

import psutil
import pytest
from kernels import each_kernel_if_thorough
from waiting import BEGIN, until

pytestmark = pytest.mark.kernel

OLD = "def greet(name: str) -> str:\n    return 'Hello ' + name\n"
NAP = f"import time\n\ndef nap(n: int) -> int:\n    {BEGIN}\n    time.sleep(n)\n    return n\n"
NEW = "def greet(name: str) -> str:\n    return 'Hi ' + name\n"
CELL = "%%fact_generate greet{options}\nGreet.\n\n>>> greet('')\n'{value}'\n"


def greet(kernel, server, source, options=""):
    server.writes(source)
    value = "Hello " if source is OLD else "Hi "
    cell = kernel.run(CELL.format(options=options, value=value))
    assert cell.status == "ok", cell.traceback


def ended(kernel) -> None:
    """Wait until a kernel can be reaped: before that, the next test would take it for a living one."""
    until(lambda: not kernel.manager.is_alive())


def gone(pids, seconds=10.0):
    """Wait until none of these processes lives, and tell the rest; a zombie does not live."""
    with suppress(TimeoutError):
        until(lambda: not any(map(_alive, pids)), seconds)
    return [pid for pid in pids if _alive(pid)]


def _alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_another_kernel_can_t_change_what_this_one_runs(start_kernel, server):
    env = server.environment()
    one, two = start_kernel(**env), start_kernel(**env)
    greet(one, server, OLD)
    assert two.run("%%fact_run greet\nname = 'x'").plain.startswith("'Hello x'")
    assert "cached" in two.run("%%fact_run greet\nname = 'x'").plain
    greet(one, server, NEW)

    assert "1.1.0" in one.run("%%fact_run greet\nname = 'y'").plain
    # Two ran it before: it keeps what it had, in cells, by import and in calls.
    assert two.run("%%fact_run greet\nname = 'y'").plain.startswith("'Hello y'")
    assert two.run("from fact_magics.tools import greet\ngreet('z')").plain == "'Hello z'"
    assert two.run("%%fact_run greet@1.1\nname = 'y'").plain.startswith("'Hi y'")
    # A kernel that comes later gets the current one.
    three = start_kernel(**env)
    assert three.run("%%fact_run greet\nname = 'y'").plain.startswith("'Hi y'")
    # Two generates itself: that moves its pin, and the current version with it.
    asked = len(server.requests)
    assert two.run(CELL.format(options="", value="Hi ")).status == "ok"
    assert len(server.requests) == asked
    assert two.run("greet('q')").plain == "'Hi q'"
    # And one's handle is bound to its version for good.
    assert one.run("greet.version").plain == "'1.1.0'"


def test_two_kernels_write_to_one_database_at_once(start_kernel, server, home):
    env = server.environment()
    one, two = start_kernel(**env), start_kernel(**env)
    greet(one, server, OLD)
    two.run("from fact_magics.tools import greet")
    code = "import asyncio\nfor i in range(25):\n    greet(f'{who}{i}')"
    sent = [(kernel, kernel.send(code.replace("{who}", who))) for kernel, who in ((one, "a"), (two, "b"))]
    for kernel, request in sent:
        assert kernel.collect(request).status == "ok"
    rows = json.loads(one.run("%fact history --session all --tool greet -n 100 --json").stdout)
    assert sum(row["kind"] == "run" for row in rows) == 50
    assert len({row["session_id"] for row in rows}) == 2
    with sqlite3.connect(home / "fact_magics.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@each_kernel_if_thorough
def test_a_restart_keeps_tools_history_and_cache(modelled, server):
    greet(modelled, server, OLD)
    modelled.run("%%fact_run greet\nname = 'x'")
    pids = modelled.descendants()
    modelled.restart()

    assert gone(pids) == []
    own = {name: modelled.env[name] for name in ("FACT_HOME", *server.environment())}
    modelled.run(f"import os\nos.environ.update({own!r})")
    assert modelled.run("%load_ext fact_magics").status == "ok"
    assert "cached" in modelled.run("%%fact_run greet\nname = 'x'").plain
    assert modelled.run("%fact history --json").stdout.count('"kind"') == 1  # a session of its own
    kinds = [row["kind"] for row in json.loads(modelled.run("%fact history --session all --json").stdout)]
    assert kinds == ["run", "run", "generation"]
    asked = len(server.requests)
    assert modelled.run(CELL.format(options="", value="Hello ")).status == "ok"
    assert len(server.requests) == asked
    assert modelled.run("greet('y')").plain == "'Hello y'"


def test_a_killed_kernel_loses_nothing_that_a_cell_had_ended(start_kernel, server, home):
    env = server.environment()
    first = start_kernel(**env)
    greet(first, server, OLD)
    first.run("%%fact_run greet\nname = 'x'")
    server.writes(NAP)
    first.run("%%fact_generate nap\nNap.\n\n>>> nap(0)\n0\n")
    first.send("%%fact_run nap\nn = 60")
    first.wait_for_tool()
    pids = [first.pid, *first.descendants()]
    first.kill()

    # No process outlives its kernel.
    assert gone(pids) == []
    second = start_kernel(**env)
    assert "cached" in second.run("%%fact_run greet\nname = 'x'").plain
    assert second.run("%%fact_run nap\nn = 0").status == "ok"
    rows = json.loads(second.run("%fact history --session all --json").stdout)
    assert [row["tool_name"] for row in rows if row["kind"] == "generation"] == ["nap", "greet"]
    with sqlite3.connect(home / "fact_magics.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@each_kernel_if_thorough
def test_a_kernel_exits_with_the_database_open_and_leaves_no_process(modelled, server):
    greet(modelled, server, OLD)
    modelled.run("%%fact_run greet\nname = 'x'")
    pids = [modelled.pid, *modelled.descendants()]
    assert len(pids) > 1

    modelled.client.shutdown()

    assert gone(pids, 15) == []
    ended(modelled)


def test_exit_in_the_middle_of_a_run_leaves_no_process(modelled, server):
    server.writes(NAP)
    modelled.run("%%fact_generate nap\nNap.\n\n>>> nap(0)\n0\n")
    modelled.send("import threading\nt = threading.Thread(target=nap, args=(60,), daemon=True); t.start()")
    modelled.wait_for_tool()
    pids = [modelled.pid, *modelled.descendants()]
    os.kill(modelled.pid, signal.SIGTERM)
    modelled.client.shutdown()
    assert gone(pids, 15) == []
    ended(modelled)


@each_kernel_if_thorough
def test_unloading_takes_everything_away_and_reloading_brings_it_back(modelled, server):
    before = modelled.run(
        "ip = get_ipython()\nprint(len(ip.input_transformers_cleanup), len(ip.events.callbacks['pre_execute']),"
        " len(ip.events.callbacks['post_execute']))"
    ).stdout
    greet(modelled, server, OLD)
    processes = modelled.descendants()
    threads = "import threading\nprint(sorted(t.name for t in threading.enumerate() if 'fact' in t.name))"
    assert modelled.run(threads).stdout != "[]\n"

    assert modelled.run("%unload_ext fact_magics").status == "ok"

    assert gone(processes) == []
    assert modelled.run(threads).stdout == "[]\n"
    cell = modelled.run("%%fact_run greet\nname = 'x'")
    assert "fact_run" in cell.stderr + cell.error
    assert modelled.run("%lsmagic").plain.count("%%fact") == 0
    # Prompts are stripped again, as IPython does it.
    assert modelled.run(">>> 1 + 1").plain == "2"

    assert modelled.run("%load_ext fact_magics").status == "ok"
    assert modelled.run("%load_ext fact_magics").status == "ok"  # twice is no error
    assert modelled.run("%%fact_run greet\nname = 'x'").status == "ok"
    for _ in range(2):
        assert modelled.run("%reload_ext fact_magics").status == "ok"
    after = modelled.run(
        "print(len(ip.input_transformers_cleanup), len(ip.events.callbacks['pre_execute']),"
        " len(ip.events.callbacks['post_execute']))"
    ).stdout
    assert after == before
    cell = modelled.run("%%fact_run greet\nname = 'x'")
    assert "cached" in cell.plain
    assert len(cell.displays) == 1
    assert modelled.run("from fact_magics.tools import greet\ngreet('y')").plain == "'Hello y'"


def test_a_session_s_row_says_what_it_was(start_kernel, server, home):
    kernel = start_kernel(**server.environment(), JPY_SESSION_NAME="/books/some notebook.ipynb")
    greet(kernel, server, OLD)
    kernel.close()
    with sqlite3.connect(home / "fact_magics.db") as connection:
        connection.row_factory = sqlite3.Row
        [row] = [dict(row) for row in connection.execute("SELECT * FROM sessions")]
    connection.close()
    assert row["notebook"] == "/books/some notebook.ipynb"
    assert row["started_at"].endswith("Z")
    assert row["ended_at"] > row["started_at"]


def test_rows_are_committed_before_the_cell_ends(modelled, server, home):
    """Another client reads them the moment that the cell is idle."""
    greet(modelled, server, OLD)
    with sqlite3.connect(home / "fact_magics.db") as connection:
        count = "SELECT count(*) FROM tool_executions"
        for number, code in enumerate(
            ["%%fact_run greet\nname = 'x'", "%%fact_run greet\nname = 'x'", "greet('x')", "greet('x'); greet('x')",
             "await greet.acall('x')", "%%fact_run greet --no-raise\nname = 3"], start=1
        ):  # fmt: skip
            modelled.run(code)
            assert connection.execute(count).fetchone()[0] == number + (number > 3)
    connection.close()


def test_a_handle_that_outlived_its_workshop_says_how_to_bind_it_anew(modelled, server):
    greet(modelled, server, OLD)
    modelled.run("%reload_ext fact_magics")
    cell = modelled.run("greet('someone new')")
    assert cell.error_name == "FactError"
    assert "from fact_magics.tools import greet" in cell.error
    assert modelled.run("from fact_magics.tools import greet\ngreet('someone new')").status == "ok"


def test_a_record_that_was_shown_by_one_cell_is_shown_again_by_the_next(modelled, server):
    greet(modelled, server, OLD)
    modelled.run("get_ipython().run_cell_magic('fact_run', 'greet', \"name = 'x'\")\nNone")
    modelled.run("shown = get_ipython().run_cell_magic('fact_run', 'greet', \"name = 'x'\")")
    assert "cached" in modelled.run("shown").plain
    assert "greet" in modelled.run("greet").plain


def test_a_run_that_the_end_of_the_kernel_stopped_is_recorded(modelled, server, home):
    server.writes(NAP)
    assert modelled.run("%%fact_generate nap\nSleep.\n\n>>> nap(0)\n0\n").status == "ok"
    modelled.run("import threading\nthreading.Thread(target=nap, args=(60,), daemon=True).start()")
    modelled.wait_for_tool()
    modelled.client.shutdown()  # a busy machine may need longer than the 5 s after which a manager kills it
    assert gone([modelled.pid], 30) == []
    with sqlite3.connect(home / "fact_magics.db") as connection:
        assert connection.execute("SELECT status FROM tool_executions").fetchall() == [("interrupted",)]
    connection.close()
