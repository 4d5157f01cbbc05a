"""The lines of the log about runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.logs import Log
    from fact_magics.sandbox.outcome import Outcome


class RunLog:
    """Writes about runs into a log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def started(self, planned: Plan) -> None:
        """Write that a run has started."""
        self._log.info("run started", **_about(planned.tool), input_bytes=len(planned.arguments))

    def ended(self, planned: Plan, outcome: Outcome) -> None:
        """Write how a run has ended."""
        self._log.info(
            "run ended",
            **_about(planned.tool),
            status=outcome.status.value,
            output_bytes=len(outcome.result or b""),
            duration_ms=round(outcome.duration_ms, 2),
        )

    def stopped(self, planned: Plan) -> None:
        """Write that a run has no outcome."""
        self._log.warning("run ended", **_about(planned.tool), status="did not finish")


def _about(tool: LoadedTool) -> dict[str, str]:
    return {"operation": "run", "tool": tool.metadata.name, "tool_id": tool.metadata.id}
