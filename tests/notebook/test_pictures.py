"""Pictures in a kernel: from calls, in records, in `Out`, bound by ``--into``, and as the input of another tool."""

from __future__ import annotations

from base64 import b64decode

import pytest
from bs4 import BeautifulSoup
from charts import CHART

pytestmark = pytest.mark.kernel

DRAW = (
    "def draw(kind: str) -> str:\n"
    "    inside = '<script>window.owned = 1</script><circle r=\"9\"/>'\n"
    "    if kind == 'slow':\n"
    '        inside = \'<g id="a"><use href="#a"/></g>\'\n'
    '    return f\'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10">{inside}</svg>\'\n'
)
WEIGH = "def weigh(image: bytes) -> int:\n    return len(image)\n"
CHARTS = (
    CHART.replace("def chart(n: int) -> bytes", "def charts(n: int) -> list[bytes]")
    .replace("    return b", "    return [b")
    .replace('chunk(b"IEND", b"")', 'chunk(b"IEND", b"")] * 2')
)


@pytest.fixture(scope="module")
def drawing(module_desk):
    for name, source in {"chart": CHART, "draw": DRAW, "weigh": WEIGH, "charts": CHARTS}.items():
        made = module_desk.write(name, source)
        assert made.status == "ok", made.traceback
    return module_desk


@pytest.fixture
def desk(drawing):
    drawing.server._script.clear()
    return drawing


def test_an_example_still_compares_with_bytes(desk):
    source = CHART.replace("chart", "dot")
    png = desk.value("chart(1).hex()")
    cell = desk.write("dot", source, examples=f">>> dot(1)\n{bytes.fromhex(png)!r}\n")
    assert cell.status == "ok", cell.error
    assert "proven on 1 example" in cell.plain


@pytest.mark.parametrize("code", ["chart(30)", "display(chart(30))", "x = chart(30)\nawait chart.acall(30)"])
def test_a_call_shows_its_picture(desk, code):
    [display] = desk.run(code).displays
    data = display["data"]
    assert set(data) == {"image/png", "text/html", "text/plain"}
    assert data["text/plain"].startswith("<PNG picture · 30 by 30 pixels · ")
    assert b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert f'src="data:image/png;base64,{data["image/png"]}"' in data["text/html"]


def test_out_and_into_and_the_output_hold_it(desk):
    desk.run("chart(31)")
    desk.run("%%fact_run chart --into kept\nn = 31")
    held = "[type(x).__mro__[1].__name__ for x in (Out[max(Out) - 1], kept, _.result)]"
    assert desk.value(held) == ["Picture"] * 3
    assert desk.value("[kept == chart(31), isinstance(kept, bytes), kept[:4].hex()]") == [
        True,
        True,
        "89504e47",
    ]
    assert set(desk.run("kept").displays[0]["data"]) == {"image/png", "text/html", "text/plain"}


def test_a_record_has_the_picture_beside_its_html(desk):
    for code in ("%%fact_run chart\nn = 32", "%%fact_run chart\nn = 32", "_"):
        [display] = desk.run(code).displays
        assert set(display["data"]) == {"image/png", "text/html", "text/plain"}
        assert "PNG picture · 32 by 32 pixels" in display["data"]["text/plain"]
        assert "chart" in display["data"]["text/html"]


def test_a_list_of_pictures_is_described_in_a_call_and_drawn_in_a_record(desk):
    called = desk.run("charts(8)").plain
    assert called.count("<PNG picture · 8 by 8 pixels · ") == 2
    [display] = desk.run("%%fact_run charts\nn = 8").displays
    assert display["data"]["text/html"].count("<img ") == 2
    assert display["data"]["text/plain"].count("<PNG picture · 8 by 8 pixels · ") == 2


def test_it_is_the_input_of_another_tool_with_the_key_of_its_bytes(desk):
    assert desk.value("weigh(chart(33)) == len(chart(33))") is True
    before = desk.counts()["cache"]
    assert desk.value("weigh(bytes(chart(33)))") > 0
    assert desk.counts()["cache"] == before


def test_a_drawing_is_text_whose_scripts_can_t_run(desk):
    [display] = desk.run("draw('circle')").displays
    data = display["data"]
    assert set(data) == {"image/svg+xml", "text/html", "text/plain"}
    for shown in data.values():
        assert "<script" not in shown
    assert desk.value("draw('circle').startswith('<svg')") is True
    assert desk.run("print(draw('circle'))").stdout.startswith("<svg xmlns")


def test_a_drawing_that_takes_too_long_is_described(desk):
    for code in ("draw('slow')", "%%fact_run draw\nkind = 'slow'"):
        [display] = desk.run(code).displays
        assert set(display["data"]) == {"text/html", "text/plain"}
        assert "not shown, because some of its elements contain each other" in display["data"]["text/html"]
        assert "<img" not in display["data"]["text/html"]


def test_exports_of_a_notebook_show_it(desk):
    from nbconvert.exporters import HTMLExporter, LatexExporter
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    outputs = []
    for code in ("chart(34)", "%%fact_run chart\nn = 34", "draw('circle')"):
        [display] = desk.run(code).displays
        outputs.append(new_output("display_data", data=display["data"]))
    notebook = new_notebook(cells=[new_code_cell("chart(34)", outputs=outputs)])
    page = BeautifulSoup(HTMLExporter().from_notebook_node(notebook)[0], "html.parser")
    images = page.select(".jp-OutputArea-output img")
    assert [image["src"].partition(";")[0] for image in images] == [
        "data:image/png",
        "data:image/png",
        "data:image/svg+xml",
    ]
    assert not page.select(".jp-OutputArea-output script")
    notebook.cells[0].outputs.pop()  # to convert SVG to PDF, nbconvert would need Inkscape
    _, resources = LatexExporter().from_notebook_node(notebook)
    assert [name.rpartition(".")[2] for name in resources["outputs"]] == ["png", "png"]
