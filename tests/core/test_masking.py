"""Keys that tools are given: the tool may use and return them, and nothing that is stored holds them."""

from __future__ import annotations

import base64
import json

import pytest

from fact_magics import FactCore, ToolInput, ToolSpec
from fact_magics.errors import CellError, GenerationFailed, InvalidInput
from fact_magics.events import Printed
from fact_magics.writing.examples import read_body

pytestmark = pytest.mark.slow

KEY = "tok-RECOGNISABLE-4711-of-the-user"
REVEAL = """
import base64, os

def reveal(how: str) -> str:
    key = os.environ["SERVICE_TOKEN"]
    print("printed", key, key.encode().hex())
    if how == "raise":
        raise ValueError(f"bad key {key}", key.encode())
    return base64.b64encode(b"user:" + key.encode()).decode() if how == "encoded" else key
"""
ECHO = """
def echo(text: str) -> str:
    print(text)
    return text
"""


def stored(core: FactCore) -> bytes:
    """Everything that was written to the home."""
    files = [path for path in core.settings.home.rglob("*") if path.is_file()]
    assert core.database_path in files
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("how", ["plain", "encoded", "raise"])
async def test_a_granted_key_is_in_no_row_in_no_form(core, server, monkeypatch, how):
    monkeypatch.setenv("SERVICE_TOKEN", KEY)
    server.writes(REVEAL)
    spec = ToolSpec("reveal", "Reveal.", permissions=("env:SERVICE_TOKEN",), yes_really=True)
    tool = await core.generate(spec)
    heard: list[object] = []
    output = await core.execute_tool(ToolInput("reveal", {"how": how}), heard.append)
    assert KEY not in str(output.metadata) + str([each for each in heard if isinstance(each, Printed)])
    encoded = base64.b64encode(b"user:" + KEY.encode()).decode()
    assert output.result == {"plain": KEY, "encoded": encoded, "raise": None}[how]
    (row,) = await core.list_runs()
    assert row.tool_id == tool.id
    assert row.printed.startswith("printed [redacted] [redacted]")
    assert "[redacted]" in (row.output_data or row.error or "")
    held = stored(core)
    for form in (KEY, KEY.encode().hex(), encoded):
        assert form.encode() not in held


async def test_a_key_of_the_settings_that_is_passed_as_an_argument_is_in_no_row(core, server):
    key = server.environment()["ANTHROPIC_API_KEY"]
    server.writes(ECHO)
    await core.generate(ToolSpec("echo", "Echo.\n\n>>> echo('a')\n'a'\n"))
    for _ in range(2):  # the second answer comes from memory
        assert (await core.execute_tool(ToolInput("echo", {"text": key}))).result == key
    assert [row.output_data for row in await core.list_runs()] == ['"[redacted]"'] * 2
    assert key.encode() not in stored(core)


async def test_a_key_that_does_not_fit_a_parameter_is_not_in_the_error(core, server):
    key = server.environment()["ANTHROPIC_API_KEY"]
    server.writes("def count(n: int, m: int = 0) -> int:\n    return n\n")
    count = await core.generate(ToolSpec("count", "Count."))
    output = await core.execute_tool(ToolInput("count", {"n": key, "m": key}))
    assert output.metadata["error"] == "n: should be a valid integer, got '[redacted]'"
    assert key not in str(output.metadata)
    with pytest.raises(InvalidInput) as caught:
        await count.acall(key, m=key)
    assert str(caught.value).count("[redacted]") == 2
    assert key not in str(caught.value)
    mapped = await count.amap([1, key])
    assert mapped.errors == {1: "n: should be a valid integer, got '[redacted]'"}


