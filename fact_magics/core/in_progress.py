"""Let identical runs share one answer: later runs wait for the run that is in progress."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.sandbox.begun import Begun
    from fact_magics.store import CacheEntry


class LeadingRun:
    """A run that will execute the tool, while identical runs wait for its answer.

    Attributes
    ----------
    began : float or None
        The value of `time.perf_counter` when the tool started; None while the run waits for its turn.
    ended : Future
        Gets the answer, or None if the run failed or was stopped.
    reached_loop : bool
        Whether the core's loop, or that of its caller, has begun to do the run or to wait for another one.
    entered : bool
        Whether the run has begun to look for its answer; from then on, it records its own end.
    stopped : bool
        Whether the run was stopped before it succeeded or failed.
    in_no_hurry : bool
        Whether the caller does not wait for the commit of the row, so that it may include later rows.
    begun : Begun or None
        The call of the sandbox, if it has begun already.
    """

    def __init__(self, key: str, *, in_no_hurry: bool = False) -> None:
        self.key = key
        self.in_no_hurry = in_no_hurry
        self.began: float | None = None
        self.ended: Future[CacheEntry | None] = Future()
        self.ended.set_running_or_notify_cancel()  # a waiting run can't cancel this future
        self.reached_loop = False
        self.entered = False
        self.stopped = False
        self.begun: Begun | None = None


class RunsInProgress:
    """The leading runs of a core, by their keys. All methods work on any thread."""

    def __init__(self) -> None:
        self._leading: dict[str, LeadingRun] = {}
        self._ending = Lock()  # the threads of the caller and of the core may end one run at once

    def claim(self, own: LeadingRun) -> LeadingRun:
        """Return the identical run in progress, or `own` if there is none; then the caller must `lead` it."""
        return self._leading.setdefault(own.key, own) if own.key else own

    @contextmanager
    def lead(self, run: LeadingRun) -> Iterator[None]:
        """Let identical runs wait for `run` no longer than this context."""
        try:
            yield
        finally:
            if not run.ended.done():
                run.stopped = True
            self.end(run, None)

    def end(self, run: LeadingRun, answer: CacheEntry | None) -> None:
        """Give the answer of a run to the runs that wait for it; None if the run failed or was stopped."""
        with self._ending:
            if self._leading.get(run.key) is run:
                del self._leading[run.key]
            if not run.ended.done():
                run.ended.set_result(answer)
