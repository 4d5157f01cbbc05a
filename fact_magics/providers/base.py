"""What every provider takes and gives: a prompt in, events out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fact_magics.tool import ToolSpec, Usage

StopReason: TypeAlias = Literal["end", "length", "refused", "cut"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; the last one is the user's."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question to a model.

    Attributes
    ----------
    system : str
        The stable prefix that every request shares, so that providers can cache it.
    messages : tuple of Message
        The request, then each rejected candidate and what was wrong with it.
    spec : ToolSpec, optional
        The same request as data, for the shelf, which is not a model.
    max_tokens : int or None
        Limit of the answer in tokens; None for as long as a tool may be.
    """

    system: str
    messages: tuple[Message, ...]
    spec: ToolSpec | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the model's thinking; not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """The request failed before any text came, and is made again after a pause.

    Attributes
    ----------
    reason : str
        For people: ``overloaded``, ``too many requests``, ``no connection``.
    delay_seconds : float
        The pause that starts with this event.
    attempt : int
        1 for the first retry.
    """

    reason: str
    delay_seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every stream that raised nothing.

    Attributes
    ----------
    stop_reason : {"end", "length", "refused", "cut"}
        The model ended by itself, met the limit on its answer, or declined; or the connection broke in
        the middle. Text that came before is worth showing in each case.
    usage : Usage
        Tokens, as far as they are known.
    model : str
        The model that answered, as it names itself.
    """

    stop_reason: StopReason
    usage: Usage
    model: str


ProviderEvent: TypeAlias = TextDelta | ThinkingDelta | Retrying | Finished


class Provider(Protocol):
    """Writes candidates."""

    @property
    def name(self) -> str:
        """The provider: ``anthropic``, ``litellm``, ``shelf``."""

    @property
    def model(self) -> str:
        """The model's name, as a cell's ``--model`` takes it."""

    @property
    def notice(self) -> str:
        """One line that the cell shows about this choice; empty where there is nothing to say."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask, and give the answer as it comes; `Finished` is last.

        Leave it early only inside `contextlib.aclosing`, or by cancelling the task: both close the
        connection at once.

        Raises
        ------
        ProviderError
            The model could not be asked, or its answer stalled.
        GenerationFailed
            The shelf has no tool that fits.
        """

    async def aclose(self) -> None:
        """Release connections. A closed provider can't be asked again."""
