"""A new process for one call, for systems without zygotes: it enforces limits, but not permissions.

On Linux an outer process adopts and ends the processes that the call leaves behind. The request comes on
stdin, the frame goes to stderr, and printed text goes to stdout, because a child can have these three pipes
on every system.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def main(settings: dict[str, Any], modules: dict[str, ModuleType]) -> NoReturn:
    """Run the one call that is requested on stdin; see `fact_magics.sandbox.fallback` for the settings."""
    worker: Any = modules["worker"]
    worker.set_environment(settings["environment"])
    worker.set_imports(settings)
    if sys.platform == "linux":
        _fork_with_guard(settings, modules)
    requests, results, printed = os.dup(0), os.dup(2), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    worker.prepare(empty, printed)
    worker.open_streams()
    worker.set_file_limits(settings)
    os.close(empty)
    os.close(printed)
    serve: Callable[..., NoReturn] = worker.serve
    witness = modules["denied"].Witness(os.curdir, walled=False)
    serve(requests, results, modules["values.wire"], witness)


def _fork_with_guard(settings: dict[str, Any], modules: dict[str, ModuleType]) -> None:
    """Fork: the child returns to run the call, and this process ends the processes that the call leaves."""
    confine: Any = modules["confine"]
    confine.become_subreaper()
    confine.drop_capabilities()
    child = os.fork()
    if child == 0:
        os.setsid()
        confine.die_with_parent(signal.SIGKILL)
        return

    def end(*_: object) -> NoReturn:
        modules["family"].kill_descendants(os.getpid())
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine.die_with_parent(signal.SIGTERM)
    if os.getppid() != settings["parent"]:
        end()
    for descriptor in (0, 1, 2):
        os.close(descriptor)  # else the pipes would stay open after the call
    _, status = os.waitpid(child, 0)
    modules["family"].kill_descendants(os.getpid())
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # end by the signal that ended the call
    os._exit(os.WEXITSTATUS(status))
