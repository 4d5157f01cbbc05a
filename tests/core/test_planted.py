"""Sixty tools whose answers differ from run to run, and sixty that only look as if: the cache knows them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from _pytest.mark import ParameterSet

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# Imports, and the expression that a text of more than one character gives.
FLAKY = {
    # Randomness
    "random": ("import random", "random.random()"),
    "random by another name": ("from random import randint as count", "count(0, 10**9)"),
    "a module by another name": ("import random as steady", "steady.choice(range(10**9))"),
    "an imported module": ("import importlib", "importlib.import_module('ran' + 'dom').random()"),
    "the builtin import": ("", "__import__('ran' + 'dom').random()"),
    "a generator without a seed": ("import random", "random.Random().random()"),
    "a generator without a seed beside a seed": ("import random", "__unseeded(text)"),
    "a generator of the system": ("import random", "random.SystemRandom().random()"),
    "a secret": ("import secrets", "secrets.token_hex()"),
    "a uuid4": ("import uuid", "uuid.uuid4()"),
    "a uuid1": ("from uuid import uuid1", "uuid1()"),
    "urandom": ("import os", "os.urandom(8).hex()"),
    "a device": ("", "open('/dev/urandom', 'rb').read(8)"),
    "numpy": ("import numpy as np", "np.random.rand()"),
    "numpy's generator": ("import numpy as np", "np.random.default_rng().random()"),
    "numpy through an attribute": ("import numpy", "getattr(numpy.random, 'nor' + 'mal')()"),
    "pandas": ("import pandas as pd", "pd.Series(range(100)).sample(frac=1).tolist()"),
    "a temporary name": ("import tempfile", "tempfile.mkdtemp()"),
    "a salt": ("import ssl", "ssl.RAND_bytes(8)"),
    "a boundary": (
        "from email.mime.multipart import MIMEMultipart\nfrom email.mime.text import MIMEText",
        "MIMEMultipart('mixed', None, [MIMEText('a'), MIMEText('b')]).as_string()",
    ),
    # The clock
    "time": ("import time", "time.time()"),
    "nanoseconds": ("from time import time_ns as count", "count()"),
    "a hidden time": ("import time", "getattr(time, 'ti' + 'me')()"),
    "a stopwatch": ("import time", "time.perf_counter()"),
    "monotonic": ("import time", "time.monotonic()"),
    "processor time": ("import time", "time.process_time()"),
    "now": ("import datetime", "datetime.datetime.now()"),
    "utcnow": ("from datetime import datetime as moment", "moment.utcnow()"),
    "today": ("import datetime", "datetime.date.today()"),
    "a hidden today": ("import datetime", "getattr(datetime.date, 'to' + 'day')()"),
    "this year": ("import time", "time.strftime('%Y %j')"),
    "local time": ("import time", "time.localtime()"),
    "ctime": ("import time", "time.ctime()"),
    "the age of a century": ("import datetime", "(datetime.date.today() - datetime.date(2000, 1, 1)).days"),
    "a stamp in gzip": ("import gzip", "gzip.compress(text.encode())"),
    "a stamp in a zip": (
        "import io, zipfile",
        "(lambda kept: (zipfile.ZipFile(kept, 'w').writestr('a', text), kept.getvalue()))(io.BytesIO())",
    ),
    "a stamp in an email": ("from email.utils import formatdate", "formatdate()"),
    "the id of an email": ("from email.utils import make_msgid", "make_msgid()"),
    "a cookie": ("from http.cookiejar import time2netscape", "time2netscape()"),
    "an xmlrpc date": ("import xmlrpc.client", "xmlrpc.client.DateTime()"),
    "a log record": ("import logging", "logging.makeLogRecord({}).created"),
    "a formatted log": ("import logging", "logging.Formatter().formatTime(logging.makeLogRecord({}))"),
    "a day of pandas": ("import pandas as pd", "pd.Timestamp('today')"),
    "a day of numpy": ("import numpy as np", "np.datetime64('now')"),
    "a completed date": ("from dateutil import parser", "parser.parse('10:00')"),
    "a query": ("import sqlite3", "sqlite3.connect(':memory:').execute(\"select datetime('now')\").fetchall()"),
    "a hidden query": (
        "import sqlite3",
        "sqlite3.connect(':memory:').execute('select datetime(' + repr('n' + 'ow') + ')').fetchall()",
    ),
    "the time of a file": ("import os", "(open('a', 'w').close(), os.stat('a').st_mtime)"),
    # The process and the machine
    "an id": ("", "id(text)"),
    "an object": ("", "object()"),
    "a function": ("", "(lambda: 0)"),
    "the process": ("import os", "os.getpid()"),
    "the process by its file": ("", "open('/proc/self/stat').read()"),
    "a thread": ("import threading", "threading.get_native_id()"),
    "the working directory": ("import os", "os.getcwd()"),
    "the home": ("from pathlib import Path", "Path.home()"),
    "free memory": ("", "open('/proc/meminfo').read()"),
    "ticks of the machine": ("", "open('/proc/stat').read()"),
    "usage": ("import resource", "resource.getrusage(resource.RUSAGE_SELF)"),
    "another process": ("import subprocess, sys", "subprocess.run([sys.executable, '-c', 'import os; print(os.getpid())'], capture_output=True).stdout"),
}  # fmt: skip

STEADY = {
    # Words that mean randomness or time elsewhere
    "a variable random": ("", "[random := text, random]"),
    "a variable time": ("", "[time := len(text), time]"),
    "a variable now": ("", "[now := text.upper(), now]"),
    "a variable today": ("", "[today := 3, today + 1]"),
    "a variable secrets": ("", "[secrets := text[::-1], secrets]"),
    "a variable id": ("", "[id := 7, id]"),
    "a variable hash": ("", "[hash := 7, hash]"),
    "the word random": ("", "text + ' random.random()'"),
    "the word now": ("", "'datetime.now() and time.time()' + text"),
    "a key uuid": ("", "{'uuid4': text, 'time': 1}"),
    "a seeded module": ("import random", "__seeded(text)"),
    "numpy, seeded": ("import numpy as np", "__seeded_numpy()"),
    "a comment": ("# random.random() is not called\n", "text.title()"),
    "a function random_colour": ("def random_colour(text):\n    return '#' + text\n", "random_colour(text)"),
    "a function timed": ("def timed(text):\n    return len(text)\n", "timed(text)"),
    "a constant time": ("TIME = 12\n", "TIME * len(text)"),
    "an attribute time": ("from types import SimpleNamespace", "SimpleNamespace(time=text).time"),
    # Randomness that is seeded, identifiers that are derived
    "a generator with a seed": ("import random", "random.Random(7).random()"),
    "a generator with the text": ("import random", "random.Random(text).sample(range(100), 5)"),
    "a shuffle with a seed": ("import random", "(lambda r, items: (r.shuffle(items), items))(random.Random(3), list(text))"),
    "numpy's generator with a seed": ("import numpy as np", "np.random.default_rng(0).random(3).tolist()"),
    "numpy's old generator": ("import numpy as np", "np.random.RandomState(1).rand(2).tolist()"),
    "pandas with a seed": ("import pandas as pd", "pd.Series([*text]).sample(frac=1, random_state=1).tolist()"),
    "a uuid5": ("import uuid", "uuid.uuid5(uuid.NAMESPACE_URL, text)"),
    "a uuid3": ("from uuid import NAMESPACE_DNS, uuid3", "uuid3(NAMESPACE_DNS, text)"),
    "a uuid read": ("import uuid", "uuid.UUID('12345678123456781234567812345678').hex"),
    "sha256": ("import hashlib", "hashlib.sha256(text.encode()).hexdigest()"),
    "hmac": ("import hmac", "hmac.new(b'key', text.encode(), 'sha256').hexdigest()"),
    "crc32": ("import zlib", "zlib.crc32(text.encode())"),
    # Times that are given
    "a date": ("import datetime", "datetime.date(2020, 2, 29).isoformat()"),
    "a parsed date": ("from datetime import datetime", "datetime.strptime('2020-02-29', '%Y-%m-%d')"),
    "the epoch": ("import datetime", "datetime.datetime.fromtimestamp(0, datetime.timezone.utc)"),
    "the epoch here": ("from datetime import datetime", "datetime.fromtimestamp(86400 * len(text))"),
    "gmtime": ("import time", "time.strftime('%Y', time.gmtime(0))"),
    "local time of a second": ("import time", "time.localtime(len(text))"),
    "mktime": ("import time", "time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0))"),
    "a span": ("from datetime import timedelta", "timedelta(seconds=len(text)).total_seconds()"),
    "a calendar": ("import calendar", "calendar.month(2020, 2)"),
    "a zone": (
        "from datetime import datetime\nfrom zoneinfo import ZoneInfo",
        "datetime(2020, 7, 1, tzinfo=ZoneInfo('Europe/Rome')).isoformat()",
    ),
    "a stamp of pandas": ("import pandas as pd", "str(pd.Timestamp('2020-01-01') + pd.Timedelta('1D'))"),
    "a day of numpy that is given": ("import numpy as np", "str(np.datetime64('2020-01-01') + 1)"),
    "gzip with a time": ("import gzip", "gzip.compress(text.encode(), mtime=0).hex()"),
    "a query of a date": ("import sqlite3", "sqlite3.connect(':memory:').execute(\"select date('2020-01-01', '+1 day')\").fetchall()"),
    "a pause": ("import time", "(time.sleep(0.001), text)"),
    # Order
    "a sorted set": ("", "sorted(set(text))"),
    "the size of a set": ("", "len({*text})"),
    "a membership": ("", "'a' in set(text)"),
    "a set as it is": ("", "set(text)"),
    "a set in its order": ("", "''.join({*text})"),
    "a dict of a set": ("", "dict.fromkeys({*text})"),
    "a counter": ("from collections import Counter", "Counter(text).most_common()"),
    "threads in order": (
        "from concurrent.futures import ThreadPoolExecutor", "list(ThreadPoolExecutor(3).map(str.upper, text))"
    ),
    "gathered": (
        "import asyncio",
        "(lambda one: asyncio.run(one(text)))(__gather)",
    ),
    # Files and libraries
    "a file of its own": ("from pathlib import Path", "(Path('a').write_text(text), Path('a').read_text())"),
    "an unnamed file": ("import tempfile", "(lambda f: (f.write(text.encode()), f.tell()))(tempfile.TemporaryFile())"),
    "names of paths": ("import os", "os.path.join('a', text)"),
    "listed files": ("import os", "([open(name, 'w').close() for name in 'cab'], sorted(os.listdir()))"),
    "json": ("import json", "json.dumps({'time': text, 'random': [1, 2]})"),
    "a template": ("from string import Template", "Template('$now and $today').substitute(now=text, today=1)"),
    "a class with now": ("class Clock:\n    def now(self):\n        return 12\n", "text"),
}  # fmt: skip
HELPERS = {
    "__unseeded(": "def __unseeded(text):\n    random.seed(7)\n    return random.SystemRandom().random()\n",
    "__gather": "async def __gather(text):\n    return await asyncio.gather(*(asyncio.sleep(0, each) for each in text))\n",
    "__seeded(": "def __seeded(text):\n    random.seed(7)\n    return random.choice(text)\n",
    "__seeded_numpy(": "def __seeded_numpy():\n    np.random.seed(7)\n    return np.random.rand(2).tolist()\n",
}


def some_of(names: dict[str, tuple[str, str]]) -> list[ParameterSet]:
    """Leave three quarters of the tools to a thorough run: each takes a second."""
    return [
        pytest.param(name, marks=[pytest.mark.thorough] * bool(number % 4))
        for number, name in enumerate(names)
    ]


def source(known: tuple[str, str]) -> str:
    imports, expression = known
    helper = next((text for name, text in HELPERS.items() if name in expression), "")
    return f"{imports}\n{helper}\n\ndef f(text: str) -> str:\n    if len(text) < 2:\n        return text\n    return str({expression})\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def core(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[FactCore, ModelServer]]:
    folder: Path = tmp_path_factory.mktemp("planted")
    with ModelServer() as server:
        settings = load_settings({}, folder, {"FACT_HOME": str(folder / "home"), **server.environment()})
        async with FactCore(settings) as running:
            yield running, server


async def cached(core: tuple[FactCore, ModelServer], known: tuple[str, str]) -> list[bool]:
    """Write the tool, and run it three times on one input."""
    running, server = core
    server._script.clear()
    server.writes(source(known))
    tool = await running.generate(ToolSpec("f", "Do it.\n\n>>> f('a')\n'a'\n", attempts=1, fresh=True))
    assert tool.metadata.proven
    request = ToolInput(tool.stored.reference, {"text": "some text"})
    outputs = [await running.execute_tool(request) for _ in range(3)]
    assert all(output.success for output in outputs), outputs[0]
    return [bool(output.metadata["cached"]) for output in outputs]


@pytest.mark.parametrize("name", some_of(FLAKY))
async def test_an_answer_that_differs_is_not_served(core: tuple[FactCore, ModelServer], name: str) -> None:
    assert await cached(core, FLAKY[name]) == [False, False, False]


@pytest.mark.parametrize("name", some_of(STEADY))
async def test_an_answer_that_only_looks_so_is_served(core: tuple[FactCore, ModelServer], name: str) -> None:
    assert await cached(core, STEADY[name]) == [False, True, True]


async def test_there_are_sixty_of_each() -> None:
    assert (len(FLAKY), len(STEADY)) == (60, 60)
