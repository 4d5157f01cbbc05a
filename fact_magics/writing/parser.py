"""Extract the modules that a model's answer holds.

The prompt asks for one fenced Python block. But an answer may have no fences, or fences that are never
opened, never closed, doubled, indented, or followed by text; fences inside docstrings; several blocks;
interpreter prompts; the model's thinking; commands of a notebook; invisible characters; or smart quotes.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from fact_magics.signature.purity import bound_names
from fact_magics.signature.source import ToolSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Problem = Literal["empty", "no-code", "no-function"]

# Text before the marks is a bullet, a token of the model, or the last line of the code that the fence closes.
_FENCE = re.compile(
    r"(?P<before>[^`]*?)(?:`{3,}|~{3,})(?P<info>[^`~]*)|[ \t]*</?(?:code|python|tool_code)>.*"
)
# Only at the start of a line, because prose and code may mention these tags.
_THINKING = re.compile(r"^[ \t]*<(think|thinking)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_CODE_LINE = re.compile(
    r"^(?:[ \t]*(?:`{3}|~{3})|import \w|from [\w.]+ import |(?:async )?def \w|class \w+[(:]|@\w|>>> "
    r"|\w+ = |\"\"\"|''')",
    re.MULTILINE,
)
_MODULE_LINE = re.compile(r"import |from |def |async def |class |@|>>> ")
# A line with a quotation mark does not match, because it may look like a comment but end a string.
_EMPTY_LINE = re.compile(r"\s*(?:#[^'\"]*)?")
_COMMAND = re.compile(r"([ \t]*)[%!]{1,2}[ \t]*\w")  # of a notebook
_TOKEN = re.compile(r"<\|[^|<>\n]{1,40}\|>|</s>|<end_\w+>")  # of a model
_FUTURE = re.compile(r"^from __future__ import [\w, ]+\n", re.MULTILINE)
# Limits of the work on one text, because a model's text may be hostile.
_MOST_FENCES = 40
_MOST_THOUGHTS = 50
_MOST_STARTS = 10
_MOST_PARSED = 2_000_000
_MOST_MENDED = 100
_MOST_MODULES = 8
_PYTHON_INFO = ("", "python", "python3", "py", "py3")
_INVISIBLE = {
    **dict.fromkeys([0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]),
    **dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " "),
}
_SMART = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})
_DEFINITIONS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
    ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extracted:
    """The modules that were found in a model's text, the likeliest one first.

    Without a `problem` there is at least one. If none parses and defines the function, the only module is
    one that does not parse. The problems: ``empty`` (there is no text), ``no-code`` (there is only prose),
    ``no-function`` (there is code, which is given, but it has no function with the requested name).
    """

    sources: tuple[ToolSource, ...]
    problem: Problem | None = None


class _Span(NamedTuple):
    """The lines from `start` up to `end`, and the part of the next line that still belongs to them."""

    start: int
    end: int
    rest: str = ""


def extract(text: str, name: str) -> Extracted:
    """Find the modules in a model's answer that define `name`."""
    cleaned = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\x00", "")
    cleaned = _without_thinking(cleaned)
    if not cleaned.strip():
        return Extracted((), "empty")
    answer = _Answer(cleaned.split("\n"), name)
    modules = answer.modules()
    return Extracted(modules) if modules else answer.nearest()


def _without_thinking(text: str) -> str:
    """Remove the model's thinking before the code; a later tag belongs to the code."""
    for _ in range(_MOST_THOUGHTS):
        thought = _THINKING.search(text)
        if thought is None or _CODE_LINE.search(text, 0, thought.start()):
            break
        text = text[: thought.start()] + text[thought.end() :]
    return text


