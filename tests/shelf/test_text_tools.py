"""The tools for text, on what titles and texts really hold."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

slugify = pytest.mark.parametrize("tool", ["slugify"], indirect=True)
extract_emails = pytest.mark.parametrize("tool", ["extract_emails"], indirect=True)
title_case = pytest.mark.parametrize("tool", ["title_case"], indirect=True)
word_frequencies = pytest.mark.parametrize("tool", ["word_frequencies"], indirect=True)
closest_match = pytest.mark.parametrize("tool", ["closest_match"], indirect=True)
extract_urls = pytest.mark.parametrize("tool", ["extract_urls"], indirect=True)
to_roman = pytest.mark.parametrize("tool", ["to_roman"], indirect=True)


@slugify
class TestSlugify:
    @pytest.mark.parametrize(
        ("text", "slug"),
        [
            ("already-a-slug", "already-a-slug"),
            ("--Trim-- me --", "trim-me"),
            ("C++ & C#", "c-c"),
            ("Ærøskøbing Łódź Đà Nẵng", "aeroskobing-lodz-da-nang"),
            ("İstanbul ığüşöç", "istanbul-igusoc"),
            ("ΑΘΗΝΑ Αθήνα", "athina-athina"),
            ("Съешь ещё Київ", "sesh-eshche-kiyiv"),
            ("ﬁne ２０２５ ١٢٣ x²", "fine-2025-123-x2"),
            ("東京 2020 🎉", "2020"),
            ("snake_case and tab\tand\nnewline", "snake-case-and-tab-and-newline"),
            ("rock'n'roll “quoted”", "rocknroll-quoted"),
            ("ẞ ß", "ss-ss"),
            ("zero\u200bwidth\u00adsoft", "zero-width-soft"),
        ],
    )
    def test_titles(self, tool: Tool, text: str, slug: str) -> None:
        """Each title gives the slug that its reader would write."""
        assert tool(text) == slug

    @pytest.mark.parametrize("text", ["Crème Brûlée", "Ελληνικά", "Йод ёлка", "Đặng"])
    def test_composed_and_decomposed_text_agree(self, tool: Tool, text: str) -> None:
        """NFC and NFD look the same, so their slugs are the same."""
        assert tool(unicodedata.normalize("NFD", text)) == tool(unicodedata.normalize("NFC", text))

    @pytest.mark.parametrize("text", ["", " ", "!?", "🎉", "東京", "'"])
    def test_nothing_left_is_an_error(self, tool: Tool, text: str) -> None:
        """A slug is never empty."""
        with pytest.raises(ValueError, match="can be written as a slug"):
            tool(text)

    def test_a_slug_stays_as_it_is(self, tool: Tool) -> None:
        """Slugifying a slug changes nothing."""
        once = tool("Über 100 % — déjà vu!")
        assert tool(once) == once

    @pytest.mark.parametrize(
        ("length", "slug"), [(1, "t"), (3, "the"), (4, "the"), (9, "the-quick"), (99, "the-quick")]
    )
    def test_length_is_kept(self, tool: Tool, length: int, slug: str) -> None:
        """Words are whole where they fit, and the first is cut where it does not."""
        assert tool("The quick", max_length=length) == slug

    @pytest.mark.parametrize("options", [{"sep": "a"}, {"sep": "/"}, {"sep": " "}, {"max_length": 0}])
    def test_unusable_options_are_refused(self, tool: Tool, options: dict[str, Any]) -> None:
        """A separator that a URL would change, and a length of nothing, say what is wrong."""
        with pytest.raises(ValueError, match=r"sep may only|max_length must"):
            tool("text", **options)

    def test_no_separator(self, tool: Tool) -> None:
        """Words may also be joined by nothing."""
        assert tool("Two Words", sep="") == "twowords"


@extract_emails
class TestExtractEmails:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", []),
            ("a@b.co", ["a@b.co"]),
            ("(a@b.co), <c@d.co>; e@f.co!", ["a@b.co", "c@d.co", "e@f.co"]),
            ("Is it a@b.co?", ["a@b.co"]),
            ("a@b.co...", ["a@b.co"]),
            ("...a@b.co", ["a@b.co"]),
            ("a..b@c.co", ["b@c.co"]),
            ("x@-bad.com y@bad-.com", []),
            ("user@sub.sub.example.museum", ["user@sub.sub.example.museum"]),
            ("https://example.org/?mail=a%40b.co&to=c@d.co", ["c@d.co"]),
            ("a@b.c1", []),
            ("a@1.2.3.4", []),
            ("пример@почта.рф", ["пример@почта.рф"]),
            ("bob@xn--mller-kva.example", ["bob@xn--mller-kva.example"]),
            ("x" * 65 + "@example.com", []),
            ("@ @@ a@ @b.co", []),
            ("a@b.co,c@d.co\na@B.CO", ["a@b.co", "c@d.co"]),
        ],
    )
    def test_texts(self, tool: Tool, text: str, found: list[str]) -> None:
        """Each text gives the addresses that a reader would mark in it."""
        assert tool(text) == found

    def test_long_hostile_text_is_linear(self, tool: Tool) -> None:
        """Text made to send a regular expression back and forth is read once, so this ends."""
        assert tool("a." * 1_000_000 + "@" + "b-" * 1_000_000) == []
        assert tool("a@" * 100_000) == []


@title_case
class TestTitleCase:
    @pytest.mark.parametrize(
        ("text", "title"),
        [
            ("gone with the wind", "Gone with the Wind"),
            ("of", "Of"),
            ("up-to-date", "Up-to-Date"),
            ("what is it for", "What Is It For"),
            ("star wars: a new hope", "Star Wars: A New Hope"),
            ("o'reilly’s öl", "O'reilly’s Öl"),
            ("  two  spaces\n", "  Two  Spaces\n"),
            ("straße ßa", "Straße Ssa"),
            ("2 fast 2 furious", "2 Fast 2 Furious"),
            ("?!", "?!"),
        ],
    )
    def test_titles(self, tool: Tool, text: str, title: str) -> None:
        """Small words inside are small; spaces, punctuation and apostrophes stay."""
        assert tool(text) == title

    def test_is_stable(self, tool: Tool) -> None:
        """A title in title case is not changed."""
        title = tool("the taming of the shrew: an iPhone and NASA story")
        assert tool(title) == title


@word_frequencies
class TestWordFrequencies:
    def test_agrees_with_counting(self, tool: Tool) -> None:
        """For plain words, the counts are those of Counter, and so is the order."""
        words = [f"w{number * number % 17}" for number in range(200)]
        found = tool(" ".join(words))
        assert list(found.items()) == Counter(words).most_common()
        assert list(tool(", ".join(words).upper(), top=3).items()) == Counter(words).most_common(3)

    def test_what_a_word_is(self, tool: Tool) -> None:
        """Apostrophes and hyphens inside belong to a word, underscores and other marks do not."""
        assert tool("'tis rock'n'roll -x- a_b 日本語 10,5") == {
            "tis": 1,
            "rock'n'roll": 1,
            "x": 1,
            "a": 1,
            "b": 1,
            "日本語": 1,
            "10": 1,
            "5": 1,
        }

    @pytest.mark.parametrize("top", [0, -1])
    def test_top(self, tool: Tool, top: int) -> None:
        """There is no list of no words, but a list may be longer than the text."""
        with pytest.raises(ValueError, match="top must be at least 1"):
            tool("a", top=top)
        assert tool("a", top=10) == {"a": 1}


@closest_match
class TestClosestMatch:
    def test_agrees_with_the_definition(self, tool: Tool) -> None:
        """The distance is Levenshtein's, by its recursive definition, for all pairs of short words."""

        @cache
        def edits(first: str, second: str) -> int:
            if not first or not second:
                return len(first) + len(second)
            changed = edits(first[1:], second[1:]) + (first[0] != second[0])
            return min(changed, edits(first[1:], second) + 1, edits(first, second[1:]) + 1)

        words = ["".join(letters) for size in range(4) for letters in product("ab", repeat=size)]
        for first in words:
            for second in words:
                distance = edits(first, second)
                assert tool(first, [second], max_distance=distance) == second
                if distance:
                    assert tool(first, [second], max_distance=distance - 1) is None

    def test_first_of_equals_wins_as_it_is_written(self, tool: Tool) -> None:
        """Ties go to the first choice; case and spaces are kept in the result."""
        assert tool("b", ["a", " B ", "b"]) == " B "
        assert tool("x", ["a", "b"]) == "a"
        assert tool("STRASSE", ["straße"], max_distance=0) == "straße"


