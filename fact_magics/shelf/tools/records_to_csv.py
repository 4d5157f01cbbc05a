# kind: csv
# aliases: to_csv, dicts_to_csv, write_csv, csv_from_records, rows_to_csv, dict_to_csv, csv_text,
#   list_to_csv, export_csv
# needs: csv, comma+separated
# needs: record, records, dict, dicts, dictionary, dictionaries, row, rows, object, objects
# gives: csv, comma+separated
# unlike: csv to, csv into, csv text to, csv text into, from csv, from a csv, csv string into,
#   csv string to, parse csv, read csv, csv file, csv content, csv and, rows from, rows in, rows of a csv,
#   json string, nested
# words: convert, turn, write, make, transform, serialize, serialise, export, format, produce, create,
#   generate, dump, list, text, string, header, headers, column, columns, names, keys, key, field, fields,
#   first, line, delimiter, separator, semicolon, quoting, quoted, quote, quotes, missing, values, value,
#   empty, table, python, data, as, escape, escaping, comma, commas, separated, union, same, whose, output,
#   each, per, spreadsheet

import csv
import io
from typing import Any


def records_to_csv(records: list[dict[str, Any]], *, delimiter: str = ",") -> str:
    r"""Write a list of dicts as CSV text, with a header and one line for each dict.

    Fields that contain the delimiter, quotes or line breaks are quoted.

    Parameters
    ----------
    records : list of dict
        The rows. The columns are all keys, in the order in which they first appear.
    delimiter : str
        The character between fields, such as ``;`` or a tab.

    Returns
    -------
    str
        The CSV text; each line ends with a newline. None and missing values become empty fields. Without
        records, the text is empty.

    Raises
    ------
    ValueError
        If `delimiter` is not one character that can separate fields.

    Examples
    --------
    >>> records_to_csv([{"name": "Ada", "born": 1815}, {"name": "Grace", "born": 1906}])
    'name,born\nAda,1815\nGrace,1906\n'

    >>> records_to_csv([{"a": 1}, {"b": None, "a": 2}, {"b": True}])
    'a,b\n1,\n2,\n,True\n'

    >>> records_to_csv([{"x": "1;5", "y": 'say "hi" to', "z": "two\nlines", "w": "a,b"}], delimiter=";")
    'x;y;z;w\n"1;5";"say ""hi"" to";"two\nlines";a,b\n'

    >>> records_to_csv([])
    ''

    >>> records_to_csv([{"a": 1}], delimiter=";;")
    Traceback (most recent call last):
    ValueError: delimiter=';;' is not one character that can separate fields

    >>> records_to_csv([{"a": 1}], delimiter='"')
    Traceback (most recent call last):
    ValueError: delimiter='"' is not one character that can separate fields

    >>> records_to_csv([], delimiter="\n")
    Traceback (most recent call last):
    ValueError: delimiter='\n' is not one character that can separate fields

    Tags: csv, tables, writing
    """
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(f"delimiter={delimiter!r} is not one character that can separate fields")
    columns = list(dict.fromkeys(key for record in records for key in record))
    if not columns:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
