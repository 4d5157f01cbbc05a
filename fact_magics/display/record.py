"""The records of generations, runs and tools, which stay in the notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fact_magics.attempt import Verdict
from fact_magics.display import html
from fact_magics.display.cells import Cell, code, price, saving, writer
from fact_magics.display.html import Html, Record, element, folded, highlighted, join, preformatted, text
from fact_magics.display.result import SCROLLED, scrolled, show
from fact_magics.display.screen import Screen, draws
from fact_magics.display.table import Table, facts_table
from fact_magics.text import ago, duration, inert, one_line, plural, shorten, shorten_middle, usd
from fact_magics.tool import HAND, IMPORTED, SHELF, Returned, Status
from fact_magics.values import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.attempt import Attempt
    from fact_magics.events import GenerationEnded
    from fact_magics.tool import Example, ToolMetadata, ToolOutput, ToolVersion

_PRINTED_LIMIT = 20_000
_VERDICT_LIMIT = 300
_NOTHING_ALLOWED = "nothing: no network, no files, no environment variables"
_PARAGRAPH = "margin:0.3em 0"
_OPEN_LINES = 25  # longer sources are folded
# The layer without which a run is not isolated: it restricts files.
_WALL = "landlock"


def generation_record(ended: GenerationEnded, *, streamed: bool = False) -> Record:
    """Show a generation: code, verdicts on the examples, model, time, tokens and attempts.

    If the code was `streamed` to a terminal, the plain text omits it.
    """
    version = ended.version
    last = _shown_attempt(ended)
    summary = "Source" if version is not None or (last and last.source) else "Text from the model"
    if version is not None:
        title, source = f"{version.metadata.name} {version.metadata.version}", version.source
        metadata = version.metadata
        lifetime = f"answers {_lifetime(metadata)}" if metadata.ttl_seconds else ""
        facts = [_proof(metadata), *_provenance(ended), _allowed(metadata.permissions), lifetime]
    else:
        title, source = ended.tool, (last.source or last.text) if last else ""
        state = "interrupted" if ended.status is Status.INTERRUPTED else "not accepted"
        if last and last.status is Status.OK and ended.status is Status.ERROR:
            state = "accepted, but not stored"
        facts = [state, *_provenance(ended)]
    parts = [_heading(title, facts), *map(_line, ended.changes)]
    verdicts = last.verdicts if last else [_held(example) for example in ended.examples if ended.reused]
    if verdicts:
        parts.append(_verdicts(verdicts))
    accepted = [attempt for attempt in ended.attempts if attempt.status is Status.OK]
    if version is not None:
        accepted.sort(key=lambda attempt: attempt is not last)
    if len(accepted) > 1 or (accepted and accepted[0] is not last):
        parts.append(_candidates(accepted, is_stored=version is not None))
    failed = [attempt for attempt in ended.attempts if attempt.failures]
    if failed:
        parts.append(_reasons(failed, len(ended.attempts), is_open=version is None))
    beside = [attempt for attempt in ended.attempts if attempt.text and not attempt.is_repair]
    if version is None and len(beside) > 1:
        parts += [
            Record(_source(attempt.source or attempt.text, f"Candidate {attempt.number}"), "")
            for attempt in beside
            if attempt is not last
        ]
    if source:
        # The cell above already shows source that was written by hand.
        is_open = not (last and last.provider == HAND)
        plain = "" if streamed and not ended.reused else f"\n{source.rstrip()}"
        parts.append(Record(_source(source, summary, is_open=is_open), plain))
    return stacked(parts)


def _shown_attempt(ended: GenerationEnded) -> Attempt | None:
    """Return the attempt that became the version, or else the last one in which something was written."""
    version = ended.version
    if version is not None:
        for attempt in ended.attempts:
            if attempt.status is Status.OK and attempt.source == version.source:
                return attempt
    written = [attempt for attempt in ended.attempts if attempt.source or attempt.text]
    return next(reversed(written or ended.attempts), None)


def _candidates(accepted: Sequence[Attempt], *, is_stored: bool) -> Record:
    """Show the candidates that were accepted, each source once.

    If a version was stored, the first candidate became it. Otherwise, their texts are shown below.
    """
    same: dict[str, list[Attempt]] = {}
    for attempt in accepted:
        same.setdefault(attempt.source, []).append(attempt)
    rows: list[tuple[str | Cell, ...]] = []
    markup, lines = [], []
    for place, (source, attempts) in enumerate(same.items()):
        first, are_several = attempts[0], len(attempts) > 1
        numbers = ", ".join(str(attempt.number) for attempt in attempts)
        named = f"candidate{'s' if are_several else ''} {numbers}"
        what = f"{'were' if are_several else 'was'} accepted{' too' if is_stored else ', but not stored'}"
        if is_stored and place == 0:
            what = "have the version's source" if are_several else "became the version"
        elif is_stored and first.group is not None:
            verb = "give" if are_several else "gives"
            what = f"{verb} other answers" if first.group > 1 else f"{verb} the same answers"
        took = ", ".join(duration(attempt.duration_ms) for attempt in attempts)
        rows.append((numbers, what, code(first.parting_call), took, price(attempts)))
        called = f", as to {first.parting_call}" if is_stored and first.parting_call else ""
        lines.append(f"{named} {what}{called}")
        if place and is_stored:
            markup.append(_source(source, named.capitalize()))
    head = ("Candidate", "Result", "Another answer to", "Took", "Cost")
    table = Table("", head, rows, optional=("Another answer to", "Cost"), numbers=("Took", "Cost"))
    count = plural(len(accepted), "accepted candidate")
    return Record(folded(count, join(table.html(), *markup)), "\n".join(lines))


def stacked(parts: Sequence[Record]) -> Record:
    """Put records below each other; those without plain text only appear in the HTML."""
    plain = "\n".join(part.plain for part in parts if part.plain)
    media = {kind: data for part in parts for kind, data in part.media.items()}
    return Record(f"<div>{''.join(part.html for part in parts)}</div>", inert(plain), media)


def _heading(title: str, facts: Sequence[str | Cell], *, small: bool = False) -> Record:
    shown = [fact if isinstance(fact, Cell) else Cell(fact, text(fact)) for fact in facts if fact]
    markup = " · ".join((element("strong", title), *(fact.html for fact in shown)))
    markup = f"<small>{markup}</small>" if small else markup
    return Record(
        f'<p style="{_PARAGRAPH}">{markup}</p>', " · ".join((title, *(fact.plain for fact in shown)))
    )


def _line(shown: str) -> Record:
    return Record(element("p", shown, style=_PARAGRAPH), shown)


def _source(source: str, summary: str = "Source", *, is_open: bool = False) -> Html:
    lines = len(source.splitlines())
    is_open = is_open and lines <= _OPEN_LINES
    return folded(f"{summary}, {plural(lines, 'line')}", _code(source), is_open=is_open)


def _code(source: str) -> Html:
    return preformatted(highlighted(source), code=True, style=SCROLLED)


def _proof(metadata: ToolMetadata) -> str:
    return metadata.proof if metadata.proven else "unproven (no examples)"


def _lifetime(metadata: ToolMetadata) -> str:
    if metadata.ttl_seconds:
        return f"are good for {duration(metadata.ttl_seconds * 1_000)}"
    return "vary, so they are not cached" if metadata.varies else ""


def _allowed(permissions: Sequence[str]) -> str:
    return f"allowed: {', '.join(permissions)}" if permissions else ""


def _provenance(ended: GenerationEnded) -> list[str]:
    took = duration(ended.duration_ms)
    if ended.reused and ended.version is not None:
        reused = f"already accepted for this request ({_writer(ended.version.metadata)}), no model was called"
        return [ended.notice or reused, took]
    facts = [ended.notice]
    if ended.attempts:
        last = ended.attempts[-1]
        who = writer(last.provider, last.model)
        facts += [f"written by {who}" if last.provider == HAND else who, took]
        known = [attempt.usage for attempt in ended.attempts if attempt.usage.output_tokens is not None]
        if known:
            read = sum(
                (used.input_tokens or 0) + (used.cache_read_tokens or 0) + (used.cache_creation_tokens or 0)
                for used in known
            )
            written = sum(used.output_tokens or 0 for used in known)
            facts.append(f"{read:,} tokens in, {written:,} out")
            if from_cache := sum(used.cache_read_tokens or 0 for used in known):
                facts.append(f"{from_cache:,} tokens from the prompt cache")
        facts += [price(ended.attempts), saving(ended.attempts)]
        facts.append(plural(len(ended.attempts), "attempt"))
        facts += dict.fromkeys(attempt.notice for attempt in ended.attempts if attempt.notice)
    return facts


def _writer(metadata: ToolMetadata) -> str:
    if metadata.provider == SHELF:
        return "from the shelf"
    if metadata.provider == IMPORTED:
        return f"imported, author according to its file: {metadata.model or 'unknown'}"
    return f"written by {writer(metadata.provider, metadata.model)}"


def _held(example: Example) -> Verdict:
    """Build the verdict on an example of a version that is reused, whose examples held when it was proven."""
    expected = example.expected
    if isinstance(expected, Returned):
        shown = brief(expected.value, _VERDICT_LIMIT)
    else:
        shown = one_line(expected.text, _VERDICT_LIMIT)
    return Verdict(True, shown, shown, example)


def _verdicts(verdicts: Sequence[Verdict]) -> Record:
    rows: list[list[str | Cell]] = []
    lines = []
    for verdict in verdicts:
        mark, call = "✓" if verdict.holds else "✗", verdict.example.source
        codes = (code(shorten(part, _VERDICT_LIMIT)) for part in (call, verdict.expected, verdict.got))
        rows.append([f"{mark} {'holds' if verdict.holds else 'fails'}", *codes])
        outcome = verdict.got if verdict.holds else f"expected {verdict.expected}, got {verdict.got}"
        lines.append(f"{mark} {call} → {shorten(outcome, 2 * _VERDICT_LIMIT)}")
    return Record(Table("", ("Verdict", "Example", "Expected", "Got"), rows).html(), "\n".join(lines))


def _reasons(failed: Sequence[Attempt], attempts: int, *, is_open: bool) -> Record:
    same: dict[str, list[int]] = {}
    for attempt in failed:
        for why in attempt.failures:
            same.setdefault(why, []).append(attempt.number)
    reasons = [
        f"Attempt{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}: {why}"
        for why, numbers in same.items()
    ]
    items = (element("li", why, style="white-space:pre-wrap") for why in reasons)
    markup = element("ul", *items, style=_PARAGRAPH)
    if is_open:
        markup = element("div", element("p", "What was wrong:", style=_PARAGRAPH), markup)
    else:
        was = "was" if len(failed) == 1 else "were"
        before = " before" if failed[-1].number == len(failed) == attempts - 1 else ""
        markup = folded(
            f"What was wrong{before}: {plural(len(failed), 'attempt')} {was} not accepted", markup
        )
    return Record(markup, "\n".join(reasons))


def run_record(output: ToolOutput, *, streamed: bool = False, raised: bool = False) -> Record:
    """Show a run: printed text, result, time, cached or not, and whether it was isolated.

    The record omits printed text that was `streamed` into the cell, and an error that is `raised`.
    """
    known = output.metadata
    parts = []
    if not streamed and (printed := str(known.get("printed", ""))):
        shown = printed_text(printed)
        parts.append(Record(folded("Printed", Html(shown.html), is_open=True), shown.plain))
    if output.success:
        parts.append(show(output.result))
    elif not raised:
        error = "\n".join((str(known.get("error", "failed")), *known.get("details", ())))
        parts.append(Record(preformatted(error), error))
    return stacked([*parts, _heading(str(known.get("tool", "")), _run_facts(output), small=True)])


def _run_facts(output: ToolOutput) -> list[str | Cell]:
    known = output.metadata
    facts: list[str | Cell] = [
        str(known.get("version", "")),
        "" if output.success else str(known.get("status", "error")),
    ]
    if known.get("cached"):
        saved = duration(float(known.get("saved_ms", 0.0)))
        facts += ["cached", ago(float(known.get("age_seconds", 0.0))), f"saved {saved}"]
    elif known.get("status") == Status.INVALID:
        return facts
    else:
        facts += [duration(output.execution_time_ms), _isolation(known.get("isolation") or ("none",))]
    unproven = "unproven tool" if known.get("unproven") else ""
    return [*facts, unproven, str(known.get("warning") or ""), _allowed(known.get("permissions") or ())]


def _isolation(layers: Sequence[str]) -> str | Cell:
    """Name the layers of isolation; if files are restricted, only when the pointer is over the word."""
    named = ", ".join(layers)
    if _WALL not in layers:
        return f"isolation: {named}"
    style = "text-decoration:underline dotted"
    return Cell("isolated", element("span", "isolated", title=f"Layers of isolation: {named}", style=style))


def stopped_record(title: str, printed: str, seconds: float, ended: Status = Status.INTERRUPTED) -> Record:
    """Show a run without a result: its printed text, its status and its time in seconds."""
    foot = _heading(title, (ended, duration(1000 * seconds)), small=True)
    shown = printed_text(printed)
    return stacked([shown, foot] if shown.plain else [foot])


def printed_text(printed: str) -> Record:
    """Show printed text as a terminal would, up to a limit."""
    if not draws(printed):
        cut = shorten_middle(printed, _PRINTED_LIMIT)  # the end may be a note that more was printed
        return Record(preformatted(cut, style=scrolled(cut)), cut.rstrip("\n"))
    screen = Screen(_PRINTED_LIMIT)
    screen.write(printed)
    lines = list(screen.lines())
    plain = "\n".join("".join(run for _, run in line) for line in lines)
    note = shorten(plain, _PRINTED_LIMIT)[_PRINTED_LIMIT:]
    shown = plain[:_PRINTED_LIMIT].rstrip("\n") + note
    markup = preformatted(join(html.coloured(lines, _PRINTED_LIMIT), note), style=scrolled(shown))
    return Record(markup, shown)


def tool_record(version: ToolVersion, signature: str, *, uses: str = "", cost: float | None = None) -> Record:
    """Show a tool: signature, documentation, proof, author, permissions, uses, and its source, folded.

    `uses` says how often the tool ran; it is omitted if empty. `cost` is what its generation cost, in US
    dollars, as far as it is known.
    """
    metadata = version.metadata
    origin = (_proof(metadata), _writer(metadata), f"made {metadata.created_at:%Y-%m-%d}")
    heading = _heading(f"{metadata.name} {metadata.version}", origin)
    facts = [
        ("Allowed", ", ".join(metadata.permissions) or _NOTHING_ALLOWED),
        ("Answers", _lifetime(metadata)),
        ("Tags", ", ".join(metadata.tags)),
        ("Uses", uses),
        ("Cost", "" if cost is None else usd(cost)),
    ]
    facts = [(name, fact) for name, fact in facts if fact]
    paragraphs = filter(None, re.split(r"\n[ \t]*\n", metadata.description.strip("\n")))
    style = f"{_PARAGRAPH};white-space:pre-wrap"
    examples = Record("", "")
    if metadata.contract:
        examples = Record(folded("Examples", _code(metadata.contract)), f"\n{metadata.contract}")
    parts = [
        Record(join(Html(heading.html), _code(signature)), f"{signature}\n{heading.plain}"),
        Record(join(*(element("p", part, style=style) for part in paragraphs)), ""),
        Record(facts_table(facts), "\n".join(f"{name}: {fact}" for name, fact in facts)),
        Record("", f"\n{metadata.description}"),
        examples,
        Record(_source(version.source), f"\n{version.source.rstrip()}"),
    ]
    return stacked(parts)
