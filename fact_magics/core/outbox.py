"""Rows that wait to be committed to the database, and their commits."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from fact_magics.errors import StoreError, StoreUnwritable
from fact_magics.store import CacheEntry, ExecutionRow, GenerationRow, MapRow, MapRows, Store
from fact_magics.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fact_magics.store import LockWait

    Build = Callable[[], ExecutionRow]
    Stored = Callable[[Sequence[ExecutionRow], Sequence[GenerationRow], Sequence[MapRows]], None]

T = TypeVar("T")

# How many rows, and how many bytes of rows and of answers, wait while the database can't be written.
_WAITING_LIMIT = 50_000
_WAITING_BYTES = 64 * 1024 * 1024
# How long a commit waits for the rows of runs that end soon.
_GROUP_SECONDS = 0.02


class Outbox:
    """Keeps rows until they are committed together.

    Rows can be added on any thread, without waiting. A row may be given as a function, which builds it only
    for the commit. `on_stored` receives rows after their commit.
    """

    def __init__(
        self,
        store: Store,
        is_best_effort: Callable[[], bool],
        on_stored: Stored,
    ) -> None:
        self._store = store
        self.on_stored = on_stored
        self._is_best_effort = is_best_effort
        self._is_unwritable = False
        self._pending: deque[ExecutionRow | GenerationRow | Build] = deque()
        self._entries: deque[CacheEntry] = deque()
        self._of_map: deque[MapRows] = deque()
        self._maps: dict[str, MapRow] = {}  # by their ids
        self._latest_of_maps: dict[str, MapRow] = {}  # also those that are being committed
        self._dropped = 0
        self._told = 0  # how many waiting rows the user knows about
        self._current: asyncio.Task[None] | None = None
        self._coming: tuple[asyncio.Task[None], LockWait] | None = None
        self._due = asyncio.Event()
        self._committing: Future[None] = Future()  # of the rows that the loop has taken
        self._committing.set_result(None)

    def add_of_map(self, rows: MapRows) -> None:
        """Record rows of a map, and store their answers with the next commit."""
        self._of_map.append(rows)

    def note_map(self, row: MapRow) -> None:
        """Replace what is stored about a map with the next commit, which has all rows added so far."""
        self._maps[row.id] = self._latest_of_maps[row.id] = row

    def add_entry(self, entry: CacheEntry) -> None:
        """Store an answer with the next commit."""
        self._entries.append(entry)

    async def flush(self) -> None:
        """Commit the waiting rows in one transaction; if that raises `StoreError`, the rows keep waiting.

        If another program has locked the database, the first commit waits for it, and the later ones hardly
        wait until one succeeds. A caller that is cancelled ends the wait.
        """
        await self._committed(self.begin_flush())

    def begin_flush(self) -> tuple[asyncio.Task[None], LockWait]:
        """Begin what `flush` does, on the core's loop; return the commit, and its wait for locks."""
        commit = self._next_commit()
        self._due.set()
        return commit

    async def flush_soon(self) -> None:
        """Commit the waiting rows as `flush` does, but wait a moment for rows of other runs."""
        if self._coming is None:
            commit = self._next_commit()
            asyncio.get_running_loop().call_later(_GROUP_SECONDS, self._due.set)
        else:
            commit = self._coming
        await self._committed(commit)

    async def _committed(self, commit: tuple[asyncio.Task[None], LockWait]) -> None:
        task, wait = commit
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            wait.stop()
            raise

    def _next_commit(self) -> tuple[asyncio.Task[None], LockWait]:
        """Return the commit that has not begun yet, and its wait for locks."""
        if self._coming is None:
            self._due, wait = asyncio.Event(), self._store.lock_wait()
            task = asyncio.create_task(self._commit(self._due, self._current, wait))
            # If all callers are cancelled, nobody asks for the error; the rows wait.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._coming = task, wait
        return self._coming

    async def _commit(self, due: asyncio.Event, earlier: asyncio.Task[None] | None, wait: LockWait) -> None:
        await due.wait()
        if earlier is not None:
            await asyncio.wait((earlier,))
        self._current, self._coming = asyncio.current_task(), None
        self._committing = committing = Future[None]()
        try:
            with self._taken() as rows:
                await self._store.commit(*rows, wait=wait)
        finally:
            committing.set_result(None)

    def flush_blocking(self) -> None:
        """Commit the waiting rows as `flush` does, from a thread without an event loop."""
        interrupt: KeyboardInterrupt | None = None
        try:
            self._commit_blocking()
        except KeyboardInterrupt as caught:  # the commit went well
            interrupt = caught
        if not self._committing.done():  # the loop has taken rows, too
            try:
                self._committing.result()
            except KeyboardInterrupt as caught:
                interrupt = caught
                self._store.stop_waiting()
                self._committing.result()
            self._commit_blocking()  # those that it could not commit
        if interrupt is not None:
            raise interrupt

    def _commit_blocking(self) -> None:
        with self._taken() as rows:
            self._store.commit_blocking(*rows)

    def has_news(self) -> bool:
        """Tell whether more rows wait than at the last call, so that the user should hear about them."""
        told, self._told = self._told, self.waiting
        return self._told > told

    @property
    def waiting(self) -> int:
        """How many rows wait to be committed."""
        return len(self._pending) + sum(map(len, self._of_map.copy()))

    @property
    def is_locked(self) -> bool:
        """Whether work waited in vain for another program's lock on the database."""
        return self._store.is_locked

    async def aclose(self) -> None:
        """Commit the waiting rows for the last time; say on stderr how many rows of the session are lost."""
        why = ""
        try:
            await self.flush()
        except StoreError as error:
            why = f" {error.line}"
        if lost := self.waiting + self._dropped:
            _warn(f"{plural(lost, 'row')} of the history could not be stored.{why}")

    @contextmanager
    def _taken(
        self,
    ) -> Iterator[
        tuple[list[ExecutionRow], list[GenerationRow], list[CacheEntry], list[MapRows], list[MapRow]]
    ]:
        maps, self._maps = self._maps, {}
        entries, waiting, of_map = _all_of(self._entries), _all_of(self._pending), _all_of(self._of_map)
        rows = [row if isinstance(row, ExecutionRow | GenerationRow) else row() for row in waiting]
        runs = [row for row in rows if isinstance(row, ExecutionRow)]
        attempts = [row for row in rows if isinstance(row, GenerationRow)]
        try:
            yield runs, attempts, entries, of_map, [*maps.values()]
            for id_, row in maps.items():
                if self._latest_of_maps.get(id_) is row:
                    del self._latest_of_maps[id_]
            self._told = 0
            self._is_unwritable = False
        except (Exception, asyncio.CancelledError) as error:
            latest = self._latest_of_maps
            self._maps = {id_: row for id_, row in maps.items() if latest.get(id_) is row} | self._maps
            # The store may complete a cancelled commit nevertheless; rows that it has already are kept once.
            for many in of_map:
                rows += many.rows()
                entries += many.entries()
            kept = _latest(rows, _size)
            self._pending.extendleft(kept)
            # An answer without its row is not checked for keys when it is stored.
            keys = {row.cache_key for row in kept if isinstance(row, ExecutionRow)}
            entries = [entry for entry in entries if entry.key in keys]
            self._entries.extendleft(_latest(entries, lambda entry: len(entry.result) + len(entry.printed)))
            if dropped := len(rows) - len(kept):
                if not self._dropped:
                    _warn(f"The oldest rows of the history are dropped, because too many wait. {error}")
                self._dropped += dropped
            if not (isinstance(error, StoreUnwritable) and self._is_best_effort()):
                raise
            if not self._is_unwritable:
                _warn(f"Rows of the history can't be stored and wait in memory; runs continue. {error}")
            self._is_unwritable = True
            self._told = self.waiting
        else:
            self.on_stored(runs, attempts, of_map)


def _latest(waiting: Sequence[T], size: Callable[[T], int]) -> list[T]:
    """Return as much as may wait, the latest first."""
    latest = waiting[: -_WAITING_LIMIT - 1 : -1]
    total = accumulate(map(size, latest))
    return [each for each, bytes_so_far in zip(latest, total, strict=True) if bytes_so_far <= _WAITING_BYTES]


def _size(row: ExecutionRow | GenerationRow) -> int:
    if isinstance(row, GenerationRow):
        return sum(map(len, (row.description, row.contract, row.reason, row.text, row.source)))
    texts = (row.input_data, row.output_data, row.error, row.details, row.printed)
    return sum(len(text) for text in texts if text)


def _warn(text: str) -> None:
    sys.stderr.write(f"fact_magics: {text}\n")


def _all_of(waiting: deque[T]) -> list[T]:
    taken: list[T] = []
    with suppress(IndexError):  # another thread may take the last one
        while waiting:
            taken.append(waiting.popleft())
    return taken
