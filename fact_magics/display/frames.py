"""Tables, Series and arrays of data libraries as records: their types, size and first rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fact_magics.display.table import Table
from fact_magics.text import plural
from fact_magics.values.glimpse import glimpse

if TYPE_CHECKING:
    from fact_magics.values.glimpse import Glimpse

ROWS, COLUMNS = 20, 16
"""The largest numbers of rows and columns of a table that are shown."""

_CELL = 60


@dataclass(frozen=True, slots=True)
class Frame:
    """The beginning of a table, Series or array, as far as it is shown.

    Attributes
    ----------
    about : str
        The class and the size: ``pandas.DataFrame · 1,000 rows by 3 columns``.
    """

    about: str
    found: Glimpse

    def table(self) -> Table:
        """Build the table of the first rows and columns; an array of more than two dimensions has none."""
        found = self.found
        shown = (*found.index, *found.columns)
        read = min(ROWS, found.rows) if shown else 0
        limits = [f"{read} rows"] if 0 < read < found.rows else []
        if len(found.shape) == 2 and 0 < len(found.columns) < found.shape[1]:
            limits.append(f"{len(found.columns)} columns")
        title = f"{self.about} · the first {' and '.join(limits)}" if limits else self.about
        return Table(
            title,
            tuple(column.name for column in shown),
            [*zip(*(column.cells for column in shown), strict=True)],
            numbers={at for at, column in enumerate(shown) if column.numeric},
            types=() if found.kind == "array" else tuple(column.dtype for column in shown),
            row_heads=len(found.index),
        )


def frame_of(value: Any) -> Frame | None:
    """Read the first rows of a table, Series or array; None for other values, and if it can't be read."""
    try:
        found = glimpse(value, ROWS, COLUMNS, width=_CELL)
    except Exception:  # noqa: BLE001 - the value's own code runs here, and may raise anything
        return None
    if found is None:
        return None
    kind = type(value)
    return Frame(f"{kind.__module__.partition('.')[0]}.{kind.__name__} · {_size(found)}", found)


def _size(found: Glimpse) -> str:
    if found.kind == "table":
        return f"{plural(found.rows, 'row')} by {plural(found.shape[1], 'column')}"
    if found.kind == "Series":
        return plural(found.rows, "value")
    return f"{' by '.join(f'{side:,}' for side in found.shape) or 'one value'} of {found.dtype}"
