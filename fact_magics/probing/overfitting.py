"""Detect a candidate that only looks its examples up in a table."""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.probing.inputs import derive
from fact_magics.probing.runs import Bench, Runs
from fact_magics.sandbox.outcome import Call
from fact_magics.tool import Returned
from fact_magics.values import ValueTypeError, encode
from fact_magics.values.literals import LiteralError, read_literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fact_magics.signature.source import ToolSource
    from fact_magics.tool import Example, ToolSpec

_FEWEST = 2  # examples; one alone may be a base case
_COMMON: tuple[object, ...] = (None, True, False, -1, 0, 1, 0.0, 1.0, "", [], {}, ())
_TRIVIAL = frozenset(map(encode, _COMMON))
_BESIDE = 24
_SECONDS, _EACH = 1.0, 0.05


async def is_table(source: ToolSource, spec: ToolSpec, sandbox: Runs) -> bool:
    """Tell whether a candidate only looks up the examples that it passed."""
    if source.tree is None or source.signature.passes_tables or not _holds_examples(source, spec.examples):
        return False
    signature = source.signature
    inputs = derive(signature, spec.examples, source.tree, source.text, _BESIDE)
    call = Call(source.text, spec.name, b"", permissions=spec.permissions, imports=source.imports)
    wires = [(number, one.wire) for number, one in enumerate(inputs)]
    answers = await Bench(sandbox, signature, call).answer(source.text, wires, _SECONDS, _EACH)
    values = {answer.key for answer in answers.values() if answer.kind == "value"}
    known = {encode(example.expected.value) for example in spec.examples if _is_telling(example)}  # type: ignore[union-attr]
    others = values - {text.decode("utf-8", "surrogatepass") for text in known}
    return len(answers) > _FEWEST and len(others) <= 1


def _holds_examples(source: ToolSource, examples: Sequence[Example]) -> bool:
    telling = [example for example in examples if _is_telling(example)]
    if len(telling) < _FEWEST:
        return False
    constants = set(_constants(source))
    return all(
        encode(example.expected.value) in constants  # type: ignore[union-attr]
        and any(_encoded(value) in constants for value in (*example.args, *example.kwargs.values()))
        for example in telling
    )


def _is_telling(example: Example) -> bool:
    expected = example.expected
    return isinstance(expected, Returned) and _encoded(expected.value) not in {*_TRIVIAL, b""}


def _constants(source: ToolSource) -> Iterator[bytes]:
    """Yield the literals in the source, without docstrings."""
    documented = {id(node.value) for node in source.nodes if isinstance(node, ast.Expr)}
    for node in source.nodes:
        if isinstance(node, ast.expr) and id(node) not in documented:
            with suppress(LiteralError):
                yield _encoded(read_literal(node))


def _encoded(value: object) -> bytes:
    try:
        return encode(value)
    except ValueTypeError:
        return b""
