"""Options of the test suite, and fixtures that the tests of several folders share."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from kernels import Kernel
from late import made

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from fact_magics.testing import ModelServer

REPOSITORY = Path(__file__).parent.parent
_SECRETS = ("_API_KEY", "_BASE_URL", "_API_BASE")
# Cells that make a tool would each take a second more. The tests of probing switch it on again.
os.environ.setdefault("FACT_PROBE", "off")
# Hundreds of processes import the package; without its byte code, each of them would compile it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine may be slow to make random values, and slow to run a test once.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_SETTINGS = ("DATABASE_URL", "FACT_MODEL", "FACT_REPLAY", "FACT_CACHE_URL", "SECRET_KEY")

# A file's own markers, read from its text: with --fast, a file that needs more packages is never imported.
_NOT_FAST = re.compile(r"^pytestmark = .*\bmark\.(slow|kernel)\b", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--fast``: the tests that need seconds and the core's packages, as on the other Pythons."""
    parser.addoption("--fast", action="store_true", help="leave out tests marked slow or kernel")


def pytest_configure(config: pytest.Config) -> None:
    """Deselect single tests with ``--fast``, and let this process be interrupted."""
    if config.getoption("--fast"):
        chosen = config.option.markexpr
        config.option.markexpr = " and ".join(
            filter(None, [chosen and f"({chosen})", "not slow and not kernel"])
        )
    # A script's background job ignores SIGINT, and so does each process that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--fast``, leave out files that are marked as a whole, and folders of nothing but such files."""
    if not config.getoption("--fast") or not collection_path.is_relative_to(REPOSITORY / "tests"):
        return None
    files = collection_path.rglob("test_*.py") if collection_path.is_dir() else [collection_path]
    return all(_NOT_FAST.search(file.read_text(encoding="utf-8")) for file in files) or None


def pytest_xdist_auto_num_workers() -> int:
    """Start more workers than there are cores: kernels and processes are mostly waited for."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Do not look for garbage among the million objects of a collection: they stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it at the end."""
    items.sort(
        key=lambda item: (item.get_closest_marker("early") is None, item.get_closest_marker("kernel") is None)
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Make a test's large parameters when it runs."""
    with made(item):
        return (yield)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "fact-home"


def _environment(home: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)}
    env.pop("DATABASE_URL", None)
    env.pop("FACT_CACHE_URL", None)
    env.pop("FACT_REPLAY", None)
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


@pytest.fixture
def no_user_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the models, keys and database that the user's environment names."""
    for name in list(os.environ):
        if name.endswith(_SECRETS) or name in _SETTINGS:
            monkeypatch.delenv(name)


@pytest.fixture
def one_in_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a core start one process for tools in advance, not two, as it does on a machine with one core."""
    if sys.platform == "linux":  # elsewhere a core starts none
        monkeypatch.setattr("fact_magics.sandbox.zygotes._WARM", 1)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model server that answers as the test scripts it."""
    from fact_magics.testing import ModelServer

    with ModelServer() as running:
        yield running


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
