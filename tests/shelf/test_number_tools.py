"""The tools for numbers and units, to the last digit."""

from __future__ import annotations

import math
import statistics
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

summarize_numbers = pytest.mark.parametrize("tool", ["summarize_numbers"], indirect=True)
convert_units = pytest.mark.parametrize("tool", ["convert_units"], indirect=True)
format_bytes = pytest.mark.parametrize("tool", ["format_bytes"], indirect=True)
round_significant = pytest.mark.parametrize("tool", ["round_significant"], indirect=True)
number_to_words = pytest.mark.parametrize("tool", ["number_to_words"], indirect=True)
parse_number = pytest.mark.parametrize("tool", ["parse_number"], indirect=True)


@summarize_numbers
class TestSummarizeNumbers:
    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 101, 1000])
    def test_agrees_with_numpy(self, tool: Tool, size: int) -> None:
        """Mean, deviation and quartiles are those of NumPy's defaults (one degree of freedom)."""
        values = [math.sin(7 * number) * 10**6 + number for number in range(size)]
        found = tool(values)
        assert found["mean"] == pytest.approx(np.mean(values), rel=1e-12)
        quartiles = [found[key] for key in ("min", "q1", "median", "q3", "max")]
        assert quartiles == pytest.approx(list(np.quantile(values, [0, 0.25, 0.5, 0.75, 1])), rel=1e-12)
        if size > 1:
            assert found["stdev"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)

    def test_cancellation_does_not_show(self, tool: Tool) -> None:
        """Large and small numbers together keep their exact mean and deviation."""
        found = tool([1e16, 1.0, -1e16])
        assert found["mean"] == pytest.approx(1 / 3, rel=1e-15)
        assert tool([1e9 + 1, 1e9 + 2, 1e9 + 3])["stdev"] == 1.0

    def test_largest_numbers_do_not_overflow(self, tool: Tool) -> None:
        """The mean and the quartiles of the largest floats are floats."""
        found = tool([1.7e308, 1.7e308, -1.7e308, 1.6e308])
        assert all(math.isfinite(value) for key, value in found.items() if key != "stdev")

    def test_missing_values_are_counted(self, tool: Tool) -> None:
        """None and NaN are missing wherever they stand."""
        found = tool([None, 2, float("nan"), 1, None])
        assert (found["count"], found["missing"], found["median"]) == (2, 3, 1.5)

    @pytest.mark.parametrize("values", [[], [None], [float("nan")] * 3])
    def test_no_numbers(self, tool: Tool, values: list[Any]) -> None:
        """There is no summary of nothing."""
        with pytest.raises(ValueError, match="no number to summarize"):
            tool(values)

    @pytest.mark.parametrize("value", [math.inf, -math.inf])
    def test_infinite(self, tool: Tool, value: float) -> None:
        """An infinite value is refused, with what to do."""
        with pytest.raises(ValueError, match="leave it out, or replace it by None"):
            tool([1.0, value])

    def test_order_does_not_matter_and_input_is_left_alone(self, tool: Tool) -> None:
        """The list is not sorted in place."""
        values = [3.0, 1.0, 2.0]
        assert tool(values) == tool(sorted(values))
        assert values == [3.0, 1.0, 2.0]
        assert tool(values)["median"] == statistics.median(values)


