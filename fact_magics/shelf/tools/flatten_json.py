# kind: json
# aliases: flatten_dict, flatten_dictionary, flatten_nested_dict, dotted_keys, flatten_record
# needs: flatten, flattened, flattening, unnest, collapse, flat, dotted, dot+notation
# needs: json, dict, dictionary, object, mapping, response, payload, config, configuration
# gives: flat, flattened, dotted, dot, one, single, dict, dictionary, level, key
# unlike: into a nested, to a nested, into nested, nest a, list of dict, list of dictionary, list of object,
#   list of list, dicts into one, merge, set a value, set the value, set a key, set a nested, all keys of,
#   list all key, list the key, all paths, keys of a nested
# words: turn, convert, transform, make, nested, nesting, deeply, deep, structure, key, keys, dots, path,
#   paths, separator, separated, notation, list, lists, index, indices, indexes, array, arrays, level,
#   levels, data, value, response, api, arbitrary, arbitrarily, join, joined, inside, whose, document,
#   payload, by, names, config, with

from typing import Any


def flatten_json(
    data: dict[str, Any] | list[Any], *, sep: str = ".", keep_lists: bool = False
) -> dict[str, Any]:
    """Flatten nested JSON data into one dict with dotted keys.

    Parameters
    ----------
    data : dict or list
        The value that ``json.loads`` returns, nested to any depth.
    sep : str
        The text between the parts of a key.
    keep_lists : bool
        Whether to keep lists whole. By default, the index of each item becomes a part of its key.

    Returns
    -------
    dict
        Each value that is not a dict or list, with its path as the key, in the order of `data`. Empty
        dicts and lists are kept as values, so nothing is lost.

    Raises
    ------
    ValueError
        If two values would get the same key, or `sep` is empty.

    Examples
    --------
    >>> flatten_json({"id": 7, "user": {"name": "Ada", "tags": ["x", "y"]}})
    {'id': 7, 'user.name': 'Ada', 'user.tags.0': 'x', 'user.tags.1': 'y'}

    >>> flatten_json({"user": {"tags": ["x", "y"]}}, sep="/", keep_lists=True)
    {'user/tags': ['x', 'y']}

    >>> flatten_json({"a": {}, "b": [], "c": None})
    {'a': {}, 'b': [], 'c': None}

    >>> flatten_json([{"a": 1}, {"a": 2}])
    {'0.a': 1, '1.a': 2}

    >>> flatten_json({"a.b": 1, "a": {"b": 2}})
    Traceback (most recent call last):
    ValueError: two values would get the key 'a.b'; choose another sep

    >>> flatten_json({"a": {"b": 1}}, sep="")
    Traceback (most recent call last):
    ValueError: sep must not be empty

    >>> flatten_json([], sep="/")
    {}

    >>> flatten_json({"x": [[1], []], "": {"y": 2}})
    {'x.0.0': 1, 'x.1': [], '.y': 2}

    >>> flatten_json([[1, 2]], keep_lists=True)
    {'0': [1, 2]}

    Tags: json, dict, keys
    """
    if not sep:
        raise ValueError("sep must not be empty")
    flat: dict[str, Any] = {}
    # A stack instead of recursion, so that any depth of nesting works.
    waiting: list[tuple[str, Any, bool]] = [("", data, True)]
    while waiting:
        path, value, top = waiting.pop()
        below: list[tuple[str, Any]] = []
        if isinstance(value, dict):
            below = [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list) and (top or not keep_lists):
            below = [(str(index), item) for index, item in enumerate(value)]
        if below:
            prefix = "" if top else path + sep
            waiting.extend((prefix + key, item, False) for key, item in reversed(below))
        elif not top:
            if path in flat:
                raise ValueError(f"two values would get the key {path!r}; choose another sep")
            flat[path] = value
    return flat
