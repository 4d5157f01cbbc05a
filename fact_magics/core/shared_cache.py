"""`SharedTier`: answers in a Redis server that several machines share."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from fact_magics.core.cache import may_serve
from fact_magics.core.sealing import ABOUT_BYTES, Unusable, about, seal, unseal
from fact_magics.errors import FactError
from fact_magics.store import CacheStats, Removed
from fact_magics.text import one_line, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from pydantic import SecretStr

    from fact_magics.core.cache import Chosen
    from fact_magics.core.plan import Plan
    from fact_magics.redaction import Redactor
    from fact_magics.store import CacheEntry

T = TypeVar("T")
# A sealed answer that waits to be sent, and for how many milliseconds it is good.
_Waiting: TypeAlias = "tuple[bytes, int | None]"

_PREFIX = "fact_magics:answer:"
_SCHEMES = ("redis", "rediss", "unix")
# How long a run waits for the first connection, and for each later answer.
_FIRST_SECONDS = 2.0
_ANSWER_SECONDS = 0.05
# A busy event loop can look like a slow server, so the server is left alone only after several slow answers.
_SLOW_ANSWERS = 3
_RETRY_SECONDS = 10.0
# Answers are sent in the background, many at a time. Those that wait have at most so many bytes in all.
_SEND_SECONDS = 2.0
_WAITING_BYTES = 64 * 1024 * 1024
_SENT_AT_ONCE = 200
_BYTES_AT_ONCE = 1024 * 1024
_CLOSE_SECONDS = 0.5
_SCAN_SECONDS = 30.0
_SCANNED_AT_ONCE = 500
_CONNECTIONS = 16
_LARGEST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStats(CacheStats):
    """The statistics of a shared cache; `note` says why it is not in use, and is empty if it is."""

    note: str = ""


class SharedTier:
    """Answers that other machines with the same ``SECRET_KEY`` have made, and answers for them.

    A server that is away, slow or full never ends a run, and hardly delays it: the server is then left alone
    for some seconds. Each kind of problem is reported once. Answers of runs with permissions stay on this
    machine, because a permission grants another thing on another machine.

    Parameters
    ----------
    url : str
        The address of the server, which may contain a password.
    secret : SecretStr or None
        Signs the answers; without it, the tier is off.
    is_secret : callable
        Tells whether a text contains a key or password. Such answers stay on this machine.
    tell : callable
        Receives each notice, one line.
    """

    name = "shared"

    def __init__(
        self,
        url: str,
        secret: SecretStr | None,
        is_secret: Callable[[str], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._url = url
        self._secret = secret
        self._is_secret = is_secret
        self._tell = tell
        self._redis: Any = None
        self._connecting = asyncio.Lock()
        self._patience = _FIRST_SECONDS
        self._slow = 0
        self._slow_at = 0.0
        self._retry_at = 0.0
        self._told: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, _Waiting] = {}
        self._waiting_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._hits = self._misses = 0
        self._note = ""
        self._place = place_of(url)
        if not self._place:
            self._turn_off("FACT_CACHE_URL is not an address such as redis://HOST:6379/0.", "Correct it")
        elif secret is None:
            self._turn_off("SECRET_KEY is not set.", "Set it to the same value on all machines")

    def _turn_off(self, why: str, remedy: str) -> None:
        self._retry_at, self._note = math.inf, why
        self._tell_once(f"The shared cache is off: {why} {remedy}, then restart the kernel.")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    async def aclose(self) -> None:
        """Send the last answers, and close the connections, within a bounded time."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=_CLOSE_SECONDS)
        for task in self._sending:
            task.cancel()
        if self._redis is not None:
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._redis.aclose()

    async def get(self, planned: Plan) -> CacheEntry | None:
        """Find the answer of a run, unless it has expired or is not signed for this run."""
        if planned.permissions:
            return None
        key = planned.key
        value = await self._ask(lambda redis: redis.getrange(f"{_PREFIX}{key}", 0, _LARGEST_BYTES))
        entry = None
        if isinstance(value, bytes) and value and self._secret is not None:
            try:
                entry = unseal(value, key, planned.tool.metadata.id, self._secret)
            except Unusable as error:
                self._tell_once(f"An answer in the shared cache at {self._place} is not used: it {error}.")
        if entry is None or entry.expired(utc_now()):
            self._misses += 1
            return None
        self._hits += 1
        return entry

    def put(self, planned: Plan, entry: CacheEntry) -> None:
        """Send an answer in the background if it may answer other runs and contains no known key."""
        if self._secret is None or planned.permissions or not may_serve(planned, entry):
            return
        texts = (entry.result.decode("utf-8", "surrogateescape"), entry.printed)
        if any(map(self._is_secret, texts)):
            return
        value = seal(entry, planned.tool.metadata.name, self._secret)
        milliseconds = None
        if entry.expires_at is not None:
            left = datetime.fromisoformat(entry.expires_at).timestamp() - time.time()
            milliseconds = max(1, int(left * 1000))
        if len(value) > _LARGEST_BYTES or self._waiting_bytes + len(value) > _WAITING_BYTES:
            return
        self._drop(entry.key)
        self._waiting[entry.key] = value, milliseconds
        self._waiting_bytes += len(value)
        if self._sender is None or self._sender.done():
            self._sender = self._start(self._send_waiting())

    async def forget(self, key: str) -> None:
        """Drop an answer in the background."""
        self._drop(key)
        self._start(self._send(lambda redis: redis.unlink(f"{_PREFIX}{key}")))

    def _drop(self, key: str) -> None:
        value, _ = self._waiting.pop(key, (b"", None))
        self._waiting_bytes -= len(value)

    async def stats(self) -> SharedStats:
        """Return the number of stored answers and their bytes, and the counts of this session."""
        lengths: list[int] = []
        with suppress(FactError):
            async for batch in self._stored():
                lengths += [length for _, length, _ in batch]
        return SharedStats(
            entries=len(lengths),
            bytes=sum(lengths),
            max_bytes=None,
            hits=self._hits,
            misses=self._misses,
            evictions=0,
            note=self._note,
        )

    async def clear(self, chosen: Chosen) -> Removed:
        """Drop the chosen answers, for all machines; raises `FactError` if the server does not answer."""
        if math.isinf(self._retry_at):  # it is off
            return Removed()
        if self._sending:  # they would put answers back
            await asyncio.wait(self._sending, timeout=_SEND_SECONDS)
        for key, (value, _) in [*self._waiting.items()]:
            if _is_chosen(value, chosen):
                self._drop(key)
        entries = size = 0
        async for batch in self._stored():
            meant = {key: length for key, length, beginning in batch if _is_chosen(beginning, chosen)}
            if meant:
                await self._patiently(partial(_unlink, keys=[*meant]))
                entries, size = entries + len(meant), size + sum(meant.values())
        return Removed(entries=entries, bytes=size)

    async def _stored(self) -> AsyncIterator[list[tuple[bytes, int, bytes]]]:
        """Yield the key, the length and the beginning of each stored answer, many at a time."""
        cursor = None
        while cursor != 0:
            cursor, batch = await self._patiently(partial(_scan, cursor=cursor or 0))
            yield batch

    async def _patiently(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do work for a person who waits; raise `FactError` if the server does not answer."""
        if not math.isinf(self._retry_at):
            self._retry_at = 0.0
        found = await self._ask(work, _SCAN_SECONDS)
        if found is None:
            raise FactError(
                f"The answers on this machine were removed, but those in the shared cache at {self._place} "
                f"were not: {self._note or 'it does not answer in time'}.",
                hint="Look at the Redis server, then run this again.",
            )
        return found

    async def _send(self, work: Callable[[Any], Awaitable[Any]]) -> None:
        await self._ask(work, _SEND_SECONDS)

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch: dict[str, _Waiting] = {}
            size = 0
            for key, waiting in [*islice(self._waiting.items(), _SENT_AT_ONCE)]:
                if batch and size + len(waiting[0]) > _BYTES_AT_ONCE:
                    break
                batch[key] = waiting
                size += len(waiting[0])
                self._drop(key)
            await self._send(partial(_store, batch=batch))

    def _start(self, sending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task

    async def _ask(self, work: Callable[[Any], Awaitable[T]], seconds: float | None = None) -> T | None:
        """Return what the server answers, or None if it does not answer in time, or refuses."""
        if time.monotonic() < self._retry_at:
            return None
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds or self._patience):
                async with self._connecting:
                    self._redis = self._redis or await asyncio.to_thread(_connect, self._url)
                found = await work(self._redis)
        except ImportError:
            self._turn_off("the package redis is not installed.", "Run %pip install 'fact_magics[redis]'")
        except TimeoutError:
            if began >= self._slow_at:  # requests that waited together count once
                self._slow, self._slow_at = self._slow + 1, time.monotonic()
            if self._slow >= _SLOW_ANSWERS or self._patience != _ANSWER_SECONDS:
                self._leave_alone("it does not answer in time")
        except Exception as error:  # noqa: BLE001 - none of redis-py's many errors may end a run
            why = one_line(str(error), 120).rstrip(".")
            if _is_refusal(error):  # such as a full server, which still gives answers
                self._note = why
                self._tell_once(f"The shared cache at {self._place} refuses an answer: {why}.")
            else:
                self._leave_alone(why)
        else:
            self._slow, self._note = 0, ""
            return found
        finally:
            self._patience = _ANSWER_SECONDS
        return None

    def _leave_alone(self, why: str) -> None:
        self._slow, self._retry_at, self._note = 0, time.monotonic() + _RETRY_SECONDS, why
        self._tell_once(
            f"The shared cache at {self._place} is not used for now: {why}. Runs go on without it, and it is "
            f"tried again every {_RETRY_SECONDS:.0f} s."
        )


def open_shared(url: str, secret: SecretStr | None, redactor: Redactor) -> SharedTier:
    """Make the tier of ``FACT_CACHE_URL``. Its notices are written to stderr."""

    def tell(line: str) -> None:
        sys.stderr.write(f"fact_magics: {redactor.mask(line)}\n")

    return SharedTier(url, secret, redactor.holds, tell)


def place_of(url: str) -> str:
    """Name the server of an address without its password; empty if the address can't be used."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path:
            return one_line(parts.path)
        if parts.scheme in _SCHEMES and parts.hostname:
            return one_line(f"{parts.hostname}:{parts.port or 6379}")
    return ""


def _connect(url: str) -> Any:
    # Imported here because most users have no Redis, and it takes long.
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    retry = Retry(NoBackoff(), 0)
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, timeout=_SEND_SECONDS, retry=retry
    )
    return Redis.from_pool(pool)


