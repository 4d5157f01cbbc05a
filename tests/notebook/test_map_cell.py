"""``%%fact_map`` in IPython without a kernel, and what the history shows of it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from shells import new_shell

from fact_magics.display.maps import MapView, progress_text
from fact_magics.events import MapAdvanced
from fact_magics.mapping.result import MapResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SLUGIFY = (
    "%%fact_generate slugify\nTurn a title into a URL slug.\n\n>>> slugify(\"Some Title\")\n'some-title'\n"
)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A shell with the tool of the shelf, which the tests of this file share."""
    home: Path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        for name in list(os.environ):
            if name.endswith("_API_KEY"):
                patched.delenv(name)
        patched.setenv("FACT_HOME", str(home))
        started = new_shell()
        started.extension_manager.load_extension("fact_magics")
        assert started.run_cell(SLUGIFY).success
        yield started
        started.extension_manager.unload_extension("fact_magics")


@pytest.fixture
def run(shell: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[Any, str]]:
    """Run a cell; return its result, and what is on screen."""

    def run(cell: str) -> tuple[Any, str]:
        capsys.readouterr()
        result = shell.run_cell(cell)
        return result, capsys.readouterr().out

    return run


def test_a_column_varies_and_the_rest_is_the_same_for_each_row(shell, run):
    shell.user_ns["titles"] = ["Some Title", "Other"]
    result, out = run('%%fact_map slugify --into slugs\ntext = each(titles)\nsep = "_"')
    assert isinstance(result.result, MapResult)
    assert list(shell.user_ns["slugs"]) == ["some_title", "other"]
    assert "slugify@1.0.0 · 2 rows · 2 ok" in out
    assert "['some_title', 'other']" in out
    assert "each" not in shell.user_ns


def test_a_result_shows_its_record_again_and_one_line_inside_another_value(shell, run):
    run('%%fact_map slugify --into shown\ntext = each(["Some Title", "Other"])')
    _, alone = run("shown")
    _, inside = run("[shown]")
    assert "slugify@1.0.0 · 2 rows · " in alone
    assert "['some-title', 'other']" in alone
    assert "[<MapResult slugify@1.0.0 · 2 rows · " in inside
    formats, _ = shell.display_formatter.format(shell.user_ns["shown"])
    assert formats["text/plain"] in alone
    assert "<strong>slugify@1.0.0</strong>" in formats["text/html"]


def test_a_table_gives_fields_by_name_and_the_record_names_what_is_left_out(run):
    result, out = run('%%fact_map slugify\n[{"text": "A b", "id": 1}, {"text": "", "id": 2}]')
    assert result.result.values == ["a-b", None]
    assert "2 rows · 1 failed · 1 ok" in out
    assert "Left out, because the tool does not take them: id." in out
    assert "1  slugify raised ValueError: nothing in '' can be written as a slug" in out
    assert "The values of the other rows:\n['a-b']" in out


def test_after_stop_on_error_the_name_holds_what_there_is(shell, run):
    result, out = run('%%fact_map slugify --into part --stop-on-error\ntext = each(["Ab", 3, "Cd"])')
    assert not result.success
    assert "ToolFailed: Row 1 failed: text: should be a valid string, got 3." in out
    assert shell.user_ns["part"].errors == {1: "text: should be a valid string, got 3"}


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ('%%fact_map slugify\ntext = "a"', "InvalidInput: Nothing varies from row to row."),
        ("%%fact_map slugify\n5", "InvalidInput: The body is of type int, not a table."),
        (
            '%%fact_map slugify\ntext = each(["a"])\nsep = each("-_")',
            "InvalidInput: The values for sep must be a list",
        ),
        ("%%fact_map slugify --isolate me\n[]", "CellError: --isolate: 'me' is not auto or row."),
        ("%%fact_map slugify\ntext = each(titels)", "CellError: 'text' could not be computed: name 'titels'"),
        ("%%fact_map slugify\ntitels", "CellError: The table could not be computed: name 'titels'"),
        (
            '%%fact_map slugify\n{"title": ["a"]}',
            "InvalidInput: The table has no column 'text', which slugify needs.",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line(run, cell, line):
    result, out = run(cell)
    assert not result.success
    assert out.startswith(line)


def test_an_empty_body_shows_what_to_write(run):
    assert run("%%fact_map slugify")[1].startswith("text = each(...)  # str, required")


def test_the_history_shows_a_map_as_one_line_and_its_rows_by_its_id(run):
    result, _ = run('%%fact_map slugify\ntext = each(["One of the rows", "Another of the rows"])')
    map_id = result.result.map_id
    _, out = run("%fact history --json")
    lines = json.loads(out)
    (line,) = [line for line in lines if line["kind"] == "map" and line["id"] == map_id]
    assert (line["ok"], line["total"], line["status"]) == (2, 2, "ok")
    assert "One of the rows" not in out
    shown = json.loads(run(f"%fact show {map_id[:8]} --json")[1])
    assert sorted(row["output_data"] for row in shown["rows"]) == [
        '"another-of-the-rows"',
        '"one-of-the-rows"',
    ]


def test_a_run_that_gets_many_values_for_one_suggests_a_map(run):
    for cell in ('slugify(["a", "b"])', '%%fact_run slugify\ntext = ["a", "b"]'):
        assert "To run it on each row, write slugify.map(…)." in " ".join(run(cell)[1].split())
    assert "slugify.map" not in run("slugify(5)")[1]


def test_the_progress_says_rate_time_left_cached_and_failed():
    event = MapAdvanced("f", 5000, {"ok": 1190, "cached": 9, "failed": 1}, 1.5)
    assert progress_text(event) == "1,200 of 5,000 · 800/s · 4.8 s left · 9 cached · 1 failed"
    assert progress_text(MapAdvanced("f", None, {"ok": 3}, 1.5)) == "3 · 2.0/s"


def test_the_bar_gets_the_newest_numbers_and_no_older_ones():
    view = MapView("f")
    for done in (1, 5, 20):
        view.put(MapAdvanced("f", 40, {"ok": done}, 1.0))
    view._receive()
    assert view._changes(time.perf_counter()) == {"told": "20 of 40 · 20/s · 1.0 s left", "share": 0.5}
    assert view._changes(time.perf_counter()) == {}