@extract_urls
class TestExtractUrls:
    @pytest.mark.parametrize(
        ("text", "urls"),
        [
            ("http://a.org.", ["http://a.org"]),
            ("http://a.org/?q=1.", ["http://a.org/?q=1"]),
            (
                "(https://de.wikipedia.org/wiki/Python_(Sprache))",
                ["https://de.wikipedia.org/wiki/Python_(Sprache)"],
            ),
            ("<a href='http://a.org/x'>", ["http://a.org/x"]),
            ('"http://a.org/x","http://b.org"', ["http://a.org/x", "http://b.org"]),
            ("**http://a.org/**", ["http://a.org/"]),
            ("http://user:pw@a.org:80/~x#y", ["http://user:pw@a.org:80/~x#y"]),
            ("http://müller.example/ä", ["http://müller.example/ä"]),
            ("xhttp://a.org awww.b.org", []),
            ("www.a.org/x, www.b.org", ["www.a.org/x", "www.b.org"]),
            ("", []),
        ],
    )
    def test_urls(self, tool: Tool, text: str, urls: list[str]) -> None:
        """Addresses are cut where a person would cut them."""
        assert tool(text) == urls


@to_roman
class TestToRoman:
    def test_every_number_is_read_back(self, tool: Tool) -> None:
        """Adding and subtracting the letters gives the number, and no two numerals are equal."""
        values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
        numerals = [tool(number) for number in range(1, 4000)]
        for number, numeral in enumerate(numerals, start=1):
            letters = [values[letter] for letter in numeral]
            signs = [-1 if value < after else 1 for value, after in pairwise([*letters, 0])]
            assert sum(sign * value for sign, value in zip(signs, letters, strict=True)) == number
            assert not re.search("IIII|XXXX|CCCC|MMMM|VV|LL|DD|IL|IC|XD|XM", numeral)
        assert len(set(numerals)) == 3999

    @pytest.mark.parametrize("number", [0, -1, 4000])
    def test_out_of_range(self, tool: Tool, number: int) -> None:
        """Other numbers have no numeral."""
        with pytest.raises(ValueError, match=f"so {number} has none"):
            tool(number)
