"""The shelf answers as a provider: one honest block of code, the next candidate, or a clear abstention."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from fact_magics.attempt import Usage
from fact_magics.errors import GenerationFailed
from fact_magics.providers.base import Finished, Message, Prompt, ProviderEvent, TextDelta
from fact_magics.providers.shelf import ShelfProvider
from fact_magics.tool import ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.parser import extract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fact_magics.providers.base import Provider

pytestmark = pytest.mark.slow


@pytest.fixture
async def provider() -> AsyncIterator[ShelfProvider]:
    provider = ShelfProvider()
    yield provider
    await provider.aclose()


def spec_of(name: str, body: str, permissions: tuple[str, ...] = ()) -> ToolSpec:
    read = read_body(body, name)
    return ToolSpec(name, read.description, read.examples, permissions=permissions)


# Longer than one line of an error.
FAILURE = 'f("03/04/2025") should give datetime.date(2025, 4, 3) and nothing else, but gave datetime.date(2025, 3, 4)'


async def ask(provider: Provider, spec: ToolSpec, *, rejected: int = 0) -> list[ProviderEvent]:
    messages = [Message("user", "Write it.")]
    for _ in range(rejected):
        messages += [
            Message("assistant", "…"),
            Message("user", f"Not accepted:\n\n- {FAILURE}\n\nAgain."),
        ]
    return [event async for event in provider.stream(Prompt("rules", tuple(messages), spec))]


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


SLUG = 'Turn a title into a URL slug: lower case, ASCII, words joined by "-".'


class TestAnswer:
    async def test_is_one_named_block_and_no_model(self, provider: ShelfProvider) -> None:
        """It says that it is from the shelf, gives one fenced block, and claims no tokens."""
        events = await ask(provider, spec_of("make_slug", SLUG))
        text = text_of(events)
        assert text.startswith("From the shelf: slugify, a verified tool shipped with fact_magics.\n")
        assert text.count("```") == 2
        assert events[-1] == Finished("end", Usage(None, None, None, None), "shelf/slugify")
        assert (provider.name, provider.model) == ("shelf", "shelf")
        assert provider.notice == "from the shelf, no model was called"

    async def test_is_read_by_the_parser_under_the_requested_name(self, provider: ShelfProvider) -> None:
        """What the cell reads from the answer is the tool, renamed, with no line for the search."""
        found = extract(text_of(await ask(provider, spec_of("make_slug", SLUG))), "make_slug")
        assert found.problem is None
        assert "def make_slug(" in found.sources[0].text
        assert "slugify" not in found.sources[0].text
        assert "# needs" not in found.sources[0].text

    async def test_is_the_same_again(self, provider: ShelfProvider) -> None:
        """One request has one answer, also after the provider was closed and asked anew."""
        first = await ask(provider, spec_of("make_slug", SLUG))
        await provider.aclose()
        assert await ask(provider, spec_of("make_slug", SLUG)) == first

    async def test_name_that_the_tool_needs_is_refused(self, provider: ShelfProvider) -> None:
        """A name that would break the tool is refused in one line that says why."""
        with pytest.raises(GenerationFailed, match=r"can't be renamed to re: slugify uses the name re"):
            await ask(provider, spec_of("re", "Convert a title to a slug"))


class TestAbstention:
    async def test_leads_with_three_names_and_says_how_to_connect_a_model(
        self, provider: ShelfProvider
    ) -> None:
        """Nothing fits: the three nearest come first, then what to do."""
        with pytest.raises(GenerationFailed) as caught:
            await ask(provider, spec_of("email_domain", "Extract the domain from an email address."))
        line = caught.value.line
        names = line.partition(" are the nearest")[0].replace(" and ", ", ").split(", ")
        assert len(names) == 3
        assert set(names) >= {"extract_emails", "is_valid_email"}
        assert "ANTHROPIC_API_KEY" in line
        assert "--model provider/model" in line
        assert [detail.partition(":")[0] for detail in caught.value.details] == names

    async def test_far_request_is_refused_too(self, provider: ShelfProvider) -> None:
        """A request that shares no word with any tool gets the same clear line."""
        with pytest.raises(GenerationFailed, match=r"nearest tools on the shelf, but maybe none of them"):
            await ask(provider, spec_of("qqq", "Zzz."))

    async def test_permissions_are_for_other_tools(self, provider: ShelfProvider) -> None:
        """A request that was granted the network means something that no tool here does."""
        with pytest.raises(GenerationFailed):
            await ask(provider, spec_of("slug", "Convert a title to a slug", ("net:example.org",)))


class TestExamples:
    async def test_loosely_worded_request_is_answered_when_examples_fit(
        self, provider: ShelfProvider
    ) -> None:
        """The examples will be run, so words may be missing: the call's shape is evidence."""
        body = "Convert miles to km and the like\n\n>>> to(26.2, 'miles', 'km')\n42.1648128"
        assert "shelf: convert_units" in text_of(await ask(provider, spec_of("to", body)))

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("to_km", "Convert a value between units\n\n>>> to_km(26.2)\n42.1648128"),
            ("slug", SLUG + "\n\n>>> slug('A b', '_')\n'a_b'"),
            ("slug", SLUG + "\n\n>>> slug('A b', separator='_')\n'a_b'"),
            ("slug", SLUG + "\n\n>>> slug(['A b'])\n'a-b'"),
            ("slug", SLUG + "\n\n>>> slug('A b')\n['a', 'b']"),
            ("valid", "Validate an email address.\n\n>>> valid('a@b.org')\n'a@b.org'"),
            ("to_date", "Convert a string to a date\n\n>>> to_date('4 March 2026')\n'2026-03-04'"),
        ],
        ids=[
            "arity",
            "keyword-only",
            "other keyword",
            "argument kind",
            "result kind",
            "bool or text",
            "date or text",
        ],
    )
    async def test_calls_of_another_shape_rule_a_tool_out(
        self, provider: ShelfProvider, name: str, body: str
    ) -> None:
        """However well the words fit, a tool that can't be called so, or can't return that, is no answer."""
        with pytest.raises(GenerationFailed):
            await ask(provider, spec_of(name, body))

    async def test_keywords_dates_and_exceptions_fit(self, provider: ShelfProvider) -> None:
        """Keyword arguments, dates and expected exceptions are understood in examples."""
        body = (
            "Count the business days between two dates, without holidays\n\n"
            ">>> bd(date(2026, 3, 2), date(2026, 3, 8), holidays=[date(2026, 3, 4)])\n4\n\n"
            ">>> bd(date(2026, 3, 8), date(2026, 3, 2))\nTraceback (most recent call last):\nValueError"
        )
        spec = spec_of("bd", body)
        assert spec.examples[0].args == (date(2026, 3, 2), date(2026, 3, 8))
        assert "shelf: count_business_days" in text_of(await ask(provider, spec))


class TestRepair:
    async def test_next_candidate_comes_where_there_is_one(self, provider: ShelfProvider) -> None:
        """A rejected candidate is not offered again: another one that may do comes, then none."""
        spec = spec_of("valid", "Validate an email address or an IBAN.\n\n>>> valid('a@b.org')\nTrue")
        models = []
        for rejected in (0, 1):
            finished = (await ask(provider, spec, rejected=rejected))[-1]
            assert isinstance(finished, Finished)
            models.append(finished.model)
        assert set(models) == {"shelf/is_valid_email", "shelf/is_valid_iban"}
        with pytest.raises(
            GenerationFailed, match=f"^{models[0][6:]} and {models[1][6:]} from the shelf did not"
        ):
            await ask(provider, spec, rejected=2)

    async def test_exhausted_shelf_says_what_failed(self, provider: ShelfProvider) -> None:
        """When no candidate is left, the error names the tool that was tried and its failures."""
        with pytest.raises(GenerationFailed) as caught:
            await ask(provider, spec_of("slug", SLUG), rejected=1)
        assert caught.value.line.startswith("slugify from the shelf did not fit the request for slug")
        assert caught.value.details == (FAILURE,)
        assert "ANTHROPIC_API_KEY" in caught.value.line
