"""`FactMagics`: the magics and the settings of the extension, and how a shell loads and unloads them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from math import inf, isnan
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import CaselessStrEnum, Dict, Enum, Float, TraitError, Unicode, observe, validate

from fact_magics.errors import Interrupted, SettingsError
from fact_magics.notebook.arguments import (
    CELLS,
    EDIT,
    GENERATE,
    MAP,
    REFINE,
    RUN,
    Arguments,
    line_is_silenced,
    read_line,
)
from fact_magics.notebook.bodies import silenced_description, silenced_input
from fact_magics.notebook.completion import Completion
from fact_magics.notebook.generate_cell import prepare_edit, prepare_generation, prepare_refinement
from fact_magics.notebook.interrupts import interruptible
from fact_magics.notebook.map_cell import prepare_map
from fact_magics.notebook.mistyped import refusal
from fact_magics.notebook.presenter import Inspection, Presenter
from fact_magics.notebook.run_cell import finish_run, prepare_run, put_printed
from fact_magics.notebook.transform import CellEntry, with_attribute
from fact_magics.notebook.work import (
    AlreadyStored,
    Here,
    Host,
    Work,
    ended_by_interrupt,
    failure_shown,
    silenced,
    stoppable,
)
from fact_magics.session import Session
from fact_magics.tools import _use as use_session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PREPARE = {
    "fact_generate": prepare_generation,
    "fact_refine": prepare_refinement,
    "fact_edit": prepare_edit,
    "fact_run": prepare_run,
    "fact_map": prepare_map,
}
_ENDINGS = {
    "fact_generate": silenced_description,
    "fact_refine": silenced_description,
    "fact_run": silenced_input,
    "fact_map": silenced_input,
}


def _fact_help() -> str:
    from fact_magics.notebook.commands import help_text

    return help_text()


def _choice(*values: str, about: str, default: str | None = None, enum: Any = Enum) -> Any:
    return enum(list(values), default, allow_none=default is None, help=about).tag(config=True)


@magics_class
class FactMagics(Magics):
    """The cell magics ``%%fact_…`` and the line magic ``%fact``, with their settings."""

    model = Unicode(None, allow_none=True, help="The model for cells without --model.").tag(config=True)
    model_timeout = Float(
        None,
        allow_none=True,
        min=0.001,
        max=86_400.0,
        help="How many seconds a model's server may send nothing before the request is given up, such as "
        "while it loads the model. By default: 120.",
    ).tag(config=True)
    live = _choice(
        "auto", "off", default="auto", about="auto: show work as it happens. off: only its record."
    )
    probe = _choice(
        "auto",
        "off",
        about="auto: after a proof, the cell takes up to a second to find out how far the examples go. "
        "off: only %fact probe finds it out.",
    )
    isolation = _choice(
        "auto",
        "require",
        "process",
        about="auto: run a tool that a model wrote only if the system can restrict its files and network. "
        "require: run tools only with all protections. process: run all tools in plain processes.",
    )
    limits = Dict(
        default_value=None,
        allow_none=True,
        help='Limits of a run besides --timeout and --memory. By default: {"processes": 64, "threads": 1024, '
        '"disk_mb": 1024, "file_mb": 512, "printed_mb": 64, "result_mb": 64, "open_files": 256}.',
    ).tag(config=True)
    history = _choice(
        "strict",
        "best-effort",
        about="strict: each run says if its row can't be stored. best-effort: while the disk is full or "
        "read-only, only the first run says so.",
    )
    budget = Float(
        None,
        allow_none=True,
        help="The most that this session's requests to models may cost, in US dollars. A request that could "
        "cost more than is left is not sent.",
    ).tag(config=True)
    prune_older_than = Unicode(
        None,
        allow_none=True,
        help="Once a day, remove the runs that are older than this from the history: 90d, 12 weeks.",
    ).tag(config=True)
    log_level = _choice(
        "debug", "info", "warning", "error", about="The lowest logged level.", enum=CaselessStrEnum
    )

    def __init__(self, shell: InteractiveShell) -> None:
        try:
            super().__init__(shell)
        except TraitError as error:  # IPython keeps a value that %config refused, and applies it here again
            raise SettingsError(
                str(error),
                hint="Correct it in ipython_config.py. If it was set with %config, run "
                "get_ipython().config.FactMagics.clear().",
            ) from None
        self._shell: Any = shell
        kernel = type(getattr(shell, "kernel", None) or shell).__module__.partition(".")[0]
        self.session = Session(
            self._overrides, notebook=os.environ.get("JPY_SESSION_NAME", ""), kernel=kernel
        )
        self.entry = CellEntry(shell)
        self._inspection = Inspection(shell)
        self._presenter = Presenter(shell, in_kernel=self.entry.in_kernel, live=lambda: str(self.live))
        self.session.on_opened = self._presenter.show_maps_of
        self._host = Host(shell, self.session, self._presenter)
        self._completion = Completion(self._host)
        shell.events.register("post_execute", self._end_of_cell)

    @validate("limits")
    def _refuse_unknown(self, proposal: dict[str, Any]) -> dict[str, Any] | None:
        if hasattr(self, "session"):  # not while the extension is being loaded
            self.session.wait_for_imports()
        from fact_magics.sandbox.limits import read_limits

        given: dict[str, Any] | None = proposal["value"]
        try:
            read_limits(given or {})
        except ValueError as error:
            raise TraitError(f"FactMagics.limits was not changed: {error}.") from None
        return given

    @validate("model_timeout")
    def _refuse_nan(self, proposal: dict[str, Any]) -> float | None:
        given: float | None = proposal["value"]
        if given is not None and isnan(given):
            raise TraitError("FactMagics.model_timeout was not changed: nan is not a number of seconds.")
        return given

    @validate("budget")
    def _refuse_no_amount(self, proposal: dict[str, Any]) -> float | None:
        given: float | None = proposal["value"]
        if given is not None and not 0 <= given < inf:
            raise TraitError(
                f"FactMagics.budget was not changed: {given:g} is not an amount of US dollars, such as 0.50."
            )
        return given

    @validate("prune_older_than")
    def _refuse_no_age(self, proposal: dict[str, Any]) -> str | None:
        if hasattr(self, "session"):  # not while the extension is being loaded
            self.session.wait_for_imports()
        from fact_magics.store.since import age

        given: str | None = proposal["value"]
        try:
            if given is not None:
                age(given)
        except ValueError as error:
            raise TraitError(f"FactMagics.prune_older_than was not changed: {given!r} {error}.") from None
        return given

    @observe("isolation", "limits", "log_level", "history", "prune_older_than", "budget")
    def _take_over(self, change: object) -> None:
        """Apply the change to an open core at once, because a run does not read the settings again."""
        del change
        if self.session.opened is not None:
            self.session.core  # noqa: B018 - reading it applies the settings

    def _overrides(self) -> dict[str, Any]:
        # The defaults are None because any other default would override the environment.
        names = (
            "model", "model_timeout", "live", "isolation", "limits", "log_level", "history", "budget", "probe"
        )  # fmt: skip
        return {name: getattr(self, name) for name in (*names, "prune_older_than")}

    def close(self) -> None:
        """Remove everything that was added to the shell, and close the session."""
        self._shell.events.unregister("post_execute", self._end_of_cell)
        self.entry.remove()
        self._completion.remove()
        self._inspection.remove()
        self._presenter.close()
        self.session.close()

    def _end_of_cell(self) -> None:
        # Runs that the cache answered are recorded only in memory until here, which keeps them fast.
        self._presenter.end_cell()
        core = self.session.opened
        if core is None:
            return
        try:
            warning = core.flush_blocking()
        except KeyboardInterrupt:  # IPython would show it as an error of this callback
            warning = "KeyboardInterrupt: this cell had ended, and its rows are stored."
        if warning:
            sys.stderr.write(warning + "\n")

    # IPython calls one of these magics, or awaits `cell`. For `?` it calls a magic's `getdoc`.

    @with_attribute("getdoc", GENERATE.help_text)
    @no_var_expand
    @cell_magic
    def fact_generate(self, line: str, cell: str) -> object:
        """Ask a model to write a tool, and test it on the examples in the cell; see ``--help``."""
        return self._blocking("fact_generate", line, cell)

    @with_attribute("getdoc", REFINE.help_text)
    @no_var_expand
    @cell_magic
    def fact_refine(self, line: str, cell: str) -> object:
        """Ask a model to change a tool, and test it on its examples and those in the cell; see ``--help``."""
        return self._blocking("fact_refine", line, cell)

    @with_attribute("getdoc", EDIT.help_text)
    @no_var_expand
    @cell_magic
    def fact_edit(self, line: str, cell: str) -> object:
        """Test edited Python source, and keep it as the tool's next version; see ``--help``."""
        return self._blocking("fact_edit", line, cell)

    @with_attribute("getdoc", RUN.help_text)
    @no_var_expand
    @cell_magic
    def fact_run(self, line: str, cell: str) -> object:
        """Run a tool in isolation on validated input, or give the cached answer; see ``--help``."""
        return self._blocking("fact_run", line, cell)

    @with_attribute("getdoc", MAP.help_text)
    @no_var_expand
    @cell_magic
    def fact_map(self, line: str, cell: str) -> object:
        """Run a tool on many rows, and show the progress; see ``--help``."""
        return self._blocking("fact_map", line, cell)

    @with_attribute("getdoc", _fact_help)
    @no_var_expand
    @line_magic
    def fact(self, line: str) -> object:
        """Show the state, or run a subcommand for tools, history and models; see ``--help``."""
        try:
            return self._managed(line)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise Interrupted("%fact was stopped before it had shown its result.") from None

    def _managed(self, line: str) -> object:
        self.session.wait_for_imports()
        from fact_magics.display.html import Record
        from fact_magics.display.live import View
        from fact_magics.display.record import run_record
        from fact_magics.display.streams import PrintingView
        from fact_magics.notebook.commands import manage

        silent = line_is_silenced(line)
        line = line.strip().removesuffix(";")
        shown = manage(line, self.session, self._host)
        if isinstance(shown, str):
            print(shown)  # noqa: T201 - JSON and help are for copying
        elif isinstance(shown, Record):
            if not silent:
                self._presenter.display(shown)
        else:
            view = PrintingView(line, silent=True) if silent else View(line)
            if silent:
                put_printed(view, line, shown)
            output = finish_run(self._host, shown, view, Arguments({}, {}))
            self._presenter.show(view, run_record(output), output)
            return None if silent else output
        return None

    def _blocking(self, name: str, line: str, body: str) -> object:
        work = self._prepare(name, line, body)
        if isinstance(work, Here):
            from IPython.core.async_helpers import get_asyncio_loop

            return work.finish(work.run.run(get_asyncio_loop))
        if not isinstance(work, Work):
            return work
        try:
            with failure_shown(work):
                result = self.session.submit(work.start()).wait(work.view.pump)
        except AlreadyStored as late:
            return work.finish_alone(late.result)
        if (following := work.follow(result)) is not None:
            with ended_by_interrupt():
                self.session.submit(following).wait(work.view.pump)
        return work.finish(result)

    async def cell(self, name: str, line: str, body: str) -> object:
        """Do a cell's work without blocking the kernel's loop."""
        self.entry.remember()
        with interruptible():
            work = self._prepare(name, line, body)
        if isinstance(work, Here):
            return work.finish(await work.run.arun())
        if not isinstance(work, Work):
            return work
        try:
            with failure_shown(work), stoppable(work.view):
                result = await self.session.submit(work.start()).wait_awaited(work.view.pump)
        except AlreadyStored as late:
            return work.finish_alone(late.result)
        if (following := work.follow(result)) is not None:
            with ended_by_interrupt(), stoppable(work.view):
                await self.session.submit(following).wait_awaited(work.view.pump)
        return work.finish(result)

    def refuse(self, written: str, line: str = "", body: str = "") -> object:
        """Raise the error for a magic that is written wrongly; see `mistyped.refusal`.

        If the running cell has defined the magic in the meantime, the magic is called.
        """
        name = written.lstrip("%")
        if written == f"%{name}" and self._shell.find_line_magic(name):
            return self._shell.run_line_magic(name, line, _stack_depth=2)
        if written == f"%%{name}" and body and self._shell.find_cell_magic(name):
            return self._shell.run_cell_magic(name, line, body)
        from fact_magics.notebook.commands import COMMANDS

        raise refusal(written, line, body, [*filter(None, COMMANDS)])

    def _prepare(self, name: str, line: str, body: str) -> Work | Here | object:
        try:
            return self._prepared(name, line, body)
        except KeyboardInterrupt:
            raise Interrupted("The cell was stopped before it ran anything.") from None

    def _prepared(self, name: str, line: str, body: str) -> Work | Here | object:
        command = CELLS[name]
        arguments = read_line(line, command)
        if arguments.help:
            print(command.help_text())  # noqa: T201 - help is text
            return None
        self.session.wait_for_imports()
        if name in ("fact_generate", "fact_refine"):
            self.session.hurry_imports()
        if name in _ENDINGS:
            body, ended = _ENDINGS[name](body)
            arguments = replace(arguments, silent=arguments.silent or ended)
        work = _PREPARE[name](self._host, arguments, body)
        return silenced(work) if arguments.silent else work


def load(shell: InteractiveShell) -> None:
    """Register the magics in a shell, unless they are registered."""
    if _loaded(shell) is not None:
        return
    magics = FactMagics(shell)
    shell.register_magics(magics)
    use_session(magics.session)
    entry = magics.entry
    magics.session.start_ahead(entry.idle_seconds if entry.in_kernel else None)


def unload(shell: InteractiveShell) -> None:
    """Remove the magics from a shell, and close the session."""
    magics = _loaded(shell)
    if magics is None:
        return
    use_session(None)
    magics.close()
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
