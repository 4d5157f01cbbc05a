"""parse_date and count_business_days on calendars as people write and live them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

parse_date = pytest.mark.parametrize("tool", ["parse_date"], indirect=True)
count_business_days = pytest.mark.parametrize("tool", ["count_business_days"], indirect=True)
DAY = date(2026, 3, 4)


@parse_date
class TestParseDate:
    @pytest.mark.parametrize(
        "text",
        [
            "2026-03-04",
            "20260304",
            "2026/03/04",
            "2026.03.04",
            "2026-3-4",
            "2026-W10-3",
            "2026W103",
            "2026-063",
            "2026063",
            "03/04/2026",
            "3-4-2026",
            "3/4/26",
            "03/04/26 10:30",
            "4.3.2026",
            "04.03.26",
            "4. 3. 2026",
            "4. 3.26",
            "4. March 2026",
            "4 March 2026",
            "4 mar 2026",
            "04-Mar-2026",
            "4-MAR-26",
            "March 4, 2026",
            "Mar. 4 2026",
            "March 4th, 2026",
            "the 4th of March, 2026",
            "Wednesday, March 4, 2026",
            "Wed 4 Mar 2026",
            "2026 March 4",
            "2026-Mar-04",
            "4 Mar '26",
            "2026-03-04T23:59:59",
            "2026-03-04 23:59",
            "2026-03-04T23:59:59.123456+05:30",
            "2026-03-04T00:00Z",
            "Wed, 04 Mar 2026 10:11:12 GMT",
            "Wed, 4 Mar 2026 10:11:12 +0000 (UTC)",
            "March 4, 2026 at 10:30 PM",
            "March 4, 2026, 9:05 a.m.",
            "2026年3月4日",
            "２０２６-０３-０４",
            "  4\u00a0March\n2026  ",
        ],
    )
    def test_one_day_in_many_forms(self, tool: Tool, text: str) -> None:
        """Each form is the fourth of March 2026."""
        assert tool(text) == DAY

    @pytest.mark.parametrize(
        "text", ["04/03/2026", "4-3-2026", "4/3/26", "4.3.2026", "2026-03-04", "March 4, 2026"]
    )
    def test_day_first(self, tool: Tool, text: str) -> None:
        """The option turns the ambiguous forms, and only those."""
        assert tool(text, day_first=True) == DAY

    def test_only_possible_reading_is_taken(self, tool: Tool) -> None:
        """With a year of four digits, 25/12 and 12/25 can each only mean Christmas."""
        assert tool("25/12/2026") == tool("12/25/2026", day_first=True) == date(2026, 12, 25)

    @pytest.mark.parametrize(
        ("text", "year"), [("1/1/69", 1969), ("1/1/99", 1999), ("1/1/00", 2000), ("1/1/68", 2068)]
    )
    def test_two_digit_years(self, tool: Tool, text: str, year: int) -> None:
        """They lie between 1969 and 2068, whatever year it is now."""
        assert tool(text).year == year

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "needed"),
            ("today", "not the name of a month"),
            ("tomorrow 3 pm", "not the name of a month"),
            ("March 2026", "no day"),
            ("4 March", "no year"),
            ("2026", "needed"),
            ("1767225600", "too long"),
            ("2026-02-30", "no day 30"),
            ("29 Feb 2025", "no day 29"),
            ("2026-13-01", "no month 13"),
            ("2026-00-10", "no month 0"),
            ("0000-01-01", "year 1"),
            ("2026-366", "no day 366"),
            ("2026-000", "no day 000"),
            ("2025-W54-1", "week"),
            ("26-03-04", "is the day first"),
            ("25/12/26", "is the day first"),
            ("13.13.2026", "no month 13"),
            ("Monday, 4 March 2026", "is a Wednesday"),
            ("4 March April 2026", "two months"),
            ("4 5 March 2026", "more numbers"),
            ("4 März 2026", "März".lower()),
            ("1/2/3/2026", "needed"),
            ("-2026-03-04", "characters"),
            ("4 March 226", "not a year of two"),
            ("10:30", "characters"),
            ("x" * 100_000, "not the name of a month"),
            ("1" * 100_000, "too long"),
        ],
    )
    def test_no_dates(self, tool: Tool, text: str, why: str) -> None:
        """What is no date is refused, saying why, in a line of bounded length."""
        with pytest.raises(ValueError, match=" is not a date: ") as caught:
            tool(text)
        assert why in str(caught.value)

    def test_every_day_survives_its_own_formats(self, tool: Tool) -> None:
        """Writing a date and reading it gives the date, through leap years and the turn of centuries."""
        for offset in range(0, 40_000, 37):
            day = date(1950, 1, 1) + timedelta(days=offset)
            for form in (
                "%Y-%m-%d",
                "%Y%m%d",
                "%d %B %Y",
                "%A, %b %d, %Y",
                "%m/%d/%Y",
                "%d.%m.%Y",
                "%G-W%V-%u",
                "%Y-%j",
            ):
                assert tool(day.strftime(form)) == day


@count_business_days
class TestCountBusinessDays:
    def test_agrees_with_counting_one_by_one(self, tool: Tool) -> None:
        """The arithmetic gives what walking through the days gives, for all starts and lengths."""
        for shift in range(7):
            start = date(2024, 2, 26) + timedelta(days=shift)
            for length in range(30):
                days = [start + timedelta(days=step) for step in range(length + 1)]
                assert tool(start, days[-1]) == sum(day.weekday() < 5 for day in days)

    def test_holidays_count_once_and_only_where_they_matter(self, tool: Tool) -> None:
        """A holiday outside the period, on a weekend, or given twice takes nothing more off."""
        week = date(2026, 3, 2), date(2026, 3, 8)
        assert tool(*week, holidays=(DAY, DAY, date(2026, 3, 7), date(2026, 3, 9))) == 4

    @pytest.mark.parametrize("weekend", [("fri", "SATURDAY"), (" Friday ", "sat")])
    def test_weekend_names_are_read_kindly(self, tool: Tool, weekend: tuple[str, str]) -> None:
        """Abbreviations, case and spaces do not matter."""
        assert tool(date(2026, 3, 1), date(2026, 3, 7), weekend=weekend) == 5

    def test_no_weekend_and_no_workday(self, tool: Tool) -> None:
        """Nobody rests, or nobody works."""
        names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        assert tool(date(2026, 3, 2), date(2026, 3, 8), weekend=()) == 7
        assert tool(date(2026, 3, 2), date(2026, 3, 8), weekend=names) == 0

    def test_the_whole_calendar(self, tool: Tool) -> None:
        """The longest period there is takes no longer than a week."""
        assert tool(date.min, date.max) == 2_608_615

    @pytest.mark.parametrize("name", ["", "s", "Caturday", "日曜"])
    def test_unknown_weekday(self, tool: Tool, name: str) -> None:
        """An unknown weekday is named in the error, with the valid ones."""
        with pytest.raises(ValueError, match="is not a weekday; the weekdays are Monday"):
            tool(DAY, DAY, weekend=(name,))
