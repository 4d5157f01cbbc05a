"""``%fact warm``: inputs that are run ahead, so that later runs are answered from the cache."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from waiting import BEGIN, tool_has_begun, until

from fact_magics.errors import CellError, Interrupted, InvalidInput, UnknownName
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate

pytestmark = pytest.mark.slow

HALF = "def half(n: int) -> int:\n    if n % 2:\n        raise ValueError('odd')\n    return n // 2\n"
SLOW = f"import time\n\n\ndef half(n: int) -> int:\n    if n:\n        {BEGIN}\n        time.sleep(600)\n    return n\n"


@pytest.fixture
def keep(workshop):
    """Store a tool named half."""

    def accept(source: str = HALF, **known: object) -> None:
        identity = signature_identity(read_signature(source, "half"))
        fields = {"name": "half", "source": source, "description": "Halve.", "proven": True, **known}
        workshop.run(workshop.core._store.tools.accept(Candidate(signature_id=identity, **fields)))

    return accept


def rows(workshop) -> list[tuple[str, str, bool]]:
    found = workshop.run(workshop.core.list_runs(limit=None))
    return sorted((row.input_data, row.status.value, row.cached) for row in found)


def test_the_lines_of_a_file_are_run_and_cached(fact, keep, folder, workshop):
    keep()
    (folder / "inputs.jsonl").write_bytes(
        b'\xef\xbb\xbf{"n": 2}\r\n\n{"n": 4}\n{"n": 2}\n{"n": 3}\n{"n": "x"}'
    )
    counts = fact("warm half --from inputs.jsonl --json")
    assert counts == {"inputs": 5, "ok": 2, "cached": 1, "failed": 2}
    assert ('{"n": 3}', "error", False) in rows(workshop)
    assert ('{"n": "x"}', "invalid", False) in rows(workshop)
    assert workshop.core.cache_stats().entries == 2
    page = fact("warm half --from inputs.jsonl").plain
    assert "Cached before  3 inputs" in page
    assert page.endswith(
        "\nLine 5         half raised ValueError: odd\nLine 6         n: should be a valid integer, got 'x'"
    )


def test_a_failed_input_is_one_line_without_traceback_and_signature(fact, keep, notebook):
    keep()
    notebook.names["inputs"] = [{"n": 3}, {"n": "x"}]
    lines = fact("warm half --from inputs").plain.splitlines()
    assert [line.split("]", 1)[1].strip() for line in sorted(lines) if "inputs[" in line] == [
        "half raised ValueError: odd",
        "n: should be a valid integer, got 'x'",
    ]


@pytest.mark.parametrize("kind", ["list", "pandas", "polars"])
def test_a_variable_gives_the_inputs(fact, keep, notebook, kind):
    keep()
    records = [{"n": 2}, {"n": 4}]
    notebook.names["inputs"] = records if kind == "list" else pytest.importorskip(kind).DataFrame(records)
    assert fact("warm half --from inputs --json") == {"inputs": 2, "ok": 2, "cached": 0, "failed": 0}
    assert fact("warm half@1 --from inputs --json")["cached"] == 2


def test_columns_that_the_tool_does_not_take_are_left_out_and_told(fact, keep, notebook):
    pandas = pytest.importorskip("pandas")
    keep()
    notebook.names["frame"] = pandas.DataFrame({"n": [2, 4], "title": ["a", "b"], 0: [1, 2]})
    page = fact("warm half --from frame").plain
    assert "Run            2 inputs\n" in page
    assert "Left out       title, 0, which half does not take" in page
    notebook.names["frame"] = pandas.DataFrame({"m": [2]})
    with pytest.raises(InvalidInput, match="The table has no column 'n', which half needs"):
        fact("warm half --from frame")


def test_the_progress_is_one_line_that_goes_away(fact, keep, notebook, capsys, monkeypatch):
    from fact_magics.notebook.commands import warm

    monkeypatch.setattr(warm, "_SHOWN_EVERY_SECONDS", 0.0)
    keep()
    notebook.names["inputs"] = [{"n": n} for n in range(4)]
    fact("warm half --from inputs")
    shown = capsys.readouterr().out
    assert "\r4 of 4 · " in shown
    assert shown.endswith(" \r")
    assert "\n" not in shown
    fact("warm half --from inputs --json")
    assert capsys.readouterr().out == ""


def test_a_tool_whose_answers_are_not_cached_needs_a_time(fact, keep, notebook, workshop):
    keep(varies=True)
    notebook.names["inputs"] = [{"n": 2}]
    with pytest.raises(
        CellError, match=r"are not cached, because half may give equal inputs different answers"
    ):
        fact("warm half --from inputs")
    assert rows(workshop) == []
    assert fact("warm half --from inputs --ttl 3600 --json")["ok"] == 1
    assert fact("warm half --from inputs --ttl 3600 --json")["cached"] == 1


def test_the_answers_of_an_unproven_tool_need_a_second_run(fact, keep, notebook):
    keep(proven=False)
    notebook.names["inputs"] = [{"n": 2}]
    assert "run this line again" in fact("warm half --from inputs").plain
    assert [fact("warm half --from inputs --json")["cached"] for _ in range(2)] == [0, 1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"n": 2}\n{"n": \n', r"Line 2 of .*inputs\.jsonl can't be read: Expecting value\. Write one JSON"),
        (b'{"n": 2}\n\n[1]', r"Line 3 of .* is not a JSON object\."),
        (b'{"n": 2}\n\xff', r"Line 2 of .* can't be read: it is not JSON in UTF-8\."),
        (b"[" * 100_000, r"Line 1 of .* can't be read: it is not JSON in UTF-8\."),
        (b'{"n": ' + b"9" * 5_000 + b"}", r"Line 1 of .* can't be read"),
        (b"\n \n", r"inputs\.jsonl has no inputs\."),
    ],
)
def test_a_file_that_does_not_parse_is_one_line_before_anything_runs(
    fact, keep, folder, workshop, content, told
):
    keep()
    (folder / "inputs.jsonl").write_bytes(content)
    with pytest.raises(CellError, match=told) as raised:
        fact("warm half --from inputs.jsonl")
    assert "\n" not in str(raised.value)
    assert rows(workshop) == []


def test_values_are_inputs_of_the_first_parameter_as_in_a_map(fact, keep, notebook, workshop):
    keep()
    for inputs in ([2, 4, 2], pytest.importorskip("pandas").Series([2, 4, 6], name="other")):
        notebook.names["inputs"] = inputs
        fact("warm half --from inputs")
    assert {given for given, _, _ in rows(workshop)} == {'{"n": 2}', '{"n": 4}', '{"n": 6}'}
    assert workshop.core.cache_stats().entries == 3


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (5, "inputs is of type int, not a list of inputs"),
        ({"n": 2}, "inputs is of type dict, not a list of inputs"),
        ([{"n": 2}, 3], r"inputs\[1\] is not a dict of inputs"),
        ([{2: "n"}], r"inputs\[0\] is not a dict of inputs"),
        (object(), "inputs can't be read as inputs"),
        ([], "inputs has no inputs"),
    ],
)
def test_a_variable_that_gives_no_inputs_is_one_line(fact, keep, notebook, value, told):
    keep()
    notebook.names["inputs"] = value
    with pytest.raises(CellError, match=told):
        fact("warm half --from inputs")


def test_what_is_missing_is_said(fact, keep):
    keep()
    with pytest.raises(CellError, match=r"%fact warm needs --from\."):
        fact("warm half")
    with pytest.raises(CellError, match=r"There is no variable or file 'nothing'\."):
        fact("warm half --from nothing")
    with pytest.raises(UnknownName, match="There is no tool named 'third'"):
        fact("warm third --from nothing")


def test_an_interrupt_keeps_what_ran(fact, keep, notebook, workshop):
    keep(SLOW)
    notebook.names["inputs"] = [{"n": 0}, *({"n": n} for n in range(1, 50))]

    def interrupt() -> None:
        until(tool_has_begun)
        until(lambda: any(status == "ok" for _, status, _ in rows(workshop)))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted, match=r"stopped after 1 of 50 inputs\. Run the line again"):
        fact("warm half --from inputs")
    thread.join()
    known = rows(workshop)
    assert ('{"n": 0}', "ok", False) in known
    assert {status for _, status, _ in known} == {"ok", "interrupted"}
    assert len(known) < 50
