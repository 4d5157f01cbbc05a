"""A real kernel, seen from a client that times its cells."""

from __future__ import annotations

import time
from contextlib import contextmanager
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kernel:
    """A kernel that was started, and its client."""

    def __init__(self, env: dict[str, str]) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=env, cwd=env["FACT_HOME"], stderr=DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> tuple[float, dict[str, Any]]:
        """Run a cell; gives the milliseconds until it was over, and what it showed or printed."""
        shown: dict[str, Any] = {}
        started = time.perf_counter()
        request = self.client.execute(code)
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in ("execute_result", "display_data"):
                shown.update(content["data"])
            elif kind == "stream":
                shown["printed"] = shown.get("printed", "") + content["text"]
            elif kind == "error":
                raise SystemExit("A cell failed:\n" + "\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while self.client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != request:
            pass
        return (time.perf_counter() - started) * 1e3, shown

    def close(self) -> float:
        """Shut the kernel down as a front end does; gives the seconds it took."""
        started = time.perf_counter()
        self.client.shutdown()
        self.manager.provisioner.process.wait(timeout=60)
        took = time.perf_counter() - started
        self.client.stop_channels()
        self.manager.cleanup_resources()
        return took


@contextmanager
def kernel(env: dict[str, str]) -> Iterator[Kernel]:
    """Start a kernel that is killed afterwards, should it still be there."""
    started = Kernel(env)
    try:
        yield started
    finally:
        process = started.manager.provisioner.process if started.manager.provisioner else None
        if process is not None and process.poll() is None:
            started.close()
