"""Secrets, in every shape that they arrive in."""

from __future__ import annotations

import base64
import html
import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from fact_magics import redaction
from fact_magics.redaction import MASK, RedactedStream, Redactor, secrets_in_environment, secrets_in_url
from fact_magics.redaction import redactor as redactor_module

if TYPE_CHECKING:
    from collections.abc import Callable

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


KEY = "tok-Ab_COG/NI+SABLE-7f3a9c0d2e4b==pl"


def base64_forms(secret: str) -> list[str]:
    """The secret as the password of users with short and long names, so that every alignment occurs."""
    forms = []
    for user in ("", "u:", "us:", "user:"):
        data = (user + secret).encode()
        standard, url_safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
        forms += [standard, url_safe, standard.rstrip("="), url_safe.rstrip("="), quote(standard, safe="")]
        forms.append("\n".join(textwrap.wrap(standard, 19)))
    return forms


ENCODED = [
    KEY,
    quote(KEY, safe=""),
    re.sub("%..", lambda match: match[0].lower(), quote(KEY, safe="")),
    quote(quote(KEY, safe=""), safe=""),
    "".join(f"%{ord(character):02x}" for character in KEY),
    KEY[:9] + "".join(f"%{ord(character):02X}" for character in KEY[9:20]) + KEY[20:],
    *base64_forms(KEY),
    KEY.encode().hex(),
    KEY.encode().hex().upper(),
    KEY.encode().hex(":"),
    "".join(f"\\u{ord(character):04x}" for character in KEY),
    "".join(f"\\x{ord(character):02x}" for character in KEY),
    KEY.replace("/", "\\/"),
    KEY.replace("+", "&#43;").replace("/", "&#x2F;"),
    KEY.upper(),
    KEY.swapcase(),
    *(between.join(textwrap.wrap(KEY, 11)) for between in ("\r", "\u2028", "\x1b[1;36m", "\x1b[0m\u200b", "\xad")),
    *(between.join(textwrap.wrap(KEY, 11)) for between in ("\n", "\r\n", "\n    ", '"\n    "', "\\\n", "\\n", "\n# ")),
]  # fmt: skip


def bytes_repr(text: str) -> str:
    return repr(text.encode())[1:]


def escaped_twice(text: str) -> str:
    return html.escape(html.escape(text))


