"""Plan, keep and record many rows of a map at once, if they are of the usual kind.

The usual row belongs to a proven tool without permissions and files, has plain arguments, prints nothing, and
returns a short value that is plain JSON. `RowRunner` does the same for any row, in several times the time.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count, repeat
from typing import TYPE_CHECKING

from fact_magics.collector import named_tuples, uncollected
from fact_magics.core.cache import has_address, used_only_input
from fact_magics.core.outputs import Answered, read_answer
from fact_magics.core.plan import Plan
from fact_magics.errors import InvalidInput
from fact_magics.pictures import may_hold_pictures
from fact_magics.sandbox.child.batch import OK
from fact_magics.signature.many import ManyRuns
from fact_magics.store import CacheEntry, ExecutionRow, MapRows
from fact_magics.text import utc_now
from fact_magics.tool import Status, new_ids
from fact_magics.values import ValueTypeError, WireError
from fact_magics.values.many import decode_results, encode_calls, encode_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.recording import Recorder
    from fact_magics.sandbox.batch import RowAnswer
    from fact_magics.tool import ToolInput

_SHORT = 100_000  # bytes; the history shortens longer values
_IDS_AT_ONCE = 2_000
_NAMED = len('{"args":[],"kwargs":')


class BulkRows:
    """The rows of one map. Each method does its work for all rows that it gets, or returns None."""

    def __init__(
        self,
        tool: LoadedTool,
        request: ToolInput,
        parent_id: str,
        session_id: str,
        answers: AnswerCache,
        recorder: Recorder,
    ) -> None:
        self._tool = tool
        self._answers = answers
        self._recorder = recorder
        self._runs = ManyRuns(tool.signature)
        # Answers by key, since the last call of `note_saved` and the one before it.
        self._unsaved: list[dict[str, tuple[bytes, float]]] = [{}]
        self._ids: list[str] = []
        self._settings = (request.timeout_seconds, request.memory_mb, request.fresh)
        self._parent_id = parent_id
        metadata = tool.metadata
        self._same = ExecutionRow(
            session_id=session_id,
            tool_id=metadata.id,
            tool_name=metadata.name,
            tool_version=metadata.version,
            status=Status.OK,
            parent_id=parent_id,
        )

    @staticmethod
    def serves(tool: LoadedTool, request: ToolInput, answers: AnswerCache) -> bool:
        """Whether the rows of a map can be of the usual kind."""
        metadata = tool.metadata
        is_plain = metadata.proven and tool.cacheable and not tool.reaches_out and not request.permissions
        is_plain = is_plain and not tool.signature.passes_tables
        has_end = metadata.ttl_seconds is not None or request.ttl_seconds is not None
        return is_plain and not has_end and not answers.is_shared

    @uncollected()
    def plan(self, start: int, rows: Sequence[Mapping[str, Any]]) -> list[Plan] | None:
        """Plan the runs of rows; see `RowRunner.plan`."""
        validated = self._runs.inputs(rows)
        if validated is None:
            return None
        try:
            wires = encode_calls(validated)
        except (ValueTypeError, InvalidInput):
            return None
        tool = self._tool
        keys = tool.keys(wires)
        same = (*self._settings, (), (), None, self._parent_id)
        return named_tuples(Plan, repeat(tool), wires, keys, *map(repeat, same), count(start), repeat(""))

    def look_up(self, plans: Sequence[Plan]) -> list[CacheEntry | None]:
        """Find answers as `recall` does, and count the hits and misses of the memory."""
        found = self.recall(plans)
        if plans and not plans[0].fresh:
            self._answers.count(found)
        return found

    def recall(self, plans: Sequence[Plan]) -> list[CacheEntry | None]:
        """Find the answers of rows in memory, and among those of this map that may not be stored yet."""
        if not plans or plans[0].fresh:
            return [None] * len(plans)
        keys = [planned.key for planned in plans]
        found = self._answers.recall_many(keys)
        for unsaved in self._unsaved:
            if unsaved.keys().isdisjoint(keys):
                continue
            for place, key in enumerate(keys):
                if key in unsaved and found[place] is None:
                    found[place] = self._entry(key, *unsaved[key])
        return found

    def _entry(self, key: str, wire: bytes, took_ms: float) -> CacheEntry:
        return CacheEntry(key=key, tool_id=self._tool.metadata.id, result=wire, duration_ms=took_ms)

    def note_saved(self) -> None:
        """Forget the answers that were stored before the last call, which the database knows now.

        Answers since then are still known here, because a search in the database may have begun earlier.
        """
        self._unsaved = [self._unsaved[-1], {}]

    @uncollected()
    def keep(
        self,
        plans: Sequence[Plan],
        answers: Sequence[RowAnswer],
        layers: tuple[str, ...],
    ) -> list[Answered] | None:
        """Validate the answers of rows that have run, keep and record them; see `RowRunner.keep`."""
        if any(answer.kind != OK or answer.printed for answer in answers):
            return None
        wires = [answer.payload for answer in answers]
        whole = b"\n".join(wires)
        if (
            may_hold_pictures(whole)
            or has_address(whole)
            or not used_only_input(self._tool, layers)
            or max(map(len, wires)) > _SHORT
        ):
            return None
        try:
            values = self._runs.results(decode_results(wires))
            if values is None:
                return None
            wires = encode_results(values)
        except (WireError, ValueTypeError):
            return None
        recorded = self._recorded(
            plans,
            wires,
            [answer.duration_ms for answer in answers],
            cached=False,
            isolation=", ".join(layers),
        )
        if recorded is None:
            return None
        self._recorder.add_of_map(recorded)
        took = recorded.durations_ms
        self._unsaved[-1].update(zip(recorded.keys, zip(wires, took, strict=True), strict=True))
        return named_tuples(Answered, values, repeat(""), wires, repeat(""), took)

    @uncollected()
    def recalled(self, plans: Sequence[Plan], entries: Sequence[CacheEntry]) -> list[Any] | None:
        """Record rows that the cache answered, and return their values; see `RowRunner.recall`."""
        if any(entry.printed for entry in entries):
            return None
        wires = [entry.result for entry in entries]
        if max(map(len, wires)) > _SHORT or may_hold_pictures(b"\n".join(wires)):
            return None
        recorded = self._recorded(
            plans, wires, [entry.duration_ms for entry in entries], cached=True, isolation=""
        )
        if recorded is None:
            return None
        try:
            values = decode_results(wires)
        except WireError:
            values = [read_answer(entry, self._tool.metadata.name) for entry in entries]
        self._recorder.add_of_map(recorded)
        return values

    def _next_ids(self, count: int) -> list[str]:
        """Take ids in ascending order, so that neighbours go to the same page of the database's index."""
        while len(self._ids) < count:
            self._ids += sorted(new_ids(_IDS_AT_ONCE))
        taken, self._ids = self._ids[:count], self._ids[count:]
        return taken

    def _recorded(
        self,
        plans: Sequence[Plan],
        wires: Sequence[bytes],
        durations_ms: list[float],
        *,
        cached: bool,
        isolation: str,
    ) -> MapRows | None:
        """Make the rows of the history; None if people could not read the canonical form of a value."""
        given = [str(planned.arguments, "utf-8") for planned in plans]
        outputs = [wire.decode() for wire in wires]
        if '"$' in "\n".join(outputs) or '"$' in "\n".join(given):
            return None
        if max(map(len, given)) > _SHORT:
            return None
        return MapRows(
            same=replace(self._same, cached=cached, isolation=isolation),
            ids=self._next_ids(len(plans)),
            positions=[planned.position for planned in plans],
            inputs=[text[_NAMED:-1] for text in given],
            outputs=outputs,
            keys=[planned.key for planned in plans],
            times=[utc_now()] * len(plans),
            durations_ms=durations_ms,
        )
