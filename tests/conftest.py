"""Real kernels, real processes: what the tests of every folder share."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parent.parent
_SLOW = (
    "tests/browser/test_apps",
    "tests/readme/",
    "tests/test_quality",
    "tests/notebook",
    "tests/benchmarks/",
)

# What goes through the same code as other tests, in more ways than a run between two edits can wait for.
_THOROUGH = (
    "tests/attacks/test_unprivileged", "tests/benchmarks/", "tests/display/test_exports",
    "tests/notebook/test_habits", "tests/notebook/test_in_kernel", "tests/notebook/test_limits",
    "tests/notebook/test_live_views", "tests/notebook/test_travelling", "tests/notebook/test_terminal",
    "tests/config/test_hostile_repository",
)  # fmt: skip

# What takes long and is tried on ipykernel 7 in any case.
_ONCE = ("tests/notebook/test_sessions", "tests/notebook/test_interrupts")

# What starts kernels, browsers, terminals or many processes, or needs packages that are heavier than the core's.
_NOT_FAST = (
    "attacks", "benchmarks", "browser", "notebooks", "providers", "readme", "shelf",
    "config/test_config_file.py", "config/test_hostile_repository.py", "core/test_answers.py", "core/test_handle.py",
    "core/test_imports.py", "core/test_paths.py", "core/test_toolbox.py", "display/test_exports.py",
    "notebook/commands", "notebook/test_arrival.py", "notebook/test_bad_input.py", "notebook/test_completion.py",
    "notebook/test_editing.py", "notebook/test_habits.py", "notebook/test_in_kernel.py",
    "notebook/test_interrupts.py", "notebook/test_isolation_modes.py", "notebook/test_limits.py",
    "notebook/test_live_views.py", "notebook/test_loading.py", "notebook/test_managing.py",
    "notebook/test_permissions.py", "notebook/test_queue.py", "notebook/test_records.py",
    "notebook/test_running_cells.py", "notebook/test_secrets.py", "notebook/test_sessions.py",
    "notebook/test_terminal.py", "notebook/test_travelling.py", "notebook/test_writing_cells.py", "sandbox/test_broken.py",
    "sandbox/test_claims.py", "sandbox/test_denied.py", "sandbox/test_endings.py", "sandbox/test_full.py",
    "sandbox/test_leaks.py", "sandbox/test_limits.py", "sandbox/test_permissions.py", "sandbox/test_walls.py",
    "store/test_opening.py", "store/test_processes.py", "test_http.py", "test_quality.py", "test_testing.py",
    "test_tools_module.py", "writing/test_loop.py",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the fast tests be run alone, as on the other Pythons."""
    parser.addoption(
        "--fast", action="store_true", help="leave out kernels, browsers, and what starts many processes"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--fast``, don't even import the others."""
    if not config.getoption("--fast") or not collection_path.is_relative_to(REPOSITORY / "tests"):
        return None
    return collection_path.relative_to(REPOSITORY / "tests").as_posix() in _NOT_FAST or None


def pytest_xdist_auto_num_workers() -> int:
    """Start more workers than there are cores: kernels and processes are mostly waited for."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it at the end."""
    for item in items:
        again = item.nodeid.startswith(_ONCE) and "ipykernel6" in item.nodeid
        if again or item.nodeid.startswith(_THOROUGH):
            item.add_marker("thorough")
    items.sort(key=lambda item: next((i for i, part in enumerate(_SLOW) if part in item.nodeid), len(_SLOW)))


_SECRETS = ("_API_KEY", "_BASE_URL", "_API_BASE")


@dataclass
class Cell:
    """What a client saw of one cell."""

    status: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    error_name: str = ""
    traceback: str = ""
    execution_count: int | None = None

    @property
    def stdout(self) -> str:
        return "".join(o["text"] for o in self.outputs if o["kind"] == "stream" and o["name"] == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(o["text"] for o in self.outputs if o["kind"] == "stream" and o["name"] == "stderr")

    @property
    def displays(self) -> list[dict[str, Any]]:
        """What a saved notebook would hold: displays with their updates applied, and the value."""
        return [o for o in self.outputs if o["kind"] in ("display_data", "execute_result")]

    @property
    def plain(self) -> str:
        """All the text that the cell shows at its end."""
        shown = [
            o["text"] if o["kind"] == "stream" else o["data"].get("text/plain", "") for o in self.outputs
        ]
        return "\n".join(shown)

    @property
    def html(self) -> str:
        return "\n".join(o["data"].get("text/html", "") for o in self.displays)


class Kernel:
    """A real kernel and a client that can queue cells, as a notebook's Run All does."""

    def __init__(self, env: dict[str, str], cwd: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="python3")
        self.env, self.cwd = env, cwd
        self.manager.start_kernel(env=env, cwd=str(cwd))
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.process.pid)

    def send(self, code: str, *, browser: bool = False, stop_on_error: bool = False) -> str:
        """Ask for a cell; as a browser does, whose requests are numbered by UUIDs, or as Python clients do."""
        if not browser:
            return str(self.client.execute(code, stop_on_error=stop_on_error))
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": stop_on_error}
        return self.post("execute_request", content)

    def post(self, kind: str, content: dict[str, Any]) -> str:
        """Send a message as a browser does; gives its id."""
        message = self.client.session.msg(kind, content)
        message["header"]["msg_id"] = message["msg_id"] = str(uuid.uuid4())
        self.client.shell_channel.send(message)
        return str(message["msg_id"])

    def collect(
        self, request: str, timeout: float = 60, on_message: Callable[[dict[str, Any]], None] | None = None
    ) -> Cell:
        """Read messages until this request's cell is over."""
        cell = Cell()
        end = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"The cell did not end: {cell.outputs}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            cell.messages.append(message)
            if on_message is not None:
                on_message(message)
            _take(cell, message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == request:
                cell.status = reply["content"]["status"]
                return cell

    def run(
        self,
        code: str,
        timeout: float = 60,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        *,
        browser: bool = False,
    ) -> Cell:
        return self.collect(self.send(code, browser=browser), timeout, on_message)

    def queue(self, codes: list[str], timeout: float = 120) -> list[Cell]:
        """Send all cells at once, then wait for each."""
        requests = [self.send(code) for code in codes]
        cells = {request: Cell() for request in requests}
        idle: set[str] = set()
        end = time.monotonic() + timeout
        while len(idle) < len(requests):
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            parent = message["parent_header"].get("msg_id")
            if parent in cells:
                cells[parent].messages.append(message)
                _take(cells[parent], message)
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    idle.add(parent)
        answered = 0
        while answered < len(requests):
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            parent = reply["parent_header"].get("msg_id")
            if parent in cells:
                cells[parent].status = reply["content"]["status"]
                answered += 1
        return [cells[request] for request in requests]

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        self.client.stop_channels()
        self.manager.restart_kernel(now=False)
        self._connect()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def descendants(self) -> list[int]:
        return descendants(self.pid)

    def close(self) -> float:
        """Shut the kernel down as a front end does; gives the seconds it took."""
        started = time.monotonic()
        self.client.stop_channels()
        with suppress(Exception):
            self.manager.shutdown_kernel(now=False)
        return time.monotonic() - started


def _take(cell: Cell, message: dict[str, Any]) -> None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        last = cell.outputs[-1] if cell.outputs else None
        if last and last["kind"] == "stream" and last["name"] == content["name"]:
            last["text"] += content["text"]
        else:
            cell.outputs.append({"kind": "stream", "name": content["name"], "text": content["text"]})
    elif kind in ("display_data", "execute_result"):
        shown = content.get("transient", {}).get("display_id")
        cell.outputs.append({"kind": kind, "data": content["data"], "display_id": shown})
        cell.execution_count = content.get("execution_count", cell.execution_count)
    elif kind == "update_display_data":
        for output in cell.outputs:
            if output.get("display_id") == content["transient"]["display_id"]:
                output["data"] = content["data"]
    elif kind == "error":
        cell.error, cell.error_name = content["evalue"], content["ename"]
        cell.traceback = "\n".join(content["traceback"])


def descendants(pid: int) -> list[int]:
    """List every living process below `pid`."""
    listing = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    children: dict[int, list[int]] = {}
    for line in listing.splitlines():
        child, parent, state = line.split()
        if not state.startswith("Z"):
            children.setdefault(int(parent), []).append(int(child))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "fact-home"


def _environment(home: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)}
    env.pop("DATABASE_URL", None)
    return {
        **env,
        "FACT_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
        "IPYTHONDIR": str(home.parent / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home.parent / "runtime"),
    }


@pytest.fixture
def plain_environment(home: Path) -> dict[str, str]:
    """An environment without keys, in which the package can be imported and keeps its data aside."""
    return _environment(home)


@pytest.fixture(scope="session")
def ipykernel6(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that puts ipykernel 6 before the installed 7 on a kernel's path."""
    prepared = os.environ.get("FACT_IPYKERNEL6")
    if prepared:
        return prepared
    folder = tmp_path_factory.mktemp("ipykernel6")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, "ipykernel==6.31.0", "nest-asyncio==1.6.0"], check=True, timeout=300)
    return str(folder)


