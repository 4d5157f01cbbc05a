"""The async core, which generates, runs and records tools without a notebook."""

from fact_magics.core.fact_core import FactCore
from fact_magics.tool import ToolInput, ToolMetadata, ToolOutput, ToolSpec

__all__ = ["FactCore", "ToolInput", "ToolMetadata", "ToolOutput", "ToolSpec"]
