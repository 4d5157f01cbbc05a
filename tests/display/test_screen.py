"""Printed text as a terminal shows it."""

from __future__ import annotations

import re

import pytest

from fact_magics.display.html import coloured
from fact_magics.display.record import printed_text, stopped_record
from fact_magics.display.screen import Screen, draws


def shown(text, kept=2_000):
    screen = Screen(kept)
    screen.write(text)
    return list(screen.lines())


def plain(text, kept=2_000):
    return ["".join(part for _, part in line) for line in shown(text, kept)]


class TestMoves:
    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            ("", [""]),
            ("one\ntwo", ["one", "two"]),
            ("one\n", ["one", ""]),
            ("a\r\nb", ["a", "b"]),
            (" 10%\r 20%\r100%", ["100%"]),
            ("long one\rshort", ["shortone"]),
            ("long one\r\x1b[Kshort", ["short"]),
            ("abc\x08\x08X", ["aXc"]),
            ("one\ntwo\x1b[1A\rONE\x1b[1B\rTWO", ["ONE", "TWO"]),
            ("one\n\n\x1b[2Auno", ["uno", "", ""]),
            ("one\ntwo\nthree\x1b[1A\x1b[J", ["one", "two"]),
            ("one\ntwo\x1b[99A\rX", ["Xne", "two"]),
            ("ab\x1b[3Cc", ["ab   c"]),
            ("abcdef\x1b[3D!", ["abc!ef"]),
            ("abcdef\x1b[2G!", ["a!cdef"]),
            ("abcdef\x1b[3D\x1b[1K", ["    ef"]),
            ("abc\x1b[2Kd", ["   d"]),
        ],
    )
    def test_the_moves_of_progress_bars_are_made(self, text, lines):
        assert plain(text) == lines

    def test_a_folded_line_is_one_line_again(self):
        [line] = plain("x" * 2_500)
        assert line == "x" * 2_500
        screen = Screen()
        screen.write("x" * 2_500)
        assert [len(run[0][1]) for run in screen.changes().values()] == [1_000, 1_000, 500]

    def test_a_line_that_is_exactly_as_wide_as_the_screen_is_followed_by_no_empty_one(self):
        assert plain("x" * 1_000 + "\ny") == ["x" * 1_000, "y"]

    def test_only_the_last_rows_are_kept_and_the_others_counted(self):
        screen = Screen(10)
        screen.write("".join(f"{number}\n" for number in range(100)))
        assert plain("".join(f"{number}\n" for number in range(100)), 10) == [*map(str, range(91, 100)), ""]
        assert (screen.dropped, screen.end) == (91, 101)


class TestColours:
    def test_each_run_carries_its_look(self):
        assert shown("a\x1b[31mb\x1b[1mc\x1b[0md") == [[("", "a"), ("c1", "b"), ("b c1", "c"), ("", "d")]]

    @pytest.mark.parametrize(
        ("codes", "look"),
        [
            ("92", "c10"),
            ("44", "g4"),
            ("4;3;2;1", "b d i u"),
            ("1;22", ""),
            ("31;39", ""),
            ("38;5;9", "c9"),
            ("38;5;196", "c9"),
            ("38;5;244", "c8"),
            ("38;2;0;120;0", "c2"),
            ("48;2;0;0;250", "g12"),
            ("38;5", ""),
            ("38;2;1", ""),
            ("999", ""),
            ("", ""),
        ],
    )
    def test_every_form_of_a_colour_becomes_one_of_sixteen(self, codes, look):
        assert shown(f"\x1b[{codes}mx") == [[(look, "x")]]

    def test_what_is_written_over_keeps_the_look_of_the_rest(self):
        assert shown("\x1b[31mred red\x1b[0m\rblu") == [[("", "blu"), ("c1", " red")]]

    def test_in_markup_they_are_styles_of_spans_and_nothing_else(self):
        lines = shown("\x1b[31;1m<b>&\x1b[0m \x1b[42mon\x1b[0m")
        assert coloured(lines, 100) == (
            '<span style="font-weight:bold;color:#d23c37;color:color-mix(in srgb,#d23c37 70%,currentcolor)">&lt;b&gt;&amp;</span> '
            '<span style="background-color:#21863a;color:#fff">on</span>'
        )
        assert (
            coloured(lines, 2)
            == '<span style="font-weight:bold;color:#d23c37;color:color-mix(in srgb,#d23c37 70%,currentcolor)">&lt;b</span>'
        )


