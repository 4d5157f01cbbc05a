"""The magics: parse, hand over to the core, show."""

from __future__ import annotations

import builtins
import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Enum, Unicode, observe

from fact_magics.arguments import (
    GENERATE,
    RUN,
    Arguments,
    fill_variables,
    read_line,
    read_run_body,
    tool_name,
)
from fact_magics.cells import CellEntry
from fact_magics.errors import BindingRefused, CellError, Interrupted, InvalidInput, StoreError
from fact_magics.text import inert
from fact_magics.workshop import Workshop, use

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.core import FactCore
    from fact_magics.display.formatters import Formatters
    from fact_magics.display.live import View
    from fact_magics.display.record import Record
    from fact_magics.execution import Plan
    from fact_magics.handle import Tool
    from fact_magics.tool import ToolOutput


@dataclass(frozen=True, slots=True)
class _Work:
    """What a cell waits for, and what it does then.

    Attributes
    ----------
    start : callable
        Makes the coroutine that runs on the core's loop.
    finish : callable
        Takes its result to the cell's value; runs in the cell's thread.
    fail : callable
        Shows what is left of work that failed or was interrupted.
    interrupted : str
        The line that an interrupted cell shows.
    """

    start: Callable[[], Coroutine[Any, Any, Any]]
    view: View
    finish: Callable[[Any], Any]
    fail: Callable[[], None]
    interrupted: str


