"""``%fact probe`` and ``answer``: what is asked, and how a value is written on the line."""

from __future__ import annotations

import pytest

from fact_magics import ToolSpec
from fact_magics.errors import CellError, ProviderError, UnknownName
from fact_magics.notebook.commands.probe import joined
from fact_magics.session import Session
from fact_magics.testing import ModelServer
from fact_magics.writing.examples import read_body

pytestmark = pytest.mark.slow

SOURCE = """def least(n: int, low: int = 3) -> int:
    if n == 0:
        return 1
    return low if n < low else n
"""
CONTRACT = ">>> least(1)\n3\n\n>>> least(9)\n9"


@pytest.fixture
def model(monkeypatch):
    with ModelServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def workshop(folder):
    """A workshop with zygotes, because a probe starts many processes."""
    made = Session(dict)
    yield made
    made.close()


@pytest.fixture
def least(model, workshop):
    """A tool from a cell with a variable."""
    model.writes(SOURCE)
    core = workshop.core
    spec = ToolSpec("least", "Raise n to low.", read_body(CONTRACT, "least").examples)
    tool = workshop.submit(core.generate(spec)).wait(lambda: None)
    cell = f"%%fact_generate least --fresh --tag sums\nRaise n {{{{how}}}} low.\n\n{CONTRACT}\n"
    workshop.submit(core.keep_cell(tool, cell)).wait(lambda: None)
    return tool


def test_a_probe_lists_its_questions_and_is_read_again(fact, least):
    shown = fact("probe least --seconds 8")
    assert "least 1.0.0 · open" in shown.plain
    assert "Question 1: what should this give?" in shown.plain
    assert "%fact answer least 1" in shown.plain
    data = fact("show least --json")["probe"]
    assert data["tool"], data["version"] == ("least", "1.0.0")
    assert data["changes"] - data["caught"] > 0
    assert not data["pinned"]
    assert set(data) == {"tool", "version", "changes", "caught", "inputs", "pinned", "questions", "surprises"}
    question = data["questions"][0]
    assert set(question) == {"call", "answers", "rivals"}
    assert set(question["answers"][0]) == {"text", "own", "voters"}
    assert set(question["rivals"][0]) == {"line", "before", "after"}
    assert question["answers"][0]["own"]
    assert "open" in fact("show least").plain
    assert f"✓ proven · {data['changes'] - data['caught']} open" in fact("tools").plain


def test_an_answer_makes_the_contract_and_the_cell_grow(fact, least, notebook, model):
    notebook.names["how"] = "up to"
    call = fact("probe least --seconds 8 --json")["questions"][0]["call"]
    shown = fact("answer least 1")
    assert "least 1.1.0" in shown.plain
    [cell] = notebook.cells
    assert cell.startswith("%%fact_generate least --tag sums\nRaise n {{how}} low.\n")
    assert cell.rstrip().splitlines()[-2] == f">>> {call}"
    assert len(model.requests) == 1
    assert fact("show least --json")["contract"].splitlines()[-2] == f">>> {call}"


def test_another_value_goes_to_the_model_and_the_cell_grows_even_if_that_fails(fact, least, notebook, model):
    notebook.names["how"] = "up to"
    fact("probe least --seconds 8 --json")
    model.fails(400, "no")
    with pytest.raises(ProviderError):
        fact("answer least = 77")
    assert notebook.cells[0].rstrip().endswith("\n77")
    assert fact("show least --json")["version"] == "1.0.0"


def test_what_can_not_be_answered_is_told_in_a_line(fact, least):
    with pytest.raises(UnknownName, match="no tool named 'nothing'"):
        fact("answer nothing 1")
    with pytest.raises(CellError, match=r"least has not been probed yet\. Run %fact probe least"):
        fact("answer least 1")
    fact("probe least --seconds 8 --json")
    with pytest.raises(
        CellError, match=r"'99' is not the number of an answer\. The question has the answers 1 to"
    ):
        fact("answer least 99")
    with pytest.raises(CellError, match="open question"):
        fact("answer least 1 --question 999")
    with pytest.raises(CellError, match="needs a value after ="):
        fact("answer least =")
    with pytest.raises(CellError, match="not a literal"):
        fact("answer least = some text")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("f = 'a b'", ["f", "= 'a b'"]),
        (" f='x'", ["f", "= 'x'"]),
        ("f = [1, 2] --question 2", ["f", "= [1, 2]", "--question", "2"]),
        ("f --question=3 = {'a': 1} --json", ["f", "--question=3", "= {'a': 1}", "--json"]),
        ("f 2 --json", ["f", "2", "--json"]),
        ("f = -1", ["f", "= -1"]),
        ('f = "it\'s"', ["f", '= "it\'s"']),
    ],
)
def test_a_value_on_the_line_keeps_its_quotes(line, words):
    import shlex

    assert shlex.split(joined(line)) == words
