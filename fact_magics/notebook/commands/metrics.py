"""``%fact metrics``: the counters of this kernel for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.display.html import Record, element, preformatted
from fact_magics.display.result import SCROLLED
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.text import inert

if TYPE_CHECKING:
    from fact_magics.notebook.arguments import Arguments


def show_metrics(arguments: Arguments, desk: Desk) -> Answer:
    """Print the counters, or serve them until the kernel ends."""
    port = arguments.get("port")
    core = desk.session.core
    if port is None:
        text = core.metrics()
        markup = element("div", preformatted(text, style=SCROLLED))
        return Answer(Record(markup, inert(text)), {"text": text})
    address = core.serve_metrics(port)
    facts = [("Address", address), ("Until", "the kernel ends")]
    return Answer(page("Metrics for Prometheus", facts), {"address": address})
