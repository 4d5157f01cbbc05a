"""What a `.env` or `config.yaml` that was found beside a notebook decides before the user trusts it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.config.contents import contents
from fact_magics.config.trust import trust
from fact_magics.errors import ProviderError, SettingsError
from fact_magics.providers.choose import choose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fact_magics import Settings
    from fact_magics.testing import ModelServer

MINE = "sk-RECOGNISABLE-of-the-user-0815"
THEIRS = "sk-RECOGNISABLE-of-the-file-4711"
STRANGER = 47110

as_root = pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root can give files away")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def read(clone: Path, environment: dict[str, str] | None = None, **overrides: object) -> Settings:
    return load_settings(overrides, clone, {"FACT_HOME": str(clone.parent / "home"), **(environment or {})})


def write_env(clone: Path, *lines: str) -> Path:
    file = clone / ".env"
    file.write_text("\n".join(lines))
    file.chmod(0o644)
    return file


def write_models(clone: Path, *entries: str) -> Path:
    """Write a ``config.yaml`` of entries, each a name and the YAML of its ``litellm_params``."""
    lines = [
        f"- model_name: {name}\n  litellm_params: {{{params}}}\n"
        for name, _, params in (entry.partition(" ") for entry in entries)
    ]
    file = clone / "config.yaml"
    file.write_text("model_list:\n" + "".join(lines))
    file.chmod(0o644)
    return file


class TestWhereAKeyIsSetAlready:
    @pytest.mark.parametrize(
        "name", ["JUPYTERHUB_BASE_URL", "APP_BASE_URL", "WANDB_API_KEY", "OLLAMA_API_BASE"]
    )
    def test_what_no_other_model_is_asked_with_does_not_count(self, clone, name):
        write_env(clone, "FACT_MODEL=openai/gpt-5", f"OPENAI_API_KEY={THEIRS}")
        found = read(clone, {name: "/value"})
        assert (found.model, found.withheld) == ("openai/gpt-5", ())

    def test_neither_a_model_nor_a_key_of_an_env_file_counts_until_it_is_trusted(self, clone):
        file = write_env(clone, "FACT_MODEL=openai/gpt-5", f"OPENAI_API_KEY={THEIRS}", "OPENAI_API_VERSION=1")
        found = read(clone, {"ANTHROPIC_API_KEY": MINE})
        assert (found.model, found.providers) == (None, {})
        assert set(found.withheld) == {"FACT_MODEL", "OPENAI_API_KEY", "OPENAI_API_VERSION"}
        (note,) = found.notes
        assert note == (
            f"FACT_MODEL, OPENAI_API_KEY, OPENAI_API_VERSION from {file} can't be used yet, because"
            f" ANTHROPIC_API_KEY is already set in the environment; to trust the file, run: %fact trust {file}"
        )
        trust(file, found.trust_home)
        after = read(clone, {"ANTHROPIC_API_KEY": MINE})
        assert (after.model, after.withheld, after.notes) == ("openai/gpt-5", (), ())
        assert after.providers["OPENAI_API_KEY"].get_secret_value() == THEIRS

    async def test_the_users_own_key_is_asked(self, clone, server: ModelServer):
        write_env(clone, "FACT_MODEL=openai/gpt-5", f"OPENAI_API_KEY={THEIRS}")
        write_models(clone, f"theirs model: openai/gpt-5, api_key: {THEIRS}")
        server.writes("def add_one(n: int) -> int:\n    return n + 1\n")
        async with FactCore(read(clone, server.environment())) as core:
            await core.generate(ToolSpec("add_one", "Add one to n."))
        (asked,) = server.requests
        assert (asked.wire, asked.carries(server.key)) == ("anthropic", True)

    async def test_an_entry_with_a_literal_key_waits(self, clone):
        file = write_models(clone, f"theirs model: openai/gpt-5, api_key: {THEIRS}", "other model: openai/x")
        assert read(clone).model == "theirs"
        found = read(clone, {"OPENAI_API_KEY": MINE})
        assert found.model is None
        (note,) = found.notes
        assert note.startswith(f"{file}: theirs, other can't be used yet, because ")
        with pytest.raises(ProviderError, match=f"%fact trust {file}"):
            await choose(found, "theirs")
        trust(file, found.trust_home)
        assert read(clone, {"OPENAI_API_KEY": MINE}).model == "theirs"

    def test_a_key_of_the_env_file_outranks_the_models_of_a_config_file(self, clone):
        env = write_env(clone, f"ANTHROPIC_API_KEY={MINE}")
        write_models(clone, f"theirs model: openai/gpt-5, api_key: {THEIRS}")
        found = read(clone)
        assert found.model is None
        assert f"because ANTHROPIC_API_KEY is already set in {env}" in found.notes[0]

    def test_an_endpoint_of_the_users_own_outranks_a_key_of_a_file(self, clone):
        """Requests would go to the public service, and no more to the user's gateway."""
        write_env(clone, f"ANTHROPIC_API_KEY={THEIRS}")
        found = read(clone, {"ANTHROPIC_BASE_URL": "https://gateway.example"})
        assert found.anthropic_api_key is None
        assert found.anthropic_base_url == "https://gateway.example"

    def test_a_key_in_a_file_farther_up_is_not_hidden_by_a_nearer_one(self, clone):
        """The user's key for all projects lies beside the folder that was cloned."""
        farther = clone.parent / ".env"
        farther.write_text(f"ANTHROPIC_API_KEY={MINE}")
        file = write_env(clone, "LOG_LEVEL=debug", f"OPENAI_API_KEY={THEIRS}")
        found = read(clone)
        assert (found.providers, found.log_level) == ({}, "debug")
        assert (
            f"because ANTHROPIC_API_KEY is already set in {farther}; to trust the file, run: %fact trust {file}"
            in found.notes[0]
        )

    def test_models_in_a_file_farther_up_are_not_hidden_by_a_key_in_a_nearer_one(self, clone):
        own = write_models(clone.parent, f"mine model: openai/gpt-5, api_key: {MINE}")
        write_env(clone, f"OPENAI_API_KEY={THEIRS}", "FACT_MODEL=openai/gpt-5")
        found = read(clone)
        assert (found.model, found.providers) == ("mine", {})
        assert f"because {own} already names models; to trust the file, run: %fact trust" in found.notes[0]

    def test_models_in_a_file_farther_up_are_not_hidden_by_a_nearer_one(self, clone):
        farther = write_models(clone.parent, f"mine model: openai/gpt-5, api_key: {MINE}")
        file = write_models(clone, f"theirs model: openai/gpt-5, api_key: {THEIRS}")
        found = read(clone)
        assert found.model is None
        assert (
            f"because {farther} has a model_list too; to trust the file, run: %fact trust {file}"
            in found.notes[0]
        )

    def test_values_that_the_user_sets_again_need_no_word(self, clone):
        write_env(clone, "FACT_MODEL=claude-haiku-5-5", f"ANTHROPIC_API_KEY={THEIRS}")
        found = read(clone, {"ANTHROPIC_API_KEY": MINE, "FACT_MODEL": "claude-opus-5-5"})
        assert (found.notes, found.withheld) == ((), ())

    @pytest.mark.parametrize(("seconds", "counts"), [("5", False), ("600", True)])
    def test_a_file_can_t_have_requests_given_up_that_the_user_pays(self, clone, seconds, counts):
        write_env(clone, f"FACT_MODEL_TIMEOUT={seconds}")
        found = read(clone, {"ANTHROPIC_API_KEY": MINE})
        assert found.model_timeout == (float(seconds) if counts else 120.0)
        assert [note.partition(" ")[0] for note in found.notes] == ([] if counts else ["FACT_MODEL_TIMEOUT"])
        assert read(clone, {}).model_timeout == float(seconds)

    @pytest.mark.parametrize("model", ["bedrock/claude", "vertex_ai/gemini-pro"])
    def test_a_file_can_t_choose_a_model_that_an_account_of_the_machine_pays(self, clone, model):
        write_env(clone, f"FACT_MODEL={model}")
        found = read(clone)
        assert (found.model, found.withheld) == (None, ("FACT_MODEL",))
        assert "FACT_MODEL from" in found.notes[0]

    def test_a_file_may_still_ask_for_the_shelf(self, clone):
        """No request is sent then, and one would be sent if the line were ignored."""
        write_env(clone, "FACT_MODEL=shelf")
        found = read(clone, {"ANTHROPIC_API_KEY": MINE})
        assert (found.model, found.notes) == ("shelf", ())

    @pytest.mark.parametrize("model", [None, "openai/gpt-5", "groq/llama"])
    async def test_a_cell_that_needs_what_waits_says_how_to_trust_the_file(self, clone, model):
        """It would say that no key is set, or answer from the shelf."""
        file = write_env(
            clone, "FACT_MODEL=openai/gpt-5", f"OPENAI_API_KEY={THEIRS}", f"GROQ_API_KEY={THEIRS}"
        )
        async with FactCore(read(clone, {"MISTRAL_API_KEY": MINE})) as core:
            with pytest.raises(ProviderError) as refused:
                await core.generate(ToolSpec("slugify", "Turn a title into a URL slug.", model=model))
        assert f"%fact trust {file}; or add --model shelf" in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1


