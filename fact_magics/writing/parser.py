"""From a model's text to a module's source, whatever wraps it.

One fenced Python block is what is asked for. What arrives may also have no fence, tildes, longer or
indented fences, several blocks, fences inside docstrings, interpreter prompts, thinking aloud, a byte
order mark or smart quotes.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Literal

Problem = Literal["empty", "no-code", "cut", "no-function"]

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$")
# At the start of a line: prose and code mention these tags too.
_THINKING = re.compile(r"^[ \t]*<(think|thinking)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_CODE_LINE = re.compile(
    r"^(?:[ \t]*(?:`{3}|~{3})|import \w|from [\w.]+ import |(?:async )?def \w|class \w+[(:]|@\w|>>> "
    r"|\w+ = |\"\"\"|''')",
    re.MULTILINE,
)
# Without quotes: a line that looks like a comment may end a string.
_EMPTY_LINE = re.compile(r"\s*(?:#[^'\"]*)?")
# A model's text is hostile: what is tried again and again is bounded.
_MOST_BLOCKS = 50
_MOST_FENCES = 40
_MOST_THOUGHTS = 50
_MOST_STARTS = 10
_MOST_PARSED = 2_000_000
_PYTHON_INFO = ("", "python", "python3", "py", "py3")
_SMART = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a model's text came to.

    Attributes
    ----------
    source : str
        The module's source, or the best that there is when `problem` is set.
    problem : str or None
        ``empty``: no text at all; ``no-code``: prose only; ``cut``: a fence or the code itself was left open;
        ``no-function``: code, but no function of the requested name.
    """

    source: str
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    info: str
    source: str
    closed: bool


def extract(text: str, name: str) -> Extracted:
    """Find the module that defines `name` in a model's whole text."""
    cleaned = _clean(text)
    if not cleaned.strip():
        return Extracted("", "empty")
    blocks = _blocks(cleaned)
    candidates = [block for block in blocks if block.info in _PYTHON_INFO]
    if not candidates:
        if blocks:
            return Extracted("", "cut" if not blocks[-1].closed else "no-code")
        return _unfenced(cleaned, name)
    for block in reversed(candidates):
        source = _mend(block.source)
        if _defines(source, name):
            helpers = [_mend(other.source) for other in candidates if other is not block]
            return Extracted(_with_helpers(source, helpers, name), None if block.closed else "cut")
    if not candidates[-1].closed:
        return Extracted(candidates[-1].source, "cut")
    return Extracted(
        _mend(max(candidates, key=lambda block: len(block.source)).source), _why(candidates, name)
    )


def _why(blocks: list[_Block], name: str) -> Problem | None:
    # A block that does not parse but names the function is shown to the checks, which say where it breaks.
    named = any(re.search(rf"\bdef\s+{re.escape(name)}\b", block.source) for block in blocks)
    return None if named else "no-function"


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\x00", "")
    return _without_thinking(text)


def _without_thinking(text: str) -> str:
    """Remove the thinking that stands before any code; from there on a tag belongs to the code."""
    for _ in range(_MOST_THOUGHTS):
        thought = _THINKING.search(text)
        if thought is None or _CODE_LINE.search(text, 0, thought.start()):
            break
        text = text[: thought.start()] + text[thought.end() :]
    return text


def _blocks(text: str) -> list[_Block]:
    lines = text.split("\n")
    fences = [(index, match) for index, line in enumerate(lines) if (match := _FENCE.match(line))]
    blocks: list[_Block] = []
    end = -1
    for position, (start, opening) in enumerate(fences):
        if start <= end:
            continue
        if len(blocks) == _MOST_BLOCKS:
            break
        end, closed = _closing(lines, start + 1, opening["marks"], fences[position + 1 :][:_MOST_FENCES])
        indent = opening["indent"]
        body = [line.removeprefix(indent) for line in lines[start + 1 : end]]
        info = opening["info"].strip().split(" ")[0].strip("{}.").lower()
        blocks.append(_Block(info, "\n".join(body) + "\n", closed))
    return blocks


def _closing(
    lines: list[str], start: int, marks: str, following: list[tuple[int, re.Match[str]]]
) -> tuple[int, bool]:
    """Find where a block ends: at the first closing fence that stands outside a string literal."""
    closing = [
        index for index, match in following if match["marks"].startswith(marks) and not match["info"].strip()
    ]
    for index in closing:
        if _parses("\n".join(lines[start:index])):
            return index, True
    return (closing[0], True) if closing else (len(lines), False)


def _unfenced(text: str, name: str) -> Extracted:
    """Read text without any fence: the longest run of lines that parses and defines the function."""
    if _defines(mended := _mend(text), name):
        return Extracted(mended)
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if re.match(r"import |from |def |async def |class |@", line)]
    left = _MOST_PARSED
    for start in starts[:_MOST_STARTS]:
        end = len(lines)
        while end > start:
            source = "\n".join(lines[start:end])
            left -= 2 * len(source)  # read twice where it does not parse
            if left < 0 or f"def {name}" not in source:
                break
            if _defines(source, name):
                return Extracted(source + "\n")
            # No run that reaches past the line of the error parses.
            end = min(end - 1, start + _error_line(source) - 1)
            # Nor does one become whole by losing blank lines and comments.
            while end > start and _EMPTY_LINE.fullmatch(lines[end - 1]):
                end -= 1
    if starts and re.search(rf"\bdef\s+{re.escape(name)}\b", text):
        return Extracted("\n".join(lines[starts[0] :]) + "\n", "cut")
    return Extracted("", "no-function" if starts else "no-code")


def _mend(source: str) -> str:
    """Undo what copying does to code, only where the code does not parse as it is."""
    if _parses(source):
        return source
    for mended in (_without_prompts(source), source.translate(_SMART), _dedented(source)):
        if _parses(mended):
            return mended
    return source


def _without_prompts(source: str) -> str:
    lines = source.split("\n")
    if not any(line.startswith(">>> ") for line in lines):
        return source
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ", "...")))


def _dedented(source: str) -> str:
    first = next((line for line in source.split("\n") if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(indent) for line in source.split("\n"))


def _with_helpers(source: str, others: list[str], name: str) -> str:
    """Put helpers that came in blocks of their own before the function that uses them."""
    used = _loaded(source) - _defined(source)
    needed = [
        other
        for other in others
        if _parses(other)
        and not _defines(other, name)
        and _only_definitions(other)
        and _defined(other) & used
    ]
    return "\n\n".join([*needed, source])


def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _error_line(source: str) -> int:
    """Tell the line that a parse stops at, counted from 1; 0 where there is none to tell."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        pass
    return 0


def _parses(source: str) -> bool:
    return _tree(source) is not None


def _defines(source: str, name: str) -> bool:
    tree = _tree(source)
    return tree is not None and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in tree.body
    )


def _only_definitions(source: str) -> bool:
    kinds = (
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Import,
        ast.ImportFrom,
        ast.Assign,
        ast.AnnAssign,
    )
    tree = _tree(source)
    return tree is not None and all(isinstance(node, kinds) for node in tree.body)


def _defined(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(source) or ast.Module([], [])):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def _loaded(source: str) -> set[str]:
    return {
        node.id
        for node in ast.walk(_tree(source) or ast.Module([], []))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
