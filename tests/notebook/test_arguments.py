"""The magics' lines."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError
from fact_magics.names import split_reference, tool_name
from fact_magics.notebook.arguments import GENERATE, RUN, read_line


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
            ("f --xyzzy", "Its options are: --model"),
            ("f --fresh --fresh", "given twice"),
            ("f --model", "needs a value"),
            ("f --fresh=yes", "takes no value"),
            ("f --attempts 0", "'0' is not a whole number from 1 to 10"),
            ("f --attempts 1.5", "'1.5' is not a whole"),
            ("f --attempts -3", "'-3' is not a whole"),
            ("f --timeout nan", "'nan' is not a number of seconds above 0"),
            ("f --timeout soon", "'soon' is not a number"),
            ("f g", "does not take 'g'. Write: %%fact_generate NAME [options]. Put quotes around a value"),
            ("", "needs NAME"),
            ('f --model "x', "quote is not closed"),
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
