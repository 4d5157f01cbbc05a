"""Small problems with lists: each function is a solution, its docstring the contract, `hidden` further calls."""


def running_total(values: list[int]) -> list[int]:
    """Return the sums so far.

    >>> running_total([1, 2, 3])
    [1, 3, 6]

    >>> running_total([5])
    [5]
    """
    total, totals = 0, []
    for value in values:
        total += value
        totals.append(total)
    return totals


running_total.hidden = [([],), ([0, 0],), ([-1, 1],), ([10, -5, 2],)]


def second_largest(values: list[int]) -> int:
    """Return the second largest distinct value.

    >>> second_largest([1, 3, 2])
    2

    >>> second_largest([5, 5, 4])
    4
    """
    distinct = sorted(set(values))
    if len(distinct) < 2:
        raise ValueError("there are too few values")
    return distinct[-2]


second_largest.hidden = [([],), ([1],), ([1, 1],), ([1, 2],), ([9, 8, 7, 6],), ([-1, -2, -3],)]


def chunk(values: list[int], size: int) -> list[list[int]]:
    """Split a list into pieces of a size; the last one may be shorter.

    >>> chunk([1, 2, 3, 4], 2)
    [[1, 2], [3, 4]]

    >>> chunk([], 3)
    []
    """
    if size <= 0:
        raise ValueError("size must be positive")
    return [values[start : start + size] for start in range(0, len(values), size)]


chunk.hidden = [([1, 2, 3], 2), ([1], 1), ([1, 2], 5), ([1], 0), ([1], -1), ([1, 2, 3, 4, 5], 2)]


def unique(values: list[str]) -> list[str]:
    """Remove repeated values; the first ones stay, in their order.

    >>> unique(["b", "a", "b"])
    ['b', 'a']

    >>> unique([])
    []
    """
    seen = []
    for value in values:
        if value not in seen:
            seen.append(value)
    return seen


unique.hidden = [(["a"],), (["a", "a"],), (["c", "b", "a"],), (["a", "b", "a", "c", "b"],), (["A", "a"],)]


def below_threshold(values: list[int], limit: int) -> bool:
    """Tell whether all values are below a limit.

    >>> below_threshold([1, 2, 4], 100)
    True

    >>> below_threshold([1, 20, 4], 5)
    False
    """
    return all(value < limit for value in values)


below_threshold.hidden = [([], 0), ([5], 5), ([4], 5), ([6], 5), ([5, 5], 6), ([-1], 0)]


def flatten(nested: list[list[int]]) -> list[int]:
    """Join the inner lists.

    >>> flatten([[1, 2], [3]])
    [1, 2, 3]

    >>> flatten([])
    []
    """
    return [item for inner in nested for item in inner]


flatten.hidden = [([[]],), ([[1], [], [2]],), ([[3, 2], [1]],)]


def rotate(values: list[int], steps: int) -> list[int]:
    """Move the last items to the front, so many steps.

    >>> rotate([1, 2, 3, 4], 1)
    [4, 1, 2, 3]

    >>> rotate([], 3)
    []
    """
    if not values:
        return []
    steps %= len(values)
    return values[-steps:] + values[:-steps] if steps else list(values)


rotate.hidden = [([1, 2, 3], 0), ([1, 2, 3], 3), ([1, 2, 3], 4), ([1, 2, 3], -1), ([1], 5), ([1, 2], 1)]


def longest(words: list[str]) -> str:
    """Return the longest word, the first of several; "" if there is none.

    >>> longest(["a", "abc", "ab"])
    'abc'

    >>> longest([])
    ''
    """
    found = ""
    for word in words:
        if len(word) > len(found):
            found = word
    return found


longest.hidden = [(["a", "b"],), (["ab", "cd", "e"],), ([""],), (["x"],), (["a", "bb", "cc"],)]


