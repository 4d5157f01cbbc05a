"""``%fact rerun``: a row of the history, run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.display.record import run_record
from fact_magics.errors import CellError, InvalidInput, UnknownName, did_you_mean
from fact_magics.notebook.arguments import ALLOW, YES_REALLY, Arguments, Command, Option, megabytes, seconds
from fact_magics.notebook.commands.desk import JSON, Answer, Desk
from fact_magics.tool import Status, ToolInput
from fact_magics.values import plain

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.store import ExecutionRow
    from fact_magics.tool import ToolOutput

RERUN = Command(
    usage="%fact rerun ID",
    summary="Run a row of the history again: the same version on the same input, and not from the cache.",
    positional=("ID",),
    options=(
        Option("--timeout", "Wall-clock limit (30).", "S", seconds),
        Option("--memory", "Memory limit in MB (1024).", "MB", megabytes),
        ALLOW,
        YES_REALLY,
        JSON,
    ),
    examples=("%fact rerun 5f2c", "%fact rerun 5f2c --timeout 120"),
)

_LISTED = 200


def rerun(arguments: Arguments, desk: Desk) -> Answer:
    """Make the run that a row tells of again."""
    wanted = arguments.words["ID"]
    stopped = f"The run of {wanted} was stopped; it is recorded as interrupted."
    output = desk.ask(lambda core: _run_again(core, wanted, arguments), stopped=stopped)
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
        raise CellError(f"The run {row.id[:8]} never came to a tool, so there is nothing to run again.")
    if row.status is Status.INVALID:
        raise CellError(
            f"The run {row.id[:8]} was refused for its input, so there is nothing to run again.",
            hint=f"Write a %%fact_run {row.tool_name} cell with the input that you mean.",
        )
    allowed = arguments.get("allow", ())
    if (own := set(row.permissions) - set(tool.metadata.permissions)) and not allowed:
        line = " ".join(f"--allow {permission}" for permission in sorted(own))
        raise CellError(
            f"The run {row.id[:8]} was granted, for itself alone, {', '.join(sorted(own))}.",
            hint=f"To grant that again, add: {line}",
        )
    request = ToolInput(
        tool.stored.reference,
        _input(row, tool.loaded),
        timeout_seconds=arguments.get("timeout", 30.0),
        memory_mb=arguments.get("memory", 1024),
        fresh=True,
        permissions=allowed,
        yes_really=bool(arguments.get("yes_really")),
    )
    try:
        planned = await core.plan(tool, request)
    except InvalidInput as refused:
        if tool.loaded.takes_paths:  # the files are no longer what they were
            raise
        raise _unreadable(row) from refused
    _refuse_another(row, planned)
    return await core.execute(planned)


async def _find(core: FactCore, wanted: str) -> ExecutionRow:
    found = await core.find_row(wanted)
    if isinstance(found, list):
        raise CellError(
            f"{wanted} is a generation of {found[0].tool_name}, not a run.",
            hint=f"%fact show {wanted} shows what was asked; run its cell again with --fresh.",
        )
    if found is not None:
        return found
    known = [row.id[: len(wanted)] for row in await core.list_runs(limit=_LISTED)]
    raise UnknownName(
        f"There is no run {wanted!r}.", hint=did_you_mean(wanted, known) or "%fact history lists them."
    )


def _input(row: ExecutionRow, tool: LoadedTool) -> dict[str, object]:
    try:
        return tool.signature.read_recorded(row.input_data or "")
    except (ValueError, RecursionError) as error:
        raise _unreadable(row) from error


def _refuse_another(row: ExecutionRow, planned: Plan) -> None:
    """Run nothing on an input that may be another one than the row tells of."""
    if row.cache_key is not None and planned.key == row.cache_key:
        return
    if not planned.tool.signature.recorded_exactly:
        raise _unreadable(row)


def _unreadable(row: ExecutionRow) -> CellError:
    return CellError(
        f"The input of {row.id[:8]} is kept in a form for people, from which it can't surely be read back.",
        hint=f"%fact show {row.id[:8]} shows it; write a %%fact_run {row.tool_name} cell with it.",
    )
