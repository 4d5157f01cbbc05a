"""Answers that small models wrote (SmolLM2-135M-Instruct and Gemma 3 270M), unedited, in `answers.jsonl`.

``right`` says whether the function in the answer, taken by hand, fits the examples.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fact_magics.attempt import Usage
from fact_magics.errors import GenerationFailed
from fact_magics.providers.base import Finished, TextDelta
from fact_magics.sandbox import Sandbox
from fact_magics.tool import ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import write
from fact_magics.writing.proof import Prover

pytestmark = pytest.mark.slow

ANSWERS = [
    json.loads(line) for line in Path(__file__).with_name("answers.jsonl").read_text("utf-8").splitlines()
]


class Recorded:
    """A provider that gives a recorded answer."""

    name = model = "recorded"
    notice = waiting_notice = ""
    may_run_away = is_local = True

    def __init__(self, text):
        self._text = text

    async def stream(self, _):
        yield TextDelta(self._text)
        yield Finished("end", Usage(), self.model)

    async def aclose(self):
        pass


async def test_right_answers_are_accepted_and_wrong_ones_are_not():
    """At most one right answer in twenty is lost, and none is accepted that breaks its examples."""
    sandbox = Sandbox()
    await sandbox.start()
    accepted = []
    try:
        for answer in ANSWERS:
            body = read_body(f"{answer['description']}\n\n{answer['examples']}", answer["tool"])
            spec = ToolSpec(answer["tool"], body.description, body.examples, attempts=1, timeout_seconds=10.0)
            provider = Recorded(answer["text"])
            try:
                await write(spec, lambda _, provider=provider: provider, Prover(sandbox, lambda _: None), [])
            except GenerationFailed:
                accepted.append(False)
            else:
                accepted.append(True)
    finally:
        await sandbox.aclose()
    right = [was for was, answer in zip(accepted, ANSWERS, strict=True) if answer["right"]]
    wrong = [was for was, answer in zip(accepted, ANSWERS, strict=True) if not answer["right"]]
    assert len(right) > 40
    assert len(wrong) > 20
    assert sum(right) >= 0.95 * len(right)
    assert not any(wrong)
