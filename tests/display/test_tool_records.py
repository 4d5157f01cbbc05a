"""The records of tools and of generations."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fact_magics.attempt import Attempt, Verdict
from fact_magics.display.record import generation_record, tool_record
from fact_magics.events import GenerationEnded
from fact_magics.tool import Example, Raised, Returned, Status, ToolMetadata, ToolVersion

SOURCE = 'def half(n: int) -> float:\n    """Halve a number."""\n\n    return n / 2\n'
GOOD = Verdict(True, "1.0", "1.0", Example("half(2)", (2,), {}, Returned(1.0, "1.0"), 1))
BAD = Verdict(False, "ValueError", "0.0", Example("half(0)", (0,), {}, Raised("ValueError"), 4))


def version(**known) -> ToolVersion:
    told = {
        "id": "1", "name": "half", "version": "1.2.0", "description": "Halve a number.\n\nExactly.",
        "contract": ">>> half(2)\n1.0", "permissions": (), "tags": (), "provider": "anthropic",
        "model": "claude-sonnet-5-5", "proven": True, "varies": False, "request_hash": "",
        "created_at": "2026-11-22T09:00:00.000Z", **known,
    }  # fmt: skip
    return ToolVersion(ToolMetadata(**told), SOURCE)


def attempt(number: int, status: Status, verdicts: list[Verdict], *failures: str) -> Attempt:
    return Attempt(
        number,
        "anthropic",
        "claude-sonnet-5-5",
        "2026-11-22T09:00:00.000Z",
        status,
        source=SOURCE,
        verdicts=verdicts,
        failures=failures,
    )


class TestToolRecord:
    def test_it_shows_signature_documentation_version_proof_permissions_and_uses(self, parse):
        record = tool_record(
            version(permissions=("net:api.github.com:443",), tags=("math", "half"), varies=True),
            "half(n: int) -> float",
            uses="3 runs, the last 5 min ago",
        )
        for text in (parse(record.html).text, record.plain):
            for part in (
                "half(n: int) -> float",
                "Halve a number.",
                "half 1.2.0",
                "proven on 1 example",
                "net:api.github.com:443",
                "math, half",
                "vary, so they are not cached",
                "3 runs, the last 5 min ago",
                "claude-sonnet-5-5",
                "2026-11-22",
            ):
                assert part in text

    def test_its_source_and_its_examples_are_folded_and_whole(self, parse):
        folded = parse(tool_record(version(), "half(n: int) -> float").html).all("details")
        assert [details.all("summary")[0].text for details in folded] == ["Examples", "Source, 4 lines"]
        assert not any("open" in details.attributes for details in folded)
        assert [details.all("pre")[0].text for details in folded] == [">>> half(2)\n1.0", SOURCE]
        assert tool_record(version(), "").plain.endswith(SOURCE.rstrip())

    def test_that_nothing_is_allowed_is_said_too(self, parse):
        record = tool_record(version(), "half(n: int) -> float")
        assert ["Allowed", "nothing: no network, no files, no environment variables"] in parse(
            record.html
        ).all("table")[0].rows
        assert "Uses" not in record.plain

    def test_its_paragraphs_stay_apart_where_styles_are_stripped(self, parse):
        paragraphs = [element.text for element in parse(tool_record(version(), "").html).all("p")]
        assert paragraphs[1:] == ["Halve a number.", "Exactly."]


class TestGenerationRecord:
    def test_each_example_has_its_verdict_in_a_table(self, parse):
        ended = GenerationEnded(
            "half", Status.OK, version(), (attempt(1, Status.OK, [GOOD]),), False, "", 5_000
        )
        [table] = parse(generation_record(ended).html).all("table")
        assert table.rows == [["Verdict", "Example", "Expected", "Got"], ["✓ holds", "half(2)", "1.0", "1.0"]]
        assert "✓ half(2) → 1.0" in generation_record(ended).plain

    def test_a_permission_that_a_verdict_names_can_be_copied(self):
        """What was expected comes before what the call gave, because that may end in a hint."""
        denied = Verdict(False, "3", "OSError. To allow it: --allow read:/data", GOOD.example)
        failed = attempt(1, Status.ERROR, [denied])
        ended = GenerationEnded("half", Status.ERROR, None, (failed,), False, "", 5_000)
        lines = generation_record(ended).plain.splitlines()
        assert "✗ half(2) → expected 3, got OSError. To allow it: --allow read:/data" in lines

    def test_a_rejected_one_says_why_and_shows_what_was_written(self, parse):
        failed = attempt(1, Status.ERROR, [GOOD, BAD], "half(0) gave 0.0,\nbut it must raise ValueError")
        ended = GenerationEnded("half", Status.ERROR, None, (failed,), False, "", 5_000)
        record = generation_record(ended)
        page = parse(record.html)
        assert ["✗ fails", "half(0)", "ValueError", "0.0"] in page.all("table")[0].rows
        assert [line.text for line in page.all("li")] == [
            "Attempt 1: half(0) gave 0.0,\nbut it must raise ValueError"
        ]
        assert page.all("details")[0].all("pre")[0].text == SOURCE
        for part in (
            "not accepted",
            "✗ half(0) → expected ValueError, got 0.0",
            "Attempt 1: half(0) gave 0.0",
            "return n / 2",
        ):
            assert part in record.plain

    def test_what_was_written_is_shown_even_if_a_later_request_got_no_answer(self):
        failed, unanswered = (
            attempt(1, Status.ERROR, [BAD], "why 1"),
            replace(attempt(2, Status.ERROR, []), source=""),
        )
        ended = GenerationEnded("half", Status.ERROR, None, (failed, unanswered), False, "", 5_000)
        plain = generation_record(ended).plain
        assert "✗ half(0) → expected ValueError" in plain
        assert plain.endswith("return n / 2")

    def test_an_accepted_one_that_was_not_stored_says_so(self):
        ended = GenerationEnded(
            "half", Status.ERROR, None, (attempt(1, Status.OK, [GOOD]),), False, "", 5_000
        )
        assert generation_record(ended).plain.startswith("half · accepted, but not stored")

    @pytest.mark.parametrize("streamed", [True, False])
    def test_the_source_that_stands_above_already_is_not_repeated_in_plain_text(self, streamed):
        ended = GenerationEnded(
            "half", Status.OK, version(), (attempt(1, Status.OK, [GOOD]),), False, "", 5_000
        )
        assert ("return n / 2" in generation_record(ended, streamed=streamed).plain) is not streamed

    def test_markup_holds_no_blank_line(self):
        ended = GenerationEnded(
            "half", Status.OK, version(), (attempt(1, Status.OK, [GOOD]),), False, "", 5_000
        )
        assert not re.search(r"\n[ \t]*\n", generation_record(ended).html)

    @pytest.mark.parametrize(("lines", "is_open"), [(25, True), (26, False)])
    def test_a_long_source_is_folded(self, parse, lines, is_open):
        long = ToolVersion(version().metadata, "x = 1\n" * lines)
        ended = GenerationEnded("half", Status.OK, long, (attempt(1, Status.OK, [GOOD]),), False, "", 5_000)
        [source] = parse(generation_record(ended).html).all("details")
        assert source.all("summary")[0].text == f"Source, {lines} lines"
        assert ("open" in source.attributes) is is_open

    def test_an_accepted_one_folds_its_failed_attempts(self, parse):
        attempts = (attempt(1, Status.ERROR, [BAD], "why 1"), attempt(2, Status.OK, [GOOD]))
        ended = GenerationEnded("half", Status.OK, version(), attempts, False, "", 5_000)
        failed, source = parse(generation_record(ended).html).all("details")
        assert failed.all("summary")[0].text == "What was wrong before: 1 attempt was not accepted"
        assert "open" not in failed.attributes
        assert [line.text for line in failed.all("li")] == ["Attempt 1: why 1"]
        assert "open" in source.attributes

    def test_candidates_are_listed_once_for_each_source_with_what_became_of_them(self, parse):
        attempts = tuple(attempt(number, Status.OK, [GOOD]) for number in (1, 2, 3, 4))
        for one, group in zip(attempts, (2, 1, 1, 2), strict=True):
            one.group = group
            if group == 2:
                one.source, one.parting_call = "def half(n): return n // 2", "half(1)"
        ended = GenerationEnded("half", Status.OK, version(), attempts, False, "", 5_000)
        record = generation_record(ended)
        table = parse(record.html).all("details")[0].all("table")[0]
        assert [row[:3] for row in table.rows[1:]] == [
            ["2, 3", "have the version's source", ""],
            ["1, 4", "give other answers", "half(1)"],
        ]
        assert "candidates 1, 4 give other answers, as to half(1)" in record.plain
        assert [folded.all("summary")[0].text for folded in parse(record.html).all("details")] == [
            "4 accepted candidates",
            "Candidates 1, 4, 1 line",
            "Source, 4 lines",
        ]

    def test_no_candidate_became_a_version_if_the_generation_was_stopped(self):
        """Each of them would otherwise seem to be in use."""
        statuses = (Status.OK, Status.INTERRUPTED)
        attempts = tuple(attempt(number, status, [GOOD]) for number, status in enumerate(statuses, start=1))
        ended = GenerationEnded("half", Status.INTERRUPTED, None, attempts, False, "", 5_000)
        plain = generation_record(ended).plain
        assert "candidate 1 was accepted, but not stored" in plain
        assert "became" not in plain
        assert "candidate 2" not in plain

    def test_a_request_that_was_stopped_before_its_first_text_has_an_unknown_price(self):
        first, second = attempt(1, Status.ERROR, [BAD], "why"), attempt(2, Status.INTERRUPTED, [])
        first.cost_usd = 0.003
        ended = GenerationEnded("half", Status.INTERRUPTED, None, (first, second), False, "", 5_000)
        assert "$0.003 and the unknown price of 1 attempt" in generation_record(ended).plain

    def test_candidates_that_fail_alike_are_told_in_one_line(self, parse):
        attempts = tuple(attempt(number, Status.ERROR, [BAD], "why") for number in (1, 2))
        for one in attempts:
            one.text = f"text {one.number}"
        ended = GenerationEnded("half", Status.INTERRUPTED, None, attempts, False, "", 5_000)
        page = parse(generation_record(ended).html)
        assert [line.text for line in page.all("li")] == ["Attempts 1, 2: why"]
        assert page.all("details")[0].all("summary")[0].text == "Candidate 1, 4 lines"

    def test_a_rejected_one_does_not_fold_why(self, parse):
        attempts = (attempt(1, Status.ERROR, [BAD], "why 1"), attempt(2, Status.ERROR, [BAD], "why 2"))
        ended = GenerationEnded("half", Status.ERROR, None, attempts, False, "", 5_000)
        page = parse(generation_record(ended).html)
        assert [folded.all("summary")[0].text for folded in page.all("details")] == ["Source, 4 lines"]
        assert [line.text for line in page.all("li")] == ["Attempt 1: why 1", "Attempt 2: why 2"]

    def test_a_reused_one_shows_its_examples_as_the_first_time(self, parse):
        raises = Example("half(0)", (0,), {}, Raised("ValueError", "no"), 4)
        held = [GOOD, Verdict(True, "ValueError: no", "ValueError: no", raises)]
        first = GenerationEnded(
            "half", Status.OK, version(), (attempt(1, Status.OK, held),), False, "", 5_000
        )
        again = GenerationEnded("half", Status.OK, version(), (), True, "", 5.0, (GOOD.example, raises))
        shown, reused = (parse(generation_record(each).html).all("table")[0].rows for each in (first, again))
        assert reused == shown
        assert "✓ half(0) → ValueError: no" in generation_record(again).plain
