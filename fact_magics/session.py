"""`Session` owns the core and its loop thread, for a loaded extension or for a script."""

from __future__ import annotations

import _imp
import atexit
import os
import sys
import threading
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.errors import FactError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from fact_magics.bridge import Job, LoopThread
    from fact_magics.config import Settings
    from fact_magics.core import FactCore

T = TypeVar("T")

# The kernel must have been idle for this long before the SDK of a provider is imported.
_IDLE_SECONDS = 0.5
_POLL_SECONDS = 0.1
# How long the import of one module, with all that it imports, may pause for cells. While it pauses, a cell
# that imports the same module waits.
_PAUSE_SECONDS = 0.5
_PAUSE_STEP_SECONDS = 0.01


class _Yielding:
    """Lets the imports of this thread pause between two modules while a cell runs, unless they are needed.

    Otherwise the imports and the cell would compete for the interpreter, and the cell would take longer.
    """

    def __init__(self, is_busy: Callable[[], bool], needed: threading.Event) -> None:
        self._is_busy = is_busy
        self._needed = needed
        self._thread = threading.get_ident()
        self._left = _PAUSE_SECONDS

    def __enter__(self) -> None:
        # Another list, because other threads may iterate over this one, and would skip a finder.
        sys.meta_path = [self, *sys.meta_path]

    def __exit__(self, *_: object) -> None:
        sys.meta_path = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(self, *_: object) -> None:
        """Leave the search to the other finders, after a pause if a cell runs."""
        if threading.get_ident() != self._thread or self._left <= 0 or not self._is_busy():
            return
        _imp.release_lock()  # Python holds it while it calls a finder, and then no other thread can import
        try:
            while self._left > 0 and self._is_busy() and not self._needed.wait(_PAUSE_STEP_SECONDS):
                self._left -= _PAUSE_STEP_SECONDS
        finally:
            _imp.acquire_lock()


class Session:
    """Opens the core on its first use, and closes everything at the end.

    Parameters
    ----------
    overrides : callable
        Returns the values that the notebook set with ``%config``, by the settings' field names.
    notebook, kernel : str, optional
        The names of the notebook and the kernel, for the session's row in the history.

    Attributes
    ----------
    directory : Path
        The working directory when the session began. The search for settings files goes upward from there,
        and relative paths in settings are resolved against it.
    on_opened : callable
        Called with the core when it was opened.
    """

    def __init__(
        self, overrides: Callable[[], Mapping[str, Any]] = dict, *, notebook: str = "", kernel: str = ""
    ) -> None:
        self._overrides = overrides
        self._notebook, self._kernel = notebook, kernel
        self.directory = Path.cwd()
        self.on_opened: Callable[[FactCore], None] = _ignore
        self._thread: LoopThread | None = None
        self._core: FactCore | None = None
        self._opening = threading.Lock()
        self._ahead: threading.Timer | None = None
        self._closed = threading.Event()
        self._needed = threading.Event()
        atexit.register(self.close)

    def settings(self) -> Settings:
        """Read the current settings."""
        self.wait_for_imports()
        from fact_magics.config import load_settings

        return load_settings(self._overrides(), self.directory, os.environ)

    @property
    def database_path(self) -> Path:
        """The path of the database; the file may not exist yet."""
        return (self._core.settings if self._core is not None else self.settings()).database_path

    def trust_home(self) -> Path:
        """Find the directory that holds the list of trusted files."""
        self.wait_for_imports()
        from fact_magics.config import own_home

        return own_home(self._overrides(), os.environ, self.directory)

    def start_ahead(self, idle_seconds: Callable[[], float] | None = None) -> None:
        """Import the core in the background for the first cell, without opening anything.

        Parameters
        ----------
        idle_seconds : callable, optional
            Returns for how many seconds the kernel has been idle; 0 while a cell runs. If it is given, and
            the key of a model is set, the SDK for the model is imported too, once the kernel is idle.
        """
        self._ahead = threading.Timer(0.05, self._import_ahead, (idle_seconds,))
        self._ahead.daemon = True
        self._ahead.start()

    def _import_ahead(self, idle_seconds: Callable[[], float] | None) -> None:
        import_module("fact_magics.core")
        if idle_seconds is None:
            return
        # In a thread of its own, because cells that ask no model must not wait for it.
        sdk = partial(self._import_sdk, idle_seconds)
        threading.Thread(target=sdk, name="fact-imports", daemon=True).start()

    def _import_sdk(self, idle_seconds: Callable[[], float]) -> None:
        while idle_seconds() < _IDLE_SECONDS:
            if self._closed.wait(_POLL_SECONDS) or self._needed.is_set():
                return
        with suppress(Exception):  # the cell that needs the settings or the SDK reports what is wrong
            from fact_magics.providers.choose import first_imports

            for name in first_imports(self.settings()):
                with _Yielding(lambda: not idle_seconds(), self._needed):
                    import_module(name)

    def hurry_imports(self) -> None:
        """Let the imports in the background go on while this cell runs, because it will need them."""
        self._needed.set()

    def wait_for_imports(self) -> None:
        """Cancel the imports of `start_ahead` if they have not begun; otherwise wait for them to end.

        If two threads import modules of one package at once, one can see a module half initialised.
        """
        ahead = self._ahead
        if ahead is not None:
            ahead.cancel()
            ahead.join()
            self._ahead = None

    @property
    def opened(self) -> FactCore | None:
        """The core, or None before its first use."""
        return self._core

    @property
    def core(self) -> FactCore:
        """The open core, with the current settings applied.

        Raises
        ------
        SettingsError, StoreError
            The core can't be opened. The next use tries again.
        FactError
            The session was closed.
        """
        settings = self.settings()
        with self._opening:
            if self._closed.is_set():
                raise _closed_error()
            if self._core is None:
                # Imported here because asyncio alone takes half of the time that loading may take.
                from fact_magics.bridge import LoopThread
                from fact_magics.core import FactCore

                self._thread = self._thread or LoopThread()
                core = FactCore(settings, notebook=self._notebook, kernel=self._kernel)
                self.run(core.__aenter__())
                self._core = core
                self.on_opened(core)
        if settings != self._core.settings:
            self.run(self._core.configure(settings))
        return self._core

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the core's loop, and wait for it on this thread; see `core` for the error."""
        from asyncio import CancelledError

        try:
            return self.submit(coroutine).wait(lambda: None)
        except CancelledError:
            raise _closed_error() from None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the core's loop; see `core` for the error."""
        thread = self._thread
        if thread is None:
            coroutine.close()
            raise _closed_error()
        return thread.submit(coroutine)

    def close(self) -> None:
        """Commit pending rows, and end all processes and the thread, within a bounded time."""
        atexit.unregister(self.close)
        self._closed.set()
        self.wait_for_imports()
        core, self._core = self._core, None
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close(core.aclose() if core is not None else None)


def _ignore(core: FactCore) -> None:
    del core


def _closed_error() -> FactError:
    return FactError(
        "This session was closed.", hint="In a notebook, load the extension again: %load_ext fact_magics"
    )
