# kind: text
# aliases: slug, to_slug, make_slug, url_slug, title_to_slug
# needs: slug, slugs, slugify, slugified, permalink, url+friendly
# unlike: from a slug, from slug, slug into, slug to, slug back, and a slug, slug and, in a slug
# words: product, contain, contains, turn, convert, transform, make, change, create, generate, title,
#   titles, text, string, strings, url, urls, web, address, page, blog, post, article, headline, heading,
#   friendly, safe, clean, lower, lowercase, lowercased, case, ascii, word, words, joined, join, hyphen,
#   hyphens, hyphenated, dash, dashes, separated, separator, underscore, underscores, accents, accented,
#   diacritics, umlauts, transliterate, remove, removed, strip, stripped, replace, replaced, space, spaces,
#   punctuation, special, character, characters, letter, letters, digits, unicode, empty, length, maximum,
#   seo, readable, name, names, arbitrary, latin, nice, drop, dropping, slug, slugs, permalink, id,
#   identifier, slugified

import re
import unicodedata

# Letters without a Unicode decomposition, then Greek and Cyrillic in their common romanisations.
_TO_LATIN = str.maketrans(
    dict(zip("ßæœøđðþłħıŋŧəĸ", "ss ae oe o d d th l h i ng t e k".split(), strict=True))
    | dict(zip("αβγδεζηθικλμν", "a v g d e z i th i k l m n".split(), strict=True))
    | dict(zip("ξοπρσςτυφχψω", "x o p r s s t y f ch ps o".split(), strict=True))
    | dict(zip("абвгдеёжзийклмноп", "a b v g d e e zh z i y k l m n o p".split(), strict=True))
    | dict(zip("рстуфхцчшщыэюя", "r s t u f kh ts ch sh shch y e yu ya".split(), strict=True))
    | dict(zip("іїєґ", "i yi ye g".split(), strict=True))
    | dict.fromkeys("ъь", "")
)


def slugify(text: str, *, sep: str = "-", max_length: int | None = None) -> str:
    """Turn a title into a URL slug: lower case, ASCII, words joined by hyphens.

    Accents are dropped, Greek and Cyrillic letters are romanised, apostrophes are removed, and every
    other character that is not a letter or digit separates words.

    Parameters
    ----------
    text : str
        The title, in any script.
    sep : str
        The separator between words: any of ``-``, ``_``, ``.`` and ``~``, or nothing.
    max_length : int or None
        The longest slug allowed. It is cut between words where that is possible.

    Returns
    -------
    str
        Letters ``a`` to ``z``, digits and `sep`; never empty.

    Raises
    ------
    ValueError
        If nothing in `text` can be written in ASCII, or an option can't be used.

    Examples
    --------
    >>> slugify("Héllo, Wörld!")
    'hello-world'

    >>> slugify("  Don't Panic:  The Hitchhiker’s Guide ")
    'dont-panic-the-hitchhikers-guide'

    >>> slugify("Straße in København, ½ Preis")
    'strasse-in-kobenhavn-1-2-preis'

    >>> slugify("Война и мир")
    'voyna-i-mir'

    >>> slugify("Annual Report 2025", sep="_")
    'annual_report_2025'

    >>> slugify("The quick brown fox", max_length=12)
    'the-quick'

    >>> slugify("")
    Traceback (most recent call last):
    ValueError: nothing in '' can be written as a slug

    >>> slugify("a", sep="+")
    Traceback (most recent call last):
    ValueError: sep may only hold the characters - _ . ~, not '+'

    >>> slugify("a", max_length=0)
    Traceback (most recent call last):
    ValueError: max_length must be at least 1, not 0

    >>> slugify("The quick brown fox", max_length=9)
    'the-quick'

    >>> slugify("The quick brown fox", max_length=8, sep="~")
    'the'

    >>> slugify("a bbbb c", max_length=3)
    'a'

    >>> slugify("Incomprehensible", max_length=1)
    'i'

    >>> slugify("Year ٣ ℡")
    'year-3-tel'

    >>> slugify("Йод, объём, Αθήνα")
    'yod-obem-athina'

    Tags: text, url, title
    """
    if sep.strip("-_.~"):
        raise ValueError(f"sep may only hold the characters - _ . ~, not {sep!r}")
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be at least 1, not {max_length}")
    # Twice: й is a letter of its own before it is taken apart, ά is an α only after it.
    folded = unicodedata.normalize("NFC", text).casefold().translate(_TO_LATIN)
    apart = unicodedata.normalize("NFKD", folded)
    bare = "".join(_digit(character) for character in apart if not unicodedata.combining(character))
    joined = re.sub("['’‘ʼ`]", "", bare.casefold().translate(_TO_LATIN))
    words: list[str] = re.findall("[a-z0-9]+", joined)
    if not words:
        raise ValueError(f"nothing in {text!r} can be written as a slug")
    if max_length is None:
        return sep.join(words)
    kept = words[0][:max_length]
    for word in words[1:]:
        if len(kept) + len(sep) + len(word) > max_length:
            break
        kept += sep + word
    return kept


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
