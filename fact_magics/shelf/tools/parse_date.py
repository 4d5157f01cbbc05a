# kind: dates
# aliases: to_date, str_to_date, read_date, date_parser, string_to_date, text_to_date, parse_dates
# needs: parse, parser, parsing, read, convert, turn, interpret, recognise, recognize, understand,
#   transform, string+to, text+to
# needs: date, dates
# gives: date, dates
# words: string, strings, text, texts, format, formats, formatted, common, different, various, variety,
#   many, several, mixed, any, iso, 8601, english, month, months, name, names, day, first, year, european,
#   american, us, uk, style, written, human, messy, spelled, dd, mm, yyyy, yy, option, ambiguous, numeric,
#   slashes, dots, flag, real, proper, normalize, normalise, january, jan, february, feb, march, april,
#   june, july, august, september, october, november, december, dec, user, input, entered, typed, free,
#   flexible, flexibly, come, comes, europe, order, fmt

import re
import unicodedata
from datetime import date, timedelta

_MONTHS = ("january february march april may june july august september october november december").split()
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_FILLERS = "of the st nd rd th".split()
_TIME = re.compile(
    r"[T\s,]+(?:at\s+)?\d{1,2}[:h]\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?"
    r"\s*(?:z|utc|gmt|[a-z]{3,4}|[+-]\d{2}:?\d{2})?\s*(?:\([\w\s]+\))?$",
    re.IGNORECASE,
)


