# kind: statistics
# aliases: fit_line, linear_fit, least_squares, trend_line, regression_line, linreg,
#   simple_linear_regression, best_fit_line
# needs: regression, fit+line, least+squares, trend+line, trendline, slope+intercept, linear+fit, best+fit,
#   straight+line
# needs: linear, line, regression, least+squares, slope, trendline
# unlike: logistic, multiple regression, polynomial, plot, draw, chart, predict, with sklearn, ridge,
#   several variables, dataframe, regression test, two points, passes
# words: fit, fitting, straight, line, simple, linear, ordinary, least, squares, slope, intercept, r,
#   squared, r2, compute, calculate, determine, find, perform, do, x, y, points, point, data, values, value,
#   lists, list, two, numbers, pairs, best, trend, through, regression, coefficients, coefficient, return,
#   given, of, ols, trendline, series, set, estimate, goodness

import math
import statistics


def linear_regression(x: list[float], y: list[float]) -> dict[str, float | None]:
    """Fit a straight line to points by least squares.

    Parameters
    ----------
    x, y : list of float
        The coordinates of the points, so both lists have the same length, of at least 2.

    Returns
    -------
    dict
        ``slope`` and ``intercept`` of the line y = slope * x + intercept, and ``r_squared``, the share of the variance
        of `y` that the line explains (None if all values of `y` are equal).

    Raises
    ------
    ValueError
        If the lists differ in length or are too short, all values of `x` are equal, or one is not finite.

    Examples
    --------
    >>> linear_regression([0, 1, 2], [1, 3, 5])
    {'slope': 2.0, 'intercept': 1.0, 'r_squared': 1.0}

    >>> linear_regression([1, 2, 3, 4], [6, 5, 7, 10])
    {'slope': 1.4, 'intercept': 3.5, 'r_squared': 0.7}

    >>> linear_regression([1, 2], [4, 4])
    {'slope': 0.0, 'intercept': 4.0, 'r_squared': None}

    >>> linear_regression([1, 2], [1])
    Traceback (most recent call last):
    ValueError: the lists must have the same length, but have 2 and 1 values

    >>> linear_regression([1], [1])
    Traceback (most recent call last):
    ValueError: at least 2 points are needed, not 1

    >>> linear_regression([3, 3], [1, 2])
    Traceback (most recent call last):
    ValueError: all values of x are equal, so the line has no slope

    >>> linear_regression([1, float("nan")], [1, 2])
    Traceback (most recent call last):
    ValueError: every value must be a finite number; leave out the other points

    >>> linear_regression([0, 1, 2], [1, 1, 4])
    {'slope': 1.5, 'intercept': 0.5, 'r_squared': 0.7500000000000001}

    >>> linear_regression([1, 2], [1, 3, 5])
    Traceback (most recent call last):
    ValueError: the lists must have the same length, but have 2 and 3 values

    Tags: statistics, numbers, pairs
    """
    if len(x) != len(y):
        raise ValueError(f"the lists must have the same length, but have {len(x)} and {len(y)} values")
    if len(x) < 2:
        raise ValueError(f"at least 2 points are needed, not {len(x)}")
    if not all(map(math.isfinite, x + y)):
        raise ValueError("every value must be a finite number; leave out the other points")
    if len(set(x)) == 1:
        raise ValueError("all values of x are equal, so the line has no slope")
    slope, intercept = statistics.linear_regression(x, y)
    r_squared = statistics.correlation(x, y) ** 2 if len(set(y)) > 1 else None
    return {"slope": slope, "intercept": intercept, "r_squared": r_squared}
