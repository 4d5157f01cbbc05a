"""What the processes of a call take together: memory, shared or not, and the buffers of sockets and pipes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from waiting import until

from fact_magics.sandbox import Limits
from fact_magics.sandbox.meter import Meter
from fact_magics.sandbox.watch import _Looks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

MB = 1 << 20
# The first process stands for a zygote, its child for the call; each says on stdout that it is ready.
FAMILY = """
import os, sys, time
def fork(count, begin=lambda: None):
    for _ in range(count):
        if os.fork() == 0:
            held = begin()
            return held
    os.write(1, b".")
    time.sleep(600)
fork(1)
"""


@contextmanager
def family(program: str, ready: int, before: str = "") -> Iterator[int]:
    """Start processes, wait until so many of them are ready, and end them."""
    code = before + FAMILY + dedent(program) + "\nos.write(1, b'.')\ntime.sleep(600)\n"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    ) as running:
        assert running.stdout is not None
        try:
            assert len(running.stdout.read(ready)) == ready
            yield running.pid
        finally:
            subprocess.run(["pkill", "-KILL", "--session", str(running.pid)], check=False)


@pytest.fixture
def meter(tmp_path: Path):
    def make(root: int, megabytes: int) -> Meter:
        return Meter(root, tmp_path, megabytes * MB, Limits())

    return make


def states(root: int) -> set[str]:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "--ppid", str(root)], capture_output=True, text=True, check=True
    )
    return {line[0] for line in listed.stdout.split()}


def test_a_call_of_one_process_has_not_forked(meter):
    with family("", 2) as root:
        assert not meter(root, 100).has_forked()
        assert meter(root, 100).memory_exceeded() is None


def test_the_memory_of_children_adds_up(meter):
    with family("held = fork(3, lambda: b'x' * (50 << 20))", 5) as root:
        assert meter(root, 100).has_forked()
        assert meter(root, 100).memory_exceeded() == meter(root, 100).exceeded() == "memory"
        assert meter(root, 300).memory_exceeded() is meter(root, 300).exceeded() is None


def test_memory_that_children_share_counts_once_and_they_go_on(meter):
    with family("held = b'x' * (60 << 20)\nfork(3)", 5) as root:
        assert meter(root, 100).memory_exceeded() is None
        assert meter(root, 40).memory_exceeded() == "memory"
        until(lambda: "R" not in states(root))  # a process that goes on runs for a moment
        assert states(root) == {"S"}


def test_copies_of_memory_that_was_shared_with_the_first_process_count(meter):
    inherited = "held = bytearray(b'x') * (60 << 20)\n"
    with family("fork(3)", 5, inherited) as root:
        assert meter(root, 40).memory_exceeded() is None
    change = """
    def change():
        held[::4096] = b"y" * len(held[::4096])
    fork(3, change)
    """
    with family(change, 5, inherited) as root:
        assert meter(root, 100).memory_exceeded() == "memory"
        assert meter(root, 300).memory_exceeded() is None


@pytest.mark.parametrize(
    "fill",
    [
        "held = [socket.socketpair() for _ in range(100)]",
        "held = [os.pipe() for _ in range(400)]",
    ],
)
def test_the_buffers_of_sockets_and_pipes_count(meter, fill):
    with family(f"import socket\n{fill}", 2) as root:
        assert meter(root, 16).exceeded() == "memory"
        assert meter(root, 100).exceeded() is None


def test_a_connection_counts_by_what_is_in_its_queues(meter):
    connect = """
    import socket
    server = socket.create_server(("127.0.0.1", 0))
    pairs = []
    for _ in range(100):
        client = socket.create_connection(server.getsockname())
        pairs.append((client, server.accept()[0]))
    """
    with family(connect, 2) as root:
        assert meter(root, 16).exceeded() is None
    send = """
    for client, _ in pairs:
        client.setblocking(False)
        try:
            while True: client.send(bytes(1 << 16))
        except BlockingIOError:
            pass
    """
    with family(dedent(connect) + dedent(send), 2) as root:
        assert meter(root, 16).exceeded() == "memory"


def test_a_process_counts_that_goes_on_without_its_first_thread(meter):
    lose_first_thread = """
    import ctypes, socket, threading
    def hold():
        threading.main_thread().join(0.1)
        global held, kept
        held, kept = b"x" * (60 << 20), [socket.socketpair() for _ in range(100)]
        os.write(1, b".")
        time.sleep(600)
    threading.Thread(target=hold).start()
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
    """
    with family(lose_first_thread, 2) as root:
        assert meter(root, 80).exceeded() == "memory"
        assert meter(root, 200).exceeded() is None
        assert meter(root, 40).memory_exceeded() == "memory"
        assert meter(root, 80).memory_exceeded() is None


def test_page_tables_count(meter):
    read_here_and_there = """
    import ctypes
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    for number in range(5_000):
        wanted = ctypes.c_void_p((1 << 40) + (number << 30))
        ctypes.string_at(libc.mmap(wanted, ctypes.c_size_t(4096), 1, 0x22, -1, ctypes.c_long(0)), 1)
    """
    with family(read_here_and_there, 2) as root:
        assert meter(root, 30).exceeded() == "memory"
        assert meter(root, 100).exceeded() is None


def test_files_that_move_all_the_time_count(meter, tmp_path):
    for number in range(10_000):
        (tmp_path / str(number)).touch()
    (tmp_path / "moved0").mkdir()
    (tmp_path / "moved0" / "large").write_bytes(bytes(60 * MB))
    move = f"""
    os.chdir({str(tmp_path)!r})
    os.write(1, b".")
    for number in range(1_000_000):
        os.rename(f"moved{{number}}", f"moved{{number + 1}}")
        time.sleep(0.001)
    """
    with family(move, 2) as root:
        found = []
        for _ in range(12):
            moving = Meter(root, tmp_path, 100 * MB, Limits(scratch_bytes=60 * MB))
            found.append(moving.disk_exceeded())
        assert found.count("scratch") >= 3
        assert states(root) <= {"S", "R", "D"}


class SlowDisk(Meter):
    """A meter that does not finish measuring the disk before it is told to."""

    begun, release = threading.Event(), threading.Event()

    def disk_exceeded(self) -> str | None:
        self.begun.set()
        self.release.wait()
        return None


async def test_memory_is_measured_while_the_disk_takes_long(tmp_path):
    found = asyncio.get_running_loop().create_future()

    def report(limit):
        if limit and SlowDisk.begun.is_set() and not found.done():
            found.set_result(limit)

    with family("held = fork(3, lambda: b'x' * (50 << 20))", 5) as root, ThreadPoolExecutor(2) as files:
        looks = _Looks(SlowDisk(root, tmp_path, 100 * MB, Limits()), files, report)
        try:
            async with asyncio.timeout(60):
                while not found.done():
                    looks.begin()
                    await asyncio.sleep(0.01)
        finally:
            SlowDisk.release.set()
    assert found.result() == "memory"
