"""IPython without a kernel or a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def new_shell() -> InteractiveShell:
    """Make a shell that keeps no history file and completes without jedi, which completes no magic."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    quiet = Config({"HistoryManager": {"enabled": False}, "IPCompleter": {"use_jedi": False}})
    return InteractiveShell(config=quiet)
