"""`MapResult`: the values of a map, with the failures beside them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError
from fact_magics.text import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("ok", "cached", "failed", "skipped")
"""How a row can end; `MapResult.counts` has a number for each."""

_SHOWN = 3
_EXACT_IN_FLOATS = 1 << 53


class MapResult(list[Any]):
    """The values of a map in the order of the rows; None where a row failed or was not run.

    It is a list, because pandas takes no other sequence as a mask of rows or as the data of a DataFrame.

    Attributes
    ----------
    tool : str
        The tool's ``NAME@VERSION``.
    values : list
        The values alone.
    errors : dict of int to str
        The error of each failed row, in one line, by the row's position.
    counts : dict of str to int
        The rows by how they ended: ``ok`` (run now), ``cached``, ``failed``, and ``skipped`` (not run).
    map_id : str
        The map's id in the history; ``%fact show ID`` lists its rows.
    left_out : tuple of str
        Columns of the table that the tool does not take.
    notes : tuple of str
        Further facts, such as why each row had a process of its own, or why rows are not recorded.
    duration_ms : float
        How long the map took.
    """

    def __init__(
        self,
        tool: str,
        values: list[Any],
        errors: dict[int, str],
        counts: dict[str, int],
        map_id: str,
        *,
        index: Any = None,
        left_out: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        duration_ms: float = 0.0,
        library: str = "pandas",
    ) -> None:
        super().__init__(values)
        self.tool = tool
        self.errors = errors
        self.counts = counts
        self.map_id = map_id
        self.left_out = left_out
        self.notes = notes
        self.duration_ms = duration_ms
        self._index = index
        self._library = library

    @property
    def values(self) -> list[Any]:
        """A list of the values alone."""
        return [*self]

    def to_frame(self) -> Any:
        """Build a DataFrame with the columns ``result`` and ``error``, and the index of the input.

        If the input was of polars, so is the DataFrame; otherwise pandas must be installed.
        """
        errors = [self.errors.get(row) for row in range(len(self))]
        if self._library == "polars":
            import polars as pl

            try:
                values = pl.Series("result", self.values, dtype=pl.Object if _mix_zones(self) else None)
            except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):  # such as several types
                values = pl.Series("result", self.values, dtype=pl.Object)
            return pl.DataFrame([values, pl.Series("error", errors, dtype=pl.String)])
        try:
            import pandas as pd
        except ImportError:
            raise CellError("pandas is not installed.", hint="Run %pip install pandas.") from None
        index = self._index if self._index is not None and len(self._index) == len(self) else None
        try:
            dtype = None if self and not _are_rounded_as_floats(self) else object
            results = pd.Series(self.values, index=index, dtype=dtype)
        except ValueError:  # such as text that is not Unicode
            results = pd.Series(self.values, index=index, dtype=object)
        return pd.DataFrame({"result": results, "error": pd.Series(errors, index=index, dtype=object)})

    @property
    def facts(self) -> list[str]:
        """The numbers of rows, the failures first, as short phrases."""
        counts = self.counts
        return [
            *([f"{counts['failed']:,} failed"] if counts["failed"] else []),
            *(f"{counts[kind]:,} {kind}" for kind in ("ok", "cached") if counts[kind]),
            *([f"{counts['skipped']:,} not run"] if counts["skipped"] else []),
        ]

    def __repr__(self) -> str:
        lines = [f"<MapResult {' · '.join((self.tool, plural(len(self), 'row'), *self.facts))}>"]
        lines += [f"  row {row}: {one_line(error, 200)}" for row, error in list(self.errors.items())[:_SHOWN]]
        if self.left_out:
            lines.append(f"  left out, because the tool does not take them: {', '.join(self.left_out)}")
        return "\n".join((*lines, *(f"  {note}" for note in self.notes)))


def _are_rounded_as_floats(values: Sequence[Any]) -> bool:
    """Tell whether integers would lose digits as floats, which pandas makes of them if a value is None."""
    is_large = any(type(value) is int and abs(value) > _EXACT_IN_FLOATS for value in values)
    return is_large and any(type(value) is not int for value in values)


def _mix_zones(values: Sequence[Any]) -> bool:
    """Tell whether only some datetimes have a time zone, of which polars would make other times."""
    return len({value.tzinfo is None for value in values if isinstance(value, datetime)}) > 1
