"""``%%fact_run``: read the cell, and answer it from memory or prepare the work of the run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fact_magics.errors import InvalidInput
from fact_magics.notebook.bodies import read_run_body
from fact_magics.notebook.work import Here, Work
from fact_magics.text import inert

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.display.live import View
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.notebook.work import Host
    from fact_magics.tool import Status, ToolOutput


def prepare_run(host: Host, arguments: Arguments, body: str) -> Work | Here | object:
    """Prepare the work of a ``%%fact_run`` cell, or return its value if the answer is cached in memory."""
    from fact_magics.core.running import NOT_RECORDED
    from fact_magics.display.record import run_record
    from fact_magics.tool import ToolInput, ToolOutput

    reference = arguments.words["NAME"]
    if "into" in arguments.options:
        host.refuse_lost_code(arguments.options["into"])
    core = host.session.opened or host.session.core
    tool = core.pinned(reference) or host.session.run(core.tool(reference))
    parameters = read_run_body(body, host.shell.user_ns)
    if _is_blank(body, parameters) and tool.loaded.signature.parameters:
        print(inert(tool.loaded.signature.skeleton()))  # noqa: T201 - lines to copy
        return None
    if arguments.get("in_kernel"):
        return _prepare_here(host, tool, parameters, arguments)
    view = host.presenter.view(arguments, tool.name)
    request = ToolInput.known(
        reference, parameters, fresh=arguments.get("fresh", False), **arguments.run_request
    )
    planned = core.begin(tool, request)
    if isinstance(planned, ToolOutput):
        _flush(core, planned)
        put_printed(view, tool.name, planned)
        return finish_run(host, planned, view, arguments)

    def fail(status: Status) -> None:
        view.pump()
        if view.ended is None:
            view.close(status)
        else:  # only its row was waited for
            host.presenter.show(view, run_record(view.ended.output, streamed=view.streams), None)
            _note_warning(host, view.ended.output)

    def stopped() -> str:
        if view.ended is None:
            return f"{tool.name} was stopped with everything it started; the history says how the run ended."
        waits = view.ended.output.metadata.get("warning", "").startswith(NOT_RECORDED)
        return f"{tool.name} had ended; its row is recorded{' later' if waits else ''}."

    return Work(
        lambda: core.execute(planned, view.put),
        view,
        lambda output: finish_run(host, output, view, arguments),
        fail,
        stopped,
    )


def put_printed(view: View, name: str, output: ToolOutput) -> None:
    """Show the printed text of a run that has ended as the view shows that of a tool that runs."""
    from fact_magics.events import Printed, RunEnded

    if not output.metadata["printed"]:
        return
    view.put(Printed(output.metadata["printed"]))
    view.put(RunEnded(name, output))
    view.pump()


def _is_blank(body: str, parameters: dict[str, Any]) -> bool:
    """Tell whether the body gives no input yet: it is empty, has only comments, or all values are ``...``."""
    if not parameters:
        return not body.lstrip().startswith("{")  # {} means that every parameter has its default
    return all(value is ... for value in parameters.values())


def _prepare_here(
    host: Host, tool: Tool, parameters: dict[str, Any], arguments: Arguments
) -> Here | ToolOutput:
    """Prepare a run in the kernel's own process."""
    from fact_magics.notebook.in_kernel import KernelRun, unkept

    core = host.session.core
    if notice := unkept(arguments.options):
        sys.stderr.write(notice + "\n")
    try:
        run = KernelRun(core, tool.loaded, parameters)
    except InvalidInput as refused:
        output = core.refuse(tool, parameters, refused)
        return finish_run(host, output, host.presenter.view(arguments, tool.name), arguments)
    return Here(run, lambda output: _finish_here(host, core, output, arguments))


def _finish_here(host: Host, core: FactCore, output: ToolOutput, arguments: Arguments) -> ToolOutput:
    from fact_magics.display.live import View
    from fact_magics.display.record import run_record

    _flush(core, output)
    streamed = output.model_copy(update={"metadata": {**output.metadata, "printed": ""}})
    finish_run(host, streamed, View(""), arguments)
    if output.metadata["printed"] and not arguments.silent:
        # The printed text is in the cell already, above the record.
        host.presenter.display(run_record(streamed))
        host.presenter.silence_once(output)
    return output


def _flush(core: FactCore, output: ToolOutput) -> None:
    if warning := core.flush_blocking():
        output.metadata["warning"] = warning


def finish_run(host: Host, output: ToolOutput, view: View, arguments: Arguments) -> ToolOutput:
    """Show a run's output and bind its result, or raise the error of a failed run."""
    from fact_magics.core.outputs import error_of
    from fact_magics.display.record import run_record

    if not output.success and not arguments.get("no_raise"):
        view.pump()
        if output.metadata["printed"] or view.is_visible:
            host.presenter.show(view, run_record(output, streamed=view.streams, raised=True), None)
            _note_warning(host, output)
        raise error_of(output)
    if "into" in arguments.options:
        host.bind(arguments.options["into"], output.result)
    host.presenter.show_unless_displayed(view, output)
    if not arguments.silent:
        _note_warning(host, output)
    return output


def _note_warning(host: Host, output: ToolOutput) -> None:
    """Let the end of the cell not repeat what the record's foot says: that the row waits."""
    from fact_magics.core.running import NOT_RECORDED

    core = host.session.opened
    if core is not None and output.metadata.get("warning", "").startswith(NOT_RECORDED):
        core.has_news()
