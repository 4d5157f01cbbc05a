"""Permissions: how they are written, which ones are dangerous, and which ones are refused.

This package enforces nothing. The sandbox enforces permissions, and parses them with the same grammar.
"""

from fact_magics.permissions.dangers import Danger, Protected, danger
from fact_magics.permissions.grammar import KINDS, Permission, read_permission
from fact_magics.permissions.granting import covers, granted, normalised, refuse_dangerous, refuse_missing
from fact_magics.permissions.places import working_directory

__all__ = [
    "KINDS",
    "Danger",
    "Permission",
    "Protected",
    "covers",
    "danger",
    "granted",
    "normalised",
    "read_permission",
    "refuse_dangerous",
    "refuse_missing",
    "working_directory",
]
