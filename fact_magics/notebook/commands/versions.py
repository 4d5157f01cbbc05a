"""``%fact versions`` and ``diff``: the versions of a tool, and what changed between two of them."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from fact_magics.display import cells
from fact_magics.display.difference import difference
from fact_magics.display.html import element
from fact_magics.display.record import stacked
from fact_magics.display.table import Table
from fact_magics.errors import CellError
from fact_magics.names import split_reference
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.text import plural, utc_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.core import FactCore
    from fact_magics.display.cells import Cell
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import ToolMetadata, ToolVersion


def list_versions(arguments: Arguments, desk: Desk) -> Answer:
    """List the versions of a tool, the highest first."""
    name, version = split_reference(arguments.words["NAME"])
    if version is not None:
        raise CellError(
            f"%fact versions lists all versions of {name}.",
            hint=f"Write %fact versions {name}, or for one version: %fact show {name}@{version}",
        )

    async def look(core: FactCore) -> tuple[list[ToolVersion], dict[str, str], str, str]:
        current, pinned = await core.current(name), core.pinned(name)
        ids = (current.metadata.id if current is not None else "", pinned.id if pinned is not None else "")
        return await core.versions(name), await core.notebooks(name), *ids

    found, notebooks, current, pinned = desk.ask(look)
    rows, data = [], []
    for each in found:
        about = each.metadata
        path = notebooks.get(about.id, "")
        marks = [
            word for word, marked in (("current", current), ("this notebook", pinned)) if marked == about.id
        ]
        rows.append(_cells(about, " · ".join(marks), path))
        uses = {"current": about.id == current, "pinned": about.id == pinned}
        data.append({**about.model_dump(mode="json"), **uses, "notebook": path})
    head = ("Version", "In use", "Proof", "Allowed", "Made", "Written by", "Notebook")
    title = f"{plural(len(found), 'version')} of {name}"
    return Answer(Table(title, head, rows, optional=("Allowed", "Notebook")).record(), data)


def _cells(about: ToolMetadata, used: str, notebook: str) -> tuple[str | Cell, ...]:
    name = PurePath(notebook).name
    return (
        about.version,
        used,
        about.proof,
        ", ".join(about.permissions),
        cells.when(utc_text(about.created_at)),
        cells.writer(about.provider, about.model),
        cells.Cell(name, element("span", name, title=notebook)) if name else "",
    )


def show_difference(arguments: Arguments, desk: Desk) -> Answer:
    """Show what changed between two versions in the source, the examples and the permissions."""
    name, version = split_reference(arguments.words["NAME"])
    given = [*filter(None, (version, arguments.words.get("V"), arguments.words.get("W")))]
    if len(given) > 2:
        raise CellError(f"%fact diff compares two versions of {name}.", hint=f"Write %fact diff {name} V W")

    async def look(core: FactCore) -> tuple[ToolVersion, ToolVersion]:
        named = [await core.stored(f"{name}@{wanted}") for wanted in given]
        if len(named) == 2:
            return named[0], named[1]
        current = await core.current(name) or await core.stored(name)
        return (named[0] if named else _before(await core.versions(name), current)), current

    before, after = desk.ask(look)
    old, new = before.metadata, after.metadata
    names = (before.reference, after.reference)
    parts = [
        difference("Source", before.source, after.source, names),
        difference("Examples", old.contract, new.contract, names),
    ]
    added = [permission for permission in new.permissions if permission not in old.permissions]
    removed = [permission for permission in old.permissions if permission not in new.permissions]
    changed = [
        f"{word} {', '.join(which)}" for word, which in (("added", added), ("removed", removed)) if which
    ]
    facts = [(part.title, part.summary) for part in parts]
    facts.append(("Permissions", "; ".join(changed) or "unchanged"))
    if old.id == new.id:
        facts = [("Compared", f"{old.version} with itself; name another version: %fact versions {name}")]
    records = [page(f"{name} {old.version} → {new.version}", facts)]
    records += [part.record() for part in parts if part.lines]
    data = {
        "name": name,
        "from": old.version,
        "to": new.version,
        "source": parts[0].note or "\n".join(parts[0].lines),
        "contract": parts[1].note or "\n".join(parts[1].lines),
        "permissions": {"added": added, "removed": removed},
    }
    return Answer(stacked(records), data)


def _before(versions: Sequence[ToolVersion], current: ToolVersion) -> ToolVersion:
    """Find the version with the next lower number than the current one."""
    ids = [version.metadata.id for version in versions]
    earlier = versions[ids.index(current.metadata.id) + 1 :] if current.metadata.id in ids else []
    if not earlier:
        name, listed = current.metadata.name, ", ".join(version.metadata.version for version in versions)
        raise CellError(
            f"{current.reference} has no earlier version to compare it with.",
            hint=f"%fact diff {name} V W compares two of its versions, which are: {listed}.",
        )
    return earlier[0]
