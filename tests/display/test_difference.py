"""What changed between two texts, as lines and in words."""

from __future__ import annotations

from fact_magics.display.difference import difference

BEFORE = "def f(n):\n    return n\n"


def test_added_and_removed_lines_are_marked_counted_and_coloured():
    shown = difference("Source", BEFORE, "def f(n):\n    n += 1\n    return n + 1\n", ("f@1.0.0", "f@1.0.1"))
    assert shown.summary == "2 lines added, 1 line removed"
    record = shown.record()
    assert record.plain == (
        "Source: 2 lines added, 1 line removed\n--- f@1.0.0\n+++ f@1.0.1\n@@ -1,2 +1,3 @@\n def f(n):\n"
        "-    return n\n+    n += 1\n+    return n + 1"
    )
    for colour, line in (("#d23c37", "-    return n"), ("#21863a", "+    n += 1")):
        [markup] = [
            part
            for part in record.html.split("<span")
            if part.endswith((f"{line}</span>\n", f"{line}</span>"))
        ]
        assert colour in markup


def test_a_line_that_looks_like_the_head_of_a_diff_is_counted_as_a_line():
    assert difference("Source", "", "++ x\n", ("a", "b")).summary == "1 line added"
    assert difference("Source", "-- x\n", "", ("a", "b")).summary == "1 line removed"


def test_equal_texts_have_no_lines():
    same = difference("Source", BEFORE, BEFORE, ("a", "b"))
    assert (same.lines, same.summary) == ([], "unchanged")


def test_hostile_text_stays_inert():
    record = difference("Source", "", "<script>\x1b[31m\u202e", ("a", "b")).record()
    assert "<script" not in record.html
    for text in (record.html, record.plain):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_texts_that_are_too_long_to_compare_only_differ():
    before = "".join(f"x = {number % 300}\n" for number in range(5_000))
    shown = difference("Source", before, before + "y = 1\n", ("a", "b"))
    assert shown.lines == []
    assert shown.summary == "different, too long to compare: 5,000 lines before, 5,001 lines after"
    assert difference("Source", before, before, ("a", "b")).summary == "unchanged"


def test_a_form_feed_does_not_end_a_line():
    assert difference("Source", "", "a\x0cb\x85c\n", ("a", "b")).summary == "1 line added"
