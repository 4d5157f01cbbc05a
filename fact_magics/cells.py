"""Which way a cell comes in: awaited by the kernel, or as the blocking magic.

IPython strips ``>>>`` prompts from a cell before any magic sees it, and never awaits what a magic returns.
So the first transformer in line carries the bodies of these cells whole, and turns a cell that the kernel
can await into an awaited call. Where that can't be (a magic above it, `run_cell_magic`, a terminal), the
same body goes to the blocking magic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PREFIX = "%%fact_"


class CellEntry:
    """Rewrites the cells of these magics, and knows whether a cell is executing.

    Parameters
    ----------
    shell : InteractiveShell
        Extended until `remove`.
    awaitable : tuple of str
        The cell magics that have an awaited form.
    target : str
        An expression, in the notebook's namespace, whose ``cell(name, line, body)`` is awaited.
    """

    def __init__(self, shell: InteractiveShell, awaitable: tuple[str, ...], target: str) -> None:
        self._shell: Any = shell
        self._awaitable = awaitable
        self._target = target
        self._executing = 0
        shell.input_transformers_cleanup.insert(0, self._transform)
        shell.events.register("pre_execute", self._begin)
        shell.events.register("post_execute", self._end)

    def remove(self) -> None:
        """Leave IPython as it was."""
        self._shell.input_transformers_cleanup.remove(self._transform)
        self._shell.events.unregister("pre_execute", self._begin)
        self._shell.events.unregister("post_execute", self._end)

    def _begin(self) -> None:
        self._executing += 1

    def _end(self) -> None:
        # An empty cell ends without having begun, and so does the cell that loads the extension.
        self._executing = max(0, self._executing - 1)

    @property
    def in_kernel(self) -> bool:
        """Whether a Jupyter kernel, whose loop can await a cell, runs this shell."""
        return getattr(self._shell, "kernel", None) is not None

    def _transform(self, lines: list[str]) -> list[str]:
        first = next(
            (i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None
        )
        if first is None or not lines[first].lstrip().startswith("%%"):
            return lines
        head = lines[first].lstrip()
        indent = lines[first][: -len(head)]
        body = "".join(following.removeprefix(indent) for following in lines[first + 1 :])
        name, _, line = head[2:].rstrip().partition(" ")
        # `%%name?` asks for help, which IPython gives.
        if not name.isidentifier() or (not head.startswith(_PREFIX) and _PREFIX not in body):
            return lines
        if self._awaits(name):
            return [f"await {self._target}.cell({name!r}, {line!r}, {body!r})\n"]
        # Also under another magic, carried whole: the inner cell comes round again.
        return [f"get_ipython().run_cell_magic({name!r}, {line!r}, {body!r})\n"]

    def _awaits(self, name: str) -> bool:
        return name in self._awaitable and not self._executing and self.in_kernel and self._shell.autoawait
