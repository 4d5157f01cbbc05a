"""Counters of this kernel for Prometheus, without inputs, outputs or keys.

The counters are kept by plain Python. The package ``prometheus-client`` is imported only to write them.
"""

from __future__ import annotations

import errno
import threading
from bisect import bisect_left
from collections import Counter
from contextlib import suppress
from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from fact_magics.core.telemetry import Telemetry
from fact_magics.errors import CellError
from fact_magics.tool import REPLAY, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fact_magics.store import ExecutionRow, GenerationRow, MapRows

# A label with too many values would be too much for a Prometheus server; further tools share one value.
_MOST_TOOLS = 100
_OTHER = "other"
_LIMITS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_creation": "cache_creation_tokens",
}
_ADDRESS = "127.0.0.1"
# OpenTelemetry's port for Prometheus, and the next ones, for further kernels.
_PORTS = range(9464, 9474)


class Counters:
    """Counts rows when they are stored, and serves the counters on this machine only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # rows are stored on several threads
        self._tools: set[str] = set()
        self._runs: Counter[tuple[str, str, str]] = Counter()
        self._durations = [0] * (len(_LIMITS) + 1)
        self._seconds = 0.0
        self._tokens: Counter[str] = Counter(dict.fromkeys(_TOKENS, 0))
        self._cost_usd = 0.0
        self._server: Any = None
        self.state = ""  # the address at which the counters are served, or why not; may be empty
        self._telemetry = Telemetry()

    def add(
        self,
        runs: Sequence[ExecutionRow],
        attempts: Sequence[GenerationRow],
        of_map: Sequence[MapRows] = (),
    ) -> None:
        """Count rows that were stored, and report them to OpenTelemetry if it is set up."""
        with self._lock:
            for row in runs:
                self._runs[self._label(row.tool_name), row.status.value, str(row.cached).lower()] += 1
                if not row.cached and row.status is not Status.INVALID:
                    seconds = row.duration_ms / 1e3
                    self._durations[bisect_left(_LIMITS, seconds)] += 1
                    self._seconds += seconds
            for many in of_map:
                same = many.same
                self._runs[self._label(same.tool_name), same.status.value, str(same.cached).lower()] += len(
                    many
                )
                for took_ms in () if same.cached else many.durations_ms:
                    self._durations[bisect_left(_LIMITS, took_ms / 1e3)] += 1
                    self._seconds += took_ms / 1e3
            for attempt in attempts:
                if attempt.provider == REPLAY:  # nobody paid for its tokens this time
                    continue
                for kind, name in _TOKENS.items():
                    self._tokens[kind] += getattr(attempt, name) or 0
                self._cost_usd += attempt.cost_usd or 0.0
        if of_map and self._telemetry.is_set_up:
            runs = [*runs, *(row for many in of_map for row in many.rows())]
        self._telemetry.report(runs, attempts)

    def _label(self, tool: str) -> str:
        if tool not in self._tools:
            if len(self._tools) >= _MOST_TOOLS:
                return _OTHER
            self._tools.add(tool)
        return tool

    def collect(self) -> Iterator[Any]:
        """Yield the counters as objects of ``prometheus-client``, which calls this."""
        core = import_module("prometheus_client.core")
        counter, histogram = core.CounterMetricFamily, core.HistogramMetricFamily
        with self._lock:
            runs, tokens = dict(self._runs), dict(self._tokens)
            counted = [*accumulate(self._durations)]
            seconds, cost = self._seconds, self._cost_usd
        labels = ("tool", "status", "cached")
        family = counter("fact_runs", "Runs of tools, hits of the cache included.", labels=labels)
        for values, number in sorted(runs.items()):
            family.add_metric(values, number)
        yield family
        names = (*map(str, _LIMITS), "+Inf")
        yield histogram(
            "fact_run_seconds",
            "Durations of runs that were executed.",
            buckets=[*zip(names, counted, strict=True)],
            sum_value=seconds,
        )
        family = counter("fact_tokens", "Tokens of models.", labels=("kind",))
        for kind, number in tokens.items():
            family.add_metric((kind,), number)
        yield family
        yield counter("fact_cost_usd", "Known costs of models in US dollars.", value=cost)

    def text(self) -> str:
        """Write the counters in Prometheus's text format; raises `CellError` if its package is missing."""
        client = _client()
        written: bytes = client.generate_latest(self._registry(client))
        return written.decode()

    def _registry(self, client: Any) -> Any:
        registry = client.CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def serve(self, port: int) -> str:
        """Serve the counters until `close`, in place of an earlier server; returns the address.

        At port 0, the system chooses a free port.

        Raises
        ------
        CellError
            The port is in use or can't be used, or the package is missing.
        """
        client = _client()
        if self._server is not None and self._server.server_port == port:
            return self.state
        try:
            server, _ = client.start_http_server(port, addr=_ADDRESS, registry=self._registry(client))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
            raise CellError(f"Port {port} {reason}.", hint="Name another one with --port.") from None
        self.close()
        self._server, self.state = server, f"http://{_ADDRESS}:{server.server_port}/metrics"
        return self.state

    def start(self) -> None:
        """Serve the counters at the first free one of the usual ports; `state` tells where, or why not."""
        try:
            _client()
            for port in _PORTS:
                with suppress(CellError):
                    self.state = self.serve(port)
                    return
            self.state = f"not served: the ports {_PORTS[0]} to {_PORTS[-1]} are in use"
        except CellError as error:
            self.state = error.line

    def close(self) -> None:
        """Stop serving."""
        self.state = ""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


def _client() -> Any:
    try:
        return import_module("prometheus_client")
    except ImportError:
        raise CellError(
            "Metrics need prometheus-client, which is not installed.",
            hint='Run %pip install "fact_magics[metrics]".',
        ) from None
