"""A world of canaries to attack, and two ways to run a tool in it: with no protection, and in the sandbox."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fact_magics import values
from fact_magics.sandbox import Call, Limits, Outcome, Sandbox
from fact_magics.sandbox.child.family import descendants

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

MIB = 1 << 20
_MARK = "FACT_MAGICS_ATTACK"
_MOST_OUTPUT = 16 * MIB
_FLOOD = 4 * MIB


@dataclass
class Seen:
    """What was seen of one run of an attack.

    Attributes
    ----------
    value : object
        What the tool returned; None where it did not.
    said : str
        The error that it ended with, as ``Type: message``.
    printed : str
        What it printed.
    host_ended : str
        How the process came to an end that ran the tool, where it did not go on; empty where it did.
    hung : bool
        Whether that process had to be ended from outside, deaf to SIGTERM.
    survivors : int
        Processes that were there when the run was over.
    outcome : Outcome or None
        What the sandbox said.
    """

    value: Any = None
    said: str = ""
    printed: str = ""
    host_ended: str = ""
    hung: bool = False
    survivors: int = 0
    outcome: Outcome | None = None


# What a careless program would be: it executes the tool in its own process, beside what it knows.
_CARELESS = """
import json, os, sys
job = json.load(os.fdopen(3))
expected = os.environ["MY_KEY"]
told = {}
os.write(job["out"], b" ")  # it begins
try:
    for source in job["sources"]:
        module = {"__name__": "tool"}
        exec(compile(source, "<tool>", "exec"), module)
        told["value"] = module["tool"](*job["args"])
except Exception as error:
    told["said"] = f"{type(error).__name__}: {error}"
with os.fdopen(job["out"], "w") as out:
    json.dump(told, out, default=repr)
