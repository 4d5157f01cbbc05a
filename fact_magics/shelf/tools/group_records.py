# kind: json
# aliases: group_by, groupby, aggregate, aggregate_records, group_and_sum, sum_by, aggregate_by, group_sum,
#   group_aggregate
# needs: group, groups, grouped, grouping, groupby, per+category, aggregate, by+category, by+key, per+group,
#   each+group, each+category, for+category, by+field, by+column
# needs: record, records, dict, dicts, dictionary, dictionaries, row, rows, objects
# needs: aggregate, sum, mean, average, count, total, aggregation, minimum, maximum, min, max, group+by,
#   sums, aggregates, summing, totals, median
# gives: group, sum, total, aggregate, mean, average, count, record, dict, key, value, minimum, maximum,
#   median
# unlike: dataframe, consecutive, sql, group chat, into groups of, groups of n, csv, of a dict by
# words: group, grouped, grouping, list, by, key, column, field, aggregate, aggregated, aggregating, sum,
#   sums, summing, mean, average, count, total, totals, minimum, maximum, min, max, another, compute,
#   calculate, each, every, one, value, values, per, category, number, numbers, add, up, function, python,
#   like, simple, then, given, columns, take, groups, two, apply, pandas, for, numeric, choose, statistic,
#   median, of, with, over, same, records, sales, categories, fields, keys

import statistics
from collections.abc import Callable
from typing import Any, Literal

_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "mean": statistics.fmean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "count": len,
}


def group_records(
    records: list[dict[str, Any]],
    by: str,
    value: str,
    *,
    how: Literal["sum", "mean", "median", "min", "max", "count"] = "sum",
) -> list[dict[str, Any]]:
    """Group a list of dicts by one key, and aggregate the numbers under another key.

    Parameters
    ----------
    records : list of dict
        The rows. Those with None under `value` are left out.
    by : str
        The key to group by.
    value : str
        The key of the numbers.
    how : {"sum", "mean", "median", "min", "max", "count"}
        What to compute for each group.

    Returns
    -------
    list of dict
        One dict for each group, in the order in which the groups first appear, with the keys `by` and `value`.

    Raises
    ------
    ValueError
        If a record lacks one of the keys, a value is not a number, or a group's key is a list or dict.

    Examples
    --------
    >>> group_records([{"city": "Rome", "n": 1}, {"city": "Oslo", "n": 5}, {"city": "Rome", "n": 2}], "city", "n")
    [{'city': 'Rome', 'n': 3}, {'city': 'Oslo', 'n': 5}]

    >>> group_records([{"k": 1, "v": 4.0}, {"k": 1, "v": None}, {"k": 2, "v": None}, {"k": 1, "v": 1.0}], "k", "v", how="mean")
    [{'k': 1, 'v': 2.5}]

    >>> group_records([{"k": "a", "v": 1}, {"k": "a", "v": 2}, {"k": "a", "v": 9}], "k", "v", how="median")
    [{'k': 'a', 'v': 2}]

    >>> group_records([{"k": None, "v": 3}, {"k": None, "v": 7}], "k", "v", how="min")
    [{'k': None, 'v': 3}]

    >>> group_records([{"k": "a", "v": 3}, {"k": "a", "v": 7}], "k", "v", how="max")
    [{'k': 'a', 'v': 7}]

    >>> group_records([{"k": "a", "v": 3}, {"k": "a", "v": 7}], "k", "v", how="count")
    [{'k': 'a', 'v': 2}]

    >>> group_records([], "k", "v")
    []

    >>> group_records([{"k": 1, "v": 2}, {"k": 1}], "k", "v")
    Traceback (most recent call last):
    ValueError: record 2 has no key 'v'

    >>> group_records([{"k": 1, "v": "2"}], "k", "v")
    Traceback (most recent call last):
    ValueError: the value of record 1, '2', is not a number

    >>> group_records([{"k": [1], "v": 2}], "k", "v")
    Traceback (most recent call last):
    ValueError: record 1 can't be grouped by [1]

    Tags: records, grouping, statistics
    """
    groups: dict[Any, list[float]] = {}
    for number, record in enumerate(records, start=1):
        for key in (by, value):
            if key not in record:
                raise ValueError(f"record {number} has no key {key!r}")
        if type(record[by]) in (list, dict):
            raise ValueError(f"record {number} can't be grouped by {record[by]!r}")
        if record[value] is None:
            continue
        if type(record[value]) not in (int, float):
            raise ValueError(f"the value of record {number}, {record[value]!r}, is not a number")
        groups.setdefault(record[by], []).append(record[value])
    return [{by: group, value: _AGGREGATES[how](numbers)} for group, numbers in groups.items()]
