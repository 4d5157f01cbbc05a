"""Read YAML that a stranger may have written; all values are read as texts, and nothing creates an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEEPEST = 40
_PLAIN_TAGS = frozenset(
    {"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))}
)


class Unusable(Exception):
    """A file or an entry can't be used. The message is the end of a sentence about the file or entry."""


def load_texts(content: bytes, most_bytes: int, most_events: int, *, doubt: str = "") -> Any:
    """Parse a document into texts, lists and mappings; `Unusable` says why it can't be read.

    Parameters
    ----------
    most_events : int
        The largest document, in YAML's events, with its aliases expanded.
    doubt : str, optional
        What may have happened to a document that is not YAML, as the end of the message.
    """
    if len(content) > most_bytes:
        raise Unusable(f"is larger than {most_bytes:,} bytes")
    import yaml

    # This loader reads all values as texts: a version does not become a date, and tags create no objects.
    loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        text = content.decode("utf-8")
        _refuse_bombs(yaml.parse(text, Loader=loader), most_events)
        return yaml.load(text, Loader=loader)  # noqa: S506 - it creates only texts, lists and mappings
    except Unusable:
        raise
    except Exception as error:  # noqa: BLE001 - any error of the parser; its message would quote the file
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise Unusable(f"can't be read as YAML{where}{doubt}") from None


def _refuse_bombs(events: Iterable[Any], most: int) -> None:
    """Raise `Unusable` for a document that is too large with its aliases expanded, or is not plain data."""
    from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent

    size = 0
    sizes: dict[str, int] = {}
    within: list[tuple[str | None, int]] = []
    for event in events:
        size += 1
        anchor = getattr(event, "anchor", None)
        line = f"line {event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            if anchor not in sizes:
                raise Unusable(f"has an alias without an anchor, or an alias inside its own value ({line})")
            size += sizes[anchor]
        elif isinstance(event, CollectionStartEvent):
            within.append((anchor, size))
        elif isinstance(event, CollectionEndEvent):
            begun, start = within.pop()
            if begun is not None:
                sizes[begun] = size - start
        elif anchor is not None:
            sizes[anchor] = 1
        if getattr(event, "tag", None) not in (None, *_PLAIN_TAGS):
            raise Unusable(f"has a YAML tag, which could create an object ({line})")
        if size > most or len(within) > _DEEPEST:
            raise Unusable("is too large once its aliases are replaced by their values")
