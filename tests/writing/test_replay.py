"""Answers that small models wrote (SmolLM2-135M-Instruct and Gemma 3 270M), unedited, in `answers.jsonl`.

``right`` says whether the function in the answer, taken by hand, fits the examples.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from fact_magics.errors import GenerationFailed
from fact_magics.providers.local import LocalProvider
from fact_magics.sandbox import Sandbox
from fact_magics.tool import ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import write
from fact_magics.writing.proof import Prover

pytestmark = pytest.mark.slow

ANSWERS = [
    json.loads(line) for line in Path(__file__).with_name("answers.jsonl").read_text("utf-8").splitlines()
]


async def test_right_answers_are_accepted_and_wrong_ones_are_not(server):
    """At most one right answer in twenty is lost, and none is accepted that breaks its examples."""
    sandbox = Sandbox()
    await sandbox.start()
    accepted = []
    provider = LocalProvider("llama_cpp/recorded", {"LLAMA_CPP_API_BASE": SecretStr(server.url)})
    try:
        for answer in ANSWERS:
            body = read_body(f"{answer['description']}\n\n{answer['examples']}", answer["tool"])
            spec = ToolSpec(answer["tool"], body.description, body.examples, attempts=1, timeout_seconds=10.0)
            server.reply(answer["text"], chunk=40)
            try:
                await write(spec, lambda _: provider, Prover(sandbox, lambda _: None), [])
            except GenerationFailed:
                accepted.append(False)
            else:
                accepted.append(True)
    finally:
        await provider.aclose()
        await sandbox.aclose()
    right = [was for was, answer in zip(accepted, ANSWERS, strict=True) if answer["right"]]
    wrong = [was for was, answer in zip(accepted, ANSWERS, strict=True) if not answer["right"]]
    assert len(right) > 40
    assert len(wrong) > 20
    assert sum(right) >= 0.95 * len(right)
    assert not any(wrong)