def count_pairs(values: list[int], target: int) -> int:
    """Count the pairs of places whose values add up to a target.

    >>> count_pairs([1, 2, 3, 4], 5)
    2

    >>> count_pairs([1, 1], 3)
    0
    """
    count = 0
    for first in range(len(values)):
        for second in range(first + 1, len(values)):
            if values[first] + values[second] == target:
                count += 1
    return count


count_pairs.hidden = [
    ([], 0),
    ([1], 2),
    ([1, 1, 1], 2),
    ([0, 0], 0),
    ([-1, 1, 0], 0),
    ([2, 2], 4),
    ([3, 1, 2], 3),
]


def is_sorted(values: list[int]) -> bool:
    """Tell whether values never decrease.

    >>> is_sorted([1, 2, 3])
    True

    >>> is_sorted([3, 1])
    False
    """
    return all(values[index] <= values[index + 1] for index in range(len(values) - 1))


is_sorted.hidden = [([],), ([1],), ([1, 1],), ([1, 2, 1],), ([2, 1, 3],), ([1, 2, 2, 3],)]


def remove_outliers(values: list[float], limit: float = 2.0) -> list[float]:
    """Keep the values that are at most `limit` from the mean.

    >>> remove_outliers([1.0, 2.0, 3.0])
    [1.0, 2.0, 3.0]

    >>> remove_outliers([0.0, 0.0, 9.0], 3.0)
    [0.0, 0.0]
    """
    if not values:
        return []
    mean = sum(values) / len(values)
    return [value for value in values if abs(value - mean) <= limit]


remove_outliers.hidden = [
    ([],),
    ([5.0],),
    ([0.0, 4.0],),
    ([0.0, 4.1],),
    ([0.0, 10.0], 5.0),
    ([0.0, 10.0], 4.9),
    ([1.0, 1.0, 7.0],),
]


def merge_sorted(first: list[int], second: list[int]) -> list[int]:
    """Merge two sorted lists.

    >>> merge_sorted([1, 3], [2])
    [1, 2, 3]

    >>> merge_sorted([], [4])
    [4]
    """
    merged, left, right = [], 0, 0
    while left < len(first) and right < len(second):
        if first[left] <= second[right]:
            merged.append(first[left])
            left += 1
        else:
            merged.append(second[right])
            right += 1
    return merged + first[left:] + second[right:]


merge_sorted.hidden = [
    ([], []),
    ([1], []),
    ([1, 1], [1]),
    ([1, 2], [3, 4]),
    ([5], [1, 2]),
    ([1, 4, 9], [2, 3, 10]),
]


def every_nth(values: list[int], n: int = 2) -> list[int]:
    """Keep every n-th value, beginning with the first.

    >>> every_nth([1, 2, 3, 4, 5])
    [1, 3, 5]

    >>> every_nth([1, 2, 3, 4], 3)
    [1, 4]
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    return values[::n]


every_nth.hidden = [([], 2), ([1], 1), ([1, 2, 3], 1), ([1, 2, 3], 0), ([1, 2], -1), ([1, 2], 5)]


def pad(values: list[int], size: int, filler: int = 0) -> list[int]:
    """Add fillers until a list has a size.

    >>> pad([1, 2], 4)
    [1, 2, 0, 0]

    >>> pad([1], 2, 9)
    [1, 9]
    """
    return values + [filler] * (size - len(values))


pad.hidden = [([], 0), ([], 2), ([1, 2, 3], 2), ([1], 1), ([1], 3), ([1], 3, 7)]


def peaks(values: list[int]) -> list[int]:
    """Return the inner values that are above both neighbours.

    >>> peaks([1, 3, 2])
    [3]

    >>> peaks([1, 2, 3])
    []
    """
    return [
        values[index]
        for index in range(1, len(values) - 1)
        if values[index] > values[index - 1] and values[index] > values[index + 1]
    ]


peaks.hidden = [
    ([],),
    ([1],),
    ([2, 2, 1],),
    ([1, 2, 2],),
    ([1, 5, 1, 5, 1],),
    ([3, 1, 2],),
    ([0, 9, 9, 0],),
    ([1, 2, 1, 0],),
]
