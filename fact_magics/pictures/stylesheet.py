"""Find the declarations in a drawing's stylesheets and style attributes that make it expensive to draw."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from math import inf

SPACES = " \t\r\n\f"
"""The space characters of CSS; every character beyond ASCII counts as a letter there."""

# This reader is simple, so it refuses whatever a browser might read differently.
_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_COMMENT = re.compile(r"/\*(?:.*?\*/|.*)", re.DOTALL)
_BRACE = re.compile(r"([{}])")
_FUNCTION = re.compile(r"(?<![\w-])([\w-]*)\(")
_URL = re.compile(r"url\(\s*(?:\"#([\w.:-]+)\"|'#([\w.:-]+)'|#([\w.:-]+))\s*\)", re.IGNORECASE)
_URL_BEGINNING = re.compile(r"url\(", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LENGTH = re.compile(r"\s*([^%a-z]*(?:e[-+]?\d+)?)\s*(px|pt|pc|in|cm|mm|em|ex|)\s*\Z")
_LONGEST = 100
_UNITS = {"pt": 4 / 3, "pc": 16, "in": 96, "cm": 37.8, "mm": 3.78, "em": 16, "ex": 8}
_DASHES = re.compile(r"[\d.eE+\-,\s]*(?:(?:px|pt|mm|cm|in)[\d.eE+\-,\s]*)*")
_NAME = r"[\w\-\u0080-\U0010ffff]+"
_NAMES = re.compile(rf"[.#]({_NAME})")
_KEYS = re.compile(rf"[.#]?{_NAME}")
_ATTRIBUTE = re.compile(r"\[[^\]]*\]")
_ATTRIBUTE_VALUE = re.compile(r"\[[\w-]+=[\"']([^\"'\]]*)[\"']\]")
_PSEUDO = re.compile(rf"::?{_NAME}(?:\([^()]*\))?")
_COMBINATOR = re.compile(rf"[{SPACES}>+]+")
_CLEAR_SELECTOR = re.compile(
    rf"(?:[*.#:{SPACES}>+,()=\[\]\w\-\u0080-\U0010ffff]|[~^$|]=|\"[\w .-]*\"|'[\w .-]*')*"
)
_SELECTOR_FUNCTIONS = frozenset({"not", "nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"})
_HARMLESS = (
    "url rgb rgba hsl hsla hwb lab lch oklab oklch color color-mix light-dark var calc min max clamp "
    "translate translatex translatey scale scalex scaley rotate skewx skewy matrix blur brightness "
    "contrast drop-shadow grayscale hue-rotate invert opacity saturate sepia cubic-bezier steps local "
    "format"
)
_FUNCTIONS = frozenset(_HARMLESS.split())
_AT_RULES = ("@media", "@keyframes", "@-webkit-keyframes", "@font-face", "@supports")
_LAYERED = frozenset({"mix-blend-mode", "-webkit-box-reflect"})
_GEOMETRY = frozenset({"r", "rx", "ry", "width", "height", "d", "x", "y"})
_WRITTEN = frozenset({"content", "quotes", "list-style", "list-style-type", "hyphenate-character"})
_LONGEST_WRITTEN = 100
_LONGEST_VARIABLE = 200
_BROKEN = re.compile("dotted|dashed|double|groove|ridge|var")
_NARROW = 30  # pixels
_RELATIVE = re.compile(r"\d(?!px)[a-z%]|var")
_ASIDE = re.compile(r"\([^()]*\)|#[\da-f]+")

FILTER = 1_000
"""The cost of one filter on a shape."""

LAYER = 150
"""The cost of a mask, a blend mode or a shadow on a shape: a layer of its own; also of a broken border."""

SHADOW = 3_000
"""The cost of a box's shadow that is blurred widely."""

FADING = 10
"""The cost of an element that is translucent as a whole."""

ANIMATION = 50
"""The cost of one animated shape, in addition to drawing everything again for each frame."""


class RefusedError(ValueError):
    """A drawing is not shown; the message gives the reason, as a clause after "because"."""


class Reach(Enum):
    """How often an element draws another one: once, or for each shape or each point of a path inside of it.

    A copy also inherits what the element that uses it declares.
    """

    ONCE = 0
    EACH_SHAPE = 1
    EACH_POINT = 2
    COPY = 3


# The properties that elements inherit from those around them.
_REACHES = {
    **dict.fromkeys(("fill", "stroke", "marker-start", "marker-end"), Reach.EACH_SHAPE),
    **dict.fromkeys(("marker", "marker-mid"), Reach.EACH_POINT),
}


