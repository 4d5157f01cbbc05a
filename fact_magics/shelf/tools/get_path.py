# kind: json
# aliases: deep_get, nested_get, get_nested, get_by_path, json_get, dig, dict_get, json_path, lookup_path,
#   get_in
# needs: path, dotted, nested, deep, deeply, key+path, keys+path, keys+nested
# needs: get, look, lookup, fetch, read, retrieve, access, find, extract, pick, value+path, value+dotted,
#   value+nested, value+deep
# needs: json, dict, dictionary, object, data, structure, response, payload, config, nested, records
# needs: path, dotted, value+nested, value+deep, key+nested
# gives: value, default, item, path, dotted, key, nested, field
# unlike: set a value, all value, all the value, every value, list all, all path, all key, flatten, file,
#   files, directory, count, of each, for each, depth, into a nested, values of a key, paths to, path to a,
#   the path, shortest path, rename, delete, set the
# words: get, look, lookup, up, retrieve, access, read, fetch, extract, pick, find, value, nested, deeply,
#   deep, by, dotted, dot, separated, path, key, keys, json, dict, dictionary, object, structure, data,
#   list, lists, index, indices, default, missing, exist, exists, return, given, such, like, safely, safe,
#   notation, from, inside, if, using, field, at, none, without, error, keyerror, response, parsed,
#   document, item, string, with, in, found, api

import re
from typing import Any


def get_path(data: dict[str, Any] | list[Any], path: str, *, default: Any = None) -> Any:
    """Get a value from nested JSON data by a dotted path, such as users.0.name or users[0].name.

    Parameters
    ----------
    data : dict or list
        The value that ``json.loads`` returns, nested to any depth.
    path : str
        Keys and list indices, joined by dots; an index may also be written in brackets. Negative indices count
        from the end.
    default : any JSON data
        The result if the path does not exist.

    Returns
    -------
    any JSON data
        The value at the path, or `default`.

    Raises
    ------
    ValueError
        If the path is empty, or has an empty part.

    Examples
    --------
    >>> get_path({"users": [{"name": "Ada"}, {"name": "Grace"}]}, "users.1.name")
    'Grace'

    >>> get_path([[1, 2], [3, 4]], "[0][-1]")
    2

    >>> get_path({"a": {"b": None, "0": "zero"}}, "a.b", default="x")
    None

    >>> get_path({"a": {"0": "zero"}}, "a.0")
    'zero'

    >>> get_path({"a": {"b": 1}}, "a.b.c", default="none")
    'none'

    >>> get_path({"a": [5]}, "a.1", default=0)
    0

    >>> get_path({"a": [5]}, "a.first")
    None

    >>> get_path({"a": 1}, "a..b")
    Traceback (most recent call last):
    ValueError: the path 'a..b' has an empty part

    >>> get_path({"a": 1}, "")
    Traceback (most recent call last):
    ValueError: the path '' has an empty part

    >>> get_path({"a": "text"}, "a.0")
    None

    >>> get_path([[7, 8]], "0.-2")
    7

    >>> get_path({"a": 1}, "b")
    None

    >>> get_path({"a": 5}, "a.1", default=0)
    0

    >>> get_path([7, 8], "1st", default="none")
    'none'

    Tags: json, dict, path
    """
    parts = re.sub(r"\[(-?[0-9]+)\]", r".\1", path).removeprefix(".").split(".")
    if "" in parts:
        raise ValueError(f"the path {path!r} has an empty part")
    value: Any = data
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and re.fullmatch("-?[0-9]+", part):
            index = int(part)
            if not -len(value) <= index < len(value):
                return default
            value = value[index]
        else:
            return default
    return value