@magics_class
class FactMagics(Magics):
    """``%%fact_generate``, ``%%fact_run`` and ``%fact``; its traits are what ``%config FactMagics`` sets."""

    model = Unicode(None, allow_none=True, help="The model that is asked when a cell names none.").tag(
        config=True
    )
    live = Enum(
        ["auto", "off"], default_value="auto", help="auto: live views while work goes on. off: records only."
    ).tag(config=True)
    isolation = Enum(
        ["auto", "require", "process"],
        default_value=None,
        allow_none=True,
        help=(
            "require: refuse to run unless files and network are enforced. process: where they can't be, "
            "run what a model wrote in a plain process all the same."
        ),
    ).tag(config=True)
    log_level = Enum(
        ["debug", "info", "warning", "error"], default_value=None, allow_none=True, help="What the log keeps."
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell: Any = shell
        kernel = type(getattr(shell, "kernel", None) or shell).__module__.partition(".")[0]
        self.workshop = Workshop(
            self._overrides, notebook=os.environ.get("JPY_SESSION_NAME", ""), kernel=kernel
        )
        self.entry = CellEntry(
            shell, ("fact_generate", "fact_run"), "get_ipython().magics_manager.registry['FactMagics']"
        )
        self._formatters: Formatters | None = None
        shell.events.register("post_execute", self._end_of_cell)

    @observe("isolation", "log_level")
    def _take_over(self, change: object) -> None:
        """Let a change count from the next run on; a run does not read the settings again."""
        del change
        if self.workshop.opened is not None:
            self.workshop.core  # noqa: B018 - takes over the settings

    def _overrides(self) -> dict[str, Any]:
        # A trait that was never set has no say: its default would hide the environment's.
        return {name: getattr(self, name) for name in ("model", "live", "isolation", "log_level")}

    def close(self) -> None:
        """Remove everything from the shell and close the workshop."""
        self._shell.events.unregister("post_execute", self._end_of_cell)
        self.entry.remove()
        if self._formatters is not None:
            self._formatters.remove()
        self.workshop.close()

    @property
    def formatters(self) -> Formatters:
        """IPython's formatters for tools and outputs, registered on their first need."""
        if self._formatters is None:
            from fact_magics.display.formatters import Formatters

            self._formatters = Formatters(self._shell)
        return self._formatters

    def _end_of_cell(self) -> None:
        """At a cell's end, commit the rows of the answers that it took from memory."""
        if self._formatters is not None:
            self._formatters.silence_once(None)
        core = self.workshop.opened
        if core is not None and core.history.pending and (warning := _flush(core)):
            sys.stderr.write(warning + "\n")

    # The two ways that a cell comes in.

    @no_var_expand
    @cell_magic
    def fact_generate(self, line: str, cell: str) -> object:
        """Have a tool written from a plain description and proven on its examples; see ``--help``."""
        return self._blocking("fact_generate", line, cell)

    @no_var_expand
    @cell_magic
    def fact_run(self, line: str, cell: str) -> object:
        """Run a tool, isolated, on validated input, cached; see ``--help``."""
        return self._blocking("fact_run", line, cell)

    @no_var_expand
    @line_magic
    def fact(self, line: str) -> None:
        """Show the state, the tools and the history; see ``--help``."""
        from fact_magics.management import manage

        shown = manage(line, self.workshop)
        if isinstance(shown, str):
            print(shown)  # noqa: T201 - JSON and help are for copying
        else:
            self._display(shown)

    def _blocking(self, name: str, line: str, body: str) -> object:
        work = self._prepare(name, line, body)
        if not isinstance(work, _Work):
            return work
        with _told(work):
            result = self.workshop.submit(work.start()).wait(work.view.pump)
        return work.finish(result)

    async def cell(self, name: str, line: str, body: str) -> object:
        """Do a cell's work, awaited on the kernel's loop."""
        with _interruptible():
            work = self._prepare(name, line, body)
        if not isinstance(work, _Work):
            return work
        with _told(work):
            result = await self.workshop.submit(work.start()).wait_awaited(work.view.pump)
        return work.finish(result)

    def _prepare(self, name: str, line: str, body: str) -> _Work | object:
        command = GENERATE if name == "fact_generate" else RUN
        arguments = read_line(line, command)
        if arguments.help:
            print(command.help_text())  # noqa: T201 - help is text
            return None
        return self._generation(arguments, body) if command is GENERATE else self._run(arguments, body)

    # %%fact_generate

    def _generation(self, arguments: Arguments, cell: str) -> _Work:
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
        core = self.workshop.core
        spec = ToolSpec(
            name,
            fill_variables(body.description, self._own_names()),
            body.examples,
            model=arguments.get("model"),
            attempts=arguments.get("attempts", 3),
            timeout_seconds=arguments.get("timeout", 30.0),
            tags=tuple(arguments.get("tag", ())),
            fresh=bool(arguments.get("fresh")),
            examples_read=True,
        )
        view = self._view(name)

        def finish(tool: Tool) -> Tool:
            self._bind(name, tool)
            self._show(view, self._generation_record(view), tool)
            return tool

        def fail() -> None:
            # Before anything was written, the one line of the error says it all.
            view.pump()
            ended = view.ended
            if ended is not None and (view.stands or any(attempt.text for attempt in ended.attempts)):
                self._show(view, self._generation_record(view), None)
            else:
                view.close()

        return _Work(
            lambda: core.generate(spec, view.put),
            view,
            finish,
            fail,
            f"Writing {name} was stopped. What was written is recorded; nothing was bound.",
        )

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
        from fact_magics.handle import Tool

        if replace:
            return
        missing = object()
        bound = self._shell.user_ns.get(name, getattr(builtins, name, missing))
        if bound is missing or isinstance(bound, Tool):
            return
        raise BindingRefused(
            f"The notebook already holds a {type(bound).__name__} named {name!r}.",
            hint="Add --replace to bind the tool in its place, or choose another name.",
        )

    def _bind(self, name: str, value: object) -> None:
        self._shell.push({name: value})

    # %%fact_run

    def _run(self, arguments: Arguments, body: str) -> _Work | object:
        from fact_magics import execution

        reference = arguments.words["NAME"]
        core = self.workshop.opened or self.workshop.core
        tool = core.pinned(reference) or self.workshop.submit(core.tool(reference)).wait(_nothing)
        loaded = tool.loaded
        parameters = read_run_body(body, self._shell.user_ns)
        if not body.strip() and loaded.signature.parameters:
            print(inert(loaded.signature.skeleton()))  # noqa: T201 - lines to copy into the cell
            return None
        view = self._view(loaded.metadata.name)
        try:
            planned = execution.plan(
                loaded,
                parameters,
                timeout_seconds=arguments.get("timeout", 30.0),
                memory_mb=arguments.get("memory", 1024),
                fresh=bool(arguments.get("fresh")),
            )
        except InvalidInput as refused:
            output = core.runner.refuse(loaded, parameters, refused)
        else:
            known = core.runner.recall(planned)
            if known is None:
                return self._running(core, planned, arguments, view)
            output = known
        if warning := _flush(core):
            output.metadata["warning"] = warning
        return self._finish_run(output, view, arguments)

    def _running(self, core: FactCore, planned: Plan, arguments: Arguments, view: View) -> _Work:
        name = planned.tool.metadata.name
        return _Work(
            lambda: core.execute(planned, view.put),
            view,
            lambda output: self._finish_run(output, view, arguments),
            view.close,
            f"{name} was stopped with everything it started; the run is recorded as interrupted.",
        )

    def _finish_run(self, output: ToolOutput, view: View, arguments: Arguments) -> ToolOutput:
        from fact_magics import execution
        from fact_magics.display.record import run_record

        if not output.success and not arguments.get("no_raise"):
            view.pump()
            if output.metadata["printed"] or view.stands:
                self._show(view, run_record(output, streamed=view.streams, raised=True), None)
            raise execution.error_of(output)
        if output.success and "into" in arguments.options:
            self._bind(arguments.options["into"], output.result)
        self._show_unless_displayed(view, output)
        return output

    # What is shown.

    def _view(self, title: str) -> View:
        from fact_magics.display.live import SilentView, TerminalView, WidgetView

        self.formatters  # noqa: B018 - registers them
        captured = type(self._shell.display_pub).__name__ == "CapturingDisplayPublisher"
        if captured or self.live == "off":
            return SilentView()
        return WidgetView(title) if self.entry.in_kernel else TerminalView()

    def _show(self, view: View, record: Record, value: object) -> None:
        """Show a record once: where the view stood, or here; `value` is what the cell would show again."""
        if not view.give_way(record):
            self._display(record)
        self.formatters.silence_once(value)

    def _show_unless_displayed(self, view: View, output: ToolOutput) -> None:
        """Let a run's value show itself, unless a view stands in its place."""
        from fact_magics.display.record import run_record

        if view.stands and view.give_way(run_record(output, streamed=view.streams)):
            self.formatters.silence_once(output)

    @staticmethod
    def _display(record: Record) -> None:
        from IPython.display import display

        display(record.bundle, raw=True)


def _flush(core: FactCore) -> str:
    """Commit what waits; a failure costs the rows' place in the history, not the cell."""
    try:
        core.history.flush_blocking()
    except StoreError as unkept:
        return f"Not recorded yet: {unkept.line}"
    return ""


def _nothing() -> None:
    pass


@contextmanager
def _told(work: _Work) -> Iterator[None]:
    """Show what is left of work that fails, and say in one line that it was stopped."""
    from fact_magics.bridge import STOPPED

    try:
        yield
    except STOPPED:
        work.fail()
        raise Interrupted(work.interrupted) from None
    except Exception:
        work.fail()
        raise


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt reach the user's own expressions.

    While a kernel awaits a cell, its SIGINT handler only sets a future, which code that keeps the loop
    busy never sees.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def load(shell: InteractiveShell) -> None:
    """Put the magics into a shell, once."""
    if _loaded(shell) is not None:
        return
    magics = FactMagics(shell)
    shell.register_magics(magics)
    use(magics.workshop)
    magics.workshop.start_ahead()


def unload(shell: InteractiveShell) -> None:
    """Take the magics out of a shell and close what they opened."""
    magics = _loaded(shell)
    if magics is None:
        return
    magics.close()
    use(None)
    manager: Any = shell.magics_manager
    configurables: list[Any] = shell.configurables
    del manager.registry["FactMagics"]
    for kind, names in magics.magics.items():
        for name in names:
            manager.magics[kind].pop(name, None)
    configurables.remove(magics)


def _loaded(shell: InteractiveShell) -> FactMagics | None:
    found = shell.magics_manager.registry.get("FactMagics")
    return found if isinstance(found, FactMagics) else None
