"""The elements of a drawing: what each costs by itself, which others it draws, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from fact_magics.pictures.stylesheet import Look, Reach, RefusedError, numbers, pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HREFS = ("href", "http://www.w3.org/1999/xlink href")
"""The attributes that hold an address, as the parser names them."""

ANIMATIONS = frozenset({"animate", "animateColor", "animateMotion", "animateTransform", "set", "discard"})

_ELEMENT = 2
_LINKS = frozenset({"a", "image", "script", *ANIMATIONS})
_TARGET = re.compile(r"\s*#([\w.:-]+)\s*\Z")
_SIDES = ("x", "y", "x1", "y1", "x2", "y2", "r", "rx", "ry", "width", "height")
_TILE = 150
_SOURCES = frozenset({"feFlood", "feTurbulence"})
_MIXERS = frozenset({"feBlend", "feComposite", "feDisplacementMap"})
_ENLARGED = re.compile("scale|matrix|zoom", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Element:
    """An element: its own cost, and the elements that it draws.

    Attributes
    ----------
    depth, labels : int
        The number of ancestors, and the number of HTML elements among the ancestors and the element itself.
    points : int
        The count of numbers in its path.
    dash : float or None
        Mean length of its dashes, which it may inherit.
    """

    tag: str
    parent: Element | None
    attributes: dict[str, str]
    look: Look
    depth: int
    labels: int
    cost: float = _ELEMENT
    characters: int = 0
    points: int = 0
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    dash: float | None = None

    @property
    def outline(self) -> str:
        """The path, or the points, of a shape."""
        return self.attributes.get("d") or self.attributes.get("points") or ""

    @property
    def may_enlarge(self) -> bool:
        """Whether its content may be drawn larger than its coordinates say."""
        given = self.attributes
        looks = " ".join(given.get(name, "") for name in ("transform", "style", "type"))
        has_units = self.tag == "marker" or any(name.endswith("ContentUnits") for name in given)
        return has_units or ("viewBox" in given and self.parent is not None) or enlarges(looks)

    def refers(self) -> Iterator[tuple[str, Reach]]:
        """Yield the identifier of each element that this one draws, and how often."""
        yield from self.look.refers
        if self.tag not in _LINKS:
            for address in filter(None, map(self.attributes.get, HREFS)):
                found = _TARGET.match(address)
                if not found:
                    raise RefusedError("it refers to something outside the drawing")
                yield found[1], Reach.COPY if self.tag == "use" else Reach.ONCE


def runs_across(path: str) -> bool:
    """Whether the points of a path are absolute, and run from side to side at most three times."""
    across = numbers(path)[::2]
    if re.search(r"[a-yAHV]", path) or not across:
        return False
    return sum(abs(a - b) for a, b in pairwise(across)) <= 3 * (max(across) - min(across))


def is_small_tile(pattern: Mapping[str, str]) -> bool:
    """Whether a pattern has a small tile, as hatches have, so that it is drawn quickly."""
    sides = [pixels(pattern.get(name, "")) for name in ("width", "height")]
    is_absolute = pattern.get("patternUnits") == "userSpaceOnUse" and "patternTransform" not in pattern
    return is_absolute and all(1 <= side <= _TILE for side in sides)


def enlarges(style: str) -> bool:
    """Whether a transformation or a style may draw something larger."""
    return _ENLARGED.search(style) is not None


def length(element: Element) -> float:
    """Return an upper bound for the length of a shape's outline, or for the length that it claims."""
    path, given = element.outline, element.attributes
    claimed = sum(map(abs, numbers(given.get("pathLength", "")))) + element.look.sides
    if path and not re.search(r"[a-yAHTV]", path):  # a path of absolute points only
        values = numbers(path)
        around = sum(abs(a - b) for axis in (values[::2], values[1::2]) for a, b in pairwise(axis))
        return claimed + (2 * around if "Z" in path.upper() else around)
    sides = " ".join(given.get(name, "") for name in _SIDES)
    units = 100 if re.search(r"[a-z%]", sides) else 1
    lengths = [abs(value) for value in numbers(f"{path} {sides}")]
    # A curve of type T continues the one before it, so that each may be longer.
    growing = len(lengths) if "t" in path.lower() else 1
    return claimed + 8 * units * growing * sum(lengths)


def filter_cost(element: Element) -> float:
    """Return the cost of a filter; the result of a primitive is computed again for each one that uses it."""
    results = {"SourceGraphic": 0.0, "SourceAlpha": 0.0}
    last = 0.0
    for primitive in element.children:
        if not primitive.tag.startswith("fe"):
            continue
        nodes = primitive.children if primitive.tag == "feMerge" else [primitive]
        inputs = [node.attributes.get("in") for node in nodes if node.tag not in _SOURCES]
        if primitive.tag in _MIXERS:
            inputs.append(primitive.attributes.get("in2"))
        used = sum(results.get(name or "", last) for name in inputs)  # by default, the last result
        last = primitive.cost + sum(child.cost for child in primitive.children) + used
        if name := primitive.attributes.get("result"):
            results[name] = last
    return last
