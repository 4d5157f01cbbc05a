"""What it costs to stream a model's text and to show it: CPU, bytes to the front end, the time to the first text.

Run it: ``python tests/benchmarks/bench_stream.py``.

- The provider for Claude receives 2,000 tokens at 1,000 a second. At most 1.2 times the CPU of the SDK alone is promised.
- In a kernel, at most 60 ms are promised from the first byte of an answer to its text at the front end.
- 4,000 tokens of four characters are shown at 200 a second. At most 1.5 times the kernel's CPU is promised of what
  printing them costs, at most four bytes to the front end, envelopes and all, for each of the text, and at most 1.5 s
  of CPU on the browser's main thread. The last needs Chromium, playwright and JupyterLab, and is left out where one of
  them is missing.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import Line, at_most, median, own_home, show
from kernels import kernel
from pydantic import SecretStr

from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.providers.base import Message, Prompt, TextDelta
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kernels import Kernel

PROMISED_OVER_THE_SDK = 1.2
PROMISED_FIRST_MS = 60.0
PROMISED_CPU = 1.5
PROMISED_BYTES = 4.0
PROMISED_SECONDS = 1.5
TOKENS = 4_000
PACE = 200
ROUNDS = 3
RECEIVED_TOKENS = 2_000
RECEIVED_PACE = 1_000
FIRST_TEXT = "first-text-of-the-answer"
CELL = "%%fact_generate inc --fresh\nAdd one.\n\n>>> inc(1)\n2\n"
SOURCE = f"# {FIRST_TEXT}\ndef inc(n: int) -> int:\n    return n + 1\n"
# The answer goes on for 150 ms, because its proof takes CPU.
REST = "It adds one to the number. " * 70
# The server begins its answer so long after the request, so that the time of its first byte is known.
DELAY_SECONDS = 0.5

PREPARE = """
import asyncio, sys, time
from fact_magics.bridge import LoopThread
from fact_magics.display.html import Record
from fact_magics.display.live import WritingView
from fact_magics.events import AttemptStarted, PhaseChanged, TextArrived

line = "    total = total + weights[number] * values[number]  # of the row\\n"
tokens = [(line * 400)[at : at + 4] for at in range(0, 4 * {tokens}, 4)]
thread = LoopThread()

async def arriving(take):
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number, token in enumerate(tokens, start=1):
        take(token)
        await asyncio.sleep(max(0, started + number / {pace} - loop.time()))

async def written(view):
    view.put(AttemptStarted(1, 1, "anthropic", "claude-sonnet-5-5"))
    view.put(PhaseChanged("writing"))
    view.put(TextArrived("```python\\n"))
    await arriving(lambda token: view.put(TextArrived(token)))
