"""What comes out of a tool's process is a claim; what it could cheat with never gets in."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.attempt import Attempt
from fact_magics.sandbox import Call, Sandbox
from fact_magics.sandbox.child.family import descendants
from fact_magics.signature.source import ToolSource
from fact_magics.testing import ModelServer
from fact_magics.tool import Status
from fact_magics.values import encode
from fact_magics.writing.examples import read_body
from fact_magics.writing.proof import Prover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fact_magics.sandbox import Outcome

pytestmark = pytest.mark.slow

EXPECTED, EARLIER, BESIDE, VARIABLE, KEY, GIVEN = (
    f"canary-{word}-4711" for word in ("expected", "earlier", "beside", "variable", "key", "given")
)

WAITING = """
import os, time
def tool(text: str) -> str:
    print("up", os.getpid(), flush=True)
    time.sleep(60)
    return text
"""


def memory_of(pid: int) -> bytes:
    """Read all of a process's memory that it can read itself."""
    parts = []
    maps = Path(f"/proc/{pid}/maps").read_text()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps.splitlines():
            span, access, *_ = line.split()
            if not access.startswith("r") or "[v" in line:  # the kernel's own pages, the same for everybody
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            with suppress(OSError):
                parts.append(memory.read(end - start))
    return b"\0".join(parts)


def held_by(pid: int) -> bytes:
    """Read what a process has: memory, the environment it was started with, and where its descriptors lead."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    return b"\0".join([memory_of(pid), Path(f"/proc/{pid}/environ").read_bytes(), *map(str.encode, links)])


class Looking:
    """A sandbox that looks into all of its processes while a tool in it waits."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.held: dict[int, bytes] = {}
        self.pid = 0

    async def run(self, call: Call) -> Outcome:
        up: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def printed(text: str) -> None:
            if "up" in text and not up.done():
                up.set_result(int(text.split()[1]))

        running = asyncio.create_task(self._sandbox.run(call, printed))
        self.pid = await up
        self.held = {pid: held_by(pid) for pid in descendants(os.getpid())}
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return await self._sandbox.run(Call("def tool():\n    raise ValueError", "tool", encode_nothing()))


def encode_nothing() -> bytes:
    return encode({"args": [], "kwargs": {}})


async def begin(sandbox: Sandbox, text: str) -> tuple[asyncio.Task[Outcome], int]:
    """Start a call that waits with `text` as its input; give its process, too."""
    up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    call = Call(WAITING, "tool", encode({"args": [text], "kwargs": {}}))
    running = asyncio.create_task(sandbox.run(call, lambda said: up.set_result(int(said.split()[1]))))
    return running, await up


async def test_a_tools_process_holds_its_own_input_and_no_secret_of_anybody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not in its memory, environment or descriptors: what is expected of it, calls before and beside it, keys."""
    monkeypatch.setenv("MY_VARIABLE", VARIABLE)
    settings = load_settings({"anthropic_api_key": KEY}, tmp_path, {"FACT_HOME": str(tmp_path)})
    assert settings.secrets == (KEY,)
    sandbox = Sandbox(mode="require", size=2)
    looking = Looking(sandbox)
    echo = Call("def tool(text):\n    return text", "tool", encode({"args": [EARLIER], "kwargs": {}}))
    for _ in range(4):  # on each zygote
        assert (await sandbox.run(echo)).status is Status.OK
    beside, beside_pid = await begin(sandbox, BESIDE)

    body = read_body(f">>> tool('{GIVEN}')\n'{EXPECTED}'\n", "tool")
    spec = ToolSpec("tool", "Give the text back.", body.examples)
    attempt = Attempt(1, "hand", "hand", "")
    await Prover(looking, lambda _: None).prove(ToolSource(WAITING, "tool"), spec, attempt)

    assert len(attempt.verdicts) == 1, attempt.failures
    own = looking.held[looking.pid]
    assert GIVEN.encode() in own, "the search finds what is there"
    assert len(own) > 1 << 20
    for secret in (EXPECTED, EARLIER, BESIDE, VARIABLE, KEY):
        assert secret.encode() not in own, secret
    assert BESIDE.encode() in looking.held[beside_pid]
    # The zygotes, from which later calls are forked, and the children that wait for theirs, hold nothing.
    others = {pid: held for pid, held in looking.held.items() if pid not in (looking.pid, beside_pid)}
    assert len(others) >= 2
    for pid, held in others.items():
        for secret in (EXPECTED, EARLIER, BESIDE, VARIABLE, KEY, GIVEN):
            assert secret.encode() not in held, (pid, secret)
    beside.cancel()
    with suppress(asyncio.CancelledError):
        await beside
    await sandbox.aclose()


@pytest.fixture
async def core(home: Path) -> AsyncIterator[tuple[FactCore, ModelServer]]:
    with ModelServer() as server:
        settings = load_settings({}, home.parent, {"FACT_HOME": str(home), **server.environment()})
        async with FactCore(settings) as running:
            yield running, server


FORGING = """
import os, stat

def tool(n: int) -> ANNOTATION:
    if not n:
        return VALUE
    for fd in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode): pipe = fd
        except OSError:
            pass
    payload = PAYLOAD
    os.write(pipe, b"R" + len(payload).to_bytes(8, "big") + payload)
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("annotation", "value", "payload"),
    [
        ("int", "7", "b'\"seven\"'"),
        ("int", "7", "b'true'"),
        ("int", "7", "b'7.5'"),
        ("int", "7", 'b\'{"$object":["Anything",{}]}\''),
        ("int", "7", 'b\'{"$float":"nan"}\''),
        ("list[int]", "[7]", "b'[1,\"x\"]'"),
        ("dict[str, int]", "{}", "b'{\"$dict\":[[1,2]]}'"),
        ("str", "''", "b'\\xff\\xfe'"),
        ("str", "''", "b'no json'"),
        ("str", "''", 'b\'"a" "b"\''),
        ("list[int]", "[7]", "b'[' * 100_000"),
        ("list[int]", "[7]", "b''"),
        ("tuple[int, str]", "(1, '')", "b'[1]'"),
    ],
)
async def test_forged_bytes_are_no_result_unless_they_fit_the_annotation(
    core: tuple[FactCore, ModelServer], annotation: str, value: str, payload: str
) -> None:
    """They come through the right pipe, in the right frame, and are an error of one line all the same."""
    workshop, server = core
    source = FORGING.replace("ANNOTATION", annotation).replace("VALUE", value).replace("PAYLOAD", payload)
    server.writes(source)
    await workshop.generate(ToolSpec("tool", "Forge."))
    honest = await workshop.execute_tool(ToolInput("tool", {"n": 0}))
    assert honest.success, honest
    forged = await workshop.execute_tool(ToolInput("tool", {"n": 1}))
    known: dict[str, Any] = forged.metadata
    assert (forged.success, forged.result, known["status"]) == (False, None, Status.ERROR)
    assert "tool()" in known["error"]
    assert "\n" not in known["error"]
    again = await workshop.execute_tool(ToolInput("tool", {"n": 1}))
    assert not again.metadata["cached"]


async def test_a_forged_frame_that_fits_is_a_result_like_any_other(
    core: tuple[FactCore, ModelServer],
) -> None:
    """So what a tool returns is believed no more than what it writes by itself; its contract is."""
    workshop, server = core
    server.writes(FORGING.replace("ANNOTATION", "int").replace("VALUE", "7").replace("PAYLOAD", "b'8'"))
    await workshop.generate(ToolSpec("tool", "Forge."))
    forged = await workshop.execute_tool(ToolInput("tool", {"n": 1}))
    assert (forged.success, forged.result) == (True, 8)
