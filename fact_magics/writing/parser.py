"""Extract a module's source from a model's answer.

The prompt asks for one fenced Python block. But an answer may have no fences; fences of tildes; longer or
indented fences; fences inside docstrings; several blocks; interpreter prompts; the model's thinking; a byte
order mark; or smart quotes.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fact_magics.signature.purity import bound_names
from fact_magics.signature.source import ToolSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Problem = Literal["empty", "no-code", "cut", "no-function"]

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$")
# Only at the start of a line, because prose and code may mention these tags.
_THINKING = re.compile(r"^[ \t]*<(think|thinking)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_CODE_LINE = re.compile(
    r"^(?:[ \t]*(?:`{3}|~{3})|import \w|from [\w.]+ import |(?:async )?def \w|class \w+[(:]|@\w|>>> "
    r"|\w+ = |\"\"\"|''')",
    re.MULTILINE,
)
# A line with a quotation mark does not match, because it may look like a comment but end a string.
_EMPTY_LINE = re.compile(r"\s*(?:#[^'\"]*)?")
# Limits of the work on one text, because a model's text may be hostile.
_MOST_BLOCKS = 50
_MOST_FENCES = 40
_MOST_THOUGHTS = 50
_MOST_STARTS = 10
_MOST_PARSED = 2_000_000
_PYTHON_INFO = ("", "python", "python3", "py", "py3")
_SMART = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u00a0": " "})
_DEFINITIONS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
    ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extracted:
    """The module that was found in a model's text; with a `problem`, the module may be partial or empty.

    The problems: ``empty`` (there is no text), ``no-code`` (there is only prose), ``cut`` (a fence or the
    code is not closed), ``no-function`` (the code has no function with the requested name).
    """

    source: ToolSource
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    info: str
    source: ToolSource
    closed: bool


def extract(text: str, name: str) -> Extracted:
    """Find the module that defines `name` in a model's answer."""
    cleaned = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\x00", "")
    cleaned = _without_thinking(cleaned)
    if not cleaned.strip():
        return Extracted(ToolSource("", name), "empty")
    blocks = list(_blocks(cleaned, name))
    candidates = [block for block in blocks if block.info in _PYTHON_INFO]
    if not blocks:
        return _unfenced(cleaned, name)
    if not candidates:
        return Extracted(ToolSource("", name), "no-code" if blocks[-1].closed else "cut")
    for block in reversed(candidates):
        source = _repaired(block.source)
        if source.defines_tool:
            helpers = [_repaired(other.source) for other in candidates if other is not block]
            return Extracted(_with_helpers(source, helpers), None if block.closed else "cut")
    if not candidates[-1].closed:
        return Extracted(candidates[-1].source, "cut")
    # If a block defines the function but does not parse, the checks report the error later.
    named = any(_names_function(block.source.text, name) for block in candidates)
    longest = max(candidates, key=lambda block: len(block.source.text))
    return Extracted(_repaired(longest.source), None if named else "no-function")


def _names_function(text: str, name: str) -> bool:
    return re.search(rf"\bdef\s+{re.escape(name)}\b", text) is not None


def _without_thinking(text: str) -> str:
    """Remove the model's thinking before the code; a later tag belongs to the code."""
    for _ in range(_MOST_THOUGHTS):
        thought = _THINKING.search(text)
        if thought is None or _CODE_LINE.search(text, 0, thought.start()):
            break
        text = text[: thought.start()] + text[thought.end() :]
    return text


def _blocks(text: str, name: str) -> Iterator[_Block]:
    lines = text.split("\n")
    fences = [(index, match) for index, line in enumerate(lines) if (match := _FENCE.match(line))]
    end = -1
    found = 0
    for position, (start, opening) in enumerate(fences):
        if start <= end:
            continue
        if found == _MOST_BLOCKS:
            return
        found += 1
        marks, indent = opening["marks"], opening["indent"]
        ends = [
            index
            for index, match in fences[position + 1 :][:_MOST_FENCES]
            if match["marks"].startswith(marks) and not match["info"].strip()
        ]
        end, source = _closing(lines, start + 1, ends, indent, name)
        info = opening["info"].strip().split(" ")[0].strip("{}.").lower()
        yield _Block(info, source, closed=bool(ends))


def _closing(
    lines: list[str], start: int, ends: Sequence[int], indent: str, name: str
) -> tuple[int, ToolSource]:
    """Find the end of a block: the first closing fence that is not inside a string literal."""

    def up_to(end: int) -> ToolSource:
        return ToolSource("\n".join(line.removeprefix(indent) for line in lines[start:end]) + "\n", name)

    for end in ends:
        source = up_to(end)
        if source.tree is not None:
            return end, source
    end = ends[0] if ends else len(lines)
    return end, up_to(end)


def _unfenced(text: str, name: str) -> Extracted:
    """Read text without fences: find the longest run of lines that parses and defines the function."""
    whole = _repaired(ToolSource(text, name))
    if whole.defines_tool:
        return Extracted(whole)
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if re.match(r"import |from |def |async def |class |@", line)]
    left = _MOST_PARSED
    for start in starts[:_MOST_STARTS]:
        end = len(lines)
        while end > start:
            source = ToolSource("\n".join(lines[start:end]) + "\n", name)
            left -= len(source.text)
            if left < 0 or f"def {name}" not in source.text:
                break
            if source.defines_tool:
                return Extracted(source)
            # Text that includes the line of the error can't parse.
            failed = source.parsed.lineno if isinstance(source.parsed, SyntaxError) else 0
            end = min(end - 1, start + (failed or 0) - 1)
            # Removing only blank lines or comments would not help either.
            while end > start and _EMPTY_LINE.fullmatch(lines[end - 1]):
                end -= 1
    if starts and _names_function(text, name):
        return Extracted(ToolSource("\n".join(lines[starts[0] :]) + "\n", name), "cut")
    return Extracted(ToolSource("", name), "no-function" if starts else "no-code")


def _repaired(source: ToolSource) -> ToolSource:
    """Correct a source that does not parse: remove prompts and indentation, replace smart quotes."""
    if source.tree is not None:
        return source
    text = source.text
    for changed in (_without_prompts(text), text.translate(_SMART), _dedented(text)):
        if changed != text and (repaired := ToolSource(changed, source.name)).tree is not None:
            return repaired
    return source


def _without_prompts(text: str) -> str:
    lines = text.split("\n")
    if not any(line.startswith(">>> ") for line in lines):
        return text
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ", "...")))


def _dedented(text: str) -> str:
    first = next((line for line in text.split("\n") if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(indent) for line in text.split("\n"))


def _with_helpers(source: ToolSource, others: Sequence[ToolSource]) -> ToolSource:
    """Put helpers from other blocks before the function that uses them."""
    loaded = {
        node.id for node in source.nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    used = loaded - _bound(source)
    needed = [
        other.text
        for other in others
        if other.tree is not None
        and not other.defines_tool
        and all(isinstance(node, _DEFINITIONS) for node in other.tree.body)
        and _bound(other) & used
    ]
    return ToolSource("\n\n".join([*needed, source.text]), source.name) if needed else source


def _bound(source: ToolSource) -> set[str]:
    return {name for node in source.nodes for name in bound_names(node)}
