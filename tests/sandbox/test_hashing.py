"""Every isolated process hashes alike, so that the order of a set is the same in each of them."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox
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
        orders = [await answer(sandbox, ORDER, WORDS, hash_seed=seed) for seed in (0, 1, 0, 1)]
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
