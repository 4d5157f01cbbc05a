"""Keys and passwords that a server sends back."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from fact_magics import load_settings
from fact_magics.errors import ProviderError
from fact_magics.providers.base import TextDelta, ThinkingDelta
from fact_magics.providers.choose import choose
from fact_magics.redaction import MASK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_user_settings")]

KEY = "tok+Ab/RECOGNISABLE-7f3a9c0d2e4b"
PASSWORD = "pa55w@rd"
TOKEN = "t0kenInQuery"
PROXY_PASSWORD = "pr0xyPassw0rd"
FORMS = {
    "as it is": KEY,
    "percent-encoded": quote(KEY, safe=""),
    "basic auth": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "hexadecimal": KEY.encode().hex(),
    "wrapped": f"{KEY[:16]}\n    {KEY[16:]}",
    "password of the endpoint": PASSWORD,
    "password in an address": f"http://user:{quote(PASSWORD)}@host/",
    "token of another endpoint": TOKEN,
    "password of the proxy": PROXY_PASSWORD,
}
CONFIG = """
model_list:
  - model_name: mine
    litellm_params: {{model: openai/gpt-5, api_key: {key}, api_base: "{url}/v1"}}
"""


@pytest.fixture(params=["claude-x", "openai/gpt-5", "mine"])
async def provider(request, server, patience, tmp_path, monkeypatch):
    """A provider of each kind, chosen from settings that hold keys, passwords and tokens."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PROXY_PASSWORD}@proxy.invalid:3128")
    url = server.url.replace("://", f"://user:{quote(PASSWORD)}@")
    environment = {
        "FACT_HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "GROQ_API_KEY": "another-key-0001",
        "GROQ_BASE_URL": f"https://groq.invalid/v1?key={TOKEN}",
    }
    (tmp_path / "config.yaml").write_text(CONFIG.format(key=KEY, url=server.url))
    if request.param == "mine":
        from fact_magics.config.trust import trust

        trust(tmp_path / "config.yaml", tmp_path)
    provider = await choose(load_settings({}, tmp_path, environment), request.param, patience=patience)
    yield provider
    await provider.aclose()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk", [1, 5, 400])
async def test_no_secret_comes_out_of_a_stream(server, provider, ask, form, chunk):
    """A secret in an answer or its thinking is masked, however the server splits it; the rest is unchanged."""
    text = f"```python\nx = '{FORMS[form]}'\n```\n% of \\n and & more\n"
    server.reply(text, thinking=f"It is {FORMS[form]}, I think.", chunk=chunk)
    answer = await ask(provider)
    assert MASK in answer.text
    assert answer.text.startswith("```python\nx = '")
    assert answer.text.endswith("'\n```\n% of \\n and & more\n")
    thought = "".join(event.text for event in answer.of(ThinkingDelta))
    for shown in (answer.text, thought):
        assert FORMS[form] not in shown
        assert not any(secret[:8] in shown for secret in (KEY, PASSWORD, TOKEN, PROXY_PASSWORD))


async def test_no_secret_comes_out_of_a_stream_that_breaks(server, provider, ask):
    """What came before the end is kept, without the secret; a part of a secret at the end may be kept."""
    server.breaks(f"x = '{KEY}' and more", "error", after=len(KEY) + 6)
    events = []
    with pytest.raises(ProviderError):
        await ask(provider, events)
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown.startswith(f"x = '{MASK}")
    assert "RECOGNISABLE" not in shown


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [400, 401])
async def test_no_secret_is_quoted_from_an_error(server, provider, ask, form, status):
    """An error that repeats a secret is shown without the secret."""
    server.fails(status, f"bad request with {FORMS[form]} in it")
    with pytest.raises(ProviderError) as caught:
        await ask(provider)
    assert "bad request with " in str(caught.value)
    assert MASK in str(caught.value)
    assert " ".join(FORMS[form].split()) not in str(caught.value)
    assert not any(secret[:8] in str(caught.value) for secret in (KEY, PASSWORD, TOKEN, PROXY_PASSWORD))
    assert caught.value.__context__ is None


async def test_text_without_secrets_is_unchanged(server, provider, ask):
    """Without a secret, the text is exactly what the server sent."""
    text = 'tok+Ab/RECOGN\\u0049 %20 &amp; "a"\n  "b" \\\n tok\n' * 20
    server.reply(text, chunk=3)
    assert (await ask(provider)).text == text
