"""The tools for colours and for places on the Earth."""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

hex_to_rgb = pytest.mark.parametrize("tool", ["hex_to_rgb"], indirect=True)
contrast_ratio = pytest.mark.parametrize("tool", ["contrast_ratio"], indirect=True)
haversine_distance = pytest.mark.parametrize("tool", ["haversine_distance"], indirect=True)
dms_to_decimal = pytest.mark.parametrize("tool", ["dms_to_decimal"], indirect=True)

NOT_A_COLOUR = [
    "",
    "#",
    "#12",
    "#1234",
    "#12345",
    "#1234567",
    "##123",
    "#12345g",
    "red",
    "#１２３",
    "# 123",
    "123#",
]


@hex_to_rgb
class TestHexToRgb:
    def test_every_value_of_every_channel(self, tool: Tool) -> None:
        """Formatting the channels gives the colour, in both cases and with or without the sign."""
        for value in range(256):
            colour = (value, 255 - value, value * 7 % 256)
            text = "{:02x}{:02x}{:02x}".format(*colour)
            assert tool(text) == tool(f"#{text}") == tool(f" #{text.upper()}\n") == colour

    def test_short_form(self, tool: Tool) -> None:
        """Each digit of the short form stands for two."""
        assert tool("#abc") == tool("#aabbcc")

    @pytest.mark.parametrize("text", NOT_A_COLOUR)
    def test_other_text(self, tool: Tool, text: str) -> None:
        """What is no colour is an error that shows the text."""
        with pytest.raises(ValueError, match="is not a hex colour"):
            tool(text)


@contrast_ratio
class TestContrastRatio:
    def test_agrees_with_the_definition(self, tool: Tool) -> None:
        """The ratio is that of WCAG 2.2, computed here with arrays."""

        def luminance(colour: np.ndarray) -> float:
            share = colour / 255
            linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
            return float(linear @ [0.2126, 0.7152, 0.0722])

        colours = [
            np.array([int(255 * part) for part in colorsys.hsv_to_rgb(hue / 37, 0.8, hue / 37)])
            for hue in range(38)
        ]
        for first, second in zip(colours, reversed(colours), strict=True):
            low, high = sorted([luminance(first), luminance(second)])
            texts = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in (first, second)]
            assert tool(*texts) == pytest.approx((high + 0.05) / (low + 0.05), rel=1e-12)
            assert tool(*texts) == tool(*reversed(texts))

    @pytest.mark.parametrize(("grey", "passes"), [("#767676", True), ("#777777", False)])
    def test_known_limit(self, tool: Tool, grey: str, passes: bool) -> None:
        """On white, #767676 is the lightest grey that passes level AA, and nothing is rounded up."""
        assert (tool(grey, "#fff") >= 4.5) is passes

    @pytest.mark.parametrize("text", NOT_A_COLOUR)
    def test_other_text(self, tool: Tool, text: str) -> None:
        """What is no colour is an error, in both places."""
        for pair in ((text, "#fff"), ("#fff", text)):
            with pytest.raises(ValueError, match="is not a hex colour"):
                tool(*pair)


@haversine_distance
class TestHaversineDistance:
    def test_agrees_with_the_angle_between_vectors(self, tool: Tool) -> None:
        """The distance is the angle between the two directions from the centre, times the radius."""

        def vector(lat: float, lon: float) -> np.ndarray:
            lat, lon = math.radians(lat), math.radians(lon)
            return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])

        for step in range(300):
            first = (math.sin(step) * 90, math.cos(step * 3) * 180)
            second = (math.sin(step * 5) * 90, math.cos(step * 7) * 180)
            a, b = vector(*first), vector(*second)
            angle = math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))
            assert tool(*first, *second) == pytest.approx(6371.0088 * angle, rel=1e-6, abs=1e-6)
            assert tool(*first, *second) == pytest.approx(tool(*second, *first))

    def test_short_and_longest(self, tool: Tool) -> None:
        """A metre is not lost in rounding, and opposite points are half of the Earth apart."""
        assert tool(0, 0, 0, 0.00001) == pytest.approx(0.0011119508, rel=1e-6)
        for lat in range(-90, 91, 7):
            assert tool(lat, -30, -lat, 150) == pytest.approx(math.pi * 6371.0088)

    @pytest.mark.parametrize(
        "point", [(90.001, 0), (-90.001, 0), (0, 180.001), (0, -180.001), (math.nan, 0), (0, math.inf)]
    )
    def test_places_off_the_map(self, tool: Tool, point: tuple[float, float]) -> None:
        """A coordinate off the map is an error, for both points."""
        for points in ((*point, 0, 0), (0, 0, *point)):
            with pytest.raises(ValueError, match="tude must be from"):
                tool(*points)


@dms_to_decimal
class TestDmsToDecimal:
    @pytest.mark.parametrize(
        ("text", "degrees"),
        [
            ("40°26′46″N", 40 + 26 / 60 + 46 / 3600),
            ("40° 26' 46\" N", 40 + 26 / 60 + 46 / 3600),
            ("40°26'46''n", 40 + 26 / 60 + 46 / 3600),
            ("40 26 46", 40 + 26 / 60 + 46 / 3600),
            ("+40 26 46", 40 + 26 / 60 + 46 / 3600),
            ("-40 26 46", -40 - 26 / 60 - 46 / 3600),
            ("79°58'56\"W", -79 - 58 / 60 - 56 / 3600),
            ("79 58.5 W", -79 - 58.5 / 60),
            ("12.5°", 12.5),
            ("-0 30", -0.5),
            ("0", 0.0),
            ("180W", -180.0),
            ("90N", 90.0),
        ],
    )
    def test_forms(self, tool: Tool, text: str, degrees: float) -> None:
        """Signs, letters, symbols and spaces, with or without minutes and seconds."""
        assert tool(text) == pytest.approx(degrees, rel=1e-12)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "N",
            "N 40",
            "40 26 46 12",
            "91 N",
            "181",
            "40 60",
            "40 0 60.0",
            "-40 N",
            "1000",
            "40,5",
            "4026",
            "40°x",
        ],
    )
    def test_other_text(self, tool: Tool, text: str) -> None:
        """What is no coordinate, or lies off the map, is an error."""
        with pytest.raises(ValueError, match=r"coordinate|more than|below 60|both a sign"):
            tool(text)

    def test_every_minute_is_read_back(self, tool: Tool) -> None:
        """Writing a coordinate and reading it gives the coordinate."""
        for seconds in range(0, 90 * 3600, 1237):
            minutes, rest = divmod(seconds, 60)
            text = f"{minutes // 60}°{minutes % 60}′{rest}″S"
            assert tool(text) == pytest.approx(-seconds / 3600, rel=1e-12)
