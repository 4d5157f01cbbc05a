"""The async core: generate, run, remember. It knows nothing of notebooks."""

from fact_magics.core.fact_core import FactCore

__all__ = ["FactCore"]
