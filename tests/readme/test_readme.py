"""Everything that the README says to type is typed here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CELLS = [
    block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "asyncio.run" not in block
]
[SCRIPT] = [
    block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "asyncio.run" in block
]


def command(name: str) -> str:
    found = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert found is not None
    assert "\n" not in found[1], "each command is one line"
    return found[1]


def test_the_cells_run_in_a_notebook_from_top_to_bottom(start_kernel):
    kernel = start_kernel(load=False)
    for cell, code in zip(kernel.queue(CELLS), CELLS, strict=True):
        assert cell.status == "ok", (code, cell.traceback)


def test_the_script_runs_without_a_notebook(plain_environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=plain_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("some-title ")
    assert 'ok {"text": "Some Title"' in done.stdout


def test_every_option_and_subcommand_it_names_exists():
    from fact_magics.notebook.arguments import EDIT, GENERATE, RUN
    from fact_magics.notebook.commands import COMMANDS

    commands = (EDIT, GENERATE, RUN, *COMMANDS.values())
    known = {option.name for made in commands for option in made.options}
    tools = {"--allow-root", "--LabApp.default_url", "--constraint", "--editable", "--quiet", "--help"}
    assert set(re.findall(r"(?<![\w-])--[A-Za-z][A-Za-z._-]+", README)) <= known | tools
    assert set(re.findall(r"%fact ([a-z]+)", README)) <= set(COMMANDS)


def test_files_and_links_it_names_exist():
    for path in re.findall(r"(?:notebooks|tests)/[\w/.]+", README):
        assert (REPOSITORY / path).exists(), path


def test_the_test_command_is_the_one_that_ci_runs():
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    assert command("tests").endswith("-m pytest")
    assert command("tutorial").endswith("notebooks/01_first_tool.ipynb")


@pytest.mark.readme
def test_the_first_command_opens_the_tutorial_from_nothing(tmp_path):
    """In a copy of the repository, with an empty HOME and no virtual environment, JupyterLab serves it."""
    copy = tmp_path / "clone"
    shutil.copytree(
        REPOSITORY, copy, ignore=shutil.ignore_patterns(".venv", ".git", "*_cache", "__pycache__")
    )
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LANG"))}
    # What is not imported need not be compiled.
    environment = {**kept, "HOME": str(home), "PATH": _path_without_environments(), "PIP_NO_COMPILE": "1"}
    log = tmp_path / "log"
    with log.open("w") as output:
        lab = subprocess.Popen(
            ["/bin/sh", "-c", command("tutorial")],
            cwd=copy,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = _served_at(log, lab)
        base, _, query = url.partition("/lab/tree/notebooks/01_first_tool.ipynb")
        assert query, url
        contents = f"{base}/api/contents/notebooks/01_first_tool.ipynb{query}"
        assert b"Your first tool" in _fetched(contents)
        probe = [
            str(copy / ".venv/bin/python"),
            "-m",
            "jupyter",
            "nbconvert",
            "--to",
            "notebook",
            "--execute",
        ]
        done = subprocess.run(
            [*probe, "--stdout", "notebooks/01_first_tool.ipynb"],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "hello-world" in done.stdout
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(timeout=30)


def _fetched(url: str) -> bytes:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback
                return answer.read()
        except urllib.error.URLError as error:
            # The address is printed before it is served.
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > end:
                raise
            time.sleep(0.2)


def _path_without_environments() -> str:
    """The PATH of a machine: without the virtual environment that runs these tests."""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)


def _served_at(log: Path, lab: subprocess.Popen) -> str:
    end = time.monotonic() + 500
    while time.monotonic() < end:
        text = log.read_text()
        if found := re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/lab/tree/\S+", text):
            return found[0]
        assert lab.poll() is None, text
        time.sleep(0.5)
    raise TimeoutError(log.read_text())