class TestWhereNoKeyIsSet:
    def test_a_model_and_a_key_of_the_users_own_file_count(self, clone):
        write_env(clone, "FACT_MODEL=openai/gpt-5", f"OPENAI_API_KEY={THEIRS}")
        found = read(clone, {"OLLAMA_API_BASE": "http://127.0.0.1:11434"})
        assert (found.model, found.notes) == ("openai/gpt-5", ())
        assert found.providers["OPENAI_API_KEY"].get_secret_value() == THEIRS

    @pytest.mark.parametrize("open_path", ["the file", "its directory"])
    @pytest.mark.parametrize("name", [".env", "config.yaml"])
    def test_a_file_that_others_can_change_waits(self, clone, name, open_path):
        write = write_env if name == ".env" else write_models
        file = write(clone, "FACT_MODEL=a/b" if name == ".env" else "theirs model: openai/gpt-5")
        assert read(clone).model
        (file if open_path == "the file" else clone).chmod(0o777)
        found = read(clone)
        assert found.model is None
        (note,) = found.notes
        assert (
            f"yet, because {open_path} can be changed by other users; to trust the file, run: %fact trust"
            in note
        )
        trust(file, found.trust_home)
        assert read(clone).model

    @pytest.mark.parametrize("name", [".env", "config.yaml"])
    def test_a_link_to_a_file_that_others_can_replace_waits(self, clone, name):
        write = write_env if name == ".env" else write_models
        file = write(clone, "FACT_MODEL=a/b" if name == ".env" else "theirs model: openai/gpt-5")
        shared = clone.parent / "shared"
        shared.mkdir()
        file.symlink_to(file.rename(shared / "settings"))
        assert read(clone).model
        shared.chmod(0o777)
        found = read(clone)
        assert found.model is None
        assert (
            "because its directory can be changed by other users; to trust the file, run: %fact trust"
            in found.notes[0]
        )

    @as_root
    @pytest.mark.parametrize("theirs", [".env", "."])
    def test_a_file_of_another_user_waits(self, clone, theirs):
        write_env(clone, f"ANTHROPIC_API_KEY={THEIRS}")
        os.chown(clone / theirs, STRANGER, -1)
        found = read(clone)
        assert found.anthropic_api_key is None
        assert f"belongs to another user (user id {STRANGER})" in found.notes[0]


