"""``Path`` parameters: the file that is passed may be read, its content decides about the cached answer."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.core import files
from fact_magics.core.files import InputFiles
from fact_magics.errors import CellError, GenerationFailed, InvalidInput
from fact_magics.events import Printed
from fact_magics.permissions import Protected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fact_magics.core.handle import Tool
    from fact_magics.testing import ModelServer
    from fact_magics.tool import ToolOutput

pytestmark = pytest.mark.slow

COUNT = (
    "from pathlib import Path\n\ndef count(path: Path) -> int:\n"
    '    """Count words."""\n    return len(path.read_text().split())\n'
)
MANY = """
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Job:
    source: Path
    times: int = 1

def many(
    first: Path | None = None, *, others: list[Path] = [], named: dict[str, Path] = {}, job: Job | None = None
) -> list[str]:
    found = [*([first] if first else []), *others, *named.values(), *([job.source] if job else [])]
    return [path.read_text() for path in found]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The notebook's directory, with a file of three words in it."""
    folder = Path(os.path.realpath(tmp_path)) / "notebooks"
    folder.mkdir()
    (folder / "words.txt").write_text("one two three")
    return folder


@pytest.fixture
async def core(home: Path, folder: Path, server: ModelServer) -> AsyncIterator[FactCore]:
    environment = {"FACT_HOME": str(home), **server.environment()}
    async with FactCore(load_settings({}, folder, environment), directory=folder) as running:
        yield running


async def write(core: FactCore, server: ModelServer, source: str, text: str = "", **options: Any) -> Tool:
    """Have a tool written; proven on the examples in `text`, so that its answers are kept at once."""
    name = source.partition("def ")[2].partition("(")[0]
    server.writes(source)
    return await core.generate(ToolSpec(name, f"Write {name}.\n\n{text}", **options))


@pytest.fixture
async def count(core: FactCore, server: ModelServer) -> Tool:
    return await write(core, server, COUNT, '>>> count(Path("words.txt"))\n3\n')


@pytest.fixture
def run(core: FactCore) -> Any:
    async def run(tool: str, parameters: dict[str, Any], **options: Any) -> ToolOutput:
        return await core.execute_tool(ToolInput(tool, parameters, **options))

    return run


@pytest.fixture
def cached(count: Tool, run: Any) -> Any:
    """Run it, and give the value and whether it came from the cache."""

    async def cached(path: Path | str, **options: Any) -> tuple[object, bool]:
        output = await run(count.name, {"path": path}, **options)
        assert output.success, output.metadata
        return output.result, output.metadata["cached"]

    return cached


