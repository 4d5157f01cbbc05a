"""A real JupyterLab and a real Notebook 7, on one server, in headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REPOSITORY = Path(__file__).parent.parent.parent
PAGE = Path(__file__).with_name("page.js")
TIMEOUT = 180_000  # milliseconds; a page that hangs fails, a busy machine does not
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_SECRETS = ("_API_KEY", "_BASE_URL", "_API_BASE")
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
_SETTINGS = {
    # JupyterLab does not ask whether to fetch news.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # All widget state is saved, unlike the default, since the tests assert that there is none.
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
}


def _missing(reason: str) -> None:
    if os.environ.get("FACT_REQUIRE_BROWSER") == "1":
        pytest.fail(f"FACT_REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@contextmanager
def launched() -> Iterator[Any]:
    """Launch headless Chromium, as the system has it."""
    chromium = os.environ.get("FACT_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    if chromium is None:
        _missing("no Chromium is installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield opened
        opened.close()


# Not a fixture of the session: while playwright runs, no other test in the process can have an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Launch the browser that all tests of a module share."""
    with launched() as opened:
        yield opened


@dataclass
class Site:
    """A Jupyter server, the folder of its notebooks, and a model server for the kernel named "modelled".

    Other kernels have no key, so they use the shelf.
    """

    url: str
    folder: Path
    server: ModelServer
    kernel: str = ""

    def __post_init__(self) -> None:
        self.kernel = self._post("kernels", {"name": "modelled"})["id"]

    def write(self, name: str, cells: Sequence[str], *, goes_on: bool = False) -> None:
        """Write a notebook that uses the modelled kernel; with `goes_on`, it continues after a cell that fails."""
        kernel = {"display_name": "Modelled", "language": "python", "name": "modelled"}
        metadata = {"tags": ["raises-exception"]} if goes_on else {}
        code = [new_code_cell(cell, metadata=metadata) for cell in cells]
        nbformat.write(new_notebook(cells=code, metadata={"kernelspec": kernel}), self.folder / name)
        self._post(
            "sessions", {"path": name, "name": name, "type": "notebook", "kernel": {"id": self.kernel}}
        )

    def copy(self, path: Path, name: str) -> Any:
        """Copy a notebook into the folder without its outputs, and return the original.

        No open notebook may have this name: JupyterLab asks before it saves over a file that has changed.
        """
        given = nbformat.read(path, as_version=4)
        emptied = deepcopy(given)
        for cell in emptied.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(emptied, self.folder / name)
        return given

    def _post(self, what: str, content: dict[str, Any]) -> Any:
        body = json.dumps(content).encode()
        with urlopen(Request(f"{self.url}/api/{what}", body), timeout=60) as answer:  # noqa: S310 - the server is ours
            return json.load(answer)


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """Serve JupyterLab and Notebook 7 from a folder, which also holds FACT_HOME."""
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    for plugin, settings in _SETTINGS.items():
        file = folder / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings), "utf-8")
    with ModelServer() as model:
        kernel = folder / "data" / "kernels" / "modelled" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        launched = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        described = {"argv": launched, "display_name": "Modelled", "language": "python"}
        kernel.write_text(json.dumps({**described, "env": model.environment()}), "utf-8")
        env = {name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)}
        env |= {
            "HOME": str(folder / "home"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            "FACT_HOME": str(folder / "fact"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
            "PATH": _PATH,
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--port=0"),
            *("--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"),
            *("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"),
            *("--LabApp.extension_manager=readonly", f"--ServerApp.root_dir={notebooks}"),
        ]
        process = subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True)
        try:
            yield Site(_address(process), notebooks, model)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:  # seen once; no test here is about the end of the server
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[str]) -> str:
    """Wait until a server has written its address and accepts connections."""
    told = []
    assert process.stderr is not None
    for line in process.stderr:
        told.append(line)
        if found := re.search(r"(http://127\.0\.0\.1:(\d+))/lab", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            while process.poll() is None:
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(found[2]))):
                    return found[1]
                time.sleep(0.02)
    raise AssertionError("".join(told))