def _is_refusal(error: Exception) -> bool:
    from redis.exceptions import ResponseError

    return isinstance(error, ResponseError)


async def _scan(redis: Any, cursor: int) -> tuple[int, list[tuple[bytes, int, bytes]]]:
    following, keys = await redis.scan(cursor, match=f"{_PREFIX}*", count=_SCANNED_AT_ONCE)
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.strlen(key)
        pipeline.getrange(key, 0, ABOUT_BYTES)
    found = await pipeline.execute(raise_on_error=False)
    batch = zip(keys, found[::2], found[1::2], strict=True)
    return following, [each for each in batch if isinstance(each[1], int) and isinstance(each[2], bytes)]


async def _store(redis: Any, batch: dict[str, _Waiting]) -> bool:
    pipeline = redis.pipeline(transaction=False)
    for key, (value, milliseconds) in batch.items():
        pipeline.set(f"{_PREFIX}{key}", value, px=milliseconds)
    replies = await pipeline.execute(raise_on_error=False)
    for refusal in (reply for reply in replies if isinstance(reply, Exception)):
        raise refusal
    return True


async def _unlink(redis: Any, keys: list[bytes]) -> int:
    return int(await redis.unlink(*keys))


def _is_chosen(beginning: bytes, chosen: Chosen) -> bool:
    if chosen.tool is None and chosen.before is None:
        return True
    known = about(beginning)
    if known is None or chosen.tool not in (None, known.tool):
        return False
    return chosen.before is None or known.created_at < chosen.before
