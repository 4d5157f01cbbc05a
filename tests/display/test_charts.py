"""Charts as SVG and as plain text."""

from __future__ import annotations

from fact_magics.display.charts import Series, bar_chart

LABELS = ["2026-11-20", "2026-11-21", "2026-11-22"]


def test_a_chart_tells_its_numbers_in_svg_and_in_plain_text(parse):
    record = bar_chart(
        "Over time", LABELS, [Series("runs", "#123456", [8, 0, 1]), Series("hits", "#654321", [0, 0, 7])]
    )
    assert record.plain.splitlines() == [
        "Over time, 2026-11-20 to 2026-11-22, at most 8 in one bar",
        "  runs  █ ▁  9",
        "  hits    ▇  7",
    ]
    figure = parse(record.html)
    [drawing] = figure.all("svg")
    assert drawing.attributes["role"] == "img"
    assert drawing.all("title")[0].text == "Over time"
    assert drawing.all("desc")[0].text == (
        "3 bars from 2026-11-20 to 2026-11-22: 9 runs, 7 hits; at most 8 in one bar."
    )
    assert [bar.all("title")[0].text for bar in drawing.all("g")] == [
        "2026-11-20: 8 runs, 0 hits",
        "2026-11-21: 0 runs, 0 hits",
        "2026-11-22: 1 runs, 7 hits",
    ]
    heights = [(bar.attributes["fill"], float(bar.attributes["height"])) for bar in drawing.all("rect")]
    assert heights == [("#123456", 60.0), ("#123456", 7.5), ("#654321", 52.5)]
    assert {text.attributes["style"] for text in drawing.all("text")} == {
        "font:10px sans-serif;fill:currentcolor"
    }
    assert "■ runs (9) ■ hits (7)" in " ".join(figure.all("figcaption")[0].text.split())


def test_hostile_labels_are_text(parse):
    record = bar_chart("<b>", ["<script>\x1b[2J"], [Series("runs", "red", [1])])
    assert not parse(record.html).all("script", "b")
    assert "\x1b" not in record.html + record.plain


def test_a_chart_of_nothing_has_no_bars(parse):
    record = bar_chart("Nothing", ["now"], [Series("runs", "red", [0])])
    assert parse(record.html).all("rect") == []
    assert record.plain.splitlines()[1] == "  runs     0"
