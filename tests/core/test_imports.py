"""Tools out of files: proven again here, granted again here, and nothing changed by what is refused."""

from __future__ import annotations

import asyncio
import builtins
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from waiting import BEGIN, tool_has_begun, until_async

from fact_magics import FactCore, ToolInput, load_settings
from fact_magics.core import portable
from fact_magics.errors import CellError, FactError, TransferRefused
from fact_magics.events import ExampleProven, GenerationEnded
from fact_magics.shelf.entry import SHELF as SHELF_DIRECTORY
from fact_magics.tool import ToolMetadata, ToolVersion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.slow

KEY = SecretStr("a-secret-that-is-never-shown")
SOURCE = 'def twice(n: int) -> int:\n    """Double a number."""\n    return 2 * n\n'
CONTRACT = ">>> twice(2)\n4\n\n>>> twice('x')\nTraceback (most recent call last):\nValueError"


def tool(source: str = SOURCE, name: str = "twice", **fields: object) -> ToolVersion:
    known: dict[str, object] = {
        "id": "0123456789abcdef",
        "name": name,
        "version": "7.8.9",
        "description": "As it is claimed.",
        "contract": CONTRACT,
        "permissions": (),
        "tags": ("numbers",),
        "provider": "anthropic",
        "model": "claude-sonnet-5-5",
        "proven": True,
        "varies": False,
        "request_hash": "of-another-database",
        "created_at": "2020-01-01T00:00:00.000Z",
    }
    return ToolVersion(ToolMetadata(**{**known, **fields}), source)  # type: ignore[arg-type]


def file(*args: object, key: SecretStr | None = None, **fields: object) -> str:
    return portable.write(tool(*args, **fields), key)  # type: ignore[arg-type]


@pytest.fixture
async def open_core(tmp_path: Path) -> AsyncIterator[Callable]:
    """Open cores, each on a home of its own unless told."""
    opened: list[FactCore] = []

    async def start(home: str = "home", key: SecretStr | None = None) -> FactCore:
        environment = {"FACT_HOME": str(tmp_path / home), "FACT_MODEL": "shelf"}
        if key is not None:
            environment["SECRET_KEY"] = key.get_secret_value()
        core = FactCore(load_settings({}, tmp_path, environment), directory=tmp_path)
        await core.__aenter__()
        opened.append(core)
        return core

    yield start
    for core in opened:
        await core.aclose()


@pytest.fixture
async def core(open_core: Callable) -> FactCore:
    return await open_core()


async def kept(core: FactCore) -> list[object]:
    """Everything that an import could change."""
    names = await core._store.tools.names()
    versions = [version for name in names for version in await core._store.tools.versions(name)]
    current = [await core._store.tools.get(name) for name in names]
    return [
        versions,
        current,
        await core._store.history.generations(limit=None),
        await core._store.history.runs(limit=None),
    ]


async def test_a_tool_travels_from_one_home_to_another(open_core):
    here, there = await open_core("here"), await open_core("there")
    await here.import_tool(file())
    text = await here.export_tool("twice")

    tool = await there.import_tool(text)

    assert (tool.name, tool.version, tool.source) == ("twice", "1.0.0", SOURCE)
    assert tool.metadata.proven
    assert tool.metadata.contract == CONTRACT
    assert tool.metadata.description == "Double a number."  # what the source says, not what is claimed
    assert tool.metadata.tags == ("numbers",)
    assert (await there.execute_tool(ToolInput("twice", {"n": 4}))).result == 8
    assert (await there._store.tools.search("numbers"))[0].metadata.id == tool.id


async def test_who_wrote_it_is_a_claim_and_stays_one_however_often_it_travels(core):
    tool = await core.import_tool(file())
    assert (tool.metadata.provider, tool.metadata.model) == ("import", "anthropic/claude-sonnet-5-5")
    assert tool.metadata.created_at.year >= 2026
    text = await core.export_tool("twice")
    await core.remove_tool("twice")
    again = await core.import_tool(text)
    assert (again.metadata.provider, again.metadata.model) == ("import", "anthropic/claude-sonnet-5-5")


async def test_what_is_kept_is_recorded_as_what_was_accepted(core):
    tool = await core.import_tool(file())
    [row] = await core._store.history.generations()
    assert (row.tool_id, row.status, row.session_id) == (tool.id, "ok", core.session_id)
    assert (row.provider, row.model) == ("import", "anthropic/claude-sonnet-5-5")
    assert (row.source, row.contract) == (SOURCE, CONTRACT)


