"""Each kind of permission against the real sandbox: what is granted works, what is beside it does not."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.errors import CellError, IsolationError
from fact_magics.sandbox.policy import check_names
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from conftest import Bench

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CONNECT = """
import socket

def connect(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=5) as connection:
        return connection.recv(5).decode()
"""
READ = "def read(path: str) -> str:\n    with open(path) as file:\n        return file.read()\n"
WRITE = "def write(path: str) -> bool:\n    with open(path, 'w') as file:\n        return file.write('new') == 3\n"
VARIABLE = "import os\n\ndef variable(name: str) -> str | None:\n    return os.environ.get(name)\n"


class Workbench:
    """A core, and tools that are granted what they reach, by their request or for one run."""

    def __init__(self, core: FactCore, server: ModelServer) -> None:
        self.core = core
        self.server = server
        self._requests = 0

    async def write(self, source: str, *permissions: str, **options: Any) -> str:
        name = source.partition("def ")[2].partition("(")[0]
        self._requests += 1
        self.server.writes(source)
        spec = ToolSpec(name, f"Request {self._requests}.", permissions=permissions, replace=True, **options)
        return (await self.core.generate(spec)).stored.reference

    async def run(self, way: str, source: str, permissions: tuple[str, ...], **parameters: Any) -> Any:
        """Run a tool; gives its value, or the error that it came to."""
        if way == "generation":
            reference = await self.write(source, *permissions)
            output = await self.core.execute_tool(ToolInput(reference, parameters))
        else:
            reference = await self.write(source)
            output = await self.core.execute_tool(ToolInput(reference, parameters, permissions=permissions))
        assert output.metadata["permissions"] == tuple(sorted(permissions))
        return output.result if output.success else output.metadata["error"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def workbench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workbench]:
    folder = tmp_path_factory.mktemp("permissions")
    with ModelServer() as server:
        environment = {"FACT_HOME": str(folder / "home"), **server.environment()}
        settings = load_settings({}, folder, environment)
        async with FactCore(settings, directory=folder) as core:
            yield Workbench(core, server)


WAYS = pytest.mark.parametrize("way", ["generation", "one run"])


@pytest.fixture
def serve() -> Iterator[Any]:
    """Start loopback servers that greet whoever connects; gives the port of each."""
    servers: list[socket.socket] = []

    def start(address: str = "127.0.0.1") -> int:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, 0), family=family)
        servers.append(server)

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"hello")

        threading.Thread(target=greet, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two directories with two files each."""
    folder = Path(os.path.realpath(tmp_path))
    for directory in ("granted", "beside"):
        (folder / directory).mkdir()
        for name in ("one.txt", "two.txt"):
            (folder / directory / name).write_text(f"{directory} {name}")
    return folder


