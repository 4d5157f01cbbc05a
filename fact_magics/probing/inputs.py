"""Derive inputs of a tool from its examples, the types of its signature and the constants in its source."""

from __future__ import annotations

import ast
import math
import random
import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, combinations, islice, product, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from fact_magics.errors import InvalidInput
from fact_magics.signature.classes import EnumOf, LiteralOf, ObjectOf
from fact_magics.signature.signature import KINDS
from fact_magics.signature.vocabulary import Bounded, Container, Scalar, Type, UnionOf
from fact_magics.values import ValueTypeError
from fact_magics.values.literals import spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fact_magics.signature import Signature
    from fact_magics.signature.signature import Parameter
    from fact_magics.tool import Example

_MOST = 400
_OF_A_VALUE = 90  # variants of one argument of one example
_LONGEST = 60  # a constant up to this number is also tried as a length
_WORDS = (
    "", "a", " ", "ab", "aa", "A", "a b", "aba", "1", "-", "aB", "a1", "b a b", "  a  b ", "a,b", "0",
    "Hello, World!", "é", "ß", "日本", "a\nb", "\t",
)  # fmt: skip
_BLANK_END = re.compile(r"[(\[{ =]' | '[,)\]}:]|  ")  # blanks that are easily overlooked
_EDGES: dict[str, tuple[object, ...]] = {
    "str": _WORDS,
    "int": (0, 1, -1, 2, 3, 5, 10, -10, 7, 12, 100, 101, 1000),
    "float": (0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, 0.1, 3.0, 100.0, 1e-9, 1e12, -0.0, math.nan),
    "bool": (False, True),
    "bytes": (b"", b"a", b"\x00\xff"),
    "None": (None,),
    "date": (date(2024, 1, 1), date(2024, 2, 29), date(2023, 12, 31), date(2023, 3, 5), date(1900, 2, 28)),
    "datetime": (datetime(2024, 1, 1), datetime(2024, 2, 29, 23, 59, 59), datetime(2023, 12, 31, 12, 30)),  # noqa: DTZ001
    "time": (time(0, 0), time(12, 30), time(23, 59, 59)),
    "timedelta": (timedelta(0), timedelta(days=1), timedelta(seconds=-1), timedelta(hours=36)),
    "Decimal": tuple(map(Decimal, ("0", "1", "-1", "0.5", "2.50", "1E+3"))),
    "UUID": (UUID(int=0), UUID(int=2**128 - 1)),
}


class Input(NamedTuple):
    """One input of a tool: the call as in an example, and its arguments in canonical form."""

    call: str
    wire: bytes
    arguments: Mapping[str, object]