class TestBadValues:
    @pytest.mark.parametrize(
        "line",
        [
            "LOG_LEVEL=loud",
            "FACT_HOME=~nobody-here",
            "DATABASE_URL=sqlite://",
            "DATABASE_URL=sqlite:///~nobody-here/a.db",
        ],
    )
    def test_of_a_file_are_a_note_and_of_the_environment_an_error(self, clone, monkeypatch, line):
        monkeypatch.setenv("XDG_DATA_HOME", str(clone.parent / "data"))
        name, _, value = line.partition("=")
        file = write_env(clone, line, "FACT_MODEL=fine")
        default = load_settings({}, clone, {}).home
        trust(file, default)
        found = load_settings({}, clone, {})
        assert (found.model, found.log_level) == ("fine", "info")
        assert (found.home, found.database_path) == (default, default / "fact_magics.db")
        (note,) = found.notes
        assert note.startswith(f"{name} from {file} is not used: ")
        if name != "LOG_LEVEL":
            with pytest.raises(SettingsError, match=f"{name} from the environment can't be used: "):
                load_settings({}, clone, {name: value})

    @pytest.mark.parametrize("level", ["TRACE", "10", "notset", "é", "a\nb"])
    def test_a_log_level_that_another_program_has_put_into_the_environment_is_a_note(self, clone, level):
        found = read(clone, {"LOG_LEVEL": level})
        assert found.log_level == "info"
        (note,) = found.notes
        assert note.startswith("LOG_LEVEL from the environment is not used: it must be 'debug', 'info', ")
        with pytest.raises(SettingsError, match="LOG_LEVEL from %config can't be used: "):
            read(clone, log_level=level)

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            (".env", "A=1\n" * 6_000, "it has more than 5,000 lines"),
            (
                ".env",
                "".join(f"A{n}_API_KEY=key-{n}\n" for n in range(101)),
                "more than 100 keys and settings",
            ),
            ("config.yaml", "model_list:\n" + "- {model_name: a}\n" * 101, "it lists more than 100 models"),
        ],
    )
    def test_a_file_that_would_slow_down_each_cell_is_not_used(self, clone, name, text, told):
        (clone / name).write_text(text)
        found = read(clone)
        assert (found.providers, found.models) == ({}, ())
        (note,) = found.notes
        assert told in note

    def test_a_line_that_is_no_assignment_is_a_note_and_the_others_count(self, clone, capsys, caplog):
        file = write_env(clone, "OTHER=1", "", "my notes: call back", "FACT_MODEL=fine", "MORE LINES")
        found = read(clone)
        assert found.model == "fine"
        assert found.notes == (f"Line 3 of {file} is left out: it is not NAME=VALUE.",)
        assert (caplog.text, capsys.readouterr()) == ("", ("", ""))

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp1252"])
    def test_a_file_in_another_encoding_counts(self, clone, encoding):
        write_env(clone).write_bytes(
            f"# clé du labo\nANTHROPIC_API_KEY={MINE}\nFACT_MODEL=é\n".encode(encoding)
        )
        found = read(clone)
        unread = "FACT_MODEL is not UTF-8; save the file as UTF-8"
        assert found.anthropic_api_key.get_secret_value() == MINE
        assert (found.model, found.notes) == (
            ("é", ())
            if encoding.startswith("utf")
            else (None, (f"Line 3 of {clone / '.env'} is left out: {unread}.",))
        )

    @pytest.mark.parametrize("home", ["~nobody-here/facts", "a\0b"])
    def test_a_home_set_in_the_notebook_that_can_t_be_is_one_line_that_names_its_source(self, clone, home):
        with pytest.raises(SettingsError, match="FACT_HOME from %config can't be used: ") as refused:
            load_settings({"home": home}, clone, {})
        assert len(str(refused.value).splitlines()) == 1


