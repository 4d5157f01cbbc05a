# kind: json
# aliases: diff_json, compare_json, dict_diff, diff_dicts, compare_dicts, json_compare, json_differences
# needs: compare, diff, difference, differences, changed, changes, differ, differs
# needs: json, dict, dicts, dictionary, dictionaries, object, objects, config, configs, configuration,
#   response
# unlike: file path, file paths
# words: two, document, documents, nested, structure, structures, data, path, paths, before, after, added,
#   removed, change, between, old, new, value, values, key, keys, version, versions, list, deep, deeply,
#   first, second, pointer, state, states, show, find, report, tell, recursively, recursive, item, items,
#   each, one, other, another, what, response, responses, config, configs, every, all, detect, which,
#   parsed, already, files, file

import json
from difflib import SequenceMatcher
from typing import Any


def json_diff(before: Any, after: Any) -> list[dict[str, Any]]:
    """List the changes between two JSON documents: added, removed and changed values, by path.

    An item inserted into a list, or removed from it, is one change; the items after it count as unchanged.
    As in JSON, 1 and 1.0 are the same number, true is not a number, and the order of keys is ignored.

    Parameters
    ----------
    before, after : any JSON data
        Values as ``json.loads`` returns them: dicts, lists, text, numbers, booleans and None.

    Returns
    -------
    list of dict
        One dict for each change. ``path`` is a JSON Pointer such as ``/users/0/name``, or empty text for the
        whole document. ``change`` is ``added``, ``removed`` or ``changed``. ``before`` and ``after`` are the
        old and the new value, if there is one. The index of a removed item refers to `before`, all other
        indexes to `after`.

    Examples
    --------
    >>> json_diff({"name": "Ada", "age": 36}, {"name": "Ada", "age": 37})
    [{'path': '/age', 'change': 'changed', 'before': 36, 'after': 37}]

    >>> json_diff({"a": 1, "b": 2}, {"b": 2.0, "c": 3})
    [{'path': '/a', 'change': 'removed', 'before': 1}, {'path': '/c', 'change': 'added', 'after': 3}]

    >>> json_diff({"tags": ["x", "y"]}, {"tags": ["new", "x", "y"]})
    [{'path': '/tags/0', 'change': 'added', 'after': 'new'}]

    >>> json_diff([{"id": 1, "on": True}], [{"id": 1, "on": 1}])
    [{'path': '/0/on', 'change': 'changed', 'before': True, 'after': 1}]

    >>> json_diff({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})
    []

    >>> json_diff({"a/b": {"~": 1}}, {"a/b": {"~": 2}})
    [{'path': '/a~1b/~0', 'change': 'changed', 'before': 1, 'after': 2}]

    >>> json_diff(1, 2)
    [{'path': '', 'change': 'changed', 'before': 1, 'after': 2}]

    >>> json_diff({"a": 1}, [1])
    [{'path': '', 'change': 'changed', 'before': {'a': 1}, 'after': [1]}]

    >>> json_diff([1], {"a": 1})
    [{'path': '', 'change': 'changed', 'before': [1], 'after': {'a': 1}}]

    >>> json_diff([1, 2, 3], [1, 3])
    [{'path': '/1', 'change': 'removed', 'before': 2}]

    >>> json_diff([1, 2, 3, 4], [0, 2, 3, 5, 6])
    [{'path': '/0', 'change': 'changed', 'before': 1, 'after': 0}, {'path': '/3', 'change': 'changed', 'before': 4, 'after': 5}, {'path': '/4', 'change': 'added', 'after': 6}]

    >>> json_diff([{"x": 1}, {"y": 2}, 9], [{"x": 2}, {"y": 3}, 9])
    [{'path': '/0/x', 'change': 'changed', 'before': 1, 'after': 2}, {'path': '/1/y', 'change': 'changed', 'before': 2, 'after': 3}]

    >>> json_diff([1, 1], [1])
    [{'path': '/1', 'change': 'removed', 'before': 1}]

    >>> json_diff([{"b": 1, "a": [1.0]}], [{"a": [1], "b": 1}])
    []

    >>> json_diff(1.5, 1)
    [{'path': '', 'change': 'changed', 'before': 1.5, 'after': 1}]

    >>> json_diff(["a", "b", "c", "d"], ["d", "a"])
    [{'path': '/0', 'change': 'added', 'after': 'd'}, {'path': '/1', 'change': 'removed', 'before': 'b'}, {'path': '/2', 'change': 'removed', 'before': 'c'}, {'path': '/3', 'change': 'removed', 'before': 'd'}]

    >>> json_diff([7, 1, 2, 8, 9], [7, 3, 9])
    [{'path': '/1', 'change': 'changed', 'before': 1, 'after': 3}, {'path': '/2', 'change': 'removed', 'before': 2}, {'path': '/3', 'change': 'removed', 'before': 8}]

    >>> json_diff([0, [1, 2], 5], [0, 5, 6])
    [{'path': '/1', 'change': 'removed', 'before': [1, 2]}, {'path': '/2', 'change': 'added', 'after': 6}]

    >>> json_diff([1], [1, 2])
    [{'path': '/1', 'change': 'added', 'after': 2}]

    >>> json_diff([{"a": 1.0}, {"a": 2}], [{"a": 9}, {"a": 1}, {"a": 2.0}])
    [{'path': '/0', 'change': 'added', 'after': {'a': 9}}]

    >>> json_diff([[1.0], [2]], [[9], [1], [2]])
    [{'path': '/0', 'change': 'added', 'after': [9]}]

    >>> json_diff([{"a": 1, "b": 2}], [{"z": 0}, {"b": 2, "a": 1}])
    [{'path': '/0', 'change': 'added', 'after': {'z': 0}}]

    >>> json_diff([1, 2, 3], [1, 3, 1, 3])
    [{'path': '/1', 'change': 'changed', 'before': 2, 'after': 3}, {'path': '/2', 'change': 'added', 'after': 1}]

    >>> json_diff([[1], [2], [1], [2]], [[9], [1], [2]])
    [{'path': '/0/0', 'change': 'changed', 'before': 1, 'after': 9}, {'path': '/1', 'change': 'removed', 'before': [2]}]

    Tags: json, dict, compare
    """
    changes: list[dict[str, Any]] = []
    _compare("", before, after, changes)
    return changes


