"""`Presenter` shows a live view while a cell works, then the record of the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.core.handle import Tool
    from fact_magics.display.live import View
    from fact_magics.display.record import Record
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import Example, ToolOutput

# By name, because loading the extension must not import them.
_SHOWN = ("fact_magics.core.handle.Tool", "fact_magics.tool.ToolOutput")


class Presenter:
    """Shows the work of one shell's cells, and formats tools and tool outputs as records until `close`.

    `in_kernel` tells whether the shell belongs to a Jupyter kernel; `live` returns the current value of that
    setting.
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
        """Remove the formatters from the shell."""
        for kind in _SHOWN:
            self._shell.display_formatter.mimebundle_formatter.pop(kind, None)
            self._shell.display_formatter.ipython_display_formatter.pop(kind, None)

    def view(self, arguments: Arguments, title: str, examples: Sequence[Example] | None = None) -> View:
        """Create the view of a generation, or of a run if `examples` is None."""
        from fact_magics.display.live import MutedView, SilentView, TerminalView

        if arguments.silent:
            return MutedView(title)
        captured = type(self._shell.display_pub).__name__ == "CapturingDisplayPublisher"
        if captured or self._live() == "off":
            return SilentView(title)
        if not self._in_kernel:
            return TerminalView(title)
        from fact_magics.display.channel import widgets_may_show

        if not widgets_may_show(self._shell):
            return SilentView(title)
        from fact_magics.display.widget import RunningView, WritingView

        if examples is None:
            return RunningView(title)
        return WritingView(title, [example.source for example in examples])

    def show(self, view: View, record: Record, value: object) -> None:
        """Replace the view with the record, or show the record below; the cell then does not show `value`."""
        if not view.give_way(record):
            self.display(record)
        self.silence_once(value)

    def show_unless_displayed(self, view: View, output: ToolOutput) -> None:
        """Replace a visible view with the run's record; otherwise IPython shows the output as the value."""
        from fact_magics.display.record import run_record

        if view.stands and view.give_way(run_record(output, streamed=view.streams)):
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


def _bundle(value: Tool | ToolOutput, include: object = None, exclude: object = None) -> dict[str, str]:
    del include, exclude
    from fact_magics.display.record import run_record, tool_record
    from fact_magics.tool import ToolOutput

    record = run_record(value) if isinstance(value, ToolOutput) else tool_record(value.stored, value.text)
    return record.bundle
