"""Run a plain call of a tool on the thread that calls it, while the core's loop has nothing to do with it.

Waking the loop, and waiting for it, takes longer than most tools. So the calling thread sends the input to a
prepared process itself, and waits a few milliseconds for the result. The loop commits the row afterwards. If
anything is in the way, or the result does not come soon, the loop does the whole run, or the rest of it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.errors import StoreError
from fact_magics.events import PhaseChanged, Printed
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.bridge import Uninterrupted
    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.in_progress import LeadingRun
    from fact_magics.core.leases import Lease, Leases
    from fact_magics.core.masking import MaskedSandbox
    from fact_magics.core.plan import Plan
    from fact_magics.core.recording import Recorder
    from fact_magics.core.running import Runner
    from fact_magics.events import Listener
    from fact_magics.sandbox.begun import Begun
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.store import CacheEntry, Store
    from fact_magics.tool import ToolOutput


class QuickRuns:
    """Runs tools on the calling threads.

    Parameters
    ----------
    emit : callable
        Called on the core's loop with the events of the runs.
    """

    def __init__(
        self,
        runner: Runner,
        answers: AnswerCache,
        store: Store,
        recorder: Recorder,
        sandbox: MaskedSandbox,
        leases: Leases,
        emit: Listener,
    ) -> None:
        self._runner = runner
        self._answers = answers
        self._store = store
        self._recorder = recorder
        self._sandbox = sandbox
        self._leases = leases
        self._emit = emit

    def run(
        self, planned: Plan, own: LeadingRun, interrupts: Uninterrupted
    ) -> tuple[ToolOutput, CacheEntry | None] | None:
        """Run a tool, and return its output with the answer for identical runs, if there is one.

        Returns None if the loop must do the run. If the call has begun, `own` says so.

        Parameters
        ----------
        interrupts : Uninterrupted
            Interrupts wait, so that a run is never half claimed, recorded or answered.

        Raises
        ------
        KeyboardInterrupt
            The user interrupted the wait for the database. The next commit includes the run's row.
        """
        is_plain = not (planned.fresh or planned.permissions or planned.files)
        if not is_plain or self._answers.is_shared or not self._runner.claim(own):
            return None
        lease = self._leases.ask(planned.key)
        try:
            if lease.is_held and not self._may_be_answered(planned, interrupts):
                own.begun = self._sandbox.begin(planned.call)
            if own.begun is not None:
                return self._await(planned, own, own.begun, lease)
        except BaseException as error:
            self._stop(planned, own, error)
            lease.give_back()
            raise
        lease.give_back()
        return None

    def _may_be_answered(self, planned: Plan, interrupts: Uninterrupted) -> bool:
        """Tell whether the loop may find the answer of a run."""
        if not planned.key:
            return False
        try:
            # An identical run may have ended since the call was planned.
            if self._answers.recall(planned, counts=False) is not None:
                return True
            with interrupts.allowed():
                return self._store.cache.holds_blocking(planned.key)
        except StoreError:
            return True

    def _await(
        self, planned: Plan, own: LeadingRun, begun: Begun, lease: Lease
    ) -> tuple[ToolOutput, CacheEntry | None] | None:
        own.began = time.perf_counter()
        outcome = begun.answer()
        if outcome is None:
            own.ended.add_done_callback(lambda _: self._let_go(begun, lease))
            return None
        if planned.key:
            self._store.cache.count_miss()
        output, entry = self._runner.finish(planned, outcome)
        self._runner.end(own, entry)
        self._on_loop(self._account, planned, begun, outcome, output, lease)
        return output, entry

    def _stop(self, planned: Plan, own: LeadingRun, error: BaseException) -> None:
        """Stop and record a run that was interrupted before its answer was recorded."""
        if own.begun is not None:
            self._on_loop(own.begun.drop)
        if own.ended.done():
            return
        status = Status.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Status.ERROR
        took = 0.0 if own.began is None else (time.perf_counter() - own.began) * 1000
        self._recorder.add_ended(planned, status, str(error) or "interrupted", took)
        self._runner.end(own, None)

    def _let_go(self, begun: Begun, lease: Lease) -> None:
        """Give back what a run on the loop took over, and stop its call if the run was stopped before it."""
        lease.give_back()  # the run on the loop holds it too, until its row is committed
        self._on_loop(begun.drop)

    def _on_loop(self, work: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the session has been closed
            self._runner.loop.call_soon_threadsafe(work, *arguments)

    def _account(
        self, planned: Plan, begun: Begun, outcome: Outcome, output: ToolOutput, lease: Lease
    ) -> None:
        begun.finish()
        self._runner.log.started(planned)
        self._runner.log.ended(planned, outcome)
        self._emit(PhaseChanged("running"))
        if outcome.printed:
            self._emit(Printed(outcome.printed))
        self._runner.start(self._commit(planned, output, lease))

    async def _commit(self, planned: Plan, output: ToolOutput, lease: Lease) -> None:
        try:
            await self._runner.conclude_run(planned, output, self._emit, in_no_hurry=True)
        finally:
            lease.give_back()
