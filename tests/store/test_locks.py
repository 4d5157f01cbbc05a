"""Another program's lock: how long work waits for it, what is said meanwhile, and how a wait is ended."""

from __future__ import annotations

import _thread
import asyncio
import os
import sqlite3
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreLocked
from fact_magics.store import LOCK_SECONDS, Candidate, ExecutionRow, Store
from fact_magics.store.locks import BRIEF_LOCK_SECONDS, holder
from fact_magics.tool import Status

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., Candidate]
    Start = Callable[..., subprocess.Popen[str]]

HOLD = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    sys.stdin.read()
"""
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Keep a transaction for writing open, on a connection of its own."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def told(store: Store) -> tuple[list[str], threading.Event]:
    """Collect the notices about waits; the event tells that one came."""
    notices: list[str] = []
    came = threading.Event()

    def take(text: str) -> None:
        notices.append(text)
        came.set()

    store._database._locks.tell = take
    return notices, came


def row() -> ExecutionRow:
    return ExecutionRow(tool_name="double", status=Status.OK)


class TestWaiting:
    async def test_work_goes_on_when_the_lock_is_released_and_the_wait_was_told_once(
        self, store: Store
    ) -> None:
        notices, came = told(store)
        with locked(store.path):
            writing = [asyncio.create_task(store.commit([row()])) for _ in range(3)]
            await asyncio.to_thread(came.wait, 60)
            assert not any(task.done() for task in writing)
        await asyncio.gather(*writing)
        assert len(notices) == 1
        assert notices[0].startswith(f"Waiting for the database {store.path}: ")
        assert notices[0].endswith(" holds a lock on it. The wait ends after 25 s; interrupt to end it now.")
        assert len(await store.history.runs()) == 3

    async def test_by_default_the_notice_goes_to_stderr(
        self, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with locked(store.path), pytest.raises(StoreLocked):
            await store.commit([row()], wait=store.lock_wait(1.5))
        assert capsys.readouterr().err.startswith("fact_magics: Waiting for the database ")

    async def test_the_wait_has_an_end_and_the_next_lock_is_told_again(self, store: Store) -> None:
        notices, _ = told(store)
        for number in (1, 2):
            with (
                locked(store.path),
                pytest.raises(StoreLocked, match="is locked by ") as caught,
            ):
                await store.commit([row()], wait=store.lock_wait(1.5))
            assert " that keeps a transaction open, then run the cell again." in caught.value.hint
            assert len(notices) == number
        await store.commit([row()])

    async def test_a_lock_that_comes_after_one_that_was_outlasted_is_told_again(self, store: Store) -> None:
        notices, came = told(store)
        for number in (1, 2):
            with locked(store.path):
                writing = asyncio.create_task(store.commit([row()]))
                await asyncio.to_thread(came.wait, 3)
                came.clear()
            await writing
            assert len(notices) == number

    async def test_after_a_wait_in_vain_work_hardly_waits_until_some_succeeds(self, store: Store) -> None:
        with locked(store.path):
            with pytest.raises(StoreLocked):
                await store.commit([row()], wait=store.lock_wait(0.2))
            assert await store.history.runs() == []
            assert store.is_locked
            assert store._database._locks.seconds == BRIEF_LOCK_SECONDS
        await store.commit([row()])
        assert not store.is_locked
        assert store._database._locks.seconds == LOCK_SECONDS

    async def test_a_short_wait_is_not_told(self, store: Store) -> None:
        notices, _ = told(store)
        with locked(store.path), pytest.raises(StoreLocked):
            await store.commit([row()], wait=store.lock_wait(0.2))
        assert notices == []

    async def test_reading_does_not_wait(self, store: Store, candidate: Make) -> None:
        await store.tools.accept(candidate())
        with locked(store.path):
            assert (await store.tools.names(), await store.history.runs()) == (["slugify"], [])

    async def test_opening_waits_too(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path.parent.mkdir(mode=0o700)
        with locked(path) as other:
            other.execute("PRAGMA user_version = 0")
            opening = asyncio.create_task(Store.open(path))
            while not (said := capsys.readouterr().err):
                await asyncio.sleep(0.05)
            assert "Waiting for the database" in said
            other.execute("ROLLBACK")
        await (await opening).aclose()


class TestEnding:
    async def test_a_caller_that_is_cancelled_ends_the_wait(self, store: Store) -> None:
        _, came = told(store)
        with locked(store.path):
            writing = asyncio.create_task(store.commit([row()], wait=store.lock_wait(600)))
            await asyncio.to_thread(came.wait, 60)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert await store.tools.names() == []  # the thread is free for other work

    async def test_only_work_that_was_asked_for_before_is_ended(self, store: Store) -> None:
        _, came = told(store)
        with locked(store.path):
            first = asyncio.create_task(store.commit([row()], wait=store.lock_wait(600)))
            await asyncio.to_thread(came.wait, 60)
            store.stop_waiting()
            later = asyncio.create_task(store.commit([row()]))
            with pytest.raises(StoreLocked):
                await first
        await later

    async def test_a_cancelled_call_leaves_the_waits_of_others(self, store: Store, candidate: Make) -> None:
        _, came = told(store)
        with locked(store.path):
            first, second = (asyncio.create_task(store.tools.accept(candidate(name=it))) for it in "ab")
            await asyncio.to_thread(came.wait, 60)
            came.clear()
            first.cancel()
            again = asyncio.create_task(asyncio.to_thread(came.wait, 10))
            await asyncio.wait((second, again), return_when=asyncio.FIRST_COMPLETED)
        assert first.cancelled()
        assert (await second).reference == "b@1.0.0"
        assert await store.tools.names() == ["b"]

    def test_an_interrupt_ends_a_blocking_wait(self, path: Path) -> None:
        store = asyncio.run(Store.open(path))
        _, came = told(store)

        def interrupt() -> None:
            came.wait(60)
            _thread.interrupt_main()

        helper = threading.Thread(target=interrupt)
        with locked(store.path):
            helper.start()
            with pytest.raises(StoreLocked):
                store.commit_blocking([row()], wait=store.lock_wait(600))
        helper.join()
        asyncio.run(store.aclose())


@only_linux
class TestHolder:
    @pytest.mark.usefixtures("store")
    async def test_the_process_that_holds_the_lock_is_named(self, start: Start, path: Path) -> None:
        other = start(HOLD)
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert holder(path).startswith(f"process {other.pid} (")
        other.communicate("")
        assert holder(path) == "another program, such as a database viewer or another notebook,"

    async def test_the_error_names_the_holder_too(self, store: Store, start: Start) -> None:
        other = start(HOLD)
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=rf"is locked by process {other.pid} \(") as caught:
            await store.commit([row()], wait=store.lock_wait(0.2))
        assert caught.value.hint.startswith("Close the program that")
        other.communicate("")
        with (
            locked(store.path),
            pytest.raises(StoreLocked, match="by this notebook's own process\\.") as caught,
        ):
            await store.commit([row()], wait=store.lock_wait(0.2))
        assert caught.value.hint.startswith("Close the connection that")

    @pytest.mark.usefixtures("store")
    async def test_a_lock_of_this_process_is_called_its_own(self, path: Path) -> None:
        with locked(path):
            assert holder(path) == "this notebook's own process"

    @pytest.mark.usefixtures("store")
    async def test_processes_that_wait_and_files_of_other_devices_are_passed_over(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        found = path.with_name(f"{path.name}-shm").stat()
        device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
        listed = tmp_path / "locks"
        monkeypatch.setattr("fact_magics.store.locks._LOCKS", listed)
        other = f"1: POSIX  ADVISORY  WRITE {os.getppid()} ff:ff:{found.st_ino} 120 120\n"
        waiting = f"2: -> POSIX  ADVISORY  WRITE {os.getppid()} {device}:{found.st_ino} 120 120\n"
        listed.write_text(other + waiting)
        assert holder(path).startswith("another program")
        listed.write_text(
            f"{other}{waiting}3: POSIX  ADVISORY  WRITE {os.getpid()} {device}:{found.st_ino} 120 120\n"
        )
        assert holder(path) == "this notebook's own process"

    async def test_a_system_that_tells_nothing_is_no_failure(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for text in (None, "", "nonsense\n", f"1: POSIX ADVISORY WRITE {os.getpid()} x 0 EOF\n"):
            listed = tmp_path / "locks"
            listed.unlink(missing_ok=True)
            if text is not None:
                listed.write_text(text)
            monkeypatch.setattr("fact_magics.store.locks._LOCKS", listed)
            assert holder(path).startswith("another program")
