"""What a docstring says about each parameter: numpy, Google and reST style."""

from __future__ import annotations

import re

_NUMPY_NAMES = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_GOOGLE_ITEM = re.compile(r"^(\s+)(\w+)\s*(?:\([^)\n]*\))?:\s*(.*)$")
_REST_ITEM = re.compile(r"^\s*:param\s+(?:[^:\s]+\s+)?(\w+):\s*(.*)$")
_RULE = re.compile(r"^-{3,}\s*$")
_MAX_LINES = 2_000


def parameter_descriptions(docstring: str) -> dict[str, str]:
    """Find each parameter's description, folded onto one line.

    Parameters
    ----------
    docstring : str
        Without the indentation of its function, as `ast.get_docstring` gives it.
    """
    lines = docstring.splitlines()[:_MAX_LINES]
    for index, line in enumerate(lines):
        heading = line.strip()
        if heading in ("Parameters", "Other Parameters") and index + 1 < len(lines):
            if _RULE.match(lines[index + 1].strip()):
                return _numpy(lines[index + 2 :])
        elif heading in ("Args:", "Arguments:", "Parameters:"):
            return _google(lines[index + 1 :])
    return _rest(lines)


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for index, line in enumerate(lines):
        if index + 1 < len(lines) and _RULE.match(lines[index + 1].strip()):
            break
        if line and not line[0].isspace():
            match = _NUMPY_NAMES.match(line.strip())
            current = []
            for name in (match[1] if match else "").split(","):
                found[name.strip().lstrip("*")] = current
        elif line.strip():
            current.append(line.strip())
    return {name: " ".join(text) for name, text in found.items() if name and text}


def _google(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    indent: str | None = None
    current: list[str] = []
    for line in lines:
        if line and not line[0].isspace():
            break
        match = _GOOGLE_ITEM.match(line)
        if match and indent in (None, match[1]):
            indent = match[1]
            current = found.setdefault(match[2], [])
            current.append(match[3])
        elif line.strip():
            current.append(line.strip())
    return {name: " ".join(filter(None, text)) for name, text in found.items() if any(text)}


def _rest(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        match = _REST_ITEM.match(line)
        if match:
            current = found.setdefault(match[1], [])
            current.append(match[2])
        elif current is not None and line.strip() and line[0].isspace():
            current.append(line.strip())
        else:
            current = None
    return {name: " ".join(filter(None, text)) for name, text in found.items() if any(text)}
