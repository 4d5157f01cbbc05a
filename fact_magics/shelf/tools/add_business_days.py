# kind: dates
# aliases: add_workdays, workday, business_day_shift, shift_business_days, add_working_days, workday_offset,
#   business_days_later, next_business_day, next_workday
# needs: business+day, working+day, workday, workdays, weekday, weekdays
# needs: add, shift, after, later, next, plus, offset, forward, ahead, subtract, previous, due, before
# needs: date, day, from
# unlike: between, how many, nearest, the name, weekday name, day name, next monday, next friday, hour,
#   from one date to, date to another, start date to
# words: add, number, given, start, date, shift, offset, compute, calculate, return, find, get, n, forward,
#   back, backward, backwards, holiday, holidays, public, list, skip, skipping, excluding, except, ignoring,
#   without, weekend, weekends, saturday, saturdays, sunday, sundays, deadline, due, delivery, next, later,
#   certain, several, some, subtract, excel, like, five, ten, negative, move, moving, ahead, following,
#   previous, by, which, starting, give, first, before, prev, workday

from datetime import date, timedelta


def add_business_days(day: date, days: int, *, holidays: tuple[date, ...] = ()) -> date:
    """Add a number of business days to a date, leaving out weekends and holidays.

    As with WORKDAY in a spreadsheet, the first day is not counted, so it may be on a weekend.

    Parameters
    ----------
    day : datetime.date
        The date to start from.
    days : int
        The number of business days: 1 gives the next business day, -1 the previous one, and 0 gives `day`.
    holidays : tuple of datetime.date
        Days off, besides Saturdays and Sundays.

    Returns
    -------
    datetime.date
        The business day that many business days away.

    Raises
    ------
    ValueError
        If the calendar ends before the result.

    Examples
    --------
    >>> add_business_days(date(2026, 3, 5), 1)
    date(2026, 3, 6)

    >>> add_business_days(date(2026, 3, 6), 1)
    date(2026, 3, 9)

    >>> add_business_days(date(2026, 3, 4), 10)
    date(2026, 3, 18)

    >>> add_business_days(date(2026, 3, 8), -2)
    date(2026, 3, 5)

    >>> add_business_days(date(2026, 12, 24), 2, holidays=(date(2026, 12, 25), date(2026, 12, 28)))
    date(2026, 12, 30)

    >>> add_business_days(date(2026, 3, 7), 0)
    date(2026, 3, 7)

    >>> add_business_days(date(9999, 12, 31), 1)
    Traceback (most recent call last):
    ValueError: 1 business days from 9999-12-31 is outside the calendar

    Tags: dates, calendar, business
    """
    step = timedelta(days=1 if days > 0 else -1)
    reached, left = day, abs(days)
    while left:
        try:
            reached += step
        except OverflowError:
            raise ValueError(f"{days} business days from {day.isoformat()} is outside the calendar") from None
        left -= reached.weekday() < 5 and reached not in holidays
    return reached
