"""Honest tools: what they use works, and what they return arrives."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fact_magics.sandbox import Call
from fact_magics.tool import Status

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_arguments_arrive_and_the_result_returns(bench: Bench) -> None:
    """Values of every kind cross the wire in both directions."""
    given = [1, -0.0, "é\ud800", b"\0", None, (1, [2]), {3}, dt.date(2026, 1, 2), Decimal("1.10")]
    got = await bench.value("def tool(x):\n    return x", given)
    assert repr(got) == repr(given)


async def test_source_with_surrogates_and_nul_in_a_string(bench: Bench) -> None:
    """A source that is not plain text still runs, or fails as a tool."""
    assert await bench.value("def tool():\n    return 'ü☃'") == "ü☃"
    assert "SyntaxError" in await bench.error("def tool():\n    return '\0'")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "async def tool():\n    import asyncio\n    await asyncio.sleep(0)\n    return 'awaited'",
            "awaited",
        ),
        (
            """
            import threading
            def tool():
                found = []
                threads = [threading.Thread(target=found.append, args=(i,)) for i in range(20)]
                for one in threads: one.start()
                for one in threads: one.join()
                return sorted(found)
            """,
            list(range(20)),
        ),
        (
            """
            import asyncio, concurrent.futures
            async def tool():
                loop = asyncio.get_running_loop()
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    return await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, n) for n in range(5)))
            """,
            [1, 2, 4, 8, 16],
        ),
        (
            """
            import sqlite3
            def tool():
                with sqlite3.connect('data.db') as db:
                    db.execute('create table t (x)')
                    db.execute('insert into t values (7)')
                    return db.execute('select x from t').fetchone()[0]
            """,
            7,
        ),
        (
            """
            import tempfile, os
            def tool():
                with tempfile.NamedTemporaryFile('w+') as file, tempfile.TemporaryDirectory() as directory:
                    file.write('text'); file.seek(0)
                    os.mkdir(os.path.join(directory, 'a')); os.rename(directory + '/a', directory + '/b')
                    return [file.read(), os.listdir(directory)]
            """,
            ["text", ["b"]],
        ),
        (
            """
            from zoneinfo import ZoneInfo
            from datetime import datetime
            def tool():
                return datetime(2026, 7, 1, tzinfo=ZoneInfo('Europe/Berlin')).utcoffset().total_seconds()
            """,
            7200.0,
        ),
        (
            """
            from dataclasses import dataclass
            from enum import Enum
            class Colour(Enum):
                RED = 'red'
            @dataclass
            class Point:
                x: int
                colour: Colour
            def tool():
                return Point(1, Colour.RED)
            """,
            {"x": 1, "colour": "red"},
        ),
        (
            "import pathlib, os\ndef tool():\n    return pathlib.Path.home() == pathlib.Path(os.getcwd())",
            True,
        ),
        ("import sys\ndef tool():\n    return sys.stdin.read()", ""),
        ("import os\ndef tool():\n    return (os.cpu_count() or 0) > 0", True),
        ("from datetime import datetime\ndef tool():\n    return datetime.strptime('2026', '%Y').year", 2026),
        ("import subprocess\ndef tool():\n    return callable(subprocess.run)", True),
        ("import fractions, statistics\ndef tool():\n    return statistics.median([1, 5, 2])", 2),
    ],
)
async def test_the_standard_library_works(bench: Bench, source: str, expected: object) -> None:
    """A tool finds what it is used to: threads, loops, files of its own, databases, time zones."""
    assert await bench.value(source) == expected


@pytest.mark.parametrize(
    ("source", "imports", "expected"),
    [
        ("import numpy as np\ndef tool():\n    return np.linalg.inv(np.eye(40)).sum()", ("numpy",), 40.0),
        (
            "import pandas as pd\ndef tool():\n    return pd.DataFrame({'a': [1, 2]}).describe().loc['mean']",
            ("pandas",),
            [1.5],
        ),
        ("import numpy as np\ndef tool():\n    return int(np.arange(3).sum())", (), 3),
        pytest.param(
            "import polars as pl\ndef tool():\n    return pl.DataFrame({'a': [2, 1]}).sort('a')",
            ("polars",),
            [{"a": 1}, {"a": 2}],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "import pyarrow as pa\ndef tool():\n    return pa.table({'a': [1, None]})",
            (),
            [{"a": 1}, {"a": None}],
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_installed_packages_work(
    bench: Bench, source: str, imports: tuple[str, ...], expected: object
) -> None:
    """Preloaded or not, what is installed can be imported and computes."""
    assert await bench.value(source, imports=imports) == expected


async def test_large_results_arrive_whole(bench: Bench) -> None:
    """Twenty megabytes of text and a list of 100,000 items are no limit to anybody."""
    assert await bench.value("def tool():\n    return 'é' * 10_000_000") == "é" * 10_000_000
    assert await bench.value("def tool():\n    return list(range(100_000))") == list(range(100_000))


async def test_large_arguments_arrive_whole(bench: Bench) -> None:
    """Input beyond what a pipe holds is sent piece by piece."""
    assert await bench.value("def tool(text):\n    return len(text)", "x" * 20_000_000) == 20_000_000


async def test_classes_of_the_tool_arrive_as_its_own(bench: Bench) -> None:
    """A dataclass that the tool defines is rebuilt from its fields inside."""
    source = (
        "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\ndef tool(p):\n    return p.x + 1"
    )
    wire = b'{"args":[{"$object":["P",{"x":41}]}],"kwargs":{}}'
    outcome = await bench.sandbox.run(Call(source, "tool", wire))
    assert outcome.result == b"42"


async def test_printed_text_streams_before_the_end(bench: Bench) -> None:
    """Each piece arrives while the tool still runs, stdout and stderr in order, from C as well."""
    first = asyncio.Event()
    pieces: list[str] = []

    def arrived(text: str) -> None:
        pieces.append(text)
        first.set()

    source = """
        import os, sys, time
        def tool():
            print(os.getcwd())
            while not os.path.exists('go'): time.sleep(.01)
            print('two', file=sys.stderr)
            os.write(1, 'three é\\n'.encode())
        """
    running = asyncio.create_task(bench.run(source, on_printed=arrived))
    await first.wait()
    assert not running.done()
    directory = pieces[0].rstrip()
    Path(directory, "go").touch()
    outcome = await running
    assert outcome.printed == f"{directory}\ntwo\nthree é\n" == "".join(pieces)


async def test_what_was_printed_before_an_error_is_kept(bench: Bench) -> None:
    """A tool that raises keeps its output, flushed or not."""
    outcome = await bench.run("def tool():\n    print('before', end='')\n    raise KeyError('k')")
    assert (outcome.status, outcome.printed) == (Status.ERROR, "before")


async def test_a_traceback_shows_the_tools_own_frames(bench: Bench) -> None:
    """Frames of the library and of the worker are not the user's business; the cause is."""
    source = """
        import json
        def inner(text):
            return json.loads(text)
        def tool():
            try:
                inner('{')
            except ValueError as cause:
                raise RuntimeError('no good') from cause
        """
    outcome = await bench.run(source)
    assert outcome.error is not None
    assert outcome.error.type_name == "RuntimeError"
    assert outcome.error.mro == ("RuntimeError", "Exception", "BaseException")
    assert "return json.loads(text)" in outcome.error.traceback
    assert "JSONDecodeError" in outcome.error.traceback
    assert 'File "<tool>", line 4, in inner' in outcome.error.traceback
    assert "decoder.py" not in outcome.error.traceback
    assert "_call" not in outcome.error.traceback


