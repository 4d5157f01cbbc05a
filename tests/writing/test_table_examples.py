"""Examples with tables, Series and arrays: how they are read, compared, and told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fact_magics.errors import CellError
from fact_magics.sandbox.outcome import Outcome
from fact_magics.signature import read_signature
from fact_magics.signature.source import ToolSource
from fact_magics.tool import Status
from fact_magics.values import encode
from fact_magics.values.tables import open_table
from fact_magics.writing.annotating import complete, signature_line
from fact_magics.writing.examples import read_body
from fact_magics.writing.verdict import holds

pytestmark = pytest.mark.slow

IMPORTS = "import numpy as np\nimport pandas as pd\nimport polars as pl\nimport pyarrow as pa\n"


def read(expected: str, call: str = "f()"):
    return read_body(f">>> {call}\n{expected}", "f").examples[0]


def value(literal: str):
    return open_table(read(literal).expected.value)


def verdict(expected: str, got: object, annotation: str = "pd.DataFrame"):
    signature = read_signature(f"{IMPORTS}def f() -> {annotation}: ...", "f")
    wire = encode(got, tables=signature.returns_tables)
    return holds(read(expected), signature, Outcome(Status.OK, wire, None, "", 1.0, None, ()))


class TestLiterals:
    @pytest.mark.parametrize(
        ("literal", "expected"),
        [
            ('DataFrame({"a": [1, 2]})', pd.DataFrame({"a": [1, 2]})),
            ('pd.DataFrame({"a": [1]}, index=["x"])', pd.DataFrame({"a": [1]}, index=["x"])),
            (
                'pandas.DataFrame([[1, "x"]], columns=["a", "b"], dtype=object)',
                pd.DataFrame([[1, "x"]], columns=["a", "b"], dtype=object),
            ),
            ('DataFrame({"a": array([1], dtype=np.int8)})', pd.DataFrame({"a": np.array([1], np.int8)})),
            ("DataFrame()", pd.DataFrame()),
        ],
    )
    def test_a_frame_is_what_the_call_makes(self, literal, expected):
        pd.testing.assert_frame_equal(value(literal), expected)

    @pytest.mark.parametrize(
        ("literal", "expected"),
        [
            ('Series([1, None], dtype="Int64", name="n")', pd.Series([1, None], dtype="Int64", name="n")),
            ("pd.Series([1.5, np.nan])", pd.Series([1.5, np.nan])),
            (
                'Series([3], index=Index(["a"], name="k"))',
                pd.Series([3], index=pd.Index(["a"], name="k")),
            ),
            (
                'Series(Categorical(["a"], ["b", "a"], ordered=True))',
                pd.Series(pd.Categorical(["a"], ["b", "a"], ordered=True)),
            ),
            ('Series([pd.Timestamp("2024-01-02")])', pd.Series([pd.Timestamp("2024-01-02")])),
        ],
    )
    def test_a_series_is_what_the_call_makes(self, literal, expected):
        pd.testing.assert_series_equal(value(literal), expected)

    def test_arrays_and_tables_of_other_libraries_are_literals(self):
        np.testing.assert_array_equal(value("np.array([[1, 2], [3, 4]])"), [[1, 2], [3, 4]])
        assert value('array([1], dtype="float32")').dtype == "float32"
        assert value('pl.DataFrame({"a": [1]})').equals(pl.DataFrame({"a": [1]}))
        assert value('pl.Series("n", [1])').equals(pl.Series("n", [1]), check_names=True)
        assert value('pa.table({"a": [1]})') == pa.table({"a": [1]})

    @pytest.mark.parametrize(
        ("literal", "problem"),
        [
            ('DataFrame({"a": [1, 2], "b": [3]})', "same length"),
            ('DataFrame({"a": open("x")})', "not a literal"),
            ("DataFrame(x)", "not a literal"),
            ('DataFrame({"a": [1]}).head()', "not a literal"),
            ('pd.read_csv("x")', "not a literal"),
            ('DataFrame({"a": [1]}, copy=True)', "can't have 'copy'"),
            ('Series([1], dtype="int65")', "int65"),
            ('array(["a"], dtype="U100000000")', "write the dtype as text"),
            ("Series([1], [0], [1], [2], [3])", "at most 4"),
            ("Series([1], data=[2])", "once"),
            ("array([[1], [2, 3]])", "inhomogeneous"),
            ("array([(1, 2.5)], dtype='i4,f8')", "write the dtype"),
        ],
    )
    def test_what_is_no_literal_is_one_line(self, literal, problem):
        for text in (f">>> f({literal})\n1", f">>> f(1)\n{literal}"):
            with pytest.raises(CellError, match="Line") as refused:
                read_body(text, "f")
            assert problem in refused.value.message
            assert "\n" not in refused.value.line


FRAME = 'DataFrame({"a": [1, 2], "b": ["x", None]})'


def frame(**changed):
    return pd.DataFrame({"a": [1, 2], "b": ["x", None], **changed})


class TestTypes:
    """Types that a model left out, and the signature in a request, are read off the examples."""

    def test_the_request_says_the_types(self):
        example = read("array([1])", 'f(DataFrame({"a": [1]}), [Series([1]), None], by="k")')
        line = signature_line("f", [example])
        assert line == "def f(df: DataFrame, items: list[Series | None], by: str) -> ndarray:"

    def test_types_that_are_missing_are_written_and_imported(self):
        example = read("Series([1])", 'f(DataFrame({"a": [1]}))')
        source = ToolSource("import pandas as pd\n\ndef f(df):\n    return df['a']\n", "f")
        completed = complete(source, [example])
        assert completed.source.text.startswith("from pandas import DataFrame\nfrom pandas import Series\n")
        assert completed.source.signature.text == "f(df: pandas.DataFrame) -> pandas.Series"


class TestVerdicts:
    @pytest.mark.parametrize(
        ("expected", "got", "annotation"),
        [
            (FRAME, frame(), "pd.DataFrame"),
            (FRAME, frame().set_axis(pd.Index([0, 1])), "pd.DataFrame"),
            ("Series([0.3])", pd.Series([0.1 + 0.2]), "pd.Series"),
            ("Series([np.nan, 1])", pd.Series([float("nan"), 1]), "pd.Series"),
            ("array([[1, 2]])", np.array([[1, 2]], order="F"), "np.ndarray"),
            ("[Series([1]), None]", [pd.Series([1]), None], "list[pd.Series | None]"),
            ('{"x": array([1.0])}', {"x": np.array([1.0])}, "dict[str, np.ndarray]"),
            ('(1, Series(["x"]))', (1, pd.Series(["x"])), "tuple[int, pd.Series]"),
            ('pl.DataFrame({"a": [1]})', pl.DataFrame({"a": [1]}), "pl.DataFrame"),
            ('pa.table({"a": [1]})', pa.table({"a": [1]}), "pa.Table"),
            ("array([1, 2])", [1, 2], "list[int]"),
            ('DataFrame({"a": [1]})', [{"a": 1}], "list[dict[str, int]]"),
            (
                'Series([1], index=pd.DatetimeIndex(["2024-01-01"]))'.replace(
                    'pd.DatetimeIndex(["2024-01-01"])', '[pd.Timestamp("2024-01-01")]'
                ),
                pd.Series([1], index=pd.date_range("2024-01-01", periods=1)),
                "pd.Series",
            ),
        ],
    )
    def test_equal_values_hold(self, expected, got, annotation):
        judged = verdict(expected, got, annotation)
        assert judged.holds, judged.got

    @pytest.mark.parametrize(
        ("expected", "got", "annotation", "said"),
        [
            (FRAME, frame(a=[1, 3]), "pd.DataFrame", "column 'a', row 1: got 3, expected 2"),
            (FRAME, frame(a=[1.0, 2.0]), "pd.DataFrame", "column 'a': got the dtype float64, expected int64"),
            (FRAME, frame()[["b", "a"]], "pd.DataFrame", "got the column 'b', expected the column 'a'"),
            (FRAME, frame().head(1), "pd.DataFrame", "got the shape 1 by 2, expected 2 by 2"),
            (FRAME, frame().set_axis(["x", "y"]), "pd.DataFrame", "index: got the dtype str, expected int64"),
            (FRAME, frame().set_axis([0, 2]), "pd.DataFrame", "index, row 1: got 2, expected 1"),
            (
                'DataFrame({"a": [1, 2]}, index=["x", "y"])',
                pd.DataFrame({"a": [1, 3]}, index=["x", "y"]),
                "pd.DataFrame",
                "column 'a', row 'y': got 3, expected 2",
            ),
            (
                "Series([1])",
                pd.Series([1], name="n"),
                "pd.Series",
                "got the Series 'n', expected the Series None",
            ),
            ("Series([None], dtype=object)", pd.Series([np.nan], dtype=object), "pd.Series", "expected None"),
            (
                'Series(Categorical(["a"]))',
                pd.Series(pd.Categorical(["a"], ordered=True)),
                "pd.Series",
                "got the dtype ordered category of ['a'], expected category of ['a']",
            ),
            ("array([[1, 2]])", np.array([[1, 3]]), "np.ndarray", "array, place [0, 1]: got 3, expected 2"),
            ("array([1])", np.array([1.0]), "np.ndarray", "got the dtype float64"),
            (
                "[array([1]), array([2])]",
                [np.array([1]), np.array([3])],
                "list[np.ndarray]",
                "got 3, expected 2",
            ),
            (
                'pl.DataFrame({"a": [1]})',
                pl.DataFrame({"a": [2]}),
                "pl.DataFrame",
                "column 'a', row 0: got 2",
            ),
            (
                FRAME,
                pl.DataFrame({"a": [2]}),
                "pl.DataFrame",
                "got a polars.DataFrame, expected a pandas.DataFrame",
            ),
            (FRAME, [{"a": 1}], "pd.DataFrame", "should be a pandas.DataFrame, got [{'a': 1}]"),
        ],
    )
    def test_the_first_difference_is_told_in_one_line(self, expected, got, annotation, said):
        judged = verdict(expected, got, annotation)
        assert not judged.holds
        assert said in judged.got
        assert "\n" not in judged.got
        assert judged.expected == expected
