"""What stands below a cell's first line: the input of a run."""

from __future__ import annotations

import ast

import pytest

from fact_magics.errors import CellError
from fact_magics.notebook.bodies import read_run_body


class TestRunBody:
    def test_later_statements_see_earlier_names(self):
        assert read_run_body("a = 1\nb = [a + i for i in range(n)]", {"n": 2}) == {"a": 1, "b": [1, 2]}

    def test_nothing_is_bound_in_the_notebook(self):
        namespace = {"x": 1}
        read_run_body("x = 2\ny = 3", namespace)
        assert namespace == {"x": 1}

    def test_comprehensions_see_the_body_s_own_names(self):
        assert read_run_body("a = 2\nb = {k: a for k in 'xy'}", {})["b"] == {"x": 2, "y": 2}

    def test_names_in_json_are_read_as_python_reads_them(self):
        """Both ways to write an input understand the same names, and a name that is given twice is refused."""
        assert read_run_body('{"\ufb01le": {"\ufb01": 1}}', {}) == {"file": {"\ufb01": 1}}
        with pytest.raises(CellError, match="gives 'file' twice"):
            read_run_body('{"\ufb01le": 1, "file": 2}', {})

    def test_one_json_object(self):
        assert read_run_body('  {"a": [1, null], "b": {"c": true}}', {}) == {"a": [1, None], "b": {"c": True}}

    @pytest.mark.parametrize("indent", ["  ", "\t", "\n    "])
    def test_lines_may_be_indented_as_in_other_cells(self, indent):
        margin = indent.lstrip("\n")
        assert read_run_body(f"{indent}a = 1\n{margin}b = [\n{margin}  a]", {}) == {"a": 1, "b": [1]}

    def test_a_text_in_a_body_keeps_its_blank_lines(self):
        assert read_run_body("a = '''x\n  \n  y'''", {}) == {"a": "x\n  \n  y"}

    def test_an_empty_body_gives_nothing(self):
        assert read_run_body("  \n# only a comment\n", {}) == {}

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ("print(1)", "Line 1 of the body is not name = expression: print(1)"),
            ("a = 1\nimport os", "Line 2"),
            ("a = b = 1", "a = b = 1"),
            ("a, b = 1, 2", "a, b = 1, 2"),
            ("a.b = 1", "a.b = 1"),
            ("a += 1", "a += 1"),
            ("a: int = 1", "name = expression: a: int = 1. Write a = 1"),
            ("a: 1", "name = expression: a: 1. Write a = 1"),
            ("a: int", "name = expression: a: int. Write a = VALUE"),
            ("a: [1, 'b']", "Write a = [1, 'b']"),
            ("a=3, b=[4]", "is written like the input of a call. Write one name = expression on each line."),
            ("a == 1", "name = expression: a == 1. Write a = 1"),
            ("--fresh", "Options belong in the first line of the cell."),
            ("a = nowhere", "name 'nowhere' is not defined. Run the cell that defines it first."),
            ("a = 1\na = 2", "gives 'a' again"),
            ("a = (1", "can't be parsed"),
            ("a = \x00", "contain null bytes. Write name = expression"),
            ('{"a": }', "line 1, column 7"),
            (
                "{'a': 1}",
                "The body is a Python dictionary, not JSON. Write name = expression lines, or JSON: ",
            ),
            ('{"a": 1,}', "double quotes, true, false and null, no variables, no comma at"),
            ('{"n": True}', "or JSON: double quotes, true, false and null, no variables"),
            ('{"a": 1, "a": 2}', "gives 'a' twice"),
            ('{"a": 1} x', "Extra data"),
            ("a = await f()", "'await' outside function. Compute the value in a cell above"),
            ("a = ast.literal_eval('(')", "The error is in line 1 of the body"),
            ("a = 1\f\nimport os", "is not name = expression: import os"),
            (f"print('{'x' * 9999}')", "…"),
            (f"a = float('{'x' * 9999}')", "…"),
            ("a = 1/0", "ZeroDivisionError"),
        ],
    )
    def test_anything_else_is_one_clear_line(self, body, told):
        with pytest.raises(CellError) as caught:
            read_run_body(body, {"ast": ast})
        assert told in caught.value.line
        assert len(caught.value.line) < 600

    def test_an_unknown_name_lists_close_ones(self):
        with pytest.raises(CellError, match="Did you mean 'titles'"):
            read_run_body("a = title", {"titles": []})
