"""Import stored tools: ``from fact_magics.tools import slugify``.

This module uses the core of the loaded extension. In a script without the extension, the first import of a
tool opens a core with the settings of the environment.
"""

# A public name here would hide the tool of the same name, so all names begin with an underscore.
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any
from typing import NoReturn as _NoReturn

from fact_magics.errors import FactError as _FactError
from fact_magics.errors import ToolImportError as _ToolImportError
from fact_magics.errors import UnknownName as _UnknownName
from fact_magics.session import Session as _Session

if _TYPE_CHECKING:
    from fact_magics.core import FactCore as _FactCore
    from fact_magics.core.handle import Tool as _Tool


# Module-level state, because an import can't pass a session as an argument.
_session: _Session | None = None


def _use(session: _Session | None) -> None:
    """Set the session whose tools can be imported; pass None when the session is closed."""
    global _session
    _session = session


def _current() -> _Session:
    """Return the session of the loaded extension, or create one."""
    global _session
    if _session is None:
        _session = _Session()
        _session.on_opened = _show_maps
    return _session


def _show_maps(core: "_FactCore") -> None:
    """Show the progress of maps in a script's terminal."""
    from fact_magics.display.maps import TerminalMapView

    core.rows.progress = TerminalMapView


def __getattr__(name: str) -> "_Tool":
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return _stored(name)
    except _UnknownName as error:
        # Not an AttributeError, because `from … import` would replace its message with one that names a path.
        raise _ToolImportError(error.message, hint=error.hint) from None


def __dir__() -> list[str]:
    # Completion calls this, and must not create a database.
    import sqlite3

    session = _current()
    session.wait_for_imports()
    from fact_magics.store.glance import names

    try:
        return names(session.database_path)
    except (_FactError, sqlite3.Error, OSError, LookupError):
        return []


def _stored(reference: str) -> "_Tool":
    session = _current()
    core = session.core
    return session.run(core.tool(reference))


class _Unavailable:
    """Stands for a tool that was unpickled in a process where it can't run; a call raises the reason.

    An exception during unpickling would not reach the caller. It would end a worker process or hang the pool.
    """

    def __init__(self, reference: str, error: _FactError) -> None:
        self._reference = reference
        self._error = error

    def __call__(self, *_args: _Any, **_kwargs: _Any) -> _NoReturn:
        raise self._error

    async def acall(self, *_args: _Any, **_kwargs: _Any) -> _NoReturn:
        raise self._error

    def __repr__(self) -> str:
        return f"<Tool {self._reference} · can't run here>"


def _unpickled(reference: str, tool_id: str) -> "_Tool | _Unavailable":
    """Return the version that was pickled, or an object that raises the reason when it is called."""
    try:
        found = _stored(reference)
    except _FactError as error:
        return _Unavailable(reference, error)
    if found.id != tool_id:
        other = _FactError(
            f"{reference} was pickled with another FACT_HOME; this FACT_HOME has a different {reference}.",
            hint="Use the same FACT_HOME for both, or copy the tool with %fact export and %fact import.",
        )
        return _Unavailable(reference, other)
    return found
