"""Derive inputs of a tool from its examples, the types of its signature and the constants in its source."""

from __future__ import annotations

import ast
import operator
import random
import re
from datetime import date, timedelta
from functools import partial
from itertools import chain, combinations, islice, product
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import InvalidInput
from fact_magics.probing.variants import LONGEST, Constants, Variants, each, in_range, in_turns
from fact_magics.signature.signature import KINDS
from fact_magics.values import ValueTypeError
from fact_magics.values.literals import spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fact_magics.signature import Signature
    from fact_magics.signature.signature import Parameter
    from fact_magics.tool import Example

_MOST = 400
_OF_A_VALUE = 90  # variants of one argument of one example
_BLANK_END = re.compile(r"[(\[{ =]' | '[,)\]}:]|  ")  # blanks that are easily overlooked
_NEGATIVE = re.compile(r"-\d")


class Input(NamedTuple):
    """One input of a tool: the call as in an example, and its arguments in canonical form."""

    call: str
    wire: bytes
    arguments: Mapping[str, object]


def derive(
    signature: Signature, examples: Sequence[Example], source: ast.Module, seed: str, most: int = _MOST
) -> list[Input]:
    """Derive inputs that fit the signature and are not those of an example, the most promising ones first.

    Parameters
    ----------
    seed : str
        The same tool with the same seed gets the same inputs everywhere.
    """
    chance = random.Random(seed)  # noqa: S311 - the inputs must be the same everywhere
    known = [bound for example in examples if (bound := _bound(signature, example)) is not None]
    constants = _constants(source, known)
    maker = _Maker(signature, constants, chance, most)
    keywords = frozenset(name for example in examples for name in example.kwargs)
    seen: set[bytes] = set()
    for bound in known:
        seen |= {one.wire for one in (make(signature, bound, keywords),) if one is not None}
    found: list[Input] = []
    for arguments in maker.all(known):
        made = make(signature, arguments, keywords)
        if made is not None and made.wire not in seen:
            seen.add(made.wire)
            found.append(made)
            if len(found) >= most:
                break
    return found


def make(signature: Signature, arguments: Mapping[str, object], keywords: Iterable[str] = ()) -> Input | None:
    """Write a call and its arguments in canonical form; None if they don't fit the signature."""
    call = call_text(signature, arguments, keywords)
    if call is None:
        return None
    try:
        validated = signature.validate(arguments)
        # A default is left to the source, because a rival may have another one, unless calls would share it.
        given = {
            name: value
            for name, value in validated.items()
            if name in arguments or isinstance(value, list | dict | set)
        }
        return Input(call, bytes(signature.wire(given)), arguments)
    except (InvalidInput, ValueTypeError):
        return None


def call_text(
    signature: Signature, arguments: Mapping[str, object], keywords: Iterable[str] = ()
) -> str | None:
    """Write a call as it stands in an example; None if an argument can't be written as a literal."""
    parts = []
    by_name = False
    for parameter in signature.parameters:
        if parameter.name not in arguments:
            by_name = True
            continue
        text = spell(arguments[parameter.name])
        if text is None:
            return None
        if parameter.kind is not KINDS.POSITIONAL_ONLY and parameter.name in keywords:
            by_name = True
        by_name = by_name or parameter.kind is KINDS.KEYWORD_ONLY
        parts.append(f"{parameter.name}={text}" if by_name else text)
    return f"{signature.name}({', '.join(parts)})"


def _bound(signature: Signature, example: Example) -> dict[str, object] | None:
    try:
        bound = signature.bind(example.args, example.kwargs)
        signature.validate(bound)
    except InvalidInput:
        return None
    return bound


