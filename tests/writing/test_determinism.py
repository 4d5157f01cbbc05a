"""A proof finds answers that only Python's hashing decides, and answers that vary."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fact_magics.attempt import Attempt
from fact_magics.sandbox import Call, Sandbox
from fact_magics.sandbox.outcome import USUAL
from fact_magics.signature.source import ToolSource
from fact_magics.tool import ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.proof import Prover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from typing import Any

    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.writing.proof import Accepted

    Prove = Callable[..., Awaitable[tuple[Accepted | None, Attempt]]]

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

UNIQUE = "def f(text: str) -> list[str]:\n    return list(set(text.split()))\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """A real sandbox."""
    sandbox = Sandbox(mode="require")
    yield sandbox
    await sandbox.aclose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prove(sandbox: Sandbox) -> Prove:
    """Prove the tool `f` in the sandbox."""

    async def run(source: str, examples: str, **options: Any) -> tuple[Accepted | None, Attempt]:
        body = read_body(f"Do it.\n\n{examples}", "f")
        spec = ToolSpec("f", body.description, body.examples, **options)
        attempt = Attempt(1, "anthropic", "m", "")
        prover = Prover(sandbox, lambda _: None)
        return await prover.prove(ToolSource(textwrap.dedent(source), "f"), spec, attempt), attempt

    return run


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

    async def test_two_wrong_orders_are_blamed_on_hashing_too(self, prove: Prove) -> None:
        """The model is told what to mend, even if the first of the two runs is wrong already."""
        _, attempt = await prove(UNIQUE, ">>> f(\"b a c d e f\")\n['b', 'a', 'c', 'd', 'e', 'f']\n")
        assert "hashes text" in attempt.failures[0]

    @pytest.mark.parametrize("text", ["b a", "x y", "red blue", "no yes", "1 2", "up down"])
    async def test_two_items_are_not_in_order_by_chance(self, prove: Prove, text: str) -> None:
        """A larger input shows that the order depends on the seed; then more seeds are tried."""
        orders = [str(text.split()), str(text.split()[::-1])]
        proven = [(await prove(UNIQUE, f'>>> f("{text}")\n{order}\n'))[0] for order in orders]
        assert proven == [None, None]

    async def test_a_set_in_an_example_is_ordered_by_hash(self, prove: Prove) -> None:
        """The source does not show that the tool may get one."""
        source = "from typing import Any\ndef f(items: Any) -> list[str]:\n    return [*items]\n"
        for order in ("['a', 'b']", "['b', 'a']"):
            accepted, attempt = await prove(source, f">>> f({{'b', 'a'}})\n{order}\n")
            assert accepted is None
            assert "hashes text" in attempt.failures[0]

    async def test_randomness_that_the_source_names_is_not_blamed_on_hashing(self, prove: Prove) -> None:
        """A coin may well fall in one way twice, and in the other way once."""
        source = "import random\ndef f(text: str) -> str:\n    return random.choice(text)\n"
        for _ in range(8):
            _, attempt = await prove(source, ">>> f('ab')\n'a'\n")
            assert "hashes" not in "".join(attempt.failures)

    async def test_a_tool_that_can_give_one_answer_only_is_run_once(self, sandbox: Sandbox) -> None:
        """A second run would start a process with another hash seed, which takes most of a proof's time."""
        calls: list[Call] = []

        class Counting:
            async def run(self, call: Call) -> Outcome:
                calls.append(call)
                return await sandbox.run(call)

        body = read_body('Do it.\n\n>>> f("b a")\n2\n', "f")
        spec = ToolSpec("f", body.description, body.examples)
        for source, seeds in (("len(text.split())", {0}), ("len(set(text.split()))", {0, 25})):
            calls.clear()
            attempt = Attempt(1, "anthropic", "m", "")
            tool = ToolSource(f"def f(text: str) -> int:\n    return {source}\n", "f")
            assert await Prover(Counting(), lambda _: None).prove(tool, spec, attempt)
            assert {call.surroundings.hash_seed for call in calls} == seeds

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


