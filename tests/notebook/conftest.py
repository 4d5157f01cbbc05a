"""Kernels that ask a scripted model server over the real wire."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from shells import new_shell

from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def loaded() -> Iterator[Any]:
    """IPython without a kernel, with the extension loaded."""
    shell = new_shell()
    shell.extension_manager.load_extension("fact_magics")
    yield shell
    shell.extension_manager.unload_extension("fact_magics")


@pytest.fixture(scope="module")
def kernels_by_version() -> dict[int, Any]:
    """The module's kernels: starting one takes seconds, beginning anew in it does not."""
    return {}


@pytest.fixture
def modelled(
    start_module_kernel: Callable,
    kernels_by_version: dict[int, Any],
    server: ModelServer,
    home: Path,
    request: pytest.FixtureRequest,
) -> Any:
    """A kernel whose model is the server, with an empty FACT_HOME, on the ipykernel that the test names, else on 7."""
    version = getattr(request, "param", 7)
    kernel = kernels_by_version.get(version)
    if kernel is None or not kernel.manager.is_alive():
        kernel = kernels_by_version[version] = start_module_kernel(version=version)
    own = {"FACT_HOME": str(home), **server.environment()}
    begun = kernel.run(
        f"%reset -f\nimport os\nos.environ.update({own!r})\nos.chdir({str(home.parent)!r})\n"
        "%reload_ext fact_magics\ndel os"
    )
    assert begun.status == "ok", begun.traceback
    kernel.env = {**kernel.env, **own}
    return kernel


@pytest.fixture
def shout() -> str:
    """A tool's source that no shelf has."""
    return (
        "def shout(text: str, *, times: int = 1) -> str:\n"
        '    """Write text loudly."""\n'
        '    return text.upper() + "!" * times\n'
    )


@pytest.fixture
def shout_cell() -> str:
    return "%%fact_generate shout\nWrite text loudly.\n\n>>> shout(\"hi\")\n'HI!'\n"


@dataclass
class Desk:
    """A kernel, the model that it asks, and the database that it fills; tests share one, under names of their own."""

    kernel: Any
    server: ModelServer

    @property
    def home(self) -> Path:
        return Path(self.kernel.env["FACT_HOME"])

    def run(self, code: str, **options: Any) -> Any:
        return self.kernel.run(code, **options)

    def write(self, name: str, *sources: str, examples: str = "", options: str = "", text: str = "") -> Any:
        """Script the model's answers, and run the cell that asks for the tool."""
        for source in sources:
            self.server.writes(source)
        return self.run(f"%%fact_generate {name} {options}\n{text or f'Write {name}.'}\n\n{examples}")

    def value(self, expression: str) -> Any:
        """What an expression comes to in the kernel, as JSON carries it."""
        cell = self.run(f"import json as _json\nprint(_json.dumps({expression}))")
        assert cell.status == "ok", cell.traceback
        return json.loads(cell.stdout)

    def history(self, options: str = "") -> list[dict[str, Any]]:
        return json.loads(self.run(f"%fact history --json {options}").stdout)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database file as any SQLite client does."""
        with closing(sqlite3.connect(self.home / "fact_magics.db")) as connection:
            return connection.execute(sql, parameters).fetchall()

    def counts(self) -> dict[str, int]:
        """How many rows each table has that a cell could add to."""
        tables = ("tools", "generations", "tool_executions", "cache")
        return {table: self.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables}  # noqa: S608


@pytest.fixture(scope="module")
def module_desk(start_module_kernel: Callable) -> Iterator[Desk]:
    with ModelServer() as running:
        yield Desk(start_module_kernel(**running.environment()), running)


@pytest.fixture
def desk(module_desk: Desk) -> Desk:
    """The module's kernel, with no answer left over from a test that failed."""
    module_desk.server._script.clear()
    return module_desk
