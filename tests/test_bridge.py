"""The owned loop thread: results, errors and interrupts cross it; it ends when it is told to."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading

import pytest
from waiting import until, until_async

from fact_magics.bridge import LoopThread, Waiting, _wind_down


@pytest.fixture
def thread():
    owned = LoopThread()
    yield owned
    owned.close()


async def after(seconds, value):
    await asyncio.sleep(seconds)
    return value


async def raises(error):
    await asyncio.sleep(0)
    raise error


def nothing() -> None:
    pass


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "fact_magics"]


def test_no_thread_is_started_before_it_is_needed():
    owned = LoopThread()
    assert names() == []
    owned.close()
    assert names() == []


def test_a_blocked_thread_gets_the_result_and_the_error(thread):
    assert thread.submit(after(0.01, 5)).wait(nothing) == 5
    with pytest.raises(KeyError):
        thread.submit(raises(KeyError("x"))).wait(nothing)


async def test_a_loop_gets_the_result_and_the_error_and_stays_alive_meanwhile(thread):
    release = threading.Event()
    asyncio.get_running_loop().call_later(0.1, release.set)
    assert await thread.submit(asyncio.to_thread(release.wait, 30)).wait_awaited(nothing) is True
    with pytest.raises(KeyError):
        await thread.submit(raises(KeyError("x"))).wait_awaited(nothing)


def test_the_pump_runs_in_the_waiting_thread_and_at_the_end(thread):
    where = set()
    thread.submit(after(0.05, None)).wait(lambda: where.add(threading.get_ident()))
    assert where == {threading.get_ident()}


def test_a_job_that_is_long_done_is_not_waited_for(thread):
    job = thread.submit(after(0, 1))
    until(lambda: job.finished)
    assert job.wait(nothing) == 1


def test_an_interrupt_cancels_the_job_which_still_records_itself(thread):
    begun, waited_for, recorded = threading.Event(), threading.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            recorded.append("interrupted")
            raise

    def interrupt():
        begun.wait()
        waited_for.wait()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        thread.submit(work()).wait(waited_for.set)
    assert recorded == ["interrupted"]


async def test_cancelling_the_cell_cancels_the_job_which_still_records_itself(thread):
    begun, waited_for, recorded = threading.Event(), threading.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            recorded.append("interrupted")

    cell = asyncio.create_task(thread.submit(work()).wait_awaited(waited_for.set))
    await until_async(lambda: begun.is_set() and waited_for.is_set())
    cell.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cell
    assert recorded == ["interrupted"]


async def test_a_job_that_won_t_stop_does_not_hold_the_cell(thread):
    begun, waited_for, release = threading.Event(), threading.Event(), threading.Event()

    async def stubborn():
        begun.set()
        while not release.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    cell = asyncio.create_task(thread.submit(stubborn()).wait_awaited(waited_for.set))
    await until_async(lambda: begun.is_set() and waited_for.is_set())
    cell.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(cell, 30)
    release.set()


def test_cancelling_at_once_never_starts_the_work(thread):
    started = []

    async def work():
        started.append(1)

    gate = threading.Event()
    thread.loop.call_soon_threadsafe(gate.wait)
    job = thread.submit(work())
    job.cancel()
    gate.set()
    with pytest.raises((asyncio.CancelledError, KeyboardInterrupt)):
        job.wait(nothing)


def test_closing_cancels_the_jobs_runs_the_last_work_and_ends_the_thread():
    owned = LoopThread()
    ended = []

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    async def last():
        ended.append("last")

    job = owned.submit(forever())
    owned.submit(after(0, None)).wait(nothing)
    owned.close(last())
    assert ended == ["cancelled", "last"]
    assert names() == []
    assert job.finished
    owned.close()


def test_closing_is_bounded_and_what_is_left_of_the_last_work_goes_on_in_the_thread():
    owned, release, ended = LoopThread(), threading.Event(), threading.Event()

    async def last():
        await asyncio.to_thread(release.wait, 60)
        ended.set()

    owned.submit(after(0, None)).wait(nothing)
    owned.close(last(), timeout_seconds=0.2)
    assert not ended.is_set()
    release.set()
    until(lambda: names() == [])
    assert ended.is_set()


async def test_a_loop_that_was_not_closed_in_time_cancels_nothing_of_the_loop_on_which_it_is_collected():
    left = []

    def leave():
        loop = asyncio.new_event_loop()
        left.extend([loop.create_task(_wind_down(after(60, None))), loop.create_task(after(60, None))])
        loop.run_until_complete(asyncio.sleep(0))
        loop.set_exception_handler(lambda *_: None)  # it would report tasks that were destroyed
        loop.close()

    await asyncio.to_thread(leave)
    own = asyncio.create_task(after(0.01, 1))
    await asyncio.sleep(0)
    left.clear()
    gc.collect()
    assert await own == 1


def test_a_closed_thread_starts_again_when_it_is_used():
    owned = LoopThread()
    owned.submit(after(0, 1)).wait(nothing)
    owned.close()
    assert owned.submit(after(0, 2)).wait(nothing) == 2
    owned.close()


def test_an_error_that_nobody_waited_for_is_not_reported_later(thread, recwarn, capsys):
    job = thread.submit(raises(ValueError("nobody asked")))
    until(lambda: job.finished)
    job = None
    gc.collect()
    thread.submit(after(0.05, None)).wait(nothing)
    assert "never retrieved" not in capsys.readouterr().err


async def test_an_outcome_is_the_result_the_error_or_the_cancelled_job(thread):
    assert await thread.submit(after(0.01, 5)).outcome() == 5
    with pytest.raises(KeyError):
        await thread.submit(raises(KeyError("x"))).outcome()

    begun, recorded = threading.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            recorded.append("interrupted")

    waits = asyncio.create_task(thread.submit(work()).outcome())
    await asyncio.sleep(0)
    await until_async(begun.is_set)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert recorded == ["interrupted"]


async def test_a_loop_on_which_calls_wait_notices_a_signal_that_does_not_wake_it():
    """As the handler of ipykernel, which sets a future while the loop sleeps."""
    loop = asyncio.get_running_loop()
    noticed = loop.create_future()

    def handle(*_: object) -> None:
        noticed.set_result("at once")

    late = loop.call_later(60, lambda: noticed.done() or noticed.set_result("late"))
    before = signal.signal(signal.SIGINT, handle)
    signals = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    signals.start()
    try:
        with Waiting(1).here():
            started = loop.time()
            assert await noticed == "at once"
            assert loop.time() - started < 30
    finally:
        late.cancel()
        signals.join()
        signal.signal(signal.SIGINT, before)


async def test_calls_of_one_loop_share_a_queue_that_ends_with_the_last_of_them():
    waiting = Waiting(1)
    with waiting.here() as first:
        with waiting.here() as second:
            assert first is second
        with waiting.here() as third:
            assert first is third
    with waiting.here() as other:
        assert other is not first
