# kind: dates
# aliases: human_duration, seconds_to_duration, human_time, format_seconds, pretty_duration,
#   humanize_seconds, seconds_to_hms, format_time_span, readable_duration
# needs: duration, durations, second, seconds, elapsed+time
# needs: format, human, readable, pretty, hour+minute, humanize, express, show, display, write,
#   second+string, second+text
# gives: human, readable, text, string, duration, hour, minute, day, form, pretty, number, second
# unlike: to second, to seconds, into second, into seconds, duration string, number of seconds in,
#   clock time, timestamp, time of day, in hours to, minutes to hours, hours to minutes
# words: convert, turn, make, show, display, print, given, number, seconds, second, hours, hour, minutes,
#   minute, days, day, text, string, human, friendly, such, like, elapsed, time, 1h, 30m, 5s, 2h, short,
#   nice, nicely, duration, length, in, as, compact, people, runtime, h, m, s, d, total, running, span,
#   timedelta, amount, count, fmt, sec, long, form

import math


def format_duration(seconds: float) -> str:
    """Format a number of seconds as a human-readable duration, such as 1h 30m 5s.

    Parameters
    ----------
    seconds : float
        The duration; it is rounded to whole seconds, halves to the even number.

    Returns
    -------
    str
        Days, hours, minutes and seconds, without those that are zero.

    Raises
    ------
    ValueError
        If `seconds` is not a finite number.

    Examples
    --------
    >>> format_duration(5405)
    '1h 30m 5s'

    >>> format_duration(90061)
    '1d 1h 1m 1s'

    >>> format_duration(172800)
    '2d'

    >>> format_duration(59.4)
    '59s'

    >>> format_duration(2.5)
    '2s'

    >>> format_duration(3599.5)
    '1h'

    >>> format_duration(-61)
    '-1m 1s'

    >>> format_duration(-0.2)
    '0s'

    >>> format_duration(float("nan"))
    Traceback (most recent call last):
    ValueError: seconds must be a finite number, not nan

    >>> format_duration(0.75)
    '1s'

    >>> format_duration(-0.75)
    '-1s'

    Tags: dates, duration, formatting
    """
    if not math.isfinite(seconds):
        raise ValueError(f"seconds must be a finite number, not {seconds}")
    left = round(abs(seconds))
    if left == 0:
        return "0s"
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + " ".join(parts)