def parse_date(text: str, *, day_first: bool = False) -> date:
    """Read a date written in any of the common formats: ISO, numeric, or with English month names.

    A time of day and a time zone after the date are ignored. The clock is never read, so words such as
    "today" are not dates.

    Parameters
    ----------
    text : str
        ``2026-03-04``, ``20260304``, ``2026-W10-3``, ``3/4/2026``, ``4.3.2026``, ``4 March 2026``,
        ``Wed, Mar 4th, 26``, ``2026年3月4日`` and the like. In dates with dots, the day
        comes first. Years of two digits are 1969 to 2068.
    day_first : bool
        Whether ``3/4/2026`` is 3 April rather than 4 March. A date that can only be read one way, with a
        year of four digits, is read that way.

    Returns
    -------
    datetime.date
        The day.

    Raises
    ------
    ValueError
        If the text is not a date, the day does not exist, a part is missing, or the weekday is wrong.

    Examples
    --------
    >>> parse_date("2026-03-04T23:59:00Z")
    date(2026, 3, 4)

    >>> parse_date("March 4th, 2026")
    date(2026, 3, 4)

    >>> parse_date("Wed, 4 Mar 2026 10:11:12 +0000")
    date(2026, 3, 4)

    >>> parse_date("3/4/2026")
    date(2026, 3, 4)

    >>> parse_date("3/4/2026", day_first=True)
    date(2026, 4, 3)

    >>> parse_date("24.12.99")
    date(1999, 12, 24)

    >>> parse_date("30 February 2026")
    Traceback (most recent call last):
    ValueError: '30 February 2026' is not a date: there is no day 30 in month 2 of 2026

    >>> parse_date("20260304")
    date(2026, 3, 4)

    >>> parse_date("2026/03/04")
    date(2026, 3, 4)

    >>> parse_date("2026-W10-3")
    date(2026, 3, 4)

    >>> parse_date("2026w103")
    date(2026, 3, 4)

    >>> parse_date("2026-063")
    date(2026, 3, 4)

    >>> parse_date("2025-366")
    Traceback (most recent call last):
    ValueError: '2025-366' is not a date: the year 2025 has no day 366

    >>> parse_date("2026-W54-1")
    Traceback (most recent call last):
    ValueError: '2026-W54-1' is not a date: Invalid week: 54

    >>> parse_date("the 1st of May, 2026")
    date(2026, 5, 1)

    >>> parse_date("2026 Dec 2")
    date(2026, 12, 2)

    >>> parse_date("2 Nov '26")
    date(2026, 11, 2)

    >>> parse_date("1/1/69")
    date(1969, 1, 1)

    >>> parse_date("1/1/68")
    date(2068, 1, 1)

    >>> parse_date("12/25/2026", day_first=True)
    date(2026, 12, 25)

    >>> parse_date("25/12/2026")
    date(2026, 12, 25)

    >>> parse_date("25/12/26")
    Traceback (most recent call last):
    ValueError: '25/12/26' is not a date: there is no month 25; is the day first, or the year?

    >>> parse_date("12/12/2026")
    date(2026, 12, 12)

    >>> parse_date("2026-3-4")
    date(2026, 3, 4)

    >>> parse_date("13.13.2026")
    Traceback (most recent call last):
    ValueError: '13.13.2026' is not a date: there is no month 13

    >>> parse_date("4 5 March 2026")
    Traceback (most recent call last):
    ValueError: '4 5 March 2026' is not a date: it has more numbers than a day and a year

    >>> parse_date("4 March April 2026")
    Traceback (most recent call last):
    ValueError: '4 March April 2026' is not a date: it names two months

    >>> parse_date("4 March")
    Traceback (most recent call last):
    ValueError: '4 March' is not a date: it names no year

    >>> parse_date("March 2026")
    Traceback (most recent call last):
    ValueError: 'March 2026' is not a date: it names no day

    >>> parse_date("4 March 226")
    Traceback (most recent call last):
    ValueError: '4 March 226' is not a date: 226 is not a year of two or four digits

    >>> parse_date("Monday, 4 March 2026")
    Traceback (most recent call last):
    ValueError: 'Monday, 4 March 2026' is not a date: 2026-03-04 is a Wednesday

    >>> parse_date("4 Ma 2026")
    Traceback (most recent call last):
    ValueError: '4 Ma 2026' is not a date: 'ma' is not the name of a month

    >>> parse_date("12345/1/2026")
    Traceback (most recent call last):
    ValueError: '12345/1/2026' is not a date: a number in it is too long for a day, a month or a year

    >>> parse_date("1/2")
    Traceback (most recent call last):
    ValueError: '1/2' is not a date: a day, a month and a year are needed

    >>> parse_date("2026-13-01")
    Traceback (most recent call last):
    ValueError: '2026-13-01' is not a date: there is no month 13

    >>> parse_date("0000-01-01")
    Traceback (most recent call last):
    ValueError: '0000-01-01' is not a date: the calendar starts with the year 1

    >>> parse_date("0001-01-01")
    date(1, 1, 1)

    >>> parse_date("today")
    Traceback (most recent call last):
    ValueError: 'today' is not a date: 'today' is not the name of a month

    >>> parse_date("4 + 3 + 2026")
    Traceback (most recent call last):
    ValueError: '4 + 3 + 2026' is not a date: it holds characters that are never part of a date

    >>> parse_date("-2026-03-04")
    Traceback (most recent call last):
    ValueError: '-2026-03-04' is not a date: it holds characters that are never part of a date

    >>> parse_date("March 4, 2026 at 9:05 p.m.")
    date(2026, 3, 4)

    >>> parse_date("２０２６年3月4日")
    date(2026, 3, 4)

    >>> parse_date("2026-12-31")
    date(2026, 12, 31)

    >>> parse_date("2026-00-10")
    Traceback (most recent call last):
    ValueError: '2026-00-10' is not a date: there is no month 0

    >>> parse_date("12/13/2026")
    date(2026, 12, 13)

    >>> parse_date("13/12/2026")
    date(2026, 12, 13)

    >>> parse_date("2026-3-4 10:30")
    date(2026, 3, 4)

    >>> parse_date("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
    Traceback (most recent call last):
    ValueError: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is not a date: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not the name of a month

    >>> parse_date("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
    Traceback (most recent call last):
    ValueError: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not a date: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not the name of a month

    >>> parse_date("12/5/2026")
    date(2026, 12, 5)

    >>> parse_date("5.13.2026")
    Traceback (most recent call last):
    ValueError: '5.13.2026' is not a date: there is no month 13; is the day first, or the year?

    >>> parse_date("20260304x")
    Traceback (most recent call last):
    ValueError: '20260304x' is not a date: 'x' is not the name of a month

    >>> parse_date("2026-W10-34")
    Traceback (most recent call last):
    ValueError: '2026-W10-34' is not a date: 'w' is not the name of a month

    >>> parse_date("2026-0634")
    Traceback (most recent call last):
    ValueError: '2026-0634' is not a date: a day, a month and a year are needed

    >>> parse_date("Wed, 4 Mar 2025 10:11:12 +0000")
    Traceback (most recent call last):
    ValueError: 'Wed, 4 Mar 2025 10:11:12 +0000' is not a date: 2025-03-04 is a Tuesday

    Tags: dates, parsing, text
    """
    shown = text if len(text) <= 60 else text[:57] + "..."
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    try:
        bare = _TIME.sub("", plain)
        found = _iso(bare)
        year, month, day = found or _numbers_and_names(bare, day_first)
        result = _day(year, month, day)
        _check_weekday(bare, result)
    except ValueError as problem:
        raise ValueError(f"{shown!r} is not a date: {problem}") from None
    return result


