# kind: dates
# aliases: month_shift, shift_months, months_later, plus_months, date_plus_months, edate, add_months_to_date
# needs: month, months
# needs: add, shift, later, after, plus, subtract, forward, backward, edate, ahead, earlier, move, in+from
# needs: date, day, edate
# unlike: between, name of, list, each month, every month, first day of the month, days and months,
#   years and months, n days, date to the end of the month, date to the last day, find the last day,
#   return the last day, get the last day, is the last day, get the day of the month
# words: add, adding, number, given, date, n, shift, subtract, subtracting, later, earlier, end, clamp,
#   clamped, clamping, last, day, keep, keeping, handle, handling, short, shorter, leap, february, excel,
#   like, negative, calendar, forward, backward, backwards, move, some, several, certain, return, many,
#   before, after, compute, calculate, stay, valid, year, years, from, ahead, by, back, overflow, 31, get,
#   minus, plus, possible, month, next, previous, quarter

import calendar
from datetime import date


def add_months(day: date, months: int) -> date:
    """Add a number of months to a date, keeping the day of the month if the new month has it.

    Parameters
    ----------
    day : datetime.date
        The date to start from.
    months : int
        The number of months; a negative number goes back.

    Returns
    -------
    datetime.date
        The same day in the new month, or its last day if the month is too short.

    Raises
    ------
    ValueError
        If the result is not in the years 1 to 9999.

    Examples
    --------
    >>> add_months(date(2026, 3, 4), 1)
    date(2026, 4, 4)

    >>> add_months(date(2024, 1, 31), 1)
    date(2024, 2, 29)

    >>> add_months(date(2026, 11, 30), 14)
    date(2028, 1, 30)

    >>> add_months(date(2026, 1, 31), -1)
    date(2025, 12, 31)

    >>> add_months(date(9999, 11, 1), 1)
    date(9999, 12, 1)

    >>> add_months(date(1, 2, 1), -1)
    date(1, 1, 1)

    >>> add_months(date(9999, 12, 1), 1)
    Traceback (most recent call last):
    ValueError: 1 months from 9999-12-01 is not in the years 1 to 9999

    >>> add_months(date(1, 1, 1), -1)
    Traceback (most recent call last):
    ValueError: -1 months from 0001-01-01 is not in the years 1 to 9999

    Tags: dates, calendar, arithmetic
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValueError(f"{months} months from {day.isoformat()} is not in the years 1 to 9999")
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))
