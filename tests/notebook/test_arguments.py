"""The magics' lines."""

from __future__ import annotations

import unicodedata

import pytest

from fact_magics.errors import CellError
from fact_magics.names import split_reference, tool_name
from fact_magics.notebook.arguments import EDIT, GENERATE, REFINE, RUN, read_line
from fact_magics.notebook.commands import COMMANDS


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
            ("f --xyzzy", "%%fact_generate --help lists its options."),
            ("f --fresh --fresh", "given twice"),
            ("f --model", "needs a value"),
            ("f --fresh=yes", "takes no value"),
            ("f --attempts 0", "'0' is not a whole number from 1 to 10"),
            ("f --attempts 1.5", "'1.5' is not a whole"),
            ("f --attempts -3", "'-3' is not a whole"),
            ("f --timeout nan", "'nan' is not a number of seconds above 0"),
            ("f --timeout soon", "'soon' is not a number"),
            ("f --budget -1", "--budget: '-1' is not an amount of US dollars, such as 0.50."),
            ("f --budget nan", "--budget: 'nan' is not an amount of US dollars, such as 0.50."),
            ("f --budget inf", "--budget: 'inf' is not an amount of US dollars, such as 0.50."),
            ("f --budget abc", "--budget: 'abc' is not a number."),
            ("f --max-tokens 0", "--max-tokens: '0' is not a whole number from 1 to 1000000."),
            ("f --into x", "has no option --into. It is an option of %%fact_run, %%fact_map."),
            ("f g", "does not take 'g'. A name is one word: f_g."),
            ("_ __", "does not take '__'. Write: %%fact_generate NAME [options]."),
            ("f <>", "does not take '<>'. Write: %%fact_generate NAME [options]."),
            (
                "f --model a b",
                "does not take 'b'. Write: %%fact_generate NAME [options]. Put quotes around a",
            ),
            ("", "needs NAME"),
            ('f --model "x', "quote is not closed"),
        ],
    )
    def test_a_bad_line_is_one_clear_line(self, line, told):
        with pytest.raises(CellError) as caught:
            read_line(line, GENERATE)
        assert told in caught.value.line
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e12", "soon"])
    def test_a_time_for_an_answer_that_is_none_is_one_clear_line(self, value):
        assert read_line("f --ttl 0.5", RUN).run_request["ttl_seconds"] == 0.5
        assert read_line("f", RUN).run_request["ttl_seconds"] is None
        assert (
            read_line("f --ttl 60", GENERATE).get("ttl") == read_line("f --ttl 60", REFINE).get("ttl") == 60
        )
        with pytest.raises(CellError) as caught:
            read_line(f"f --ttl {value}", RUN)
        assert f"--ttl: '{value}' is not a number" in caught.value.line
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ('slugify text="Hello  World" n=3', ' below: text="Hello World" n=3'),
            ("slugify text = 'a b'", " below: text = 'a b'"),
            ('slugify --fresh text="Hello World"', "in the lines below."),
        ],
    )
    def test_input_beside_the_name_is_shown_as_it_was_written(self, line, told):
        with pytest.raises(CellError) as caught:
            read_line(line, RUN)
        assert caught.value.line.endswith(told)

    @pytest.mark.parametrize("command", [GENERATE, REFINE, EDIT])
    def test_a_name_of_two_words_is_one_word(self, command):
        with pytest.raises(CellError, match="A name is one word: to_slug"):
            read_line("to slug", command)

    def test_words_that_may_be_left_out_have_brackets(self):
        assert COMMANDS["tools"].help_text().startswith("%fact tools [WORD] [options]")
        with pytest.raises(CellError, match=r"needs NAME. Write: %fact diff NAME \[V\] \[W\]"):
            read_line("", COMMANDS["diff"])

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


LONG = "a" * 70_000


class TestNames:
    def test_a_name_means_what_python_reads(self):
        """Python reads a ligature in a name as its letters, so a tool and a variable do, too."""
        assert tool_name("\ufb01le") == "file"
        assert split_reference("\ufb01le@1") == ("file", "1")
        assert read_line("\ufb01le --into \ufb01rst", RUN).words == {"NAME": "file"}
        assert read_line("\ufb01le --into \ufb01rst", RUN).get("into") == "first"

    @pytest.mark.parametrize("name", ["größe", "длина", "μ_max", "Δt", "名前", "a" * 100])
    def test_names_of_every_alphabet_are_names(self, name):
        """Letters of another alphabet are no mistake, even beside ASCII letters."""
        assert tool_name(unicodedata.normalize("NFKC", name)) == unicodedata.normalize("NFKC", name)

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            (LONG, "has 70,000 characters, and a name may have at most 100"),
            ("slug\u200bify", "contains U+200B (ZERO WIDTH SPACE), which is invisible"),
            ("slugify\ufe0f", "contains U+FE0F (VARIATION SELECTOR-16)"),
            ("\u3164x", "contains U+1160 (HANGUL JUNGSEONG FILLER)"),
            ("p\u0430rse", "contains U+0430 (CYRILLIC SMALL LETTER A)"),
            ("t\u03bftal", "contains U+03BF (GREEK SMALL LETTER OMICRON)"),
            ("class", "'class' is a Python keyword"),
            ("match", "'match' is a Python keyword"),
            ("\ufb01nally", "is a Python keyword"),
            ("to-slug", "'to-slug' is not a Python identifier. Write to_slug."),
            ("dbl@1", "'dbl@1' is not a Python identifier. Write NAME without a version; %fact rollback"),
        ],
    )
    def test_what_is_wrong_with_a_name_is_one_short_line(self, name, told):
        """The error shows the beginning of the name and says which character is wrong."""
        with pytest.raises(CellError) as caught:
            tool_name(name)
        assert told in caught.value.line
        assert len(caught.value.line) < 300
        assert caught.value.line.isprintable()

    def test_a_reference_with_an_invisible_character_says_so(self):
        """A pasted name with an invisible character is explained."""
        with pytest.raises(CellError, match=r"It contains U\+200B \(ZERO WIDTH SPACE\)"):
            split_reference("slug\u200bify")


class TestLongText:
    @pytest.mark.parametrize(
        ("line", "told"),
        [
            (f"f --timeout {LONG}", "--timeout has a value of 70,000 characters; at most 4,096 are allowed"),
            (f"f --timeout {'9' * 4_000}", "is not a number of seconds"),
            (f"f --tag {'t' * 300}", "has 300 characters; at most 200 are allowed"),
            (f"f --model {'m' * 300}", "has 300 characters; at most 200 are allowed"),
            ("f --tag ''", "--tag needs a value. Write --tag TAG."),
            ("f --model ''", "--model needs a value. Write --model MODEL."),
            (f"f --{LONG}", "has no option --aaa"),
            (f"f {LONG}", "does not take 'aaa"),
            (f"f '{LONG}", "a quote is not closed in"),
        ],
    )
    def test_an_over_long_text_makes_no_over_long_error(self, line, told):
        """The error shows the beginning of the text, and what is wrong with it."""
        with pytest.raises(CellError) as caught:
            read_line(line, GENERATE)
        assert told in caught.value.line
        assert len(caught.value.line) < 300


@pytest.mark.parametrize("option", ["--into ''", "--into=", "--timeout ' '", "--allow ''"])
def test_an_empty_value_is_a_missing_value(option):
    with pytest.raises(CellError, match=r"^--\w+ needs a value\. Write --"):
        read_line(f"f {option}", RUN)
