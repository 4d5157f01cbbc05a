# kind: validation
# aliases: validate_email, valid_email, check_email, is_email, email_validator, is_email_valid, email_valid,
#   verify_email, email_is_valid, is_valid_mail, check_email_address, validate_email_address
# needs: validate, valid, validity, check, checker, verify, test, whether, validator, validation, looks,
#   correct
# needs: email, emails, mail
# needs: address, addresses, validate, valid, format, syntax, syntactically, correct, formed, string, looks
# gives: true, false, boolean, bool, email, mail
# unlike: the same, gmail
# words: text, syntactically, formatted, correctly, correctness, well, form, true, false, boolean, user,
#   input, plausible, proper, properly, look, like, regex, rfc, real, one, legal, acceptable, typed,
#   entered, is, simple, actual

import re
import unicodedata

_ATOM = "!#$%&'*+-/=?^_`{|}~"
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)


def is_valid_email(text: str) -> bool:
    """Check whether a text is a valid e-mail address, by its form.

    The check follows the rules that mail systems agree on (RFC 5321, and RFC 6531 for letters beyond
    ASCII) for an address on the Internet: no quoted names, no IP addresses, no bare host names, no
    comments. Nothing is sent and no server is asked, so the check can't tell whether the mailbox exists.

    Parameters
    ----------
    text : str
        The address alone; spaces around it make it invalid.

    Returns
    -------
    bool
        Whether an e-mail could be sent to the address.

    Examples
    --------
    >>> is_valid_email("grace.hopper+navy@mail.example.co.uk")
    True

    >>> is_valid_email("jörg@müller.example")
    True

    >>> is_valid_email("two..dots@example.com")
    False

    >>> is_valid_email("ada@localhost")
    False

    >>> is_valid_email("ada@example.com ")
    False

    >>> is_valid_email("ada@-example.com")
    False

    >>> is_valid_email("@example.com")
    False

    >>> is_valid_email("ada")
    False

    >>> is_valid_email("ada@example.c")
    False

    >>> is_valid_email("a_b+c/d@example.org")
    True

    >>> is_valid_email("(ada)@example.org")
    False

    >>> is_valid_email("ada@example.o1")
    False

    >>> is_valid_email("ada@example.xn--p1ai")
    True

    >>> is_valid_email("ada@example.xn--")
    False

    >>> is_valid_email("ADA@EXAMPLE.ORG")
    True

    >>> is_valid_email("a€b@example.org")
    False

    >>> is_valid_email("ada@exa_mple.org")
    False

    >>> is_valid_email("ada@example..org")
    False

    >>> is_valid_email("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.org")
    True

    >>> is_valid_email("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.org")
    False

    >>> is_valid_email("a@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.org")
    False

    >>> is_valid_email("a@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.org")
    True

    >>> is_valid_email("a@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.org")
    False

    >>> is_valid_email("ada@example.o1abc")
    False

    >>> is_valid_email("ada@example.XN--P1AI")
    True

    >>> is_valid_email("ada@a.bb.c")
    False

    >>> is_valid_email("ääääääääääääääääääääääääääääääää@b.org")
    True

    >>> is_valid_email("äääääääääääääääääääääääääääääääää@b.org")
    False

    >>> is_valid_email("ä@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.org")
    False

    >>> is_valid_email("a@ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.abcde")
    True

    >>> is_valid_email("a@ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.ü.abcdef")
    False

    >>> is_valid_email("ada@exam ple.org")
    False

    >>> is_valid_email("café@b.org")
    True

    Tags: validation, email, text
    """
    if len(text.encode("utf-8", "replace")) > 254:
        return False
    local, _, domain = text.rpartition("@")
    return _is_local_part(local) and _is_domain(domain)


def _is_local_part(local: str) -> bool:
    if len(local.encode("utf-8", "replace")) > 64:
        return False
    return all(atom and all(map(_is_atom, atom)) for atom in local.split("."))


def _is_atom(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _ATOM
    return unicodedata.category(character)[0] in "LMN"


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    if len(labels) < 2:
        return False
    try:
        wire = [label.encode("idna").decode("ascii") for label in labels]
    except UnicodeError:
        return False
    if len(".".join(wire)) > 253 or not all(_LABEL.fullmatch(label) for label in wire):
        return False
    top = wire[-1].lower()
    return len(top) > 1 and (top.isalpha() or top.startswith("xn--"))
