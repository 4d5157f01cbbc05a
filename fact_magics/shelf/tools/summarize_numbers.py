# kind: statistics
# aliases: summary_stats, describe_numbers, basic_stats, summary_statistics, number_summary,
#   descriptive_stats, summarise_numbers, numeric_summary
# needs: summarize, summarise, summary, descriptive, describe, basic+statistics, basic+stats,
#   mean+median+deviation, mean+median+stdev, mean+median+std, min+mean+max, minimum+mean+maximum,
#   mean+median+quartiles, mean+median+minimum
# needs: number, numbers, numeric, statistics, stats, mean, quartile, measurements, floats, values
# words: value, list, series, sample, samples, count, average, median, standard, deviation, stdev, std,
#   sd, minimum, maximum, min, max, quartiles, q1, q3, percentile, 25th, 75th, spread, missing, nan, none,
#   ignore, ignoring, skip, skipping, skipped, handle, handling, key, five, floats, integers, including,
#   include, compute, calculate, report, dict, dictionary, quick, of

import math
import statistics


def summarize_numbers(values: list[float | None]) -> dict[str, int | float | None]:
    """Summarize a list of numbers: count, mean, standard deviation, minimum, quartiles and maximum.

    Missing values, None and NaN, are counted and left out of everything else.

    Parameters
    ----------
    values : list of float or None
        The numbers, in any order and unit.

    Returns
    -------
    dict
        ``count`` and ``missing`` (int), then in the unit of `values`: ``mean``, ``stdev`` (of a sample,
        so with n - 1; None for a single number), ``min``, ``q1``, ``median``, ``q3``, ``max``. Quartiles are
        interpolated between neighbours, as NumPy, pandas and spreadsheets do.

    Raises
    ------
    ValueError
        If there is no number, or a number is infinite.

    Examples
    --------
    >>> summarize_numbers([4, 1, 3, 2])
    {'count': 4, 'missing': 0, 'mean': 2.5, 'stdev': 1.2909944487358056, 'min': 1.0, 'q1': 1.75, 'median': 2.5, 'q3': 3.25, 'max': 4.0}

    >>> summarize_numbers([10.0, None, float("nan"), 20.0])
    {'count': 2, 'missing': 2, 'mean': 15.0, 'stdev': 7.0710678118654755, 'min': 10.0, 'q1': 12.5, 'median': 15.0, 'q3': 17.5, 'max': 20.0}

    >>> summarize_numbers([7])
    {'count': 1, 'missing': 0, 'mean': 7.0, 'stdev': None, 'min': 7.0, 'q1': 7.0, 'median': 7.0, 'q3': 7.0, 'max': 7.0}

    >>> summarize_numbers([None])
    Traceback (most recent call last):
    ValueError: there is no number to summarize, only 1 missing

    >>> summarize_numbers([1, float("inf")])
    Traceback (most recent call last):
    ValueError: an infinite value has no mean; leave it out, or replace it by None

    >>> summarize_numbers([float("-inf"), 1])
    Traceback (most recent call last):
    ValueError: an infinite value has no mean; leave it out, or replace it by None

    >>> summarize_numbers([1, 2, 4, 8, 16])
    {'count': 5, 'missing': 0, 'mean': 6.2, 'stdev': 6.099180272790763, 'min': 1.0, 'q1': 2.0, 'median': 4.0, 'q3': 8.0, 'max': 16.0}

    Tags: statistics, numbers, summary
    """
    numbers = sorted(float(value) for value in values if value is not None and not math.isnan(value))
    missing = len(values) - len(numbers)
    if not numbers:
        raise ValueError(f"there is no number to summarize, only {missing} missing")
    if math.isinf(numbers[0]) or math.isinf(numbers[-1]):
        raise ValueError("an infinite value has no mean; leave it out, or replace it by None")
    # Exact arithmetic: no rounding error from adding large and small numbers, and no overflow.
    mean = statistics.mean(numbers)
    return {
        "count": len(numbers),
        "missing": missing,
        "mean": mean,
        "stdev": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "min": numbers[0],
        "q1": _quantile(numbers, 0.25),
        "median": _quantile(numbers, 0.5),
        "q3": _quantile(numbers, 0.75),
        "max": numbers[-1],
    }


def _quantile(numbers: list[float], share: float) -> float:
    position = (len(numbers) - 1) * share
    below = math.floor(position)
    weight = position - below
    if weight == 0:
        return numbers[below]
    return numbers[below] * (1 - weight) + numbers[below + 1] * weight
