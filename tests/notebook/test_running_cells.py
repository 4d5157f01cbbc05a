"""``%%fact_run`` and plain calls in a kernel: input, validation, answers from the cache, failures, options."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.kernel

ECHO = "from typing import Any\n\ndef echo(value: Any, *, other: Any = None) -> Any:\n    return [value, other]\n"
FAILS = (
    'def fails(n: int) -> int:\n    print("before", n)\n    return _inner(n)\n\n'
    'def _inner(n: int) -> int:\n    if n > 5:\n        raise ValueError(f"{n} is too much")\n    return n\n'
)


@pytest.fixture(scope="module")
def workbench(module_desk):
    """The tools that these tests run."""
    made = [
        module_desk.write("echo", ECHO, examples=">>> echo(1)\n[1, None]\n"),
        module_desk.write("fails", FAILS, examples=">>> fails(1)\n1\n"),
        module_desk.write(
            "only",
            "def only(a: int, /, b: str = 'b', *, c: float, d: bool = False) -> dict[str, str]:\n"
            "    return {k: repr(v) for k, v in {'a': a, 'b': b, 'c': c, 'd': d}.items()}\n",
            examples=">>> only(1, c=2.5)\n{'a': '1', 'b': \"'b'\", 'c': '2.5', 'd': 'False'}\n",
        ),
        module_desk.write(
            "total",
            "def total(values: list[float]) -> float:\n    print('adding')\n    return sum(values)\n",
            examples=">>> total([1, 2])\n3.0\n",
        ),
        module_desk.write(
            "rest",
            "import time\n\ndef rest(seconds: float) -> float:\n"
            "    print('resting', flush=True)\n    time.sleep(seconds)\n    return seconds\n",
            examples=">>> rest(0.0)\n0.0\n",
        ),
    ]
    assert [cell.status for cell in made] == ["ok"] * len(made), [cell.traceback for cell in made]
    return module_desk


@pytest.fixture
def desk(workbench):
    workbench.server._script.clear()
    return workbench


def runs(desk, name):
    return desk.query("SELECT status, cached FROM tool_executions WHERE tool_name = ? ORDER BY rowid", name)


# Input


def test_assignments_are_evaluated_in_order_and_bind_nothing(desk):
    desk.run("titles = ['a', 'b']")
    cell = desk.run(
        "%%fact_run echo --into got\nvalue = [t.upper() for t in titles]\nother = [v + str(len(value)) for v in value]"
    )
    assert cell.status == "ok", cell.traceback
    assert desk.value("got") == [["A", "B"], ["A2", "B2"]]
    assert desk.value("['value' in globals(), 'other' in globals()]") == [False, False]


def test_a_name_bound_inside_an_expression_stays_inside(desk):
    assert desk.run("%%fact_run echo --into got\nvalue = (walrus := 4) + walrus").status == "ok"
    assert desk.value("['walrus' in globals(), got[0]]") == [False, 8]


def test_the_body_may_be_one_json_object(desk):
    body = '{"value": {"nested": [1, 2.5, null, true, "x"]},\n "other": "y"}'
    assert desk.run(f"%%fact_run echo --into got\n{body}").status == "ok"
    assert desk.value("got") == [{"nested": [1, 2.5, None, True, "x"]}, "y"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("echo", "a tool"),
        ("print", "a Python built-in"),
        ("None_", ""),
        ("Ellipsis", "a Python built-in"),
        ("math", "a module"),
        ("mine", "a function"),
        ("Mine", "a class"),
        ("bound", "a function"),
        ("half", "of type partial"),
        ("data", ""),
    ],
)
def test_into_replaces_data_but_no_code(desk, name, kind):
    desk.run(
        "import math\nfrom functools import partial\ndef mine(): pass\nclass Mine: pass\n"
        "bound, half, data, None_ = [].append, partial(mine), [1], None"
    )
    before = desk.value(f"repr({name})")
    cell = desk.run(f"%%fact_run echo --into {name} --fresh\nvalue = 1")
    if kind:
        assert cell.traceback.startswith(
            f"BindingRefused: --into {name} would replace {name}, which is {kind}"
        )
        assert cell.traceback.endswith("in this notebook. Choose another name.")
        assert desk.value(f"repr({name})") == before
    else:
        assert desk.value(name) == [1, None]


def test_an_empty_body_shows_the_input_skeleton_and_runs_nothing(desk):
    before = runs(desk, "only")
    cell = desk.run("%%fact_run only\n")
    assert cell.stdout.splitlines()[0].startswith("a = ...  # int, required")
    assert "c = ...  # float, required" in cell.stdout
    assert runs(desk, "only") == before


def test_a_body_of_nothing_but_ellipses_shows_the_skeleton_and_runs_nothing(desk):
    before = runs(desk, "only")
    cell = desk.run("%%fact_run only\na = ...\nc = ...")
    assert cell.status == "ok", cell.traceback
    assert cell.stdout == desk.run("%%fact_run only\n").stdout
    assert runs(desk, "only") == before


def test_an_ellipsis_left_in_a_body_is_a_missing_field(desk):
    cell = desk.run("%%fact_run only\na = ...\nc = 2.5")
    assert cell.error_name == "InvalidInput"
    assert "a: missing, replace ... with a value of type int" in cell.traceback


def test_the_skeleton_is_a_body_that_can_be_run(desk):
    skeleton = desk.run("%%fact_run only\n").stdout.replace("a = ...", "a = 1").replace("c = ...", "c = 2.5")
    assert desk.run(f"%%fact_run only\n{skeleton}").status == "ok"


def test_what_notebooks_hold_is_taken_as_what_it_means(desk):
    desk.run(
        "import numpy as np, pandas as pd\nfrom pathlib import Path\n"
        "frame = pd.DataFrame({'a': [1, 2], 'b': ['x', None], 'when': pd.to_datetime(['2024-01-02', None])})"
    )
    for expression, meant in {
        "frame[['a', 'b']]": "[{'a': 1, 'b': 'x'}, {'a': 2, 'b': None}]",
        "frame['a']": "[1, 2]",
        "np.array([[1.5, 2.0]])": "[[1.5, 2.0]]",
        "np.int64(3)": "3",
        "np.float32(0.5)": "0.5",
        "np.bool_(True)": "True",
        "Path('a') / 'b'": "PosixPath('a/b')",
        "frame['when']": "[datetime.datetime(2024, 1, 2, 0, 0), None]",
        "range(3)": "[0, 1, 2]",
        "(1, 2)": "(1, 2)",
        "{1, 2}": "{1, 2}",
    }.items():
        cell = desk.run(f"%%fact_run echo --into got\nvalue = {expression}")
        assert cell.status == "ok", (expression, cell.error)
        assert desk.run("print(repr(got[0]))").stdout.strip() == meant, expression


def test_a_series_and_an_array_are_numbers_for_a_list_of_floats(desk):
    desk.run("import numpy as np, pandas as pd")
    assert desk.run("%%fact_run total --into got\nvalues = pd.Series([1, 2, 3])").status == "ok"
    assert desk.value("got") == 6.0
    assert desk.run("total(np.arange(4))").plain.endswith("6.0")


def test_each_invalid_field_gets_a_line_and_nothing_runs(desk):
    before = runs(desk, "only")
    cell = desk.run("%%fact_run only\na = True\nb = 4\nc = 'x'\ndd = 1")
    assert cell.error_name == "InvalidInput"
    *lines, unknown, signature = cell.error.splitlines()
    for line, (field, value) in zip(lines, [("a", "True"), ("b", "4"), ("c", "'x'")], strict=True):
        assert line.startswith(f"{field}: ")
        assert value in line
    assert unknown == "dd: unknown field. Did you mean 'd'?"
    assert signature.startswith("Not run: only(a: int, ")
    assert cell.traceback.startswith("InvalidInput: a: ")
    assert runs(desk, "only") == [*before, ("invalid", 0)]


def test_a_missing_field_says_so(desk):
    cell = desk.run("%%fact_run only\na = 1")
    assert cell.error_name == "InvalidInput"
    assert "c: " in cell.error
    assert "missing" in cell.error or "required" in cell.error


@pytest.mark.parametrize("given", ["True", "np.bool_(True)", "'3'", "3.5", "None", "b'3'"])
def test_a_bool_or_a_text_is_no_number(desk, given):
    desk.run("import numpy as np")
    cell = desk.run(f"%%fact_run fails\nn = {given}")
    assert cell.error_name == "InvalidInput"
    assert cell.error.startswith("n: ")


def test_positional_only_and_keyword_only_parameters_work_in_cells_and_calls(desk):
    expected = {"a": "1", "b": "'b'", "c": "2.0", "d": "False"}
    assert desk.run("%%fact_run only --into got\nc = 2\na = 1").status == "ok"
    assert desk.value("got") == expected
    assert desk.value("only(1, c=2)") == expected
    for wrong in ("only(a=1, c=2)", "only(1, 'b', 2)", "only(1)", "only(1, c=2, e=3)", "only(1, 2, c=3)"):
        cell = desk.run(wrong)
        assert cell.error_name == "InvalidInput", wrong
        assert (
            desk.run(f"try:\n    {wrong}\nexcept ValueError as e:\n    print(type(e).__name__)").stdout
            == "InvalidInput\n"
        )


# Answers


def test_the_value_is_a_tool_output_shown_as_its_result(desk):
    cell = desk.run("%%fact_run total\nvalues = [1, 2, 3.5]")
    assert "6.5" in cell.plain
    assert desk.value("[type(_).__name__, _.success, _.result, _.execution_time_ms > 0]") == [
        "ToolOutput",
        True,
        6.5,
        True,
    ]


def test_an_identical_run_is_answered_from_the_cache_printed_text_included(desk):
    desk.run("%%fact_run total\nvalues = [9, 9]")
    again = desk.run("%%fact_run total\nvalues = [9.0, 9.0]")
    assert "cached" in again.plain
    assert "saved" in again.plain
    assert "adding" in again.plain
    assert desk.value("_.metadata['cached']") is True
    assert desk.run("total([9, 9])").stdout == "adding\n"
    assert runs(desk, "total")[-2:] == [("ok", 1), ("ok", 1)]


def test_the_cache_lives_in_the_database_too(desk):
    desk.run("%%fact_run total\nvalues = [8, 8]")
    cell = desk.run("from fact_magics.tools import _current as current\ncurrent().core._memory.clear()")
    assert cell.status == "ok"
    assert "cached" in desk.run("%%fact_run total\nvalues = [8, 8]").plain


def test_a_time_keeps_the_answer_of_a_tool_that_varies(desk):
    desk.write("moment", "import time\n\ndef moment(n: int) -> float:\n    return time.time()\n")
    runs_of = [
        (desk.value("got"), desk.query("SELECT cached FROM tool_executions ORDER BY seq DESC LIMIT 1")[0][0])
        for options in ("", "--ttl 600", "--ttl 600", "")
        if desk.run(f"%%fact_run moment {options} --into got\nn = 1").status == "ok"
    ]
    assert [cached for _, cached in runs_of] == [0, 0, 1, 0]
    assert runs_of[1][0] == runs_of[2][0]
    refused = desk.run("%%fact_run moment --ttl 0\nn = 1")
    assert refused.error == "--ttl: '0' is not a number of seconds above 0 and at most 315360000."


def test_fresh_runs_anyway_and_replaces_the_entry(desk):
    # What the checks can't see in the source: the answer differs from process to process.
    desk.write(
        "stamp",
        "import os\n\ndef stamp(n: int) -> int:\n    return getattr(os, 'get' + 'pid')() if n else 0\n",
        examples=">>> stamp(0)\n0\n",
    )
    first, cached, fresh, after = (
        desk.value("got")
        for options in ("", "", "--fresh", "")
        if desk.run(f"%%fact_run stamp {options} --into got\nn = 1").status == "ok"
    )
    assert first == cached
    assert fresh != first
    assert after == fresh


def test_one_and_one_point_nought_and_true_are_apart_where_the_annotation_keeps_them_apart(desk):
    for value, shown in {
        "1": "[1, None]",
        "1.0": "[1.0, None]",
        "True": "[True, None]",
        "-0.0": "[-0.0, None]",
        "0.0": "[0.0, None]",
    }.items():
        assert desk.run(f"%%fact_run echo\nvalue = {value}").plain.splitlines()[0] == shown


def test_a_failure_is_not_cached(desk):
    for _ in range(2):
        cell = desk.run("%%fact_run fails\nn = 7")
        assert cell.error_name == "ToolFailed"
    assert runs(desk, "fails")[-2:] == [("error", 0), ("error", 0)]


def test_an_unproven_tool_s_answer_is_cached_after_two_runs_that_agree(desk):
    desk.write("unsure", "def unsure(n: int) -> int:\n    return n\n")
    for _ in range(3):
        desk.run("%%fact_run unsure\nn = 5")
    assert runs(desk, "unsure") == [("ok", 0), ("ok", 0), ("ok", 1)]


def test_an_unproven_tool_whose_answers_differ_is_not_cached(desk):
    desk.write("pids", "import os\n\ndef pids(n: int) -> int:\n    return getattr(os, 'get' + 'pid')()\n")
    for _ in range(4):
        desk.run("%%fact_run pids\nn = 5")
    assert runs(desk, "pids") == [("ok", 0)] * 4


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("clock", "import time\n\ndef clock(n: int) -> float:\n    return time.time()\n"),
        ("dice", "import random\n\ndef dice(n: int) -> float:\n    return random.random()\n"),
        ("ident", "from uuid import uuid4\n\ndef ident(n: int) -> str:\n    return str(uuid4())\n"),
        ("today", "from datetime import date\n\ndef today(n: int) -> date:\n    return date.today()\n"),
    ],
)
def test_a_tool_that_reads_the_clock_or_randomness_varies_and_is_not_cached(desk, name, source):
    assert desk.write(name, source).status == "ok"
    for _ in range(3):
        assert desk.run(f"%%fact_run {name}\nn = 1").status == "ok"
    assert runs(desk, name) == [("ok", 0)] * 3
    assert desk.value(f"{name}.metadata.varies") is True
    assert "var" in desk.run(f"%fact show {name}").plain


def test_a_tool_that_gave_two_answers_when_it_was_proven_varies(desk):
    assert desk.value("echo.metadata.varies") is False
    shaky = (
        "import os\n\ndef shaky(n: int) -> float:\n    return 1.0 + getattr(os, 'get' + 'pid')() * 1e-15\n"
    )
    assert desk.write("shaky", shaky, examples=">>> shaky(1)\n1.0\n").status == "ok"
    assert desk.value("shaky.metadata.varies") is True


# Failures


def test_a_tool_that_raises_fails_the_cell_with_one_line_and_its_own_frames(desk):
    cell = desk.run("%%fact_run fails\nn = 6")
    assert cell.error_name == "ToolFailed"
    first, *frames = cell.error.splitlines()
    assert first == "fails raised ValueError: 6 is too much"
    text = "\n".join(frames)
    assert "_inner" in text
    assert 'raise ValueError(f"{n} is too much")' in text
    assert "fact_magics" not in text
    assert "site-packages" not in text
    assert "before 6" in cell.plain


def test_no_raise_gives_the_output_of_a_failure(desk):
    for body, status in (("n = 6", "error"), ("n = 'x'", "invalid")):
        cell = desk.run(f"%%fact_run fails --no-raise\n{body}")
        assert cell.status == "ok"
        assert desk.value("[_.success, _.result, _.metadata['status']]") == [False, None, status]


@pytest.mark.parametrize("options", ["", "--in-kernel"])
def test_a_failed_run_leaves_no_earlier_result_in_the_variable(desk, options):
    desk.run(f"%%fact_run fails --into got {options}\nn = 1")
    assert desk.value("got") is not None
    assert desk.run(f"%%fact_run fails --into got --no-raise {options}\nn = 6").status == "ok"
    assert desk.value("got") is None


def test_timeouts_and_memory_limits_have_their_own_errors_and_statuses(desk):
    cell = desk.run("%%fact_run rest --timeout 0.3\nseconds = 30.0")
    assert cell.error_name == "ToolTimedOut"
    assert "0.3 s" in cell.error
    assert "resting" in cell.plain
    desk.write(
        "hog",
        "def hog(mb: int) -> int:\n    return len(bytearray(mb * 1024 * 1024))\n",
        examples=">>> hog(0)\n0\n",
    )
    assert desk.run("%%fact_run hog --memory 64\nmb = 300").status == "error"
    assert desk.query("SELECT status FROM tool_executions WHERE tool_name = 'hog' ORDER BY rowid DESC")[0][
        0
    ] in ("limit", "error")
    assert desk.run("%%fact_run hog --memory 1024\nmb = 300").status == "ok"
    assert runs(desk, "rest")[-1] == ("timeout", 0)


def test_a_process_that_dies_is_one_clear_line(desk):
    desk.write(
        "dies",
        "import os\n\ndef dies(n: int) -> int:\n    os._exit(3) if n else None\n    return n\n",
        examples=">>> dies(0)\n0\n",
    )
    cell = desk.run("%%fact_run dies\nn = 1")
    assert cell.error_name in ("ToolFailed", "LimitReached")
    assert len(cell.error.splitlines()) == 1
    assert desk.value("dies(0)") == 0


def test_a_result_that_does_not_fit_the_annotation_fails(desk):
    desk.write(
        "liar", "def liar(n: int) -> int:\n    return n if n else 'nought'\n", examples=">>> liar(1)\n1\n"
    )
    cell = desk.run("%%fact_run liar\nn = 0")
    assert cell.status == "error"
    assert "nought" in cell.error
    assert runs(desk, "liar")[-1] == ("error", 0)


# Options and calls


def test_into_binds_the_result_s_value(desk):
    desk.run("%%fact_run total --into sum_of_it\nvalues = [1.5]")
    assert desk.value("sum_of_it") == 1.5


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("total --timeout", "--timeout needs a value"),
        ("total --timeout x", "not a number"),
        ("total --timeout -1", "above 0"),
        ("total --timeout nan", "above 0"),
        ("total --timeout 1 --timeout 2", "given twice"),
        ("total --fresh --fresh", "given twice"),
        ("total --memory 1", "from 16"),
        ("total --memory 64.5", "whole number"),
        ("total --into 9x", "not a Python identifier"),
        ("total --into class", "keyword"),
        ("total --fresh=yes", "takes no value"),
        ("total --tiemout 3", "Did you mean '--timeout'"),
        ("total --alow net:x", "no option --alow"),
        ("total extra", "does not take 'extra'"),
        ("", "needs NAME"),
        ("'total", "quote is not closed"),
        ("total@", "not a version"),
        ("total@x", "not a version"),
        ("to-tal", "not a tool name"),
        ("totl", "Did you mean 'total'"),
    ],
)
def test_a_line_that_can_t_be_read_is_one_clear_error(desk, line, part):
    before = desk.counts()
    cell = desk.run(f"%%fact_run {line}\nvalues = [1]")
    assert cell.status == "error"
    assert cell.error_name in ("CellError", "UnknownName")
    assert part in cell.error
    assert len(cell.error.splitlines()) == 1
    assert cell.traceback.count("\n") == 0
    assert desk.counts() == before


def test_a_trailing_semicolon_and_a_trailing_blank_are_no_part_of_the_line(desk):
    assert desk.run("%%fact_run total ;\nvalues = [1]").status == "ok"
    assert desk.run("%%fact_run total   \nvalues = [1]").status == "ok"


@pytest.mark.parametrize("magic", ["%%fact_run", "%%fact_generate"])
def test_help_lists_every_option(desk, magic):
    text = desk.run(f"{magic} --help\n").stdout
    common = ["--timeout", "--fresh", "--help"]
    own = (
        ["--memory", "--no-raise", "--into"]
        if magic == "%%fact_run"
        else ["--model", "--attempts", "--tag", "--replace"]
    )
    assert all(option in text for option in common + own)


def test_a_plain_call_streams_what_is_printed_into_its_own_cell(desk):
    cell = desk.run("x = rest(0.0)\nprint('after')")
    assert cell.stdout == "resting\nafter\n"


def test_gathered_calls_all_answer(desk):
    code = "import asyncio\nresults = await asyncio.gather(*(total.acall([n, n]) for n in range(100, 120)))"
    assert desk.run(code).status == "ok"
    assert desk.value("results") == [2.0 * n for n in range(100, 120)]


def test_gathered_identical_calls_run_once(desk):
    code = "import asyncio, time\nt = time.monotonic()\nresults = await asyncio.gather(*(rest.acall(0.4) for _ in range(8)))"
    assert desk.run(code).status == "ok"
    assert desk.value("results") == [0.4] * 8
    assert runs(desk, "rest")[-8:].count(("ok", 0)) == 8 or runs(desk, "rest")[-8:].count(("ok", 1)) > 0


def test_a_thread_of_the_notebook_may_call_a_tool(desk):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    results = list(pool.map(lambda n: total([n]), range(50, 58)))"
    )
    cell = desk.run(code)
    assert cell.status == "ok", cell.traceback
    assert desk.value("results") == [float(n) for n in range(50, 58)]


def test_a_call_that_fails_raises_for_python(desk):
    code = (
        "from fact_magics.errors import FactError\n"
        "try:\n    fails(6)\nexcept FactError as error:\n    caught = [type(error).__name__, str(error).splitlines()[0]]"
    )
    desk.run(code)
    assert desk.value("caught") == ["ToolFailed", "fails raised ValueError: 6 is too much"]


def test_stored_tools_are_importable_and_listed(desk):
    cell = desk.run(
        "from fact_magics.tools import total as imported\nimport fact_magics.tools\nimported([4])"
    )
    assert cell.status == "ok", cell.traceback
    assert desk.value("'total' in dir(fact_magics.tools)") is True
    missing = desk.run(
        "try:\n    from fact_magics.tools import totle\nexcept ImportError as e:\n    print(e)"
    )
    assert "total" in missing.stdout


def test_a_tool_can_t_call_another_stored_tool_and_says_so(desk):
    cell = desk.write(
        "caller",
        "def caller(n: int) -> int:\n    from fact_magics.tools import total\n    return total([n])\n",
        options="--attempts 1",
    )
    assert cell.error_name == "GenerationFailed"
    assert "another stored tool" in cell.error


def test_a_hundred_thousand_items_go_in_and_come_out(desk):
    started = time.monotonic()
    assert desk.run("%%fact_run echo --into big\nvalue = list(range(100_000))").status == "ok"
    assert desk.value("len(big[0])") == 100_000
    assert time.monotonic() - started < 60