@dataclass(slots=True)
class Look:
    """The effects that a list of declarations asks for.

    Attributes
    ----------
    cost : int
        The cost of the effects, in the units of `drawing`.
    each : int
        The cost of effects that each shape inside inherits.
    refers : list of (str, Reach)
        Identifiers of the elements in ``url(#…)``, and how often each is drawn.
    dash : float or None
        Mean length of a dash or gap.
    sides : float
        Upper bound for the outline of a shape whose size the declarations give.
    fading : int
        The cost of drawing it translucent.
    """

    cost: int = 0
    each: int = 0
    refers: list[tuple[str, Reach]] = field(default_factory=list)
    dash: float | None = None
    sides: float = 0.0
    fading: int = 0
    is_animated: bool = False
    is_filled: bool = True
    is_unscaled: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether no declaration makes the drawing more expensive."""
        effects = self.cost or self.each or self.refers or self.dash
        return not (effects or self.is_animated or self.is_unscaled)

    @property
    def is_empty(self) -> bool:
        """Whether it also says nothing about size and opacity, which animations may change."""
        return self.is_plain and not (self.sides or self.fading)

    def declare(self, name: str, value: str) -> None:
        """Add one declaration or presentation attribute."""
        shown = value.strip().lower()
        for found in urls(value):
            self.refers.append((found, _REACHES.get(name, Reach.ONCE)))
        if name == "fill":
            self.is_filled = shown != "none"
        elif name in _GEOMETRY:
            self.sides += outline_of(shown)
        elif name == "opacity":
            self.fading = FADING if shown != "1" else 0
        elif name in _WRITTEN:
            if len(value) > _LONGEST_WRITTEN or "var(" in shown:
                raise RefusedError("its stylesheet adds text")
            self.cost += len(value)
        elif shown not in ("none", "normal", ""):
            self._add_effect(name, shown)

    def _add_effect(self, name: str, shown: str) -> None:
        if name.endswith("filter"):
            if "var(" in shown:
                raise RefusedError("one of its filters is a variable")
            self.cost += FILTER * max(1, shown.count("("))
        elif name.startswith(("border", "outline")):
            self.cost += LAYER * bool(_BROKEN.search(shown))
        elif name.endswith("box-shadow"):
            bare = _ASIDE.sub("", shown)
            is_narrow = max(numbers(bare), default=0.0) <= _NARROW and not _RELATIVE.search(bare)
            self.cost += (LAYER if is_narrow else SHADOW) * _layers(shown)
        elif name == "text-shadow":
            self.each += LAYER * _layers(shown)
        elif "mask" in name or name in _LAYERED or (name == "clip-path" and not self.refers):
            self.cost += LAYER * _layers(shown)
        elif name.startswith(("animation", "-webkit-animation")):
            self.cost += ANIMATION
            self.is_animated = True
        elif name == "stroke-dasharray":
            self.dash = _mean_dash(shown)
        elif name == "vector-effect":
            self.is_unscaled = True
        elif name.startswith(("column", "-webkit-column")):
            raise RefusedError("its stylesheet lays text out in columns")


@dataclass(frozen=True, slots=True)
class Rule:
    """One selector with its declarations; every match has the class, identifier or tag `key`.

    Attributes
    ----------
    needs : frozenset of str
        Classes, identifiers and attribute values that must occur in the document for the rule to apply.
    children, compounds : int
        Number of ``>``, and of the elements that the selector describes.
    """

    key: str
    needs: frozenset[str]
    children: int
    compounds: int
    look: Look

    def steps(self, depth: int) -> int:
        """Return how many elements a browser may compare with the selector, for one element at this depth."""
        return int((1 + self.compounds) * float(depth) ** min(self.children, 20))


def urls(value: str) -> list[str]:
    """Return the identifiers in ``url(#…)``; any other address is refused."""
    if "(" not in value:
        return []
    found = [next(filter(None, match)) for match in _URL.findall(value)]
    if len(found) != len(_URL_BEGINNING.findall(value)) or ("\\" in value):
        raise RefusedError("its style refers to something outside the drawing")
    return found


def numbers(value: str) -> list[float]:
    """Return the numbers in a path, a list or a length."""
    return [float(found) for found in _NUMBER.findall(value)]


def pixels(length: str) -> float:
    """Return a length in pixels; a percentage counts as 0."""
    if len(length) > _LONGEST:
        return inf
    found = _LENGTH.match(length.lower())
    return max(numbers(found[1]), default=0.0) * _UNITS.get(found[2], 1.0) if found else 0.0


def outline_of(length: str) -> float:
    """Return an upper bound for the outline of a shape with this size; infinite if it is computed."""
    units = 1 if re.fullmatch(r"[\d.e+-]*(?:px)?", length) else 100
    return inf if "(" in length else 8 * units * sum(map(abs, numbers(length)))


def _layers(shown: str) -> int:
    """Return how many shadows, masks or clips a list has at most."""
    return 1 + _ASIDE.sub("", shown).count(",") + 10 * shown.count("var(")


def _mean_dash(shown: str) -> float | None:
    shown = shown.removesuffix("!important")
    if shown in ("inherit", "initial", "unset", "revert"):
        return None
    if not _DASHES.fullmatch(shown):
        if not any(map(str.isdigit, shown)) and "(" not in shown:
            return None
        raise RefusedError("the length of its dashes is not a number")
    lengths = numbers(shown)
    total = sum(map(abs, lengths))
    return total / len(lengths) if total else None


def declarations(style: str) -> Look:
    """Read a style attribute, or the part of a rule between its braces."""
    _check(style)
    look = Look()
    for declaration in _COMMENT.sub(" ", style).split(";"):
        name, _, value = declaration.partition(":")
        name = name.strip().lower()
        if name.startswith("--") and ("var(" in value.lower() or _URL_BEGINNING.search(value)):
            raise RefusedError("its variables refer to each other")
        if name.startswith("--") and len(value) > _LONGEST_VARIABLE:
            raise RefusedError("its variables are too long")
        if unknown := {found.lower() for found in _FUNCTION.findall(value)} - _FUNCTIONS:
            raise RefusedError(f"its style uses {min(unknown)}()")
        look.declare(name, value)
    return look


def _check(style: str) -> None:
    strings = _STRING.findall(style)
    rest = _STRING.sub("", style)
    if "\\" in style or "'" in rest or '"' in rest or any(set(found) & set("{};*") for found in strings):
        raise RefusedError("its stylesheet can't be checked")


def rules(sheet: str) -> list[Rule]:
    """Read a stylesheet."""
    _check(sheet)
    found: list[Rule] = []
    open_blocks: list[str] = []
    pending = ""
    for part in _BRACE.split(_COMMENT.sub(" ", sheet)):
        if part == "{":
            prelude = pending.rpartition(";")[2].strip()
            if open_blocks and not open_blocks[-1].startswith("@"):
                raise RefusedError("its stylesheet has rules inside rules")
            if prelude.startswith("@") and not prelude.startswith(_AT_RULES):
                raise RefusedError("its stylesheet can't be checked")
            open_blocks.append(prelude)
        elif part == "}":
            prelude = open_blocks.pop() if open_blocks else ""
            is_frame = bool(open_blocks) and "keyframes" in open_blocks[-1]
            found += _block(prelude, pending, is_frame=is_frame)
        elif "@import" in part.lower():
            raise RefusedError("its style refers to something outside the drawing")
        pending = part if part not in ("{", "}") else ""
    if open_blocks:
        raise RefusedError("its stylesheet is not complete")
    return found


def _block(prelude: str, body: str, *, is_frame: bool) -> list[Rule]:
    look = declarations(body)
    if prelude.startswith("@"):
        return []
    if is_frame:
        if not look.is_plain:
            raise RefusedError("its animation changes more than colours and positions")
        return [Rule("*", frozenset(), 0, 1, look)] if look.sides else []
    if not _CLEAR_SELECTOR.fullmatch(prelude):
        raise RefusedError("its stylesheet can't be checked")
    if unknown := {found.lower() for found in _FUNCTION.findall(prelude)} - _SELECTOR_FUNCTIONS:
        raise RefusedError(f"its stylesheet uses :{min(unknown)}()")
    selectors = _PSEUDO.sub("*", prelude).split(",")
    return [_rule(selector, look) for selector in selectors]


def _rule(selector: str, look: Look) -> Rule:
    bare = _ATTRIBUTE.sub("*", selector).strip(SPACES)
    needs = frozenset((*_ATTRIBUTE_VALUE.findall(selector), *_NAMES.findall(bare)))
    compounds = _COMBINATOR.split(bare)
    keys = sorted(_KEYS.findall(compounds[-1]))  # "#id" and ".class" come before a tag
    return Rule(keys[0] if keys else "*", needs, bare.count(">"), len(compounds), look)
