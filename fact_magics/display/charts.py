"""Small charts as inline SVG, with their numbers as plain text.

The colours are readable on light and on dark pages. A screen reader reads the title and the description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fact_magics.display.html import Html, Record, element, join
from fact_magics.text import inert, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"
_HEIGHT, _BAR, _GAP, _FOOT = 60, 8, 2, 14
_NARROWEST = 160
_TEXT = "font:10px sans-serif;fill:currentcolor"


class Series(NamedTuple):
    """One part of each bar: its name, its colour, and its number in each bar."""

    name: str
    colour: str
    numbers: Sequence[int]


def bar_chart(title: str, labels: Sequence[str], series: Sequence[Series]) -> Record:
    """Draw stacked bars, the first series at the bottom, with the first and the last label below.

    The plain text shows each series as blocks, with its sum.
    """
    totals = [sum(numbers) for numbers in zip(*(part.numbers for part in series), strict=True)]
    highest = max(totals, default=0) or 1
    width = max(len(labels) * (_BAR + _GAP), _NARROWEST)
    bars = []
    for column, label in enumerate(labels):
        bottom = float(_HEIGHT)
        told = ", ".join(f"{part.numbers[column]:,} {part.name}" for part in series)
        pieces: list[Html] = [element("title", f"{label}: {told}")]
        for part in series:
            height = part.numbers[column] / highest * _HEIGHT
            bottom -= height
            if height:
                place = {"x": f"{column * (_BAR + _GAP)}", "y": f"{bottom:.2f}", "width": f"{_BAR}"}
                pieces.append(element("rect", **place, height=f"{height:.2f}", fill=part.colour))
        bars.append(element("g", *pieces))
    ends = {"y": f"{_HEIGHT + _FOOT - 3}", "style": _TEXT}
    foot = [element("text", labels[0], x="0", **ends)]
    if len(labels) > 1:
        foot.append(element("text", labels[-1], x=f"{width}", **{**ends, "text-anchor": "end"}))
    sums = ", ".join(f"{sum(part.numbers):,} {part.name}" for part in series)
    span = f"{plural(len(labels), 'bar')} from {labels[0]} to {labels[-1]}"
    about = f"{span}: {sums}; at most {highest:,} in one bar."
    key = join(
        *(
            join(element("span", " ■ ", style=f"color:{part.colour}"), f"{part.name} ({sum(part.numbers):,})")
            for part in series
        )
    )
    drawing = element(
        "svg",
        element("title", title),
        element("desc", about),
        *bars,
        *foot,
        role="img",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {_HEIGHT + _FOOT}",
        width=f"{width}",
        height=f"{_HEIGHT + _FOOT}",
        style="max-width:100%",
    )
    name = max(len(part.name) for part in series)
    lines = [f"{title}, {labels[0]} to {labels[-1]}, at most {highest:,} in one bar"]
    lines += [
        f"  {part.name.ljust(name)}  {_blocks(part.numbers, highest)}  {sum(part.numbers):,}"
        for part in series
    ]
    caption = element("figcaption", join(title, key))
    markup = element("figure", caption, drawing, style="display:inline-block;margin:0.5em 1.5em 0.5em 0")
    return Record(markup, inert("\n".join(lines)))


def _blocks(numbers: Sequence[int], highest: int) -> str:
    """Draw a line of blocks; whatever is not zero is at least the lowest block."""
    steps = len(_BLOCKS) - 1
    return "".join(_BLOCKS[max(round(number / highest * steps), int(number > 0))] for number in numbers)
