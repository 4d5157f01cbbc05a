"""``%fact check``: everything that is missing or malformed is named at once, and no value of a key."""

from __future__ import annotations

import sys

import pytest

from fact_magics.providers.litellm import has_litellm

KEY = "sk-RECOGNISABLE-of-the-user-0815"


@pytest.fixture(autouse=True)
def no_local_server(monkeypatch, unused_tcp_port_factory):
    for name in ("OLLAMA_API_BASE", "LM_STUDIO_API_BASE", "LLAMA_CPP_API_BASE"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port_factory()}")


@pytest.fixture
def checked(fact):
    """The state of each item by what it is for and what it is."""

    def ask():
        answer = fact("check --json")
        return answer["ready"], {(item["purpose"], item["what"]): item for item in answer["checks"]}

    return ask


def test_all_that_is_missing_is_named_with_the_next_step(fact, checked, monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    ready, items = checked()
    assert not any(ready.values())
    assert {key: item["state"] for key, item in items.items()} == {
        ("generation", "Database"): "ok",
        ("generation", "Model"): "missing",
        ("generation", "Isolation"): "missing",
        ("export", "SECRET_KEY"): "missing",
        ("cache", "FACT_CACHE_URL"): "missing",
        ("cache", "SECRET_KEY"): "missing",
        ("cache", "The package redis"): "missing",
    } | (
        {} if items["generation", "Isolation"]["state"] == "missing" else {("generation", "Isolation"): "ok"}
    )
    assert all(item["next_step"] for item in items.values() if item["state"] == "missing")
    plain = fact("check").plain
    assert "Not ready: a first generation, a signed export, a shared cache" in plain
    assert "ANTHROPIC_API_KEY" in plain


def test_what_is_there_is_told_by_its_source_and_never_by_its_value(fact, checked, server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("SECRET_KEY", KEY[::-1])
    monkeypatch.setenv("FACT_CACHE_URL", f"redis://user:{KEY}-2@cache.example/0")
    ready, items = checked()
    assert ready["export"]
    assert items["export", "SECRET_KEY"]["about"] == "set by the environment"
    assert items["cache", "FACT_CACHE_URL"]["about"] == "cache.example:6379, set by the environment"
    assert "claude-sonnet-5-5" in items["generation", "Model"]["about"]
    for text in (fact("check").plain, fact("check").html, str(items), fact("").plain):
        assert "RECOGNISABLE" not in text
        assert KEY[::-1] not in text
    assert server.requests == ()
    assert fact("--json")["settings"]["SECRET_KEY"] == "the environment"
    assert "SECRET_KEY from the environment" in fact("").plain


@pytest.mark.parametrize(
    ("named", "state", "next_step"),
    [
        ("claude-opus-5-5", "malformed", "ANTHROPIC_API_KEY"),
        ("openai/gpt-5", "missing", "Set OPENAI_API_KEY."),
        ("gtp", "malformed", "Write claude-…"),
    ],
)
def test_a_model_that_lacks_something_says_what(checked, monkeypatch, named, state, next_step):
    if not has_litellm():
        next_step = next_step.replace("Set OPENAI_API_KEY.", "pip install")
    monkeypatch.setenv("FACT_MODEL", named)
    item = checked()[1]["generation", "Model"]
    assert item["state"] == state
    assert next_step in item["next_step"]


def test_every_malformed_setting_is_named_at_once(fact, checked, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:nothing")
    monkeypatch.setenv("FACT_MODEL_TIMEOUT", "soon")
    ready, items = checked()
    assert not any(ready.values())
    assert {what for _, what in items} == {"DATABASE_URL", "FACT_MODEL_TIMEOUT"}
    assert {item["state"] for item in items.values()} == {"malformed"}
    assert "FACT_MODEL_TIMEOUT from the environment can't be used" in fact("check").plain


def test_what_waits_for_trust_is_told_with_the_command(fact, folder):
    (folder / ".env").write_text("FACT_CACHE_URL=redis://other.example\n")
    items = fact("check --json")["checks"]
    (waiting,) = [item for item in items if item["purpose"] == "settings"]
    assert waiting["state"] == "waiting"
    assert f"%fact trust {folder / '.env'}" in waiting["about"]


def test_trusting_a_file_that_names_a_database_says_when_it_is_used(fact, folder):
    file = folder / ".env"
    file.write_text("DATABASE_URL=sqlite:///other.db\n")
    assert "restart" not in fact(f"trust {file}").plain
    fact("history")  # opens the database
    shown = fact(f"trust {file}").plain.splitlines()
    assert "Data       DATABASE_URL" in shown
    assert "Data used  after a restart of the kernel" in shown
    file.write_text("FACT_MODEL=shelf\n")
    assert "restart" not in fact(f"trust {file}").plain
