"""What a model server's answers cost, by the server's own count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fact_magics.attempt import Usage
    from fact_magics.testing.wires import Reply


@dataclass(frozen=True, slots=True)
class Charge:
    """A request that has to be paid.

    Attributes
    ----------
    usage : Usage
        All tokens of the answer, even if its stream broke off.
    is_complete : bool
        Whether the whole answer and its usage were sent.
    """

    model: str
    usage: Usage
    is_complete: bool

    def cost(self, prices: Mapping[str, float]) -> Fraction:
        """Return the exact cost in US dollars.

        `prices` are those of a million tokens: ``input``, ``output``, ``cache_read``, ``cache_write`` (kept
        for five minutes) and ``cache_write_1h``.
        """
        usage = self.usage
        for_an_hour = usage.cache_creation_1h_tokens or 0
        counts = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": (usage.cache_creation_tokens or 0) - for_an_hour,
            "cache_write_1h": for_an_hour,
        }
        paid = (Fraction(str(prices[kind])) * count for kind, count in counts.items() if count)
        return sum(paid, Fraction()) / 1_000_000


def read_tokens(usage: Usage) -> int:
    """Return the number of all tokens of the input, as a counter of tokens gives it."""
    counts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_creation_tokens)
    return sum(count or 0 for count in counts)


def limited(reply: Reply, body: Mapping[str, Any]) -> Reply:
    """Reduce the scripted number of output tokens to the ``max_tokens`` of a request, as real servers do."""
    most = body.get("max_tokens") or body.get("max_completion_tokens")
    usage = reply.usage
    if (
        usage is None
        or usage.output_tokens is None
        or not isinstance(most, int)
        or usage.output_tokens <= most
    ):
        return reply
    return replace(reply, usage=replace(usage, output_tokens=most), stop_reason="max_tokens")
