# kind: validation
# aliases: luhn, luhn_check, validate_card, is_valid_credit_card, valid_card, check_card,
#   validate_credit_card, credit_card_valid, card_valid, is_valid_luhn, check_luhn
# needs: card, luhn, cards
# needs: validate, valid, validity, check, checker, verify, test, whether, validator, luhn, validation
# needs: credit, debit, card+number, luhn, payment
# gives: true, false, boolean, bool, card, luhn
# unlike: type of, brand, mask, generate, charge, expiry, expiration, cvv, compute the check,
#   calculate the check, luhn digit, last four, card game, playing card, issuer, extract
# words: credit, debit, card, number, numbers, luhn, checksum, algorithm, mod, 10, digit, digits, string,
#   text, true, false, boolean, correct, correctly, well, formed, using, by, payment, is, passes, pass,
#   spaces, hyphens, with, dashes, without, format, length, plausible, sum, entered, real, legal, formula,
#   user, look, looks, like, or

import re


def is_valid_card(text: str) -> bool:
    """Check whether a text is a valid credit card number, by its length and the Luhn checksum.

    The check can't tell whether the card exists.

    Parameters
    ----------
    text : str
        The number, with or without single spaces or hyphens between its digits.

    Returns
    -------
    bool
        Whether the text has 12 to 19 digits and the right check digit.

    Examples
    --------
    >>> is_valid_card("4111 1111 1111 1111")
    True

    >>> is_valid_card("3782-822463-10005")
    True

    >>> is_valid_card("4111111111111112")
    False

    >>> is_valid_card("1411 1111 1111 1111")
    False

    >>> is_valid_card("100000000008")
    True

    >>> is_valid_card("10000000009")
    False

    >>> is_valid_card("1000000000000000009")
    True

    >>> is_valid_card("10000000000000000008")
    False

    >>> is_valid_card("4111  1111 1111 1111")
    False

    >>> is_valid_card("")
    False

    Tags: validation, card, checksum
    """
    if not re.fullmatch(r"[0-9](?:[ -]?[0-9]){11,18}", text):
        return False
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = [digit * 2 for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(map(sum, (divmod(number, 10) for number in doubled)))) % 10 == 0
