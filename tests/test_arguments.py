"""The cells' first lines, and a run's body."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fact_magics.arguments import (
    GENERATE,
    RUN,
    fill_variables,
    read_line,
    read_run_body,
    split_reference,
    tool_name,
)
from fact_magics.errors import CellError, UnknownName


class TestLine:
    def test_words_and_options_come_in_any_order(self):
        read = read_line("--model claude-x slugify --attempts 5", GENERATE)
        assert read.words == {"NAME": "slugify"}
        assert read.options == {"model": "claude-x", "attempts": 5}

    def test_equals_sign_quotes_and_a_trailing_semicolon(self):
        read = read_line('slugify --model="my model" --timeout=0.5;', GENERATE)
        assert read.get("model") == "my model"
        assert read.get("timeout") == 0.5

    def test_a_repeatable_option_gathers_its_values(self):
        assert read_line("f --tag text --tag url", GENERATE).get("tag") == ["text", "url"]

    def test_help_wins_over_everything_else(self):
        assert read_line("--help", RUN).help
        assert "%%fact_run NAME" in RUN.help_text()
        assert all(option.name in GENERATE.help_text() for option in GENERATE.options)

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("f --modle x", "Did you mean '--model'?"),
            ("f --xyzzy", "It takes: --model"),
            ("f --fresh --fresh", "given twice"),
            ("f --model", "needs a value"),
            ("f --fresh=yes", "takes no value"),
            ("f --attempts 0", "'0' must be a whole number"),
            ("f --attempts 1.5", "'1.5' must be"),
            ("f --attempts -3", "'-3' must be"),
            ("f --timeout nan", "'nan' must be"),
            ("f --timeout soon", "'soon' is not a number"),
            ("f g", "does not read 'g'"),
            ("", "needs NAME"),
            ('f --model "x', "quote is left open"),
        ],
    )
    def test_a_bad_line_is_one_clear_line(self, line, told):
        with pytest.raises(CellError) as caught:
            read_line(line, GENERATE)
        assert told in caught.value.line
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("value", ["15", "0", "-1", "1.5", "x", "nan", "inf"])
    def test_memory_is_a_whole_number_of_megabytes(self, value):
        with pytest.raises(CellError, match="--memory"):
            read_line(f"f --memory {value}", RUN)

    @pytest.mark.parametrize("name", ["1x", "a-b", "class", "match", "a.b", "_x", "é f"])
    def test_a_tool_is_named_as_a_function_is(self, name):
        with pytest.raises(CellError):
            tool_name(name)

    def test_a_name_may_hold_letters_of_any_script(self):
        assert tool_name("größe") == "größe"


class TestReference:
    @pytest.mark.parametrize(
        ("text", "read"),
        [("f", ("f", None)), ("f@1", ("f", "1")), ("f@1.2", ("f", "1.2")), ("f@1.2.3", ("f", "1.2.3"))],
    )
    def test_name_and_version(self, text, read):
        assert split_reference(text) == read

    @pytest.mark.parametrize("text", ["f@", "f@x", "f@1.2.3.4", "f@-1", "@1", "a b", "f@1@2", "f@١"])
    def test_anything_else_is_refused(self, text):
        with pytest.raises(CellError):
            split_reference(text)


class TestRunBody:
    def test_later_statements_see_earlier_names(self):
        assert read_run_body("a = 1\nb = [a + i for i in range(n)]", {"n": 2}) == {"a": 1, "b": [1, 2]}

    def test_nothing_is_bound_in_the_notebook(self):
        namespace = {"x": 1}
        read_run_body("x = 2\ny = 3", namespace)
        assert namespace == {"x": 1}

    def test_comprehensions_see_the_body_s_own_names(self):
        assert read_run_body("a = 2\nb = {k: a for k in 'xy'}", {})["b"] == {"x": 2, "y": 2}

    def test_one_json_object(self):
        assert read_run_body('  {"a": [1, null], "b": {"c": true}}', {}) == {"a": [1, None], "b": {"c": True}}

    def test_an_empty_body_gives_nothing(self):
        assert read_run_body("  \n# only a comment\n", {}) == {}

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ("print(1)", "Line 1 of the body is no name = expression: print(1)"),
            ("a = 1\nimport os", "Line 2"),
            ("a = b = 1", "a = b = 1"),
            ("a, b = 1, 2", "a, b = 1, 2"),
            ("a.b = 1", "a.b = 1"),
            ("a += 1", "a += 1"),
            ("a: int = 1", "a: int = 1"),
            ("a = 1\na = 2", "gives 'a' again"),
            ("a = (1", "does not parse"),
            ("a = \x00", "does not parse"),
            ('{"a": }', "line 1, column 7"),
            ('{"a": 1, "a": 2}', "gives 'a' twice"),
            ('{"a": 1} x', "Extra data"),
            ("a = await f()", "could not be computed"),
            ("a = 1/0", "ZeroDivisionError"),
        ],
    )
    def test_anything_else_is_one_clear_line(self, body, told):
        with pytest.raises(CellError) as caught:
            read_run_body(body, {})
        assert told in caught.value.line

    def test_an_unknown_name_lists_close_ones(self):
        with pytest.raises(CellError, match="Did you mean 'titles'"):
            read_run_body("a = title", {"titles": []})


class TestVariables:
    def test_a_string_goes_in_as_it_is_and_the_rest_as_its_repr(self):
        assert fill_variables("{{ a }} and {{b}}", {"a": "x", "b": [1]}) == "x and [1]"

    def test_single_braces_are_left_alone(self):
        assert fill_variables('{"a": 1} {b} }} {', {}) == '{"a": 1} {b} }} {'

    def test_what_was_put_in_is_not_read_again(self):
        assert fill_variables("{{a}}", {"a": "{{b}}"}) == "{{b}}"

    def test_long_values_are_cut_with_a_note(self):
        filled = fill_variables("{{a}}", {"a": "x" * 5000})
        assert len(filled) < 4100
        assert "1000 more characters of text were cut" in filled

    def test_a_table_goes_in_as_columns_types_and_first_rows(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"city": ["Rome", "Oslo"] * 10, "n": range(20)})
        filled = fill_variables("{{frame}}", {"frame": frame})
        assert "20 rows" in filled
        assert "n: int64" in filled
        assert filled.count("Rome") == 3

    @pytest.mark.parametrize("name", ["a.b", "a()", "a[0]", "1"])
    def test_only_a_bare_name_is_taken(self, name):
        namespace = {"a": SimpleNamespace(b=1)}
        with pytest.raises(CellError, match="no bare variable name"):
            fill_variables(f"{{{{{name}}}}}", namespace)

    def test_an_unknown_name_lists_close_ones(self):
        with pytest.raises(UnknownName, match="Did you mean 'sample'"):
            fill_variables("{{sampel}}", {"sample": 1})
