"""Change a tool by a wish: the examples that the new version must hold, and the request to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.errors import CellError, InvalidInput
from fact_magics.text import one_line
from fact_magics.tool import Returned
from fact_magics.values import ValueTypeError, encode, encode_call
from fact_magics.writing.prompt import contract_lines, data_lines, fence, grant_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fact_magics.signature import Signature
    from fact_magics.tool import Example, Raised, ToolSpec

_SHOWN = 80

_KEEP = "Keep everything else, also its signature, unless the change needs another."
_EXAMPLES_ONLY = "Make every example below hold; some of them are new."


def merged_examples(
    earlier: Sequence[Example], given: Sequence[Example], signature: Signature | None
) -> tuple[tuple[Example, ...], tuple[str, ...]]:
    """Add examples to those of a tool; an example of the same call replaces the earlier one.

    Parameters
    ----------
    signature : Signature, optional
        The tool's signature, by which ``f(1)`` and ``f(n=1)`` are the same call.

    Returns
    -------
    (tuple of Example, tuple of str)
        All examples, and a line for each earlier example whose value was replaced.

    Raises
    ------
    CellError
        Two of the given examples expect different values of the same call.
    """
    refuse_two_values(given, signature)
    merged = {_call(example, signature): example for example in earlier}
    changes = []
    for example in given:
        call = _call(example, signature)
        before = merged.get(call)
        if before is not None and _same(before.expected, example.expected):
            continue
        if before is not None:
            now = f"{one_line(example.source, _SHOWN)} now {_gives(example.expected)}"
            changes.append(f"{now}; the earlier example {_gives(before.expected)}")
        merged[call] = example
    return tuple(merged.values()), tuple(changes)


def refuse_two_values(examples: Sequence[Example], signature: Signature | None) -> None:
    """Raise `CellError` if two of the examples expect different values of the same call."""
    seen: dict[bytes, Example] = {}
    for example in examples:
        call = _call(example, signature)
        if call in seen and not _same(seen[call].expected, example.expected):
            raise CellError(
                f"Line {example.line}: {one_line(example.source, _SHOWN)} has another value than in line "
                f"{seen[call].line}.",
                hint="Keep one of the two examples.",
            )
        seen[call] = example


def _call(example: Example, signature: Signature | None) -> bytes:
    """Return the identity of an example's call."""
    try:
        if signature is not None:
            bound = signature.bind(example.args, example.kwargs)
            complete = signature.validate(bound)
            # Defaults are left out, since the new version may have other ones.
            return encode({name: complete[name] for name in sorted(bound)})
    except InvalidInput:
        pass  # such as an example of a ValueError
    try:
        return bytes(encode_call(example.args, example.kwargs))
    except ValueTypeError:
        return example.source.encode("utf-8", "surrogatepass")


def _same(one: Returned | Raised, other: Returned | Raised) -> bool:
    if not (isinstance(one, Returned) and isinstance(other, Returned)):
        return one == other
    try:
        return encode(one.value) == encode(other.value)
    except ValueTypeError:
        return one.source == other.source


def _gives(expected: Returned | Raised) -> str:
    if isinstance(expected, Returned):
        return f"gives {one_line(expected.source, _SHOWN)}"
    return one_line(f"raises {expected.text}", _SHOWN)


def wish_text(about: str, source: str, wish: str, changes: Iterable[str], *, fenced: bool) -> str:
    """Describe a tool and the wish: the part of the request that the history keeps.

    Parameters
    ----------
    about : str
        What the tool does, in a line.
    changes : iterable of str
        The lines of `merged_examples`.
    fenced : bool
        Put fences around what the tool does and the source, for the model.
    """
    changed = "\n".join(f"- {change}" for change in changes)
    pieces = [
        *([(about, "description")] if about else []),
        ("\n\nThis is its source:\n\n", ""),
        (source.rstrip(), "source"),
        (f"\n\nChange it as follows. {_KEEP}\n\n{wish.strip() or _EXAMPLES_ONLY}", ""),
        (f"\n\nThese examples have other values than before:\n\n{changed}" if changed else "", ""),
    ]
    return (fence(pieces) if fenced else "".join(text for text, _ in pieces)).strip()


def change_text(spec: ToolSpec) -> str:
    """Write the request for a changed tool, as the first message of a conversation."""
    asked = [f"Change the tool `{spec.name}`.", "", spec.asked, *contract_lines(spec)]
    return "\n".join([*asked, *data_lines(spec), *grant_lines(spec)])
