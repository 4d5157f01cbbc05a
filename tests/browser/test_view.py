"""The browser's half of the live views, without a kernel: how it shows the states that a kernel sends."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import fact_magics.display
from fact_magics.attempt import Verdict
from fact_magics.display.live import WritingView
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    ExampleProven,
    Noticed,
    PhaseChanged,
    TextArrived,
)
from fact_magics.tool import Status
from fact_magics.writing.examples import read_body

pytestmark = pytest.mark.slow

HERE = Path(fact_magics.display.__file__).parent
# A model like anywidget's: attributes, and a "change" event for each message that changes some of them.
START = """async ([code, style, state]) => {
  document.head.innerHTML = '';
  document.body.innerHTML = '<div id=view style="width: 700px"></div>';
  document.body.style.cssText = '';
  delete document.body.dataset.jpThemeLight;
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
    page.add_init_script(path=Path(__file__).with_name("page.js"))
    page.goto("about:blank")
    page.clock.install()
    yield page
    page.context.close()


@pytest.fixture
def show(blank):
    """Return a function that shows a view with an initial state; an error in the page fails the test."""

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
    """Send text as a part of a generation."""
    page.evaluate("([n, text]) => change({ ['p' + n]: [['text', text]] })", [number, text])


def settled(page):
    """Advance the page's clock until all text is shown."""
    page.clock.run_for(3_000)


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
        cut = random.Random(seed)  # noqa: S311 - pieces of any size do
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
            page.clock.run_for(cut.choice([0, 0, 0, 120]))
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
        assert max(map(len, lines(page))) <= 1_000
        page.evaluate("change({ p1: [['text', 'z'.repeat(3_000_000)]] })")
        settled(page)
        assert page.evaluate("document.querySelectorAll('#view *').length") < 5000
        assert "earlier lines" in page.locator(".fact-skipped").text_content()

    def test_a_screen_drops_the_rows_that_its_kernel_dropped(self, show):
        rows = {f"r{n}": [["", f"row {n}"]] for n in range(5)}
        page = show("running", kept=5, first=0, end=5, changed=[0, 1, 2, 3, 4], **rows)
        assert lines(page) == [f"row {n}" for n in range(5)]
        page.evaluate(
            "change({ first: 3, end: 8, changed: [5, 6, 7], r0: [['', 'row 5']], r1: [['', 'row 6']], r2: [['', 'row 7']] })"
        )
        assert lines(page) == ["… 3 earlier lines", *(f"row {n}" for n in range(3, 8))]
        page.evaluate(
            "change({ first: 100, end: 102, changed: [100, 101], r0: [['', 'a']], r1: [['', 'b']] })"
        )
        assert lines(page) == ["… 100 earlier lines", "a", "b"]
        page.evaluate("change({ end: 101, changed: [] })")
        assert lines(page) == ["… 100 earlier lines", "a"]


class TestGeneration:
    def attempts(self, show, **state):
        return show(
            "writing",
            p0=[
                ["examples", ["weigh('a')", "weigh('')"], 3],
                ["attempt", 1, 3, "claude"],
                ["phase", "writing", ""],
                ["text", "```python\ndef weigh(): pass\n```\n"],
                ["phase", "proving", "1/3"],
                ["example", 1, True, "1", "1"],
                ["phase", "proving", "2/3"],
            ],
            **state,
        )

    def test_each_example_turns_as_it_is_proven_with_what_it_gave(self, show):
        page = self.attempts(show)
        settled(page)
        listed = page.locator(".fact-examples > li")
        assert listed.all_text_contents() == ["✓ weigh('a') → 1", "○ weigh('')", "and 1 more"]
        assert page.locator(".fact-phase").text_content() == "proving 2/3"
        page.evaluate("change({ p1: [['example', 2, false, '0', '2'], ['example', 3, false, '', '']] })")
        assert listed.nth(1).text_content() == "✗ weigh('') should give 2, but gave 0"

    def test_an_attempt_that_failed_is_folded_and_can_be_read(self, show):
        page = self.attempts(show)
        page.evaluate(
            "change({ p1: [['example', 2, false, '0', '2'], ['failed', []], ['phase', 'repairing', '1/2']] })"
        )
        page.evaluate("change({ p2: [['attempt', 2, 3, 'opus'], ['phase', 'waiting', '']] })")
        settled(page)
        earlier = page.locator(".fact-earlier")
        assert earlier.locator("summary").text_content() == "Attempt 1: 1 of 3 examples failed"
        assert not earlier.locator(".fact-pane").is_visible()
        earlier.locator("summary").click()
        assert earlier.locator(".fact-pane").is_visible()
        assert page.locator(".fact-head").inner_text().split()[:3] == ["weigh", "opus", "waiting"]
        page.evaluate(
            "change({ p3: [['text', 'x = 1'], ['failed', ['no function']], ['note', 'asking again']] })"
        )
        assert page.locator(".fact-live > .fact-attempt .fact-notes > li").all_text_contents() == [
            "✗ no function",
            "· asking again",
        ]
        page.evaluate("change({ p4: [['attempt', 3, 3, 'opus']] })")
        assert page.locator(".fact-earlier > summary").all_text_contents()[1] == "Attempt 2: not accepted"

    def test_candidates_are_written_side_by_side_in_folds_of_their_own(self, show):
        view = WritingView("weigh", ["weigh('a')"])
        number = iter(range(9))

        def send(page, *events):
            for event in events:
                view.put(event)
            view._receive()
            page.evaluate("changes => change(changes)", view._changes(next(number)))
            settled(page)

        def proven(attempt, holds):
            example = read_body(">>> weigh('a')\n1", "weigh").examples[0]
            return ExampleProven(1, 1, Verdict(holds, "1", "1" if holds else "2", example), attempt)

        page = show("writing")
        send(page, Noticed("a notice"), *(AttemptStarted(n, 2, "anthropic", "claude", 2) for n in (1, 2)))
        send(page, PhaseChanged("writing", attempt=1), TextArrived("x = 1\n", 1), TextArrived("y = 2\n", 2))
        send(page, TextArrived("x = 3\n", 1), PhaseChanged("proving", "1/1", 2), TextArrived("x = 4", 1))
        folds = page.locator("details.fact-earlier")
        titles = folds.locator("summary")
        assert titles.all_text_contents() == ["Candidate 1 of 2: writing", "Candidate 2 of 2: proving 1/1"]
        assert folds.nth(0).locator(".fact-pane").is_visible()
        assert not folds.nth(1).locator(".fact-pane").is_visible()
        assert page.locator(".fact-phase").text_content() == "candidates 0/2"
        written = [fold.locator(".fact-pane > span").all_text_contents() for fold in folds.all()]
        assert written == [["x = 1", "x = 3", "x = 4"], ["y = 2"]]
        send(page, proven(2, holds=False), AttemptEnded(2, Status.ERROR, ("known",)))
        assert page.locator(".fact-phase").text_content() == "candidates 1/2"
        send(page, proven(1, holds=True), AttemptEnded(1, Status.OK, ()), PhaseChanged("comparing"))
        assert titles.all_text_contents() == [
            "Candidate 1 of 2: ✓ all examples hold",
            "Candidate 2 of 2: ✗ the only example failed",
        ]
        assert page.locator(".fact-phase").text_content() == "comparing"
        send(page, PhaseChanged("repairing", "1/2"), AttemptStarted(3, 4, "anthropic", "claude"))
        send(page, PhaseChanged("writing"), TextArrived("z = 1"))
        assert titles.count() == 2
        assert page.locator(".fact-live > .fact-attempt > .fact-pane").last.text_content() == "z = 1"

    def test_tokens_and_seconds_are_counted(self, show):
        page = show("writing", seconds=61.5, p0=[["text", "x" * 400]])
        settled(page)
        age, count = page.locator(".fact-time").all_text_contents()
        assert age.startswith("1 min ")
        assert count == "≈ 100 tokens"

    def test_someone_who_comes_late_sees_all_of_it(self, show):
        page = self.attempts(show, p1=[["text", "and more"]], p2=[["phase", "checking", ""]])
        settled(page)
        assert lines(page) == ["def weigh(): pass", "and more"]
        assert page.locator(".fact-phase").text_content() == "checking"


class TestRun:
    def test_rows_are_coloured_and_change_in_place(self, show):
        rows = {"r0": [["", "a "], ["b c1", "red"], ["g4", "on blue"]], "r1": []}
        page = show("running", kept=10, first=0, end=2, changed=[0, 1], phase=["running", ""], **rows)
        styles = page.locator(".fact-row > span").evaluate_all(
            "nodes => nodes.map(n => [n.style.color, n.style.background, getComputedStyle(n).fontWeight])"
        )
        assert styles == [
            ["var(--fact-c1)", "", "700"],
            ["rgb(255, 255, 255)", "rgb(33, 112, 208)", "400"],
        ]
        page.evaluate("change({ changed: [0], r0: [['', 'again']] })")
        assert lines(page) == ["again", ""]

    @pytest.mark.parametrize(
        ("light", "ground", "text"), [("true", "#f5f5f5", "#212121"), ("false", "#212121", "#fff")]
    )
    def test_every_colour_is_readable_on_a_light_ground_and_on_a_dark_one(self, show, light, ground, text):
        rows = {f"r{n}": [["", "plain "], [f"c{n}", f"c{n}"], [f"g{n}", f"g{n}"]] for n in range(16)}
        page = show(
            "running", kept=20, first=0, end=16, changed=list(range(16)), phase=["running", ""], **rows
        )
        page.evaluate(
            """([light, ground, text]) => {
              document.body.dataset.jpThemeLight = light;
              document.body.style.cssText = `background:${ground};--jp-content-font-color1:${text}`;
            }""",
            [light, ground, text],
        )
        assert page.evaluate("inPage.faint('.fact-live')") == [3 * 16 + 3, {}]

    def test_the_box_follows_its_end_unless_someone_scrolled_up(self, show):
        many = {f"r{n}": [["", f"row {n}"]] for n in range(100)}
        page = show("running", kept=200, first=0, end=100, changed=list(range(100)), **many)
        box = page.locator(".fact-pane")
        at = "node => [node.scrollTop, node.scrollHeight - node.clientHeight]"
        top, most = box.evaluate(at)
        assert top == most > 500
        box.hover()
        page.mouse.wheel(0, -300)
        page.wait_for_function("top => document.querySelector('.fact-pane').scrollTop < top - 100", arg=top)
        before, _ = box.evaluate(at)
        page.evaluate("change({ end: 101, changed: [100], r100: [['', 'more']] })")
        assert box.evaluate(at)[0] == before
        page.mouse.wheel(0, 3000)
        page.wait_for_function("top => document.querySelector('.fact-pane').scrollTop >= top", arg=top)
        page.evaluate("change({ end: 102, changed: [101], r101: [['', 'and more']] })")
        top, most = box.evaluate(at)
        assert top == most


class TestStop:
    def test_there_is_no_button_before_the_kernel_has_heard_the_view(self, show):
        page = show("running", asks=True)
        assert not page.locator("button").is_visible()
        assert page.evaluate("sent") == ["ready"]
        page.evaluate("change({ stop: true })")
        page.locator("button").click()
        assert page.evaluate("sent") == ["ready", "stop"]
        assert page.locator("button").is_disabled()
        assert page.locator("button").text_content() == "Stopping"

    def test_a_page_that_is_loaded_later_has_the_button_too(self, show):
        assert show("running", asks=True, stop=True).locator("button").is_visible()

    def test_a_view_that_is_not_asked_says_nothing(self, show):
        assert show("running").evaluate("sent") == []


class TestHostileText:
    ATTACK = "<img src=x onerror='window.owned=1'><script>window.owned=2</script>[a](javascript:owned)"

    def test_nothing_that_it_is_given_becomes_markup(self, show):
        hostile = self.ATTACK
        page = show(
            "writing",
            title=hostile,
            p0=[
                ["examples", [hostile], 1],
                ["attempt", 1, 3, hostile],
                ["phase", hostile, hostile],
                ["note", hostile],
                ["text", f"{hostile}\n```python\n# {hostile}\n'{hostile}'\n{hostile}"],
                ["example", 1, False, hostile, hostile],
                ["failed", [hostile]],
                ["attempt", 2, 3, hostile],
            ],
        )
        settled(page)
        assert page.locator("#view img, #view script, #view a").count() == 0
        assert page.evaluate("window.owned") is None
        assert page.locator("#view").inner_text().count("<script>") >= 3
        page = show("running", title=hostile, kept=9, first=0, end=1, changed=[0], r0=[["c1", hostile]])
        assert page.locator("#view img, #view script, #view a").count() == 0
        assert lines(page) == [hostile]

    def test_a_style_that_is_no_style_does_nothing(self, show):
        style = "x' onclick='window.owned=1 c999999 g-1 __proto__"
        page = show("running", kept=9, first=0, end=1, changed=[0], r0=[[style, "text"]])
        page.locator(".fact-row > span").click()
        assert page.evaluate("window.owned") is None
        assert lines(page) == ["text"]
