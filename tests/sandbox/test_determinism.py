"""A tool answers alike in every kernel: hash seed, time zone and locale are the same for all."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox
from fact_magics.sandbox.outcome import USUAL
from fact_magics.tool import Status

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.slow

WORDS = "delta alpha charlie bravo echo foxtrot golf hotel"
ORDER = "def tool(text):\n    return list(set(text.split()))\n"
ORDER_BELOW = """
    import json, subprocess, sys

    def tool(text):
        program = "import json, sys; print(json.dumps(list(set(sys.argv[1].split()))))"
        run = subprocess.run([sys.executable, "-c", program, text], capture_output=True, text=True)
        return json.loads(run.stdout)
"""


async def answer(sandbox: Sandbox, source: str, *args: object, **options: Any) -> Any:
    """Run `tool` of `source`, and decode what it returned."""
    wire = values.encode({"args": list(args), "kwargs": {}})
    outcome = await sandbox.run(Call(textwrap.dedent(source), "tool", wire, **options))
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    return values.decode(outcome.result)


async def answers(mode: Any, source: str, *args: object, **options: Any) -> Any:
    """Run it in a new sandbox."""
    sandbox = Sandbox(mode=mode, size=1)
    try:
        return await answer(sandbox, source, *args, **options)
    finally:
        await sandbox.aclose()


@pytest.mark.parametrize("source", [ORDER, ORDER_BELOW], ids=["tool", "subprocess of the tool"])
async def test_the_order_of_a_set_is_the_same_in_every_process(source: str) -> None:
    """In zygotes and in fresh processes, and in the subprocesses that a tool starts."""
    orders = [await answers(mode, source, WORDS) for mode in ("require", "require", "process", "process")]
    assert orders[0] == orders[1] == orders[2] == orders[3]
    assert sorted(orders[0]) == sorted(WORDS.split())


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_a_call_with_another_hash_seed_sees_another_order(mode: Any) -> None:
    """That is what proofs use; the calls before and after it, in the same sandbox, don't notice."""
    sandbox = Sandbox(mode=mode, size=1)
    try:
        orders = [
            await answer(sandbox, ORDER, WORDS, surroundings=USUAL._replace(hash_seed=seed))
            for seed in (0, 1, 0, 1)
        ]
    finally:
        await sandbox.aclose()
    assert orders[0] == orders[2] != orders[1] == orders[3]


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_no_variable_of_the_user_reaches_the_start_of_the_interpreter(
    mode: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Neither one of the notebook's environment, nor one that was granted: the tool sees it, Python does not."""
    (tmp_path / "planted.py").write_text("raise SystemExit('planted')\n")
    for name, value in {
        "PYTHONPATH": str(tmp_path),
        "PYTHONOPTIMIZE": "2",
        "PYTHONHASHSEED": "7",
        "PYTHONWARNINGS": "error",
    }.items():
        monkeypatch.setenv(name, value)
    source = """
        import os, sys

        def tool(text):
            seen = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
            return [list(set(text.split())), sys.flags.optimize, sys.warnoptions, seen]
    """
    plain = await answers(mode, source, WORDS)
    granted = await answers(mode, source, WORDS, permissions=("env:PYTHONHASHSEED", "env:PYTHONOPTIMIZE"))
    order = await answers(mode, ORDER, WORDS)
    assert plain == [order, 0, [], {"PYTHONHASHSEED": "0"}], json.dumps(plain)
    assert granted == [order, 0, [], {"PYTHONHASHSEED": "7", "PYTHONOPTIMIZE": "2"}]


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_the_time_zone_is_utc_unless_that_of_the_notebook_was_granted(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one cached answer is right for every notebook."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    source = """
        import time
        from datetime import datetime

        def tool():
            return [int(datetime(2024, 7, 1).timestamp()), time.tzname[0]]
    """
    assert await answers(mode, source) == [1719792000, "UTC"]
    assert await answers(mode, source, permissions=("env:TZ",)) == [1719792000 - 9 * 3600, "JST"]


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_the_locale_of_the_notebook_decides_nothing(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sorting nor the encoding of files follows it."""
    for name in ("LC_ALL", "LANG", "LC_COLLATE"):
        monkeypatch.setenv(name, "de_DE.ISO-8859-1")
    source = """
        import locale

        def tool():
            name = locale.setlocale(locale.LC_ALL, "")
            return [name, locale.getpreferredencoding().lower()]
    """
    assert await answers(mode, source) == ["C.UTF-8", "utf-8"]
