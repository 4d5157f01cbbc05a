# kind: colours
# aliases: hex2rgb, parse_hex_color, hex_color, color_to_rgb, parse_color, hex_to_rgb_tuple,
#   hex_colour_to_rgb
# needs: hex, hexadecimal, html+color, html+colour, css+color, css+colour, css, html, rrggbb
# needs: rgb, red+green+blue
# gives: rgb, red, green, tuple
# unlike: rgb to hex, rgb color to, rgb colour to, rgb into, rgb value to, rgb values to, rgb tuple to,
#   from rgb, to hsl, rgb as hex, to hex, into hex, to a hex, into a hex, image, lighten, darken
# words: convert, turn, parse, read, decode, color, colors, colour, colours, code, codes, string, value,
#   values, tuple, red, green, blue, components, component, integers, channels, channel, css, html, web,
#   such, like, three, six, digit, digits, shorthand, short, hash, sign, with, without, optional, to,
#   numbers, translate, hexadecimal, notation, 0, 255, triple, format, separate, rrggbb

import re


def hex_to_rgb(text: str) -> tuple[int, int, int]:
    """Convert a hex colour such as #1e90ff to its red, green and blue values.

    Parameters
    ----------
    text : str
        Six hexadecimal digits, or three as a short form, with or without ``#``.

    Returns
    -------
    tuple of three int
        Red, green and blue, each from 0 to 255.

    Raises
    ------
    ValueError
        If the text is not a hex colour of three or six digits.

    Examples
    --------
    >>> hex_to_rgb("#1e90ff")
    (30, 144, 255)

    >>> hex_to_rgb(" FFA07A ")
    (255, 160, 122)

    >>> hex_to_rgb("#09f")
    (0, 153, 255)

    >>> hex_to_rgb("#12345")
    Traceback (most recent call last):
    ValueError: '#12345' is not a hex colour such as #1e90ff or #09f

    >>> hex_to_rgb("##123456")
    Traceback (most recent call last):
    ValueError: '##123456' is not a hex colour such as #1e90ff or #09f

    >>> hex_to_rgb("")
    Traceback (most recent call last):
    ValueError: '' is not a hex colour such as #1e90ff or #09f

    Tags: colours, conversion, web
    """
    digits = text.strip().removeprefix("#")
    if not re.fullmatch("(?:[0-9a-fA-F]{3}){1,2}", digits):
        raise ValueError(f"{text!r} is not a hex colour such as #1e90ff or #09f")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
