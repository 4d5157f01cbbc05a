# kind: text
# aliases: to_title_case, titlecase, capitalize_title, headline_case, title_caps
# needs: title+case, titlecase, title+cased, capitalize+word, capitalise+word, capitalize+title,
#   capitalise+title, capitalize+headline, capitalise+headline, headline+case, title+style, headline+style,
#   capital+word, capitals+word
# unlike: camel case, snake case, kebab case, sentence case, pascal case, to lower case, to upper case,
#   into lower case, into upper case, between upper
# words: convert, turn, make, change, transform, write, put, capitalize, capitalise, capitalized,
#   capitalised, capitalization, first, letter, letters, every, each, word, words, text, string, sentence,
#   heading, headline, headlines, small, minor, short, articles, prepositions, except, leave, leaving,
#   lower, lowercase, keep, keeping, acronyms, english, book, movie, song, name, of, style, proper, case,
#   title, titlecase, capital

import re

_SMALL = frozenset(
    "a an and as at but by for from if in nor of on or per so the to up via vs with yet".split()
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def title_case(text: str) -> str:
    """Write a text in title case: words are capitalised, except small words such as "of" inside the title.

    The first and the last word, and words after a colon, are always capitalised. Words with a capital letter
    inside, such as NASA or iPhone, stay as they are, unless the whole text is in capitals.

    Parameters
    ----------
    text : str
        The title.

    Returns
    -------
    str
        The same words, spaces and punctuation, in title case.

    Examples
    --------
    >>> title_case("the lord of the rings")
    'The Lord of the Rings'

    >>> title_case("A TALE OF TWO CITIES")
    'A Tale of Two Cities'

    >>> title_case("don't panic: a user’s guide to NASA and the iPhone")
    "Don't Panic: A User’s Guide to NASA and the iPhone"

    >>> title_case("what are you  waiting for?")
    'What Are You  Waiting For?'

    >>> title_case("")
    ''

    >>> title_case("(lord Of the flies)")
    '(Lord of the Flies)'

    Tags: text, title, capitals
    """
    if text.isupper():
        text = text.lower()
    words = list(_WORD.finditer(text))
    result, end = "", 0
    for number, word in enumerate(words):
        between = text[end : word.start()]
        inside = 0 < number < len(words) - 1 and ":" not in between
        result += between + _cased(word[0], inside)
        end = word.end()
    return result + text[end:]


def _cased(word: str, inside: bool) -> str:
    if inside and word.lower() in _SMALL:
        return word.lower()
    if word[1:] != word[1:].lower():
        return word
    return word[0].title() + word[1:]
