"""The nouns are Pydantic models: what they hold, how they travel as JSON, and what a bad value says."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from math import inf, nan

import pytest
from pydantic import BaseModel, ValidationError

import fact_magics
import fact_magics.core
from fact_magics.errors import FactError
from fact_magics.tool import Example, Returned, ToolInput, ToolMetadata, ToolOutput, ToolSpec

NOUNS = (ToolMetadata, ToolSpec, ToolInput, ToolOutput)
EXAMPLE = Example("slug(b'\\xff')", (b"\xff",), {}, Returned({1, 2}, "{1, 2}"), 1)
MADE = {
    "metadata": ToolMetadata(name="slug", description="Make a slug.", tags=("text",), complexity_score=0.25),
    "spec": ToolSpec("slug", "Make a slug of \ud83d.", (EXAMPLE,), permissions=["env:A"], timeout_seconds=5),
    "input": ToolInput("slug", {"text": "A", "when": {datetime(2026, 1, 2, tzinfo=UTC)}}),
    "output": ToolOutput(True, {"bytes": b"\xff", "lone": "\udc80"}, 1.5, {"status": "ok", "layers": ("a",)}),
    "a cached output": ToolOutput.known(True, [b"\xff"], 0.1, {"status": "ok", "isolation": ()}),
}


@pytest.fixture(params=MADE)
def made(request):
    return MADE[request.param]


class TestModels:
    @pytest.mark.parametrize("noun", NOUNS)
    def test_every_public_door_gives_the_same_pydantic_model(self, noun):
        name = noun.__name__
        assert issubclass(noun, BaseModel)
        assert getattr(fact_magics, name) is getattr(fact_magics.core, name) is noun
        assert name in fact_magics.__all__

    @pytest.mark.parametrize("noun", NOUNS)
    def test_each_describes_itself_as_json_schema(self, noun):
        for mode in ("validation", "serialization"):
            schema = noun.model_json_schema(mode=mode)
            assert set(schema["properties"]) == set(noun.model_fields)
            json.dumps(schema)

    def test_each_is_written_as_json_whatever_it_holds(self, made):
        assert set(json.loads(made.model_dump_json())) == set(type(made).model_fields)

    def test_each_survives_copying_and_pickling(self, made):
        for other in (
            copy.copy(made),
            copy.deepcopy(made),
            pickle.loads(pickle.dumps(made)),  # noqa: S301
            made.model_copy(),
        ):
            assert other == made
            assert repr(other) == repr(made)

    def test_json_holds_what_people_read(self):
        assert json.loads(MADE["spec"].model_dump_json())["examples"] == [">>> slug(b'\\xff')\n{1, 2}"]
        assert json.loads(MADE["output"].model_dump_json())["result"]["bytes"] == "/w=="
        assert json.loads(ToolOutput(True, nan).model_dump_json())["result"] == "NaN"

    def test_metadata_and_input_come_back_from_their_json(self):
        for made in (MADE["metadata"], ToolInput("slug@1", {"n": [1, None]}, 2.5, fresh=True)):
            assert type(made).model_validate_json(made.model_dump_json()) == made


class TestPositions:
    def test_fields_can_be_given_in_order(self):
        assert ToolInput("slug", {"n": 1}, 5) == ToolInput(
            operation="slug", parameters={"n": 1}, timeout_seconds=5.0
        )
        assert ToolSpec("slug", "Make it.").description == "Make it."
        output = ToolOutput(False, None, 2.0, {"error": "no"})
        assert (output.success, output.result, output.execution_time_ms) == (False, None, 2.0)

    def test_defaults_are_those_of_a_cell(self):
        asked = ToolInput("slug")
        assert (asked.parameters, asked.timeout_seconds, asked.memory_mb) == ({}, 30.0, 1024)
        assert ToolSpec("slug", "Make it.").attempts == 3

    def test_too_many_values_and_repeated_ones_are_refused(self):
        with pytest.raises(TypeError, match="at most 4 values, but 5 were given"):
            ToolOutput(True, 1, 1.0, {}, "more")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="two values for operation"):
            ToolInput("slug", operation="slug")  # type: ignore[misc]

    def test_an_input_keeps_its_own_copy_of_the_parameters(self):
        given = {"n": 1}
        asked = ToolInput("slug", given)
        given["n"] = 2
        assert asked.parameters == {"n": 1}


class TestMetadata:
    def test_tags_are_stripped_made_lower_case_and_dropped_if_empty(self):
        assert ToolMetadata(name="slug", tags=[" Text ", "", "  ", "URL"]).tags == ("text", "url")
        assert ToolSpec("slug", "Make it.", tags=(" Text ",)).tags == ("text",)

    def test_the_time_is_aware_and_in_utc(self):
        assert ToolMetadata(name="slug").created_at.tzinfo is UTC
        east = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        made = ToolMetadata(name="slug", created_at=east)
        assert made.created_at == east
        assert made.created_at.tzinfo is UTC
        assert json.loads(made.model_dump_json())["created_at"] == "2026-01-01T00:00:00.000Z"

    def test_names_of_1_to_100_characters_and_scores_of_0_to_1_are_accepted(self):
        for name in ("s", "s" * 100):
            assert ToolMetadata(name=name).name == name
        for score in (0, 1):
            assert ToolMetadata(name="s", complexity_score=score).complexity_score == score

    def test_it_can_t_be_changed(self):
        with pytest.raises(ValidationError):
            MADE["metadata"].name = "other"


BAD = {
    "no time": (
        lambda: ToolInput("slug", {}, 0),
        "ToolInput.timeout_seconds must be above 0; got 0.",
    ),
    "not a number": (
        lambda: ToolInput("slug", {}, nan),
        "ToolInput.timeout_seconds must be a finite number; got nan.",
    ),
    "for ever": (
        lambda: ToolSpec("slug", "Make it.", timeout_seconds=inf),
        "ToolSpec.timeout_seconds must be a finite number; got inf.",
    ),
    "negative memory": (
        lambda: ToolInput("slug", {}, memory_mb=-1),
        "ToolInput.memory_mb must be above 0; got -1.",
    ),
    "a name that nobody can write": (
        lambda: ToolInput("slug\udc80"),
        "ToolInput.operation must be text without lone surrogates; got 'slug\\udc80'.",
    ),
    "no attempts": (
        lambda: ToolSpec("slug", "Make it.", attempts=0),
        "ToolSpec.attempts must be at least 1; got 0.",
    ),
    "a short version": (
        lambda: ToolMetadata(name="slug", version="1"),
        "ToolMetadata.version must be three numbers, such as 1.0.0; got '1'.",
    ),
    "a version with more": (
        lambda: ToolMetadata(name="slug", version="1.0.0\n"),
        "ToolMetadata.version must be three numbers, such as 1.0.0; got '1.0.0\\n'.",
    ),
    "an empty name": (lambda: ToolMetadata(name=""), "ToolMetadata.name must not be empty; got ''."),
    "a long name": (
        lambda: ToolMetadata(name="s" * 101),
        "ToolMetadata.name must have at most 100 characters; got 101.",
    ),
    "a score above 1": (
        lambda: ToolMetadata(name="slug", complexity_score=1.5),
        "ToolMetadata.complexity_score must be at most 1; got 1.5.",
    ),
    "a naive time": (
        lambda: ToolMetadata(name="slug", created_at=datetime(2026, 1, 1)),  # noqa: DTZ001 - what is refused
        "ToolMetadata.created_at must have a time zone; got datetime.datetime(2026, 1, 1, 0, 0).",
    ),
    "a missing field": (ToolInput, "ToolInput needs operation."),
    "a misspelt field": (
        lambda: ToolSpec("slug", "Make it.", atempts=2),
        "ToolSpec has no field 'atempts'. Did you mean 'attempts'?",
    ),
    "an unknown field": (
        lambda: ToolOutput(True, zzz=1),  # type: ignore[call-arg]
        "ToolOutput has no field 'zzz'. Its fields are success, result, execution_time_ms, metadata.",
    ),
    "parameters that are text": (
        lambda: ToolInput("slug", "sk-ant-secret"),  # type: ignore[arg-type]
        "ToolInput.parameters must be a dict; got a value of type str.",
    ),
    "a key that is no name": (
        lambda: ToolInput("slug", {1: 2}),  # type: ignore[dict-item]
        "A key of ToolInput.parameters must be text; got a value of type int.",
    ),
    "tags in one text": (
        lambda: ToolSpec("slug", "Make it.", tags="a,b"),
        "ToolSpec.tags must be a list or a tuple; got a value of type str.",
    ),
    "a tag that is no text": (
        lambda: ToolSpec("slug", "Make it.", tags=["a", 1]),
        "ToolSpec.tags[1] must be text; got a value of type int.",
    ),
}


class TestShown:
    def test_a_failed_output_tells_its_error_when_it_is_printed(self):
        output = ToolOutput(False, metadata={"tool": "f", "version": "1.0.0", "error": "f raised ValueError"})
        assert str(output) == repr(output)
        assert "f raised ValueError" in str(output)


class TestBadValues:
    @pytest.mark.parametrize("case", BAD)
    def test_a_bad_value_is_one_clear_line(self, case):
        build, line = BAD[case]
        with pytest.raises(FactError) as caught:
            build()
        assert str(caught.value) == line
        assert caught.value._render_traceback_() == [f"InvalidValue: {line}"]

    @pytest.mark.parametrize("case", BAD)
    def test_it_is_pydantic_s_error_too_and_holds_its_report(self, case):
        with pytest.raises(ValidationError) as caught:
            BAD[case][0]()
        assert caught.value.error_count() == len(caught.value.errors()) == 1

    def test_each_further_field_has_a_line_of_its_own(self):
        with pytest.raises(FactError) as caught:
            ToolInput("slug", {}, 0, memory_mb=0)
        assert str(caught.value).splitlines() == [
            "ToolInput.timeout_seconds must be above 0; got 0.",
            "ToolInput.memory_mb must be above 0; got 0.",
        ]

    def test_the_error_can_be_sent_to_another_process(self):
        with pytest.raises(FactError) as caught:
            ToolInput("slug", {}, 0)
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))
