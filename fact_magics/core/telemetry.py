"""Spans and counters for OpenTelemetry, if the notebook or its environment has set up an SDK.

Nothing of OpenTelemetry is imported otherwise. The names follow its conventions for generative AI. Spans hold
no inputs, outputs, errors' texts or keys. A span is written when its row is stored, with the row's times.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fact_magics._version import __version__
from fact_magics.tool import HAND, IMPORTED, REPLAY, SHELF, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fact_magics.store import ExecutionRow, GenerationRow

_NAME = "fact_magics"
# With these variables, OpenTelemetry's API itself loads an SDK.
_PROVIDERS = {"trace": "OTEL_PYTHON_TRACER_PROVIDER", "metrics": "OTEL_PYTHON_METER_PROVIDER"}
_NO_MODELS = (HAND, IMPORTED, REPLAY, SHELF)


class Telemetry:
    """Reports stored rows to the OpenTelemetry SDK that is set up when they are stored."""

    def __init__(self) -> None:
        self._instruments: tuple[Any, Any, Any] = (None, None, None)

    @property
    def is_set_up(self) -> bool:
        """Whether an SDK would take what is reported."""
        with suppress(Exception):
            return any(_set_up(signal) is not None for signal in _PROVIDERS)
        return False

    def report(self, runs: Sequence[ExecutionRow], attempts: Sequence[GenerationRow]) -> None:
        """Write a span for each run and each attempt of a model, and count them."""
        with suppress(Exception):  # an SDK that fails must not fail a cell
            asked = [attempt for attempt in attempts if attempt.provider not in _NO_MODELS]
            if (trace := _set_up("trace")) is not None:
                tracer = trace.get_tracer(_NAME, __version__)
                for row in runs:
                    start = _nanoseconds(row.executed_at) - _took(row)  # a run's time is that of its end
                    _span(tracer, f"execute_tool {row.tool_name}", row, start, _of_run(row))
                for attempt in asked:
                    start = _nanoseconds(attempt.started_at)
                    _span(tracer, f"chat {attempt.model}", attempt, start, _of_attempt(attempt))
            if (metrics := _set_up("metrics")) is not None:
                self._count(metrics, runs, asked)

    def _count(self, metrics: Any, runs: Sequence[ExecutionRow], attempts: Sequence[GenerationRow]) -> None:
        provider = metrics.get_meter_provider()
        if self._instruments[0] is not provider:
            meter = metrics.get_meter(_NAME, __version__)
            tokens = meter.create_histogram("gen_ai.client.token.usage", unit="{token}")
            self._instruments = provider, meter.create_counter("fact.runs", unit="{run}"), tokens
        _, counter, tokens = self._instruments
        for row in runs:
            about: dict[str, Any] = {"gen_ai.tool.name": row.tool_name, "fact.status": row.status.value}
            counter.add(1, {**about, "fact.cached": row.cached})
        for attempt in attempts:
            about = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": attempt.provider}
            about["gen_ai.request.model"] = attempt.model
            for kind, number in (("input", attempt.input_tokens), ("output", attempt.output_tokens)):
                if number is not None:
                    tokens.record(number, {**about, "gen_ai.token.type": kind})


def _set_up(signal: str) -> Any:
    """Return OpenTelemetry's module for a signal, or None if no SDK takes this signal."""
    module = sys.modules.get(f"opentelemetry.{signal}")
    if module is None and os.environ.get(_PROVIDERS[signal]):
        module = import_module(f"opentelemetry.{signal}")
    if module is None:
        return None
    provider = getattr(module, "get_tracer_provider" if signal == "trace" else "get_meter_provider")()
    # Until an SDK is set up, the API gives a stand-in.
    return None if type(provider).__name__.lstrip("_").startswith(("Proxy", "NoOp")) else module


def _nanoseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1e9)


def _took(row: ExecutionRow | GenerationRow) -> int:
    return int(row.duration_ms * 1e6)


def _span(
    tracer: Any, name: str, row: ExecutionRow | GenerationRow, start: int, attributes: Mapping[str, Any]
) -> None:
    failed = row.status is not Status.OK
    error = {"error.type": row.status.value} if failed else {}
    span = tracer.start_span(name, start_time=start, attributes={**attributes, **error})
    if failed:
        span.set_status(import_module("opentelemetry.trace").StatusCode.ERROR)
    span.end(start + _took(row))


def _of_run(row: ExecutionRow) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": row.tool_name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": row.id,
        "fact.tool.version": row.tool_version or "",
        "fact.cached": row.cached,
    }


def _of_attempt(attempt: GenerationRow) -> dict[str, Any]:
    usage = {"input": attempt.input_tokens, "output": attempt.output_tokens}
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": attempt.model,
        "fact.tool": attempt.tool_name,
        "fact.attempt": attempt.attempt,
        **{f"gen_ai.usage.{kind}_tokens": number for kind, number in usage.items() if number is not None},
    }
