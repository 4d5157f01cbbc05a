"""The question of a probe in JupyterLab and Notebook 7: a click on an answer takes it."""

from __future__ import annotations

import nbformat
import pytest

pytestmark = pytest.mark.slow

CLIP = 'def {}(text: str, size: int = 5) -> str:\n    """Shorten a text."""\n    return text[:size] + "…" if len(text) > size else text\n'
CELLS = (
    "%load_ext fact_magics\n%config FactMagics.probe = 'auto'",
    '%%fact_generate {0}\nShorten a text.\n\n>>> {0}("abcdefgh")\n"abcde…"\n',
    "after = 1",
)
BUTTON = "button.fact-answer"


@pytest.mark.parametrize(("front", "path"), [("lab", ""), ("classic", "notebooks/")])
def test_a_click_on_an_answer_runs_its_line_in_a_cell_below(
    request: pytest.FixtureRequest, front: str, path: str
) -> None:
    """Where a click would do nothing, in outputs that are not trusted, the buttons are not shown."""
    window, site = request.getfixturevalue(front), request.getfixturevalue("site")
    name = f"shorten_{front}"
    site.server.writes(CLIP.format(name))
    site.write(f"{name}.ipynb", [cell.format(name) for cell in CELLS])
    (window.load if path else window.open)(f"{path}{name}.ipynb")
    page = window.page
    window.run_all()
    window.done()
    window.scroll(1)
    buttons = page.locator(BUTTON)
    buttons.first.wait_for(state="visible")
    assert buttons.count() >= 2
    assert buttons.first.get_attribute("title") == f"%fact answer {name} 1"
    buttons.first.click()
    page.wait_for_selector(f"text={name} is now 1.1.0 in this notebook")
    window.idle()
    saved = window.save()
    sources = [cell.source for cell in saved.cells]
    assert sources[2] == f"%fact answer {name} 1"
    assert sources[3].startswith(f"%%fact_generate {name}\n")
    assert sources[3].count(">>>") == 2
    assert sources[4] == "after = 1"

    saved.cells[4].source = "after = 2"  # so that Jupyter does not trust the outputs
    nbformat.write(saved, site.folder / f"other_{name}.ipynb")
    (window.load if path else window.open)(f"{path}other_{name}.ipynb")
    window.scroll(1)
    page.wait_for_selector("text=what should this give?")
    assert not any(button.is_visible() for button in page.locator(BUTTON).all())
