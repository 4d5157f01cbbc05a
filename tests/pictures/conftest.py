"""Make the fixture that parses markup known to these tests."""

from __future__ import annotations

from markup import parse

__all__ = ["parse"]
