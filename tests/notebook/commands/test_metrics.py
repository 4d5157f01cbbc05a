"""``%fact metrics`` in a notebook."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from fact_magics.errors import CellError

pytest.importorskip("prometheus_client")


def test_the_counters_are_printed_and_served(fact, workshop):
    assert "# TYPE fact_runs_total counter" in fact("metrics").plain
    assert "fact_cost_usd_total 0.0" in fact("metrics --json")["text"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = fact(f"metrics --port {port} --json")["address"]
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own address
        assert "fact_tokens_total" in answer.read().decode()
    workshop.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)  # noqa: S310


def test_at_port_0_the_system_chooses_a_free_one(fact):
    address = fact("metrics --port 0 --json")["address"]
    with urllib.request.urlopen(address) as answer:  # noqa: S310
        assert "fact_tokens_total" in answer.read().decode()


@pytest.mark.parametrize("port", ["65536", "web", "-1"])
def test_a_number_that_is_no_port_is_one_line(fact, port):
    with pytest.raises(CellError, match="--port"):
        fact(f"metrics --port {port}")
