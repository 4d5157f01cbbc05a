"""slugify and extract_emails on what titles and texts really hold."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

slugify = pytest.mark.parametrize("tool", ["slugify"], indirect=True)
extract_emails = pytest.mark.parametrize("tool", ["extract_emails"], indirect=True)


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
