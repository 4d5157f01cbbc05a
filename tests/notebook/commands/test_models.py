"""``%fact models``: what a cell can name, and that nothing secret and nothing alive is in the table."""

from __future__ import annotations

import _thread
import os
import shlex
import subprocess
import sys
import textwrap
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from fact_magics.config.trust import trust
from fact_magics.errors import CellError, Interrupted
from fact_magics.store import GenerationRow
from fact_magics.testing import ModelServer
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from fact_magics.display.html import Record

pytestmark = pytest.mark.slow

KEY = "sk-RECOGNISABLE-of-the-user-0815"
LITERAL = "sk-RECOGNISABLE-in-the-file-4711"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(strict=True) as running:
        yield running


@pytest.fixture(autouse=True)
def no_ollama(folder: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    for name in ("OLLAMA_API_BASE", "LM_STUDIO_API_BASE", "LLAMA_CPP_API_BASE"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")


@pytest.fixture(autouse=True)
def litellm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A LiteLLM that can be found, and that nobody may import."""
    package = tmp_path / "packages" / "litellm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('it takes seconds to import')")
    monkeypatch.delitem(sys.modules, "litellm", raising=False)
    monkeypatch.syspath_prepend(package.parent)


@pytest.fixture
def no_litellm(litellm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blocker:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == "litellm":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Blocker(), *sys.meta_path])


@pytest.fixture
def listed(fact: Callable[[str], Any]) -> Callable[..., dict[str, dict[str, Any]]]:
    """The rows of the JSON, by name."""

    def ask(options: str = "") -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in fact(f"models --json {options}")["models"]}

    return ask


def config_yaml(folder: Path, *entries: str) -> Path:
    """Write a file with entries, each a name and the YAML of its ``litellm_params``."""
    lines = ["model_list:"]
    for entry in entries:
        name, _, params = entry.partition(" ")
        lines += [f"  - model_name: {name}", f"    litellm_params: {{{params}}}"]
    file = folder / "config.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def shown(record: Record) -> list[str]:
    return [record.plain, record.html]


class TestWithoutAModel:
    def test_the_shelf_is_there_and_one_line_says_how_to_connect_a_model(self, fact, listed):
        record = fact("models")
        for text in shown(record):
            assert text.count("●") == 2  # the row, and what the mark means
            assert "ready, 40 tools" in text
            assert text.count("To connect a model: put ANTHROPIC_API_KEY=… into the environment") == 1
        assert list(listed()) == ["shelf"]
        assert listed()["shelf"]["is_default"]

    @pytest.mark.usefixtures("no_litellm")
    def test_without_litellm_the_line_says_what_else_to_install(self, fact):
        assert fact("models").plain.splitlines()[-1].endswith('pip install "fact_magics[litellm]"')


class TestAnthropic:
    def test_its_models_are_listed_with_the_place_of_the_key_and_never_the_key(
        self, fact, listed, monkeypatch
    ):
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        assert list(listed()) == ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "shelf"]
        for text in (*shown(fact("models")), str(fact("models --json"))):
            assert "ANTHROPIC_API_KEY" in text
            assert "the environment" in text
            assert "RECOGNISABLE" not in text
        [line] = [line for line in fact("models").plain.splitlines() if line.startswith("●")]
        assert line.split()[1] == "claude-sonnet-5-5"
        assert "the Anthropic key is from the environment" in fact("models").plain.splitlines()[0]

    def test_a_key_of_a_file_is_told_by_the_file(self, fact, folder):
        (folder / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\n")
        assert "ANTHROPIC_API_KEY in .env" in fact("models").plain

    def test_where_requests_go_is_told_without_what_an_address_may_hide(self, fact, monkeypatch):
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://user:RECOGNISABLE@gateway.example:8443/x")
        for text in (*shown(fact("models")), str(fact("models --json"))):
            assert "gateway.example:8443" in text
            assert "RECOGNISABLE" not in text

    def test_a_key_whose_file_is_not_trusted_waits(self, fact, listed, folder):
        (folder / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\nANTHROPIC_BASE_URL=http://127.0.0.1:1\n")
        assert listed()["claude-opus-5-5"]["status"] == "needs trust"
        assert not any(row["is_default"] for row in listed().values())
        record = fact("models")
        assert f"%fact trust {folder / '.env'}" in record.plain
        assert "have no model" in record.plain.splitlines()[0]
        trust(folder / ".env", folder.parent / "home")
        assert listed()["claude-opus-5-5"]["status"] == "not checked"

    def test_a_key_that_is_set_is_not_called_ready(self, fact, monkeypatch):
        """Only an answer proves a key, so the table says what is known."""
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        for text in shown(fact("models")):
            assert text.count("key set, not checked") == 3
            assert text.count("ready") == 1  # the shelf


class TestTheDefault:
    @pytest.mark.parametrize(
        ("named", "row", "status"),
        [
            ("claude-opus-5-5", "claude-opus-5-5", "not checked"),
            ("anthropic/claude-of-next-year", "claude-of-next-year", "not checked"),
            ("anthropic/another", "anthropic/another", "not known"),
            ("openai/gpt-5", "openai/gpt-5", "needs key"),
            ("shelf", "shelf", "ready"),
        ],
    )
    def test_the_named_one_is_marked_with_who_named_it(self, fact, listed, monkeypatch, named, row, status):
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("FACT_MODEL", named)
        assert [name for name, one in listed().items() if one["is_default"]] == [row]
        assert listed()[row]["status"] == status
        assert "set by the environment" in fact("models").plain.splitlines()[0]

    def test_a_name_that_is_none_is_no_row_and_the_table_says_what_a_cell_would(
        self, fact, listed, monkeypatch
    ):
        monkeypatch.setenv("FACT_MODEL", "gtp-5")
        assert list(listed()) == ["shelf"]
        title = fact("models").plain.splitlines()[0]
        assert "The model that is set for cells without --model can't be used: 'gtp-5' is not a" in title
        assert "gtp-5" in fact("").plain

    def test_a_claude_without_a_key_says_which_to_set(self, listed, fact, monkeypatch):
        monkeypatch.setenv("FACT_MODEL", "claude-opus-5-5")
        assert listed()["claude-opus-5-5"]["needs"] == "ANTHROPIC_API_KEY"
        assert "needs ANTHROPIC_API_KEY" in fact("models").plain


class TestNamesOfOnesOwn:
    def test_they_are_listed_with_what_they_stand_for_and_come_first(self, fact, listed, folder):
        config_yaml(
            folder, f"fast model: openai/gpt-5-mini, api_key: {LITERAL}", "slow model: openai/gpt-5-pro"
        )
        assert list(listed())[:2] == ["fast", "slow"]
        assert listed()["fast"]["is_default"]
        assert (listed()["fast"]["status"], listed()["slow"]["needs"]) == ("not checked", "OPENAI_API_KEY")
        record = fact("models")
        assert "● fast → openai/gpt-5-mini" in record.plain
        assert "config.yaml" in record.plain
        assert "RECOGNISABLE" not in record.plain + record.html + str(fact("models --json"))

    def test_what_waits_for_trust_is_marked_and_the_line_to_write_is_told_once(self, fact, listed, folder):
        file = config_yaml(
            folder,
            "plain model: anthropic/claude-haiku-5-5",
            "spy model: openai/gpt-5, api_key: os.environ/MY_KEY, api_base: 'http://127.0.0.1:1/v1'",
            "claude-opus-5-5 model: openai/x, api_base: 'http://127.0.0.1:1/v1'",
        )
        assert [listed()[name]["status"] for name in ("spy", "claude-opus-5-5")] == ["needs trust"] * 2
        for text in shown(fact("models")):
            assert text.count(f"%fact trust {shlex.quote(str(file))}") == 1
        trust(file, folder.parent / "home")
        assert listed()["spy"]["needs"] == "MY_KEY"
        assert listed()["claude-opus-5-5"]["model"] == "openai/x"

    def test_once_trusted_its_variables_and_endpoints_count(self, listed, fact, folder, monkeypatch):
        monkeypatch.setenv("MY_KEY", KEY)
        file = config_yaml(
            folder, "mine model: openai/x, api_key: os.environ/MY_KEY, api_base: 'http://127.0.0.1:1/v1'"
        )
        trust(file, folder.parent / "home")
        assert (listed()["mine"]["status"], listed()["mine"]["host"]) == ("not checked", "127.0.0.1:1")
        assert "config.yaml, at 127.0.0.1:1" in fact("models").plain
        assert "RECOGNISABLE" not in str(fact("models --json"))

    def test_a_name_that_means_a_model_anyway_goes_on_meaning_it(self, listed, folder, monkeypatch):
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        config_yaml(folder, "claude-opus-5-5 model: openai/x, api_base: 'http://127.0.0.1:1/v1'")
        assert listed()["claude-opus-5-5"]["status"] == "not checked"
        assert listed()["claude-opus-5-5"]["from"] == "the environment"


class TestLocalOnes:
    def test_an_ollama_that_answers_is_listed_and_the_one_for_code_is_the_default(
        self, listed, fact, monkeypatch
    ):
        with ModelServer(local_models=("llama4:8b", "qwen3-coder:30b", "nomic-embed-text:latest")) as ollama:
            monkeypatch.setenv("OLLAMA_API_BASE", ollama.url)
            assert list(listed()) == ["ollama/qwen3-coder:30b", "ollama/llama4:8b", "shelf"]
            row = listed()["ollama/qwen3-coder:30b"]
            assert (row["status"], row["is_default"], row["host"]) == ("ready", True, ollama.url[7:])
            assert "To connect a model" not in fact("models").plain

    @pytest.mark.usefixtures("no_litellm")
    def test_litellm_is_not_needed_and_each_kind_of_server_is_listed(self, listed, fact, monkeypatch):
        with ModelServer() as ollama, ModelServer(local_models=("coder",)) as studio:
            monkeypatch.setenv("OLLAMA_API_BASE", ollama.url)
            monkeypatch.setenv("LM_STUDIO_API_BASE", f"{studio.url}/v1")
            rows = listed()
            assert rows["ollama/small-coder:latest"]["is_default"]
            assert rows["lm_studio/coder"]["status"] == "ready"
            assert (rows["lm_studio/coder"]["setting"], rows["lm_studio/coder"]["host"]) == (
                "LM_STUDIO_API_BASE",
                studio.url[7:],
            )
            assert "pip install" not in fact("models").plain

    def test_each_server_is_asked_once(self, listed, monkeypatch):
        asked = []

        class Ollama(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"models": [{"name": "coder"}]}')

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            monkeypatch.setenv("OLLAMA_API_BASE", f"http://127.0.0.1:{server.server_port}")
            assert listed()["ollama/coder"]["is_default"]
            server.shutdown()
        assert asked == ["/api/tags"]

    def test_more_models_than_anyone_can_read_are_counted(self, listed, fact, monkeypatch):
        with ModelServer(local_models=[f"model-{number}" for number in range(130)]) as ollama:
            monkeypatch.setenv("OLLAMA_API_BASE", ollama.url)
            assert len(listed()) == 101
            assert "30 more models" in fact("models").plain

    def test_an_address_that_is_none_is_told(self, listed, fact, monkeypatch):
        monkeypatch.setenv("OLLAMA_API_BASE", "nonsense")
        assert list(listed()) == ["shelf"]
        assert "OLLAMA_API_BASE is not an http or https address" in fact("models").plain


class TestOtherProviders:
    def test_those_with_a_key_are_listed_and_other_programs_keys_are_not(self, listed, fact, monkeypatch):
        for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "WANDB_API_KEY", "SENDGRID_API_KEY"):
            monkeypatch.setenv(name, KEY)
        assert list(listed()) == ["openai/…", "gemini/…", "shelf"]
        assert listed()["gemini/…"]["setting"] == "GOOGLE_API_KEY"
        record = fact("models")
        assert "Replace … with the name of any model" in record.plain
        assert "RECOGNISABLE" not in record.plain + record.html

    def test_azure_needs_an_address_too(self, listed, monkeypatch):
        monkeypatch.setenv("AZURE_API_KEY", KEY)
        assert listed()["azure/…"]["needs"] == "AZURE_API_BASE"

    def test_a_server_on_this_machine_needs_no_key(self, listed, fact, monkeypatch):
        monkeypatch.setenv("HOSTED_VLLM_API_BASE", "http://127.0.0.1:1/v1")
        assert (listed()["hosted_vllm/…"]["status"], listed()["hosted_vllm/…"]["host"]) == (
            "not checked",
            "127.0.0.1:1",
        )
        assert "address set, not checked" in fact("models").plain

    def test_a_key_whose_file_also_says_where_it_goes_waits(self, listed, folder):
        (folder / ".env").write_text(f"GROQ_API_KEY={KEY}\nGROQ_API_BASE=http://127.0.0.1:1\n")
        assert listed()["groq/…"]["status"] == "needs trust"

    @pytest.mark.usefixtures("no_litellm")
    def test_without_litellm_they_say_so(self, listed, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert listed()["openai/…"]["status"] == "needs LiteLLM"


class TestTheHistory:
    @pytest.fixture
    def asked(self, workshop) -> None:
        """Attempts of several models, the oldest first."""
        attempts = [
            ("anthropic", "claude-haiku-5-5-20260801", Status.OK),
            ("anthropic", "claude-of-last-year", Status.ERROR),
            ("anthropic", "claude-haiku-5-5", Status.ERROR),
            ("litellm", "groq/llama-4", Status.OK),
            ("litellm", "gpt-5", Status.OK),
            ("ollama", "ollama/small-coder", Status.OK),
            ("shelf", "shelf/slugify", Status.OK),
            ("hand", "hand", Status.OK),
            ("import", "openai/of-a-file", Status.OK),
        ]
        rows = [
            GenerationRow(
                generation_id=f"{number:04x}",
                attempt=1,
                tool_name="t",
                status=status,
                provider=provider,
                model=model,
                started_at=f"2026-01-0{number + 1}T00:00:00.000Z",
            )
            for number, (provider, model, status) in enumerate(attempts)
        ]
        core = workshop.core
        workshop.submit(core._store.commit(generations=rows)).wait(lambda: None)

    @pytest.mark.usefixtures("asked")
    def test_what_was_asked_before_is_listed_with_how_it_went(self, listed, fact, monkeypatch):
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        rows = listed()
        assert list(rows)[3:] == ["ollama/small-coder", "groq/llama-4", "claude-of-last-year", "shelf"]
        haiku = rows["claude-haiku-5-5"]
        assert (haiku["last_used"], haiku["attempts"], haiku["accepted"]) == (
            "2026-01-03T00:00:00.000Z",
            2,
            1,
        )
        assert (rows["shelf"]["attempts"], rows["claude-opus-5-5"]["attempts"]) == (1, 0)
        assert rows["groq/llama-4"]["needs"] == "GROQ_API_KEY"
        plain = fact("models").plain
        assert "Accepted" in plain
        assert "1 of 2" in plain

    @pytest.mark.usefixtures("asked")
    def test_an_ollama_model_is_the_same_with_and_without_latest(self, listed, monkeypatch):
        with ModelServer() as ollama:
            monkeypatch.setenv("OLLAMA_API_BASE", ollama.url)
            rows = listed()
        assert rows["ollama/small-coder:latest"]["accepted"] == 1
        assert "ollama/small-coder" not in rows

    @pytest.mark.usefixtures("asked")
    def test_a_row_without_its_provider_counts_for_the_model_of_that_name(self, listed, monkeypatch):
        monkeypatch.setenv("FACT_MODEL", "openai/gpt-5")
        assert listed()["openai/gpt-5"]["accepted"] == 1
        assert "gpt-5" not in listed()

    def test_columns_about_it_are_left_out_where_there_is_none(self, fact):
        assert "Last used" not in fact("models").plain

    def test_only_the_latest_attempts_are_looked_at(self, workshop, listed):
        rows = [
            GenerationRow(
                generation_id=f"{number:04x}",
                attempt=1,
                tool_name="t",
                status=Status.OK,
                provider="anthropic",
                model="claude-x" if number else "claude-old",
                started_at=f"2026-01-01T00:{number // 60:02}:{number % 60:02}.000Z",
            )
            for number in range(501)
        ]
        core = workshop.core
        workshop.submit(core._store.commit(generations=rows)).wait(lambda: None)
        assert listed()["claude-x"]["accepted"] == 500
        assert "claude-old" not in listed()


class _Tags(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.names: set[str] = set()
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.names |= {name for name, _ in attrs}


class TestHostileText:
    def test_names_from_files_and_variables_are_inert(self, fact, folder, monkeypatch):
        monkeypatch.setenv("FACT_MODEL", "openai/\x1b[31m<img src=x onerror=alert(1)>\u202e\n2")
        config_yaml(folder, "'<script>alert(1)</script>' model: 'openai/<b onclick=x>'")
        record = fact("models")
        tags = _Tags(record.html)
        assert not tags.found & {"script", "img", "b"}
        assert not any(name.startswith("on") for name in tags.names)
        assert "&lt;script&gt;" in record.html
        for text in shown(record):
            assert not {"\x1b", "\u202e"} & set(text)
        assert r"\x1b[31m" in record.plain
        # Title, heads, two models, the shelf, two notes: no name breaks its line.
        assert len(record.plain.splitlines()) == 7

    def test_names_of_a_local_ollama_are_inert(self, fact, monkeypatch):
        with ModelServer(local_models=("<img src=x onerror=alert(1)>", "a\x1b[2J", "b\u202ec")) as ollama:
            monkeypatch.setenv("OLLAMA_API_BASE", ollama.url)
            record = fact("models")
        assert "&lt;img" in record.html
        assert "img" not in _Tags(record.html).found
        for text in shown(record):
            assert not {"\x1b", "\u202e"} & set(text)

    def test_words_of_a_server_are_inert_and_hold_no_key(self, fact, monkeypatch):
        with ModelServer() as server:
            for _ in range(3):
                server.fails(400, f"<img src=x> \x1b[31m key {server.key}")
            monkeypatch.setenv("ANTHROPIC_API_KEY", server.key)
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
            record = fact("models --check")
        assert record.plain.count("refused the request") == 3
        for text in shown(record):
            assert server.key not in text
            assert "\x1b" not in text
        assert "img" not in _Tags(record.html).found


class TestChecking:
    @pytest.fixture(autouse=True)
    def connected(self, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", server.key)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)

    def test_without_it_nobody_is_asked(self, fact, server):
        assert "Check" not in fact("models").plain
        assert server.requests == ()

    def test_each_ready_one_is_asked_for_one_token_and_the_time_is_told(self, fact, listed, server):
        for _ in range(6):
            server.reply("Hi")
        rows = listed("--check")
        assert [row["check"] and row["check"]["works"] for row in rows.values()] == [True, True, True, None]
        assert all(row["check"]["took_ms"] > 0 for row in rows.values() if row["check"])
        assert {request.model for request in server.requests} == set(rows) - {"shelf"}
        assert {request.body["max_tokens"] for request in server.requests} == {1}
        record = fact("models --check")
        assert record.plain.count("✓ ") == 3
        assert {row["status"] for row in rows.values()} == {"ready"}
        assert record.html.count("✓ ") == 3
        assert " ms" in record.plain

    def test_it_sends_nothing_that_the_session_s_budget_forbids(self, workshop, listed, server):
        workshop._overrides = lambda: {"isolation": "process", "budget": 0.0}
        rows = listed("--check")
        said = [row["check"]["said"] for row in rows.values() if row["check"]]
        assert len(said) == 3
        assert all("in %config FactMagics.budget is left, so it was not sent" in line for line in said)
        assert server.requests == ()

    def test_a_key_that_is_refused_is_told_in_a_line_and_what_to_do(self, fact, listed, monkeypatch):
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        record = fact("models --check")
        assert record.plain.count("refused the key.") == 3
        assert record.plain.count("failed the check") == 3
        assert "RECOGNISABLE" not in record.plain + record.html
        assert "Check ANTHROPIC_API_KEY" in listed("--check")["claude-opus-5-5"]["check"]["hint"]

    def test_what_waits_for_trust_is_not_asked(self, listed, server, folder, monkeypatch):
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        monkeypatch.delenv("ANTHROPIC_BASE_URL")
        config_yaml(folder, f"spy model: anthropic/claude-opus-5-5, api_base: '{server.url}', api_key: x")
        assert listed("--check")["spy"]["check"] is None
        assert server.requests == ()

    def test_an_entry_s_endpoint_is_sent_the_entry_s_key_alone(self, listed, folder, server):
        with ModelServer() as other:
            other.reply("Hi")
            other.reply("Hi")
            trust(
                config_yaml(
                    folder,
                    f"keyed model: anthropic/claude-opus-5-5, api_base: '{other.url}', api_key: {LITERAL}",
                    f"keyless model: anthropic/claude-opus-5-5, api_base: '{other.url}'",
                ),
                folder.parent / "home",
            )
            rows = listed("--check")
            assert (rows["keyed"]["check"]["works"], rows["keyless"]["check"]["works"]) == (True, True)
            assert sorted(request.carries(LITERAL) for request in other.requests) == [False, True]
            assert not any(request.carries(server.key) for request in other.requests)

    def test_a_local_ollama_is_not_made_to_load_a_model(self, listed, folder, monkeypatch):
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        with ModelServer() as ollama:
            monkeypatch.setenv("OLLAMA_API_BASE", ollama.url)
            params = f"api_base: '{ollama.url}'"
            file = config_yaml(
                folder, f"here model: ollama/small-coder, {params}", f"gone model: ollama_chat/big, {params}"
            )
            trust(file, folder.parent / "home")
            rows = listed("--check")
            assert rows["ollama/small-coder:latest"]["check"] is None
            assert rows["here"]["check"]["works"]
            assert rows["gone"]["check"]["said"] == f"Ollama at {ollama.url[7:]} does not know the model big."
            assert ollama.requests == ()

    def test_an_interrupt_stops_it_at_once_and_hangs_up(self, fact, server):
        for _ in range(3):
            server.breaks("Hi", "stall", after=0)

        def interrupt() -> None:
            server.wait_for_request(3)
            _thread.interrupt_main()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(Interrupted, match="stopped"):
            fact("models --check")
        thread.join()
        assert all(server.wait_for_disconnect() for _ in range(3))


class TestTheLine:
    def test_its_help_has_examples_and_says_what_a_check_costs(self, fact):
        page = fact("models --help")
        assert page.startswith("%fact models [options]")
        assert "a request of a few tokens" in page
        assert "  %fact models --check" in page
        assert "  %fact models  " in fact("--help")

    def test_other_words_are_refused(self, fact):
        with pytest.raises(CellError, match="--check"):
            fact("models --chek")
        with pytest.raises(CellError, match="does not take"):
            fact("models openai")


def test_litellm_is_not_imported_to_list_models(folder):
    """The real one, where it is installed; and no SDK either."""
    script = """
        import sys
        from fact_magics.notebook.commands import manage
        from fact_magics.session import Session

        workshop = Session()
        assert "openai/…" in manage("models", workshop, None).plain
        workshop.close()
        assert not {"litellm", "openai", "anthropic"} & sys.modules.keys(), sorted(sys.modules)
    """
    environment = {
        **os.environ,
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_API_KEY": KEY,
        "FACT_MODEL": "openai/gpt-5",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
