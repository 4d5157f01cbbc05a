"""Parse markup as a browser does: its elements, its text, and whether every element is closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_VOID = {"br", "img"}


@dataclass
class Element:
    """An element and its content."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, *tags: str) -> list[Element]:
        """Find the elements with these tags, in the order of the page."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child] if child.tag in tags or not tags else []
                found += child.all(*tags)
        return found

    @property
    def rows(self) -> list[list[str]]:
        """The texts of a table's cells."""
        return [[cell.text for cell in row.all("th", "td")] for row in self.all("tr")]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        begun = self._open.pop()
        assert begun.tag == tag, f"</{tag}> ends <{begun.tag}>"

    def handle_data(self, data: str) -> None:
        # A browser drops the first line feed of a <pre>.
        if self._open[-1].tag == "pre" and not self._open[-1].children:
            data = data.removeprefix("\n")
        self._open[-1].children.append(data)

    def ended(self) -> Element:
        self.close()
        assert self._open == [self.root], f"<{self._open[-1].tag}> is not ended"
        return self.root


def _parse(markup: str) -> Element:
    builder = _Builder()
    builder.feed(markup)
    return builder.ended()


@pytest.fixture
def parse() -> Callable[[str], Element]:
    """Return a function that parses markup; an element that is not closed properly fails the test."""
    return _parse
