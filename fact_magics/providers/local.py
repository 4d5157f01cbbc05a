"""Local servers (Ollama, LM Studio, llama.cpp): their models, and the provider that asks them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from fact_magics.providers.anthropic import WIRE_PATH, AnthropicProvider
from fact_magics.providers.base import LOCAL_MAX_TOKENS, Finished
from fact_magics.providers.endpoints import NO_KEY, checked_key, checked_url, is_local, is_loopback
from fact_magics.providers.failures import SYSTEM_REFUSED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from fact_magics.config import Settings
    from fact_magics.config.model_list import Deployment
    from fact_magics.providers.base import Prompt, ProviderEvent
    from fact_magics.providers.failures import Patience
    from fact_magics.providers.remote import Begun

# All servers are probed at the same time, by default for this many short turns of the event loop. A longer
# turn does not count, because on a busy machine an answer may be under way. A server whose address is set may
# be on another machine, and has more time: that of `local_models`.
_PROBE_TURNS = 9
_MOST_TURNS = 100
_TURN_SECONDS = 0.005
_LATE_SECONDS = 0.0065
_LARGEST_LIST = 1_000_000
_OTHER_KINDS = re.compile(r"embed|rerank|whisper|\btts\b", re.IGNORECASE)
_FOR_CODE = re.compile(r"code|devstral", re.IGNORECASE)
# A model that thinks needs room for that before its answer.
_THINKS = re.compile(r"\br1\b|qwq|qwen3(?!-coder)|gpt-oss|think|reason|magistral", re.IGNORECASE)
_NAMES_SECONDS = 3.0
_LONGEST_NAME = 100
# What reading an answer may raise that is not a list of models, such as one nested too deeply.
_NO_LIST = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    asyncio.LimitOverrunError,
)
# Finds the sockets in Linux's tables that listen on the loopback interface. A line has the local address
# (bytes in groups of four, each reversed), the port, the state, and later the user.
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENER = re.compile(
    r"^ *\d+: (?:0{8}|\w{6}7F|0{32}|0{24}01000000|0{16}FFFF0000\w{6}7F):(\w{4}) \S+ 0A \S+ \S+ \S+ +(\d+) ",
    re.MULTILINE,
)
Listeners: TypeAlias = "dict[int, set[int]] | None"


class Kind(NamedTuple):
    """A program that serves models."""

    title: str
    settings: tuple[str, ...]  # the names of the settings that may hold its address, the usual one first
    port: int  # where it listens unless told otherwise
    list_path: str


KINDS = {
    "ollama": Kind("Ollama", ("OLLAMA_API_BASE", "OLLAMA_BASE_URL", "OLLAMA_HOST"), 11434, "/api/tags"),
    "lm_studio": Kind("LM Studio", ("LM_STUDIO_API_BASE", "LM_STUDIO_BASE_URL"), 1234, "/v1/models"),
    "llama_cpp": Kind("llama.cpp", ("LLAMA_CPP_API_BASE", "LLAMA_CPP_BASE_URL"), 8080, "/v1/models"),
}
"""The programs by the beginning of their models' names, in the order in which they are asked."""


class LocalServer(NamedTuple):
    """A server that answers, and its models, those for code first."""

    prefix: str  # the beginning of its models' names: "ollama", "lm_studio" or "llama_cpp"
    name: str  # "Ollama", "LM Studio" or "llama.cpp"
    url: str
    models: tuple[str, ...]  # without the prefix


