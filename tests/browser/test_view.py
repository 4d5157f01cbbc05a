"""The browser's half of the live views alone: what it makes of the states that a kernel sends."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

import fact_magics.display

HERE = Path(fact_magics.display.__file__).parent
# A model as anywidget hands it over: attributes, and a "change" for each message that changed some.
START = """async ([code, style, state]) => {
  document.head.innerHTML = '';
  document.body.innerHTML = '<div id=view style="width: 700px"></div>';
  const sheet = document.createElement('style');
  sheet.textContent = style;
  document.head.append(sheet);
  const { default: define } = await import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  window.sent = [];
  window.errors = [];
  const listeners = new Set();
  window.model = {
    state,
    get: (key) => model.state[key],
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
    send: (content) => sent.push(content),
  };
  window.change = (changes) => {
    Object.assign(model.state, changes);
    listeners.forEach((listener) => listener());
  };
  const { initialize, render } = define();
  initialize({ model });
  window.end = render({ model, el: document.getElementById('view') });
}"""
CODE = '''Here is *prose* with `ticks`.

```python
@cached
def weigh(text: str, *, of: int = 0x1F) -> dict[str, float]:
    """Weigh "it".

    ``` is no fence here, # nor is this a comment
    """
    odd = 'never \\' closed
    return {f"{text!r}": 1.5e3, 'a': r'\\d'}  # a "remark"
class Scale: pass
```
And that was it.
'''


@pytest.fixture(scope="module")
def blank(browser):
    page = browser.new_context(viewport={"width": 800, "height": 600}).new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto("about:blank")
    yield page
    page.context.close()


@pytest.fixture
def show(blank):
    """Show a view that begins with a state; the page must not complain of what it is given."""

    def start(kind, **state):
        given = {"kind": kind, "title": "weigh", "seconds": 0, "asks": False, **state}
        code, style = ((HERE / f"live.{kind}").read_text("utf-8") for kind in ("js", "css"))
        blank.evaluate(START, [code, style, given])
        return blank

    yield start
    assert not blank.errors
    blank.evaluate("end()")
    assert blank.locator("#view").inner_html() == ""


def write(page, text, number=0):
    """Send text as a part of a generation, and wait until all of it is there."""
    page.evaluate("([n, text]) => change({ ['p' + n]: [['text', text]] })", [number, text])


def settled(page):
    page.wait_for_function("() => { const last = window.shown; window.shown = document.body.innerHTML; return last === shown; }", polling=250)


def lines(page, kind=""):
    return page.locator(f".fact-pane > {kind or 'span'}").all_text_contents()


class TestWriting:
    def test_code_is_told_from_prose_and_every_character_of_both_is_kept(self, show):
        page = show("writing", p0=[["attempt", 1, 3, "claude"], ["phase", "writing", ""], ["text", CODE]])
        settled(page)
        kept = [line for line in CODE.split("\n") if line != "```python" and line != "```"]
        assert lines(page) == kept[:-1]
        assert lines(page, ".fact-prose") == ["Here is *prose* with `ticks`.", "", "And that was it."]

    @pytest.mark.parametrize(
        ("name", "pieces"),
        [
            ("keyword", ["def", "return", "class", "pass"]),
            ("def", ["weigh", "Scale"]),
            ("meta", ["@cached"]),
            ("number", ["0", "0x1F", "1.5e3"]),
            ("comment", ['# a "remark"']),
        ],
    )
    def test_python_is_coloured(self, show, name, pieces):
        page = show("writing", p0=[["text", CODE.replace("= 0x1F", "= 0 or 0x1F")]])
        settled(page)
        found = page.locator(f".fact-code .fact-{name}").all_text_contents()
        assert [piece for piece in found if piece in pieces] == pieces

    def test_strings_are_coloured_over_lines_and_up_to_their_own_end(self, show):
        page = show("writing", p0=[["text", CODE]])
        settled(page)
        assert page.locator(".fact-string").all_text_contents() == [
            '"""Weigh "it".',
            "    ``` is no fence here, # nor is this a comment",
            '    """',
            "'never \\' closed",
            'f"{text!r}"',
            "'a'",
            "r'\\d'",
        ]

    @pytest.mark.parametrize("seed", range(5))
    def test_what_arrives_in_pieces_shows_the_same_and_only_ever_grows(self, show, seed):
        cut = random.Random(seed)
        page = show("writing", p0=[["text", ""]])
        page.evaluate(
            """() => {
              window.lengths = [];
              const pane = () => document.querySelector('.fact-pane');
              new MutationObserver(() => lengths.push(pane() ? pane().textContent.length : 0)).observe(
                document.getElementById('view'), { subtree: true, childList: true, characterData: true });
            }"""
        )
        at, number = 0, 1
        while at < len(CODE):
            size = cut.choice([1, 2, 3, 7, 30])
            write(page, CODE[at : at + size], number)
            page.wait_for_timeout(cut.choice([0, 0, 0, 120]))
            at, number = at + size, number + 1
        settled(page)
        assert lines(page)[:3] == ["Here is *prose* with `ticks`.", "", "@cached"]
        assert len(lines(page)) == CODE.count("\n") - 2
        lengths = page.evaluate("lengths")
        assert lengths == sorted(lengths)


class TestBounds:
    def test_a_megabyte_on_one_line_becomes_short_lines_and_few_of_them(self, show):
        page = show("writing", p0=[["text", "```python\nx = '" + "y" * 1_000_000]])
        settled(page)
        assert page.evaluate("Math.max(...[...document.querySelectorAll('.fact-pane > span')].map(s => s.textContent.length))") <= 1000
        page.evaluate("change({ p1: [['text', 'z'.repeat(3_000_000)]] })")
        settled(page)
        assert page.evaluate("document.querySelectorAll('#view *').length") < 5000
        assert "lines before these" in page.locator(".fact-skipped").text_content()

    def test_a_screen_drops_the_rows_that_its_kernel_dropped(self, show):
        rows = {f"r{n}": [["", f"row {n}"]] for n in range(5)}
        page = show("running", kept=5, first=0, end=5, changed=[0, 1, 2, 3, 4], **rows)
        assert lines(page) == [f"row {n}" for n in range(5)]
        page.evaluate("change({ first: 3, end: 8, changed: [5, 6, 7], r0: [['', 'row 5']], r1: [['', 'row 6']], r2: [['', 'row 7']] })")
        assert lines(page) == ["… 3 lines before these", *(f"row {n}" for n in range(3, 8))]
        page.evaluate("change({ first: 100, end: 102, changed: [100, 101], r0: [['', 'a']], r1: [['', 'b']] })")
        assert lines(page) == ["… 100 lines before these", "a", "b"]
        page.evaluate("change({ end: 101, changed: [] })")
        assert lines(page) == ["… 100 lines before these", "a"]
