# kind: statistics
# aliases: pearson, pearson_correlation, corr, correlation_coefficient, spearman, rank_correlation,
#   pearson_r
# needs: correlation, correlate, correlated, pearson, spearman
# unlike: correlation matrix, plot, dataframe, autocorrelation, partial correlation, correlated with,
#   p value, heatmap, signal
# words: compute, calculate, between, two, list, lists, of, numbers, number, values, value, series, samples,
#   sample, variables, variable, coefficient, pearson, spearman, rank, ranks, linear, x, y, strongly,
#   strength, measure, how, are, paired, data, sequences, equal, length, find, get, columns, quantities,
#   measurements, method, choice, either

import math
import statistics
from bisect import bisect_left, bisect_right
from typing import Literal


def correlation(
    x: list[float], y: list[float], *, method: Literal["pearson", "spearman"] = "pearson"
) -> float:
    """Compute the correlation of two lists of numbers, by Pearson or by Spearman.

    Parameters
    ----------
    x, y : list of float
        Values in pairs, so both lists have the same length, of at least 2.
    method : {"pearson", "spearman"}
        ``pearson`` measures how well a line describes the pairs, ``spearman`` whether the order of the values is
        the same; equal values share their mean rank.

    Returns
    -------
    float
        The coefficient, from -1 to 1.

    Raises
    ------
    ValueError
        If the lists differ in length or are too short, all values of a list are equal, or one is not finite.

    Examples
    --------
    >>> correlation([1, 2, 3, 4], [2, 4, 6, 9])
    0.9943767126843689

    >>> correlation([1, 2], [5, -5])
    -1.0

    >>> correlation([1, 2, 3, 4], [1, 10, 100, 1000], method="spearman")
    1.0

    >>> correlation([1, 2, 2, 9], [4, 4, 3, 1], method="spearman")
    -0.8333333333333334

    >>> correlation([1, 2], [1, 2, 3])
    Traceback (most recent call last):
    ValueError: the lists must have the same length, but have 2 and 3 values

    >>> correlation([1], [1])
    Traceback (most recent call last):
    ValueError: at least 2 pairs are needed, not 1

    >>> correlation([1, 2], [3, 3])
    Traceback (most recent call last):
    ValueError: all values of a list are equal, so there is no correlation

    >>> correlation([1, 2], [1, float("inf")])
    Traceback (most recent call last):
    ValueError: every value must be a finite number; leave out the other pairs

    >>> correlation([2, 2], [1, 2])
    Traceback (most recent call last):
    ValueError: all values of a list are equal, so there is no correlation

    >>> correlation([3, 3, 1], [2, 1, 1], method="spearman")
    0.5

    >>> correlation([1, 2, 3], [1, 2])
    Traceback (most recent call last):
    ValueError: the lists must have the same length, but have 3 and 2 values

    Tags: statistics, numbers, pairs
    """
    if len(x) != len(y):
        raise ValueError(f"the lists must have the same length, but have {len(x)} and {len(y)} values")
    if len(x) < 2:
        raise ValueError(f"at least 2 pairs are needed, not {len(x)}")
    if not all(map(math.isfinite, x + y)):
        raise ValueError("every value must be a finite number; leave out the other pairs")
    if len(set(x)) == 1 or len(set(y)) == 1:
        raise ValueError("all values of a list are equal, so there is no correlation")
    if method == "spearman":
        x, y = _ranks(x), _ranks(y)
    return statistics.correlation(x, y)


def _ranks(values: list[float]) -> list[float]:
    """Return twice the mean rank of each value."""
    ordered = sorted(values)
    return [bisect_left(ordered, value) + bisect_right(ordered, value) for value in values]
