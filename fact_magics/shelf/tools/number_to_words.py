# kind: numbers
# aliases: num_to_words, spell_number, number_in_words, int_to_words, num2words, spell_out_number,
#   integer_to_words, number_as_words
# needs: number, integer, int, amount
# needs: word, words, spell, spelled, english
# needs: convert, write, spell, turn, spelled, words, number+word, express, say
# unlike: number of words, numbers of words, word to, words to, words into, word into, from words,
#   word count, in a text, in a string, phone number, of the word, read a number
# words: convert, write, turn, spell, out, english, in, as, integer, int, whole, text, letters, cardinal,
#   form, full, say, express, amount, cheque, check, such, like, thousand, million, hundred, twenty, forty,
#   two, one, negative, up, large, read, numeral, cheques, checks, spelling, translate, spelled, format,
#   word

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))


def number_to_words(number: int) -> str:
    """Write a whole number in English words, such as forty-two.

    Parameters
    ----------
    number : int
        The number, less than a quadrillion in size.

    Returns
    -------
    str
        The words in lower case, without "and", as is usual in American English.

    Raises
    ------
    ValueError
        If the number has more than 15 digits.

    Examples
    --------
    >>> number_to_words(0)
    'zero'

    >>> number_to_words(19)
    'nineteen'

    >>> number_to_words(20)
    'twenty'

    >>> number_to_words(99)
    'ninety-nine'

    >>> number_to_words(100)
    'one hundred'

    >>> number_to_words(-1001)
    'minus one thousand one'

    >>> number_to_words(2_000_342)
    'two million three hundred forty-two'

    >>> number_to_words(1_000_000_000)
    'one billion'

    >>> number_to_words(999_999_999_999_999)
    'nine hundred ninety-nine trillion nine hundred ninety-nine billion nine hundred ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine'

    >>> number_to_words(-1_000_000_000_000_000)
    Traceback (most recent call last):
    ValueError: -1000000000000000 has more than 15 digits

    >>> number_to_words(-1)
    'minus one'

    >>> number_to_words(30)
    'thirty'

    Tags: numbers, text, words
    """
    if abs(number) >= 10**15:
        raise ValueError(f"{number} has more than 15 digits")
    if number < 0:
        return f"minus {number_to_words(-number)}"
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{_TENS[tens - 2]}-{_ONES[ones]}" if ones else _TENS[tens - 2]
    size, name = next(scale for scale in _SCALES if number >= scale[0])
    count, rest = divmod(number, size)
    words = f"{number_to_words(count)} {name}"
    return f"{words} {number_to_words(rest)}" if rest else words
