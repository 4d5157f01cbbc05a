"""The shelf as a provider: it looks up a shipped, verified tool, or says that there is none.

No model is called and no token used: it stands in where no model is connected, in the same form of
answer, so that everything after it works the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.errors import GenerationFailed, InvalidInput, InvalidResult
from fact_magics.providers.base import Finished, Prompt, ProviderEvent, TextDelta
from fact_magics.shelf.entry import Entry, read_shelf, renamed
from fact_magics.shelf.search import PROVEN_THRESHOLD, UNPROVEN_THRESHOLD, Match, ShelfIndex
from fact_magics.signature import Signature, read_signature
from fact_magics.tool import Returned, Usage
from fact_magics.values import encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from fact_magics.tool import Example, ToolSpec

_CONNECT = "set ANTHROPIC_API_KEY, or name a model with --model provider/model."


class ShelfProvider:
    """Answers requests with the shipped tools; the shelf is read and indexed at the first one."""

    name = "shelf"
    model = "shelf"
    notice = "from the shelf, no model was called"

    def __init__(self) -> None:
        self._index: ShelfIndex | None = None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Give the entry that answers the request, under the requested name, in one fenced block.

        In a repair, the candidates before it were rejected, so the next one comes.

        Raises
        ------
        GenerationFailed
            Nothing on the shelf surely does what is asked, or nothing more.
        """
        entry, source = self._choose(prompt)
        yield TextDelta(f"From the shelf: {entry.name}, a verified tool shipped with fact_magics.\n\n")
        yield TextDelta(f"```python\n{source.rstrip()}\n```\n")
        yield Finished("end", Usage(), f"shelf/{entry.name}")

    async def aclose(self) -> None:
        """Let the index go."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _choose(self, prompt: Prompt) -> tuple[Entry, str]:
        spec = prompt.spec
        if self._index is None:
            self._index = ShelfIndex(read_shelf())
        matches = self._index.search(spec.name, spec.description)
        candidates = [match.entry for match in matches if _answers(match, spec)]
        rejected = sum(message.role == "assistant" for message in prompt.messages)
        if rejected >= len(candidates):
            raise _nothing(prompt, [match.entry for match in matches[:3]], candidates)
        entry = candidates[rejected]
        try:
            return entry, renamed(entry, spec.name)
        except ValueError as problem:
            raise GenerationFailed(
                f"The shelf's tool can't be called {spec.name}: {problem}.",
                hint="Choose another name for it.",
            ) from None


def _answers(match: Match, spec: ToolSpec) -> bool:
    if spec.permissions:
        return False  # what must reach the network or files is none of these tools, however its words read
    if not spec.examples:
        return match.fits and match.score >= UNPROVEN_THRESHOLD
    if not match.related or match.score < PROVEN_THRESHOLD:
        return False
    signature = read_signature(match.entry.source, match.entry.name)
    return all(_could_hold(example, signature) for example in spec.examples)


def _could_hold(example: Example, signature: Signature) -> bool:
    """Whether the example calls the function as it is declared, and expects what it may return."""
    try:
        bound = signature.bind(example.args, example.kwargs)
        if isinstance(example.expected, Returned):
            signature.validate(bound)
            expected = example.expected.value
            # Text in ISO form would do as a date's wire form, but an example that expects text means text.
            return isinstance(signature.read_result(encode(expected)), str) == isinstance(expected, str)
    except (InvalidInput, InvalidResult):
        return False
    return True


def _nothing(prompt: Prompt, nearest: Sequence[Entry], rejected: Sequence[Entry]) -> GenerationFailed:
    name = prompt.spec.name
    if rejected:
        tried = _listed([entry.name for entry in rejected])
        failures = [line[2:] for line in prompt.messages[-1].text.splitlines() if line.startswith("- ")]
        return GenerationFailed(
            f"{tried} from the shelf did not do what {name} should, and nothing else there comes close.",
            hint=f"Correct the examples, or have a model write it: {_CONNECT}",
            details=failures,
        )
    shown = _listed([entry.name for entry in nearest])
    return GenerationFailed(
        f"{shown} are the nearest tools on the shelf, but none of them surely does what {name} should.",
        hint=f"Reword the request, or have a model write it: {_CONNECT}",
        details=[f"{entry.name}: {entry.summary}" for entry in nearest],
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
