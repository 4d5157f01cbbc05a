"""``%%fact_generate``, ``%%fact_refine`` and ``%%fact_edit``: read the cell, and prepare its work."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from fact_magics.errors import CellError, FactError
from fact_magics.names import tool_name
from fact_magics.notebook.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.display.live import View
    from fact_magics.events import GenerationEnded
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.notebook.work import Host
    from fact_magics.probing.questions import Probe
    from fact_magics.session import Session
    from fact_magics.tool import Status, ToolSpec, ToolVersion


def prepare_generation(host: Host, arguments: Arguments, cell: str) -> Work:
    """Prepare the work of a ``%%fact_generate`` cell."""
    name = _named(arguments, cell, "Describe the tool in plain words below, with >>> examples.")
    spec = cell_request(host, name, arguments, cell)
    core = host.session.core
    view = host.presenter.view(arguments, name, spec.examples)
    text = f"%%fact_generate {arguments.line}\n{cell}"
    return _work(
        host,
        name,
        lambda: _kept(core, lambda: core.generate(spec, view.put), text),
        view,
        f"Writing {name}",
        text,
    )


def prepare_refinement(host: Host, arguments: Arguments, cell: str) -> Work:
    """Prepare the work of a ``%%fact_refine`` cell."""
    name = _named(arguments, cell, "Say below what to change, or add >>> examples.")
    spec = cell_request(host, name, arguments, cell)
    core = host.session.core
    planned = host.session.run(core.plan_refinement(spec))
    view = host.presenter.view(arguments, name, planned.spec.examples)
    text = f"%%fact_refine {arguments.line}\n{cell}"
    return _work(
        host,
        name,
        lambda: _kept(core, lambda: core.refine_planned(planned, view.put), text),
        view,
        f"Changing {name}",
        text,
    )


async def _kept(core: FactCore, make: Callable[[], Coroutine[Any, Any, Tool]], text: str) -> Tool:
    """Keep the text of the cell that makes a tool, from which `%fact answer` makes a longer one."""
    tool = await make()
    await core.keep_cell(tool, text)
    return tool


def cell_request(host: Host, name: str, arguments: Arguments, cell: str) -> ToolSpec:
    """Read a cell that asks a model: its words with the variables filled in, its examples, its options."""
    from fact_magics.tool import ToolSpec
    from fact_magics.writing.examples import read_body
    from fact_magics.writing.variables import with_variables

    body = read_body(cell, name)
    host.refuse_loss(name, replace=arguments.get("replace", False))
    spec = ToolSpec(
        name,
        body.description,
        body.examples,
        model=arguments.get("model"),
        attempts=arguments.get("attempts", 3),
        candidates=arguments.get("candidates", 1),
        escalate=arguments.get("escalate"),
        timeout_seconds=arguments.get("timeout", 30.0),
        tags=tuple(arguments.get("tag", ())),
        fresh=arguments.get("fresh", False),
        permissions=tuple(arguments.get("allow", ())),
        ttl_seconds=arguments.get("ttl"),
        yes_really=arguments.get("yes_really", False),
        replace=arguments.get("replace", False),
        examples_read=True,
        budget_usd=arguments.get("budget"),
        max_tokens=arguments.get("max_tokens"),
        samples=not arguments.get("no_samples", False),
    )
    return with_variables(spec, host.own_names())


def prepare_edit(host: Host, arguments: Arguments, cell: str) -> Work:
    """Prepare the work of a ``%%fact_edit`` cell."""
    from fact_magics.writing.examples import read_body

    name = _named(arguments, cell, "%fact insert NAME adds a cell with the tool's source below.")
    replace = arguments.get("replace", False)
    host.refuse_loss(name, replace=replace)
    core = host.session.core
    current = host.session.run(core.stored(name))
    view = host.presenter.view(arguments, name, read_body(current.metadata.contract, name).examples)
    source = f"{cell.lstrip(chr(10)).rstrip()}\n"
    timeout = arguments.get("timeout", 30.0)

    def edit() -> Coroutine[Any, Any, Tool]:
        return core.edit_tool(name, source, timeout_seconds=timeout, replace=replace, listener=view.put)

    return _work(host, name, edit, view, f"The test of {name}")


def _named(arguments: Arguments, cell: str, hint: str) -> str:
    name = tool_name(arguments.words["NAME"])
    if not cell.strip():
        raise CellError(f"The cell of {name} has no body.", hint=hint.replace("NAME", name))
    return name


def _work(
    host: Host,
    name: str,
    start: Callable[[], Coroutine[Any, Any, Tool]],
    view: View,
    doing: str,
    text: str = "",
) -> Work:
    """Build the work of a cell that binds a tool and returns it.

    Parameters
    ----------
    doing : str
        What an interrupt stops.
    text : str
        The text of the cell, if it is to be kept.
    """
    probes: list[Probe] = []

    def show(value: Tool | None) -> None:
        from fact_magics.display.probed import probe_record
        from fact_magics.display.record import generation_record, stacked

        record = generation_record(view.ended, streamed=view.streams)
        if probes:
            record = stacked([record, probe_record(probes[-1])])
        host.presenter.show(view, record, value)

    def follow(tool: Tool) -> Coroutine[Any, Any, None] | None:
        host.bind(name, tool)
        if host.session.settings().probe == "off" or tool.metadata.permissions:
            return None
        if not tool.metadata.proven and not tool.metadata.strength:  # no other candidate gives other answers
            return None
        return _probed(host.session.core, tool, view, probes)

    def finish(tool: Tool) -> Tool:
        show(tool)
        return tool

    def fail(status: Status) -> None:
        # If nothing was written, the error message is enough.
        view.pump()
        ended = view.ended
        if ended is not None and (view.is_visible or any(attempt.text for attempt in ended.attempts)):
            show(None)
        else:
            view.close(status)

    def stopped() -> str:
        ended: GenerationEnded | None = view.ended
        said = f"{doing} was stopped; nothing was bound."
        if ended is None or not ended.attempts:
            return said
        attempts = "The attempt is" if len(ended.attempts) == 1 else "The attempts are"
        later = " when the database is free" if ended.warning else ""
        return f"{said} {attempts} recorded{later}."

    return Work(start, view, finish, fail, stopped, follow, partial(_stored, host.session, view, text))


def _stored(session: Session, view: View, text: str) -> Tool | None:
    """Return the version that was stored before an interrupt arrived, if there is one."""
    version: ToolVersion | None = view.ended.version if view.ended is not None else None
    return take_over(session, version, text) if version is not None else None


def take_over(session: Session, version: ToolVersion, text: str) -> Tool:
    """Use a version in this session that was stored before an interrupt; keep the text of its cell."""
    about = version.metadata
    tool = session.run(session.core.roll_back(about.name, about.version))
    if text:
        session.run(session.core.keep_cell(tool, text))
    return tool


async def _probed(core: FactCore, tool: Tool, view: View, probes: list[Probe]) -> None:
    """Find out how far the examples go, unless this is known. A tool that can't be probed is shown anyway."""
    with suppress(FactError):
        known = await core.newest_probe(tool.stored.reference)
        probes.append(known or await core.probe(tool.stored.reference, listener=view.put))
