# kind: validation
# aliases: validate_isbn, isbn_valid, check_isbn, is_isbn, valid_isbn, isbn_check, isbn_validator,
#   verify_isbn
# needs: isbn, isbns, book+number
# needs: validate, valid, validity, check, checker, verify, test, whether, validator, validation, checksum,
#   correct
# gives: true, false, boolean, bool, isbn, checksum
# unlike: compute the check, calculate the check, check digit for, check digit of, look up, book title,
#   title of, extract, isbn 10 to, isbn10 to, 10 to isbn, generate, convert
# words: isbn, isbns, isbn10, isbn13, 10, 13, book, books, number, numbers, international, standard, digit,
#   digits, checksum, string, text, true, false, boolean, correct, correctly, formed, well, hyphens, spaces,
#   dashes, code, is, with, without, both, either, or, old, new, format, x, last, using, identifier, real,
#   legal, including, ok

import re


def is_valid_isbn(text: str) -> bool:
    """Check whether a text is a valid ISBN of 10 or 13 digits, by its check digit.

    The check can't tell whether the book exists.

    Parameters
    ----------
    text : str
        The number, with or without single hyphens or spaces between its digits.

    Returns
    -------
    bool
        Whether the text has the form of an ISBN and the right check digit.

    Examples
    --------
    >>> is_valid_isbn("978-0-306-40615-7")
    True

    >>> is_valid_isbn("9780306406158")
    False

    >>> is_valid_isbn("9788175257665")
    True

    >>> is_valid_isbn("0-306-40615-2")
    True

    >>> is_valid_isbn("0 8044 2957 x")
    True

    >>> is_valid_isbn("0306406153")
    False

    >>> is_valid_isbn("979-10-90636-07-1")
    True

    >>> is_valid_isbn("4006381333931")
    False

    >>> is_valid_isbn("978-0-306--40615-7")
    False

    >>> is_valid_isbn("")
    False

    >>> is_valid_isbn("978-0-306-40615-X")
    False

    >>> is_valid_isbn("97803064061")
    False

    >>> is_valid_isbn("978030640615")
    False

    >>> is_valid_isbn("978030640618")
    False

    >>> is_valid_isbn("0-306-40615-2 (paperback)")
    False

    Tags: validation, isbn, books
    """
    if not re.fullmatch(r"[0-9](?:[ -]?[0-9]){8,11}[ -]?[0-9Xx]", text):
        return False
    symbols = re.sub("[ -]", "", text)
    values = [10 if symbol in "Xx" else int(symbol) for symbol in symbols]
    if len(symbols) == 10:
        return sum(weight * value for weight, value in enumerate(values, start=1)) % 11 == 0
    if not re.fullmatch("97[89][0-9]{10}", symbols):
        return False
    return (sum(values[::2]) + 3 * sum(values[1::2])) % 10 == 0
