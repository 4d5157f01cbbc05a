"""The parts that need no process: permissions, readable paths, printed text, scratches, verdicts."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.errors import CellError, IsolationError
from fact_magics.sandbox import Call, Grants, Limits, Sandbox, library, policy, scratch
from fact_magics.sandbox.frames import Ending, judge
from fact_magics.sandbox.watch import Printed
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestGrants:
    def test_permissions_are_parsed_and_sorted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A port that is not named is any port, variables carry their value, paths what is there."""
        monkeypatch.setenv("TOKEN", "value")
        grants = Grants.parse(
            ("net:b.example:443", "net:a.example", "net:[::1]", f"read:{tmp_path}", "env:TOKEN", "env:NONE")
        )
        assert grants.net == (("[::1]", "*"), ("a.example", "*"), ("b.example", "443"))
        assert grants.read == (os.path.realpath(tmp_path),)
        assert grants.things == ((tmp_path.stat().st_dev, tmp_path.stat().st_ino),)
        assert grants.env == (("TOKEN", "value"),)
        assert "value" not in repr(grants)

    @pytest.mark.parametrize(
        "text", ["", "net", "read:", "read:a\0b", "net:http://x", "net:x:0", "net:x:y", "exec:x"]
    )
    def test_what_is_no_permission_is_shown(self, text: str) -> None:
        """The error names the text; nothing is guessed."""
        with pytest.raises(CellError, match=r"permission|host|port|path"):
            Grants.parse((text,))

    def test_another_file_under_the_name_is_another_grant(self, tmp_path: Path) -> None:
        """What replaced a file since is not reached by a zygote that was granted the one before."""
        path = tmp_path / "data.csv"
        path.write_text("1")
        before = Grants.parse((f"read:{path}",))
        assert Grants.parse((f"read:{path}",)) == before
        (tmp_path / "new.csv").write_text("2")
        (tmp_path / "new.csv").replace(path)
        assert Grants.parse((f"read:{path}",)) != before

    def test_a_path_that_leads_elsewhere_since_is_refused(self, tmp_path: Path) -> None:
        """Nobody agreed to what a link that was put in its place leads to."""
        (tmp_path / "secret").mkdir()
        (tmp_path / "data").symlink_to(tmp_path / "secret")
        with pytest.raises(IsolationError, match=r"leads to .*/secret now"):
            Grants.parse((f"read:{tmp_path}/data",))

    def test_what_may_be_written_has_to_be_there(self, tmp_path: Path) -> None:
        """One line says so; nothing is made."""
        with pytest.raises(IsolationError, match=r"/out does not exist"):
            Grants.parse((f"write:{tmp_path}/out",))
        assert list(tmp_path.iterdir()) == []


