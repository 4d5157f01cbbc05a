"""The descriptions of parameters in a docstring of numpy, Google or reST style."""

from __future__ import annotations

import re
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMPY_NAMES = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_GOOGLE_ITEM = re.compile(r"^(\s+)(\w+)\s*(?:\([^)\n]*\))?:\s*(.*)$")
_REST_ITEM = re.compile(r"^\s*:param\s+(?:[^:\s]+\s+)?(\w+):\s*(.*)$")
_RULE = re.compile(r"^-{3,}$")
_MAX_LINES = 2_000


def parameter_descriptions(docstring: str) -> dict[str, str]:
    """Find each parameter's description, folded onto one line.

    Parameters
    ----------
    docstring : str
        Without the indentation of its function, as `ast.get_docstring` gives it.
    """
    lines = docstring.splitlines()[:_MAX_LINES]
    rules = [index for index, line in enumerate(lines) if _RULE.match(line.strip())]
    # In reST a blank line ends an item, as a line that is not indented does everywhere.
    found = _described([line if line.strip() else "." for line in lines], _rest_item)
    for index, line in enumerate(lines):
        heading = line.strip()
        if heading in ("Parameters", "Other Parameters") and index + 1 in rules:
            end = min((rule - 1 for rule in rules if rule > index + 1), default=len(lines))
            found = _described(lines[index + 2 : end], _numpy_item)
            break
        if heading in ("Args:", "Arguments:", "Parameters:"):
            section = [*takewhile(lambda line: not line[:1].strip(), lines[index + 1 :])]
            indent = next((line[: -len(line.lstrip())] for line in section if line.strip()), "")
            found = _described(section, partial(_google_item, indent))
            break
    folded = {name: " ".join(filter(None, text)) for name, text in found.items()}
    return {name: text for name, text in folded.items() if name and text}


def _described(lines: list[str], read: Callable[[str], tuple[str, str] | None]) -> dict[str, list[str]]:
    """Collect the lines about each parameter; `read` finds names and text in a line that begins an item."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        item = read(line)
        if item is not None:
            current = [item[1]]
            for name in item[0].split(","):
                found.setdefault(name.strip().lstrip("*"), current)
        elif line[:1].strip():
            current = []
        else:
            current.append(line.strip())
    return found


def _numpy_item(line: str) -> tuple[str, str] | None:
    match = _NUMPY_NAMES.match(line)
    return (match[1], "") if match else None


def _google_item(indent: str, line: str) -> tuple[str, str] | None:
    match = _GOOGLE_ITEM.match(line)
    return (match[2], match[3]) if match and match[1] == indent else None


def _rest_item(line: str) -> tuple[str, str] | None:
    match = _REST_ITEM.match(line)
    return (match[1], match[2]) if match else None
