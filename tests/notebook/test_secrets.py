"""Keys stay where they were set; the log says what was done, and nothing of it reaches a cell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

KEY = "sk-ant-api03-RECOGNISABLE-7f3a9c0d2e4b-planted"
OTHER = "gsk_RECOGNISABLE-other-91b2planted"


def everything_under(folder: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace") for path in sorted(folder.rglob("*")) if path.is_file()
    )


def test_a_key_is_in_no_output_no_log_and_no_database(start_kernel, server, home, shout, shout_cell):
    kernel = start_kernel(
        **{
            **server.environment(),
            "ANTHROPIC_API_KEY": KEY,
            "GROQ_API_KEY": OTHER,
            "SECRET_KEY": f"{OTHER}-sign",
        },
        LOG_LEVEL="debug",
    )
    cells = []

    def run(code):
        cells.append(kernel.run(code))
        return cells[-1]

    server.writes(shout)
    assert run(shout_cell).status == "ok"
    assert server.requests[-1].carries(KEY)
    run("%%fact_run shout\ntext = 'a'")
    run("%%fact_run shout\ntext = 3")
    server.fails(401, f"invalid x-api-key: {KEY}")
    run(shout_cell.replace("loudly", "very loudly"))
    server.fails(400, f"bad request with {KEY} and {OTHER}")
    run(shout_cell.replace("loudly", "quite loudly"))
    server.breaks(f"the key is {KEY} as you see", "error", after=len(KEY) + 20)
    run(shout_cell.replace("loudly", "too loudly").replace("shout\n", "shout --attempts 1\n", 1))
    run("%fact")
    run("%fact --json")
    run("%fact history --json")
    run("%config FactMagics")
    run("shout.stored")
    run(
        "import fact_magics\nfact_magics.load_settings({}, __import__('pathlib').Path('.'), __import__('os').environ)"
    )
    run("%%fact_generate x --model groq/llama\nWrite.")

    shown = json.dumps([cell.messages for cell in cells], default=str)
    for secret in (KEY, OTHER):
        assert secret not in shown
    assert "the key is [redacted]" in shown
    assert "groq" in shown.lower()
    kernel.close()
    log = (home / "logs" / "fact_magics.log").read_text()
    for secret in (KEY, OTHER, KEY[:24]):
        assert secret not in log
    database = everything_under(home)
    assert KEY not in database
    assert OTHER not in database


def test_a_tool_s_process_has_no_key(modelled, server):
    source = (
        "import os\n\ndef look(n: int) -> list[str]:\n"
        "    return sorted(f'{k}={v}' for k, v in os.environ.items() if 'KEY' in k or 'sk-' in v)\n"
    )
    server.writes(source)
    modelled.run("%%fact_generate look\nLook.\n\n>>> look(1)\n[]\n")
    assert modelled.run("look(2)").plain == "[]"


def test_the_log_holds_the_start_and_the_end_of_each_execution_as_json(
    modelled, server, home, shout, shout_cell
):
    server.writes(shout)
    modelled.run(shout_cell)
    modelled.run("%%fact_run shout\ntext = 'a'")
    server.reply("No.")
    modelled.run("%%fact_generate bad --attempts 1\nBad.\n")
    server.writes("def bad(n: int) -> int:\n    if n:\n        raise ValueError('no')\n    return n\n")
    modelled.run("%%fact_generate bad\nBad one.\n\n>>> bad(0)\n0\n")
    failed = modelled.run("%%fact_run bad\nn = 1")
    tool_id = modelled.run("print(shout.id)").stdout.strip()

    lines = [json.loads(line) for line in (home / "logs" / "fact_magics.log").read_text().splitlines()]

    assert all({"event", "level"} <= set(line) for line in lines)
    runs = [line for line in lines if line.get("operation") == "run" and line.get("tool") == "shout"]
    assert [line["event"] for line in runs] == ["run started", "run ended"]
    assert all(line["tool_id"] == tool_id for line in runs)
    assert runs[0]["input_bytes"] > 0
    assert runs[1]["output_bytes"] > 0
    assert runs[1]["duration_ms"] > 0
    assert runs[1]["status"] == "ok"
    assert [
        line["status"] for line in lines if line.get("tool") == "bad" and line["event"] == "run ended"
    ] == ["error"]
    generations = [line for line in lines if line.get("operation") == "generate"]
    assert [line["event"] for line in generations[:2]] == ["generation started", "generation ended"]
    assert "error" in {line.get("status") for line in generations}
    # Nothing of the log reaches a cell.
    assert failed.stderr == ""
    assert "run started" not in failed.plain


def test_a_found_file_s_key_goes_nowhere_but_home_until_the_file_is_trusted(
    start_kernel, server, tmp_path, shout, shout_cell
):
    folder = tmp_path / "cloned"
    folder.mkdir()
    (folder / ".env").write_text(f"ANTHROPIC_BASE_URL={server.url}\n")
    kernel = start_kernel(cwd=folder, ANTHROPIC_API_KEY=KEY)

    cell = kernel.run("%fact")

    assert "trust" in cell.plain
    assert not server.requests
    assert kernel.run("%fact --json").stdout.count(KEY) == 0
    # Trusting the file changes nothing of the rule: the key comes from elsewhere.
    assert kernel.run("%fact trust .env").status == "ok"
    assert "is not used" in kernel.run("%fact").plain
    assert not server.requests

    (folder / ".env").write_text(f"ANTHROPIC_BASE_URL={server.url}\nANTHROPIC_API_KEY=sk-of-the-file\n")
    other = start_kernel(cwd=folder)
    server.writes(shout)
    cell = other.run(shout_cell)
    assert not server.requests
    assert other.run("%fact trust .env").status == "ok"
    assert other.run(shout_cell).status == "ok"
    assert server.requests[-1].carries("sk-of-the-file")
