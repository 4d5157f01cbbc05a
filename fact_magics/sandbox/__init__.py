"""Isolated runs: a tool can only affect its result, its output and its scratch directory."""

from __future__ import annotations

from fact_magics.sandbox.limits import Limits
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.sandbox.policy import Grants
from fact_magics.sandbox.pool import Mode, Sandbox

__all__ = ["Call", "Grants", "Limits", "Mode", "Outcome", "Sandbox", "ToolError"]
