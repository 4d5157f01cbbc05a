"""What can be trusted: a file, as it is now."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fact_magics.config.trust import is_trusted, read_found, trust
from fact_magics.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_file_is_trusted_until_its_content_changes(tmp_path: Path, home: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n")
    assert not is_trusted(file, home, b"A=1\n")
    trust(file, home)
    assert is_trusted(file, home, b"A=1\n")
    assert not is_trusted(file, home, b"A=2\n")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("pipe", "it is not a regular file"),
        ("directory", "it is not a regular file"),
        ("nothing", "there is no such file"),
        ("too large", "it is larger than a settings file can be"),
    ],
)
def test_what_is_no_file_of_settings_is_refused_and_not_waited_for(
    tmp_path: Path, home: Path, kind: str, why: str
) -> None:
    path = tmp_path / ".env"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "too large":
        path.write_bytes(bytes(1_000_001))
    with pytest.raises(SettingsError, match=f"can't be trusted: {why}") as refused:
        trust(path, home)
    assert len(str(refused.value).splitlines()) == 1
    assert not is_trusted(path, home, read_found(path) or b"")
    assert not home.exists()


class TestTheList:
    def test_it_is_the_users_alone_whatever_the_umask(self, tmp_path: Path, home: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("A=1\n")
        before = os.umask(0)
        try:
            trust(file, home)
        finally:
            os.umask(before)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
        assert modes == {"home": 0o700, "trusted.json": 0o600}

    @pytest.mark.parametrize("name", ["trusted.json", "trusted.json.partial"])
    def test_a_link_in_its_place_is_replaced_and_not_followed(
        self, tmp_path: Path, home: Path, name: str
    ) -> None:
        file, target = tmp_path / ".env", tmp_path / "precious"
        file.write_text("A=1\n")
        target.write_text("{}")
        home.mkdir()
        (home / name).symlink_to(target)
        trust(file, home)
        assert target.read_text() == "{}"
        assert not (home / "trusted.json").is_symlink()
        assert is_trusted(file, home, b"A=1\n")

    def test_files_that_several_processes_trust_at_once_are_all_trusted(
        self, tmp_path: Path, home: Path
    ) -> None:
        script = """
import sys
from pathlib import Path
from fact_magics.config.trust import trust
folder, home = map(Path, sys.argv[1:])
print("ready", flush=True)
input()
for number in range(20):
    file = folder / f"{number}.env"
    file.write_text("A=1")
    trust(file, home)
"""
        folders = [tmp_path / name for name in "abcd"]
        for folder in folders:
            folder.mkdir()
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(folder), str(home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for folder in folders
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in started:
            process.communicate()
            assert process.returncode == 0
        files = [folder / f"{number}.env" for folder in folders for number in range(20)]
        assert [file for file in files if not is_trusted(file, home, b"A=1")] == []

    @pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"a": 1}', "\0"])
    def test_a_list_that_can_t_be_read_trusts_nothing_and_is_replaced(
        self, tmp_path: Path, home: Path, text: str
    ) -> None:
        file = tmp_path / ".env"
        file.write_text("A=1\n")
        home.mkdir()
        (home / "trusted.json").write_text(text)
        assert not is_trusted(file, home, b"A=1\n")
        trust(file, home)
        assert is_trusted(file, home, b"A=1\n")

    @pytest.mark.parametrize("exposed", [".", "trusted.json"])
    def test_a_list_that_others_can_change_is_not_believed_nor_extended(
        self, tmp_path: Path, home: Path, exposed: str
    ) -> None:
        file = tmp_path / ".env"
        file.write_text("A=1\n")
        trust(file, home)
        home.chmod(0o755)
        (home / exposed).chmod(0o777)
        assert not is_trusted(file, home, b"A=1\n")
        with pytest.raises(SettingsError, match="Run: chmod go-w "):
            trust(file, home)

    def test_a_list_that_can_t_be_written_is_told_as_such(self, tmp_path: Path) -> None:
        """The file that is to be trusted is not to blame."""
        file = tmp_path / ".env"
        file.write_text("A=1\n")
        with pytest.raises(SettingsError, match=r"The list of trusted files in .* can't be written: "):
            trust(file, file / "home")

    def test_a_failure_leaves_the_list_that_was_there(self, tmp_path: Path, home: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("A=1\n")
        trust(file, home)
        (home / "trusted.json").rename(tmp_path / "kept")
        (home / "trusted.json").mkdir()
        with pytest.raises(SettingsError, match="can't be written"):
            trust(file, home)
        assert [path.name for path in home.iterdir()] == ["trusted.json"]
