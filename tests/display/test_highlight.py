"""Highlighted source, whose text is unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from fact_magics.display.html import highlighted

SHELF = sorted((Path(__file__).parents[2] / "fact_magics" / "shelf" / "tools").glob("*.py"))


@pytest.mark.parametrize(
    "source",
    [
        *(path.read_text("utf-8") for path in SHELF),
        "",
        "def f(:\n  '''never ended\n\n  \"\"\" # no comment",
        "x = 'broken\ny = \"it's\" # a # b\nz = rb'\\'' + f\"{x!r}\"",
        "Here is the function:\n```python\ndef f(): pass\n```\nIt <b>works</b> & doesn't fail.",
        "'" * 20_000,
        '"""' * 7_001 + "\\",
        "# " + "x" * 100_000,
        "b" * 30_000 + "'",
        "défi = lambda été: été if été else None",
    ],
)
def test_its_text_is_the_source(parse, source):
    assert parse(highlighted(source)).text == source


def test_keywords_comments_and_strings_stand_out(parse):
    page = parse(highlighted("def define(x):  # return\n    return 'if' or f\"{x}\"  # 'end'\n"))
    assert [element.text for element in page.all("strong")] == ["def", "return", "or"]
    assert [element.text for element in page.all("em")] == ["# return", "# 'end'"]
    assert [element.text for element in page.all("span")] == ["'if'", 'f"{x}"']


def test_hostile_source_is_text(parse):
    page = parse(
        highlighted("x = '<script>alert(1)</script>' # <img src=x onerror=alert(1)>\n\x1b[31m\u202e")
    )
    assert {element.tag for element in page.all()} == {"span", "em"}
    assert page.text.endswith("\n\\x1b[31m\\u202e")
