"""The descriptions of parameters in a docstring of numpy, Google or reST style."""

from __future__ import annotations

import re
from itertools import takewhile

# The first line of an item: its indentation if that matters, its names, and the text after the names.
_NUMPY_ITEM = re.compile(r"^()(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?()$")
_GOOGLE_ITEM = re.compile(r"^(\s+)(\w+)\s*(?:\([^)\n]*\))?:\s*(.*)$")
_REST_ITEM = re.compile(r"^\s*():param\s+(?:[^:\s]+\s+)?(\w+):\s*(.*)$")
_RULE = re.compile(r"^-{3,}$")
_MAX_LINES = 2_000


def parameter_descriptions(docstring: str) -> dict[str, str]:
    """Find the description of each parameter in a docstring without indentation; join each to one line."""
    lines = docstring.splitlines()[:_MAX_LINES]
    rules = [index for index, line in enumerate(lines) if _RULE.match(line.strip())]
    # An item ends at a line that is not indented. In reST a blank line also ends an item, so "." replaces it.
    found = _described([line if line.strip() else "." for line in lines], _REST_ITEM)
    for index, line in enumerate(lines):
        heading = line.strip()
        if heading in ("Parameters", "Other Parameters") and index + 1 in rules:
            end = min((rule - 1 for rule in rules if rule > index + 1), default=len(lines))
            found = _described(lines[index + 2 : end], _NUMPY_ITEM)
            break
        if heading in ("Args:", "Arguments:", "Parameters:"):
            section = [*takewhile(lambda line: not line[:1].strip(), lines[index + 1 :])]
            indent = next((line[: -len(line.lstrip())] for line in section if line.strip()), "")
            found = _described(section, _GOOGLE_ITEM, indent)
            break
    folded = {name: " ".join(filter(None, text)) for name, text in found.items()}
    return {name: text for name, text in folded.items() if name and text}


def _described(lines: list[str], item: re.Pattern[str], indent: str = "") -> dict[str, list[str]]:
    """Collect the lines about each parameter."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        match = item.match(line)
        if match and match[1] == indent:
            current = [match[3]]
            for name in match[2].split(","):
                found.setdefault(name.strip().lstrip("*"), current)
        elif line[:1].strip():
            current = []
        else:
            current.append(line.strip())
    return found
