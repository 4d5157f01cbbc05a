"""Run one tool on many inputs in one isolated process: the call, and the answers as they arrive."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.collector import named_tuples, uncollected
from fact_magics.sandbox import frames
from fact_magics.sandbox.child.batch import ALONE, ANSWERS, BLOCK, FAILED, OK
from fact_magics.sandbox.outcome import Call, Outcome
from fact_magics.sandbox.watch import Watch
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fact_magics.sandbox.limits import Limits
    from fact_magics.values import Wire

_MOST_CPU_SECONDS = 86_400
_KINDS = OK + FAILED + ALONE
_HEAD_BYTES = array("I").itemsize * 2 + array("d").itemsize + 1  # of each row, before the payloads
_LONGEST_MS = 1e9
_MORE_BYTES = 1 << 20  # a block ends soon after a quarter of this


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

    rows: tuple[Wire, ...] = ()
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
        self._is_last = False  # whether the last frame has begun
        self._is_refused = False

    def take_result(self, data: bytes) -> None:
        """Take bytes of the answers. The tool may write any bytes, so sizes and order are checked."""
        if self._is_refused:
            return  # what its process sends until it is stopped
        self._rearm()
        if self._is_last:
            super().take_result(data)
            return
        self._arrived += data
        while len(self._arrived) >= BLOCK.size and self._arrived[:1] == ANSWERS:
            _, first, number, payloads, texts = BLOCK.unpack_from(self._arrived)
            size = BLOCK.size + number * _HEAD_BYTES + payloads + texts
            if (
                first != self._next
                or not 0 < number <= len(self._batch.rows) - first
                or payloads + texts > self._limits.most_bytes(self._batch) + _MORE_BYTES
            ):
                self._refuse()
                return
            if len(self._arrived) < size:
                return
            answers = _read_block(bytes(self._arrived[BLOCK.size : size]), first, number, payloads, texts)
            del self._arrived[:size]
            if answers is None:
                self._refuse()
                return
            self._next += number
            self._batch.on_rows(answers)
        if self._arrived and self._arrived[:1] != ANSWERS:
            self._is_last = True
            super().take_result(bytes(self._arrived))
            self._arrived.clear()

    def _refuse(self) -> None:
        self._is_refused = True
        self.stop("result")
        self._arrived.clear()


@uncollected()
def _read_block(block: bytes, first: int, number: int, payloads: int, texts: int) -> list[RowAnswer] | None:
    """Read the answers of a block after its head; None if its parts do not fit together."""
    sizes, lengths, times = array("I"), array("I"), array("d")
    at = number
    for column in (sizes, lengths, times):
        end = at + number * column.itemsize
        column.frombytes(block[at:end])
        at = end
    if block[:number].translate(None, _KINDS) or (sum(sizes), sum(lengths)) != (payloads, texts):
        return None
    ends = [*accumulate(sizes, initial=at)]
    results = [block[start:end] for start, end in pairwise(ends)]
    printed: Iterable[str] = repeat("")
    if texts:
        ends = [*accumulate(lengths, initial=at + payloads)]
        printed = [str(block[start:end], "utf-8", "replace") for start, end in pairwise(ends)]
    kinds = [block[place : place + 1] for place in range(number)]
    took = [ms if 0.0 <= ms < _LONGEST_MS else 0.0 for ms in times]
    return named_tuples(RowAnswer, range(first, first + number), kinds, results, printed, took)
