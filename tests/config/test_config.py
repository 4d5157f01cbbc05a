"""Settings: which source wins, what a found file may not say, and that keys never show."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from fact_magics import load_settings
from fact_magics.config.settings import own_home
from fact_magics.config.trust import trust
from fact_magics.errors import SettingsError

KEY = "sk-ant-RECOGNISABLE-4711"


def read(folder: Path, environment=None, **overrides):
    environment = {"FACT_HOME": str(folder / "home"), **(environment or {})}
    return load_settings(overrides, folder, environment)


def write(folder: Path, text: str) -> Path:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_highest_source_wins(tmp_path):
    write(tmp_path, "FACT_MODEL=from-file\nLOG_LEVEL=debug\n")
    assert read(tmp_path).model == "from-file"
    assert read(tmp_path, {"FACT_MODEL": "from-environment"}).model == "from-environment"
    chosen = read(tmp_path, {"FACT_MODEL": "from-environment"}, model="from-config")
    assert chosen.model == "from-config"
    assert chosen.log_level == "debug"
    assert chosen.origin("model") == "%config"
    assert chosen.origin("log_level") == str(tmp_path / ".env")
    assert chosen.origin("live") == "default"
    assert read(tmp_path, {"FACT_MODEL": "from-environment"}).origin("model") == "the environment"


def test_a_config_that_was_never_set_hides_nothing(tmp_path):
    assert read(tmp_path, {"FACT_MODEL": "m"}, model=None).model == "m"


def test_an_empty_variable_is_no_value(tmp_path):
    assert read(tmp_path, {"FACT_MODEL": "", "ANTHROPIC_API_KEY": ""}).model is None
    assert read(tmp_path, {"ANTHROPIC_API_KEY": ""}).anthropic_api_key is None


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_text_hides_no_other_value(tmp_path, blank):
    (tmp_path / ".env").write_text("FACT_MODEL=claude-of-the-file\n")
    found = read(tmp_path, {"FACT_MODEL": blank}, model=blank)
    assert (found.model, found.origin("model")) == ("claude-of-the-file", str(tmp_path / ".env"))
    assert own_home({"home": blank}, {"FACT_HOME": blank}, tmp_path) == own_home({}, {}, tmp_path)


def test_a_value_that_is_none_of_a_choice_is_told_what_it_may_be(tmp_path):
    with pytest.raises(
        SettingsError, match="FACT_PROBE from the environment can't be used: it must be 'auto' or 'off'"
    ):
        read(tmp_path, {"FACT_PROBE": "maybe"})


def test_the_nearest_file_counts_from_the_directory_upward(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path, "FACT_MODEL=far\nLOG_LEVEL=debug\n")
    assert read(deep).model == "far"
    write(tmp_path / "a", "FACT_MODEL=near\n")
    assert read(deep).model == "near"
    assert read(deep).log_level == "info"  # the nearest file, not a mixture


@pytest.mark.parametrize(
    "line",
    [
        "FACT_HOME=/tmp/elsewhere",
        "DATABASE_URL=sqlite:////tmp/elsewhere.db",
        "ANTHROPIC_BASE_URL=http://evil.example",
        "SECRET_KEY=whose-signatures-would-be-believed",
    ],
)
def test_a_found_file_may_not_say_where_data_goes_until_it_is_trusted(tmp_path, line):
    file = write(tmp_path, f"{line}\nFACT_MODEL=fine\n")
    before = read(tmp_path)
    assert before.model == "fine"
    assert before.home == tmp_path / "home"
    assert before.database == ""
    assert before.anthropic_base_url is None
    assert before.secret_key is None
    assert any(line.partition("=")[0] in note and "trust" in note for note in before.notes)

    trust(file, tmp_path / "home")
    after = read(tmp_path)
    assert after.notes == ()
    signs = after.secret_key and after.secret_key.get_secret_value()
    assert line.partition("=")[2] in (str(after.home), after.database, after.anthropic_base_url, signs) or (
        line.startswith("FACT_HOME") and after.home == tmp_path / "home"  # the environment's is higher
    )
    file.write_text(file.read_text() + "# changed\n")
    assert any("trust" in note for note in read(tmp_path).notes)


def test_an_endpoint_is_used_only_with_a_key_from_the_same_source(tmp_path):
    environment = {"ANTHROPIC_API_KEY": KEY}
    trust(write(tmp_path, "ANTHROPIC_BASE_URL=http://evil.example\n"), tmp_path / "home")
    found = read(tmp_path, environment)
    assert found.anthropic_base_url is None
    assert found.anthropic_api_key.get_secret_value() == KEY
    assert any("ANTHROPIC_BASE_URL" in note for note in found.notes)

    trust(
        write(tmp_path, f"ANTHROPIC_BASE_URL=http://mine.example\nANTHROPIC_API_KEY={KEY}\n"),
        tmp_path / "home",
    )
    assert read(tmp_path).anthropic_base_url == "http://mine.example"
    # The environment's key wins over the file's, and so the file's endpoint is out.
    mixed = read(tmp_path, {"ANTHROPIC_API_KEY": "sk-other"})
    assert mixed.anthropic_api_key.get_secret_value() == "sk-other"
    assert mixed.anthropic_base_url is None
    whole = read(tmp_path, {"ANTHROPIC_API_KEY": "sk-other", "ANTHROPIC_BASE_URL": "http://env.example"})
    assert whole.anthropic_base_url == "http://env.example"


def test_the_same_rule_holds_for_every_provider(tmp_path):
    trust(write(tmp_path, "GROQ_API_BASE=http://evil.example\n"), tmp_path / "home")
    found = read(tmp_path, {"GROQ_API_KEY": KEY})
    assert "GROQ_API_BASE" not in found.providers
    assert found.providers["GROQ_API_KEY"].get_secret_value() == KEY


def test_an_untrusted_file_can_t_read_the_environment_s_secrets(tmp_path):
    write(tmp_path, "FACT_MODEL=${SECRET_KEY}\n")
    assert read(tmp_path, {"SECRET_KEY": KEY}).model == "${SECRET_KEY}"


@pytest.mark.parametrize(
    "show", [repr, str, lambda s: str(s.model_dump()), lambda s: s.model_dump_json(), vars]
)
def test_keys_never_show(tmp_path, show):
    found = read(tmp_path, {"ANTHROPIC_API_KEY": KEY, "GROQ_API_KEY": KEY, "SECRET_KEY": KEY})
    assert KEY not in str(show(found))
    assert set(found.secrets) == {KEY}


@pytest.mark.parametrize(
    ("environment", "name"),
    [({"FACT_HOME": "~nobody-here"}, "FACT_HOME"), ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL")],
)
def test_a_value_that_can_t_be_used_is_one_line_with_its_name_and_source(tmp_path, environment, name):
    with pytest.raises(SettingsError) as caught:
        _ = read(tmp_path, {**environment, "ANTHROPIC_API_KEY": KEY}).database_path
    assert name in str(caught.value)
    assert "the environment" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert KEY not in str(caught.value)


def test_another_program_s_database_is_left_alone(tmp_path):
    found = read(tmp_path, {"DATABASE_URL": "postgres://user:hunter2@host/db"})
    assert found.database_path == tmp_path / "home" / "fact_magics.db"
    assert any("postgres" in note for note in found.notes)
    assert "hunter2" not in str(found.notes)


def test_database_urls_name_files(tmp_path):
    assert read(tmp_path).database_path == tmp_path / "home" / "fact_magics.db"
    assert read(tmp_path, {"DATABASE_URL": "sqlite:////abs/a.db"}).database_path == Path("/abs/a.db")
    assert read(tmp_path, {"DATABASE_URL": "sqlite:///rel/a.db"}).database_path == tmp_path / "rel/a.db"


def test_log_levels_are_read_in_any_case(tmp_path):
    assert read(tmp_path, {"LOG_LEVEL": "WARNING"}).log_level == "warning"


def test_a_file_that_can_t_be_read_is_a_note_and_no_error(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00FACT_MODEL")
    assert any("is left out: the file is not valid UTF-16" in note for note in read(tmp_path).notes)


def test_a_file_that_is_larger_than_settings_are_is_a_note_and_no_error(tmp_path):
    write(tmp_path, "FACT_MODEL=m\n" + "#" * 1_000_000)
    found = read(tmp_path)
    assert found.model is None
    assert any("larger than 1,000,000 bytes" in note for note in found.notes)


def test_the_line_that_trusts_a_file_can_be_typed_whatever_its_path(tmp_path):
    folder = tmp_path / "my notes; $(x)"
    folder.mkdir()
    file = write(folder, "ANTHROPIC_BASE_URL=http://evil.example\n")
    (note,) = read(folder, {"FACT_HOME": str(tmp_path / "home")}).notes
    assert note.endswith(f"%fact trust '{file}'")


def test_settings_can_t_be_changed_and_don_t_leak_by_pickling_errors(tmp_path):
    found = read(tmp_path, {"ANTHROPIC_API_KEY": KEY})
    with pytest.raises(Exception, match="frozen"):
        found.model = "other"
    assert pickle.loads(pickle.dumps(found)).anthropic_api_key.get_secret_value() == KEY  # noqa: S301


async def test_a_key_beside_an_untrusted_endpoint_asks_for_trust_before_anything_is_sent(tmp_path):
    """The request would go to the shelf in silence, or the key to an endpoint it was not made for."""
    from fact_magics.core import FactCore
    from fact_magics.errors import ProviderError
    from fact_magics.tool import ToolSpec

    folder = tmp_path / "cloned"
    folder.mkdir()
    (folder / ".env").write_text("ANTHROPIC_API_KEY=sk-theirs\nANTHROPIC_BASE_URL=http://127.0.0.1:9\n")
    settings = load_settings({}, folder, {"FACT_HOME": str(tmp_path / "home")})
    async with FactCore(settings) as core:
        with pytest.raises(ProviderError, match=r"%fact trust .*\.env"):
            await core.generate(ToolSpec("slugify", "Turn a title into a URL slug."))
        tool = await core.generate(ToolSpec("slugify", "Turn a title into a URL slug.", model="shelf"))
        assert await tool.acall("A b") == "a-b"


def test_fallbacks_in_a_circle_are_refused(tmp_path):
    fallbacks = {"a": ("b", "c"), "b": ("c",), "*": ("a",)}
    assert read(tmp_path, fallbacks=fallbacks).fallbacks == fallbacks
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, fallbacks={**fallbacks, "c": ("a",)})
    assert "fall back on each other in a circle: " in refused.value.line
    assert refused.value.line.count("→") in (2, 3)
    with pytest.raises(SettingsError, match="retries"):
        read(tmp_path, retries=-1)


def test_limits_come_from_the_notebook_alone_and_are_checked(tmp_path):
    """A file in a cloned repository, or a variable that is called so by chance, has no say in them."""
    (tmp_path / ".env").write_text('LIMITS={"processes": 9000}\nlimits={}\n')
    assert load_settings({}, tmp_path, {"LIMITS": "none", "PROVIDERS": "x", "NOTES": "y"}).limits == {}
    assert load_settings({"limits": {"processes": 128}}, tmp_path, {}).limits == {"processes": 128}
    for wrong in ({"procs": 1}, {"processes": 0}, {"disk_mb": "much"}, "all"):
        with pytest.raises(SettingsError) as refused:
            load_settings({"limits": wrong}, tmp_path, {})
        assert refused.value.line.startswith("limits from %config can't be used: ")
        assert "\n" not in str(refused.value)


def test_the_time_that_a_model_is_given_comes_from_the_notebook_the_environment_or_a_file(tmp_path):
    """Loading a large model takes longer than the default of two minutes."""
    assert load_settings({}, tmp_path, {}).model_timeout == 120.0
    (tmp_path / ".env").write_text("FACT_MODEL_TIMEOUT=240\n")
    assert load_settings({}, tmp_path, {}).model_timeout == 240.0
    assert load_settings({}, tmp_path, {"FACT_MODEL_TIMEOUT": "300"}).model_timeout == 300.0
    assert load_settings({"model_timeout": 600}, tmp_path, {"FACT_MODEL_TIMEOUT": "x"}).model_timeout == 600.0
    for wrong in ("0", "-1", "soon", "nan", "inf", "100000"):
        with pytest.raises(SettingsError) as refused:
            load_settings({}, tmp_path, {"FACT_MODEL_TIMEOUT": wrong})
        assert refused.value.line == (
            "FACT_MODEL_TIMEOUT from the environment can't be used: it must be a number of seconds above 0 and "
            "at most 86,400. Correct or remove it."
        )


def test_relative_places_start_in_the_notebooks_directory(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    environment = {"FACT_HOME": "kept", "DATABASE_URL": "sqlite:///data/facts.db"}
    settings = load_settings({}, tmp_path, environment)
    assert settings.home == settings.trust_home == tmp_path / "kept"
    assert settings.database_path == tmp_path / "data" / "facts.db"


@pytest.mark.parametrize(
    "environment", [{"FACT_HOME": "~nobody-here"}, {"DATABASE_URL": "sqlite:///~nobody-here/facts.db"}]
)
def test_the_home_of_an_unknown_user_is_a_clear_error(tmp_path, environment):
    with pytest.raises(SettingsError, match="names a user who does not exist"):
        load_settings({}, tmp_path, environment)


def test_a_home_that_is_named_needs_no_user_with_a_home(tmp_path):
    """A service may run as a user without an entry, and without HOME."""
    script = """
import os, sys
from pathlib import Path
from fact_magics import load_settings
for environment in ({"FACT_HOME": sys.argv[1]}, {}):
    try:
        print(load_settings({}, Path(sys.argv[1]), environment).home)
    except Exception as error:
        print(type(error).__name__, error)
"""
    code = f"import os; os.environ.pop('HOME', None); import pwd; pwd.getpwuid = {{}}.__getitem__\n{script}"
    command = [sys.executable, "-c", code, str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0] == str(tmp_path)
    assert lines[1].startswith("SettingsError This user has no home directory")
