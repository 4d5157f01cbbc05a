"""Decide whether an example holds; the tool's process never receives the expected value."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import isclose, isnan
from typing import TYPE_CHECKING, Any

from fact_magics.attempt import Verdict
from fact_magics.errors import InvalidResult
from fact_magics.text import clipped, one_line
from fact_magics.tool import Raised, Returned, Status
from fact_magics.values import Table, ValueTypeError, brief, encode, normalise
from fact_magics.values.tables import open_table
from fact_magics.writing.differences import difference

if TYPE_CHECKING:
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.signature import Signature
    from fact_magics.tool import Example

_RELATIVE = 1e-9
_SHOWN = 300
_MATCHED_SET = 1_000
_BY_HASHING = (
    "in one of two runs, which differed only in how Python hashes text. A set has no order of its own: "
    "sort its items, or keep the order of the input with dict.fromkeys"
)


def holds(example: Example, signature: Signature, outcome: Outcome) -> Verdict:
    """Decide whether an example holds, given the outcome that the tool's process reported.

    A result is validated before it is compared. The return annotation decides whether a tuple and a list
    count as the same.
    """
    expected = example.expected
    got, returned = None, False
    if outcome.status == Status.OK and outcome.result is not None:
        try:
            got, returned = signature.read_result(outcome.result), True
            end = brief(got, _SHOWN)
        except InvalidResult as error:
            problem = error.message.removeprefix(f"{signature.name}() returned ")
            end = one_line(" ".join((problem, *error.details)), _SHOWN)
    else:
        end = shown_end(outcome)
    if isinstance(expected, Raised):
        shown = one_line(expected.text, _SHOWN)
        return Verdict(_raises(expected, outcome), shown, end, example)
    if type(expected.value) is Table and not signature.returns_tables:
        expected = replace(expected, value=normalise(open_table(expected.value)))
    shown = one_line(expected.source, _SHOWN) if _tables(expected.value) else brief(expected.value, _SHOWN)
    same = returned and _same(expected.value, _as_annotated(expected, signature), got)
    if returned and not same and (shown == end or _tables(got)):
        end = f"{end} ({_first_difference(expected.value, got)})"
    return Verdict(same, shown, end, example)


def failed_line(verdict: Verdict, limit: int) -> str:
    """Say in one line of at most `limit` characters how an example failed, if the words leave room for it."""
    got = f"gave {verdict.got}"
    if denied := verdict.denied[0]:
        got = f"failed: {denied[0].lower()}{denied[1:]}"
    call, expected = verdict.example.source, verdict.expected
    room = max(0, limit - len(" should give , but "))
    parts: dict[int, str] = {}
    # The shortest part comes first, so that what it leaves is shared by the longer ones.
    for index, part in sorted(enumerate((call, expected, got)), key=lambda item: len(item[1])):
        parts[index] = clipped(part, room // (3 - len(parts)))
        room -= len(parts[index])
    return f"{parts[0]} should give {parts[1]}, but {parts[2]}"


def answer_of(outcome: Outcome) -> tuple[bytes | None, str, str]:
    """Return what a caller gets from a call: the result, or the type and the message of the exception."""
    error = outcome.error
    result = None if outcome.result is None else bytes(outcome.result)
    return (result, error.type_name, error.message) if error else (result, "", "")


def blame_hashing(verdict: Verdict, other: Verdict) -> Verdict:
    """Judge an example that was run with two hash seeds, and gave another answer with each.

    If it holds with only one seed, it fails, because it holds by luck. If it holds with neither seed, hashing
    is blamed if the answer has the expected characters in another order.
    """
    if verdict.holds == other.holds and (verdict.holds or sorted(verdict.got) != sorted(verdict.expected)):
        return verdict
    got = one_line((other if verdict.holds else verdict).got, _SHOWN - len(_BY_HASHING))
    return replace(verdict, holds=False, got=f"{got} {_BY_HASHING}")


def _as_annotated(expected: Returned, signature: Signature) -> object:
    """Convert the expected value by the return annotation, in the same way as a result."""
    try:
        return signature.read_result(encode(expected.value))
    except (InvalidResult, ValueTypeError):
        return expected.value


def alike(one: object, other: object) -> bool:
    """Tell whether an example accepts both of two results, which are shaped by their annotation."""
    return _same(one, one, other)


def _same(expected: Any, shaped: Any, got: Any) -> bool:
    """Compare the containers in `got` with those in `shaped`, and all other values with `expected`.

    `shaped` is the expected value after its conversion by the return annotation.
    """
    kind = type(got)
    if kind in (list, tuple):
        return (
            type(shaped) is kind
            and type(expected) in (list, tuple)
            and len(expected) == len(shaped) == len(got)
            and all(map(_same, expected, shaped, got))
        )
    if kind in (set, frozenset):
        return type(shaped) is kind and isinstance(expected, set | frozenset) and _same_sets(expected, got)
    if kind is Table:
        return type(expected) is Table and not difference(expected, got, _same)
    if kind is dict:
        return type(expected) is dict and type(shaped) is dict and _same_dicts(expected, shaped, got)
    return type(expected) is kind and _same_leaves(expected, got)


def _same_leaves(expected: Any, got: Any) -> bool:
    if type(got) is float:
        return isclose(expected, got, rel_tol=_RELATIVE) or (isnan(expected) and isnan(got))
    if type(got) is Decimal and (expected.is_nan() or got.is_nan()):
        return str(expected) == str(got)
    return bool(expected == got)


def _same_dicts(expected: dict[Any, Any], shaped: dict[Any, Any], got: dict[Any, Any]) -> bool:
    if not len(expected) == len(shaped) == len(got):
        return False
    places = {_key(key): value for key, value in got.items()}
    as_shaped = {_key(key): value for key, value in shaped.items()}
    return all(
        (place := _key(key)) in places and _same(value, as_shaped.get(place, value), places[place])
        for key, value in expected.items()
    )


def _key(key: object) -> bytes:
    return encode(key)  # 1, 1.0 and True are the same key in a dict, but different in an example


def _same_sets(expected: set[Any] | frozenset[Any], got: set[Any] | frozenset[Any]) -> bool:
    if len(expected) != len(got):
        return False
    unmatched = {encode(item): item for item in got}
    missing = [item for item in expected if unmatched.pop(encode(item), _ABSENT) is _ABSENT]
    if len(missing) > _MATCHED_SET:  # pairing values that are close, but not equal, takes quadratic time
        return False
    left = list(unmatched.values())
    for item in missing:
        close = next((index for index, other in enumerate(left) if _same(item, item, other)), None)
        if close is None:
            return False
        del left[close]
    return True


_ABSENT = object()


def _tables(value: Any) -> list[Table]:
    """Return the tables in a value, in order."""
    if type(value) is Table:
        return [value]
    items = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    return [table for item in items for table in _tables(item)]


def _raises(expected: Raised, outcome: Outcome) -> bool:
    error = outcome.error
    if outcome.status != Status.ERROR or error is None:
        return False
    if not any(_names(expected.type_name, name) for name in (error.type_name, *error.mro)):
        return False
    return expected.message is None or expected.message == error.message.strip()


def _names(written: str, actual: str) -> bool:
    """Tell whether a name in an example, bare or dotted, means the class with the full name `actual`."""
    actual = actual.removeprefix("builtins.")
    return actual == written.removeprefix("builtins.") or actual.endswith(f".{written}")


def shown_end(outcome: Outcome) -> str:
    """Say in one line how a call ended that has no result."""
    if (error := outcome.error) is not None:
        return one_line(f"{error.type_name}: {error.message}" if error.message else error.type_name, _SHOWN)
    if outcome.status == Status.TIMEOUT:
        return f"no result: stopped at its time limit after {outcome.duration_ms / 1000:.1f} s"
    if outcome.status == Status.LIMIT:
        return f"no result: stopped at its limit of {outcome.limit or 'resources'}"
    return f"no result: ended as {outcome.status}"


def _first_difference(expected: Any, got: Any) -> str:
    if type(expected) is not type(got):
        return f"{type(got).__name__}, not {type(expected).__name__}"
    for one, other in zip(_tables(expected), _tables(got), strict=False):
        if said := difference(one, other, _same):
            return said
    return "they differ in a part that is not shown"
