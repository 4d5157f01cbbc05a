"""``%fact insert``, ``rollback`` and ``remove``: edit a tool, change its current version, remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.errors import CellError
from fact_magics.notebook.commands.desk import Answer, Desk
from fact_magics.notebook.commands.pages import page
from fact_magics.text import plural
from fact_magics.tool import split_reference

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import ToolVersion

_LISTED = 8


def insert(arguments: Arguments, desk: Desk) -> Answer:
    """Add a ``%%fact_edit`` cell with a version's source below."""
    found = desk.ask(lambda core: core.stored(arguments.words["NAME"]))
    name = found.metadata.name
    desk.notebook.put_cell(f"%%fact_edit {name}\n{found.source.rstrip()}\n")
    facts = [("Below", f"a cell with its source; change and run it to make the next version of {name}")]
    return Answer(page(found.reference, facts), {"inserted": found.reference, "source": found.source})


def roll_back(arguments: Arguments, desk: Desk) -> Answer:
    """Make another version the current one, and bind it if the notebook holds another."""
    name, version = split_reference(arguments.words["NAME"])
    wanted = arguments.words.get("VERSION", version)

    async def move(core: FactCore) -> tuple[ToolVersion | None, Tool]:
        if wanted is None:
            versions = ", ".join(known.metadata.version for known in (await core.versions(name))[:_LISTED])
            raise CellError(
                f"%fact rollback needs a version of {name}.", hint=f"Its versions are {versions}."
            )
        return await core.current(name), await core.roll_back(name, wanted)

    found, tool = desk.ask(move)
    bound = desk.notebook.rebind(tool)
    before = found.metadata.version if found is not None else None
    moved = before not in (None, tool.version)
    facts = [
        ("Current", tool.version if moved else f"{tool.version}, as before"),
        ("Before", before or "" if moved else ""),
        ("Bound", f"{name} is now {tool.version} in this notebook" if bound else ""),
    ]
    return Answer(
        page(name, facts), {"name": name, "version": tool.version, "before": before, "bound": bound}
    )


def remove(arguments: Arguments, desk: Desk) -> Answer:
    """Remove a tool with all its versions."""
    name, version = split_reference(arguments.words["NAME"])
    if version is not None:
        raise CellError(
            f"%fact remove removes all versions of {name}, not just one.",
            hint=f"Write %fact remove {name}. To go back to a version: %fact rollback {name} VERSION.",
        )
    if not arguments.get("yes"):
        versions = desk.ask(lambda core: core.versions(name))
        raise CellError(
            f"This would remove {plural(len(versions), 'version')} of {name}.",
            hint="Add --yes to do it. The history stays.",
        )
    removed = desk.ask(lambda core: core.remove_tool(name))
    facts = [
        ("Removed", f"{plural(removed, 'version')} of {name}"),
        ("Kept", "the history; notebooks that hold the tool can run it until they are closed"),
    ]
    return Answer(page(name, facts), {"removed": name, "versions": removed})