class TestLargerInput:
    """Randomness that neither the source names nor a trivial example shows."""

    HIDDEN = """
        import importlib
        from datetime import date

        def f(items: {hint}) -> list[str]:
            mixed = [str(item) for item in items]
            getattr(importlib.import_module("ran" + "dom"), "shuf" + "fle")(mixed)
            return mixed
    """

    @pytest.mark.parametrize(
        ("hint", "example"),
        [
            ("list[int]", "f([1])\n['1']"),
            ("list[int]", "f([])\n[]"),
            ("list[str]", "f([])\n[]"),
            ("list[str]", "f(['a'])\n['a']"),
            ("tuple[float, ...]", "f((1.5,))\n['1.5']"),
            ("list[dict[str, int]]", "f([{'a': 1}])\n[\"{'a': 1}\"]"),
            ("dict[str, int]", "f({'a': 1})\n['a']"),
            ("list[date]", "f([date(9999, 12, 31)])\n['9999-12-31']"),
            ("str", "f('a')\n['a']"),
        ],
    )
    async def test_a_tool_that_shuffles_varies_though_its_example_is_trivial(
        self, prove: Prove, hint: str, example: str
    ) -> None:
        """The proof extends the input itself; the tool is accepted all the same."""
        accepted, attempt = await prove(self.HIDDEN.replace("{hint}", hint), f">>> {example}\n")
        assert accepted is not None, attempt.failures
        assert accepted.varies

    async def test_the_largest_example_is_extended(self, prove: Prove) -> None:
        """Not the first one, which may be of no help."""
        source = self.HIDDEN.replace("{hint}", "list[str] | None").replace("in items]", "in items or ()]")
        accepted, _ = await prove(source, ">>> f(None)\n[]\n\n>>> f(['a'])\n['a']\n")
        assert accepted is not None
        assert accepted.varies

    async def test_an_error_that_differs_from_run_to_run_is_an_answer_too(self, prove: Prove) -> None:
        """A larger input may well be one that the tool refuses."""
        source = """
            import importlib

            def f(items: list[int]) -> int:
                if len(items) > 1:
                    raise ValueError(getattr(importlib.import_module("ran" + "dom"), "ran" + "dom")())
                return len(items)
        """
        accepted, _ = await prove(source, ">>> f([7])\n1\n")
        assert accepted is not None
        assert accepted.varies

    @pytest.mark.parametrize(
        "source",
        [
            "def f(items: list[int]) -> int:\n    return len(items)\n",
            "def f(items: list[int]) -> int:\n    [only] = items\n    return only\n",
            "def f(items: list[int]) -> int:\n    while len(items) > 1:\n        pass\n    return 1\n",
            "def f(items: list[int]) -> int:\n    return len({str(item) for item in items})\n",
        ],
        ids=["plain", "refuses more items", "never ends", "set"],
    )
    async def test_a_steady_tool_stays_steady(self, prove: Prove, source: str) -> None:
        """Whether it answers the larger input, refuses it, or takes too long for it."""
        accepted, attempt = await prove(source, ">>> f([1])\n1\n")
        assert accepted is not None, attempt.failures
        assert not accepted.varies

    async def test_an_order_that_only_the_hash_seed_decides_does_not_vary(self, prove: Prove) -> None:
        """Every run has the same seed, so every run gives the same order."""
        accepted, _ = await prove(UNIQUE, ">>> f(\"a a\")\n['a']\n")
        assert accepted is not None
        assert not accepted.varies


class TestCauses:
    """The record names what changes an answer."""

    GUARDED = """
        {imports}

        def f(text: str) -> str:
            return text if len(text) < 2 else str({expression})
    """

    async def accepted(self, prove: Prove, imports: str, expression: str) -> Accepted:
        source = self.GUARDED.format(imports=imports, expression=expression)
        accepted, attempt = await prove(source, ">>> f('a')\n'a'\n")
        assert accepted is not None, attempt.failures
        return accepted

    @pytest.mark.parametrize(
        ("imports", "expression", "note"),
        [
            # The part of its time stamp that changes after 18 hours: the seconds may change between two runs.
            ("import gzip", "gzip.compress(text.encode())[6:8]", "answers depend on the clock, so"),
            ("import os", "object()", "answers depend on the addresses of objects in memory, so"),
            (
                "import os",
                "os.getcwd()",
                "answers depend on the name of the directory in which the tool runs, so",
            ),
            (
                "import os",
                "([open(name, 'w').close() for name in 'qwertyuiop'], os.listdir())",
                "answers depend on the order of the files in a directory, so",
            ),
        ],
    )
    async def test_what_may_differ_in_the_next_run_is_not_cached(
        self, prove: Prove, imports: str, expression: str, note: str
    ) -> None:
        accepted = await self.accepted(prove, imports, expression)
        assert accepted.varies
        [told] = accepted.notes
        assert told.startswith(note)
        assert told.endswith("so they are not cached")

    @pytest.mark.parametrize(
        ("imports", "expression", "note"),
        [
            (
                "import time",
                "time.strftime('%H:%M', time.localtime(86400))",
                "answers depend on the time zone, which is UTC in every run",
            ),
            (
                "import os",
                "os.environ['LC_ALL']",
                "answers depend on the locale, which is C.UTF-8 in every run",
            ),
            (
                "",
                "[*{*text}]",
                "answers depend on the order of sets of text, which is the same in every run",
            ),
        ],
    )
    async def test_what_is_the_same_in_every_run_is_told(
        self, prove: Prove, imports: str, expression: str, note: str
    ) -> None:
        accepted = await self.accepted(prove, imports, expression)
        assert not accepted.varies
        assert accepted.notes == (note,)

    async def test_a_tool_may_sleep_where_the_clock_is_moved(self, sandbox: Sandbox) -> None:
        source = "import time\n\ndef f() -> list:\n    time.sleep(0.001)\n    return [time.time(), time.sleep(0)]\n"
        call = Call(source, "f", b'{"args":[],"kwargs":{}}')
        answers = [
            json.loads((await sandbox.run(replace(call, surroundings=surroundings))).result)
            for surroundings in (USUAL, USUAL._replace(ahead_seconds=86_400))
        ]
        assert 86_000 < answers[1][0] - answers[0][0] < 87_000
