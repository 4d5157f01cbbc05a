"""``%fact history --to FILE`` in each format."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from fact_magics.errors import CellError
from fact_magics.store import ExecutionRow, GenerationRow, MapRow
from fact_magics.tool import Status

TEXT = 'one, "two"\nthree; =ü'


@pytest.fixture
def rows(workshop):
    core = workshop.core
    known = {"tool_name": "t", "status": Status.OK, "session_id": core.session_id}
    runs = [ExecutionRow(**known, id="ab", input_data=TEXT, permissions=("net:a.org", "env:B"))]
    attempts = [GenerationRow(**known, generation_id="cd", attempt=1, cost_usd=0.5)]
    workshop.submit(core._store.commit(runs, attempts)).wait(lambda: None)


def read(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl", "runs.ndjson", "RUNS.parquet"])
def test_each_format_holds_every_field(fact, rows, folder, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    assert f"2 rows to {folder / name}" in fact(f"history --to {name}").plain
    kept = {row["kind"]: row for row in read(folder / name)}
    assert kept["run"]["input_data"] == TEXT
    assert kept["run"]["permissions"] in ('["net:a.org", "env:B"]', ["net:a.org", "env:B"])
    assert float(kept["generation"]["cost_usd"]) == 0.5
    assert not kept["generation"].get("input_data")


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet"])
def test_runs_and_maps_share_columns_that_have_one_type(fact, rows, workshop, folder, name):
    pandas = pytest.importorskip("pandas")
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    known = {"session_id": workshop.core.session_id, "tool_name": "t", "status": Status.OK}
    run = ExecutionRow(**known, id="ef", cached=True)
    table = MapRow(**known, id="gh", tool_version="1.0.0", content_key="k", total=3, cached=2, ok=1)
    workshop.submit(workshop.core._store.maps.put(table)).wait(lambda: None)
    workshop.submit(workshop.core._store.commit([run])).wait(lambda: None)
    fact(f"history --to {name}")
    read_file = pandas.read_parquet if name.endswith("parquet") else pandas.read_csv
    kept = read_file(folder / name).set_index("id")
    assert kept["cached"][["ab", "ef", "gh"]].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl", "runs.parquet"])
def test_only_a_file_of_rows_is_replaced(fact, rows, folder, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    fact(f"history --to {name}")
    fact(f"history --to {name}")
    (folder / name).write_text("name,age\n")
    with pytest.raises(CellError, match="exists and is not recognised as a list of rows from %fact history"):
        fact(f"history --to {name}")
    assert (folder / name).read_text() == "name,age\n"
    fact(f"history --to {name} --replace")
    assert len(read(folder / name)) == 2


def test_a_parquet_file_of_something_else_is_replaced_only_if_asked(fact, rows, folder):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"name": ["a"]}), folder / "runs.parquet")
    with pytest.raises(CellError, match="add --replace"):
        fact("history --to runs.parquet")
    fact("history --to runs.parquet --replace")


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl", "runs.parquet"])
def test_no_rows_make_a_file_that_can_be_read(fact, folder, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    fact("history --tool nobody --to " + name)
    assert read(folder / name) == []


def test_parquet_without_pyarrow_is_one_line_with_the_way_out(fact, rows, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CellError, match=r"needs pyarrow, which is not installed\. Run %pip install pyarrow"):
        fact("history --to runs.parquet")
    assert not (folder / "runs.parquet").exists()


def test_rows_are_a_data_frame_in_python(workshop, rows):
    pytest.importorskip("pandas")
    core = workshop.core
    frame = workshop.submit(core.list_runs()).wait(lambda: None).to_frame()
    assert frame[["id", "tool_name", "status"]].to_dict("records") == [
        {"id": "ab", "tool_name": "t", "status": "ok"}
    ]
    assert workshop.submit(core.list_runs(tool_name="nobody")).wait(lambda: None).to_frame().empty
