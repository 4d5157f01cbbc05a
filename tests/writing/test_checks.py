"""What a candidate's text must pass before anything of it runs, and what is read from it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fact_magics.signature.source import ToolSource
from fact_magics.writing.checks import check
from fact_magics.writing.examples import read_body

GOOD = "def f(n: int) -> int:\n    return n\n"


def failures(source: str, examples: str = "") -> str:
    return "\n".join(check(ToolSource(source, "f"), read_body(examples, "f").examples))


def test_a_good_candidate_passes_with_its_signature_and_imports():
    source = ToolSource("import json\nimport numpy as np\nfrom pandas.core import x\n" + GOOD, "f")
    assert check(source) == ()
    assert source.signature.text == "f(n: int) -> int"
    assert source.imports == ("numpy", "pandas")
    assert not source.varies


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def f(n: int) -> int\n    return n", "Line 1 does not parse"),
        ("def f(n: int) -> int:\n\treturn n\n        return 1", "does not parse"),
        ("\0", "does not parse"),
        ("(" * 400 + ")" * 400 + "\n" + GOOD, "does not parse"),
        ("x = '" + "x" * 250_000 + "'\n" + GOOD, "characters long"),
        ("from . import helper\n" + GOOD, "relative import"),
        ("import fact_magics\n" + GOOD, "another stored tool"),
        ("from fact_magics.tools import g\n" + GOOD, "another stored tool"),
        ("import no_such_package_here\n" + GOOD, "not installed"),
        ("def g(n: int) -> int:\n    import no_such_package_here\n\n" + GOOD, "not installed"),
        ("def f(n: int) -> int:\n    return int(input())\n", "keyboard"),
        ("def f(n: int) -> int:\n    exit()\n", "ends its process"),
        ("def f(n: int) -> int:\n    breakpoint()\n", "debugger"),
        ("def f(*n: int) -> int:\n    return 1\n", "*"),
        ("def f(**n: int) -> int:\n    return 1\n", "*"),
        ("def f(n) -> int:\n    return 1\n", "n"),
        ("def f(n: int):\n    return 1\n", "return"),
        ("f = lambda n: n\n", "f"),
        ("class f:\n    pass\n", "f"),
        ("def f(n: open) -> int:\n    return 1\n", "open"),
        ("return 1\n" + GOOD, "does not parse"),
        ("async def f(n: int) -> int:\n    yield n\n", ""),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(source, told):
    said = failures(source)
    assert said
    assert told in said
    assert all(len(line) < 1_000 for line in said.splitlines())


@pytest.mark.parametrize(
    "guarded",
    [
        "try:\n    import nosuchpackage as json\nexcept ImportError:\n    import json\n",
        "try:\n    import nosuchpackage\nexcept (ValueError, ModuleNotFoundError):\n    nosuchpackage = None\n",
        "try:\n    import nosuchpackage\nexcept:\n    pass\n",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import nosuchpackage\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import nosuchpackage\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nosuchpackage import Thing\n",
        "import typing\nif typing.TYPE_CHECKING:\n    from . import Thing\n",
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import nosuchpackage as tomllib\n",
        "import sys\nif sys.platform == 'plan9':\n    import nosuchpackage\n",
        "if __name__ == '__main__':\n    import nosuchpackage\n    print(f(int(input())))\n    exit()\n",
        "if False:\n    import nosuchpackage\n",
        "def quit(n: int) -> int:\n    return n\n\nquit(1)\n",
    ],
)
def test_what_a_source_guards_is_judged_by_running_it(guarded):
    assert failures(guarded + "\n" + GOOD) == ""


@pytest.mark.parametrize(
    "reached",
    [
        "try:\n    import nosuchpackage\nexcept ValueError:\n    pass\n",
        "try:\n    import nosuchpackage\nfinally:\n    pass\n",
        "with open('x') as file:\n    import nosuchpackage\n",
        "if 1 < 2:\n    import nosuchpackage\n",
        "try:\n    import json\nexcept ImportError:\n    pass\nelse:\n    pass\nimport nosuchpackage\n",
        "class C:\n    import nosuchpackage\n",
    ],
)
def test_an_import_that_nothing_guards_is_refused(reached):
    assert "not installed" in failures(reached + "\n" + GOOD)


def test_a_source_of_many_levels_is_checked():
    assert failures("x = f" + ".real" * 900 + "\n" + GOOD) == ""


def test_a_line_that_does_not_parse_is_set_apart_from_what_follows():
    """A line of code often ends in a colon, after which a hint would read as a part of it."""
    assert failures("def f(n: int -> int:\n    return n").endswith(" in `def f(n: int -> int:`")


def test_examples_that_don_t_fit_the_signature_are_told_before_anything_runs():
    assert "f(1, 2)" in failures(GOOD, ">>> f(1, 2)\n3\n")


def test_nothing_of_the_source_is_run_and_no_parent_package_is_imported(tmp_path, monkeypatch):
    package = tmp_path / "trap_package"
    package.mkdir()
    (package / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (package / "inner.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    source = f"import trap_package.inner\nopen({str(tmp_path / 'ran')!r}, 'w')\ndef f(n: int = (open('x'), 1)[1]) -> int:\n    return n\n"
    check(ToolSource(source, "f"))
    check(ToolSource("import trap_package.inner\n" + GOOD, "f"))
    assert not (tmp_path / "ran").exists()
    assert "trap_package" not in sys.modules
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "source",
    [
        "import time\nx = time.time()",
        "from time import time\nx = time()",
        "import time as t\nx = t.time_ns()",
        "import random\nx = random.choice([1])",
        "from random import choice\nx = choice([1])",
        "import uuid\nx = uuid.uuid4()",
        "from uuid import uuid4\nx = uuid4()",
        "import secrets\nx = secrets.token_hex()",
        "from datetime import datetime\nx = datetime.now()",
        "from datetime import date\nx = date.today()",
        "import datetime\nx = datetime.datetime.utcnow()",
        "import datetime as dt\nx = dt.date.today()",
        "from datetime import datetime as D\nx = D.now()",
        "import os\nx = os.urandom(3)",
        "from os import urandom\nx = urandom(3)",
        "import numpy as np\nx = np.random.rand()",
        "import numpy.random as npr\nx = npr.rand()",
        "from numpy import random\nx = random.rand()",
        "import random as r\nf = r.random",
        "import random\nr = random\nx = r.random()",
        "import random\nx = random.Random()",
        "from random import Random as R\nx = R(None)",
        "import pandas as pd\nx = pd.Timestamp.now()",
        "import pandas as pd\nx = pd.Timestamp('now')",
        "import numpy as np\nx = np.datetime64('now')",
        "from numpy import datetime64\nx = datetime64('today', 'D')",
        "from time import *\nx = time()",
        "from os import *\nx = urandom(3)",
        "import datetime\ndt = datetime.datetime\nx = dt.now()",
        "import time\nx = time.clock_gettime(0)",
        "from time import monotonic_ns\nx = monotonic_ns()",
        "import time\nx = time.perf_counter_ns()",
        "import time\nx = time.process_time()",
        "import os\nx = os.getrandom(3)",
        "import tempfile\nx = tempfile.mkdtemp()",
        "from tempfile import NamedTemporaryFile\nx = NamedTemporaryFile().name",
        "import email.utils\nx = email.utils.localtime()",
        "from email.utils import formatdate\nx = formatdate()",
        "import time\nx = time.localtime()",
        "import time\nx = time.localtime(None)",
        "import time\nx = time.ctime()",
        "from datetime import datetime\nx = datetime.now().astimezone()",
        "x = hash('a')",
        "x = sorted([[], []], key=id)",
        "import numpy.random\nx = numpy.random.rand()",
        "from numpy.random import default_rng\nx = default_rng()",
        "from numpy.random import *\nx = rand()",
        "import numpy.random.mtrand as m\nx = m.rand()",
        "from numpy.random.mtrand import rand\nx = rand()",
        "import numpy\nn = numpy\nx = n.random.rand()",
        "import numpy as np\nrng = np.random.default_rng()",
        "import numpy as np\ndef f(seed=None):\n    return np.random.default_rng(seed)",
        "import pandas as pd\nx = pd.Series([1, 2]).sample(frac=1)",
        "import pandas as pd\nx = pd.DataFrame().sample(2, random_state=None)",
        "import random\ndef f(n):\n    random.seed(n)\n    return random.SystemRandom().random()",
        "import random\ndef f(n):\n    random.seed(n)\n    random.seed()\n    return random.random()",
        "import random\ndef f(n):\n    x = random.random()\n    random.seed(n)\n    return x",
        "import random\ndef f(n):\n    random.seed()\n    return random.random()",
        "import numpy as np\ndef f(n):\n    np.random.seed(n)\n    return np.random.default_rng().random()",
        "import pandas as pd\ndef f(n, s: int | None = None):\n    return pd.Series(n).sample(2, random_state=s)",
        "import polars as pl\nx = pl.Series([1]).shuffle()",
        "import polars as pl\nx = pl.DataFrame().sample(n=2)",
        "from sklearn.utils import shuffle\nx = shuffle([1])",
        "from sklearn.utils import shuffle as mix\nx = mix([1])",
        "from sklearn.model_selection import train_test_split as tts\nx = tts([1])",
        "from sklearn.model_selection import KFold\nx = KFold(3, shuffle=True)",
        "from sklearn.cluster import KMeans\nx = KMeans(n_clusters=2)",
        "from sklearn import ensemble\nx = ensemble.RandomForestClassifier()",
        "from scipy import stats\nx = stats.norm.rvs(size=3)",
        "import networkx as nx\nx = nx.random_layout(nx.Graph())",
        "import torch\nx = torch.rand(3)",
        "from faker import Faker\nx = Faker().name()",
        "import sqlite3\nx = sqlite3.connect(':memory:').execute('select 1 order by RANDOM()')",
        "import sqlite3\nx = sqlite3.connect(':memory:').execute(\"select date('now')\")",
        "import sqlite3\nx = sqlite3.connect(':memory:').execute('select date(?)', ('now',))",
        "import sqlite3\nx = sqlite3.connect(':memory:').execute('select datetime()')",
        "import sqlite3\nt = 't'\nx = sqlite3.connect(':memory:').execute(f'select current_timestamp from {t}')",
        "import duckdb\nx = duckdb.sql('select now()')",
        "import duckdb\nx = duckdb.sql('from t using sample 3')",
        "from dateutil import parser\nx = parser.parse('10:30')",
        "from dateutil.parser import parse\nx = parse('10:30')",
        "import dateparser\nx = dateparser.parse('yesterday')",
        "import time\nx = time.strftime('%Y')",
        "from time import gmtime\nx = gmtime()",
        "from concurrent.futures import as_completed\nx = list(as_completed([]))",
    ],
)
def test_a_source_that_reads_the_clock_or_randomness_varies(source):
    assert ToolSource(source, "f").varies


@pytest.mark.parametrize(
    "source",
    [
        "import json\nx = json.dumps(1)",
        "import time\ntime.sleep(1)",
        "from uuid import UUID\nx = UUID('1' * 32)",
        "import random\nx = random.Random(7)",
        "from datetime import datetime\nx = datetime.fromisoformat('2024-01-01')",
        "from random import Random\nx = Random(42).random()",
        "import random\nrng = random.Random(42)\nx = rng.choice([1])",
        "import uuid\nx = uuid.UUID('1' * 32).hex",
        "import uuid\nx = uuid.uuid5(uuid.NAMESPACE_DNS, 'a')",
        "from datetime import datetime, timezone\nx = datetime.fromtimestamp(0, timezone.utc).astimezone(timezone.utc)",
        "from datetime import datetime, timezone\nx = datetime.fromtimestamp(0, tz=timezone.utc).strftime('%Y')",
        "from datetime import datetime\nx = datetime.fromisoformat('2024-01-01').astimezone()",
        "from datetime import datetime\nx = datetime.fromtimestamp(0)",
        "from datetime import datetime\nx = datetime.fromtimestamp(0, tz=None)",
        "import time\nx = time.localtime(0)",
        "import time\nx = time.mktime((2024, 1, 2, 3, 4, 5, 0, 0, 0))",
        "from time import ctime\nx = ctime(0)",
        "from email.utils import formatdate\nx = formatdate(0)",
        "import numpy as np\nx = np.datetime64('2024-01-01')",
        "import pandas as pd\nx = pd.Timestamp('2024-01-01').time()",
        "import tempfile\nx = tempfile.TemporaryFile()",
        "def hash(text: str) -> int:\n    return len(text)\nx = hash('a')",
        "def f(id: int) -> int:\n    return id",
        "from math import *\nx = sqrt(4)",
        "x = 'time.time() and random'",
        "def f(random: int) -> int:\n    return random",
        "import random\ndef f(rng: random.Random) -> int:\n    return rng.randint(1, 2)",
        "import time\nx = time.strftime('%Y', time.gmtime(0))",
        "from time import gmtime, strftime\nx = strftime('%Y', gmtime(0))",
        "from datetime import date\nx = date(2024, 1, 2).strftime('%Y')",
        "import numpy as np\nrng = np.random.default_rng(0)\nx = rng.permutation([1])",
        "import numpy as np\ndef f(seed: int):\n    return np.random.default_rng(seed).permutation([1])",
        "from numpy.random import default_rng\nx = default_rng(seed=3).random()",
        "import numpy as np\nx = np.random.RandomState(1).shuffle([1])",
        "import random\nimport pandas\nx = random.Random(0).sample([1], 1)",
        "import random\ndef f(n):\n    random.seed(n)\n    return random.random()",
        "import numpy as np\ndef f(n):\n    np.random.seed(0)\n    return np.random.rand(n)",
        "import pandas as pd\nx = pd.Series([1, 2]).sample(frac=1, random_state=0)",
        "import polars as pl\nx = pl.Series([1]).shuffle(seed=1)",
        "import polars as pl\nx = pl.Series([1]).shuffle(1)",
        "from sklearn.utils import shuffle\nx = shuffle([1], random_state=0)",
        "from sklearn.cluster import KMeans\nx = KMeans(n_clusters=2, random_state=0)",
        "from sklearn.model_selection import KFold\nx = KFold(3)",
        "from sklearn.linear_model import LinearRegression\nx = LinearRegression()",
        "import pandas as pd\ndef sample(xs):\n    return xs[:1]\nx = sample([1])",
        "import sqlite3\nx = sqlite3.connect(':memory:').execute(\"select date('2024-01-02')\")",
        "'Select random() rows as of now().'\nimport sqlite3\nx = sqlite3.connect(':memory:')",
        "x = 'select random()'",
        "from dateutil import parser as p\nfrom datetime import datetime as d\nx = p.parse('10:30', default=d(2024, 1, 2))",
    ],
)
def test_a_source_that_only_names_them_does_not(source):
    assert not ToolSource(source, "f").varies


def test_imports_are_top_level_packages_outside_the_standard_library():
    text = "import os.path, json, numpy.linalg\nfrom pandas import x\nfrom . import y"
    assert ToolSource(text, "f").imports == ("numpy", "pandas")


@pytest.mark.parametrize(
    "source",
    [
        "def f(n: int) -> int:\n    return n + 1",
        "import re, json\ndef f(text: str) -> list[str]:\n    return re.findall(r'\\w+', text)",
        "def f(text: str) -> list[str]:\n    return list(dict.fromkeys(text.split()))",
        "def f(d: dict[str, int]) -> list[str]:\n    return [k for k, n in d.items() if n]",
    ],
)
def test_a_source_that_only_computes_without_sets_is_deterministic(source):
    assert ToolSource(source, "f").is_deterministic


@pytest.mark.parametrize(
    "source",
    [
        "def f(text: str) -> list[str]:\n    return list({*text})",
        "def f(text: str) -> list[str]:\n    return [*{c for c in text}]",
        "def f(text: str) -> list[str]:\n    return list(set(text))",
        "def f(items: set[str]) -> list[str]:\n    return list(items)",
        "def f(items: list[str]) -> list[str]:\n    return list(frozenset(items))",
        "def f(a: dict[str, int], b: dict[str, int]) -> list[str]:\n    return list(a.keys() & b.keys())",
        "def f(a: dict[str, int], b: dict[str, int]) -> list[str]:\n    k = a.keys()\n    k -= b.keys()\n    return list(k)",
        "import operator\ndef f(a: dict[str, int]) -> list[str]:\n    return list(operator.or_(a.keys(), 'b'))",
        "def f(a: dict[str, int]) -> list[str]:\n    return list(getattr(a, 'ke' + 'ys')() | {}.keys())",
        "from builtins import set as s\ndef f(text: str) -> list[str]:\n    return list(s(text))",
        "import collections.abc as c\ndef f(items: c.Set) -> list[str]:\n    return list(items)",
        "import pandas\ndef f(n: int) -> int:\n    return n",
        "import random\ndef f(n: int) -> int:\n    return random.Random(n).randint(1, 9)",
        "from datetime import date\ndef f(n: int) -> int:\n    return date.today().year + n",
        "def f(text: str) -> int:\n    return hash(text)",
        "def f(text: str) -> int:\n    return text.__hash__()",
    ],
)
def test_a_source_that_may_order_by_hash_or_reach_out_is_not_known_to_be_deterministic(source):
    assert not ToolSource(source, "f").is_deterministic
