"""The zygote: a confined process that imports modules before calls need them, and forks a child per call.

Orders from the parent and reports to it are lines of JSON on stdin and stdout. The zygote makes new pipes for
each call, and the parent takes its ends by ``pidfd_getfd``, or through ``/proc`` where that is forbidden. No
other call can reach them, because a call closes all descriptors but its own before the tool's code runs.

The next child is forked and confined before its request comes, so that a call does not wait for the fork. If
a call left no process, the next child gets the same scratch directory, and needs no order. The code that runs
for each call avoids system calls that wait for sandlock's supervisor. In sandlock 0.9.0 these are, besides
``clone`` and ``exit_group``, those that open, close, seek or look at files.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_ORDERS, _REPORTS = 0, 3
_FIRST_FREE = 10


class Zygote:
    """Serve one call after another until the parent is gone.

    `fact_magics.sandbox.process` and `boot` make `settings`, and send the `modules`, which are keyed by name.
    """

    def __init__(self, settings: dict[str, Any], modules: dict[str, ModuleType]) -> None:
        self._settings = settings
        self._modules = modules
        self._worker: Any = modules["worker"]
        self._confine: Any = modules["confine"]
        self._scoped = False
        self._filtered = False
        self._call = 0
        self._child = 0
        self._child_handle = -1
        self._pipes: list[int] = []  # the parent's ends
        self._scratch = ""
        self._witness: Any = None
        self._rules: int | None = None
        self._no_more_walls: Any = None
        self._goes_on = True  # prepares the next child without an order

    def serve(self) -> NoReturn:
        """Prepare this process, report which layers of isolation are active, and follow orders."""
        os.dup2(1, _REPORTS)
        os.dup2(1, 2)
        self._worker.open_streams()
        nothing = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2, _FIRST_FREE, _FIRST_FREE + 1):
            os.dup2(nothing, descriptor)
        os.close(nothing)
        self._confine_itself()
        self._preload()
        self._report(
            up=True,
            landlock=self._confine.landlock_abi(),
            seccomp=self._filtered,
            scoped=self._scoped,
            nested=self._try_domain(),
            pinned=self._pinned(),
        )
        buffer = b""
        while True:
            waited = [_ORDERS, self._child_handle] if self._child else [_ORDERS]
            ready, _, _ = select.select(waited, (), ())
            if self._child_handle in ready:
                self._end_call()
            if _ORDERS in ready:
                received = os.read(_ORDERS, 65536)
                if not received:
                    self.leave()
                *lines, buffer = (buffer + received).split(b"\n")
                for order in map(json.loads, lines):
                    if "compile" in order:
                        self._compile(*order["compile"])
                    elif "goes_on" in order:
                        self._goes_on = order["goes_on"]
                    elif "prepare" in order:
                        self._discard()
                        self._prepare(order["prepare"], order["scratch"])
                    elif "kill" in order and order["kill"] == self._call:
                        self._kill()

    def _confine_itself(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.leave)
        self._confine.become_subreaper()
        self._confine.drop_capabilities()
        # Check for sandlock's filter before adding another one.
        refuse: Callable[[], bool] = self._modules["seccomp"].refuse_needless_calls
        self._filtered = self._confine.has_seccomp_filter() and refuse()
        if self._filtered:
            self._no_more_walls = self._modules["seccomp"].no_more_walls()
        self._confine.die_with_parent(signal.SIGTERM)
        parent = self._settings["parent"]
        self._scoped = (
            os.getppid() == parent and not self._confine.can_reach(parent) and os.getppid() == parent
        )

    def _preload(self) -> None:
        self._worker.set_environment(self._settings["environment"])
        self._worker.set_imports(self._settings)
        if self._settings["moves_clock"]:
            self._sleep_despite_sandlock()
        for name in self._settings["preload"]:
            try:
                importlib.import_module(name)
            except BaseException:  # noqa: BLE001, S112 - a tool that imports the module gets the error itself
                continue
        if self._settings["connects"]:
            self._modules["connecting"].wait_outside()
        self._worker.set_file_limits(self._settings)
        gc.collect()
        gc.freeze()  # else a collection in a child would copy every page that it touches

    @staticmethod
    def _sleep_despite_sandlock() -> None:
        """Replace `time.sleep`, which fails under a clock that sandlock has moved."""
        import time

        def sleep(seconds: Any, /) -> None:
            if seconds < 0:
                raise ValueError("sleep length must be non-negative")
            select.select((), (), (), seconds)

        time.sleep = sleep

    def _pinned(self) -> dict[str, list[str]]:
        """Look up the granted hosts inside the sandbox, where sandlock has fixed their addresses."""
        pinned: dict[str, list[str]] = {}
        for name in self._settings["names"]:
            import socket

            try:
                found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            except OSError:  # the name has no address
                found = []
            pinned[name] = sorted({str(address[0]) for *_, address in found})
        return pinned

    def _try_domain(self) -> bool:
        child = os.fork()
        if child == 0:
            try:
                rules = self._confine.make_call_rules([self._settings["root"]])
                self._confine.enter_domain(rules)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - whatever happened, this child must not go on as the zygote
                os._exit(1)
        return os.waitpid(child, 0)[1] == 0

    def _compile(self, source: str, function: str) -> None:
        key, code = self._modules["ahead"].compile_ahead(source, function)
        self._worker.compiled[key] = code
        gc.freeze()

    def _prepare(self, call: int, scratch: str) -> None:
        """Fork the child of the next call, which may write only to `scratch` and to granted paths."""
        try:
            self._allow_only(scratch)
            requests, results, printed = (os.pipe() for _ in range(3))
            self._call = call
            self._child = os.fork()
        except OSError as error:
            self._report(refused=call, errno=error.errno)
            self.leave()
        if self._child == 0:
            try:
                self._become_call(requests[0], results[1], printed[1])
            except BaseException:  # noqa: BLE001 - whatever happened, this child must not go on as the zygote
                os._exit(70)
        for descriptor in (requests[0], results[1], printed[1]):
            os.close(descriptor)
        self._pipes = [requests[1], results[0], printed[0]]
        self._child_handle = os.pidfd_open(self._child)
        _tell(b'{"ready": %d, "pid": %d, "pipes": [%d, %d, %d]}\n' % (call, self._child, *self._pipes))

    def _discard(self) -> None:
        """End a child that waits for a request, if there is one. Without its pipe, it ends by itself."""
        if self._child:
            os.close(self._pipes.pop(0))
            os.waitpid(self._child, 0)
            self._child = 0
            self._close()

    def _close(self) -> None:
        for descriptor in (self._child_handle, *self._pipes):
            os.close(descriptor)

    def _allow_only(self, scratch: str) -> None:
        """Make the rules of the next calls, unless the last call had the same scratch directory."""
        if scratch == self._scratch:
            return
        if self._rules is not None:
            os.close(self._rules)
        self._rules = self._confine.make_call_rules([scratch, os.devnull, *self._settings["writable"]])
        self._witness = self._modules["denied"].Witness(scratch)
        self._scratch = os.environ["HOME"] = os.environ["TMPDIR"] = scratch

    def _become_call(self, requests: int, results: int, printed: int) -> NoReturn:
        self._worker.set_handler(signal.SIGINT, signal.default_int_handler)
        self._confine.die_with_parent(signal.SIGKILL)
        empty, writing = os.pipe()
        os.close(writing)
        self._worker.prepare(empty, printed)
        os.chdir(self._scratch)
        if numpy_random := sys.modules.get("numpy.random"):
            numpy_random.seed()  # unlike `random`, it is not seeded again after a fork
        if self._rules is not None:
            self._confine.enter_domain(self._rules)
        if not self._no_more_walls.install():
            raise OSError("a call could not be confined")
        os.dup2(requests, _FIRST_FREE)
        os.dup2(results, _FIRST_FREE + 1)
        os.closerange(3, _FIRST_FREE)
        os.closerange(_FIRST_FREE + 2, 1 << 20)
        serve: Callable[..., NoReturn] = self._worker.serve
        serve(_FIRST_FREE, _FIRST_FREE + 1, self._modules["values.wire"], self._witness)

    def _end_call(self) -> None:
        call, self._call = self._call, 0
        _, status, usage = os.wait4(self._child, 0)
        self._child = 0
        clean = self._reap(os.WNOHANG)
        if not clean:
            if self._scoped:
                self._kill()
            else:
                self._report(left=call)
            self._reap(0)
        cpu = usage.ru_utime + usage.ru_stime
        ending = b"true" if clean else b"false"
        _tell(b'{"ended": %d, "status": %d, "cpu": %f, "clean": %b}\n' % (call, status, cpu, ending))
        self._close()
        if clean and self._goes_on:
            self._prepare(call + 1, self._scratch)

    def _kill(self) -> None:
        # If `_scoped`, Landlock keeps this process from signalling processes outside the sandbox. One system
        # call then reaches all descendants, however fast they fork, and no other process.
        if self._scoped:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                return
        elif self._child:
            os.kill(self._child, signal.SIGKILL)

    @staticmethod
    def _reap(options: int) -> bool:
        """Reap ended children and adopted orphans; True if no descendant is left."""
        while True:
            try:
                if os.waitpid(-1, options)[0] == 0:
                    return False
            except ChildProcessError:
                return True

    def leave(self, *_: object) -> NoReturn:
        """Kill the current call, and all other descendants if `_scoped`, and end this process."""
        self._kill()
        os._exit(0)

    @staticmethod
    def _report(**fields: object) -> None:
        _tell(json.dumps(fields).encode() + b"\n")


def _tell(line: bytes) -> None:
    while line:
        line = line[os.write(_REPORTS, line) :]


def main(settings: dict[str, Any], modules: dict[str, ModuleType]) -> NoReturn:
    """Run a zygote in this process."""
    zygote = Zygote(settings, modules)
    try:
        zygote.serve()
    finally:
        zygote.leave()
