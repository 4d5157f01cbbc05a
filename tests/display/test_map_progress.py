"""The progress of a map outside notebooks: a line in a terminal, with tqdm or without it, and nothing in a file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

termios = pytest.importorskip("termios")

SCRIPT = textwrap.dedent(
    """
    import sys
    if {without!r}:
        sys.modules["tqdm"] = None
    from fact_magics.display.maps import TerminalMapView
    from fact_magics.events import MapAdvanced
    from fact_magics.tool import Status

    view = TerminalMapView("slugify")
    for done in (100, 2_000):
        view.put(MapAdvanced("slugify", 4_000, {{"ok": done - 3, "cached": 1, "failed": 2}}, 1.0))
        view.pump()
    view.close(Status.OK)
    """
)


def written(*, without: bool, in_terminal: bool) -> str:
    """Run the script; gives what it writes to stderr."""
    command = [sys.executable, "-c", SCRIPT.format(without=without)]
    if not in_terminal:
        return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True).stderr
    reading, writing = os.openpty()
    try:
        termios.tcsetwinsize(writing, (24, 120))
        subprocess.run(command, stderr=writing, check=True)
        os.set_blocking(reading, False)
        return os.read(reading, 100_000).decode()
    finally:
        os.close(reading)
        os.close(writing)


class TestTerminal:
    def test_tqdm_draws_the_bar_and_removes_it(self):
        pytest.importorskip("tqdm")
        text = written(without=False, in_terminal=True)
        assert "slugify:" in text
        assert "2000/4000" in text
        assert "1 cached · 2 failed" in text
        assert text.rpartition("\r")[0].rpartition("\r")[2].strip() == ""

    def test_without_tqdm_a_line_says_the_same_and_is_removed(self):
        text = written(without=True, in_terminal=True)
        assert "\rslugify: 2,000 of 4,000 · 2,000/s · 1.0 s left · 1 cached · 2 failed" in text
        assert text.rpartition("\r")[0].rpartition("\r")[2].strip() == ""


@pytest.mark.parametrize("without", [True, False])
def test_nothing_is_written_to_a_file(without):
    assert written(without=without, in_terminal=False) == ""
