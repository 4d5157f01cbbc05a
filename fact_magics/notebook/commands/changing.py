"""``%fact insert``, ``rollback`` and ``remove``: what a name means from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.errors import CellError
from fact_magics.notebook.arguments import Arguments, Command, Option
from fact_magics.notebook.commands.desk import JSON, Answer, Desk
from fact_magics.notebook.commands.pages import page
from fact_magics.text import plural
from fact_magics.tool import split_reference

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.tool import ToolVersion

INSERT = Command(
    usage="%fact insert NAME[@V]",
    summary="Put a cell below with the tool's source, to change by hand.",
    positional=("NAME",),
    options=(JSON,),
    examples=("%fact insert slugify", "%fact insert slugify@1.0"),
)
ROLLBACK = Command(
    usage="%fact rollback NAME V",
    summary="Make another version the current one, here and for notebooks that come later.",
    positional=("NAME", "V?"),
    options=(JSON,),
    examples=("%fact rollback slugify 1.0.0", "%fact rollback slugify 1"),
)
REMOVE = Command(
    usage="%fact remove NAME --yes",
    summary="Take a tool out of the toolbox; its history stays, and its name is free again.",
    positional=("NAME",),
    options=(Option("--yes", "It is meant."), JSON),
    examples=("%fact remove slugify --yes",),
)

_LISTED = 8


def insert(arguments: Arguments, desk: Desk) -> Answer:
    """Put a ``%%fact_edit`` cell with a version's source below."""
    found = desk.ask(lambda core: core.toolbox.stored(arguments.words["NAME"]))
    desk.notebook.put_cell(f"%%fact_edit {found.metadata.name}\n{found.source.rstrip()}\n")
    facts = [
        ("Below", f"a cell with its source; run it to make it the next version of {found.metadata.name}")
    ]
    return Answer(page(found.reference, facts), {"inserted": found.reference, "source": found.source})


def roll_back(arguments: Arguments, desk: Desk) -> Answer:
    """Move what a name means, and what the notebook holds under it."""
    name, wanted = split_reference(arguments.words["NAME"])
    wanted = arguments.words.get("V", wanted)

    async def move(core: FactCore) -> tuple[ToolVersion | None, Tool]:
        before = await core.store.tools.get(name)
        if wanted is None:
            raise await _which(core, name)
        return before, await core.toolbox.roll_back(name, wanted)

    before, tool = desk.ask(move)
    bound = desk.notebook.rebind(tool)
    moved = before is not None and before.metadata.id != tool.id
    facts = [
        ("Current", f"{tool.version}{'' if moved else ', as it was before'}"),
        ("Before", before.metadata.version if before is not None and moved else ""),
        ("Bound", f"{name} is {tool.version} in this notebook now" if bound else ""),
    ]
    data = {
        "name": name,
        "version": tool.version,
        "before": before.metadata.version if before else None,
        "bound": bound,
    }
    return Answer(page(name, facts), data)


async def _which(core: FactCore, name: str) -> CellError:
    versions = await core.store.tools.versions(name)
    if not versions:
        await core.toolbox.stored(name)  # says what there is instead
    listed = ", ".join(known.metadata.version for known in versions[:_LISTED])
    return CellError(f"%fact rollback needs to know which version of {name}.", hint=f"It has {listed}.")


def remove(arguments: Arguments, desk: Desk) -> Answer:
    """Take a name out of the toolbox."""
    name, version = split_reference(arguments.words["NAME"])
    if version is not None:
        raise CellError(
            f"%fact remove takes out {name} as a whole, not one version of it.",
            hint=f"Write %fact remove {name}; or %fact rollback {name} V to go back to another version.",
        )
    if not arguments.get("yes"):
        versions = desk.ask(lambda core: core.store.tools.versions(name))
        if not versions:
            desk.ask(lambda core: core.toolbox.stored(name))
        raise CellError(
            f"{name} has {plural(len(versions), 'version')}, which would be taken out of the toolbox.",
            hint="Add --yes to do it. The history stays.",
        )
    removed = desk.ask(lambda core: core.toolbox.remove(name))
    facts = [
        ("Removed", f"{plural(removed, 'version')} of {name}"),
        ("Kept", "the history; and what notebooks hold of it goes on working until they are closed"),
    ]
    return Answer(page(name, facts), {"removed": name, "versions": removed})
