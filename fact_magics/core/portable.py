"""The file of an exported tool: a block of comments that describes the tool, then its Python module.

The block has the form of inline script metadata with TOML inside, so that people and programs can read it::

    # /// fact-tool
    # format = 1
    # name = "slugify"
    # ...
    # ///

    def slugify(text: str) -> str:

The source follows after one empty line, exactly as it is stored. Nothing in the block is trusted. The digest
at the end of the block reveals accidental changes. The signature, if there is one, shows that the exporter
had the key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fact_magics._version import __version__
from fact_magics.errors import CellError, TransferRefused
from fact_magics.text import inert, one_line, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import SecretStr

    from fact_magics.tool import ToolVersion

FORMAT = 1
MAX_BYTES = 1_000_000

_WANTED = "the path of a file that %fact export wrote, or the text of such a file"
_OPENING = "# /// fact-tool\n"
_CLOSING = "# ///"
# Later formats must keep this line, so that an old reader can tell a newer file from a broken one.
_FORMAT_LINE = re.compile(r"format = ([0-9]{1,9})")

# tomllib takes quadratic time and memory for a dotted key, so `read` accepts only forms that `write` uses.
# The quantifiers are possessive so that a hostile line can't make the match backtrack.
_STRING = r'"(?:[^"\\]|\\.)*+"'
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,17})?(?:e-[0-9]{1,3})?"
_LINE = re.compile(rf"|\[[a-z]+\]|[a-z_]+ = (?:{_STRING}|\[(?:{_STRING}(?:, )?)*+\]|{_NUMBER}|true|false)")
_LONG_STRING = re.compile(r"contract = ('''|\"\"\")")

_SIGNED = b"fact_magics tool file\0"

# Limited, because a hint may show all items on one line to copy.
_Few = Annotated[list[str], Field(max_length=100)]
_Number = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Provenance(_Table):
    provider: str
    model: str
    created_at: str
    fact_magics: str


class _Proof(_Table):
    examples: int
    proven: bool
    strength: str = ""


class _Seal(_Table):
    digest: str
    signature: str = ""


class _Block(_Table):
    format: int
    name: str
    version: _Number
    description: str
    permissions: _Few
    tags: _Few
    ttl_seconds: float | None = None
    contract: str
    provenance: _Provenance
    proof: _Proof
    seal: _Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFile:
    """The claims of a file about its tool; `ToolMetadata` describes the fields that are not listed here.

    Attributes
    ----------
    fact_magics : str
        The version of this package that wrote the file.
    examples : int
        The number of examples in the contract.
    source : str
        The module, exactly as it was stored.
    strength : str
        The result of the newest probe before the export; empty if there was none.
    signature : str
        Empty in an unsigned file; `is_signed_by` checks the signature.
    """

    name: str
    version: str
    description: str
    permissions: tuple[str, ...]
    tags: tuple[str, ...]
    contract: str
    provider: str
    model: str
    created_at: str
    fact_magics: str
    examples: int
    proven: bool
    source: str
    ttl_seconds: float | None = None
    strength: str = ""
    signature: str = ""
    _text: str = field(default="", repr=False, compare=False)

    def is_signed_by(self, key: SecretStr) -> bool:
        """Tell whether the file was signed with this key; compares in constant time."""
        return hmac.compare_digest(_signature(self._text, key).encode(), self.signature.encode())


def write(version: ToolVersion, key: SecretStr | None = None) -> str:
    """Write a stored version as the text of a file, signed if there is a key.

    Save the text as UTF-8, and do not convert its line endings.

    Raises
    ------
    TransferRefused
        The version can't be written as text, or the text is larger than `read` accepts.
    """
    known = version.metadata

    def fields(*names: str) -> list[str]:
        return [f"{name} = {_value(getattr(known, name))}" for name in names]

    lines = [
        f"format = {FORMAT}",
        *fields("name", "version", "description", "permissions", "tags"),
        *([f"ttl_seconds = {known.ttl_seconds!r}"] if known.ttl_seconds else []),
        *_long_string("contract", known.contract),
        "",
        "[provenance]",
        *fields("provider", "model"),
        f"created_at = {_value(utc_text(known.created_at))}",
        f"fact_magics = {_value(__version__)}",
        "",
        "[proof]",
        f"examples = {known.example_count}",
        f"proven = {'true' if known.proven else 'false'}",
        *(fields("strength") if known.strength else []),
        "",
        "[seal]",
    ]
    try:
        lines.append(f"digest = {_value(_digest(_assembled(lines, version.source)))}")
    except UnicodeEncodeError:
        raise TransferRefused(
            f"{version.reference} contains a lone surrogate, which can't be written to a text file.",
            hint="Write the character as an escape in its source.",
        ) from None
    text = _assembled(lines, version.source)
    if key is not None:
        lines.append(f"signature = {_value(_signature(text, key))}")
        text = _assembled(lines, version.source)
    if (size := len(text.encode())) > MAX_BYTES:
        raise TransferRefused(
            f"{version.reference} would be a file of {size:,} bytes; at most {MAX_BYTES:,} can be imported.",
            hint="Use shorter values in its examples.",
        )
    return text


def text_of(source: str | PathLike[str], directory: Path) -> str:
    """Return the text of an exported file, given the text itself or the file's path.

    A text of several lines is the file's text; anything else is a path, relative to `directory`.

    Raises
    ------
    CellError
        There is no such file, or it can't be read.
    TransferRefused
        The text or the file's content is too large, or not text.
    """
    if not isinstance(source, str | PathLike) or not source:
        given = "an empty text" if isinstance(source, str) else f"a value of type {type(source).__name__}"
        raise CellError(f"An import needs {_WANTED}; it got {given}.")
    if isinstance(source, str) and ("\n" in source or source.startswith(_OPENING.strip())):
        return decode(source.encode("utf-8", "surrogatepass"))
    path = Path(source)
    with suppress(RuntimeError):  # no such user after a ~
        path = path.expanduser()
    content = read_file(directory / path, MAX_BYTES + 1)
    if content is None:
        raise CellError(f"There is no file {directory / path}.", hint=f"Give {_WANTED}.")
    return decode(content)


def read_file(path: Path, limit: int) -> bytes | None:
    """Read at most `limit` bytes of a file; None if it does not exist, `CellError` if it can't be read."""
    try:
        if path.exists() and not path.is_file():
            what = "a directory" if path.is_dir() else "not a file"
            raise CellError(f"{path} is {what}.", hint="Give the path of a file.")
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise CellError(
            f"{inert(str(path))} can't be read: {said}.", hint="Give the path of a file that you can read."
        ) from None


