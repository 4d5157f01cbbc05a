"""One load of the extension, or one script: it owns the loop thread and the core on it."""

from __future__ import annotations

import atexit
import os
import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from fact_magics.bridge import Job, LoopThread
    from fact_magics.config import Settings
    from fact_magics.core import FactCore

T = TypeVar("T")


class Session:
    """Opens the core on its first use, and closes everything at the end.

    Parameters
    ----------
    overrides : callable
        Gives what the notebook set with ``%config``, by the settings' field names.
    notebook, kernel : str, optional
        What the session's row says it belongs to.

    Attributes
    ----------
    directory : Path
        Where relative paths start: the working directory of when it was made, which is the notebook's.
    """

    def __init__(
        self, overrides: Callable[[], Mapping[str, Any]] = dict, *, notebook: str = "", kernel: str = ""
    ) -> None:
        self._overrides = overrides
        self._about = {"notebook": notebook, "kernel": kernel}
        self.directory = Path.cwd()
        self._thread: LoopThread | None = None
        self._core: FactCore | None = None
        self._opening = threading.Lock()
        self._ahead: threading.Timer | None = None
        atexit.register(self.close)

    def settings(self) -> Settings:
        """Read the settings as they are now."""
        self.wait_for_imports()
        from fact_magics.config import load_settings

        return load_settings(self._overrides(), self.directory, os.environ)

    @property
    def database_path(self) -> Path:
        """Where the database is, or will be made."""
        return (self._core.settings if self._core is not None else self.settings()).database_path

    def trust_home(self) -> Path:
        """Find where the list of trusted files is kept."""
        self.wait_for_imports()
        from fact_magics.config import own_home

        return own_home(self._overrides(), os.environ)

    def start_ahead(self, delay_seconds: float = 0.05) -> None:
        """Import what the first cell will need, in the background and without opening anything."""
        self._ahead = threading.Timer(delay_seconds, import_module, ("fact_magics.core",))
        self._ahead.daemon = True
        self._ahead.start()

    def wait_for_imports(self) -> None:
        """Let what is imported ahead come to its end, or not begin.

        Two threads that import modules of one package at the same moment can be given half of one.
        """
        ahead = self._ahead
        if ahead is not None:
            ahead.cancel()
            ahead.join()
            self._ahead = None

    @property
    def opened(self) -> FactCore | None:
        """The core, if something has used it yet."""
        return self._core

    @property
    def core(self) -> FactCore:
        """The open core; its settings are those of now.

        Raises
        ------
        SettingsError, StoreError
            It can't be opened; nothing is left half open, and the next use tries again.
        """
        settings = self.settings()
        with self._opening:
            if self._core is None:
                # Not before: asyncio alone takes half of the time that loading the extension may.
                from fact_magics.bridge import LoopThread
                from fact_magics.core import FactCore

                self._thread = self._thread or LoopThread()
                core = FactCore(settings, directory=self.directory, **self._about)
                self.run(core.__aenter__())
                self._core = core
        if settings != self._core.settings:
            self.run(self._core.configure(settings))
        return self._core

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the core's loop, and wait for it on this thread."""
        return self.submit(coroutine).wait(_nothing)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the core's loop; the core was opened before."""
        assert self._thread is not None  # noqa: S101 - there is nothing to run before a core is open
        return self._thread.submit(coroutine)

    def close(self) -> None:
        """Commit what is pending, end every process and the thread, within a bounded time."""
        atexit.unregister(self.close)
        core, self._core = self._core, None
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close(core.aclose() if core is not None else None)


def _nothing() -> None:
    pass
