"""`Presenter` shows the work of cells and its record; `Inspection` shows a tool for ``tool?``."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.display.html import Record
    from fact_magics.display.live import View
    from fact_magics.mapping.result import MapResult
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import Example, ToolOutput

# Classes, given by name because loading the extension must not import them.
_MAP_RESULT = "fact_magics.mapping.result.MapResult"
_SHOWN = ("fact_magics.core.handle.Tool", "fact_magics.tool.ToolOutput", _MAP_RESULT)
_IN_RECORDS = ("text/plain", "text/html")


class Presenter:
    """Shows the work of one shell's cells, and formats tools and tool outputs as records until `close`.

    `in_kernel` tells whether the shell belongs to a Jupyter kernel; `live` returns the current value of
    ``%config FactMagics.live``.
    """

    def __init__(self, shell: Any, *, in_kernel: bool, live: Callable[[], str]) -> None:
        self._shell = shell
        self._in_kernel = in_kernel
        self._live = live
        self._shown: object = None
        display = shell.display_formatter
        others = [formatter for kind, formatter in display.formatters.items() if kind not in _IN_RECORDS]
        self._formatters = [
            (display.mimebundle_formatter, _bundle),
            (display.ipython_display_formatter, self._skip_shown),
            # IPython would look for these formats in every base class of a result, at each display.
            *((formatter, _nothing) for formatter in others),
        ]
        for formatter, show in self._formatters:
            for kind in _SHOWN:
                formatter.for_type(kind, show)
        # A MapResult is a list, and IPython's own printer of lists would come before the record.
        self._plain = display.formatters["text/plain"]
        self._plain.for_type(_MAP_RESULT, _print)

    def close(self) -> None:
        """Remove the formatters from the shell."""
        for formatter, _ in self._formatters:
            for kind in _SHOWN:
                formatter.pop(kind, None)
        self._plain.pop(_MAP_RESULT, None)

    def view(self, arguments: Arguments, title: str, examples: Sequence[Example] | None = None) -> View:
        """Create the view of a generation, or of a run if `examples` is None."""
        from fact_magics.display.channel import widgets_may_show
        from fact_magics.display.live import MutedView, RunningView, View, WritingView
        from fact_magics.display.streams import PhasesView, PrintingView, TerminalView

        if examples is None and (arguments.silent or self._shell.ast_node_interactivity == "none"):
            return PrintingView(title, silent=True)  # only the value is hidden, as that of a call
        if arguments.silent:
            return MutedView(title)
        if self._live() == "off":
            return View(title)
        captured = type(self._shell.display_pub).__name__ == "CapturingDisplayPublisher"
        if not (self._in_kernel or captured):
            return TerminalView(title)
        if captured or not widgets_may_show(self._shell):
            return PrintingView(title) if examples is None else PhasesView(title, len(examples))
        if examples is None:
            return RunningView(title)
        return WritingView(title, [example.source for example in examples])

    def map_view(self, title: str, *, silent: bool = False) -> View:
        """Create the view of a map."""
        from fact_magics.display.channel import widgets_may_show
        from fact_magics.display.live import MutedView, View
        from fact_magics.display.maps import MapView, TerminalMapView

        if silent:
            return MutedView(title)
        captured = type(self._shell.display_pub).__name__ == "CapturingDisplayPublisher"
        if self._live() == "off" or captured:
            return View(title)
        if not self._in_kernel:
            return TerminalMapView(title)
        return MapView(title) if widgets_may_show(self._shell) else View(title)

    def show_maps_of(self, core: FactCore) -> None:
        """Show the progress of maps that are called as functions."""
        core.rows.progress = self.map_view

    def show(self, view: View, record: Record, value: object) -> None:
        """Replace the view with the record, or show the record below; the cell then does not show `value`."""
        view.replace(record)
        self.silence_once(value)

    def show_unless_displayed(self, view: View, output: ToolOutput) -> None:
        """Replace a visible view with the run's record; otherwise IPython shows the output as the value."""
        from fact_magics.display.record import run_record

        if view.is_visible:
            view.replace(run_record(output, streamed=view.streams))
            self.silence_once(output)

    def silence_once(self, value: object) -> None:
        """Skip the next display of this value, because its record is in the cell already."""
        self._shown = value

    def end_cell(self) -> None:
        """End the effect of `silence_once`, so that later cells display the value again."""
        self._shown = None

    @staticmethod
    def display(record: Record) -> None:
        """Show a record as an output of its own."""
        from IPython.display import display

        display(record.bundle, raw=True)

    def _skip_shown(self, value: object) -> None:
        # IPython shows nothing more if this returns; NotImplementedError makes it use the other formatters.
        shown, self._shown = self._shown, None
        if value is not shown:
            raise NotImplementedError


def _nothing(_: object) -> None:
    pass


def _print(value: MapResult, printer: Any, _cycle: bool) -> None:
    is_whole = len(printer.stack) == 1  # not a part of another value
    printer.text(_bundle(value)["text/plain"] if is_whole else repr(value))


def _bundle(
    value: Tool | ToolOutput | MapResult, include: object = None, exclude: object = None
) -> dict[str, str]:
    del include, exclude
    from fact_magics.display.maps import map_record
    from fact_magics.display.record import run_record, tool_record
    from fact_magics.mapping.result import MapResult
    from fact_magics.tool import ToolOutput

    if isinstance(value, MapResult):
        return map_record(value).bundle
    record = run_record(value) if isinstance(value, ToolOutput) else tool_record(value.stored, value.text)
    return record.bundle


class Inspection:
    """Shows a tool for ``tool?`` and ``tool??`` as IPython shows a function, in one shell until `remove`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._inspector: Any = shell.inspector
        before = getattr(self._inspector, "mime_hooks", None)
        if before is None:  # before IPython 8.22
            self._hooks: dict[str, Any] = {}
            return
        self._others = {kind: before[kind] for kind in _IN_RECORDS if kind in before}
        self._hooks = {kind: partial(self._describe, kind) for kind in _IN_RECORDS}
        self._inspector.mime_hooks = {**before, **self._hooks}

    def remove(self) -> None:
        """Remove the descriptions from the inspector."""
        if self._hooks:
            hooks = self._inspector.mime_hooks.items()
            kept = {kind: hook for kind, hook in hooks if hook is not self._hooks.get(kind)}
            self._inspector.mime_hooks = {**self._others, **kept}

    def _describe(self, kind: str, asked: Any) -> list[tuple[str, str]] | None:
        from fact_magics.text import inert

        # No tool exists before `core.handle` is imported, and `?` on another object must not import it.
        handle = sys.modules.get("fact_magics.core.handle")
        if handle is None or not isinstance(asked.obj, handle.Tool):
            other = self._others.get(kind)
            return other(asked) if other is not None else None
        tool: Tool = asked.obj
        facts = f"{tool.version} · {'proven' if tool.metadata.proven else 'unproven'}"
        if tool.metadata.permissions:
            facts += f" · allowed: {', '.join(tool.metadata.permissions)}"
        sections = [("Signature", self._code(tool.text, kind)), ("Version", _text(inert(facts), kind))]
        if asked.detail_level:
            return [*sections, ("Source", self._code(inert(tool.source), kind))]
        return [*sections, ("Docstring", _text(tool.__doc__ or "", kind))]

    def _code(self, source: str, kind: str) -> str:
        return str(self._inspector.format(source)) if kind == "text/plain" else _text(source, kind)


def _text(text: str, kind: str) -> str:
    from html import escape

    return text if kind == "text/plain" else f"<pre>{escape(text)}</pre>"
