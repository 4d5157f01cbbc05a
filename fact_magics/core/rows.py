"""Run the rows of maps: plan them, look them up in the cache, run them and record them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.collector import SeldomCollected
from fact_magics.core.bulk import BulkRows
from fact_magics.core.cache import entry_of, may_keep, may_serve
from fact_magics.core.outputs import (
    Answered,
    checked_entry,
    finished_output,
    invalid_output,
    read_answer,
    shown,
)
from fact_magics.core.plan import plan_run
from fact_magics.errors import InvalidResult, StoreError
from fact_magics.store import CacheEntry
from fact_magics.text import utc_now
from fact_magics.tool import Status
from fact_magics.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.files import InputFiles
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.masking import MaskedSandbox
    from fact_magics.core.outputs import Result
    from fact_magics.core.plan import Plan
    from fact_magics.core.recording import Recorder
    from fact_magics.core.running import Runner
    from fact_magics.errors import InvalidInput
    from fact_magics.events import Event
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call, Outcome
    from fact_magics.sandbox.pool import Mode
    from fact_magics.store import MapRow, Store
    from fact_magics.tool import ToolInput
    from fact_magics.values import Wire

# How long an unfinished map keeps answers that the cache does not keep.
_KEPT_SECONDS = 30 * 86_400.0


class Shows(Protocol):
    """A view that shows the progress of a map on the thread that waits for the map."""

    def put(self, event: Event) -> None:
        """Take an event, on the core's loop."""

    def pump(self) -> None:
        """Show what has arrived."""

    def close(self, ended: Status) -> None:
        """Remove the view, because the map has ended."""


class Progress:
    """A view that shows nothing; notebooks and terminals set another class as `RowRunner.progress`."""

    def __init__(self, title: str) -> None:
        self.title = title

    def put(self, event: Event) -> None:
        """Take an event, on the core's loop."""

    def pump(self) -> None:
        """Show what has arrived, on the thread that waits for the map."""

    def close(self, ended: Status) -> None:
        """Remove the view, because the map has ended."""


