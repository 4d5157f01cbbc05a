# kind: dates
# aliases: duration_to_seconds, parse_time_span, duration_seconds, parse_timespan, parse_interval,
#   seconds_from_duration
# needs: duration, durations, timespan, time+span, interval+string, hour+minute+text, hour+minute+string
# needs: parse, read, convert, turn, parser, interpret, string+second, text+second
# gives: second, seconds, number, float, int, duration
# unlike: second to, seconds to, second as, seconds as, seconds into, into a duration, to a duration, iso,
#   milliseconds, to minutes, into minutes, to hours
# words: string, strings, text, such, like, hour, hours, minute, minutes, second, seconds, day, days, week,
#   weeks, human, written, total, number, 1h, 30m, 1h30m, 2h, h, m, s, d, time, span, format, formats,
#   clock, hh, mm, ss, colon, expression, short, return, timespan, interval, length, units, to, readable,
#   min, mins, sec, secs, hrs, hr, durations

import re

# The names of each unit without a plural s, and the unit's length in seconds.
_UNITS = {
    "ms msec millisecond": 0.001,
    "s sec second": 1,
    "m min minute": 60,
    "h hr hour": 3600,
    "d day": 86400,
    "w wk week": 604800,
}
_PART = r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)"


def parse_duration(text: str) -> float:
    """Read a duration such as "1h 30m", "2 days, 3 hours" or "1:30:00" as a number of seconds.

    Parameters
    ----------
    text : str
        Numbers with units from milliseconds to weeks, by name or symbol, or a clock: ``1:30:00`` is hours,
        minutes and seconds, ``90:00`` minutes and seconds.

    Returns
    -------
    float
        The duration in seconds.

    Raises
    ------
    ValueError
        If the text is not a duration, or names an unknown unit.

    Examples
    --------
    >>> parse_duration("1h 30m")
    5400.0

    >>> parse_duration("1 week, 2 days and 3.5 Hours")
    790200.0

    >>> parse_duration("2min5s250ms")
    125.25

    >>> parse_duration(" 1:02:03 ")
    3723.0

    >>> parse_duration("90:00")
    5400.0

    >>> parse_duration("5 months")
    Traceback (most recent call last):
    ValueError: 'months' is not a unit of durations; use w, d, h, min, s or ms

    >>> parse_duration("2:60")
    Traceback (most recent call last):
    ValueError: '2:60' is not a duration such as '1h 30m' or '1:30:00'

    >>> parse_duration("")
    Traceback (most recent call last):
    ValueError: '' is not a duration such as '1h 30m' or '1:30:00'

    >>> parse_duration("1h 30")
    Traceback (most recent call last):
    ValueError: '1h 30' is not a duration such as '1h 30m' or '1:30:00'

    >>> parse_duration("90:000")
    Traceback (most recent call last):
    ValueError: '90:000' is not a duration such as '1h 30m' or '1:30:00'

    Tags: dates, duration, parsing
    """
    plain = text.strip().lower()
    seconds = 0.0
    if re.fullmatch(r"[0-9]+(?::[0-5][0-9]){1,2}", plain):
        for number in plain.split(":"):
            seconds = seconds * 60 + int(number)
        return seconds
    if not re.fullmatch(rf"{_PART}(?:(?:,|\sand\s|\s)*{_PART})*", plain):
        raise ValueError(f"{text!r} is not a duration such as '1h 30m' or '1:30:00'")
    for number, unit in re.findall(_PART, plain):
        seconds += float(number) * _length(unit)
    return seconds


def _length(unit: str) -> float:
    for names, seconds in _UNITS.items():
        if unit in names.split() or unit.removesuffix("s") in names.split():
            return seconds
    raise ValueError(f"{unit!r} is not a unit of durations; use w, d, h, min, s or ms")
