"""The tools for dates and durations, on calendars as people write and live them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dateutil.relativedelta import relativedelta

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

parse_date = pytest.mark.parametrize("tool", ["parse_date"], indirect=True)
count_business_days = pytest.mark.parametrize("tool", ["count_business_days"], indirect=True)
date_difference = pytest.mark.parametrize("tool", ["date_difference"], indirect=True)
add_months = pytest.mark.parametrize("tool", ["add_months"], indirect=True)
add_business_days = pytest.mark.parametrize("tool", ["add_business_days"], indirect=True)
parse_duration = pytest.mark.parametrize("tool", ["parse_duration"], indirect=True)
format_duration = pytest.mark.parametrize("tool", ["format_duration"], indirect=True)
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


@date_difference
class TestDateDifference:
    def test_agrees_with_dateutil(self, tool: Tool) -> None:
        """Years, months and days are those of relativedelta, for days through leap years and month ends."""
        for offset in range(0, 1500, 7):
            start = date(2023, 12, 25) + timedelta(days=offset % 97)
            end = start + timedelta(days=offset)
            wanted = relativedelta(end, start)
            assert tool(start, end) == {
                "years": wanted.years,
                "months": wanted.months,
                "days": wanted.days,
                "total_days": offset,
            }

    def test_whole_calendar(self, tool: Tool) -> None:
        """The longest difference there is, and the last day twice."""
        assert tool(date.min, date.max) == {"years": 9998, "months": 11, "days": 30, "total_days": 3652058}
        assert tool(date.max, date.max)["total_days"] == 0

    def test_wrong_order(self, tool: Tool) -> None:
        """A negative age is an error."""
        with pytest.raises(ValueError, match="is before the start"):
            tool(DAY, DAY - timedelta(days=1))


@add_months
class TestAddMonths:
    def test_agrees_with_dateutil(self, tool: Tool) -> None:
        """Any day of a leap year and any number of months give what relativedelta gives."""
        for offset in range(366):
            day = date(2024, 1, 1) + timedelta(days=offset)
            for months in (-1201, -12, -11, -1, 0, 1, 2, 12, 13, 49):
                assert tool(day, months) == day + relativedelta(months=months)

    @pytest.mark.parametrize("months", [-24_316, 95_688, 10**12])
    def test_end_of_the_calendar(self, tool: Tool, months: int) -> None:
        """A month outside the calendar is an error that says so."""
        with pytest.raises(ValueError, match="is not in the years 1 to 9999"):
            tool(DAY, months)


@add_business_days
class TestAddBusinessDays:
    def test_agrees_with_numpy(self, tool: Tool) -> None:
        """From each weekday, forward and back, with holidays, it is NumPy's busday_offset."""
        holidays = tuple(date(2026, 3, day) for day in (4, 7, 16, 17))
        for shift in range(7):
            start = date(2026, 3, 2) + timedelta(days=shift)
            for days in (*range(1, 25), *range(-25, 0)):
                # NumPy rolls a day off to the next business day first, which counts as a step.
                roll = "backward" if days > 0 else "forward"
                wanted = np.busday_offset(start, days, roll=roll, holidays=list(holidays))
                assert tool(start, days, holidays=holidays) == wanted.astype(date)

    def test_nothing_to_add(self, tool: Tool) -> None:
        """With no day to add, the date stays, even on a weekend."""
        assert tool(date(2026, 3, 8), 0) == date(2026, 3, 8)

    @pytest.mark.parametrize(("day", "days"), [(date.max, 1), (date.min, -1)])
    def test_end_of_the_calendar(self, tool: Tool, day: date, days: int) -> None:
        """The calendar has an end on both sides."""
        with pytest.raises(ValueError, match="is outside the calendar"):
            tool(day, days)


@parse_duration
class TestParseDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("90s", 90.0),
            ("90 secs", 90.0),
            ("1.5h", 5400.0),
            ("2 hrs", 7200.0),
            ("1 Minute", 60.0),
            ("1 msec", 0.001),
            ("2 weeks", 1_209_600.0),
            ("1h, 2 min and 3 seconds", 3723.0),
            ("00:00", 0.0),
            ("100:59:59", 363_599.0),
            ("0 s", 0.0),
        ],
    )
    def test_durations(self, tool: Tool, text: str, seconds: float) -> None:
        """Symbols, names and clocks are read."""
        assert tool(text) == pytest.approx(seconds, rel=1e-12)

    @pytest.mark.parametrize(
        "text", ["", "5", "h", "-1h", "1:2:3:4", "1:60", "1:2", "1h x", "1,5 h", "1h30", "1 year"]
    )
    def test_other_text(self, tool: Tool, text: str) -> None:
        """What is no duration is an error, never a guess."""
        with pytest.raises(ValueError, match="duration"):
            tool(text)


@format_duration
class TestFormatDuration:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "0s"),
            (59.5, "1m"),
            (60, "1m"),
            (3600, "1h"),
            (86_399, "23h 59m 59s"),
            (86_400, "1d"),
            (-5, "-5s"),
            (1.5, "2s"),
        ],
    )
    def test_limits(self, tool: Tool, seconds: float, text: str) -> None:
        """Each unit begins where the smaller one ends, after rounding."""
        assert tool(seconds) == text

    def test_reads_back(self, tool: Tool) -> None:
        """The parts add up to the seconds."""
        sizes = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
        for seconds in range(1, 300_000, 997):
            parts = [(int(part[:-1]), part[-1]) for part in tool(seconds).split()]
            assert sum(number * sizes[unit] for number, unit in parts) == seconds
            assert all(number for number, _ in parts)

    @pytest.mark.parametrize("seconds", [float("inf"), float("-inf"), float("nan")])
    def test_not_finite(self, tool: Tool, seconds: float) -> None:
        """There is no text for what is no number."""
        with pytest.raises(ValueError, match="must be a finite number"):
            tool(seconds)
