# kind: geography
# aliases: dms_to_dd, parse_dms, dms2dec, dms_to_degrees, parse_coordinate, dms_to_decimal_degrees
# needs: dms, degree+minute, degrees+minutes
# needs: decimal, convert, parse, turn, read
# gives: decimal, degree, number, float
# unlike: decimal degree to, decimal degrees to, decimal to dms, to dms, into dms, to degrees minutes,
#   to degree minute, into degree minute, celsius, fahrenheit, distance, angle between, radian
# words: convert, parse, turn, read, degrees, degree, minutes, minute, seconds, second, decimal, coordinate,
#   coordinates, latitude, longitude, geographic, gps, position, string, text, notation, format, such, like,
#   n, s, e, w, north, south, east, west, hemisphere, letter, to, angle, sign, point, written, map, number,
#   location, signed, coord, dms

import re

_ANGLE = re.compile(
    r"""(?P<sign>[+-]?)(?P<degrees>[0-9]{1,3}(?:\.[0-9]+)?)(?:\s*°\s*|\s+|$|(?=[NSEW]))
    (?:(?P<minutes>[0-9]{1,2}(?:\.[0-9]+)?)(?:\s*['′’]\s*|\s+|$|(?=[NSEW])))?
    (?:(?P<seconds>[0-9]{1,2}(?:\.[0-9]+)?)(?:\s*(?:["″”]|'')\s*|\s+|$|(?=[NSEW])))?
    (?P<side>[NSEW]?)""",
    re.VERBOSE | re.IGNORECASE,
)


def dms_to_decimal(text: str) -> float:
    r"""Convert a coordinate in degrees, minutes and seconds to decimal degrees.

    Parameters
    ----------
    text : str
        ``40°26′46″N``, ``40° 26' 46.3" N``, ``40 26 46 N``, ``-40 26 46`` or ``79.5W``. Minutes and seconds may be left
        out.

    Returns
    -------
    float
        The degrees; south and west are negative.

    Raises
    ------
    ValueError
        If the text is not a coordinate, has both a sign and a letter, or a part is too large.

    Examples
    --------
    >>> dms_to_decimal("40°26′46.8″N")
    40.44633333333333

    >>> dms_to_decimal("0° 30' 9\" w")
    -0.5025

    >>> dms_to_decimal("-33 51")
    -33.85

    >>> dms_to_decimal("180 00 00 E")
    180.0

    >>> dms_to_decimal("90S")
    -90.0

    >>> dms_to_decimal("90 0 1 N")
    Traceback (most recent call last):
    ValueError: '90 0 1 N' is more than 90 degrees

    >>> dms_to_decimal("180 0 1 W")
    Traceback (most recent call last):
    ValueError: '180 0 1 W' is more than 180 degrees

    >>> dms_to_decimal("10 60 0 N")
    Traceback (most recent call last):
    ValueError: minutes and seconds must be below 60 in '10 60 0 N'

    >>> dms_to_decimal("10 0 60 N")
    Traceback (most recent call last):
    ValueError: minutes and seconds must be below 60 in '10 0 60 N'

    >>> dms_to_decimal("-10 S")
    Traceback (most recent call last):
    ValueError: '-10 S' has both a sign and a letter

    >>> dms_to_decimal("here")
    Traceback (most recent call last):
    ValueError: 'here' is not a coordinate such as 40°26′46″N

    >>> dms_to_decimal("  59 59 59 S ")
    -59.999722222222225

    >>> dms_to_decimal("91 S")
    Traceback (most recent call last):
    ValueError: '91 S' is more than 90 degrees

    >>> dms_to_decimal("48°51'24\"N and more")
    Traceback (most recent call last):
    ValueError: '48°51\'24"N and more' is not a coordinate such as 40°26′46″N

    Tags: geography, coordinates, conversion
    """
    found = _ANGLE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a coordinate such as 40°26′46″N")
    side = found["side"].upper()
    minutes, seconds = float(found["minutes"] or 0), float(found["seconds"] or 0)
    if minutes >= 60 or seconds >= 60:
        raise ValueError(f"minutes and seconds must be below 60 in {text!r}")
    if found["sign"] and side:
        raise ValueError(f"{text!r} has both a sign and a letter")
    degrees = float(found["degrees"]) + minutes / 60 + seconds / 3600
    limit = 90 if side in ("N", "S") else 180
    if degrees > limit:
        raise ValueError(f"{text!r} is more than {limit} degrees")
    return -degrees if found["sign"] == "-" or side in ("S", "W") else degrees
