"""Types of libraries: tables, Series and arrays, named in annotations and passed as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.signature.scalars import checked, should_be
from fact_magics.signature.vocabulary import Mode, Type
from fact_magics.text import clipped
from fact_magics.values import Table, ValueTypeError, WireError
from fact_magics.values.summaries import describe
from fact_magics.values.tables import converted, open_table, stand_in

if TYPE_CHECKING:
    from pydantic_core import CoreSchema, PydanticCustomError

_RECORDS = {"type": "array", "items": {"type": "object"}}
_ITEMS = {"type": "array", "items": {}}


class LibraryType(NamedTuple):
    """What the vocabulary knows of one class of a library.

    Attributes
    ----------
    json_schema : dict
        What an agent can send in its place.
    also : tuple of str
        Other full names of the class, and of its generic forms.
    """

    json_schema: dict[str, Any]
    also: tuple[str, ...] = ()


LIBRARY_TYPES: dict[str, LibraryType] = {
    "pandas.DataFrame": LibraryType(_RECORDS, ("pandas.core.frame.DataFrame",)),
    "pandas.Series": LibraryType(_ITEMS, ("pandas.core.series.Series",)),
    "numpy.ndarray": LibraryType(_ITEMS, ("numpy.typing.NDArray",)),
    "polars.DataFrame": LibraryType(_RECORDS, ("polars.dataframe.DataFrame",)),
    "polars.Series": LibraryType(_ITEMS, ("polars.series.Series",)),
    "pyarrow.Table": LibraryType(_RECORDS, ("pyarrow.lib.Table",)),
}
"""The classes that annotations may name. For another one, add an entry here and to `values.tables.KINDS`."""

LIBRARY_NAMES = {name: kind for kind, known in LIBRARY_TYPES.items() for name in (kind, *known.also)}
"""The class of `LIBRARY_TYPES` that a full name means."""


@dataclass(frozen=True)
class LibraryOf(Type):
    """A class of a library, such as ``pandas.DataFrame``."""

    name: str

    @property
    def text(self) -> str:
        return self.name

    @property
    def hashable(self) -> bool:
        return False

    def shape(self) -> list[object]:
        return ["library", self.name]

    def core_schema(self, mode: Mode) -> CoreSchema:
        def take(value: Any) -> object:
            if type(value) is Table and value.kind == self.name:
                return _checked(value) if mode.direction == "result" else value
            if mode.direction == "input" and not mode.exact:
                return _converted(value, self.name)
            raise should_be(f"be a {self.name}")

        return checked(take)

    def json_schema(self) -> dict[str, Any]:
        return dict(LIBRARY_TYPES[self.name].json_schema)

    @property
    def json_kinds(self) -> frozenset[str]:
        return frozenset({"array"})

    @property
    def recorded_exactly(self) -> bool:
        return False  # the history has a summary of a table


def _checked(table: Table) -> Table:
    """Make the object of a result to check it, and describe the result anew, for the process may lie."""
    try:
        table.made = open_table(table)
    except WireError as error:
        raise should_be(f"be a {table.kind}, but it is {error}") from None
    describe(table, table.made)
    return table


def _converted(value: Any, kind: str) -> Table:
    given = open_table(value) if type(value) is Table else value
    try:
        made = converted(given, kind)
        table = stand_in(made, kind)
    except ImportError as error:
        package = kind.partition(".")[0]
        raise should_be(f"be a {kind}, and {error.name or package} is not installed") from None
    except ValueTypeError as error:
        raise should_be(f"be a {kind} ({error.problem}{''.join(error.path)})") from None
    except TypeError:
        raise _misfit(kind) from None
    except Exception as error:  # noqa: BLE001 - what a library raises for data that do not fit
        raise should_be(f"be a {kind}: {clipped(str(error), 120)}") from None
    describe(table, made)
    return table


def _misfit(kind: str) -> PydanticCustomError:
    instead = "a list of records" if LIBRARY_TYPES[kind].json_schema is _RECORDS else "a list"
    return should_be(f"be a {kind}, or {instead}")