class Constants(NamedTuple):
    """The constants in a source and in the examples, which inputs are built from."""

    numbers: tuple[float, ...]
    texts: tuple[str, ...]


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
    """Write a call, and bring its arguments into canonical form; None if they don't fit the signature."""
    call = call_text(signature, arguments, keywords)
    if call is None:
        return None
    try:
        validated = signature.validate(arguments)
        # Defaults are left to the source, which may have another one, unless calls would share a value.
        given = {
            name: value
            for name, value in validated.items()
            if name in arguments or isinstance(value, list | dict | set)
        }
        return Input(call, signature.wire(given), arguments)
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
            if 1 < len(value) <= _LONGEST:  # an alphabet, perhaps
                texts.update(dict.fromkeys((value[0], value[-1], value[len(value) // 2])))

    for node in ast.walk(source):
        if isinstance(node, ast.Constant) and id(node) not in documented:
            add(node.value)
    for arguments in known:
        for value in arguments.values():
            add(value)
    short = [text for text in texts if text and len(text) <= _LONGEST]
    return Constants(tuple(numbers), tuple(short))


class _Maker:
    """Makes the arguments of calls of one signature."""

    def __init__(self, signature: Signature, constants: Constants, chance: random.Random, most: int) -> None:
        self._parameters = signature.parameters
        self._constants = constants
        self._chance = chance
        self._most = most

    def all(self, known: Sequence[Mapping[str, object]]) -> Iterator[dict[str, object]]:
        """Yield arguments for calls: related ones, ones beside an example, edges, and random ones."""
        bases = [dict(arguments) for arguments in known] or [self._from_edges()]
        yield from self._recombined(bases)
        near = [self._beside(base, parameter) for base in bases for parameter in self._parameters]
        near += [self._related(base) for base in bases]
        yield from islice(_in_turns(near), self._most // 2)
        yield from islice(_in_turns([self._at_edges(base) for base in bases]), self._most // 4)
        yield from self._random(bases)

    def _from_edges(self) -> dict[str, object]:
        return {
            parameter.name: next(iter(self._edges(parameter.type)), None)
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
            for value in islice(self.variants(base[name]), _OF_A_VALUE):
                yield {**base, name: value}
        elif parameter.default is not None and parameter.default.literal:
            for value in self.variants(parameter.default.value):
                yield {**base, name: value}
        if parameter.default is not None:
            yield {other: value for other, value in base.items() if other != name}

    def _at_edges(self, base: dict[str, object]) -> Iterator[dict[str, object]]:
        return _in_turns(
            [_each(base, parameter.name, self._edges(parameter.type)) for parameter in self._parameters]
        )

    def _related(self, base: dict[str, object]) -> Iterator[dict[str, object]]:
        """Relate arguments to each other: equal ones, a number that is a length or an item of another."""
        for one, other in combinations(base, 2):
            for first, second in ((one, other), (other, one)):
                yield {**base, first: base[second]}
                for value in _parts(base[second]):
                    yield {**base, first: value}

    def _random(self, bases: list[dict[str, object]]) -> Iterator[dict[str, object]]:
        pools = {
            parameter.name: [
                *(base[parameter.name] for base in bases if parameter.name in base),
                *islice(self._edges(parameter.type), 30),
                *chain(
                    *(
                        islice(self.variants(base[parameter.name]), _OF_A_VALUE)
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
                        deeper = list(islice(self.variants(value), _OF_A_VALUE))
                        value = self._chance.choice(deeper) if deeper else value
                    made[name] = value
            yield made

    # Values that are one step beside another value

    def variants(self, value: object) -> Iterator[object]:
        """Yield values near `value` and of its type, the most promising ones first."""
        match value:
            case bool():
                yield not value
            case int() | float() | Decimal():
                yield from self._numbers(value)
            case str():
                yield from self._texts(value)
            case bytes():
                yield from (b"", value[1:], value[:-1], value + value, value[::-1])
            case list() | tuple() | set() | frozenset():
                yield from map(type(value), self._sequences(list(value)))
            case dict():
                yield from self._dicts(value)
            case datetime() | date():
                yield from _dates(value)
            case timedelta():
                yield from (-value, value * 2, value + timedelta(seconds=1), value + timedelta(days=1))

    def _numbers(self, value: Any) -> Iterator[object]:
        kind = type(value)
        near = [value + 1, value - 1]
        yield from near
        for constant in self._constants.numbers:
            if kind is not int or isinstance(constant, int):
                at = kind(str(constant)) if kind is Decimal else kind(constant)
                yield from (at, at + 1, at - 1)
        yield from (kind(0), kind(1), -value, value * 2, value * 10)
        if kind is int:
            yield from (
                value // 2,
                value + 2,
                value - 2,
                value + 10,
                value * value if abs(value) < 1000 else value,
            )
        else:
            half = kind("0.5") if kind is Decimal else 0.5
            yield from (value / 2, value + half, value - half, value + half / 5, value / 3)

    def _texts(self, text: str) -> Iterator[object]:
        words = text.split()
        yield ""
        yield from self._constants.texts[:12]
        yield from (text[1:], text[:-1], text + text, text[::-1], text.upper(), text.lower(), f" {text} ")
        if len(words) > 1:
            yield from (" ".join(words[::-1]), " ".join(words[1:]), "  ".join(words), words[0])
        for index in dict.fromkeys((0, len(text) // 2, len(text) - 1)):
            if text:
                yield text[:index] + text[index] + text[index:]
                yield text[:index] + text[index].swapcase() + text[index + 1 :]
                yield text[:index] + text[index + 1 :]
        for index, character in enumerate(text[:_LONGEST]):
            if character.isdigit():
                yield f"{text[:index]}{(int(character) + 1) % 10}{text[index + 1 :]}"
                yield f"{text[:index]}{(int(character) - 1) % 10}{text[index + 1 :]}"
        yield from (
            text.title(),
            text.swapcase(),
            text[:1],
            "".join(sorted(text)),
            f"{text} {text}",
            f"{text}\n",
        )
        for constant in self._constants.texts:
            middle = len(text) // 2
            yield from (constant, text + constant, constant + text, text[:middle] + constant + text[middle:])
            yield from (constant + constant, text.replace(text[:1], constant) if text else constant)
        for size in self._sizes():
            yield (text * size)[:size] if text else "a" * size
        if len(text) > 1:
            yield text[1] + text[0] + text[2:]
            yield text[-1] + text[1:-1] + text[0]
        yield from (f"{text}1", f"{text}é", f"-{text}", f"{text}.")

    def _sequences(self, items: list[Any]) -> Iterator[list[Any]]:
        yield from ([], items[:1], items[1:], items[:-1], items + items, items[::-1])
        if items:
            yield from ([*items, items[0]], [items[-1], *items], [items[0]] * 2, [items[0]] * 3)
        if len(items) > 1:
            yield from ([items[1], items[0], *items[2:]], items[:2], items[-1:])
            with suppress(TypeError):
                yield from (sorted(items), sorted(items, reverse=True))
        inner = [
            self._replaced(items, index)
            for index in dict.fromkeys((0, len(items) - 1, len(items) // 2))
            if items
        ]
        added = [([*items, value] for value in self.variants(items[-1]))] if items else []
        yield from islice(_in_turns([*inner, *added]), _OF_A_VALUE // 2)
        for size in self._sizes():
            if items and size:
                yield (items * size)[:size]
        if items:
            yield items + [self._vary(item) for item in items]

    def _replaced(self, items: list[Any], index: int) -> Iterator[list[Any]]:
        for value in self.variants(items[index]):
            yield [*items[:index], value, *items[index + 1 :]]

    def _renamed(self, value: dict[Any, Any], old: Any) -> Iterator[dict[Any, Any]]:
        for new in self.variants(old):
            yield {(new if key == old else key): item for key, item in value.items()}

    def _vary(self, value: Any) -> Any:
        return self._chance.choice([value, *islice(self.variants(value), 12)])

    def _dicts(self, value: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        yield {}
        for key in islice(value, 4):
            yield {other: item for other, item in value.items() if other != key}
            yield {key: value[key]}
        inner = [_each(value, key, self.variants(value[key])) for key in islice(value, 4)]
        renamed = [self._renamed(value, key) for key in islice(value, 2)]
        yield dict(reversed(value.items()))
        if value:
            first = next(iter(value.values()))
            yield dict.fromkeys(value, first)
        yield from islice(_in_turns([*inner, *renamed]), _OF_A_VALUE // 2)

    def _sizes(self) -> list[int]:
        whole = [
            int(number) for number in self._constants.numbers if number == number // 1 and number < _LONGEST
        ]
        sizes = {
            size for number in whole for size in (number - 1, number, number + 1) if 0 < size <= _LONGEST
        }
        return sorted(sizes)[:20]

    # Values of a type

    def _edges(self, kind: Type) -> Iterator[object]:
        match kind:
            case Bounded():
                yield from self._bounded(kind)
            case UnionOf():
                yield from _in_turns([self._edges(member) for member in kind.members])
            case LiteralOf():
                yield from kind.values
            case EnumOf():
                yield from (value for _, value in kind.members)
            case ObjectOf():
                yield from self._objects(kind)
            case Container():
                yield from self._containers(kind)
            case Scalar("Path"):
                return
            case Scalar():
                yield from _EDGES.get(kind.name, ())

    def _bounded(self, kind: Bounded) -> Iterator[object]:
        for name, bound in kind.bounds:
            if isinstance(bound, int | float | Decimal) and name not in ("min_length", "max_length"):
                step = 1 if kind.base == Scalar("int") else type(bound)(1)
                yield from (bound, bound + step, bound - step)  # type: ignore[operator]
            elif isinstance(bound, int):
                fillers = [*islice(self._edges(kind.base), 3)]
                for size in (bound, bound + 1, max(0, bound - 1)):
                    for filler in fillers:
                        yield self._of_length(kind.base, filler, min(size, 10 * _LONGEST))
        yield from self._edges(kind.base)

    def _of_length(self, kind: Type, filler: Any, size: int) -> object:
        if isinstance(filler, str | bytes):
            unit: Any = filler or (b"a" if isinstance(filler, bytes) else "a")
            return (unit * size)[:size]
        if isinstance(kind, Container) and kind.kind in ("list", "tuple"):
            return ([*islice(self._edges(kind.items[0]), 1)] * size)[:size]
        return filler

    def _containers(self, kind: Container) -> Iterator[object]:
        items = [list(islice(self._edges(item), 6)) for item in kind.items]
        if kind.kind == "dict":
            yield {}
            yield from ({key: value} for key, value in zip(*items, strict=False))
            yield dict(zip(*items, strict=False))
            yield dict.fromkeys(items[0][:3], items[1][0] if items[1] else None)
            return
        if kind.kind == "tuple" and not kind.variadic:
            yield from (tuple(chosen) for chosen in islice(product(*items), 12))
            return
        pool = items[0] if items else []
        for chosen in (
            [], pool[:1], pool[:1] * 2, pool[:2], pool[1::-1], pool[:2] * 2, pool[:3], pool[2::-1], pool[1:2],
            pool[2:4], pool[1:2] * 3, pool, [*pool[1:3], *pool[1:2]], pool[::-1],
        ):  # fmt: skip
            try:
                yield {"list": list, "set": set, "frozenset": frozenset, "tuple": tuple}[kind.kind](chosen)
            except TypeError:
                return

    def _objects(self, kind: ObjectOf) -> Iterator[dict[str, object]]:
        fields = {field.name: list(islice(self._edges(field.type), 4)) for field in kind.fields if field.init}
        for chosen in islice(zip_longest(*fields.values()), 4):
            yield {
                name: fields[name][0] if value is None and fields[name] else value
                for name, value in zip(fields, chosen, strict=True)
            }


def _each(base: dict[Any, Any], key: Any, values: Iterable[object]) -> Iterator[dict[Any, Any]]:
    for value in values:
        yield {**base, key: value}


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
        yield from (value + 1, value - 1, float(value))
    if isinstance(value, date):
        yield from (value + timedelta(days=1), value - timedelta(days=1), value + timedelta(days=7))


def _dates(value: Any) -> Iterator[object]:
    days = (1, -1, 7, 28, 30, 31, 365)
    for step in days:
        try:
            yield value + timedelta(days=step)
        except OverflowError:
            continue
    for changed in (
        {"day": 1},
        {"month": 12, "day": 31},
        {"month": 2, "day": 28},
        {"year": 2024, "month": 2, "day": 29},
    ):
        try:
            yield value.replace(**changed)
        except ValueError:
            continue
    if isinstance(value, datetime):
        yield from (
            value + timedelta(seconds=1),
            value + timedelta(hours=12),
            value.replace(hour=0, minute=0, second=0),
        )


def _in_turns(sources: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Take one value of each source, then the next of each."""
    waiting = list(map(iter, sources))
    while waiting:
        left = []
        for source in waiting:
            for value in source:
                yield value
                left.append(source)
                break
        waiting = left


def strangeness(call: str) -> int:
    """Tell how hard a call is to read: its length, and more for characters and numbers that are unusual."""
    odd = sum(not character.isascii() or not character.isprintable() for character in call)
    escapes = sum(call.count(text) for text in ("\\", "nan", "inf", "e-", "e+"))
    blank = len(_BLANK_END.findall(call))
    return len(call) + 15 * odd + 25 * escapes + 8 * blank + (40 if "00000" in call else 0)
