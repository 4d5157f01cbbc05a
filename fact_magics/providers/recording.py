"""The file of a recording: a YAML document with requests and answers as lines of text."""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from fact_magics.atomic import write_atomically
from fact_magics.attempt import Usage
from fact_magics.config.safe_yaml import Unusable, load_texts
from fact_magics.errors import RecordingError
from fact_magics.providers.base import StopReason
from fact_magics.text import inert, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = "1"
_HEAD = f"""\
# Answers of language models, recorded by fact_magics. To use them instead of a model: %fact replay FILE
fact_recording: {_VERSION}
answers:
"""
_MARK = re.compile(rb"^fact_recording:[ \t]*(\S*)", re.MULTILINE)
_LARGEST_BYTES = 20_000_000
_MOST_EVENTS = 1_000_000
# YAML keeps any other text only in quotes, with escapes.
_PLAIN_BLOCK = re.compile("[\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
_COUNTS = tuple(field.name for field in fields(Usage))


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One answer of a model, with the request as people read it."""

    request: str  # the hash by which the request is known
    tool: str
    asked: str
    examples: str
    attempt: int  # 1 for the first request for a tool
    model: str
    stop_reason: StopReason
    usage: Usage
    text: str


class Recording(NamedTuple):
    """The content of a file: the answers to each request, in the order in which they came."""

    path: Path
    answers: dict[str, list[RecordedAnswer]]

    @property
    def models(self) -> tuple[str, ...]:
        """The models that answered, each once."""
        return tuple(dict.fromkeys(answer.model for known in self.answers.values() for answer in known))


def read_recording(path: Path) -> Recording:
    """Read a recording; `RecordingError` says why a file can't be used."""
    shown = short_path(path)
    try:
        content = _content(path)
    except FileNotFoundError:
        raise RecordingError(
            f"There is no file {shown}.", hint="Name a file that %fact record FILE has written."
        ) from None
    except OSError as error:
        raise RecordingError(f"{shown} can't be read: {error.strerror}.", hint="Name another file.") from None
    mark = _MARK.search(content[:10_000])
    if mark is None:
        raise RecordingError(
            f"{shown} is not a recording of fact_magics.",
            hint="Name a file that %fact record FILE has written.",
        )
    version = mark[1].decode("utf-8", "replace")
    if version != _VERSION:
        raise RecordingError(
            f"The recording {shown} has version {inert(version)[:20] or '(none)'}, and this fact_magics reads"
            f" only version {_VERSION}.",
            hint="Update fact_magics, or record the answers again: %fact record FILE.",
        )
    try:
        answers = _parse(content)
    except Unusable as problem:
        raise RecordingError(
            f"The recording {shown} can't be used: it {problem}.",
            hint="Restore it, or delete it and record the answers again: %fact record FILE.",
        ) from None
    found: dict[str, list[RecordedAnswer]] = {}
    for answer in answers:
        found.setdefault(answer.request, []).append(answer)
    return Recording(path, found)


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would take forever
        raise OSError(errno.EINVAL, "it is not a regular file")
    with path.open("rb") as file:
        return file.read(_LARGEST_BYTES + 1)


def _parse(content: bytes) -> list[RecordedAnswer]:
    document = load_texts(content, _LARGEST_BYTES, _MOST_EVENTS, doubt="; maybe it was cut off")
    entries = document.get("answers") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(document.get("complete"), str):
        raise Unusable("was cut off: its last line, with the number of answers, is missing")
    if not isinstance(entries, list) or document["complete"] != str(len(entries)):
        held = plural(len(entries), "answer") if isinstance(entries, list) else "no answers"
        raise Unusable(
            f"was changed or cut off: it holds {held}, and its last line says {document['complete'][:20]}"
        )
    return [_entry(number, entry) for number, entry in enumerate(entries, start=1)]


def _entry(number: int, entry: Any) -> RecordedAnswer:
    known = entry if isinstance(entry, dict) else {}
    texts: dict[str, Any] = {name: known.get(name, "") for name in ("tool", "asked", "examples")}
    needed: dict[str, Any] = {name: known.get(name) for name in ("request", "model", "stop_reason", "text")}
    usage = known.get("usage", {})
    attempt = known.get("attempt", "1")
    wrong = [name for name, value in {**texts, **needed}.items() if not isinstance(value, str)]
    if needed["stop_reason"] not in get_args(StopReason):
        wrong.append("stop_reason")
    if not isinstance(usage, dict) or not all(name in _COUNTS and _is_count(usage[name]) for name in usage):
        wrong.append("usage")
    if not _is_count(attempt):
        wrong.append("attempt")
    if wrong:
        raise Unusable(f"has no valid {wrong[0]} in answer {number}")
    counts = {name: int(count) for name, count in usage.items()}
    return RecordedAnswer(**texts, **needed, attempt=int(attempt), usage=Usage(**counts))


def _is_count(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16


def short_path(path: Path) -> str:
    """Write a path for people; one in the working directory is relative to it."""
    with suppress(OSError):  # the working directory may be gone
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
    return inert(str(path))


def write_recording(path: Path, answers: Sequence[RecordedAnswer]) -> None:
    """Write the complete file or nothing; `RecordingError` says why it can't be written."""
    head = _HEAD if answers else _HEAD.replace("answers:", "answers: []")
    text = "".join((head, *map(_block, answers), f"complete: {len(answers)}\n"))
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise RecordingError(
            f"{short_path(path)} can't be written: {error.strerror}.",
            hint="Name another file: %fact record FILE.",
        ) from None


def _block(answer: RecordedAnswer) -> str:
    """Write an answer as an item of the file's list, with texts as lines."""
    import yaml

    known = {name: value for name, value in asdict(answer).items() if value != ""}
    known["text"] = answer.text
    known["usage"] = {name: count for name, count in known["usage"].items() if count is not None}
    written: str = yaml.dump(
        [known], Dumper=_dumper(), allow_unicode=True, sort_keys=False, width=_LARGEST_BYTES
    )
    return written


@cache
def _dumper() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc]
        """Writes texts of several lines as lines, where YAML can keep them unchanged."""

    def text(dumper: Any, value: str) -> Any:
        style = None
        # LibYAML reads other texts not as it wrote them.
        is_plain = value[:1] not in ("\n", " ") and " \n" not in value and not value.endswith("\n\n")
        if not is_plain or not _PLAIN_BLOCK.fullmatch(value):
            style = '"'
        elif "\n" in value:
            style = "|"
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
