"""Small problems with dictionaries: each function is a solution, its docstring the contract, `hidden` further calls."""


def count_letters(text: str) -> dict[str, int]:
    """Count the letters, whatever their case.

    >>> count_letters("Aab")
    {'a': 2, 'b': 1}

    >>> count_letters("")
    {}
    """
    counts: dict[str, int] = {}
    for letter in text.lower():
        if letter.isalpha():
            counts[letter] = counts.get(letter, 0) + 1
    return counts


count_letters.hidden = [("a",), ("1 a",), ("abcABC",), ("zzz!",), ("?",)]


def invert(mapping: dict[str, str]) -> dict[str, str]:
    """Swap keys and values.

    >>> invert({"a": "x", "b": "y"})
    {'x': 'a', 'y': 'b'}

    >>> invert({})
    {}
    """
    return {value: key for key, value in mapping.items()}


invert.hidden = [({"a": "a"},), ({"a": "x", "b": "x"},), ({"k": "v"},)]


def total_price(prices: dict[str, float], cart: dict[str, int]) -> float:
    """Add up a cart; things without a price are refused.

    >>> total_price({"apple": 1.5, "pear": 2.0}, {"apple": 2})
    3.0

    >>> total_price({"apple": 1.5}, {"plum": 1})
    Traceback (most recent call last):
    ValueError
    """
    total = 0.0
    for name, count in cart.items():
        if name not in prices:
            raise ValueError(f"{name} has no price")
        total += prices[name] * count
    return round(total, 2)


total_price.hidden = [
    ({}, {}),
    ({"a": 1.0}, {}),
    ({"a": 0.333}, {"a": 3}),
    ({"a": 1.0, "b": 2.0}, {"a": 1, "b": 2}),
    ({"a": 2.0}, {"a": 0}),
]


def group_by_length(words: list[str]) -> dict[int, list[str]]:
    """Group words by their length.

    >>> group_by_length(["a", "bb", "c"])
    {1: ['a', 'c'], 2: ['bb']}

    >>> group_by_length([])
    {}
    """
    groups: dict[int, list[str]] = {}
    for word in words:
        groups.setdefault(len(word), []).append(word)
    return groups


group_by_length.hidden = [([""],), (["ab", "ab"],), (["x", "yyy", "zz"],)]


def keep_above(scores: dict[str, int], limit: int = 50) -> list[str]:
    """List the names with a score of at least a limit, the best first.

    >>> keep_above({"ann": 70, "bob": 40, "cid": 90})
    ['cid', 'ann']

    >>> keep_above({"ann": 5}, 10)
    []
    """
    kept = [name for name, score in scores.items() if score >= limit]
    return sorted(kept, key=lambda name: (-scores[name], name))


keep_above.hidden = [
    ({"a": 50},),
    ({"a": 49},),
    ({"b": 60, "a": 60},),
    ({},),
    ({"x": 10, "y": 11}, 10),
    ({"a": 51, "b": 99},),
]


def merge_counts(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Add up two counts; zeros are left out.

    >>> merge_counts({"a": 1}, {"a": 2, "b": 3})
    {'a': 3, 'b': 3}

    >>> merge_counts({"a": 1}, {"a": -1})
    {}
    """
    merged = dict(first)
    for key, count in second.items():
        merged[key] = merged.get(key, 0) + count
    return {key: count for key, count in merged.items() if count != 0}


merge_counts.hidden = [
    ({}, {}),
    ({"a": 0}, {}),
    ({"a": 2}, {"b": -2}),
    ({"a": -1}, {"a": -1}),
    ({}, {"z": 0}),
]


def best_key(scores: dict[str, int]) -> str:
    """Return the key with the highest value, the first in the alphabet of several.

    >>> best_key({"a": 1, "b": 3})
    'b'

    >>> best_key({})
    Traceback (most recent call last):
    ValueError
    """
    if not scores:
        raise ValueError("there are no scores")
    return min(scores, key=lambda key: (-scores[key], key))


best_key.hidden = [({"x": 0},), ({"b": 2, "a": 2},), ({"a": 2, "b": 2},), ({"a": -1, "b": -2},)]


def nested_get(data: dict[str, dict[str, int]], outer: str, inner: str, default: int = 0) -> int:
    """Look up a nested value.

    >>> nested_get({"a": {"b": 5}}, "a", "b")
    5

    >>> nested_get({}, "a", "b", 9)
    9
    """
    return data.get(outer, {}).get(inner, default)


nested_get.hidden = [
    ({"a": {}}, "a", "b"),
    ({"a": {"b": 1}}, "x", "b"),
    ({"a": {"b": 1}}, "a", "x", 3),
    ({}, "a", "b"),
]


def stock_after(stock: dict[str, int], sold: dict[str, int]) -> dict[str, int]:
    """Take what was sold from the stock; nothing falls below zero.

    >>> stock_after({"pen": 5}, {"pen": 2})
    {'pen': 3}

    >>> stock_after({"pen": 1}, {"pen": 4})
    {'pen': 0}
    """
    return {name: max(0, count - sold.get(name, 0)) for name, count in stock.items()}


stock_after.hidden = [({}, {"a": 1}), ({"a": 1}, {}), ({"a": 2}, {"a": 2}), ({"a": 3, "b": 4}, {"b": 1})]


def parse_pairs(text: str) -> dict[str, str]:
    """Read pairs such as "a=1;b=2".

    >>> parse_pairs("a=1;b=2")
    {'a': '1', 'b': '2'}

    >>> parse_pairs("")
    {}
    """
    pairs = {}
    for part in text.split(";"):
        if "=" in part:
            key, value = part.split("=", 1)
            pairs[key.strip()] = value.strip()
    return pairs


parse_pairs.hidden = [("a=",), ("=1",), ("a=1=2",), (" a = 1 ",), ("a;b=2",), ("a=1;;b=3",), ("a=1;a=2",)]


def average_by_key(rows: list[dict[str, float]]) -> dict[str, float]:
    """Average the values of each key over rows.

    >>> average_by_key([{"a": 1.0}, {"a": 3.0}])
    {'a': 2.0}

    >>> average_by_key([])
    {}
    """
    sums: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            sums.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in sums.items()}


average_by_key.hidden = [
    ([{}],),
    ([{"a": 1.0, "b": 2.0}],),
    ([{"a": 1.0}, {"b": 4.0}],),
    ([{"a": 1.0}, {"a": 2.0}, {"a": 6.0}],),
]
