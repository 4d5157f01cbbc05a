"""The toolbox as a module: ``from fact_magics.tools import slugify``.

It uses the core of the loaded extension. In a script without the extension, the first import of a name opens
a core of its own, with the settings of the environment.
"""

# Every public name of this module is the name of a tool, so its own names begin with an underscore.
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any
from typing import NoReturn as _NoReturn

from fact_magics.errors import FactError as _FactError
from fact_magics.errors import ToolImportError as _ToolImportError
from fact_magics.errors import UnknownName as _UnknownName
from fact_magics.session import Session as _Session

if _TYPE_CHECKING:
    from fact_magics.core.handle import Tool as _Tool


# The package's only module-level state: a module can't be given a session as an argument.
_session: _Session | None = None


def _use(session: _Session | None) -> None:
    """Answer from this session from now on; None when it is closed."""
    global _session
    _session = session


def _current() -> _Session:
    """Give the session to ask: the loaded extension's, or one of this module's own."""
    global _session
    if _session is None:
        _session = _Session()
    return _session


def __getattr__(name: str) -> "_Tool":
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return _stored(name)
    except _UnknownName as error:
        # Not an AttributeError: `from … import` would replace its message with one that names a path.
        raise _ToolImportError(error.message, hint=error.hint) from None


def __dir__() -> list[str]:
    # Listing names, as Tab does, must not create a database.
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
    """A tool that was unpickled where it can't run; calling it raises the reason.

    Raising during unpickling would end the process of a pool, or hang the pool, without telling the caller.
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
    """Find the version that was pickled in the toolbox of this process."""
    try:
        found = _stored(reference)
    except _FactError as error:
        return _Unavailable(reference, error)
    if found.id != tool_id:
        other = _FactError(
            f"{reference} was pickled from another toolbox; in this one it is another tool.",
            hint="Set the same FACT_HOME there, or %fact export it and import it.",
        )
        return _Unavailable(reference, other)
    return found
