"""``%fact tools``, ``insert``, ``rollback`` and ``remove``: the stored tools and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.display import cells
from fact_magics.display.table import Table
from fact_magics.errors import CellError
from fact_magics.names import split_reference
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.text import plural, utc_text

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.display.cells import Cell
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.tool import ToolVersion

_TOOLS_LISTED = 100
_VERSIONS_LISTED = 8


def list_tools(arguments: Arguments, desk: Desk) -> Answer:
    """List the current version of each tool, or of those that match WORD and ``--search``."""
    search = " ".join(filter(None, (arguments.words.get("WORD"), arguments.get("search"))))
    found = desk.ask(lambda core: core.list_tools(search, _TOOLS_LISTED + 1))
    listed = found[:_TOOLS_LISTED]
    if len(found) > _TOOLS_LISTED:
        title = f"The {'best' if search else 'latest'} {_TOOLS_LISTED} tools; add a word to find the others"
    elif listed:
        title = plural(len(listed), "tool")
    else:
        title = f"No tool matches {search!r}." if search else "No tools yet. Write one: %%fact_generate NAME"
    title = ". ".join(filter(None, (title.rstrip(".") if found.note else title, found.note)))
    head = ("Tool", "Version", "Proof", "Allowed", "Written by", "Made", "Description")
    rows = [_tool_cells(tool) for tool in listed]
    data = [{**tool.metadata.model_dump(mode="json"), "source": tool.source} for tool in listed]
    return Answer(Table(title, head, rows, optional=("Allowed",)).record(), data)


def _tool_cells(tool: ToolVersion) -> tuple[str | Cell, ...]:
    about = tool.metadata
    return (
        about.name,
        about.version,
        " · ".join(filter(None, ("✓ proven" if about.proven else "unproven", about.strength))),
        ", ".join(about.permissions),
        cells.writer(about.provider, about.model),
        cells.when(utc_text(about.created_at)),
        about.description,
    )


def insert(arguments: Arguments, desk: Desk) -> Answer:
    """Add a ``%%fact_edit`` cell below, with the source of a version."""
    found = desk.ask(lambda core: core.stored(arguments.words["NAME"]))
    name = found.metadata.name
    desk.notebook.put_cell(f"%%fact_edit {name}\n{found.source.rstrip()}\n")
    facts = [("Below", f"a cell with its source; change it and run it to make the next version of {name}")]
    return Answer(page(found.reference, facts), {"inserted": found.reference, "source": found.source})


def roll_back(arguments: Arguments, desk: Desk) -> Answer:
    """Make another version current, and bind it if the notebook's variable already holds this tool."""
    name, version = split_reference(arguments.words["NAME"])
    wanted = arguments.words.get("VERSION", version)

    async def move(core: FactCore) -> tuple[ToolVersion | None, Tool]:
        if wanted is None:
            known = [version.metadata.version for version in await core.versions(name)]
            listed = ", ".join(known[:_VERSIONS_LISTED])
            raise CellError(f"%fact rollback needs a version of {name}.", hint=f"Its versions are {listed}.")
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
    data = {"name": name, "version": tool.version, "before": before, "bound": bound}
    return Answer(page(name, facts), data)


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
            hint="Add --yes to confirm. The history stays.",
        )
    removed = desk.ask(lambda core: core.remove_tool(name))
    facts = [
        ("Removed", f"{plural(removed, 'version')} of {name}"),
        ("Kept", "the history; other notebooks that have loaded the tool can run it until they are closed"),
    ]
    return Answer(page(name, facts), {"removed": name, "versions": removed})
