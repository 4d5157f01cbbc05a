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


def requests_in(name: str) -> dict[str, list[str]]:
    return tomllib.loads(Path(__file__).with_name(name).read_text("utf-8"))


def wanted(requests: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(tool, request) for tool, group in requests.items() if tool != "shelf" for request in group]


REQUESTS = requests_in("requests.toml")  # the search was tuned on these
HELD_OUT = requests_in("held_out.toml")  # and not on these


def answer(index: ShelfIndex, request: str) -> str | None:
    name, _, description = request.partition(" | ")
    best = index.search(name, description)[0]
    return best.entry.name if best.fits and best.score >= UNPROVEN_THRESHOLD else None


def test_finds_the_tool(index: ShelfIndex) -> None:
    """Each phrasing finds the tool that a person would expect."""
    assert [(tool, request) for tool, request in wanted(REQUESTS) if answer(index, request) != tool] == []


def test_abstains(index: ShelfIndex) -> None:
    """A request for anything else finds nothing, however many words it shares with a tool."""
    assert [request for request in REQUESTS["shelf"] if answer(index, request) is not None] == []


class TestHeldOut:
    """Requests that played no part in the tuning."""

    def test_near_paraphrases_are_found(self, index: ShelfIndex) -> None:
        """At least 95 % of the near paraphrases find their tool."""
        paraphrases = wanted(HELD_OUT)
        missed = [(tool, request) for tool, request in paraphrases if answer(index, request) != tool]
        assert len(missed) <= 0.05 * len(paraphrases), missed

    def test_few_requests_are_accepted_falsely(self, index: ShelfIndex) -> None:
        """At most 2 % of the requests for something else find a tool."""
        wrong = [request for request in HELD_OUT["shelf"] if answer(index, request) is not None]
        assert len(HELD_OUT["shelf"]) >= 80
        assert len(wrong) <= 0.02 * len(HELD_OUT["shelf"]), wrong

    def test_both_sets_are_kept_apart(self) -> None:
        """No request is in both sets, and each tool has at least three held-out paraphrases."""
        tuned = {request for group in REQUESTS.values() for request in group}
        assert not tuned & {request for group in HELD_OUT.values() for request in group}
        assert all(len(group) >= 3 for group in HELD_OUT.values())


def test_requests_cover_every_tool(shelf: dict[str, Entry]) -> None:
    """Every tool on the shelf has requests of its own in both sets."""
    assert set(REQUESTS) == set(HELD_OUT) == {*shelf, "shelf"}


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
            ("Convert hex colors to RGB", "Convert RGB to hex colors"),
            ("Write a number as a Roman numeral", "Read a Roman numeral as a number"),
            ("Convert degrees, minutes and seconds to decimal degrees", "Convert decimal degrees to DMS"),
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

    @pytest.mark.parametrize(
        ("request_", "tool"),
        [
            ("Convert CSV text to a list of dicts", "csv_to_records"),
            ("Convert a list of dicts to CSV text", "records_to_csv"),
            ("Convert a duration such as 2h to seconds", "parse_duration"),
            ("Format seconds as a duration such as 2h", "format_duration"),
        ],
    )
    def test_two_tools_for_the_two_ways(self, index: ShelfIndex, request_: str, tool: str) -> None:
        """If there is a tool for each direction, each request finds its own."""
        assert answer(index, f"f | {request_}") == tool


class TestScore:
    def test_is_a_share(self, index: ShelfIndex) -> None:
        """Every score lies between 0 and 1, so that a threshold means the same for all requests."""
        for requests in REQUESTS.values():
            for request in requests[:2]:
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
