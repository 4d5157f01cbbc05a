"""The counters of a kernel, in Prometheus's text format."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request

import pytest

from fact_magics.core.counters import Counters
from fact_magics.errors import CellError
from fact_magics.store import ExecutionRow, GenerationRow
from fact_magics.tool import REPLAY, Status, ToolInput, ToolSpec

pytest.importorskip("prometheus_client")
SECRET = "4 of hearts"


def samples(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.fixture
def counters():
    made = Counters()
    yield made
    made.close()


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(tool="slugify", status=Status.OK, **known):
    return ExecutionRow(tool_name=tool, status=status, input_data=SECRET, output_data=SECRET, **known)


def test_runs_durations_tokens_and_costs_are_counted(counters):
    runs = [
        run(duration_ms=2.0),
        run(duration_ms=90_000.0),
        run(duration_ms=0.01, cached=True),
        run(status=Status.INVALID, error=SECRET),
        run("parse", Status.ERROR, duration_ms=5.0),
    ]
    known = {"generation_id": "1", "tool_name": "t", "status": Status.OK, "description": SECRET}
    attempts = [
        GenerationRow(**known, attempt=1, input_tokens=10, cost_usd=0.5),
        GenerationRow(**known, attempt=2, input_tokens=5, output_tokens=7),
        GenerationRow(**known, attempt=3, provider=REPLAY, input_tokens=900, output_tokens=900),
    ]
    counters.add(runs, attempts)
    text = counters.text()
    found = samples(text)
    assert {name: value for name, value in found.items() if name.startswith("fact_runs_total")} == {
        'fact_runs_total{cached="false",status="ok",tool="slugify"}': 2,
        'fact_runs_total{cached="true",status="ok",tool="slugify"}': 1,
        'fact_runs_total{cached="false",status="invalid",tool="slugify"}': 1,
        'fact_runs_total{cached="false",status="error",tool="parse"}': 1,
    }
    assert found["fact_run_seconds_count"] == 3
    assert found["fact_run_seconds_sum"] == pytest.approx(90.007)
    assert found['fact_run_seconds_bucket{le="0.005"}'] == 2
    assert found['fact_run_seconds_bucket{le="60.0"}'] == 2
    assert found['fact_run_seconds_bucket{le="+Inf"}'] == 3
    assert found['fact_tokens_total{kind="input"}'] == 15
    assert found['fact_tokens_total{kind="output"}'] == 7
    assert found["fact_cost_usd_total"] == 0.5
    assert "hearts" not in text
    assert "# TYPE fact_run_seconds histogram" in text


def test_the_number_of_tools_is_bounded(counters):
    counters.add([run(f"tool_{number}") for number in range(500)], ())
    counters.add([run("tool_0"), run("tool_400")], ())
    found = {name: value for name, value in samples(counters.text()).items() if "fact_runs_total" in name}
    assert len(found) == 101
    assert [value for name, value in found.items() if 'tool="other"' in name] == [401]


def test_they_are_served_on_this_machine_until_the_end(counters, port):
    address = counters.serve(port)
    assert address == f"http://127.0.0.1:{port}/metrics" == counters.serve(port)
    counters.add([run()], ())
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own address
        assert 'tool="slugify"' in answer.read().decode()
    counters.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)  # noqa: S310


def test_a_port_in_use_is_one_line_and_the_server_before_goes_on(counters, port):
    address = counters.serve(port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(CellError, match=f"Port {taken} is in use. Name another one with --port."):
            counters.serve(taken)
    with urllib.request.urlopen(address) as answer:  # noqa: S310
        assert answer.status == 200


def test_without_the_package_it_is_one_line_with_the_way_out(counters, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for ask in (counters.text, lambda: counters.serve(9464)):
        with pytest.raises(CellError, match=r'Run %pip install "fact_magics\[metrics\]"'):
            ask()


async def test_runs_hits_refusals_and_generations_of_a_core_are_counted(core, server):
    server.writes("def double(n: int) -> int:\n    return 2 * n\n")
    await core.generate(ToolSpec("double", "Double a number.\n\n>>> double(2)\n4\n"))
    for parameters in ({"n": 1}, {"n": 1}, {"n": "x"}):
        await core.execute_tool(ToolInput("double", parameters))
    found = samples(core.metrics())
    runs = {name: value for name, value in found.items() if name.startswith("fact_runs_total")}
    assert sorted(runs.values()) == [1, 1, 1]
    assert found['fact_tokens_total{kind="output"}'] > 0


def test_nothing_is_imported_before_it_is_asked_for(tmp_path):
    script = """if True:
        import asyncio, sys
        from pathlib import Path
        from fact_magics import FactCore, load_settings
        from fact_magics.store import ExecutionRow
        from fact_magics.tool import Status

        async def main():
            settings = load_settings({"isolation": "process"}, Path(), {"FACT_HOME": sys.argv[1]})
            async with FactCore(settings) as core:
                core._recorder._pending.append(ExecutionRow(tool_name="t", status=Status.OK))
                await core.flush()
                await core.stats()

        asyncio.run(main())
        print([name for name in sys.modules if name.startswith(("prometheus", "opentelemetry", "pandas"))])
    """
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
