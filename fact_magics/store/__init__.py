"""Everything that outlives the kernel: one SQLite file, safe for several kernels at once."""

from __future__ import annotations

from fact_magics.store.memory import MemoryCache
from fact_magics.store.rows import (
    CacheEntry,
    CacheStats,
    Candidate,
    ExecutionRow,
    GenerationRow,
    SessionRow,
    new_id,
)
from fact_magics.store.since import read_since
from fact_magics.store.store import Store
from fact_magics.text import utc_now

__all__ = [
    "CacheEntry",
    "CacheStats",
    "Candidate",
    "ExecutionRow",
    "GenerationRow",
    "MemoryCache",
    "SessionRow",
    "Store",
    "new_id",
    "read_since",
    "utc_now",
]
