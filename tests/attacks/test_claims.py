"""A result is a claim: bytes of the tool's choice, which harm whoever believes them, and never the notebook."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from late import Late

from fact_magics.errors import InvalidResult
from fact_magics.signature import read_signature
from fact_magics.tool import Status
from fact_magics.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Walled

    from fact_magics.sandbox import Outcome

pytestmark = pytest.mark.slow

# Past the worker's own code, straight into the pipe.
FORGE = """
import os, stat
def tool():
    pipe = [fd for fd in range(3, 64) if is_pipe(fd)][-1]
    frame = memoryview(b"R" + len(CLAIM).to_bytes(8, "big") + CLAIM)
    while frame:
        frame = frame[os.write(pipe, frame):]
    os._exit(0)
def is_pipe(fd):
    try: return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError: return False
"""


class Gadget:
    """An object that runs a function when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


def construct(claim: bytes) -> object:
    """Build objects by the name that data give, as many formats do."""
    name, argument = json.loads(claim)["$object"]
    return getattr(os, name)(argument)


def believed(reader: Callable[[bytes], Any], claim: bytes, path: Path) -> bool:
    """Whether a careless reader was hurt: it did what the bytes say, or fell over them."""
    try:
        value = reader(claim)
    except (RecursionError, ValueError, MemoryError, UnicodeError):
        return True
    return path.exists() or not isinstance(value, int) or isinstance(value, bool)


def claims(path: Path) -> dict[str, tuple[bytes, Callable[[bytes], Any]]]:
    return {
        "a pickle": (pickle.dumps(Gadget(path)), pickle.loads),
        "an expression": (f"__import__('os').mkdir({str(path)!r})".encode(), eval),
        "an object by name": (json.dumps({"$object": ["mkdir", str(path)]}).encode(), construct),
        "a list without end": (b"[" * 500_000 + b"]" * 500_000, json.loads),
        "an object without end": (b'{"a":' * 300_000 + b"1" + b"}" * 300_000, json.loads),
        "a number of a million digits": (b"9" * 1_000_000, json.loads),
        "half a character": (b'"\xc3"', json.loads),
        "half of a pair": (b'"\\ud800"', lambda claim: json.loads(claim).encode()),
        "not a number": (b"NaN", json.loads),
        "a number beyond all": (b"1e999", json.loads),
        "markup for a number": (b'"<script>alert(1)</script>"', json.loads),
        "truth for a number": (b"true", json.loads),
        "a list for a number": (b"[1]", json.loads),
        "two values": (b"1 2", json.loads),
        "nothing": (b"", json.loads),
        "a number with a word after it": (b"1x", json.loads),
    }


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("what", claims(Path()))
async def test_a_forged_result_is_refused(what: str, walled: Walled, tmp_path: Path) -> None:
    """For a tool that returns an int; each claim hurts a reader that believes it."""
    claim, reader = claims(tmp_path / "careless")[what]
    assert believed(reader, claim, tmp_path / "careless")

    claim, _ = claims(tmp_path / "walled")[what]
    outcome = await outcome_of(walled, claim)
    assert (outcome.status, outcome.result) == (Status.OK, claim)
    with pytest.raises(InvalidResult):
        read_signature("def tool() -> int: ...", "tool").read_result(claim)
    assert not (tmp_path / "walled").exists()


async def outcome_of(walled: Walled, claim: bytes) -> Outcome:
    packed = base64.b64encode(zlib.compress(claim))
    source = f"import base64, zlib\nCLAIM = zlib.decompress(base64.b64decode({packed!r}))\n{FORGE}"
    outcome = (await walled.run(source)).outcome
    assert outcome is not None
    return outcome


def colliding(item: str) -> str:
    return ",".join(item.format(number * (2**61 - 1)) for number in range(20_000))


@pytest.mark.parametrize(
    "claim",
    [
        Late(lambda: f'{{"$set":[{colliding("{}")}]}}'),
        Late(lambda: f'{{"$frozenset":[{colliding("{}")}]}}'),
        Late(lambda: f'{{"$dict":[{colliding("[{},0]")}]}}'),
        Late(lambda: f"[{','.join(['[]'] * 5_000_000)}]"),
    ],
    ids=["a set of one hash", "a frozen set of one hash", "a dict of one hash", "millions of lists"],
)
def test_a_result_that_takes_long_to_read_is_refused(claim: str) -> None:
    """Keys of one hash are compared each with all; empty lists take far more memory than their bytes."""
    assert len({hash(number * (2**61 - 1)) for number in range(20_000)}) == 1
    signature = read_signature("from typing import Any\ndef tool() -> Any: ...", "tool")
    with pytest.raises(InvalidResult):
        signature.read_result(claim.encode())


@pytest.mark.parametrize(
    "value",
    [Late(lambda: set(range(200_000))), {1: 2, (1, 2): 3}, Late(lambda: ["[" * 5_000_000]), {0.5, -1, -2}],
)
def test_what_is_only_large_is_read(value: object) -> None:
    signature = read_signature("from typing import Any\ndef tool() -> Any: ...", "tool")
    assert signature.read_result(encode(value)) == value