class TestNet:
    @WAYS
    async def test_a_port_is_reached_and_its_neighbours_are_not(
        self, workbench: Workbench, serve: Any, way: str
    ) -> None:
        port, other = serve(), serve()
        granted = (f"net:127.0.0.1:{port}",)
        assert await workbench.run(way, CONNECT, granted, host="127.0.0.1", port=port) == "hello"
        assert "raised" in await workbench.run(way, CONNECT, granted, host="127.0.0.1", port=other)
        assert "raised" in await workbench.run(way, CONNECT, (), host="127.0.0.1", port=port)

    @WAYS
    async def test_another_address_is_not_reached_by_any_of_its_names(
        self, workbench: Workbench, serve: Any, way: str
    ) -> None:
        port = serve()
        granted = (f"net:127.0.0.2:{port}",)
        for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1", "0", "127.1"):
            assert "raised" in await workbench.run(way, CONNECT, granted, host=host, port=port)

    async def test_a_host_without_a_port_is_reached_on_each(self, workbench: Workbench, serve: Any) -> None:
        one, two = serve(), serve()
        reference = await workbench.write(CONNECT, "net:127.0.0.1", yes_really=True)
        for host, port in (("127.0.0.1", one), ("127.0.0.1", two), ("localhost", two)):
            output = await workbench.core.execute_tool(ToolInput(reference, {"host": host, "port": port}))
            assert output.result == "hello", output.metadata
        six = serve("::1")
        output = await workbench.core.execute_tool(ToolInput(reference, {"host": "::1", "port": six}))
        assert not output.success

    async def test_a_name_is_reached_by_its_name(self, workbench: Workbench, serve: Any) -> None:
        port = serve()
        granted = (f"net:localhost:{port}",)
        assert await workbench.run("one run", CONNECT, granted, host="localhost", port=port) == "hello"

    async def test_an_ipv6_address_is_reached(self, workbench: Workbench, serve: Any) -> None:
        port, other = serve("::1"), serve("::1")
        granted = (f"net:[::1]:{port}",)
        assert await workbench.run("one run", CONNECT, granted, host="::1", port=port) == "hello"
        assert "raised" in await workbench.run("one run", CONNECT, granted, host="::1", port=other)

    async def test_a_host_without_an_address_is_one_line_and_no_model_is_asked(
        self, workbench: Workbench
    ) -> None:
        asked = len(workbench.server.requests)
        with pytest.raises(
            IsolationError, match=r"^net:no-such-host\.invalid:80 can't be granted"
        ) as refused:
            await workbench.core.generate(
                ToolSpec("connect", "Nowhere.", permissions=("net:no-such-host.invalid:80",))
            )
        assert "has no address" in refused.value.line
        assert "\n" not in str(refused.value)
        assert len(workbench.server.requests) == asked
        reference = await workbench.write(CONNECT)
        with pytest.raises(IsolationError, match="has no address"):
            await workbench.core.execute_tool(
                ToolInput(reference, {"host": "x", "port": 1}, permissions=("net:no-such-host.invalid:80",))
            )
        assert (await workbench.core.get_tool_history("connect", 1))[0].permissions == (
            "net:no-such-host.invalid:80",
        )

    async def test_a_name_that_leads_to_this_machine_is_no_way_around_the_question(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever owns a name decides where it leads; this machine's stands in for a stranger's."""
        await check_names([("localhost", "*")])  # asked about when it was granted
        monkeypatch.setattr("fact_magics.permissions.dangers.OWN_NAMES", frozenset())
        with pytest.raises(
            IsolationError,
            match=r"localhost leads to .*, and the tool could reach every service of this machine",
        ):
            await check_names([("localhost", "*")])
        await check_names([("localhost", "8080")])

    async def test_a_name_that_led_elsewhere_when_it_was_looked_up_is_none_either(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sandlock asks again, and whoever owns a name may answer each time as he likes."""

        async def far_away(*_: str) -> list[str]:
            return ["93.184.216.34"]

        monkeypatch.setattr("fact_magics.permissions.dangers.OWN_NAMES", frozenset())
        monkeypatch.setattr("fact_magics.sandbox.policy.addresses_of", far_away)
        with pytest.raises(IsolationError, match=r"^net:localhost can't be granted: localhost leads to 127"):
            await bench.run("def tool():\n    return 1", permissions=("net:localhost",))
        assert await bench.value("def tool():\n    return 1", permissions=("net:localhost:8080",)) == 1


class TestRead:
    @WAYS
    async def test_a_file_is_read_and_its_sibling_is_not(
        self, workbench: Workbench, folder: Path, way: str
    ) -> None:
        one, two = folder / "granted" / "one.txt", folder / "granted" / "two.txt"
        granted = (f"read:{one}",)
        assert await workbench.run(way, READ, granted, path=str(one)) == "granted one.txt"
        assert "PermissionError" in await workbench.run(way, READ, granted, path=str(two))
        assert "PermissionError" in await workbench.run(way, READ, (), path=str(one))
        assert "PermissionError" in await workbench.run(way, WRITE, granted, path=str(one))
        assert one.read_text() == "granted one.txt"

    @WAYS
    async def test_a_directory_is_read_and_its_sibling_is_not(
        self, workbench: Workbench, folder: Path, way: str
    ) -> None:
        granted = (f"read:{folder}/granted",)
        inside, beside = f"{folder}/granted/two.txt", f"{folder}/beside/two.txt"
        assert await workbench.run(way, READ, granted, path=inside) == "granted two.txt"
        assert "PermissionError" in await workbench.run(way, READ, granted, path=beside)
        assert "PermissionError" in await workbench.run(
            way, READ, granted, path=f"{folder}/granted/../beside/two.txt"
        )
        (folder / "granted" / "link").symlink_to(beside)
        assert "PermissionError" in await workbench.run(way, READ, granted, path=f"{folder}/granted/link")

    async def test_a_file_that_was_replaced_is_read_anew(self, workbench: Workbench, folder: Path) -> None:
        path = folder / "granted" / "one.txt"
        reference = await workbench.write(READ, f"read:{path}")
        for text in ("first", "second", "third"):
            new = path.with_suffix(".new")
            new.write_text(text)
            new.replace(path)
            output = await workbench.core.execute_tool(ToolInput(reference, {"path": str(path)}))
            assert output.result == text

    async def test_all_files_are_not_all_processes(self, workbench: Workbench) -> None:
        """Whoever grants everything still does not grant the notebook's own environment."""
        reference = await workbench.write(READ, "read:/", yes_really=True)
        output = await workbench.core.execute_tool(ToolInput(reference, {"path": "/etc/passwd"}))
        assert "root" in output.result
        for name in ("environ", "maps"):
            path = f"/proc/{os.getpid()}/{name}"
            Path(path).read_bytes()
            output = await workbench.core.execute_tool(ToolInput(reference, {"path": path}))
            assert "PermissionError" in output.metadata["error"]

    async def test_a_link_in_place_of_what_was_granted_is_refused(
        self, workbench: Workbench, folder: Path
    ) -> None:
        reference = await workbench.write(READ, f"read:{folder}/granted")
        (folder / "granted").rename(folder / "moved")
        (folder / "granted").symlink_to("beside")
        with pytest.raises(IsolationError, match="leads to"):
            await workbench.core.execute_tool(ToolInput(reference, {"path": f"{folder}/granted/one.txt"}))


class TestWrite:
    @WAYS
    async def test_a_directory_is_written_and_its_sibling_is_not(
        self, workbench: Workbench, folder: Path, way: str
    ) -> None:
        granted = (f"write:{folder}/granted",)
        for name in ("one.txt", "new.txt"):
            assert await workbench.run(way, WRITE, granted, path=f"{folder}/granted/{name}") is True
            assert (folder / "granted" / name).read_text() == "new"
        assert await workbench.run(way, READ, granted, path=f"{folder}/granted/one.txt") == "new"
        for path in (f"{folder}/beside/one.txt", f"{folder}/beside/new.txt", f"{folder}/new.txt"):
            assert "PermissionError" in await workbench.run(way, WRITE, granted, path=path)
        assert sorted(path.name for path in (folder / "beside").iterdir()) == ["one.txt", "two.txt"]

    @WAYS
    async def test_a_file_is_written_and_its_sibling_is_not(
        self, workbench: Workbench, folder: Path, way: str
    ) -> None:
        granted = (f"write:{folder}/granted/one.txt",)
        assert await workbench.run(way, WRITE, granted, path=f"{folder}/granted/one.txt") is True
        assert "PermissionError" in await workbench.run(way, WRITE, granted, path=f"{folder}/granted/two.txt")
        assert (folder / "granted" / "two.txt").read_text() == "granted two.txt"

    async def test_what_is_gone_since_is_one_line(self, workbench: Workbench, folder: Path) -> None:
        (folder / "out").mkdir()
        reference = await workbench.write(WRITE, f"write:{folder}/out")
        (folder / "out").rmdir()
        with pytest.raises(IsolationError, match=r"/out does not exist\. Create it first") as refused:
            await workbench.core.execute_tool(ToolInput(reference, {"path": f"{folder}/out/x"}))
        assert "\n" not in str(refused.value)
        assert not (folder / "out").exists()


class TestEnv:
    @WAYS
    async def test_a_variable_is_there_and_its_neighbour_is_not(
        self, workbench: Workbench, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        monkeypatch.setenv("REGION", "north")
        monkeypatch.setenv("REGION_CODE", "n-1")
        granted = ("env:REGION",)
        assert await workbench.run(way, VARIABLE, granted, name="REGION") == "north"
        assert await workbench.run(way, VARIABLE, granted, name="REGION_CODE") is None
        assert await workbench.run(way, VARIABLE, (), name="REGION") is None
        monkeypatch.setenv("REGION", "south")
        assert await workbench.run(way, VARIABLE, granted, name="REGION") == "south"


class TestAskedFor:
    async def test_a_tool_is_proven_with_what_it_is_granted(self, workbench: Workbench, folder: Path) -> None:
        path = folder / "granted" / "one.txt"
        workbench.server.writes(READ)
        text = f"Read.\n\n>>> read({str(path)!r})\n'granted one.txt'\n"
        tool = await workbench.core.generate(ToolSpec("read", text, permissions=(f"read:{path}",)))
        assert tool.metadata.proven
        assert f"read:{path}" in workbench.server.requests[-1].text

    async def test_permissions_are_part_of_the_request_and_of_the_tool(
        self, workbench: Workbench, folder: Path
    ) -> None:
        one = f"read:{folder}/granted/one.txt"
        spelt = f"read:{folder}/beside/../granted/one.txt"
        tools = []
        for permissions in ((one,), (spelt,), ()):
            workbench.server.writes(READ)
            spec = ToolSpec("read", "Read what the path names.", permissions=permissions, replace=True)
            tools.append(await workbench.core.generate(spec))
        first, again, without = tools
        assert first.id == again.id
        assert first.metadata.permissions == (one,)
        assert without.id != first.id
        assert without.stored.content_hash != first.stored.content_hash
        assert one in repr(first)
        assert one in first.__doc__
        assert "allowed" not in repr(without)
        workbench.server._script.clear()

    async def test_a_dangerous_one_is_asked_for_once(self, workbench: Workbench, folder: Path) -> None:
        """An accepted tool is given again without the word; to write it anew needs the word again."""
        (folder / "granted" / ".env").touch()
        asked = len(workbench.server.requests)

        def spec(**options: bool) -> ToolSpec:
            permissions = (f"read:{folder}/granted",)
            return ToolSpec("read", f"Read {folder}.", permissions=permissions, replace=True, **options)

        with pytest.raises(CellError, match=r"\.env probably holds keys.*--yes-really"):
            await workbench.core.generate(spec())
        assert len(workbench.server.requests) == asked
        workbench.server.writes(READ)
        tool = await workbench.core.generate(spec(yes_really=True))
        assert (await workbench.core.generate(spec())).id == tool.id
        with pytest.raises(CellError, match="--yes-really"):
            await workbench.core.generate(spec(fresh=True))
        output = await workbench.core.execute_tool(
            ToolInput(tool.stored.reference, {"path": f"{folder}/granted/one.txt"})
        )
        assert output.success

    async def test_what_became_precious_since_is_not_granted_any_more(
        self, workbench: Workbench, folder: Path
    ) -> None:
        core = workbench.core
        reference = await workbench.write(WRITE, f"write:{folder}/granted")
        before = core._files.protected
        core._files.protected = type(before)(
            before.directory, folder / "granted", before.database, before.trusted
        )
        try:
            with pytest.raises(CellError, match="can't be granted: fact_magics keeps"):
                await core.execute_tool(ToolInput(reference, {"path": f"{folder}/granted/x"}))
        finally:
            core._files.protected = before

    @pytest.mark.parametrize(
        ("permission", "told"),
        [
            ("read", "is a permission without a path"),
            ("read:/proc", "can't be granted"),
            ("read:/", "is dangerous"),
            ("read:/no/such/file", "grants nothing"),
        ],
    )
    async def test_one_run_is_asked_the_same(self, workbench: Workbench, permission: str, told: str) -> None:
        reference = await workbench.write(READ)
        before = len(await workbench.core.get_tool_history("read", 1000))
        with pytest.raises(CellError, match=told):
            await workbench.core.execute_tool(ToolInput(reference, {"path": "/x"}, permissions=(permission,)))
        assert len(await workbench.core.get_tool_history("read", 1000)) == before

    async def test_a_run_with_permissions_is_neither_answered_from_the_cache_nor_kept(
        self, workbench: Workbench, folder: Path
    ) -> None:
        steady = "def steady(n: int) -> int:\n    return n\n"
        workbench.server.writes(steady)
        tool = await workbench.core.generate(ToolSpec("steady", "Steady.\n\n>>> steady(1)\n1"))
        extra = (f"read:{folder}/granted",)

        async def cached(n: int, *permissions: str) -> bool:
            request = ToolInput("steady", {"n": n}, permissions=permissions)
            return bool((await workbench.core.execute_tool(request)).metadata["cached"])

        assert [await cached(2, *extra), await cached(2), await cached(2)] == [False, False, True]
        assert [await cached(2, *extra), await cached(2)] == [False, True]
        rows = await workbench.core.get_tool_history(tool.id, 10)
        assert [row.permissions for row in rows] == [(), extra, (), (), extra]
        assert [row.cache_key is None for row in rows] == [False, True, False, False, True]

    async def test_a_tool_and_its_run_are_granted_together(
        self, workbench: Workbench, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REGION", "north")
        source = (
            "import os\n\ndef both(path: str) -> list[str | None]:\n"
            "    with open(path) as file:\n        return [file.read(), os.environ.get('REGION')]\n"
        )
        path = f"{folder}/granted/one.txt"
        reference = await workbench.write(source, f"read:{path}")
        request = ToolInput(reference, {"path": path}, permissions=("env:REGION", f"read:{path}"))
        output = await workbench.core.execute_tool(request)
        assert output.result == ["granted one.txt", "north"]
        assert output.metadata["permissions"] == ("env:REGION", f"read:{path}")
        alone = await workbench.core.execute_tool(ToolInput(reference, {"path": path}))
        assert alone.result == ["granted one.txt", None]
        assert alone.metadata["permissions"] == (f"read:{path}",)

    async def test_a_call_uses_the_tools_own(self, workbench: Workbench, folder: Path) -> None:
        path = f"{folder}/granted/one.txt"
        tool = await workbench.core.look_up(await workbench.write(READ, f"read:{path}"))
        assert await tool.acall(path) == "granted one.txt"


async def test_zygotes_of_granted_files_leave_the_bare_ones_alone(bench: Bench, folder: Path) -> None:
    """A tool that is given file after file does not cost the others the zygotes that wait for them."""
    assert await bench.value("def tool():\n    return 1") == 1
    source = "def tool(path):\n    return open(path).read()"
    for number in range(8):
        path = folder / f"{number}.txt"
        path.write_text(str(number))
        assert await bench.value(source, str(path), permissions=(f"read:{path}",)) == str(number)
    zygotes = bench.sandbox.inspect().zygotes
    assert any(one.bare for one in zygotes)
    assert len(zygotes) <= 6
