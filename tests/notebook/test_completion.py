"""What Tab offers, asked of IPython's own completer as kernels and terminals ask it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

SLUG = "def slug(text: str, *, sep: str = '-', limit: int | None = None) -> str:\n    return text\n"
SLUG_2 = "def slug(text: str) -> str:\n    return text\n"
ADD = "def add(a: int, b: int = 1) -> int:\n    return a + b\n"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FACT_HOME with two versions of one tool, and another tool."""
    home = tmp_path_factory.mktemp("filled") / "fact-home"

    async def fill() -> None:
        with ModelServer() as server:
            settings = load_settings({}, home.parent, {"FACT_HOME": str(home), **server.environment()})
            async with FactCore(settings) as core:
                server.writes(SLUG)
                await core.generate(ToolSpec("slug", "Slug.", tags=("text", "urls")))
                server.writes(SLUG_2)
                await core.generate(ToolSpec("slug", "Slug, simply.", tags=("text",)))
                server.writes(ADD)
                await core.generate(ToolSpec("add", "Add.", model="claude-of-last-year"))
                await (await core.tool("add")).acall(1)

    asyncio.run(fill())
    return home


@pytest.fixture
def shell(loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_user_settings: None) -> object:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    return loaded


@pytest.fixture
def empty_tab(shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Press Tab at the mark, where nothing was ever stored."""
    monkeypatch.setenv("FACT_HOME", str(home))
    return lambda text: tabbed(shell, text)


@pytest.fixture
def tab(shell, filled: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Press Tab at the mark, where there are tools."""
    monkeypatch.setenv("FACT_HOME", str(filled))
    return lambda text: tabbed(shell, text)


def tabbed(shell, text: str) -> list[str]:
    """What these magics offer at the ‸, each as the word that would then stand there."""
    from IPython.core.completer import provisionalcompleter

    before, mark, after = text.partition("‸")
    assert mark
    with provisionalcompleter():
        found = list(shell.Completer.completions(before + after, len(before)))
    own = [one for one in found if one._origin == "fact_magics"]
    assert own == (found if own else []), (
        "nothing else is offered where these magics know what can stand there"
    )
    starts = {one.start for one in own}
    assert len(starts) <= 1
    # A front end replaces what is between start and end: it must be what the offers begin with.
    assert all(one.text.startswith(before[one.start :]) and one.end == len(before) for one in own)
    return [one.text for one in own]


class TestTheFirstLine:
    def test_tools_are_offered_by_the_beginning_of_their_names(self, tab):
        assert tab("%%fact_run ‸") == ["add", "slug"]
        assert tab("%%fact_run s‸") == ["slug"]
        assert tab("%%fact_edit ‸\nsource") == ["add", "slug"]
        assert tab("%%fact_generate s‸\ntext") == ["slug"]
        assert tab("%%fact_refine ‸\nwish") == ["add", "slug"]

    def test_versions_are_offered_after_the_at_sign_the_highest_first(self, tab):
        assert tab("%%fact_run slug@‸") == ["slug@2.0.0", "slug@1.0.0"]
        assert tab("%%fact_run slug@1‸") == ["slug@1.0.0"]
        assert tab("%%fact_run nothing@‸") == []

    def test_options_are_offered_once_the_tool_is_named(self, tab):
        offered = tab("%%fact_run slug ‸\ntext = 'a'")
        assert offered[0].startswith("--")
        assert {"--timeout", "--fresh", "--into", "--no-raise", "--in-kernel", "--help"} <= set(offered)
        assert tab("%%fact_run slug --f‸") == ["--fresh"]

    def test_an_option_that_is_given_anywhere_in_the_line_is_not_offered_again(self, tab):
        assert "--fresh" not in tab("%%fact_run slug --fresh --‸")
        assert "--fresh" not in tab("%%fact_run slug --‸ --fresh\ntext = 'a'")
        assert "--timeout" not in tab("%%fact_run slug --timeout 5 --‸")

    def test_an_option_that_can_be_repeated_is(self, tab):
        assert "--tag" in tab("%%fact_generate new --tag a --‸")

    def test_an_option_may_stand_before_the_name(self, tab):
        assert tab("%%fact_run --timeout 5 ‸") == ["add", "slug"]

    def test_models_are_those_of_the_settings_of_anthropic_the_shelf_and_those_asked_before(
        self, tab, monkeypatch
    ):
        monkeypatch.setenv("FACT_MODEL", "openai/gpt-of-mine")
        offered = tab("%%fact_generate new --model ‸")
        assert offered[0] == "openai/gpt-of-mine"
        assert {"claude-sonnet-5-5", "shelf", "claude-of-last-year"} <= set(offered)
        assert len(offered) == len(set(offered))
        assert "shelf" not in tab("%%fact_generate new --model=claude-‸")

    def test_tags_are_those_of_the_toolbox(self, tab):
        assert tab("%%fact_generate new --tag ‸") == ["text"]  # of the current versions

    def test_permissions_are_offered_by_kind_and_paths_after_read_and_write(self, tab, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "table.csv").touch()
        (tmp_path / "data" / "with space").touch()
        assert tab("%%fact_run slug --allow ‸") == ["net:", "read:", "write:", "env:"]
        assert tab("%%fact_run slug --allow read:da‸") == ["read:data/"]
        assert tab("%%fact_run slug --allow write:data/‸") == ["write:data/table.csv"]
        assert tab("%%fact_run slug --allow net:exam‸") == []

    @pytest.mark.parametrize("above", ["%%time\n", "# a remark\n", "\n\n", "%%capture out\n# so\n"])
    def test_the_line_is_found_under_other_magics_and_remarks(self, tab, above):
        assert tab(f"{above}%%fact_run s‸\ntext = 'a'") == ["slug"]

    def test_other_cells_are_left_alone(self, tab):
        for text in ("%%time\nslug(‸", "x = '%%fact_run ‸'", "fact_run s‸", "%%fact_runs s‸", "%%fact_‸"):
            assert tab(text) == []


class TestTheBodyOfARun:
    def test_fields_are_offered_in_the_order_of_the_signature(self, tab):
        assert tab("%%fact_run add\n‸") == ["a = ", "b = "]
        assert tab("%%fact_run add --fresh\nb‸") == ["b = "]

    def test_the_fields_are_those_of_the_version_that_is_named(self, tab):
        assert tab("%%fact_run slug\n‸") == ["text = "]
        assert tab("%%fact_run slug@1\n‸") == ["text = ", "sep = ", "limit = "]

    def test_fields_that_are_given_above_or_below_are_not(self, tab):
        assert tab("%%fact_run add\na = [\n  1,\n][0]\n‸") == ["b = "]
        assert tab("%%fact_run add\n‸\nb = 3") == ["a = "]
        assert tab("%%fact_run add\na = 1\nb = 2\n‸") == []

    def test_expressions_are_python_s(self, tab):
        assert tab("%%fact_run add\na = ‸") == []
        assert tab("%%fact_run add\na = [\n‸") == []
        assert tab("%%fact_run nothing\n‸") == []

    def test_the_names_of_a_json_object_are_offered_too(self, tab):
        assert tab('%%fact_run add\n{"‸') == ['"a": ', '"b": ']
        assert tab('%%fact_run add\n{"a": 1, "‸') == ['"b": ']
        assert tab('%%fact_run add\n{\n  "a": 1,\n  "‸\n}') == ['"b": ']
        assert tab('%%fact_run add\n{"a": "‸') == []


class TestADescription:
    def test_the_notebook_s_variables_are_offered_between_braces(self, tab, shell):
        shell.user_ns.update(titles=["a"], table=1, _private=2)
        for cell in ("%%fact_generate new", "%%fact_refine slug"):
            assert tab(f"{cell}\nLike {{{{t‸ are.") == ["table}}", "titles}}"]
        assert tab("%%fact_generate new\nLike {{ti‸}} are.") == ["titles"]

    def test_plain_language_is_left_alone(self, tab):
        assert tab("%%fact_generate new\nSl‸") == []


class TestTheFactLine:
    def test_subcommands_are_offered_and_then_what_each_reads(self, tab):
        assert {"tools", "show", "history", "rollback", "trust"} <= set(tab("%fact ‸"))
        assert tab("%fact his‸") == ["history"]
        assert tab("x = 1\n%fact his‸\n") == ["history"]
        assert tab("rows = %fact his‸") == ["history"]
        assert {"--json", "--help"} <= set(tab("%fact --‸"))
        assert tab("%fact nothing ‸") == []

    def test_words_and_values_are_those_that_there_are(self, tab):
        assert tab("%fact history --tool ‸") == ["add", "slug"]
        assert tab("%fact history --status ‸")[:2] == ["ok", "error"]
        assert tab("%fact history --status e‸") == ["error"]
        assert tab("%fact history --session ‸") == ["all"]
        assert tab("%fact rollback slug ‸") == ["2.0.0", "1.0.0"]
        assert tab("%fact versions s‸") == ["slug"]
        assert tab("%fact diff slug ‸") == ["2.0.0", "1.0.0"]
        assert tab("%fact diff slug 1.0.0 ‸") == ["2.0.0", "1.0.0"]
        shown = tab("%fact show ‸")
        assert shown[:2] == ["add", "slug"]
        assert [len(run) for run in shown[2:]] == [8]  # what ran

    def test_models_and_its_check_are_offered(self, tab):
        assert tab("%fact mod‸") == ["models"]
        assert tab("%fact models --ch‸") == ["--check"]

    def test_paths_are_offered_where_a_file_is_read(self, tab, tmp_path):
        (tmp_path / "mine.env").touch()
        assert "mine.env" in tab("%fact trust ‸")
        assert tab("%fact trust mi‸") == ["mine.env"]


class TestTheImport:
    def test_stored_tools_are_offered(self, tab):
        assert tab("from fact_magics.tools import ‸") == ["add", "slug"]
        assert tab("x = 1\n  from fact_magics.tools import s‸") == ["slug"]
        assert tab("from fact_magics.tools import slug, ‸") == ["add"]
        assert tab("from fact_magics.tools import (slug as s, ‸") == ["add"]
        assert tab("from fact_magics.tools import slug ‸") == []

    @pytest.mark.usefixtures("tab")
    def test_the_module_lists_them(self):
        import fact_magics.tools as toolbox

        assert dir(toolbox) == ["add", "slug"]


class TestItNeverGetsInTheWay:
    def test_no_database_is_made_and_none_is_missed(self, empty_tab, home, capfd):
        for text in ("%%fact_run ‸", "%%fact_run x@‸", "%%fact_run x\n‸", "%fact show ‸", "%fact rerun ‸",
                     "from fact_magics.tools import ‸", "%%fact_generate x --tag ‸"):  # fmt: skip
            assert empty_tab(text) == []
        import fact_magics.tools as toolbox

        assert dir(toolbox) == []
        assert "claude-sonnet-5-5" in empty_tab("%%fact_generate x --model ‸")
        assert not home.exists()
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
    def test_a_file_that_is_no_database_is_not_touched(self, empty_tab, home, content, capfd):
        home.mkdir()
        file = home / "fact_magics.db"
        file.write_bytes(content)
        assert empty_tab("%%fact_run ‸") == []
        assert file.read_bytes() == content
        assert [path.name for path in home.iterdir()] == ["fact_magics.db"]
        assert capfd.readouterr().err == ""

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that hangs whoever opens it")
    def test_a_drive_that_hangs_does_not_hang_the_notebook(self, empty_tab, home):
        home.mkdir()
        os.mkfifo(home / "fact_magics.db")
        try:
            assert empty_tab("%%fact_run ‸") == []
            assert empty_tab("%%fact_run ‸") == []
            assert "--fresh" in empty_tab("%%fact_run x ‸")
        finally:
            # Let the one thread that it cost go.
            os.close(os.open(home / "fact_magics.db", os.O_RDWR | os.O_NONBLOCK))

    def test_settings_that_can_t_be_read_are_not_told_here(self, tab, monkeypatch, capfd):
        monkeypatch.setenv("DATABASE_URL", "sqlite:///")
        assert tab("%%fact_run ‸") == []
        assert "--fresh" in tab("%%fact_run slug ‸")
        assert capfd.readouterr().err == ""

    def test_what_another_kernel_writes_is_seen_while_it_writes(self, tab, filled):
        import sqlite3

        connection = sqlite3.connect(filled / "fact_magics.db", isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            assert tab("%%fact_run ‸") == ["add", "slug"]
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def test_unloading_leaves_ipython_as_it_was(self, shell):
        from IPython.core.interactiveshell import InteractiveShell

        other = InteractiveShell()
        assert shell.Completer.custom_matchers
        shell.extension_manager.unload_extension("fact_magics")
        assert shell.Completer.custom_matchers == other.Completer.custom_matchers
        assert shell.inspector.mime_hooks == other.inspector.mime_hooks
        names = [getattr(one, "__name__", "") for one in shell.input_transformers_cleanup]
        assert names == [getattr(one, "__name__", "") for one in other.input_transformers_cleanup]
        shell.extension_manager.load_extension("fact_magics")
        assert len(shell.Completer.custom_matchers) == 1
