"""What is suggested in place of a subcommand that does not exist."""

from __future__ import annotations

import re

import pytest

from fact_magics.notebook.commands import COMMANDS
from fact_magics.notebook.commands.instead import _INSTEAD


def test_suggestions_name_subcommands_that_there_are():
    """A hint that leads to the next error is worse than none."""
    for word, hint in _INSTEAD.items():
        named = re.findall(r"(?<!%)%fact ([a-z]+)\b", hint)
        assert set(named) - {"alone", "shows"} <= set(COMMANDS), word


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sessions", "lists the rows of all sessions."),
        ("refine", "%%fact_refine NAME lets a model change a tool; %fact insert NAME adds"),
        ("update", "%%fact_refine NAME lets"),
        ("compare", "%fact diff NAME V W"),
    ],
)
def test_what_a_word_leads_to(word, told):
    assert told in _INSTEAD[word]


def test_a_word_that_is_a_subcommand_needs_no_suggestion():
    assert not set(_INSTEAD) & set(COMMANDS)
