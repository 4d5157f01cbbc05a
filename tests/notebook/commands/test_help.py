"""Help pages, which are written from the table of subcommands."""

from __future__ import annotations

import pytest

from fact_magics.notebook.arguments import read_line
from fact_magics.notebook.commands import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_page_shows_usage_summary_every_option_and_examples_that_can_be_read(fact, name):
    command = COMMANDS[name]
    usage, _, summary, *rest = fact(f"{name} --help").splitlines()
    assert usage == f"{command.usage} [options]"
    assert summary == command.summary
    assert summary.endswith(".")
    page = "\n".join(rest)
    for option in (*command.options, "--help"):
        assert f"  {getattr(option, 'name', option)} " in page
    assert [line for line in rest if line.strip() in command.examples]
    for example in command.examples:
        word, *_ = (*example.removeprefix("%fact").split(), "")
        meant = COMMANDS[word]
        assert not read_line(meant.prepare(example.removeprefix(meant.name)), meant).help


def test_the_page_of_fact_lists_every_subcommand(fact):
    page = fact("--help")
    assert all(f"  {command.usage}" in page for name, command in COMMANDS.items() if name)
