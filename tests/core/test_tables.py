"""Tools that take and return tables: runs, the cache, the history, examples, maps and exports."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fact_magics import FactCore, ToolSpec
from fact_magics.core.files import InputFiles
from fact_magics.errors import CellError, InvalidInput
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate
from fact_magics.tool import ToolInput
from fact_magics.writing.examples import read_body

pytestmark = pytest.mark.slow

TOTALS = """
import pandas as pd


def totals(df: pd.DataFrame, by: str = "k") -> pd.DataFrame:
    df["v"] *= 1
    return df.groupby(by, as_index=False).sum()
"""
CONTRACT = """
>>> totals(DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]}))
DataFrame({"k": ["a", "b"], "v": [4, 2]})
"""


async def accept(core: FactCore, source: str) -> Any:
    """Store a source as a proven tool."""
    name = source.rpartition("def ")[2].partition("(")[0]
    identity = signature_identity(read_signature(source, name))
    candidate = Candidate(name=name, source=source, signature_id=identity, description="x", proven=True)
    await core._store.tools.accept(candidate)
    return await core.tool(name)


@pytest.fixture
def keep(core: FactCore) -> Any:
    return partial(accept, core)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]}, index=[7, 8, 9])


def rows(core: FactCore) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(core.database_path)) as connection:
        query = "SELECT status, cached, input_data, output_data FROM tool_executions ORDER BY seq"
        return connection.execute(query).fetchall()


async def test_a_run_leaves_the_frame_and_the_cache_gives_each_caller_its_own(core, keep, frame):
    await keep(TOTALS)
    before, expected = frame.copy(), pd.DataFrame({"k": ["a", "b"], "v": [4, 2]})
    for cached in (False, True, True):
        output = await core.execute_tool(ToolInput("totals", {"df": frame}))
        assert output.metadata["cached"] is cached
        pd.testing.assert_frame_equal(output.result, expected)
        output.result.loc[0, "v"] = 99  # nobody else sees it
    pd.testing.assert_frame_equal(frame, before)
    assert (await core.execute_tool(ToolInput("totals", {"df": frame.assign(v=[1, 2, 4])}))).metadata[
        "cached"
    ] is False


async def test_the_history_has_summaries_and_the_refused_frame_too(core, keep, frame):
    await keep(TOTALS)
    await core.execute_tool(ToolInput("totals", {"df": frame}))
    refused = await core.execute_tool(ToolInput("totals", {"df": frame, "by": 3}))
    assert refused.metadata["error"] == "by: should be a valid string, got 3"
    (_, _, given, gave), (status, _, again, _) = rows(core)
    assert json.loads(given)["df"]["shape"] == [3, 2]
    assert json.loads(gave)["first"] == [["a", 4], ["b", 2]]
    assert status == "invalid"
    assert json.loads(again)["df"] == json.loads(given)["df"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "df: should be a pandas.DataFrame, or a list of records, got 3"),
        (pd.Series([1]), "got <pandas.Series of 1>"),
        ([{"k": "a"}, 1], "its item 1 is not a record"),
        (np.zeros((2, 2, 2)), "got <numpy.ndarray of 2 by 2 by 2>"),
        (pd.DataFrame({"o": [object()]}), 'df["o"][0]: an object of type object'),
    ],
)
async def test_what_is_no_frame_is_refused_in_one_line(keep, given, said):
    tool = await keep(TOTALS)
    with pytest.raises(InvalidInput) as refused:
        await tool.acall(given)
    assert said in refused.value.line
    assert "\n" not in refused.value.line


async def test_what_an_agent_sends_is_accepted(keep):
    tool = await keep(TOTALS)
    assert tool.json_schema()["properties"]["df"] == {"type": "array", "items": {"type": "object"}}
    result = await tool.acall([{"k": "a", "v": 1}, {"k": "a", "v": 2}])
    assert result.to_dict("records") == [{"k": "a", "v": 3}]
    assert (await tool.acall([{"k": "a", "v": 1}][:1])).shape == (1, 2)


async def test_tables_are_passed_inside_other_values_and_beside_files(keep, tmp_path):
    source = """
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import pandas as pd


@dataclass
class Job:
    data: pd.Series
    times: int


def work(
    job: Job, path: Path, more: dict[str, list[np.ndarray]], one: pd.Series | None = None
) -> tuple[pd.Series, dict[str, np.ndarray], int]:
    return job.data * job.times, {k: v[0] + 1 for k, v in more.items()}, len(path.read_text())
"""
    tool = await keep(source)
    file = tmp_path / "x.txt"
    file.write_text("four")
    series = pd.Series([1.5, 2], name="s", index=["a", "b"])
    doubled, arrays, size = await tool.acall({"data": series, "times": 2}, file, {"m": [np.eye(2)]})
    pd.testing.assert_series_equal(doubled, series * 2)
    np.testing.assert_array_equal(arrays["m"], np.eye(2) + 1)
    assert size == 4


async def test_a_table_that_changes_while_a_file_is_read_does_not_get_the_key_of_another(
    keep, tmp_path, monkeypatch
):
    """Otherwise the answer for the new content would be cached for the old one."""
    tool = await keep(
        "from pathlib import Path\nimport numpy as np\ndef total(a: np.ndarray, path: Path) -> float:\n"
        "    return float(a.sum())\n"
    )
    file = tmp_path / "x.txt"
    file.write_text("four")
    for size in (3, 200_000):
        array = np.ones(size)
        take = InputFiles.take

        def take_later(*args: Any, array: Any = array, take: Any = take, **options: Any) -> Any:
            array[:] = 0.0  # as the thread that awaits the call may do
            return take(*args, **options)

        with monkeypatch.context() as patched:
            patched.setattr(InputFiles, "take", take_later)
            assert await tool.acall(array, file) == size
        assert await tool.acall(np.ones(size), file) == size
        assert await tool.acall(array, file) == 0.0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[{'a': 1}]", "result: should be a pandas.DataFrame, got [{'a': 1}]"),
        ("pd.Series([1])", "result: should be a pandas.DataFrame, got <pandas.Series>"),
        ("pd.DataFrame({'o': [object()]})", "an object of type object can't leave the tool"),
        ("None", "result: should be a pandas.DataFrame, got None"),
    ],
)
async def test_what_a_tool_returns_must_be_what_it_says(core, keep, body, said):
    await keep(f"import pandas as pd\ndef f() -> pd.DataFrame:\n    return {body}\n")
    output = await core.execute_tool(ToolInput("f", {}))
    assert not output.success
    assert said in " ".join((output.metadata["error"], *output.metadata["details"]))


async def test_a_process_that_lies_about_its_table_is_an_error(core, keep):
    """It replaces what is sent: a description of more rows than there are bytes."""
    source = """