def pieces_of(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def streamed(redactor: Redactor, pieces: list[str]) -> str:
    stream = RedactedStream(redactor)
    return "".join(map(stream.feed, pieces)) + stream.end()


class TestForms:
    @pytest.mark.parametrize("form", ENCODED)
    def test_a_key_is_masked_in_every_encoding(self, form: str) -> None:
        """Of an encoded key, at most three characters of an encoded group are left, and the text around it."""
        redacted = Redactor([KEY, "another-key-000001"]).mask(f"x = '{form}' y")
        assert redacted.startswith("x = '")
        assert redacted.endswith("' y")
        left = redacted[5:-3].replace(MASK, "")
        assert len(left) <= len("dXNlcjp") + len("w%3D%3D")
        assert MASK in redacted

    @pytest.mark.parametrize("form", ENCODED)
    @pytest.mark.parametrize("size", [1, 2, 7, 30])
    def test_a_key_split_over_the_pieces_of_a_stream_is_masked_as_in_one_text(
        self, form: str, size: int
    ) -> None:
        """Wherever a text is split, the result is that of the whole text."""
        redactor, text = Redactor([KEY, KEY + "-longer"]), f"a&b\\n{form}\n%20 {form}-longer"
        assert streamed(redactor, pieces_of(text, size)) == redactor.mask(text)

    @pytest.mark.parametrize("secret", ["pässwörd", 'pa%ss"w\\ö rd!/x', "100%25sure"])
    @pytest.mark.parametrize(
        "encode",
        [
            str,
            quote,
            json.dumps,
            repr,
            lambda text: quote(quote(text)),
            quote_plus,
            bytes_repr,
            escaped_twice,
        ],
    )
    def test_a_password_of_any_characters_is_masked(self, secret: str, encode: Callable[[str], str]) -> None:
        """Percent signs, quotes, backslashes and non-ASCII letters don't hide a password."""
        form = encode(secret).strip("\"'")
        redactor = Redactor([secret])
        assert redactor.mask(f"<{form}>") == f"<{MASK}>"
        assert streamed(redactor, list(f"<{form}>")) == f"<{MASK}>"

    def test_a_key_in_other_encoded_data_is_masked(self) -> None:
        """A key inside a longer base64 text is masked, and the rest of that text stays."""
        redacted = Redactor([KEY]).mask(base64.b64encode(f"before {KEY} after".encode()).decode())
        assert redacted.startswith(base64.b64encode(b"before").decode())
        assert MASK in redacted


class TestOrdinaryText:
    def test_this_package_s_own_source_is_not_changed(self) -> None:
        """Text without a secret stays as it is, in one piece and in many, with escapes and line breaks."""
        redactor = Redactor([KEY, "hunter22", "self-test-key-1", "pa%ss word\\", "test", "1234", "k3y"])
        for path in sorted(Path(redaction.__file__).parent.parent.glob("*.py")):
            text = path.read_text(encoding="utf-8")
            assert redactor.mask(text) == text
            assert streamed(redactor, pieces_of(text, 5)) == text

    @pytest.mark.parametrize("secret", ["test", "none", "1234", "a", "", "dev", "Secret"])
    def test_a_short_word_or_number_is_no_secret(self, secret: str) -> None:
        """A key that could be a word does not make texts unreadable."""
        text = "def test(secret=None): none of the 1234 tests is a Secret of dev"
        assert Redactor([secret]).message(text) == text

    @pytest.mark.parametrize(
        "placeholder",
        [
            *("x", "none", "ollama", "EMPTY", "no-key", "anything", "lm-studio", "not-needed", "none-needed"),
            *("sk-no-key-required", "your_api_key_here", "<your key>", "xxxxxxxx", "********", "dummy.key"),
        ],
    )
    def test_a_placeholder_for_a_key_is_no_secret(self, placeholder: str) -> None:
        """What people write where a server needs no key stays readable in messages, in one piece and in many."""
        text = f"lm-studio at 127.0.0.1:1234 (not {placeholder}) answers anything x times, ollama none"
        redactor = Redactor([placeholder])
        assert redactor.mask(text) == text
        assert streamed(redactor, pieces_of(text, 3)) == text

    @pytest.mark.parametrize(
        "secret", ["no-key-4711", "my-postgres-key", "local-hunter", "xxxxxxxy", "!@#$%^&*"]
    )
    def test_a_key_that_only_resembles_a_placeholder_is_masked(self, secret: str) -> None:
        """One word or number of its own makes a value a secret."""
        assert Redactor([secret]).mask(f"<{secret}>") == f"<{MASK}>"

    def test_a_short_key_is_masked_where_it_stands_alone(self) -> None:
        """A short key is masked as a word, but not within other words."""
        redactor = Redactor(["k3y-x"])
        text = "k3y-x, 'k3y-x' ak3y-x k3y-xy (k3y-x)"
        assert redactor.mask(text) == f"{MASK}, '{MASK}' ak3y-x k3y-xy ({MASK})"
        assert [streamed(redactor, pieces_of(text, size)) for size in (1, 2, 3)] == [redactor.mask(text)] * 3

    def test_a_stream_holds_back_only_what_may_be_a_secret(self) -> None:
        """A piece comes at once unless its end may be the beginning of a secret."""
        stream = RedactedStream(Redactor([KEY]))
        assert stream.feed("def f() -> ") == "def f() -> "
        assert stream.feed("'tok") == "'"
        assert stream.feed("en'") == "token'"
        assert stream.end() == ""


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "secrets"),
        [
            ("https://user:p%40ssword@host:8/v1", {"p@ssword", "user:p@ssword"}),
            ("http://:hunter22@host", {"hunter22", ":hunter22"}),
            ("https://0123456789abcdef0123@host/", {"0123456789abcdef0123"}),
            ("https://host/v1?key=abc%2Fdef123&api-version=2024-02-01", {"abc/def123"}),
            ("https://host/?access_token=abcdefgh1&sig=xyzxyzxyz1", {"abcdefgh1", "xyzxyzxyz1"}),
            ("user:pa55word@proxy:3128", {"pa55word", "user:pa55word"}),
            ("https://user@host/v1", set()),
            ("https://host:8080/path?page=12345678", set()),
            ("http://[::1", set()),
        ],
    )
    def test_passwords_and_tokens_of_an_address_are_secrets(self, url: str, secrets: set[str]) -> None:
        """The password, a token as the user name, and parameters with secret names; nothing else."""
        assert set(secrets_in_url(url)) == secrets

    def test_passwords_of_proxies_are_secrets(self) -> None:
        """The proxy variables count in upper and lower case."""
        variables = {
            "HTTPS_PROXY": "http://u:proxypass1@p:1",
            "all_proxy": "u:proxypass2@p",
            "PROXY": "u:no@p",
        }
        assert {"proxypass1", "proxypass2"} <= set(secrets_in_environment(variables))
        assert "no" not in secrets_in_environment(variables)

    def test_keys_that_libraries_read_by_themselves_are_secrets(self) -> None:
        """A variable with a secret name counts if its value can't be a word, a path or a switch."""
        key = "wJalrXUtnFEMI/K7MDENG"
        variables = {"AWS_SECRET_ACCESS_KEY": key, "DB_PASSWORD": "postgres", "USE_TOKEN": "true"}
        variables |= {"SSH_KEY": "/home/someone/.ssh/id_ed25519", "PWD": key[::-1], "LONG_SECRET": "a" * 30}
        assert secrets_in_environment(variables) == (key,)


def test_a_value_that_is_registered_while_the_forms_are_built_is_masked(monkeypatch):
    """A run may register a granted key while another thread masks a text."""
    redactor = Redactor(["first-secret-1234567"])
    build = redactor_module.Forms

    def build_slowly(secrets):
        monkeypatch.setattr(redactor_module, "Forms", build)
        forms = build(secrets)
        redactor.add("other-secret-7654321")
        return forms

    monkeypatch.setattr(redactor_module, "Forms", build_slowly)
    redactor.mask("text")
    assert "other-secret" not in redactor.mask("other-secret-7654321")


def test_an_extended_redactor_masks_more_and_changes_nothing():
    redactor = Redactor(["first-secret-1234567"])
    assert redactor.extended([]) is redactor
    assert redactor.extended(["first-secret-1234567"]) is redactor
    more = redactor.extended(["postgres"])
    assert more.mask("postgres first-secret-1234567") == "[redacted] [redacted]"
    assert redactor.mask("postgres") == "postgres"