@contextmanager
def _kernels(
    base: dict[str, str], folder: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Kernel]]:
    started: list[Kernel] = []

    def start(*, version: int = 7, cwd: Path | None = None, load: bool = True, **env: str) -> Kernel:
        environment = {**base, **env}
        if version == 6:
            older = request.getfixturevalue("ipykernel6")
            environment["PYTHONPATH"] = os.pathsep.join([older, environment["PYTHONPATH"]])
        kernel = Kernel(environment, cwd or folder)
        started.append(kernel)
        if load:
            cell = kernel.run("%load_ext fact_magics")
            assert cell.status == "ok", cell.traceback
        return kernel

    try:
        yield start
    finally:
        for kernel in started:
            kernel.close()


@pytest.fixture
def start_kernel(
    plain_environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Kernel]]:
    """Start real kernels; each is shut down at the test's end."""
    with _kernels(plain_environment, tmp_path, request) as start:
        yield start


@pytest.fixture(scope="module")
def start_module_kernel(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Kernel]]:
    """Start kernels that the tests of a module share, on a FACT_HOME of their own."""
    folder = tmp_path_factory.mktemp("module")
    with _kernels(_environment(folder / "fact-home"), folder, request) as start:
        yield start


@pytest.fixture(params=[7, 6], ids=["ipykernel7", "ipykernel6"])
def kernel(start_kernel: Callable[..., Kernel], request: pytest.FixtureRequest) -> Kernel:
    """A kernel with the extension loaded and no model at hand, on ipykernel 7 and on 6."""
    return start_kernel(version=request.param)
