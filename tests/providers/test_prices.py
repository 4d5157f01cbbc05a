"""Prices of models: where they come from, and exact costs."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from fact_magics.attempt import Usage
from fact_magics.config.model_list import read_config_file
from fact_magics.config.trust import trust
from fact_magics.providers.prices import find_prices

SONNET = {"input": "2", "output": "10", "cache_read": "0.1", "cache_write": "2.5", "cache_write_1h": "4"}


async def prices_of(model: str, **own: str):
    found = await find_prices(model, {name: Decimal(price) for name, price in own.items()})
    assert found is not None
    return found


class TestCost:
    async def test_each_kind_of_token_has_its_own_price(self):
        prices = await prices_of("claude-sonnet-5-5")
        usage = Usage(101, 57, 1_003, 307, 105)
        counts = {"input": 101, "output": 57, "cache_read": 1_003, "cache_write": 202, "cache_write_1h": 105}
        expected = sum(Decimal(SONNET[kind]) * count for kind, count in counts.items()) / 1_000_000
        assert prices.cost(usage) == expected

    async def test_a_missing_count_makes_the_cost_unknown_and_not_zero(self):
        prices = await prices_of("claude-sonnet-5-5")
        assert prices.cost(Usage(100, None)) is None
        assert prices.cost(Usage()) is None
        assert prices.cost(Usage(0, 0)) == 0

    async def test_the_prompt_cache_saves_the_difference_for_tokens_that_were_read(self):
        prices = await prices_of("claude-sonnet-5-5")
        assert prices.saved(Usage(10, 10, 1_000_000, 0)) == Decimal("1.9")
        assert prices.saved(Usage(10, 10, 0, 1_000)) == 0
        assert prices.saved(Usage()) is None

    async def test_the_highest_price_that_marks_allow_counts_for_the_input(self):
        prices = await prices_of("claude-sonnet-5-5")
        for lifetime, price in (("", "2"), ("5m", "2.5"), ("1h", "4")):
            assert prices.dearest(1_000_000, 0, lifetime) == Decimal(price)
        assert prices.dearest(0, 1_000_000, "5m") == 10

    async def test_an_hour_in_the_cache_has_no_price_if_only_five_minutes_have_one(self):
        prices = await prices_of(
            "openai/our-model",
            input_cost_per_token="0.000001",
            output_cost_per_token="0.000002",
            cache_creation_input_token_cost="0.00000125",
        )
        assert prices.cost(Usage(0, 0, 0, 1_000_000, 0)) == Decimal("1.25")
        assert prices.cost(Usage(0, 0, 0, 1_000_000, 1)) is None


class TestSources:
    @pytest.mark.parametrize(
        "model", ["claude-nothing-9", "ollama/llama3", "lm_studio/gpt-5", "openai/our-own", "gpt-5"]
    )
    async def test_an_unknown_model_has_no_price(self, model: str):
        assert await find_prices(model) is None

    @pytest.mark.parametrize(
        "model", ["openai/gpt-5", "gemini/gemini-2.5-pro", "xai/grok-4", "anthropic/claude-haiku-5-5"]
    )
    async def test_models_are_found_by_the_names_that_cells_use(self, model: str):
        read, written = (await prices_of(model)).per_million
        assert 0 < read < written

    async def test_own_prices_count_before_the_list(self):
        prices = await prices_of("claude-sonnet-5-5", input_cost_per_token="3e-06", output_cost_per_token="0")
        assert prices.per_million == (3, 0)
        assert prices.cost(Usage(1_000_000, 5, 1_000_000)) == Decimal("3.1")

    @pytest.mark.slow
    async def test_litellm_knows_what_the_list_does_not_but_its_prices_of_an_hour_are_not_used(self):
        litellm = pytest.importorskip("fact_magics.providers.litellm").load_litellm()
        litellm.model_cost["groq/made-up"] = {
            "litellm_provider": "groq",
            "input_cost_per_token": 1e-06,
            "input_cost_per_token_above_200k_tokens": 2e-06,
            "output_cost_per_token": 4e-06,
            "cache_creation_input_token_cost": 1.25e-06,
            "cache_creation_input_token_cost_above_1hr": 9e-06,
        }
        litellm.model_cost["groq/for-nothing"] = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        prices = await prices_of("groq/made-up")
        assert prices.cost(Usage(200_000, 1_000_000)) == Decimal("4.2")
        assert prices.cost(Usage(300_000, 1_000_000)) == Decimal("4.6")
        assert prices.cost(Usage(0, 0, 0, 10, 10)) is None
        assert await find_prices("groq/for-nothing") is None

    async def test_nothing_is_imported_before_a_price_is_needed(self):
        code = (
            "import sys, fact_magics.core, fact_magics.providers.prices, fact_magics.providers.spending\n"
            "print([name for name in sys.modules if name.startswith('genai_prices')])"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "[]"

    async def test_a_list_that_cannot_be_read_is_one_clear_line(self, tmp_path):
        (tmp_path / "genai_prices").mkdir()
        (tmp_path / "genai_prices" / "__init__.py").write_text("raise ValueError('damaged\\nlist')")
        code = (
            f"import asyncio, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from fact_magics.errors import ProviderError\n"
            "from fact_magics.providers.prices import find_prices\n"
            "try: asyncio.run(find_prices('claude-sonnet-5-5'))\n"
            "except ProviderError as error: print(error)"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout == (
            "The price list of genai-prices can't be read: damaged list. "
            "Reinstall it with: pip install --force-reinstall genai-prices\n"
        )


class TestConfigFile:
    def read(self, tmp_path, info: str):
        path = tmp_path / "config.yaml"
        path.write_text(
            f"model_list:\n  - model_name: ours\n    litellm_params: {{model: openai/ours}}\n    model_info: {info}\n"
        )
        trust(path, tmp_path / "home")
        return read_config_file(tmp_path, tmp_path / "home", {})

    def test_prices_are_read_exactly_from_a_trusted_file(self, tmp_path):
        file = self.read(
            tmp_path, "{input_cost_per_token: 0.0000021, output_cost_per_token: 8e-06, mode: chat}"
        )
        assert file.deployments[0].prices == {
            "input_cost_per_token": Decimal("0.0000021"),
            "output_cost_per_token": Decimal("0.000008"),
        }

    def test_prices_of_a_file_that_is_not_trusted_do_not_count(self, tmp_path):
        self.read(tmp_path, "{input_cost_per_token: 0, output_cost_per_token: 0}")
        (deployment,) = read_config_file(tmp_path, tmp_path / "other", {}).deployments
        assert deployment.prices == {}

    @pytest.mark.parametrize("price", ["-0.1", "free", "nan", "inf", "[1]"])
    def test_a_malformed_price_leaves_its_entry_out_with_a_note(self, tmp_path, price: str):
        file = self.read(tmp_path, f"{{input_cost_per_token: {price}}}")
        assert not file.deployments
        (note,) = file.notes
        assert "input_cost_per_token" in note
        assert "\n" not in note
