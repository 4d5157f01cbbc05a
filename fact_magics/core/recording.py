"""Build the rows of a session's runs and generations."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from fact_magics.core.data_texts import data_text, input_text, output_text
from fact_magics.core.outbox import Outbox
from fact_magics.store import CacheEntry, ExecutionRow, GenerationRow, Store, new_id
from fact_magics.text import utc_now, utc_text
from fact_magics.tool import Status, new_ids
from fact_magics.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fact_magics.attempt import Attempt
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.outbox import Stored
    from fact_magics.core.outputs import Result
    from fact_magics.core.plan import Plan
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.tool import ToolOutput, ToolSpec

_IDS_AT_ONCE = 64


class Recorder(Outbox):
    """The rows of a session: builds those of its runs and generations.

    Rows of runs are built only for the commit, because building one takes longer than an answer from memory.
    """

    def __init__(
        self,
        store: Store,
        session_id: str,
        is_best_effort: Callable[[], bool] = lambda: False,
        on_stored: Stored = lambda runs, attempts, of_map: None,  # noqa: ARG005
    ) -> None:
        super().__init__(store, is_best_effort, on_stored)
        self._session_id = session_id
        self._ids: list[str] = []

    def add_cached(self, planned: Plan, entry: CacheEntry, took_ms: float) -> None:
        """Record a run that the cache answered."""
        self._pending.append(partial(self._cached_row, planned, entry, took_ms, time.time()))

    def _cached_row(self, planned: Plan, entry: CacheEntry, took_ms: float, when: float) -> ExecutionRow:
        return self._row(
            planned.tool,
            Status.OK,
            input_data=input_text(planned.arguments, of_map=planned.parent_id is not None),
            output_data=output_text(entry.result, of_map=planned.parent_id is not None),
            printed=entry.printed,
            cached=True,
            cache_key=planned.key,
            permissions=planned.permissions,
            duration_ms=took_ms,
            executed_at=utc_text(datetime.fromtimestamp(when, UTC)),
            saved_ms=entry.duration_ms,
            **_of_map(planned),
        )

    def add_run(self, planned: Plan, result: Result) -> None:
        """Record a run that executed the tool."""
        self._pending.append(partial(self._run_row, planned, result, utc_now()))

    def _run_row(self, planned: Plan, result: Result, executed_at: str) -> ExecutionRow:
        output = result.output
        known = output.metadata
        return self._row(
            planned.tool,
            Status(known["status"]),
            input_data=input_text(planned.arguments, of_map=planned.parent_id is not None),
            output_data=None
            if result.wire is None
            else output_text(result.wire, of_map=planned.parent_id is not None),
            error=known.get("error"),
            details="\n".join(known.get("details", ())) or None,
            printed=known["printed"],
            cache_key=planned.key or None,
            isolation=", ".join(known["isolation"]),
            permissions=planned.permissions,
            duration_ms=output.execution_time_ms,
            executed_at=executed_at,
            **_of_map(planned),
        )

    def add_value(self, planned: Plan, outcome: Outcome, wire: bytes, executed_at: str) -> None:
        """Record the row of a map that executed the tool and returned a value."""
        self._add(
            planned.tool,
            Status.OK,
            input_data=input_text(planned.arguments, of_map=True),
            output_data=output_text(wire, of_map=True),
            printed=outcome.printed,
            cache_key=planned.key or None,
            isolation=", ".join(outcome.isolation),
            permissions=planned.permissions,
            duration_ms=outcome.duration_ms,
            executed_at=executed_at,
            **_of_map(planned),
        )

    def add_invalid(
        self,
        tool: LoadedTool,
        parameters: Mapping[str, Any],
        output: ToolOutput,
        parent_id: str | None = None,
        position: int | None = None,
    ) -> None:
        """Record a run that was refused because of its input."""
        known = output.metadata
        try:
            given = data_text(plain(tool.signature.summarised(parameters)))
        except (TypeError, ValueError):
            given = data_text({name: f"a {type(value).__name__}" for name, value in parameters.items()})
        details = "\n".join(known["details"]) or None
        self._add(
            tool,
            Status.INVALID,
            input_data=given,
            error=known["error"],
            details=details,
            parent_id=parent_id,
            position=position,
        )

    def add_ended(self, planned: Plan, status: Status, error: str, duration_ms: float) -> None:
        """Record a run that has no outcome, because the user stopped it or it could not be isolated."""
        self._add(
            planned.tool,
            status,
            input_data=input_text(planned.arguments),
            error=error,
            permissions=planned.permissions,
            duration_ms=duration_ms,
            **_of_map(planned),
        )

    def _add(self, tool: LoadedTool, status: Status, **values: Any) -> None:
        self._pending.append(self._row(tool, status, **values))

    def _row(self, tool: LoadedTool, status: Status, **values: Any) -> ExecutionRow:
        metadata = tool.metadata
        return ExecutionRow(
            id=self._next_id(),
            session_id=self._session_id,
            tool_id=metadata.id,
            tool_name=metadata.name,
            tool_version=metadata.version,
            status=status,
            **values,
        )

    def _next_id(self) -> str:
        """Take an id from a stock; making one takes longer than building a row."""
        while True:
            with suppress(IndexError):  # another thread may take the last one
                return self._ids.pop()
            self._ids.extend(new_ids(_IDS_AT_ONCE))

    def add_attempts(self, spec: ToolSpec, attempts: Sequence[Attempt]) -> None:
        """Record the attempts of a generation that stored no version."""
        self._pending.extend(self.generation_rows(spec, attempts))

    def generation_rows(
        self,
        spec: ToolSpec,
        attempts: Sequence[Attempt],
        *,
        stored: Attempt | None = None,
        tool_id: str | None = None,
    ) -> list[GenerationRow]:
        """Build the rows of a generation; the attempt `stored` becomes the version with the id `tool_id`."""
        generation_id = new_id()
        return [
            GenerationRow(
                generation_id=generation_id,
                attempt=attempt.number,
                tool_name=spec.name,
                status=attempt.status,
                session_id=self._session_id,
                request_hash=spec.request_hash,
                description=spec.asked,
                contract=spec.contract,
                permissions=spec.permissions,
                provider=attempt.provider,
                model=attempt.model,
                reason=attempt.reason,
                text=attempt.text,
                source=attempt.source,
                **asdict(attempt.usage),
                cost_usd=attempt.cost_usd,
                saved_usd=attempt.saved_usd,
                started_at=attempt.started_at,
                duration_ms=attempt.duration_ms,
                tool_id=tool_id if attempt is stored else None,
                group_number=attempt.group,
                parting_call=attempt.parting_call,
            )
            for attempt in attempts
        ]


def _of_map(planned: Plan) -> dict[str, Any]:
    if planned.parent_id is None:
        return {}
    return {"parent_id": planned.parent_id, "position": planned.position}
