"""What a cell asks for, made ready: its line and body read, checked, and turned into work."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fact_magics.errors import BindingRefused, CellError, InvalidInput, StoreError
from fact_magics.notebook.bodies import fill_variables, read_run_body
from fact_magics.notebook.work import Here, Work
from fact_magics.text import inert
from fact_magics.tool import tool_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.display.live import View
    from fact_magics.display.record import Record
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.notebook.presenter import Presenter
    from fact_magics.session import Workshop
    from fact_magics.tool import Status, ToolOutput


class Preparer:
    """Makes the work of one shell's cells ready.

    Parameters
    ----------
    shell : InteractiveShell
        Whose variables are read and bound.
    workshop : Workshop
        Gives the core.
    presenter : Presenter
        Shows the work.
    """

    def __init__(self, shell: Any, workshop: Workshop, presenter: Presenter) -> None:
        self._shell = shell
        self._workshop = workshop
        self._presenter = presenter

    def generation(self, arguments: Arguments, cell: str) -> Work:
        """Make ready what ``%%fact_generate`` asks for."""
        from fact_magics.tool import ToolSpec
        from fact_magics.writing.examples import read_body

        name = tool_name(arguments.words["NAME"])
        if not cell.strip():
            raise CellError(
                f"The cell has no body, so there is nothing to write {name} from.",
                hint="Describe the tool in plain words under the first line, with >>> examples of it.",
            )
        body = read_body(cell, name)
        self._refuse_loss(name, replace=bool(arguments.get("replace")))
        core = self._workshop.core
        spec = ToolSpec(
            name,
            fill_variables(body.description, self._own_names()),
            body.examples,
            model=arguments.get("model"),
            attempts=arguments.get("attempts", 3),
            timeout_seconds=arguments.get("timeout", 30.0),
            tags=tuple(arguments.get("tag", ())),
            fresh=bool(arguments.get("fresh")),
            permissions=tuple(arguments.get("allow", ())),
            yes_really=bool(arguments.get("yes_really")),
            examples_read=True,
        )
        view = self._presenter.view(arguments, name, body.examples)
        stopped = f"Writing {name} was stopped. What was written is recorded; nothing was bound."
        return self._writing(name, lambda: core.generate(spec, view.put), view, stopped)

    def edit(self, arguments: Arguments, cell: str) -> Work:
        """Make ready what ``%%fact_edit`` asks for."""
        from fact_magics.writing.examples import read_body

        name = tool_name(arguments.words["NAME"])
        if not cell.strip():
            raise CellError(
                f"The cell has no body, so there is no source for {name}.",
                hint=f"%fact insert {name} puts such a cell below, with the source in it.",
            )
        self._refuse_loss(name, replace=bool(arguments.get("replace")))
        core = self._workshop.core
        current = self._workshop.submit(core.toolbox.stored(name)).wait(_nothing)
        view = self._presenter.view(arguments, name, read_body(current.metadata.contract, name).examples)
        source = f"{cell.lstrip(chr(10)).rstrip()}\n"
        timeout = arguments.get("timeout", 30.0)
        return self._writing(
            name,
            lambda: core.edit_tool(name, source, timeout_seconds=timeout, listener=view.put),
            view,
            f"Proving {name} was stopped. The attempt is recorded; nothing was bound.",
        )

    def _writing(
        self, name: str, start: Callable[[], Coroutine[Any, Any, Tool]], view: View, stopped: str
    ) -> Work:
        """Prepare work that ends in a tool, which is bound and is the cell's value, or in an error."""

        def finish(tool: Tool) -> Tool:
            self._bind(name, tool)
            self._presenter.show(view, self._generation_record(view), tool)
            return tool

        def fail(status: Status) -> None:
            # Before anything was written, the one line of the error says it all.
            view.pump()
            ended = view.ended
            if ended is not None and (view.stands or any(attempt.text for attempt in ended.attempts)):
                self._presenter.show(view, self._generation_record(view), None)
            else:
                view.close(status)

        return Work(start, view, finish, fail, stopped)

    def _generation_record(self, view: View) -> Record:
        from fact_magics.display.record import generation_record

        return generation_record(view.ended, streamed=view.streams)

    def _own_names(self) -> dict[str, Any]:
        """Give the notebook's variables without those that IPython put there."""
        put: dict[str, Any] = self._shell.user_ns_hidden
        return {
            name: value for name, value in self._shell.user_ns.items() if put.get(name, self) is not value
        }

    def _refuse_loss(self, name: str, *, replace: bool) -> None:
        from fact_magics.core.handle import Tool

        if replace:
            return
        missing = object()
        bound = self._shell.user_ns.get(name, getattr(builtins, name, missing))
        if bound is missing or isinstance(bound, Tool):
            return
        raise BindingRefused(
            f"{name!r} is something else in this notebook already, of type {type(bound).__name__}.",
            hint="Add --replace to bind the tool in its place, or choose another name.",
        )

    def _bind(self, name: str, value: object) -> None:
        self._shell.push({name: value})

    def run(self, arguments: Arguments, body: str) -> Work | Here | object:
        """Make ready what ``%%fact_run`` asks for, or answer it from memory: the cell's value then."""
        reference = arguments.words["NAME"]
        core = self._workshop.opened or self._workshop.core
        tool = core.pinned(reference) or self._workshop.submit(core.tool(reference)).wait(_nothing)
        loaded = tool.loaded
        parameters = read_run_body(body, self._shell.user_ns)
        if not body.strip() and loaded.signature.parameters:
            self._offer(inert(loaded.signature.skeleton()))
            return None
        if arguments.get("in_kernel"):
            return self._here(core, loaded, parameters, arguments)
        view = self._presenter.view(arguments, loaded.metadata.name)
        try:
            planned = core.runner.plan(
                loaded,
                parameters,
                timeout_seconds=arguments.get("timeout", 30.0),
                memory_mb=arguments.get("memory", 1024),
                fresh=bool(arguments.get("fresh")),
                permissions=arguments.get("allow", ()),
                yes_really=bool(arguments.get("yes_really")),
            )
        except InvalidInput as refused:
            output = core.runner.refuse(loaded, parameters, refused)
        else:
            known = core.runner.recall(planned)
            if known is None:
                return self._running(core, planned, arguments, view)
            output = known
        if warning := flush(core):
            output.metadata["warning"] = warning
        return self.finish_run(output, view, arguments)

    def _offer(self, skeleton: str) -> None:
        """Show the lines to fill in; where the cell is nothing but its first line, put them into it."""
        print(skeleton)  # noqa: T201 - lines to copy
        cells = self._shell.history_manager.input_hist_raw
        cell = str(cells[-1]).rstrip()
        # What runs the line from elsewhere, a loop or a macro, keeps its text.
        if cell.rpartition("\n")[2].lstrip().startswith("%%fact_run"):
            self._shell.set_next_input(f"{cell}\n{skeleton}", replace=True)

    def _running(self, core: FactCore, planned: Plan, arguments: Arguments, view: View) -> Work:
        name = planned.tool.metadata.name
        return Work(
            lambda: core.execute(planned, view.put),
            view,
            lambda output: self.finish_run(output, view, arguments),
            view.close,
            f"{name} was stopped with everything it started; the run is recorded as interrupted.",
        )

    def _here(
        self, core: FactCore, tool: LoadedTool, parameters: dict[str, Any], arguments: Arguments
    ) -> Here | object:
        """Prepare a run in this very process."""
        from fact_magics.notebook.in_kernel import KernelRun, unkept

        if notice := unkept(arguments.options):
            sys.stderr.write(notice + "\n")
        try:
            run = KernelRun(core, tool, parameters, echo=not arguments.silent)
        except InvalidInput as refused:
            output = core.runner.refuse(tool, parameters, refused)
            return self.finish_run(output, self._presenter.view(arguments, tool.metadata.name), arguments)
        return Here(run, lambda output: self._finish_here(core, output, arguments))

    def _finish_here(self, core: FactCore, output: ToolOutput, arguments: Arguments) -> ToolOutput:
        from fact_magics.display.live import SilentView
        from fact_magics.display.record import run_record

        if warning := flush(core):
            output.metadata["warning"] = warning
        streamed = replace(output, metadata={**output.metadata, "printed": ""})
        self.finish_run(streamed, SilentView(""), arguments)
        if output.metadata["printed"] and not arguments.silent:
            # What it printed stands above already.
            self._presenter.display(run_record(streamed))
            self._presenter.formatters.silence_once(output)
        return output

    def finish_run(self, output: ToolOutput, view: View, arguments: Arguments) -> ToolOutput:
        """Show a run's output and bind its result, or raise the error that it stands for."""
        from fact_magics.core.outputs import error_of
        from fact_magics.display.record import run_record

        if not output.success and not arguments.get("no_raise"):
            view.pump()
            if output.metadata["printed"] or view.stands:
                self._presenter.show(view, run_record(output, streamed=view.streams, raised=True), None)
            raise error_of(output)
        if output.success and "into" in arguments.options:
            self._bind(arguments.options["into"], output.result)
        self._presenter.show_unless_displayed(view, output)
        return output


def flush(core: FactCore) -> str:
    """Commit what waits; a failure costs the rows' place in the history, not the cell."""
    try:
        core.history.flush_blocking()
    except StoreError as unkept:
        return f"Not recorded yet: {unkept.line}"
    return ""


def _nothing() -> None:
    pass
