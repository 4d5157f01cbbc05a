"""The record that stays in a cell: HTML and plain text with the same content, and nothing that is alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.display import html
from fact_magics.display.html import Html, element, folded, join, preformatted
from fact_magics.display.layout import layout
from fact_magics.text import ago, duration, inert, plural, shorten
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fact_magics.events import GenerationEnded
    from fact_magics.tool import ToolMetadata, ToolOutput, ToolVersion
    from fact_magics.writing.verdict import Verdict

T = TypeVar("T")

_RESULT_LIMIT = 10_000
_PRINTED_LIMIT = 20_000
_RESULT_ITEMS = 2_000
_SCROLLED = "max-height:24em;overflow:auto"
_MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True, slots=True)
class Record:
    """What a cell keeps.

    Attributes
    ----------
    html, plain : str
        The same content twice; hostile text is inert in both.
    """

    html: str
    plain: str

    @property
    def bundle(self) -> dict[str, str]:
        """The record as a MIME bundle."""
        return {"text/html": self.html, "text/plain": self.plain}


def generation_record(ended: GenerationEnded, *, streamed: bool = False) -> Record:
    """Show how a generation went: the code, each example with its verdict, model, time, tokens, attempts.

    Parameters
    ----------
    streamed : bool
        The code stands above already, in plain text.
    """
    last = ended.attempts[-1] if ended.attempts else None
    version = ended.version
    if version is not None:
        title, source = f"{version.metadata.name} {version.metadata.version}", version.source
        state = _proof(version.metadata)
    else:
        title = ended.tool
        source = (last.source or last.text) if last else ""
        state = "interrupted" if ended.status is Status.INTERRUPTED else "not accepted"
    facts = [state, *_provenance(ended)]
    verdicts = last.verdicts if last else ()
    rejected = [attempt for attempt in ended.attempts if attempt.failures]
    reasons = [f"Attempt {attempt.number}: {failure}" for attempt in rejected for failure in attempt.failures]
    pieces = [
        element("p", element("strong", title), " · ", " · ".join(facts)),
        _verdict_table(verdicts),
        html.table(("What was sent back to the model",), [(reason,) for reason in reasons])
        if reasons
        else Html(""),
        folded(
            f"Source, {plural(len(source.splitlines()), 'line')}",
            preformatted(source, code=True, style=_SCROLLED),
            is_open=True,
        )
        if source
        else Html(""),
    ]
    lines = [f"{title} · {' · '.join(facts)}", *_verdict_lines(verdicts), *reasons]
    if source and (ended.reused or not streamed):
        lines += ["", source.rstrip()]
    return Record(element("div", *pieces), inert("\n".join(lines)))


def _proof(metadata: ToolMetadata) -> str:
    if not metadata.proven:
        return "unproven (no examples)"
    examples = sum(line.startswith(">>> ") for line in metadata.contract.splitlines())
    return f"proven on {plural(examples, 'example')}"


def _provenance(ended: GenerationEnded) -> list[str]:
    facts = []
    if ended.reused and ended.version is not None:
        facts.append(
            f"the accepted tool of this very request ({writer(ended.version.metadata)}), no model was called"
        )
        return [*facts, duration(ended.duration_ms)]
    if ended.notice:
        facts.append(ended.notice)
    if ended.attempts:
        last = ended.attempts[-1]
        facts += [last.model, duration(ended.duration_ms)]
        known = [attempt.usage for attempt in ended.attempts if attempt.usage.output_tokens is not None]
        if known:
            read = sum(
                (usage.input_tokens or 0)
                + (usage.cache_read_tokens or 0)
                + (usage.cache_creation_tokens or 0)
                for usage in known
            )
            written = sum(usage.output_tokens or 0 for usage in known)
            facts.append(f"{read:,} tokens in, {written:,} out")
        facts.append(plural(len(ended.attempts), "attempt"))
    return facts


def writer(metadata: ToolMetadata) -> str:
    """Say where a version came from: a model, the shelf, or a person."""
    if metadata.provider == "shelf":
        return "from the shelf"
    return f"written by {metadata.model}"


def _verdict_table(verdicts: Sequence[Verdict]) -> Html:
    if not verdicts:
        return Html("")
    rows = [
        (_MARKS[verdict.holds], element("code", verdict.example.source), *_outcome(verdict))
        for verdict in verdicts
    ]
    return html.table(("", "Example", "Expected", "Got"), rows)


def _outcome(verdict: Verdict) -> tuple[Html, Html]:
    return element("code", shorten(verdict.expected, 300)), element("code", shorten(verdict.got, 300))


def _verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    lines = []
    for verdict in verdicts:
        outcome = verdict.got if verdict.holds else f"{verdict.got}, expected {verdict.expected}"
        lines.append(f"{_MARKS[verdict.holds]} {verdict.example.source} → {shorten(outcome, 600)}")
    return lines


def run_record(output: ToolOutput, *, streamed: bool = False, raised: bool = False) -> Record:
    """Show a run: result, printed text, time, cached or not, isolation in force.

    Parameters
    ----------
    streamed : bool
        What the tool printed stands above already, in plain text.
    raised : bool
        The error itself is shown by who raises it.
    """
    facts = run_facts(output)
    printed = shorten(str(output.metadata.get("printed", "")), _PRINTED_LIMIT)
    pieces, lines = [], []
    if printed:
        pieces.append(folded("Printed", preformatted(printed), is_open=True))
        if output.metadata.get("cached") or not streamed:
            lines.append(printed.rstrip("\n"))
    if output.success:
        shown = result_text(output.result)
        pieces.append(preformatted(shown))
        lines.append(shown)
    elif not raised:
        error = "\n".join((str(output.metadata.get("error", "failed")), *output.metadata.get("details", ())))
        pieces.append(preformatted(error))
        lines.append(error)
    pieces.append(element("p", element("small", *facts_line(output, facts))))
    lines.append(f"{output.metadata.get('tool', '')} · {' · '.join(facts)}")
    return Record(element("div", *pieces), inert("\n".join(lines)))


def facts_line(output: ToolOutput, facts: Sequence[str]) -> list[Html]:
    """Build the line under a result."""
    return [element("strong", str(output.metadata.get("tool", ""))), join([" · ", " · ".join(facts)])]


def run_facts(output: ToolOutput) -> list[str]:
    """Say of a run what is not its result."""
    known = output.metadata
    facts = [str(known.get("version", ""))]
    if not output.success:
        facts.append(str(known.get("status", "error")))
    if known.get("cached"):
        facts += ["cached", ago(float(known.get("age_seconds", 0.0)))]
        facts.append(f"saved {duration(float(known.get('saved_ms', 0.0)))}")
    else:
        if known.get("status") == Status.INVALID:
            return [fact for fact in facts if fact]
        facts.append(duration(output.execution_time_ms))
        layers = known.get("isolation") or ("none",)
        facts.append(f"isolation: {', '.join(layers)}")
    if known.get("unproven"):
        facts.append("unproven tool")
    if known.get("warning"):
        facts.append(str(known["warning"]))
    if known.get("permissions"):
        facts.append(f"allowed: {', '.join(known['permissions'])}")
    return [fact for fact in facts if fact]


def result_text(value: Any) -> str:
    """Show a result as a notebook would, bounded; what is left out costs nothing to show."""
    head = _Head(_RESULT_ITEMS)
    copied = head.of(value)
    try:
        shown = layout(copied)
    except (RecursionError, ValueError) as error:
        return f"a {type(value).__name__} that can't be shown: {error}"
    text = shorten(shown, _RESULT_LIMIT)
    return f"{text}\n… the beginning of {plural(len(value), 'item')}" if head.cut else text


class _Head:
    """Copies the beginning of a value: so many leaves at most, whatever its size."""

    def __init__(self, leaves: int) -> None:
        self._left = leaves
        self.cut = False

    def of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in self._first(value.items())}
        if isinstance(value, list | tuple | set | frozenset):
            kept = [self.of(item) for item in self._first(value)]
            return kept if isinstance(value, list) else type(value)(kept)
        self._left -= 1
        return value

    def _first(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if self._left <= 0:
                self.cut = True
                return
            yield item


def tool_record(version: ToolVersion, signature: str) -> Record:
    """Show a tool: signature, documentation, version, permissions, proof, with its source folded."""
    metadata = version.metadata
    facts = [_proof(metadata), writer(metadata), f"made {metadata.created_at[:10]}"]
    if metadata.permissions:
        facts.append(f"allowed: {', '.join(metadata.permissions)}")
    if metadata.varies:
        facts.append("answers vary, so they are not cached")
    pieces = [
        element("p", element("strong", f"{metadata.name} {metadata.version}"), " · ", " · ".join(facts)),
        preformatted(signature, code=True),
        element("p", metadata.description),
        folded("Examples", preformatted(metadata.contract, code=True)) if metadata.contract else Html(""),
        folded("Source", preformatted(version.source, code=True)),
    ]
    lines = [signature, f"{metadata.name} {metadata.version} · {' · '.join(facts)}", "", metadata.description]
    if metadata.contract:
        lines += ["", metadata.contract]
    lines += ["", version.source.rstrip()]
    return Record(element("div", *pieces), inert("\n".join(lines)))
