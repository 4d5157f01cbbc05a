"""The bytes between the notebook and a Dask worker.

Dask itself unpickles what it transports, so both sides must trust the cluster. These messages are bytes to
Dask: they are parsed and checked, and the answers in them are validated as those of any tool.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgpack

from fact_magics.errors import FactError, IsolationError
from fact_magics.sandbox.batch import RowAnswer
from fact_magics.sandbox.child.batch import ALONE, FAILED, OK
from fact_magics.sandbox.frames import read_error
from fact_magics.sandbox.outcome import Call, Outcome
from fact_magics.text import one_line
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGEST_SIZE = 20
_TEXT_LIMIT = 300
_PRINTED_LIMIT = 1 << 26
_LONGEST_MS = 1e9
_FEW = 64  # elements of the lists and maps of a message, besides its rows


@dataclass(frozen=True, slots=True)
class Setup:
    """What all requests of one map have in common.

    Attributes
    ----------
    map_id : str
        Identifies the map; a worker has a sandbox for each map.
    mode : str
        The isolation mode of the notebook's sandbox.
    limits : dict of str to int
        The fields of its `fact_magics.sandbox.limits.Limits`.
    imports : list of str
        The packages that the tool imports.
    versions : dict of str to str
        The versions that the worker must have: of Python, of fact_magics, of the system and of these packages.
    """

    map_id: str
    mode: str
    limits: dict[str, int]
    imports: list[str]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """Rows that a worker has to run.

    Attributes
    ----------
    key : str
        The key of the Dask task, by which the worker notices that nobody waits for the answer.
    calls : list of Call
        A call for each row that needs a process of its own; or one call whose `rows` share a process.
    rows : list of bytes
        The arguments of rows that share a process.
    files : dict of str to bytes
        Digests of files that the worker must have with the same content, by path.
    """

    setup: Setup
    key: str
    calls: list[Call]
    rows: list[bytes] = field(default_factory=list)
    eager: bool = False
    files: dict[str, bytes] = field(default_factory=dict)


def pack_setup(setup: Setup) -> bytes:
    """Encode what `prepare` of a worker needs."""
    return _sealed(asdict(setup))


def read_setup(data: bytes) -> Setup:
    """Decode a setup; raises `ValueError` if the bytes have changed."""
    return Setup(**_opened(data))


def pack_request(request: Request) -> bytes:
    """Encode a request with a digest of all of it: the source, the permissions and the rows."""
    calls = [
        {name: getattr(call, name) for name in CALL_FIELDS}
        for call in request.calls  # a plain `Call` of a `Batch`, whose other fields are in the request
    ]
    fields = {name: getattr(request, name) for name in ("key", "rows", "eager", "files")}
    return _sealed({**fields, "setup": asdict(request.setup), "calls": calls})


CALL_FIELDS = (
    "source",
    "function",
    "arguments",
    "timeout_seconds",
    "memory_mb",
    "permissions",
    "imports",
    "verified",
)


def read_request(data: bytes) -> Request:
    """Decode a request; raises `ValueError` if the bytes have changed."""
    fields = _opened(data)
    for call in fields["calls"]:
        call |= {name: tuple(call[name]) for name in ("permissions", "imports")}
    setup, calls = Setup(**fields.pop("setup")), [Call(**call) for call in fields.pop("calls")]
    return Request(setup, calls=calls, **fields)


def _sealed(message: object) -> bytes:
    body: bytes = msgpack.packb(message, unicode_errors="surrogatepass")
    return blake2b(body, digest_size=_DIGEST_SIZE).digest() + body


def _opened(data: bytes) -> dict[str, Any]:
    digest, body = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    if blake2b(body, digest_size=_DIGEST_SIZE).digest() != digest:
        raise ValueError("the request was changed on its way to the worker")
    message: dict[str, Any] = msgpack.unpackb(body, unicode_errors="surrogatepass")
    return message


def pack_refusal(error: FactError) -> bytes:
    """Encode the reason why a worker runs no rows."""
    return _packed({"refused": [isinstance(error, IsolationError), error.message, error.hint]})


def pack_answers(outcomes: Sequence[Outcome], answers: Sequence[RowAnswer] = ()) -> bytes:
    """Encode how processes ended, and the answers of rows that shared one."""
    return _packed({"outcomes": [_plain(outcome) for outcome in outcomes], "answers": [*map(list, answers)]})


def _packed(message: object) -> bytes:
    data: bytes = msgpack.packb(message, unicode_errors="surrogatepass")
    return data


def _plain(outcome: Outcome) -> list[object]:
    error = outcome.error
    report = None
    if error is not None:
        fields = {
            "type": error.type_name,
            "message": error.message,
            "traceback": error.traceback,
            "mro": error.mro,
            "denied": error.denied,
        }
        report = json.dumps(fields).encode()
    return [
        outcome.status.value,
        outcome.result,
        report,
        outcome.printed,
        outcome.duration_ms,
        outcome.limit,
        list(outcome.isolation),
        outcome.used,
        outcome.hint,
    ]


def read_reply(data: object, worker: str, rows: int, result_bytes: int) -> tuple[list[Outcome], list[RowAnswer]]:
    """Read a worker's reply, which may be any bytes.

    Parameters
    ----------
    worker : str
        Names the worker in errors.
    rows : int
        How many rows the request had, and so the most answers.
    result_bytes : int
        The largest result of a row.

    Raises
    ------
    FactError
        The worker refused to run the rows, or the bytes are not a reply.
    """
    most = rows + _FEW
    try:
        claim = msgpack.unpackb(
            data, unicode_errors="surrogatepass", max_array_len=most, max_map_len=_FEW, max_ext_len=0
        )
        match claim:
            case {"refused": [bool(isolation), str(message), str(hint)]}:
                kind = IsolationError if isolation else FactError
                message, hint = one_line(message, _TEXT_LIMIT), one_line(hint, _TEXT_LIMIT)
                raise kind(f"{worker}: {message}", hint=hint)
            case {"outcomes": list(outcomes), "answers": list(answers)}:
                return (
                    [_outcome(one, result_bytes) for one in outcomes],
                    [_answer(one, number, result_bytes) for number, one in enumerate(answers)],
                )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        pass
    raise FactError(f"{worker} sent bytes that are not an answer.", hint="Restart this worker.")


def _outcome(claim: object, result_bytes: int) -> Outcome:
    match claim:
        case [
            str(status),
            None | bytes() as result,
            None | bytes() as report,
            str(printed),
            float(duration_ms),
            None | str() as limit,
            list(isolation),
            str(used),
            str(hint),
        ] if len(result or b"") <= result_bytes and (result is not None) == (status == Status.OK):
            return Outcome(
                Status(status),
                result,
                read_error(report)[0] if report is not None else None,
                printed[:_PRINTED_LIMIT],
                _milliseconds(duration_ms),
                limit and one_line(limit, _TEXT_LIMIT),
                tuple(one_line(str(layer), _TEXT_LIMIT) for layer in isolation[:_FEW]),
                one_line(used, _TEXT_LIMIT),
                one_line(hint, _TEXT_LIMIT),
            )
    raise ValueError


def _answer(claim: object, number: int, result_bytes: int) -> RowAnswer:
    match claim:
        case [int(row), bytes(kind), bytes(payload), str(printed), float(duration_ms)] if (
            row == number and kind in (OK, FAILED, ALONE) and len(payload) + len(printed) <= result_bytes
        ):
            return RowAnswer(row, kind, payload, printed, _milliseconds(duration_ms))
    raise ValueError


def _milliseconds(claim: float) -> float:
    return min(max(0.0, claim), _LONGEST_MS)
