"""Versions to probe."""

from __future__ import annotations

from typing import Any

from fact_magics.tool import ToolMetadata, ToolVersion


def version_of(source: str, contract: str = "", **about: Any) -> ToolVersion:
    """Make a version of the last function of a source."""
    name = source.rpartition("def ")[2].partition("(")[0]
    return ToolVersion(ToolMetadata(name=name, contract=contract, proven=bool(contract), **about), source)
