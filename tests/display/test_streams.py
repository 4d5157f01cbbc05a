"""Views that write to the standard output: what they write, piece by piece."""

from __future__ import annotations

import sys

import pytest

from fact_magics.display.streams import PrintingView, TerminalView
from fact_magics.events import Printed


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
