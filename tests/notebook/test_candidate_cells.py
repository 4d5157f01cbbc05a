"""Cells that ask for several candidates at once: what they show, what an answer costs, and how they are stopped."""

from __future__ import annotations

import pytest
from waiting import until

pytestmark = pytest.mark.kernel

GOOD = "def {name}(text: str, size: int = 5) -> str:\n    return text[:size]\n"
SAME = "def {name}(text: str, size: int = 5) -> str:\n    return text[:size] if len(text) > size else text\n"
OTHER = "def {name}(text: str, size: int = 5) -> str:\n    return text[:size] if size else text\n"
EXAMPLE = '>>> {name}("abcdefgh")\n"abcde"\n'


# On a busy machine, a second may be too short to compare, to probe, or for the first answer to begin.
PATIENT = (
    "import fact_magics.core.growing as _growing, fact_magics.probing.agreement as _agreement\n"
    "import fact_magics.writing.loop as _loop\n"
    "_growing.Growing.probe.__defaults__ = (20.0, None)\n_agreement._SECONDS = 20.0\n_loop._SHARING_SECONDS = 60.0"
)


@pytest.fixture
def desk(desk):
    """The kernel, in which nothing is left out for lack of time."""
    assert desk.run(PATIENT).status == "ok"
    return desk


@pytest.fixture
def asking(desk):
    """The kernel, with probing on."""
    assert desk.run("%config FactMagics.probe = 'auto'").status == "ok"
    yield desk
    desk.run("%config FactMagics.probe = 'off'")


def write(desk, name, *sources, examples=EXAMPLE, options=""):
    return desk.write(
        name,
        *(source.format(name=name) for source in sources),
        examples=examples.format(name=name),
        options=f"--candidates {len(sources)} {options}",
    )


def test_where_candidates_part_the_question_is_asked_and_an_answer_needs_no_model(asking):
    cell = write(asking, "clip", OTHER, SAME, GOOD)
    assert cell.status == "ok", cell.traceback
    assert len(cell.displays) == 1
    assert "open · all 3 candidates hold: 2 of them agree, 1 gives other answers" in cell.plain
    assert "candidate 1 gives other answers, as to clip(" in cell.plain
    assert "One question: what should this give?" in cell.plain
    assert "also given by 1 other candidate" in cell.plain
    assert asking.value("[clip.version, clip('abc', 0)]") == ["1.0.0", ""]
    asked = len(asking.server.requests)
    answered = asking.run("%fact answer clip 2")
    assert answered.status == "ok", answered.traceback
    assert asking.value("[clip.version, clip('abc', 0)]") == ["1.1.0", "abc"]
    assert len(asking.server.requests) == asked
    attempts = [row for row in asking.history("--tool clip") if row["kind"] == "generation"]
    assert sorted(row["group_number"] or 0 for row in attempts) == [0, 1, 1, 2]
    made = next(row["generation_id"] for row in attempts if row["group_number"])
    shown = asking.run(f"%fact show {made}").plain
    assert "gives another answer to clip(" in shown
    assert "gives the same answers as the version" in shown


@pytest.mark.parametrize("ending", ["failed", "stopped"])
def test_an_answer_that_no_model_meets_gives_the_grown_cell_all_the_same(asking, ending):
    """Below, and in the output: JupyterLab puts nothing below a cell that fails."""
    name = f"crop_{ending}"
    write(asking, name, GOOD, OTHER)
    asked = len(asking.server.requests)
    if ending == "failed":
        asking.server.fails(401)
    else:
        asking.server.breaks("", "silent")
    request = asking.kernel.send(f"%fact answer {name} = 'another'")
    if ending == "stopped":
        until(lambda: len(asking.server.requests) > asked)
        asking.kernel.interrupt()
    cell = asking.kernel.collect(request)
    assert cell.error_name == ("ProviderError" if ending == "failed" else "Interrupted")
    (put,) = cell.payload
    assert (put["source"], put["replace"]) == ("set_next_input", False)
    assert put["text"].endswith("\n'another'\n")
    assert put["text"].strip() in cell.plain
    assert asking.value(f"{name}.version") == "1.0.0"


def test_without_examples_the_question_is_asked_where_candidates_part(asking):
    cell = write(asking, "trim", GOOD, OTHER, examples="")
    assert "unproven" in cell.plain
    assert "open · both candidates are usable, but give different answers" in cell.plain
    assert "One question: what should this give?" in cell.plain
    assert asking.run("%fact answer trim 1").status == "ok"
    assert asking.value("trim.metadata.proven") is True


def test_cells_that_are_queued_at_once_keep_their_candidates_apart(desk):
    names = ("one", "two", "three")
    for name in names:
        for source in (GOOD, SAME):
            desk.server.writes(source.format(name=name))
    cells = desk.kernel.queue(
        [
            *(
                f"%%fact_generate {name} --candidates 2\nWrite {name}.\n\n{EXAMPLE.format(name=name)}"
                for name in names
            ),
            "one('abcdefg'), two('abcdefg'), three('abcdefg')",
        ]
    )
    assert [cell.status for cell in cells] == ["ok"] * 4
    assert "('abcde', 'abcde', 'abcde')" in cells[-1].plain
    assert all("both candidates hold, and agree on" in cell.plain for cell in cells[:3])


@pytest.mark.parametrize("number", ["0", "100", "many", "1.5"])
def test_an_odd_number_is_told_in_one_line(desk, number):
    asked = len(desk.server.requests)
    cell = desk.run(f"%%fact_generate odd --candidates {number}\nWrite odd.\n")
    assert cell.status == "error"
    assert cell.error.startswith(f"--candidates: '{number}' is not a")
    assert "\n" not in cell.error
    assert len(desk.server.requests) == asked


def test_an_interrupt_stops_all_of_them_and_what_was_written_is_kept(desk):
    for source in (GOOD, SAME, OTHER):
        desk.server.reply("```python\n" + "# slow\n" * 2_000 + source.format(name="slow"), pace=50)
    asked = len(desk.server.requests)
    request = desk.kernel.send(
        f"%%fact_generate slow --candidates 3\nWrite slow.\n\n{EXAMPLE.format(name='slow')}"
    )
    until(lambda: len(desk.server.requests) == asked + 3)
    desk.kernel.interrupt()
    cell = desk.kernel.collect(request, timeout=60)
    assert cell.error_name == "Interrupted"
    assert "nothing was bound. The attempts are recorded" in cell.error
    rows = [row for row in desk.history("--tool slow") if row["kind"] == "generation"]
    assert {row["status"] for row in rows} == {"interrupted"}
    assert len(rows) == 3
    assert desk.value("'slow' in globals()") is False
    assert write(desk, "slow", GOOD, SAME).status == "ok"
