"""The interface of providers: a prompt goes in, events come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from decimal import Decimal

    from fact_magics.attempt import Usage
    from fact_magics.tool import ToolSpec

# "end": the model finished. "length": its answer reached the token limit. "refused": it declined.
# "cut": the connection broke.
StopReason: TypeAlias = Literal["end", "length", "refused", "cut"]

# How long a provider keeps the input that a request marks for its prompt cache; empty if nothing is marked.
Lifetime: TypeAlias = Literal["", "5m", "1h"]

MAX_TOKENS = 16_000
"""The longest answer, in tokens, if nothing else limits it; no tool is longer."""

LOCAL_MAX_TOKENS = 4_096
"""The longest answer of a local server's model, which may not stop by itself, unless it thinks first."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; the last turn is the user's."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question to a model."""

    system: str  # the same for every request, so that providers can cache it
    messages: tuple[Message, ...]  # the request, then each rejected candidate and the reasons
    spec: ToolSpec | None = None  # the request as data, for the shelf
    max_tokens: int | None = None  # None for the provider's default
    earlier: tuple[str, ...] = ()  # the rejected answers to this request, oldest first
    may_continue: bool = False  # whether another request may repeat this conversation, or go on with it

    @property
    def without_system(self) -> Prompt:
        """The same question for a model without a system role: its first message holds the rules."""
        first, *later = self.messages
        merged = Message(first.role, f"{self.system}\n\n{first.text}")
        return replace(self, system="", messages=(merged, *later))


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the model's thinking; not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Asking:
    """A request is about to be sent; from now on it may have to be paid.

    Each provider with a `Billing` yields this before each request, also before a repeated one.
    """

    may_have_cost: bool = False  # whether a request before it, which failed, may have to be paid as well


@dataclass(frozen=True, slots=True)
class Retrying:
    """The request failed before any text came, and is repeated after a pause."""

    reason: str  # such as "overloaded", "too many requests", "no connection"
    delay_seconds: float  # the length of the pause, which begins with this event
    attempt: int  # 1 for the first retry
    may_have_cost: bool = False  # whether the failed request may have to be paid


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every stream that does not raise an error."""

    stop_reason: StopReason
    usage: Usage  # unknown counts are None
    model: str  # the name that the server reports
    notice: str = ""  # one line about this request, which the record shows


ProviderEvent: TypeAlias = Asking | TextDelta | ThinkingDelta | Retrying | Finished


class Billing(NamedTuple):
    """What decides the price of a provider's requests, beside the model.

    Attributes
    ----------
    count_tokens : callable
        Counts the tokens of a prompt with the provider's own counter; None if it has none. It also opens the
        client, as the first request does, and may raise the same errors.
    prices : mapping
        The prices per token from ``config.yaml``, by LiteLLM's names.
    """

    count_tokens: Callable[[Prompt], Awaitable[int | None]]
    prices: Mapping[str, Decimal]
    lifetime: Lifetime


class Provider(Protocol):
    """A source of candidates: a model, or the shelf."""

    @property
    def billing(self) -> Billing | None:
        """How requests are paid; None if they cost nothing, because no model is asked."""

    @property
    def name(self) -> str:
        """The provider's name: ``anthropic``, ``litellm``, ``shelf``."""

    @property
    def model(self) -> str:
        """The model's name, in the form that ``--model`` accepts."""

    @property
    def notice(self) -> str:
        """One line about the choice of this model, which the cell shows; may be empty."""

    @property
    def may_run_away(self) -> bool:
        """Whether the model may repeat itself without end, as small ones do."""

    @property
    def is_local(self) -> bool:
        """Whether the model runs on this machine or in its network, so that it is probably a small one."""

    @property
    def waiting_notice(self) -> str:
        """One line that the cell shows if the model does not answer for a while; may be empty."""

    def most_answers(self, prompt: Prompt) -> int | None:
        """Return the largest number of answers that are worth asking for; None if there is no limit."""

    async def open(self) -> object:
        """Import what the first request needs, and find out where it goes; send nothing.

        Raises
        ------
        MissingExtra, ProviderError
            A package is missing, the provider is unknown, or the model needs a key.
        """

    def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask the model, and yield its answer as it comes; `Finished` is last.

        To stop early, use `contextlib.aclosing` or cancel the task: both close the connection at once.

        Raises
        ------
        ProviderError
            The request failed, or the answer stalled.
        GenerationFailed
            The shelf has no suitable tool.
        """

    async def aclose(self) -> None:
        """Release connections. Don't use a closed provider again."""
