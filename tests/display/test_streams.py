"""Views that write to the standard output: what they write, piece by piece."""

from __future__ import annotations

import sys

import pytest

from fact_magics.display.streams import PhasesView, PrintingView, TerminalView
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    GenerationEnded,
    PhaseChanged,
    Printed,
    TextArrived,
)
from fact_magics.tool import Status

# Two candidates that are written at the same time; the second one ends first.
SIDE_BY_SIDE = (
    AttemptStarted(1, 2, "anthropic", "claude", 2),
    AttemptStarted(2, 2, "anthropic", "claude", 2),
    PhaseChanged("writing", attempt=1),
    TextArrived("one", 1),
    PhaseChanged("writing", attempt=2),
    TextArrived("two ", 2),
    TextArrived(" and more", 1),
    TextArrived("and the rest", 2),
    PhaseChanged("proving", "1/1", 2),
    AttemptEnded(2, Status.ERROR, ("it is wrong",)),
    PhaseChanged("proving", "1/1", 1),
    AttemptEnded(1, Status.OK, ()),
    PhaseChanged("comparing"),
)


def show(view, *pieces):
    for piece in pieces:
        view.put(Printed(piece))
        view.pump()


@pytest.mark.parametrize("kind", [PrintingView, TerminalView])
def test_a_colour_code_that_arrives_in_pieces_is_dropped(kind, capsys):
    show(kind("tool"), "a\x1b[3", "1mred\x1b", "[0m.\n")
    assert capsys.readouterr().out == "ared.\n"


def test_the_cut_of_long_text_leaves_no_part_of_a_code(capsys):
    show(PrintingView("tool"), "x" * 44_998 + "\x1b[31mred")
    assert capsys.readouterr().out == "x" * 44_998 + "re\n…"


def test_an_interrupt_while_text_is_written_does_not_repeat_it(monkeypatch):
    class Interrupted:
        written = ""

        def write(self, text):
            self.written += text

        def flush(self):
            raise KeyboardInterrupt

    out = Interrupted()
    monkeypatch.setattr(sys, "stdout", out)
    view = PrintingView("tool", silent=True)
    with pytest.raises(KeyboardInterrupt):
        show(view, "once\n")
    out.flush = lambda: None
    view.pump()
    monkeypatch.undo()
    assert out.written == "once\n"


def test_candidates_that_are_written_side_by_side_are_shown_one_after_the_other(capsys):
    written = {}
    for view in (TerminalView("tool"), PhasesView("tool", 1)):
        for event in SIDE_BY_SIDE:
            view.put(event)
            view.pump()
        written[type(view)] = capsys.readouterr().out
    assert written[TerminalView] == (
        "candidate 1 of 2:\none and more\ncandidate 2 of 2:\ntwo and the rest\n✗ it is wrong\n"
    )
    assert written[PhasesView] == (
        "candidate 1 of 2: asking claude…\nwriting…\ntesting 1 example…\n"
        "candidate 2 of 2: asking claude…\nwriting…\ntesting 1 example…\n"
        "candidate 2 of 2 was not accepted: it is wrong\ncomparing the candidates…\n"
    )


def test_what_waits_for_its_turn_is_shown_when_the_generation_is_stopped(capsys):
    view = TerminalView("tool")
    for event in SIDE_BY_SIDE[:8]:
        view.put(event)
    view.put(GenerationEnded("tool", Status.INTERRUPTED, None, (), False, "", 10.0))
    view.pump()
    assert capsys.readouterr().out == "candidate 1 of 2:\none and more\ncandidate 2 of 2:\ntwo and the rest"
