"""What a tool can't reach. Each attempt is first shown to succeed without walls."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import CellError
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bench

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def port() -> Iterator[int]:
    """A loopback server that greets whoever connects."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"hello")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's."""
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    return path


READ = "def tool(path):\n    return open(path).read()"
WRITE = "def tool(path):\n    open(path, 'w').write('changed')"
CONNECT = """
import socket
def tool(port):
    with socket.create_connection(('127.0.0.1', port), timeout=10) as connection:
        return connection.recv(5).decode()
"""


async def test_files_cant_be_read(bench: Bench, unwalled: Bench, secret: Path) -> None:
    """Neither by name nor through a link nor by listing the directory."""
    assert await unwalled.value(READ, str(secret)) == "secret"
    assert "PermissionError" in await bench.error(READ, str(secret))
    through_link = "import os\ndef tool(path):\n    os.symlink(path, 'link')\n    return open('link').read()"
    assert await unwalled.value(through_link, str(secret)) == "secret"
    assert "PermissionError" in await bench.error(through_link, str(secret))
    listing = "import os\ndef tool(path):\n    return os.listdir(path)"
    assert await unwalled.value(listing, str(secret.parent)) == ["secret.txt"]
    assert "PermissionError" in await bench.error(listing, str(secret.parent))


async def test_files_cant_be_changed(bench: Bench, unwalled: Bench, secret: Path) -> None:
    """Neither written nor removed nor renamed."""
    assert (await unwalled.run(WRITE, str(secret))).status is Status.OK
    assert secret.read_text() == "changed"
    for body in (
        "open(path, 'w')",
        "os.remove(path)",
        "os.rename(path, path + '.new')",
        "os.link(path, 'l')",
    ):
        assert (
            await bench.run(f"import os\ndef tool(path):\n    {body}", str(secret))
        ).status is Status.ERROR
    assert secret.read_text() == "changed"


async def test_a_read_grant_opens_one_file(bench: Bench, secret: Path) -> None:
    """``read:PATH`` opens that path and nothing beside it, and not for writing."""
    other = secret.with_name("other.txt")
    other.write_text("other")
    permissions = (f"read:{secret}",)
    assert await bench.value(READ, str(secret), permissions=permissions) == "secret"
    assert "PermissionError" in await bench.error(READ, str(other), permissions=permissions)
    assert "PermissionError" in await bench.error(WRITE, str(secret), permissions=permissions)


async def test_a_write_grant_opens_one_directory(bench: Bench, tmp_path: Path) -> None:
    """``write:PATH`` lets a tool make files in a directory, and nowhere else."""
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    permissions = (f"write:{allowed}",)
    assert (await bench.run(WRITE, str(allowed / "new"), permissions=permissions)).status is Status.OK
    assert (allowed / "new").read_text() == "changed"
    assert "PermissionError" in await bench.error(WRITE, str(other / "new"), permissions=permissions)


async def test_the_network_is_out_of_reach(bench: Bench, unwalled: Bench, port: int) -> None:
    """Not even loopback, not by UDP, not by listening."""
    assert await unwalled.value(CONNECT, port) == "hello"
    assert (await bench.run(CONNECT, port)).status is Status.ERROR
    udp = "import socket\ndef tool(port):\n    socket.socket(type=2).sendto(b'x', ('127.0.0.1', port))"
    assert (await unwalled.run(udp, port)).status is Status.OK
    assert (await bench.run(udp, port)).status is Status.ERROR
    listen = "import socket\ndef tool():\n    socket.create_server(('127.0.0.1', 0))"
    assert (await unwalled.run(listen)).status is Status.OK
    assert (await bench.run(listen)).status is Status.ERROR


async def test_a_net_grant_opens_one_endpoint(bench: Bench, port: int) -> None:
    """``net:HOST:PORT`` opens that port of that host."""
    assert await bench.value(CONNECT, port, permissions=(f"net:127.0.0.1:{port}",)) == "hello"
    assert (await bench.run(CONNECT, port, permissions=(f"net:127.0.0.1:{port + 1}",))).status is Status.ERROR
    assert (await bench.run(CONNECT, port, permissions=(f"net:127.0.0.2:{port}",))).status is Status.ERROR


