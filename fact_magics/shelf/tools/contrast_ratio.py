# kind: colours
# aliases: wcag_contrast, color_contrast, colour_contrast, contrast, wcag_ratio, contrast_of
# needs: contrast
# needs: color, colour, colors, colours, wcag, foreground, background, text+background
# unlike: image, photo, increase, enhance, improve, adjust, is enough, is sufficient, black or white,
#   suggest, best, readable text color, readable text colour
# words: ratio, compute, calculate, between, two, color, colors, colour, colours, wcag, accessibility, web,
#   content, guidelines, hex, text, background, foreground, luminance, relative, of, by, formula, according,
#   given, and, measure, for, standard, as, defined, 2, pair, on, 1, 21, get, css, determine, definition,
#   against

import re


def contrast_ratio(first: str, second: str) -> float:
    """Compute the contrast ratio of two colours by WCAG, such as a text's colour and its background.

    WCAG asks for at least 4.5 for normal text (level AA), or 7 (level AAA), and 3 for large text.

    Parameters
    ----------
    first, second : str
        Hex colours of three or six digits, such as ``#1e90ff`` or ``#09f``, in any order.

    Returns
    -------
    float
        The ratio, from 1 (the same colour) to 21 (black and white); it is not rounded.

    Raises
    ------
    ValueError
        If a text is not a hex colour of three or six digits.

    Examples
    --------
    >>> contrast_ratio("#000", "#ffffff")
    21.0

    >>> contrast_ratio("#777777", "#ffffff")
    4.478089453577214

    >>> contrast_ratio("1e90ff", " #0A0B0C ")
    6.086302088782356

    >>> contrast_ratio("#123456", "#123456")
    1.0

    >>> contrast_ratio("red", "#fff")
    Traceback (most recent call last):
    ValueError: 'red' is not a hex colour such as #1e90ff or #09f

    >>> contrast_ratio("#fff", "#ffff")
    Traceback (most recent call last):
    ValueError: '#ffff' is not a hex colour such as #1e90ff or #09f

    >>> contrast_ratio("#09f", "#000")
    7.000493114301314

    Tags: colours, accessibility, web
    """
    darker, lighter = sorted([_luminance(first), _luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(text: str) -> float:
    digits = text.strip().removeprefix("#")
    if not re.fullmatch("(?:[0-9a-fA-F]{3}){1,2}", digits):
        raise ValueError(f"{text!r} is not a hex colour such as #1e90ff or #09f")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue = (_linear(int(digits[at : at + 2], 16) / 255) for at in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
