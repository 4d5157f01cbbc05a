"""The data packages that people use most do a small real task inside the sandbox."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fact_magics.sandbox import Call, Sandbox
from fact_magics.tool import Status
from fact_magics.values import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.thorough, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# Packages to import, and the body of a function that must return True.
TASKS = {
    "numpy: linear algebra": (
        "numpy",
        "a = numpy.eye(60) * 2; return bool(numpy.allclose(numpy.linalg.inv(a) @ a, numpy.eye(60)))",
    ),
    "pandas: group": (
        "pandas",
        (
            "d = pandas.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3]})\n"
            "return d.groupby('k').v.sum().to_dict() == {'a': 4, 'b': 2}"
        ),
    ),
    "pandas: CSV": (
        "pandas",
        (
            "import io; d = pandas.read_csv(io.StringIO('t,v\\n2024-01-02,1\\n'), parse_dates=['t'])\n"
            "d.to_csv('x.csv'); return d.t.dt.year[0] == 2024 and pandas.read_csv('x.csv').shape == (1, 3)"
        ),
    ),
    "scipy: minimise": (
        "scipy",
        "from scipy.optimize import minimize\nreturn abs(minimize(lambda x: (x[0] - 3) ** 2, [0.0]).x[0] - 3) < 1e-4",
    ),
    "scipy: sparse": (
        "scipy",
        (
            "from scipy.sparse.linalg import spsolve\nfrom scipy.sparse import eye\n"
            "return bool((spsolve(eye(5).tocsc() * 2, [2.0] * 5) == 1).all())"
        ),
    ),
    "scikit-learn: pipeline": (
        "sklearn",
        (
            "from sklearn.datasets import load_iris\nfrom sklearn.pipeline import make_pipeline\n"
            "from sklearn.preprocessing import StandardScaler\nfrom sklearn.linear_model import LogisticRegression\n"
            "x, y = load_iris(return_X_y=True)\n"
            "return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y).score(x, y) > 0.9"
        ),
    ),
    "scikit-learn: forest": (
        "sklearn",
        (
            "from sklearn.datasets import load_iris\nfrom sklearn.ensemble import RandomForestClassifier\n"
            "x, y = load_iris(return_X_y=True)\n"
            "return RandomForestClassifier(20, random_state=0, n_jobs=2).fit(x, y).score(x, y) > 0.9"
        ),
    ),
    "scikit-learn: clusters": (
        "sklearn numpy",
        (
            "from sklearn.cluster import KMeans, DBSCAN\nfrom sklearn.neighbors import NearestNeighbors\n"
            "x = numpy.array([[0.0], [0.1], [9.0], [9.1]])\n"
            "labels = KMeans(2, n_init=3, random_state=0).fit_predict(x)\n"
            "near = NearestNeighbors(n_neighbors=1, algorithm='brute').fit(x).kneighbors(x)[1]\n"
            "return labels[0] == labels[1] != labels[2] and len(DBSCAN(eps=1).fit_predict(x)) == len(near) == 4"
        ),
    ),
    "scikit-learn: text": (
        "sklearn",
        (
            "from sklearn.feature_extraction.text import TfidfVectorizer\n"
            "return TfidfVectorizer().fit_transform(['a cat', 'the dog']).shape == (2, 3)"
        ),
    ),
    "polars: group": (
        "polars",
        (
            "d = polars.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3]})\n"
            "return d.lazy().group_by('k').agg(polars.col('v').sum()).sort('k').collect()['v'].to_list() == [4, 2]"
        ),
    ),
    "polars: Parquet": (
        "polars",
        (
            "polars.DataFrame({'a': [1, 2]}).write_parquet('x.parquet')\n"
            "return polars.read_parquet('x.parquet').height == 2"
        ),
    ),
    "pyarrow: Parquet": (
        "pyarrow",
        (
            "import pyarrow.parquet as pq\npq.write_table(pyarrow.table({'a': [1, 2]}), 'x.parquet')\n"
            "return pq.read_table('x.parquet').num_rows == 2"
        ),
    ),
    "matplotlib: PNG": (
        "matplotlib",
        (
            "import io\nfrom matplotlib import pyplot\npyplot.plot([1, 2]); pyplot.title('é')\n"
            "out = io.BytesIO(); pyplot.savefig(out); return out.getvalue().startswith(b'\\x89PNG')"
        ),
    ),
    "seaborn: SVG": (
        "seaborn pandas",
        (
            "import io\naxes = seaborn.barplot(pandas.DataFrame({'a': ['x', 'y'], 'b': [1, 2]}), x='a', y='b')\n"
            "out = io.StringIO(); axes.figure.savefig(out, format='svg'); return '<svg' in out.getvalue()"
        ),
    ),
    "plotly: JSON": (
        "plotly",
        "from plotly import graph_objects\nreturn '\"bar\"' in graph_objects.Figure(graph_objects.Bar(y=[1])).to_json()",
    ),
    "pillow: resize": (
        "PIL",
        (
            "import io\nfrom PIL import Image\nout = io.BytesIO()\n"
            "Image.new('RGB', (40, 20), 'red').resize((4, 2)).save(out, 'JPEG')\n"
            "return Image.open(io.BytesIO(out.getvalue())).size == (4, 2)"
        ),
    ),
    "statsmodels: regression": (
        "statsmodels numpy",
        (
            "import statsmodels.api as sm\nx = numpy.arange(10.0)\n"
            "return abs(sm.OLS(2 * x + 1, sm.add_constant(x)).fit().params[1] - 2) < 1e-8"
        ),
    ),
    "sympy: solve": ("sympy", "x = sympy.Symbol('x'); return sympy.solve(x**2 - 4, x) == [-2, 2]"),
    "networkx: path": (
        "networkx",
        "g = networkx.path_graph(4); return networkx.shortest_path(g, 0, 3) == [0, 1, 2, 3]",
    ),
    "requests: prepare": (
        "requests",
        "return requests.Request('GET', 'https://a.b/c', params={'d': 1}).prepare().url == 'https://a.b/c?d=1'",
    ),
    "beautifulsoup4: parse": (
        "bs4",
        "from bs4 import BeautifulSoup\nreturn BeautifulSoup('<p>Hi <b>you</b></p>', 'html.parser').b.text == 'you'",
    ),
    "lxml: XPath": (
        "lxml",
        "from lxml import etree\nreturn etree.fromstring('<a><b>1</b></a>').xpath('//b/text()') == ['1']",
    ),
    "openpyxl: workbook": (
        "openpyxl",
        (
            "book = openpyxl.Workbook(); book.active['A1'] = 7; book.save('x.xlsx')\n"
            "return openpyxl.load_workbook('x.xlsx').active['A1'].value == 7"
        ),
    ),
    "xlsxwriter: workbook": (
        "xlsxwriter",
        (
            "import os\nbook = xlsxwriter.Workbook('x.xlsx'); book.add_worksheet().write('A1', 1); book.close()\n"
            "return os.path.getsize('x.xlsx') > 1000"
        ),
    ),
    "pyyaml: load": ("yaml", "return yaml.safe_load('a: [1, 2]') == {'a': [1, 2]}"),
    "duckdb: query": (
        "duckdb",
        "return duckdb.sql('select sum(i) from range(10) t(i)').fetchall() == [(45,)]",
    ),
    "nltk: stem": (
        "nltk",
        "from nltk.stem import PorterStemmer\nreturn PorterStemmer().stem('running') == 'run'",
    ),
    "shapely: area": (
        "shapely",
        "from shapely.geometry import Point\nreturn 3.1 < Point(0, 0).buffer(1).area < 3.2",
    ),
    "regex: properties": ("regex", r"return regex.findall(r'\p{Lu}', 'aÉb') == ['É']"),
    "orjson: dump": ("orjson", "return orjson.dumps({'a': 1}) == b'{\"a\":1}'"),
    "python-dateutil: parse": (
        "dateutil",
        "from dateutil import parser, tz\nreturn parser.parse('2 Jan 2024').month == 1 and bool(tz.gettz('Asia/Tokyo'))",
    ),
    "pytz: zone": ("pytz", "return str(pytz.timezone('Europe/Paris')) == 'Europe/Paris'"),
    "tabulate: table": ("tabulate", "return '1' in tabulate.tabulate([[1]], headers=['a'])"),
    "jinja2: render": ("jinja2", "return jinja2.Template('{{ a }}').render(a=1) == '1'"),
    "markdown: render": ("markdown", "return markdown.markdown('# a') == '<h1>a</h1>'"),
    "rapidfuzz: ratio": ("rapidfuzz", "from rapidfuzz import fuzz\nreturn fuzz.ratio('abc', 'abc') == 100"),
    "numba: compile": (
        "numba",
        "f = numba.njit(lambda n: n * 2 + 1); return f(3) == 7",
    ),
    "psutil: own process": (
        "psutil",
        "p = psutil.Process(); return p.memory_info().rss > 0 and p.num_threads() > 0 and p.create_time() > 0",
    ),
    "threadpoolctl: limits": (
        "threadpoolctl numpy",
        "with threadpoolctl.threadpool_limits(1):\n    return len(threadpoolctl.threadpool_info()) > 0",
    ),
    "joblib: parallel": (
        "joblib",
        "return joblib.Parallel(n_jobs=2, prefer='threads')(joblib.delayed(abs)(i) for i in (-1, -2)) == [1, 2]",
    ),
    "babel: currency": (
        "babel",
        "from babel.numbers import format_currency\nreturn '1.50' in format_currency(1.5, 'USD', locale='en')",
    ),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox with the limits that users have."""
    sandbox = Sandbox(mode="require", size=2)
    await sandbox.start()
    yield sandbox
    await sandbox.aclose()


@pytest.mark.parametrize("task", TASKS)
async def test_a_common_package_does_its_work(sandbox: Sandbox, task: str) -> None:
    """As it does outside."""
    names, body = TASKS[task]
    packages = tuple(sorted(names.split()))
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    lines = [f"import {name}" for name in packages] + ["def tool():"]
    lines += [f"    {line}" for line in body.split("\n")]
    call = Call("\n".join(lines), "tool", b'{"args":[],"kwargs":{}}', imports=packages, timeout_seconds=60)
    outcome = await sandbox.run(call)
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    value = decode(outcome.result)
    assert value is True or value == 1
