"""The bytes between the notebook and a Dask worker.

Dask itself unpickles what it transports, so both sides must trust the cluster. To Dask, these messages are
bytes. They are parsed and checked, and the answers in them are validated like those of any isolated process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from fact_magics.errors import FactError, IsolationError
from fact_magics.sandbox.batch import RowAnswer
from fact_magics.sandbox.child.batch import ALONE, FAILED, OK
from fact_magics.sandbox.frames import read_error
from fact_magics.sandbox.outcome import Call, Outcome, Surroundings
from fact_magics.text import one_line
from fact_magics.tool import Status

if TYPE_CHECKING:
    from fact_magics.values import Wire

_DIGEST_SIZE = 20
_TEXT_LIMIT = 300
_LONGEST_MS = 1e9
_FEW = 64  # elements of a list in a message, besides its rows
CALL_FIELDS = tuple(field.name for field in fields(Call))


@dataclass(frozen=True, slots=True)
class Request:
    """A message to a worker: run these calls, or only prepare for the calls of a map.

    Attributes
    ----------
    map_id : str
        Identifies the map, which has a sandbox of its own on each worker.
    mode, limits : str, dict of str to int
        The settings of the notebook's sandbox.
    imports : list of str
        The packages that the tool imports.
    versions : dict of str to str
        The versions that the worker must have; see `fact_magics.mapping.dask.worker.versions`.
    key : str
        The key of the Dask task, by which the worker notices that nobody waits for the answer any more.
    calls : list of Call
        A call for each row that needs a process of its own; or one call whose `rows` share a process.
    rows : list of bytes
        The arguments of rows that share a process.
    files : dict of str to bytes
        Digests of files that the worker must have with the same content, by path.
    """

    map_id: str
    mode: str
    limits: dict[str, int]
    imports: list[str]
    versions: dict[str, str]
    key: str = ""
    calls: tuple[Call, ...] = ()
    rows: tuple[Wire, ...] = ()
    eager: bool = False
    files: dict[str, bytes] | None = None


class Reply(NamedTuple):
    """How processes ended, and the answers of rows that shared one."""

    outcomes: list[Outcome]
    answers: list[RowAnswer]


def pack_request(request: Request) -> bytes:
    """Encode a request, after a digest of all of it: the sources, the permissions and the rows."""
    calls = [{name: getattr(call, name) for name in CALL_FIELDS} for call in request.calls]
    body = _packed({field.name: getattr(request, field.name) for field in fields(request)} | {"calls": calls})
    return blake2b(body, digest_size=_DIGEST_SIZE).digest() + body


def read_request(data: bytes) -> Request:
    """Decode a request; raises `ValueError` if its bytes were changed."""
    digest, body = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    if blake2b(body, digest_size=_DIGEST_SIZE).digest() != digest:
        raise ValueError("The request was changed on its way to the worker.")
    claim = msgpack.unpackb(body, unicode_errors="surrogatepass", use_list=False)
    calls = (call | {"surroundings": Surroundings(*call["surroundings"])} for call in claim.pop("calls"))
    return Request(**claim, calls=tuple(Call(**call) for call in calls))


def pack_refusal(error: FactError) -> bytes:
    """Encode the reason why a worker does not run rows."""
    return _packed({"refused": [isinstance(error, IsolationError), error.message, error.hint]})


def pack_reply(outcomes: list[Outcome], answers: list[RowAnswer]) -> bytes:
    """Encode a reply; errors have the form in which isolated processes report them."""
    plain = [[getattr(outcome, field.name) for field in fields(outcome)] for outcome in outcomes]
    for values, outcome in zip(plain, outcomes, strict=True):
        if outcome.error is not None:
            report = asdict(outcome.error)
            values[2] = json.dumps({"type": report.pop("type_name"), **report}).encode()
    return _packed({"outcomes": plain, "answers": answers})


def _packed(message: object) -> bytes:
    data: bytes = msgpack.packb(message, unicode_errors="surrogatepass")
    return data


def read_reply(data: object, worker: str, asked: Request) -> Reply:
    """Read a worker's reply, which may be anything.

    Raises
    ------
    FactError
        The worker refused to run the rows, or this is not a reply to the request. `worker` names the worker.
    """
    error = FactError(f"{worker} sent bytes that are not an answer.", hint="Restart this worker.")
    size = asked.limits["result_bytes"]
    wanted = min(len(asked.calls), 1) if asked.rows else len(asked.calls)
    most = wanted + len(asked.rows) + _FEW  # the claimed length of a list must not reserve memory
    try:
        claim = msgpack.unpackb(
            data, unicode_errors="surrogatepass", max_array_len=most, max_map_len=_FEW, max_ext_len=0
        )
        match claim:
            case {"outcomes": list(ended), "answers": list(answers)} if len(ended) == wanted and len(
                answers
            ) <= len(asked.rows):
                read = [_answer(answer, number, size) for number, answer in enumerate(answers)]
                return Reply([_outcome(one, size) for one in ended], read)
            case {"refused": [bool(isolation), str(message), str(hint)]}:
                kind = IsolationError if isolation else FactError
                error = kind(f"{worker}: {one_line(message, _TEXT_LIMIT)}", hint=one_line(hint, _TEXT_LIMIT))
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        pass
    raise error


def _outcome(claim: Any, result_bytes: int) -> Outcome:
    match claim:
        case [
            str(status),
            None | bytes() as result,
            None | bytes() as report,
            str(printed),
            float(ms),
            None | str() as limit,
            list(layers),
            str(used),
            str(hint),
        ] if len(result or b"") <= result_bytes and (result is not None) == (status == Status.OK):
            error = read_error(report)[0] if report is not None else None
            limit, *shown = (
                text and one_line(str(text), _TEXT_LIMIT) for text in (limit, used, hint, *layers)
            )
            return Outcome(
                Status(status), result, error, printed, _bounded(ms), limit, (*shown[2:],), *shown[:2]
            )
    raise ValueError


def _answer(claim: Any, number: int, result_bytes: int) -> RowAnswer:
    match claim:
        case [int(row), bytes(kind), bytes(payload), str(printed), float(ms)] if (
            row == number and kind in (OK, FAILED, ALONE) and len(payload) + len(printed) <= result_bytes
        ):
            return RowAnswer(row, kind, payload, printed, _bounded(ms))
    raise ValueError


def _bounded(ms: float) -> float:
    return min(max(0.0, ms), _LONGEST_MS)
