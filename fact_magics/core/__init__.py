"""The async core, which works without a notebook: generate, run, remember."""

from fact_magics.core.fact_core import FactCore

__all__ = ["FactCore"]
