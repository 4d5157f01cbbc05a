# kind: units
# aliases: human_bytes, human_size, bytes_to_human, pretty_bytes, format_size, naturalsize, humanize_bytes,
#   humanize_size, readable_size, human_readable_size, sizeof_fmt, human_file_size
# needs: byte, bytes, file+size+format, file+size+human, filesize, size+human, size+pretty
# needs: human, humans, readable, size, sizes, kb+mb, mb+gb, kib+mib, pretty, humanize, humanise, friendly,
#   humanized, format+number
# gives: human, humans, readable, string, text, friendly, nice, kb+mb, mb+gb, kib+mib, pretty, size
# unlike: of file, of the file, of a directory, of a file in
# words: format, show, display, print, render, turn, convert, make, express, present, number, count, file,
#   files, unit, units, kb, mb, gb, tb, kib, mib, gib, kilobytes, megabytes, gigabytes, binary, decimal,
#   1024, 1000, digits, memory, disk, nicely, integer, short, like, such, suffix, prefix, appropriate,
#   people, decimals, places, place, label, largest, form

from fractions import Fraction
from typing import Literal


def format_bytes(size: int, *, units: Literal["decimal", "binary"] = "decimal", digits: int = 1) -> str:
    """Format a number of bytes as a human-readable size, such as 1.5 MB.

    Parameters
    ----------
    size : int
        The number of bytes; a negative number keeps its sign.
    units : {"decimal", "binary"}
        ``decimal`` uses powers of 1000, as for disks: kB, MB, GB. ``binary`` uses powers of 1024, as for
        memory: KiB, MiB, GiB.
    digits : int
        Decimal places, 0 to 9. A size in bytes (B) has none.

    Returns
    -------
    str
        The size in the largest unit that gives at least 1, rounded half to even.

    Raises
    ------
    ValueError
        If `digits` is out of range.

    Examples
    --------
    >>> format_bytes(1_500_000)
    '1.5 MB'

    >>> format_bytes(1536, units="binary")
    '1.5 KiB'

    >>> format_bytes(999)
    '999 B'

    >>> format_bytes(999_999)
    '1.0 MB'

    >>> format_bytes(-2_340_000_000, digits=2)
    '-2.34 GB'

    >>> format_bytes(1, digits=-1)
    Traceback (most recent call last):
    ValueError: digits must be from 0 to 9, not -1

    >>> format_bytes(1000)
    '1.0 kB'

    >>> format_bytes(1024, units="binary")
    '1.0 KiB'

    >>> format_bytes(1023, units="binary")
    '1023 B'

    >>> format_bytes(-1)
    '-1 B'

    >>> format_bytes(1_550_000, digits=0)
    '2 MB'

    >>> format_bytes(1234567, digits=9)
    '1.234567000 MB'

    >>> format_bytes(1, digits=10)
    Traceback (most recent call last):
    ValueError: digits must be from 0 to 9, not 10

    >>> format_bytes(1_000_000_000_000_000_000_000_000_000_000_000)
    '1000.0 QB'

    >>> format_bytes(-3_000_000_000_000_000_000_000_000_000_000_000, digits=0)
    '-3000 QB'

    >>> format_bytes(2_500_000, digits=0)
    '2 MB'

    >>> format_bytes(999_949)
    '999.9 kB'

    >>> format_bytes(1000, digits=2)
    '1.00 kB'

    Tags: units, bytes, formatting
    """
    if not 0 <= digits <= 9:
        raise ValueError(f"digits must be from 0 to 9, not {digits}")
    base = 1000 if units == "decimal" else 1024
    names = "B kB MB GB TB PB EB ZB YB RB QB" if base == 1000 else "B KiB MiB GiB TiB PiB EiB ZiB YiB RiB QiB"
    *smaller, largest = names.split()
    sign = "-" if size < 0 else ""
    if abs(size) < base:
        return f"{size} {smaller[0]}"
    for power, name in enumerate(smaller[1:], start=1):
        # Round first, then compare: 999,999 bytes are 1.0 MB, not 1000.0 kB.
        scaled = _rounded(abs(size), base**power, digits)
        if scaled < base * 10**digits:
            return f"{sign}{_decimal(scaled, digits)} {name}"
    return f"{sign}{_decimal(_rounded(abs(size), base ** len(smaller), digits), digits)} {largest}"


def _rounded(size: int, unit: int, digits: int) -> int:
    return round(Fraction(size * 10**digits, unit))


def _decimal(scaled: int, digits: int) -> str:
    whole, part = divmod(scaled, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)
