# kind: dates
# aliases: business_days, working_days, workdays, networkdays, workdays_between, business_days_between,
#   count_workdays, weekdays_between, count_working_days
# needs: business+day, working+day, workday, workdays, networkdays, weekdays, work+days
# needs: count, number, many, networkdays, counter, between, period, from+to
# words: date, dates, between, start, end, two, compute, calculate, get, inclusive, holiday, holidays,
#   public, excluding, exclude, skip, skipping, without, except, weekend, weekends, saturday, saturdays,
#   sunday, sundays, period, range, included, including, both, monday, friday, lie, there, fall, minus,
#   ignoring, excel, list, given, bank, leaving, out, off, not

from datetime import date

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def count_business_days(
    start: date,
    end: date,
    *,
    holidays: tuple[date, ...] = (),
    weekend: tuple[str, ...] = ("Saturday", "Sunday"),
) -> int:
    """Count the business days from one date to another, both included.

    As with NETWORKDAYS in a spreadsheet, weekends and holidays are left out. From a working day to the
    same day, the count is 1.

    Parameters
    ----------
    start, end : datetime.date
        The first and the last day.
    holidays : tuple of datetime.date
        Days off. A holiday on a weekend changes nothing, and a holiday that is given twice counts once.
    weekend : tuple of str
        The English names of the weekend days.

    Returns
    -------
    int
        The number of business days, 0 or more.

    Raises
    ------
    ValueError
        If `end` is before `start`, or a name in `weekend` is not a weekday.

    Examples
    --------
    >>> count_business_days(date(2026, 3, 2), date(2026, 3, 8))
    5

    >>> count_business_days(date(2026, 12, 21), date(2027, 1, 3), holidays=(date(2026, 12, 25), date(2026, 12, 26)))
    9

    >>> count_business_days(date(2026, 3, 1), date(2026, 3, 7), weekend=("Friday", "Saturday"))
    5

    >>> count_business_days(date(2026, 3, 7), date(2026, 3, 8))
    0

    >>> count_business_days(date(2026, 3, 8), date(2026, 3, 7))
    Traceback (most recent call last):
    ValueError: the end, 2026-03-07, is before the start, 2026-03-08

    >>> count_business_days(date(2026, 3, 4), date(2026, 3, 4))
    1

    >>> count_business_days(date(2026, 3, 6), date(2026, 3, 16))
    7

    >>> count_business_days(date(2026, 3, 2), date(2026, 3, 8), weekend=(" mon ", "Tue", "WED", "thu"))
    3

    >>> count_business_days(date(2026, 3, 2), date(2026, 3, 6), holidays=(date(2026, 3, 2), date(2026, 3, 6), date(2026, 3, 6), date(2026, 3, 1), date(2026, 3, 9)))
    3

    >>> count_business_days(date(2026, 3, 2), date(2026, 3, 8), holidays=(date(2026, 3, 7),))
    5

    >>> count_business_days(date(2026, 3, 2), date(2026, 3, 8), weekend=("su",))
    Traceback (most recent call last):
    ValueError: 'su' is not a weekday; the weekdays are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday

    >>> count_business_days(date(2026, 3, 1), date(2026, 3, 6), weekend=("Friday", "Saturday"))
    5

    Tags: dates, calendar, counting
    """
    if end < start:
        raise ValueError(f"the end, {end.isoformat()}, is before the start, {start.isoformat()}")
    off = {_number(name) for name in weekend}
    weeks, rest = divmod((end - start).days + 1, 7)
    working = weeks * (7 - len(off))
    working += sum((start.weekday() + step) % 7 not in off for step in range(rest))
    return working - sum(start <= day <= end and day.weekday() not in off for day in set(holidays))


def _number(name: str) -> int:
    wanted = name.strip().casefold()
    for number, weekday in enumerate(_WEEKDAYS):
        if len(wanted) >= 3 and weekday.casefold().startswith(wanted):
            return number
    raise ValueError(f"{name!r} is not a weekday; the weekdays are {', '.join(_WEEKDAYS)}")
