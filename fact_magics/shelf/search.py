"""Find the tool on the shelf that a request asks for, if there is one.

Words are compared by their stems, which SQLite's FTS5 finds with Porter's stemmer. The score of an entry is
the share of the request's words that it covers, weighted by their rarity on the shelf; words without meaning
don't count. An entry has these notes, in lower case:

``needs``
    A request must contain at least one term of each such line; ``a+b`` requires both words.
``gives``
    Names of the result. A request that names a result must name one of these.
``unlike``
    Phrases which show that a request means another tool.
``words``, ``aliases``
    Other words that a request for this tool may contain, and other names for the tool.

An entry is not offered for a request that names other work ("sort", "send"), even if the two share many
words.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

from fact_magics.shelf.request import Reader, Request, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fact_magics.shelf.entry import Entry

# Without examples, nothing proves the tool, so the entry must cover most of the request.
UNPROVEN_THRESHOLD = 0.67
# With examples, the tool must pass them before it is accepted, so less is enough.
PROVEN_THRESHOLD = 0.5

_NAME_BONUS = 0.15


@dataclass(frozen=True, slots=True)
class Match:
    """How well an entry fits a request.

    Attributes
    ----------
    score : float
        The share of the request that the entry covers, from 0 to 1.
    fits : bool
        Whether the request has all the terms that the entry needs, and no phrase that means another tool.
    related : bool
        Whether the request has the same subject and names no other work. This is enough if the request has
        examples.
    """

    entry: Entry
    score: float
    fits: bool = False
    related: bool = False


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    entry: Entry
    words: frozenset[str]
    needs: tuple[tuple[frozenset[str], ...], ...]
    gives: tuple[frozenset[str], ...]
    unlike: tuple[tuple[str, ...], ...]
    aliases: frozenset[str]
    is_test: bool


class ShelfIndex:
    """The tools of the shelf, indexed in memory."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        # A thread other than the one that made the index may close it.
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            "CREATE VIRTUAL TABLE scratch USING fts5(words, tokenize='porter unicode61');"
            "CREATE VIRTUAL TABLE stems USING fts5vocab(scratch, 'instance');"
        )
        words = [_words(entry) for entry in entries]
        phrases = [term for entry in entries for line in entry.noted("unlike") for term in line]
        own = sorted({*words_of(" ".join(phrases)), *(word for entry_words in words for word in entry_words)})
        # The words of the shelf are plain, so each is one token of one row, which is faster than a row each.
        self._stemmed: dict[str, str] = {
            own[at]: stem for at, stem in self._tokens([" ".join(own)], "offset")
        }
        self._known = [self._learn(entry, own) for entry, own in zip(entries, words, strict=True)]
        self._documents = Counter(stem for vocabulary in self._known for stem in vocabulary.words)
        self._reader = Reader(self._stems)

    def close(self) -> None:
        """Release the index."""
        self._database.close()

    def search(self, name: str, description: str) -> list[Match]:
        """Score the entries for a request, best first. Entries that share no word with it come last."""
        request = self._reader.read(name, description)
        matches = [self._measure(vocabulary, request, name) for vocabulary in self._known]
        return sorted(matches, key=lambda match: _rank(match, name))

    def _measure(self, vocabulary: _Vocabulary, request: Request, name: str) -> Match:
        total = covered = 0.0
        for stem, share in request.weights.items():
            weight = share * self._rarity(stem)
            total += weight
            covered += weight if stem in vocabulary.words else 0.0
        score = covered / total if total else 0.0
        if name.lower() in vocabulary.aliases:
            score = min(1.0, score + _NAME_BONUS)
        present = frozenset(request.stems)
        met = [any(term <= present for term in line) for line in vocabulary.needs]
        related = any(met) and request.deeds <= vocabulary.words
        related = related and (vocabulary.is_test or not request.truth)
        unlike = any(_holds(request.stems, phrase) for phrase in vocabulary.unlike)
        fits = related and all(met) and not unlike and _outcome_fits(vocabulary, request)
        return Match(vocabulary.entry, score, fits, related)

    def _rarity(self, stem: str) -> float:
        """Return 1 for a word that all entries have, and a larger number for a rarer word."""
        return 1 + math.log(len(self._known) / (self._documents[stem] or 1))

    def _learn(self, entry: Entry, words: list[str]) -> _Vocabulary:
        return _Vocabulary(
            entry,
            frozenset(self._stems(words)),
            tuple(self._terms(line) for line in entry.noted("needs")),
            self._terms(term for line in entry.noted("gives") for term in line),
            tuple(tuple(self._stems(term.split())) for line in entry.noted("unlike") for term in line),
            frozenset({entry.name, *(alias for line in entry.noted("aliases") for alias in line)}),
            entry.returns == "bool",
        )

    def _terms(self, terms: Iterable[str]) -> tuple[frozenset[str], ...]:
        return tuple(frozenset(self._stems(term.split("+"))) for term in terms)

    def _stems(self, words: Sequence[str]) -> list[str]:
        try:
            return [self._stemmed[word] for word in words]
        except KeyError:
            unknown = sorted({word for word in words if word not in self._stemmed})
        found = {unknown[at]: stem for at, stem in self._tokens(unknown, "doc")}
        return [self._stemmed.get(word) or found.get(word, word) for word in words]

    def _tokens(self, rows: Sequence[str], position: Literal["doc", "offset"]) -> list[tuple[int, str]]:
        """Return the stems of the words in `rows`, each with its row, or its place in the row."""
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO scratch(rowid, words) VALUES (?, ?)", enumerate(rows))
        found = self._database.execute(f"SELECT {position}, term FROM stems").fetchall()  # noqa: S608
        self._database.execute("ROLLBACK")
        return found


def _outcome_fits(vocabulary: _Vocabulary, request: Request) -> bool:
    if vocabulary.is_test and request.via == "from":
        return False
    if not vocabulary.gives or not request.target:
        return True
    if request.via != "to" and not request.target <= vocabulary.words:
        return False
    if request.via == "of":
        return True
    return any(term <= request.target for term in vocabulary.gives)


def _holds(stems: Sequence[str], phrase: Sequence[str]) -> bool:
    return any(tuple(stems[at : at + len(phrase)]) == tuple(phrase) for at in range(len(stems)))


def _words(entry: Entry) -> list[str]:
    keys = ("aliases", "needs", "gives", "words")
    noted = [term for key in keys for line in entry.noted(key) for term in line]
    return words_of(" ".join([entry.name, entry.summary, *entry.tags, *noted]))


def _rank(match: Match, name: str) -> tuple[float | str, ...]:
    likeness = SequenceMatcher(None, name.lower(), match.entry.name).ratio()
    near = match.related and match.score >= PROVEN_THRESHOLD
    return -match.fits, -near, -match.score, -likeness, match.entry.name
