"""The toolbox of a session: find the version that a name stands for, roll back, and remove."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.core.handle import Tool
from fact_magics.core.loaded import attested, load
from fact_magics.errors import StoreError, UnknownName, did_you_mean
from fact_magics.names import split_reference
from fact_magics.store import Rows

if TYPE_CHECKING:
    from fact_magics.core.calls import Caller
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.store import Store
    from fact_magics.tool import ToolVersion

# The largest number of loaded versions; each takes a few kilobytes.
_LOADED_LIMIT = 512
_LISTED_VERSIONS = 8


class Toolbox:
    """The stored tools as one session sees them.

    A name or version that does not exist raises `UnknownName`.
    """

    def __init__(self, store: Store, session_id: str, caller: Caller) -> None:
        self._store = store
        self._session_id = session_id
        self._caller = caller
        self._loaded: OrderedDict[str, LoadedTool] = OrderedDict()
        self._pinned: dict[str, Tool] = {}

    async def resolve(self, reference: str) -> Tool:
        """Find ``NAME``, ``NAME@1`` or ``NAME@1.2.3``; pin a name without a version to the current one."""
        tool = await self.look_up(reference)
        if reference != tool.name or self.pinned(reference):
            return tool
        with suppress(StoreError):  # this session keeps to the version all the same
            await self._store.sessions.pin(self._session_id, tool.name, tool.id)
        return self.hold(tool.stored)

    async def look_up(self, reference: str) -> Tool:
        """Find a tool as `resolve` does, without pinning it."""
        return self.pinned(reference) or self.give(await self.stored(reference))

    async def stored(self, reference: str) -> ToolVersion:
        """Find a stored version, even if it can't be run any more."""
        name, wanted = split_reference(reference)
        pinned = self.pinned(name)
        if pinned is not None and wanted in (None, pinned.version):  # it may have been removed elsewhere
            return pinned.stored
        return await self._get(name, wanted)

    async def _get(self, name: str, wanted: str | None) -> ToolVersion:
        found = await self._store.tools.get(name, wanted)
        if found is None:
            raise await self._unknown(name, wanted)
        return attested(found)

    async def current(self, name: str) -> ToolVersion | None:
        """Find the version that a new session uses for a name."""
        found = await self._store.tools.get(name)
        return attested(found) if found is not None else None

    async def listed(self, search: str, limit: int) -> Rows[ToolVersion]:
        """List current versions, newest first; with `search`, only those that match it, best match first."""
        tools = self._store.tools
        found = await (tools.search(search, limit) if search else tools.latest(limit))
        return Rows(map(attested, found), found.unreadable)

    def pinned(self, name: str) -> Tool | None:
        """Return the version to which this session has pinned a name; None if the name is not pinned."""
        return self._pinned.get(name)

    def hold(self, version: ToolVersion) -> Tool:
        """Make the session use this version for its name from now on."""
        tool = self._pinned[version.metadata.name] = self.give(version)
        return tool

    def give(self, version: ToolVersion) -> Tool:
        """Make a stored version callable; see `load` for the error."""
        key = version.metadata.id
        loaded = self._loaded.get(key)
        if loaded is None or loaded.metadata.ttl_seconds != version.metadata.ttl_seconds:
            loaded = self._loaded[key] = load(version)
            if len(self._loaded) > _LOADED_LIMIT:
                self._loaded.popitem(last=False)
        return Tool(loaded, self._caller)

    async def versions(self, name: str) -> list[ToolVersion]:
        """List the versions of a name, highest first."""
        found = await self._store.tools.versions(name)
        if not found:
            raise await self._unknown(name, None)
        return [*map(attested, found)]

    async def roll_back(self, name: str, wanted: str) -> Tool:
        """Make another version the current one, in the toolbox and in this session."""
        found = await self._get(name, wanted)
        tool = self.give(found)
        await self._store.tools.set_current(name, tool.id, session_id=self._session_id)
        return self.hold(found)

    async def remove(self, name: str) -> int:
        """Remove a tool from the toolbox and return the number of its versions; its history stays.

        A `Tool` in a notebook continues to work, and so do other sessions that have pinned the tool.
        """
        removed = await self._store.tools.remove(name)
        if not removed:
            raise await self._unknown(name, None)
        self._pinned.pop(name, None)
        return removed

    async def _unknown(self, name: str, wanted: str | None) -> UnknownName:
        versions = await self._store.tools.versions(name)
        listed = ", ".join(known.metadata.version for known in versions[:_LISTED_VERSIONS])
        if versions.unreadable:
            what = f"{name}@{wanted}" if wanted else f"The current version of {name}"
            way_out = f"%fact remove {name} --yes removes it; %%fact_generate writes it again."
            if listed:
                way_out = f"Go back to one of {listed}: %fact rollback {name} VERSION"
            return UnknownName(
                f"{what} can't be read from the database: {versions.unreadable[0]}.", hint=way_out
            )
        if wanted is not None and versions:
            return UnknownName(f"{name} has no version {wanted}.", hint=f"It has {listed}.")
        if versions:
            return UnknownName(
                f"{name} has no current version.",
                hint=f"Choose one of {listed}: %fact rollback {name} VERSION",
            )
        names = [known for known in await self._store.tools.names() if known != name]
        listing = "%fact tools lists the tools" if names else "No tools are stored yet"
        hint = did_you_mean(name, names) or f"{listing}; %%fact_generate {name} writes a new one."
        return UnknownName(f"There is no tool named {name!r}.", hint=hint)
