"""An error is one line: a sentence, and what to do next."""

from __future__ import annotations

import pytest

from fact_magics.errors import (
    CellError,
    FactError,
    GenerationFailed,
    InvalidInput,
    ToolFailed,
    did_you_mean,
)
from fact_magics.text import clipped, distance, duration, wrapped


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("It failed", "It failed. Do so."),
        ("It failed.", "It failed. Do so."),
        ("It failed:\n  no.", "It failed: no. Do so."),
        ("It said: no..", "It said: no. Do so."),
        ("Did you mean 'slug'?.", "Did you mean 'slug'? Do so."),
        ("It said: stop!.", "It said: stop! Do so."),
        ("It is cut….", "It is cut… Do so."),
        ("It goes on...", "It goes on... Do so."),
    ],
)
def test_a_sentence_ends_once(message, line):
    error = FactError(message, hint="Do so.")
    assert error.line == line
    assert str(error) == line


def test_a_word_that_nobody_can_read_is_cut():
    """An error stays readable if it quotes a name of 70,000 letters; a long path is shown whole."""
    path = "/" + "directory/" * 90
    error = FactError(f"There is no {'a' * 70_000}.", hint=f"Run: %fact trust {path}")
    assert len(error.line) < 1_100
    assert error.line.endswith(path)


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [
        (0, "0 ms"),
        (0.0002, "1 µs"),
        (0.0084, "8 µs"),
        (0.099, "99 µs"),
        (0.0996, "0.1 ms"),
        (9.94, "9.9 ms"),
        (9.96, "10 ms"),
        (999.7, "1.0 s"),
        (59_949, "59.9 s"),
        (59_960, "1 min 0 s"),
        (250_400, "4 min 10 s"),
        (3_599_600, "60 min 0 s"),
    ],
)
def test_a_duration_has_a_unit_that_fits(milliseconds, told):
    assert duration(milliseconds) == told


