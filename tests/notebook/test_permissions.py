"""Permissions in a kernel: options, what is shown of them, what is refused, files passed as paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

READ = "def read(path: str) -> str:\n    with open(path) as file:\n        return file.read()\n"
COUNT = (
    "from pathlib import Path\n\ndef count(path: Path) -> int:\n"
    '    """Count words."""\n    return len(path.read_text().split())\n'
)


@pytest.fixture(scope="module")
def folder(module_desk) -> Path:
    """The notebook's directory, with files in it."""
    folder = Path(os.path.realpath(module_desk.kernel.cwd))
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text("from a")
    (folder / "b.txt").write_text("from b")
    return folder


@pytest.fixture(scope="module")
def reader(module_desk, folder):
    """A tool that may read one directory, named from the notebook's."""
    example = f">>> read('{folder}/data/a.txt')\n'from a'\n"
    cell = module_desk.write("read", READ, examples=example, options="--allow read:data")
    assert cell.status == "ok", cell.traceback
    return cell


def test_a_tool_is_granted_what_its_cell_allows_and_shows_it(desk, reader, folder):
    allowed = f"allowed: read:{folder}/data"
    assert allowed in reader.plain
    assert allowed in reader.html
    run = desk.run(f"%%fact_run read\npath = '{folder}/data/a.txt'")
    assert "'from a'" in run.plain
    assert allowed in run.plain
    assert desk.value(f"read('{folder}/data/a.txt')") == "from a"
    assert allowed in desk.run("repr(read)").plain
    beside = desk.run(f"%%fact_run read\npath = '{folder}/b.txt'")
    assert "PermissionError" in beside.error


def test_what_is_granted_is_listed_and_remembered(desk, reader, folder):
    granted = f"read:{folder}/data"
    desk.run(f"%%fact_run read --allow read:b.txt\npath = '{folder}/b.txt'")
    row = desk.history("-n 1")[0]
    assert row["permissions"] == [f"read:{folder}/b.txt", granted]
    assert not row["cached"]
    shown = desk.run(f"%fact show {row['id']}")
    assert f"read:{folder}/b.txt, {granted}" in shown.plain
    assert granted in desk.run("%fact tools").plain
    assert granted in desk.run("%fact show read").plain
    assert desk.query("SELECT count(*) FROM cache") == [(0,)]


def test_one_run_is_granted_more_and_the_next_is_not(desk, reader, folder):
    cell = f"%%fact_run read {{}}\npath = '{folder}/b.txt'"
    granted = desk.run(cell.format("--allow read:b.txt"))
    assert "from b" in granted.plain
    assert f"read:{folder}/b.txt" in granted.plain
    assert "PermissionError" in desk.run(cell.format("")).error


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--allow reed:data", "'reed:data' is not a permission. Did you mean 'read'?"),
        ("--allow read", "'read' is a permission without a path. Write read:PATH."),
        ("--allow net:https://api.github.com/x", "Write the host alone: net:api.github.com."),
        (
            "--allow read:dta",
            "grants nothing: {folder}/dta does not exist. Name a file or directory that exists.",
        ),
        (
            "--allow read:/",
            "read:/ is dangerous: it is everything on this machine. Narrow it, or add --yes-really",
        ),
        (
            "--allow read:/proc --yes-really",
            "read:/proc can't be granted: it shows the memory and settings of other processes.",
        ),
        ("--allow write:. --yes-really", "can't be granted: fact_magics keeps"),
        (
            "--allow env:ANTHROPIC_API_KEY",
            "env:ANTHROPIC_API_KEY is dangerous: its name says that it holds a secret.",
        ),
        ("--allow env:SECRET_KEY --yes-really", "env:SECRET_KEY can't be granted"),
        ("--allow net:no-such-host.invalid:80", "no-such-host.invalid has no address here"),
        ("--allow", "--allow needs a value. Write --allow PERMISSION."),
        ("--yes-really=1", "--yes-really takes no value."),
    ],
)
@pytest.mark.parametrize("magic", ["%%fact_generate other", "%%fact_run read"])
def test_what_is_not_granted_is_one_line_and_nothing_happens(desk, reader, folder, magic, options, line):
    asked, before = len(desk.server.requests), desk.counts()
    body = "Write another." if "generate" in magic else "path = '/x'"
    cell = desk.run(f"{magic} {options}\n{body}")
    assert line.format(folder=folder) in cell.error
    assert "\n" not in cell.error
    assert len(cell.traceback.splitlines()) == 1
    assert len(desk.server.requests) == asked
    after = desk.counts()
    # A run whose host can't be looked up had begun, and is remembered as one that failed.
    begun = int("no-such-host" in options and "run" in magic)
    assert after == {**before, "tool_executions": before["tool_executions"] + begun}


def test_a_dangerous_one_that_was_confirmed_is_not_asked_for_again(desk, folder):
    (folder / "keys").mkdir()
    (folder / "keys" / "server.pem").write_text("public")
    cell = ("read2", "--allow read:keys")
    source = READ.replace("def read(", "def read2(")
    refused = desk.run(f"%%fact_generate {cell[0]} {cell[1]}\nRead keys.")
    assert "server.pem probably holds keys or passwords" in refused.error
    assert (
        desk.write("read2", source, options="--allow read:keys --yes-really", text="Read keys.").status
        == "ok"
    )
    again = desk.run(f"%%fact_generate {cell[0]} {cell[1]}\nRead keys.")
    assert again.status == "ok", again.error
    assert "no model was called" in again.plain
    assert desk.value(f"read2('{folder}/keys/server.pem')") == "public"


def test_a_file_is_passed_by_its_path(desk, folder):
    (folder / "words.txt").write_text("one two three")
    made = desk.write("count", COUNT, examples='>>> count(Path("words.txt"))\n3\n')
    assert made.status == "ok", made.traceback
    first, second = (desk.run("%%fact_run count\npath = 'words.txt'") for _ in range(2))
    assert "isolated" in first.plain
    assert "cached" in second.plain
    assert "allowed" not in first.plain
    (folder / "words.txt").write_text("one")
    changed = desk.run("%%fact_run count\npath = 'words.txt'")
    assert "cached" not in changed.plain
    desk.run("from pathlib import Path")
    assert desk.value("[count('words.txt'), count(path=Path('words.txt'))]") == [1, 1]
    missing = desk.run("%%fact_run count\npath = 'wrods.txt'")
    assert missing.error_name == "InvalidInput"
    assert f"path: no such file: {folder}/wrods.txt" in missing.traceback
    directory = desk.run("%%fact_run count\npath = 'data'")
    assert f"add --allow read:{folder}/data to grant all of it" in directory.traceback


@pytest.mark.parametrize("magic", ["fact_generate", "fact_run"])
def test_help_tells_of_both_options(desk, magic):
    shown = desk.run(f"%%{magic} --help").stdout
    assert "--allow PERMISSION" in shown
    assert "--yes-really" in shown
