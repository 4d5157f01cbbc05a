"""Where files are found, and what an interrupt does to a line."""

from __future__ import annotations

import _thread
import asyncio
import threading
from pathlib import Path

import pytest

from fact_magics.errors import CellError, FactError, Interrupted
from fact_magics.notebook.commands import state
from fact_magics.notebook.commands.desk import Desk

pytestmark = pytest.mark.slow


def test_what_can_t_be_a_path_is_one_line(fact, keep_tools):
    keep_tools("twice")
    for line in ("export twice --to", "import", "trust", "history --to"):
        for text in ("~nobody-of-that-name/x", "a\0b", "\ud800"):
            with pytest.raises(CellError, match="is not a valid path"):
                fact(f"{line} {text}")


def test_a_path_that_is_too_long_is_one_line(fact, keep_tools):
    keep_tools("twice")
    for line in ("export twice --to", "import", "trust", "history --to"):
        with pytest.raises(FactError, match="File name too long"):
            fact(f"{line} {'x' * 300}")


def test_paths_start_at_the_working_directory_of_the_moment(fact, keep_tools, folder, tmp_path, monkeypatch):
    keep_tools("twice")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    fact("export twice")
    fact("history --to rows.json")
    assert {path.name for path in elsewhere.iterdir()} == {"twice.fact.py", "rows.json"}
    assert list(folder.iterdir()) == []
    (elsewhere / ".env").write_text("FACT_MODEL=shelf\n")
    assert str(elsewhere / ".env") in fact("trust .env").plain
    assert "twice" in fact("import twice.fact.py --unsigned").plain


def test_a_deleted_working_directory_is_one_line(fact, keep_tools, tmp_path, monkeypatch):
    keep_tools("twice")
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    with pytest.raises(CellError, match="The working directory was deleted"):
        fact("export twice")
    fact(f"export twice --to {tmp_path / 'twice.fact.py'}")
    assert (tmp_path / "twice.fact.py").exists()


def test_a_path_from_the_root_or_from_home_is_taken_as_it_is(workshop, notebook, folder, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    desk = Desk(workshop, notebook)
    paths = [desk.path(text) for text in ("/x/y", "~/y", "y")]
    assert paths == [Path("/x/y"), Path("/somewhere/y"), folder / "y"]


def test_a_file_is_trusted_before_anything_is_opened(fact, workshop, folder):
    (folder / ".env").write_text("FACT_MODEL=shelf\n")
    fact("trust .env")
    assert workshop.opened is None


def test_trust_shows_what_the_file_decides_and_no_key(fact, folder):
    (folder / ".env").write_text(
        "FACT_MODEL=openai/gpt-5\nOPENAI_API_KEY=sk-RECOGNISABLE\nOPENAI_BASE_URL=https://gateway.example/v1\n"
    )
    record, data = fact("trust .env"), fact("trust .env --json")
    for shown in (record.plain, record.html, str(data)):
        for told in ("gateway.example", "OPENAI_API_KEY", "openai/gpt-5"):
            assert told in shown
        assert "RECOGNISABLE" not in shown
    assert data["hosts"] == ["gateway.example"]


def test_an_interrupt_of_the_state_is_one_line(fact, workshop, monkeypatch):
    """A local Ollama may take its time to answer."""
    begun = threading.Event()

    async def never(_settings):
        begun.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(state, "model_in_use", never)
    workshop.core  # noqa: B018 - opened before
    threading.Thread(target=lambda: begun.wait() and _thread.interrupt_main()).start()
    with pytest.raises(Interrupted, match="was stopped"):
        fact("")
