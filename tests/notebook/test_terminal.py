"""``ipython script.ipy``, ``ipython notebook.ipynb`` and the prompt itself: plain text that streams, and exit codes."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from waiting import BEGIN, tool_has_begun, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

pexpect = pytest.importorskip("pexpect", reason="needs a pseudo-terminal")

SLOW = "def slow(n: int) -> int:\n" + "    # a remark\n" * 40 + "    print('slowly')\n    return n\n"
WRITE = "get_ipython().run_cell_magic('fact_generate', 'slow', '''Slowly.\n\n>>> slow(1)\n1\n''')\n"
RUN = "get_ipython().run_cell_magic('fact_run', 'slow', 'n = {n}')\n"


@pytest.fixture
def ipython(plain_environment, server, tmp_path) -> Iterator[Callable]:
    """Start IPython behind a pseudo-terminal, where the model is the server."""
    started = []

    def start(*arguments: str, term: str = "dumb") -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--no-confirm-exit", "--colors=NoColor", *arguments],
            env={**plain_environment, **server.environment(), "TERM": term},
            cwd=str(tmp_path),
            encoding="utf-8",
            timeout=60,
            dimensions=(50, 160),
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


@pytest.fixture
def script(ipython, tmp_path) -> Callable:
    """Start a script; the extension is loaded before it, as `--ext` does."""

    def start(text: str, *arguments: str, name: str = "script.ipy") -> pexpect.spawn:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return ipython(*(arguments or ("--ext=fact_magics",)), name)

    return start


def ended(child: pexpect.spawn) -> tuple[str, int]:
    """All that it still writes, and its exit status."""
    child.expect(pexpect.EOF)
    written = child.before
    child.wait()
    return written, child.exitstatus if child.exitstatus is not None else -child.signalstatus


def statuses(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "fact_magics.db")) as connection:
        return [
            row[0] for row in connection.execute("SELECT status FROM tool_executions ORDER BY executed_at")
        ]


def test_a_script_streams_what_is_written_and_run_as_plain_text(script, server, home):
    server.writes(SLOW, pace=60, chunk=12)
    child = script(
        f"{WRITE}{RUN.format(n=7)}{RUN.format(n=7)}from fact_magics.tools import slow\nprint('called', slow(8))\n"
        "%fact tools\n%unload_ext fact_magics\nprint('unloaded')\n"
    )
    child.expect("a remark")  # long before the end
    assert child.expect(["return n", "a remark"]) == 1
    written, status = ended(child)
    assert status == 0
    assert "proven on 1 example" in written
    assert "✓ slow(1) → 1" in written
    assert written.count("return n") == 1  # what streamed is not repeated
    assert re.search(r"slowly\r\n7\r\n", written)
    assert "cached" in written
    assert "called 8" in written
    assert "1 tool" in written
    assert written.rstrip().endswith("unloaded")
    for noise in ("\x1b", "<div", "HTML(", "widget", "Traceback"):
        assert noise not in written
    assert statuses(home) == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (RUN.format(n='"x"'), "InvalidInput: n: should be"),
        ("get_ipython().run_cell_magic('fact_generate', 'other', 'Do.')", "GenerationFailed: "),
        ("from fact_magics.tools import nosuch", "ToolImportError: There is no tool"),
    ],
)
def test_a_script_that_fails_says_so_in_one_line_and_exits_with_1(script, server, line, error):
    server.writes("def slow(n: int) -> int:\n    return n\n")
    for _ in range(3):
        server.reply("No.")
    written, status = ended(script(f"{WRITE}{line}\nprint('not ' + 'reached')\n"))
    assert status == 1
    assert error in written
    assert written.count(error) == 1
    assert "Traceback" not in written
    assert "not reached" not in written


def test_an_interrupt_ends_a_script_and_is_recorded(script, server, home):
    server.writes(f"import time\n\ndef slow(n: int) -> int:\n    {BEGIN}\n    time.sleep(n)\n    return n\n")
    child = script(
        f"{WRITE.replace('slow(1)', 'slow(0)').replace('1', '0')}print('written')\n{RUN.format(n=60)}"
    )
    child.expect("written\r\n")
    until(lambda: tool_has_begun(child.pid))
    child.kill(signal.SIGINT)
    written, status = ended(child)
    assert "slow was stopped" in written
    assert "Traceback" not in written
    assert status != 0
    assert statuses(home)[-1] == "interrupted"


def test_a_run_in_the_process_of_a_script_awaits_its_coroutine(script, server):
    server.writes(
        "import asyncio, os\n\nasync def slow(n: int) -> int:\n    await asyncio.sleep(0.01)\n    print('in', os.getpid())\n    return n\n"
    )
    run = "get_ipython().run_cell_magic('fact_run', 'slow --in-kernel', 'n = 3')\n"
    written, status = ended(
        script(f"{WRITE}import os, sys\n{run}print('me', os.getpid(), 'nest_asyncio2' in sys.modules)\n")
    )
    assert status == 0
    inside, outside = re.search(r"in (\d+)\r\n", written), re.search(r"me (\d+) (\w+)", written)
    assert inside
    assert outside
    assert (inside[1], "False") == (outside[1], outside[2])
    assert "isolation: none, in kernel" in written
    assert written.count("in kernel") == 1


def test_examples_that_ipython_took_the_prompts_of_are_refused_and_not_dropped(script):
    """A script that loads the extension itself was read as one cell before: its tools would all be unproven."""
    written, status = ended(script(f"%load_ext fact_magics\n{WRITE}", "--quick"))
    assert status == 1
    assert "looks like an example without >>>" in written
    assert "--ext fact_magics" in " ".join(written.split())


def test_a_notebook_runs_cell_by_cell(script, server):
    server.writes(SLOW)
    sources = [
        "%load_ext fact_magics",
        "%%fact_generate slow\nSlowly.\n\n>>> slow(1)\n1\n",
        "%%fact_run slow --into got\nn = 5",
        "print('got', got)",
    ]
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**cell, "id": f"c{number}", "source": source} for number, source in enumerate(sources)]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    written, status = ended(script(json.dumps(notebook), "--quick", name="notebook.ipynb"))
    assert status == 0
    assert "✓ slow(1) → 1" in written
    assert "got 5" in written


def test_at_the_prompt_tab_completes_and_a_cell_ends_at_a_blank_line(ipython, server):
    """A real prompt, with its line editor."""
    server.writes("def greet(name: str) -> str:\n    return name\n")
    child = ipython("--ext=fact_magics", term="xterm")

    def shows(text: str) -> None:
        child.expect(re.escape(text))

    shows("]:")
    child.send("get_ipython().run_cell('%%fact_generate greet\\nGreet.');\r")
    shows("greet 1.0.0")
    child.send("%fact his\t")
    shows("tory")  # the line editor may write only what is new
    child.send(" --status e\t")
    shows("rror")
    child.send("\r")
    shows("No row matches.")
    child.send("from fact_magics.tools import gr\t")
    shows("eet")
    child.send("\r")
    child.send("greet('Ann')\r")
    shows("'Ann'")
    child.send("%%fact_run greet\r")
    child.send("name = 'B' + 'ob'\r")
    child.send("\r\r")  # as for every magic's cell
    shows("'Bob'")
    child.send("exit\r")
    assert ended(child)[1] == 0
