"""The search finds the tool that a request asks for, and abstains from all others."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fact_magics.shelf.search import UNPROVEN_THRESHOLD, ShelfIndex

if TYPE_CHECKING:
    from fact_magics.shelf.entry import Entry

pytestmark = pytest.mark.slow

REQUESTS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("requests.toml").read_text("utf-8"))
WANTED = [(tool, request) for tool, requests in REQUESTS.items() if tool != "shelf" for request in requests]


def answer(index: ShelfIndex, request: str) -> str | None:
    name, _, description = request.partition(" | ")
    best = index.search(name, description)[0]
    return best.entry.name if best.fits and best.score >= UNPROVEN_THRESHOLD else None


@pytest.mark.parametrize(("tool", "request_"), WANTED)
def test_finds_the_tool(index: ShelfIndex, tool: str, request_: str) -> None:
    """Each phrasing finds the tool that a person would expect."""
    assert answer(index, request_) == tool


@pytest.mark.parametrize("request_", REQUESTS["shelf"])
def test_abstains(index: ShelfIndex, request_: str) -> None:
    """A request for anything else finds nothing, however many words it shares with a tool."""
    assert answer(index, request_) is None


def test_requests_cover_every_tool(shelf: dict[str, Entry]) -> None:
    """Every tool on the shelf has requests of its own here."""
    assert set(REQUESTS) == {*shelf, "shelf"}


class TestWords:
    def test_case_and_accents_do_not_matter(self, index: ShelfIndex) -> None:
        """Shouting, or an accent, finds the same tool."""
        assert answer(index, "X | VALIDATE AN ÉMAIL ADDRESS") == "is_valid_email"

    def test_inflection_does_not_matter(self, index: ShelfIndex) -> None:
        """Words are compared by their stems."""
        assert answer(index, "x | Slugifying titles into slugs") == "slugify"

    def test_values_in_quotes_are_no_words_of_the_request(self, index: ShelfIndex) -> None:
        """What a request quotes as an example of input does not make it ask for something else."""
        assert answer(index, "x | Parse a date such as 'sort me' or \"plot\"") == "parse_date"

    @pytest.mark.parametrize(
        "description",
        [
            "",
            "   ",
            "?!",
            "the of and",
            "\0",
            "🙂",
            "日本語",
            '"',
            "slug* OR NEAR(",
            "a" * 100_000,
            "x " * 20_000,
            "ﷺ" * 50,
        ],
    )
    def test_odd_text_is_searched_without_error(self, index: ShelfIndex, description: str) -> None:
        """No text breaks the query; what says nothing finds nothing."""
        assert answer(index, f"f | {description}") is None

    def test_injected_query_syntax_is_plain_words(self, index: ShelfIndex) -> None:
        """FTS5's own operators are read as words."""
        assert answer(index, 'x | Convert text to a "slug" NOT AND -title') in ("slugify", None)


class TestDirection:
    @pytest.mark.parametrize(
        ("there", "back"),
        [
            ("Convert a string to a date", "Convert a date to a string"),
            ("Convert CSV text to a list of dicts", "Convert a list of dicts to CSV text"),
            ("Format bytes as a human readable size", "Convert a human readable size to bytes"),
            ("Flatten a nested dict into dotted keys", "Turn dotted keys into a nested dict"),
        ],
    )
    def test_the_same_words_the_other_way_round_find_nothing(
        self, index: ShelfIndex, there: str, back: str
    ) -> None:
        """What comes out is told from what goes in."""
        assert answer(index, f"f | {there}") is not None
        assert answer(index, f"f | {back}") is None


class TestScore:
    def test_is_a_share(self, index: ShelfIndex) -> None:
        """Every score lies between 0 and 1, so that a threshold means the same for all requests."""
        for requests in REQUESTS.values():
            for request in requests:
                name, _, description = request.partition(" | ")
                assert all(0 <= match.score <= 1 for match in index.search(name, description))

    def test_falls_with_each_word_that_the_tool_does_not_know(self, index: ShelfIndex) -> None:
        """A requirement that no tool meets makes the match worse."""
        scores = [
            index.search("slug", f"Convert a title to a slug {more}")[0].score
            for more in ("", "mentioning zebras", "mentioning zebras and hyperbolic quokkas")
        ]
        assert scores[0] > scores[1] > scores[2]

    def test_is_the_same_again(self, index: ShelfIndex, shelf: dict[str, Entry]) -> None:
        """Searching changes nothing, and another index gives the same."""
        first = index.search("slug", "Convert a title to a slug")
        again = index.search("slug", "Convert a title to a slug")
        other = ShelfIndex(list(shelf.values()))
        anew = other.search("slug", "Convert a title to a slug")
        other.close()
        assert first == again == anew

    def test_all_entries_are_ranked(self, index: ShelfIndex, shelf: dict[str, Entry]) -> None:
        """The nearest names can always be told, even where no word is shared."""
        matches = index.search("zzz", "qqq")
        assert {match.entry.name for match in matches} == set(shelf)
