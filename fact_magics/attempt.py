"""One candidate for a tool: how its examples went, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from fact_magics.tool import Example, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of running an example; `expected` and `got` are single lines of limited length.

    If the tool lacked a permission, `denied` says what it may not do, and how to allow it.
    """

    holds: bool
    expected: str
    got: str
    example: Example
    denied: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; None if the provider gave no number.

    Attributes
    ----------
    input_tokens : int or None
        Tokens read at full price, not counting the provider's prompt cache.
    output_tokens : int or None
        Tokens written, including thinking.
    cache_creation_tokens, cache_creation_1h_tokens : int or None
        Tokens written to the provider's prompt cache, and how many of them it keeps for an hour.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None


@dataclass(slots=True)
class Attempt:
    """One candidate, and whether it was accepted.

    Attributes
    ----------
    status : Status
        ``ok`` for an accepted candidate, ``interrupted`` until the attempt has ended, else ``error``.
    reason : str
        Why the candidate was not accepted, in words for the user; empty if it was accepted.
    text, source : str
        The model's answer, and the module found in it.
    notice : str
        One line about the request, such as why nothing was read from the provider's prompt cache.
    max_tokens : int or None
        The limit of the answer, if a budget or the user set one.
    cost_usd : float or None
        The price of the request; None if it is unknown.
    saved_usd : float or None
        The price that reading tokens from the provider's prompt cache saved.
    is_repair : bool
        Whether the model was shown an earlier candidate that was not accepted.
    group : int or None
        The number of this candidate's group; candidates in one group give the same answers. Group 1 contains
        the candidate that became a version. None if the candidates were not compared.
    parting_call : str
        A call for which this candidate and the one that became a version give different answers.
    """

    number: int
    provider: str
    model: str
    started_at: str
    status: Status = Status.INTERRUPTED
    reason: str = ""
    text: str = ""
    source: str = ""
    usage: Usage = field(default_factory=Usage)
    verdicts: list[Verdict] = field(default_factory=list)
    failures: tuple[str, ...] = ()
    duration_ms: float = 0.0
    notice: str = ""
    max_tokens: int | None = None
    cost_usd: float | None = None
    saved_usd: float | None = None
    is_repair: bool = False
    group: int | None = None
    parting_call: str = ""
