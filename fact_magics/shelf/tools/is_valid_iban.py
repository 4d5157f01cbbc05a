# kind: validation
# aliases: validate_iban, valid_iban, check_iban, is_iban, iban_validator, iban_valid, iban_check,
#   verify_iban
# needs: iban, ibans, international+bank+account
# needs: validate, valid, validity, check, checker, verify, test, whether, validator, validation,
#   checksum, correct, looks, digits
# gives: true, false, boolean, bool, iban
# unlike: compute the check, calculate the check, generate the check, check digit for
# words: number, numbers, bank, account, international, string, text, check, digit, mod, 97, country,
#   length, correctly, true, false, boolean, european, sepa, spaces, code, codes, format, formatted, well,
#   formed, user, input, one, structure, mod97, real, legal, typed, entered, like, is, without

import re

# The characters after the check digits, by country (ISO 13616): n is digits, a capital letters, c both.
_STRUCTURES = """
AD 8n12c    AE 19n      AL 8n16c    AT 16n      AZ 4a20c    BA 16n      BE 12n      BG 4a6n8c   BH 4a14c
BI 23n      BR 23n1a1c  BY 4c4n16c  CH 5n12c    CR 18n      CY 8n16c    CZ 20n      DE 18n      DJ 23n
DK 14n      DO 4c20n    EE 16n      EG 25n      ES 20n      FI 14n      FK 2a12n    FO 14n      FR 10n11c2n
GB 4a14n    GE 2a16n    GI 4a15c    GL 14n      GR 7n16c    GT 24c      HN 4a20n    HR 17n      HU 24n
IE 4a14n    IL 19n      IQ 4a15n    IS 22n      IT 1a10n12c JO 4a4n18c  KW 4a22c    KZ 3n13c    LB 4n20c
LC 4a24c    LI 5n12c    LT 16n      LU 3n13c    LV 4a13c    LY 21n      MC 10n11c2n MD 20c      ME 18n
MK 3n10c2n  MN 16n      MR 23n      MT 4a5n18c  MU 4a19n3a  NI 4a20n    NL 4a10n    NO 11n      OM 3n16c
PK 4a16c    PL 24n      PS 4a21c    PT 21n      QA 4a21c    RO 4a16c    RS 18n      RU 14n15c   SA 2n18c
SC 4a20n3a  SD 14n      SE 20n      SI 15n      SK 20n      SM 1a10n12c SO 19n      ST 21n      SV 4a20n
TL 19n      TN 20n      TR 5n17c    UA 6n19c    VA 18n      VG 4a16n    XK 16n      YE 4a4n18c
"""
_CLASSES = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}


def is_valid_iban(text: str) -> bool:
    """Check whether a text is a valid IBAN, an international bank account number.

    The country code, the country's length and pattern of letters and digits, and the check digits
    (ISO 13616, modulo 97) must all be right. The check can't tell whether the account exists.

    Parameters
    ----------
    text : str
        The number, with or without spaces between its groups, in upper or lower case.

    Returns
    -------
    bool
        Whether the text is a valid IBAN.

    Examples
    --------
    >>> is_valid_iban("GB29 NWBK 6016 1331 9268 19")
    True

    >>> is_valid_iban("de89370400440532013000")
    True

    >>> is_valid_iban("DE89 3704 0044 0532 0130 01")
    False

    >>> is_valid_iban("NO93 8601 1117 947")
    True

    >>> is_valid_iban("ZZ89 3704 0044 0532 0130 00")
    False

    >>> is_valid_iban("")
    False

    >>> is_valid_iban("DE89 3704 0044 0532 0130 0A")
    False

    >>> is_valid_iban("DE89370400440532013000ß")
    False

    >>> is_valid_iban("FR14 2004 1010 0505 0001 3M02 606")
    True

    >>> is_valid_iban("MT84MALT011000012345MTLCAST001S")
    True

    >>> is_valid_iban("DE02000000000000000030")
    True

    >>> is_valid_iban("DE99000000000000000030")
    False

    >>> is_valid_iban("DE98000000000000000048")
    True

    >>> is_valid_iban("DE01000000000000000048")
    False

    >>> is_valid_iban("DE00000000000000000066")
    False

    >>> is_valid_iban("DE10000000000000000080")
    True

    >>> is_valid_iban("DE4100000000000000007")
    False

    >>> is_valid_iban("GB56ZZZZ00000000000000")
    True

    >>> is_valid_iban("MT84MALT011000012345MTLCAST001ſ")
    False

    >>> is_valid_iban("NO93 8601 1117 947-")
    False

    >>> is_valid_iban("GB28 NWBK 6016 1331 9268 19")
    False

    Tags: validation, bank, iban
    """
    number = "".join(text.split())
    if not number.isascii():
        return False
    number = number.upper()
    structure = dict(zip(*[iter(_STRUCTURES.split())] * 2, strict=True)).get(number[:2])
    if structure is None:
        return False
    parts = re.findall(r"([0-9]+)([nac])", structure)
    pattern = "".join(f"{_CLASSES[kind]}{{{length}}}" for length, kind in parts)
    if not re.fullmatch(f"[A-Z]{{2}}[0-9]{{2}}{pattern}", number):
        return False
    # Check digits 00, 01 and 99 may pass the division, too, but only 02 to 98 are valid.
    digits = "".join(str(int(character, 36)) for character in number[4:] + number[:4])
    return 2 <= int(number[2:4]) <= 98 and int(digits) % 97 == 1
