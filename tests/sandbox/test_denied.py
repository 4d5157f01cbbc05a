"""What a tool was denied is named with its error; an error that is none of that names nothing."""

from __future__ import annotations

import json
import marshal
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics.sandbox import Call, Limits
from fact_magics.sandbox.frames import Ending, judge, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Bench

    from fact_magics.sandbox.outcome import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

Claim = tuple[str, str]

GET_BY_AIOHTTP = """import asyncio, aiohttp
async def get():
    async with aiohttp.ClientSession() as session, session.get('https://api.example.com/x'): pass
asyncio.run(get())"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of the user's, with a file, a database and a directory in it."""
    (tmp_path / "file.txt").write_text("a,b\n1,2\n")
    (tmp_path / "sub").mkdir()
    with closing(sqlite3.connect(tmp_path / "data.db")) as database:
        database.execute("CREATE TABLE t (x)")
    return tmp_path


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def denied(bench: Bench, body: str, *args: object, permissions: tuple[str, ...] = ()) -> Claim | None:
    """Run a body whose one parameter is `x`, expect it to fail, and give what it says it was denied."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    imports = tuple(name for name in ("httpx", "numpy", "pandas", "requests") if f"import {name}" in body)
    source = f"def tool(x=None):\n{lines}"
    outcome = await bench.run(source, *args, permissions=permissions, imports=imports)
    assert outcome.error is not None, outcome
    return outcome.error.denied


class TestHosts:
    @pytest.mark.parametrize(
        "body",
        [
            "import socket\nsocket.getaddrinfo('api.example.com', 443)",
            "import socket\nsocket.create_connection(('api.example.com', 443))",
            "import http.client\nhttp.client.HTTPSConnection('api.example.com').request('GET', '/')",
            "import urllib.request\nurllib.request.urlopen('https://api.example.com/x')",
            "import requests\nrequests.get('https://api.example.com/x')",
            "import httpx\nhttpx.get('https://api.example.com/x')",
            "import asyncio\nasyncio.run(asyncio.open_connection('api.example.com', 443))",
            GET_BY_AIOHTTP,
        ],
    )
    async def test_a_name_that_is_not_found_is_named_whatever_asks_for_it(
        self, bench: Bench, body: str
    ) -> None:
        assert await denied(bench, body) == ("net", "api.example.com:443")

    @pytest.mark.parametrize(
        "body",
        [
            "import socket\nsocket.socket().connect(('127.0.0.1', x))",
            "import socket\nsocket.create_connection(('127.0.0.1', x), timeout=2)",
            "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{x}/')",
            "import requests\nrequests.get(f'http://127.0.0.1:{x}/')",
            "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', x))",
        ],
    )
    @pytest.mark.parametrize("permissions", [(), ("net:127.0.0.2:9",)])
    async def test_an_address_is_named_with_and_without_another_grant(
        self, bench: Bench, body: str, permissions: tuple[str, ...], closed_port: int
    ) -> None:
        claim = await denied(bench, body, closed_port, permissions=permissions)
        assert claim == ("net", f"127.0.0.1:{closed_port}")

    async def test_an_address_that_was_looked_up_is_named_by_its_name(
        self, bench: Bench, closed_port: int
    ) -> None:
        body = "import socket\nsocket.create_connection(('localhost', x), timeout=2)"
        assert await denied(bench, body, closed_port) == ("net", f"localhost:{closed_port}")

    async def test_a_look_up_for_another_port_does_not_name_an_address(
        self, bench: Bench, closed_port: int
    ) -> None:
        body = "import socket\nsocket.getaddrinfo('localhost', 1)\nsocket.socket().connect(('127.0.0.1', x))"
        assert await denied(bench, body, closed_port) == ("net", f"127.0.0.1:{closed_port}")

    async def test_an_ipv6_address_is_in_brackets(self, bench: Bench) -> None:
        body = "import socket\nsocket.socket(socket.AF_INET6).connect(('::1', 8080))"
        assert await denied(bench, body) == ("net", "[::1]:8080")

    @pytest.mark.parametrize(
        ("body", "claim"),
        [
            ("import socket\nsocket.socket().connect(('api.example.com', 443))", ("host", "HOST")),
            ("import socket\nsocket.create_server(('127.0.0.1', 0))", ("listen", "a port")),
            ("import socket\nsocket.socket(type=2).sendto(b'x', ('127.0.0.1', 9))", ("udp", "UDP")),
            ("import multiprocessing\nmultiprocessing.Pool(2)", ("semaphore", "multiprocessing")),
            ("import mmap\nmmap.mmap(-1, 4096)", ("semaphore", "mmap")),
        ],
    )
    async def test_what_no_permission_names_says_what_it_was(
        self, bench: Bench, body: str, claim: Claim
    ) -> None:
        assert await denied(bench, body) == claim


class TestFiles:
    @pytest.mark.parametrize(
        "body",
        [
            "open(x)",
            "import os\nos.open(x, os.O_RDONLY)",
            "import pathlib\npathlib.Path(x).read_text()",
            "import shutil\nshutil.copy(x, 'copy')",
            "import os\nos.symlink(x, 'link')\nopen('link')",
            "import numpy\nnumpy.loadtxt(x)",
            "import pandas\npandas.read_csv(x)",
            "import zipfile\nzipfile.ZipFile(x)",
            "try:\n    open(x)\nexcept OSError:\n    raise RuntimeError('no data') from None",
            "try:\n    open(x)\nexcept OSError as error:\n    raise ExceptionGroup('all', [error])",
        ],
    )
    async def test_a_file_that_is_read(self, bench: Bench, place: Path, body: str) -> None:
        path = str(place / "file.txt")
        assert await denied(bench, body, path) == ("read", path)

    @pytest.mark.parametrize("call", ["listdir", "scandir"])
    async def test_a_directory_that_is_listed(self, bench: Bench, place: Path, call: str) -> None:
        assert await denied(bench, f"import os\nos.{call}(x)", str(place)) == ("read", str(place))

    @pytest.mark.parametrize(
        "body",
        [
            "open(x, 'w')",
            "open(x, 'ab')",
            "open(x, 'r+')",
            "import os\nos.open(x, os.O_WRONLY | os.O_CREAT)",
            "import os\nos.truncate(x, 0)",
        ],
    )
    async def test_a_file_that_is_changed(self, bench: Bench, place: Path, body: str) -> None:
        path = str(place / "file.txt")
        assert await denied(bench, body, path) == ("write", path)

    @pytest.mark.parametrize(
        "body",
        [
            "open(x + '/new.txt', 'w')",
            "import pathlib\npathlib.Path(x, 'new.txt').write_text('')",
            "import os\nos.mkdir(x + '/new')",
            "import os\nos.makedirs(x + '/new/and/newer')",
            "import os\nos.remove(x + '/file.txt')",
            "import os\nos.rmdir(x + '/sub')",
            "import os\nopen('own', 'w').close()\nos.rename('own', x + '/moved')",
            "import os\nos.rename(x + '/file.txt', 'mine')",
            "import os\nos.symlink('anything', x + '/link')",
            "import pandas\npandas.DataFrame([1]).to_csv(x + '/new.csv')",
        ],
    )
    async def test_what_is_made_or_removed_needs_its_directory(
        self, bench: Bench, place: Path, body: str
    ) -> None:
        assert await denied(bench, body, str(place)) == ("write", str(place))

    async def test_a_grant_to_read_leaves_that_to_write(self, bench: Bench, place: Path) -> None:
        path = str(place / "file.txt")
        claim = await denied(bench, "open(x).read()\nopen(x, 'w')", path, permissions=(f"read:{path}",))
        assert claim == ("write", path)

    async def test_a_grant_that_was_named_is_enough(self, bench: Bench, place: Path) -> None:
        """What the claims say is what is missing: with it, the same tools work."""
        read = "def tool(x):\n    return open(x + '/file.txt').read()"
        assert await bench.value(read, str(place), permissions=(f"read:{place}/file.txt",)) == "a,b\n1,2\n"
        make = "import os\ndef tool(x):\n    os.makedirs(x + '/new/newer')\n    return os.listdir(x + '/new')"
        assert await bench.value(make, str(place), permissions=(f"write:{place}",)) == ["newer"]

    @pytest.mark.parametrize(
        ("body", "permissions", "kind", "target"),
        [
            ("sqlite3.connect(x).execute('SELECT * FROM t')", (), "read", "data.db"),
            ("sqlite3.connect(f'file:{x}?mode=ro', uri=True)", (), "read", "data.db"),
            ("sqlite3.connect(x + '.new')", (), "write", "."),
            ("sqlite3.connect(x).execute('INSERT INTO t VALUES (1)')", ("read:{}/data.db",), "write", "."),
        ],
    )
    async def test_a_database(
        self,
        bench: Bench,
        place: Path,
        body: str,
        permissions: tuple[str, ...],
        kind: str,
        target: str,
    ) -> None:
        claim = await denied(
            bench,
            f"import sqlite3\n{body}",
            str(place / "data.db"),
            permissions=tuple(permission.format(place) for permission in permissions),
        )
        assert claim == (kind, str(place / target))


class TestOthers:
    @pytest.mark.parametrize(
        "body",
        [
            "import os\nos.environ['MISSING']",
            "from os import environ\ndel environ['MISSING']",
            "import os\ntry:\n    os.environ['MISSING']\nexcept KeyError:\n    raise ValueError('set it first')",
        ],
    )
    async def test_a_variable(self, bench: Bench, unwalled: Bench, body: str) -> None:
        """It is kept from the tool in a plain process, too."""
        assert await denied(bench, body) == await denied(unwalled, body) == ("env", "MISSING")

    @pytest.mark.parametrize(
        ("body", "program"),
        [
            ("import subprocess\nsubprocess.run(['ls', '-l'])", "ls"),
            ("import subprocess\nsubprocess.check_output(['no-such-program'])", "no-such-program"),
            ("import subprocess\nsubprocess.run('ls', shell=True, check=True)", "/bin/sh"),
            ("import os\nos.popen('ls')", "/bin/sh"),
            ("import os\nos.execv('/bin/ls', ['ls'])", "/bin/ls"),
            ("import os\nos.posix_spawn('/bin/ls', ['ls'], {})", "/bin/ls"),
            ("import asyncio\nasyncio.run(asyncio.create_subprocess_exec('ls'))", "ls"),
        ],
    )
    async def test_a_program(self, bench: Bench, body: str, program: str) -> None:
        assert await denied(bench, body) == ("program", program)


@pytest.mark.parametrize(
    "body",
    [
        "raise PermissionError('you may not')",
        "raise PermissionError(13, 'Permission denied', '/etc/hosts')",
        "open('own', 'w').close()\nraise PermissionError(13, 'Permission denied', 'own')",
        "raise ConnectionError('lost')",
        "raise ConnectionRefusedError(111, 'Connection refused')",
        "import socket\nraise socket.gaierror(-2, 'Name or service not known')",
        "raise ValueError('api.example.com')",
        "raise KeyError('MISSING')",
        "{}['MISSING']",
        "import os\ndict(os.environ)['MISSING']",
        "open('missing.txt')",
        "open('/no/such/file')",
        "import os\nos.listdir('missing')",
        "import os\nos.mkdir('d', 0)\nopen('d/file', 'w')",
        "open('/proc/1/environ')",
        "import os\nos.kill(1, 0)",
        "import os\nos.setuid(1)",
        "import sqlite3\nsqlite3.connect('own.db').execute('SELECT * FROM missing')",
        "import socket\nsocket.socket(socket.AF_UNIX).connect('/run/some.sock')",
        "import os\ntry:\n    open(x)\nexcept OSError:\n    pass\nraise ValueError('something else')",
        "import os\nlen(os.environ['HOME'])\nraise KeyError('HOME')",
    ],
)
async def test_an_error_of_another_kind_names_nothing(bench: Bench, place: Path, body: str) -> None:
    """Raised by the tool itself, of something that is not there, or of what no permission is about."""
    assert await denied(bench, body, str(place / "file.txt")) is None


@pytest.mark.parametrize("body", ["open(x)", "import socket\nsocket.create_connection(('127.0.0.1', 1))"])
async def test_without_walls_nothing_was_denied(unwalled: Bench, tmp_path: Path, body: str) -> None:
    """What fails there fails for another reason."""
    assert await denied(unwalled, body, str(tmp_path / "missing")) is None


async def test_a_file_that_its_owner_closed_is_no_matter_of_permissions(bench: Bench, tmp_path: Path) -> None:
    """A grant would not help where the system itself refuses."""
    path = tmp_path / "closed"
    path.write_text("x")
    path.chmod(0)
    assert await denied(bench, "open(x)", str(path)) is None


async def test_only_what_may_act_is_watched() -> None:
    """The audit hook costs what computes a lot, so it is left out where nothing can be denied."""

    def watched(source: str, *imports: str) -> bool:
        sent = b"".join(request(Call(source, "tool", b"", imports=imports), Limits(), None))
        return bool(marshal.loads(sent[8:])["watched"])  # noqa: S302 - made in this test

    assert not watched("import copy\ndef tool(x: int) -> int:\n    return copy.deepcopy(x)")
    assert watched("def tool(x: str) -> str:\n    return open(x).read()")
    assert watched("import os\ndef tool(): ...")
    assert watched("import pandas as pd\ndef tool(): ...", "pandas")


@pytest.mark.parametrize(
    "breaking",
    [
        "os.path.realpath = os.open = os.access = None",
        "import collections; collections.deque = None",
        "os.fsdecode = lambda x: 1 / 0",
        "sys.modules.clear()",
        "type(os.environ).__getitem__ = None",
    ],
)
async def test_what_finds_the_reason_may_break_and_the_error_is_told_all_the_same(
    bench: Bench, place: Path, breaking: str
) -> None:
    source = f"import os, sys\ndef tool(x):\n    {breaking}\n    open(x)"
    outcome = await bench.run(source, str(place / "file.txt"))
    assert outcome.error is not None
    assert outcome.error.type_name == "PermissionError"


def claimed(told: object) -> Outcome:
    """Judge a frame in which a tool's process claims `told`."""
    error = {"type": "OSError", "message": "", "traceback": "", "mro": [], "denied": told}
    payload = json.dumps(error).encode()
    frame = b"E" + len(payload).to_bytes(8, "big") + payload
    return judge(Call("", "tool", b""), Ending(frame, 0, 0.0, None, "", 1.0), Limits(), ("landlock",))


async def test_a_claim_has_its_form_or_is_none() -> None:
    """Kinds that are known, one line of printable text, bounded; anything else is dropped, the error is kept."""
    good = claimed(["net", "a.example"]).error
    assert good is not None
    assert good.denied == ("net", "a.example")
    for told in (
        None,
        [],
        "net:x",
        ["net"],
        ["net", 1],
        ["exec", "x"],
        ["net", ""],
        ["net", "a\nb"],
        ["net", "a\x1b[2J"],
        ["net", "\u202eb.example"],
        ["read", "/" + "x" * 2_000],
        ["net", "a", "b"],
        {"net": "x"},
        [["net"], "x"],
    ):
        error = claimed(told).error
        assert error is not None, told
        assert (error.type_name, error.denied) == ("OSError", None), told
