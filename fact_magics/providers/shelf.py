"""The shelf as a provider: it finds a shipped, verified tool instead of asking a model.

It is the default if no model is available. Its answers have the form of a model's answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.attempt import Usage
from fact_magics.errors import GenerationFailed, InvalidInput, InvalidResult, ProviderError
from fact_magics.providers.base import Finished, Prompt, ProviderEvent, TextDelta
from fact_magics.shelf.entry import Entry, read_shelf, renamed
from fact_magics.shelf.search import PROVEN_THRESHOLD, UNPROVEN_THRESHOLD, Match, ShelfIndex
from fact_magics.text import clipped
from fact_magics.tool import Returned
from fact_magics.values import encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from fact_magics.signature import Signature
    from fact_magics.tool import Example, ToolSpec

_CONNECT = "set ANTHROPIC_API_KEY, or name a model with --model provider/model."
# The length of a line below the error; a single failure may take two lines.
_ROW = 96


class ShelfProvider:
    """Answers requests with shipped tools; the first request reads and indexes the shelf."""

    name = "shelf"
    model = "shelf"
    notice = "from the shelf, no model was called"
    may_run_away = False
    is_local = False
    waiting_notice = ""
    billing = None

    def __init__(self) -> None:
        self._index: ShelfIndex | None = None

    def most_answers(self, prompt: Prompt) -> int:
        """Return 1: all answers to a request are the same."""
        del prompt
        return 1

    async def open(self) -> None:
        """Do nothing: the first request reads the shelf."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the best entry for the request, under the requested name; after a rejection, the next one."""
        if prompt.spec is None:
            raise ProviderError("The shelf has only tools and can't answer other questions.", hint=_CONNECT)
        entry, source = self._choose(prompt, prompt.spec)
        yield TextDelta(f"From the shelf: {entry.name}, a verified tool shipped with fact_magics.\n\n")
        yield TextDelta(f"```python\n{source.rstrip()}\n```\n")
        yield Finished("end", Usage(), f"shelf/{entry.name}")

    async def aclose(self) -> None:
        """Release the index."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _choose(self, prompt: Prompt, spec: ToolSpec) -> tuple[Entry, str]:
        if self._index is None:
            self._index = ShelfIndex(read_shelf())
        matches = self._index.search(spec.name, spec.description)
        candidates = [match.entry for match in matches if _answers(match, spec)]
        rejected = sum(message.role == "assistant" for message in prompt.messages)
        if not candidates:
            nearest = [match.entry for match in matches[:3]]
            raise GenerationFailed(
                f"{_listed(nearest)} are the nearest tools on the shelf, but maybe none of them fits the"
                f" request for {spec.name}.",
                hint=f"Reword the request, or let a model write it: {_CONNECT}",
                details=[f"{entry.name}: {entry.summary}" for entry in nearest],
            )
        if rejected >= len(candidates):
            lines = prompt.messages[-1].text.splitlines()
            reasons = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
            limit = _ROW if len(reasons) > 1 else 2 * _ROW
            raise GenerationFailed(
                f"{_listed(candidates)} from the shelf did not fit the request for {spec.name}, and no"
                " other tool there is similar.",
                hint=f"Correct the examples, or let a model write it: {_CONNECT}",
                details=[clipped(reason, limit) for reason in reasons[:2]],
            )
        entry = candidates[rejected]
        try:
            return entry, renamed(entry, spec.name)
        except ValueError as problem:
            raise GenerationFailed(
                f"The shelf's tool {entry.name} can't be renamed to {spec.name}: {problem}.",
                hint="Choose another name.",
            ) from None


def _answers(match: Match, spec: ToolSpec) -> bool:
    if spec.permissions:
        return False  # no tool on the shelf needs the network or files
    if not spec.examples:
        return match.fits and match.score >= UNPROVEN_THRESHOLD
    if not match.related or match.score < PROVEN_THRESHOLD:
        return False
    return all(_could_hold(example, match.entry.tool.signature) for example in spec.examples)


def _could_hold(example: Example, signature: Signature) -> bool:
    """Tell whether the example fits the declared parameters and return type."""
    try:
        bound = signature.bind(example.args, example.kwargs)
        if isinstance(example.expected, Returned):
            signature.validate(bound)
            expected = example.expected.value
            # A date is also text in its wire form, but if text is expected, the tool must return text.
            return isinstance(signature.read_result(encode(expected)), str) == isinstance(expected, str)
    except (InvalidInput, InvalidResult):
        return False
    return True


def _listed(entries: Sequence[Entry]) -> str:
    *others, last = (entry.name for entry in entries)
    return f"{', '.join(others)} and {last}" if others else last
