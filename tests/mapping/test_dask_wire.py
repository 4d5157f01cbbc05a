"""What a Dask worker sends is read as a claim, and what it gets is complete."""

from __future__ import annotations

from dataclasses import asdict, replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fact_magics.errors import FactError, IsolationError
from fact_magics.mapping.dask.wire import (
    Request,
    pack_refusal,
    pack_reply,
    pack_request,
    read_reply,
    read_request,
)
from fact_magics.sandbox.batch import RowAnswer
from fact_magics.sandbox.limits import Limits
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.tool import Status

pytestmark = pytest.mark.slow

CALL = Call("def f(): ...", "f", b"{}", permissions=("read:/x",), imports=("json",))
SMALL = asdict(Limits(result_bytes=1000))
ASKED = Request("m", "auto", SMALL, ["json"], {"Python": "3"}, "f-1", (CALL,), (b"1", b"2"), eager=True)
ENDED = Outcome(Status.OK, b"{}", None, "", 1.0, None, ("landlock",))
PLAIN = ["ok", b"{}", None, "", 1.0, None, ["landlock"], "", ""]
ANSWERS = [RowAnswer(0, b"r", b"1", "", 1.0), RowAnswer(1, b"e", b"{}", "text", 2.0)]


def test_a_request_arrives_as_it_was_sent():
    assert read_request(pack_request(ASKED)) == Request(
        **{**asdict(ASKED), "calls": (CALL,), "imports": ("json",)}
    )


def test_a_request_that_was_changed_is_refused():
    sent = pack_request(ASKED).replace(b"read:/x", b"read:/y")
    with pytest.raises(ValueError, match="changed on its way"):
        read_request(sent)


def test_a_reply_arrives_as_it_was_sent():
    error = ToolError("ValueError", "no \ud800", "frames", ("ValueError", "Exception"), ("net", "a.example"))
    failed = Outcome(
        Status.LIMIT, None, error, "said", 1.5, "memory 10 MB", ("landlock",), "9 MB", "Raise it."
    )
    reply = read_reply(pack_reply([ENDED], ANSWERS), "w", ASKED)
    assert (reply.outcomes, reply.answers) == ([ENDED], ANSWERS)
    large = replace(ENDED, result=memoryview(b"\0{}"))
    assert read_reply(pack_reply([large], []), "w", ASKED).outcomes == [large]
    alone = Request("m", "auto", SMALL, [], {}, "f-1", (CALL, CALL))
    assert read_reply(pack_reply([failed, ENDED], []), "w", alone).outcomes == [failed, ENDED]


@pytest.mark.parametrize("kind", [FactError, IsolationError])
def test_a_refusal_names_the_worker_and_stays_on_one_line(kind):
    with pytest.raises(kind) as caught:
        read_reply(pack_refusal(kind("no\x1b[31m\nisolation" + "x" * 9000, hint="Do it.")), "W", ASKED)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("W: no")
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "claim",
    [
        None,
        {},
        {"refused": "x"},
        {"outcomes": [], "answers": []},
        {"outcomes": [PLAIN, PLAIN], "answers": []},
        {"outcomes": [PLAIN[:-1]], "answers": []},
        {"outcomes": [["fine", *PLAIN[1:]]], "answers": []},
        {"outcomes": [["error", *PLAIN[1:]]], "answers": []},
        {"outcomes": [["ok", None, *PLAIN[2:]]], "answers": []},
        {"outcomes": [["ok", b"x" * 1001, *PLAIN[2:]]], "answers": []},
        {"outcomes": [PLAIN], "answers": [[1, b"r", b"1", "", 1.0]]},
        {"outcomes": [PLAIN], "answers": [[0, b"R", b"1", "", 1.0]]},
        {"outcomes": [PLAIN], "answers": [[0, b"r", b"x" * 1001, "", 1.0]]},
        {"outcomes": [PLAIN], "answers": [[0, b"r", "1", "", 1.0]]},
        {"outcomes": [PLAIN], "answers": [[n, b"r", b"1", "", 1.0] for n in range(3)]},
    ],
)
def test_a_reply_that_does_not_fit_the_request_is_refused(claim):
    with pytest.raises(FactError, match="not an answer"):
        read_reply(msgpack.packb(claim), "w", ASKED)


def test_the_claimed_length_of_a_list_reserves_no_memory():
    nested = b"\xdd\x00\xff\xff\xff" * 1000
    with pytest.raises(FactError, match="not an answer"):
        read_reply(nested + bytes(1 << 24), "w", ASKED)


@given(st.one_of(st.binary(max_size=200), st.none(), st.integers(), st.text()))
def test_any_other_reply_is_refused(data):
    with pytest.raises(FactError, match="not an answer"):
        read_reply(data, "w", ASKED)


@given(st.floats(), st.text(max_size=20), st.binary(max_size=50))
def test_whatever_a_worker_claims_is_bounded(ms, text, report):
    claim = ["error", None, report, text, ms, text, [text], text, text]
    (outcome,) = read_reply(
        msgpack.packb({"outcomes": [claim], "answers": []}, unicode_errors="surrogatepass"), "w", ASKED
    ).outcomes
    assert 0 <= outcome.duration_ms <= 1e9
    assert "\n" not in f"{outcome.limit}{outcome.used}{outcome.hint}{outcome.isolation}"
