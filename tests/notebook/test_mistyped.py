"""Lines that were meant for these magics: one clear error, with the line to write."""

from __future__ import annotations

import pytest
from shells import new_shell


@pytest.fixture(scope="module")
def shell():
    shell = new_shell()
    shell.extension_manager.load_extension("fact_magics")
    yield shell
    shell.extension_manager.unload_extension("fact_magics")


def refused(shell, cell: str) -> str:
    error = shell.run_cell(cell).error_in_exec
    assert type(error).__name__ == "CellError"
    return str(error)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (
            "%fact_run slugify --fresh\ntext = 'x'",
            "%fact_run needs two percent signs. Write %%fact_run slugify --fresh, and its input in the lines below.",
        ),
        (
            "%fact_generate slug",
            "%fact_generate needs two percent signs. Write %%fact_generate slug, and its description in the lines below.",
        ),
        (
            "x = 1\nfor _ in 'a':\n    %fact_edit slugify",
            "%fact_edit needs two percent signs. Write %%fact_edit slugify, and its source in the lines below.",
        ),
        (
            "found = %fact_run",
            "%fact_run needs two percent signs. Write %%fact_run NAME, and its input in the lines below.",
        ),
        (
            "# so\nfact_run slugify",
            "fact_run needs two percent signs. Write %%fact_run slugify, and its input in the lines below.",
        ),
        (
            "fact_run",
            "fact_run needs two percent signs. Write %%fact_run NAME, and its input in the lines below.",
        ),
        (
            "import os\n%%fact_generate slugify\nTurn a title into a slug.",
            "%%fact_generate must be the first line of its cell. Move it and what follows to another cell.",
        ),
        ("%%fact\ntools", "%fact has one percent sign, and no cell. Write %fact tools"),
        ("%%fact tools --json\n", "%fact has one percent sign, and no cell. Write %fact tools --json"),
        ("!fact tools", "fact is not a program but a magic. Write %fact tools"),
        ("!fact_run slugify", "fact_run is not a program but a magic. Write %%fact_run slugify"),
        ("x = !fact", "fact is not a program but a magic. Write %fact"),
        ("%fact_tools", "There is no magic %fact_tools. Did you mean '%fact tools'?"),
        ("%%fact_tools\n", "There is no magic %%fact_tools. Did you mean '%fact tools'?"),
        ("%%fact_gen slugify\nA slug.", "There is no magic %%fact_gen. Did you mean '%%fact_generate'?"),
        ("%%factrun slugify\na = 1", "There is no magic %%factrun. Did you mean '%%fact_run'?"),
        ("%%fact-run slugify\na = 1", "There is no magic %%fact-run. Did you mean '%%fact_run'?"),
        ("%%FACT_RUN slugify\na = 1", "There is no magic %%FACT_RUN. Did you mean '%%fact_run'?"),
        (
            "%fact\ttools",
            "There is no magic %fact tools. Write a space, not a tab, after %fact.",
        ),
        ("%% fact_run slugify\na = 1", "There is no magic %% fact_run. Did you mean '%%fact_run'?"),
        (
            "%fact_generate slug\nTurn a title into a slug.",
            "%fact_generate needs two percent signs. Write %%fact_generate slug, and its description in the lines below.",
        ),
        (
            "é = 'ü'\nif é:\n    held = %fact_tools\n    %facts",
            "There is no magic %fact_tools. Did you mean '%fact tools'?",
        ),
        ("%facts", "There is no magic %facts. Did you mean '%fact'?"),
    ],
)
def test_the_line_to_write_is_told(shell, cell, told):
    assert refused(shell, cell) == told


@pytest.mark.parametrize("word", ["test", "xyzzy", "quit"])
def test_an_unknown_cell_magic_lists_those_that_there_are(shell, word):
    """A magic that only looks a little like another one is not suggested."""
    told = refused(shell, f"%%fact_{word} slugify\na = 1")
    assert told.startswith(f"There is no magic %%fact_{word}. The cell magics are %%fact_generate, ")
    assert "Did you mean" not in told


def test_a_magic_in_another_cell_magic_is_refused_too(shell):
    assert "needs two percent signs" in refused(shell, "%%time\n%fact_run slugify")


CALL = "get_ipython().run_line_magic('fact_history', 'x')"


@pytest.mark.parametrize(
    ("cell", "held"),
    [
        (
            "held = '''\n%fact_run x\n%%fact_run x\n!fact tools\n'''",
            "\n%fact_run x\n%%fact_run x\n!fact tools\n",
        ),
        ("fact_run = 3\nheld = fact_run\ndel fact_run", 3),
        ("def factory(): return 4\nheld = factory()", 4),
        ("%time held = 1", 1),
        ("held = !echo fact tools", ["fact tools"]),
        (f'held = "{CALL}"', CALL),
        ("held = \"get_ipython().system('fact tools')\"", "get_ipython().system('fact tools')"),
    ],
)
def test_what_means_something_else_is_left_alone(shell, cell, held):
    assert shell.run_cell(cell).success
    assert shell.user_ns.pop("held") == held


def test_the_body_of_another_cell_magic_is_left_alone(shell, tmp_path):
    body = f"{CALL}\nget_ipython().system('fact tools')\n"
    assert shell.run_cell(f"%%writefile {tmp_path / 'out.py'}\n{body}").success
    assert (tmp_path / "out.py").read_text() == body


def test_a_variable_of_the_same_name_is_left_alone(shell, monkeypatch):
    monkeypatch.setitem(shell.user_ns, "fact_run", 3)
    assert shell.run_cell("fact_run").result == 3


def test_magics_of_other_extensions_are_left_alone(shell, capsys):
    shell.register_magic_function(lambda line: f"factor {line}", "line", "fact_check")
    assert shell.run_cell("%fact_check 3").result == "factor 3"
    shell.run_cell("%factor 3")
    assert "UsageError" in capsys.readouterr().err


def test_a_magic_that_the_same_cell_defines_is_called(shell):
    define = (
        "from IPython.core.magic import register_line_magic, register_cell_magic\n"
        "@register_line_magic\n"
        "def fact_line(line): return f'line {line}'\n"
        "@register_cell_magic\n"
        "def fact_cell(line, cell): return f'cell {line} {cell}'\n"
        "word = 'a'\n"
    )
    assert shell.run_cell(f"{define}held = %fact_line $word").success
    assert shell.user_ns["held"] == "line a"
    shell.magics_manager.magics["cell"].pop("fact_cell")
    assert shell.run_cell(f"{define}held = get_ipython().run_cell_magic('fact_cell', 'a', 'b')").success
    assert shell.user_ns["held"] == "cell a b"


def test_after_unloading_ipython_answers_again(capsys):
    shell = new_shell()
    shell.extension_manager.load_extension("fact_magics")
    shell.extension_manager.unload_extension("fact_magics")
    shell.run_cell("%fact_run slugify")
    assert "UsageError" in capsys.readouterr().err
