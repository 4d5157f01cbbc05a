"""The tools for CSV, JSON and records, on data as it arrives."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Tool = Callable[..., Any]

pytestmark = pytest.mark.slow

csv_to_records = pytest.mark.parametrize("tool", ["csv_to_records"], indirect=True)
flatten_json = pytest.mark.parametrize("tool", ["flatten_json"], indirect=True)
json_diff = pytest.mark.parametrize("tool", ["json_diff"], indirect=True)
records_to_csv = pytest.mark.parametrize("tool", ["records_to_csv"], indirect=True)
markdown_table = pytest.mark.parametrize("tool", ["markdown_table"], indirect=True)
group_records = pytest.mark.parametrize("tool", ["group_records"], indirect=True)
deep_merge = pytest.mark.parametrize("tool", ["deep_merge"], indirect=True)
get_path = pytest.mark.parametrize("tool", ["get_path"], indirect=True)


@csv_to_records
class TestCsvToRecords:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiter_is_found(self, tool: Tool, delimiter: str) -> None:
        """Each usual delimiter is told from the others, also where the others stand in fields."""
        text = delimiter.join(["a", "b", "c"]) + "\n" + delimiter.join(["1", '"x,;|\t"', "3"]) + "\n"
        assert tool(text) == [{"a": "1", "b": "x,;|\t", "c": "3"}]

    def test_decimal_commas_do_not_mislead(self, tool: Tool) -> None:
        """A semicolon file full of decimal commas is cut at the semicolons."""
        assert tool("x;y\n1,5;2,5\n3,5;4,5\n") == [{"x": "1,5", "y": "2,5"}, {"x": "3,5", "y": "4,5"}]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_line_ends(self, tool: Tool, end: str) -> None:
        """The line ends of every system are read, and those in quotes are kept."""
        assert tool(f'a,b{end}1,"x{end}y"{end}{end}2,z') == [
            {"a": "1", "b": f"x{end}y"},
            {"a": "2", "b": "z"},
        ]

    def test_marks_of_spreadsheets(self, tool: Tool) -> None:
        """A byte-order mark and the line that names the separator are no data."""
        assert tool("\ufeffsep=;\r\na;b\r\n1;2\r\n") == [{"a": "1", "b": "2"}]

    @pytest.mark.parametrize(
        ("header", "names"),
        [
            (" a , b ", ["a", "b"]),
            ("a,a,a", ["a", "a_2", "a_3"]),
            ("a,a_2,a", ["a", "a_2", "a_3"]),
            ("a,,c", ["a", "column_2", "c"]),
            ("a,b,", ["a", "b"]),
            ("größe,名前", ["größe", "名前"]),
        ],
    )
    def test_header(self, tool: Tool, header: str, names: list[str]) -> None:
        """Every column gets a name of its own."""
        assert list(tool(f"{header}\n1\n", delimiter=",")[0]) == names

    def test_row_length(self, tool: Tool) -> None:
        """Short rows are filled, empty ends dropped, and a longer row is an error with its line."""
        assert tool("a,b\n1\n2,3,,\n") == [{"a": "1", "b": ""}, {"a": "2", "b": "3"}]
        with pytest.raises(ValueError, match="line 4 has 3 fields, but the header has 2"):
            tool('a,b\n"x\ny",2\n1,2,3\n', delimiter=",")

    @pytest.mark.parametrize("text", ['a,b\n"x,2\n', 'a,b\n"x"y,2\n'])
    def test_broken_quotes(self, tool: Tool, text: str) -> None:
        """A quote that does not close, or closes too early, is an error with its line."""
        with pytest.raises(ValueError, match="line 2 is not CSV"):
            tool(text, delimiter=",")

    @pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
    def test_unusable_delimiter(self, tool: Tool, delimiter: str) -> None:
        """A delimiter is one character that may stand between fields."""
        with pytest.raises(ValueError, match="delimiter="):
            tool("a,b\n1,2", delimiter=delimiter)

    @pytest.mark.parametrize("name", ["data.csv", "/home/ada/my data.TSV\n"])
    def test_name_of_a_file(self, tool: Tool, name: str) -> None:
        """A file's name in place of its content is told, not answered with no rows."""
        with pytest.raises(ValueError, match="looks like the name of a file"):
            tool(name)

    def test_one_column_and_no_rows(self, tool: Tool) -> None:
        """A single column needs no delimiter; a header alone has no rows; nothing is nothing."""
        assert tool("name\nAda\nGrace\n") == [{"name": "Ada"}, {"name": "Grace"}]
        assert tool("a,b\n") == tool("") == tool("\n \n") == tool("\ufeff") == []

    def test_types_are_of_whole_columns(self, tool: Tool) -> None:
        """A column becomes numbers only if all of it is; what would lose its form stays text."""
        text = "i,f,b,zip,mixed,none,big\n-1,1e3,TRUE,007,1,,123456789012345678901\n 2 ,.5,false,1,x,,0\n"
        assert tool(text, types=True)[0] == {
            "i": -1,
            "f": "1e3",
            "b": True,
            "zip": "007",
            "mixed": "1",
            "none": None,
            "big": 123456789012345678901,
        }
        assert tool("x\n1e3\n0.5\n", types=True) == [{"x": 1000.0}, {"x": 0.5}]

    @pytest.mark.parametrize("field", ["nan", "inf", "1_000", "٣", "0x1f", "--1", "1.", "+5"])
    def test_types_guess_nothing_wild(self, tool: Tool, field: str) -> None:
        """What only Python would take for a number stays text."""
        assert tool(f"x\n{field}\n", types=True) == [{"x": field}]

    def test_large_field(self, tool: Tool) -> None:
        """A field larger than the csv module's usual limit is read, and the limit is as before."""
        before = csv.field_size_limit()
        assert tool(f"a,b\n{'x' * 200_000},1\n") == [{"a": "x" * 200_000, "b": "1"}]
        assert csv.field_size_limit() == before

    def test_reads_what_the_csv_module_writes(self, tool: Tool) -> None:
        """Any text that Python's own writer quotes comes back."""
        rows = [{"a": 'say "hi"', "b": "x,y\nz"}, {"a": "'", "b": " spaced "}, {"a": "é", "b": ""}]
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, ["a", "b"])
        writer.writeheader()
        writer.writerows(rows)
        assert tool(out.getvalue()) == rows


