# kind: csv
# aliases: parse_csv, csv_to_dicts, parse_tsv, csv_to_dict, csv_rows, csv_parser
# needs: csv, tsv, delimited, comma+separated, tab+separated, semicolon+separated
# needs: record, dict, dicts, dictionary, dictionaries, row, rows, object, objects, parse, parser,
#   read+header
# gives: record, records, dict, dicts, dictionary, dictionaries, row, rows, object, objects
# unlike: to csv, into csv, to tsv, into tsv, the first, the last
# words: parse, read, load, convert, turn, transform, split, text, string, content, contents, data, list,
#   header, headers, column, columns, field, fields, key, keys, quoted, quotes, quoting, quote, delimiter,
#   delimiters, separator, comma, commas, semicolon, semicolons, tab, tabs, pipe, sniff, sniffing, detect,
#   detected, detection, guess, automatic, automatically, type, types, typed, first, line, newlines,
#   embedded, bom, excel, per, each, one, names, table, separated, inside, keyed, handle, unknown, any,
#   numbers

import csv
import io
import re
from collections import Counter
from typing import Any

_DELIMITERS = ",;\t|"
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def csv_to_records(text: str, *, delimiter: str | None = None, types: bool = False) -> list[dict[str, Any]]:
    r"""Parse CSV text into a list of dicts, one for each row, with the header's names as keys.

    The delimiter is detected. Quoted fields may contain delimiters, quotes and line breaks. A
    byte-order mark, Excel's ``sep=`` line and empty lines are skipped.

    Parameters
    ----------
    text : str
        The file's content. Its first row names the columns. In the third column, a missing name
        becomes ``column_3``; a repeated ``name`` becomes ``name_2``.
    delimiter : str or None
        One character, or None to detect a comma, semicolon, tab or ``|``.
    types : bool
        Whether to convert columns to int, float or bool, with None for empty fields. A column with
        any other field, or with leading zeros (a postcode), stays text. By default, every field is text.

    Returns
    -------
    list of dict
        The rows in order. A row that is too short is filled with empty fields.

    Raises
    ------
    ValueError
        If a row has more fields than the header, a quote is not closed, the delimiter is unusable, or `text`
        looks like the name of a file.

    Examples
    --------
    >>> csv_to_records("name,city\nAda,London\nGrace,New York\n")
    [{'name': 'Ada', 'city': 'London'}, {'name': 'Grace', 'city': 'New York'}]

    >>> csv_to_records("name;price\n\"Nuts; mixed\";2,50\n\"5\"\" pipe\";3,10\n")
    [{'name': 'Nuts; mixed', 'price': '2,50'}, {'name': '5" pipe', 'price': '3,10'}]

    >>> csv_to_records("id,postcode,price,sold\n1,01067,2.5,true\n2,04109,,false", types=True)
    [{'id': 1, 'postcode': '01067', 'price': 2.5, 'sold': True}, {'id': 2, 'postcode': '04109', 'price': None, 'sold': False}]

    >>> csv_to_records("a,b\n1,2,3")
    Traceback (most recent call last):
    ValueError: line 2 has 3 fields, but the header has 2

    >>> csv_to_records("")
    []

    >>> csv_to_records("\ufeffsep=;\r\na;b\r\n1,5;2\r\n")
    [{'a': '1,5', 'b': '2'}]

    >>> csv_to_records("SEP=|\nx,y|z\n1,2|3\n")
    [{'x,y': '1,2', 'z': '3'}]

    >>> csv_to_records("sep=,\na;b,c\n1;2,3", delimiter=";")
    [{'a': '1', 'b,c': '2,3'}]

    >>> csv_to_records("data.csv")
    Traceback (most recent call last):
    ValueError: 'data.csv' looks like the name of a file; pass the file's content

    >>> csv_to_records("DATA.TSV\n")
    Traceback (most recent call last):
    ValueError: 'DATA.TSV' looks like the name of a file; pass the file's content

    >>> csv_to_records("a,b", delimiter=";;")
    Traceback (most recent call last):
    ValueError: delimiter=';;' is not one character that can separate fields

    >>> csv_to_records("a,b", delimiter='"')
    Traceback (most recent call last):
    ValueError: delimiter='"' is not one character that can separate fields

    >>> csv_to_records("a,b\n\"x,2")
    Traceback (most recent call last):
    ValueError: line 2 is not CSV: unexpected end of data

    >>> csv_to_records(" a ,b,,\n1,2,,\n\n , \n3\n")
    [{'a': '1', 'b': '2'}, {'a': '3', 'b': ''}]

    >>> csv_to_records("a,,a,a_2,a\n1,2,3,4,5")
    [{'a': '1', 'column_2': '2', 'a_3': '3', 'a_2': '4', 'a_4': '5'}]

    >>> csv_to_records("x,y,z,w,v\n1,1.5,TRUE,,1\n,x,false,,2.5\n 2 ,-1e3,,,\n", types=True)
    [{'x': 1, 'y': '1.5', 'z': True, 'w': None, 'v': 1.0}, {'x': None, 'y': 'x', 'z': False, 'w': None, 'v': 2.5}, {'x': 2, 'y': '-1e3', 'z': None, 'w': None, 'v': None}]

    >>> csv_to_records("ok,none\ntrue,\nFALSE,\nTrue,", types=True)
    [{'ok': True, 'none': None}, {'ok': False, 'none': None}, {'ok': True, 'none': None}]

    >>> csv_to_records("ok\ntrue\nx", types=True)
    [{'ok': 'true'}, {'ok': 'x'}]

    >>> csv_to_records("a|b;c\n1|2;3\n4|5;6|7\n")
    [{'a|b': '1|2', 'c': '3'}, {'a|b': '4|5', 'c': '6|7'}]

    >>> csv_to_records("name\nAda\n")
    [{'name': 'Ada'}]

    >>> csv_to_records("a,b\n\"x\ny\",2\n1,2,3")
    Traceback (most recent call last):
    ValueError: line 4 has 3 fields, but the header has 2

    >>> csv_to_records("a\tb\n\"1\r\n2\"\t3")
    [{'a': '1\r\n2', 'b': '3'}]

    >>> csv_to_records("x,y\na,1\n,2", types=True)
    [{'x': 'a', 'y': 1}, {'x': None, 'y': 2}]

    >>> csv_to_records("a,b\n1,2, \n")
    [{'a': '1', 'b': '2'}]

    >>> csv_to_records("a,b\n1,2,,,\n")
    [{'a': '1', 'b': '2'}]

    >>> csv_to_records("a,a\n1,2")
    [{'a': '1', 'a_2': '2'}]

    >>> csv_to_records("a,b,c;d\n1,2,3;4\n")
    [{'a': '1', 'b': '2', 'c;d': '3;4'}]

    >>> csv_to_records("a,b\n1;2;3,4\n5;6;7,8\n9;1,2\n")
    [{'a': '1;2;3', 'b': '4'}, {'a': '5;6;7', 'b': '8'}, {'a': '9;1', 'b': '2'}]

    >>> csv_to_records("a;b\nsep=,\n1;2")
    [{'a': 'sep=,', 'b': ''}, {'a': '1', 'b': '2'}]

    >>> csv_to_records("a,b\n1, \n")
    [{'a': '1', 'b': ' '}]

    >>> csv_to_records("notes.txt\nok\n")
    [{'notes.txt': 'ok'}]

    >>> csv_to_records("a;b;c,d\n1,2\n3,4")
    [{'a;b;c': '1', 'd': '2'}, {'a;b;c': '3', 'd': '4'}]

    >>> csv_to_records("", delimiter="\n")
    Traceback (most recent call last):
    ValueError: delimiter='\n' is not one character that can separate fields

    >>> csv_to_records("\r\ra;b\r1;2\r")
    [{'a': '1', 'b': '2'}]

    >>> csv_to_records("a,b;x;y\n1,2;3;4\n5,6\n7")
    [{'a': '1', 'b;x;y': '2;3;4'}, {'a': '5', 'b;x;y': '6'}, {'a': '7', 'b;x;y': ''}]

    Tags: csv, parsing, tables
    """
    text = text.removeprefix("\ufeff")
    if re.fullmatch(r"\S[^\r\n,;|]*\.(?:csv|tsv|txt)\s*", text, re.IGNORECASE):
        raise ValueError(f"{text.strip()!r} looks like the name of a file; pass the file's content")
    if hint := re.match(r"sep=(.)\r?\n", text, re.IGNORECASE):
        text = text[hint.end() :]
        delimiter = delimiter or hint[1]
    if delimiter is None:
        delimiter = _likeliest(text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(f"delimiter={delimiter!r} is not one character that can separate fields")
    rows = _rows(text, delimiter)
    if not rows:
        return []
    names = _names(rows[0][1])
    table = [_fitted(line, row, len(names)) for line, row in rows[1:]]
    if types:
        columns = [_typed([row[index] for row in table]) for index in range(len(names))]
        return [
            {name: column[at] for name, column in zip(names, columns, strict=True)}
            for at in range(len(table))
        ]
    return [dict(zip(names, row, strict=True)) for row in table]


def _rows(text: str, delimiter: str, limit: int | None = None) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the line on which it ends."""
    rows: list[tuple[int, list[str]]] = []
    usual = csv.field_size_limit(max(len(text), 1))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                rows.append((reader.line_num, row))
            if limit is not None and len(rows) == limit:
                break
    except csv.Error as problem:
        raise ValueError(f"line {reader.line_num} is not CSV: {problem}") from None
    finally:
        csv.field_size_limit(usual)
    return rows


def _likeliest(text: str) -> str:
    """Return the delimiter that splits the first rows most evenly; in a tie, the one with the most columns."""
    scores: dict[str, tuple[float, int]] = {}
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(row) for _, row in _rows(text, delimiter, limit=50))
        except ValueError:
            continue
        width, count = widths.most_common(1)[0] if widths else (1, 1)
        if width > 1:
            scores[delimiter] = (count / widths.total(), width)
    return max(scores, key=lambda delimiter: scores[delimiter]) if scores else ","


def _names(header: list[str]) -> list[str]:
    stripped = [name.strip() for name in header]
    while stripped and not stripped[-1]:
        stripped.pop()
    names: list[str] = []
    for position, name in enumerate(stripped, start=1):
        base = name or f"column_{position}"
        unused, again = base, 2
        while unused in names or (unused != base and unused in stripped):
            unused, again = f"{base}_{again}", again + 1
        names.append(unused)
    return names


def _fitted(line: int, row: list[str], width: int) -> list[str]:
    while len(row) > width and not row[-1].strip():
        row = row[:-1]
    if len(row) > width:
        raise ValueError(f"line {line} has {len(row)} fields, but the header has {width}")
    return row + [""] * (width - len(row))


def _typed(column: list[str]) -> list[Any]:
    fields = [field.strip() for field in column]
    held = [field for field in fields if field]
    if all(_WHOLE.fullmatch(field) for field in held):
        return [int(field) if field else None for field in fields]
    if all(_DECIMAL.fullmatch(field) for field in held):
        return [float(field) if field else None for field in fields]
    if all(field.casefold() in ("true", "false") for field in held):
        return [field.casefold() == "true" if field else None for field in fields]
    return [field or None for field in column]
