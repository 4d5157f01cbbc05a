"""Candidates that look the examples up are sent back once, and others are not."""

from __future__ import annotations

import asyncio

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.probing.overfitting import is_table
from fact_magics.sandbox import Sandbox
from fact_magics.signature.source import ToolSource
from fact_magics.writing.examples import read_body

TABLE = "def double(n: int) -> int:\n    return {4: 8, 7: 14}.get(n, 0)\n"
BRANCHES = "def double(n: int) -> int:\n    if n == 4:\n        return 8\n    if n == 7:\n        return 14\n    raise ValueError(n)\n"
REAL = "def double(n: int) -> int:\n    return 2 * n\n"
KNOWN = 'def double(n: int) -> int:\n    """Look some up."""\n    known = {4: 8, 7: 14}\n    return known.get(n, 2 * n)\n'
SPEC = ToolSpec("double", "Double.", read_body(">>> double(4)\n8\n\n>>> double(7)\n14", "double").examples)


@pytest.mark.parametrize(
    ("source", "expected"), [(TABLE, True), (BRANCHES, True), (REAL, False), (KNOWN, False)]
)
def test_a_table_of_the_examples_is_told_from_a_tool_that_computes(source, expected):
    async def look() -> bool:
        sandbox = Sandbox()
        try:
            return await is_table(ToolSource(source, "double"), SPEC, sandbox)
        finally:
            await sandbox.aclose()

    assert asyncio.run(look()) is expected


async def test_it_is_sent_back_to_the_model_once(home, server, no_user_settings):
    settings = load_settings({}, home.parent, {"FACT_HOME": str(home), **server.environment()})
    for source in (TABLE, REAL, TABLE, TABLE):
        server.writes(source)
    async with FactCore(settings) as core:
        assert (await core.generate(SPEC)).source == REAL
        assert "inputs beside them fail or all give the same result" in server.requests[1].text
        ended = []
        await core.generate(SPEC.model_copy(update={"fresh": True}), ended.append)
        assert "answers only its examples, from a table of them" in ended[-1].notice
    assert len(server.requests) == 4
