"""Everything that the README says to type is typed here, and what the other pages name exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.early]

REPOSITORY = Path(__file__).parent.parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
[REFINING] = [text for kind, text in BLOCKS if text.startswith("%%fact_refine")]  # it needs a model
CELLS = [text for kind, text in BLOCKS if kind == "python" and "asyncio.run" not in text and text != REFINING]
[SCRIPT] = [text for kind, text in BLOCKS if kind == "python" and "asyncio.run" in text]
[FETCHING] = [text for kind, text in BLOCKS if kind == "py"]


def command(name: str) -> str:
    found = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert found is not None
    assert "\n" not in found[1], "each command is one line"
    return found[1]


def test_every_block_is_one_that_a_test_here_runs():
    assert {kind for kind, _ in BLOCKS} == {"python", "py", "sh"}
    commands = [text.strip() for kind, text in BLOCKS if kind == "sh"]
    assert commands == [command("tutorial"), command("tests")]


def test_the_cells_run_in_a_notebook_from_top_to_bottom(start_kernel, home):
    kernel = start_kernel(load=False)
    cells = kernel.queue(CELLS)
    for cell, code in zip(cells, CELLS, strict=True):
        assert cell.status == "ok", (code, cell.traceback)
    shown = {code.partition("\n")[0]: cell.plain for code, cell in zip(CELLS, cells, strict=True)}
    assert "proven on 2 examples" in shown["%%fact_generate slugify"]
    assert "proven on 2 examples" in shown["%%fact_edit slugify"]
    assert "some-title" in shown['slugify("Some Title")']
    assert "cached" in shown["%%fact_run slugify"]
    assert "import re" in (home.parent / "slugify.fact.py").read_text(encoding="utf-8")


def test_the_cell_that_changes_a_tool_runs_with_a_model(start_kernel, server):
    kernel = start_kernel(**server.environment())
    [generating] = [code for code in CELLS if code.startswith("%%fact_generate slugify")]
    made = kernel.run(generating.replace("slugify", "slugify --model shelf", 1))
    assert made.status == "ok", made.traceback
    [edited] = [code.partition("\n")[2] for code in CELLS if code.startswith("%%fact_edit slugify")]
    server.writes(edited.replace('r"[a-z0-9]+"', 'r"[a-z0-9]+(?:\\.[0-9]+)*"'))
    cell = kernel.run(REFINING)
    assert cell.status == "ok", cell.traceback
    assert "proven on 3 examples" in cell.plain
    assert "replaces 1.0.0, proven on 2 examples" in cell.plain


@pytest.fixture
def printed(plain_environment, tmp_path):
    """Run a script; return what it prints."""

    def run(script):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=plain_environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_script_runs_without_a_notebook(printed):
    told = printed(SCRIPT)
    assert told.startswith("other-title\n")
    assert 'ok {"text": "Other Title"' in told


def test_the_script_tells_the_error_of_a_run_that_fails(printed):
    told = printed(SCRIPT.replace('{"text": "Other Title"}', '{"title": "Other Title"}')).partition("\n")[0]
    assert told.startswith("<ToolOutput slugify 1.0.0 · invalid · ")
    assert "title" in told
    assert "text" in told


class Books(BaseHTTPRequestHandler):
    """The server that the README's tool asks."""

    def do_GET(self) -> None:
        body = json.dumps({"title": f"Book {self.path.rpartition('/')[2]}"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


async def test_the_tool_that_fetches_gets_what_a_server_says():
    with ThreadingHTTPServer(("127.0.0.1", 0), Books) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        names: dict[str, Any] = {}
        exec(FETCHING.replace("https://api.example.com", here), names)  # noqa: S102 - it is the README's
        assert await names["fetch_title"](7) == "Book 7"
        server.shutdown()


def test_every_option_and_subcommand_it_names_exists():
    from fact_magics.notebook.arguments import CELLS
    from fact_magics.notebook.commands import COMMANDS

    known = COMMANDS
    options = {option.name for made in (*CELLS.values(), *known.values()) for option in made.options}
    tools = {"--allow-root", "--LabApp.default_url", "--constraint", "--editable", "--quiet", "--help"}
    assert set(re.findall(r"(?<![\w-])--[A-Za-z][A-Za-z._-]+", README)) <= options | tools
    assert set(re.findall(r"%fact ([a-z]+)", README)) <= set(known)


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_that_a_page_names_exist(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    rooms = "|".join(path.parent.name for path in (REPOSITORY / "fact_magics").glob("*/__init__.py"))
    for path in re.findall(r"(?<![\w./])(?:notebooks|tests|fact_magics|\.github)/[\w/.]*\w", text):
        assert "NAME" in path or (REPOSITORY / path).exists(), path
    for path in re.findall(rf"`((?:{rooms})/[\w/]+\.py)`", text):
        assert "NAME" in path or (REPOSITORY / "fact_magics" / path).exists(), path
    for path in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (REPOSITORY / path).exists(), path


def test_tasks_that_contributing_names_exist():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tasks = re.findall(
        r"^def (\w+)\(session", (REPOSITORY / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    named = {word for words in re.findall(r"nox -s ([a-z_ ]+)", text) for word in words.split()}
    assert named
    assert named <= set(tasks)


def test_the_test_command_is_the_one_that_ci_runs():
    assert "--sessions tests" in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in (REPOSITORY / "noxfile.py").read_text(encoding="utf-8")
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
