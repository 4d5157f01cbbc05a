"""The descriptions of parameters in a docstring of numpy, Google or reST style."""

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
    found = _rest(lines)
    for index, line in enumerate(lines):
        heading = line.strip()
        if heading in ("Parameters", "Other Parameters") and _is_rule(lines, index + 1):
            found = _numpy(lines[index + 2 :])
            break
        if heading in ("Args:", "Arguments:", "Parameters:"):
            found = _google(lines[index + 1 :])
            break
    folded = {name: " ".join(filter(None, text)) for name, text in found.items() if name}
    return {name: text for name, text in folded.items() if text}


def _is_rule(lines: list[str], index: int) -> bool:
    return index < len(lines) and _RULE.match(lines[index].strip()) is not None


def _numpy(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for index, line in enumerate(lines):
        if _is_rule(lines, index + 1):
            break
        if line and not line[0].isspace():
            match = _NUMPY_NAMES.match(line.strip())
            current = []
            for name in (match[1] if match else "").split(","):
                found[name.strip().lstrip("*")] = current
        else:
            current.append(line.strip())
    return found


def _google(lines: list[str]) -> dict[str, list[str]]:
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
        else:
            current.append(line.strip())
    return found


def _rest(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        match = _REST_ITEM.match(line)
        if match:
            current = found.setdefault(match[1], [])
            current.append(match[2])
        elif line.strip() and line[0].isspace():
            current.append(line.strip())
        else:
            current = []
    return found
