"""The toolbox as a module: ``from fact_magics.tools import slugify``.

It asks the core of the loaded extension; in a script without one it opens the process's own on the first
import of a name, from the settings of the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.errors import FactError, ToolImportError, UnknownName
from fact_magics.workshop import Workshop

if TYPE_CHECKING:
    from fact_magics.handle import Tool

# The one process-wide default: a module has nobody to be handed an owner by.
_workshop: Workshop | None = None


def use(workshop: Workshop | None) -> None:
    """Let the module ask this workshop; None, once it is closed."""
    global _workshop
    _workshop = workshop


def _core_of() -> Workshop:
    global _workshop
    if _workshop is None:
        _workshop = Workshop()
    return _workshop


def __getattr__(name: str) -> Tool:
    if name.startswith("_"):
        raise AttributeError(name)
    workshop = _core_of()
    core = workshop.core
    try:
        return workshop.submit(core.tool(name)).wait(lambda: None)
    except UnknownName as error:
        # No AttributeError: `from … import` would replace its message with one that names a path.
        raise ToolImportError(error.message, hint=error.hint) from None


def __dir__() -> list[str]:
    try:
        workshop = _core_of()
        return sorted(workshop.submit(workshop.core.store.tool_names()).wait(lambda: None))
    except FactError:
        return []
