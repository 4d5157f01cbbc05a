"""The methods of `FactCore` that show and clear the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.core.cache import Chosen

if TYPE_CHECKING:
    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.toolbox import Toolbox
    from fact_magics.store import CacheStats, MemoryCache, Removed, Store


class Caching:
    """Shows and clears the tiers of the cache: ``memory``, ``database``, and ``shared`` if there is one."""

    _answers: AnswerCache
    _memory: MemoryCache
    _store: Store
    _toolbox: Toolbox

    def cache_stats(self) -> CacheStats:
        """Return statistics of the answers in memory."""
        return self._memory.stats()

    async def cache_tiers(self) -> dict[str, CacheStats]:
        """Return statistics of each tier, by its name."""
        return await self._answers.stats()

    async def clear_cache(self, *, tool: str | None = None, before: str | None = None) -> dict[str, Removed]:
        """Drop answers from all tiers, and return what each of them dropped, by its name.

        Other kernels keep the answers that they have in memory.

        Parameters
        ----------
        tool : str, optional
            Only answers of the tool with this name, in any version, also if it was removed.
        before : str, optional
            Only answers that were made before this time, as in `fact_magics.text.utc_now`.

        Raises
        ------
        UnknownName
            There never was such a tool.
        """
        ids: list[str] = []
        if tool is not None:
            ids = await self._store.tools.ids(tool)
            if not ids:
                await self._toolbox.versions(tool)  # raises the error
        return await self._answers.clear(Chosen(tool=tool, tool_ids=tuple(ids), before=before))
