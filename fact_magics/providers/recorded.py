"""Record the answers of models in a readable file, and answer from such a file without a model.

A request is known by what the person asked (name, description, examples and permissions of the tool) and by
the answers that were rejected so far. Everything else may change without a new recording: the model, the
rules of this package, and how it words failures, which may contain times and addresses.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter, deque
from contextlib import aclosing
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.attempt import Usage
from fact_magics.errors import GenerationFailed, RecordingError
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.providers.base import Finished, ProviderEvent, TextDelta
from fact_magics.providers.choose import choose
from fact_magics.providers.prompt_cache import CacheMemory
from fact_magics.providers.recording import (
    RecordedAnswer,
    Recording,
    read_recording,
    short_path,
    write_recording,
)
from fact_magics.text import without_surrogates
from fact_magics.tool import REPLAY, SHELF

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from fact_magics.config import Settings
    from fact_magics.providers.base import Prompt, Provider

# The answers of a session that are kept for `Tape.record`.
_MOST_KEPT = 1_000
# Text is streamed at this pace, but no answer takes longer than _LONGEST_SECONDS.
_CHARACTERS_PER_SECOND = 800
_LONGEST_SECONDS = 3.0
_STEP_SECONDS = 0.03


class Written(NamedTuple):
    """How many answers a file holds, and how many of this session are not in it because of a key."""

    answers: int
    left_out: int


class Tape:
    """Keeps a session's model answers, writes them to a file, and answers from a recording.

    Parameters
    ----------
    mask : callable
        Replaces the known keys in a text.
    """

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._kept: deque[RecordedAnswer] = deque(maxlen=_MOST_KEPT)
        self.path: Path | None = None  # of the file that is being written
        self._written: dict[str, list[RecordedAnswer]] = {}
        self._own: set[str] = set()  # the requests in `_written` that this session asked
        self._seen: object = None  # the state of the file as this session wrote it
        self._replayed: Path | None = None
        self._is_set = False  # whether `_replayed` counts, instead of the settings
        self._loaded: tuple[object, Recording] | None = None
        self._taken: Counter[tuple[str, str]] = Counter()
        self._cache_memory = CacheMemory()

    def record(self, path: Path | None) -> Written:
        """Write the answers of this session to a file: those so far, and each new one; None stops it.

        The answers in an existing recording stay, except those to requests that this session asks.

        Raises
        ------
        RecordingError
            The file exists and is not a recording, or can't be read or written.
        """
        if path is None:
            self.path = None
            return Written(0, 0)
        written = read_recording(path).answers if path.exists() or path.is_symlink() else {}
        earlier = self.path, self._written, self._own
        self.path, self._written, self._own = path, written, set()
        left_out = sum(not self._add(answer) for answer in self._kept)
        try:
            self._write(is_new=True)
        except BaseException:
            self.path, self._written, self._own = earlier
            raise
        return Written(sum(map(len, written.values())), left_out)

    def replay(self, path: Path | None) -> Recording | None:
        """Answer from a recording from now on; None asks models again.

        Raises
        ------
        RecordingError
            The file can't be used; nothing changes.
        """
        recording = None if path is None else read_recording(path)
        self._replayed, self._is_set, self._loaded = path, True, None
        self._taken.clear()
        return recording

    def replayed(self, settings: Settings) -> Path | None:
        """Return the recording that answers come from, or None if models are asked."""
        return self._replayed if self._is_set else settings.replay

    async def choose(self, settings: Settings, model: str | None) -> Provider:
        """Return a provider for a model as `choose` does, or one that answers from the recording.

        The shelf sends nothing, so it may also be named during a replay.
        """
        path = self.replayed(settings)
        if path is not None and model != SHELF:
            try:
                recording = await asyncio.to_thread(self._load, path)
            except RecordingError as error:
                named = "Name another file with %fact replay FILE" if self._is_set else "Correct FACT_REPLAY"
                hint = f"{named}, or run %fact replay --stop to ask a model."
                raise RecordingError(error.message, hint=hint) from None
            return ReplayProvider(recording, model or settings.model, self)
        provider = await choose(settings, model)
        if isinstance(provider, AnthropicProvider):
            provider.cache_memory = self._cache_memory
        return provider if provider.name == SHELF else RecordedProvider(provider, self._keep)

    def _load(self, path: Path) -> Recording:
        state = _state(path)
        if self._loaded is None or self._loaded[0] != state:
            self._loaded = state, read_recording(path)
        return self._loaded[1]

    def find(self, recording: Recording, prompt: Prompt, model: str) -> list[RecordedAnswer]:
        """Return the answers to a request: those of the model, or else those of all models."""
        known = recording.answers.get(self._key(prompt), [])
        return [answer for answer in known if answer.model == model] or known

    def take(self, recording: Recording, prompt: Prompt, model: str) -> RecordedAnswer | None:
        """Return the next answer to a request; after the last one, start again with the first."""
        found = self.find(recording, prompt, model)
        if not found:
            return None
        key = self._key(prompt), model
        self._taken[key] += 1
        return found[(self._taken[key] - 1) % len(found)]

    def _keep(self, prompt: Prompt, text: str, finished: Finished) -> Finished:
        """Keep an answer, and write it if a file is being written; `finished` gets a notice if that fails."""
        spec = prompt.spec
        answer = RecordedAnswer(
            self._key(prompt),
            spec.name if spec else "",
            without_surrogates(spec.asked if spec else prompt.messages[-1].text).strip(),
            without_surrogates(spec.contract) if spec else "",
            len(prompt.earlier) + 1,
            finished.model,
            finished.stop_reason,
            finished.usage,
            without_surrogates(text),
        )
        self._kept.append(answer)
        if self.path is None:
            return finished
        shown = short_path(self.path)
        if not self._add(answer):
            return replace(finished, notice=f"not recorded in {shown}, because the request contains a key")
        try:
            self._write()
        except RecordingError as error:
            return replace(finished, notice=error.line)
        return finished

    def _key(self, prompt: Prompt) -> str:
        spec = prompt.spec
        asked: Iterable[str] = (prompt.system, *(message.text for message in prompt.messages))
        if spec is not None:
            asked = (spec.name, spec.asked.strip(), spec.contract, *spec.permissions)
        parts = [*map(self._mask, asked)], [*map(self._mask, filter(None, prompt.earlier))]
        return blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    def _add(self, answer: RecordedAnswer) -> bool:
        """Add an answer to what is written, unless its request contains a key; tell whether it was added."""
        asked = f"{answer.asked}\n{answer.examples}"
        if self._mask(asked) != asked:
            return False
        if answer.request not in self._own:
            self._own.add(answer.request)
            self._written[answer.request] = []
        self._written[answer.request].append(replace(answer, text=self._mask(answer.text)))
        return True

    def _write(self, *, is_new: bool = False) -> None:
        if self.path is None:
            return
        # Another session may write to the same file.
        if not is_new and (state := _state(self.path)) is not None and state != self._seen:
            for request, known in read_recording(self.path).answers.items():
                if request not in self._own:
                    self._written[request] = known
        write_recording(self.path, [answer for known in self._written.values() for answer in known])
        self._seen = _state(self.path)


def _state(path: Path) -> object:
    """Return what changes with a file's content; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return path, status.st_ino, status.st_mtime_ns, status.st_size


