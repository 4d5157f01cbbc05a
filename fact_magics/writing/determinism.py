"""Find out what changes a tool's answer to equal calls: the clock, hashing, the time zone, or chance."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox.outcome import USUAL, Surroundings
from fact_magics.tool import Status
from fact_magics.writing.verdict import answer_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fact_magics.sandbox.outcome import Outcome

# The first seed orders about half of all sets of two words differently from seed 0. All these seeds together
# do so with 97 % of the sets.
_HASH_SEED, *MORE_HASH_SEEDS = 25, 9, 7, 46
# Another year, month, day of the month and of the week, hour, minute and second.
_AHEAD_SECONDS = 400 * 86_400 + 5 * 3_600 + 47 * 60 + 13
# All that a proof changes at once; nothing changes an answer that depends on the input alone.
OTHER = Surroundings(
    hash_seed=_HASH_SEED,
    time_zone="XXX-12:45",
    locale="de_DE.UTF-8",
    ahead_seconds=_AHEAD_SECONDS,
    sorts_listings=True,
)
STOPPED = (Status.TIMEOUT, Status.LIMIT)

HASHING = "the order of sets of text"
CLOCK = "the clock"
LISTING = "the order of the files in a directory"
ADDRESSES = "the addresses of objects in memory"
DIRECTORY = "the name of the directory in which the tool runs"
CHANCE = "chance"
_TIME_ZONE = "the time zone"
_LOCALE = "the locale"
# What is the same in every run of a tool, with the words for it.
_FIXED = {
    HASHING: "the same",
    _TIME_ZONE: USUAL.time_zone,
    _LOCALE: USUAL.locale,
}
# Texts that differ from run to run, and so name the cause of a difference.
_TRACES = {
    ADDRESSES: re.compile(r"0x[0-9a-f]{6,}"),
    DIRECTORY: re.compile(r"fact_magics-\d+-\w+[/\w]*"),
}


def differ(first: Outcome, other: Outcome) -> bool:
    """Tell whether two runs gave different answers; a run that was stopped gave none."""
    return other.status not in STOPPED and answer_of(first) != answer_of(other)


async def cause(run: Callable[[Surroundings], Awaitable[Outcome]], first: Outcome, other: Outcome) -> str:
    """Find out why a call gave other answers in `USUAL` and in `OTHER` surroundings, with more runs.

    Returns
    -------
    str
        One of the constants above; empty if only several changes together make a difference, none of which
        can occur between two runs of a tool.
    """

    async def changes(**changed: Any) -> bool:
        return differ(first, await run(USUAL._replace(**changed)))

    shown = repr(answer_of(first)), repr(answer_of(other))
    for name, trace in _TRACES.items():
        if len({trace.sub("", answer) for answer in shown}) == 1:
            return name
    if await changes():
        return CHANCE
    if await changes(ahead_seconds=OTHER.ahead_seconds):
        return CLOCK
    if await changes(sorts_listings=True):
        return LISTING
    if await changes(hash_seed=OTHER.hash_seed):
        return HASHING
    if await changes(time_zone=OTHER.time_zone):
        return _TIME_ZONE
    return _LOCALE if await changes(locale=OTHER.locale) else ""


def vary(causes: Iterable[str]) -> bool:
    """Tell whether any of the causes can change an answer between two runs of a tool."""
    return any(cause not in _FIXED for cause in causes if cause)


def notes(causes: Iterable[str]) -> tuple[str, ...]:
    """Say what answers depend on."""
    told = []
    for found in dict.fromkeys(filter(None, causes)):
        if found in _FIXED:
            told.append(f"answers depend on {found}, which is {_FIXED[found]} in every run")
        elif found == CHANCE:
            told.append("answers differ from run to run, so they are not cached")
        else:
            told.append(f"answers depend on {found}, so they are not cached")
    return tuple(told)
