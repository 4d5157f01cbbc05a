"""Where files and network can't be enforced, and what ``%config FactMagics.isolation`` does about it."""

from __future__ import annotations

import json
import os
import re

import pytest

pytestmark = pytest.mark.kernel


@pytest.fixture
def unenforced(start_kernel, server, plain_environment, tmp_path):
    """A kernel that asks the model server, on a system whose sandlock can't be loaded."""
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "sandlock.py").write_text('raise ImportError("sandlock does not run on this system")\n')
    path = os.pathsep.join([str(missing), plain_environment["PYTHONPATH"]])
    return start_kernel(PYTHONPATH=path, **server.environment())


def test_a_shelf_tool_runs_in_a_plain_process_and_says_so(unenforced):
    cell = unenforced.run(
        "%%fact_generate slugify --model shelf\nTurn a title into a URL slug.\n\n>>> slugify('A b')\n'a-b'\n"
    )
    assert cell.status == "ok", cell.traceback
    ran = unenforced.run("%%fact_run slugify\ntext = 'C d'")
    assert "'c-d'" in ran.plain
    assert "isolation: process" in ran.plain
    assert "landlock" not in ran.plain
    assert "can't isolate tools" in unenforced.run("%fact").plain


def test_what_a_model_wrote_runs_only_after_it_is_allowed(unenforced, server, shout, shout_cell):
    server.writes(shout)
    cell = unenforced.run(shout_cell)
    assert cell.error_name == "IsolationError"
    assert 'isolation = "process"' in cell.error
    assert unenforced.run("'shout' in globals()").plain == "False"

    unenforced.run('%config FactMagics.isolation = "process"')
    server.writes(shout)
    assert unenforced.run(shout_cell).status == "ok"
    assert "isolation: process" in unenforced.run("%%fact_run shout\ntext = 'a'").plain

    unenforced.run('%config FactMagics.isolation = "require"')
    refused = unenforced.run("%%fact_run shout\ntext = 'b'")
    assert refused.error_name == "IsolationError"
    assert unenforced.run("1 + 1").plain == "2"


def test_the_isolation_in_force_changes_with_the_setting(modelled, server, shout, shout_cell):
    server.writes(shout)
    modelled.run(shout_cell)
    assert "isolated" in modelled.run("%%fact_run shout\ntext = 'a'").plain
    modelled.run('%config FactMagics.isolation = "process"')
    assert "isolation: process" in modelled.run("%%fact_run shout\ntext = 'b'").plain
    modelled.run('%config FactMagics.isolation = "require"')
    cell = modelled.run("%%fact_run shout\ntext = 'c'")
    assert "isolated" in cell.plain
    assert 'title="Layers of isolation: landlock, ' in cell.html
    [row] = json.loads(modelled.run("%fact history --json -n 1").stdout)
    assert re.search(r"Isolation +landlock, ", modelled.run(f"%fact show {row['id']}").plain)
    assert "'auto', 'require', 'process'" in modelled.run('%config FactMagics.isolation = "perhaps"').stderr