@flatten_json
class TestFlattenJson:
    def test_depth_has_no_limit(self, tool: Tool) -> None:
        """Nesting far beyond Python's recursion limit is flattened."""
        data: Any = 1
        for _ in range(50_000):
            data = {"a": data}
        (key,) = tool(data)
        assert key.count(".") == 49_999

    def test_nothing_is_lost(self, tool: Tool) -> None:
        """Empty containers, None and empty keys keep their place."""
        data = {"a": {"": {"x": []}}, "": 1, "n": [None, {}, [[]]]}
        assert tool(data) == {"a..x": [], "": 1, "n.0": None, "n.1": {}, "n.2.0": []}

    @pytest.mark.parametrize("empty", [{}, []])
    def test_empty(self, tool: Tool, empty: Any) -> None:
        """Nothing flattens to nothing."""
        assert tool(empty) == {}

    def test_top_list_is_flattened_even_if_lists_are_kept(self, tool: Tool) -> None:
        """The result is always a dict."""
        assert tool([{"a": [1]}], keep_lists=True) == {"0.a": [1]}

    def test_input_is_left_alone(self, tool: Tool) -> None:
        """The data that was passed is the same afterwards."""
        data = {"a": {"b": [1, {"c": 2}]}}
        tool(data)
        assert data == {"a": {"b": [1, {"c": 2}]}}

    def test_collisions_and_empty_separators_are_errors(self, tool: Tool) -> None:
        """Two values never share a key in silence."""
        with pytest.raises(ValueError, match=r"two values would get the key 'a\.0'"):
            tool({"a": [1], "a.0": 2})
        with pytest.raises(ValueError, match="sep must not be empty"):
            tool({"a": 1}, sep="")


