from __future__ import annotations

import pytest

from fact_magics.providers.failures import Patience, is_loopback, quote, read_retry_after
from fact_magics.redaction import Redactor

pytestmark = pytest.mark.slow


class TestPatience:
    def test_pauses_double_up_to_the_limit(self):
        """If the server names no pause, each pause is twice the last one, up to the limit."""
        assert [Patience().delay(attempt, None) for attempt in (1, 2, 3, 4, 5)] == [1.0, 2.0, 4.0, 8.0, 8.0]

    def test_the_server_is_obeyed_up_to_the_limit(self):
        """The server's pause replaces ours, up to the limit."""
        assert [Patience().delay(1, asked) for asked in (0.0, 0.3, 5.0, 3600.0)] == [0.0, 0.3, 5.0, 8.0]


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, None),
            ("", None),
            ("7", 7.0),
            ("0.5", 0.5),
            ("-3", 0.0),
            ("nan", None),
            ("inf", None),
            ("soon", None),
            ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
            ("Thu, 99 Jan 1970 00:00:00 GMT", None),
        ],
    )
    def test_seconds_and_dates(self, value, seconds):
        """Both forms of the header are read; a malformed header counts as missing."""
        assert read_retry_after(value, now=1000.0) == seconds


class TestLoopback:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:8080",
            "http://localhost/v1",
            "http://[::1]:1",
            "http://127.9.9.9",
            "http://a.localhost",
        ],
    )
    def test_this_machine(self, url):
        """Addresses of this machine are recognized."""
        assert is_loopback(url)

    @pytest.mark.parametrize(
        "url",
        [
            "https://api.anthropic.com",
            "http://127.evil.example",
            "http://0.0.0.0",
            "http://[::1",
            "",
            "http://10.0.0.1",
        ],
    )
    def test_any_other(self, url):
        """Other addresses are not taken for this machine."""
        assert not is_loopback(url)


class TestQuote:
    @pytest.mark.parametrize(
        "text",
        [
            "key sk-ant-api03-AbCdEf_123 is bad",
            "sk-proj-abcdefgh1234",
            "Authorization: Bearer abc.def",
            "gsk_abcdefgh123456",
            "AIzaSyD-1234567890abcdef",
            "AKIAIOSFODNN7EXAMPLE",
            "the odd secret hunter2!",
        ],
    )
    def test_secrets_are_gone(self, text):
        """Secrets, and texts that look like secrets, are not quoted."""
        quoted = quote(text, Redactor(["hunter2!"]))
        assert "[redacted]" in quoted
        for piece in ("AbCdEf", "abcdefgh", "abc.def", "SyD", "IOSFODNN", "hunter2"):
            assert piece not in quoted

    @pytest.mark.parametrize(
        "text", ["skimming-through-the-text", "ask-sklearn about it", "risk-assessment", "", "a b"]
    )
    def test_plain_words_stay(self, text):
        """Words that only resemble a key are quoted."""
        assert quote(text, Redactor([""])) == text
