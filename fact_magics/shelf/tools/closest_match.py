# kind: text
# aliases: fuzzy_match, best_match, nearest_string, closest_string, did_you_mean, closest_word, fuzzy_find
# needs: closest, nearest, similar, fuzzy, best+match, typo, misspelled, mistyped
# needs: match, string, word, name, choice, option, text, spelling, command, candidate, candidates, entry,
#   item, key
# unlike: how similar, similarity of, similarity between, nearest neighbor, nearest neighbour,
#   most similar document, number, color, colour
# words: find, get, pick, return, choose, select, suggest, most, from, list, options, choices, candidates,
#   names, words, strings, given, known, valid, matching, matches, matched, match, typo, typos, misspelled,
#   mistyped, misspelling, spelling, spelled, edit, distance, levenshtein, similar, similarity, like, to,
#   user, input, query, term, text, search, approximate, did, mean, correct, correction, best, smallest,
#   fewest, edits, entry, lookup, fuzzily, item, closest, against, suggestion, among, several


def closest_match(text: str, choices: list[str], *, max_distance: int | None = None) -> str | None:
    """Find the choice that is spelled most like a text, by the Levenshtein distance.

    The distance is the number of characters to insert, delete or replace. Upper and lower case, and spaces
    around the text, make no difference.

    Parameters
    ----------
    text : str
        The text, perhaps with typing errors.
    choices : list of str
        The texts to choose from.
    max_distance : int or None
        The largest distance allowed, or None for any.

    Returns
    -------
    str or None
        The closest choice, as it is written in `choices`; the first of several that are equally close. None if
        all are further away than `max_distance`.

    Raises
    ------
    ValueError
        If there are no choices, or `max_distance` is negative.

    Examples
    --------
    >>> closest_match("recieve", ["recipe", "receive", "relieve"])
    'relieve'

    >>> closest_match(" PARIS ", ["Pa", "Pariss", "paris", "Paris"])
    'paris'

    >>> closest_match("kitten", ["sitting", "mittens!"], max_distance=3)
    'sitting'

    >>> closest_match("kitten", ["sitting"], max_distance=2)
    None

    >>> closest_match("abc", ["", "abcdef"])
    ''

    >>> closest_match("a", ["A"], max_distance=0)
    'A'

    >>> closest_match("a", [])
    Traceback (most recent call last):
    ValueError: there are no choices to compare the text with

    >>> closest_match("a", ["a"], max_distance=-1)
    Traceback (most recent call last):
    ValueError: max_distance must not be negative, but is -1

    >>> closest_match("abcd", ["d"], max_distance=2)
    None

    >>> closest_match("abcd", ["a"], max_distance=3)
    'a'

    >>> closest_match("abcd", ["a"], max_distance=2)
    None

    >>> closest_match("", ["ab"], max_distance=2)
    'ab'

    >>> closest_match("sunday", ["saturday"], max_distance=2)
    None

    >>> closest_match("sunday", ["saturday"], max_distance=3)
    'saturday'

    >>> closest_match("a", ["b", "  A  "], max_distance=0)
    '  A  '

    >>> closest_match("ab", ["ba"], max_distance=1)
    None

    >>> closest_match("  a", ["b", "A"], max_distance=0)
    'A'

    Tags: text, spelling, search
    """
    if not choices:
        raise ValueError("there are no choices to compare the text with")
    if max_distance is not None and max_distance < 0:
        raise ValueError(f"max_distance must not be negative, but is {max_distance}")
    wanted = text.strip().casefold()
    distances = [_edits(wanted, choice.strip().casefold()) for choice in choices]
    least = min(distances)
    if max_distance is not None and least > max_distance:
        return None
    return choices[distances.index(least)]


def _edits(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for number, character in enumerate(first, start=1):
        above, row = row, [number]
        for at, other in enumerate(second):
            row.append(min(above[at] + (character != other), above[at + 1] + 1, row[at] + 1))
    return row[-1]
