# kind: csv
# aliases: to_markdown, records_to_markdown, md_table, to_markdown_table, dicts_to_markdown, format_table,
#   table_to_markdown
# needs: markdown, md
# needs: table, tables, tabular
# gives: markdown, table, md
# unlike: markdown table to, markdown table into, from markdown, from a markdown, parse markdown,
#   parse a markdown, html, read a markdown, markdown tables in, csv, sort, of contents, markdown table and
# words: convert, turn, make, format, render, write, create, generate, build, show, print, display, list,
#   dict, dicts, dictionary, dictionaries, record, records, row, rows, objects, data, text, string, github,
#   flavored, flavoured, header, headers, column, columns, align, aligned, alignment, right, numbers,
#   escape, escaping, pipes, pipe, as, readme, python, produce, one, per, keys, export, documentation,
#   value, values, formatted

from typing import Any


def markdown_table(records: list[dict[str, Any]]) -> str:
    r"""Write a list of dicts as a Markdown table, with numbers aligned to the right.

    Parameters
    ----------
    records : list of dict
        The rows. The columns are all keys, in the order in which they first appear.

    Returns
    -------
    str
        The lines of the table, without a newline at the end. None and missing values become empty cells. In
        cells, ``|`` is escaped and line breaks become ``<br>``.

    Raises
    ------
    ValueError
        If there are no columns.

    Examples
    --------
    >>> markdown_table([{"name": "Ada", "born": 1815}, {"name": "Grace", "born": 1906}])
    '| name | born |\n| --- | ---: |\n| Ada | 1815 |\n| Grace | 1906 |'

    >>> markdown_table([{"a": 1.5, "ok": True}, {"b|c": "x|y\nz", "ok": False}])
    '| a | ok | b\\|c |\n| --- | --- | --- |\n| 1.5 | True |  |\n|  | False | x\\|y<br>z |'

    >>> markdown_table([{"a": None, "b": 0.5}])
    '| a | b |\n| --- | ---: |\n|  | 0.5 |'

    >>> markdown_table([])
    Traceback (most recent call last):
    ValueError: there are no records with keys, so the table has no columns

    Tags: tables, markdown, writing
    """
    columns = list(dict.fromkeys(key for record in records for key in record))
    if not columns:
        raise ValueError("there are no records with keys, so the table has no columns")
    numeric = [all(type(record.get(column)) in (int, float) for record in records) for column in columns]
    rows = [[_cell(column) for column in columns], ["---:" if right else "---" for right in numeric]]
    rows += [[_cell(record.get(column)) for column in columns] for record in records]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: Any) -> str:
    return "" if value is None else "<br>".join(str(value).replace("|", "\\|").splitlines())
