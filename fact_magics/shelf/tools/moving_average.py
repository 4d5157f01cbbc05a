# kind: statistics
# aliases: rolling_mean, running_mean, rolling_average, running_average, sliding_average, sma,
#   simple_moving_average
# needs: moving+average, rolling+average, running+average, rolling+mean, moving+mean, running+mean,
#   sliding+window, sliding+average, average+window, mean+window
# needs: average, averages, mean, means
# unlike: exponential, weighted, exponentially, plot, median, of a column, dataframe
# words: moving, rolling, running, sliding, simple, compute, calculate, numbers, number, values, value,
#   list, series, window, size, length, time, smooth, smoothing, data, over, width, given, n, floats, each,
#   every, consecutive, last, trailing, mean, means, averages, take, point, points, sequence, 3, three, 7,
#   day, prices, sma, period

import math
import statistics


def moving_average(values: list[float], window: int) -> list[float]:
    """Compute the moving average of a series: the mean of each run of consecutive values.

    Parameters
    ----------
    values : list of float
        The series.
    window : int
        The number of values in each mean, from 1 to the length of the series.

    Returns
    -------
    list of float
        One mean for each full window, so there are `window` - 1 fewer means than values.

    Raises
    ------
    ValueError
        If the window does not fit the series, or a value is not finite.

    Examples
    --------
    >>> moving_average([1, 2, 6, 3, 9], 3)
    [3.0, 3.6666666666666665, 6.0]

    >>> moving_average([4, 8], 1)
    [4.0, 8.0]

    >>> moving_average([1, 2, 4], 3)
    [2.3333333333333335]

    >>> moving_average([1, 2], 0)
    Traceback (most recent call last):
    ValueError: the window must be from 1 to 2 values wide, not 0

    >>> moving_average([1, 2], 3)
    Traceback (most recent call last):
    ValueError: the window must be from 1 to 2 values wide, not 3

    >>> moving_average([], 1)
    Traceback (most recent call last):
    ValueError: the series has no values

    >>> moving_average([1, float("nan")], 2)
    Traceback (most recent call last):
    ValueError: every value must be a finite number; leave out the others

    Tags: statistics, numbers, series
    """
    if not values:
        raise ValueError("the series has no values")
    if not 1 <= window <= len(values):
        raise ValueError(f"the window must be from 1 to {len(values)} values wide, not {window}")
    if not all(map(math.isfinite, values)):
        raise ValueError("every value must be a finite number; leave out the others")
    return [statistics.fmean(values[at : at + window]) for at in range(len(values) - window + 1)]
