"""What can be trusted: a file, as it is now."""

from __future__ import annotations

import os
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


@pytest.mark.parametrize("kind", ["pipe", "directory", "nothing", "too large"])
def test_what_is_no_file_of_settings_is_refused_and_not_waited_for(
    tmp_path: Path, home: Path, kind: str
) -> None:
    path = tmp_path / ".env"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "too large":
        path.write_bytes(bytes(1_000_001))
    with pytest.raises(SettingsError, match="can't be trusted") as refused:
        trust(path, home)
    assert len(str(refused.value).splitlines()) == 1
    assert not is_trusted(path, home, read_found(path) or b"")
    assert not home.exists()