@convert_units
class TestConvertUnits:
    @pytest.mark.parametrize(
        ("value", "source", "target", "result"),
        [
            (1, "mile", "km", 1.609344),
            (1, "in", "cm", 2.54),
            (6, "Feet", "m", 1.8288),
            (1, "nautical mile", "m", 1852.0),
            (1, "µm", "nm", 1000.0),
            (1, "μm", "nm", 1000.0),
            (1, "lb", "g", 453.59237),
            (1, "stone", "lbs", 14.0),
            (1, "short ton", "lb", 2000.0),
            (1, "tonne", "KG", 1000.0),
            (1, "oz", "grams", 28.349523125),
            (0, "°C", "°F", 32.0),
            (-40, "celsius", "Fahrenheit", -40.0),
            (0, "K", "C", -273.15),
            (100, "℃", "K", 373.15),
            (1, "gallon", "fl oz", 128.0),
            (1, "gal", "L", 3.785411784),
            (1, "m³", "litres", 1000.0),
            (1, "m^3", "ft3", 35.31466672148859),
            (1, "cup", "tbsp", 16.0),
            (1, "week", "hours", 168.0),
            (90, "min", "h", 1.5),
            (1500, "ms", "s", 1.5),
            (1, "day", "s", 86400.0),
            (1, "GB", "MB", 1000.0),
            (1, "GiB", "MiB", 1024.0),
            (8, "Mb", "MB", 1.0),
            (1, "KB", "bytes", 1000.0),
            (36, "km/h", "m/s", 10.0),
            (60, "mph", "feet per second", 88.0),
            (1, "knot", "kph", 1.852),
            (1, "acre", "m²", 4046.8564224),
            (1, "kWh", "kJ", 3600.0),
            (1, "square feet", "sq. in.", 144.0),
            (0.1, "m", "cm", 10.0),
            (0.1 + 0.2, "km", "m", 300.00000000000006),
            (-5, "km", "m", -5000.0),
            (0, "kg", "lb", 0.0),
            (5e-324, "m", "m", 5e-324),
        ],
    )
    def test_exactly(self, tool: Tool, value: float, source: str, target: str, result: float) -> None:
        """Each conversion gives the float nearest to the true value."""
        assert tool(value, source, target) == result

    @pytest.mark.parametrize(
        ("source", "target", "why"),
        [
            ("kg", "m", "measures mass, but 'm' measures length"),
            ("s", "K", "measures time"),
            ("parsnip", "m", "is not a known unit"),
            ("", "m", "is not a known unit"),
            ("metr", "m", "did you mean 'metre'"),
            ("ton", "kg", "'tonne', a 'short ton' or a 'long ton'"),
            ("months", "d", "no fixed length"),
            ("mb", "kB", "may be 'MB' or 'Mb'"),
            ("ML", "l", "may be 'ml' or 'Ml'"),
            ("€", "$", "is not a known unit"),
        ],
    )
    def test_refused(self, tool: Tool, source: str, target: str, why: str) -> None:
        """What can't be converted says why."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
            tool(1, source, target)
        assert why in str(caught.value)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_no_amount(self, tool: Tool, value: float) -> None:
        """NaN and infinity are refused."""
        with pytest.raises(ValueError, match="is not a finite number"):
            tool(value, "m", "km")

    def test_limits_of_nature_and_floats(self, tool: Tool) -> None:
        """Nothing is colder than absolute zero, and no float is larger than the largest."""
        assert tool(0, "K", "°F") == -459.67
        with pytest.raises(ValueError, match="below absolute zero"):
            tool(-459.68, "F", "C")
        with pytest.raises(ValueError, match="too large to be given in nm"):
            tool(1e308, "ly", "nm")

    def test_there_and_back(self, tool: Tool) -> None:
        """Whole amounts survive the way to any unit of their kind and back."""
        kinds = [
            ["m", "ft", "mi", "ly"],
            ["kg", "lb", "st"],
            ["C", "F", "K"],
            ["l", "gal", "cup"],
            ["s", "yr"],
            ["m/s", "mph", "kn"],
        ]
        for units in kinds:
            for source in units:
                for target in units:
                    assert tool(tool(37, source, target), target, source) == pytest.approx(37, rel=1e-14)


@format_bytes
class TestFormatBytes:
    @pytest.mark.parametrize(
        ("size", "options", "text"),
        [
            (0, {}, "0 B"),
            (1, {}, "1 B"),
            (-1, {}, "-1 B"),
            (999, {}, "999 B"),
            (1000, {}, "1.0 kB"),
            (1023, {"units": "binary"}, "1023 B"),
            (1024, {"units": "binary"}, "1.0 KiB"),
            (999_949, {}, "999.9 kB"),
            (999_950, {}, "1.0 MB"),
            (1_048_575, {"units": "binary"}, "1.0 MiB"),
            (-1_000_000, {}, "-1.0 MB"),
            (1_250, {}, "1.2 kB"),
            (1_350, {}, "1.4 kB"),
            (123_456_789, {"digits": 0}, "123 MB"),
            (999_999, {"digits": 3}, "999.999 kB"),
            (10**30, {}, "1.0 QB"),
            (10**36, {}, "1000000.0 QB"),
            (2**80, {"units": "binary"}, "1.0 YiB"),
            (10**15 + 10**6, {"digits": 9}, "1.000000001 PB"),
        ],
    )
    def test_sizes(self, tool: Tool, size: int, options: dict[str, Any], text: str) -> None:
        """Sizes are exact, and never 1000.0 of a unit that has a larger one."""
        assert tool(size, **options) == text

    @pytest.mark.parametrize("digits", [-1, 10])
    def test_digits_out_of_range(self, tool: Tool, digits: int) -> None:
        """Decimal places are bounded."""
        with pytest.raises(ValueError, match="must be from 0 to 9"):
            tool(1, digits=digits)


@round_significant
class TestRoundSignificant:
    def test_agrees_with_decimal(self, tool: Tool) -> None:
        """The result is the float of the exact value, rounded half to even by decimal arithmetic."""
        for number in range(1, 400):
            value = math.sin(number) * 10.0 ** (number % 60 - 30)
            for digits in (1, 2, 3, 8, 15, 17):
                exact = Decimal(value)
                step = Decimal(1).scaleb(exact.adjusted() - digits + 1)
                assert tool(value, digits) == float(exact.quantize(step, ROUND_HALF_EVEN))

    @pytest.mark.parametrize(
        ("value", "digits", "rounded"),
        [(9.99, 2, 10.0), (-0.0, 3, 0.0), (25, 1, 20.0), (35, 1, 40.0), (5e-324, 1, 5e-324)],
    )
    def test_edges(self, tool: Tool, value: float, digits: int, rounded: float) -> None:
        """Carries, ties and the smallest float."""
        assert tool(value, digits) == rounded


@number_to_words
class TestNumberToWords:
    def test_every_word_is_read_back(self, tool: Tool) -> None:
        """Adding and multiplying the words gives the number."""
        small = {tool(number): number for number in range(100)}
        assert len(small) == 100

        def value(words: str) -> int:
            for scale, size in (
                ("trillion", 10**12),
                ("billion", 10**9),
                ("million", 10**6),
                ("thousand", 1000),
                ("hundred", 100),
            ):
                before, found, after = words.partition(f" {scale}")
                if found:
                    return value(before) * size + (value(after.strip()) if after else 0)
            return small[words]

        for number in (*range(2000), *(7**power for power in range(18)), 10**15 - 1, 10**12, 101_000_001):
            assert value(tool(number)) == number

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (13, "thirteen"),
            (40, "forty"),
            (118, "one hundred eighteen"),
            (-21_000, "minus twenty-one thousand"),
            (1_000_001, "one million one"),
        ],
    )
    def test_spelling(self, tool: Tool, number: int, words: str) -> None:
        """Hyphens, forty, and no zero inside."""
        assert tool(number) == words

    @pytest.mark.parametrize("number", [10**15, -(10**15)])
    def test_too_large(self, tool: Tool, number: int) -> None:
        """There are no words for quadrillions."""
        with pytest.raises(ValueError, match="has more than 15 digits"):
            tool(number)


@parse_number
class TestParseNumber:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("0", 0.0),
            ("007", 7.0),
            (" 42 ", 42.0),
            ("1e0 not", None),
            ("-5", -5.0),
            ("- $5.00", -5.0),
            ("$-5", -5.0),
            ("+3", 3.0),
            ("1,234,567.89", 1234567.89),
            ("1.234.567,89", 1234567.89),
            ("1 234 567,89 €", 1234567.89),
            ("1\u202f234\u00a0567", 1234567.0),
            ("1'234.5", 1234.5),
            ("1,5", 1.5),
            ("1,50", 1.5),
            ("1,500", 1500.0),
            ("1.500", 1.5),
            ("0,5", 0.5),
            (".5", 0.5),
            ("50%", 0.5),
            ("(12.5 %)", -0.125),
            ("1234567", 1234567.0),
            ("１２", 12.0),
            ("5 km", 5.0),
            ("", None),
            ("abc", None),
            ("1.2.3", None),
            ("12,34,567", None),
            ("1 2", None),
            ("3-4", None),
            ("1,234.5.6", None),
            ("1,234 567", None),
        ],
    )
    def test_numbers(self, tool: Tool, text: str, number: float | None) -> None:
        """What people write is read as they mean it, or refused."""
        if number is None:
            with pytest.raises(ValueError, match=r"number|grouped|decimal"):
                tool(text)
        else:
            assert tool(text) == pytest.approx(number, rel=1e-15)

    @pytest.mark.parametrize(("decimal", "number"), [(".", 1500.0), (",", 1.5)])
    def test_the_mark_decides(self, tool: Tool, decimal: str, number: float) -> None:
        """The option settles what the text leaves open."""
        assert tool("1,500", decimal=decimal) == number

    def test_formatted_numbers_come_back(self, tool: Tool) -> None:
        """Numbers in the format of US and of German accounts are read exactly."""
        swap = str.maketrans(",.", ".,")
        for step in range(1, 300):
            value = round(math.tan(step) * 10.0 ** (step % 7), 2)
            text = f"{value:,.2f}"
            assert tool(text) == value
            assert tool(text.translate(swap)) == value
