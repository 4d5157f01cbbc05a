"""An error is one line: a sentence, and what to do next."""

from __future__ import annotations

import pytest

from fact_magics.errors import FactError, did_you_mean


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


class TestSuggestions:
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
