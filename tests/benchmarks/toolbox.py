"""Tools that are in the database from the start, so that no model and no shelf is part of what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.config import load_settings
from fact_magics.core import FactCore
from fact_magics.shelf.entry import read_shelf
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

REPEAT = '''def repeat(text: str, times: int = 3) -> str:
    """Repeat a text."""
    return text * times
'''


def candidate(name: str = "repeat", source: str = REPEAT) -> Candidate:
    """Make a proven tool of a source."""
    return Candidate(
        name=name,
        source=source,
        signature_id=signature_identity(read_signature(source, name)),
        description=f"The tool {name}.",
        contract=">>> repeat('a')\n'aaa'",
        provider="hand",
        proven=True,
    )


def from_shelf(name: str) -> Candidate:
    """Make a tool as a cell without a model makes it: the shelf's own, unchanged."""
    (source,) = [entry.source for entry in read_shelf() if entry.name == name]
    return candidate(name, source).model_copy(update={"provider": "shelf", "model": f"shelf/{name}"})


def core(env: Mapping[str, str]) -> FactCore:
    """Make a core that uses an environment's `FACT_HOME`."""
    return FactCore(load_settings({}, Path(env["FACT_HOME"]), env))


async def stock(env: Mapping[str, str], *candidates: Candidate) -> Path:
    """Put tools into an environment's database; gives its path."""
    path = load_settings({}, Path(env["FACT_HOME"]), env).database_path
    async with await Store.open(path) as store:
        for each in candidates or (candidate(),):
            await store.tools.accept(each)
    return path
