"""Honest programs don't notice the sandbox; the few that it can't let through are refused in one clear line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What each program does, its body, and what it returns.
PROGRAMS = {
    "pandas reads, groups and merges": (
        """
        import io
        import pandas as pd
        def tool():
            sold = pd.read_csv(io.StringIO("city,n\\nBern,1\\nRom,2\\nBern,3\\n"))
            lands = pd.DataFrame({"city": ["Bern", "Rom"], "land": ["CH", "IT"]})
            sums = sold.groupby("city", as_index=False)["n"].sum().merge(lands, on="city")
            sums.to_csv("sums.csv", index=False)
            return pd.read_csv("sums.csv").to_dict("records")
        """,
        [{"city": "Bern", "n": 4, "land": "CH"}, {"city": "Rom", "n": 2, "land": "IT"}],
    ),
    "pandas tells times and pivots": (
        """
        import pandas as pd
        def tool():
            days = pd.date_range("2026-01-30", periods=4, freq="D", tz="Europe/Berlin")
            frame = pd.DataFrame({"day": days, "n": range(4)})
            return frame.set_index("day").resample("MS")["n"].sum().tolist()
        """,
        [1, 5],
    ),
    "numpy computes, and maps a file": (
        """
        import numpy as np
        def tool():
            np.save("a.npy", np.arange(1_000_000.0).reshape(1000, 1000))
            mapped = np.load("a.npy", mmap_mode="r+")
            mapped[0, 0] = 5
            rng = np.random.default_rng(1)
            solved = np.linalg.solve(np.eye(50) * 2, np.ones(50))
            return [float(mapped[:2].sum()), float(solved.sum()), rng.integers(10, size=3).tolist()]
        """,
        [1999005.0, 25.0, [4, 5, 7]],
    ),
    "threads share work by a queue": (
        """
        import queue, threading
        def tool():
            work, done = queue.Queue(), []
            def worker():
                while (n := work.get()) is not None:
                    done.append(n * n)
            threads = [threading.Thread(target=worker) for _ in range(8)]
            for thread in threads: thread.start()
            for n in range(100): work.put(n)
            for _ in threads: work.put(None)
            for thread in threads: thread.join()
            return sum(done)
        """,
        328350,
    ),
    "a pool of threads maps": (
        """
        from concurrent.futures import ThreadPoolExecutor
        def tool():
            with ThreadPoolExecutor(16) as pool:
                return list(pool.map(lambda n: n + 1, range(50)))
        """,
        list(range(1, 51)),
    ),
    "tasks gather, time out and run in threads": (
        """
        import asyncio
        async def nap(n):
            await asyncio.sleep(0.01)
            return n
        async def tool():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(nap(n)) for n in range(5)]
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.01)
            except TimeoutError:
                late = True
            return [sum(t.result() for t in tasks), await asyncio.gather(nap(1), asyncio.to_thread(len, "ab")), late]
        """,
        [10, [1, 2], True],
    ),
    "tasks talk through a pair of sockets": (
        """
        import asyncio, socket
        async def tool():
            one, other = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=one)
            other.sendall(b"line\\n")
            line = await reader.readline()
            writer.close()
            return line.decode()
        """,
        "line\n",
    ),
    "sqlite in memory and in a file": (
        """
        import sqlite3
        def tool():
            found = []
            for name in (":memory:", "data.db"):
                db = sqlite3.connect(name)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("CREATE TABLE t (n INTEGER, s TEXT)")
                with db: db.executemany("INSERT INTO t VALUES (?, ?)", [(n, str(n)) for n in range(1000)])
                db.execute("CREATE INDEX i ON t (s)")
                found.append(db.execute("SELECT sum(n) FROM t WHERE s LIKE '9%'").fetchone()[0])
                db.execute("VACUUM")
                db.close()
            return found
        """,
        [95904, 95904],
    ),
    "temporary files of every kind": (
        """
        import os, tempfile
        def tool():
            with tempfile.TemporaryFile() as one, tempfile.SpooledTemporaryFile(10) as two:
                for file in (one, two):
                    file.write(b"x" * 100); file.seek(0)
                sizes = [len(one.read()), len(two.read())]
            descriptor, name = tempfile.mkstemp()
            os.close(descriptor); os.unlink(name)
            with tempfile.TemporaryDirectory() as folder:
                open(folder + "/a", "w").close()
            return [sizes, os.path.exists(folder)]
        """,
        [[100, 100], False],
    ),
    "files are copied, moved and removed": (
        """
        import os, shutil
        from pathlib import Path
        def tool():
            Path("a/b").mkdir(parents=True)
            Path("a/b/c.txt").write_text("text")
            shutil.copytree("a", "copy")
            shutil.copy2("a/b/c.txt", "d.txt")
            shutil.move("d.txt", "copy/d.txt")
            os.chmod("copy/d.txt", 0o600)
            Path("copy/d.txt").touch()
            os.utime("copy/d.txt")
            shutil.rmtree("a")
            os.symlink("copy", "link")
            return sorted(str(path) for path in Path(".").rglob("*"))
        """,
        ["copy", "copy/b", "copy/b/c.txt", "copy/d.txt", "link"],
    ),
    "archives are written and read": (
        """
        import bz2, gzip, lzma, shutil, tarfile, zipfile, zlib
        def tool():
            open("a.txt", "w").write("text" * 100)
            with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive: archive.write("a.txt")
            with zipfile.ZipFile("a.zip") as archive: archive.extractall("zip")
            with tarfile.open("a.tar.gz", "w:gz") as archive: archive.add("a.txt")
            with tarfile.open("a.tar.gz") as archive: archive.extractall("tar")
            with gzip.open("a.gz", "wt") as file: file.write("text")
            shutil.make_archive("made", "zip", "zip")
            data = lzma.decompress(lzma.compress(bz2.decompress(bz2.compress(zlib.decompress(zlib.compress(b"x"))))))
            return [open("zip/a.txt").read() == open("tar/a.txt").read(), gzip.open("a.gz", "rt").read(), data.decode()]
        """,
        [True, "text", "x"],
    ),
    "csv, json, ini, toml and logs in files": (
        """
        import configparser, csv, json, logging, tomllib
        def tool():
            with open("a.csv", "w", newline="") as file: csv.writer(file).writerows([["n"], [1]])
            json.dump({"a": [1, None]}, open("a.json", "w"))
            settings = configparser.ConfigParser(); settings.read_string("[a]\\nb = 1")
            logging.basicConfig(filename="a.log", level="INFO", format="%(message)s"); logging.info("said")
            return [list(csv.DictReader(open("a.csv"))), json.load(open("a.json")), settings["a"]["b"],
                    tomllib.loads("a = 1"), open("a.log").read()]
        """,
        [[{"n": "1"}], {"a": [1, None]}, "1", {"a": 1}, "said\n"],
    ),
    "text of every kind": (
        """
        import difflib, hashlib, html, locale, re, string, textwrap, unicodedata
        from html.parser import HTMLParser
        from urllib.parse import urlencode, urlsplit
        from xml.etree import ElementTree
        def tool():
            class Links(HTMLParser):
                found = []
                def handle_starttag(self, tag, attrs): self.found.append(dict(attrs).get("href"))
            Links().feed("<a href='/x'>x</a>")
            ratio = difflib.SequenceMatcher(None, "abcd", "bcde").ratio()
            root = ElementTree.fromstring("<a><b n='1'/></a>")
            return [Links.found, ratio, hashlib.sha256(b"x").hexdigest()[:8], root.find("b").get("n"),
                    urlsplit("http://h:1/p?q=1").port, urlencode({"a": "ü"}), re.sub(r"(?P<a>x)", r"\\g<a>y", "x"),
                    locale.localeconv()["decimal_point"], unicodedata.normalize("NFC", "e\\u0301"),
                    html.unescape("&uuml;"), textwrap.shorten("many words here", 12), string.Template("$a").substitute(a=1)]
        """,
        [["/x"], 0.75, "2d711642", "1", 1, "a=%C3%BC", "xy", ".", "é", "ü", "many [...]", "1"],
    ),
    "decimals in their contexts": (
        """
        from decimal import Decimal, localcontext
        def tool():
            with localcontext() as context:
                context.prec = 5
                return Decimal(1) / Decimal(3)
        """,
        Decimal("0.33333"),
    ),
    "dates, times and zones": (
        """
        from datetime import UTC, date, datetime, timedelta
        from zoneinfo import ZoneInfo
        def tool():
            then = datetime(2026, 3, 29, 3, tzinfo=ZoneInfo("Europe/Zurich"))
            return [then.astimezone(UTC), date(2026, 1, 1), timedelta(days=1, seconds=2)]
        """,
        [datetime(2026, 3, 29, 1, tzinfo=UTC), date(2026, 1, 1), timedelta(days=1, seconds=2)],
    ),
    "classes come back as what they hold": (
        """
        from collections import namedtuple
        from dataclasses import dataclass, field
        from enum import Enum, IntEnum
        from uuid import UUID
        class Kind(Enum):
            ONE = "one"
        class Level(IntEnum):
            HIGH = 3
        @dataclass
        class Point:
            x: int
            tags: list[str] = field(default_factory=list)
        def tool():
            return [Kind.ONE, Level.HIGH, Point(1, ["a"]), UUID(int=1), {1, 2}, b"x"]
        """,
        ["one", 3, {"x": 1, "tags": ["a"]}, UUID(int=1), {1, 2}, b"x"],
    ),
    "what is pickled is unpickled": (
        """
        import copy, pickle
        class Node:
            def __init__(self, below): self.below = below
        def tool():
            tree = Node([Node([]), Node([])])
            return [len(pickle.loads(pickle.dumps(tree)).below), len(copy.deepcopy(tree).below)]
        """,
        [2, 2],
    ),
    "warnings are caught": (
        """
        import warnings
        def tool():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warnings.warn("careful", stacklevel=1)
            return str(caught[0].message)
        """,
        "careful",
    ),
    "packages tell about themselves": (
        """
        import importlib.metadata, importlib.resources, platform, sys
        def tool():
            text = importlib.resources.files("email").joinpath("__init__.py").read_text()
            return [importlib.metadata.version("numpy")[0].isdigit(), "def " in text, platform.system(), len(sys.path) > 0]
        """,
        [True, True, "Linux", True],
    ),
    "modules are imported late": (
        """
        def tool():
            import calendar, statistics, fractions, heapq, bisect, graphlib, ipaddress, secrets, uuid, colorsys
            return [statistics.fmean([1, 2]), str(fractions.Fraction(1, 3) * 2), len(secrets.token_hex(4)),
                    str(ipaddress.ip_network("10.0.0.0/30")[1]), uuid.uuid4().version]
        """,
        [1.5, "2/3", 8, "10.0.0.1", 4],
    ),
    "a module is written and imported": (
        """
        import sys
        def tool():
            open("helper.py", "w").write("def help(): return 'helped'")
            sys.path.insert(0, ".")
            import helper
            return helper.help()
        """,
        "helped",
    ),
    "children are forked and waited for": (
        """
        import os
        def tool():
            reader, writer = os.pipe()
            if os.fork() == 0:
                os.write(writer, b"from the child")
                os._exit(0)
            os.wait()
            return os.read(reader, 100).decode()
        """,
        "from the child",
    ),
    "processes of multiprocessing talk through a pipe": (
        """
        import multiprocessing
        def work(connection): connection.send(sum(range(100)))
        def tool():
            fork = multiprocessing.get_context("fork")
            here, there = fork.Pipe()
            process = fork.Process(target=work, args=(there,))
            process.start()
            found = here.recv()
            process.join()
            return [found, process.exitcode]
        """,
        [4950, 0],
    ),
    "this interpreter is run as a program": (
        """
        import subprocess, sys
        def tool():
            return subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout
        """,
        "42\n",
    ),
    "signals are handled, and alarms": (
        """
        import signal, time
        def tool():
            heard = []
            signal.signal(signal.SIGALRM, lambda *_: heard.append("alarm"))
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            deadline = time.monotonic() + 5
            while not heard and time.monotonic() < deadline: time.sleep(0.01)
            return heard
        """,
        ["alarm"],
    ),
    "the machine's figures": (
        """
        import os, resource, shutil, time
        def tool():
            os.nice(1)
            os.sched_setaffinity(0, os.sched_getaffinity(0))
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            return [os.cpu_count() > 0, shutil.disk_usage(".").free > 0, time.process_time() > 0,
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0, os.getloadavg()[0] >= 0]
        """,
        [True] * 5,
    ),
    "functions of C are called, and call back": (
        """
        import ctypes
        def tool():
            compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
            numbers = (ctypes.c_int * 3)(3, 1, 2)
            ctypes.CDLL(None).qsort(numbers, 3, 4, compare(lambda a, b: a[0] - b[0]))
            return list(numbers)
        """,
        [1, 2, 3],
    ),
}

# What can't work, and the line that says so.
REFUSED = {
    "a program of the system": ("import subprocess\ndef tool(): subprocess.run(['ls'])", "Permission"),
    "a program of a task": (
        "import asyncio\nasync def tool(): await asyncio.create_subprocess_exec('/bin/ls')",
        "PermissionError",
    ),
    "a pool of processes": (
        "import multiprocessing\ndef tool():\n    with multiprocessing.Pool(2) as pool: return pool.map(abs, [1])",
        "PermissionError",
    ),
    "a server": (
        "import http.server\ndef tool(): http.server.HTTPServer(('127.0.0.1', 0), None)",
        "PermissionError",
    ),
    "a file in memory": ("import os\ndef tool(): os.memfd_create('x')", "OSError: [Errno 38]"),
    "a keyboard": ("def tool(): input()", "EOFError"),
}


@pytest.mark.parametrize("what", PROGRAMS)
async def test_an_honest_program_works(bench: Bench, what: str) -> None:
    source, expected = PROGRAMS[what]
    imports = tuple(name for name in ("numpy", "pandas") if f"import {name}" in source)
    assert await bench.value(source, imports=imports) == expected


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cant_work_is_refused_in_one_clear_line(bench: Bench, what: str) -> None:
    source, line = REFUSED[what]
    told = await bench.error(source)
    assert line in told
    assert "\n" not in told.strip()


async def test_a_package_may_hold_descriptors_once_it_is_imported(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many: here those of a call's own pipes come to where the others are to be."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    holds = "import os\nheld = []\nwhile not held or held[-1] < 8:\n    held.append(os.open(os.devnull, os.O_RDONLY))\n"
    (installed / "holds_descriptors.py").write_text(holds)
    monkeypatch.syspath_prepend(installed)
    source = "import holds_descriptors\ndef tool():\n    return holds_descriptors.held[-1]"
    assert await bench.value(source, imports=("holds_descriptors",)) == 8


async def test_twenty_megabytes_come_back_whole(bench: Bench) -> None:
    assert await bench.value("def tool(n):\n    return 'x' * n", 20 << 20) == "x" * (20 << 20)
    assert await bench.value("def tool(n):\n    return list(range(n))", 2_500_000) == list(range(2_500_000))


async def test_a_hundred_thousand_items_come_back_in_order(bench: Bench) -> None:
    source = "def tool(n):\n    return [{'n': i, 'name': f'item {i}'} for i in range(n)]"
    found = await bench.value(source, 100_000)
    assert found == [{"n": i, "name": f"item {i}"} for i in range(100_000)]
