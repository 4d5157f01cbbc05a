"""Estimate whether a browser draws an SVG document within a few seconds, without drawing it.

A document of two kilobytes can ask for billions of shapes, since an element can be drawn in many places.
The cost of an element includes the costs of its children and of the elements that it refers to. Costs are in
units of about ten microseconds, measured in Chromium. An estimate may be too high, but not far too low.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.pictures.bitmap import bitmap
from fact_magics.pictures.shape import (
    ANIMATIONS,
    HREFS,
    Element,
    enlarges,
    filter_cost,
    is_small_tile,
    length,
    runs_across,
)
from fact_magics.pictures.stylesheet import (
    ANIMATION,
    FILTER,
    LAYER,
    SPACES,
    Look,
    Reach,
    RefusedError,
    declarations,
    numbers,
    outline_of,
    pixels,
    rules,
)
from fact_magics.text import shorten

if TYPE_CHECKING:
    from fact_magics.pictures.stylesheet import Rule

SVG = "http://www.w3.org/2000/svg"
"""The namespace of SVG."""

_XHTML = "http://www.w3.org/1999/xhtml"

_BUDGET = 300_000
# A browser draws an animated document again for each frame.
_ANIMATED_BUDGET = 20_000
_ELEMENTS = 100_000
_DEPTH = 200
_HTML_DEPTH = 20
_SIDE = 20_000  # pixels
_APPLIED = 200_000  # rules with effects, each counted for each element that it selects

_CHARACTER = 2
_PER_NUMBER = 0.1
_PIXELS_PER_UNIT = 1_000
_DASHES_PER_UNIT = 5
_STEPS_PER_UNIT = 200
# Filling a path of n numbers takes time that grows with the square of n, and so does drawing its outline.
# A line that runs to and fro across the drawing is much slower than one that runs from left to right.
_FILLED, _OUTLINED, _SCRIBBLED = 25_000, 400_000, 13_000
_REFERRED = {"mask": LAYER, "filter": 100, "linearGradient": 30, "radialGradient": 30}
_MARKS = re.compile(r"[^\w\x00-\x7f]{50,}")
_MOST_MARKS = 5_000
_SLOW = "feTurbulence feConvolveMatrix feMorphology feDiffuseLighting feSpecularLighting feDisplacementMap"
_SLOW_PRIMITIVES = frozenset(_SLOW.split())
_NOT_TO_ANIMATE = ("href", "dasharray", "class", "style", "filter", "mask", "clip-path", "pathLength")
_GROWING = frozenset({"d", "points", "x1", "y1", "x2", "y2", "r", "rx", "ry", "width", "height"})
_NOT_DRAWN = frozenset({"title", "desc", "metadata", "style", "script"})
_LISTS = frozenset({"d", "points", "x", "y", "dx", "dy", "rotate", "values"})
_LOOK = "fill filter mask clip-path mix-blend-mode opacity stroke-dasharray vector-effect"
_LOOKS = frozenset(_LOOK.split())
_NOTES = ("data-", "aria-", "style")
# The HTML elements of labels. Other elements can load files, contain pages, or take very long to lay out.
_LABELS = "div span p br b i em strong code pre small sub sup u a ul ol li section hr"
_HTML = frozenset(_LABELS.split())
_EMBEDDED = re.compile(r"\s*data:image/(?:png|jpe?g|gif);base64,([\w+/=\s]*)\Z", re.ASCII)


class _NoDrawingError(Exception):
    """A document is not SVG, or contains a declaration that is refused."""


class Drawing:
    """The elements of a document, collected while it is parsed.

    Attributes
    ----------
    root_at : int
        Where the root element begins, in bytes.
    has_namespace : bool
        Whether the root element is in the namespace of SVG.
    """

    def __init__(self) -> None:
        self._elements: list[Element] = []
        self._open: list[Element] = []
        self._is_animated = False
        self._animated_sides = 0.0
        self._marks = 0
        self._filters: list[Element] = []
        self._refused = ""
        self.root_at = 0
        self.has_namespace = True

    @property
    def root(self) -> Element:
        """The outermost element."""
        return self._elements[0]

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Add an element; `name` begins with the namespace and a space."""
        namespace, _, tag = name.rpartition(" ")
        parent = self._open[-1] if self._open else None
        depth, labels = len(self._open), parent.labels if parent else 0
        if namespace == _XHTML:
            labels += 1
            if tag not in _HTML:
                self._refused = f"it contains the HTML element {shorten(tag, 20)}"
        elif namespace not in ("", SVG):
            # Browsers don't draw elements of other namespaces, in which editors keep notes.
            tag, attributes = name, {key: attributes[key] for key in ("id", "class") if key in attributes}
        if depth > _DEPTH or labels > _HTML_DEPTH:
            self._refused = "its elements are nested too deeply"
        element = Element(tag, parent, attributes, Look(), depth, labels)
        self._open.append(element)
        if len(self._elements) == _ELEMENTS:
            self._refused = f"it has more than {_ELEMENTS:,} elements"
            return
        if parent is not None:
            parent.children.append(element)
        self._elements.append(element)

    def end(self, _: str) -> None:
        """End the innermost element."""
        self._open.pop()

    def text(self, content: str) -> None:
        """Add text to the innermost element."""
        element = self._open[-1]
        if element.tag in ("style", "title"):
            element.pieces.append(content)
        elif element.tag not in _NOT_DRAWN:
            element.characters += len(content.strip())
            if not content.isascii():
                self._marks += sum(map(len, _MARKS.findall(content)))
                if self._marks > _MOST_MARKS:  # a browser takes quadratic time for marks on one letter
                    self._refused = "its text has too many accents on a letter"

    def instruction(self, target: str, _: str) -> None:
        """Refuse a stylesheet that is not in the document."""
        if target == "xml-stylesheet":
            self._refused = "it refers to something outside the drawing"

    def problem(self, size: tuple[float, float] | None) -> str:
        """Return the reason why the drawing is not shown, as a clause after "because"; empty if it is shown.

        `size` is the width and height in pixels, or None where unknown.
        """
        try:
            self._check(size)
        except RefusedError as error:
            return str(error)
        return ""

    def _check(self, size: tuple[float, float] | None) -> None:
        if self._refused:
            raise RefusedError(self._refused)
        if any(pixels(self.root.attributes.get(name, "")) > _SIDE for name in ("width", "height")):
            raise RefusedError(f"it is more than {_SIDE:,} pixels wide or high")
        for element in self._elements:
            self._weigh(element)
        for element in self._filters:
            element.cost += max(0.0, filter_cost(element) - sum(map(_with_children, element.children)))
        sheets = ["".join(element.pieces) for element in self._elements if element.tag == "style"]
        self._add_outlines(may_fill=any("fill" in sheet.lower() for sheet in sheets))
        self._apply([rule for sheet in sheets for rule in rules(sheet)])
        self._add_dashes(size, may_enlarge=any(map(enlarges, sheets)))
        total = self._total()
        if not total <= _BUDGET:  # infinite lengths make the sum NaN
            raise RefusedError("drawing it would take too long")
        if self._is_animated and total > _ANIMATED_BUDGET:
            raise RefusedError("drawing it again for each step of its animation would take too long")

    def _weigh(self, element: Element) -> None:
        """Compute an element's cost, except for its outline, its dashes and its stylesheet rules."""
        tag, attributes = element.tag, element.attributes
        element.look = look = declarations(attributes["style"]) if "style" in attributes else Look()
        is_filled, dash = look.is_filled, look.dash
        for name, value in attributes.items():
            if name in _LOOKS or ("(" in value and " " not in name and not name.startswith(_NOTES)):
                look.declare(name, value)
        if "style" in attributes:  # the style attribute has precedence over other attributes
            look.is_filled = is_filled and look.is_filled
            look.dash = min(filter(None, (dash, look.dash)), default=None)
        element.cost += (
            look.cost
            + look.fading
            + _CHARACTER * element.characters
            + sum(map(len, attributes.values())) / 100
        )
        lists = _LISTS.intersection(attributes)
        each = _CHARACTER if tag in ("text", "tspan") else _PER_NUMBER  # numbers that place single letters
        element.cost += each * sum(len(numbers(attributes[name])) for name in lists)
        self._is_animated |= look.is_animated
        if tag in ANIMATIONS:
            self._is_animated = True
            # The values of an animation may be paths, or the sides of any shape.
            values = " ".join(attributes.values())
            count = len(numbers(values))
            element.cost += ANIMATION + count * count / _FILLED
            if attributes.get("attributeName", "").endswith(_NOT_TO_ANIMATE) or look.refers:
                raise RefusedError("its animation changes more than colours and positions")
            if attributes.get("attributeName", "") in _GROWING:
                self._animated_sides += outline_of(values)
        elif tag == "filter":
            self._filters.append(element)
        elif tag == "feImage":
            raise RefusedError("one of its filters contains a picture")
        elif tag.startswith("fe"):
            element.cost += FILTER * (10 if tag in _SLOW_PRIMITIVES else 1)
        elif tag == "image":
            element.cost += self._embedded(attributes)

    def _embedded(self, attributes: dict[str, str]) -> float:
        cost = 0.0
        for address in filter(None, map(attributes.get, HREFS)):
            if not address.strip().lower().startswith("data:"):
                continue  # a browser loads nothing for a drawing that is shown as an image
            found = _EMBEDDED.match(address)
            embedded = None
            with suppress(ValueError):  # not Base64
                embedded = bitmap(b64decode(found[1] + "==")) if found else None
            if embedded is None or not embedded.fits:
                raise RefusedError("it contains a picture that is too large, or is not a PNG, JPEG or GIF")
            self._is_animated |= embedded.frames > 1
            cost += embedded.pixels * embedded.scans / _PIXELS_PER_UNIT
        return cost

    def _add_outlines(self, *, may_fill: bool) -> None:
        for element in self._elements:
            if not element.outline:
                continue
            element.points = count = len(numbers(element.outline))
            is_filled = element.look.is_filled or may_fill
            per_unit = (_FILLED if is_filled else _OUTLINED) if runs_across(element.outline) else _SCRIBBLED
            element.cost += count * count / per_unit

    def _apply(self, rules: list[Rule]) -> None:
        """Add the effects that stylesheets ask for, and the cost of matching their selectors."""
        if not rules:
            return
        by_key: dict[str, list[Element]] = defaultdict(list)
        present: set[str] = set()
        for element in self._elements:
            classes = set(re.split(f"[{SPACES}]+", element.attributes.get("class", "")))
            for name in classes:
                by_key[f".{name}"].append(element)
            by_key[f"#{element.attributes.get('id', '')}"].append(element)
            by_key[element.tag.rpartition(" ")[2]].append(element)
            present.update((*classes, *element.attributes.values()))
        depth = 1 + max(element.depth for element in self._elements)
        steps = applied = 0
        for rule in rules:
            selected = self._elements if rule.key == "*" else by_key.get(rule.key, [])
            applies = not rule.look.is_empty and rule.needs <= present
            steps += len(selected) * rule.steps(depth)
            applied += len(selected) * applies
            if steps > _STEPS_PER_UNIT * _BUDGET or applied > _APPLIED:
                raise RefusedError("its stylesheet would take too long to apply")
            if applies:
                for element in selected:
                    self._is_animated |= rule.look.is_animated
                    element.cost += rule.look.cost + rule.look.fading
                    element.look.each += rule.look.each
                    element.look.sides += rule.look.sides
                    element.look.refers += rule.look.refers
                    element.look.is_unscaled |= rule.look.is_unscaled
                    element.look.dash = min(filter(None, (element.look.dash, rule.look.dash)), default=None)
        self.root.cost += steps / _STEPS_PER_UNIT

    def _add_dashes(self, size: tuple[float, float] | None, *, may_enlarge: bool) -> None:
        """Add the cost of dashes; an element inherits dashes from its parent and from each ``use`` of it."""
        elements = self._elements
        if not any(element.look.dash for element in elements):
            return
        enlarged = 1.0
        if any(element.look.is_unscaled for element in elements):
            if may_enlarge or any(element.may_enlarge for element in elements):
                raise RefusedError("the number of its dashes can't be estimated")
            box = numbers(self.root.attributes.get("viewBox", ""))[2:4]
            scales = (side / max(of, 1e-9) for side, of in zip(size or (), box, strict=False))
            enlarged = max(1.0, *scales) if box and size else 1.0
        for element in elements:
            element.dash = element.look.dash or (element.parent.dash if element.parent else None)
        passed_on = [element.dash for element in elements if element.tag == "use"]
        shortest = min(filter(None, passed_on), default=None)
        for element in elements:
            dash = min(filter(None, (element.dash, shortest)), default=None)
            if dash:
                outline = length(element) + self._animated_sides
                element.cost += enlarged * outline / dash / _DASHES_PER_UNIT

    def _total(self) -> float:
        """Return the cost of the document, with each element counted as often as it is drawn."""
        named: dict[str, Element] = {}
        for element in self._elements:
            named.setdefault(element.attributes.get("id", ""), element)
        totals: dict[Element, float] = {}
        # The numbers of shapes and of points that inherit what an element declares.
        inside: dict[Element, tuple[float, float]] = {}
        drawn: dict[Element, list[tuple[Element, Reach]]] = {}
        waiting = [self.root]
        while waiting:
            element = waiting[-1]
            if element in drawn:
                waiting.pop()
                heirs = [inside[other] for other, reach in drawn[element] if reach is Reach.COPY]
                shapes = 1.0 + sum(heir for heir, _ in heirs)
                points = 1.0 + element.points + sum(heir for _, heir in heirs)
                inside[element] = shapes, points
                times = {Reach.EACH_SHAPE: shapes, Reach.EACH_POINT: points}
                totals[element] = (
                    element.cost
                    + element.look.each * shapes
                    + sum(
                        times.get(reach, 1.0) * (totals[other] + _referred(other))
                        for other, reach in drawn[element]
                    )
                )
                continue
            targets = [(named[name], reach) for name, reach in element.refers() if name in named]
            drawn[element] = [*((child, Reach.COPY) for child in element.children), *targets]
            for other in dict.fromkeys(other for other, _ in drawn[element]):
                if other in drawn and other not in totals:
                    raise RefusedError("some of its elements contain each other")
                if other not in totals:
                    waiting.append(other)
        return totals[self.root]


