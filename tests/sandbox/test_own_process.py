"""A tool reads what Linux tells about its own process, as numeric libraries do, and nothing of other processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Bench

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

OWN = ("limits", "maps", "smaps", "smaps_rollup", "stat", "statm", "status")

READ_OWN = """
    import os, pathlib

    def tool(names):
        read = {}
        for name in names:
            paths = (f"/proc/self/{name}", f"/proc/{os.getpid()}/{name}")
            read[name] = [bool(pathlib.Path(path).read_text()) for path in paths]
        status = pathlib.Path("/proc/self/status").read_text()
        return [read, f"Pid:\\t{os.getpid()}\\n" in status]
"""

READ_FROM_BELOW = """
    import os, pathlib, subprocess, sys

    def tool(names):
        program = "import os; print(os.getpid(), open('/proc/self/stat').read().split()[0])"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        own, told = ran.stdout.split()
        return own == told
"""

# Ways to name a file of another process; each is tried with the pid of the zygote and of the notebook.
ATTACK = """
    import os

    def plain(pid, name):
        return open(f"/proc/{pid}/{name}", "rb").read()

    def by_detour(pid, name):
        return open(f"/proc/self/../{pid}/{name}", "rb").read()

    def by_root(pid, name):
        return open(f"/proc/self/root/proc/{pid}/{name}", "rb").read()

    def by_task(pid, name):
        return open(f"/proc/{pid}/task/{pid}/{name}", "rb").read()

    def by_slashes(pid, name):
        return open(f"//proc//{pid}//{name}", "rb").read()

    def by_link(pid, name):
        link = os.path.join(os.environ["HOME"], f"{pid}-{name}")
        if not os.path.lexists(link):
            os.symlink(f"/proc/{pid}/{name}", link)
        return open(link, "rb").read()

    def by_directory(pid, name):
        os.chdir(f"/proc/{pid}")
        return open(name, "rb").read()

    def by_descriptor(pid, name):
        directory = os.open(f"/proc/{pid}", os.O_PATH)
        return os.read(os.open(name, os.O_RDONLY, dir_fd=directory), 100)

    def by_own_directory(pid, name):
        os.chdir("/proc/self")
        return open(f"../{pid}/{name}", "rb").read()

    def tool(pids, own, others):
        came = []
        for pid in [os.getppid(), *pids]:
            for way in (plain, by_detour, by_root, by_task, by_slashes, by_link, by_directory,
                        by_descriptor, by_own_directory):
                # Sandlock takes a link to the notebook's directory for one to /proc/self.
                names = others if is_about(way, pid) == os.getpid() else [*own, *others]
                for name in names:
                    try:
                        way(pid, name)
                    except OSError:
                        continue
                    came.append([way.__name__, pid, name])
        return came

    def is_about(way, pid):
        try:
            return int(way(pid, "stat").split()[0])
        except OSError:
            return None
"""

SIBLING = """
    import os, time

    def tool(names):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.read(reading, 1)
            os._exit(0)
        came = []
        for name in names:
            try:
                open(f"/proc/{child}/{name}", "rb").read()
            except OSError:
                continue
            came.append(name)
        os.write(writing, b"x")
        os.waitpid(child, 0)
        return came
"""


async def test_a_process_reads_its_own_memory_and_status(bench: Bench) -> None:
    """Under both names, and what it reads is about itself, not about the zygote that it was forked from."""
    read, is_own = await bench.value(READ_OWN, list(OWN))
    assert read == {name: [True, True] for name in OWN}
    assert is_own


async def test_a_subprocess_of_a_tool_reads_its_own_too(bench: Bench) -> None:
    """Programs that a tool starts need the same files."""
    assert await bench.value(READ_FROM_BELOW, [])


async def test_nothing_of_the_zygote_the_notebook_or_the_system_can_be_read(bench: Bench) -> None:
    """However the file is named: only its own process is open to a tool."""
    pids = [os.getpid(), os.getppid(), 1]
    others = ["environ", "cmdline", "mem", "cwd", "fd"]
    assert await bench.value(ATTACK, pids, list(OWN), others) == []


async def test_the_environment_a_process_was_started_with_stays_closed(bench: Bench) -> None:
    """It is not needed, and it is the file in which other programs keep keys."""
    read = "def tool():\n    return open('/proc/self/environ').read()"
    assert "PermissionError" in await bench.error(read)


async def test_processes_of_one_call_do_not_see_each_other(bench: Bench) -> None:
    """Not even a child of the tool."""
    assert await bench.value(SIBLING, [*OWN, "environ", "cmdline"]) == []


async def test_the_attacks_are_attacks(unwalled: Bench) -> None:
    """Without walls they succeed."""
    came = await unwalled.value(ATTACK, [os.getpid()], ["status"], [])
    ways = {way for way, pid, _ in came if pid == os.getpid()}
    assert {"plain", "by_link", "by_directory", "by_descriptor", "by_own_directory"} <= ways
