# kind: text
# aliases: find_emails, get_emails, email_extractor, extract_email_addresses, emails_in
# needs: extract, find, collect, get, pull, list, harvest, gather, scan, locate, search, extractor, all,
#   every, contain, contains, which
# needs: email, emails, mail, mails
# needs: text, string, document, page, html, log, address, addresses, body, message, paragraph, content,
#   contents, conversation, given, input, source
# gives: email, emails, mail, mails, address, addresses
# words: out, found, texts, contained, mentioned, contain, appear, occur, appearance, occurrence,
#   unstructured, unique, distinct, duplicate, duplicates, once, without, order, web, source, regex, block,
#   long, free, blob, piece, inside

import re
import unicodedata

_LOCAL = re.compile(r"[\w+'~-]+(?:\.[\w+'~-]+)*\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[^\W_]|-){0,62}\.)+(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,63})", re.IGNORECASE)


def extract_emails(text: str, *, unique: bool = True) -> list[str]:
    """Find all e-mail addresses in a text, in the order in which they appear.

    Addresses are found as people write them: brackets, quotes and ``mailto:`` around an address, and the
    full stop that ends a sentence, are not part of it. Letters of any script are allowed.

    Parameters
    ----------
    text : str
        Any text: a message, a web page's source, a log. The time taken is linear in its length.
    unique : bool
        Whether to leave out repeated addresses; upper and lower case count as equal.

    Returns
    -------
    list of str
        The addresses, spelled as in the text.

    Examples
    --------
    >>> extract_emails("Write to ada@example.org, or to <grace.hopper+navy@mail.example.co.uk>.")
    ['ada@example.org', 'grace.hopper+navy@mail.example.co.uk']

    >>> extract_emails("Ada@Example.org wrote; answer ada@example.org")
    ['Ada@Example.org']

    >>> extract_emails("a@x.org b@x.org a@x.org", unique=False)
    ['a@x.org', 'b@x.org', 'a@x.org']

    >>> extract_emails("mailto:jörg@müller.example?subject=Hi ('o'hara@example.com')")
    ['jörg@müller.example', "o'hara@example.com"]

    >>> extract_emails("no address: @handle, user@localhost, a@b@example.com, 3 @ 4.50")
    []

    >>> extract_emails("@a@b.org, c@d.org")
    ['c@d.org']

    >>> extract_emails("ÄÖ@b.org äö@B.ORG")
    ['ÄÖ@b.org']

    >>> extract_emails("a@b-.org, '~-@c.org, d@e.org@f.org")
    []

    >>> extract_emails("a@B.XN--P1AI")
    ['a@B.XN--P1AI']

    >>> extract_emails("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.org")
    ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.org']

    >>> extract_emails("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.org")
    []

    >>> extract_emails("a@b.org's list: a@b.orgs")
    ['a@b.org', 'a@b.orgs']

    >>> extract_emails("(@b.org)")
    []

    >>> extract_emails("[anna@b.example]")
    ['anna@b.example']

    >>> extract_emails("anna@b.example[1]")
    ['anna@b.example']

    Tags: text, email, search
    """
    text = unicodedata.normalize("NFC", text)
    found: dict[str, str] = {}
    every: list[str] = []
    at = text.find("@")
    while at >= 0:
        address = _address_around(text, at)
        if address is not None:
            every.append(address)
            found.setdefault(address.casefold(), address)
        at = text.find("@", at + 1)
    return list(found.values()) if unique else every


def _address_around(text: str, at: int) -> str | None:
    # Searching outwards from each @, no further than an address can be long, keeps the time linear.
    local = _LOCAL.search(text[max(0, at - 66) : at])
    domain = _DOMAIN.match(text, at + 1, at + 256)
    if local is None or domain is None:
        return None
    before = text[at - len(local[0]) - 1 : at - len(local[0])]
    if before == "@" or text[domain.end() : domain.end() + 1] == "@":
        return None
    name = local[0].lstrip("'~-")
    if not name or len(name) > 64 or any(label.endswith("-") for label in domain[0].split(".")):
        return None
    return f"{name}@{domain[0]}"
