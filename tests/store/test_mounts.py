"""A database on a network drive is found out, and keeps a journal that is safe there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics.store import ExecutionRow, Store, mounts
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write the system's list of mounts: the root is local, and each place has a kind."""

    def write(*places: tuple[Path, str]) -> None:
        lines = [LOCAL]
        for number, (place, kind) in enumerate(places, start=30):
            name = str(place).replace("\\", r"\134").replace(" ", r"\040")
            lines.append(
                f"{number} 27 0:{number} / {name} rw,relatime shared:2 master:1 - {kind} server:/x rw"
            )
        listed = tmp_path / "mountinfo"
        listed.write_text("\n".join(lines))
        monkeypatch.setattr(mounts, "_MOUNTS", listed)

    return write


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone"])
async def test_it_is_said_in_one_line_and_opened_without_wal(
    tmp_path: Path, mount, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a drive" / "facts.db"
    path.parent.mkdir()
    async with await Store.open(path) as store:  # made on a local disk, then moved
        await store.commit([ExecutionRow(id="1", tool_name="t", status=Status.OK)])
    assert capsys.readouterr().err == ""
    mount((path.parent, kind))
    async with await Store.open(path) as one, await Store.open(path) as other:
        await one.commit([ExecutionRow(id="2", tool_name="t", status=Status.OK)])
        await other.commit([ExecutionRow(id="3", tool_name="t", status=Status.OK)])
        assert {row.id for row in await one.history.runs()} == {"1", "2", "3"}
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert not path.with_name("facts.db-wal").exists()
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert first.startswith(
        f"fact_magics: The database {path} is on a network drive ({kind}), where it is slow"
    )
    assert first.endswith("Point FACT_HOME at a local directory.")


async def test_the_mount_that_holds_the_file_decides(tmp_path: Path, mount) -> None:
    home = tmp_path / "home"
    (home / "fast").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    mount((home, "nfs4"), (home / "fast", "ext4"), (tmp_path / "homes", "nfs4"))
    found = [
        mounts.network_drive(tmp_path / place)
        for place in ("home/a.db", "link/a.db", "home/fast/a.db", "homes/a.db", "homeless/a.db")
    ]
    assert found == ["nfs4", "nfs4", "", "nfs4", ""]
    mount((home, "nfs4"), (home, "tmpfs"))
    assert mounts.network_drive(home / "a.db") == ""


def test_a_list_that_can_not_be_read_means_a_local_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "none")
    assert mounts.network_drive(tmp_path) == ""
    (tmp_path / "none").write_text("garbage\n\n1 2 3 - nfs\n")
    assert mounts.network_drive(tmp_path) == ""
