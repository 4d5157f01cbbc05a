"""Two runs of a tool have the same key exactly when their inputs are the same value of the same types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fact_magics.core.loaded import LoadedTool, load
from fact_magics.core.plan import plan_run
from fact_magics.store import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn, SearchStrategy


@dataclass(frozen=True)
class Kind:
    """An annotation, values that fit it, and a form in which two values are equal only if they are the same."""

    text: str
    values: SearchStrategy[Any]
    form: Callable[[Any], object]


def exact(value: Any) -> object:
    return type(value).__name__, repr(value)


WORDS = st.sampled_from(
    ["", "a", "caf\u00e9", "cafe\u0301", "1", "None", "\udcff", "$set", "\U0001f600"]
) | st.text(max_size=3)
REALS = st.sampled_from([0.0, -0.0, 1.0, 0.1, float("nan"), float("inf"), 2.0**53]) | st.floats()
WHOLES = st.sampled_from([0, 1, -1, 2**53, 2**63, 2**70]) | st.integers()
LEAVES = [
    Kind("int", WHOLES, exact),
    Kind("float", REALS | st.integers(-(2**53), 2**53), lambda value: exact(float(value))),
    Kind("str", WORDS, exact),
    Kind("bool", st.booleans(), exact),
    Kind("bytes", st.binary(max_size=3), exact),
    Kind("int | float", WHOLES | REALS, exact),
    Kind("bool | int | float | str | None", st.none() | st.booleans() | WHOLES | REALS | WORDS, exact),
]


def containers(inside: Kind) -> list[Kind]:
    text, values, form = inside.text, inside.values, inside.form
    return [
        Kind(f"list[{text}]", st.lists(values, max_size=3), lambda value: ["list", *map(form, value)]),
        Kind(
            f"dict[str, {text}]",
            st.dictionaries(WORDS, values, max_size=3),
            lambda value: ["dict", *((key, form(each)) for key, each in value.items())],
        ),
        Kind(
            f"tuple[{text}, ...]",
            st.lists(values, max_size=3).map(tuple),
            lambda value: ["tuple", *map(form, value)],
        ),
        Kind(
            text if text.endswith("None") else f"{text} | None",
            values | st.none(),
            lambda value: value if value is None else form(value),
        ),
    ]


@st.composite
def kinds(draw: DrawFn) -> Kind:
    kind = draw(st.sampled_from(LEAVES))
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(containers(kind)))
    return kind


@st.composite
def inputs(draw: DrawFn) -> tuple[list[Kind], list[Any], list[Any]]:
    """Draw a signature and two inputs for it, which are alike more often than chance would have them."""
    chosen = draw(st.lists(kinds(), min_size=1, max_size=3))
    first = [draw(kind.values) for kind in chosen]
    other = [draw(st.just(value) | kind.values) for kind, value in zip(chosen, first, strict=True)]
    return chosen, first, other


def tool(source: str) -> LoadedTool:
    return load(
        Candidate(name="f", source=source, signature_id="s", description="", proven=True).numbered("1.0.0")
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs())
def test_keys_are_equal_exactly_when_inputs_are(drawn: tuple[list[Kind], list[Any], list[Any]]) -> None:
    kinds, first, other = drawn
    names = [f"p{number}" for number in range(len(kinds))]
    parameters = ", ".join(f"{name}: {kind.text}" for name, kind in zip(names, kinds, strict=True))
    loaded = tool(f"def f({parameters}) -> str:\n    return ''\n")
    forms = [
        [kind.form(value) for kind, value in zip(kinds, values, strict=True)] for values in (first, other)
    ]
    keys = [plan_run(loaded, dict(zip(names, values, strict=True))).key for values in (first, other)]
    assert all(keys)
    assert (keys[0] == keys[1]) == (forms[0] == forms[1])
    # In another order of the names, after the identities of short inputs are remembered.
    again = plan_run(loaded, dict(reversed([*zip(names, other, strict=True)]))).key
    assert again == keys[1]


@settings(max_examples=200, deadline=None)
@given(WHOLES, WHOLES)
def test_a_default_that_is_given_is_the_same_input_as_one_that_is_left_out(default: int, given: int) -> None:
    loaded = tool(f"def f(a: str, n: int = {default}) -> str:\n    return ''\n")
    left_out, named = (plan_run(loaded, {"a": "", **more}).key for more in ({}, {"n": given}))
    assert (left_out == named) == (default == given)
