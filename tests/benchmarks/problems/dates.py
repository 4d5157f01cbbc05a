"""Small problems with dates and times: each function is a solution, its docstring the contract."""

from datetime import date, timedelta


def days_between(first: date, second: date) -> int:
    """Count the days between two dates, whichever comes first.

    >>> days_between(date(2024, 1, 1), date(2024, 1, 31))
    30

    >>> days_between(date(2024, 3, 1), date(2024, 3, 1))
    0
    """
    return abs((second - first).days)


days_between.hidden = [(date(2024, 3, 1), date(2024, 2, 28)), (date(2023, 12, 31), date(2024, 1, 1))]


def is_weekend(day: date) -> bool:
    """Tell whether a day is a Saturday or a Sunday.

    >>> is_weekend(date(2024, 6, 1))
    True

    >>> is_weekend(date(2024, 6, 3))
    False
    """
    return day.weekday() >= 5


is_weekend.hidden = [
    (date(2024, 6, 2),),
    (date(2024, 5, 31),),
    (date(2024, 6, 4),),
    (date(2024, 6, 6),),
    (date(2024, 6, 7),),
]


def next_workday(day: date) -> date:
    """Return the next day from Monday to Friday.

    >>> next_workday(date(2024, 6, 3))
    date(2024, 6, 4)

    >>> next_workday(date(2024, 6, 7))
    date(2024, 6, 10)
    """
    following = day + timedelta(days=1)
    while following.weekday() > 4:
        following += timedelta(days=1)
    return following


next_workday.hidden = [
    (date(2024, 6, 8),),
    (date(2024, 6, 9),),
    (date(2024, 6, 6),),
    (date(2024, 12, 31),),
    (date(2024, 6, 5),),
]


def age_on(born: date, day: date) -> int:
    """Return the age in full years on a day.

    >>> age_on(date(2000, 5, 20), date(2024, 6, 1))
    24

    >>> age_on(date(2000, 5, 20), date(2024, 1, 1))
    23
    """
    if day < born:
        raise ValueError("the day is before the birth")
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


age_on.hidden = [
    (date(2000, 5, 20), date(2024, 5, 20)),
    (date(2000, 5, 20), date(2024, 5, 19)),
    (date(2000, 5, 20), date(2000, 5, 20)),
    (date(2000, 5, 20), date(2000, 5, 19)),
    (date(2000, 5, 20), date(2024, 5, 21)),
]


def quarter(day: date) -> str:
    """Name the quarter of a day.

    >>> quarter(date(2024, 2, 10))
    '2024-Q1'

    >>> quarter(date(2023, 12, 1))
    '2023-Q4'
    """
    return f"{day.year}-Q{(day.month - 1) // 3 + 1}"


quarter.hidden = [
    (date(2024, 3, 31),),
    (date(2024, 4, 1),),
    (date(2024, 6, 30),),
    (date(2024, 7, 1),),
    (date(2024, 9, 9),),
    (date(2024, 10, 1),),
    (date(2024, 1, 1),),
]


def duration_text(seconds: int) -> str:
    """Write seconds as hours, minutes and seconds.

    >>> duration_text(3661)
    '1:01:01'

    >>> duration_text(59)
    '0:00:59'
    """
    if seconds < 0:
        raise ValueError("seconds must not be negative")
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


duration_text.hidden = [(0,), (60,), (3599,), (3600,), (-1,), (86400,), (7325,)]


def february_length(year: int) -> int:
    """Return the number of days of February.

    >>> february_length(2024)
    29

    >>> february_length(2023)
    28

    >>> february_length(1900)
    28
    """
    if year % 400 == 0:
        return 29
    if year % 100 == 0:
        return 28
    return 29 if year % 4 == 0 else 28


february_length.hidden = [(2000,), (2100,), (2400,), (1996,), (2001,), (400,), (4,), (100,)]
