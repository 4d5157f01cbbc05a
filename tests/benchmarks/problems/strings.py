"""Small problems with texts: each function is a solution, its docstring the contract, `hidden` further calls."""

import re


def count_vowels(text: str) -> int:
    """Count the vowels, whatever their case.

    >>> count_vowels("Hello")
    2

    >>> count_vowels("sky")
    0
    """
    return sum(1 for letter in text.lower() if letter in "aeiou")


count_vowels.hidden = [("",), ("AEIOU",), ("aeiou",), ("Umbrella",), ("rhythm",), ("I am out",), ("queue",)]


def is_palindrome(text: str) -> bool:
    """Tell whether the letters and digits read the same backwards.

    >>> is_palindrome("Never odd or even")
    True

    >>> is_palindrome("abc")
    False
    """
    kept = [letter.lower() for letter in text if letter.isalnum()]
    return kept == kept[::-1]


is_palindrome.hidden = [
    ("",),
    ("a",),
    ("ab",),
    ("aba",),
    ("A1 1a",),
    ("ab1ba",),
    ("12321",),
    ("1231",),
    ("Aa",),
]


def capitalize_words(text: str) -> str:
    """Make the first letter of each word a capital one; the other letters stay.

    >>> capitalize_words("hello big world")
    'Hello Big World'

    >>> capitalize_words("iPhone case")
    'IPhone Case'
    """
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


capitalize_words.hidden = [("",), ("a",), ("a  b",), ("ABC dEF",), (" x",), ("one",), ("y z ",)]


def truncate(text: str, width: int) -> str:
    """Shorten a text to at most `width` characters; an ellipsis shows that something was cut.

    >>> truncate("abcdefgh", 5)
    'ab...'

    >>> truncate("abc", 5)
    'abc'
    """
    if width < 3:
        raise ValueError("width must be at least 3")
    if len(text) <= width:
        return text
    return text[: width - 3] + "..."


truncate.hidden = [
    ("abcde", 5),
    ("abcdef", 5),
    ("abcd", 3),
    ("abc", 3),
    ("", 3),
    ("abcd", 4),
    ("abcde", 4),
    ("hello world", 10),
]


def count_words(text: str) -> int:
    """Count the words between blanks.

    >>> count_words("one two three")
    3

    >>> count_words("")
    0
    """
    return len(text.split())


count_words.hidden = [("a",), ("a  b",), (" a ",), ("a\nb",), ("   ",), ("x y z w",)]


def caesar(text: str, shift: int) -> str:
    """Shift each letter in the alphabet; other characters stay.

    >>> caesar("abc", 1)
    'bcd'

    >>> caesar("Hello, World!", 3)
    'Khoor, Zruog!'
    """
    shifted = []
    for letter in text:
        if "a" <= letter <= "z":
            shifted.append(chr((ord(letter) - ord("a") + shift) % 26 + ord("a")))
        elif "A" <= letter <= "Z":
            shifted.append(chr((ord(letter) - ord("A") + shift) % 26 + ord("A")))
        else:
            shifted.append(letter)
    return "".join(shifted)


caesar.hidden = [
    ("xyz", 3),
    ("XYZ", 3),
    ("a", -1),
    ("z", 26),
    ("Zz", 1),
    ("a1b", 2),
    ("", 5),
    ("Az", 25),
    ("@[`{", 1),
]


def run_length(text: str) -> str:
    """Write each run of equal characters as the character and its count.

    >>> run_length("aaabcc")
    'a3b1c2'

    >>> run_length("x")
    'x1'
    """
    written, start = "", 0
    for index in range(1, len(text) + 1):
        if index == len(text) or text[index] != text[start]:
            written += f"{text[start]}{index - start}"
            start = index
    return written


run_length.hidden = [("",), ("aa",), ("ab",), ("aab",), ("abb",), ("aba",), ("zzzzzzzzzzz",), ("  a",)]


