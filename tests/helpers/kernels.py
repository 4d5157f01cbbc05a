"""A real kernel, and a client that sees what a notebook sees of it."""

from __future__ import annotations

import os
import queue
import signal
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from waiting import begun_tools, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _each_kernel(*marks_of_the_older: pytest.MarkDecorator) -> pytest.MarkDecorator:
    versions = [
        pytest.param(7, id="ipykernel7"),
        pytest.param(6, id="ipykernel6", marks=marks_of_the_older),
    ]
    return pytest.mark.parametrize("modelled", versions, indirect=True)


# Runs a test that uses `modelled` on ipykernel 7 and on ipykernel 6.
each_kernel = _each_kernel()

# The same for tests that take long: on ipykernel 6 they only run with ``-m thorough``.
each_kernel_if_thorough = _each_kernel(pytest.mark.thorough)


@dataclass
class Cell:
    """What a client saw of one cell."""

    status: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    error_name: str = ""
    traceback: str = ""
    execution_count: int | None = None
    payload: list[dict[str, Any]] = field(default_factory=list)  # what the front end is asked to do

    @property
    def stdout(self) -> str:
        return "".join(o["text"] for o in self.outputs if o["kind"] == "stream" and o["name"] == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(o["text"] for o in self.outputs if o["kind"] == "stream" and o["name"] == "stderr")

    @property
    def displays(self) -> list[dict[str, Any]]:
        """What a saved notebook would hold: displays with their updates applied, and the value."""
        return [o for o in self.outputs if o["kind"] in ("display_data", "execute_result")]

    @property
    def plain(self) -> str:
        """All the text that the cell shows at its end."""
        shown = [
            o["text"] if o["kind"] == "stream" else o["data"].get("text/plain", "") for o in self.outputs
        ]
        return "\n".join(shown)

    @property
    def html(self) -> str:
        return "\n".join(o["data"].get("text/html", "") for o in self.displays)


class Kernel:
    """A real kernel and a client that can queue cells, as a notebook's Run All does."""

    def __init__(self, env: dict[str, str], cwd: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.env, self.cwd = env, cwd
        self._open: set[str] = set()  # the requests whose cells were not collected
        self._begun_before: set[Path] = set()  # the tools that had begun when the first of them was sent
        # jupyter_client looks for free ports before the kernel opens them, and another process may be faster.
        for is_last in (False, False, True):
            self.manager = KernelManager(kernel_name="python3")
            self.manager.start_kernel(env=env, cwd=str(cwd))
            try:
                self._connect()
            except RuntimeError:
                self.client.stop_channels()
                self.manager.shutdown_kernel(now=True)
                if is_last:
                    raise
            else:
                break

    def _connect(self) -> None:
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.process.pid)

    def send(self, code: str, *, browser: bool = False, stop_on_error: bool = False) -> str:
        """Ask for a cell; as a browser does, whose requests are numbered by UUIDs, or as Python clients do."""
        if not self._open:
            self._begun_before = begun_tools(self.pid)
        if browser:
            content = {"code": code, "silent": False, "store_history": True, "stop_on_error": stop_on_error}
            request = self.post("execute_request", content)
        else:
            request = str(self.client.execute(code, stop_on_error=stop_on_error))
        self._open.add(request)
        return request

    def post(self, kind: str, content: dict[str, Any]) -> str:
        """Send a message as a browser does; gives its id."""
        message = self.client.session.msg(kind, content)
        message["header"]["msg_id"] = message["msg_id"] = str(uuid.uuid4())
        self.client.shell_channel.send(message)
        return str(message["msg_id"])

    def collect(
        self, request: str, timeout: float = 60, on_message: Callable[[dict[str, Any]], None] | None = None
    ) -> Cell:
        """Read messages until this request's cell is over."""
        self._open.discard(request)
        cell = Cell()
        end = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"The cell did not end: {cell.outputs}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            cell.messages.append(message)
            if on_message is not None:
                on_message(message)
            _take(cell, message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == request:
                _answer(cell, reply)
                return cell

    def run(
        self,
        code: str,
        timeout: float = 60,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        *,
        browser: bool = False,
    ) -> Cell:
        return self.collect(self.send(code, browser=browser), timeout, on_message)

    def queue(self, codes: list[str], timeout: float = 120) -> list[Cell]:
        """Send all cells at once, then wait for each."""
        requests = [self.send(code) for code in codes]
        self._open.difference_update(requests)
        cells = {request: Cell() for request in requests}
        idle: set[str] = set()
        end = time.monotonic() + timeout
        while len(idle) < len(requests):
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            parent = message["parent_header"].get("msg_id")
            if parent in cells:
                cells[parent].messages.append(message)
                _take(cells[parent], message)
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    idle.add(parent)
        answered = 0
        while answered < len(requests):
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            parent = reply["parent_header"].get("msg_id")
            if parent in cells:
                _answer(cells[parent], reply)
                answered += 1
        return [cells[request] for request in requests]

    def wait_for_tool(self) -> None:
        """Wait until a tool of a cell that was not collected has come to `waiting.BEGIN`."""
        until(lambda: begun_tools(self.pid) - self._begun_before)

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        self._open.clear()
        self.client.stop_channels()
        self.manager.restart_kernel(now=False)
        self._connect()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def descendants(self) -> set[int]:
        """List the processes that the kernel started, and those that they started; zombies are left out."""
        import psutil

        found = set()
        for process in psutil.Process(self.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found |= {process.pid} if process.status() != psutil.STATUS_ZOMBIE else set()
        return found

    def close(self) -> float:
        """Shut the kernel down as a front end does; gives the seconds it took."""
        started = time.monotonic()
        self.client.stop_channels()
        with suppress(Exception):
            self.manager.shutdown_kernel(now=False)
        return time.monotonic() - started


def _answer(cell: Cell, reply: dict[str, Any]) -> None:
    cell.status = reply["content"]["status"]
    cell.payload = reply["content"].get("payload", [])


def _take(cell: Cell, message: dict[str, Any]) -> None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        last = cell.outputs[-1] if cell.outputs else None
        if last and last["kind"] == "stream" and last["name"] == content["name"]:
            last["text"] += content["text"]
        else:
            cell.outputs.append({"kind": "stream", "name": content["name"], "text": content["text"]})
    elif kind in ("display_data", "execute_result"):
        shown = content.get("transient", {}).get("display_id")
        cell.outputs.append({"kind": kind, "data": content["data"], "display_id": shown})
        cell.execution_count = content.get("execution_count", cell.execution_count)
    elif kind == "update_display_data":
        for output in cell.outputs:
            if output.get("display_id") == content["transient"]["display_id"]:
                output["data"] = content["data"]
    elif kind == "error":
        cell.error, cell.error_name = content["evalue"], content["ename"]
        cell.traceback = "\n".join(content["traceback"])
