"""A proof finds answers that only Python's hashing decides, and answers that vary."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fact_magics.sandbox import Sandbox
from fact_magics.signature.source import ToolSource
from fact_magics.tool import Attempt, ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.proof import Prover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from typing import Any

    from fact_magics.writing.proof import Accepted

    Prove = Callable[..., Awaitable[tuple[Accepted | None, Attempt]]]

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

UNIQUE = "def f(text: str) -> list[str]:\n    return list(set(text.split()))\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prove() -> AsyncIterator[Prove]:
    """Prove the tool `f` in a real sandbox."""
    sandbox = Sandbox(mode="require")

    async def run(source: str, examples: str, **options: Any) -> tuple[Accepted | None, Attempt]:
        body = read_body(f"Do it.\n\n{examples}", "f")
        spec = ToolSpec("f", body.description, body.examples, **options)
        attempt = Attempt(1, "anthropic", "m", "")
        prover = Prover(sandbox, lambda _: None)
        return await prover.prove(ToolSource(textwrap.dedent(source), "f"), spec, attempt), attempt

    yield run
    await sandbox.aclose()


class TestHashing:
    @pytest.mark.parametrize("expected", ["['a', 'b']", "['b', 'a']"])
    async def test_an_order_that_only_hashing_decides_is_no_proof(self, prove: Prove, expected: str) -> None:
        """Whichever order the example wants, and whichever of the two runs gives it."""
        accepted, attempt = await prove(UNIQUE, f'>>> f("b a")\n{expected}\n')
        assert accepted is None
        [failure] = attempt.failures
        assert failure.startswith(f'f("b a") should give {expected}, but gave [')
        assert "hashes text" in failure
        assert "sort its items" in failure
        assert failure.count("\n") == 0

    async def test_the_message_of_an_error_is_judged_alike(self, prove: Prove) -> None:
        """A set stands in messages as often as in results."""
        source = """
            def f(text: str) -> int:
                raise ValueError("unknown: " + ", ".join(set(text.split())))
        """
        contract = '>>> f("b a")\nTraceback (most recent call last):\nValueError: unknown: a, b\n'
        accepted, attempt = await prove(source, contract)
        assert accepted is None
        assert "hashes text" in attempt.failures[0]

    @pytest.mark.parametrize(
        "source",
        [
            "def f(text: str) -> list[str]:\n    return sorted(set(text.split()))\n",
            "def f(text: str) -> list[str]:\n    return sorted(dict.fromkeys(text.split()))\n",
        ],
    )
    async def test_a_sorted_set_is_proven_and_steady(self, prove: Prove, source: str) -> None:
        """The way out that the failure names."""
        accepted, _ = await prove(source, ">>> f(\"b a\")\n['a', 'b']\n")
        assert accepted is not None
        assert not accepted.varies

    async def test_a_result_that_is_a_set_has_no_order_to_judge(self, prove: Prove) -> None:
        """Sets are equal whatever their order."""
        source = "def f(text: str) -> set[str]:\n    return set(text.split())\n"
        accepted, _ = await prove(source, ">>> f(\"b a c\")\n{'a', 'b', 'c'}\n")
        assert accepted is not None
        assert not accepted.varies

    async def test_an_answer_that_fails_under_both_seeds_is_told_as_before(self, prove: Prove) -> None:
        """Its order is not what is wrong with it."""
        accepted, attempt = await prove(UNIQUE, ">>> f(\"b a\")\n['c']\n")
        assert accepted is None
        assert "hashes" not in attempt.failures[0]

    async def test_a_tool_with_permissions_runs_once_for_an_example(
        self, prove: Prove, tmp_path: Path
    ) -> None:
        """What it does outside must not be done twice."""
        log = tmp_path / "log"
        log.touch()
        source = f"""
            def f(text: str) -> int:
                with open({str(log)!r}, "a") as file:
                    return file.write(text)
        """
        accepted, attempt = await prove(source, '>>> f("ab")\n2\n', permissions=(f"write:{log}",))
        assert accepted is not None, attempt.failures
        assert log.read_text() == "ab"
