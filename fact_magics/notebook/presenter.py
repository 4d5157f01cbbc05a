"""The outputs of cells: a live view during the work, then a record, each shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.core.handle import Tool
    from fact_magics.display.html import Record
    from fact_magics.display.live import View
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import Example, ToolOutput

# By name, because loading the extension must not import them.
_SHOWN = ("fact_magics.core.handle.Tool", "fact_magics.tool.ToolOutput")


class Presenter:
    """Shows the work of one shell's cells, and formats the tools and outputs that are their values.

    Parameters
    ----------
    shell : InteractiveShell
        Its display formatter is extended until `close`.
    in_kernel : bool
        Whether the shell belongs to a Jupyter kernel.
    live : callable
        Gives the present value of the setting ``live``.
    """

    def __init__(self, shell: Any, *, in_kernel: bool, live: Callable[[], str]) -> None:
        self._shell = shell
        self._in_kernel = in_kernel
        self._live = live
        self._shown: object = None
        for kind in _SHOWN:
            shell.display_formatter.mimebundle_formatter.for_type(kind, _bundle)
            shell.display_formatter.ipython_display_formatter.for_type(kind, self._skip_shown)

    def close(self) -> None:
        """Leave IPython as it was."""
        for kind in _SHOWN:
            self._shell.display_formatter.mimebundle_formatter.pop(kind, None)
            self._shell.display_formatter.ipython_display_formatter.pop(kind, None)

    def view(self, arguments: Arguments, title: str, examples: Sequence[Example] | None = None) -> View:
        """Choose the view of the work: of a generation if `examples` are given, else of a run."""
        from fact_magics.display.live import MutedView, RunningView, TerminalView, View, WritingView

        if arguments.silent:
            return MutedView(title)
        captured = type(self._shell.display_pub).__name__ == "CapturingDisplayPublisher"
        if captured or self._live() == "off":
            return View(title)
        if not self._in_kernel:
            return TerminalView(title)
        from fact_magics.display.channel import widgets_may_show

        if not widgets_may_show(self._shell):
            return View(title)
        if examples is None:
            return RunningView(title)
        return WritingView(title, [example.source for example in examples])

    def show(self, view: View, record: Record, value: object) -> None:
        """Show a record in the place of the view, or here; the cell then does not show `value` again."""
        view.replace(record)
        self.silence_once(value)

    def show_unless_displayed(self, view: View, output: ToolOutput) -> None:
        """Let a run's value show itself, unless its record replaces the view."""
        from fact_magics.display.record import run_record

        if view.is_visible:
            view.replace(run_record(output, streamed=view.streams))
            self.silence_once(output)

    def silence_once(self, value: object) -> None:
        """Show nothing when this very value is displayed next: its record is in the cell already."""
        self._shown = value

    def end_cell(self) -> None:
        """Forget what this cell has shown, so that the value shows its record when it is displayed again."""
        self._shown = None

    @staticmethod
    def display(record: Record) -> None:
        """Show a record as an output of its own."""
        from IPython.display import display

        display(record.bundle, raw=True)

    def _skip_shown(self, value: object) -> None:
        # A display method that returns has shown its value; one that is not implemented leaves it to others.
        shown, self._shown = self._shown, None
        if value is not shown:
            raise NotImplementedError


def _bundle(value: Tool | ToolOutput, include: object = None, exclude: object = None) -> dict[str, str]:
    del include, exclude
    from fact_magics.display.record import run_record, tool_record
    from fact_magics.tool import ToolOutput

    record = run_record(value) if isinstance(value, ToolOutput) else tool_record(value.stored, value.text)
    return record.bundle