def _compare(path: str, before: Any, after: Any, changes: list[dict[str, Any]]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            below = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                changes.append({"path": below, "change": "removed", "before": before[key]})
            elif key not in before:
                changes.append({"path": below, "change": "added", "after": after[key]})
            else:
                _compare(below, before[key], after[key], changes)
    elif isinstance(before, list) and isinstance(after, list):
        _compare_lists(path, before, after, changes)
    elif _identity(before) != _identity(after):
        changes.append({"path": path, "change": "changed", "before": before, "after": after})


def _compare_lists(path: str, before: list[Any], after: list[Any], changes: list[dict[str, Any]]) -> None:
    olds, news = [_identity(item) for item in before], [_identity(item) for item in after]
    start = 0
    while start < min(len(olds), len(news)) and olds[start] == news[start]:
        start += 1
    end = 0
    while end < min(len(olds), len(news)) - start and olds[-1 - end] == news[-1 - end]:
        end += 1
    olds, news = olds[start : len(olds) - end], news[start : len(news) - end]
    # Alignment takes quadratic time or worse, so larger lists are compared index by index.
    if len(olds) * len(news) > 1_000_000:
        steps = [("replace", 0, len(olds), 0, len(news))]
    else:
        steps = list(SequenceMatcher(None, olds, news, autojunk=False).get_opcodes())
    for step, old, old_end, new, new_end in steps:
        if step == "equal":
            continue
        paired = min(old_end - old, new_end - new)
        for offset in range(paired):
            at = start + new + offset
            _compare(f"{path}/{at}", before[start + old + offset], after[at], changes)
        gone = range(start + old + paired, start + old_end)
        come = range(start + new + paired, start + new_end)
        changes += [{"path": f"{path}/{at}", "change": "removed", "before": before[at]} for at in gone]
        changes += [{"path": f"{path}/{at}", "change": "added", "after": after[at]} for at in come]


def _identity(value: Any) -> str:
    """Return a text that is the same for equal JSON data, and different otherwise."""
    return json.dumps(_plain(value), sort_keys=True, default=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