async def test_what_a_library_raised_and_handled_itself_is_left_out(bench: Bench) -> None:
    """The tool's author can't do anything about errors that no line of the tool led to."""
    source = """
        import json
        def tool():
            return json.loads('{"a": nope}', cls=Odd)
        class Odd(json.JSONDecoder):
            pass
        """
    outcome = await bench.run(source)
    assert outcome.error is not None
    assert "json.decoder.JSONDecodeError" in outcome.error.traceback
    assert "During handling" not in outcome.error.traceback
    assert "StopIteration" not in outcome.error.traceback
    denied = await bench.run(
        "import urllib.request\ndef tool():\n    urllib.request.urlopen('http://a.example')"
    )
    assert denied.error is not None
    assert denied.error.traceback.splitlines()[:2] == [
        "Traceback (most recent call last):",
        '  File "<tool>", line 3, in tool',
    ]


async def test_what_the_tool_handled_stays_even_behind_an_error_of_a_library(bench: Bench) -> None:
    source = """
        def tool():
            try:
                return {}['key']
            except KeyError:
                import urllib.request
                urllib.request.urlopen('http://a.example')
        """
    outcome = await bench.run(source)
    assert outcome.error is not None
    assert "KeyError: 'key'" in outcome.error.traceback
    assert outcome.error.traceback.count("During handling") == 1
    assert "gaierror" not in outcome.error.traceback


