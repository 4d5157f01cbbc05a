# kind: dates
# aliases: date_diff, days_between, diff_dates, days_between_dates, time_between, date_delta
# needs: date, dates, day+between
# needs: difference, between, diff, apart, elapsed, passed, until, many+from, long+from, from+another,
#   from+to, subtract
# needs: two, difference, start, end, another, day, days, year, month, apart
# unlike: working day, work day, business day, weekday, weekend, list of, list all, every day,
#   range of date, each day, random date, hour, minute, second, second between, friday, monday, saturday,
#   sunday, the next, holiday, list the, leap
# words: days, months, years, compute, calculate, count, find, get, number, many, how, two, one, another,
#   first, second, start, end, calendar, elapsed, total, passed, lie, given, exact, whole, full, in, time,
#   to, until, from, interval, long, are, period, duration, gap, as, break, down, earlier, later, day,
#   month, year, difference, delta, subtract

import calendar
from datetime import date


def date_difference(start: date, end: date) -> dict[str, int]:
    """Compute the difference between two dates in years, months and days, and in days alone.

    Parameters
    ----------
    start, end : datetime.date
        The earlier and the later day.

    Returns
    -------
    dict
        ``years``, ``months`` and ``days`` count calendar units one after the other, as ages are given. ``total_days``
        is the whole difference in days. A month ends on the same day of the month, or on the last day if the
        month is too short.

    Raises
    ------
    ValueError
        If `end` is before `start`.

    Examples
    --------
    >>> date_difference(date(1990, 5, 17), date(2026, 3, 4))
    {'years': 35, 'months': 9, 'days': 15, 'total_days': 13075}

    >>> date_difference(date(2024, 2, 29), date(2025, 2, 28))
    {'years': 1, 'months': 0, 'days': 0, 'total_days': 365}

    >>> date_difference(date(2024, 2, 29), date(2025, 2, 27))
    {'years': 0, 'months': 11, 'days': 29, 'total_days': 364}

    >>> date_difference(date(2026, 1, 31), date(2026, 3, 1))
    {'years': 0, 'months': 1, 'days': 1, 'total_days': 29}

    >>> date_difference(date(2025, 3, 4), date(2026, 3, 4))
    {'years': 1, 'months': 0, 'days': 0, 'total_days': 365}

    >>> date_difference(date(2026, 3, 4), date(2026, 3, 4))
    {'years': 0, 'months': 0, 'days': 0, 'total_days': 0}

    >>> date_difference(date(2026, 3, 4), date(2026, 3, 3))
    Traceback (most recent call last):
    ValueError: the end, 2026-03-03, is before the start, 2026-03-04

    Tags: dates, calendar, age
    """
    if end < start:
        raise ValueError(f"the end, {end.isoformat()}, is before the start, {start.isoformat()}")
    months = (end.year - start.year) * 12 + end.month - start.month
    if _months_later(start, months) > end:
        months -= 1
    return {
        "years": months // 12,
        "months": months % 12,
        "days": (end - _months_later(start, months)).days,
        "total_days": (end - start).days,
    }


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
