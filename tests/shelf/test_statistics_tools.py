"""The tools for statistics, compared with NumPy and pandas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

find_outliers = pytest.mark.parametrize("tool", ["find_outliers"], indirect=True)
moving_average = pytest.mark.parametrize("tool", ["moving_average"], indirect=True)
correlation = pytest.mark.parametrize("tool", ["correlation"], indirect=True)
linear_regression = pytest.mark.parametrize("tool", ["linear_regression"], indirect=True)


def wave(size: int, step: float) -> list[float]:
    """Return numbers that look random and are always the same."""
    return [round(math.sin(step * number * number) * 100, 3) for number in range(size)]


@find_outliers
class TestFindOutliers:
    @pytest.mark.parametrize("factor", [0, 0.25, 0.5, 1.5])
    @pytest.mark.parametrize("size", [4, 5, 6, 7, 50])
    def test_agrees_with_numpy(self, tool: Tool, size: int, factor: float) -> None:
        """The fences are those of NumPy's default quartiles, and the order of the values is kept."""
        values = wave(size, 1.7)
        low, high = np.quantile(values, [0.25, 0.75])
        margin = factor * (high - low)
        wanted = [value for value in values if value < low - margin or value > high + margin]
        assert tool(values, factor=factor) == wanted

    def test_equal_numbers(self, tool: Tool) -> None:
        """If the middle half is one number, every other number is an outlier."""
        assert tool([5, 5, 5, 5]) == []
        assert tool([5, 5, 5, 5, 5, 5.001]) == [5.001]

    @pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
    def test_not_finite(self, tool: Tool, value: float) -> None:
        """An infinite or missing value is refused."""
        with pytest.raises(ValueError, match="must be a finite number"):
            tool([1, 2, 3, value])


@moving_average
class TestMovingAverage:
    @pytest.mark.parametrize("window", [1, 2, 3, 10, 40])
    def test_agrees_with_pandas(self, tool: Tool, window: int) -> None:
        """The means are those of pandas' rolling windows."""
        values = wave(40, 0.9)
        wanted = pd.Series(values).rolling(window).mean().dropna()
        assert tool(values, window) == pytest.approx(list(wanted), rel=1e-9, abs=1e-9)

    def test_large_values_do_not_spoil_later_means(self, tool: Tool) -> None:
        """Each mean is computed by itself, so nothing of a large value is left over."""
        assert tool([1e17, 0.1, 0.1, 0.1], 2)[1:] == [0.1, 0.1]

    @pytest.mark.parametrize("window", [0, -1, 4])
    def test_window_that_does_not_fit(self, tool: Tool, window: int) -> None:
        """The error says which windows fit."""
        with pytest.raises(ValueError, match=f"from 1 to 3 values wide, not {window}"):
            tool([1, 2, 3], window)


@correlation
class TestCorrelation:
    @pytest.mark.parametrize("method", ["pearson", "spearman"])
    @pytest.mark.parametrize("size", [2, 3, 10, 100])
    def test_agrees_with_pandas(self, tool: Tool, size: int, method: str) -> None:
        """Both coefficients are those of pandas, with ties in the values."""
        x, y = [round(value / 20) for value in wave(size, 1.3)], wave(size, 2.1)
        x[0] += 1
        x_series, y_series = pd.Series(x), pd.Series(y)
        if method == "spearman":
            x_series, y_series = x_series.rank(), y_series.rank()
        wanted = x_series.corr(y_series)
        assert tool(x, y, method=method) == pytest.approx(wanted, rel=1e-9, abs=1e-12)

    def test_order_of_the_lists_does_not_matter(self, tool: Tool) -> None:
        """The coefficient is symmetrical, and turns its sign with the values."""
        x, y = wave(20, 1.1), wave(20, 0.7)
        assert tool(x, y) == pytest.approx(tool(y, x))
        assert tool(x, [-value for value in y]) == pytest.approx(-tool(x, y))

    @pytest.mark.parametrize(
        ("x", "y"),
        [([], []), ([1], [2]), ([1, 2], [1]), ([1, 1], [1, 2]), ([1, 2], [3, 3]), ([1, math.nan], [1, 2])],
    )
    def test_no_correlation(self, tool: Tool, x: list[float], y: list[float]) -> None:
        """Where there is no coefficient, the error says why."""
        with pytest.raises(ValueError, match=r"values|pairs|finite"):
            tool(x, y)


@linear_regression
class TestLinearRegression:
    @pytest.mark.parametrize("size", [2, 3, 10, 100])
    def test_agrees_with_numpy(self, tool: Tool, size: int) -> None:
        """Slope, intercept and R squared are those of NumPy's least squares."""
        x, y = wave(size, 1.9), wave(size, 0.3)
        found = tool(x, y)
        assert [found["slope"], found["intercept"]] == pytest.approx(list(np.polyfit(x, y, 1)), rel=1e-6)
        rest = np.array(y) - np.polyval([found["slope"], found["intercept"]], x)
        explained = 1 - np.sum(rest**2) / np.sum((np.array(y) - np.mean(y)) ** 2)
        assert found["r_squared"] == pytest.approx(explained, rel=1e-6, abs=1e-9)

    def test_level_line(self, tool: Tool) -> None:
        """A level line explains nothing that varies, so R squared is unknown."""
        assert tool([1, 2, 3], [7, 7, 7]) == {"slope": 0.0, "intercept": 7.0, "r_squared": None}

    @pytest.mark.parametrize(
        ("x", "y"), [([], []), ([1], [2]), ([1, 2], [1]), ([3, 3], [1, 2]), ([1, 2], [1, math.inf])]
    )
    def test_no_line(self, tool: Tool, x: list[float], y: list[float]) -> None:
        """Where there is no line, the error says why."""
        with pytest.raises(ValueError, match=r"values|points|slope"):
            tool(x, y)