@pytest.fixture
def exposed_home(clone: Path) -> Iterator[Path]:
    home = clone.parent / "home"
    home.mkdir()
    home.chmod(0o777)
    return home


def test_a_home_that_others_can_change_is_refused_with_the_command_that_closes_it(clone, exposed_home):
    with pytest.raises(SettingsError, match=f"Run: chmod go-w {exposed_home}"):
        read(clone)
    exposed_home.chmod(0o755)
    assert read(clone).home == exposed_home


class TestContents:
    """What a file decides is shown when it is trusted."""

    def test_of_an_env_file(self, clone):
        file = write_env(
            clone,
            f"OPENAI_API_KEY={THEIRS}",
            f"OPENAI_BASE_URL=https://user:{THEIRS}@gateway.example:8443/v1",
            "GROQ_API_BASE=http://${SOME_HOST}/v1",
            "FACT_CACHE_URL=redis://cache.example/0",
            f"SECRET_KEY={THEIRS}",
            "FACT_MODEL=openai/gpt-5",
            "DATABASE_URL=sqlite:///a.db",
            "FACT_MODEL_TIMEOUT=5",
            "OTHER=1",
        )
        found = contents(file, file.read_bytes())
        assert found == (
            ("gateway.example:8443", "GROQ_API_BASE", "cache.example"),
            ("OPENAI_API_KEY", "SECRET_KEY"),
            ("openai/gpt-5",),
            ("DATABASE_URL",),
            ("SOME_HOST",),
            ("FACT_MODEL_TIMEOUT: 5",),
        )

    def test_of_a_config_file(self, clone):
        file = write_models(
            clone,
            f"fast model: openai/gpt-5, api_key: {THEIRS}, api_base: 'https://user:{THEIRS}@a.example/v1'",
            "slow model: openai/gpt-5-pro, api_key: os.environ/MY_KEY, base_url: os.environ/MY_URL",
        )
        found = contents(file, file.read_bytes())
        assert found == (
            ("a.example", "base_url of slow"),
            ("api_key of fast", "MY_KEY"),
            ("fast (openai/gpt-5)", "slow (openai/gpt-5-pro)"),
            (),
            ("MY_KEY", "MY_URL"),
            (),
        )

    @pytest.mark.parametrize(
        "content", [b"", b"\xff\xfe", b"model_list: [", b"model_list: [1, {model_name: x}]"]
    )
    @pytest.mark.parametrize("name", [".env", "config.yaml"])
    def test_of_a_file_that_decides_nothing(self, clone, name, content):
        assert contents(clone / name, content) == ((),) * 6