"""
PRINTED = """
began = time.process_time()
await arriving(lambda token: print(token, end=""))
spent = time.process_time() - began
"""
SHOWN = """
began = time.process_time()
view = WritingView("weigh")
await thread.submit(written(view)).wait_awaited(view.pump)
view.replace(Record("<p>done</p>", "done"))
spent = time.process_time() - began
"""
_ENVELOPE = ("header", "parent_header", "metadata", "content")
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_IDLE = """() => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const session = panel && panel.context && panel.context.sessionContext.session;
  return Boolean(session && session.kernel && session.kernel.status === 'idle');
}"""


def received(rounds: int, tokens: int) -> list[Line]:
    """Measure the CPU of this thread; the server has its own."""
    through, alone = [], []
    with ModelServer() as server:
        for _ in range(rounds + 1):
            for way, spent in ((_through_the_provider, through), (_through_the_sdk, alone)):
                server.reply("4567" * tokens, pace=RECEIVED_PACE)
                spent.append(asyncio.run(way(server)))
    # The first round imports and warms up.
    ratio = median(through[1:]) / median(alone[1:])
    cpu = f"median CPU ms: provider {median(through[1:]) * 1e3:.0f}, SDK {median(alone[1:]) * 1e3:.0f}, {tokens:,} tokens"
    return [at_most("receiving a stream, CPU over the SDK", PROMISED_OVER_THE_SDK, ratio, "×", cpu)]


async def _through_the_provider(server: ModelServer) -> float:
    provider = AnthropicProvider("claude-sonnet-5-5", SecretStr(server.key), base_url=server.url)
    await provider.open()
    began, size = time.thread_time(), 0
    async for event in provider.stream(Prompt("rules", (Message("user", "write"),))):
        if isinstance(event, TextDelta):
            size += len(event.text)
    spent = time.thread_time() - began
    await provider.aclose()
    return _checked(spent, size)


async def _through_the_sdk(server: ModelServer) -> float:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(api_key=server.key, base_url=server.url, max_retries=0) as client:
        began, size = time.thread_time(), 0
        asked: Any = {"role": "user", "content": "write"}
        stream = await client.messages.create(
            model="claude-sonnet-5-5", system="rules", messages=[asked], max_tokens=16_000, stream=True
        )
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                size += len(event.delta.text)
        return _checked(time.thread_time() - began, size)


def _checked(spent: float, size: int) -> float:
    if size % 4 or not size:
        raise SystemExit(f"{size} characters came")
    return spent


def first_text(rounds: int) -> list[Line]:
    """Measure the time from the first byte of an answer to its text at the front end."""
    took = []
    with ModelServer() as server, own_home() as env, kernel({**env, **server.environment()}) as running:
        running.run("%load_ext fact_magics")
        for number in range(1, rounds + 2):
            # The view is updated at regular times, so the answer must not always begin at the same one of them.
            delay = DELAY_SECONDS + random.random() / 10  # noqa: S311 - not for secrets
            server.writes(SOURCE, after=REST, chunk=60, pace=200, delay=delay)
            request = send(running, CELL)
            if not server.wait_for_request(number, timeout=60):
                raise SystemExit("the model was not asked")
            began = time.monotonic() + delay
            is_shown = False
            while True:
                got = running.client.get_iopub_msg(timeout=60)
                if not is_shown and FIRST_TEXT in json.dumps(got["content"], default=str):
                    is_shown = True
                    took.append((time.monotonic() - began) * 1e3)
                is_ours = got["parent_header"].get("msg_id") == request
                if is_ours and got["content"].get("execution_state") == "idle":
                    break
            if len(took) != number:
                raise SystemExit("the text of the answer was not shown")
    told = f"median of {rounds} cells; the longest took {max(took[1:]):.0f} ms"
    return [at_most("from the first byte to the first text", PROMISED_FIRST_MS, median(took[1:]), "ms", told)]


def send(running: Kernel, code: str) -> str:
    """Ask for a cell as a browser does; gives the number of the request, which is a UUID."""
    client = running.client
    message = client.session.msg("execute_request", {"code": code, "silent": False, "store_history": True})
    message["header"]["msg_id"] = message["msg_id"] = str(uuid.uuid4())
    client.shell_channel.send(message)
    return str(message["msg_id"])


def run(running: Kernel, code: str) -> list[dict[str, Any]]:
    """Run a cell; gives what came back."""
    request = send(running, code)
    messages = []
    while True:
        got = running.client.get_iopub_msg(timeout=120)
        if got["parent_header"].get("msg_id") != request:
            continue
        if got["msg_type"] == "error":
            raise SystemExit("A cell failed:\n" + "\n".join(got["content"]["traceback"]))
        messages.append(got)
        if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
            return messages


def spent(running: Kernel) -> float:
    """Ask the kernel for the CPU seconds of the cell before."""
    return float(running.run("print(spent)")[1]["printed"])


def size(messages: list[dict[str, Any]]) -> int:
    """Count the bytes of a live view's messages, as they go to the front end."""
    ours = [message for message in messages if message["msg_type"].startswith("comm_")]
    if not ours:
        raise SystemExit("no live view was shown")
    return sum(len(json.dumps(message[part], default=str)) for message in ours for part in _ENVELOPE)


