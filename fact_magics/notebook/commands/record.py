"""``%fact record`` and ``%fact replay``: write model answers to a file, and use them again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fact_magics.errors import CellError
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.providers.recording import short_path
from fact_magics.text import plural

if TYPE_CHECKING:
    from pathlib import Path

    from fact_magics.notebook.arguments import Arguments


def record(arguments: Arguments, desk: Desk) -> Answer:
    """Start writing this session's model answers to a file, or stop it."""
    core = desk.session.core
    path = _path(arguments, desk)
    earlier = core.recording
    written = core.record(path)
    if path is None:
        title = (
            f"The recording to {short_path(earlier)} has ended"
            if earlier
            else "No recording was being written"
        )
        return Answer(page(title, []), {"file": None, "stopped": str(earlier) if earlier else None})
    left_out = plural(written.left_out, "answer")
    facts = [
        ("Answers", f"{written.answers:,} in the file; answers to later cells are added"),
        ("Left out", f"{left_out}, because the request contains a key" if written.left_out else ""),
        ("Until", "the session ends, or %fact record --stop"),
        ("Replay it", f"%fact replay {shlex.quote(arguments.words['FILE'])}"),
        ("Note", f"answers come from {core.replayed} and are not recorded" if core.replayed else ""),
    ]
    return Answer(page(f"Recording to {short_path(path)}", facts), {"file": str(path), **written._asdict()})


def replay(arguments: Arguments, desk: Desk) -> Answer:
    """Take answers from a recording instead of a model, or ask models again."""
    core = desk.session.core
    path = _path(arguments, desk)
    earlier = core.replayed
    recording = core.replay(path)
    if path is None or recording is None:
        title = (
            f"The replay of {short_path(earlier)} has ended" if earlier else "No recording was being replayed"
        )
        return Answer(page(title, []), {"file": None, "stopped": str(earlier) if earlier else None})
    answers = [answer for known in recording.answers.values() for answer in known]
    tools = dict.fromkeys(answer.tool for answer in answers)
    facts = [
        ("Answers", f"{len(answers):,} to {plural(len(recording.answers), 'request')}"),
        ("Tools", ", ".join(tools)),
        ("Models", ", ".join(recording.models)),
        ("Until", "the session ends, or %fact replay --stop; until then nothing is sent to a model"),
    ]
    data = {"file": str(path), "answers": len(answers), "tools": [*tools], "models": [*recording.models]}
    return Answer(page(f"Answers come from {short_path(path)}", facts), data)


def _path(arguments: Arguments, desk: Desk) -> Path | None:
    """Return the path on the line, or None for ``--stop``."""
    name = arguments.words.get("FILE")
    if (name is None) is not bool(arguments.get("stop")):
        raise CellError("Write either a file or --stop.", hint="%fact record FILE writes a recording.")
    return None if name is None else desk.path(name)
