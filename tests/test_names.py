"""Names of tools: what is refused, and what was probably meant."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError
from fact_magics.names import split_reference, tool_name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("my-tool", "'my-tool' is not a Python identifier. Write my_tool."),
        ("My Tool", "'My Tool' is not a Python identifier. Write my_tool."),
        ("slugify()", "'slugify()' is not a Python identifier. Write slugify."),
        ("2x", "'2x' is not a Python identifier. Write a name such as parse_date."),
        ("class", "'class' is a Python keyword. Write a name such as parse_date."),
        ("-", "'-' is not a Python identifier. Write a name such as parse_date."),
    ],
)
def test_a_name_that_no_tool_can_have_comes_with_one_that_it_can(text, told):
    with pytest.raises(CellError) as caught:
        tool_name(text)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("my-tool", "'my-tool' is not a tool name. Write my_tool."),
        ("my-tool@1", "'my-tool' is not a tool name. Write my_tool."),
        ("slugify(text='x')", "is not a tool name. Write slugify, and its input in the lines below."),
        ("slugify()", "'slugify()' is not a tool name. Write slugify."),
        ("@1", "'' is not a tool name. Write NAME or NAME@VERSION."),
    ],
)
def test_a_reference_to_no_tool_comes_with_the_name_that_was_probably_meant(text, told):
    with pytest.raises(CellError) as caught:
        split_reference(text)
    assert str(caught.value).endswith(told)
