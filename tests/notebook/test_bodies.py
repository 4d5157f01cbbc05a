"""What stands below a cell's first line: a run's input, and the variables in a description."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.notebook.bodies import Piece, fill_variables, read_run_body


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


def filled(text: str, namespace: dict[str, object]) -> str:
    return "".join(piece.text for piece in fill_variables(text, namespace))


class TestVariables:
    def test_a_string_goes_in_as_it_is_and_the_rest_as_its_repr(self):
        assert filled("{{ a }} and {{b}}", {"a": "x", "b": [1]}) == "x and [1]"

    def test_single_braces_are_left_alone(self):
        assert filled('{"a": 1} {b} }} {', {}) == '{"a": 1} {b} }} {'

    def test_a_lone_surrogate_is_escaped_because_no_request_can_carry_it(self):
        text = filled("\udfff{{a}}{{b}}\U0001f600", {"a": "\ud800", "b": "\ud800" * 5000})
        assert text.startswith("\\udfff\\ud800\\ud800")
        assert text.endswith("\U0001f600")
        assert len(text.encode()) < 4_200

    def test_what_was_put_in_is_not_read_again(self):
        assert filled("{{a}}", {"a": "{{b}}"}) == "{{b}}"

    def test_long_values_are_cut_with_a_note(self):
        text = filled("{{a}}", {"a": "x" * 5000})
        assert len(text) < 4100
        assert "1000 more characters of text were cut" in text

    @pytest.mark.parametrize(("old", "new"), [("a", "b"), ("\ud800", "\udfff"), (0, 1)])
    def test_a_value_that_changed_after_the_cut_is_told_from_the_old_one(self, old, new):
        """Otherwise the request would be equal, and the tool for the old value would be returned."""
        many = ["x" * 5000]
        for before, after in ((many[0] + str(old), many[0] + str(new)), ([*many, old], [*many, new])):
            text = filled("{{a}}", {"a": before})
            assert text != filled("{{a}}", {"a": after})
            assert text == filled("{{a}}", {"a": before})

    def test_a_table_goes_in_as_columns_types_and_first_rows(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"city": ["Rome", "Oslo"] * 10, "n": range(20)})
        text = filled("{{frame}}", {"frame": frame})
        assert "20 rows" in text
        assert "n: int64" in text
        assert text.count("Rome") == 3

    @pytest.mark.parametrize("name", ["a.b", "a()", "a[0]", "1"])
    def test_only_a_bare_name_is_taken(self, name):
        namespace = {"a": SimpleNamespace(b=1)}
        with pytest.raises(CellError, match="is not a variable name"):
            fill_variables(f"{{{{{name}}}}}", namespace)

    def test_an_unknown_name_lists_close_ones(self):
        with pytest.raises(UnknownName, match="Did you mean 'sample'"):
            fill_variables("{{sampel}}", {"sample": 1})

    def test_what_can_t_be_written_out_is_one_clear_line(self):
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError("no repr")

        with pytest.raises(CellError, match="the repr of this Broken failed: RuntimeError: no repr"):
            fill_variables("{{a}}", {"a": Broken()})

    def test_braces_that_are_meant_come_out_of_a_variable(self):
        with pytest.raises(UnknownName, match="put them into a variable"):
            fill_variables("Fill {{ placeholder }}.", {"text": "{{ placeholder }}"})
        assert filled("Fill {{text}}.", {"text": "{{ placeholder }}"}) == "Fill {{ placeholder }}."

    def test_values_are_kept_apart_from_the_user_s_words(self):
        """Each value says which variable it comes from, so that it can be fenced."""
        pieces = fill_variables("Use {{ a }}{{b}}.", {"a": "x", "b": ""})
        assert pieces == (Piece("Use "), Piece("x", "a"), Piece(""), Piece("", "b"), Piece("."))

    def test_a_name_is_read_as_python_reads_it(self):
        """A ligature in a name means its letters, as in Python."""
        assert filled("{{\ufb01le}}", {"file": "x"}) == "x"

    def test_a_name_that_only_looks_like_a_variable_is_told_apart(self):
        """The suggestion names the character that differs, because the two names look the same."""
        with pytest.raises(
            UnknownName, match=r"Did you mean 'data'\? .* U\+0430 \(CYRILLIC SMALL LETTER A\)"
        ):
            fill_variables("{{d\u0430t\u0430}}", {"data": 1})