async def test_it_is_proven_here_and_the_views_are_told(core):
    heard: list[object] = []
    tool = await core.import_tool(file(), listener=heard.append)
    assert [event.verdict.holds for event in heard if isinstance(event, ExampleProven)] == [True, True]
    ended = heard[-1]
    assert isinstance(ended, GenerationEnded)
    assert (ended.version.metadata.id, ended.reused) == (tool.id, False)


async def test_the_very_same_tool_makes_no_second_version_and_becomes_the_current_one(core):
    first = await core.import_tool(file())
    second = await core.import_tool(file(SOURCE.replace("2 * n", "n + n")))
    assert second.version == "1.0.1"
    heard: list[object] = []
    again = await core.import_tool(file(provider="hand", version="1.1.1"), listener=heard.append)
    assert again.id == first.id
    assert len(await core._store.tools.versions("twice")) == 2
    assert heard[-1].reused
    assert "twice@1.0.0 already" in heard[-1].notice
    assert (await core._store.tools.get("twice")).metadata.id == first.id
    assert (await core.tool("twice")).id == first.id


async def test_the_time_of_its_answers_travels_too(core):
    kept = await core.import_tool(file(ttl_seconds=60.0))
    assert kept.metadata.ttl_seconds == 60
    assert portable.read(await core.export_tool("twice")).ttl_seconds == 60
    changed = await core.import_tool(file(ttl_seconds=90.0))
    assert (changed.id, changed.metadata.ttl_seconds) == (kept.id, 90)
    assert (await core.import_tool(file())).metadata.ttl_seconds == 90


async def test_versions_follow_what_is_here_and_not_what_the_file_says(core):
    assert (await core.import_tool(file())).version == "1.0.0"
    assert (await core.import_tool(file(contract=">>> twice(2)\n4"))).version == "1.1.0"
    wider = SOURCE.replace("n: int", "n: int, *, k: int = 0")
    assert (await core.import_tool(file(wider))).version == "2.0.0"


@pytest.mark.parametrize(
    ("source", "contract", "told"),
    [
        (SOURCE.replace("2 *", "3 *"), CONTRACT, "1 of 2 examples failed"),
        (SOURCE.replace("(n: int)", "(n)"), CONTRACT, "annotat"),
        ("import nonexistent_package_xyz\n" + SOURCE, CONTRACT, "not installed"),
        ("import fact_magics\n" + SOURCE, CONTRACT, "fact_magics"),
        (SOURCE.replace("twice", "thrice"), CONTRACT, "twice"),
        ("", "", "twice"),
        ("x = (((((", CONTRACT, "does not parse"),
        ("1 / 0\n" + SOURCE, "", "ZeroDivisionError"),
        (SOURCE, ">>> thrice(1)\n3", "calls thrice instead"),
        (SOURCE, ">>> twice(open('x'))\n3", "contract of twice can't be read"),
        (SOURCE.replace("return", "while True: pass\n    return"), CONTRACT, "examples failed"),
    ],
)
async def test_what_does_not_do_here_what_it_promises_changes_nothing(core, source, contract, told):
    await core.import_tool(file())
    before = await kept(core)
    with pytest.raises(TransferRefused, match=told):
        await core.import_tool(file(source, contract=contract), timeout_seconds=0.5, replace=True)
    assert await kept(core) == before
    assert (await core.tool("twice")).version == "1.0.0"


@pytest.mark.parametrize("name", ["class", "_private", "a b", "", "../x", "9x", "<b>", "print()"])
async def test_a_name_that_no_tool_can_have_is_refused(core, name):
    with pytest.raises(FactError):
        await core.import_tool(file(name=name, contract=""))
    assert await core._store.tools.names() == []


async def test_nothing_of_a_file_runs_in_this_process(core, tmp_path):
    mark = tmp_path / "mark"
    source = f"import builtins\nbuiltins.taken_over = True\nopen({str(mark)!r}, 'w').close()\n{SOURCE}"
    with pytest.raises(TransferRefused, match="examples failed"):
        await core.import_tool(file(source))
    assert not mark.exists()
    assert not hasattr(builtins, "taken_over")


