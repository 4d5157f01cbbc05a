"""`FactCore` without a notebook: generate, run, remember, and tell what goes on."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest
from waiting import BEGIN, tool_has_begun, until_async

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.errors import CellError, FactError, GenerationFailed, StoreError, UnknownName
from fact_magics.events import ExampleProven, GenerationEnded, Printed, RunEnded, TextArrived

DOUBLE = "def double(n: int) -> int:\n    print('doubling', n)\n    return 2 * n\n"
TEXT = "Double a number.\n\n>>> double(2)\n4\n"


async def test_examples_in_the_description_are_the_contract(core, server):
    server.writes(DOUBLE)
    tool = await core.generate(ToolSpec("double", TEXT))
    assert tool.metadata.proven
    assert tool.metadata.contract == ">>> double(2)\n4"
    assert ">>>" in server.requests[0].text


@pytest.mark.parametrize("first", ["2", "Traceback (most recent call last):\nValueError"])
async def test_two_values_of_one_call_are_refused_before_a_model_is_asked(core, server, first):
    with pytest.raises(
        CellError, match=r"^Line [45]: f\(1\) has another value than in line 2\. Keep one"
    ) as refused:
        await core.generate(ToolSpec("f", f"Do.\n>>> f(1)\n{first}\n>>> f(1)\n3"))
    assert "\n" not in str(refused.value)
    assert not server.requests


async def test_a_run_gives_an_output_and_the_second_is_cached(core, server):
    server.writes(DOUBLE)
    await core.generate(ToolSpec("double", TEXT))
    first = await core.execute_tool(ToolInput("double", {"n": 21}))
    second = await core.execute_tool(ToolInput("double", {"n": 21}))
    assert (first.success, first.result, first.metadata["cached"]) == (True, 42, False)
    assert (second.success, second.result, second.metadata["cached"]) == (True, 42, True)
    assert second.metadata["printed"] == "doubling 21\n"
    assert first.execution_time_ms > second.execution_time_ms > 0
    fresh = await core.execute_tool(ToolInput("double", {"n": 21}, fresh=True))
    assert fresh.metadata["cached"] is False


@pytest.mark.parametrize(
    ("parameters", "status", "kind"),
    [
        ({"n": 0}, "error", "ValueError"),
        ({"n": "x"}, "invalid", "InvalidInput"),
        ({}, "invalid", "InvalidInput"),
        ({"n": 1, "m": 2}, "invalid", "InvalidInput"),
    ],
)
async def test_execute_tool_never_raises_for_what_a_tool_does(core, server, parameters, status, kind):
    server.writes("def picky(n: int) -> int:\n    if not n:\n        raise ValueError('no')\n    return n\n")
    await core.generate(ToolSpec("picky", "Be picky."))
    output = await core.execute_tool(ToolInput("picky", parameters))
    assert not output.success
    assert output.result is None
    assert output.metadata["status"] == status
    assert output.metadata["error_type"] == kind
    assert output.metadata["error"]


async def test_a_timeout_is_an_output_too(core, server):
    server.writes("import time\n\ndef nap(n: float) -> float:\n    time.sleep(n)\n    return n\n")
    await core.generate(ToolSpec("nap", "Nap."))
    output = await core.execute_tool(ToolInput("nap", {"n": 30.0}, timeout_seconds=0.3))
    assert output.metadata["status"] == "timeout"


async def test_an_unknown_tool_raises_with_what_is_close(core, server):
    with pytest.raises(UnknownName, match="%%fact_generate nothing"):
        await core.execute_tool(ToolInput("nothing", {}))
    server.writes(DOUBLE)
    await core.generate(ToolSpec("double", TEXT))
    with pytest.raises(UnknownName, match="Did you mean 'double'"):
        await core.execute_tool(ToolInput("duoble", {"n": 1}))
    with pytest.raises(UnknownName, match=r"1\.0\.0"):
        await core.execute_tool(ToolInput("double@2", {"n": 1}))


async def test_history_of_a_version_and_of_a_name(core, server):
    server.writes(DOUBLE)
    one = await core.generate(ToolSpec("double", TEXT))
    await core.execute_tool(ToolInput("double", {"n": 1}))
    server.writes(DOUBLE.replace("2 * n", "n + n"))
    two = await core.generate(ToolSpec("double", TEXT, fresh=True))
    assert two.version == "1.0.1"
    for n in (1, 1, 2):
        await core.execute_tool(ToolInput("double", {"n": n}))
    assert [row.tool_version for row in await core.get_tool_history(one.id, 10)] == ["1.0.0"]
    assert [row.cached for row in await core.get_tool_history(two.id, 10)] == [False, True, False]
    assert len(await core.get_tool_history("double", 10)) == 4
    assert len(await core.get_tool_history("double", 2)) == 2


async def test_listeners_hear_what_the_views_show(core, server):
    server.writes(DOUBLE)
    heard: list[object] = []
    all_of_it: list[object] = []
    unsubscribe = core.subscribe(all_of_it.append)
    await core.generate(ToolSpec("double", TEXT), heard.append)
    text = "".join(event.text for event in heard if isinstance(event, TextArrived))
    assert DOUBLE.strip() in text
    assert sum(isinstance(event, TextArrived) for event in heard) > 5
    assert [event.verdict.holds for event in heard if isinstance(event, ExampleProven)] == [True]
    assert isinstance(heard[-1], GenerationEnded)
    assert all_of_it == heard
    run: list[object] = []
    await core.execute_tool(ToolInput("double", {"n": 3}), run.append)
    assert "".join(event.text for event in run if isinstance(event, Printed)) == "doubling 3\n"
    assert isinstance(run[-1], RunEnded)
    unsubscribe()
    unsubscribe()
    before = len(all_of_it)
    await core.execute_tool(ToolInput("double", {"n": 4}))
    assert len(all_of_it) == before


async def test_a_generation_that_accepts_nothing_changes_nothing(core, server):
    server.writes(DOUBLE)
    await core.generate(ToolSpec("double", TEXT))
    server.writes(DOUBLE.replace("2 *", "3 *"))
    with pytest.raises(GenerationFailed, match="the only example failed"):
        await core.generate(ToolSpec("double", TEXT, fresh=True, attempts=1))
    tool = await core.tool("double")
    assert tool.version == "1.0.0"
    assert len(await core._store.tools.versions("double")) == 1
    assert [row.status for row in await core._store.history.generations(limit=5)] == ["error", "ok"]


async def test_a_cancelled_generation_is_recorded_as_interrupted(core, server):
    server.writes(DOUBLE + "# remark\n" * 500, pace=20)
    heard = []
    task = asyncio.create_task(core.generate(ToolSpec("double", TEXT), heard.append))
    await until_async(lambda: sum(isinstance(event, TextArrived) for event in heard) > 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [row] = await core._store.history.generations(limit=5)
    assert row.status == "interrupted"
    assert row.text.startswith("```python")
    assert await asyncio.to_thread(server.wait_for_disconnect)


async def test_cancelling_an_acceptance_repeatedly_records_no_accepted_row_without_a_version(core, server):
    server.writes(DOUBLE)
    told, heard = asyncio.Event(), []
    loop = asyncio.get_running_loop()
    core._store._database._locks.tell = lambda _: loop.call_soon_threadsafe(told.set)
    with closing(sqlite3.connect(core.database_path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(core.generate(ToolSpec("double", TEXT), heard.append))
        await told.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises((StoreError, asyncio.CancelledError)):
            await task
    ended = heard[-1]
    assert (ended.version, [attempt.status for attempt in ended.attempts]) == (None, ["interrupted"])


async def test_a_further_cancel_ends_the_wait_of_an_interrupted_generation_s_rows(core, server, caplog):
    server.writes(DOUBLE + "# remark\n" * 500, pace=20)
    heard = []
    with closing(sqlite3.connect(core.database_path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(core.generate(ToolSpec("double", TEXT), heard.append))
        await until_async(lambda: sum(isinstance(event, TextArrived) for event in heard) > 5)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_async(lambda: core._store.is_locked)  # the wait has ended, so that the thread is free
        del task
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_repeated_request_changes_nothing_so_it_needs_no_lock(core, server, monkeypatch):
    monkeypatch.setattr("fact_magics.store.locks.LOCK_SECONDS", 0.2)
    server.writes(DOUBLE)
    first = await core.generate(ToolSpec("double", TEXT))
    with closing(sqlite3.connect(core.database_path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        assert (await core.generate(ToolSpec("double", TEXT))).id == first.id


async def test_a_cancelled_run_is_recorded_as_interrupted(core, server):
    server.writes(
        f"import time\n\ndef nap(n: float) -> float:\n    {BEGIN}\n    time.sleep(n)\n    return n\n"
    )
    await core.generate(ToolSpec("nap", "Nap."))
    task = asyncio.create_task(core.execute_tool(ToolInput("nap", {"n": 60.0})))
    await until_async(tool_has_begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.status for row in await core.get_tool_history("nap", 5)] == ["interrupted"]
    assert (await core.execute_tool(ToolInput("nap", {"n": 0.0}))).success


async def test_identical_runs_in_flight_are_one_run_and_a_cancelled_leader_leaves_the_others(core, server):
    source = "import os, time\n\ndef who(n: float) -> int:\n    time.sleep(n)\n    return getattr(os, 'get' + 'pid')()\n"
    server.writes(source)
    await core.generate(
        ToolSpec("who", "Who.\n\n>>> who(-1.0)\nTraceback (most recent call last):\nValueError\n")
    )
    request = ToolInput("who", {"n": 0.4})
    outputs = await asyncio.gather(*(core.execute_tool(request) for _ in range(6)))
    assert len({output.result for output in outputs}) == 1

    request = ToolInput("who", {"n": 0.5})
    leader = asyncio.create_task(core.execute_tool(request))
    await asyncio.sleep(0.1)
    others = [asyncio.create_task(core.execute_tool(request)) for _ in range(3)]
    await asyncio.sleep(0.1)
    leader.cancel()
    answers = await asyncio.gather(*others)
    assert all(answer.success for answer in answers)
    assert len({answer.result for answer in answers}) == 1


async def test_a_core_that_is_not_open_says_how_to_open_it(settings):
    core = FactCore(settings)
    works = [
        core.execute_tool(ToolInput("loud", {"text": "a"})),
        core.generate(ToolSpec("loud", "Write loudly.")),
        core.list_runs(),
        core.export_tool("loud"),
        core.stats(),
        core.clear_cache(),
        core.layers(),
    ]
    for work in works:
        with pytest.raises(FactError, match=r"is not open\. Use it inside: async with FactCore"):
            await work
    assert not hasattr(core, "_repr_html_")


async def test_a_fenced_request_is_the_same_request(core, server, settings):
    """The model reads the fence and the history keeps it, but a tool for the same words is reused."""
    server.writes(DOUBLE)
    text, fenced = "Double a number.", "Double <data-1 variable='what'>a number</data-1>."
    first = await core.generate(ToolSpec("double", text))
    assert (await core.generate(ToolSpec("double", text, fenced=fenced))).id == first.id
    assert len(server.requests) == 1
    server.writes(DOUBLE)
    await core.generate(ToolSpec("double", text, fenced=fenced, fresh=True))
    assert fenced in server.requests[-1].text
    with closing(sqlite3.connect(settings.database_path)) as connection:
        rows = connection.execute("SELECT description FROM generations ORDER BY seq").fetchall()
    assert rows == [(text,), (fenced,)]


async def test_a_key_in_a_description_is_neither_sent_nor_stored(home, server):
    """A key that a variable brings into a description stays in this process."""
    key = "tok-RECOGNISABLE-7f3a9c0d2e4b"
    environment = {**server.environment(), "FACT_HOME": str(home), "GROQ_API_KEY": key}
    server.writes(DOUBLE)
    async with FactCore(load_settings({}, home.parent, environment)) as core:
        text = f"Double a number. Settings: {{'key': '{key}'}}"
        await core.generate(ToolSpec("double", text, fenced=f"<data>{text}</data>"))
    assert "[redacted]" in server.requests[0].text
    assert key not in server.requests[0].text
    assert not any(key.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())


async def test_a_name_is_read_as_python_reads_it(core, server):
    """A ligature in a name means its letters, so that the examples call the tool by its name."""
    server.writes("def file(n: int) -> int:\n    return 2 * n\n")
    tool = await core.generate(ToolSpec("\ufb01le", "Double.\n\n>>> \ufb01le(2)\n4\n"))
    assert (tool.name, tool.metadata.proven) == ("file", True)
    assert (await core.tool("\ufb01le")).id == tool.id
    assert (await core.execute_tool(ToolInput("\ufb01le", {"n": 3}))).result == 6


@pytest.mark.parametrize("name", ["", "9x", "class", "a b", "_private", "../x"])
async def test_a_name_that_can_t_be_bound_is_refused(core, server, name):
    with pytest.raises(CellError):
        await core.generate(ToolSpec(name, "Write."))
    assert server.requests == ()


async def test_a_second_core_on_the_same_home_finds_tools_and_answers(core, server, settings):
    server.writes(DOUBLE)
    await core.generate(ToolSpec("double", TEXT))
    await core.execute_tool(ToolInput("double", {"n": 5}))
    async with FactCore(settings) as other:
        output = await other.execute_tool(ToolInput("double", {"n": 5}))
        assert output.metadata["cached"] is True
        tool = await other.generate(ToolSpec("double", TEXT))
        assert tool.version == "1.0.0"
        assert len(server.requests) == 1


def test_a_script_without_ipython_does_the_whole_job(home, plain_environment, tmp_path):
    """The shelf, a cached second run, a failure, the history, in a plain script that ends by itself."""
    script = textwrap.dedent(
        """
        import asyncio, sys
        from fact_magics import FactCore, ToolInput, ToolSpec

        async def main():
            async with FactCore() as core:
                tool = await core.generate(ToolSpec("slugify", "Turn a title into a URL slug."))
                outputs = [await core.execute_tool(ToolInput("slugify", {"text": "Some Title"})) for _ in range(3)]
                print([o.result for o in outputs], outputs[-1].metadata["cached"])
                bad = await core.execute_tool(ToolInput("slugify", {"txt": 1}))
                print(bad.success, bad.metadata["status"])
                print(await tool.acall("Another Title"))
                print(len(await core.get_tool_history(tool.id, 10)))
                print(sorted(tool.to_anthropic()), sorted(tool.to_openai()))
            print("IPython" in sys.modules, "ipywidgets" in sys.modules, "anthropic" in sys.modules)

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=plain_environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "['some-title', 'some-title', 'some-title'] True",
        "False invalid",
        "another-title",
        "5",
        "['description', 'input_schema', 'name'] ['function', 'type']",
        "False False False",
    ]


