"""``%fact record`` and ``%fact replay``."""

from __future__ import annotations

import pytest

from fact_magics import ToolSpec
from fact_magics.errors import CellError, RecordingError

TWICE = "def twice(n: int) -> int:\n    return 2 * n\n"


@pytest.fixture
def asked(workshop, server, monkeypatch):
    """A session in which a model has answered once."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.writes(TWICE)
    workshop.core  # noqa: B018 - reading it opens the core
    workshop.run(workshop.core.generate(ToolSpec("twice", "Double a number.")))
    return workshop


def test_answers_are_written_and_replayed_until_each_is_stopped(fact, asked, server, folder):
    shown = fact("record 'my answers.yaml'").plain
    assert shown.startswith("Recording to my answers.yaml\n")
    assert "1 in the file" in shown
    assert "%fact replay 'my answers.yaml'" in shown
    assert fact("record answers.yaml --json") == {
        "file": str(folder / "answers.yaml"),
        "answers": 1,
        "left_out": 0,
    }
    assert "The recording to" in fact("record --stop").plain
    assert "No recording was being written" in fact("record --stop").plain
    replayed = fact("replay answers.yaml --json")
    assert (replayed["answers"], replayed["tools"], replayed["models"]) == (
        1,
        ["twice"],
        ["claude-sonnet-5-5"],
    )
    state = fact("--json")
    assert (state["model"], state["why"]) == (
        "claude-sonnet-5-5",
        "replayed from answers.yaml; %fact replay",
    )
    with pytest.raises(CellError, match="No model is asked during a replay"):
        fact("models --check")
    tool = asked.run(asked.core.generate(ToolSpec("twice", "Double a number.", fresh=True)))
    assert tool.source == TWICE
    assert "The replay of" in fact("replay --stop").plain
    assert "replayed" not in fact("--json")["why"]
    assert len(server.requests) == 1


def test_fact_replay_of_the_environment_is_told(fact, asked, folder, monkeypatch):
    fact("record answers.yaml")
    monkeypatch.setenv("FACT_REPLAY", "answers.yaml")
    assert fact("--json")["why"].endswith("answers.yaml; FACT_REPLAY from the environment")
    monkeypatch.setenv("FACT_REPLAY", "none.yaml")
    assert "There is no file" in fact("").plain


@pytest.mark.parametrize("line", ["record", "replay", "record a.yaml --stop", "replay a.yaml --stop"])
def test_a_file_or_stop_is_needed(fact, line):
    with pytest.raises(CellError, match="Write either a file or --stop"):
        fact(line)


def test_a_file_that_is_no_recording_changes_nothing(fact, folder):
    (folder / "notes.txt").write_text("mine")
    for line in ("record notes.txt", "replay notes.txt"):
        with pytest.raises(RecordingError, match="is not a recording"):
            fact(line)
    assert (folder / "notes.txt").read_text() == "mine"
    assert "replayed" not in fact("--json")["why"]