class RowRunner:
    """Runs and records the rows of maps, as `Runner` does single runs; used on the core's loop.

    Rows are committed by `save`, which the map calls at least twice a second.
    """

    def __init__(
        self,
        runner: Runner,
        answers: AnswerCache,
        recorder: Recorder,
        sandbox: MaskedSandbox,
        files: InputFiles,
        store: Store,
        session_id: str,
    ) -> None:
        self.runner = runner
        self.session_id = session_id
        self._answers = answers
        self._recorder = recorder
        self._sandbox = sandbox
        self._files = files
        self._store = store
        self.maps = store.maps
        self.progress: Callable[[str], Shows] = Progress
        self._seldom_collected = SeldomCollected()

    @contextmanager
    def opened(self, tool: LoadedTool) -> Iterator[None]:
        """Refuse a tool of a session that was closed, and let the end of the session stop this task."""
        self.runner.refuse_if_closed(tool)
        with self.runner.stopped_by_close(), self._seldom_collected:
            yield

    def bulk(self, tool: LoadedTool, request: ToolInput, parent_id: str) -> BulkRows | None:
        """Return what handles many rows of a map at once; None if rows must be handled one by one."""
        if not BulkRows.serves(tool, request, self._answers):
            return None
        return BulkRows(tool, request, parent_id, self.session_id, self._answers, self._recorder)

    def plan(self, tool: LoadedTool, request: ToolInput, parent_id: str, position: int) -> Plan:
        """Plan the run of a row; see `Runner.plan` for the errors."""
        if request.permissions or tool.reaches_out:
            planned = self.runner.plan(tool, request)
        else:
            planned = plan_run(
                tool,
                request.parameters,
                timeout_seconds=request.timeout_seconds,
                memory_mb=request.memory_mb,
                fresh=request.fresh,
                ttl_seconds=request.ttl_seconds,
            )
        return planned._replace(parent_id=parent_id, position=position)

    def refuse(
        self,
        tool: LoadedTool,
        parameters: Mapping[str, Any],
        refused: InvalidInput,
        parent_id: str,
        position: int,
    ) -> str:
        """Record a row whose input does not fit; return the line of its error."""
        masked = self.runner.masked(refused)
        self._recorder.add_invalid(tool, parameters, invalid_output(tool, masked), parent_id, position)
        return masked.line

    async def known(
        self,
        plans: Sequence[Plan],
        bulk: BulkRows | None = None,
    ) -> dict[int, CacheEntry]:
        """Find the answers of rows in the cache, and in the checkpoint of an unfinished map.

        Parameters
        ----------
        bulk : BulkRows, optional
            Looks all rows up in memory at once.

        Returns
        -------
        dict
            The entries, by the places of their rows in `plans`.
        """
        found: dict[int, CacheEntry] = {}
        asked: list[int] = []
        kept: dict[str, int] = {}
        recalled = [*map(self._answers.recall, plans)] if bulk is None else bulk.look_up(plans)
        for place, (planned, entry) in enumerate(zip(plans, recalled, strict=True)):
            if entry is not None:
                found[place] = entry
                continue
            if planned.key and not planned.fresh:
                asked.append(place)
            if planned.keep_as:
                kept[planned.keep_as] = place
        if asked and self._answers.is_shared:
            for places in _by_key(plans, asked).values():
                entry = await self._answers.get(plans[places[0]])
                found |= dict.fromkeys(places, entry) if entry is not None else {}
            asked = []
        if asked or kept:
            keys = dict.fromkeys(plans[place].key for place in asked)
            try:
                stored = await self._store.cache.get_many([*keys, *kept])
            except StoreError:  # committing the rows then fails too, and the map says so
                return found
            wanted = _by_key(plans, asked) if stored else {}
            for key, entry in stored.items():
                places = wanted.get(key) or [kept[key]]
                planned = plans[places[0]]
                checked = checked_entry(planned.tool, entry)
                if checked is not None and (key in kept or may_serve(planned, checked)):
                    found |= dict.fromkeys(places, checked)
        return found

    def recall(self, planned: Plan, entry: CacheEntry) -> Any:
        """Record a row that the cache answered, and return its value."""
        self._recorder.add_cached(planned, entry, 0.0)
        return read_answer(entry, planned.tool.metadata.name)

    def twin(self, planned: Plan, answered: Answered) -> Any:
        """Record a row that an equal row of the map answered, and return its value."""
        entry = CacheEntry(
            key=planned.key,
            tool_id=planned.tool.metadata.id,
            result=answered.wire or b"null",
            printed=answered.printed,
            duration_ms=answered.duration_ms,
        )
        return self.recall(planned, entry)

    @property
    def isolation(self) -> tuple[Mode, Limits]:
        """The mode and the limits of this core's sandbox, for rows that run elsewhere."""
        return self._sandbox.settings

    async def run(self, call: Call) -> Outcome:
        """Run one row, or a `Batch` of rows, in this core's sandbox; see `Sandbox.run` for the errors."""
        return await self._sandbox.run(call)

    def interrupted(self, planned: Plan, duration_ms: float) -> None:
        """Record a row that was stopped while it ran."""
        self._recorder.add_ended(planned, Status.INTERRUPTED, "interrupted", duration_ms)

    async def are_unchanged(self, planned: Plan) -> bool:
        """Tell whether the files of a row are the same as when it was planned."""
        return not planned.files or await asyncio.to_thread(self._files.are_unchanged, planned.files)

    def keep(self, planned: Plan, outcome: Outcome, *, unchanged: bool = True) -> Answered:
        """Validate the answer of a row that has run, keep it, and record the row.

        Parameters
        ----------
        unchanged : bool
            Whether the answer may be kept, as far as the files of the row decide it.
        """
        if outcome.result is not None and planned.ttl_seconds is None and not planned.keep_as and unchanged:
            with suppress(InvalidResult):
                return self._keep_value(planned, outcome, outcome.result)
        result = self._finished(planned, outcome)
        wire = result.wire
        self._recorder.add_run(planned, result)
        if wire is not None and (planned.key or planned.keep_as) and unchanged and may_keep(planned, outcome):
            entry = entry_of(planned, outcome, wire)
            if planned.key:
                self._answers.put(planned, entry)
            if planned.keep_as:
                kept = planned._replace(key=planned.keep_as, ttl_seconds=_KEPT_SECONDS)
                self._recorder.add_entry(entry_of(kept, outcome, wire))
        return _answered(result, outcome)

    def _keep_value(self, planned: Plan, outcome: Outcome, payload: Wire) -> Answered:
        """Do the same as `keep` for most rows, without building an output for each row."""
        value = planned.tool.signature.read_result(payload)
        wire = encode(value)
        value = shown(value, wire, planned.tool.metadata.name)
        now = utc_now()
        self._recorder.add_value(planned, outcome, wire, now)
        if planned.key and may_keep(planned, outcome):
            entry = CacheEntry(
                key=planned.key,
                tool_id=planned.tool.metadata.id,
                result=wire,
                printed=outcome.printed,
                duration_ms=outcome.duration_ms,
                created_at=now,
            )
            self._answers.put(planned, entry)
        return Answered(value, "", wire, outcome.printed, outcome.duration_ms)

    def read(self, planned: Plan, outcome: Outcome) -> Answered:
        """Validate the answer of a row as `keep` does, but neither keep nor record it."""
        return _answered(self._finished(planned, outcome), outcome)

    def _finished(self, planned: Plan, outcome: Outcome) -> Result:
        return finished_output(planned, outcome, self._files.protected)

    def note_map(self, row: MapRow) -> None:
        """Store what is known about a map with the next commit of rows."""
        self._recorder.note_map(row)

    @property
    def waiting(self) -> int:
        """How many rows wait to be committed."""
        return self._recorder.waiting

    def save_soon(self) -> None:
        """Begin to commit the rows so far; if that fails, they wait for the next commit."""
        self._recorder.begin_flush()

    async def save(self) -> str:
        """Commit the rows so far; return a warning if that fails, and keep them waiting."""
        try:
            await self._recorder.flush()
        except StoreError as error:
            return error.line
        return ""


def _by_key(plans: Sequence[Plan], places: Iterable[int]) -> dict[str, list[int]]:
    """Group the places of plans by the keys of their runs."""
    groups: dict[str, list[int]] = {}
    for place in places:
        groups.setdefault(plans[place].key, []).append(place)
    return groups


def _answered(result: Result, outcome: Outcome) -> Answered:
    output = result.output
    error = "" if result.wire is not None else str(output.metadata.get("error", "The run failed."))
    return Answered(output.result, error, result.wire, outcome.printed, outcome.duration_ms)


def kept_by(row: MapRow, planned: Plan) -> Plan:
    """Let an unfinished map keep the answer of a row and its files, which the cache does not keep."""
    files = repr([file.digest or file.state for file in planned.files]).encode()
    digest = blake2b(b"%d\0" % planned.position, digest_size=16)
    digest.update(planned.arguments)
    digest.update(b"\0" + files)
    return planned._replace(keep_as=f"{row.answers}{digest.hexdigest()}")
