"""`Tool`: what Python, a person and an agent see of it."""

from __future__ import annotations

import inspect
import json
import typing

import pytest

from fact_magics import Tool, ToolSpec
from fact_magics.core.loaded import load
from fact_magics.errors import FactError, InvalidInput, SignatureError, ToolFailed
from fact_magics.tool import ToolMetadata, ToolVersion

pytestmark = pytest.mark.slow

SOURCE = '''
from typing import Annotated, Literal

from pydantic import Field


def price(
    amount: Annotated[float, Field(ge=0, description="Before tax.")],
    /,
    country: Literal["BE", "NL"] = "BE",
    *,
    copy: bool = False,
    tags: list[str] | None = None,
) -> dict[str, float]:
    """Add the tax of a country.

    Parameters
    ----------
    amount : float
        Before tax.
    """
    if amount == 13:
        raise ValueError("unlucky")
    return {"price": amount * (1.21 if country == "BE" else 1.2)}
'''


@pytest.fixture
async def price(core, server):
    server.writes(SOURCE)
    return await core.generate(ToolSpec("price", "Add tax."))


async def test_it_has_the_signature_and_the_documentation_of_the_function(price):
    signature = inspect.signature(price)
    kinds = {name: parameter.kind.name for name, parameter in signature.parameters.items()}
    assert kinds == {
        "amount": "POSITIONAL_ONLY",
        "country": "POSITIONAL_OR_KEYWORD",
        "copy": "KEYWORD_ONLY",
        "tags": "KEYWORD_ONLY",
    }
    assert signature.parameters["country"].default == "BE"
    assert price.__name__ == "price"
    assert inspect.getdoc(price).startswith("Add the tax of a country.")
    assert "price(amount" in repr(price)
    assert "1.0.0" in repr(price)
    assert "unproven" in repr(price)
    assert "\n" not in repr(price)


async def test_it_is_called_by_the_rules_of_python(price):
    assert await price.acall(100) == {"price": 121.0}
    assert await price.acall(100, "NL", copy=True) == {"price": 120.0}
    for args, kwargs in [((), {}), ((1, "BE", True), {}), ((1,), {"nope": 1}), ((), {"amount": 1}), ((-1,), {}),
                         ((True,), {}), ((1, "FR"), {})]:  # fmt: skip
        with pytest.raises(InvalidInput):
            await price.acall(*args, **kwargs)
    with pytest.raises(ToolFailed, match="price raised ValueError: unlucky"):
        await price.acall(13)


async def test_blocking_its_own_loop_is_an_error_and_no_deadlock(price):
    with pytest.raises(FactError, match=r"await price\.acall"):
        price(7)


def test_awaiting_it_without_a_loop_of_asyncio_is_an_error_in_one_line(price):
    with pytest.raises(
        FactError, match=r"^price.acall can only be awaited on an event loop of asyncio\. Call"
    ):
        price.acall(1.0).send(None)


async def test_its_schema_is_json_and_says_what_is_required(price):
    schema = price.json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["amount"]
    assert schema["properties"]["country"]["enum"] == ["BE", "NL"]
    assert schema["properties"]["amount"]["minimum"] == 0
    assert schema["properties"]["amount"]["description"] == "Before tax."


async def test_typing_reads_its_annotations(price):
    hints = typing.get_type_hints(price)
    assert hints == price.__annotations__
    assert hints["amount"] is float
    assert hints["country"] == typing.Literal["BE", "NL"]
    assert hints["return"] == dict[str, float]
    assert typing.get_type_hints(Tool) == {}
    assert inspect.get_annotations(Tool) == {}


async def test_it_defines_itself_for_agents(price):
    anthropic, openai = price.to_anthropic(), price.to_openai()
    assert anthropic["name"] == "price"
    assert anthropic["description"].startswith("Add the tax of a country.")
    assert anthropic["input_schema"] == price.json_schema()
    assert openai["type"] == "function"
    assert openai["function"]["name"] == "price"
    assert openai["function"]["parameters"] == price.json_schema()


@pytest.mark.parametrize(
    ("name", "parameter"), [("größe", "n"), ("f", "größe"), ("x" * 65, "n"), ("f", "n" * 65)]
)
def test_a_name_that_apis_refuse_is_one_line(name, parameter):
    source = f"def {name}({parameter}: int) -> int:\n    return 1\n"
    metadata = ToolMetadata(id="1", name=name)
    tool = Tool(load(ToolVersion(metadata, source)), None)  # type: ignore[arg-type]  # nothing is run
    for define in (tool.to_openai, tool.to_anthropic):
        with pytest.raises(SignatureError, match="can't be offered to a model") as caught:
            define()
        assert "64 ASCII letters" in caught.value.line
        assert len(caught.value.line.splitlines()) == 1


def test_what_help_prints_of_a_hostile_docstring_is_inert():
    source = 'def f(n: int) -> int:\n    """Red \\x1b[31m, \\u202ebackwards."""\n    return n\n'
    metadata = ToolMetadata(id="1", name="f")
    tool = Tool(load(ToolVersion(metadata, source)), None)  # type: ignore[arg-type]  # nothing is run
    assert inspect.getdoc(tool) == r"Red \x1b[31m, \u202ebackwards."
    assert "\x1b" in tool.to_openai()["function"]["description"]  # an agent gets what the model wrote
