# kind: text
# aliases: word_count, count_words_by_frequency, word_counts, word_freq, term_frequencies, word_histogram,
#   most_common_words, top_words
# needs: word, words, term, terms, token
# needs: frequency, frequencies, frequent, often, common, occurrences, each, times, every, tally, occurs,
#   appears
# needs: count, counts, frequency, frequencies, frequent, common, tally, often, counter, many+times,
#   occurrences, times
# gives: frequency, frequencies, dict, dictionary, word, count, mapping, counter
# unlike: each line, each sentence, each paragraph, per line, per sentence, every word length,
#   number of words, letter frequency, letter frequencies, length of each word, letter of each word
# words: count, text, string, document, appears, appear, occurs, occur, occurrence, each, every, top, most,
#   many, find, number, compute, calculate, get, list, different, distinct, unique, used, mapping, dict,
#   dictionary, case, insensitive, ignoring, lowercase, punctuation, article, book, sentence, paragraph,
#   frequently, how, times, first, n, ten, 10, build, tally, together, sorted, by, counter, stop

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def word_frequencies(text: str, *, top: int | None = None, ignore: tuple[str, ...] = ()) -> dict[str, int]:
    """Count how often each word appears in a text, the most frequent words first.

    Upper and lower case count as equal. Apostrophes and hyphens inside a word belong to it.

    Parameters
    ----------
    text : str
        Any text.
    top : int or None
        The number of words to return, or None for all.
    ignore : tuple of str
        Words to leave out, such as "the".

    Returns
    -------
    dict
        The words in lower case, with their counts. Equally frequent words are in the order of the text.

    Raises
    ------
    ValueError
        If `top` is below 1.

    Examples
    --------
    >>> word_frequencies("The cat saw the dog, and the dog ran.")
    {'the': 3, 'cat': 1, 'saw': 1, 'dog': 2, 'and': 1, 'ran': 1}

    >>> word_frequencies("b a b, a c", top=1)
    {'b': 2}

    >>> word_frequencies("a b b", top=1, ignore=("B", "c"))
    {'a': 1}

    >>> word_frequencies("Don't re-enter cafe\u0301s, don't; 3 CAFÉS snake_case")
    {"don't": 2, 're-enter': 1, 'cafés': 2, '3': 1, 'snake': 1, 'case': 1}

    >>> word_frequencies("?!")
    {}

    >>> word_frequencies("a", top=0)
    Traceback (most recent call last):
    ValueError: top must be at least 1, not 0

    Tags: text, words, counting
    """
    if top is not None and top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    words: list[str] = _WORD.findall(unicodedata.normalize("NFC", text).lower())
    ignored = {word.lower() for word in ignore}
    return dict(Counter(word for word in words if word not in ignored).most_common(top))
