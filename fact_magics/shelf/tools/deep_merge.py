# kind: json
# aliases: merge_dicts, merge_dict, dict_merge, merge_json, recursive_merge, merge_config, deep_update,
#   json_merge
# needs: merge, merges, merging, deep+update, combine+dictionaries, combine+dicts, combine+dict,
#   combine+json, combine+config, combine+nested, update+recursively
# needs: dict, dicts, dictionary, dictionaries, json, object, objects, config, configs, configuration,
#   settings
# unlike: list of dict, lists of dict, list of dictionary, two list, two lists, csv, dataframe, sum,
#   adding up, files, on a key, by key, branch, patch, conflict
# words: merge, merging, deep, deeply, two, nested, recursive, recursively, second, first, override,
#   overrides, overriding, overwrite, overwrites, default, defaults, base, update, into, another, one,
#   other, combine, config, configs, configuration, settings, values, value, keys, key, win, wins, without,
#   changing, mutating, modifying, lists, replace, replaced, concatenate, append, precedence, takes, python,
#   conflicts, existing, together, user, objects, of, latter, later, priority, replacing, single

from typing import Any, Literal


def deep_merge(
    base: dict[str, Any], override: dict[str, Any], *, lists: Literal["replace", "append"] = "replace"
) -> dict[str, Any]:
    """Merge two nested dicts: dicts are merged key by key, and for other values the second dict wins.

    Parameters
    ----------
    base : dict
        The first dict, such as default settings.
    override : dict
        The second dict; its values replace those of `base`, None included.
    lists : {"replace", "append"}
        Whether a list replaces the list under the same key, or is appended to it.

    Returns
    -------
    dict
        A new dict, with the keys of `base` first. The two dicts are not changed.

    Examples
    --------
    >>> deep_merge({"db": {"host": "a", "port": 1}, "debug": False}, {"db": {"port": 2}, "log": "x"})
    {'db': {'host': 'a', 'port': 2}, 'debug': False, 'log': 'x'}

    >>> deep_merge({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": None}}})
    {'a': {'b': {'c': None, 'd': 2}}}

    >>> deep_merge({"a": {"b": 1}, "c": 2, "l": [1]}, {"a": 3, "c": {"d": 4}, "l": [2]})
    {'a': 3, 'c': {'d': 4}, 'l': [2]}

    >>> deep_merge({"a": {"l": [1, 2]}, "b": 1, "c": [3]}, {"a": {"l": [3]}, "b": [2], "c": 4}, lists="append")
    {'a': {'l': [1, 2, 3]}, 'b': [2], 'c': 4}

    >>> deep_merge({}, {})
    {}

    Tags: json, dict, merging
    """
    merged = base | override
    for key, value in override.items():
        before = base.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = deep_merge(before, value, lists=lists)
        elif lists == "append" and isinstance(before, list) and isinstance(value, list):
            merged[key] = before + value
    return merged