async def local_servers(settings: Settings, turns: int = _PROBE_TURNS) -> tuple[LocalServer, ...]:
    """Find the servers that answer within `turns` of 5 ms and have a model; Ollama comes first.

    A server whose address is set has 0.3 seconds. On Linux, a server on this machine is asked only if its
    process belongs to this user.

    Raises
    ------
    ProviderError
        An address in the settings is malformed.
    """
    urls = {prefix: address_of_kind(prefix, settings.providers)[1] for prefix in KINDS}
    listeners = asyncio.ensure_future(asyncio.to_thread(_listening))
    asked = [
        (prefix, kind, urls[prefix], asyncio.create_task(_own_models(kind, urls[prefix], listeners)))
        for prefix, kind in KINDS.items()
    ]
    waiting: set[asyncio.Future[Any]] = {task for *_, task in asked}
    named = {task for _, kind, _, task in asked if not settings.providers.keys().isdisjoint(kind.settings)}
    try:
        clock, counted = asyncio.get_running_loop().time, 0
        for _ in range(_MOST_TURNS):
            began = clock()
            _, waiting = await asyncio.wait(waiting, timeout=_TURN_SECONDS)
            counted += clock() - began < _LATE_SECONDS
            if not waiting or (counted >= turns and waiting.isdisjoint(named)):
                break
    finally:
        for task in (*waiting, listeners):
            task.cancel()
        # A task that is cancelled still has to close its connection.
        answers = await asyncio.gather(*(task for *_, task in asked), return_exceptions=True)
    return tuple(
        LocalServer(prefix, kind.title, url, names)
        for (prefix, kind, url, _), names in zip(asked, answers, strict=True)
        if isinstance(names, tuple) and names
    )


async def local_models(
    url: str, list_path: str = KINDS["ollama"].list_path, seconds: float = 0.3
) -> tuple[str, ...]:
    """Return the models of the server at `url`, with code models first.

    The tuple is empty if no such server answers within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            listed = json.loads(await _get(f"{url.rstrip('/')}{list_path}"))
        entries = listed["models"] if list_path == KINDS["ollama"].list_path else listed["data"]
        names = [str(entry.get("name") or entry["id"]) for entry in entries]
    except _NO_LIST:
        return ()
    usable = [
        name
        for name in names
        if name.isprintable() and len(name) <= _LONGEST_NAME and not _OTHER_KINDS.search(name)
    ]
    return tuple(sorted(usable, key=lambda name: not _FOR_CODE.search(name)))


def local_name(model: str) -> str:
    """Return ``KIND/NAME`` for a model of a local server, with a kind of `KINDS`; empty for other models.

    ``ollama_chat/NAME``, one of LiteLLM's names, means ``ollama/NAME``.
    """
    provider, _, name = model.partition("/")
    prefix = "ollama" if provider == "ollama_chat" else provider
    return f"{prefix}/{name}" if prefix in KINDS and name else ""


def address_of_kind(prefix: str, providers: Mapping[str, SecretStr]) -> tuple[str, str]:
    """Return the address of a kind of server, after the name of the setting that holds it, or could."""
    kind = KINDS[prefix]
    for name in kind.settings:
        if name in providers:
            given = providers[name].get_secret_value().strip()
            url = checked_url(_client_address(given) if name == "OLLAMA_HOST" else given, name)
            return name, WIRE_PATH.sub("", url).rstrip("/")
    return kind.settings[0], f"http://127.0.0.1:{kind.port}"


def _client_address(host: str) -> str:
    """Return the URL for a value of ``OLLAMA_HOST``, which may say where the server listens: ``0.0.0.0``."""
    scheme, separator, place = host.rpartition("://")
    usual = {"http": 80, "https": 443}.get(scheme) or KINDS["ollama"].port
    try:
        parts = urlsplit(f"//{place}")
        name, port = parts.hostname or "127.0.0.1", parts.port or usual
    except ValueError:
        return host
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - an address to ask
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}{separator or 'http://'}{shown}:{port}{parts.path}"


async def _own_models(kind: Kind, url: str, listeners: asyncio.Future[Listeners]) -> tuple[str, ...]:
    """Return the models of a server, unless another user's process listens at its address."""
    if is_loopback(url):
        parts = urlsplit(url)
        users = await asyncio.shield(listeners)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if users is not None and users.get(port) != {os.getuid()}:
            return ()
    return await local_models(url, kind.list_path)


def _listening() -> Listeners:
    """Return the users whose processes listen on the loopback interface, by port; None if it is not known."""
    users: dict[int, set[int]] = {}
    for table in _TABLES:
        try:
            listed = Path(table).read_text("ascii")
        except OSError:
            continue  # the machine has no IPv6, or is not Linux
        for port, user in _LISTENER.findall(listed):
            users.setdefault(int(port, 16), set()).add(int(user))
    return users if Path(_TABLES[0]).exists() else None