class TestContent:
    async def test_an_example_may_pass_a_file(self, count: Tool) -> None:
        assert count.metadata.proven
        assert count.metadata.permissions == ()

    async def test_equal_content_is_answered_from_the_cache_and_other_content_is_not(
        self, cached: Any, folder: Path
    ) -> None:
        words = folder / "words.txt"
        assert [await cached(words), await cached(words)] == [(3, False), (3, True)]
        words.write_text("one two")
        assert [await cached(words), await cached(words)] == [(2, False), (2, True)]
        words.write_text("one two three")
        assert await cached(words) == (3, True)

    async def test_it_is_the_content_that_counts_and_not_its_time(self, cached: Any, folder: Path) -> None:
        words = folder / "words.txt"
        await cached(words)
        os.utime(words, (1, 1))
        assert await cached(words) == (3, True)
        words.with_suffix(".new").write_text("one two three")
        words.with_suffix(".new").replace(words)
        assert await cached(words) == (3, True)
        # Of the same length, and dated back.
        words.write_text("one-two three")
        os.utime(words, (1, 1))
        assert await cached(words) == (2, False)

    async def test_each_name_has_answers_of_its_own(self, cached: Any, folder: Path) -> None:
        """A tool may say what the file is called."""
        await cached(folder / "words.txt")
        (folder / "copy.txt").write_text("one two three")
        assert await cached(folder / "copy.txt") == (3, False)

    async def test_a_call_sees_what_changed_too(self, count: Tool, folder: Path) -> None:
        words = folder / "words.txt"
        assert [await count.acall(words) for _ in range(2)] == [3, 3]
        words.write_text("one")
        assert await count.acall(words) == 1
        assert [await asyncio.to_thread(count, "words.txt") for _ in range(2)] == [1, 1]
        words.write_text("")
        assert await asyncio.to_thread(count, "words.txt") == 0

    async def test_answers_outlive_the_memory(self, cached: Any, core: FactCore, folder: Path) -> None:
        await cached(folder / "words.txt")
        core._memory.clear()
        assert await cached(folder / "words.txt") == (3, True)

    async def test_a_tool_that_asks_for_more_than_content_is_not_cached(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path
    ) -> None:
        source = (
            "from pathlib import Path\n\ndef changed(path: Path) -> float:\n    return path.stat().st_mtime\n"
        )
        await write(
            core, server, source, '>>> changed("nothing")\nTraceback (most recent call last):\nValueError'
        )
        for time in (1, 2):
            os.utime(folder / "words.txt", (time, time))
            output = await run("changed", {"path": "words.txt"})
            assert (output.result, output.metadata["cached"]) == (float(time), False)

    async def test_contents_are_read_away_from_the_loop(
        self, count: Tool, run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: list[threading.Thread] = []
        read = files._read

        def spied(real: str) -> Any:
            threads.append(threading.current_thread())
            return read(real)

        monkeypatch.setattr(files, "_read", spied)
        await run(count.name, {"path": "words.txt"})
        read_for_the_run = len(threads)
        (folder / "new.txt").touch()
        await count.acall("new.txt")
        assert 0 < read_for_the_run < len(threads)
        assert threading.current_thread() not in threads


class TestDigests:
    @pytest.fixture
    def inputs(self, home: Path, folder: Path) -> InputFiles:
        return InputFiles(Protected(folder, home, home / "facts.db", home))

    @staticmethod
    def pass_words(inputs: InputFiles, path: str = "words.txt") -> files.InputFile:
        given = {"path": Path(path)}
        (taken,) = inputs.take("f", given, given, (), digests=True)[1]
        return taken

    def test_that_of_a_file_that_rests_is_remembered_and_that_of_a_new_one_is_not(
        self, inputs: InputFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A change that follows another within a tick of the clock leaves no other time."""
        new = self.pass_words(inputs)
        assert (new.settled, len(inputs._digests)) == (False, 0)
        monkeypatch.setattr(files, "_TICK_NS", -60 * 10**9)  # as if it had been changed a minute ago
        rested = self.pass_words(inputs)
        assert (rested.settled, rested.digest, len(inputs._digests)) == (True, new.digest, 1)
        inputs._digests = OrderedDict.fromkeys(inputs._digests, b"remembered")
        assert self.pass_words(inputs).digest == b"remembered"

    def test_a_change_that_left_no_trace_is_found_in_a_new_file(
        self, inputs: InputFiles, folder: Path
    ) -> None:
        """Same size, same times, other content: only reading tells, and a new file is read again."""
        before = self.pass_words(inputs)
        assert inputs.are_unchanged([before])
        (folder / "words.txt").write_text("one two THREE")
        now = files._state((folder / "words.txt").stat())
        assert not inputs.are_unchanged([before])
        assert not inputs.are_unchanged([before._replace(state=now)])
        assert inputs.are_unchanged([before._replace(state=now, settled=True)])

    def test_a_file_that_went_away_or_a_link_that_moved_is_a_change(
        self, inputs: InputFiles, folder: Path
    ) -> None:
        (folder / "link").symlink_to("words.txt")
        linked = self.pass_words(inputs, "link")
        assert inputs.are_unchanged([linked])
        (folder / "link").unlink()
        (folder / "link").symlink_to("/etc/hosts")
        assert not inputs.are_unchanged([linked])
        (folder / "link").unlink()
        assert not inputs.are_unchanged([linked])

    def test_as_many_as_a_sandbox_can_be_told_of(self, inputs: InputFiles, folder: Path) -> None:
        paths = []
        for number in range(1_001):
            paths.append(folder / str(number))
            paths[-1].touch()
        fewer, all_of_them = {"paths": paths[1:]}, {"paths": paths}
        assert len(inputs.take("f", fewer, fewer, (), digests=False)[1]) == 1_000
        with pytest.raises(InvalidInput, match="1,001 files are too many; add --allow read:DIR"):
            inputs.take("f", all_of_them, all_of_them, (), digests=False)


class TestDefaults:
    """What stands in a tool's source was not passed: it would let whoever wrote the tool choose what it reads."""

    PEEK = (
        "from dataclasses import dataclass\nfrom pathlib import Path\n\n@dataclass\nclass Job:\n"
        "    times: int = 1\n    source: Path = Path('PLACE')\n\n"
        "def peek(job: Job | None = None, *, extra: Path = Path('PLACE')) -> str:\n"
        "    return str(job.source if job else extra)\n"
    )

    async def peek(self, core: FactCore, server: ModelServer, place: str) -> None:
        await write(core, server, self.PEEK.replace("PLACE", place))

    @pytest.mark.parametrize(
        ("given", "field"), [({}, "extra"), ({"job": {"times": 2}, "extra": "words.txt"}, "job['source']")]
    )
    async def test_a_file_that_only_the_tool_names_is_not_read(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path, given: Any, field: str
    ) -> None:
        (folder / "diary.txt").write_text("private")
        await self.peek(core, server, "diary.txt")
        output = await run("peek", given)
        told = f"{field}: diary.txt is only a default; pass this path if the tool must read it"
        assert output.metadata["error"] == told

    async def test_the_same_file_is_read_where_it_is_passed(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path
    ) -> None:
        await self.peek(core, server, "words.txt")
        path = f"{folder}/words.txt"
        assert (await run("peek", {"extra": "./words.txt"})).result == path
        given = {"job": {"source": Path("words.txt")}, "extra": "words.txt"}
        assert (await run("peek", given)).result == path

    async def test_the_same_file_is_read_where_it_is_granted(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path
    ) -> None:
        await self.peek(core, server, "words.txt")
        output = await run("peek", {}, permissions=("read:words.txt",))
        assert output.result == f"{folder}/words.txt"

    async def test_one_that_names_nothing_is_left_to_the_tool(
        self, core: FactCore, server: ModelServer, run: Any
    ) -> None:
        await self.peek(core, server, "new.txt")
        assert (await run("peek", {})).result == "new.txt"
        assert (await run("peek", {"job": {"times": 2}})).result == "new.txt"

    async def test_a_candidate_is_not_let_at_its_own_either(
        self, core: FactCore, server: ModelServer
    ) -> None:
        source = self.PEEK.replace("PLACE", "words.txt").replace("str(", "Path.read_text(")
        server.writes(source)
        with pytest.raises(GenerationFailed, match="is only a default"):
            await core.generate(ToolSpec("peek", "Peek.\n\n>>> peek()\n'one two three'\n", attempts=1))


class TestWhileItRuns:
    SLOW = (
        "from pathlib import Path\nimport time\n\ndef slow(path: Path) -> str:\n"
        "    print('begun', flush=True)\n    time.sleep(0.3)\n    return path.read_text()\n"
    )

    @pytest.mark.parametrize("how", ["written", "replaced", "dated back", "removed and made"])
    async def test_an_answer_from_a_file_that_changed_meanwhile_is_not_kept(
        self, core: FactCore, server: ModelServer, folder: Path, how: str
    ) -> None:
        await write(core, server, self.SLOW, '>>> slow(Path("words.txt"))\n"one two three"\n')
        words = folder / "words.txt"

        def change(event: object) -> None:
            if not isinstance(event, Printed):
                return
            if how == "written":
                words.write_text("new")
            elif how == "replaced":
                (folder / "other.txt").write_text("new")
                (folder / "other.txt").replace(words)
            elif how == "dated back":
                before = words.stat()
                words.write_text("ONE two three")
                os.utime(words, ns=(before.st_atime_ns, before.st_mtime_ns))
            else:
                words.unlink()
                words.write_text("one two three")

        request = ToolInput("slow", {"path": "words.txt"})
        output = await core.execute_tool(request, change)
        if output.success:
            assert "changed during the run" in output.metadata["warning"]
        words.write_text("one two three")
        after = await core.execute_tool(request)
        assert (after.result, after.metadata["cached"]) == ("one two three", False)
        assert (await core.execute_tool(request)).metadata["cached"]


class TestReach:
    async def test_the_file_is_read_and_nothing_beside_it(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path
    ) -> None:
        (folder / "beside.txt").write_text("secret")
        for name, body in (
            ("sibling", "path.with_name('beside.txt').read_text()"),
            ("listing", "str(list(path.parent.iterdir()))"),
            ("writing", "str(path.write_text('x'))"),
        ):
            source = f"from pathlib import Path\n\ndef {name}(path: Path) -> str:\n    return {body}\n"
            await write(core, server, source)
            output = await run(name, {"path": "words.txt"})
            assert "PermissionError" in output.metadata["error"]
        assert (folder / "words.txt").read_text() == "one two three"

    async def test_paths_are_found_anywhere_in_the_input(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path
    ) -> None:
        await write(core, server, MANY)
        for name in "abcde":
            (folder / name).write_text(name)
        given = {
            "first": "a",
            "others": ["b", Path("c")],
            "named": {"d": folder / "d"},
            "job": {"source": "e"},
        }
        assert (await run("many", given)).result == ["a", "b", "c", "d", "e"]
        assert (await run("many", {})).result == []
        (folder / "e").write_text("changed")
        assert (await run("many", given)).result == ["a", "b", "c", "d", "changed"]

    async def test_a_tool_gets_the_path_as_it_was_passed_and_absolute(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = (
            "from pathlib import Path\n\ndef told(path: Path) -> list[str]:\n"
            "    return [str(path), path.read_text()]\n"
        )
        await write(core, server, source)
        (folder / "data").mkdir()
        (folder / "data" / "real.txt").write_text("real")
        (folder / "link").symlink_to("data/real.txt")
        (folder / "folder").symlink_to("data")
        monkeypatch.chdir("/")
        for path in ("link", "folder/real.txt", "data/../link"):
            assert (await run("told", {"path": path})).result == [f"{folder}/{path}", "real"]
        monkeypatch.setenv("HOME", str(folder))
        assert (await run("told", {"path": "~/link"})).result == [f"{folder}/link", "real"]
        rows = await core.get_tool_history("told", 1)
        assert f"{folder}/link" in rows[0].input_data
        assert rows[0].permissions == ()

    async def test_a_link_is_followed_each_time(self, cached: Any, folder: Path) -> None:
        link = folder / "link"
        link.symlink_to("words.txt")
        assert [await cached(link), await cached(link)] == [(3, False), (3, True)]
        (folder / "fewer.txt").write_text("one")
        link.unlink()
        link.symlink_to("fewer.txt")
        assert await cached(link) == (1, False)

    async def test_names_of_every_kind(self, cached: Any, folder: Path) -> None:
        for name in ("two words.txt", " spaces ", "naïve ü.txt", "new\nline", "read:x", "~", "#;$(x)", "-"):
            (folder / name).write_text("one two")
            assert (await cached(folder / name))[0] == 2


class TestRefused:
    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("wrods.txt", r"path: no such file: {folder}/wrods\.txt"),
            ("words.txt/x", r"path: {folder}/words\.txt/x can't be read: not a directory"),
            (".", r"path: {folder} is a directory; add --allow read:{folder} to grant all of it"),
            ("pipe", r"path: {folder}/pipe is not a regular file"),
            ("a\0b", r"path: "),
            ("a\ud800b", r"path: "),
            ("/dev/null", r"path: /dev/null is not a regular file"),
            (
                ".env",
                r"path: {folder}/\.env is dangerous to pass: .* --allow read:{folder}/\.env --yes-really",
            ),
            ("harmless", r"--allow read:{folder}/\.env --yes-really"),
            ("/etc/shadow", r"--allow read:/etc/shadow --yes-really"),
            ("/proc/self/environ", r"path: /proc/self/environ can't be passed: it shows"),
        ],
    )
    async def test_a_path_that_is_not_passed_says_why(
        self, count: Tool, run: Any, folder: Path, path: str, problem: str
    ) -> None:
        os.mkfifo(folder / "pipe")
        (folder / ".env").write_text("KEY=1")
        (folder / "harmless").symlink_to(".env")
        output = await run("count", {"path": Path(path)})
        assert output.metadata["status"] == "invalid"
        told = output.metadata["error"]
        assert re.search(problem.format(folder=folder), told), told
        with pytest.raises(InvalidInput, match="can't be passed"):
            await count.acall(Path(path))

    async def test_the_database_is_not_passed(self, count: Tool, run: Any, core: FactCore) -> None:
        output = await run(count.name, {"path": core._store.path})
        assert "fact_magics keeps" in output.metadata["error"]

    async def test_each_bad_path_has_a_line_of_its_own(
        self, core: FactCore, server: ModelServer, run: Any
    ) -> None:
        await write(core, server, MANY)
        given = {"first": "x", "others": ["words.txt", "y"], "named": {"k": "z"}, "job": {"source": "w"}}
        told = (await run("many", given)).metadata
        *lines, why = (told["error"], *told["details"])
        assert why == "many() was not run: a path can't be passed. It may read only files that are passed."
        assert [line.partition(": ")[0] for line in lines] == [
            "first",
            "others[1]",
            "named['k']",
            "job['source']",
        ]

    async def test_a_permission_lets_pass_what_it_covers(
        self, core: FactCore, server: ModelServer, run: Any, folder: Path
    ) -> None:
        source = (
            "from pathlib import Path\n\ndef look(path: Path) -> list[str]:\n"
            "    return sorted(p.name for p in path.iterdir()) if path.is_dir() else [path.read_text()]\n"
        )
        await write(core, server, source)
        (folder / ".env").write_text("KEY=1")
        everything = {"permissions": (f"read:{folder}",), "yes_really": True}
        assert (await run("look", {"path": "."}, **everything)).result == [".env", "words.txt"]
        assert (await run("look", {"path": ".env"}, **everything)).result == ["KEY=1"]
        missing = await run("look", {"path": "none"}, **everything)
        assert "FileNotFoundError" in missing.metadata["error"]
        refused = await run("look", {"path": "/etc/shadow"}, **everything)
        assert refused.metadata["status"] == "invalid"

    @pytest.mark.parametrize(
        ("call", "problem"),
        [
            ('count(Path("none.txt"))', "no such file"),
            ('count(path=Path("none.txt"))', "no such file"),
            ('count(Path("."))', "is a directory"),
            ('count(Path("/etc/shadow"))', "dangerous"),
        ],
    )
    async def test_an_example_that_can_not_hold_is_told_before_a_model_is_asked(
        self, core: FactCore, server: ModelServer, call: str, problem: str
    ) -> None:
        with pytest.raises(CellError, match=f"can't be run: .*{problem}") as refused:
            await core.generate(ToolSpec("count", f"Count.\n\n>>> {call}\n3\n"))
        assert "\n" not in str(refused.value)
        assert not server.requests

    @pytest.mark.parametrize(
        ("source", "call", "problem"),
        [
            (COUNT, 'count("none.txt")', "no such file: {}/none.txt"),
            (COUNT, 'count(path=".")', "{} is a directory"),
            (MANY.replace("many", "count"), 'count(others=["words.txt", "none"])', "no such file: {}/none"),
            (MANY.replace("many", "count"), 'count(job={"source": "none"})', "no such file: {}/none"),
        ],
    )
    async def test_a_file_that_only_a_signature_reveals_and_that_is_missing_costs_two_requests(
        self, core: FactCore, server: ModelServer, folder: Path, source: str, call: str, problem: str
    ) -> None:
        for _ in range(3):
            server.writes(source)
        with pytest.raises(CellError) as refused:
            await core.generate(ToolSpec("count", f"Count.\n\n>>> {call}\n3\n"))
        line = str(refused.value)
        assert "\n" not in line
        assert f"can't be run: {problem.replace('{}', str(folder))}" in line
        assert "If count needs the path only as a text, say so" in line
        assert len(server.requests) == 2
        assert "annotate str" in server.requests[1].text
        last, _ = await core.list_generations()
        assert (last.status, last.reason) == ("error", line)

    async def test_a_tool_that_only_takes_a_path_apart_is_annotated_with_str_at_the_second_attempt(
        self, core: FactCore, server: ModelServer
    ) -> None:
        server.writes("from pathlib import Path\n\ndef ext(path: Path) -> str:\n    return path.suffix\n")
        server.writes("def ext(path: str) -> str:\n    return path[path.rindex('.'):]\n")
        tool = await core.generate(ToolSpec("ext", "Get the ending.\n\n>>> ext('a/b.txt')\n'.txt'\n"))
        assert tool.metadata.proven

    async def test_a_default_that_is_no_file_is_the_candidate_s_fault(
        self, core: FactCore, server: ModelServer, folder: Path
    ) -> None:
        (folder / "more.txt").write_text("x")
        bad = COUNT.replace("path: Path", "path: Path, more: Path = Path('more.txt')")
        server.writes(bad)
        server.writes(COUNT)
        await core.generate(ToolSpec("count", "Count.\n\n>>> count('words.txt')\n3\n"))
        assert len(server.requests) == 2

    async def test_an_example_may_expect_the_error_of_a_file_that_is_missing(
        self, core: FactCore, server: ModelServer
    ) -> None:
        server.writes(COUNT)
        asked = ">>> count('none.txt')\nTraceback (most recent call last):\nValueError\n"
        assert (await core.generate(ToolSpec("count", f"Count.\n\n{asked}"))).metadata.proven


async def test_relative_paths_start_at_the_working_directory_of_each_call(
    home: Path, folder: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook may change its working directory, and means the files there, as `open` does."""
    other = folder.parent / "other"
    other.mkdir()
    (other / "words.txt").write_text("one two")
    monkeypatch.chdir(folder)
    settings = load_settings({}, folder, {"FACT_HOME": str(home), **server.environment()})
    async with FactCore(settings) as core:
        count = await write(core, server, COUNT, '>>> count(Path("words.txt"))\n3\n')
        monkeypatch.chdir(other)
        assert await count.acall("words.txt") == 2
        assert await count.acall(Path("words.txt")) == 2
        output = await core.execute_tool(ToolInput("count", {"path": "words.txt"}))
        assert (output.result, output.metadata["cached"]) == (2, True)
        granted = ToolInput("count", {"path": "words.txt"}, permissions=("read:.",))
        assert (await core.execute_tool(granted)).metadata["permissions"] == (f"read:{other}",)
        monkeypatch.chdir(folder)
        assert await count.acall("words.txt") == 3
