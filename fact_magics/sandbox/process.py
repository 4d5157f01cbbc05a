"""The operating system's process of one zygote: its start under sandlock, its pipes, and its end."""

from __future__ import annotations

import json
import os
import select
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from fact_magics.packages import module_path
from fact_magics.sandbox import boot
from fact_magics.sandbox.child.family import kill_descendants
from fact_magics.sandbox.library import LIGHT_MODULES, library_modules
from fact_magics.sandbox.policy import named_hosts, sandlock_policy, zygote_environment

if TYPE_CHECKING:
    from pathlib import Path

    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.policy import ZygoteKind

BOOT_SECONDS = 60.0  # a preload of a large library may take a while
_END_SECONDS = 0.6
_STARTING_TAKES = 24  # descriptors that starting a process needs


class ZygoteProcess:
    """Start a process that serves as a zygote, and send it its code.

    The process imports the modules of the kind's `preload` before it serves, and owns the new directory
    `root`. If `strict`, it is not started on a kernel that lacks any of sandlock's protections. The kernel
    ends it together with the thread that started it. `handle` is its pidfd. `reports` is a non-blocking
    descriptor for its reports.

    Raises
    ------
    ImportError, OSError, RuntimeError, ValueError
        This system can't start the process.
    """

    def __init__(self, kind: ZygoteKind, limits: Limits, root: Path, *, strict: bool) -> None:
        from sandlock import Sandbox, StdioMode

        grants, preload = kind.grants, kind.preload
        root.mkdir(mode=0o700)
        policy = sandlock_policy(kind, str(root), limits, strict=strict)
        command = boot.scrubbed(boot.command(), zygote_environment(grants, str(root), kind.surroundings))
        self._process = Sandbox(**policy).popen(
            command, stdin=StdioMode.PIPED, stdout=StdioMode.PIPED, stderr=StdioMode.NULL
        )
        self.pid: int = self._process.pid
        self.handle = -1
        try:
            self.handle = os.pidfd_open(self.pid)
            self._orders, self.reports = self._process.stdin.fileno(), self._process.stdout.fileno()
            for descriptor in (self._orders, self.reports):
                os.set_blocking(descriptor, False)
            settings = {
                "parent": os.getpid(),
                "root": str(root),
                "preload": [*sorted(LIGHT_MODULES), *preload],
                "writable": list(grants.write),
                "connects": bool(grants.net),
                "moves_clock": kind.surroundings.ahead_seconds != 0,
                "names": [name for name, _ in named_hosts(grants.net)],
                "environment": dict(grants.env),  # may be secret, and everybody can read command lines
                "path": module_path(),
                "file_bytes": limits.file_bytes,
                "open_files": limits.open_files,
            }
            code = boot.payload("zygote", settings, library_modules(preload))
            boot.write_in_time(self._orders, code, BOOT_SECONDS)
        except BaseException:
            self.end()
            raise

    def order(self, **order: object) -> None:
        """Send one order; raises `OSError` or `ValueError` if the process does not accept it."""
        os.write(self._orders, json.dumps(order).encode() + b"\n")

    def end(self) -> None:
        """End the process, from the thread that started it.

        Once its stdin is closed, it should kill its descendants and exit. If it does not, the descendants are
        killed first: after the zygote's end, they could not be found any more.
        """
        with suppress(OSError):
            self._process.stdin.close()
        if self.handle >= 0:
            if not has_ended(self.handle, seconds=_END_SECONDS):
                kill_descendants(self.pid)
            os.close(self.handle)
        with suppress(OSError, RuntimeError):
            self._process.kill()
        self._reap()
        with suppress(OSError):
            self._process.stdout.close()

    def _reap(self) -> None:
        """Wait a moment until sandlock has released a process that was killed.

        Sandlock connects on behalf of the processes inside. If a host does not answer, sandlock waits for
        minutes, even after those processes have ended, and ignores the timeout. So a separate thread waits
        for sandlock.
        """
        try:
            waiting = Thread(target=self._wait, name="fact-reaper", daemon=True)
            waiting.start()
            waiting.join(_END_SECONDS)
        except RuntimeError:  # while the interpreter ends, no thread can be started
            self._wait()

    def _wait(self) -> None:
        with suppress(OSError, RuntimeError):
            self._process.wait(timeout=_END_SECONDS)


def has_ended(*handles: int, seconds: float = 0.0) -> bool:
    """Tell whether a process of these pidfds has ended, or ends within that time."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def lack_of_descriptors() -> OSError | None:
    """Return the error of opening a file if too few descriptors are left to start a process, else None."""
    held: list[int] = []
    try:
        while len(held) < _STARTING_TAKES:
            held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return OSError(error.errno, error.strerror)
    finally:
        for descriptor in held:
            os.close(descriptor)
    return None
