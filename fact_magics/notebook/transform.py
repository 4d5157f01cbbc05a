"""The input transformer that turns a ``%%fact_`` cell into an awaited call, or into the blocking magic.

IPython strips ``>>>`` prompts from a cell before any magic sees it, and never awaits the value of a magic. So
the first transformer keeps the bodies of these cells as they are, and rewrites a cell that the kernel can
await as an awaited call. In all other cases (a magic above it, `run_cell_magic`, a terminal) the blocking
magic gets the same body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Transform = TypeVar("Transform")

_PREFIX = "%%fact_"
_BLOCKING = "get_ipython().run_cell_magic("
# Put before a prompt inside a string while IPython strips the prompts of pasted code.
_SHIELD = "\ue000"


def _only_where_it_runs(transform: Transform) -> Transform:
    """Leave a transformer out when a prompt asks, at every Enter, whether the cell is complete.

    IPython takes a cell for complete at a blank line only if it sees a cell magic.
    """
    function: Any = transform
    function.has_side_effects = True
    return transform


class CellEntry:
    """Rewrites the cells of these magics, and knows whether a cell is executing.

    Parameters
    ----------
    shell : InteractiveShell
        Extended until `remove`.
    awaitable : tuple of str
        The cell magics that have an awaited form.
    target : str
        An expression in the notebook's namespace. Its ``cell(name, line, body)`` is awaited; its
        ``refuse(name)`` raises an error for a magic that does not exist.
    """

    def __init__(self, shell: InteractiveShell, awaitable: tuple[str, ...], target: str) -> None:
        self._shell: Any = shell
        self._awaitable = awaitable
        self._awaited = f"await {target}.cell("
        self._refused = f"{target}.refuse("
        self._executing = 0
        shell.input_transformers_cleanup.insert(0, self._transform)
        shell.input_transformers_cleanup.append(_unshield)
        shell.events.register("pre_execute", self._begin)
        shell.events.register("post_execute", self._end)

    def remove(self) -> None:
        """Leave IPython as it was."""
        for transform in (self._transform, _unshield):
            self._shell.input_transformers_cleanup.remove(transform)
        self._shell.events.unregister("pre_execute", self._begin)
        self._shell.events.unregister("post_execute", self._end)

    def _begin(self) -> None:
        self._executing += 1

    def _end(self) -> None:
        # An empty cell ends without a beginning, and so does the cell that loads the extension.
        self._executing = max(0, self._executing - 1)

    @property
    def in_kernel(self) -> bool:
        """Whether this shell belongs to a Jupyter kernel, whose loop can await a cell."""
        return getattr(self._shell, "kernel", None) is not None

    @_only_where_it_runs
    def _transform(self, lines: list[str]) -> list[str]:
        first = next(
            (i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None
        )
        if first is None or not lines[first].lstrip().startswith("%%"):
            return lines if first is None else _shield(lines, first)
        head = lines[first].lstrip()
        indent = lines[first][: -len(head)]
        body = "".join(following.removeprefix(indent) for following in lines[first + 1 :])
        name, _, line = head[2:].rstrip().partition(" ")
        # IPython itself answers `%%name?`.
        if not name.isidentifier() or (not head.startswith(_PREFIX) and _PREFIX not in body):
            return lines
        if head.startswith(_PREFIX):
            if name not in self._shell.magics_manager.magics["cell"]:
                return [f"{self._refused}{name!r})\n"]
            body = body or "\n"  # IPython refuses an empty body
        # The cell of another magic is rewritten too: IPython transforms the cell inside it again.
        call = self._awaited if self._awaits(name) else _BLOCKING
        return [f"{call}{name!r}, {line!r}, {body!r})\n"]

    def remember(self) -> None:
        """Write the cell that is being awaited to ``In`` as the blocking magic.

        ``exec(In[n])``, ``%macro`` and ``%save`` take it from there, and can't await it.
        """
        cells: list[str] = self._shell.history_manager.input_hist_parsed
        if cells and cells[-1].startswith(self._awaited):
            cells[-1] = _BLOCKING + cells[-1].removeprefix(self._awaited)

    def _awaits(self, name: str) -> bool:
        return name in self._awaitable and not self._executing and self.in_kernel and self._shell.autoawait


def _shield(lines: list[str], first: int) -> list[str]:
    """Protect the prompts inside strings, which a script passes to ``run_cell_magic``."""
    pasted = lines[first].lstrip().startswith(">>>")
    if pasted or not any("fact_generate" in line for line in lines):
        return lines
    return [f"{_SHIELD}{line}" if line.lstrip().startswith((">>>", "...")) else line for line in lines]


def _unshield(lines: list[str]) -> list[str]:
    return [line.removeprefix(_SHIELD) for line in lines]
