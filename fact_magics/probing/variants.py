"""Values beside other values, and values at the edges of types."""

from __future__ import annotations

import math
import operator
import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice, product, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from fact_magics.signature.classes import EnumOf, LiteralOf, ObjectOf
from fact_magics.signature.vocabulary import Bounded, Container, Scalar, Type, UnionOf

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Sequence

_DIGIT, _LETTER, _OTHER = re.compile(r"\d"), re.compile(r"[^\W\d_]"), re.compile(r"[\W_]")
_OF_A_PART = 45  # variants of the items of one container
LONGEST = 60
"""A constant up to this number is also tried as a length."""
_WORDS = (
    "", "a", " ", "ab", "aa", "A", "a b", "aba", "1", "-", "aB", "a1", "b a b", "  a  b ", "a,b", "0",
    "Hello, World!", "é", "ß", "日本", "a\nb", "\t",
)  # fmt: skip
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


class Constants(NamedTuple):
    """The constants in a source and in the examples, which inputs are built from."""

    numbers: tuple[float, ...]
    texts: tuple[str, ...]


class Variants:
    """Makes values from other values and from types, with the constants of one source."""

    def __init__(self, constants: Constants, chance: random.Random) -> None:
        self._constants = constants
        self._chance = chance

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
                second, day = timedelta(seconds=1), timedelta(days=1)
                yield from in_range(
                    lambda: -value, lambda: value * 2, lambda: value + second, lambda: value + day
                )

    def _numbers(self, value: Any) -> Iterator[object]:
        kind = type(value)
        half, eighth = ("0.5", "0.125") if kind is Decimal else (0.5, 0.125)
        yield from in_range(lambda: value + 1, lambda: value - 1)
        if kind is not int:
            yield from in_range(lambda: value + kind(eighth))  # more digits than most round to
        for constant in self._constants.numbers:
            if kind is not int or isinstance(constant, int):
                for step in (0, 1, -1):
                    yield from in_range(partial(_beside, kind, constant, step))
        yield from in_range(
            lambda: kind(0), lambda: kind(1), lambda: -value, lambda: value * 2, lambda: value * 10
        )
        if kind is int:
            yield from (value // 2, value + 2, value - 2, value + 10)
            yield value * value if abs(value) < 1000 else value
        else:
            yield from in_range(
                lambda: value / 2,
                lambda: value + kind(half),
                lambda: value - kind(half),
                lambda: value + kind(half) / 5,
                lambda: value / 3,
            )

    def _texts(self, text: str) -> Iterator[object]:
        words = text.split()
        kinds = (_DIGIT.sub("a", text), _LETTER.sub("1", text), _OTHER.sub("", text))
        yield ""
        yield from self._constants.texts[:12]
        yield from (text[1:], text[:-1], text + text, text[::-1], text.upper(), text.lower(), f" {text} ")
        if len(words) > 1:
            yield from (" ".join(words[::-1]), " ".join(words[1:]), "  ".join(words), words[0])
        yield from kinds
        for index in dict.fromkeys((0, len(text) // 2, len(text) - 1)):
            if text:
                yield text[:index] + text[index] + text[index:]
                yield text[:index] + text[index].swapcase() + text[index + 1 :]
                yield text[:index] + text[index + 1 :]
        for index, character in enumerate(text[:LONGEST]):
            if character.isdecimal():
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
        yield from islice(in_turns([*inner, *added]), _OF_A_PART)
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
        inner = [each(value, key, self.variants(value[key])) for key in islice(value, 4)]
        renamed = [self._renamed(value, key) for key in islice(value, 2)]
        yield dict(reversed(value.items()))
        if value:
            first = next(iter(value.values()))
            yield dict.fromkeys(value, first)
        yield from islice(in_turns([*inner, *renamed]), _OF_A_PART)

    def _sizes(self) -> list[int]:
        whole = [
            int(number) for number in self._constants.numbers if number == number // 1 and number < LONGEST
        ]
        sizes = {size for number in whole for size in (number - 1, number, number + 1) if 0 < size <= LONGEST}
        return sorted(sizes)[:20]

    def edges(self, kind: Type) -> Iterator[object]:
        """Yield values of a type that are likely to be special, the simplest ones first."""
        match kind:
            case Bounded():
                yield from self._bounded(kind)
            case UnionOf():
                yield from in_turns([self.edges(member) for member in kind.members])
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
                fillers = [*islice(self.edges(kind.base), 3)]
                for size in (bound, bound + 1, max(0, bound - 1)):
                    for filler in fillers:
                        yield self._of_length(kind.base, filler, min(size, 10 * LONGEST))
        yield from self.edges(kind.base)

    def _of_length(self, kind: Type, filler: Any, size: int) -> object:
        if isinstance(filler, str | bytes):
            unit: Any = filler or (b"a" if isinstance(filler, bytes) else "a")
            return (unit * size)[:size]
        if isinstance(kind, Container) and kind.kind in ("list", "tuple"):
            return ([*islice(self.edges(kind.items[0]), 1)] * size)[:size]
        return filler

    def _containers(self, kind: Container) -> Iterator[object]:
        items = [list(islice(self.edges(item), 6)) for item in kind.items]
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
        fields = {field.name: list(islice(self.edges(field.type), 4)) for field in kind.fields if field.init}
        for chosen in islice(zip_longest(*fields.values()), 4):
            yield {
                name: fields[name][0] if value is None and fields[name] else value
                for name, value in zip(fields, chosen, strict=True)
            }


def each(base: dict[Any, Any], key: Any, values: Iterable[object]) -> Iterator[dict[Any, Any]]:
    """Yield a dict with one value after the other for a key."""
    for value in values:
        yield {**base, key: value}


def in_range(*makes: Callable[[], object]) -> Iterator[object]:
    """Yield what each function returns, without the values that their type can't hold."""
    for make in makes:
        try:
            made = make()
        except (ArithmeticError, ValueError):
            continue
        yield made


def _beside(kind: Callable[[Any], Any], constant: Any, step: int) -> object:
    return kind(str(constant) if kind is Decimal else constant) + step


def _dates(value: Any) -> Iterator[object]:
    for days in (1, -1, 7, 28, 30, 31, 365):
        yield from in_range(partial(operator.add, value, timedelta(days=days)))
    for changed in (
        {"day": 1},
        {"month": 12, "day": 31},
        {"month": 2, "day": 28},
        {"year": 2024, "month": 2, "day": 29},
    ):
        yield from in_range(partial(value.replace, **changed))
    if isinstance(value, datetime):
        yield from in_range(
            lambda: value + timedelta(seconds=1),
            lambda: value + timedelta(hours=12),
            lambda: value.replace(hour=0, minute=0, second=0),
        )


def in_turns(sources: Sequence[Iterator[Any]]) -> Iterator[Any]:
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