@json_diff
class TestJsonDiff:
    @pytest.mark.parametrize(
        "value",
        [None, True, 0, 1.5, "x", [], {}, [1, [2, {"a": None}]], {"b": 1, "a": {"c": []}}, float("nan")],
    )
    def test_equal_documents_do_not_differ(self, tool: Tool, value: Any) -> None:
        """A document compared with itself has no change, NaN included."""
        assert tool(value, value) == []

    @pytest.mark.parametrize(
        ("before", "after"), [(1, 1.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([0], [-0.0])]
    )
    def test_what_json_takes_as_equal(self, tool: Tool, before: Any, after: Any) -> None:
        """Numbers are numbers, and keys have no order."""
        assert tool(before, after) == []

    @pytest.mark.parametrize(
        ("before", "after"),
        [(1, True), (0, False), ("1", 1), (None, 0), ([], {}), ("", None), ([1, 2], [2, 1])],
    )
    def test_what_json_tells_apart(self, tool: Tool, before: Any, after: Any) -> None:
        """Types and the order of lists matter."""
        assert tool(before, after)

    def test_paths_are_json_pointers(self, tool: Tool) -> None:
        """Slashes and tildes in keys are escaped, and the document itself has the empty path."""
        assert tool({"a/b": {"~": 1, "": 2}}, {"a/b": {"~": 3, "": 4}}) == [
            {"path": "/a~1b/~0", "change": "changed", "before": 1, "after": 3},
            {"path": "/a~1b/", "change": "changed", "before": 2, "after": 4},
        ]
        assert tool(1, 2) == [{"path": "", "change": "changed", "before": 1, "after": 2}]

    def test_none_is_a_value(self, tool: Tool) -> None:
        """A key that holds null is not the same as no key."""
        assert tool({"a": None}, {}) == [{"path": "/a", "change": "removed", "before": None}]

    def test_lists_are_aligned(self, tool: Tool) -> None:
        """An item taken out, put in or edited is one change each."""
        before = [{"id": 1}, {"id": 2, "x": 1}, {"id": 3}, {"id": 4}]
        after = [{"id": 0}, {"id": 1}, {"id": 2, "x": 5}, {"id": 4}]
        assert tool(before, after) == [
            {"path": "/0", "change": "added", "after": {"id": 0}},
            {"path": "/2/x", "change": "changed", "before": 1, "after": 5},
            {"path": "/2", "change": "removed", "before": {"id": 3}},
        ]

    def test_changes_of_long_lists_come_in_time(self, tool: Tool) -> None:
        """Two long lists with nothing in common are compared where they stand."""
        assert len(tool(list(range(3_000)), [str(number) for number in range(3_000)])) == 3_000
        assert len(tool([0] * 100_000, [0] * 99_999 + [1])) == 1


@records_to_csv
class TestRecordsToCsv:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_is_read_back(self, tool: Tool, delimiter: str) -> None:
        """What is written is read back by the csv module, whatever the fields hold."""
        rows = [
            {"a": 'say "hi"', "b": "x,y;z\t|"},
            {"a": "two\r\nlines", "b": " spaced "},
            {"a": "é", "b": "1"},
        ]
        text = tool(rows, delimiter=delimiter)
        assert list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)) == rows

    def test_columns_and_missing_values(self, tool: Tool) -> None:
        """Columns are in the order of their first appearance; None and no value are the same."""
        assert tool([{"b": 1}, {"a": 0.5, "b": None}, {}]) == "b,a\n1,\n,0.5\n,\n"
        assert tool([]) == tool([{}]) == ""

    @pytest.mark.parametrize("delimiter", ["", "::", '"', "\n", "\r"])
    def test_unusable_delimiter(self, tool: Tool, delimiter: str) -> None:
        """A delimiter is one character that may stand between fields."""
        with pytest.raises(ValueError, match="is not one character"):
            tool([{"a": 1}], delimiter=delimiter)


@markdown_table
class TestMarkdownTable:
    def test_every_row_has_as_many_cells(self, tool: Tool) -> None:
        """Pipes and line breaks in cells and names do not break the table."""
        rows = [{"a|b": "x|y", "c": 1}, {"c": 2, "d\ne": "two\nlines"}, {}]
        lines = tool(rows).split("\n")
        assert len(lines) == 5
        assert {line.replace("\\|", "").count("|") for line in lines} == {4}

    @pytest.mark.parametrize(
        ("values", "mark"),
        [([1, 2.5], "---:"), ([1, "2"], "---"), ([True, 1], "---"), ([None, 1], "---"), ([None], "---")],
    )
    def test_only_columns_of_numbers_are_right_aligned(
        self, tool: Tool, values: list[Any], mark: str
    ) -> None:
        """A column is aligned to the right if all its values are numbers."""
        assert tool([{"x": value} for value in values]).split("\n")[1] == f"| {mark} |"

    @pytest.mark.parametrize("records", [[], [{}]])
    def test_no_columns(self, tool: Tool, records: list[Any]) -> None:
        """A table has a column."""
        with pytest.raises(ValueError, match="no columns"):
            tool(records)


