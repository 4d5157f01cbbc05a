"""The tools that validate, on what must pass and what must not."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

is_valid_email = pytest.mark.parametrize("tool", ["is_valid_email"], indirect=True)
is_valid_iban = pytest.mark.parametrize("tool", ["is_valid_iban"], indirect=True)
is_valid_card = pytest.mark.parametrize("tool", ["is_valid_card"], indirect=True)
is_valid_isbn = pytest.mark.parametrize("tool", ["is_valid_isbn"], indirect=True)


@is_valid_email
class TestIsValidEmail:
    @pytest.mark.parametrize(
        "text",
        [
            "a@b.co",
            "a.b.c@d.e.fg",
            "a+b-c_d@e-f.org",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "1@2.com",
            "o'hara@example.ie",
            "A@B.CO",
            "x" * 64 + "@example.com",
            "a@" + "b" * 63 + ".com",
            "пример@почта.рф",
            "用户@例子.公司",
            "a@xn--fsqu00a.xn--55qx5d",
            "उपयोगकर्ता@उदाहरण.भारत",
            "jo\u0308rg@example.de",
            "a@1.2.3.museum",
        ],
    )
    def test_valid(self, tool: Tool, text: str) -> None:
        """These could receive mail."""
        assert tool(text) is True

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "@",
            "a@",
            "@b.co",
            "a",
            "a@b",
            "a@b.c",
            "a b@c.de",
            "a@b c.de",
            "a@b..co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.de",
            "a@.b.co",
            "a@b.co.",
            "a@-b.co",
            "a@b-.co",
            "a@b_c.de",
            "a@b@c.de",
            '"a b"@c.de',
            "a@[1.2.3.4]",
            "a@1.2.3.4",
            "a,b@c.de",
            "<a@b.co>",
            "a@b.co\n",
            "\na@b.co",
            "a@b.co\0",
            "a\u200b@b.co",
            "a@b.123",
            "x" * 65 + "@example.com",
            "ä" * 33 + "@example.com",
            "a@" + "b" * 64 + ".com",
            "a@" + ".".join(["b" * 60] * 5) + ".com",
            "a(c)@b.co",
            "a@b.co;c@d.co",
            "mailto:a@b.co:",
            "🙂@example.com",
            "a@xn--.com",
            "a@b。co\u3002",
            "\ud800@example.com",
            "a@" + "ü" * 70 + ".de",
            "a@exa\u00admple..com",
        ],
    )
    def test_invalid(self, tool: Tool, text: str) -> None:
        """These could not."""
        assert tool(text) is False


@is_valid_iban
class TestIsValidIban:
    @pytest.mark.parametrize(
        "text",
        [
            "AT61 1904 3002 3457 3201",
            "BE68 5390 0754 7034",
            "CH93 0076 2011 6238 5295 7",
            "DE89 3704 0044 0532 0130 00",
            "ES91 2100 0418 4502 0005 1332",
            "FR14 2004 1010 0505 0001 3M02 606",
            "GB29 NWBK 6016 1331 9268 19",
            "IT60 X054 2811 1010 0000 0123 456",
            "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
            "NL91 ABNA 0417 1643 00",
            "NO93 8601 1117 947",
            "PL61 1090 1014 0000 0712 1981 2874",
            "SA03 8000 0000 6080 1016 7519",
            "LC55 HEMM 0001 0001 0012 0012 0002 3015",
            "BR18 0036 0305 0000 1000 9795 493C 1",
            "MU17 BOMM 0101 1010 3030 0200 000M UR",
            "UA21 3223 1300 0002 6007 2335 6600 1",
            "SC18 SSCB 1101 0000 0000 0000 1497 USD",
            "VA59 0011 2300 0012 3456 78",
            "gb29nwbk60161331926819",
            "\u00a0DE89\u00a037040044 0532013000\n",
        ],
    )
    def test_valid(self, tool: Tool, text: str) -> None:
        """The registry's own examples, however they are spaced."""
        assert tool(text) is True

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "DE",
            "DE89",
            "DE89 3704 0044 0532 0130 0",
            "DE89 3704 0044 0532 0130 000",
            "DE89 3704 0044 0532 0130 0A",
            "GB29 1234 6016 1331 9268 19",
            "ZZ89 3704 0044 0532 0130 00",
            "DE89-3704-0044-0532-0130-00",
            "ＤＥ89370400440532013000",
            "DE8９370400440532013000",
            "12345678901234567890",
            "DE89370400440532013000; DROP",
            "ßE89370400440532013000",
        ],
    )
    def test_invalid(self, tool: Tool, text: str) -> None:
        """Another length, pattern, country or script is no IBAN."""
        assert tool(text) is False

    def test_every_wrong_digit_and_every_swap_is_seen(self, tool: Tool) -> None:
        """One wrong character, or two neighbours swapped, never passes: so the check digits promise."""
        good = "GB29NWBK60161331926819"
        for at in range(len(good)):
            for other in string.digits + string.ascii_uppercase:
                if other != good[at]:
                    assert not tool(good[:at] + other + good[at + 1 :])
            swapped = good[:at] + good[at + 1 : at + 2] + good[at] + good[at + 2 :]
            if swapped != good:
                assert not tool(swapped)

    def test_check_digits_that_are_never_given_out(self, tool: Tool) -> None:
        """Each account has one pair of check digits, from 02 to 98."""
        for account in range(200):
            tail = f"{account:018d}"
            valid = [check for check in range(100) if tool(f"DE{check:02d}{tail}")]
            assert len(valid) == 1
            assert 2 <= valid[0] <= 98


