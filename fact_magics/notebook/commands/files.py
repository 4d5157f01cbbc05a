"""``%fact export`` and ``import``: write a tool to a file, and store a tool from a file."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.core import portable
from fact_magics.core.importing import author_of
from fact_magics.errors import FactError, TransferRefused
from fact_magics.events import GenerationEnded
from fact_magics.names import tool_name
from fact_magics.notebook.commands.desk import Answer, Desk, page, write_file
from fact_magics.signature.source import ToolSource
from fact_magics.text import duration, one_line, plural, shorten
from fact_magics.tool import IMPORTED
from fact_magics.writing.checks import check

if TYPE_CHECKING:
    from fact_magics.config import Settings
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.core.portable import ToolFile
    from fact_magics.events import Event
    from fact_magics.notebook.arguments import Arguments

    Facts = list[tuple[str, str]]

# The maximum length of a tool's source, so that a valid source is shown in full.
_SHOWN = 200_000


def export(arguments: Arguments, desk: Desk) -> Answer:
    """Write a tool to a file."""
    text = desk.ask(lambda core: core.export_tool(arguments.words["NAME"]))
    file = portable.read(text)
    path = desk.path(arguments.get("to") or f"{file.name}.fact.py")
    with suppress(OSError):  # `write_file` reports a path that can't be one
        if path.is_dir():
            path /= f"{file.name}.fact.py"
    write_file(
        path,
        text,
        replace=arguments.get("replace", False),
        is_own=lambda content: _is_export_of(file.name, content),
        own=f"an unchanged export of {file.name}",
    )
    origin = desk.session.core.settings.origin("secret_key")
    facts = [
        ("Written", f"{path}, {plural(len(text.encode()), 'byte')}"),
        ("Allowed", ", ".join(file.permissions)),
        ("Answers", _lifetime(file)),
        ("Signed", f"with the SECRET_KEY from {origin}" if file.signature else "no: no SECRET_KEY is set"),
        ("Import it", f"%fact import {shlex.quote(path.name)}"),
    ]
    data = {"name": file.name, "version": file.version, "file": str(path), "signed": bool(file.signature)}
    return Answer(page(f"{file.name} {file.version}", facts), data)


def _is_export_of(name: str, content: bytes) -> bool:
    try:
        return portable.read(portable.decode(content)).name == name
    except TransferRefused:
        return False


def import_(arguments: Arguments, desk: Desk) -> Answer:
    """Show the tool in a file, test it here, store it, and bind its name."""
    path = desk.path(arguments.words["FILE"])
    text = portable.text_of(path, path.parent)
    file = portable.read(text)
    replace = bool(arguments.get("replace"))
    about = f"{file.name} {file.version} from {path.name}"
    events: list[Event] = []

    async def take_in(core: FactCore) -> Tool:
        timeout = arguments.get("timeout", 30.0)
        return await core.import_tool(
            text,
            permissions=arguments.get("allow", ()),
            yes_really=bool(arguments.get("yes_really")),
            unsigned=bool(arguments.get("unsigned")),
            replace=replace,
            command=_command(arguments),
            timeout_seconds=timeout,
            listener=events.append,
        )

    claims = _claims(file, desk.session.core.settings)
    lines = plural(len(file.source.splitlines()), "line")
    texts = [
        ("Examples", shorten(file.contract, _SHOWN)),
        (f"Source, {lines}", shorten(file.source, _SHOWN)),
    ]
    try:
        desk.notebook.refuse_loss(tool_name(file.name), replace=replace)
        tool = desk.ask(take_in, stopped=f"The import of {file.name} was stopped.")
    except FactError:
        desk.notebook.show(page(about, claims, code=texts))
        raise
    desk.notebook.bind(tool.name, tool)
    ended = next(event for event in reversed(events) if isinstance(event, GenerationEnded))
    data = {**tool.metadata.model_dump(mode="json"), "reused": ended.reused, "signed": bool(file.signature)}
    return Answer(page(about, [*claims, *_outcome(tool, ended)], code=texts), data)


def _command(arguments: Arguments) -> str:
    """Rebuild this import's command line, to which an error's hint appends the missing permissions."""
    words = ["%fact import", shlex.quote(arguments.words["FILE"])]
    words += [f"--allow {shlex.quote(permission)}" for permission in arguments.get("allow", ())]
    if (timeout := arguments.get("timeout")) is not None:
        words.append(f"--timeout {str(timeout).removesuffix('.0')}")
    words += ["--yes-really"] * bool(arguments.get("yes_really"))
    words += ["--unsigned"] * bool(arguments.get("unsigned"))
    words += ["--replace"] * bool(arguments.get("replace"))
    return " ".join(words)


def _outcome(tool: Tool, ended: GenerationEnded) -> Facts:
    name = tool.name
    if ended.reused:
        done = f"{ended.notice}; that version is the current one"
    elif tool.metadata.proven:
        examples = plural(len(ended.attempts[-1].verdicts), "example")
        done = f"as {name} {tool.version}, proven here on {examples}"
    else:
        done = f"as {name} {tool.version}, unproven: it has no examples"
    bound = f"{name} is {tool.version} in this notebook"
    return [("Imported", done), ("Bound", bound), *(("Note", line) for line in ended.changes)]


def _claims(file: ToolFile, settings: Settings) -> Facts:
    """List what a file claims about its tool; the import does not rely on these claims."""
    source = ToolSource(file.source, file.name)
    failures = check(source)
    author = author_of(file, file.permissions)
    written = f"made {one_line(file.created_at, 40)}, by fact_magics {one_line(file.fact_magics, 20)}"
    examples = plural(file.examples, "example")
    proof = f"proven on {examples} before the export, as the file says" if file.proven else "unproven"
    claim = ", as the file says" if author.provider == IMPORTED else ""
    return [
        ("Signature", one_line(failures[0] if failures else source.signature.text, 400)),
        ("Does", ("" if failures else source.signature.doc) or file.description),
        ("Asks for", ", ".join(file.permissions) or "no permissions"),
        ("Answers", _lifetime(file)),
        ("Written by", f"{author.model or 'unknown'}{claim}"),
        ("Exported", f"{written}; {proof}"),
        ("Signed", _signed(file, settings)),
        ("Tags", ", ".join(file.tags)),
    ]


def _lifetime(file: ToolFile) -> str:
    return f"are good for {duration(file.ttl_seconds * 1_000)}" if file.ttl_seconds else ""


def _signed(file: ToolFile, settings: Settings) -> str:
    key = settings.secret_key
    if not file.signature:
        return "no"
    if key is None:
        return "yes, but it can't be checked: no SECRET_KEY is set here"
    if not file.is_signed_by(key):
        return "with a different SECRET_KEY"
    return f"yes, with the SECRET_KEY from {settings.origin('secret_key')}"
