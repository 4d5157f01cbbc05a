"""Secrets, in every shape that they arrive in."""

from __future__ import annotations

import json

import pytest

from fact_magics.logs import MASK, Redactor

SHAPES = [
    "sk-ant-api03-" + "aB3_-" * 8,
    "sk-proj-" + "x1" * 20,
    "gsk_" + "a" * 40,
    "hf_" + "A1" * 16,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1_" * 10,
    "xoxb-123456789012-abcdef",
    "AIza" + "a-_1" * 9,
    "AKIA" + "ABCD" * 4,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_123",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SHAPES, ids=lambda secret: secret[:8])
@pytest.mark.parametrize("around", ["{}", "before {} after", "'{}',", "[({})]", "url?a={}&b=1"])
def test_what_looks_like_an_issuers_key_is_masked_wherever_it_stands(secret: str, around: str) -> None:
    text = Redactor().text(around.format(secret))
    assert MASK in text
    assert secret not in text
    assert secret[12:24] not in text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345",
        "authorization=Basic dXNlcjpwYXNzd29yZA==",
        "https://user:hunter22pass@example.org/x",
        "api_key='abc123xyz'",
        '{"password": "hunter22pass"}',
        "OPENAI_API_KEY=abc123xyz",
        "token: abc123xyz",
        "x-api-key: abc123xyz",
    ],
)
def test_what_a_text_calls_a_secret_is_masked(text: str) -> None:
    redacted = Redactor().text(text)
    assert MASK in redacted
    assert not any(secret in redacted for secret in ("abcdefgh12345", "dXNlc", "hunter22", "abc123xyz"))


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'some_column_name'",
        "the keyboard is here: nothing_more",
        "slugify(text: str, *, sep: str = '-') -> str",
        "https://example.org:8080/path?x=1",
        "3 tokens used",
        "disk-usage task-1234567890123",
        "a" * 4096,
        "",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "secret", ["hunter2", 'quo"te\\d', "with space+/=&", "schlüssel", "line\nbreak", "a.b*c("]
)
@pytest.mark.parametrize("escape", [str, repr, json.dumps, lambda text: json.dumps(text, ensure_ascii=False)])
def test_a_registered_value_is_masked_however_it_is_escaped(secret: str, escape: object) -> None:
    text = Redactor([secret]).text(f"x {escape(secret)} y")  # type: ignore[operator]
    assert MASK in text
    assert escape(secret).strip("\"'") not in text  # type: ignore[operator]


def test_one_secret_that_begins_another_leaves_nothing_of_it() -> None:
    redactor = Redactor(["hunter2"])
    redactor.add("hunter2-long")
    assert redactor.text("hunter2-long hunter2") == f"{MASK} {MASK}"


def test_a_secret_too_short_to_be_one_is_ignored() -> None:
    assert Redactor(["", "a", "dev"]).text("a dev is here") == "a dev is here"


def test_fields_are_masked_by_name_counts_are_not() -> None:
    given = {
        "api_key": "short",
        "Authorization": "x",
        "session_token": ["x", {"y": "z"}],
        "password": 12345678,
        "input_tokens": 12,
        "cache_key": None,
        "nested": {"client_secret": "x", "list": [{"cookie": "x"}], "plain": "x"},
        "keys": ("a", 3),
    }
    assert Redactor().value(given) == {
        "api_key": MASK,
        "Authorization": MASK,
        "session_token": MASK,
        "password": MASK,
        "input_tokens": 12,
        "cache_key": None,
        "nested": {"client_secret": MASK, "list": [{"cookie": MASK}], "plain": "x"},
        "keys": MASK,
    }


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Client:
    def __repr__(self) -> str:
        return "Client(api_key='abc123xyz')"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1.5, 1.5),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (10**5000, "an integer of 16610 bits"),
        (b"abc", "b'abc'"),
        (Hostile(), "<Hostile>"),
        ({1: {Hostile}}, {"1": [repr(Hostile)]}),
        (Client(), f"Client(api_key='{MASK}')"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_becomes_what_json_can_hold(value: object, written: object) -> None:
    assert Redactor().value(value) == written
    json.dumps(written, allow_nan=False)


def test_a_value_that_holds_itself_ends() -> None:
    loop: list[object] = ["sk-ant-" + "a" * 20]
    loop.append(loop)
    assert "sk-ant" not in json.dumps(Redactor().value(loop))


@pytest.mark.parametrize("offset", range(-60, 61, 7))
@pytest.mark.parametrize("cut", [4096, 8192])
def test_a_long_text_is_cut_and_a_secret_at_the_cut_is_not_torn(cut: int, offset: int) -> None:
    secret = "verysecretvalue" * 4
    text = "- " * ((cut + offset) // 2) + secret + " -" * 10_000
    redacted = Redactor([secret]).text(text)
    assert "verysecret" not in redacted
    assert len(redacted) < 4200
    assert redacted.endswith(f"({len(text)} characters)")


def test_many_secrets_before_the_cut_do_not_bring_a_torn_one_into_view() -> None:
    secret = "verysecretvalue" * 8
    assert "verysecret" not in Redactor([secret]).text(f"{secret} " * 1000)
