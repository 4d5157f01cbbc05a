"""``%fact export`` and ``import``: a tool into a file, and out of one."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from fact_magics.core import portable
from fact_magics.core.importing import Consent, author_of, refuse_ungranted, refuse_unsigned
from fact_magics.errors import CellError, FactError, TransferRefused
from fact_magics.events import GenerationEnded
from fact_magics.notebook.arguments import ALLOW, YES_REALLY, Arguments, Command, Option, seconds
from fact_magics.notebook.commands.desk import JSON, Answer, Desk
from fact_magics.notebook.commands.pages import page
from fact_magics.signature.source import ToolSource
from fact_magics.text import inert, one_line, plural, shorten
from fact_magics.tool import IMPORTED
from fact_magics.writing.checks import check

if TYPE_CHECKING:
    from pathlib import Path

    from fact_magics.config import Settings
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.core.portable import ToolFile
    from fact_magics.events import Event
    from fact_magics.tool import ToolVersion

    Facts = list[tuple[str, str]]

# As long as a tool may be.
_SHOWN = 200_000

EXPORT = Command(
    usage="%fact export NAME[@V]",
    summary="Write a tool to a file that reads well and can be imported elsewhere.",
    positional=("NAME",),
    options=(
        Option("--to", "The file, or the directory for it (NAME.fact.py beside the notebook).", "FILE"),
        Option("--replace", "Write over a file that is something else."),
        JSON,
    ),
    examples=("%fact export slugify", "%fact export slugify@1.0 --to shared/slugify.fact.py"),
)
IMPORT = Command(
    usage="%fact import FILE",
    summary="Take a tool in from a file, if it does here what its examples say.",
    positional=("FILE",),
    options=(
        ALLOW,
        YES_REALLY,
        Option("--unsigned", "Take a file without a signature where a SECRET_KEY is set."),
        Option("--timeout", "Wall-clock limit of each example (30).", "S", seconds),
        JSON,
    ),
    examples=("%fact import slugify.fact.py", "%fact import stars.fact.py --allow net:api.github.com:443"),
)


def export(arguments: Arguments, desk: Desk) -> Answer:
    """Write a tool to a file."""
    reference = arguments.words["NAME"]
    text = desk.ask(lambda core: core.export_tool(reference))
    file = portable.read(text)
    path = _target(desk, arguments.get("to"), file.name)
    if not arguments.get("replace"):
        _refuse_loss(path, file)
    _write(path, text)
    signed = (
        f"with the SECRET_KEY from {desk.settings.origin('secret_key')}"
        if file.signature
        else "no: no SECRET_KEY is set"
    )
    facts = [
        ("Written", f"{path}, {plural(len(text.encode()), 'byte')}"),
        ("Allowed", ", ".join(file.permissions)),
        ("Signed", signed),
        ("Elsewhere", f"%fact import {shlex.quote(path.name)}"),
    ]
    data = {"name": file.name, "version": file.version, "file": str(path), "signed": bool(file.signature)}
    return Answer(page(f"{file.name} {file.version}", facts), data)


def _target(desk: Desk, wanted: str | None, name: str) -> Path:
    path = desk.path(wanted or f"{name}.fact.py")
    return path / f"{name}.fact.py" if path.is_dir() else path


def _refuse_loss(path: Path, file: ToolFile) -> None:
    try:
        there = portable.read(portable.decode(_read(path)))
    except FileNotFoundError:
        return
    except TransferRefused:
        pass
    else:
        if there.name == file.name:
            return
    raise CellError(
        f"{path} exists, and is no exported {file.name} as it was written.",
        hint="Name another file with --to, or add --replace to write over it.",
    )


def _write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all; a link in its place is replaced, not followed."""
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(text.encode())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CellError(
            f"{path} can't be written: {error.strerror}.", hint="Name another file with --to."
        ) from None


