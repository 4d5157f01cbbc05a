"""The methods of `FactCore` that find out how far examples go, and add an answer to the examples."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from fact_magics.core.accepting import Order
from fact_magics.core.generating import ask, known_version, prepared
from fact_magics.core.loaded import load
from fact_magics.core.refining import plan_refinement
from fact_magics.errors import CellError, FactError, GenerationFailed
from fact_magics.store.probes import ProbeRow
from fact_magics.tool import SHELF, ToolSpec
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import Author
from fact_magics.writing.refining import change_text, merged_examples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fact_magics.config import Settings
    from fact_magics.core.accepting import Acceptor
    from fact_magics.core.handle import Tool
    from fact_magics.core.toolbox import Toolbox
    from fact_magics.events import Listener
    from fact_magics.logs import Log
    from fact_magics.probing.prober import Other
    from fact_magics.probing.questions import Probe
    from fact_magics.store import Store
    from fact_magics.tool import Example, ToolVersion

_LONGEST_SECONDS = 3_600
_EARLIER = 50


class Growing:
    """Probes tools, and takes answers to the questions that a probe asks."""

    settings: Settings
    log: Log
    _store: Store
    _toolbox: Toolbox
    _acceptor: Acceptor
    _emitter: Callable[[Listener | None], Listener]

    async def probe(self, name: str, seconds: float = 1.0, listener: Listener | None = None) -> Probe:
        """Find out how far the examples of a tool go, without a model.

        Parameters
        ----------
        name : str
            ``NAME`` or ``NAME@VERSION``. A tool with permissions has them while it is probed.
        seconds : float
            How long to look, above 0 and at most an hour.
        listener : callable, optional
            Called with the events of this probe, on the core's loop.

        Raises
        ------
        UnknownName
            There is no such tool.
        CellError
            `seconds` is out of range, or the tool takes paths or tables.
        IsolationError
            The tool can't be isolated as the settings require.
        """
        from fact_magics.probing.prober import probe

        if not (isinstance(seconds, int | float) and 0 < seconds <= _LONGEST_SECONDS):
            raise CellError(f"seconds must be above 0 and at most {_LONGEST_SECONDS}; got {seconds!r:.40}.")
        tool = await self._toolbox.look_up(name)
        loaded = tool.loaded
        if loaded.signature.passes_tables:
            raise CellError(
                f"{tool.name} takes or returns tables, Series or arrays, for which no inputs can be derived.",
                hint="To pin it down, write more examples.",
            )
        if loaded.takes_paths:
            raise CellError(
                f"{tool.name} takes the path of a file, so no inputs can be derived for a probe.",
                hint="To probe it, let it take the content of the file instead of the path.",
            )
        documented = loaded.signature.doc if loaded.verified else ""
        found = await probe(
            tool.stored,
            self._acceptor.sandbox,
            seconds,
            self._emitter(listener),
            documented=documented,
            others=await self._others(tool.stored),
        )
        about = found.as_json()
        row = ProbeRow(
            tool_id=tool.id,
            tool_name=tool.name,
            tool_version=tool.version,
            changes=found.changes,
            caught=found.caught,
            inputs=found.inputs,
            questions=self.log.redactor.mask(json.dumps(about["questions"])),
            surprises=self.log.redactor.mask(json.dumps([one.as_json() for one in found.surprises])),
            untried=found.untried,
            seconds=found.seconds,
            candidates=found.candidates,
        )
        strength = found.strength or tool.metadata.strength  # empty if there was no time to find it out
        await self._store.probes.add(row, strength)
        loaded.note_strength(strength)
        return found

    async def newest_probe(self, reference: str) -> Probe | None:
        """Read the newest probe of a version; None if it was not probed."""
        from fact_magics.probing.questions import read_probe

        row = await self._store.probes.newest((await self._toolbox.stored(reference)).metadata.id)
        return read_probe(row) if row is not None else None

    async def keep_cell(self, tool: Tool, cell: str) -> None:
        """Keep the text of the cell that asked for a version, without keys."""
        with suppress(FactError):  # only `%fact answer` needs it, to write its cell
            await self._store.probes.keep_cell(tool.id, tool.name, self.log.redactor.mask(cell))

    async def cell_of(self, reference: str) -> str:
        """Return the text of the cell that asked for a tool, or one that would ask for it."""
        version = await self._toolbox.stored(reference)
        about = version.metadata
        if kept := await self._store.probes.cell(about.id, about.name):
            return kept
        rows = await self._store.history.generations(tool_name=about.name, limit=_EARLIER)
        described = next((row.description for row in rows if row.tool_id == about.id), about.description)
        allowed = "".join(f" --allow '{permission}'" for permission in about.permissions)
        return "\n\n".join(
            filter(None, (f"%%fact_generate {about.name}{allowed}\n{described.strip()}", about.contract))
        )

    async def grow(
        self,
        example: Example,
        request: ToolSpec,
        listener: Listener | None = None,
        *,
        refines: bool = False,
    ) -> Tool:
        """Add an example to the contract of a tool, and store a version that passes the new contract.

        If an equal request has a version, that one is used. Else, if the version in use passes the new
        contract, its source is kept. Otherwise the newest earlier candidate that passes is taken. If there is
        none, a model is asked to change the tool.

        Parameters
        ----------
        request : ToolSpec
            The request of the cell with the new example; an equal request returns the new version.
        refines : bool
            Whether that cell asks to change the tool.

        Raises
        ------
        GenerationFailed, ProviderError
            No candidate passes the new contract, and the model wrote none. No version changes.
        """
        current = await self._toolbox.stored(request.name)
        about = current.metadata
        if refines:
            request = (await plan_refinement(request, current, self.settings, self._acceptor)).spec
        else:
            request = prepared(request, self.settings, self._acceptor)
        signature = load(current).signature
        examples, changes = merged_examples(
            read_body(about.contract, about.name).examples, [example], signature
        )
        whole = {"examples": examples, "permissions": about.permissions, "tags": about.tags}
        spec = request.model_copy(update={**whole, "yes_really": True, "examples_read": True})
        await self._acceptor.refuse_ungrantable(spec)
        emit = self._emitter(listener)
        if (known := await known_version(request, self.settings, self._acceptor)) is not None:
            order = Order(spec, emit, "answer", changed=changes)
            return self._toolbox.hold(await self._acceptor.reuse(order, known))
        async for source, author in self._earlier(current):
            order = Order(spec, emit, "answer", keeps_failures=False, request_hash=request.request_hash)
            order.changed, order.about = changes, {"provider": author.provider}
            with suppress(_Unfit):
                version = await self._acceptor.take_source(
                    order, source, author, _unfit, self._acceptor.files
                )
                return self._toolbox.hold(version)
        own = ("model", "attempts", "escalate", "timeout_seconds", "ttl_seconds", "budget_usd", "max_tokens")
        wish = ToolSpec(about.name, "", (example,), **{name: getattr(request, name) for name in own})
        planned = await plan_refinement(wish, current, self.settings, self._acceptor)
        order = Order(planned.spec, emit, "answer", changed=changes, request_hash=request.request_hash)
        return self._toolbox.hold(await ask(order, self.settings, self._acceptor, change_text))

    async def _others(self, version: ToolVersion) -> list[Other]:
        """List the candidates accepted with a version, or with the one that it was grown from by answers."""
        from fact_magics.probing.prober import Other

        about = version.metadata
        rows = await self._store.history.generations(tool_name=about.name, limit=_EARLIER)
        own = next((row for row in rows if row.tool_id == about.id), None)
        if own is None:
            return []
        kept = {known.metadata.id for known in await self._toolbox.versions(about.name)}
        earlier = dropwhile(lambda row: row.generation_id != own.generation_id, rows)
        asked = next(
            (
                row.generation_id
                for row in earlier
                if row.group_number is not None
                and row.tool_id in kept
                and (row.description, row.permissions) == (own.description, about.permissions)
                # An answer changes the contract; a request that is repeated has candidates of its own.
                and (row.generation_id == own.generation_id or row.contract != own.contract)
            ),
            "",
        )
        found = [
            Other(row.source, row.parting_call)
            for row in rows
            if row.generation_id == asked and row.group_number is not None
        ]
        mine = next((other for other in found if other.source == version.source), None)
        return [other for other in found if other is not mine]

    async def _earlier(self, current: ToolVersion) -> AsyncIterator[tuple[str, Author]]:
        """Yield the source in use, then those of other versions and attempts, each once."""
        about = current.metadata
        yield current.source, Author(about.provider, about.model)
        seen = {current.source}
        versions = await self._toolbox.versions(about.name)
        others: list[tuple[str, Any]] = [(version.source, version.metadata) for version in versions]
        rows = await self._store.history.generations(tool_name=about.name, limit=_EARLIER)
        kept = {None, *(version.metadata.id for version in versions)}
        removed = {row.generation_id for row in rows if row.tool_id not in kept}
        # The shelf's own versions are listed above, if they are the shelf's.
        places = {row.generation_id: place for place, row in reversed([*enumerate(rows)])}
        rows.sort(
            key=lambda row: (
                places[row.generation_id],
                row.group_number is None,
                row.group_number or 0,
                -row.attempt,
            )
        )
        others += [
            (row.source, row)
            for row in rows
            if row.source and row.provider != SHELF and row.generation_id not in removed
        ]
        for source, origin in others:
            if source not in seen and tuple(origin.permissions) == about.permissions:
                seen.add(source)
                yield source, Author(origin.provider, origin.model)


class _Unfit(GenerationFailed):
    """An earlier candidate does not pass the new contract."""


def _unfit(why: str, details: tuple[str, ...]) -> FactError:
    return _Unfit(why, details=details)
