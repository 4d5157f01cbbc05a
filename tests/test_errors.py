"""An error is one line: a sentence, and what to do next."""

from __future__ import annotations

import pytest

from fact_magics.errors import FactError


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
