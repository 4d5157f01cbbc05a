"""Take the README's pictures of cells in JupyterLab: ``python tests/browser/pictures.py``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from conftest import REPOSITORY, Front, launched, serving

IMAGES = REPOSITORY / "notebooks" / "images"
# Hide the controls of the selected cell and of the cell under the mouse, and narrow the prompts.
CALM = """.jp-Notebook .jp-Collapser-child, .jp-Cell-footer, .jp-cell-toolbar { visibility: hidden; }
.jp-Notebook .jp-Cell { --jp-cell-prompt-width: 44px; }"""
DURATION = '''import re

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def to_seconds(text: str) -> int:
    """Turn a duration like "1 h 30 min" into seconds."""
    parts = re.findall(r"(\\d+)\\s*([a-z]+)", text.lower())
'''
FIRST = f"{DURATION}    return sum(int(count) * SECONDS[unit] for count, unit in parts)\n"
SECOND = f"""{DURATION}    unknown = [unit for _, unit in parts if unit not in SECONDS]
    # Without a number, or with an unknown unit, the text is not a duration.
    if not parts or unknown:
        raise ValueError(f"{{text!r}} is not a duration")
    return sum(int(count) * SEC"""
GENERATE = """%%fact_generate to_seconds
Turn a duration like "1 h 30 min" into seconds.

>>> to_seconds("1 h 30 min")
5400

>>> to_seconds("90s")
90

>>> to_seconds("soon")
Traceback (most recent call last):
ValueError"""
SALES = '''def sales_by_month(rows: list[dict[str, str]]) -> list[dict[str, str | int]]:
    """Add up sales by month."""
    months: dict[str, list[int]] = {}
    for row in rows:
        months.setdefault(row["day"][:7], []).append(int(row["amount"]))
    return [{"month": m, "sales": len(a), "total": sum(a), "best": max(a)} for m, a in months.items()]
'''
SALES_CELL = """%%fact_generate sales_by_month
Add up sales by month.

>>> sales_by_month([{"day": "2026-07-01", "amount": "5"}])
[{"month": "2026-07", "sales": 1, "total": 5, "best": 5}]"""
SALES_ROWS = """%load_ext fact_magics
from random import Random

r = Random(3)
days = [f"2026-{month:02}-{r.randint(1, 28):02}" for month in range(7, 11) for _ in range(r.randint(80, 300))]
sales = [{"day": day, "amount": str(r.randint(5, 90))} for day in days]
"""
COUNT = '''from pathlib import Path


def count_words(text: str) -> int:
    """Count words."""
    Path("/etc/passwd").read_text()
    return len(text.split())
'''


def shoot(front: Front, name: str, first: int, last: int) -> None:
    """Take a picture of the cells from `first` to `last`; none of them is the selected cell."""
    front.page.add_style_tag(content=CALM)
    front.page.evaluate("inPage.notebook.activeCellIndex = 0")
    front.scroll(first)
    front.page.mouse.move(0, 0)
    cells = front.page.locator(".jp-Notebook .jp-Cell")
    top, bottom = cells.nth(first).bounding_box(), cells.nth(last).bounding_box()
    path = IMAGES / f"{name}.png"
    front.page.screenshot(path=path, clip={**top, "height": bottom["y"] + bottom["height"] - top["y"]})
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def first_tool(front: Front) -> None:
    """Show the first tutorial's tool, from the shelf."""
    front.site.copy(REPOSITORY / "notebooks" / "01_first_tool.ipynb", "01_first_tool.ipynb")
    front.open("01_first_tool.ipynb")
    front.run_all()
    front.done()
    shoot(front, "first_tool", 3, 3)


def streaming(front: Front) -> None:
    """Show a second attempt while it is written, and why the first attempt was rejected."""
    front.site.server.writes(FIRST)
    text = f"```python\n{SECOND}"
    front.site.server.breaks(text, "stall", after=len(text), pace=60)
    front.site.write("streaming.ipynb", ["%load_ext fact_magics", GENERATE])
    front.open("streaming.ipynb")
    front.run_all()
    front.page.locator(".fact-earlier > summary").click()
    front.page.wait_for_selector(".fact-live > .fact-attempt .fact-code >> text=* SEC")
    front.page.wait_for_selector("button.fact-stop")
    shoot(front, "streaming", 1, 1)
    front.page.locator("button.fact-stop").click()
    front.page.wait_for_selector(".fact-live", state="detached")


def isolation(front: Front) -> None:
    """Show a result from the cache, and an error that names the permission that a tool would need."""
    front.site.server.writes(SALES)
    front.site.server.writes(COUNT)
    run = "%%fact_run sales_by_month\nrows = sales"
    cells = [
        SALES_ROWS,
        SALES_CELL,
        "%%fact_generate count_words\nCount the words of a text.",
        *(run, run),
        "%%fact_run count_words\ntext = 'to be or not to be'",
    ]
    front.site.write("isolation.ipynb", cells, goes_on=True)
    front.open("isolation.ipynb")
    front.run_all()
    front.done()
    shoot(front, "isolation", 4, 5)


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as site, launched() as browser:
        front = Front(browser.new_page(viewport={"width": 1064, "height": 2000}), site)
        front.start()
        for take in (first_tool, streaming, isolation):
            take(front)


if __name__ == "__main__":
    main()
