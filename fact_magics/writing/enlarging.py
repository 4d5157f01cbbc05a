"""Make a larger input of the same types from the input of an example.

On a trivial input, such as a list of one item, a tool that shuffles its items gives the same answer as a tool
that does not shuffle them.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fact_magics.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fact_magics.signature import Signature

_WORDS = "delta alpha golf bravo echo charlie hotel foxtrot india lima kilo juliet".split()  # noqa: SIM905
_SEVERAL = 6  # a text with this many distinct words is not trivial
_MORE = f"{' '.join(_WORDS[:4])}, {', '.join(_WORDS[4:7])}\n{' '.join(_WORDS[7:])}"


def enlarge(signature: Signature, given: Mapping[str, object]) -> dict[str, object] | None:
    """Extend lists and the like to a dozen items, and texts to a dozen words.

    Parameters
    ----------
    given : mapping of str to object
        The input of an example, by parameter. A value stays as it is if it can't be extended, or if the
        signature does not allow the extended value.

    Returns
    -------
    dict or None
        A larger input that fits the signature; None if none was found.
    """
    found = dict(given)
    for name, value in given.items():
        for larger in _larger(value):
            try:
                signature.validate({**found, name: larger})
            except InvalidInput:
                continue
            found[name] = larger
            break
    return found if any(found[name] is not value for name, value in given.items()) else None


def _larger(value: Any) -> Iterator[object]:
    """Yield larger values, the most promising one first."""
    kind = type(value)
    if kind is str and len(set(value.split())) < _SEVERAL:
        yield f"{value} {_MORE}".lstrip()
    elif kind in (list, tuple, set, frozenset) and len(value) < len(_WORDS):
        if value:
            items = list(value)
            yield kind(_vary(items[turn % len(items)], turn) for turn in range(len(_WORDS)))
        else:
            yield kind(range(len(_WORDS)))
            yield kind(_WORDS)
    elif kind is dict and len(value) < len(_WORDS):
        pairs = list(value.items()) or [("", 0)]
        turns = ((turn, *pairs[turn % len(pairs)]) for turn in range(len(_WORDS)))
        yield {_vary(key, turn): _vary(item, turn) for turn, key, item in turns}


def _vary(value: Any, turn: int) -> Any:
    """Make another value of the same type; each turn gives a different one."""
    kind = type(value)
    if kind is str:
        return f"{value}{_WORDS[turn]}" if turn else value
    if kind in (int, float, Decimal):
        return value + turn
    if issubclass(kind, date):
        return value.replace(day=turn + 1)
    if kind is dict:
        return {key: _vary(item, turn) for key, item in value.items()}
    if kind in (list, tuple):
        return kind(_vary(item, turn) for item in value)
    return value