async def test_a_changed_log_level_and_a_new_key_reach_the_open_log(tmp_path):
    settings = load_settings({"log_level": "error"}, tmp_path, {"FACT_HOME": str(tmp_path / "home")})
    async with FactCore(settings) as core:
        core.log.info("unheard")
        told = {"FACT_HOME": str(tmp_path / "home"), "ANTHROPIC_API_KEY": "sk-a-key-set-later"}
        await core.configure(load_settings({"log_level": "info"}, tmp_path, told))
        core.log.info("heard", text="it is sk-a-key-set-later")
    [file] = (tmp_path / "home" / "logs").glob("*.log")
    written = file.read_text()
    assert "unheard" not in written
    assert '"heard"' in written
    assert "sk-a-key-set-later" not in written


@pytest.mark.parametrize(("samples", "rows"), [(True, True), (False, False)])
async def test_the_variables_of_a_request_are_filled_in(core, server, samples, rows):
    """As in a cell: after the examples are read, in a fence, and without rows if asked."""
    server.writes("def first(rows: list[int]) -> int:\n    return rows[0]\n")
    text = "Give the first of {{ numbers }}.\n\n>>> first([7])\n7\n"
    spec = ToolSpec("first", text, variables={"numbers": [41, 42]}, samples=samples)
    await core.generate(spec)
    asked = server.requests[0].body["messages"][0]["content"]
    assert ('variable="numbers">[41, 42]</data-' in asked) is rows
    assert ('variable="numbers">A value of type list with 2 items.</data-' in asked) is not rows
    with pytest.raises(UnknownName, match="this notebook has no variable 'number'"):
        await core.generate(ToolSpec("second", "Take {{number}}.", variables={"numbers": []}))
