"""The input transformer that turns a ``%%fact_`` cell into an awaited call, or into the blocking magic.

IPython strips ``>>>`` prompts from a cell before it calls a magic, and never awaits the value of a magic. So
the transformer runs before IPython's own, passes the body on unchanged, and rewrites the cell as an awaited
call if the kernel can await it. In all other cases (another magic above, `run_cell_magic`, a terminal) the
blocking magic gets the same body.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.notebook.arguments import CELLS
from fact_magics.notebook.mistyped import refuse_mistyped

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

Function = TypeVar("Function")

_PREFIX = "%%fact_"
_MAGICS = "get_ipython().magics_manager.registry['FactMagics']"
_AWAITED = f"await {_MAGICS}.cell("
_REFUSED = f"{_MAGICS}.refuse("
_BLOCKING = "get_ipython().run_cell_magic("
# Inserted before a prompt in a string, so that IPython does not strip it as a prompt of pasted code.
_SHIELD = "\ue000"


def with_attribute(name: str, value: object) -> Callable[[Function], Function]:
    """Return a decorator that sets an attribute of a function, which IPython reads."""

    def decorate(function: Function) -> Function:
        setattr(function, name, value)
        return function

    return decorate


class CellEntry:
    """Rewrites the cells of these magics in one shell, until `remove`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell: Any = shell
        self._executing = 0
        self._ended: float | None = None
        shell.input_transformers_cleanup.insert(0, self._transform)
        shell.input_transformers_cleanup.append(_unshield)
        shell.input_transformers_post.append(self._refuse)
        shell.events.register("pre_execute", self._begin)
        shell.events.register("post_execute", self._end)

    def remove(self) -> None:
        """Remove the transformers and the event handlers from the shell."""
        for transform in (self._transform, _unshield):
            self._shell.input_transformers_cleanup.remove(transform)
        self._shell.input_transformers_post.remove(self._refuse)
        self._shell.events.unregister("pre_execute", self._begin)
        self._shell.events.unregister("post_execute", self._end)

    def _begin(self) -> None:
        self._executing += 1

    def _end(self) -> None:
        # For an empty cell and the cell that loads the extension, IPython calls only `post_execute`.
        self._executing = max(0, self._executing - 1)
        self._ended = time.monotonic()

    def idle_seconds(self) -> float:
        """Return for how long no cell has been executing; 0 until the first cell has ended."""
        return 0.0 if self._executing or self._ended is None else time.monotonic() - self._ended

    @property
    def in_kernel(self) -> bool:
        """Whether this shell belongs to a Jupyter kernel, whose loop can await a cell."""
        return getattr(self._shell, "kernel", None) is not None

    # At every Enter, a terminal transforms the text to find out whether the cell is complete. With this
    # attribute, IPython skips this transformer during that check, and sees the cell magic. Only if IPython
    # sees a cell magic does it end the cell at a blank line.
    @with_attribute("has_side_effects", True)
    def _transform(self, lines: list[str]) -> list[str]:
        first = next(
            (i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None
        )
        if first is None or not lines[first].lstrip().startswith("%%"):
            return lines if first is None else self._refuse_late(lines) or _shield(lines, first)
        head = lines[first].lstrip()
        indent = lines[first][: -len(head)]
        body = "".join(following.removeprefix(indent) for following in lines[first + 1 :])
        name, line = _split(head[2:])
        # IPython itself answers `%%name?`.
        if not name.isidentifier() or (not head.startswith(_PREFIX) and _PREFIX not in body):
            return lines
        if head.startswith(_PREFIX):
            if name not in self._shell.magics_manager.magics["cell"]:
                return [f"{_REFUSED}{f'%%{name}'!r}, {line!r}, {body!r})\n"]
            body = body or "\n"  # IPython refuses an empty body
        # The cell of another magic is rewritten too, because IPython transforms the cell inside it again.
        can_await = not self._executing and self.in_kernel and self._shell.autoawait
        call = _AWAITED if name in CELLS and can_await else _BLOCKING
        return [f"{call}{name!r}, {line!r}, {body!r})\n"]

    def _refuse_late(self, lines: list[str]) -> list[str]:
        """Refuse a cell with one of these magics below its first line, whose body would not parse."""
        late = next((at for at, line in enumerate(lines) if line.startswith(_PREFIX)), None)
        if late is None or self._shell.check_complete("".join(lines[:late]))[0] != "complete":
            return []  # the line is in a string
        name, line = _split(lines[late].removeprefix("%%"))
        return [f"{_REFUSED}{f'%%{name}'!r}, {line!r})\n"]

    def _refuse(self, lines: list[str]) -> list[str]:
        return refuse_mistyped(lines, _REFUSED, self._shell.magics_manager.magics.get, self._shell.user_ns)

    def remember(self) -> None:
        """Rewrite the running cell in ``In`` as the blocking magic.

        ``exec(In[n])``, ``%macro`` and ``%save`` read cells from ``In``, and can't await them.
        """
        cells: list[str] = self._shell.history_manager.input_hist_parsed
        if cells and cells[-1].startswith(_AWAITED):
            cells[-1] = _BLOCKING + cells[-1].removeprefix(_AWAITED)


def _split(head: str) -> tuple[str, str]:
    """Split the first line of a cell at the first blank, which may be a tab, unlike in IPython."""
    name, *_ = re.split(r"\s", head, maxsplit=1)
    return name, head[len(name) + 1 :].rstrip()


def _shield(lines: list[str], first: int) -> list[str]:
    """Protect the prompts in a string that the cell passes to ``run_cell_magic``."""
    pasted = lines[first].lstrip().startswith(">>>")
    if pasted or not any("fact_generate" in line or "fact_refine" in line for line in lines):
        return lines
    return [f"{_SHIELD}{line}" if line.lstrip().startswith((">>>", "...")) else line for line in lines]


def _unshield(lines: list[str]) -> list[str]:
    return [line.removeprefix(_SHIELD) for line in lines]