class TestPermissions:
    @pytest.fixture
    def asking(self, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("GREETING", "hello")
        source = "import os\n\ndef greet(n: int) -> str:\n    return os.environ['GREETING'] * n\n"
        return file(source, "greet", contract=">>> greet(1)\n'hello'", permissions=("env:GREETING",))

    async def test_each_is_asked_for_again_with_the_words_to_write(self, core, asking):
        with pytest.raises(CellError, match=r"add: --allow env:GREETING$") as caught:
            await core.import_tool(asking)
        assert len(str(caught.value).splitlines()) == 1
        assert await core._store.tools.names() == []

        tool = await core.import_tool(asking, permissions=("env:GREETING",))

        assert tool.metadata.permissions == ("env:GREETING",)
        assert (await core.execute_tool(ToolInput("greet", {"n": 2}))).result == "hellohello"

    async def test_the_words_can_be_copied_into_a_cell_whatever_they_hold(self, core):
        asked = "read:/srv/my data/$(touch x)"
        with pytest.raises(CellError) as caught:
            await core.import_tool(file(permissions=(asked,)))
        words = shlex.split(caught.value.line.partition("add: ")[2])
        assert words == ["--allow", asked]

    async def test_what_it_does_not_ask_for_is_not_granted(self, core, asking):
        for allowed in (["env:GREETING", "env:HOME"], ["env:GREETINGS", "env:GREETING"]):
            with pytest.raises(CellError, match="does not ask for"):
                await core.import_tool(asking, permissions=allowed)

    async def test_a_dangerous_one_has_to_be_meant(self, core, monkeypatch):
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-nobody-s")
        text = file(permissions=("env:ANTHROPIC_API_KEY",))
        with pytest.raises(CellError, match="--yes-really"):
            await core.import_tool(text, permissions=("env:ANTHROPIC_API_KEY",))
        tool = await core.import_tool(text, permissions=("env:ANTHROPIC_API_KEY",), yes_really=True)
        assert tool.metadata.permissions == ("env:ANTHROPIC_API_KEY",)

    async def test_what_is_never_granted_is_not_granted_to_a_file(self, core, tmp_path):
        for asked in ("env:SECRET_KEY", f"write:{tmp_path / 'home'}"):
            with pytest.raises(CellError, match="can't be granted"):
                await core.import_tool(file(permissions=(asked,)), permissions=(asked,), yes_really=True)

    async def test_a_malformed_one_is_refused(self, core):
        with pytest.raises(CellError, match="is not a permission"):
            await core.import_tool(file(permissions=("everything",)))

    async def test_examples_choose_no_files_for_a_tool_that_could_carry_them_away(
        self, core, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("GREETING", "hello")
        (tmp_path / "notes.txt").write_text("private")
        source = "from pathlib import Path\n\ndef look(path: Path) -> str:\n    return path.read_text()\n"
        contract = ">>> look('notes.txt')\n'private'"
        asking = file(source, "look", contract=contract, permissions=("env:GREETING",))
        with pytest.raises(TransferRefused, match="the only example failed") as caught:
            await core.import_tool(asking, permissions=("env:GREETING",))
        assert "private'" not in caught.value.details[0].partition("gave")[2]
        assert (await core.import_tool(file(source, "look", contract=contract))).metadata.proven


class TestSignature:
    async def test_without_a_key_nothing_is_checked(self, core):
        assert (await core.import_tool(file(key=KEY))).version == "1.0.0"

    async def test_what_is_exported_with_a_key_is_accepted_with_it(self, open_core):
        core = await open_core(key=KEY)
        await core.import_tool(file(key=KEY))
        assert portable.read(await core.export_tool("twice")).is_signed_by(KEY)

    async def test_another_key_s_is_refused_even_as_unsigned(self, open_core):
        core = await open_core(key=KEY)
        text = file(key=SecretStr("another"))
        for unsigned in (False, True):
            with pytest.raises(TransferRefused, match="signed with a different SECRET_KEY") as caught:
                await core.import_tool(text, unsigned=unsigned)
            assert len(str(caught.value).splitlines()) == 1
            assert KEY.get_secret_value() not in str(caught.value)
        assert await core._store.tools.names() == []

    async def test_an_unsigned_one_has_to_be_meant(self, open_core):
        core = await open_core(key=KEY)
        with pytest.raises(TransferRefused, match="--unsigned"):
            await core.import_tool(file())
        assert (await core.import_tool(file(), unsigned=True)).version == "1.0.0"

    async def test_the_key_is_in_no_log_and_not_in_the_database(self, open_core, tmp_path):
        core = await open_core(key=KEY)
        text = file(key=KEY)
        await core.import_tool(text)
        with pytest.raises(FactError):
            await core.import_tool(text.replace("2 * n", "n + n"))
        await core.export_tool("twice")
        await core.aclose()
        for path in (tmp_path / "home").rglob("*"):
            if path.is_file():
                assert KEY.get_secret_value().encode() not in path.read_bytes(), path


class TestShelf:
    def shipped(self) -> str:
        return (SHELF_DIRECTORY / "slugify.py").read_text(encoding="utf-8").partition("\n\n")[2]

    async def test_a_shelf_tool_that_verifies_is_one_here_too(self, core):
        contract = ">>> slugify('A b')\n'a-b'"
        text = file(self.shipped(), "slugify", contract=contract, provider="shelf", model="shelf/slugify")
        tool = await core.import_tool(text)
        assert (tool.metadata.provider, tool.metadata.model) == ("shelf", "shelf/slugify")

    @pytest.mark.parametrize("name", ["slugify", "re", "text"])
    async def test_what_only_says_that_it_is_from_the_shelf_is_not(self, core, name):
        source = f"def {name}(text: str) -> str:\n    return 'a-b'\n"
        text = file(source, name, contract="", provider="shelf", model="shelf/slugify")
        assert (await core.import_tool(text)).metadata.provider == "import"


async def test_a_stopped_import_changes_nothing(core):
    source = SOURCE.replace("return", f"import time\n    {BEGIN}\n    time.sleep(60)\n    return")
    before = await kept(core)
    task = asyncio.create_task(core.import_tool(file(source)))
    await until_async(tool_has_begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await kept(core) == before


async def test_of_two_imports_at_once_each_gets_a_number_of_its_own(open_core):
    one, two = await open_core(), await open_core()
    other = file(SOURCE.replace("2 * n", "n + n"))
    tools = await asyncio.gather(one.import_tool(file()), two.import_tool(other))
    assert sorted(tool.version for tool in tools) == ["1.0.0", "1.0.1"]


class TestPathOrText:
    @pytest.mark.parametrize("way", [str, Path, lambda path: path.name, lambda path: f"./{path.name}"])
    async def test_a_path_is_read_relative_to_the_working_directory(self, core, tmp_path, way):
        path = tmp_path / "twice.fact.py"
        path.write_bytes(b"\xef\xbb\xbf" + file().replace("\n", "\r\n").encode())  # as some editors write it
        assert (await core.import_tool(way(path))).source == SOURCE

    async def test_a_text_may_have_other_line_ends(self, core):
        assert (await core.import_tool(file().replace("\n", "\r\n"))).source == SOURCE

    @pytest.mark.parametrize(
        ("given", "kind", "told"),
        [
            ("missing.fact.py", CellError, "There is no file {folder}/missing.fact.py. Give the path of a file that"),
            ("twice", CellError, "There is no file {folder}/twice. Give the path of a file that %fact export wrote, or"),
            (".", CellError, "{folder} is a directory. Give the path of a file."),
            ("~nobody-at-all/x.py", CellError, "There is no file {folder}/~nobody-at-all/x.py."),
            ("a\0b", CellError, "can't be read: embedded null byte."),
            ("x" * 5_000, CellError, "can't be read: File name too long."),
            ("", CellError, "An import needs the path of a file that %fact export wrote, or the text of such a file;"),
            (b"bytes", CellError, "; it got a value of type bytes."),
            (None, CellError, "; it got a value of type NoneType."),
            (SOURCE, TransferRefused, "The file can't be imported: it does not begin with '# /// fact-tool'."),
            ("\ud800\n", TransferRefused, "The file can't be imported: it is not UTF-8."),
            ("x\n" * 600_000, TransferRefused, "The file can't be imported: it is larger than 1,000,000 bytes."),
        ],
        ids=["missing", "name", "directory", "user", "null", "long", "empty", "bytes", "none", "source", "odd", "large"],
    )  # fmt: skip
    async def test_anything_else_is_one_line_that_says_what_it_takes(self, core, tmp_path, given, kind, told):
        with pytest.raises(kind) as caught:
            await core.import_tool(given)
        assert told.format(folder=tmp_path) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        assert await core.tool_names() == []