async def test_the_environment_is_scrubbed(
    bench: Bench, unwalled: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable of the notebook's is there, nor can it be read from the parent; a grant passes one."""
    monkeypatch.setenv("MY_KEY", "secret-key")
    read = "import os\ndef tool():\n    return os.environ.get('MY_KEY')"
    assert await bench.value(read) is None
    assert await unwalled.value(read) is None
    assert await bench.value(read, permissions=("env:MY_KEY",)) == "secret-key"
    monkeypatch.setenv("MY_KEY", "another")
    assert await bench.value(read, permissions=("env:MY_KEY",)) == "another"
    environ = f"def tool():\n    return len(open('/proc/{os.getpid()}/environ', 'rb').read())"
    subprocess.run([sys.executable, "-I", "-c", environ + "\nassert tool()"], check=True)
    assert "PermissionError" in await bench.error(environ)


@pytest.mark.parametrize(
    "body",
    [
        "os.kill(PARENT, 0)",
        "os.kill(os.getppid(), 0)",
        "open('/proc/PARENT/cmdline').read()",
        "open('/proc/PARENT/status').read()",
        "os.listdir('/proc')",
    ],
)
async def test_other_processes_are_out_of_reach(bench: Bench, unwalled: Bench, body: str) -> None:
    """Neither the notebook's process nor the zygote can be signalled or looked at."""
    source = f"import os\ndef tool():\n    {body.replace('PARENT', str(os.getpid()))}"
    assert (await unwalled.run(source)).status is Status.OK
    assert "PermissionError" in await bench.error(source)


async def test_calls_at_the_same_time_cant_reach_each_other(bench: Bench) -> None:
    """A call can't signal a sibling, nor read what it writes."""
    victim = """
        import os, time
        def tool():
            open('file', 'w').write('mine')
            print(os.getpid(), os.getcwd())
            while not os.path.exists('go'): time.sleep(.01)
            return open('file').read()
        """
    found = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        bench.value(victim, on_printed=lambda text: found.done() or found.set_result(text))
    )
    pid, directory = (await found).split()
    attack = """
        import os
        def tool(pid, directory):
            done = []
            for action in (lambda: os.kill(pid, 9), lambda: open(directory + '/file', 'w'),
                           lambda: open(directory + '/file').read(), lambda: os.listdir(directory)):
                try: action()
                except PermissionError: continue
                done.append(1)
            return len(done)
        """
    assert await bench.value(attack, int(pid), directory) == 0
    Path(directory, "go").touch()
    assert await running == "mine"


async def test_no_descriptor_is_inherited(bench: Bench) -> None:
    """Besides the standard streams there are two pipes, its own, and /dev/null is readable and writable."""
    source = """
        import os
        def tool():
            found = []
            for fd in range(256):
                try: os.fstat(fd)
                except OSError: continue
                found.append(fd)
            open('/dev/null', 'w').write(open('/dev/null').read())
            return len(found)
        """
    assert await bench.value(source) == 5


async def test_programs_cant_be_run(bench: Bench, unwalled: Bench) -> None:
    """The system's programs are not among what an interpreter needs."""
    source = "import subprocess as s\ndef tool():\n    return s.run(['/bin/ls'], stdout=s.DEVNULL).returncode"
    assert await unwalled.value(source) == 0
    assert "PermissionError" in await bench.error(source)


@pytest.mark.parametrize(
    "permission", ["net", "net:", "read:", "files:/x", "net:a b", "net:host:99999", "env"]
)
async def test_malformed_permissions_are_refused(bench: Bench, permission: str) -> None:
    """A permission that can't be read is an error that shows it; nothing runs."""
    with pytest.raises(CellError):
        await bench.run("def tool(): pass", permissions=(permission,))


async def test_the_layers_are_told(bench: Bench, unwalled: Bench) -> None:
    """Each outcome says what was in force."""
    outcome = await bench.run("def tool(): pass")
    assert outcome.isolation == bench.sandbox.layers() == ("landlock", "seccomp", "scopes", "rlimits", "fork")
    assert (await unwalled.run("def tool(): pass")).isolation == ("process", "rlimits")


@pytest.mark.parametrize(
    "act",
    [
        "spawn(os.setsid)",
        "spawn(lambda: os.setpgid(0, 0))",
        "kept.append(socket.socket(16, socket.SOCK_RAW, 0))",
        "kept.append(socket.socketpair())",
        "open('/proc/cpuinfo').read()",
    ],
)
async def test_the_notebooks_descriptors_cant_be_used_up(bench: Bench, act: str) -> None:
    """What the sandbox's supervisor keeps for a tool is bounded while it runs, whatever it does."""
    source = f"""
        import os, socket
        kept = []
        def spawn(act):
            pid = os.fork()
            if pid == 0:
                try: act()
                finally: os._exit(0)
            os.waitpid(pid, 0)
        def tool():
            done = 0
            for _ in range(100):
                try: {act}
                except OSError: continue
                done += 1
            print(done, flush=True)
            import time; time.sleep(60)
        """
    done = asyncio.Event()
    before = len(list(Path("/proc/self/fd").iterdir()))
    running = asyncio.create_task(bench.run(source, on_printed=lambda _: done.set(), timeout_seconds=60))
    await done.wait()
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 50
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_bare_fork_is_refused(bench: Bench, unwalled: Bench) -> None:
    """The system call that the cap on processes does not see does not pass."""
    source = """
        import ctypes, os
        def tool():
            pid = ctypes.CDLL(None).syscall(57)
            if pid == 0: os._exit(0)
            return pid > 0
        """
    if os.uname().machine != "x86_64":
        pytest.skip("only x86-64 has that call")
    assert await unwalled.value(source) is True
    assert await bench.value(source) is False
