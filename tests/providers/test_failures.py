from __future__ import annotations

import pytest

from fact_magics.providers.endpoints import is_local, is_loopback
from fact_magics.providers.failures import Patience, Service, quote, read_retry_after
from fact_magics.redaction import Redactor

pytestmark = pytest.mark.slow


class TestPatience:
    def test_pauses_double_up_to_the_limit(self):
        """If the server names no pause, each pause is twice the last one, up to the limit."""
        patience = Patience(jitter=0.0)
        assert [patience.delay(attempt, None) for attempt in (1, 2, 3, 4, 5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
        assert patience.delay(100_000, None) == 8.0

    def test_a_part_of_a_pause_is_left_to_chance(self):
        """Clients that failed together don't return together."""
        pauses = {Patience(jitter=0.25).delay(3, None) for _ in range(50)}
        assert len(pauses) > 1
        assert all(3.0 <= pause <= 4.0 for pause in pauses)

    def test_the_server_is_obeyed(self):
        """The server's pause replaces ours, and nothing of it is left to chance."""
        assert [Patience().delay(1, asked) for asked in (0.0, 0.3, 29.0)] == [0.0, 0.3, 29.0]


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


class TestLocal:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:11434",
            "http://localhost:8080/v1",
            "http://192.168.1.20:1234/v1",
            "http://10.0.0.5",
            "http://[::1]:8080",
            "http://ollama:11434",
            "http://studio.local:1234",
            "http://host.docker.internal:11434",
        ],
    )
    def test_this_machine_and_its_network(self, url):
        """Servers there usually serve small models."""
        assert is_local(url)

    @pytest.mark.parametrize("url", ["", "https://api.openai.com/v1", "https://8.8.8.8/v1", "http://[::1"])
    def test_any_other_address(self, url):
        """No address, or one of the internet, says nothing about the model's size."""
        assert not is_local(url)


class TestService:
    def test_a_wait_that_was_too_long_says_why_and_how_to_change_it(self):
        """Loading a model may take longer than any limit, so the error names the setting."""
        patient = Service(
            "Ollama", url="http://127.0.0.1:11434", has_own_address=True, time_name="THE_SETTING"
        )
        line = patient.silent(120).error.line
        assert line == (
            "Ollama at 127.0.0.1:11434 sent nothing for 120 s, so the request was given up. It may still be "
            "loading the model. Run the cell again, or give it more time: THE_SETTING."
        )
        assert "loading" not in Service("Anthropic", url="https://api.anthropic.com").silent(120).error.line

    @pytest.mark.parametrize(
        ("url", "hint"),
        [
            ("http://127.0.0.1:8080", "most servers want /v1 at its end (http://127.0.0.1:8080/v1)"),
            ("http://u:secret@127.0.0.1:8080/", "(http://127.0.0.1:8080/v1)"),
            ("http://127.0.0.1:8080/v1", "Check the address in OPENAI_BASE_URL."),
        ],
    )
    @pytest.mark.parametrize("status", [404, 405])
    def test_an_address_without_its_path_is_doubted(self, url, hint, status):
        """The hint shows the address that most servers have; the model is not doubted first."""
        service = Service(
            "OpenAI", "openai/x", url, url_name="OPENAI_BASE_URL", has_own_address=True, usual_path="/v1"
        )
        for error in (service.refused(status, "Not Found", {}).error, service.not_understood().error):
            assert hint in error.line
            assert "secret" not in error.line
            assert "OpenAI" not in error.line

    def test_a_misspelt_model_gets_the_close_names(self):
        """A 404 that names the model doubts the model."""
        service = Service("OpenAI", "openai/gtp-5", known_models=("openai/gpt-5", "openai/o3"))
        line = service.refused(404, "The model `gtp-5` does not exist", {}).error.line
        assert "OpenAI does not know the model openai/gtp-5." in line
        assert "Did you mean 'openai/gpt-5'?" in line
