"""Many values where a tool takes one: the error suggests a map."""

from __future__ import annotations

from collections import deque

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fact_magics.errors import InvalidInput
from fact_magics.signature import read_signature

pytestmark = pytest.mark.slow

HINT = "To run it on each row, write tool.map(…)."
COLUMN = ["a", "b"]
MANY = {
    "list": COLUMN,
    "tuple": ("a", "b"),
    "range": range(2),
    "deque": deque(COLUMN),
    "view": dict.fromkeys(COLUMN).keys(),
    "series": pd.Series(COLUMN),
    "index": pd.Index(COLUMN),
    "categorical": pd.Categorical(COLUMN),
    "array": np.array(COLUMN),
    "matrix": np.array([COLUMN]),
    "polars": pl.Series(COLUMN),
    "arrow": pa.array(COLUMN),
    "column of arrow": pa.table({"text": COLUMN})["text"],
    "frame": pd.DataFrame({"text": COLUMN}),
    "frame of polars": pl.DataFrame({"text": COLUMN}),
    "table": pa.table({"text": COLUMN}),
}


def said(annotation: str, value: object) -> str:
    signature = read_signature(
        f"import pandas as pd\nimport numpy as np\n\ndef tool(x: {annotation}) -> int:\n    return 1\n",
        "tool",
    )
    with pytest.raises(InvalidInput) as refused:
        signature.validate({"x": value})
    return str(refused.value)


@pytest.mark.parametrize("value", MANY.values(), ids=MANY)
@pytest.mark.parametrize("annotation", ["int", "bytes | None", "bool"])
def test_each_kind_of_many_values_suggests_it(annotation, value):
    assert HINT in said(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", "a"),
        ("int", {"a": 1}),
        ("int", b"ab"),
        ("int", np.array("a")),
        ("int", np.str_("a")),
        ("int", pd.Timestamp("2024-02-29")),
        ("int", (item for item in COLUMN)),
        ("list[int]", pd.Series(COLUMN)),
        ("dict[str, int]", pd.DataFrame({"text": COLUMN})),
        ("pd.Series", pd.DataFrame({"text": COLUMN})),
        ("pd.Series | None", 5),
        ("pd.DataFrame", pd.Series(COLUMN)),
        ("np.ndarray", "a"),
    ],
)
def test_one_value_or_a_tool_that_takes_many_does_not(annotation, value):
    assert ".map(" not in said(annotation, value)
