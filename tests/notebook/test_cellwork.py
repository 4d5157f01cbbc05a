"""What is left in a cell of work that came to no outcome."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from fact_magics.display.live import View
from fact_magics.errors import Interrupted, IsolationError
from fact_magics.events import Printed
from fact_magics.notebook.work import Work, failure_shown


@pytest.fixture
def view() -> View:
    shown = View("wait")
    shown.put(Printed("tick\n"))
    return shown


def work(view: View, fail=None) -> Work:
    return Work(
        lambda: asyncio.sleep(0), view, lambda result: result, fail or view.close, lambda: "wait was stopped."
    )


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, asyncio.CancelledError])
def test_stopped_work_says_so_in_its_record_and_in_its_error(view, capsys, stopped):
    with pytest.raises(Interrupted, match="wait was stopped"), failure_shown(work(view)):
        raise stopped
    assert "wait · interrupted" in capsys.readouterr().out


def test_work_that_could_not_be_done_is_not_said_to_be_interrupted(view, capsys):
    with pytest.raises(IsolationError), failure_shown(work(view)):
        raise IsolationError("The tool can't be isolated.")
    shown = capsys.readouterr().out
    assert "wait · error" in shown
    assert "interrupted" not in shown


def test_work_that_is_done_leaves_its_record_to_its_end(view, capsys):
    ended = []
    with failure_shown(work(view, ended.append)):
        pass
    assert ended == []
    assert capsys.readouterr().out == ""


def test_work_that_was_stopped_before_it_began_leaves_no_warning_for_a_later_cell(loaded, home, monkeypatch):
    monkeypatch.setenv("FACT_HOME", str(home))
    magics = loaded.magics_manager.registry["FactMagics"]
    work = magics._prepare("fact_generate", "double", "Double a number.")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        work.start().close()
        gc.collect()
    assert warned == []
