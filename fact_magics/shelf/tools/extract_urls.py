# kind: text
# aliases: find_urls, get_urls, extract_links, find_links, url_extractor, urls_in, get_links
# needs: extract, find, collect, get, pull, list, harvest, gather, scan, locate, search, extractor, all,
#   every, contain, contains, which
# needs: url, urls, link, links, hyperlink, web+address
# needs: text, string, document, message, log, paragraph, body, addresses, urls, tweet, post, comment,
#   markdown
# gives: url, urls, link, links, hyperlink, address, addresses
# unlike: web page, website, webpage, html page, download, each url, from a url, from url, from the url,
#   from an url, from urls, query parameter, of a url, of the url, part of, valid url, domain, shorten
# words: out, web, address, addresses, http, https, www, found, mentioned, contained, contain, contains,
#   appear, occur, appearance, unique, distinct, duplicate, duplicates, without, order, regex, block, long,
#   free, inside, tweet, chat, post, comment, message, email, piece, given, markdown, log, hyperlinks,
#   start, starting, return, extraction

import re

_URL = re.compile(r"""\b(?:(?:https?|ftp)://|www\.)[^\W_][^\s<>"`{}|\\^]*""", re.IGNORECASE)
_OPENING = {")": "(", "]": "["}


def extract_urls(text: str, *, unique: bool = True) -> list[str]:
    """Find all web addresses in a text, in the order in which they appear.

    An address starts with ``http://``, ``https://``, ``ftp://`` or ``www.``. Punctuation that ends a sentence, and
    brackets around an address, are not part of it.

    Parameters
    ----------
    text : str
        Any text: a message, Markdown, a log.
    unique : bool
        Whether to leave out repeated addresses.

    Returns
    -------
    list of str
        The addresses, spelled as in the text.

    Examples
    --------
    >>> extract_urls("See https://example.org/a?b=1&c=2#top, or www.example.com!")
    ['https://example.org/a?b=1&c=2#top', 'www.example.com']

    >>> extract_urls("[a](http://a.org/x_(y)) (ftp://b.org/[1]) <HTTP://c.org/>")
    ['http://a.org/x_(y)', 'ftp://b.org/[1]', 'HTTP://c.org/']

    >>> extract_urls("http://a.org http://b.org/ http://a.org.")
    ['http://a.org', 'http://b.org/']

    >>> extract_urls("http://a.org http://b.org/ http://a.org...", unique=False)
    ['http://a.org', 'http://b.org/', 'http://a.org']

    >>> extract_urls("no address: http:// https://. example.org mailto:a@b.org")
    []

    >>> extract_urls("http://a.org http://a.org")
    ['http://a.org']

    >>> extract_urls("[http://a.org]")
    ['http://a.org']

    Tags: text, url, search
    """
    found = [_trimmed(match[0]) for match in _URL.finditer(text)]
    return list(dict.fromkeys(found)) if unique else found


def _trimmed(url: str) -> str:
    while True:
        last = url[-1]
        # A closing bracket belongs to the address if it was opened there.
        if last in _OPENING and url.count(last) <= url.count(_OPENING[last]):
            return url
        if last not in ".,;:!?'*)]":
            return url
        url = url[:-1]