async def test_exceptions_are_named_as_users_write_them(bench: Bench) -> None:
    """Builtins and the tool's own are bare, a library's are qualified."""
    assert await bench.error("class Odd(ValueError): pass\ndef tool():\n    raise Odd('x')") == "Odd: x"
    error = await bench.error("import decimal\ndef tool():\n    return decimal.Decimal('x')")
    assert error.startswith("decimal.InvalidOperation: ")
    assert (await bench.error("def tool():\n    raise SystemExit(3)")) == "SystemExit: 3"
    assert (await bench.error("def tool():\n    raise KeyboardInterrupt")) == "KeyboardInterrupt: "


async def test_recursion_is_an_ordinary_error(bench: Bench) -> None:
    """Endless recursion ends as RecursionError, with a traceback that can be read."""
    outcome = await bench.run("def tool():\n    return tool()")
    assert outcome.error is not None
    assert outcome.error.type_name == "RecursionError"
    assert len(outcome.error.traceback) < 5_000


async def test_a_value_that_cant_leave_says_where_it_is(bench: Bench) -> None:
    """The path inside the result is named."""
    error = await bench.error("def tool():\n    return {'rows': [1, (i for i in 'ab')]}")
    assert error.startswith("ValueTypeError: ")
    assert '["rows"][1]' in error


async def test_another_stored_tool_cant_be_called_from_inside(bench: Bench) -> None:
    """Both ways to import the toolbox say why it is not there."""
    for line in ("from fact_magics.tools import slugify", "import fact_magics.tools"):
        assert "can't call another stored tool" in await bench.error(f"def tool():\n    {line}")


async def test_calls_know_nothing_of_each_other(bench: Bench) -> None:
    """Modules, builtins, environment, random state and files start afresh each time."""
    source = """
        import builtins, json, os, random, re
        def tool():
            seen = [hasattr(json, 'mark'), hasattr(builtins, 'mark'), 'MARK' in os.environ, os.listdir('.')]
            json.mark = builtins.mark = True
            os.environ['MARK'] = '1'
            open('mark', 'w').close()
            os.makedirs('deep/er')
            return [seen, random.random()]
        """
    answers = [await bench.value(source) for _ in range(6)]
    assert [seen for seen, _ in answers] == [[False, False, False, []]] * 6
    assert len({number for _, number in answers}) == 6


async def test_numpys_global_randomness_differs_between_calls(bench: Bench) -> None:
    """A fork copies numpy's generator: without a new seed every call would draw the same numbers."""
    source = "import numpy as np\ndef tool():\n    return float(np.random.rand())"
    assert len({await bench.value(source, imports=("numpy",)) for _ in range(4)}) == 4


async def test_the_scratch_directory_is_gone_after_the_call(bench: Bench) -> None:
    """Whatever was written, linked, or made unreadable, goes with its directory; links are not followed."""
    source = """
        import os
        def tool():
            os.makedirs('a/b/c')
            open('a/b/file', 'w').write('x')
            os.symlink('/etc', 'link')
            os.chmod('a/b', 0)
            path = 'd'
            for _ in range(300):
                os.mkdir(path); os.chdir(path)
            return os.environ['HOME']
        """
    directory = Path(await bench.value(source))
    async with asyncio.timeout(20):  # what takes longer to remove is not waited for by the call
        while directory.exists() or list(directory.parent.glob(f"{directory.name}.*")):
            await asyncio.sleep(0.02)
    assert Path("/etc/hosts").exists()
