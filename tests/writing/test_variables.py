"""``{{name}}`` in a description becomes the value of a variable."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.writing.variables import Piece, fill_variables


def filled(text: str, namespace: dict[str, object]) -> str:
    return "".join(piece.text for piece in fill_variables(text, namespace))


class TestVariables:
    def test_a_string_goes_in_as_it_is_and_the_rest_as_its_repr(self):
        assert filled("{{ a }} and {{b}}", {"a": "x", "b": [1]}) == "x and [1]"

    def test_single_braces_are_left_alone(self):
        assert filled('{"a": 1} {b} }} {', {}) == '{"a": 1} {b} }} {'

    def test_a_lone_surrogate_is_escaped_because_no_request_can_carry_it(self):
        text = filled("\udfff{{a}}{{b}}\U0001f600", {"a": "\ud800", "b": "\ud800" * 5000})
        assert text.startswith("\\udfff\\ud800\\ud800")
        assert text.endswith("\U0001f600")
        assert len(text.encode()) < 4_200

    def test_what_was_put_in_is_not_read_again(self):
        assert filled("{{a}}", {"a": "{{b}}"}) == "{{b}}"

    def test_long_values_are_cut_with_a_note(self):
        text = filled("{{a}}", {"a": "x" * 5000})
        assert len(text) < 4100
        assert "1000 more characters of text were cut" in text

    @pytest.mark.parametrize(("old", "new"), [("a", "b"), ("\ud800", "\udfff"), (0, 1)])
    def test_a_value_that_changed_after_the_cut_is_told_from_the_old_one(self, old, new):
        """Otherwise the request would be equal, and the tool for the old value would be returned."""
        many = ["x" * 5000]
        for before, after in ((many[0] + str(old), many[0] + str(new)), ([*many, old], [*many, new])):
            text = filled("{{a}}", {"a": before})
            assert text != filled("{{a}}", {"a": after})
            assert text == filled("{{a}}", {"a": before})

    def test_the_same_value_is_written_alike_in_each_kernel(self):
        names = {"thing": [object()], "function": filled, "tags": {"b", "a", "c"}}
        assert (
            filled("{{thing}} {{function}} {{tags}}", names)
            == "[<object object>] <function filled> {'a', 'b', 'c'}"
        )
        assert (
            filled("{{a}} {{b}}", {"a": set(), "b": ["crash at 0x7fffdeadbeef"]})
            == "set() ['crash at 0x7fffdeadbeef']"
        )

    @pytest.mark.parametrize("name", ["a.b", "a()", "a[0]", "1"])
    def test_only_a_bare_name_is_taken(self, name):
        namespace = {"a": SimpleNamespace(b=1)}
        with pytest.raises(CellError, match="is not a variable name"):
            fill_variables(f"{{{{{name}}}}}", namespace)

    def test_an_unknown_name_lists_close_ones(self):
        with pytest.raises(UnknownName, match="Did you mean 'sample'"):
            fill_variables("{{sampel}}", {"sample": 1})

    def test_what_can_t_be_written_out_is_one_clear_line(self):
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError("no repr")

        with pytest.raises(CellError, match="the repr of this Broken failed: RuntimeError: no repr"):
            fill_variables("{{a}}", {"a": Broken()})

    def test_braces_that_are_meant_come_out_of_a_variable(self):
        with pytest.raises(UnknownName, match="put them into a variable"):
            fill_variables("Fill {{ placeholder }}.", {"text": "{{ placeholder }}"})
        assert filled("Fill {{text}}.", {"text": "{{ placeholder }}"}) == "Fill {{ placeholder }}."

    def test_values_are_kept_apart_from_the_user_s_words(self):
        """Each value says which variable it comes from, so that it can be fenced."""
        pieces = fill_variables("Use {{ a }}{{b}}.", {"a": "x", "b": ""})
        assert pieces == (Piece("Use "), Piece("x", "a"), Piece(""), Piece("", "b"), Piece("."))

    def test_a_name_is_read_as_python_reads_it(self):
        """A ligature in a name means its letters, as in Python."""
        assert filled("{{\ufb01le}}", {"file": "x"}) == "x"

    def test_a_name_that_only_looks_like_a_variable_is_told_apart(self):
        """The suggestion names the character that differs, because the two names look the same."""
        with pytest.raises(
            UnknownName, match=r"Did you mean 'data'\? .* U\+0430 \(CYRILLIC SMALL LETTER A\)"
        ):
            fill_variables("{{d\u0430t\u0430}}", {"data": 1})