class RecordedProvider:
    """Asks another provider, and passes each of its answers to `keep`."""

    def __init__(self, provider: Provider, keep: Callable[[Prompt, str, Finished], Finished]) -> None:
        self._provider, self._keep = provider, keep
        self.name, self.model, self.notice = provider.name, provider.model, provider.notice
        self.may_run_away, self.is_local = provider.may_run_away, provider.is_local
        self.billing, self.waiting_notice = provider.billing, provider.waiting_notice

    def most_answers(self, prompt: Prompt) -> int | None:
        """Return how many different answers the other provider has."""
        return self._provider.most_answers(prompt)

    async def open(self) -> None:
        """Open the other provider."""
        await self._provider.open()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the other provider's events; `Finished` gets a notice if the answer can't be recorded."""
        parts: list[str] = []
        has_finished = False
        async with aclosing(self._provider.stream(prompt)) as events:
            try:
                async for event in events:
                    if isinstance(event, TextDelta):
                        parts.append(event.text)
                    elif isinstance(event, Finished):
                        has_finished = True
                        event = self._keep(prompt, "".join(parts), event)
                    yield event
            except GeneratorExit:
                if parts and not has_finished:  # the answer was stopped, because it had no end
                    self._keep(prompt, "".join(parts), Finished("cut", Usage(), self.model))
                raise

    async def aclose(self) -> None:
        """Close the other provider."""
        await self._provider.aclose()


class ReplayProvider:
    """Answers from a recording, at a readable pace; it sends nothing.

    Parameters
    ----------
    model : str or None
        The model whose answers are preferred. By default, the first one that the recording names.
    """

    name = REPLAY
    billing = None
    may_run_away = True
    is_local = False
    waiting_notice = ""

    def __init__(
        self,
        recording: Recording,
        model: str | None,
        tape: Tape,
    ) -> None:
        self._recording = recording
        self._tape = tape
        self.model = model or next(iter(recording.models), REPLAY)
        self.notice = f"replayed from {short_path(recording.path)}, no model was called"

    def most_answers(self, prompt: Prompt) -> int:
        """Return how many answers to a request the recording holds."""
        return len(self._tape.find(self._recording, prompt, self.model))

    async def open(self) -> None:
        """Do nothing, because a recording needs no connection."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the recorded answer to a request; `GenerationFailed` says that there is none."""
        answer = self._tape.take(self._recording, prompt, self.model)
        if answer is None:
            which = f"attempt {len(prompt.earlier) + 1} of " if prompt.earlier else ""
            asked = f"request for {prompt.spec.name}" if prompt.spec else "question"
            raise GenerationFailed(
                f"{short_path(self._recording.path)} holds no answer to {which}this {asked}.",
                hint="To record it with a model, run %fact replay --stop, %fact record FILE and this cell.",
            )
        text = answer.text
        steps = math.ceil(min(len(text) / _CHARACTERS_PER_SECOND, _LONGEST_SECONDS) / _STEP_SECONDS) or 1
        size = math.ceil(len(text) / steps) or 1
        for start in range(0, len(text), size):
            yield TextDelta(text[start : start + size])
            await asyncio.sleep(_STEP_SECONDS)
        yield Finished(answer.stop_reason, answer.usage, answer.model)

    async def aclose(self) -> None:
        """Do nothing, because a recording needs no connection."""