@is_valid_card
class TestIsValidCard:
    @pytest.mark.parametrize(
        "number",
        [
            "4242424242424242",
            "5555 5555 5555 4444",
            "378282246310005",
            "6011-1111-1111-1117",
            "30569309025904",
        ],
    )
    def test_numbers_for_tests(self, tool: Tool, number: str) -> None:
        """The numbers that card companies publish for tests are valid."""
        assert tool(number) is True

    def test_each_wrong_digit_is_seen(self, tool: Tool) -> None:
        """One wrong digit never passes, and of the ten last digits one is right."""
        good = "4242424242424242"
        for at in range(len(good)):
            valid = [digit for digit in string.digits if tool(good[:at] + digit + good[at + 1 :])]
            assert valid == [good[at]]

    @pytest.mark.parametrize("size", range(10, 22))
    def test_length(self, tool: Tool, size: int) -> None:
        """Cards have 12 to 19 digits."""
        assert tool("0" * size) is (12 <= size <= 19)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "4242 4242 4242 424２",
            "4242  4242 4242 4242",
            " 4242424242424242",
            "4242424242424242-",
            "x" * 16,
        ],
    )
    def test_other_text(self, tool: Tool, text: str) -> None:
        """Other characters, and separators in other places, are not part of a number."""
        assert tool(text) is False


@is_valid_isbn
class TestIsValidIsbn:
    @pytest.mark.parametrize(
        "text",
        [
            "0-14-044913-2",
            "0306406152",
            "080442957X",
            "978-3-16-148410-0",
            "978 0 14 044913 6",
            "9791090636071",
        ],
    )
    def test_valid(self, tool: Tool, text: str) -> None:
        """Numbers of real books, however they are spaced."""
        assert tool(text) is True

    @pytest.mark.parametrize("good", ["0140449132", "9783161484100"])
    def test_each_wrong_digit_is_seen(self, tool: Tool, good: str) -> None:
        """One wrong digit never passes: so the check digits promise."""
        for at in range(len(good)):
            first = 3 if len(good) == 13 else 0
            valid = [digit for digit in string.digits if tool(good[:at] + digit + good[at + 1 :])]
            assert valid == [good[at]] or at < first

    def test_swapped_digits_of_ten(self, tool: Tool) -> None:
        """In an ISBN of 10 digits, two neighbours that are swapped never pass."""
        good = "0140449132"
        for at in range(9):
            swapped = good[:at] + good[at + 1] + good[at] + good[at + 2 :]
            assert tool(swapped) is (swapped == good)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "X",
            "030640615",
            "03064061522",
            "X306406152",
            "9780306406157X",
            "4006381333931",
            "０306406152",
            "0-306-40615--2",
            "-0306406152",
        ],
    )
    def test_other_text(self, tool: Tool, text: str) -> None:
        """Another length, prefix, script or separator is no ISBN."""
        assert tool(text) is False
