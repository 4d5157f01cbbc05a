"""How IPython shows the two values that cells give: tools and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.core.handle import Tool
    from fact_magics.display.record import Record
    from fact_magics.tool import ToolOutput

# By their names: an import of them is no part of loading the extension.
_SHOWN = ("fact_magics.core.handle.Tool", "fact_magics.tool.ToolOutput")


class Formatters:
    """Registers the formatters, and keeps a cell from showing one record twice.

    Parameters
    ----------
    shell : InteractiveShell
        Whose display formatter is extended until `remove`.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        formatter: Any = shell.display_formatter
        self._formatter = formatter
        self._shown: object = None
        for kind in _SHOWN:
            self._formatter.mimebundle_formatter.for_type(kind, self._bundle)
            self._formatter.ipython_display_formatter.for_type(kind, self._skip_shown)

    def remove(self) -> None:
        """Leave IPython as it was."""
        for kind in _SHOWN:
            self._formatter.mimebundle_formatter.pop(kind, None)
            self._formatter.ipython_display_formatter.pop(kind, None)

    def silence_once(self, value: object) -> None:
        """Let the next display of this very value show nothing: its record stands there already."""
        self._shown = value

    def _skip_shown(self, value: object) -> None:
        # A display method that returns has shown its value; one not implemented leaves it to the others.
        shown, self._shown = self._shown, None
        if value is not shown:
            raise NotImplementedError

    @staticmethod
    def _bundle(value: Tool | ToolOutput, include: object = None, exclude: object = None) -> dict[str, str]:
        del include, exclude
        return record_of(value).bundle


def record_of(value: Tool | ToolOutput) -> Record:
    """Build the record that a value shows."""
    from fact_magics.display.record import run_record, tool_record
    from fact_magics.tool import ToolOutput

    if isinstance(value, ToolOutput):
        return run_record(value)
    return tool_record(value.stored, value.text)