class TestReadable:
    def test_no_directory_of_the_users_is_readable(self) -> None:
        """Neither home nor root nor the working directory nor a prefix is granted as a whole."""
        paths = policy.readable_paths()
        for path in (
            "/",
            str(Path.home()),
            str(Path.cwd()),
            sys.prefix,
            sys.base_prefix,
            "/etc",
            "/proc",
            "/usr",
        ):
            assert path not in paths

    def test_the_interpreter_and_its_packages_are(self) -> None:
        """What an import needs is there."""
        paths = policy.readable_paths()
        for needed in (sys.executable, os.__file__, pytest.__file__):
            assert any(needed == path or needed.startswith(f"{path}/") for path in paths)

    def test_the_environment_holds_nothing_of_the_notebooks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even the time zone passes; what was granted is told apart, where no command line shows it."""
        monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
        monkeypatch.setenv("TZ", "Europe/Berlin")
        environment = policy.zygote_environment(Grants(env=(("A", "b"),)), "/scratch")
        assert "secret" not in environment.values()
        assert (environment["TZ"], environment.get("A"), environment["HOME"]) == (
            "UTC",
            None,
            "/scratch",
        )


class TestPreload:
    def test_light_imports_need_no_zygote_of_their_own(self) -> None:
        """Light modules, others of the standard library, and packages make three kinds."""
        assert library.preload_for(("json", "re"), "") == ()
        assert library.preload_for(("json", "sqlite3"), "") == library.preload_for(("hashlib",), "")
        assert library.preload_for(("json", "numpy"), "") == ("numpy",)
        assert "asyncio" in library.preload_for((), "async def tool(): ...")

    def test_what_a_package_imports_later_is_preloaded_with_it(self) -> None:
        """A figure imports pyplot and the writer of PNG files, which takes longer than drawing it."""
        assert {"matplotlib.pyplot", "PIL.PngImagePlugin"} < {*library.preload_for(("matplotlib",), "")}
        assert "PIL.PngImagePlugin" in library.preload_for(("PIL",), "")


class TestPrinted:
    def test_characters_split_between_reads_arrive_whole(self) -> None:
        """A character of three bytes that comes in three reads is one; what is no text is replaced."""
        seen: list[str] = []
        printed = Printed(100, seen.append)
        for byte in "€".encode():
            printed.feed(bytes([byte]))
        printed.feed(b"\xff")
        printed.feed("€".encode()[:2])
        assert printed.close() == "€��" == "".join(seen)

    def test_the_note_counts_bytes(self) -> None:
        """What is beyond the bound is counted to the byte, also within one read."""
        printed = Printed(4)
        printed.feed(b"abcdefgh")
        printed.feed(b"ij")
        assert printed.close() == "abcd\n… 6 more bytes were printed, but are not shown.\n"
        assert printed.total == 10

    def test_exactly_full_is_not_cut(self) -> None:
        """Output that just fits carries no note."""
        printed = Printed(4)
        printed.feed(b"abcd")
        assert printed.close() == "abcd"


class TestScratch:
    def test_removal_follows_no_link_and_stops_at_no_mode(self, tmp_path: Path) -> None:
        """Links go, their targets stay; directories without permissions go; depth beyond PATH_MAX goes."""
        kept = tmp_path / "kept"
        kept.write_text("kept")
        root = tmp_path / "scratch"
        (root / "closed").mkdir(parents=True)
        (root / "closed" / "file").write_text("x")
        (root / "link").symlink_to(kept)
        (root / "directory").symlink_to(tmp_path)
        os.mkfifo(root / "pipe")
        (root / "closed").chmod(0)
        (root / "read only" / "below").mkdir(parents=True)
        (root / "read only").chmod(0o500)
        (root / "\udcff\n").touch()
        here = os.open(root, os.O_RDONLY)
        for _ in range(600):
            os.mkdir("a" * 20, dir_fd=here)
            deeper = os.open("a" * 20, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.close(here)
        scratch.remove(root)
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]
        assert kept.read_text() == "kept"

    def test_size_counts_blocks_and_even_empty_files(self, tmp_path: Path) -> None:
        """Sparse files cost what they take, a million empty ones are not free."""
        (tmp_path / "sparse").touch()
        os.truncate(tmp_path / "sparse", 1 << 30)
        assert scratch.measure(tmp_path, 1 << 40)[0] < 1 << 20
        (tmp_path / "full").write_bytes(b"x" * 100_000)
        assert scratch.measure(tmp_path, 1 << 40)[0] >= 100_000
        for number in range(100):
            (tmp_path / str(number)).touch()
        assert scratch.measure(tmp_path, 1 << 40)[0] >= 500_000
        for number in range(100):
            (tmp_path / f"directory {number}").mkdir()
        assert scratch.measure(tmp_path, 1 << 40)[0] >= 900_000

    def test_size_counts_what_lies_deeper_than_a_path_may_be_long(self, deep: Path) -> None:
        """A path of 600 levels is longer than the system accepts, and its files take space all the same."""
        _nest(deep, 600, "a" * 20, b"x" * 1_000_000)
        assert 3_400_000 < scratch.measure(deep, 1 << 40)[0] < 3_600_000

    def test_what_can_t_be_measured_counts_as_too_much(self, deep: Path) -> None:
        """Each deep branch needs an open directory, and a process may not open thousands."""
        for number in range(100):
            _nest(deep / str(number), 120, "a" * 20, b"")
        assert scratch.measure(deep, 1 << 40)[0] < 1 << 26
        _nest(deep / "comb", 1_500, "a" * 200, b"", beside=True)
        assert scratch.measure(deep, 1 << 40)[0] == 1 << 40


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Give a directory for deep ones, which pytest itself could not remove."""
    made = tmp_path / "deep"
    made.mkdir()
    yield made
    scratch.remove(made)