@dataclass
class Front:
    """A window of JupyterLab or Notebook 7, and the notebook that it shows.

    Attributes
    ----------
    complaints : list of str
        Errors of the page, and error messages of its console.
    """

    page: Any
    site: Site
    complaints: list[str] = field(default_factory=list)
    ran: int = 0

    def __post_init__(self) -> None:
        self.page.set_default_timeout(TIMEOUT)
        self.page.add_init_script(path=PAGE)
        self.page.on("pageerror", self._note)
        self.page.on("console", self._listen)
        self.page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    def _note(self, error: Any) -> None:
        places = re.findall(r"https?://\S+|blob:\S+", error.stack or "")
        # Two errors of the applications themselves, whose tracebacks have no other code: Notebook 7 fails on
        # settings that only JupyterLab has, and JupyterLab now and then when one notebook replaces another.
        own = "/static/lab/" if "'removeChild' on 'Node'" in str(error) else "/static/notebook/"
        if not places or not all(own in place for place in places):
            self.complaints.append(f"page error: {error.stack or error}")

    def _listen(self, message: Any) -> None:
        # When one notebook replaces another, JupyterLab sometimes gives the focus to the closed one, or asks its
        # kernel for the state of the debugger.
        jupyterlab = ("_ensureFocus" in message.text and "/static/lab/" in message.text) or (
            message.text.startswith("Could not restore the debugger state")
        )
        if message.type == "error" and "favicon" not in message.text and not jupyterlab:
            self.complaints.append(f"console: {message.text} {message.location}")

    def start(self) -> None:
        """Load JupyterLab without a notebook."""
        self.page.goto(f"{self.site.url}/lab?reset")
        self.page.wait_for_function("window.jupyterapp?.shell")

    def load(self, path: str) -> None:
        """Load a page that shows a notebook."""
        self.page.goto(f"{self.site.url}/{path}")
        self.idle()

    def open(self, name: str) -> None:
        """Show a notebook in JupyterLab; other open notebooks are closed without saving."""
        self.page.evaluate("path => inPage.open(path)", name)
        self.idle()

    def save(self) -> Any:
        """Save the notebook and read its file."""
        return nbformat.read(self.site.folder / self.page.evaluate("inPage.save()"), as_version=4)

    def run_all(self) -> None:
        """Start Run All and record what the page shows."""
        self.page.evaluate("inPage.watch()")
        self.ran = max((count or 0 for count in self.counts()), default=0)
        self.page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")

    def done(self) -> None:
        """Wait until all cells have run since Run All, and the kernel is idle."""
        try:
            self.page.wait_for_function("count => inPage.ran(count)", arg=self.ran)
        except Exception as error:
            error.add_note(f"the cells' counts: {self.counts()}, and {self.ran} was the highest before")
            raise
        self.idle()

    def idle(self) -> None:
        self.page.wait_for_function("inPage.ready()")

    def saw(self) -> Any:
        """Return what the page recorded of live views since Run All."""
        return self.page.evaluate("inPage.saw")

    def counts(self) -> list[int | None]:
        """Return the execution counts of the code cells."""
        return list(self.page.evaluate("inPage.counts()"))

    def scroll(self, cell: int) -> None:
        self.page.evaluate("cell => inPage.scroll(cell)", cell)

    def shown(self) -> str:
        """Return the text of all outputs."""
        return "\n".join(self.page.locator(".jp-OutputArea-output").all_text_contents())

    def faint(self, selector: str) -> dict[str, float]:
        """Return the pieces of text with too little contrast, with their contrast ratios."""
        # Right after a change of the theme, nothing is visible for a moment.
        found = self.page.wait_for_function(
            "selector => (([count, faint]) => count && faint)(inPage.faint(selector))", arg=selector
        )
        return dict(found.json_value())

    def theme(self, name: str) -> None:
        """Choose one of JupyterLab's themes."""
        self.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", f"JupyterLab {name}"
        )
        self.page.wait_for_selector(
            f"body[data-jp-theme-light={str(name == 'Light').lower()}]", state="attached"
        )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for screenshots: FACT_SCREENSHOTS, or a temporary one."""
    folder = Path(os.environ.get("FACT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start the server that all tests of a module share."""
    del browser  # the server is only started if there is a browser
    for package in ("jupyterlab", "notebook", "anywidget"):
        if find_spec(package) is None:
            _missing(f"{package} is not installed")
    with serving(tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest.fixture(scope="module")
def open_window(browser: Any, site: Site) -> Iterator[Callable[[], Front]]:
    """Return a function that opens windows, which share a cache."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    yield lambda: Front(context.new_page(), site)
    context.close()


@pytest.fixture(scope="module")
def lab_window(open_window: Callable[[], Front]) -> Front:
    """JupyterLab, loaded once for all tests that use it."""
    front = open_window()
    front.start()
    return front


@pytest.fixture(scope="module")
def classic_window(open_window: Callable[[], Front]) -> Front:
    """Notebook 7, which shows one notebook on each page."""
    return open_window()


@pytest.fixture
def lab(lab_window: Front, pictures: Path, request: pytest.FixtureRequest) -> Iterator[Front]:
    """JupyterLab; an error in the page fails the test."""
    yield from _watched(lab_window, pictures / f"{request.node.name}.png")


@pytest.fixture
def classic(classic_window: Front, pictures: Path, request: pytest.FixtureRequest) -> Iterator[Front]:
    """Notebook 7; an error in the page fails the test."""
    yield from _watched(classic_window, pictures / f"{request.node.name}.png")


def _watched(front: Front, picture: Path) -> Iterator[Front]:
    front.complaints.clear()
    front.site.server._script.clear()  # answers that an earlier test left
    yield front
    front.page.screenshot(path=picture)
    assert not front.complaints, json.dumps(front.complaints, indent=1)
