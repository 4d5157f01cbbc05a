"""The tutorials run top to bottom with no key, and are saved as they run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_gives_what_it_was_saved_with(path, plain_environment):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "nbval.plugin",
            "--nbval-lax",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            str(path),
        ],
        env={**plain_environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_saved_tutorial_holds_outputs_and_nothing_of_a_machine(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(bool(cell["outputs"]) for cell in cells) >= len(cells) / 2
    assert any("nbval-check-output" in cell["metadata"].get("tags", ()) for cell in cells)
    assert "widgets" not in notebook["metadata"]
    text = json.dumps([cell["outputs"] for cell in cells])
    assert "widget-view" not in text
    assert not re.search(r"(/home/|/root/|/tmp/|/work/|C:\\\\)", text)


def run_all(kernel, cells):
    """Queue all cells as Run All does, and change them as a front end would on behalf of the kernel."""
    done = kernel.queue([cell["source"] for cell in cells])
    after = []
    for cell, ran in zip(cells, done, strict=True):
        may_fail = "raises-exception" in cell["metadata"].get("tags", ())
        assert ran.status == ("error" if may_fail else "ok"), (cell["source"], ran.traceback)
        after.append(cell)
        for put in ran.payload:
            if put["source"] == "set_next_input" and put["replace"]:
                after[-1] = {**cell, "source": put["text"]}
            elif put["source"] == "set_next_input":
                after.append({"metadata": {}, "source": put["text"]})
    return after


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs_twice_and_again_when_it_is_opened_again_and_its_cells_stay_as_they_are(
    path, start_kernel, tmp_path
):
    folder = shutil.copytree(path.parent, tmp_path / "notebooks")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [
        {**cell, "source": "".join(cell["source"])}
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]
    kernel = start_kernel(cwd=folder, load=False)
    now = cells
    for _ in range(2):
        now = run_all(kernel, now)
        assert [cell for cell in now if "id" in cell] == cells
    kernel.close()
    now = run_all(start_kernel(cwd=folder, load=False), now)
    assert [cell for cell in now if "id" in cell] == cells
    # Each answer to a question puts the grown cell below.
    answers = sum(cell["source"].startswith("%fact answer") for cell in cells)
    assert len(now) == len(cells) + 3 * answers