def decode(data: bytes) -> str:
    """Decode a file's bytes; raises `TransferRefused` if the file is too large or not text."""
    if len(data) > MAX_BYTES:
        raise _refused(f"it is larger than {MAX_BYTES:,} bytes")
    if b"\0" in data:
        raise _refused("it is binary")
    try:
        text = data.decode("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError:
        raise _refused("it is not UTF-8") from None
    if text.partition("\n")[0].endswith("\r"):
        # A Git checkout may convert line endings. The digest shows whether anything else changed.
        text = text.replace("\r\n", "\n")
    return text


def read(text: str) -> ToolFile:
    """Read the text of a file that `write` made; none of its code is run.

    Raises
    ------
    TransferRefused
        The text was not written by `write`, is from a newer version, or was changed after the export.
    """
    lines, source = _split(text)
    form = _FORMAT_LINE.fullmatch(lines[0])
    if form is None or form[1] == "0":
        raise _refused("its header block does not begin with a format")
    if int(form[1]) > FORMAT:
        raise TransferRefused(
            f"The file was written by a newer fact_magics (format {int(form[1])}; this one reads {FORMAT}).",
            hint="Install a newer fact_magics to import it.",
        )
    block = _block(lines)
    seal = block.seal
    if seal.signature:
        lines.pop()
    signed = _assembled(lines, source)
    if _digest(_assembled(lines[:-1], source)) != seal.digest:
        raise TransferRefused(
            f"The file of {one_line(block.name, 60)!r} was changed after it was exported.",
            hint="Import the file as it was exported; then change the tool with %%fact_edit.",
        )
    claims = block.model_dump(exclude={"format", "provenance", "proof", "seal"})
    claims |= {**block.provenance.model_dump(), **block.proof.model_dump()}
    claims |= {"permissions": tuple(block.permissions), "tags": tuple(block.tags)}
    claims["contract"] = block.contract.removesuffix("\n")
    return ToolFile(**claims, source=source, signature=seal.signature, _text=signed)


def _refused(why: str) -> TransferRefused:
    return TransferRefused(
        f"The file can't be imported: {why}.",
        hint="Give the path of a file that %fact export wrote.",
    )


def _split(text: str) -> tuple[list[str], str]:
    """Split a file's text into the lines of its header block and the source."""
    if not text.startswith(_OPENING):
        raise _refused(f"it does not begin with {_OPENING.strip()!r}")
    head, closed, rest = text.removeprefix(_OPENING).partition(f"\n{_CLOSING}\n")
    if not closed or not rest.startswith("\n"):
        raise _refused("it is cut off, because its header block has no end")
    lines = head.split("\n")
    if not all(line == "#" or line.startswith("# ") for line in lines):
        raise _refused("its header block contains a line that is not a comment")
    return [line[2:] for line in lines], rest[1:]


def _assembled(lines: Iterable[str], source: str) -> str:
    block = "".join(f"# {line}\n" if line else "#\n" for line in lines)
    return f"{_OPENING}{block}{_CLOSING}\n\n{source}"


def _block(lines: Sequence[str]) -> _Block:
    _refuse_other_lines(lines)
    sealed = [line.partition(" = ")[0] for line in lines[-2:]]
    if sealed != ["digest", "signature"] and sealed[-1] != "digest":
        raise _refused("its header block does not end with a digest")
    try:
        read: dict[str, Any] = tomllib.loads("\n".join(lines))
        return _Block.model_validate(read)
    except tomllib.TOMLDecodeError as error:
        raise _refused(one_line(str(error), 120)) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = one_line(".".join(map(str, first["loc"])), 60)
        raise _refused(f"{where}: {first['msg']}") from None


def _refuse_other_lines(lines: Sequence[str]) -> None:
    quotes = ""
    for number, line in enumerate(lines, start=2):
        if quotes and line == quotes:
            quotes = ""
        elif opened := None if quotes else _LONG_STRING.fullmatch(line):
            quotes = opened[1]
        elif quotes in line if quotes else not _LINE.fullmatch(line):
            raise _refused(f"line {number} does not belong in the header block")
    if quotes:
        raise _refused("its contract has no end")


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _signature(text: str, key: SecretStr) -> str:
    secret = key.get_secret_value().encode("utf-8", "surrogatepass")
    return f"hmac-sha256:{hmac.new(secret, _SIGNED + text.encode(), hashlib.sha256).hexdigest()}"


# The functions below write the part of TOML that the block needs.

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(character: str) -> str:
    """Escape a character that a line can't contain, that is invisible, or that reorders text on screen."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() or "\ud800" <= character <= "\udfff":
        return character  # neither TOML nor UTF-8 can represent a surrogate, so `write` refuses it
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _value(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    return f"[{', '.join(map(_value, value))}]"


def _long_string(name: str, text: str) -> list[str]:
    if not text:
        return [f'{name} = ""']
    lines = text.split("\n")
    literal = all(line.replace("\t", " ").isprintable() and line != "///" for line in lines)
    if literal and "'''" not in text:
        return [f"{name} = '''", *lines, "'''"]
    escaped = ["".join(map(_escaped, line)) for line in lines]
    # An unescaped line "///" would close the block.
    escaped = ["\\u002f//" if line == "///" else line for line in escaped]
    return [f'{name} = """', *escaped, '"""']
