"""`config.yaml` in LiteLLM's form: what counts, what waits for trust, and that no file breaks anything."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING

import pytest
from late import Late
from waiting import until_async

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.config.contents import contents
from fact_magics.config.trust import trust
from fact_magics.errors import ProviderError, SettingsError
from fact_magics.providers.choose import choose, known_models
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from pathlib import Path

    from fact_magics import Settings

pytestmark = pytest.mark.slow

KEY = "sk-RECOGNISABLE-of-the-user-0815"
LITERAL = "sk-RECOGNISABLE-in-the-file-4711"


def read(folder: Path, environment: dict[str, str] | None = None, **overrides: object) -> Settings:
    return load_settings(overrides, folder, {"FACT_HOME": str(folder / "home"), **(environment or {})})


def write(folder: Path, *entries: str, rest: str = "", trusted: bool = False) -> Path:
    """Write a file with entries, each as the YAML of its ``litellm_params`` after its name."""
    file = folder / "config.yaml"
    lines = ["model_list:"]
    for entry in entries:
        name, _, params = entry.partition(" ")
        lines += [f"  - model_name: {name}", f"    litellm_params: {{{params}}}"]
    file.write_text("\n".join((*lines, rest, "")), encoding="utf-8")
    if trusted:
        trust(file, folder / "home")
    return file


def only(settings: Settings) -> dict[str, object]:
    """Give what the one model comes to, without its secrets' masks."""
    (model,) = settings.models
    return {
        "model": model.model,
        "key": model.key and model.key.get_secret_value(),
        "endpoint": model.endpoint,
        "problem": model.problem,
    }


class TestWhatCounts:
    def test_models_with_literal_keys_count_as_they_are(self, tmp_path):
        file = write(
            tmp_path,
            "fast model: anthropic/claude-haiku-5-5",
            f"other model: openai/gpt-5, api_key: {LITERAL}, timeout: 7.5, api_version: 2024-02-01",
        )
        found = read(tmp_path)
        assert [(model.name, model.model) for model in found.models] == [
            ("fast", "anthropic/claude-haiku-5-5"),
            ("other", "openai/gpt-5"),
        ]
        assert found.models[1].timeout_seconds == 7.5
        assert found.models[1].version == "2024-02-01"
        assert found.models[1].source == str(file)
        assert found.notes == ()

    def test_the_first_model_is_the_default_below_every_other_source(self, tmp_path):
        file = write(tmp_path, "fast model: openai/gpt-5", "slow model: openai/gpt-5-pro")
        found = read(tmp_path)
        assert (found.model, found.origin("model")) == ("fast", str(file))
        assert read(tmp_path, {"FACT_MODEL": "from-environment"}).model == "from-environment"
        assert read(tmp_path, model="from-config").model == "from-config"
        (tmp_path / ".env").write_text("FACT_MODEL=from-env-file\n")
        assert read(tmp_path).model == "from-env-file"
        assert [model.name for model in read(tmp_path).models] == ["fast", "slow"]

    def test_keys_are_secret_and_known_to_the_redaction(self, tmp_path):
        write(
            tmp_path,
            f"a model: openai/gpt-5, api_key: {LITERAL}",
            f"b model: openai/gpt-5, api_key: {LITERAL}-2, api_base: 'http://x'",
        )
        found = read(tmp_path)
        for shown in (repr(found), str(found.model_dump()), found.model_dump_json(), str(vars(found))):
            assert LITERAL not in shown
        assert set(found.secrets) == {LITERAL, f"{LITERAL}-2"}  # of what waits for trust too

    def test_the_nearest_file_of_litellm_s_kind_counts(self, tmp_path):
        deep = tmp_path / "a" / "b"
        deep.mkdir(parents=True)
        write(tmp_path, "far model: openai/gpt-5")
        (deep / "config.yaml").write_text("name: some other program's\nport: 80\n")
        assert read(deep).model == "far"
        write(tmp_path / "a", "near model: openai/gpt-5")
        assert [model.name for model in read(deep).models] == ["near"]

    def test_merged_defaults_and_anchors_are_filled_in(self, tmp_path):
        (tmp_path / "config.yaml").write_text(
            f"defaults: &defaults {{api_key: {LITERAL}, timeout: 9}}\n"
            "model_list:\n"
            "  - model_name: fast\n    litellm_params: {<<: *defaults, model: openai/gpt-5, timeout: 3}\n"
            "  - &slow {model_name: slow, litellm_params: {<<: *defaults, model: openai/gpt-5}}\n"
        )
        fast, slow = read(tmp_path).models
        assert (fast.timeout_seconds, slow.timeout_seconds) == (3.0, 9.0)
        assert slow.key.get_secret_value() == LITERAL

    @pytest.mark.parametrize("key", ["null", "~", "''", '""', "Null"])
    def test_nothing_is_no_key(self, tmp_path, key):
        write(tmp_path, f"fast model: openai/gpt-5, api_key: {key}, api_base: {key}")
        assert only(read(tmp_path)) == {"model": "openai/gpt-5", "key": None, "endpoint": None, "problem": ""}

    def test_patterns_for_names_are_passed_over(self, tmp_path):
        write(tmp_path, "'*' model: '*'", "anthropic/* model: anthropic/*", "fast model: openai/gpt-5")
        found = read(tmp_path)
        assert [model.name for model in found.models] == ["fast"]
        assert found.notes == ()


