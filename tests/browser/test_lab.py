"""What a person sees in JupyterLab: while a cell works, when it has ended, and when the notebook is opened again."""

from __future__ import annotations

import json
import re

import pytest

SOURCE = (
    'def weigh(n: int) -> int:\n    """Weigh a number.\n\n    In `ticks` and **stars**.\n    """\n'
    + "".join(f"    part_{i} = len('text {i}') * {i}  # remark number {i}\n" for i in range(30))
    + "    return n\n"
)
GENERATE = "%%fact_generate weigh\nWeigh a number.\n\n>>> weigh(1)\n1\n\n>>> weigh(2)\n2\n"
BAR = (
    "import time\n\ndef bar(n: int) -> int:\n    for i in range(n):\n"
    "        print(f'\\r{i + 1} of {n} \\x1b[32m' + '#' * (i + 1) + '\\x1b[0m', end='', flush=True)\n"
    "        time.sleep(0.15)\n    print('\\n\\x1b[1;31mover\\x1b[0m')\n    return n\n"
)
BAR_CELL = "%%fact_generate bar\nDraw a bar.\n\n>>> bar(0)\n0\n"
# What a live view shows is gone when its record comes, so the page itself keeps what it saw of it.
WATCH = """() => {
  window.saw = { lengths: [], phases: new Set(), rows: new Set(), tallest: 0, scrolled: [], keywords: 0 };
  let pane = null;
  new MutationObserver(() => {
    const live = document.querySelector('.fact-live');
    if (!live) return;
    saw.phases.add(live.querySelector('.fact-phase').textContent);
    saw.keywords = Math.max(saw.keywords, live.querySelectorAll('.fact-keyword').length);
    for (const row of live.querySelectorAll('.fact-row')) saw.rows.add(row.textContent);
    const now = live.querySelector('.fact-attempt > .fact-pane');
    if (live.ariaLabel !== 'weigh' || !now || now.hidden) return;
    const length = now.textContent.length;
    if (saw.lengths.at(-1) !== length) saw.lengths.push(length);
    saw.tallest = Math.max(saw.tallest, now.clientHeight);
    if (pane === now) {
      saw.scrolled.push(now.scrollTop);
    } else if (!pane && now.scrollTop > 50) {
      // It has followed its end; now someone scrolls up.
      pane = now;
      now.scrollTop = 10;
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""
SAW = "({...saw, phases: [...saw.phases], rows: [...saw.rows]})"
ERRORS = re.compile("Error displaying widget|model not found|Loading widget", re.IGNORECASE)


def records(front):
    """The text of every output, as it is on the page."""
    return "\n".join(front.page.locator(".jp-OutputArea-output").all_inner_texts())


@pytest.fixture(scope="module")
def saves_state():
    return True


class TestTheWholeStory:
    CELLS = (
        "%load_ext fact_magics",
        GENERATE,
        BAR_CELL,
        "%%fact_run bar --fresh\nn = 12",
        "%%fact_run bar\nn = 2",
    )

    def test_text_grows_then_one_record_stays_after_saving_running_again_and_reloading(
        self, open_notebook, site, pictures
    ):
        """One notebook from its first run to a reader who does not trust it."""
        site.server.writes(SOURCE, before="First thoughts.", pace=60, chunk=8)
        site.server.writes(BAR)
        front = open_notebook("story.ipynb", self.CELLS)
        front.evaluate(WATCH)
        front.run_all()
        front.done(5)

        saw = front.evaluate(SAW)
        assert len(saw["lengths"]) > 8
        assert saw["lengths"] == sorted(saw["lengths"])
        assert {"writing", "running"} <= set(saw["phases"])
        assert saw["keywords"]
        assert 100 < saw["tallest"] < 450
        assert set(saw["scrolled"]) == {10}  # it stays where it was put
        assert len([row for row in saw["rows"] if "#" in row]) >= 3
        self.assert_lasting(front)
        assert "✓" in records(front)
        front.page.screenshot(path=pictures / "records.png")

        front.save()
        first = self.assert_saved_without_widgets(site, "story.ipynb")
        front.run_all()
        front.page.wait_for_selector(".fact-live .fact-row")
        front.page.wait_for_selector(".fact-live", state="detached")
        front.done(5)
        front.save()
        again = self.assert_saved_without_widgets(site, "story.ipynb")
        assert [len(cell.outputs) for cell in again.cells[1:]] == [1, 1, 1, 1]
        # The tool is known by now, which is said in other words.
        assert len(json.dumps(again)) < 1.2 * len(json.dumps(first))

        front.page.reload()
        front.idle()
        self.assert_lasting(front)

        again.cells[0].source += "  # by someone else"
        (site.folder / "untrusted.ipynb").write_text(json.dumps(again), "utf-8")
        stranger = open_notebook("untrusted.ipynb")
        assert not stranger.evaluate("window.jupyterapp.shell.currentWidget.content.widgets[1].model.trusted")
        self.assert_lasting(stranger)
        stranger.page.screenshot(path=pictures / "untrusted.png")

    def assert_lasting(self, front):
        front.page.wait_for_selector("text=proven on 2 examples")
        assert front.page.locator(".fact-live").count() == 0
        shown = records(front)
        assert not ERRORS.search(front.page.inner_text("body"))
        for part in ("weigh 1.0.0", "12 of 12 ############", "over", "return n"):
            assert part in shown
        assert "11 of 12" not in shown

    def assert_saved_without_widgets(self, site, name):
        saved = site.read(name)
        # The widgets' manager was told to save all the state that it can find.
        states = saved.metadata.get("widgets", {}).values()
        assert [state["state"] for state in states] == [{}]
        for cell in saved.cells:
            for output in cell.outputs:
                assert set(output.get("data", {})) <= {"text/html", "text/plain"}
        return saved


class TestStop:
    CELLS = (
        "%load_ext fact_magics",
        GENERATE.replace("weigh", "measure"),
        *(f"after_{n} = 1" for n in range(40)),
    )

    def test_a_click_stops_the_cell_and_those_queued_behind_it_and_keeps_what_was_written(
        self, open_notebook, site, pictures
    ):
        """In the dark theme, where all of it has to be readable as well."""
        source = SOURCE.replace("weigh", "measure")
        site.server.writes(source.replace("return n", "return n + 1"), before="First thoughts.")
        text = f"That was wrong.\n\n```python\n{source}"
        site.server.breaks(text, "stall", after=len(text), pace=100, chunk=8)
        front = open_notebook("stop.ipynb", self.CELLS, scheme="dark")
        page = front.page
        page.evaluate(
            "window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
        )
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
        front.run_all()

        # Run All went on to the last cell: the view is made when someone comes back to it, and has all of the text.
        assert site.server.wait_for_request(2, 60)
        page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.scrollToItem(1, 'start'); }")
        page.wait_for_selector(".fact-earlier")
        page.wait_for_selector(".fact-live > .fact-attempt .fact-code >> text=remark number 29")
        assert "That was wrong." in page.locator(".fact-live > .fact-attempt").text_content()
        self.assert_readable(page)
        page.screenshot(path=pictures / "dark.png")
        page.locator("button.fact-stop").click()
        page.wait_for_selector(".fact-live", state="detached")
        page.wait_for_selector("text=Writing measure was stopped")
        front.idle()
        assert site.server.wait_for_disconnect()
        shown = records(front)
        assert "interrupted" in shown
        assert "remark number 29" in shown
        page.screenshot(path=pictures / "stopped.png")
        counts = page.evaluate(
            "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.executionCount)"
        )
        assert set(counts[2:]) == {None}
        # The kernel goes on.
        site.server.writes(source)
        front.run_all()
        front.done(len(self.CELLS))
        assert "proven on 2 examples" in json.dumps(self.outputs(page))

    def outputs(self, page):
        return page.evaluate(
            "window.jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.toJSON()"
        )

    def assert_readable(self, page):
        earlier = page.locator(".fact-earlier")
        assert "Attempt 1: 2 of 2 examples failed" in earlier.inner_text()
        earlier.locator("summary").click()
        assert "measure(1) gave 2, expected 1" in earlier.inner_text()
        assert "✗" in earlier.inner_text()
        earlier.locator("summary").click()
        assert page.locator(".fact-phase").inner_text() == "writing"
        assert page.locator(".fact-phase").get_attribute("aria-live") == "polite"
        assert page.locator(".fact-live [aria-live]").count() == 1
        assert re.search(r"≈ \d+ tokens", page.locator(".fact-head").inner_text())
        for name in ("code", "prose", "keyword", "string", "comment", "number", "def"):
            self.assert_contrast(page, f".fact-live > .fact-attempt .fact-{name}")
        for part in (".fact-phase", ".fact-time", ".fact-stop", ".fact-earlier > summary"):
            self.assert_contrast(page, part)

    def assert_contrast(self, page, selector):
        """Text has at least 4.5 times the luminance of what is behind it, or the other way round."""
        pair = page.locator(selector).first.evaluate(
            """node => {
              const clear = /, 0\\)|transparent/;
              let behind = node;
              while (clear.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
              return [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor];
            }"""
        )
        light, dark = sorted(map(luminance, pair), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (selector, pair)


def luminance(colour):
    """Relative luminance as WCAG defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestHostileText:
    ATTACK = (
        '<script>window.owned=1</script><img src=x onerror="window.owned=2"><svg onload=window.owned=3>'
        "[x](javascript:window.owned=4)\x1b[31mred\x1b]8;;javascript:window.owned=5\x07link\x1b[2J\u202egnp.exe"
    )

    @pytest.fixture
    def attacked(self, open_notebook, site):
        attack = self.ATTACK
        site.server.reply(
            f"{attack}\n\n<b onmouseover='window.owned=6'>\n```python\n# {attack}\n"
            f"def evil(n: int) -> str:\n    '''{attack}'''\n    return ''\n```\n{attack}\n",
            pace=60,
            chunk=16,
        )
        site.server.writes(
            "import time\n\ndef rude(n: int) -> dict:\n"
            f"    text = {attack!r}\n    print(text, flush=True)\n    print('z' * 300_000, flush=True)\n"
            "    time.sleep(0.5 * n)\n    if n > 1:\n        raise ValueError(text)\n    return {text: [text]} if n else {}\n"
        )
        site.server.reply("```python\nx = '" + "y" * 1_000_000 + "'\n```\n", chunk=10_000, pace=60)
        cells = [
            "%load_ext fact_magics",
            f"%%fact_generate evil --attempts 1\n{attack}\n\n>>> evil(1)\n{attack!r}\n",
            "%%fact_generate rude\nRude.\n\n>>> rude(0)\n{}\n",
            "%%fact_run rude\nn = 1",
            "%%fact_run rude\nn = 2",
            "%%fact_run '<img src=x onerror=window.owned=7>'\nn = 1",
            "%%fact_generate big --attempts 1\nBig.\n\n>>> big(1)\n1\n",
            "%fact history",
        ]
        return open_notebook("hostile.ipynb", cells)

    def test_nothing_that_is_shown_runs_and_the_page_stays_small_enough_to_answer(self, attacked, pictures):
        """Cell by cell, since most of them fail."""
        page = attacked.page
        count = page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")
        seen = []
        for number in range(count):
            page.evaluate(
                "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", number
            )
            attacked.command("notebook:run-cell")
            page.wait_for_function(
                "n => { const cell = window.jupyterapp.shell.currentWidget.content.widgets[n];"
                " if (document.querySelector('.fact-live')) window.lived = (window.lived || 0) + 1;"
                " return cell.model.executionCount && cell.inputArea.promptNode.innerText !== '[*]:'; }",
                arg=number,
            )
            seen.append(page.evaluate("document.querySelectorAll('.jp-OutputArea-output *').length"))
        attacked.idle()
        assert page.evaluate("window.lived") > 3
        assert page.evaluate("window.owned") is None
        assert page.locator(".jp-OutputArea-output img, .jp-OutputArea-output script").count() == 0
        assert page.locator(".jp-OutputArea-output a[href^=javascript]").count() == 0
        shown = records(attacked)
        assert "<script>window.owned=1</script>" in shown
        assert "\u202e" not in shown
        assert max(seen) < 20_000
        page.screenshot(path=pictures / "hostile.png")
