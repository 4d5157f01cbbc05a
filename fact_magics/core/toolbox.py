"""The toolbox of a session: which version each name stands for; roll back and remove."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from fact_magics.core.handle import Tool
from fact_magics.core.loaded import load
from fact_magics.errors import UnknownName, did_you_mean
from fact_magics.tool import split_reference

if TYPE_CHECKING:
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.running import Runner
    from fact_magics.store import Store
    from fact_magics.tool import ToolVersion

# How many versions stay loaded; each takes some kilobytes.
_LOADED_LIMIT = 512
_LISTED_VERSIONS = 8


class Toolbox:
    """The stored tools as one session sees them.

    Parameters
    ----------
    store : Store
        Holds the tools.
    session_id : str
        The session whose pins count.
    runner : Runner
        Runs the tools that are found.
    """

    def __init__(self, store: Store, session_id: str, runner: Runner) -> None:
        self._store = store
        self._session_id = session_id
        self._runner = runner
        self._loaded: OrderedDict[str, LoadedTool] = OrderedDict()
        self._pinned: dict[str, Tool] = {}

    async def resolve(self, reference: str) -> Tool:
        """Find ``NAME``, ``NAME@1`` or ``NAME@1.2.3``; the first use of a bare name pins its version.

        Raises
        ------
        UnknownName
            There is no such tool, or no such version of it.
        """
        tool = await self.look_up(reference)
        if reference != tool.name or self.pinned(reference):
            return tool
        await self._store.sessions.pin(self._session_id, tool.name, tool.id)
        return self.hold(tool.stored)

    async def look_up(self, reference: str) -> Tool:
        """Find a tool as `resolve` does, without pinning it."""
        return self.pinned(reference) or self.give(await self.stored(reference))

    async def stored(self, reference: str) -> ToolVersion:
        """Find a version as it is stored, also one that can't be run any more."""
        if (pinned := self.pinned(reference)) is not None:
            return pinned.stored
        name, wanted = split_reference(reference)
        found = await self._store.tools.get(name, wanted)
        if found is None:
            raise await self._unknown(name, wanted)
        return found

    def pinned(self, name: str) -> Tool | None:
        """Give what this session runs under a bare name, if it has run or bound it; waits for nothing."""
        return self._pinned.get(name)

    def hold(self, version: ToolVersion) -> Tool:
        """Let the bare name mean this version from now on."""
        tool = self._pinned[version.metadata.name] = self.give(version)
        return tool

    def give(self, version: ToolVersion) -> Tool:
        """Make a stored version callable.

        Raises
        ------
        SignatureError
            The stored source can't be read by this version of the package.
        """
        return Tool(self._load(version), self._runner)

    async def versions(self, name: str) -> list[ToolVersion]:
        """List the versions of a name, the highest first.

        Raises
        ------
        UnknownName
            There is no such tool.
        """
        found = await self._store.tools.versions(name)
        if not found:
            raise await self._unknown(name, None)
        return found

    async def roll_back(self, name: str, wanted: str) -> Tool:
        """Make another version the current one, of the toolbox and of this session.

        Raises
        ------
        UnknownName
            There is no such tool, or no such version of it.
        """
        found = await self._store.tools.get(name, wanted)
        if found is None:
            raise await self._unknown(name, wanted)
        tool = self.give(found)
        await self._store.tools.set_current(name, tool.id, session_id=self._session_id)
        return self.hold(found)

    async def remove(self, name: str) -> int:
        """Take a name out of the toolbox; tells how many versions it had. Its history stays.

        What notebooks hold of it goes on working, and so do other sessions that run it already.

        Raises
        ------
        UnknownName
            There is no such tool.
        """
        removed = await self._store.tools.remove(name)
        if not removed:
            raise await self._unknown(name, None)
        self._pinned.pop(name, None)
        return removed

    def _load(self, stored: ToolVersion) -> LoadedTool:
        key = stored.metadata.id
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = load(stored)
            if len(self._loaded) > _LOADED_LIMIT:
                self._loaded.popitem(last=False)
        return loaded

    async def _unknown(self, name: str, wanted: str | None) -> UnknownName:
        if wanted is not None and (versions := await self._store.tools.versions(name)):
            listed = ", ".join(known.metadata.version for known in versions[:_LISTED_VERSIONS])
            return UnknownName(f"{name} has no version {wanted}.", hint=f"It has {listed}.")
        names = await self._store.tools.names()
        if not names:
            hint = f"Nothing is stored yet: write it with %%fact_generate {name}."
        else:
            hint = (
                did_you_mean(name, names)
                or f"%fact tools lists what there is; %%fact_generate {name} writes it."
            )
        return UnknownName(f"There is no tool named {name!r}.", hint=hint)