async def _get(url: str) -> bytes:
    """Fetch a small document without an HTTP library, whose import would take longer than the answer."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    try:
        # HTTP/1.0, so that the body comes in one piece and ends with the connection.
        head = f"GET {parts.path} HTTP/1.0\r\nHost: {parts.hostname}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answered = await reader.readuntil(b"\r\n\r\n")
        if answered.split(maxsplit=2)[1] != b"200":
            raise ValueError("no list of models")
        body = bytearray()
        while part := await reader.read(65_536):
            body += part
            if len(body) > _LARGEST_LIST:
                raise ValueError("too long for a list of models")
        return bytes(body)
    finally:
        writer.close()


class LocalProvider(AnthropicProvider):
    """Streams candidates from a local server, over Anthropic's protocol; no key is needed.

    Parameters
    ----------
    model : str
        A name with a prefix of `KINDS`: ``ollama/qwen3-coder:30b``.
    settings : mapping of str to SecretStr
        Addresses and keys by their names in the environment.
    patience : Patience, optional
        Retries and time limits.
    notice : str, optional
        One line that the cell shows about the choice of this model.
    own : Deployment, optional
        An entry of ``config.yaml``. If it has a key or an endpoint, `settings` are not used.
    known_models, secrets
        As for `AnthropicProvider`.
    """

    may_run_away = True
    _dispensable = MappingProxyType({"system": SYSTEM_REFUSED})

    def __init__(
        self,
        model: str,
        settings: Mapping[str, SecretStr],
        *,
        patience: Patience | None = None,
        notice: str = "",
        own: Deployment | None = None,
        known_models: Iterable[str] = (),
        secrets: Iterable[str] = (),
    ) -> None:
        prefix, _, bare = model.partition("/")
        kind = KINDS[prefix]
        key_name = f"{prefix.upper()}_API_KEY"
        url_name, url = address_of_kind(prefix, settings)
        key = settings.get(key_name)
        source = ""
        if own is not None and own.has_own_access:
            source = own.place
            key_name, url_name = f"the api_key in {source}", f"the api_base in {source}"
            url = checked_url(own.endpoint, url_name) if own.endpoint else f"http://127.0.0.1:{kind.port}"
            key = own.key
        if key is not None:
            checked_key(key.get_secret_value(), key_name)
        super().__init__(
            bare,
            key or SecretStr(NO_KEY),
            base_url=url,
            patience=patience,
            source=source,
            known_models=known_models,
            secrets=secrets,
        )
        self.name, self.model, self.notice = prefix, model, notice
        self.is_local = is_local(url)
        # What these servers do with it differs, and none needs it.
        self._omitted.add("cache_control")
        if self.is_local and not _THINKS.search(bare):
            self._max_tokens = LOCAL_MAX_TOKENS
        self._service = replace(
            self._service,
            name=kind.title,
            model=model,
            key_name=key_name,
            url_name=url_name,
            newer=f"or update {kind.title}: older versions do not serve /v1/messages",
        )

    async def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent | Begun, None]:
        if "system" in self._omitted:
            prompt = prompt.without_system
        async with aclosing(super()._attempt(prompt)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    event = replace(event, model=f"{self.name}/{event.model.removeprefix(f'{self.name}/')}")
                yield event

    async def find(self) -> None:
        """Look for the model in the server's list, because a request would make the server load it.

        Raises
        ------
        ProviderError
            The server does not answer, or does not have the model.
        """
        models = await local_models(self._base_url, KINDS[self.name].list_path, _NAMES_SECONDS)
        if not models:
            raise self._service.unreachable().error
        name = self._asked_model
        if name not in models and f"{name}:latest" not in models:
            service = replace(self._service, name=self._service.asked, model=name, known_models=models)
            # Only the address of a server that answers could be doubted.
            raise replace(service, has_own_address=False).refused(404, "", {}).error

    async def _names(self) -> Iterable[str]:
        names = await local_models(self._base_url, KINDS[self.name].list_path, _NAMES_SECONDS)
        return tuple(f"{self.name}/{self._redactor.mask(name)}" for name in names)