def snake_case(name: str) -> str:
    """Write a camel-case name with underscores.

    >>> snake_case("someLongName")
    'some_long_name'

    >>> snake_case("name")
    'name'
    """
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


snake_case.hidden = [("",), ("A",), ("Ab",), ("aB",), ("HTMLPage",), ("already_snake",), ("x1Y",)]


def common_prefix(first: str, second: str) -> str:
    """Return the longest prefix of two texts.

    >>> common_prefix("flower", "flow")
    'flow'

    >>> common_prefix("dog", "cat")
    ''
    """
    size = 0
    while size < len(first) and size < len(second) and first[size] == second[size]:
        size += 1
    return first[:size]


common_prefix.hidden = [
    ("", ""),
    ("a", "a"),
    ("ab", "ac"),
    ("abc", "abd"),
    ("a", ""),
    ("", "a"),
    ("xyz", "xyz"),
    ("x", "xy"),
]


def initials(name: str) -> str:
    """Return the initials of a name, with points.

    >>> initials("Ada Lovelace")
    'A.L.'

    >>> initials("plato")
    'P.'
    """
    return "".join(f"{word[0].upper()}." for word in name.split())


initials.hidden = [("",), ("a b c",), ("  x  y ",), ("Jean-Luc Picard",), ("ÉVA x",)]


def is_strong(password: str) -> bool:
    """Tell whether a password has eight characters, a digit and a capital letter.

    >>> is_strong("Secret123")
    True

    >>> is_strong("secret")
    False
    """
    return (
        len(password) >= 8
        and any(letter.isdigit() for letter in password)
        and any(letter.isupper() for letter in password)
    )


is_strong.hidden = [
    ("Abcdefg1",),
    ("Abcdef1",),
    ("abcdefg1",),
    ("ABCDEFGH",),
    ("12345678",),
    ("1234567A",),
    ("",),
    ("A1",),
]


def most_common_letter(text: str) -> str:
    """Return the letter that occurs most often; of several, the first in the alphabet; "" without letters.

    >>> most_common_letter("banana")
    'a'

    >>> most_common_letter("Hello")
    'l'
    """
    letters = [letter for letter in text.lower() if letter.isalpha()]
    if not letters:
        return ""
    return min(letters, key=lambda letter: (-letters.count(letter), letter))


most_common_letter.hidden = [
    ("",),
    ("123",),
    ("ab",),
    ("ba",),
    ("aA",),
    ("zzy",),
    ("z y",),
    ("1a1",),
    ("bbaa",),
]


def wrap_tag(text: str, tag: str = "b") -> str:
    """Put a text between an opening and a closing tag; an empty text stays empty.

    >>> wrap_tag("hi")
    '<b>hi</b>'

    >>> wrap_tag("x", "i")
    '<i>x</i>'
    """
    if not text:
        return ""
    return f"<{tag}>{text}</{tag}>"


wrap_tag.hidden = [("",), ("", "p"), (" ",), ("a b", "em"), ("a", "")]


def mask_card(number: str) -> str:
    """Hide all but the last four characters of a card number.

    >>> mask_card("1234567812345678")
    '************5678'

    >>> mask_card("123")
    '123'
    """
    if len(number) <= 4:
        return number
    return "*" * (len(number) - 4) + number[-4:]


mask_card.hidden = [("",), ("1234",), ("12345",), ("123456",), ("abcdefgh",)]


def balanced(text: str) -> bool:
    """Tell whether the round and square brackets are balanced.

    >>> balanced("(a[b]c)")
    True

    >>> balanced("(]")
    False
    """
    waiting = []
    for letter in text:
        if letter in "([":
            waiting.append(letter)
        elif letter in ")]" and (not waiting or waiting.pop() + letter not in ("()", "[]")):
            return False
    return not waiting


balanced.hidden = [
    ("",),
    ("(",),
    (")",),
    ("()",),
    ("[]",),
    ("([)]",),
    ("())",),
    ("[[]",),
    ("a",),
    ("()[]",),
    ("[()]",),
]
