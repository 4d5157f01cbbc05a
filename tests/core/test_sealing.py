"""Answers from a cache that others share: signed, and read like any input from outside."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from pydantic import SecretStr

from fact_magics.core import sealing
from fact_magics.core.sealing import ABOUT_BYTES, Unusable, about, seal, unseal
from fact_magics.store import CacheEntry

SECRET = SecretStr("0123456789abcdef")
ENTRY = CacheEntry(
    key="a" * 40,
    tool_id="mine",
    result=b'{"$bytes":"\xff\n"}',
    printed="line\n\ud800é",
    duration_ms=1.25,
    created_at="2026-01-01T00:00:00.000Z",
    expires_at="2999-01-01T00:00:00.000Z",
)


def test_an_answer_comes_back_as_it_was_with_the_id_that_its_database_has():
    for entry in (ENTRY, replace(ENTRY, expires_at=None, printed="", result=b"")):
        back = unseal(seal(entry, "half", SECRET), entry.key, "yours", SECRET)
        assert back == replace(entry, tool_id="yours")


def test_no_other_key_and_no_other_secret_reads_it():
    value = seal(ENTRY, "half", SECRET)
    for key, secret in (("b" * 40, SECRET), (ENTRY.key, SecretStr("another"))):
        with pytest.raises(Unusable, match="is not signed with this SECRET_KEY"):
            unseal(value, key, "mine", secret)


def test_every_changed_or_missing_byte_is_found():
    value = seal(ENTRY, "half", SECRET)
    chance = random.Random(1)  # noqa: S311 - the same changes each time
    for at in range(len(value)):
        changed = bytearray(value)
        changed[at] ^= chance.randrange(1, 256)
        for wrong in (bytes(changed), value[:at], value[:at] + value[at + 1 :], value + b"x"):
            with pytest.raises(Unusable):
                unseal(wrong, ENTRY.key, "mine", SECRET)


def signed(content: bytes) -> bytes:
    return sealing._FORM + sealing._signature(ENTRY.key, content, SECRET) + content


ABOUT = b'{"tool":"half","created_at":"2026-01-01T00:00:00.000Z","expires_at":null,"duration_ms":1}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b'{}\n""\n1',
        ABOUT + b"\n1\n1",
        ABOUT + b"\n" + b"[" * 100_000 + b"\n1",
        ABOUT.replace(b"2026-01-01T", b"2026-01-01 ") + b'\n""\n1',
        ABOUT.replace(b"1}", b"-1}") + b'\n""\n1',
        ABOUT.replace(b"1}", b"1e999}") + b'\n""\n1',
        ABOUT.replace(b"1}", b'"1"}') + b'\n""\n1',
        ABOUT.replace(b"null", b'"later"') + b'\n""\n1',
        ABOUT.replace(b"}", b',"more":1}') + b'\n""\n1',
    ],
    ids=range(11),
)
def test_what_a_key_holder_signed_is_checked_all_the_same(content):
    assert unseal(signed(ABOUT + b'\n""\n1'), ENTRY.key, "mine", SECRET).result == b"1"
    with pytest.raises(Unusable, match="can't be read"):
        unseal(signed(content), ENTRY.key, "mine", SECRET)


def test_another_form_is_said():
    for value in (b"", b"1", b"fact_magics answer 2\n" + bytes(100)):
        with pytest.raises(Unusable, match="another version of fact_magics, or by another program"):
            unseal(value, ENTRY.key, "mine", SECRET)


def test_the_beginning_tells_about_an_answer():
    value = seal(replace(ENTRY, printed="x" * 10_000), "n" * 100, SECRET)
    assert about(value[:ABOUT_BYTES]).tool == "n" * 100
    assert about(value[:ABOUT_BYTES]).created_at == ENTRY.created_at
    for wrong in (b"", b"x", value[:60], sealing._FORM + bytes(32) + b"{}\n"):
        assert about(wrong) is None
