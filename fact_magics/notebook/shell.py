"""What a ``%fact`` line may do to the notebook that it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fact_magics.core.handle import Tool

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.display.record import Record


class ShellNotebook:
    """The notebook of a shell.

    Parameters
    ----------
    shell : InteractiveShell
        Which runs the line.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell: Any = shell

    def show(self, record: Record) -> None:
        """Show a record in the cell, before what the subcommand itself comes to."""
        from IPython.display import display

        display(record.bundle, raw=True)

    def put_cell(self, text: str) -> None:
        """Put a cell with this text below; a terminal begins its next prompt with it."""
        self._shell.set_next_input(text)

    def rebind(self, tool: Tool) -> bool:
        """Bind a tool's name anew, if it holds another version of it; tells whether it did."""
        held = self._shell.user_ns.get(tool.name)
        if not isinstance(held, Tool) or held.name != tool.name:
            return False
        self._shell.push({tool.name: tool})
        return True
