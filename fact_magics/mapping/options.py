"""The options of a map, and the identity of its content."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from fact_magics.values import encode

if TYPE_CHECKING:
    from typing import Any

    from fact_magics.core.loaded import LoadedTool
    from fact_magics.mapping.table import Table


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How the rows of a map run; the limits are those of each row, as in `ToolInput`.

    Attributes
    ----------
    isolate : str
        ``row`` gives each row a process of its own; ``auto`` shares them where the tool allows it.
    stop_on_error : bool
        End at the first row that fails.
    on : str
        ``dask`` or the address of a Dask scheduler; empty for this machine's own sandbox.
    """

    isolate: str = "auto"
    stop_on_error: bool = False
    on: str = ""
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    permissions: tuple[str, ...] = ()
    yes_really: bool = False
    fresh: bool = False
    ttl_seconds: float | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The fields of the `ToolInput` of each row."""
        return {
            "timeout_seconds": self.timeout_seconds,
            "memory_mb": self.memory_mb,
            "permissions": self.permissions,
            "yes_really": self.yes_really,
            "fresh": self.fresh,
            "ttl_seconds": self.ttl_seconds,
        }

    def keeps_answers(self, tool: LoadedTool) -> bool:
        """Whether the cache keeps the answers of a tool, so that they need not be kept for the map alone."""
        if self.ttl_seconds is not None:
            return True
        return tool.metadata.proven and tool.cacheable and not self.permissions


def content_key(tool: LoadedTool, table: Table, options: MapOptions) -> str:
    """Return a key of the map's content; a later map with the same key goes on where this one stopped.

    Of the rows, it depends on the first and the last, so that others may be corrected before a map goes on.
    """
    digest = blake2b(digest_size=20)
    try:
        same = encode(dict(table.fixed))
    except Exception:  # noqa: BLE001 - a value without canonical form fails in each row, with its reason
        same = b"?"
    columns = (*sorted(table.columns), str(table.total), *table.ends())
    parts = (tool.stored.content_hash, *columns, *options.permissions)
    for part in (*parts, repr(options.ttl_seconds)):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(same)
    return digest.hexdigest()
