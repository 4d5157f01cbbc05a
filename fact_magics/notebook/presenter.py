"""What stands in a cell: the view while work goes on, the record at its end, each shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fact_magics.notebook.formatters import Formatters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.display.live import View
    from fact_magics.display.record import Record
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import Example, ToolOutput


class Presenter:
    """Shows the work of one shell's cells.

    Parameters
    ----------
    shell : InteractiveShell
        Where it is shown.
    in_kernel : bool
        Whether the shell is a kernel's.
    live : callable
        Gives the setting ``live`` as it is now.
    """

    def __init__(self, shell: Any, *, in_kernel: bool, live: Callable[[], str]) -> None:
        self._shell = shell
        self._in_kernel = in_kernel
        self._live = live
        self.formatters = Formatters(shell)

    def end_cell(self) -> None:
        """Forget what this cell has shown already: shown again, it shows itself."""
        self.formatters.silence_once(None)

    def close(self) -> None:
        """Remove the formatters."""
        self.formatters.remove()

    def view(self, arguments: Arguments, title: str, examples: Sequence[Example] | None = None) -> View:
        """Choose what shows the work: of writing, where `examples` are given, or of running."""
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
        """Show a record once: where the view stood, or here; `value` is what the cell would show again."""
        if not view.give_way(record):
            self.display(record)
        self.formatters.silence_once(value)

    def show_unless_displayed(self, view: View, output: ToolOutput) -> None:
        """Let a run's value show itself, unless a view stands in its place."""
        from fact_magics.display.record import run_record

        if view.stands and view.give_way(run_record(output, streamed=view.streams)):
            self.formatters.silence_once(output)

    @staticmethod
    def display(record: Record) -> None:
        """Show a record as an output of its own."""
        from IPython.display import display

        display(record.bundle, raw=True)