def _iso(text: str) -> tuple[int, int, int] | None:
    """Years first: 2026-03-04, 20260304, 2026-W10-3, 2026W103, 2026-063."""
    if match := re.fullmatch(r"(\d{4})([-/. ]?)(\d{2})\2(\d{2})", text, re.ASCII):
        return int(match[1]), int(match[3]), int(match[4])
    if match := re.fullmatch(r"(\d{4})-?W(\d{2})-?([1-7])", text, re.ASCII | re.IGNORECASE):
        found = date.fromisocalendar(int(match[1]), int(match[2]), int(match[3]))
        return found.year, found.month, found.day
    if match := re.fullmatch(r"(\d{4})-?(\d{3})", text, re.ASCII):
        found = date(int(match[1]), 1, 1) + timedelta(days=int(match[2]) - 1)
        if found.year != int(match[1]):
            raise ValueError(f"the year {match[1]} has no day {match[2]}")
        return found.year, found.month, found.day
    return None


def _numbers_and_names(text: str, day_first: bool) -> tuple[int, int, int]:
    if re.search(r"[^\w\s,./'’年月日-]", text) or re.search(r"(?:^|\s)-\s*\d", text):
        raise ValueError("it holds characters that are never part of a date")
    numbers: list[str] = []
    month = None
    for word in re.findall(r"\d+|[^\W\d_]+", text.lower()):
        if word.isdigit():
            numbers.append(word)
        elif _named(word, _MONTHS) is not None:
            if month is not None:
                raise ValueError("it names two months")
            month = _named(word, _MONTHS)
        elif word not in _FILLERS and word not in "年月日" and _named(word, _WEEKDAYS) is None:
            raise ValueError(f"{word!r} is not the name of a month")
    if any(len(number) > 4 for number in numbers):
        raise ValueError("a number in it is too long for a day, a month or a year")
    if month is not None:
        return _with_month(numbers, month + 1)
    return _three_numbers(numbers, day_first=day_first or "." in text, dotted="." in text)


def _with_month(numbers: list[str], month: int) -> tuple[int, int, int]:
    if len(numbers) < 2:
        raise ValueError("it names no year" if numbers and len(numbers[0]) <= 2 else "it names no day")
    if len(numbers) > 2:
        raise ValueError("it has more numbers than a day and a year")
    day, year = numbers if len(numbers[0]) <= 2 else reversed(numbers)
    return _year(year), month, int(day)


def _three_numbers(numbers: list[str], *, day_first: bool, dotted: bool) -> tuple[int, int, int]:
    if len(numbers) != 3:
        raise ValueError("a day, a month and a year are needed")
    first, second, third = numbers
    if len(first) == 4:
        return int(first), int(second), int(third)
    day, month = (first, second) if day_first else (second, first)
    if int(month) > 12 >= int(day):
        if dotted or len(third) != 4:
            raise ValueError(f"there is no month {int(month)}; is the day first, or the year?")
        day, month = month, day
    return _year(third), int(month), int(day)


def _year(digits: str) -> int:
    if len(digits) not in (2, 4):
        raise ValueError(f"{digits} is not a year of two or four digits")
    year = int(digits)
    if len(digits) == 4:
        return year
    return year + (1900 if year >= 69 else 2000)


def _day(year: int, month: int, day: int) -> date:
    if year < 1:
        raise ValueError("the calendar starts with the year 1")
    if not 1 <= month <= 12:
        raise ValueError(f"there is no month {month}")
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"there is no day {day} in month {month} of {year}") from None


def _check_weekday(text: str, found: date) -> None:
    for word in re.findall(r"[^\W\d_]+", text.lower()):
        named = _named(word, _WEEKDAYS)
        if named is not None and named != found.weekday():
            raise ValueError(f"{found.isoformat()} is a {_WEEKDAYS[found.weekday()].title()}")


def _named(word: str, names: list[str]) -> int | None:
    """Return the index of the name that `word` is, or abbreviates with three letters or more."""
    if len(word) < 3:
        return None
    return next((index for index, name in enumerate(names) if name.startswith(word)), None)
