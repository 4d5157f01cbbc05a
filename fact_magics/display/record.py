"""The record that stays in a cell: HTML and plain text with the same content, and nothing that is alive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.display import html
from fact_magics.display.grid import Cell, Grid, facts_table
from fact_magics.display.highlight import highlighted
from fact_magics.display.html import Html, element, folded, join, preformatted, text
from fact_magics.display.result import SCROLLED, scrolled, show
from fact_magics.display.screen import Screen, draws
from fact_magics.text import ago, duration, inert, plural, shorten, shorten_middle
from fact_magics.tool import HAND, IMPORTED, SHELF, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fact_magics.events import GenerationEnded
    from fact_magics.tool import ToolMetadata, ToolOutput, ToolVersion, Verdict

_PRINTED_LIMIT = 20_000
_VERDICT_LIMIT = 300
_NOTHING_ALLOWED = "nothing: no network, no files, no environment variables"
_PARAGRAPH = "margin:0.3em 0"
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
        """The record as a MIME bundle.

        No Markdown is in it: whatever can show Markdown prefers HTML to it (nbconvert also where it writes
        Markdown), but for VS Code with a screen reader, to which the headings of real tables are of more use.
        """
        # Notebooks set what stands between dollar signs as mathematics; here it may be two prices.
        markup = f'<div class="mathjax_ignore tex2jax_ignore">{self.html}</div>'
        return {"text/html": markup, "text/plain": self.plain}


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
        what = "Source"
        state = _proof(version.metadata)
    else:
        title = ended.tool
        source = (last.source or last.text) if last else ""
        what = "Source" if last and last.source else "What was written"
        state = "interrupted" if ended.status is Status.INTERRUPTED else "not accepted"
    facts = [state, *_provenance(ended)]
    if version is not None and version.metadata.permissions:
        facts.append(f"allowed: {', '.join(version.metadata.permissions)}")
    verdicts = last.verdicts if last else ()
    rejected = [attempt for attempt in ended.attempts if attempt.failures]
    reasons = [f"Attempt {attempt.number}: {failure}" for attempt in rejected for failure in attempt.failures]
    pieces = [
        _heading(title, facts),
        _verdict_table(verdicts),
        _list("What was wrong", reasons) if reasons else Html(""),
        # What was written by hand stands in the cell, above this.
        _source(source, what, is_open=not _by_hand(ended)) if source else Html(""),
    ]
    lines = [f"{title} · {' · '.join(facts)}", *_verdict_lines(verdicts), *reasons]
    if source and (ended.reused or not streamed):
        lines += ["", source.rstrip()]
    return Record(element("div", *pieces), inert("\n".join(lines)))


def _heading(title: str, facts: Sequence[str]) -> Html:
    return element("p", element("strong", title), " · ", " · ".join(facts), style=_PARAGRAPH)


def _list(title: str, items: Iterable[str]) -> Html:
    lines = (element("li", item, style="white-space:pre-wrap") for item in items)
    return element("div", element("p", title, ":", style=_PARAGRAPH), element("ul", *lines, style=_PARAGRAPH))


def _source(source: str, what: str = "Source", *, is_open: bool = False) -> Html:
    summary = f"{what}, {plural(len(source.splitlines()), 'line')}"
    return folded(summary, _code(source), is_open=is_open)


def _code(source: str) -> Html:
    return preformatted(highlighted(source), code=True, style=SCROLLED)


def _paragraphs(prose: str) -> list[Html]:
    style = f"{_PARAGRAPH};white-space:pre-wrap"
    return [element("p", part, style=style) for part in re.split(r"\n[ \t]*\n", prose.strip("\n")) if part]


def _by_hand(ended: GenerationEnded) -> bool:
    return bool(ended.attempts) and ended.attempts[-1].provider == HAND


def _proof(metadata: ToolMetadata) -> str:
    if not metadata.proven:
        return "unproven (no examples)"
    examples = sum(line.startswith(">>> ") for line in metadata.contract.splitlines())
    return f"proven on {plural(examples, 'example')}"


def _provenance(ended: GenerationEnded) -> list[str]:
    facts = []
    if ended.reused and ended.version is not None:
        whose = f"the accepted tool of this very request ({writer(ended.version.metadata)})"
        facts.append(ended.notice or f"{whose}, no model was called")
        return [*facts, duration(ended.duration_ms)]
    if ended.notice:
        facts.append(ended.notice)
    if ended.attempts:
        last = ended.attempts[-1]
        author = "written by hand" if last.provider == HAND else last.model
        facts += [author, duration(ended.duration_ms)]
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
    """Say where a version came from: a model, the shelf, a file, or a person."""
    if metadata.provider == SHELF:
        return "from the shelf"
    if metadata.provider == IMPORTED:
        return f"imported, written by {metadata.model or 'nobody'}, it says"
    return f"written by {metadata.model}"


def _verdict_table(verdicts: Sequence[Verdict]) -> Html:
    if not verdicts:
        return Html("")
    rows: list[list[str | Cell]] = [
        [
            f"{_MARKS[verdict.holds]} {'holds' if verdict.holds else 'fails'}",
            *map(_code_cell, (verdict.example.source, verdict.expected, verdict.got)),
        ]
        for verdict in verdicts
    ]
    return Grid(("Verdict", "Example", "Expected", "Got"), rows).html()


def _code_cell(source: str) -> Cell:
    return Cell.code(shorten(source, _VERDICT_LIMIT))


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
    printed = str(output.metadata.get("printed", ""))
    pieces, lines = [], []
    if printed:
        markup, plain = printed_text(printed)
        pieces.append(folded("Printed", markup, is_open=True))
        if output.metadata.get("cached") or not streamed:
            lines.append(plain)
    if output.success:
        shown = show(output.result)
        pieces.append(shown.html)
        lines.append(shown.plain)
    elif not raised:
        error = "\n".join((str(output.metadata.get("error", "failed")), *output.metadata.get("details", ())))
        pieces.append(preformatted(error))
        lines.append(error)
    name, rest = str(output.metadata.get("tool", "")), " · ".join(facts)
    pieces.append(_foot(name, rest))
    lines.append(f"{name} · {rest}")
    return Record(f"<div>{''.join(pieces)}</div>", inert("\n".join(lines)))


def _foot(name: str, facts: str) -> Html:
    written = f"<small><strong>{text(name)}</strong> · {text(facts)}</small>"
    return Html(f'<p style="{_PARAGRAPH}">{written}</p>')


def stopped_record(title: str, printed: str, seconds: float, ended: Status = Status.INTERRUPTED) -> Record:
    """Show a run that came to no outcome: what it had printed, how it ended and when."""
    facts = f"{ended} · {duration(1000 * seconds)}"
    line = _foot(title, facts)
    markup, plain = printed_text(printed)
    lines = [plain, f"{title} · {facts}"] if plain else [f"{title} · {facts}"]
    return Record(element("div", markup if plain else Html(""), line), inert("\n".join(lines)))


def printed_text(printed: str) -> tuple[Html, str]:
    """Show printed text as a terminal would have left it, bounded; gives markup and plain text."""
    if not draws(printed):
        cut = shorten_middle(printed, _PRINTED_LIMIT)  # its end may say how much more was printed
        return preformatted(cut, style=scrolled(cut)), cut.rstrip("\n")
    screen = Screen(_PRINTED_LIMIT)
    screen.write(printed)
    lines = list(screen.lines())
    plain = "\n".join("".join(run for _, run in line) for line in lines)
    note = shorten(plain, _PRINTED_LIMIT)[_PRINTED_LIMIT:]
    coloured = html.coloured(lines, _PRINTED_LIMIT)
    shown = plain[:_PRINTED_LIMIT].rstrip("\n") + note
    return preformatted(join([coloured, note]), style=scrolled(shown)), shown


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


def tool_record(version: ToolVersion, signature: str, *, uses: str = "") -> Record:
    """Show a tool: signature, documentation, version, permissions, proof, uses, with its source folded.

    Parameters
    ----------
    signature : str
        As Python writes it.
    uses : str
        How often it ran, where that is known.
    """
    metadata = version.metadata
    title = f"{metadata.name} {metadata.version}"
    state = [_proof(metadata), writer(metadata), f"made {metadata.created_at[:10]}"]
    facts = [
        ("Allowed", ", ".join(metadata.permissions) or _NOTHING_ALLOWED),
        ("Answers", "vary, so they are not cached" if metadata.varies else ""),
        ("Tags", ", ".join(metadata.tags)),
        ("Uses", uses),
    ]
    facts = [(name, said) for name, said in facts if said]
    pieces = [
        _heading(title, state),
        _code(signature),
        *_paragraphs(metadata.description),
        facts_table(facts),
        folded("Examples", _code(metadata.contract)) if metadata.contract else Html(""),
        _source(version.source),
    ]
    lines = [signature, f"{title} · {' · '.join(state)}"]
    lines += [f"{name}: {said}" for name, said in facts]
    lines += ["", metadata.description]
    if metadata.contract:
        lines += ["", metadata.contract]
    lines += ["", version.source.rstrip()]
    return Record(element("div", *pieces), inert("\n".join(lines)))
