"""The async core, which generates, runs and records tools without a notebook."""

from fact_magics.core.fact_core import FactCore

__all__ = ["FactCore"]