def _constants(source: ast.Module, known: Iterable[Mapping[str, object]]) -> Constants:
    numbers: dict[float, None] = {}
    texts: dict[str, None] = {}
    documented = {id(node.value) for node in ast.walk(source) if isinstance(node, ast.Expr)}

    def add(value: object) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[value] = None
        elif isinstance(value, str):
            texts[value] = None
            if 1 < len(value) <= LONGEST:  # an alphabet, perhaps
                texts.update(dict.fromkeys((value[0], value[-1], value[len(value) // 2])))

    for node in ast.walk(source):
        if isinstance(node, ast.Constant) and id(node) not in documented:
            add(node.value)
    for arguments in known:
        for value in arguments.values():
            add(value)
    short = [text for text in texts if text and len(text) <= LONGEST]
    return Constants(tuple(numbers), tuple(short))


class _Maker:
    """Makes the arguments of calls of one signature."""

    def __init__(self, signature: Signature, constants: Constants, chance: random.Random, most: int) -> None:
        self._parameters = signature.parameters
        self._values = Variants(constants, chance)
        self._chance = chance
        self._most = most

    def all(self, known: Sequence[Mapping[str, object]]) -> Iterator[dict[str, object]]:
        """Yield arguments for calls: related values, values near an example, edge cases, random values."""
        bases = [dict(arguments) for arguments in known] or [self._from_edges()]
        yield from self._recombined(bases)
        near = [self._beside(base, parameter) for base in bases for parameter in self._parameters]
        near += [self._related(base) for base in bases]
        yield from islice(in_turns(near), self._most // 2)
        yield from islice(in_turns([self._at_edges(base) for base in bases]), self._most // 4)
        yield from self._random(bases)

    def _from_edges(self) -> dict[str, object]:
        return {
            parameter.name: next(iter(self._values.edges(parameter.type)), None)
            for parameter in self._parameters
            if parameter.default is None
        }

    def _recombined(self, bases: list[dict[str, object]]) -> Iterator[dict[str, object]]:
        if len(self._parameters) > 1:
            for one, other in islice(product(bases, bases), 16):
                for name in one:
                    if name in other and one is not other:
                        yield {**one, name: other[name]}

    def _beside(self, base: dict[str, object], parameter: Parameter) -> Iterator[dict[str, object]]:
        name = parameter.name
        if name in base:
            for value in islice(self._values.variants(base[name]), _OF_A_VALUE):
                yield {**base, name: value}
        elif parameter.default is not None and parameter.default.literal:
            for value in self._values.variants(parameter.default.value):
                yield {**base, name: value}
        if parameter.default is not None:
            yield {other: value for other, value in base.items() if other != name}

    def _at_edges(self, base: dict[str, object]) -> Iterator[dict[str, object]]:
        return in_turns(
            [each(base, parameter.name, self._values.edges(parameter.type)) for parameter in self._parameters]
        )

    def _related(self, base: dict[str, object]) -> Iterator[dict[str, object]]:
        """Yield arguments that are related: equal ones, or one that is the length or an item of another."""
        for one, other in combinations(base, 2):
            for first, second in ((one, other), (other, one)):
                yield {**base, first: base[second]}
                for value in _parts(base[second]):
                    yield {**base, first: value}

    def _random(self, bases: list[dict[str, object]]) -> Iterator[dict[str, object]]:
        pools = {
            parameter.name: [
                *(base[parameter.name] for base in bases if parameter.name in base),
                *islice(self._values.edges(parameter.type), 30),
                *chain(
                    *(
                        islice(self._values.variants(base[parameter.name]), _OF_A_VALUE)
                        for base in bases
                        if parameter.name in base
                    )
                ),
            ]
            for parameter in self._parameters
        }
        for _ in range(self._most):
            made = dict(self._chance.choice(bases))
            for name, pool in pools.items():
                if pool and (name in made or self._chance.random() < 0.5):
                    value = self._chance.choice(pool)
                    if self._chance.random() < 0.5:
                        deeper = list(islice(self._values.variants(value), _OF_A_VALUE))
                        value = self._chance.choice(deeper) if deeper else value
                    made[name] = value
            yield made


def _parts(value: object) -> Iterator[object]:
    """Yield what another argument may be compared with: a length, items, parts of a text."""
    if isinstance(value, str):
        yield from (value[:1], value[-1:], value[:2], value[len(value) // 2 :])
        yield from value.split()[:2]
    if isinstance(value, list | tuple | str | dict):
        yield from (len(value), len(value) + 1, len(value) - 1)
    if isinstance(value, list | tuple | dict):
        yield from islice(value, 3)
    if isinstance(value, dict):
        yield from islice(value.values(), 3)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from in_range(lambda: value + 1, lambda: value - 1, lambda: float(value))
    if isinstance(value, date):
        for days in (1, -1, 7):
            yield from in_range(partial(operator.add, value, timedelta(days=days)))


def strangeness(call: str) -> int:
    """Return how hard a call is to read: its length, plus a weight for unusual characters and numbers.

    A negative number counts a little: of two boundaries, people are surer about the positive one.
    """
    odd = sum(not character.isascii() or not character.isprintable() for character in call)
    escapes = sum(call.count(text) for text in ("\\", "nan", "inf", "e-", "e+"))
    blank = len(_BLANK_END.findall(call))
    negative = len(_NEGATIVE.findall(call))
    return len(call) + 15 * odd + 25 * escapes + 8 * blank + 4 * negative + (40 if "00000" in call else 0)
