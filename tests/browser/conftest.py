"""A real JupyterLab and a real Notebook 7, on one server, in headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REPOSITORY = Path(__file__).parent.parent.parent
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_SECRETS = ("_API_KEY", "_BASE_URL", "_API_BASE")
TIMEOUT = 60_000  # milliseconds; a page that hangs fails, a busy machine does not


def _missing(reason: str) -> None:
    if os.environ.get("FACT_REQUIRE_BROWSER") == "1":
        pytest.fail(f"FACT_REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, as the system has it."""
    chromium = os.environ.get("FACT_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    if chromium is None:
        _missing("no Chromium is installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    for package in ("jupyterlab", "notebook"):
        if shutil.which(f"jupyter-{'lab' if package == 'jupyterlab' else package}", path=_path()) is None:
            _missing(f"{package} is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield opened
        opened.close()


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


@dataclass
class Site:
    """A Jupyter server, the model that its kernels ask, and its notebooks' folder."""

    url: str
    folder: Path
    server: ModelServer

    def write(self, name: str, cells: Sequence[str]) -> None:
        """Put a notebook there, with an empty FACT_HOME of its own."""
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        code = [new_code_cell(cell) for cell in cells]
        nbformat.write(new_notebook(cells=code, metadata={"kernelspec": kernel}), self.folder / name)

    def read(self, name: str) -> Any:
        return nbformat.read(self.folder / name, as_version=4)


@pytest.fixture(scope="module")
def saves_state() -> bool:
    """Whether the widgets' manager saves the state of widgets, which it does not by itself."""
    return False


@pytest.fixture(scope="module")
def site(browser: Any, saves_state: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for both front ends, on a folder and a FACT_HOME of its own."""
    folder = tmp_path_factory.mktemp("site")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    with ModelServer() as model:
        env = {name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)}
        env |= {
            "HOME": str(folder / "home"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(_settings(folder / "settings", saves_state=saves_state)),
            "IPYTHONDIR": str(folder / "ipython"),
            "FACT_HOME": str(folder / "fact"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
            "PATH": _path(),
            **model.environment(),
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--port=0"),
            *("--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"),
            *("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"),
            f"--ServerApp.root_dir={notebooks}",
        ]
        process = subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True)
        try:
            yield Site(_address(process), notebooks, model)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _settings(folder: Path, *, saves_state: bool) -> Path:
    """Ask nobody for news."""
    for plugin, settings in (
        ("@jupyterlab/apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False}),
        ("@jupyter-widgets/jupyterlab-manager/plugin", {"saveState": saves_state}),
    ):
        file = folder / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings), "utf-8")
    return folder


def _address(process: subprocess.Popen[str]) -> str:
    told = []
    assert process.stderr is not None
    for line in process.stderr:
        told.append(line)
        found = re.search(r"(http://(?:localhost|127\.0\.0\.1):\d+)/lab", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("".join(told))


_READY = """() => {
  const app = window.jupyterapp;
  const panel = app && app.shell.currentWidget;
  const session = panel && panel.context && panel.context.sessionContext.session;
  return Boolean(session && session.kernel && session.kernel.status === 'idle');
}"""


@dataclass
class Front:
    """A notebook that is open in a browser.

    Attributes
    ----------
    complaints : list of str
        Errors of the page, and what its console called an error or a warning of ours.
    """

    page: Any
    site: Site
    name: str
    complaints: list[str] = field(default_factory=list)

    def command(self, name: str) -> None:
        """Do what a menu entry does, without waiting for its end."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def idle(self) -> None:
        self.page.wait_for_function(_READY, timeout=TIMEOUT)

    def done(self, cells: int) -> None:
        """Wait until so many cells have run, and the kernel is idle."""
        self.page.wait_for_function(
            "n => window.jupyterapp.shell.currentWidget.content.widgets.slice(0, n)"
            ".every(cell => cell.model.executionCount)",
            arg=cells,
            timeout=TIMEOUT,
        )
        self.idle()

    def outputs(self, cell: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-Cell-outputWrapper")

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: FACT_SCREENSHOTS, or the test's own folder."""
    folder = Path(os.environ.get("FACT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_notebook(browser: Any, site: Site, pictures: Path) -> Iterator[Callable[..., Front]]:
    """Open notebooks, each in a new page; what the page complains of fails the test."""
    fronts: list[Front] = []
    site.server._script.clear()  # what a test before left over

    def start(
        name: str,
        cells: Sequence[str] | None = None,
        *,
        app: str = "",
        wait: bool = True,
        scheme: str = "light",
    ) -> Front:
        if cells is not None:
            site.write(name, cells)
        context = browser.new_context(viewport={"width": 1000, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        front = Front(page, site, name)
        fronts.append(front)
        page.on("pageerror", lambda error: _note(front, error))
        page.on("console", lambda message: _listen(front, message))
        page.on("dialog", lambda dialog: front.complaints.append(f"a dialog: {dialog.message}"))
        # A workspace of its own: JupyterLab would open what was open in the last page as well.
        page.goto(f"{site.url}/{app or f'lab/workspaces/{Path(name).stem}/tree'}/{name}")
        if wait:
            front.idle()
        return front

    yield start
    for front in fronts:
        front.page.screenshot(path=pictures / f"last-{Path(front.name).stem}.png")
        front.page.context.close()
    complaints = [complaint for front in fronts for complaint in front.complaints]
    assert not complaints, json.dumps(complaints, indent=1)


def _note(front: Front, error: Any) -> None:
    places = re.findall(r"https?://\S+|blob:\S+", error.stack or "")
    # Notebook 7 stumbles over settings of JupyterLab's that it does not have; no code but its own is in that.
    if not places or not all("/static/notebook/" in place for place in places):
        front.complaints.append(f"page error: {error.stack or error}")


def _listen(front: Front, message: Any) -> None:
    if message.type == "error" and "favicon" not in message.text:
        front.complaints.append(f"console: {message.text} {message.location}")
