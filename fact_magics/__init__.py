"""fact_magics: a notebook session for tools written by language models.

``%load_ext fact_magics`` brings ``%%fact_generate``, ``%%fact_run`` and ``%fact``. From Python, `FactCore`
does the same work without a notebook.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fact_magics._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.config import Settings, load_settings
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.errors import FactError
    from fact_magics.pictures import Picture
    from fact_magics.tool import ToolInput, ToolMetadata, ToolOutput, ToolSpec

__all__ = [
    "FactCore",
    "FactError",
    "Picture",
    "Settings",
    "Tool",
    "ToolInput",
    "ToolMetadata",
    "ToolOutput",
    "ToolSpec",
    "__version__",
    "load_ipython_extension",
    "load_settings",
    "unload_ipython_extension",
]

# Loading the extension must not import modules that no cell has used yet.
_HOMES = {
    "FactCore": "core",
    "FactError": "errors",
    "Picture": "pictures",
    "Settings": "config",
    "Tool": "core.handle",
    "ToolInput": "tool",
    "ToolMetadata": "tool",
    "ToolOutput": "tool",
    "ToolSpec": "tool",
    "load_settings": "config",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Load the magics; called by ``%load_ext fact_magics``."""
    from fact_magics.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics and close what they opened; called by ``%unload_ext fact_magics``."""
    from fact_magics.notebook.magics import unload

    unload(shell)