def import_(arguments: Arguments, desk: Desk) -> Answer:
    """Show what a file holds, prove it here, and keep it."""
    path = desk.path(arguments.words["FILE"])
    try:
        text = portable.decode(_read(path))
    except FileNotFoundError:
        raise CellError(
            f"There is no file {path}.", hint="Give the path of a file that %fact export wrote."
        ) from None
    file = portable.read(text)
    about = f"{file.name} {file.version} from {path.name}"
    ended: list[GenerationEnded] = []

    def listen(event: Event) -> None:
        if isinstance(event, GenerationEnded):
            ended.append(event)

    allowed = tuple(arguments.get("allow", ()))
    consent = Consent(allowed, bool(arguments.get("yes_really")), bool(arguments.get("unsigned")))

    async def take_in(core: FactCore) -> tuple[ToolVersion | None, Tool]:
        refuse_unsigned(file, core.settings.secret_key, unsigned=consent.unsigned)
        refuse_ungranted(file, consent, core.directory, command=_command(arguments, consent))
        before = await core.current(file.name)
        tool = await core.import_tool(
            text,
            permissions=consent.permissions,
            yes_really=consent.yes_really,
            unsigned=consent.unsigned,
            timeout_seconds=arguments.get("timeout", 30.0),
            listener=listen,
        )
        return before, tool

    try:
        before, tool = desk.ask(take_in, stopped=f"The import of {file.name} was stopped.")
    except FactError:
        desk.notebook.show(page(about, _claims(file, desk.settings), code=_texts(file)))
        raise
    facts = [*_claims(file, desk.settings), *_outcome(tool, ended[-1], before)]
    data = {**asdict(tool.metadata), "reused": ended[-1].reused, "signed": bool(file.signature)}
    return Answer(page(about, facts, code=_texts(file)), data)


def _command(arguments: Arguments, consent: Consent) -> str:
    """Write the line again, as far as it decides what is let in."""
    words = ["%fact import", shlex.quote(arguments.words["FILE"])]
    words += [f"--allow {shlex.quote(permission)}" for permission in consent.permissions]
    words += ["--yes-really"] * consent.yes_really + ["--unsigned"] * consent.unsigned
    return " ".join(words)


def _read(path: Path) -> bytes:
    """Read no more of a file than can be one of ours.

    Raises
    ------
    FileNotFoundError
        It is not there.
    CellError
        It can't be read.
    """
    if path.exists() and not path.is_file():
        raise CellError(f"{path} is no file.", hint="Give the path of a file that %fact export wrote.")
    try:
        with path.open("rb") as file:
            return file.read(portable.MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise CellError(
            f"{inert(str(path))} can't be read: {said}.", hint="Give the path of a file that you can read."
        ) from None


def _outcome(tool: Tool, ended: GenerationEnded, before: ToolVersion | None) -> Facts:
    """Say what the import came to."""
    name = tool.name
    if ended.reused:
        done = f"{ended.notice}; it is the current one"
    elif tool.metadata.proven:
        examples = plural(len(ended.attempts[-1].verdicts), "example")
        done = f"as {name} {tool.version}, proven here on {examples}"
    else:
        done = f"as {name} {tool.version}, unproven: it has no examples"
    facts = [("Imported", done), ("Bind it", f"from fact_magics.tools import {name}")]
    if before is not None and before.metadata.id != tool.id:
        was = before.metadata.version
        facts.append(("Before", f"{was} was the current one; %fact rollback {name} {was} goes back to it"))
    return facts


def _claims(file: ToolFile, settings: Settings) -> Facts:
    """Say what a file says of a tool; nothing of it is believed."""
    source = ToolSource(file.source, file.name)
    failures = check(source)
    author = author_of(file, file.permissions)
    written = f"made {one_line(file.created_at, 40)}, by fact_magics {one_line(file.fact_magics, 20)}"
    proof = f"said to be proven on {plural(file.examples, 'example')}" if file.proven else "unproven"
    return [
        ("Signature", one_line(failures[0] if failures else source.signature.text, 400)),
        ("Does", ("" if failures else source.signature.doc) or file.description),
        ("Asks for", ", ".join(file.permissions) or "no permissions"),
        ("Written by", f"{author.model or 'nobody'}{', it says' if author.provider == IMPORTED else ''}"),
        ("Exported", f"{written}; {proof}"),
        ("Signed", _signed(file, settings)),
        ("Tags", ", ".join(file.tags)),
    ]


def _texts(file: ToolFile) -> Facts:
    lines = plural(len(file.source.splitlines()), "line")
    return [
        ("Examples", shorten(file.contract, _SHOWN)),
        (f"Source, {lines}", shorten(file.source, _SHOWN)),
    ]


def _signed(file: ToolFile, settings: Settings) -> str:
    key = settings.secret_key
    if not file.signature:
        return "no"
    if key is None:
        return "yes, but no SECRET_KEY is set here to check that with"
    if not file.is_signed_by(key):
        return "with another SECRET_KEY than the one that is set here"
    return f"validly, with the SECRET_KEY from {settings.origin('secret_key')}"
