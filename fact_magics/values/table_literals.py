"""Tables, Series and arrays as literals in examples: ``DataFrame({"a": [1, 2]})``.

They are read from syntax trees: only these calls with literal arguments are made, and nothing is evaluated.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fact_magics.values.literals import well_known
from fact_magics.values.summaries import describe
from fact_magics.values.tables import opened, stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE_SPELLINGS = "DataFrame({...}), Series([...]) and array([...]), with index=, columns=, name= and dtype="
"""The literals that this module adds, for messages."""

_MODULES = {"pd": "pandas", "np": "numpy", "pl": "polars", "pa": "pyarrow"}
_NAN = "numpy.nan"
# No lengths of texts that fill the memory; no structures.
_DTYPE = re.compile(r"(?![SUVa]\d{4})[A-Za-z_0-9<>|=][\w:+-]{0,40}(?:\[[\w/, :+-]{0,40}\])?")


def table_name(name: str) -> str | None:
    """Resolve a name without imports: ``DataFrame`` and ``pd.DataFrame`` both give ``pandas.DataFrame``."""
    first, dot, rest = name.partition(".")
    full = f"{_MODULES.get(first, first)}{dot}{rest}"
    return _BARE.get(name) or (full if full in TABLE_CALLS or full == _NAN else well_known(name))


def _made(module: str, name: str, *known: str, is_table: bool = True) -> Callable[..., Any]:
    """Make a literal of the class or function `name`, which may have the arguments `known`."""

    def build(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(known):
            raise TypeError(f"{name} takes at most {len(known)} arguments here")
        given = dict(zip(known, args, strict=False))
        for key, value in kwargs.items():
            if key not in known or key in given:
                raise TypeError(
                    f"{name} takes {key!r} once" if key in known else f"{name} can't have {key!r} here"
                )
            given[key] = value
        if (dtype := given.get("dtype")) is not None and not (
            isinstance(dtype, str) and _DTYPE.fullmatch(dtype)
        ):
            raise TypeError('write the dtype as text, such as dtype="int64"')
        try:
            make: Any = import_module(module)
            for part in name.split("."):
                make = getattr(make, part)
            made: Any = make(**{key: opened(item) for key, item in given.items()})
        except ImportError:
            raise ValueError(f"{module} is not installed") from None
        except Exception as error:  # noqa: BLE001 - the libraries raise many kinds of errors
            raise ValueError(" ".join(str(error).split())[:160]) from None
        return stand_ins(made, describe) if is_table else made

    return build


TABLE_CALLS: dict[str, Callable[..., Any]] = {
    "pandas.DataFrame": _made("pandas", "DataFrame", "data", "index", "columns", "dtype"),
    "pandas.Series": _made("pandas", "Series", "data", "index", "dtype", "name"),
    "pandas.Index": _made("pandas", "Index", "data", "dtype", "name", is_table=False),
    "pandas.MultiIndex.from_tuples": _made(
        "pandas", "MultiIndex.from_tuples", "tuples", "names", is_table=False
    ),
    "pandas.Categorical": _made("pandas", "Categorical", "values", "categories", "ordered", is_table=False),
    "pandas.Timestamp": _made("pandas", "Timestamp", "ts_input", "tz", is_table=False),
    "pandas.Timedelta": _made("pandas", "Timedelta", "value", is_table=False),
    "numpy.array": _made("numpy", "array", "object", "dtype"),
    "polars.DataFrame": _made("polars", "DataFrame", "data"),
    "polars.Series": _made("polars", "Series", "name", "values"),
    "pyarrow.table": _made("pyarrow", "table", "data"),
}
"""The calls that are literals, each with the arguments that it may have."""

_BARE = {
    name.partition(".")[2]: name for name in TABLE_CALLS if name.partition(".")[0] in ("pandas", "numpy")
}
