"""A real Redis server of a test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class RedisServer:
    """A server on a port of its own, which can be stopped, halted and started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Any:
        import redis

        return redis.Redis(port=self.port, socket_timeout=10)

    def start(self, *options: str) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        until(self.answers)

    def answers(self) -> bool:
        from redis.exceptions import RedisError

        with suppress(RedisError):
            return bool(self.client.ping())
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stored(self) -> list[bytes]:
        return sorted(self.client.keys())


def redis_server(folder: Path) -> RedisServer:
    """Start a server; without Redis the test is skipped, or fails if FACT_REQUIRE_REDIS is 1."""
    if shutil.which("redis-server") is None:
        if os.environ.get("FACT_REQUIRE_REDIS") == "1":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        server = RedisServer(folder, probe.getsockname()[1])
    server.start()
    return server
