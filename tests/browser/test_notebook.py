"""The same in Notebook 7, with its settings as they are."""

from __future__ import annotations

SOURCE = (
    "import time\n\ndef count_up(n: int) -> int:\n    # one\n    # two\n    for i in range(n):\n"
    "        print('counted', i, flush=True)\n        time.sleep(0.5)\n    return n\n"
)
CELLS = (
    "%load_ext fact_magics",
    "%%fact_generate count_up\nCount slowly.\n\n>>> count_up(0)\n0\n",
    "%%fact_run count_up\nn = 600",
    "after = 1",
)


def test_text_grows_a_click_stops_the_run_and_what_is_saved_reads_the_same_when_it_is_loaded(
    open_notebook, site, pictures
):
    """From Run All to a page that was loaded anew."""
    site.server.writes(SOURCE, pace=30)
    front = open_notebook("classic.ipynb", CELLS, app="notebooks")
    page = front.page
    front.run_all()
    page.wait_for_selector(".fact-live .fact-keyword")
    page.wait_for_selector(".fact-row >> text=counted 1")
    assert page.locator(".fact-phase").inner_text() == "running"
    page.wait_for_selector(".fact-row >> text=counted 3")
    page.screenshot(path=pictures / "notebook.png")
    page.locator("button.fact-stop").click()
    page.wait_for_selector(".fact-live", state="detached")
    page.wait_for_selector("text=count_up was stopped")
    front.idle()
    counts = page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.executionCount)"
    )
    assert counts[3] is None

    front.save()
    saved = site.read("classic.ipynb")
    assert "widgets" not in saved.metadata
    for cell in saved.cells:
        for output in cell.outputs:
            assert set(output.get("data", {})) <= {"text/html", "text/plain"}
    page.reload()
    front.idle()
    shown = page.inner_text("body")
    assert "Error displaying widget" not in shown
    for part in ("proven on 1 example", "counted 3", "interrupted", "count_up was stopped"):
        assert part in shown
