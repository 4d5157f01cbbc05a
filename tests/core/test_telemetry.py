"""Spans and counters for OpenTelemetry, taken by providers that are set up through its API."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("opentelemetry.trace")

# In a process of its own, because providers can be set up once.
SCRIPT = """if True:
    import json
    from opentelemetry import metrics, trace
    from fact_magics.core.telemetry import Telemetry
    from fact_magics.store import ExecutionRow, GenerationRow
    from fact_magics.tool import HAND, Status

    told = []

    class Span(trace.NonRecordingSpan):
        def __init__(self, known):
            super().__init__(trace.INVALID_SPAN_CONTEXT)
            self.known = known

        def end(self, end_time=None):
            told.append({**self.known, "end": end_time})

    class Tracer(trace.NoOpTracer):
        def start_span(self, name, *args, start_time=None, attributes=None, **options):
            return Span({"name": name, "start": start_time, "attributes": dict(attributes)})

    class Traces(trace.TracerProvider):
        def get_tracer(self, *args, **options):
            return Tracer()

    class Instrument(metrics.NoOpCounter):
        def add(self, amount, attributes=None, *args, **options):
            told.append({"name": self.title, "amount": amount, "attributes": dict(attributes)})

        record = add

    class Meter(metrics.NoOpMeter):
        def create_counter(self, name, *args, **options):
            made = Instrument(name)
            made.title = name
            return made

        create_histogram = create_counter

    class Meters(metrics.MeterProvider):
        def get_meter(self, *args, **options):
            return Meter("fact")

    telemetry = Telemetry()
    secret = {"input_data": "secret", "output_data": "secret", "error": "secret", "details": "secret"}
    run = ExecutionRow(id="ab", tool_name="slugify", tool_version="1.0.0", status=Status.ERROR, duration_ms=250.0,
        executed_at="2026-01-01T00:00:01.000Z", **secret)
    attempt = GenerationRow(generation_id="1", attempt=2, tool_name="slugify", status=Status.OK, model="m-1",
        provider="anthropic", input_tokens=10, duration_ms=1000.0, started_at="2026-01-01T00:00:00.000Z",
        description="secret", text="secret", source="secret", contract="secret")
    telemetry.report([run], [attempt])
    assert not told, "nothing is set up yet"
    trace.set_tracer_provider(Traces())
    metrics.set_meter_provider(Meters())
    for _ in range(2):
        telemetry.report([run], [attempt, GenerationRow(generation_id="2", attempt=1, tool_name="t", status=Status.OK,
            provider=HAND)])

    class Broken(Tracer):
        def start_span(self, *args, **options):
            raise RuntimeError

    Traces.get_tracer = lambda *args, **options: Broken()
    telemetry.report([run], [])
    print(json.dumps(told))
"""


def test_runs_and_attempts_are_spans_and_numbers_without_their_texts():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "secret" not in done.stdout
    told = json.loads(done.stdout)
    assert len(told) == 8
    assert told[:4] == told[4:]
    run, attempt, runs, tokens = told[:4]
    start = 1_767_225_600 * 10**9
    assert run == {
        "name": "execute_tool slugify",
        "start": start + 750 * 10**6,
        "end": start + 10**9,
        "attributes": {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "slugify",
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": "ab",
            "fact.tool.version": "1.0.0",
            "fact.cached": False,
            "error.type": "error",
        },
    }
    assert (attempt["name"], attempt["start"], attempt["end"]) == ("chat m-1", start, start + 10**9)
    assert attempt["attributes"]["gen_ai.usage.input_tokens"] == 10
    assert "gen_ai.usage.output_tokens" not in attempt["attributes"]
    assert (runs["name"], runs["amount"], runs["attributes"]["fact.status"]) == ("fact.runs", 1, "error")
    assert (tokens["name"], tokens["amount"]) == ("gen_ai.client.token.usage", 10)


WITH_SDK = """if True:
    import asyncio, json
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from fact_magics import FactCore, ToolInput, ToolSpec

    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(MeterProvider([reader]))

    async def main():
        async with FactCore() as core:
            await core.generate(ToolSpec("slugify", "Turn a title into a URL slug.\\n\\n>>> slugify('A b')\\n'a-b'"))
            for text in ("secret one", "secret one", "secret two"):
                await core.execute_tool(ToolInput("slugify", {"text": text}))
            await core.execute_tool(ToolInput("slugify", {"text": 1}))

    asyncio.run(main())
    spans = [[span.name, dict(span.attributes), span.status.status_code.name] for span in exporter.get_finished_spans()]
    found = reader.get_metrics_data().resource_metrics[0].scope_metrics
    counts = {metric.name: sum(point.value for point in metric.data.data_points)
        for scope in found for metric in scope.metrics if metric.name == "fact.runs"}
    print(json.dumps([spans, counts]))
"""


def test_the_sdk_gets_a_span_for_each_run_and_no_input(plain_environment):
    """The real SDK, with exporters that keep what they get in memory."""
    pytest.importorskip("opentelemetry.sdk")
    done = subprocess.run(
        [sys.executable, "-c", WITH_SDK], env=plain_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout
    spans, counts = json.loads(done.stdout)
    runs = [span for span in spans if span[0] == "execute_tool slugify"]
    assert [status for _, _, status in runs] == ["UNSET", "UNSET", "UNSET", "ERROR"]
    assert {attributes["gen_ai.tool.name"] for _, attributes, _ in runs} == {"slugify"}
    assert counts == {"fact.runs": 4}