async def test_a_key_that_the_notebook_put_into_the_environment_later_is_not_sent(core, server, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", KEY)
    server.writes(ECHO)
    await core.generate(ToolSpec("echo", f"Echo, but never {KEY}."))
    assert KEY not in json.dumps(server.requests[0].body)
    assert KEY.encode() not in stored(core)


@pytest.mark.parametrize(
    ("is_read", "expected", "wanted"),
    [
        (True, "'a'", "An example of echo contains a key"),
        (False, "'a'", "An example of echo contains a key"),
        (False, "KEY-(", r"\[redacted\]-\("),
    ],
)
async def test_an_example_with_a_key_is_refused_before_it_is_sent_or_stored(
    core, server, is_read, expected, wanted
):
    key = server.environment()["ANTHROPIC_API_KEY"]
    contract = f">>> echo({key!r})\n{expected.replace('KEY', key)}\n"
    examples = read_body(contract, "echo").examples if is_read else ()
    with pytest.raises(CellError, match=wanted) as refused:
        await core.generate(ToolSpec("echo", "Echo." if is_read else contract, examples=examples))
    assert key not in str(refused.value)
    assert server.requests == ()
    assert key.encode() not in stored(core)


async def test_the_password_in_a_granted_address_is_in_no_row(core, server, monkeypatch):
    monkeypatch.setenv("SHOP_DB", f"postgres://me:{KEY}@db.example/shop")
    source = "import os\n\ndef look() -> str:\n    return os.environ['SHOP_DB'].split(':')[2].split('@')[0]\n"
    server.writes(source)
    await core.generate(ToolSpec("look", "Look.", permissions=("env:SHOP_DB",), yes_really=True))
    assert (await core.execute_tool(ToolInput("look", {}))).result == KEY
    assert KEY.encode() not in stored(core)


async def test_an_ordinary_variable_is_recorded_as_it_is(core, server, monkeypatch):
    monkeypatch.setenv("GREETING", "hello to all of you")
    server.writes("import os\n\ndef greet() -> str:\n    return os.environ['GREETING']\n")
    await core.generate(ToolSpec("greet", "Greet.", permissions=("env:GREETING",)))
    await core.execute_tool(ToolInput("greet", {}))
    assert [row.output_data for row in await core.list_runs()] == ['"hello to all of you"']


async def test_a_granted_key_is_neither_sent_to_the_model_nor_kept_with_a_failed_attempt(
    core, server, monkeypatch
):
    monkeypatch.setenv("SERVICE_TOKEN", KEY)
    server.writes(REVEAL.replace('if how == "raise"', "if True"))
    server.writes(REVEAL)
    contract = "Reveal.\n\n>>> reveal('x') \n'some value'\n"
    spec = ToolSpec(
        "reveal", contract, permissions=("env:SERVICE_TOKEN",), yes_really=True, attempts=2, model=None
    )
    with pytest.raises(GenerationFailed) as failed:
        await core.generate(spec)
    assert len(server.requests) == 2
    assert not any(request.carries(KEY) or KEY in json.dumps(request.body) for request in server.requests)
    assert KEY not in "\n".join((str(failed.value), *failed.value.details))
    assert KEY.encode() not in stored(core)


async def test_a_granted_password_that_is_a_word_is_masked_in_its_own_run_only(core, server, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "postgres")
    server.writes(REVEAL.replace("SERVICE_TOKEN", "DB_PASSWORD"))
    await core.generate(ToolSpec("reveal", "Reveal.", permissions=("env:DB_PASSWORD",), yes_really=True))
    heard: list[object] = []
    await core.execute_tool(ToolInput("reveal", {"how": "plain"}), heard.append)
    assert "postgres" not in str([each for each in heard if isinstance(each, Printed)])
    (row,) = await core.list_runs()
    assert "postgres" not in f"{row.printed}{row.output_data}"
    server.writes(ECHO)
    await core.generate(ToolSpec("echo", "Echo.\n\n>>> echo('postgres')\n'postgres'\n"))
    await core.execute_tool(ToolInput("echo", {"text": "about postgres"}))
    row, *_ = await core.list_runs()
    assert row.output_data == '"about postgres"'


async def test_a_granted_number_that_a_proof_returns_is_masked_as_a_whole(core, server, monkeypatch):
    monkeypatch.setenv("ACCOUNT_TOKEN", "1234567812345678")
    server.writes("import os\n\ndef account() -> int:\n    return int(os.environ['ACCOUNT_TOKEN'])\n")
    server.writes("def account() -> int:\n    return 3\n")
    body = "Get it.\n\n>>> account()\n3\n"
    await core.generate(ToolSpec("account", body, permissions=("env:ACCOUNT_TOKEN",), yes_really=True))
    assert "account() should give 3, but gave a value that is not int" in server.requests[1].text
    assert "1234567812345678" not in server.requests[1].text