@group_records
class TestGroupRecords:
    @pytest.mark.parametrize("how", ["sum", "mean", "median", "min", "max", "count"])
    def test_agrees_with_pandas(self, tool: Tool, how: str) -> None:
        """Each aggregate is that of pandas, with the groups in the order of the records."""
        records = [{"k": f"g{n * n % 7}", "v": n * 37 % 11 / 4} for n in range(60)]
        wanted = pd.DataFrame(records).groupby("k", sort=False)["v"].agg(how)
        assert tool(records, "k", "v", how=how) == [
            {"k": key, "v": pytest.approx(value)} for key, value in wanted.items()
        ]

    def test_groups_without_numbers_are_left_out(self, tool: Tool) -> None:
        """A group that holds None alone does not appear, as its mean would be unknown."""
        records = [{"k": "a", "v": None}, {"k": "b", "v": 0}]
        assert tool(records, "k", "v", how="count") == [{"k": "b", "v": 1}]

    @pytest.mark.parametrize(
        "record", [{"k": "a"}, {"v": 1}, {"k": "a", "v": "1"}, {"k": {}, "v": 1}, {"k": [], "v": 1}]
    )
    def test_unusable_records(self, tool: Tool, record: dict[str, Any]) -> None:
        """An error names the record that can't be grouped or added."""
        with pytest.raises(ValueError, match="record 2"):
            tool([{"k": "a", "v": 1}, record], "k", "v")


@deep_merge
class TestDeepMerge:
    def test_laws(self, tool: Tool) -> None:
        """Merging with nothing, or with itself, changes nothing, and a chain may be merged from either end."""
        a = {"x": {"y": 1, "z": [1]}, "l": [1]}
        b = {"x": {"y": {"w": None}}, "l": {"m": 2}, "n": False}
        c = {"x": {"y": 3, "q": 4}, "n": {}}
        assert tool(a, {}) == tool({}, a) == tool(a, a) == a
        assert tool(tool(a, b), c) == tool(a, tool(b, c))

    def test_inputs_are_left_alone(self, tool: Tool) -> None:
        """Both dicts are the same afterwards."""
        base, override = {"a": {"b": 1}, "l": [1]}, {"a": {"c": 2}, "l": [2]}
        assert tool(base, override, lists="append") == {"a": {"b": 1, "c": 2}, "l": [1, 2]}
        assert (base, override) == ({"a": {"b": 1}, "l": [1]}, {"a": {"c": 2}, "l": [2]})


@get_path
class TestGetPath:
    DATA: ClassVar[dict[str, Any]] = {"a": [{"b": 1}, [2, [3]]], "0": {"-1": "x"}, "n": None, "e": {}}

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("a.0.b", 1),
            ("a[0].b", 1),
            ("a.1.1.0", 3),
            ("a[1][1][0]", 3),
            ("a.-1.0", 2),
            ("a.-2.b", 1),
            ("0.-1", "x"),
            ("n", None),
            ("e", {}),
            ("a.2", "?"),
            ("a.-3", "?"),
            ("a.b", "?"),
            ("a.0.b.c", "?"),
            ("n.x", "?"),
            ("zz", "?"),
            ("a.0x", "?"),
        ],
    )
    def test_paths(self, tool: Tool, path: str, value: Any) -> None:
        """Dots and brackets lead into dicts and lists; a path that does not exist gives the default."""
        assert tool(self.DATA, path, default="?") == value

    @pytest.mark.parametrize("path", ["", ".", "a.", "a..0"])
    def test_empty_parts(self, tool: Tool, path: str) -> None:
        """A path with a gap is an error, not a missing value."""
        with pytest.raises(ValueError, match="has an empty part"):
            tool(self.DATA, path)