class TestHostile:
    @pytest.mark.parametrize(
        "text",
        [
            "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
            "\x1b]0;title\x1b\\link",
            "\x1b[?25llink\x1b[?25h",
            "\x1b(Blink",
            "\x1b[5nlink\x1b[6n",
        ],
    )
    def test_titles_links_queries_and_modes_are_dropped(self, text):
        assert plain(text) == ["link"]

    @pytest.mark.parametrize(
        "text", ["\x1bc", "\x07", "\x00", "\x9b31m", "\u202e", "\x1bP+q\x1b\\", "\udcff"]
    )
    def test_every_other_control_is_written_out(self, text):
        [line] = plain(f"a{text}b")
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", line)
        assert line.startswith("a\\")

    @pytest.mark.parametrize(
        "text",
        ["\x1b[99999999999999999999A", "\x1b[999999999Cx", "\x1b[" + "1;" * 5_000 + "m", "\x1b[" * 9_000],
    )
    def test_numbers_beyond_reason_cost_nothing(self, text):
        assert len(plain(text)[0]) <= 1_000 + 5 * len(text)

    def test_a_control_that_comes_in_pieces_is_one_control(self):
        screen = Screen()
        for character in "a\x1b[31mb\x1b]8;;http://x\x1b\\c":
            screen.write(character)
        assert list(screen.lines()) == [[("", "a"), ("c1", "bc")]]

    def test_what_never_ends_is_not_waited_for(self):
        screen = Screen()
        screen.write("\x1b]8;;" + "x" * 5_000)
        screen.write("end")
        [line] = screen.lines()
        assert "".join(text for _, text in line).endswith("xend")


class TestChanges:
    def test_only_what_changed_is_given_once(self):
        screen = Screen()
        screen.write("one\ntwo\n")
        assert list(screen.changes()) == [0, 1, 2]
        assert screen.changes() == {}
        screen.write("three")
        assert screen.changes() == {2: [("", "three")]}
        screen.write("\x1b[2A\rONE")
        assert screen.changes() == {0: [("", "ONE")]}

    def test_a_row_that_is_gone_is_not_given(self):
        screen = Screen(3)
        screen.write("".join(f"{number}\n" for number in range(9)))
        assert list(screen.changes()) == [7, 8, 9]


class TestInRecords:
    def test_plain_text_is_left_as_it_is(self):
        assert not draws("a\tb\nc")
        shown = printed_text("a <b>\n")
        assert "a &lt;b&gt;" in shown.html
        assert shown.plain == "a <b>"

    def test_a_progress_bar_is_shown_as_it_ended(self):
        shown = printed_text("".join(f"\r{n}% \x1b[32m{'#' * n}\x1b[0m" for n in range(10)) + "\ndone\n")
        assert shown.plain == "9% #########\ndone"
        assert (
            '9% <span style="color:#21863a;color:color-mix(in srgb,#21863a 70%,currentcolor)">#########</span>\ndone'
            in shown.html
        )
        assert "8%" not in shown.html

    def test_empty_lines_stay_at_the_beginning_too(self, parse):
        shown = printed_text("\n\n\x1b[1mdone\x1b[0m\n\nnow\n")
        assert shown.plain == "\n\ndone\n\nnow"
        assert parse(shown.html).text == shown.plain + "\n"

    def test_text_that_changes_its_colour_at_each_character_stays_small(self, parse):
        line = "".join(f"\x1b[{31 + n % 6}mx" for n in range(20))
        shown = printed_text("\n".join([line] * 500))
        assert shown.plain == parse(shown.html).text == "\n".join(["x" * 20] * 500)
        assert len(parse(shown.html).all("span")) == 3_000

    def test_a_row_has_at_most_a_hundred_styles_and_all_of_its_text(self):
        [row] = shown("".join(f"\x1b[{31 + n % 6}mx" for n in range(900)))
        assert len(row) == 100
        assert "".join(text for _, text in row) == "x" * 900

    def test_what_is_too_long_is_cut_with_a_note_in_both_forms(self):
        shown = printed_text("\r" + "x" * 50_000)
        for form in (shown.html, shown.plain):
            assert "30,000 more characters" in form
            assert len(form) < 21_000

    def test_a_stopped_run_says_so_under_what_it_printed(self):
        record = stopped_record("wait", "tick\n", 3.21)
        assert record.plain == "tick\nwait · interrupted · 3.2 s"
        assert "<strong>wait</strong> · interrupted · 3.2 s" in record.html
        assert stopped_record("wait", "", 3.21).plain == "wait · interrupted · 3.2 s"
