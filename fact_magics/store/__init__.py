"""The database of one `FACT_HOME`: a SQLite file that several kernels may use at once."""

from __future__ import annotations

from fact_magics.store.binding import Rows
from fact_magics.store.locks import LOCK_SECONDS, LockWait
from fact_magics.store.map_rows import MapRows
from fact_magics.store.memory import CacheStats, MemoryCache, Removed
from fact_magics.store.pruning import Pruned
from fact_magics.store.rows import CacheEntry, Candidate, ExecutionRow, GenerationRow, MapRow, SessionRow
from fact_magics.store.stats import Stats
from fact_magics.store.store import Store
from fact_magics.tool import new_id

__all__ = [
    "LOCK_SECONDS",
    "CacheEntry",
    "CacheStats",
    "Candidate",
    "ExecutionRow",
    "GenerationRow",
    "LockWait",
    "MapRow",
    "MapRows",
    "MemoryCache",
    "Pruned",
    "Removed",
    "Rows",
    "SessionRow",
    "Stats",
    "Store",
    "new_id",
]
