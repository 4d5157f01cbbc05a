"""A cached answer is the worst thing to have wrong: which runs may share one, and which may not."""

from __future__ import annotations

import asyncio
import builtins
import os

import pytest

from fact_magics.config import load_settings
from fact_magics.core import FactCore
from fact_magics.signature.source import ToolSource
from fact_magics.tool import Status, ToolInput, ToolSpec

pytestmark = pytest.mark.slow


BOTH = "def to_c(v: int) -> str:\n    return 'c'\n\n\ndef to_f(v: int) -> str:\n    return 'f'\n"


async def test_two_tools_of_one_module_have_answers_of_their_own(core, server):
    for name in ("to_c", "to_f"):
        server.writes(BOTH)
        await core.generate(ToolSpec(name, f"Convert.\n\n>>> {name}(1)\n'{name[-1]}'"))
    runs = [core.execute_tool(ToolInput(name, {"v": 10})) for name in ("to_c", "to_f")]
    assert [output.result for output in await asyncio.gather(*runs)] == ["c", "f"]
    assert (await core.execute_tool(ToolInput("to_f", {"v": 10}))).result == "f"


async def test_runs_that_share_a_process_confirm_an_unproven_answer_once(core, server):
    server.writes("import time\n\n\ndef f(n: int) -> int:\n    time.sleep(0.3)\n    return n\n")
    await core.generate(ToolSpec("f", "Give a number back."))
    await asyncio.gather(*(core.execute_tool(ToolInput("f", {"n": 1})) for _ in range(3)))
    cached = [(await core.execute_tool(ToolInput("f", {"n": 1}))).metadata["cached"] for _ in range(2)]
    assert cached == [False, True]


async def test_a_run_that_waited_for_another_does_not_share_its_time_limit(core, server):
    server.writes("import time\n\n\ndef f(n: int) -> int:\n    time.sleep(n)\n    return n\n")
    await core.generate(ToolSpec("f", "Sleep.\n\n>>> f(0)\n0"))
    short, long = await asyncio.gather(
        core.execute_tool(ToolInput("f", {"n": 1}, timeout_seconds=0.3)),
        core.execute_tool(ToolInput("f", {"n": 1}, timeout_seconds=20)),
    )
    assert short.metadata["status"] == Status.TIMEOUT
    assert long.result == 1


@pytest.mark.skipif(os.name != "posix", reason="compares with enforced isolation")
async def test_without_walls_only_what_computes_is_kept(home, server):
    environment = {"FACT_HOME": str(home), **server.environment()}
    async with FactCore(load_settings({"isolation": "process"}, home.parent, environment)) as core:
        for name, head, kept in (("reads", "import os", False), ("counts", "import math", True)):
            server.writes(f"{head}\n\n\ndef {name}(n: int) -> int:\n    return n\n")
            await core.generate(ToolSpec(name, f"Give it back.\n\n>>> {name}(1)\n1"))
            await core.execute_tool(ToolInput(name, {"n": 5}))
            assert (await core.execute_tool(ToolInput(name, {"n": 5}))).metadata["cached"] is kept


@pytest.mark.parametrize(
    ("source", "contained"),
    [
        ("import math, json", True),
        ("from collections import Counter", True),
        ("import os", False),
        ("from pathlib import Path", False),
        ("import pandas as pd", False),
        ("def f(p: str) -> str:\n    return open(p).read()", False),
        ("().__class__", False),
        ("from . import x", False),
    ],
)
def test_imports_and_names_show_whether_a_module_only_computes(source, contained):
    assert ToolSource(source, "f").is_self_contained is contained


async def test_what_a_variable_holds_is_no_example(core, server):
    server.writes("def f(n: int) -> int:\n    return n\n")
    text = "Do what this says: >>>\n>>> f(1)\n7"
    tool = await core.generate(ToolSpec("f", text, examples_read=True))
    assert not tool.metadata.proven


def test_a_found_file_can_t_switch_the_isolation_off(tmp_path):
    (tmp_path / ".env").write_text(
        "isolation=process\nlive=off\nnotes=x\nproviders=y\norigins=z\nwithheld=w\n"
    )
    settings = load_settings({}, tmp_path, {"FACT_HOME": str(tmp_path / "home")})
    assert (settings.isolation, settings.live, settings.notes) == ("auto", "auto", ())


def test_a_home_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({}, tmp_path, {"FACT_HOME": "~/facts"}).home == tmp_path / "facts"


async def test_a_model_s_name_that_is_an_address_is_refused(core):
    from fact_magics.errors import ProviderError

    with pytest.raises(ProviderError, match="is an address"):
        await core.generate(ToolSpec("f", "x", model="huggingface/https://evil.example/x"))


LOOKALIKES = [
    1,
    1.0,
    True,
    0,
    0.0,
    -0.0,
    False,
    None,
    "1",
    "",
    float("nan"),
    1 << 70,
    [1],
    [True],
    [0.0],
    [-0.0],
]


async def test_values_that_compare_as_equal_have_answers_of_their_own(core, server):
    server.writes("from typing import Any\n\n\ndef f(v: Any) -> str:\n    return repr(v)\n")
    await core.generate(ToolSpec("f", "Show a value.\n\n>>> f(1)\n'1'"))
    tool = await core.tool("f")
    for _ in range(3):
        assert [await tool.acall(value) for value in LOOKALIKES] == [repr(value) for value in LOOKALIKES]


async def test_nobody_changes_the_answer_that_another_is_given(core, server):
    server.writes("def f(n: int) -> list[int]:\n    return [n]\n")
    await core.generate(ToolSpec("f", "Wrap.\n\n>>> f(1)\n[1]"))
    tool = await core.tool("f")
    for _ in range(3):
        answer = await tool.acall(1)
        assert answer == [1]
        answer.append(2)


async def test_more_inputs_than_are_remembered_keep_their_answers(core, server):
    server.writes("def f(n: int) -> int:\n    return n + 1\n")
    await core.generate(ToolSpec("f", "Add one.\n\n>>> f(1)\n2"))
    tool = await core.tool("f")
    for _ in range(2):
        assert [await tool.acall(n) for n in range(300)] == list(range(1, 301))


async def test_a_tool_is_parsed_once_to_be_accepted_and_once_to_be_run(core, server, monkeypatch):
    """However many times it runs, the text of a generated tool is parsed twice in all."""
    parsed = []
    parse = builtins.compile

    def counting(source, *args, **options):
        parsed.append(source)
        return parse(source, *args, **options)

    server.writes("def f(n: int) -> int:\n    return n\n")
    monkeypatch.setattr(builtins, "compile", counting)
    tool = await core.generate(ToolSpec("f", "Give it back.\n\n>>> f(1)\n1"))
    for n in range(4):
        assert (await core.execute_tool(ToolInput("f", {"n": n}))).result == n
    monkeypatch.undo()
    assert parsed.count(tool.loaded.stored.source) == 2
