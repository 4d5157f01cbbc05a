"""Run one tool on many inputs in one isolated process: the call, and the answers as they arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.sandbox import frames
from fact_magics.sandbox.child.batch import ALONE, ANSWER, FAILED, OK
from fact_magics.sandbox.outcome import Call, Outcome
from fact_magics.sandbox.watch import Watch
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.sandbox.limits import Limits

_MOST_CPU_SECONDS = 86_400
_KINDS = (OK, FAILED, ALONE)


class RowAnswer(NamedTuple):
    """The answer of one row of a batch, as its process claims.

    Attributes
    ----------
    row : int
        The number of the row in its batch.
    kind : bytes
        ``OK``, ``FAILED`` or ``ALONE`` of `fact_magics.sandbox.child.batch`.
    payload : bytes
        The wire form of the value, or the child's report of an exception.
    """

    row: int
    kind: bytes
    payload: bytes
    printed: str
    duration_ms: float


def _ignore(answers: Sequence[RowAnswer]) -> None:
    del answers


@dataclass(frozen=True, slots=True)
class Batch(Call):
    """Many calls of one tool in one process; `timeout_seconds` is the longest time between two answers.

    Attributes
    ----------
    rows : tuple of bytes
        The arguments of each call.
    eager : bool
        Send each answer before the next row begins, so that a row that hangs is known.
    on_rows : callable
        Called on the sandbox's loop with the answers of the next rows, in order, as they arrive.
    """

    rows: tuple[bytes, ...] = ()
    eager: bool = False
    on_rows: Callable[[Sequence[RowAnswer]], None] = field(default=_ignore, compare=False)

    @property
    def batch(self) -> dict[str, object]:
        """The fields that the request has in addition to that of a single call."""
        return {"rows": list(self.rows), "eager": self.eager}

    @property
    def cpu_seconds(self) -> int:
        """Limit of processor time of all rows together."""
        return min(_MOST_CPU_SECONDS, int(self.timeout_seconds + 1) * len(self.rows) + 1)


def watch_for(
    call: Call, limits: Limits, on_printed: Callable[[str], None] | None, *, may_hide: bool = False
) -> Watch:
    """Make the watch of a call, or of a batch."""
    if isinstance(call, Batch):
        return BatchWatch(call, limits, on_printed, may_hide=may_hide)
    return Watch(call, limits, on_printed, may_hide=may_hide)


def outcome_of(answer: RowAnswer, isolation: tuple[str, ...]) -> Outcome | None:
    """Turn the answer of a row into the outcome of a call; None if the row has to run by itself.

    If a row reached a limit, the rows before it may be the cause, so it runs again by itself.
    """
    if answer.kind == ALONE:
        return None
    result, error, status = answer.payload, None, Status.OK
    if answer.kind == FAILED:
        error, limit = frames.read_error(answer.payload)
        if error is None or limit is not None:
            return None
        status = Status.ERROR
    kept = result if error is None else None
    return Outcome(status, kept, error, answer.printed, answer.duration_ms, None, isolation)


class BatchWatch(Watch):
    """Passes on the answers of a batch as they arrive; the last frame is like that of a single call."""

    def __init__(
        self, call: Batch, limits: Limits, on_printed: Callable[[str], None] | None, *, may_hide: bool = False
    ) -> None:
        super().__init__(call, limits, on_printed, may_hide=may_hide)
        self._batch = call
        self._arrived = bytearray()
        self._next = 0

    def take_result(self, data: bytes) -> None:
        """Take bytes of the answers. The tool may write any bytes, so sizes and order are checked."""
        self._rearm()
        self._arrived += data
        at, is_wrong = 0, False
        answers: list[RowAnswer] = []
        with memoryview(self._arrived) as arrived:
            while len(arrived) - at >= ANSWER.size and arrived[at : at + 1] in _KINDS:
                kind, row, size, text, duration_ms = ANSWER.unpack_from(arrived, at)
                if (
                    row != self._next
                    or row >= len(self._batch.rows)
                    or size + text > self._limits.result_bytes
                ):
                    is_wrong = True
                    break
                start = at + ANSWER.size
                middle, end = start + size, start + size + text
                if len(arrived) < end:
                    break
                at = end
                self._next += 1
                printed = str(arrived[middle:end], "utf-8", "replace") if text else ""
                payload = bytes(arrived[start:middle])
                answers.append(RowAnswer(row, kind, payload, printed, max(0.0, duration_ms)))
        if answers:
            self._batch.on_rows(answers)
        if is_wrong:
            self.stop("result")
            at = len(self._arrived)
        del self._arrived[:at]
        if self._arrived and self._arrived[:1] not in _KINDS:
            super().take_result(bytes(self._arrived))
            self._arrived.clear()
