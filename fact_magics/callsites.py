"""Where a person's own code called a tool that failed: its error shows no frames, neither ours nor theirs."""

from __future__ import annotations

import linecache
import sysconfig
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from fact_magics.text import one_line

if TYPE_CHECKING:
    from types import TracebackType

_CALLED = str(Path(__file__).with_name("core") / "handle.py")
_LIBRARIES = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
_SITES = 8
_LINE_LIMIT = 120


def call_sites(traceback: TracebackType | None) -> list[str]:
    """Tell the lines that led to a tool's call, the outermost first.

    Returns
    -------
    list of str
        The last few; empty where no tool was called as a function, or the cell is nothing but that call.
    """
    frames = extract_tb(traceback)
    called = next((at for at, frame in enumerate(frames) if frame.filename == _CALLED), 0)
    # Compiled code, and that which other magics execute, has no lines to show.
    own = [frame for frame in frames[:called] if frame.line and not frame.filename.startswith(_LIBRARIES)]
    if len(own) == 1 and len(linecache.getlines(own[0].filename)) == 1:
        return []
    return [
        f"at line {frame.lineno}{'' if frame.name.startswith('<') else f' in {frame.name}'}: "
        f"{one_line(str(frame.line), _LINE_LIMIT)}"
        for frame in own[-_SITES:]
    ]