class TestLines:
    """What comes first, and what Jupyter shows."""

    @pytest.fixture(autouse=True)
    def _columns(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "120")

    def test_the_field_comes_first_and_the_signature_last(self):
        error = InvalidInput("a: missing.", hint="Not run: f(a: int) -> int", details=["b: unknown field"])
        assert error.lines == ("a: missing.", "b: unknown field", "Not run: f(a: int) -> int")
        assert str(error) == "a: missing.\nb: unknown field\nNot run: f(a: int) -> int"
        assert error.line == "a: missing."
        assert error._render_traceback_() == [
            "InvalidInput: a: missing.",
            "  b: unknown field",
            "  Not run: f(a: int) -> int",
        ]

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
    def test_the_way_out_of_a_rejection_is_a_line_of_its_own_if_there_is_room(self, count):
        """A rejection has at most four lines if it has at most three details."""
        error = GenerationFailed("None was accepted.", hint="Reword it.", details=["f(1) failed"] * count)
        expected = ["None was accepted.", *["f(1) failed"] * count, "Reword it."]
        if count in (0, 3, 4):
            expected = ["None was accepted. Reword it.", *["f(1) failed"] * count]
        assert list(error.lines) == expected

    def test_a_notebook_shows_the_way_out_of_a_rejection_below_it(self):
        error = GenerationFailed("None was accepted: " + "several words " * 6, hint="Reword it.")
        assert "\n" not in str(error)
        assert error._render_traceback_() == [
            "GenerationFailed: None was accepted: several words several words several words several words several",
            "  words several words",
            "  Reword it.",
        ]
        assert GenerationFailed("None.")._render_traceback_() == ["GenerationFailed: None."]

    def test_an_error_of_one_line_stays_one_line(self):
        """It is one line in the notebook too, however long it is."""
        error = CellError("It failed, " + "and " * 60 + "failed", hint="Do so.")
        assert error._render_traceback_() == [f"CellError: {error.line}"]

    def test_longer_errors_are_broken_between_words(self):
        """Jupyter would break a line in the middle of a word."""
        error = ToolFailed(
            "it raised ValueError: " + "several words " * 8, details=["    code = " + "x" * 110]
        )
        assert error._render_traceback_() == [
            "ToolFailed: it raised ValueError: several words several words several words several words several",
            "  words several words several words several words",
            "      code =",
            "    " + "x" * 110,
        ]

    def test_a_line_to_copy_is_not_broken(self):
        """It has an option or a path, which may be longer than a line."""
        option = f"To allow it: --allow 'read:/data/{'a b' * 40}'"
        error = ToolFailed(f"it raised OSError: not found: /data/{'a b' * 40}", details=[option])
        assert error._render_traceback_() == [f"ToolFailed: {error.message}", f"  {option}"]

    def test_a_narrow_terminal_gets_narrow_lines(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        error = ToolFailed("it raised ValueError: " + "several words " * 8, details=["Traceback"])
        lines = error._render_traceback_()
        assert max(map(len, lines)) <= 60
        assert len(lines) == 4

    @pytest.mark.parametrize(
        ("text", "limit", "cut"),
        [
            ("one two three", 13, "one two three"),
            ("one two three", 12, "one two …"),
            ("one two three", 9, "one two …"),
            ("onetwothree", 8, "onetwot…"),
            ("a bcdefghijk", 10, "a bcdefgh…"),
            ("one\n two", 10, "one two"),
            ("a\x1bb", 10, "a\\x1bb"),
        ],
    )
    def test_text_is_cut_between_words_if_the_words_are_not_too_long(self, text, limit, cut):
        assert clipped(text, limit) == cut

    def test_a_line_keeps_its_indentation_and_its_long_words(self):
        assert wrapped("  one two three", 9, indent="    ") == ["  one two", "    three"]
        assert wrapped("  one /a/long/path/to/a-file", 9, indent="    ") == [
            "  one",
            "    /a/long/path/to/a-file",
        ]


class TestSuggestions:
    @pytest.mark.parametrize(
        ("name", "known", "close"),
        [
            ("histry", "history", True),
            ("hsitory", "history", True),
            ("exports", "export", True),
            ("exports", "import", False),
            ("hist", "history", True),
            ("gen", "generate", True),
            ("list", "insert", False),
            ("prune", "rerun", False),
            ("answer", "insert", False),
            ("run", "rerun", False),
            ("map", "run", False),
            ("net", "set", True),
            ("ls", "is", False),
            ("a", "b", False),
            ("a", "ab", True),
            ("A", "a", True),
            ("my-tool", "my_tool", True),
            ("titleSlug", "titleslug", True),
            ("title_slug", "slug_title", True),
            ("summarise_numbers", "summarize_numbers", True),
            ("count_days", "count_business_days", False),
            ("totle", "total", True),
            ("--tiemout", "--timeout", True),
            ("--fix", "--fresh", False),
            ("claude-sonet-5", "claude-sonnet-5", True),
        ],
    )
    def test_only_a_name_that_was_probably_meant_is_suggested(self, name, known, close):
        """No suggestion is better than a name that has nothing to do with what was written."""
        assert did_you_mean(name, [known]) == (f"Did you mean {known!r}?" if close else "")

    def test_the_most_similar_come_first_and_far_ones_are_left_out(self):
        assert did_you_mean("titl", ["titanic", "titles", "title"]) == "Did you mean 'title' or 'titles'?"
        assert did_you_mean("lsit", ["List", "list"]) == "Did you mean 'list' or 'List'?"

    @pytest.mark.parametrize(
        ("one", "other", "errors"),
        [
            ("", "", 0),
            ("ab", "ba", 1),
            ("abc", "abc", 0),
            ("abc", "ac", 1),
            ("abc", "axc", 1),
            ("kitten", "sitting", 3),
        ],
    )
    def test_typing_errors_are_counted(self, one, other, errors):
        assert distance(one, other, 5) == distance(other, one, 5) == errors
        assert distance("kitten", "sitting", 1) == 2

    def test_a_name_itself_is_never_suggested(self):
        """A suggestion that repeats what was written helps nobody."""
        assert did_you_mean("slugify", ["slugify"]) == ""
        assert did_you_mean("slugify", ["slugify", "slugify2"]) == "Did you mean 'slugify2'?"

    @pytest.mark.parametrize(
        ("name", "known", "told"),
        [
            (
                "p\u0430rse",
                "parse",
                "Your name looks the same, but contains U+0430 (CYRILLIC SMALL LETTER A).",
            ),
            ("parse", "p\u0430rse", "It looks the same, but contains U+0430 (CYRILLIC SMALL LETTER A)."),
            ("parse\u200b", "parse", "Your name looks the same, but contains U+200B (ZERO WIDTH SPACE)."),
            (
                "nai\u0308ve",
                "na\u00efve",
                "Your name looks the same, but contains U+0308 (COMBINING DIAERESIS).",
            ),
        ],
    )
    def test_a_name_that_looks_the_same_is_told_apart(self, name, known, told):
        """If a known name looks the same, the suggestion says which character differs."""
        assert did_you_mean(name, ["other", known]) == f"Did you mean {known!r}? {told}"

    def test_nothing_is_suggested_for_a_text_that_is_no_name(self):
        """A text of 70,000 characters is no misspelt name."""
        assert did_you_mean("slugify" * 10_000, ["slugify" * 10_001]) == ""
