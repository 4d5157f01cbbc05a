"""``%fact rerun``: run a row of the history again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.display.record import run_record
from fact_magics.errors import CellError, InvalidInput, UnknownName, did_you_mean
from fact_magics.notebook.commands.desk import Answer, Desk
from fact_magics.signature.recorded import is_exact, read_recorded
from fact_magics.tool import Status, ToolInput
from fact_magics.values import plain

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.store import ExecutionRow
    from fact_magics.tool import ToolOutput

_LISTED = 200


def rerun(arguments: Arguments, desk: Desk) -> Answer:
    """Run a row again: the same version on the same input."""
    wanted = arguments.words["ID"]
    output = desk.ask(
        lambda core: _run_again(core, wanted, arguments),
        stopped=f"The run of {wanted} was stopped; it is recorded as interrupted.",
    )
    data = {
        "success": output.success,
        "result": plain(output.result),
        "execution_time_ms": output.execution_time_ms,
        "metadata": output.metadata,
    }
    return Answer(run_record(output), data, output)


async def _run_again(core: FactCore, wanted: str, arguments: Arguments) -> ToolOutput:
    row = await _find(core, wanted)
    tool = await core.version_by_id(row.tool_id) if row.tool_id else None
    if tool is None or row.input_data is None:
        raise CellError(f"The run {row.id[:8]} found no tool to run, so it can't be run again.")
    if row.status is Status.INVALID:
        raise CellError(
            f"The input of the run {row.id[:8]} was invalid, so it can't be run again.",
            hint=f"Write a %%fact_run {row.tool_name} cell with valid input.",
        )
    allowed = arguments.get("allow", ())
    if (own := sorted(set(row.permissions) - set(tool.metadata.permissions))) and not allowed:
        line = " ".join(f"--allow {permission}" for permission in own)
        raise CellError(
            f"The run {row.id[:8]} was granted {', '.join(own)}, which its tool does not have.",
            hint=f"To grant that again, add: {line}",
        )
    unreadable = CellError(
        f"The history keeps the input of {row.id[:8]} in a form that can't be read back exactly.",
        hint=f"%fact show {row.id[:8]} shows it; write a %%fact_run {row.tool_name} cell with it.",
    )
    try:
        parameters = read_recorded(row.input_data, tool.loaded.signature)
    except (ValueError, RecursionError) as error:
        raise unreadable from error
    request = ToolInput(
        tool.stored.reference,
        parameters,
        timeout_seconds=arguments.get("timeout", 30.0),
        memory_mb=arguments.get("memory", 1024),
        fresh=True,
        permissions=allowed,
        yes_really=bool(arguments.get("yes_really")),
    )
    try:
        planned = await core.plan(tool, request)
    except InvalidInput as refused:
        if tool.loaded.takes_paths:  # the files have changed
            raise
        raise unreadable from refused
    # Never run on an input that may differ from the recorded one.
    if not is_exact(tool.loaded.signature) and (row.cache_key is None or planned.key != row.cache_key):
        raise unreadable
    return await core.execute(planned)


async def _find(core: FactCore, wanted: str) -> ExecutionRow:
    found = await core.find_row(wanted)
    if isinstance(found, list):
        raise CellError(
            f"{wanted} is a generation of {found[0].tool_name}, not a run.",
            hint=f"%fact show {wanted} shows the request; run its cell again with --fresh.",
        )
    if found is None:
        known = [row.id[: len(wanted)] for row in await core.list_runs(limit=_LISTED)]
        hint = did_you_mean(wanted, known) or "%fact history lists the runs."
        raise UnknownName(f"There is no run {wanted!r}.", hint=hint)
    return found
