"""The toolbox as a module: ``from fact_magics.tools import slugify``.

It asks the core of the loaded extension; in a script without one it opens the process's own on the first
import of a name, from the settings of the environment.
"""

# Every public name of this module is a tool's: what it needs itself begins with an underscore.
from typing import TYPE_CHECKING as _TYPE_CHECKING

from fact_magics.errors import FactError as _FactError
from fact_magics.errors import ToolImportError as _ToolImportError
from fact_magics.errors import UnknownName as _UnknownName
from fact_magics.workshop import current as _current

if _TYPE_CHECKING:
    from fact_magics.handle import Tool as _Tool


def __getattr__(name: str) -> "_Tool":
    if name.startswith("_"):
        raise AttributeError(name)
    workshop = _current()
    core = workshop.core
    try:
        return workshop.submit(core.tool(name)).wait(lambda: None)
    except _UnknownName as error:
        # No AttributeError: `from … import` would replace its message with one that names a path.
        raise _ToolImportError(error.message, hint=error.hint) from None


def __dir__() -> list[str]:
    try:
        workshop = _current()
        return sorted(workshop.submit(workshop.core.store.tool_names()).wait(lambda: None))
    except _FactError:
        return []