class TestTrust:
    @pytest.mark.parametrize(
        "params",
        [
            "model: openai/gpt-5, api_key: os.environ/OPENAI_API_KEY",
            "model: openai/gpt-5, api_base: 'http://evil.example'",
            "model: openai/gpt-5, base_url: 'http://evil.example'",
            f"model: openai/gpt-5, api_key: {LITERAL}, api_base: 'http://evil.example'",
            "model: openai/gpt-5, api_base: os.environ/OPENAI_API_KEY",
            "model: os.environ/OPENAI_API_KEY",
            "model: openai/gpt-5, api_version: os.environ/OPENAI_API_KEY",
        ],
    )
    async def test_endpoints_and_variables_count_only_once_the_file_is_trusted(self, tmp_path, params):
        file = write(tmp_path, f"fast {params}")
        environment = {"OPENAI_API_KEY": KEY}
        before = read(tmp_path, environment)
        assert before.model is None
        (model,) = before.models
        assert KEY not in str((model, model.key and model.key.get_secret_value(), model.endpoint))
        assert "evil" not in str((model.endpoint, before.model))
        (note,) = before.notes
        assert note == (
            f"{file}: fast can't be used yet, because OPENAI_API_KEY is already set in"
            f" the environment; to trust the file, run: %fact trust {file}"
        )
        for wanted in ("fast", None):
            with pytest.raises(ProviderError) as caught:
                await choose(before, wanted)
            assert str(caught.value).endswith(f"Read the file, then trust it: %fact trust {file}")

        trust(file, tmp_path / "home")
        after = read(tmp_path, environment)
        assert (after.model, after.notes) == ("fast", ())
        assert only(after)["problem"] == ""
        file.write_text(file.read_text() + "# changed\n")
        assert read(tmp_path, environment).models[0].problem

    def test_a_variable_is_read_from_the_environment_of_the_notebook(self, tmp_path):
        write(
            tmp_path,
            "fast model: openai/gpt-5, api_key: os.environ/MY_KEY, api_base: os.environ/MY_URL",
            trusted=True,
        )
        found = read(tmp_path, {"MY_KEY": KEY, "MY_URL": "http://mine.example"})
        assert only(found)["key"] == KEY
        assert only(found)["endpoint"] == "http://mine.example"
        assert found.secrets == (KEY,)

    async def test_a_variable_that_is_not_set_is_told_when_the_model_is_asked(self, tmp_path):
        """The usual key of the provider is not taken in its place."""
        file = write(tmp_path, "fast model: openai/gpt-5, api_key: os.environ/MY_KEY", trusted=True)
        found = read(tmp_path, {"OPENAI_API_KEY": KEY})
        assert found.notes == ()
        with pytest.raises(
            ProviderError, match=r"fast takes its api_key from MY_KEY, which is not set"
        ) as told:
            await choose(found, "fast")
        assert str(file) in str(told.value)

    async def test_a_name_that_means_a_model_already_keeps_its_meaning(self, tmp_path):
        """Who asks for Claude by its name does not have the request sent elsewhere by a file that came along."""
        names = ("claude-opus-5-5", "openai/gpt-5")
        file = write(tmp_path, *(f"{name} model: groq/evil, api_key: {LITERAL}" for name in names))
        found = read(tmp_path, {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY})
        assert found.model is None
        for name in names:
            chosen = await choose(found, name)
            assert chosen.model == name
            await chosen.aclose()
        trust(file, tmp_path / "home")
        chosen = await choose(read(tmp_path, {"ANTHROPIC_API_KEY": KEY}), "claude-opus-5-5")
        assert chosen.model == "groq/evil"
        await chosen.aclose()

    async def test_a_first_model_that_waits_is_passed_over_where_a_key_says_who_is_asked(self, tmp_path):
        write(
            tmp_path, "evil model: openai/gpt-5, api_base: 'http://evil.example'", "next model: openai/gpt-5"
        )
        found = read(tmp_path, {"ANTHROPIC_API_KEY": KEY})
        assert found.model is None
        chosen = await choose(found, None)
        assert (chosen.name, chosen.model) == ("anthropic", "claude-sonnet-5-5")
        await chosen.aclose()

    def test_only_what_can_be_asked_is_offered(self, tmp_path):
        write(
            tmp_path, "good model: openai/gpt-5", "evil model: openai/gpt-5, api_base: 'http://evil.example'"
        )
        offered = known_models(read(tmp_path))
        assert "good" in offered
        assert "evil" not in offered

    def test_many_names_are_a_short_note(self, tmp_path):
        write(tmp_path, *(f"m{n} model: openai/gpt-5, api_base: 'http://evil.example'" for n in range(100)))
        (note,) = read(tmp_path).notes
        assert "m0, m1, m2, m3, m4, 95 more can't be used yet; to trust the file, run: " in note


