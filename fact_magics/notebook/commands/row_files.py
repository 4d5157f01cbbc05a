"""Write rows of the history to a file: JSON, JSON Lines, CSV or Parquet, as the file's name says."""

from __future__ import annotations

import csv
import io
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError
from fact_magics.notebook.commands.desk import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Rows = Sequence[dict[str, Any]]

# The files that --to writes without rows, and how they begin with rows.
_EMPTY = (b"", b"[]", b"kind\r\n")
_STARTS = {
    ".json": b'[\n  {\n    "kind": "',
    ".jsonl": b'{"kind": "',
    ".csv": b"kind,",
}


def write_rows(path: Path, rows: Rows, *, replace: bool) -> None:
    """Write rows to a file, in the format of its suffix; any other suffix means JSON.

    An existing file is replaced if it holds such rows in this format, or if `replace` is true. A Parquet
    file tells its columns at its end, so one of more than a megabyte is not recognised.

    Raises
    ------
    CellError
        The file holds something else or can't be written, or pyarrow is missing.
    """
    suffix = path.suffix.lower()
    suffix = {".ndjson": ".jsonl"}.get(suffix, suffix)
    content = _WRITERS.get(suffix, _json)(rows)
    start = _STARTS.get(suffix, _STARTS[".json"])

    def is_own(known: bytes) -> bool:
        return _is_own_parquet(known) if suffix == ".parquet" else known in _EMPTY or known.startswith(start)

    write_file(
        path, content, replace=replace, is_own=is_own, own="recognised as a list of rows from %fact history"
    )


def _json(rows: Rows) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _json_lines(rows: Rows) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _csv(rows: Rows) -> str:
    table = _columns(rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def _parquet(rows: Rows) -> bytes:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise CellError(
            "A .parquet file needs pyarrow, which is not installed.",
            hint="Run %pip install pyarrow, or name a .csv or .jsonl file.",
        ) from None
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(_columns(rows)), buffer)
    return buffer.getvalue()


def _is_own_parquet(known: bytes) -> bool:
    parquet, error = import_module("pyarrow.parquet"), import_module("pyarrow").ArrowException
    try:
        names: list[str] = parquet.read_schema(io.BytesIO(known)).names
    except (error, OSError):
        return False
    return names[:1] == ["kind"]


_WRITERS: dict[str, Callable[[Rows], str | bytes]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}


def _columns(rows: Rows) -> dict[str, list[Any]]:
    """Return a column for each name in any row; None stands where a row lacks it, and lists are JSON."""
    names = dict.fromkeys(name for row in rows for name in row) or {"kind": None}
    return {name: _of_one_type([_flat(row.get(name)) for row in rows]) for name in names}


def _flat(value: object) -> object:
    return json.dumps(value) if isinstance(value, tuple) else value


def _of_one_type(column: list[Any]) -> list[Any]:
    """Count True as 1 beside numbers: whether a run was cached, beside how many rows of a map were."""
    if {bool, int} <= {*map(type, column)}:
        return [int(value) if isinstance(value, bool) else value for value in column]
    return column
