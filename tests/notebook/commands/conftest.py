"""``%fact`` lines without a kernel: a workshop, and a notebook that writes down what is done to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from markup import parse

from fact_magics.notebook.commands import manage
from fact_magics.session import Session
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate, ExecutionRow
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fact_magics.core.handle import Tool
    from fact_magics.display.html import Record

__all__ = ["parse"]


@dataclass
class Paper:
    """A notebook that nobody looks at."""

    shown: list[Record] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)

    def show(self, record: Record) -> None:
        self.shown.append(record)

    def put_cell(self, text: str) -> None:
        self.cells.append(text)

    def refuse_loss(self, name: str, *, replace: bool) -> None:
        del name, replace

    def bind(self, name: str, value: object) -> None:
        del name, value

    def rebind(self, tool: Tool) -> bool:
        del tool
        return False

    def own_names(self) -> dict[str, Any]:
        return self.names


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_user_settings: None) -> Path:
    """The notebook's directory, beside a FACT_HOME that is not there yet, without anyone's keys."""
    monkeypatch.setenv("FACT_HOME", str(tmp_path / "home"))
    made = tmp_path / "notebooks"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def workshop(folder: Path) -> Iterator[Session]:
    made = Session(lambda: {"isolation": "process"})  # which starts nothing ahead
    assert made.directory == folder
    yield made
    made.close()


@pytest.fixture
def notebook() -> Paper:
    return Paper()


@pytest.fixture
def fact(workshop: Session, notebook: Paper) -> Callable[[str], Any]:
    """Give what a line shows; what it prints as JSON, read."""

    def ask(line: str) -> Any:
        answer = manage(line, workshop, notebook)
        return json.loads(answer) if isinstance(answer, str) and "--json" in line.split() else answer

    return ask


@pytest.fixture
def keep_tools(workshop: Session) -> Callable[..., None]:
    """Store tools as generations do."""

    def keep(*names: str) -> None:
        store = workshop.core._store

        async def accept() -> None:
            for name in names:
                source = f"def {name}(n: int) -> int:\n    return 2 * n\n"
                identity = signature_identity(read_signature(source, name))
                candidate = Candidate(name=name, source=source, signature_id=identity, description="Twice.")
                await store.tools.accept(candidate)

        workshop.submit(accept()).wait(lambda: None)

    return keep


@pytest.fixture
def keep_runs(workshop: Session) -> Callable[..., None]:
    """Store runs of this session, the last one with the highest number."""

    def keep(tool: str, count: int, **known: Any) -> None:
        core = workshop.core
        rows = [
            ExecutionRow(
                session_id=core.session_id,
                tool_name=tool,
                status=Status.OK,
                input_data=f'{{"n": {number}}}',
                output_data=str(2 * number),
                executed_at=f"2026-01-01T00:00:00.{number:03}Z",
                **known,
            )
            for number in range(count)
        ]
        workshop.submit(core._store.commit(executions=rows)).wait(lambda: None)

    return keep