def _nest(root: Path, levels: int, name: str, content: bytes, *, beside: bool = False) -> None:
    """Make nested directories with a file in the last one, and a second one in each if `beside`."""
    root.mkdir(exist_ok=True)
    here = os.open(root, os.O_RDONLY)
    for level in range(levels):
        if beside:
            os.mkdir(f"beside {level}", dir_fd=here)
        os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, content)
    os.close(file)
    os.close(here)


class TestJudge:
    call = Call("", "tool", b"", memory_mb=7)

    def verdict(self, frame: bytes, status: int | None = 0) -> tuple[Status, bytes | None, str | None]:
        ending = Ending(
            frame=frame, wait_status=status, cpu_seconds=0.0, stopped=None, printed="", duration_ms=1.0
        )
        outcome = judge(self.call, ending, Limits(), ())
        return outcome.status, outcome.result, outcome.limit

    def frame(self, kind: bytes, payload: bytes) -> bytes:
        return kind + len(payload).to_bytes(8, "big") + payload

    def test_a_whole_frame_is_taken(self) -> None:
        """The payload passes as it is, unread."""
        assert self.verdict(self.frame(b"R", b"\xff\x00")) == (Status.OK, b"\xff\x00", None)

    @pytest.mark.parametrize(
        "frame", [b"", b"R", b"R" + bytes(8) + b"x", b"X" + bytes(8), b"R" + b"\xff" * 8]
    )
    def test_any_other_is_an_error(self, frame: bytes) -> None:
        """Too short, too long, of no known kind."""
        assert self.verdict(frame) == (Status.ERROR, None, None)

    def test_a_good_frame_from_a_process_that_crashed_does_not_count(self) -> None:
        """The result comes from a process that ended well, or not at all."""
        assert self.verdict(self.frame(b"R", b"1"), status=11)[0] is Status.ERROR
        assert self.verdict(self.frame(b"R", b"1"), status=None)[0] is Status.ERROR

    @pytest.mark.parametrize(
        "payload", [b"[]", b"null", b'{"type": 1}', b'{"limit": "time"}', b'{"limit": ["memory"]}']
    )
    def test_errors_of_the_wrong_form_are_errors_still(self, payload: bytes) -> None:
        """A tool can't claim a timeout, nor break the parent by odd types."""
        assert self.verdict(self.frame(b"E", payload)) == (Status.ERROR, None, None)

    def test_a_claimed_limit_names_our_value(self) -> None:
        """The text of a limit is written here, not there."""
        assert self.verdict(self.frame(b"E", b'{"limit": "memory"}')) == (Status.LIMIT, None, "memory 7 MB")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"timeout_seconds": math.inf}, "timeout_seconds must be .* got inf"),
        ({"timeout_seconds": math.nan}, "timeout_seconds must be .* got nan"),
        ({"timeout_seconds": 0}, "timeout_seconds must be .* got 0"),
        ({"timeout_seconds": 1e19}, r"timeout_seconds must be .* got 1e\+19"),
        ({"timeout_seconds": "5"}, "timeout_seconds must be .* got '5'"),
        ({"memory_mb": -1}, "memory_mb must be .* got -1"),
        ({"memory_mb": 1.5}, r"memory_mb must be .* got 1\.5"),
        ({"memory_mb": 10**14}, "memory_mb must be .* got 1000"),
    ],
)
def test_limits_that_no_system_has_are_refused_with_what_to_give(limits: Any, told: str) -> None:
    """From a cell they are read as numbers; from a script they come as they are."""
    with pytest.raises(CellError, match=told):
        Call("", "tool", b"", **limits)


async def test_a_system_that_enforces_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sandlock can't start, nothing runs, and the error says what to set and what that gives up."""
    monkeypatch.setitem(sys.modules, "sandlock", None)
    sandbox = Sandbox(mode="auto")
    for _ in range(2):
        with pytest.raises(IsolationError, match=r'isolation = "process".*can reach your files'):
            await sandbox.run(Call("def tool(): pass", "tool", b'{"args":[],"kwargs":{}}'))
    await sandbox.aclose()
    assert sandbox.layers() == ()


async def test_starting_twice_and_closing_unused() -> None:
    """Both do nothing, and a sandbox that was never used closes at once."""
    await Sandbox().aclose()
    sandbox = Sandbox(mode="process")
    await sandbox.start()
    await sandbox.start()
    assert sandbox.layers() == ("process", "rlimits")
    await sandbox.aclose()
