# kind: numbers
# aliases: int_to_roman, roman, roman_numeral, to_roman_numeral, integer_to_roman, number_to_roman,
#   arabic_to_roman
# needs: roman
# needs: numeral, numerals, number, convert, write, integer, turn
# gives: roman, numeral
# unlike: roman numeral to, roman numerals to, from roman, roman to, roman numeral into,
#   roman numerals into, roman numeral is, a roman numeral and, valid roman, parse roman, read roman
# words: convert, turn, write, number, integer, int, positive, year, numerals, numeral, express, format,
#   arabic, between, from, 1, 3999, in, as, translate, represent, representation, encode, whole, string

_NUMERALS = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)


def to_roman(number: int) -> str:
    """Write a whole number from 1 to 3999 as a Roman numeral.

    Parameters
    ----------
    number : int
        The number.

    Returns
    -------
    str
        Capital letters, with subtraction: 4 is IV, 900 is CM.

    Raises
    ------
    ValueError
        If the number is not from 1 to 3999.

    Examples
    --------
    >>> to_roman(1994)
    'MCMXCIV'

    >>> to_roman(3999)
    'MMMCMXCIX'

    >>> to_roman(1666)
    'MDCLXVI'

    >>> to_roman(444)
    'CDXLIV'

    >>> to_roman(1)
    'I'

    >>> to_roman(0)
    Traceback (most recent call last):
    ValueError: Roman numerals go from 1 to 3999, so 0 has none

    >>> to_roman(4000)
    Traceback (most recent call last):
    ValueError: Roman numerals go from 1 to 3999, so 4000 has none

    Tags: numbers, text, roman
    """
    if not 1 <= number <= 3999:
        raise ValueError(f"Roman numerals go from 1 to 3999, so {number} has none")
    roman = ""
    for value, letters in _NUMERALS:
        count, number = divmod(number, value)
        roman += letters * count
    return roman