class _Answer:
    """The lines of an answer, and the fences among them."""

    def __init__(self, lines: Sequence[str], name: str) -> None:
        self._lines = lines
        self._name = name
        self._left = _MOST_PARSED  # characters that may still be searched and parsed
        self._read: dict[_Span, ToolSource] = {}
        found = [(at, match) for at, line in enumerate(lines) if (match := _FENCE.fullmatch(line))]
        self._fences = dict(found[-_MOST_FENCES:])

    def modules(self) -> tuple[ToolSource, ...]:
        """Return the modules that parse and define the function."""
        found = self._blocks()
        for span in self._gaps:
            if not any(one.start < span.end and span.start < one.end for one in found):
                found |= self._run(span)
        helpers = [self._repaired(span) for span in self._gaps if self._is_python(span)]
        modules = [_with_helpers(source, helpers) for source in found.values()]
        distinct = {module.text: module for module in modules}
        return tuple(islice(distinct.values(), _MOST_MODULES))

    @cached_property
    def _gaps(self) -> list[_Span]:
        """The lines before, between and after the fences."""
        edges = [-1, *self._fences, len(self._lines)]
        return [_Span(start + 1, end) for start, end in pairwise(edges)]

    @cached_property
    def _before(self) -> dict[int, str]:
        """The text before the marks of each fence that does not stand alone, by line."""
        texts = {at: fence["before"] or "" for at, fence in self._fences.items()}
        return {at: text for at, text in texts.items() if text.strip()}

    def _blocks(self) -> dict[_Span, ToolSource]:
        """Find the blocks that begin behind a fence, the last one first: it may correct an earlier one.

        A fence in a docstring does not end a block, because the text before it does not parse.
        """
        found: dict[_Span, ToolSource] = {}
        for gap in reversed(self._gaps):
            for span in self._spans(gap):
                if not self._names_tool(span):
                    continue
                source = self._repaired(span) if span.end == gap.end else self._source(span)
                if source.defines_tool:
                    found = {one: module for one, module in found.items() if one.start > span.end}
                    found[span] = source
                    break
        return found

    def _spans(self, gap: _Span) -> Iterator[_Span]:
        """Yield each span that may be a block, if the block begins where the gap begins.

        They end at a fence, or with the text before its marks. Beyond the first fence they go on only if that
        fence may be inside a string.
        """
        text = self._text(gap)
        before = self._before
        # A fence may be in a string over several lines, or in a string or a comment behind code.
        may_go_on = '"""' in text or "'''" in text or gap.end in before
        ends = [
            end
            for end in (*self._fences, len(self._lines))
            if end == gap.end or (end > gap.end and may_go_on)
        ]
        yield from (_Span(gap.start, end) for end in ends if end not in before)
        for end in filter(before.__contains__, ends):
            yield _Span(gap.start, end, before[end])
            yield _Span(gap.start, end)

    def _run(self, span: _Span) -> dict[_Span, ToolSource]:
        """Find the longest run of lines amid prose that parses and defines the function."""
        starts = [at for at in range(span.start, span.end) if _MODULE_LINE.match(self._lines[at])]
        for start in starts[:_MOST_STARTS]:
            end = span.end
            while end > start:
                run = _Span(start, end)
                if not self._names_tool(run):
                    break
                source = self._source(run)
                if source.defines_tool:
                    after = next(filter(str.strip, self._lines[end : span.end]), "")
                    # An indented line belongs to the function, which would lose its end.
                    return {} if after[:1].isspace() else {run: source}
                # Text that includes the line of the error can't parse.
                failed = source.parsed.lineno if isinstance(source.parsed, SyntaxError) else 0
                end = min(end - 1, start + (failed or 0) - 1)
                # Removing only blank lines or comments would not help either.
                while end > start and _EMPTY_LINE.fullmatch(self._lines[end - 1]):
                    end -= 1
        return {}

    def nearest(self) -> Extracted:
        """Return code that does not parse, whose error the checks report, or the code of another function."""
        blocks = [self._repaired(span) for span in self._gaps if self._is_python(span)]
        if not blocks:
            starts = (at for at, line in enumerate(self._lines) if _MODULE_LINE.match(line))
            blocks = [self._repaired(_Span(at, len(self._lines))) for at in islice(starts, 1)]
        if not blocks:
            return Extracted((), "no-code")
        names = re.compile(rf"\bdef\s+{re.escape(self._name)}\b")
        naming = [block for block in blocks if names.search(block.text)]
        longest = max(naming or blocks, key=lambda block: len(block.text))
        return Extracted((longest,), None if naming else "no-function")

    def _is_python(self, span: _Span) -> bool:
        """Tell whether a span with text in it begins behind a fence for Python."""
        fence = self._fences.get(span.start - 1)
        if fence is None or not self._text(span).strip():
            return False
        return (fence["info"] or "").strip().split(" ")[0].strip("{}.").lower() in _PYTHON_INFO

    def _names_tool(self, span: _Span) -> bool:
        text = self._text(span)
        self._left -= len(text)
        return self._left > 0 and f"def {self._name}" in text

    def _text(self, span: _Span) -> str:
        return "\n".join([*self._lines[span.start : span.end], span.rest]) + "\n" * bool(span.rest)

    def _source(self, span: _Span) -> ToolSource:
        return ToolSource(self._text(span), self._name)

    def _repaired(self, span: _Span) -> ToolSource:
        """Return a source; what models add to code is removed if the source parses only without it."""
        if span not in self._read:
            self._read[span] = self._repair(self._source(span))
        return self._read[span]

    def _repair(self, source: ToolSource) -> ToolSource:
        repaired = source
        for repair in (_dedented, self._mended, _without_prompts, _without_tokens, _with_plain_quotes):
            if repaired.tree is not None:
                return repaired
            if self._left < 0:
                break
            repaired = ToolSource(repair(repaired.text), self._name)
            self._left -= len(repaired.text)
        return source if repaired.tree is None else repaired

    def _mended(self, text: str) -> str:
        """Replace invisible characters, and remove a notebook's commands, in lines that do not parse."""
        lines = text.split("\n")
        for _ in range(_MOST_MENDED):
            self._left -= len(text)
            fault = ToolSource("\n".join(lines), self._name).parsed
            if not isinstance(fault, SyntaxError) or not fault.lineno or self._left < 0:
                break
            at = min(fault.lineno, len(lines)) - 1
            line = lines[at]
            command = _COMMAND.match(line)
            mended = f"{command[1]}pass" if command else line.translate(_INVISIBLE)
            if mended == line:
                break
            lines[at] = mended
        return "\n".join(lines)


def _without_prompts(text: str) -> str:
    lines = text.split("\n")
    if not any(line.startswith(">>> ") for line in lines):
        return text
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ", "...")))


def _dedented(text: str) -> str:
    first = next((line for line in text.split("\n") if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(indent) for line in text.split("\n"))


def _without_tokens(text: str) -> str:
    return _TOKEN.sub("", text)


def _with_plain_quotes(text: str) -> str:
    return text.translate(_SMART)


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
    if not needed:
        return source
    joined = "\n\n".join([*needed, source.text])
    # Python wants these imports before all others.
    futures = dict.fromkeys(_FUTURE.findall(joined))
    return ToolSource("".join(futures) + _FUTURE.sub("", joined), source.name)


def _bound(source: ToolSource) -> set[str]:
    return {name for node in source.nodes for name in bound_names(node)}
