"""What is suggested in place of a subcommand that does not exist."""

from __future__ import annotations

import re

from fact_magics.notebook.commands import COMMANDS
from fact_magics.notebook.commands.instead import _INSTEAD


def test_suggestions_name_subcommands_that_there_are():
    """A hint that leads to the next error is worse than none."""
    for word, hint in _INSTEAD.items():
        named = re.findall(r"(?<!%)%fact ([a-z]+)\b", hint)
        assert set(named) - {"alone", "shows"} <= set(COMMANDS), word


def test_a_word_that_is_a_subcommand_needs_no_suggestion():
    assert not set(_INSTEAD) & set(COMMANDS)
