"""Read a run's input back from the history, which keeps it as JSON for people: some types are ambiguous."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fact_magics.signature.signature import KINDS

if TYPE_CHECKING:
    from fact_magics.signature.signature import Signature


def read_recorded(text: str, signature: Signature) -> dict[str, object]:
    """Read a run's input from its row in the history.

    Returns
    -------
    dict
        The arguments by name, for `Signature.validate`.

    Raises
    ------
    ValueError
        The text is not a complete input of this signature (it may have been cut), or may mean several inputs.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("the input is not a JSON object")  # noqa: TRY004 - callers expect one kind of error
    types = {parameter.name: parameter.type for parameter in signature.parameters}
    # Positional-only arguments are recorded under their position.
    placed = [p.name for p in signature.parameters if p.kind == KINDS.POSITIONAL_ONLY]
    named = {
        placed[int(key)] if key.isdecimal() and int(key) < len(placed) else key: data[key] for key in data
    }
    if unknown := named.keys() - types.keys():
        raise ValueError(f"the input has fields that the signature does not have: {sorted(unknown)}")
    return {name: types[name].from_recorded(value) for name, value in named.items()}


def is_exact(signature: Signature) -> bool:
    """Tell whether an input that `read_recorded` returns is certainly the one that was recorded."""
    return all(part.recorded_exactly for parameter in signature.parameters for part in parameter.type.walk())
