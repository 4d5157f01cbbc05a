"""Cells while another program keeps a transaction open: they say what they wait for, and go on without the row."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kernel

WAITING = "Waiting for the database"
# In place of 25 s; the notice comes after one second.
BRIEFLY = "import fact_magics.store.locks as _locks\n_locks.LOCK_SECONDS = 2.0"


@contextmanager
def locked(home: Path) -> Iterator[None]:
    connection = sqlite3.connect(home / "fact_magics.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def rows(kernel) -> list[dict]:
    return json.loads(kernel.run("%fact history --json").stdout)


def interrupted_while_it_waits(kernel, code: str):
    """Run a cell, and interrupt it once it says that it waits for the database."""

    def interrupt(message: dict) -> None:
        if WAITING in message["content"].get("text", ""):
            kernel.interrupt()

    return kernel.run(code, on_message=interrupt)


@pytest.fixture
def kernel(modelled, server, shout, shout_cell):
    server.writes(shout)
    assert modelled.run(shout_cell).status == "ok"
    assert modelled.run("shout('a')").status == "ok"
    return modelled


def test_a_cell_says_what_it_waits_for_and_goes_on_without_the_row(kernel, home):
    kernel.run(BRIEFLY)
    with locked(home):
        cell = kernel.run("shout('b')")
        assert cell.status == "ok"
        assert "'B!'" in cell.plain
        assert cell.stderr.count(WAITING) == 1
        assert f"process {os.getpid()} (" in cell.stderr
        assert cell.stderr.count("Not recorded yet: ") == 1
        hit = kernel.run("%%fact_run shout\ntext = 'b'")  # the lock was waited for, so it hardly waits again
        assert hit.status == "ok"
        assert WAITING not in hit.stderr
        assert "Not recorded yet: " in hit.plain
        assert hit.stderr == ""
        executed = kernel.run("%%fact_run shout\ntext = 'e'")
        assert "Not recorded yet: " in executed.plain
        assert executed.stderr == ""
        silent = kernel.run("%%fact_run shout\ntext = 'f';")
        assert silent.stderr.count("Not recorded yet: ") == 1
        assert kernel.run("1").stderr == ""
        assert len([row for row in rows(kernel) if row["kind"] == "run"]) == 1
    assert [row["cached"] for row in rows(kernel) if row["kind"] == "run"] == [
        *(False, False),
        *(True, False, False),
    ]
    kernel.run("_locks.LOCK_SECONDS = 25.0")


def test_an_interrupt_ends_the_wait_of_the_end_of_a_cell_and_its_value_is_not_lost(kernel, home):
    with locked(home):
        cell = interrupted_while_it_waits(kernel, "shout('c')")
        assert cell.status == "ok"
        assert "'C!'" in cell.plain
        assert cell.stderr.count("Not recorded yet: ") == 1
    assert kernel.run("shout('d')").plain == "'D!'"
    given = [row["input_data"] for row in rows(kernel) if row["kind"] == "run" and row["status"] == "ok"]
    assert any('"c"' in text for text in given)


@pytest.mark.parametrize("code", ["%%fact_run shout\ntext = 'c'", "%fact rollback shout 1.0.0"])
def test_an_interrupt_ends_the_wait_and_the_row_is_recorded_later(kernel, home, code):
    with locked(home):
        cell = interrupted_while_it_waits(kernel, code)
        assert (cell.status, cell.error_name) == ("error", "Interrupted")
        assert "recorded as interrupted" not in cell.traceback
        if code.startswith("%%"):
            assert cell.error == "shout had ended; its row is recorded later."
            assert "'C!'" in cell.plain
            assert "interrupted" not in cell.plain
    assert kernel.run("shout('d')").plain == "'D!'"
    given = [row["input_data"] for row in rows(kernel) if row["kind"] == "run" and row["status"] == "ok"]
    assert any('"c"' in text for text in given) == ("'c'" in code)


def test_an_interrupt_ends_the_wait_of_a_generation(kernel, server, home):
    server.writes("def yell(text: str) -> str:\n    return text.upper()\n")
    with locked(home):
        cell = interrupted_while_it_waits(kernel, "%%fact_generate yell --attempts 1\nYell.")
        assert (cell.status, cell.error_name) == ("error", "Interrupted")
        assert cell.error == (
            "Writing yell was stopped; nothing was bound. The attempt is recorded when the database is free."
        )
        assert "yell · interrupted" in cell.plain
    kernel.run("1")
    assert [row["status"] for row in rows(kernel) if row["tool_name"] == "yell"] == ["interrupted"]


def test_the_attempts_of_cells_that_met_the_lock_are_recorded_later(kernel, server, home):
    kernel.run(BRIEFLY)
    server.writes("def yell(text: str) -> str:\n    return text.upper()\n")
    with locked(home):
        rejected = kernel.run("%%fact_generate yell --attempts 1\nYell.\n\n>>> yell('a')\n'B'\n")
        assert rejected.error_name == "GenerationFailed"
        assert rejected.stderr.count("Not recorded yet: ") == 1
        edited = kernel.run("%%fact_edit shout\ndef shout(text: str) -> str:\n    return text\n")
        assert edited.error_name == "GenerationFailed"
        kernel.run("_locks.LOCK_SECONDS = 25.0")
    kernel.run("1")
    found = [(row["tool_name"], row["status"]) for row in rows(kernel) if row["kind"] == "generation"]
    assert sorted(found) == [("shout", "error"), ("shout", "ok"), ("yell", "error")]


def test_the_first_cell_of_a_kernel_waits_as_the_others_do(kernel, home):
    kernel.run("%reload_ext fact_magics")
    with locked(home):
        cell = interrupted_while_it_waits(kernel, "%fact tools")
        assert (cell.status, cell.error_name) == ("error", "Interrupted")
    assert "shout" in kernel.run("%fact tools").plain


def test_a_notebook_that_logs_everything_sees_no_line_of_our_libraries(modelled, server, shout, shout_cell):
    """Its own work is logged as ever."""
    modelled.run(
        "import logging\nlines = []\nclass Lines(logging.Handler):\n"
        "    def emit(self, record):\n        lines.append(f'{record.name}: {record.getMessage()}')\n"
        "handler = Lines()\nlogging.getLogger().addHandler(handler)\nlogging.getLogger().setLevel(logging.DEBUG)\n"
        "%reload_ext fact_magics"
    )
    server.writes(shout)
    for code in (
        shout_cell,
        "shout('a')",
        "shout('a')",
        "%%fact_run shout\ntext = 'b'",
        "await shout.acall('c')",
    ):
        assert modelled.run(code).status == "ok"
    assert modelled.run("lines").plain == "[]"
    modelled.run("logging.getLogger('mine').debug('hello')\nlogging.getLogger().removeHandler(handler)")
    assert modelled.run("lines").plain == "['mine: hello']"
