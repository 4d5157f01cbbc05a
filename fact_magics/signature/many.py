"""Validate the inputs or the results of many runs at once, which takes far less time for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from fact_magics.signature.signature import KINDS
from fact_magics.signature.vocabulary import Mode
from fact_magics.values import ValueTypeError, normalise
from fact_magics.values.many import are_scalars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fact_magics.signature.signature import Signature


class ManyRuns:
    """Validates what `Signature` validates, all at once; None means that each needs its own check."""

    def __init__(self, signature: Signature) -> None:
        known = signature.parameters
        self._by_name_only = all(parameter.kind != KINDS.POSITIONAL_ONLY for parameter in known)
        self._known = frozenset(parameter.name for parameter in known)
        self._required = frozenset(parameter.name for parameter in known if parameter.default is None)
        self._defaults = {
            parameter.name: parameter.default.value
            for parameter in known
            if parameter.default is not None and parameter.default.literal
        }
        mode = Mode("input")
        fields = {
            parameter.name: cs.typed_dict_field(parameter.type.core_schema(mode), required=False)
            for parameter in known
        }
        row = cs.typed_dict_schema(fields, extra_behavior="forbid")
        self._inputs = SchemaValidator(cs.list_schema(row))
        self._results = SchemaValidator(cs.list_schema(signature.returns.core_schema(Mode("result"))))

    def inputs(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
        """Validate the inputs of runs, all of whose arguments are given by name; see `Signature.validate`."""
        names = rows[0].keys()
        if not (self._by_name_only and self._required <= names <= self._known):
            return None
        if any(row.keys() != names for row in rows):
            return None
        try:
            filled = [{**self._defaults, **row} for row in rows]
            for name in names:
                if not are_scalars([row[name] for row in filled]):
                    for row in filled:
                        row[name] = normalise(row[name])
            return self._inputs.validate_python(filled)  # type: ignore[no-any-return]
        except (ValueError, ValueTypeError):
            return None

    def results(self, values: Sequence[Any]) -> list[Any] | None:
        """Validate results against the return annotation; see `Signature.read_result`."""
        try:
            return self._results.validate_python([*values])  # type: ignore[no-any-return]
        except ValidationError:
            return None
