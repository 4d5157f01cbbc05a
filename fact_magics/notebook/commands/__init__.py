"""``%fact`` and its subcommands.

To add a subcommand, write a function that takes the `Arguments` and a `Desk` and returns an `Answer`, and add
an entry to `_TABLE`. The line parser, ``--help``, ``--json`` and completion use that table too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fact_magics.errors import CellError
from fact_magics.notebook.arguments import (
    ALLOW,
    EXAMPLE_TIMEOUT,
    MEMORY,
    REPLACE,
    TIMEOUT,
    TTL,
    YES_REALLY,
    read_line,
)
from fact_magics.notebook.commands import (
    cache,
    check,
    files,
    history,
    metrics,
    models,
    probe,
    prune,
    record,
    state,
    stats,
    tools,
    versions,
    warm,
)
from fact_magics.notebook.commands.desk import Desk
from fact_magics.notebook.commands.instead import instead_of
from fact_magics.notebook.options import Command, Option, seconds, whole_number
from fact_magics.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fact_magics.display.html import Record
    from fact_magics.notebook.commands.desk import Work
    from fact_magics.notebook.work import Host
    from fact_magics.session import Session
    from fact_magics.tool import ToolOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class Subcommand(Command):
    """A subcommand of ``%fact`` with the function that implements it.

    `prepare` changes the line before it is split into words.
    """

    work: Work
    prepare: Callable[[str], str] = str


_JSON = Option("--json", "Print JSON.")
_SINCE = Option("--since", "Only rows since a time or within a period: 2026-01-31, 2h, '3 days'.", "TIME")
_REPLACE = Option("--replace", "Overwrite a file that holds something else.")

_TABLE = (
    Subcommand(
        "%fact",
        "Show the model, isolation, database, cache and session in use; or run a subcommand.",
        examples=("%fact", "%fact tools", "%fact show slugify", "%fact history --tool slugify -n 5"),
        work=state.show_state,
    ),
    Subcommand(
        "%fact tools",
        "List the stored tools, newest first; with WORD, only those that match, best match first.",
        words=("WORD?",),
        options=(Option("--search", "Only tools with these words in name, description or tags.", "TEXT"),),
        examples=("%fact tools", "%fact tools slug", "%fact tools --search 'url slug'"),
        work=tools.list_tools,
    ),
    Subcommand(
        "%fact show",
        "Show all details of a tool, a run or a generation. The first 4 characters of an id are enough.",
        words=("NAME[@VERSION]|ID",),
        examples=("%fact show slugify", "%fact show slugify@1.0", "%fact show 5f2c"),
        work=history.show,
    ),
    Subcommand(
        "%fact history",
        "List the runs and generations of this session, newest first.",
        options=(
            Option("-n", "List at most N rows (20; with --to, all).", "N", whole_number(1, 1_000_000_000)),
            Option("--tool", "Only rows of this tool.", "NAME"),
            Option(
                "--status",
                "Only rows with this status: ok, error, invalid, timeout, limit or interrupted.",
                "STATUS",
                history.status,
            ),
            Option(
                "--search",
                "Only rows with these words in tool, description, notebook, input, output or error.",
                "TEXT",
            ),
            _SINCE,
            Option("--session", "List the session with this id, or every session: all.", "SESSION"),
            Option("--to", "Write the rows to this file: .json, .jsonl, .csv or .parquet.", "FILE"),
            _REPLACE,
        ),
        examples=(
            "%fact history",
            "%fact history --status error --since 2h",
            "%fact history --session all --to runs.csv",
        ),
        excess=history.as_options,
        work=history.list_history,
    ),
    Subcommand(
        "%fact stats",
        "Show runs, hits, time saved, durations, errors and costs of all sessions, with charts.",
        options=(
            Option("--tool", "Only runs and generations of this tool.", "NAME"),
            _SINCE,
            Option("--session", "Only the session with this id.", "SESSION"),
        ),
        examples=("%fact stats", "%fact stats --tool slugify --since 7d", "%fact stats --json"),
        excess=stats.as_tool,
        work=stats.show_stats,
    ),
    Subcommand(
        "%fact metrics",
        "Print the counters of this kernel for Prometheus, or serve them on this machine.",
        options=(
            Option(
                "--port",
                "Serve them at this port until the kernel ends; 0 chooses a free one.",
                "N",
                whole_number(0, 65_535),
            ),
        ),
        examples=("%fact metrics", "%fact metrics --port 9464"),
        work=metrics.show_metrics,
    ),
    Subcommand(
        "%fact prune",
        "Remove old runs from the history. Tools, generations, answers and the totals of %fact stats stay.",
        options=(
            Option("--older-than", "Remove runs older than this: 90d, '12 weeks'.", "AGE", prune.age_of),
        ),
        examples=("%fact prune --older-than 90d", "%fact prune --older-than '12 weeks' --json"),
        work=prune.prune,
    ),
    Subcommand(
        "%fact models",
        "List the models that --model accepts, and what each of them still needs.",
        options=(
            Option(
                "--check",
                "Send each model that lacks nothing a request of a few tokens, and wait up to 10 s for it.",
            ),
        ),
        examples=("%fact models", "%fact models --check", "%fact models --json"),
        work=models.list_models,
    ),
    Subcommand(
        "%fact rerun",
        "Run a row of the history again: same version, same input, not from the cache.",
        words=("ID",),
        options=(TIMEOUT, MEMORY, ALLOW, YES_REALLY),
        examples=("%fact rerun 5f2c", "%fact rerun 5f2c --timeout 120"),
        work=history.rerun,
    ),
    Subcommand(
        "%fact cache",
        "Show the tiers of the cache; or remove answers from all of them, without asking.",
        options=(
            Option("--clear", "Remove the answers of this tool.", "NAME"),
            Option(
                "--older-than",
                "Remove answers older than a duration, or made before a date: 12h, 30d, 2026-01-31.",
                "AGE",
                cache.made_before,
            ),
            Option("--all", "Remove all answers."),
        ),
        examples=("%fact cache", "%fact cache --clear slugify", "%fact cache --older-than 30d"),
        work=cache.show_cache,
    ),
    Subcommand(
        "%fact warm",
        "Run a tool on many inputs, so that their answers are cached. What is cached is not run again.",
        words=("NAME[@VERSION]",),
        options=(
            Option(
                "--from",
                "A file with one JSON object of inputs a line, or a variable: a list or a DataFrame.",
                "FILE|VAR",
            ),
            TIMEOUT,
            MEMORY,
            TTL,
        ),
        examples=(
            "%fact warm slugify --from titles.jsonl",
            "%fact warm stars --from rows --ttl 3600",
        ),
        work=warm.warm,
    ),
    Subcommand(
        "%fact insert",
        "Add a %%fact_edit cell below with the tool's source, to change it by hand.",
        words=("NAME[@VERSION]",),
        examples=("%fact insert slugify", "%fact insert slugify@1.0"),
        work=tools.insert,
    ),
    Subcommand(
        "%fact probe",
        "Find out how far the examples of a tool go. List its open questions and its surprises.",
        words=("NAME[@VERSION]",),
        options=(Option("--seconds", "How long to probe, at most an hour (10).", "S", seconds(3_600)),),
        examples=("%fact probe slugify", "%fact probe slugify --seconds 60", "%fact probe slugify --json"),
        work=probe.probe,
    ),
    Subcommand(
        "%fact answer",
        "Add an answer to a probe's question to the tool's examples: answer N of the list, or = VALUE.",
        words=("NAME", "N"),
        options=(Option("--question", "The number of the question (1).", "K", whole_number(1, 1_000)),),
        examples=(
            "%fact answer slugify 2",
            "%fact answer slugify = 'a-b'",
            "%fact answer slugify = ValueError",
        ),
        work=probe.answer,
        prepare=probe.joined,
    ),
    Subcommand(
        "%fact versions",
        "List the versions of a tool: proof, time, author and notebook of each.",
        words=("NAME",),
        examples=("%fact versions slugify",),
        work=versions.list_versions,
    ),
    Subcommand(
        "%fact diff",
        "Show what changed from version V to W; without them, from the previous version to the current one.",
        words=("NAME", "V?", "W?"),
        examples=("%fact diff slugify", "%fact diff slugify 1.0.0", "%fact diff slugify 1.0.0 2.0.0"),
        work=versions.show_difference,
    ),
    Subcommand(
        "%fact rollback",
        "Make another version the current one, in this notebook and in notebooks opened later.",
        words=("NAME", "VERSION?"),
        examples=("%fact rollback slugify 1.0.0", "%fact rollback slugify 1"),
        work=tools.roll_back,
    ),
    Subcommand(
        "%fact remove",
        "Remove a tool with all its versions. Its history stays.",
        words=("NAME",),
        options=(Option("--yes", "Confirm the removal."),),
        examples=("%fact remove slugify --yes",),
        work=tools.remove,
    ),
    Subcommand(
        "%fact export",
        "Write a tool to a readable file, which %fact import reads.",
        words=("NAME[@VERSION]",),
        options=(
            Option(
                "--to", "Write to this file or directory (NAME.fact.py in the working directory).", "FILE"
            ),
            _REPLACE,
        ),
        examples=("%fact export slugify", "%fact export slugify@1.0 --to shared/slugify.fact.py"),
        work=files.export,
    ),
    Subcommand(
        "%fact import",
        "Read a tool from a file, test it here on its examples, store it, and bind its name.",
        words=("FILE",),
        options=(
            ALLOW,
            YES_REALLY,
            Option("--unsigned", "Accept a file without a signature even if SECRET_KEY is set."),
            EXAMPLE_TIMEOUT,
            REPLACE,
        ),
        examples=(
            "%fact import slugify.fact.py",
            "%fact import stars.fact.py --allow net:api.github.com:443",
        ),
        work=files.import_,
    ),
    Subcommand(
        "%fact check",
        "List what is missing for a first generation, a signed export and a shared cache. Asks no model.",
        examples=("%fact check", "%fact check --json"),
        work=check.check,
    ),
    Subcommand(
        "%fact record",
        "Write this session's model answers to a readable file: those so far, and each new one.",
        words=("FILE?",),
        options=(Option("--stop", "Stop the recording, and keep the file."),),
        examples=("%fact record answers.yaml", "%fact record --stop"),
        work=record.record,
    ),
    Subcommand(
        "%fact replay",
        "Take answers from a recording instead of a model. Nothing is sent, and no key is needed.",
        words=("FILE?",),
        options=(Option("--stop", "Ask models again, even if FACT_REPLAY names a recording."),),
        examples=("%fact replay answers.yaml", "%fact replay --stop"),
        work=record.replay,
    ),
    Subcommand(
        "%fact trust",
        "Let a .env or config.yaml set endpoints, the database and the cache, until the file changes.",
        words=("PATH",),
        examples=("%fact trust .env", "%fact trust config.yaml"),
        work=state.trust_file,
    ),
)


def by_name(table: Iterable[Subcommand]) -> dict[str, Subcommand]:
    """Add ``--json`` to each subcommand, and index them by their names without ``%fact``."""
    return {
        entry.name.removeprefix("%fact").strip(): replace(entry, options=(*entry.options, _JSON))
        for entry in table
    }


COMMANDS = by_name(_TABLE)
"""The subcommands by name; the empty name is ``%fact`` alone."""


def manage(line: str, session: Session, notebook: Host) -> Record | ToolOutput | str:
    """Execute a ``%fact`` line; return a record to show, the output of a run, or text to print."""
    word, *_ = (*line.split(maxsplit=1), "")
    name = "" if word.startswith("-") else word
    if name not in COMMANDS:
        raise CellError(f"%fact has no subcommand {quoted(name)}.", hint=instead_of(name, COMMANDS, notebook))
    command = COMMANDS[name]
    arguments = read_line(command.prepare(line.strip().removeprefix(name)), command)
    if arguments.help:
        return command.help_text() if name else help_text()
    answer = command.work(arguments, Desk(session, notebook))
    if arguments.get("json"):
        return json.dumps(answer.data, indent=2, default=str)
    return answer.value or answer.record


def help_text() -> str:
    """Return the page that ``%fact --help`` shows."""
    own, *others = COMMANDS.values()
    width = max(len(command.usage) for command in others)
    listed = (f"  {command.usage.ljust(width)}  {command.summary}" for command in others)
    return "\n".join((own.help_text(), "", "Subcommands, each with --help", *listed))
