# kind: numbers
# aliases: parse_price, to_number, clean_number, parse_amount, price_to_float, parse_money, text_to_number,
#   parse_currency, money_to_float
# needs: number, price, prices, amount, money
# needs: parse, read, clean, convert, turn, parser, extract, interpret
# needs: text, string, messy, price, prices, thousands+separator, formatted, currency+symbol, human, locale,
#   decimal+comma, european, eur, usd, dollar, comma, amount+float, amounts+float, commas, symbol, euro,
#   currency, separators
# gives: number, float, price, amount, value, decimal
# unlike: list of, number to, numbers to, all number, all the number, phone number, hexadecimal, roman,
#   number word, word to, words to, scrape, number in words, number as, convert number, in another currency,
#   to another currency, dollars to, all numbers, every number, list of numbers
# words: text, string, strings, messy, dirty, human, written, formatted, like, such, with, currency,
#   currencies, symbol, symbols, sign, dollar, euro, thousands, thousand, separator, separators, comma,
#   commas, dot, dots, decimal, point, percent, percentage, percentages, brackets, parentheses, negative,
#   accounting, european, us, german, style, locale, format, formats, numeric, float, amount, money, value,
#   to, from, clean, input, spreadsheet, entered, user, remove, removing, strip, stripping, spaces, eur,
#   usd, floats, cents

import re
import unicodedata
from typing import Literal


def parse_number(text: str, *, decimal: Literal[".", ","] | None = None) -> float:
    """Read a number or price as people write it: $1,234.50, 1.234,50 €, 12 %, (300).

    A currency or unit is ignored. Minus signs and brackets, as in accounts, make the number negative. A percentage
    is divided by 100.

    Parameters
    ----------
    text : str
        A single number. Commas, dots, spaces and apostrophes may separate groups of three digits.
    decimal : {".", ","} or None
        The decimal mark. If it is None, the last of two different marks is the decimal mark, a repeated mark
        separates thousands, and so does a single comma before exactly three digits.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ValueError
        If the text holds no number, several numbers or more text than a currency or unit, or the digits are grouped wrongly.

    Examples
    --------
    >>> parse_number("$1,234.50")
    1234.5

    >>> parse_number("−1.234.567,8 EUR")
    -1234567.8

    >>> parse_number("1,234")
    1234.0

    >>> parse_number("1,234", decimal=",")
    1.234

    >>> parse_number("0,75")
    0.75

    >>> parse_number("1.234.567")
    1234567.0

    >>> parse_number("CHF 12'345.6")
    12345.6

    >>> parse_number("12.5 %")
    0.125

    >>> parse_number("(300)")
    -300.0

    >>> parse_number("$.50")
    0.5

    >>> parse_number("1,23,4")
    Traceback (most recent call last):
    ValueError: the digits of '1,23,4' are not grouped in threes

    >>> parse_number("3 or 4")
    Traceback (most recent call last):
    ValueError: '3 or 4' holds 2 numbers, not one

    >>> parse_number("about 5 km")
    Traceback (most recent call last):
    ValueError: 'about 5 km' holds more text than a currency or unit

    >>> parse_number("12’345")
    12345.0

    >>> parse_number("EUR 1.234.")
    1.234

    >>> parse_number("1.234,567")
    1234.567

    >>> parse_number("1,5,7", decimal=",")
    Traceback (most recent call last):
    ValueError: '1,5,7' has more than one decimal mark

    >>> parse_number("")
    Traceback (most recent call last):
    ValueError: '' holds 0 numbers, not one

    >>> parse_number("1,2345")
    1.2345

    >>> parse_number("12’34")
    Traceback (most recent call last):
    ValueError: the digits of '12’34' are not grouped in threes

    >>> parse_number("kg5m")
    Traceback (most recent call last):
    ValueError: 'kg5m' holds more text than a currency or unit

    Tags: numbers, parsing, money
    """
    plain = unicodedata.normalize("NFKC", text).replace("−", "-").replace("’", "'")
    found = re.findall(r"[.,]?[0-9](?:[0-9.,']| (?=[0-9]))*", plain)
    if len(found) != 1:
        raise ValueError(f"{text!r} holds {len(found)} numbers, not one")
    number = found[0].rstrip(".,'")
    before, _, after = plain.partition(number)
    if len(re.findall(r"[^\W\d_]+", f"{before} {after}")) > 1:
        raise ValueError(f"{text!r} holds more text than a currency or unit")
    mark = decimal or _decimal_mark(number)
    whole, _, fraction = number.partition(mark)
    if not re.fullmatch(r"[0-9]*|[0-9]{1,3}([.,' ])[0-9]{3}(?:\1[0-9]{3})*", whole):
        raise ValueError(f"the digits of {text!r} are not grouped in threes")
    if not re.fullmatch("[0-9]*", fraction):
        raise ValueError(f"{text!r} has more than one decimal mark")
    value = float(f"{re.sub('[^0-9]', '', whole)}.{fraction}e{-2 if '%' in after else 0}")
    return -value if "-" in before or "(" in before else value


def _decimal_mark(number: str) -> str:
    marks = re.findall("[.,]", number)
    last = marks[-1] if marks else "."
    repeated = len(marks) > 1 and len(set(marks)) == 1
    thousands = marks == [","] and len(number.partition(",")[2]) == 3
    if repeated or thousands:
        return "." if last == "," else ","
    return last