import sys
import numpy as np


def lie(wire: bytes) -> np.ndarray:
    sys.modules["_fact_values.wire"].encode_parts = lambda value, tables=False: [wire]
    return np.zeros(1)
"""
    await keep(source)
    head = b'{"$table":["numpy.ndarray",[[100000000000],["plain","<i8"]],{"sha256":"x"},[%d]]}'
    for size, buffer in ((8, bytes(8)), (10**12, b"")):
        text = head % size
        wire = b"\0" + len(text).to_bytes(7, "big") + text
        wire += bytes(-len(wire) % 64) + buffer.ljust(64, b"\0")
        output = await core.execute_tool(ToolInput("lie", {"wire": wire}, fresh=True))
        assert not output.success
        assert output.metadata["status"] == "error"


async def test_a_large_table_keeps_its_content_and_can_be_changed(core, keep):
    """In the tool and in what it returns, although neither is copied more than once."""
    await keep(
        "import pandas as pd\ndef f(df: pd.DataFrame) -> pd.DataFrame:\n    df.iloc[0, 0] = -1.0\n    return df\n"
    )
    frame = pd.DataFrame({"a": np.arange(200_000.0), "b": np.arange(200_000)[::-1]})
    given = frame.copy()
    got = (await core.execute_tool(ToolInput("f", {"df": frame}))).result
    pd.testing.assert_frame_equal(frame, given)
    given.iloc[0, 0] = -1.0
    pd.testing.assert_frame_equal(got, given)
    got.iloc[1, 1] = 0
    again = await core.execute_tool(ToolInput("f", {"df": frame}))
    assert again.metadata["cached"]
    pd.testing.assert_frame_equal(again.result, given)


async def test_a_table_may_be_larger_than_other_results(settings):
    limited = settings.model_copy(update={"limits": {"result_mb": 1}})
    async with FactCore(limited) as core:
        await accept(core, "import numpy as np\ndef big(n: int) -> np.ndarray:\n    return np.arange(n)\n")
        await accept(core, "def long(n: int) -> str:\n    return 'x' * n\n")
        output = await core.execute_tool(ToolInput("big", {"n": 1_000_000}))
        assert output.result[-1] == 999_999
        refused = await core.execute_tool(ToolInput("long", {"n": 8_000_000}))
        assert "result 1 MB" in refused.metadata["error"]
        refused = await core.execute_tool(ToolInput("big", {"n": 2_000_000}))
        assert "result 8 MB" in refused.metadata["error"]


async def test_examples_prove_and_their_difference_goes_back_to_the_model(core, server, frame):
    server.writes(TOTALS.replace(", as_index=False", ""))
    server.writes(TOTALS)
    body = read_body(f"Sum.\n{CONTRACT}", "totals")
    tool = await core.generate(ToolSpec("totals", body.description, examples=body.examples))
    assert tool.metadata.proven
    assert "got the shape 2 by 1, expected 2 by 2" in json.dumps(server.requests[-1].body)
    with pytest.raises(CellError, match="no inputs can be derived"):
        await core.probe("totals")
    imported = await core.import_tool(await core.export_tool("totals"))
    assert imported.metadata.proven
    pd.testing.assert_frame_equal(await imported.acall(frame), pd.DataFrame({"k": ["a", "b"], "v": [4, 2]}))


async def test_a_tool_whose_answer_is_random_varies(core, server):
    source = "import pandas as pd\ndef pick(df: pd.DataFrame) -> pd.DataFrame:\n    return df.sample(frac=1).iloc[:1]\n"
    server.writes(source)
    body = read_body('Pick.\n\n>>> pick(DataFrame({"a": [1]}))\nDataFrame({"a": [1]})\n', "pick")
    tool = await core.generate(ToolSpec("pick", body.description, examples=body.examples))
    assert tool.metadata.varies


async def test_rows_may_be_tables(keep, frame):
    tool = await keep(TOTALS)
    result = await tool.amap([{"df": frame}, {"df": frame.head(1)}, {"df": 3}])
    assert result.counts["failed"] == 1
    assert [*result][1]["v"].tolist() == [1]
    assert "should be a pandas.DataFrame" in result.errors[2]


def test_the_libraries_are_not_imported_for_other_tools():
    program = """
import sys
from fact_magics.signature import read_signature
from fact_magics.values import encode
read_signature("import pandas as pd\\ndef f(x: pd.DataFrame) -> pd.Series: ...", "f").json_schema()
read_signature("def f(x: int) -> int: ...", "f").validate({"x": 1})
encode({"a": [1]})
print({"pandas", "numpy", "pyarrow", "polars"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
