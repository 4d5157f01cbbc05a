"""Accepted candidates are grouped by their answers, and one of the largest group is chosen."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from fact_magics.attempt import Attempt
from fact_magics.probing import agreement
from fact_magics.sandbox import Sandbox
from fact_magics.signature.source import ToolSource
from fact_magics.tool import ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.proof import Accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

EXAMPLE = '>>> clip("abcdefgh")\n"abcde"'
SHORT = "def clip(text: str, size: int = 5) -> str:\n    return text[:size]\n"
LONG = "def clip(text: str, size: int = 5) -> str:\n    return text[:size] if len(text) > size else text\n"
LAST = "def clip(text: str, size: int = 5) -> str:\n    return text[:size] if size else text\n"
SHORT_AGAIN = f"{SHORT}\n# as short\n"


@pytest.fixture(autouse=True)
def time_to_compare(monkeypatch):
    """On a busy machine, a second may be too short."""
    monkeypatch.setattr(agreement, "_SECONDS", 20.0)


@pytest.fixture(scope="module")
def choose() -> Iterator[Callable[..., Accepted]]:
    """Choose among sources that hold on the examples; all tests share one sandbox."""
    with asyncio.Runner() as runner:
        sandbox = Sandbox()

        def run(
            *sources: str,
            examples: str = EXAMPLE,
            varies: bool = False,
            tables: tuple[str, ...] = (),
            **fields: object,
        ) -> Accepted:
            spec = ToolSpec("clip", "Shorten a text.", read_body(examples, "clip").examples, **fields)
            accepted = [
                Accepted(
                    ToolSource(source, "clip"),
                    varies,
                    Attempt(number, "anthropic", "claude", ""),
                    is_table=source in tables,
                )
                for number, source in enumerate(sources, start=1)
            ]
            run.accepted = accepted
            return runner.run(agreement.choose(accepted, len(sources), spec, sandbox))

        yield run
        runner.run(sandbox.aclose())


def groups(choose: Callable[..., Accepted]) -> list[int | None]:
    return [one.attempt.group for one in choose.accepted]


def test_candidates_that_give_the_same_answers_are_one_group_and_the_shortest_is_chosen(choose):
    chosen = choose(LONG, SHORT)
    assert chosen.source.text == SHORT
    assert groups(choose) == [1, 1]
    assert chosen.others == 0
    assert chosen.notes[0].startswith("both candidates hold, and agree on ")


def test_one_of_the_largest_group_is_chosen_in_whatever_order_they_come(choose):
    for sources in itertools.permutations((SHORT, LAST, LONG)):
        chosen = choose(*sources)
        assert chosen.source.text == SHORT
        assert [one.attempt.group for one in choose.accepted] == [2 if s == LAST else 1 for s in sources]
        (other,) = (one.attempt for one in choose.accepted if one.attempt.group == 2)
        assert other.parting_call.endswith(", 0)")
        assert chosen.others == 1
        assert chosen.notes == ("open · all 3 candidates hold: 2 of them agree, 1 gives other answers",)


def test_the_same_source_in_another_layout_counts_as_often_as_it_came(choose):
    chosen = choose(LAST, LAST, SHORT, SHORT_AGAIN, LAST)
    assert chosen.source.text == LAST
    assert chosen.notes == ("open · all 5 candidates hold: 3 of them agree, 2 give other answers",)
    assert choose(SHORT, SHORT_AGAIN).notes == ("both candidates hold, and have the same source",)


def test_groups_of_the_same_size_are_all_said_to_differ(choose):
    assert choose(SHORT, LAST).notes == ("open · both candidates hold, but give different answers",)
    assert choose(SHORT).notes == ("1 of 1 candidate holds",)


def test_candidates_with_other_names_and_types_are_compared_on_what_fits_all(choose):
    other = 'def clip(words: str, *, most: int = 5, end: str = "") -> str:\n    return words[:most] + end\n'
    chosen = choose(SHORT, other)
    assert groups(choose) == [1, 1]
    assert "and agree on" in chosen.notes[0]
    wider = "def clip(text: str | None) -> str:\n    return (text or 'none')[:5]\n"
    choose(SHORT, SHORT_AGAIN, wider)
    assert groups(choose) == [1, 1, 2]
    assert choose.accepted[2].attempt.parting_call == "clip('')"


def test_candidates_that_can_t_be_compared_are_not_said_to_agree(choose):
    for fields, why in (
        ({"permissions": ("net:example.org",)}, "tools with permissions are not run on further inputs"),
        ({"varies": True}, "their answers vary"),
    ):
        chosen = choose(SHORT, LAST, **fields)
        assert chosen.notes == (f"both candidates hold, but were not compared: {why}",)
        assert (groups(choose), chosen.others) == ([None, None], 0)
    nothing = "def clip() -> str:\n    return 'abcde'\n"
    assert "no input fits all of them" in choose(SHORT, nothing, examples="").notes[0]


def test_without_examples_they_are_compared_too(choose):
    assert "are usable" in choose(SHORT, LAST, examples="").notes[0]
    assert groups(choose) == [1, 2]


def test_one_that_sleeps_is_left_out_and_the_others_are_compared(choose, monkeypatch):
    monkeypatch.setattr(agreement, "_SECONDS", 1.0)
    lazy = (
        "import time\n\n\ndef clip(text: str, size: int = 5) -> str:\n"
        "    if text != 'abcdefgh': time.sleep(60)\n    return text[:5]\n"
    )
    chosen = choose(lazy, SHORT, LAST)
    assert chosen.source.text == SHORT
    assert chosen.notes[0].startswith("open · all 3 candidates hold, but give different answers; 1 did not")
    assert groups(choose) == [None, 1, 2]


def test_a_table_of_the_examples_is_chosen_only_where_nothing_else_is_left(choose):
    table = "def clip(text: str, size: int = 5) -> str:\n    return {'abcdefgh': 'abcde'}.get(text, '')\n"
    assert choose(table, table, SHORT, tables=(table,)).source.text == SHORT
    assert groups(choose) == [2, 2, 1]
    assert choose(table, table, tables=(table,)).source.text == table


def test_candidates_that_hang_or_break_their_process_are_groups_of_their_own(choose):
    ends = (
        "while True: pass",
        "import os; os._exit(0)",
        "return 'x' * 10**10",
        "print('x' * 10**6); return 'y'",
    )
    hostile = [
        f"def clip(text: str) -> str:\n    if text == 'abcdefgh': return 'abcde'\n    {end}\n" for end in ends
    ]
    honest = "def clip(text: str) -> str:\n    return text[:5]\n"
    chosen = choose(honest, *hostile, f"{honest}\n\n\nclip.size = 5\n")
    assert chosen.source.text == honest
    assert groups(choose)[0] == groups(choose)[-1] == 1
    assert 1 not in groups(choose)[1:-1]