"""


class World:
    """Somebody's files, processes and sockets: nothing else is attacked, and all of it can be made anew."""

    def __init__(self, base: Path) -> None:
        self.secret = f"secret-{secrets.token_hex(8)}"
        self._name = secrets.token_hex(8)
        self.base = base
        self.folder = base / "home"
        self._sentinel: subprocess.Popen[bytes] | None = None
        self._state: tuple[object, ...] = ()
        self._listening: dict[str, socket.socket] = {}
        self._listen()
        # An inheritable descriptor, as a library written in C may leave one.
        (base / "open").write_text(self.secret)
        self.descriptor = os.open(base / "open", os.O_RDONLY)
        os.set_inheritable(self.descriptor, True)
        self.reset()

    def reset(self) -> None:
        """Make everything as it was before an attack."""
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o700)
        for path in self.folder.iterdir():  # the directory itself stays: the sentinel is in it
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name in (".ssh", "library", "outbox"):
            (self.folder / name).mkdir(parents=True)
        for name in ("secret.txt", ".env", ".ssh/id_ed25519", "library/module.py"):
            (self.folder / name).write_text(f"KEY = '{self.secret}'\n")
            (self.folder / name).chmod(0o600)
        with contextlib.suppress(OSError):  # as browsers do, where the file system can
            os.setxattr(self.folder / "secret.txt", "user.origin", self.secret.encode())
        (self.folder / "notebook.ipynb").write_text(json.dumps({"cells": [], "nbformat": 4}))
        with contextlib.closing(sqlite3.connect(self.folder / "facts.sqlite")) as database, database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute("CREATE TABLE history (input)")
            database.execute("INSERT INTO history VALUES (?)", (self.secret,))
        if self.sentinel_state() != self._state or not self._state:
            self._start_sentinel()
        self._listen_in_outbox()
        self.heard()

    def close(self) -> None:
        self._end_sentinel()
        os.close(self.descriptor)
        for listening in self._listening.values():
            listening.close()

    def facts(self, *, patience: float) -> dict[str, Any]:
        """Tell what an attacker may know: where everything is.

        Parameters
        ----------
        patience : float
            Seconds for which it holds what it took: in the sandbox, until that is seen.
        """
        ports = {name: self._listening[name].getsockname()[1] for name in ("tcp", "tcp6", "udp")}
        assert self._sentinel is not None
        return {
            "folder": str(self.folder),
            "sentinel": self._sentinel.pid,
            "me": os.getpid(),
            "stream": str(self.base / "stream"),
            "datagram": str(self.base / "datagram"),
            "abstract": f"\0{self._name}",
            "descriptor": self.descriptor,
            "name": self._name,
            "patience": patience,
            **ports,
        }

    # The process that is to be left alone

    def _start_sentinel(self) -> None:
        self._end_sentinel()
        self._sentinel = subprocess.Popen(
            ["/bin/sleep", "3600"],
            cwd=self.folder,
            env={"MY_KEY": self.secret},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        while b"sleep" not in Path(f"/proc/{self._sentinel.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        self._state = self.sentinel_state()

    def _end_sentinel(self) -> None:
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait()

    def sentinel_state(self) -> tuple[object, ...]:
        """Tell all that an attack may change of the sentinel."""
        if self._sentinel is None or self._sentinel.poll() is not None:
            return ()
        pid = self._sentinel.pid
        folder = Path(f"/proc/{pid}")
        return (
            pid,
            (folder / "cwd").readlink(),
            (folder / "stat").read_text().rpartition(")")[2].split()[0].replace("R", "S"),
            (folder / "limits").read_text(),
            (folder / "oom_score_adj").read_text(),
            os.getpriority(os.PRIO_PROCESS, pid),
            os.sched_getaffinity(pid),
            os.sched_getscheduler(pid),
            ctypes.CDLL(None).syscall(252 if os.uname().machine == "x86_64" else 31, 1, pid),
        )

    def is_sentinel_changed(self) -> bool:
        """Whether an attack reached it; a signal may need a moment."""
        return until(lambda: self.sentinel_state() != self._state, 0.05)

    # What is listened on

    def _listen(self) -> None:
        def listen(name: str, family: int, kind: int, address: Any) -> None:
            listening = socket.socket(family, kind | socket.SOCK_NONBLOCK)
            listening.bind(address)
            if kind == socket.SOCK_STREAM:
                listening.listen(64)
            self._listening[name] = listening

        inet, inet6, unix = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        listen("tcp", inet, stream, ("127.0.0.1", 0))
        listen("tcp6", inet6, stream, ("::1", 0)) if has_ipv6() else listen("tcp6", inet, stream, ("", 0))
        listen("udp", inet, datagram, ("127.0.0.1", 0))
        listen("stream", unix, stream, str(self.base / "stream"))
        listen("datagram", unix, datagram, str(self.base / "datagram"))
        listen("abstract", unix, stream, f"\0{self._name}")
        listen("abstract datagram", unix, datagram, f"\0{self._name}d")

    def _listen_in_outbox(self) -> None:
        """Serve where a tool may be granted to write, as programs do that keep their sockets beside their data."""
        if (before := self._listening.pop("outbox", None)) is not None:
            before.close()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listening.bind(str(self.folder / "outbox" / "service"))
        listening.listen(8)
        self._listening["outbox"] = listening

    def heard(self) -> list[str]:
        """Name the sockets that something reached since this was asked last."""
        reached = []
        for name, listening in self._listening.items():
            while True:
                try:
                    if listening.type == socket.SOCK_STREAM:
                        listening.accept()[0].close()
                    else:
                        listening.recv(4096)
                except BlockingIOError:
                    break
                reached.append(name)
        return reached

    # Changes of files

    def text(self, name: str) -> str:
        """Read one of the files; empty where it is gone."""
        try:
            return (self.folder / name).read_text()
        except OSError:
            return ""

    def names(self) -> set[str]:
        """List all that is in the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


class Careless:
    """Runs tools as a program would that does nothing about them: in a process like its own."""

    def __init__(self, world: World) -> None:
        self._world = world

    def run(self, *sources: str, args: Sequence[object] = (), seconds: float = 30.0) -> Seen:
        """Run tools, one after the other, to their end.

        What takes longer, or prints more than anybody reads, is asked to end, and then ended.
        """
        mark = secrets.token_hex(8)
        scratch = tempfile.mkdtemp(prefix="attack-")
        job_in, job_out = os.pipe()
        result_in, result_out = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", f"import os\nos.dup2({job_in}, 3)\n{_CARELESS}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env={_MARK: mark, "MY_KEY": self._world.secret, "HOME": scratch, "TMPDIR": scratch},
            pass_fds=(job_in, result_out, self._world.descriptor),
            start_new_session=True,
        )
        os.close(job_in)
        os.close(result_out)
        parts: list[bytes] = []
        results: list[bytes] = []
        begun, flooded = os.eventfd(0), os.eventfd(0)
        assert process.stdout is not None
        readers = [
            threading.Thread(target=_read_all, args=(process.stdout.fileno(), parts, flooded, _FLOOD)),
            threading.Thread(target=_read_all, args=(result_in, results, begun, 1)),
        ]
        for reader in readers:
            reader.start()
        with os.fdopen(job_out, "w") as job:
            json.dump({"sources": sources, "args": args, "out": result_out}, job)
        seen = Seen()
        try:
            _ends(process, 60, begun)
            if not _ends(process, seconds, flooded):
                process.terminate()
                seen.hung = not _ends(process, 0.3)
                process.kill()
            process.wait()
        finally:
            # A process that forked and left while the list was read is in the next one.
            while found := _marked(mark) or _marked(mark):
                seen.survivors = max(seen.survivors, len(found))
                for pid in found:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
            for reader in readers:
                reader.join()
            process.stdout.close()
            for descriptor in (result_in, begun, flooded):
                os.close(descriptor)
            shutil.rmtree(scratch, ignore_errors=True)
        seen.printed = b"".join(parts).decode("utf-8", "replace")
        try:
            told = json.loads(b"".join(results))
        except (ValueError, RecursionError):
            seen.host_ended = f"exit code {process.returncode}, and no result that can be read"
        else:
            seen.value, seen.said = told.get("value"), told.get("said", "")
        return seen


def _ends(process: subprocess.Popen[bytes], seconds: float, *events: int) -> bool:
    """Wait for a process's end, or for an event; `Popen.wait` with a timeout looks again every 50 ms."""
    handle = os.pidfd_open(process.pid)
    try:
        return handle in select.select([handle, *events], [], [], seconds)[0]
    finally:
        os.close(handle)


def _read_all(descriptor: int, parts: list[bytes], event: int, at: int) -> None:
    """Read to the end, keep the beginning, and tell when so many bytes were read."""
    size = 0
    while data := os.read(descriptor, 1 << 16):
        if size < at <= size + len(data):
            os.eventfd_write(event, 1)
        size += len(data)
        if size <= _MOST_OUTPUT:
            parts.append(data)


def _marked(mark: str) -> list[int]:
    """List the living processes that an unprotected run started: by a mark in their environment."""
    found = []
    wanted = f"{_MARK}={mark}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX" and wanted in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def _without_directory() -> list[int]:
    """List what descends from this process and works in a directory that is gone, as that of a past call is."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if str(Path(f"/proc/{pid}/cwd").readlink()).endswith(" (deleted)"):
                found.append(pid)
    return found


class Walled:
    """Runs tools as fact_magics does."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def run(self, source: str, *args: object, **options: Any) -> Seen:
        """Run a tool to its end."""
        wire = values.encode({"args": list(args), "kwargs": {}})
        outcome = await self.sandbox.run(Call(source, "tool", wire, **options))
        seen = Seen(printed=outcome.printed, outcome=outcome, survivors=len(_without_directory()))
        if outcome.result is not None:
            with contextlib.suppress(values.WireError):  # a forged one is judged by who forged it
                seen.value = values.decode(outcome.result)
        if outcome.error is not None:
            seen.said = f"{outcome.error.type_name}: {outcome.error.message}"
        return seen


def until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def has_ipv6() -> bool:
    """Whether loopback has an address of IPv6 here."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Canaries in a directory whose name is short enough for a socket's."""
    base = Path(tempfile.mkdtemp(prefix="canaries-"))
    made = World(base)
    yield made
    made.close()
    with contextlib.suppress(OSError):
        made.folder.chmod(0o700)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def careless(world: World) -> Careless:
    """No protection: here an attack succeeds, which shows that it is one."""
    return Careless(world)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def walled(world: World) -> AsyncIterator[Walled]:
    """The sandbox as the system enforces it, with limits small enough to be reached in a test."""
    del world  # made before, so that its open descriptor is there to be inherited
    limits = Limits(
        result_bytes=8 * MIB,
        printed_bytes=2 * MIB,
        printed_kept=10_000,
        file_bytes=2 * MIB,
        scratch_bytes=6 * MIB,
        processes=16,
        threads=100,
    )
    sandbox = Sandbox(mode="require", size=1, limits=limits)
    await sandbox.start()
    yield Walled(sandbox)
    await sandbox.aclose()
