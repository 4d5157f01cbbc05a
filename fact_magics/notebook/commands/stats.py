"""``%fact stats``: the numbers of the history."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fact_magics.display.charts import Series, bar_chart
from fact_magics.display.html import Html, Record, element
from fact_magics.display.table import Table
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.notebook.commands.history import session_id, unknown_tool
from fact_magics.text import duration, plural, usd
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.core import FactCore
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.store import Stats

_TOOLS_SHOWN = 10
_HIT, _RUN, _ERROR = "#2a8f84", "#7a86d6", "#d2622a"
# The upper limits of the bars of durations, in milliseconds.
_LIMITS = (0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
_TOKENS = {
    "input_tokens": "in",
    "output_tokens": "out",
    "cache_read_tokens": "read from the provider's cache",
    "cache_creation_tokens": "written to it",
}


def as_tool(words: Sequence[str], has_options: bool, line: str) -> str:
    """Say how to write the words of a ``%fact stats`` line, which takes only options."""
    del line
    return "" if has_options else f"Write %fact stats --tool {shlex.quote(words[0])}"


def show_stats(arguments: Arguments, desk: Desk) -> Answer:
    """Show runs, hits, durations, errors and costs, with charts."""
    tool, wanted = arguments.get("tool"), arguments.get("session")

    async def find(core: FactCore) -> tuple[Stats, str]:
        chosen = await session_id(core, wanted or "all")
        stats = await core.stats(session_id=chosen, tool_name=tool, since=arguments.get("since"))
        return stats, "" if stats.runs or stats.generations else await unknown_tool(core, tool)

    stats, unknown = desk.ask(find)
    of = [f"of {tool}" if tool else "", f"since {stats.since}" if stats.since else ""]
    where = "in all sessions" if wanted in (None, "all") else f"in session {wanted}"
    title = " ".join(filter(None, ("Statistics", *of, where)))
    parts = [
        page(title, [*_facts(stats), ("Note", unknown)]),
        *_charts(stats),
        *([_tools(stats)] if stats.tools else []),
    ]
    markup = element("div", *(Html(part.html) for part in parts))
    return Answer(Record(markup, "\n\n".join(part.plain for part in parts)), stats.data)


def _facts(stats: Stats) -> list[tuple[str, str]]:
    data = stats.data
    rate = f", {plural(stats.hits, 'hit')} ({data['hit_rate']:.0%})" if stats.runs else ""
    errors = ", ".join(f"{number:,} {status}" for status, number in sorted(stats.errors.items()))
    tokens = [f"{amount:,} {_TOKENS[name]}" for name, amount in data["tokens"].items() if amount is not None]
    cost = data["cost_usd"]
    saved = (duration(stats.saved_ms) if stats.hits else "", usd(stats.saved_usd) if stats.saved_usd else "")
    return [
        ("Runs", f"{stats.runs:,}{rate}"),
        ("Saved", " and ".join(filter(None, saved))),
        ("Run", _spread(data["run_ms"])),
        ("Hit", _spread(data["hit_ms"])),
        ("Errors", errors),
        ("Generations", f"{stats.generations:,}" if stats.generations else ""),
        ("Generation", _spread(data["generation_ms"])),
        ("Tokens", ", ".join(tokens)),
        ("Cost", "" if cost is None else usd(cost)),
    ]


def _spread(known: dict[str, float | None]) -> str:
    middle, high = known["p50"], known["p95"]
    if middle is None or high is None:
        return ""
    return f"median {duration(middle)}, 95 % within {duration(high)}"


def _charts(stats: Stats) -> list[Record]:
    charts = []
    if stats.points:
        labels = [
            point.start.replace("T", " ") + (" h" if "T" in point.start else "") for point in stats.points
        ]
        well = [point.runs - point.hits - point.errors for point in stats.points]
        parts = [
            Series("executed", _RUN, well),
            Series("hits", _HIT, [point.hits for point in stats.points]),
            Series("errors", _ERROR, [point.errors for point in stats.points]),
        ]
        charts.append(bar_chart("Over time (UTC)", labels, parts))
    counted = [_by_limit(stats, outcome) for outcome in (Status.OK, "cached")]
    if any(map(any, counted)):
        labels = [*(f"≤ {duration(limit)}" for limit in _LIMITS), f"> {duration(_LIMITS[-1])}"]
        parts = [Series("executed", _RUN, counted[0]), Series("hits", _HIT, counted[1])]
        charts.append(bar_chart("Durations", labels, parts))
    return charts


def _by_limit(stats: Stats, outcome: str) -> list[int]:
    counted = [0] * (len(_LIMITS) + 1)
    for took, number in stats.durations.get(outcome, ()):
        counted[sum(took > limit for limit in _LIMITS)] += number
    return counted


def _tools(stats: Stats) -> Record:
    shown = stats.tools[:_TOOLS_SHOWN]
    rows = [
        (
            tool.tool,
            f"{tool.runs:,}",
            f"{tool.hits / tool.runs:.0%}",
            f"{tool.errors:,}",
            duration(tool.saved_ms),
        )
        for tool in shown
    ]
    more = len(stats.tools) > len(shown)
    title = f"The {len(shown)} tools with the most runs" if more else plural(len(shown), "tool")
    head = ("Tool", "Runs", "Hits", "Errors", "Saved")
    return Table(title, head, rows, numbers=head[1:]).record()
