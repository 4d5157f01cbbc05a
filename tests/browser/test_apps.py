"""Cells in a browser: during the work, after it, and when the notebook is opened again."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from charts import CHART
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.early]

TUTORIALS = Path(__file__).parent.parent.parent / "notebooks"
SOURCE = (
    'def weigh(n: int) -> int:\n    """Weigh a number.\n\n    In `ticks` and **stars**.\n    """\n'
    + "".join(f"    part_{i} = len('text {i}') * {i}  # remark number {i}\n" for i in range(30))
    + "    return n\n"
)
GENERATE = "%%fact_generate weigh\nWeigh a number.\n\n>>> weigh(1)\n1\n\n>>> weigh(2)\n2\n"
BAR = (
    "import time\n\ndef bar(n: int) -> int:\n    for i in range(n):\n"
    "        print(f'\\r{i + 1} of {n} \\x1b[32m' + '#' * (i + 1) + '\\x1b[0m', end='', flush=True)\n"
    "        time.sleep(0.1)\n    print('\\n\\x1b[1;31mover\\x1b[0m \\x1b[33mand \\x1b[34mdone \\x1b[35mwith\\x1b[36m it\\x1b[0m')\n"
    "    return n\n"
)
COUNT = (
    "import time\n\ndef count_up(n: int) -> int:\n"
    + "".join(f"    # remark number {i}\n" for i in range(20))
    + "    for i in range(n):\n"
    "        print('counted', i, flush=True)\n        time.sleep(0.2)\n    return n\n"
)
DRAW_REQUEST = "%%fact_generate draw\nDraw something.\n\n>>> draw('nothing')\n'nothing'\n"
DRAW = """def draw(kind: str) -> str:
    layers = "".join(f'<g id="a{n}">' + f'<use href="#a{n - 1}"/>' * 10 + "</g>" for n in range(1, 10))
    drawn = {
        "circle": '<circle cx="60" cy="40" r="30" fill="teal"/>',
        "uses": '<rect id="a0" width="9" height="9"/>' + layers,
        "dashes": '<path d="M0 0C1e4 9e3 -1e4 9e3 400 400" stroke="red" stroke-dasharray=".02"/>' * 100,
        "path": '<path d="M0 0' + "L120 80L60 0L0 80" * 60_000 + '"/>',
    }
    if kind not in drawn:
        return kind
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80">{drawn[kind]}</svg>'
"""
ATTACK = (
    '<script>window.owned=1</script><img src=x onerror="window.owned=2"><svg onload=window.owned=3>'
    "[x](javascript:window.owned=4)\x1b[31mred\x1b]8;;javascript:window.owned=5\x07link\x1b[2J\u202egnp.exe"
)
DRAW_ONE = (
    'def draw_one(n: int) -> str:\n    return \'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40">'
    '<script>window.owned=1</script><circle r="9"/></svg>\'\n'
)
LIST_ROWS = "def list_rows(n: int) -> list[dict[str, int]]:\n    return [{'n': i} for i in range(n)]\n"
ECHO = "def echo(text: str) -> str:\n    return text\n"
# The place and the size of the first text in the output of each of these cells.
TEXTS = """(cells) => cells.map((cell) => {
  const output = inPage.notebook.widgets[cell].node.querySelector('.jp-OutputArea-output');
  const texts = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
  while (texts.nextNode() && !texts.currentNode.textContent.trim());
  const range = document.createRange();
  range.selectNodeContents(texts.currentNode);
  const style = getComputedStyle(texts.currentNode.parentElement);
  return [Math.round(range.getClientRects()[0].left), style.fontSize, style.lineHeight];
})"""
OUTPUT = ".jp-OutputArea-output"
SHOWS = f"part => [...document.querySelectorAll('{OUTPUT}')].some((node) => node.textContent.includes(part))"
WINDOW = {"width": 1000, "height": 900}
RECORD = f"{OUTPUT}.jp-RenderedHTMLCommon"
ERRORS = re.compile("Error displaying widget|model not found|Loading widget", re.IGNORECASE)


def saved_without_widgets(front):
    """Save the notebook; JupyterLab is set to save all widget state that it finds, and must find none."""
    end = time.monotonic() + 10
    while True:
        saved = front.save()
        states = [state["state"] for state in saved.metadata.get("widgets", {}).values()]
        # If a view ended before its code was loaded, its model is closed a moment later.
        if states in ([], [{}]) or time.monotonic() > end:
            break
    assert states in ([], [{}])
    for cell in saved.cells:
        for output in cell.get("outputs", ()):
            assert set(output.get("data", {})) <= {"text/html", "text/plain"}
    return saved


def assert_grew(saw):
    """Assert that streamed text was shown as it came, and that none of it was removed."""
    assert len(saw["lengths"]) > 4
    assert saw["lengths"] == sorted(saw["lengths"])
    assert saw["keywords"]
    assert "writing" in saw["phases"]


def stop(front):
    """Click the Stop button, and wait until the record has replaced the view."""
    front.page.locator("button.fact-stop").click()
    front.page.wait_for_selector(".fact-live", state="detached")


class TestJupyterLab:
    CELLS = (
        "%load_ext fact_magics",
        GENERATE,
        "%%fact_generate bar\nDraw a bar.\n\n>>> bar(0)\n0\n",
        "%%fact_run bar --fresh\nn = 12",
        "%%fact_run bar\nn = 2",
        "",
    )

    def test_text_grows_then_one_record_stays_after_saving_running_again_and_reloading(
        self, lab, site, pictures
    ):
        """One notebook: its first run, a second run, a reload, and a reader who does not trust it."""
        site.server.writes(SOURCE, before="First thoughts.", pace=80, chunk=8)
        site.server.writes(BAR)
        site.write("story.ipynb", self.CELLS)
        lab.open("story.ipynb")
        lab.run_all()
        lab.done()
        saw = lab.saw()
        assert_grew(saw)
        assert 100 < saw["tallest"] < 450
        assert "running" in saw["phases"]
        assert len([row for row in saw["rows"] if "#" in row]) >= 3
        self.assert_lasting(lab)
        assert "✓" in lab.shown()
        lab.page.screenshot(path=pictures / "records.png")
        first = saved_without_widgets(lab)

        lab.run_all()
        lab.done()
        assert lab.saw()["views"]
        self.assert_completes(lab, pictures)
        again = saved_without_widgets(lab)
        assert [len(cell.outputs) for cell in again.cells[1:]] == [1, 1, 1, 1, 0]
        # The tool is known by now, so the second record has other words.
        assert len(json.dumps(again)) < 1.2 * len(json.dumps(first))

        lab.page.reload()
        lab.open("story.ipynb")
        assert lab.page.evaluate("inPage.code[1].trusted")
        self.assert_lasting(lab)
        assert not lab.faint(RECORD)
        lab.theme("Dark")
        assert not lab.faint(RECORD)
        lab.page.screenshot(path=pictures / "dark records.png")
        lab.theme("Light")

        again.cells[0].source += "  # by someone else"
        (site.folder / "untrusted.ipynb").write_text(json.dumps(again), "utf-8")
        lab.open("untrusted.ipynb")
        assert not lab.page.evaluate("inPage.code[1].trusted")
        self.assert_lasting(lab)
        assert not lab.faint(RECORD)
        lab.page.screenshot(path=pictures / "untrusted.png")

    def assert_lasting(self, lab):
        # JupyterLab draws the cells of a notebook that it opens one after the other.
        for part in (
            "proven on 2 examples",
            "weigh 1.0.0",
            "12 of 12 ############",
            "over and done with it",
            "return n",
        ):
            lab.page.wait_for_function(SHOWS, arg=part)
        assert lab.page.locator(".fact-live").count() == 0
        shown = lab.shown()
        assert not ERRORS.search(shown)
        assert "11 of 12" not in shown

    def assert_completes(self, lab, pictures):
        """Press Tab in the last cell, which is empty before and after."""
        keyboard = lab.page.keyboard
        lab.page.locator(".jp-Notebook .jp-Cell .cm-content").last.click()
        for typed, offered in (("%%fact_run ba", ["bar"]), (" --in", ["--in-kernel", "--into"])):
            keyboard.type(typed)
            keyboard.press("Tab")
            lab.page.wait_for_selector(f".jp-Completer-match >> text={offered[-1]}")
            assert lab.page.locator(".jp-Completer-match").all_text_contents() == offered
            lab.page.screenshot(path=pictures / f"completion of {typed.strip()}.png")
            keyboard.press("Enter")
            lab.page.wait_for_selector(".jp-Completer", state="hidden")
        source = lab.page.evaluate("inPage.notebook.activeCell.model.sharedModel.source")
        assert source == "%%fact_run bar --in-kernel"
        keyboard.press("Control+a")
        keyboard.press("Delete")
        keyboard.press("Escape")

    def test_results_line_up_with_outputs_of_jupyter_and_pictures_are_drawn(self, lab, site, pictures):
        """In the light and the dark theme, in a narrow window, and for a reader who does not trust the notebook."""
        for source in (CHART, DRAW_ONE, LIST_ROWS, ECHO):
            site.server.writes(source)
        cells = [
            "%load_ext fact_magics",
            *(f"%%fact_generate {name}\nDo {name}." for name in ("chart", "draw_one", "list_rows", "echo")),
            "'text'",
            "%%fact_run echo\ntext = 'text'",
            "%%fact_run list_rows\nn = 300",
            "chart(40)",
            "%%fact_run chart\nn = 40",
            "draw_one(1)",
        ]
        site.write("lined.ipynb", cells)
        lab.open("lined.ipynb")
        lab.page.set_viewport_size({**WINDOW, "height": 4000})
        lab.run_all()
        lab.done()
        lab.scroll(0)
        own, ours, caption = lab.page.evaluate(TEXTS, [5, 6, 7])
        assert ours == own
        assert caption[0] == own[0]
        assert lab.page.locator("caption").first.evaluate("node => node.getBoundingClientRect().height") < 40
        saved = lab.save()
        for width, theme in ((500, "Light"), (1000, "Dark"), (1000, "Light")):
            lab.page.set_viewport_size({"width": width, "height": 4000})
            lab.theme(theme)
            self.assert_pictured(lab)
            for record in lab.page.locator(RECORD).all():
                assert record.evaluate("node => node.scrollWidth <= node.clientWidth")
            lab.page.screenshot(path=pictures / f"lined {width} {theme.lower()}.png")
        saved.cells[0].source += "  # by someone else"
        (site.folder / "lined untrusted.ipynb").write_text(json.dumps(saved), "utf-8")
        lab.open("lined untrusted.ipynb")
        assert not lab.page.evaluate("inPage.code[1].trusted")
        self.assert_pictured(lab)
        lab.page.screenshot(path=pictures / "lined untrusted.png")
        lab.page.set_viewport_size(WINDOW)

    def assert_pictured(self, lab):
        lab.page.wait_for_function(f"document.querySelectorAll('{RECORD} img').length == 3")
        widths = [
            image.evaluate("image => image.decode().then(() => image.naturalWidth)")
            for image in lab.page.locator(f"{RECORD} img").all()
        ]
        assert widths == [40, 40, 60]
        assert lab.page.evaluate("window.owned") is None

    def test_drawings_that_take_too_long_are_not_drawn_live_or_when_the_notebook_is_opened(
        self, lab, site, pictures
    ):
        """One picture is shown; three that would stop the page for minutes are described."""
        site.server.writes(DRAW)
        run = "%%fact_run draw\nkind = "
        kinds = ("circle", "uses", "dashes", "path")
        site.write("drawings.ipynb", ["%load_ext fact_magics", DRAW_REQUEST, *(run + repr(k) for k in kinds)])
        lab.open("drawings.ipynb")
        lab.run_all()
        lab.done()
        self.assert_drawn(lab, pictures / "drawings.png")
        lab.save()
        lab.page.reload()
        lab.open("drawings.ipynb")
        self.assert_drawn(lab, pictures / "drawings opened again.png")

    def assert_drawn(self, lab, picture):
        """Scroll through all outputs until the page has drawn each of them."""

        def described():
            for cell in range(2, 6):
                lab.scroll(cell)
                lab.page.evaluate(
                    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
                )
                lab.page.screenshot(path=picture)
            return lab.shown().count("not shown, because drawing it would take too long")

        until(lambda: described() >= 3)
        lab.scroll(2)
        images = lab.page.locator(f"{RECORD} img")
        images.first.wait_for()
        assert images.count() == 1
        assert images.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 120
        lab.page.screenshot(path=picture)

    def test_a_click_stops_the_cell_and_those_queued_behind_it_and_keeps_what_was_written(
        self, lab, site, pictures
    ):
        """Run in the dark theme, where all text must be readable too."""
        source = SOURCE.replace("weigh", "measure")
        site.server.writes(source.replace("return n", "return n + 1"), before="First thoughts.")
        text = f"That was wrong.\n\n```python\n{source}"
        site.server.breaks(text, "stall", after=len(text), pace=150, chunk=8)
        after = [f"after_{n} = 1" for n in range(40)]
        site.write("stop.ipynb", ["%load_ext fact_magics", GENERATE.replace("weigh", "measure"), *after])
        asked = len(site.server.requests)
        lab.open("stop.ipynb")
        lab.theme("Dark")
        page = lab.page
        lab.run_all()

        # Run All scrolled to the last cell. The view is built when it is scrolled to, and has all of the text.
        assert site.server.wait_for_request(asked + 2, 60)
        lab.scroll(1)
        page.wait_for_selector(".fact-earlier")
        page.wait_for_selector(".fact-live > .fact-attempt .fact-code >> text=remark number 29")
        assert "That was wrong." in page.locator(".fact-live > .fact-attempt").text_content()
        self.assert_told(page)
        assert not lab.faint(".fact-live")
        page.screenshot(path=pictures / "dark.png")
        stop(lab)
        page.wait_for_selector("text=Writing measure was stopped")
        lab.idle()
        assert site.server.wait_for_disconnect()
        shown = lab.shown()
        for part in (
            "interrupted",
            "What was wrong",
            "Text from the model",
            "remark number 29",
        ):
            assert part in shown
        assert not lab.faint(RECORD)
        page.screenshot(path=pictures / "stopped.png")
        lab.theme("Light")
        assert set(lab.counts()[2:]) == {None}
        # The kernel still works.
        site.server.writes(source)
        lab.run_all()
        lab.done()
        assert "proven on 2 examples" in lab.shown()

    def assert_told(self, page):
        earlier = page.locator(".fact-earlier")
        assert "Attempt 1: 2 of 2 examples failed" in earlier.inner_text()
        earlier.locator("summary").click()
        assert "measure(1) should give 1, but gave 2" in earlier.inner_text()
        assert "✗" in earlier.inner_text()
        assert page.locator(".fact-phase").inner_text() == "writing"
        assert page.locator(".fact-phase").get_attribute("aria-live") == "polite"
        assert page.locator(".fact-live [aria-live]").count() == 1
        assert re.search(r"≈ \d+ tokens", page.locator(".fact-head").inner_text())

    @pytest.mark.parametrize("name", ["01_first_tool"])
    def test_run_all_of_a_tutorial_shows_what_was_saved_with_it_in_both_themes(
        self, lab, site, pictures, name
    ):
        """Run without a key, in the kernel that the notebook names."""
        saved = site.copy(TUTORIALS / f"{name}.ipynb", f"{name}.ipynb")
        kinds = [[output.output_type for output in cell.get("outputs", ())] for cell in saved.cells]
        lab.open(f"{name}.ipynb")
        lab.run_all()
        lab.done()
        made = saved_without_widgets(lab)
        assert [[output.output_type for output in cell.get("outputs", ())] for cell in made.cells] == kinds
        shown = lab.shown()
        for part in (
            "proven on 2 examples",
            "What was wrong",
            "cached",
            "the-hitchhikers-guide-to-the-galaxy",
        ):
            assert part in shown
        call = lab.page.locator(f'{RECORD} td > code >> text=slugify("Héllo, Wörld!")').first
        assert call.evaluate("node => node.getClientRects().length") == 1  # short code is not wrapped
        lab.scroll(0)
        lab.page.set_viewport_size({**WINDOW, "height": 4000})
        for theme in ("Dark", "Light"):
            lab.theme(theme)
            assert not lab.faint(RECORD)
            lab.page.screenshot(path=pictures / f"tutorial {theme.lower()}.png")
        lab.page.set_viewport_size(WINDOW)

    @pytest.mark.parametrize("name", ["01_first_tool", "02_running_and_caching"])
    def test_a_tutorial_runs_twice_and_again_when_it_is_opened_again_and_its_cells_stay_as_they_are(
        self, lab, site, name
    ):
        opened = f"{name} twice.ipynb"
        given = site.copy(TUTORIALS / f"{name}.ipynb", opened)
        lab.open(opened)
        self.assert_runs_as_given(lab, given)
        self.assert_runs_as_given(lab, given)
        lab.page.reload()
        lab.open(opened)
        self.assert_runs_as_given(lab, given)

    def assert_runs_as_given(self, lab, given):
        """Run all cells, and find in the saved file the given cells, with errors only where they belong."""
        lab.run_all()
        lab.done()
        made = saved_without_widgets(lab)
        assert [cell.source for cell in made.cells] == [cell.source for cell in given.cells]
        for cell in made.cells:
            failed = any(output.output_type == "error" for output in cell.get("outputs", ()))
            assert failed == ("raises-exception" in cell.metadata.get("tags", ())), cell

    def test_nothing_hostile_that_is_shown_runs_and_the_page_stays_small_enough_to_answer(
        self, lab, site, pictures
    ):
        """Hostile text in descriptions, model responses, names, printed text, results, errors and the history."""
        site.server.reply(
            f"{ATTACK}\n\n<b onmouseover='window.owned=6'>\n```python\n# {ATTACK}\n"
            f"def evil(n: int) -> str:\n    '''{ATTACK}'''\n    return ''\n```\n{ATTACK}\n",
            pace=60,
            chunk=16,
        )
        site.server.writes(
            "import time\n\ndef rude(n: int) -> dict:\n"
            f"    text = {ATTACK!r}\n    print(text, flush=True)\n    print('z' * 300_000, flush=True)\n"
            "    time.sleep(0.5 * n)\n    if n > 1:\n        raise ValueError(text)\n    return {text: [text]} if n else {}\n"
        )
        site.server.reply("```python\nx = '" + "y" * 1_000_000 + "'\n```\n", chunk=10_000, pace=80)
        cells = [
            "%load_ext fact_magics",
            f"%%fact_generate evil --attempts 1\n{ATTACK}\n\n>>> evil(1)\n{ATTACK!r}\n",
            "%%fact_generate rude\nRude.\n\n>>> rude(0)\n{}\n",
            "%%fact_run rude\nn = 1",
            "%%fact_run rude\nn = 2",
            "%%fact_run '<img src=x onerror=window.owned=7>'\nn = 1",
            "%%fact_generate big --attempts 1\nBig.\n\n>>> big(1)\n1\n",
            "%fact history",
        ]
        site.write("hostile.ipynb", cells, goes_on=True)
        lab.open("hostile.ipynb")
        lab.run_all()
        lab.done()
        page = lab.page
        saw = lab.saw()
        assert saw["views"] >= 4
        assert saw["nodes"] < 20_000
        assert page.evaluate("window.owned") is None
        assert page.locator(f"{OUTPUT} img, {OUTPUT} script, {OUTPUT} a[href^=javascript]").count() == 0
        table = page.locator(f"{RECORD} div:has(> table)").first
        # Text without spaces wraps, so every column is in sight.
        assert table.evaluate("node => node.scrollWidth <= node.clientWidth")
        shown = lab.shown()
        assert "<script>window.owned=1</script>" in shown
        assert "\u202e" not in shown
        page.screenshot(path=pictures / "hostile.png")


class TestNotebook7:
    CELLS = (
        "%load_ext fact_magics",
        "%%fact_generate count_up\nCount slowly.\n\n>>> count_up(0)\n0\n",
        "%%fact_run count_up\nn = 600",
        "after = 1",
    )

    def test_text_grows_a_click_stops_the_run_and_what_is_saved_reads_the_same_when_it_is_loaded(
        self, classic, site, pictures
    ):
        """Run all cells, then load the page again."""
        site.server.writes(COUNT, pace=60)
        site.write("classic.ipynb", self.CELLS)
        classic.load("notebooks/classic.ipynb")
        page = classic.page
        classic.run_all()
        page.wait_for_selector(".fact-row >> text=counted 3")
        assert page.locator(".fact-phase").inner_text() == "running"
        assert not classic.faint(".fact-live")
        classic.scroll(2)
        page.screenshot(path=pictures / "notebook.png")
        stop(classic)
        assert_grew(classic.saw())
        page.wait_for_selector("text=count_up was stopped")
        classic.idle()
        assert classic.counts()[3] is None

        saved_without_widgets(classic)
        page.reload()
        classic.idle()
        shown = classic.shown()
        assert not ERRORS.search(page.inner_text("body"))
        for part in ("proven on 1 example", "counted 3", "interrupted", "count_up was stopped"):
            assert part in shown
        assert not classic.faint(RECORD)