def in_kernel(rounds: int, tokens: int) -> list[Line]:
    """Measure CPU and bytes."""
    with own_home() as env, kernel(env) as running:
        running.run(PREPARE.format(tokens=tokens, pace=PACE))
        printed, shown, sizes = [], [], []
        for _ in range(rounds):
            run(running, PRINTED)
            printed.append(spent(running))
            sizes.append(size(run(running, SHOWN)))
            shown.append(spent(running))
    cpu = f"median CPU s: shown {median(shown):.2f}, printed {median(printed):.2f}, {tokens:,} tokens"
    sent = f"{median(sizes) / 1e3:.0f} kB for {4 * tokens / 1e3:.0f} kB of text"
    return [
        at_most("showing a stream, kernel CPU", PROMISED_CPU, median(shown) / median(printed), "×", cpu),
        at_most("showing a stream, bytes sent", PROMISED_BYTES, median(sizes) / (4 * tokens), "×", sent),
    ]


def in_browser(chromium: str, tokens: int) -> list[Line]:
    """Measure the main thread's time in JupyterLab."""
    from playwright.sync_api import sync_playwright

    with own_home() as env, tempfile.TemporaryDirectory(prefix="fact-bench-") as folder:
        cells = [PREPARE.format(tokens=tokens, pace=PACE), SHOWN]
        Path(folder, "stream.ipynb").write_text(json.dumps(notebook(cells)), "utf-8")
        process, url = lab({**env, "HOME": folder}, folder)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium,
                    args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
                )
                page = browser.new_page(viewport={"width": 1000, "height": 900})
                page.goto(f"{url}/lab/tree/stream.ipynb")
                page.wait_for_function(_IDLE, timeout=60_000)
                page.wait_for_timeout(1_000)
                devtools = page.context.new_cdp_session(page)
                devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

                def busy() -> float:
                    metrics = devtools.send("Performance.getMetrics")["metrics"]
                    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")

                before = busy()
                page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
                # Asking the page again and again whether it is done would cost it more than the view does.
                page.wait_for_timeout(1_000 * tokens / PACE + 2_000)
                took = busy() - before
                page.wait_for_selector(".jp-OutputArea p:text-is('done')", timeout=120_000)
                browser.close()
        finally:
            process.terminate()
            process.wait(timeout=30)
    measured = f"CPU s for {tokens:,} tokens in JupyterLab"
    return [at_most("showing a stream, browser's main thread", PROMISED_SECONDS, took, "s", measured)]


def notebook(cells: list[str]) -> dict[str, Any]:
    """Make a notebook of code cells."""
    kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    code = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "source": cell,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for i, cell in enumerate(cells)
    ]
    return {"cells": code, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}


def lab(env: Mapping[str, str], folder: str) -> tuple[subprocess.Popen[str], str]:
    """Start JupyterLab on a folder; gives its process and address."""
    command = [
        *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--port=0"),
        *("--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.expose_app_in_browser=True"),
        f"--ServerApp.root_dir={folder}",
    ]
    process = subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True)
    for line in process.stderr or ():
        found = re.search(r"(http://(?:localhost|127\.0\.0\.1):\d+)/lab", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()  # type: ignore[union-attr]
            return process, found[1]
    raise SystemExit("JupyterLab did not start")


def measure(rounds: int = ROUNDS, tokens: int = TOKENS) -> list[Line]:
    """Measure all that is there to be measured."""
    lines = received(rounds, min(tokens, RECEIVED_TOKENS)) + first_text(rounds) + in_kernel(rounds, tokens)
    chromium = os.environ.get("FACT_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    try:
        import jupyterlab
        import playwright
    except ImportError:
        chromium = None
    else:
        del jupyterlab, playwright
    if chromium is not None:
        lines += in_browser(chromium, tokens)
    return lines


if __name__ == "__main__":
    raise SystemExit(show(measure()))
