# kind: statistics
# aliases: outliers, detect_outliers, iqr_outliers, tukey_outliers, get_outliers, outlier_detection
# needs: outlier, outliers, anomalous+values, tukey+fences
# needs: find, detect, list, identify, get, return, which, locate, detection, outliers, finder
# gives: outlier, outliers, value, number
# unlike: remove outlier, without outlier, drop outlier, removing outlier, in a dataframe, in an image,
#   in a csv, number of outlier, count outlier, has outlier, plot the
# words: values, value, numbers, number, list, sample, data, series, measurements, iqr, interquartile,
#   range, quartile, quartiles, tukey, fence, fences, rule, method, times, box, boxplot, statistical, using,
#   by, based, lie, far, outside, numeric, dataset, find, detect, identify, outlying, anomalies, extreme,
#   unusual, floats, determine, 5, whisker, given, point, points, plot, accord, according, are

import math
import statistics


def find_outliers(values: list[float], *, factor: float = 1.5) -> list[float]:
    """Find the outliers in a list of numbers by Tukey's rule: those far outside the middle half.

    A number is an outlier if it lies more than `factor` times the interquartile range below the first or above
    the third quartile. Quartiles are interpolated, as in NumPy, pandas and spreadsheets.

    Parameters
    ----------
    values : list of float
        At least four numbers, in any order.
    factor : float
        How far the fences lie from the quartiles, in interquartile ranges; 3 finds extreme outliers only.

    Returns
    -------
    list of float
        The outliers, in the order of `values`.

    Raises
    ------
    ValueError
        If there are fewer than four numbers, a number is not finite, or `factor` is negative.

    Examples
    --------
    >>> find_outliers([10, 12, 11, 13, 12, 95, 11, -40])
    [95.0, -40.0]

    >>> find_outliers([1, 2, 3, 4, 100], factor=50)
    []

    >>> find_outliers([1, 2, 3, 4], factor=0)
    [1.0, 4.0]

    >>> find_outliers([1, 2, 3])
    Traceback (most recent call last):
    ValueError: at least 4 numbers are needed, not 3

    >>> find_outliers([1, 2, 3, 4], factor=-1)
    Traceback (most recent call last):
    ValueError: factor must not be negative, but is -1

    >>> find_outliers([1, 2, 3, float("nan")])
    Traceback (most recent call last):
    ValueError: every value must be a finite number; leave out the others

    >>> find_outliers([-4, -4, 0, 4, 4, -16.5, 16])
    [-16.5]

    >>> find_outliers([0, 0, 1, 1, 3])
    [3.0]

    >>> find_outliers([0, 0, 1, 1, 2.5])
    []

    >>> find_outliers([-5, 1, 2, 3, 4])
    [-5.0]

    >>> find_outliers([-4, -4, 0, 4, 4, -16, 16.5])
    [16.5]

    Tags: statistics, numbers, outliers
    """
    if len(values) < 4:
        raise ValueError(f"at least 4 numbers are needed, not {len(values)}")
    if not all(map(math.isfinite, values)):
        raise ValueError("every value must be a finite number; leave out the others")
    if factor < 0:
        raise ValueError(f"factor must not be negative, but is {factor:g}")
    low, _, high = statistics.quantiles(values, method="inclusive")
    margin = factor * (high - low)
    return [value for value in values if not low - margin <= value <= high + margin]
