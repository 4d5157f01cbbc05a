"""Libraries that work for fact_magics stay out of the user's logs; the user's own work with them does not."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextvars import copy_context
from typing import TYPE_CHECKING

import aiosqlite
import pytest

from fact_magics.bridge import LoopThread
from fact_magics.quiet import begin_work, quieten
from fact_magics.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """What reaches a root logger that is set to DEBUG."""
    records: list[logging.LogRecord] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    root, handler = logging.getLogger(), Collecting()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield records
    root.setLevel(before)
    root.removeHandler(handler)


@pytest.fixture
def library() -> logging.Logger:
    logging.getLogger("some_library.part")
    quieten("some_library")
    return logging.getLogger("some_library.part")


def test_a_library_is_quiet_only_while_it_works_for_us(logged, library):
    def work() -> None:
        begin_work()
        library.debug("hidden")
        library.info("hidden")
        library.warning("shown")

    copy_context().run(work)
    library.debug("shown, for the user")
    assert [record.message for record in map(_formatted, logged)] == ["shown", "shown, for the user"]


def _formatted(record: logging.LogRecord) -> logging.LogRecord:
    record.message = record.getMessage()
    return record


async def test_the_database_logs_nothing_and_the_user_s_own_one_does(logged, tmp_path: Path):
    async with await Store.open(tmp_path / "facts.db") as store:
        await store.sessions.start("5e")
    assert [record.name for record in logged if record.name == "aiosqlite"] == []
    async with aiosqlite.connect(":memory:", factory=sqlite3.Connection) as connection:
        await connection.execute("SELECT 1")
    assert "aiosqlite" in {record.name for record in logged}


def test_what_runs_on_our_loop_and_its_threads_is_ours(logged, library):
    async def work() -> None:
        library.debug("hidden")
        await asyncio.to_thread(library.debug, "hidden")
        await asyncio.create_task(asyncio.to_thread(library.debug, "hidden"))

    thread = LoopThread()
    thread.submit(work()).wait(lambda: None)
    thread.close()
    library.debug("shown")
    assert [record.getMessage() for record in logged if record.name == library.name] == ["shown"]