def _referred(element: Element) -> float:
    """Return what each use of an element costs in addition to its content."""
    if element.tag == "pattern":
        return 100 if is_small_tile(element.attributes) else 1_000
    return _REFERRED.get(element.tag, 0)


def _with_children(element: Element) -> float:
    return element.cost + sum(child.cost for child in element.children)


def read(document: bytes, *, root_only: bool = False) -> Drawing | None:
    """Parse an SVG document; None if it is not SVG, or declares entities, which could expand endlessly.

    With `root_only`, the drawing has only its root element, but the whole document must be well-formed.
    """
    from xml.parsers import expat

    # With a separator, expat puts the namespace before each name.
    parser = expat.ParserCreate(namespace_separator=" ")
    drawing = Drawing()

    def begin_root(name: str, attributes: dict[str, str]) -> None:
        if name not in ("svg", f"{SVG} svg"):
            raise _NoDrawingError
        drawing.root_at, drawing.has_namespace = parser.CurrentByteIndex, name != "svg"
        drawing.begin(name, attributes)
        parser.StartElementHandler = None if root_only else drawing.begin
        if root_only:
            parser.EndElementHandler = parser.CharacterDataHandler = None

    def declare(_version: str, encoding: str | None, _standalone: int) -> None:
        # Browsers may read a document in another encoding differently, and see other elements in it.
        if (encoding or "utf-8").lower() not in ("utf-8", "us-ascii", "iso-8859-1"):
            raise _NoDrawingError

    def begin_type(_name: str, _system: str | None, _public: str | None, has_declarations: int) -> None:
        if has_declarations:
            raise _NoDrawingError

    parser.buffer_text = True
    parser.StartElementHandler = begin_root
    parser.EndElementHandler = drawing.end
    parser.CharacterDataHandler = drawing.text
    parser.ProcessingInstructionHandler = drawing.instruction
    parser.XmlDeclHandler = declare
    parser.StartDoctypeDeclHandler = begin_type
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, _NoDrawingError):
        return None
    return drawing
