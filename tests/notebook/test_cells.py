"""How cells come in, asked of IPython itself: when a prompt takes one for complete, and which magic is meant."""

from __future__ import annotations

import pytest


@pytest.fixture
def shell(loaded):
    return loaded


class TestAtAPrompt:
    """Terminals and consoles ask, at every Enter, whether what stands there is a whole cell."""

    @pytest.mark.parametrize(
        ("cell", "status"),
        [
            ("%%fact_run slug", "incomplete"),
            ("%%fact_run slug\ntext = 'x'", "incomplete"),
            ("%%fact_run slug\ntext = 'x'\n\n", "complete"),
            ("%%fact_generate slug\nSlug a text.\n>>> slug('a')\n'a'", "incomplete"),
            ("%%time\n%%fact_run slug\ntext = 'x'", "incomplete"),
            ("%fact tools", "complete"),
            ("x = 1", "complete"),
        ],
    )
    def test_a_cell_ends_at_a_blank_line_as_those_of_other_magics_do(self, shell, cell, status):
        assert shell.check_complete(cell)[0] == status


class TestNames:
    @pytest.mark.parametrize(
        ("cell", "told"),
        [
            ("%%fact_genrate slug\nSlug.", "Did you mean '%%fact_generate'?"),
            ("%%fact_runs slug\ntext = 'x'", "Did you mean '%%fact_run'?"),
            ("%%fact_history\n", "Did you mean '%fact history'?"),
            ("%%time\n%%fact_genrate slug\nSlug.", "Did you mean '%%fact_generate'?"),
            ("%%fact_xyzzy_and_more\n", "The cell magics are %%fact_generate, "),
        ],
    )
    def test_a_magic_that_is_not_there_names_what_is_close(self, shell, capsys, cell, told):
        result = shell.run_cell(cell)
        shown = capsys.readouterr().out
        assert type(result.error_in_exec).__name__ == "CellError"
        assert told in shown
        assert "File " not in shown

    @pytest.mark.parametrize("blank", ["\t", " \t ", "\u00a0"])
    def test_any_blank_ends_the_name_of_a_magic(self, shell, capsys, blank):
        shell.run_cell(f"%%fact_run{blank}--help")
        assert "%%fact_run NAME[@VERSION] [options]" in capsys.readouterr().out

    def test_a_magic_of_someone_else_s_is_left_alone(self, shell):
        shell.register_magic_function(lambda line, cell: (line, cell), "cell", "fact_check")
        assert shell.run_cell("%%fact_check a b\nc\n").result == ("a b", "c\n")
