"""Run one tool on many inputs in one process, and send each answer as soon as it is known to be safe.

Before answers are sent, the process is checked for changes that a later row could notice. If one is
found, the answers since the last check are dropped, and the batch ends. The parent then runs those rows in
processes of their own.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from array import array
from contextvars import Context
from struct import Struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

BLOCK = Struct("=cIIQQ")
"""The head of a block of answers: `ANSWERS`, the first row, the number of rows, and the sizes of all payloads
and of all printed texts. After it come, for all rows, the kinds (a byte each), the sizes of the payloads and
of the texts (arrays of unsigned integers), the milliseconds (doubles), the payloads and the texts."""

ANSWERS = b"A"
OK, FAILED, ALONE = b"r", b"e", b"a"
"""The kinds of answers: a result, an exception, and a row that has to run in a process of its own."""

_RESULT = b"R"
_LOOK_SECONDS = 0.01
_LOOK_SHARE = 20  # the time between two checks is at least this many times that of a check
_HELD_BYTES = 1 << 18
_PRINTED_LIMIT = 1 << 16

# Kept here because the tool may replace these functions in their modules.
_clock, _write, _leave = time.perf_counter, os.write, os._exit


def serve(
    request: Mapping[str, Any], results: int, codec: ModuleType, witness: Any, modules: Mapping[str, Any]
) -> NoReturn:
    """Run the rows of a request, send their answers and one last frame, and end this process."""
    worker = modules["_fact_worker"]
    source, function, limit = request["source"], request["function"], request["result_bytes"]
    key = source, f"<{function}>"
    code = worker.compiled.get(key) or compile(source, key[1], "exec", dont_inherit=True)
    printed = io.StringIO()
    sys.stdout = sys.stderr = printed
    # Each row finds the modules that the tool imports. If the tool's module fails, each row reports it.
    worker.compiled[key] = code
    tables = request["tables"]
    Context().run(worker.run, source, function, b"", codec, witness, limit)
    printed.seek(0)
    printed.truncate()
    residue = modules["_fact_residue"].Residue(code)
    codec = _quick(codec, request["rows"])
    held = _Held()
    last, due, changed = len(request["rows"]) - 1, _clock(), ""
    for number, arguments in enumerate(request["rows"]):
        worker.compiled[key] = code
        began = _clock()
        kind, parts = Context().run(
            worker.run, source, function, arguments, codec, witness, limit, tables=tables
        )
        ended = _clock()
        payload = b"".join(parts)
        kind = OK if kind == _RESULT else FAILED
        text = b""
        if printed.tell():
            text = printed.getvalue().encode("utf-8", "backslashreplace")
            printed.seek(0)
            printed.truncate()
        if len(text) > _PRINTED_LIMIT:
            kind, payload, text = ALONE, b"", b""
        held.add(kind, payload, text, (ended - began) * 1e3)
        if number == last or ended >= due or held.size >= _HELD_BYTES or request["eager"]:
            changed = "the streams" if sys.stdout is not printed or sys.stderr is not printed else ""
            changed = changed or residue.found()
            if changed:
                break
            _send(results, held.block(number))
            held = _Held()
            now = _clock()
            due = now + max(_LOOK_SECONDS, _LOOK_SHARE * (now - ended))
    final = json.dumps({"changed": changed[:200]}).encode()
    _send(results, _RESULT + len(final).to_bytes(8, "big") + final)
    _leave(0)


def _quick(codec: ModuleType, rows: Sequence[bytes]) -> Any:
    """Return a codec that reads most arguments in half the time, and writes integers in a third of it.

    The wires of the arguments come from the parent.
    """
    decoder: Any = json.JSONDecoder()
    scan, encode, word = decoder.scan_once, codec.encode_parts, codec.WORD
    are_plain = not any(b'"$' in wire or b"\\u0024" in wire for wire in rows)

    def decode_call(wire: bytes, *, classes: Mapping[str, type]) -> Any:
        del classes  # only values with a mark need them
        return scan(wire.decode(), 0)[0]

    def encode_parts(value: object, *, tables: bool) -> Any:
        if type(value) is int and -word <= value < word:
            return [b"%d" % value]
        return encode(value, tables=tables)

    return SimpleNamespace(decode=decode_call if are_plain else codec.decode, encode_parts=encode_parts)


class _Held:
    """Answers that are not sent yet."""

    def __init__(self) -> None:
        self.size = 0
        self._kinds: list[bytes] = []
        self._payloads: list[bytes] = []
        self._texts: list[bytes] = []
        self._times: list[float] = []

    def add(self, kind: bytes, payload: bytes, text: bytes, took_ms: float) -> None:
        self.size += len(payload) + len(text)
        self._kinds.append(kind)
        self._payloads.append(payload)
        self._texts.append(text)
        self._times.append(took_ms)

    def block(self, last: int) -> bytes:
        """Write the answers as one block, of which `last` is the last row."""
        number = len(self._kinds)
        payloads, texts = b"".join(self._payloads), b"".join(self._texts)
        return b"".join(
            (
                BLOCK.pack(ANSWERS, last - number + 1, number, len(payloads), len(texts)),
                *self._kinds,
                array("I", map(len, self._payloads)).tobytes(),
                array("I", map(len, self._texts)).tobytes(),
                array("d", self._times).tobytes(),
                payloads,
                texts,
            )
        )


def _send(results: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[_write(results, rest) :]