class TestWhatIsNeverDone:
    def test_the_rest_of_the_file_changes_nothing(self, tmp_path, monkeypatch):
        """Neither settings nor the environment, though LiteLLM's proxy would do all of this."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "custom_auth.py").write_text("open('ran', 'w')\n")
        (tmp_path / "more.yaml").write_text(
            "model_list: [{model_name: b, litellm_params: {model: openai/b}}]\n"
        )
        rest = """
litellm_settings:
  callbacks: [custom_auth.proxy_handler_instance]
  success_callback: ["custom_auth.log"]
  cache: true
  cache_params: {type: redis, host: evil.example}
  request_timeout: 1
general_settings:
  master_key: sk-master
  database_url: "postgresql://evil.example/db"
  custom_auth: custom_auth.user_api_key_auth
  custom_key_generate: custom_auth.generate
router_settings: {redis_host: evil.example}
environment_variables:
  ANTHROPIC_BASE_URL: http://evil.example
  DATABASE_URL: sqlite:////tmp/evil.db
  FACT_HOME: /tmp/evil
include: [more.yaml]
FACT_HOME: /tmp/evil
home: /tmp/evil
isolation: process
"""
        before = dict(os.environ)
        write(tmp_path, "fast model: openai/gpt-5", rest=rest, trusted=True)
        found = read(tmp_path)
        (note,) = found.notes
        assert (
            ": ignored, because it has no meaning here: general_settings, environment_variables, include, "
            in note
        )
        assert [model.name for model in found.models] == ["fast"]
        assert found.home == tmp_path / "home"
        assert (found.database, found.anthropic_base_url, found.isolation) == ("", None, "auto")
        assert dict(os.environ) == before
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        "value",
        [
            "!!python/object/apply:os.system ['touch ran']",
            "!!python/object/new:os.system ['touch ran']",
            "!!python/name:os.system ''",
            "!include more.yaml",
            "!!python/object/apply:builtins.exec [\"open('ran', 'w')\"]",
        ],
    )
    @pytest.mark.parametrize("trusted", [False, True])
    def test_tags_make_no_objects(self, tmp_path, monkeypatch, value, trusted):
        monkeypatch.chdir(tmp_path)
        file = write(tmp_path, "fast model: openai/gpt-5", rest=f"x: {value}", trusted=trusted)
        found = read(tmp_path)
        assert found.models == ()
        assert found.notes == (
            f"{file} is not used: it has a YAML tag, which could create an object (line 4).",
        )
        assert not (tmp_path / "ran").exists()


class TestBadFiles:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "port: 80\n",
            "- a\n- b\n",
            "just text\n",
            "model_list: gpt-5\n",
            "model_list: {}\n",
            "model_list: []\n",
            "model_list: [gpt-5, claude]\n",
            "model_list: [{name: x}]\n",
            "models:\n  model_list: [{model_name: x, litellm_params: {model: openai/gpt-5}}]\n",
            "text: the model_list is elsewhere\nbroken: [\n",
            "a: b\n--- \nc: !custom d\n",
            "\0\1\2",
        ],
    )
    def test_a_file_of_another_program_is_left_alone_in_silence(self, tmp_path, text):
        (tmp_path / "config.yaml").write_text(text)
        found = read(tmp_path)
        assert (found.models, found.model, found.notes) == ((), None, ())

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("model_list:\n  - [\n", "can't be read as YAML (line 3)"),
            (f"model_list: {{api_key: {LITERAL}\n", "can't be read as YAML"),
            ("model_list: []\n---\nmodel_list: []\n", "can't be read as YAML"),
            ("model_list: [{[a]: b}]\n", "can't be read as YAML"),
            ("model_list: " + "[" * 500, "is too large once"),
            (Late(lambda: "model_list: " + "[" * 900_000), "is too large once"),
            (Late(lambda: "model_list:\n" + "- a\n" * 100_000), "is too large once"),
            ("model_list: &a [*a]\n", "an alias without an anchor, or an alias inside its own value"),
            ("model_list: *nobody\n", "an alias without an anchor, or an alias inside its own value"),
            (Late(lambda: "model_list: []\n" + "#" * 1_000_000), "larger than 1,000,000 bytes"),
        ],
    )
    def test_a_file_that_can_t_be_read_is_one_note(self, tmp_path, text, told):
        file = tmp_path / "config.yaml"
        file.write_text(text)
        found = read(tmp_path)
        (note,) = found.notes
        assert note.startswith(f"{file} is not used: it ")
        assert told in note
        assert LITERAL not in note
        assert (found.models, found.model) == ((), None)

    def test_bytes_that_are_no_text_are_one_note(self, tmp_path):
        (tmp_path / "config.yaml").write_bytes(b"model_list: [\xff\xfe]\n")
        assert "can't be read as YAML" in read(tmp_path).notes[0]

    @pytest.mark.parametrize("merge", ["[*a{0}, *a{0}, *a{0}]", "{{<<: [*a{0}, *a{0}, *a{0}]}}"])
    def test_a_few_lines_that_stand_for_billions_are_one_note(self, tmp_path, merge):
        lines = ["a0: &a0 {k: v}"] + [f"a{n + 1}: &a{n + 1} {merge.format(n)}" for n in range(30)]
        write(tmp_path, "fast model: openai/gpt-5", rest="\n".join(lines))
        (note,) = read(tmp_path).notes  # which would not return, if they were
        assert "once its aliases are replaced by their values" in note

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("- text", "entry 2 of its model_list is not a mapping"),
            ("- model_name: x", "has no litellm_params"),
            ("- {model_name: x, litellm_params: text}", "has no litellm_params"),
            ("- {model_name: x, litellm_params: {}}", "has no litellm_params.model"),
            ("- {litellm_params: {model: openai/gpt-5}}", "has no model_name"),
            (
                "- {model_name: [x], litellm_params: {model: openai/gpt-5}}",
                "for model_name that is not a short text",
            ),
            ("- {model_name: x, litellm_params: {model: {a: b}}}", "for model that is not a short text"),
            (
                "- {model_name: x, litellm_params: {model: m, api_key: [a]}}",
                "for api_key that is not a short text",
            ),
            ("- {model_name: x, litellm_params: {model: m, timeout: soon}}", "not a number of seconds"),
            ("- {model_name: x, litellm_params: {model: m, timeout: .inf}}", "not a number of seconds"),
            ("- {model_name: x, litellm_params: {model: m, timeout: -1}}", "not a number of seconds"),
            ("- {model_name: x, litellm_params: {model: 'http://evil.example'}}", "an address"),
            ("- {model_name: shelf, litellm_params: {model: openai/gpt-5}}", "takes the name shelf"),
            (f"- {{model_name: {'x' * 101}, litellm_params: {{model: m}}}}", "not a short text"),
            ('- {model_name: "a\\e[31m", litellm_params: {model: m}}', "not a short text"),
        ],
    )
    def test_an_entry_that_can_t_be_used_is_left_out_with_a_note(self, tmp_path, entry, told):
        write(tmp_path, "good model: openai/gpt-5", rest=f"  {entry}")
        found = read(tmp_path)
        (note,) = found.notes
        assert told in note
        assert note.endswith("so it is left out")
        assert note.isprintable()
        assert [model.name for model in found.models] == ["good"]

    def test_a_directory_of_that_name_and_one_that_can_t_be_read_are_no_error(self, tmp_path):
        (tmp_path / "config.yaml").mkdir()
        assert read(tmp_path).notes == ()

    def test_any_bytes_at_all_are_no_error(self, tmp_path):
        """Files cut and changed at every place."""
        good = write(tmp_path, f"fast model: openai/gpt-5, api_key: {LITERAL}, timeout: 5").read_bytes()
        for place in range(len(good)):
            for other in (b"", b"[", b"'", b"*", b"\n", b"\xe2"):
                (tmp_path / "config.yaml").write_bytes(good[:place] + other + good[place + 1 :])
                assert LITERAL not in str(read(tmp_path).notes)


class TestAsking:
    """Over the real wire: what is sent, and where."""

    @pytest.fixture
    def honest(self):
        """Where the user's own environment leads."""
        with ModelServer() as running:
            yield running

    async def generate(self, settings: Settings, model: str | None = None, attempts: int = 1) -> None:
        async with FactCore(settings) as core:
            spec = ToolSpec("add_one", "Add one.\n\n>>> add_one(1)\n2\n", model=model, attempts=attempts)
            assert await (await core.generate(spec)).acall(n=4) == 5

    SOURCE = "def add_one(n: int) -> int:\n    return n + 1\n"

    @pytest.mark.parametrize("suffix", ["", "/", "/v1/messages"])
    async def test_claude_is_asked_natively_at_its_own_endpoint_with_its_own_key(
        self, tmp_path, server, honest, suffix
    ):
        write(
            tmp_path,
            f"mine model: anthropic/claude-haiku-5-5, api_key: {LITERAL}, api_base: '{server.url}{suffix}'",
            trusted=True,
        )
        server.writes(self.SOURCE)
        await self.generate(read(tmp_path, honest.environment()))
        (asked,) = server.requests
        assert (asked.wire, asked.model) == ("anthropic", "claude-haiku-5-5")
        assert asked.carries(LITERAL)
        assert honest.requests == ()

    async def test_another_model_is_asked_by_litellm_at_its_own_endpoint_with_its_own_key(
        self, tmp_path, server, honest, monkeypatch
    ):
        for name, value in honest.environment().items():
            monkeypatch.setenv(name, value)
        write(
            tmp_path,
            f"mine model: openai/gpt-5, api_key: os.environ/MY_KEY, api_base: '{server.url}/v1'",
            trusted=True,
        )
        server.writes(self.SOURCE)
        await self.generate(read(tmp_path, {**honest.environment(), "MY_KEY": LITERAL}), "mine")
        (asked,) = server.requests
        assert (asked.wire, asked.model) == ("openai", "gpt-5")
        assert asked.carries(LITERAL)
        assert honest.requests == ()

    @pytest.mark.parametrize("model", ["anthropic/claude-haiku-5-5", "openai/gpt-5", "hosted_vllm/m"])
    async def test_an_endpoint_without_a_key_of_its_own_is_sent_no_other_key(
        self, tmp_path, server, monkeypatch, model
    ):
        """Neither from the settings, nor from the environment, where LiteLLM would look by itself."""
        environment = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY, "HOSTED_VLLM_API_KEY": KEY}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        write(tmp_path, f"mine model: {model}, api_base: '{server.url}/v1'", trusted=True)
        if model.startswith("anthropic"):
            write(tmp_path, f"mine model: {model}, api_base: '{server.url}'", trusted=True)
        server.writes(self.SOURCE)
        await self.generate(read(tmp_path, environment))
        (asked,) = server.requests
        assert not asked.carries(KEY)
        assert KEY not in json.dumps(dict(asked.headers)) + json.dumps(dict(asked.body))

    @pytest.mark.parametrize("is_theirs", [True, False])
    async def test_headers_of_the_environment_go_only_to_the_endpoint_of_the_environment(
        self, tmp_path, server, honest, monkeypatch, is_theirs
    ):
        """Anthropic's SDK would add them to each request."""
        environment = honest.environment() | {"ANTHROPIC_CUSTOM_HEADERS": f"X-Gateway: {KEY}\nX-Team: red"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        if is_theirs:
            write(tmp_path, f"mine model: claude-haiku-5-5, api_base: '{server.url}'", trusted=True)
        asked_server = server if is_theirs else honest
        asked_server.writes(self.SOURCE)
        await self.generate(read(tmp_path, environment), "mine" if is_theirs else "claude-haiku-5-5")
        (asked,) = asked_server.requests
        assert [asked.headers.get(name) for name in ("x-gateway", "x-team")] == (
            [None, None] if is_theirs else [KEY, "red"]
        )

    async def test_azures_token_is_sent_only_to_the_address_of_the_environment(
        self, tmp_path, monkeypatch, server
    ):
        monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", KEY)
        write(tmp_path, f"mine model: azure/gpt-5, api_key: x, api_base: '{server.url}'", trusted=True)
        with pytest.raises(ProviderError, match="AZURE_OPENAI_AD_TOKEN is set in the environment, and would"):
            await self.generate(read(tmp_path))
        assert server.requests == ()

    @pytest.mark.parametrize("model", ["vertex_ai/gemini-3", "bedrock/some.model", "sagemaker/x"])
    async def test_an_endpoint_is_not_signed_in_to_by_the_account_of_the_machine(self, tmp_path, model):
        write(tmp_path, f"mine model: {model}, api_key: x, api_base: 'http://127.0.0.1:9'", trusted=True)
        with pytest.raises(ProviderError, match="send your own account's credentials to that address"):
            await self.generate(read(tmp_path))

    async def test_a_key_of_its_own_is_not_sent_to_the_environment_s_endpoint(
        self, tmp_path, honest, monkeypatch
    ):
        """The endpoint belongs to the key beside it."""
        for name, value in honest.environment().items():
            monkeypatch.setenv(name, value)
        write(tmp_path, f"mine model: openai/gpt-5, api_key: {LITERAL}", trusted=True)
        with pytest.raises(ProviderError, match="but the key is set in another place"):
            await self.generate(read(tmp_path, honest.environment()))
        assert honest.requests == ()

    async def test_a_name_without_key_and_endpoint_is_asked_as_the_settings_say(self, tmp_path, honest):
        write(tmp_path, "mine model: claude-haiku-5-5", trusted=True)
        honest.writes(self.SOURCE)
        await self.generate(read(tmp_path, honest.environment()))
        (asked,) = honest.requests
        assert asked.model == "claude-haiku-5-5"
        assert asked.carries(honest.key)

    async def test_a_refused_key_names_the_entry_and_shows_no_key(self, tmp_path, server):
        file = write(
            tmp_path,
            f"mine model: anthropic/claude-haiku-5-5, api_key: {LITERAL}, api_base: '{server.url}'",
            f"ours model: openai/gpt-5, api_key: {LITERAL}, api_base: '{server.url}/v1'",
            trusted=True,
        )
        for name in ("mine", "ours"):
            server.fails(401, f"bad key {LITERAL}")
            with pytest.raises(ProviderError) as caught:
                await self.generate(read(tmp_path), name)
            assert f"api_key in the entry {name} of {file}" in str(caught.value)
            assert LITERAL not in str(caught.value)

    async def test_a_timeout_of_its_own_ends_a_silent_answer(self, tmp_path, server):
        write(
            tmp_path,
            f"mine model: anthropic/claude-haiku-5-5, api_base: '{server.url}', timeout: 0.3",
            trusted=True,
        )
        server.breaks("```python\n", "stall")
        with pytest.raises(ProviderError, match=r"sent nothing for 0.3 s"):
            await self.generate(read(tmp_path))


OPTIONS = """
router_settings:
  fallbacks: [{fast: [slow, other]}]
  num_retries: 5
litellm_settings:
  num_retries: 9
  default_fallbacks: [slow]
  cache: False
  success_callback: ["prometheus"]
"""


class TestOptions:
    MODELS = ("fast model: openai/gpt-5", "slow model: openai/gpt-5-pro")

    def test_fallbacks_retries_reuse_and_metrics_are_read(self, tmp_path):
        file = write(tmp_path, *self.MODELS, rest=OPTIONS, trusted=True)
        found = read(tmp_path)
        assert found.fallbacks == {"fast": ("slow", "other"), "*": ("slow",)}
        assert (found.retries, found.reuse, found.metrics) == (5, False, True)
        assert found.notes == ()
        assert {found.origin(name) for name in ("fallbacks", "retries", "reuse", "metrics")} == {str(file)}
        assert read(tmp_path, retries=1).retries == 1

    def test_without_trust_nothing_goes_elsewhere_or_costs_more_and_no_port_is_opened(self, tmp_path):
        file = write(tmp_path, *self.MODELS, rest=OPTIONS)
        found = read(tmp_path)
        assert (found.fallbacks, found.retries, found.reuse, found.metrics) == ({}, None, True, False)
        waiting = "fallbacks, num_retries, cache, metrics can't be used yet"
        assert found.notes == (f"{file}: {waiting}; to trust the file, run: %fact trust {file}",)

    def test_without_trust_the_usual_values_need_no_note(self, tmp_path):
        write(tmp_path, *self.MODELS, rest="litellm_settings: {cache: true}")
        assert read(tmp_path).notes == ()

    @pytest.mark.parametrize("model", ["bedrock/claude", "vertex_ai/gemini-pro", "gemini-pro"])
    def test_without_trust_no_account_of_the_machine_pays(self, tmp_path, model):
        write(tmp_path, f"theirs model: {model}")
        (theirs,) = read(tmp_path).models
        assert "is not trusted to choose where requests go" in theirs.problem
        write(tmp_path, f"theirs model: {model}", trusted=True)
        assert not read(tmp_path).models[0].problem

    def test_what_has_no_meaning_is_named_in_one_note(self, tmp_path):
        file = write(
            tmp_path,
            "fast model: openai/gpt-5, rpm: 10",
            rest='litellm_settings: {drop_params: true, cache: "on", success_callback: [langfuse]}\nguardrails: []',
        )
        (note,) = read(tmp_path).notes
        known = "guardrails, litellm_params.rpm, litellm_settings.drop_params, success_callback langfuse"
        assert note == f"{file}: ignored, because it has no meaning here: {known}"

    @pytest.mark.parametrize(
        ("rest", "problem"),
        [
            (
                "router_settings: {num_retries: many}",
                "router_settings.num_retries is not a whole number from 0 to 10",
            ),
            (
                "router_settings: {num_retries: -1}",
                "router_settings.num_retries is not a whole number from 0 to 10",
            ),
            (
                "router_settings: {num_retries: 11}",
                "router_settings.num_retries is not a whole number from 0 to 10",
            ),
            ("litellm_settings: {cache: maybe}", "litellm_settings.cache is neither true nor false"),
            ("litellm_settings: {cache: {type: redis}}", "litellm_settings.cache is neither true nor false"),
            (
                "router_settings: {fallbacks: slow}",
                "router_settings.fallbacks is not a list of {model: [other models]}",
            ),
            (
                "router_settings: {fallbacks: [{fast: slow}]}",
                "router_settings.fallbacks is not a list of model names",
            ),
            ("router_settings: [1]", "router_settings is not a mapping"),
        ],
    )
    def test_a_value_that_is_no_value_is_left_out_and_said(self, tmp_path, rest, problem):
        write(tmp_path, *self.MODELS, rest=rest, trusted=True)
        found = read(tmp_path)
        assert (found.fallbacks, found.retries, found.reuse) == ({}, None, True)
        (note,) = found.notes
        assert problem in note
        assert [model.name for model in found.models] == ["fast", "slow"]

    def test_a_circle_of_fallbacks_is_one_error_so_that_nothing_is_sent(self, tmp_path):
        rest = "router_settings: {fallbacks: [{fast: [slow]}, {slow: [fast]}]}"
        file = write(tmp_path, *self.MODELS, rest=rest, trusted=True)
        with pytest.raises(SettingsError) as raised:
            read(tmp_path)
        assert str(raised.value).startswith(
            f"fallbacks from {file} can't be used: the models fall back on each"
        )
        assert len(str(raised.value).splitlines()) == 1

    def test_trusting_shows_the_fallbacks(self, tmp_path):
        file = write(tmp_path, *self.MODELS, rest=OPTIONS)
        found = contents(file, file.read_bytes())
        assert "slow, other if fast fails" in found.models
        assert found.options == ("num_retries: 5", "cache: false", "metrics: true")

    async def test_without_reuse_an_equal_request_asks_the_model_again(self, tmp_path):
        rest = "litellm_settings: {cache: false}"
        write(tmp_path, "fast model: claude-haiku-5-5", rest=rest, trusted=True)
        with ModelServer() as server:
            settings = read(tmp_path, server.environment(), isolation="process")
            async with FactCore(settings) as core:
                for _ in range(2):
                    server.writes("def double(n: int) -> int:\n    return 2 * n\n")
                    await core.generate(ToolSpec("double", "Double a number."))
            assert len(server.requests) == 2

    async def test_metrics_are_served_from_the_start(self, tmp_path):
        pytest.importorskip("prometheus_client")
        write(tmp_path, *self.MODELS, rest=OPTIONS, trusted=True)
        async with FactCore(read(tmp_path, isolation="process")) as core:
            await until_async(lambda: core.metrics_state)
            address = core.metrics_state
            with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own address
                assert b"fact_runs_total" in answer.read()
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(address)  # noqa: S310
