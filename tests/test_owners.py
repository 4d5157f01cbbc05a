"""Which files and directories are safe from other users, and what is said of the others."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import SettingsError
from fact_magics.owners import exposure, refuse_exposed

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = 47110

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no POSIX owners here")
as_root = pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory that other users may enter, like most directories."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture
def file(folder: Path) -> Path:
    file = folder / "a file"
    file.touch()
    file.chmod(0o644)
    return file


def test_the_users_own_files_are_safe_and_so_is_what_does_not_exist(folder: Path, file: Path) -> None:
    assert exposure(folder, file, folder / "missing", folder / "a\0b") is None


@pytest.mark.parametrize("mode", [0o646, 0o666])
def test_a_file_that_others_may_write_is_unsafe_and_the_command_to_close_it_works(
    file: Path, mode: int
) -> None:
    file.chmod(mode)
    found = exposure(file)
    assert found is not None
    assert (found.path, found.reason) == (file, "can be changed by other users")
    subprocess.run(["sh", "-c", found.remedy], check=True)
    assert exposure(file) is None


def test_a_directory_that_others_may_write_is_unsafe_unless_each_user_can_change_only_their_own_files(
    folder: Path,
) -> None:
    folder.chmod(0o777)
    assert exposure(folder) is not None
    folder.chmod(0o1777)
    assert exposure(folder) is None


def test_a_file_that_others_may_write_is_safe_in_a_directory_that_they_may_not_enter(
    folder: Path, file: Path
) -> None:
    file.chmod(0o666)
    folder.chmod(0o700)
    assert exposure(file) is None


@as_root
def test_the_users_private_group_may_write_and_another_group_may_not(folder: Path, file: Path) -> None:
    for path in (folder, file):
        path.chmod(0o775)
        assert exposure(path) is None
        os.chown(path, -1, STRANGER)
        assert exposure(path) is not None


@as_root
def test_what_belongs_to_another_user_is_unsafe_and_no_command_is_offered(file: Path) -> None:
    os.chown(file, STRANGER, -1)
    found = exposure(file)
    assert found is not None
    assert found[:3] == (file, f"belongs to another user (user id {STRANGER})", "")


@as_root
def test_root_in_a_container_is_told_to_be_the_owner_of_the_volume(folder: Path) -> None:
    os.chown(folder, STRANGER, -1)
    with pytest.raises(SettingsError) as refused:
        refuse_exposed(folder)
    assert str(refused.value).endswith(
        "Point FACT_HOME at a directory of your own, or run as user 47110: docker run --user 47110."
    )


@as_root
def test_a_link_of_another_user_is_unsafe_wherever_it_leads(folder: Path, file: Path) -> None:
    link = folder / "link"
    link.symlink_to(file)
    assert exposure(link) is None
    os.chown(link, STRANGER, -1, follow_symlinks=False)
    assert exposure(link) is not None


@as_root
def test_what_belongs_to_root_is_safe_for_every_user(file: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from fact_magics.owners import exposure
os.setgid(47110)
os.setuid(47110)
print(exposure(Path(sys.argv[1])))
"""
    command = [sys.executable, "-c", script, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_a_refusal_is_one_line_with_the_way_out(folder: Path) -> None:
    folder.chmod(0o757)
    with pytest.raises(SettingsError) as refused:
        refuse_exposed(folder)
    assert str(refused.value) == (
        f"{folder} can be changed by other users, so it is not used. Run: chmod go-w {folder}"
    )


@pytest.mark.parametrize(("mode", "is_any"), [(0o777, True), (0o757, False)])
def test_where_each_file_may_be_changed_by_all_another_drive_is_named_too(
    folder: Path, mode: int, is_any: bool
) -> None:
    """On such a drive, chmod changes nothing."""
    folder.chmod(mode)
    with pytest.raises(SettingsError, match="Run: chmod go-w ") as refused:
        refuse_exposed(folder)
    said = f"{folder} # if that changes nothing, the drive keeps no permissions: point FACT_HOME elsewhere"
    assert str(refused.value).endswith(said) == is_any


@as_root
@pytest.mark.parametrize(
    "user_list", [["root:0:0", "me:47110:47111"], ["root:0:0", "me:47110:47111", "you:5:47111"]]
)
def test_a_group_with_no_other_member_may_write_whatever_its_name(folder: Path, user_list: list[str]) -> None:
    """Notebook servers put their one user into a group such as `users`, and let the group write."""
    script = """
import os, sys
from collections import namedtuple
from pathlib import Path
import grp, pwd
from fact_magics.owners import exposure
User, Group = namedtuple("User", "pw_name pw_uid pw_gid"), namedtuple("Group", "gr_name gr_mem")
users = [User(name, int(uid), int(gid)) for name, uid, gid in (entry.split(":") for entry in sys.argv[2:])]
pwd.getpwall, pwd.getpwuid = lambda: users, lambda uid: {one.pw_uid: one for one in users}[uid]
grp.getgrgid = lambda _: Group("users", [])
os.geteuid = lambda: 47110
print(exposure(Path(sys.argv[1])) is None)
"""
    os.chown(folder, 47110, 47111)
    folder.chmod(0o775)
    command = [sys.executable, "-c", script, str(folder), *user_list]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(user_list) == 2}\n"
