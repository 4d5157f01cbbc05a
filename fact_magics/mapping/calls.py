"""`Tool.map` and `Tool.amap`: which arguments vary, and a map for callers on any thread or event loop."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fact_magics.bridge import explain, refuse_fork
from fact_magics.errors import FactError, Interrupted, InvalidInput, did_you_mean
from fact_magics.mapping.dask.executor import read_place
from fact_magics.mapping.options import MapOptions
from fact_magics.mapping.running import RowMap
from fact_magics.mapping.table import Each, Table, holds_many, is_table, read_columns, read_table
from fact_magics.tool import Status, ToolInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fact_magics.core.handle import Tool
    from fact_magics.core.rows import RowRunner, Shows
    from fact_magics.mapping.result import MapResult
    from fact_magics.signature import Signature

_OPTIONS = tuple(option.name for option in fields(MapOptions))
_ISOLATE = ("auto", "row")
_OWN = ("isolate", "stop_on_error", "on")  # the others are those of a `ToolInput`


def map_rows(tool: Tool, rows: RowRunner, args: Sequence[Any], kwargs: Mapping[str, Any]) -> MapResult:
    """Run a tool on rows, and return when all have ended; see `Tool.map`."""
    with suppress(RuntimeError):
        if asyncio.get_running_loop() is rows.runner.loop:
            raise FactError(
                f"{tool.name}.map can't be called here, because it would block the event loop that it needs.",
                hint=f"Write: await {tool.name}.amap(…)",
            )
    refuse_fork(rows.runner.process)
    mapping = planned(tool, rows, args, kwargs)
    view = rows.progress(tool.name)
    mapping.listen(view.put)
    with rows.runner.job(mapping.run()) as job, _shown_to_end(view, mapping):
        return job.wait(view.pump)


async def amap_rows(tool: Tool, rows: RowRunner, args: Sequence[Any], kwargs: Mapping[str, Any]) -> MapResult:
    """Run a tool on rows without blocking the event loop that awaits it; see `Tool.map`."""
    refuse_fork(rows.runner.process)
    mapping = planned(tool, rows, args, kwargs)
    view = rows.progress(tool.name)
    mapping.listen(view.put)
    if asyncio.get_running_loop() is rows.runner.loop:
        with _shown_to_end(view, mapping):
            return await mapping.run()
    with rows.runner.job(mapping.run()) as job, _shown_to_end(view, mapping):
        return await job.wait_awaited(view.pump)


@contextmanager
def _shown_to_end(view: Shows, mapping: RowMap) -> Iterator[None]:
    """Close the view at the end; if the map was stopped, attach the result so far to the error."""
    ended = Status.ERROR
    try:
        yield
        ended = Status.OK
    except KeyboardInterrupt:
        ended = Status.INTERRUPTED
        stopped = Interrupted(stopped_line(mapping))
        stopped.result = mapping.result()  # type: ignore[attr-defined]
        raise stopped from None
    except asyncio.CancelledError as cancelled:
        ended = Status.INTERRUPTED
        explain(cancelled, stopped_line(mapping))
        raise
    except FactError as error:
        error.result = mapping.result()  # type: ignore[attr-defined]
        raise
    finally:
        view.close(ended)


def stopped_line(mapping: RowMap) -> str:
    """Build the error of an interrupted map: how many rows are done, and how to continue."""
    counts = mapping.result().counts
    done = sum(counts.values()) - counts["skipped"]
    of = f" of {mapping.row.total:,}" if mapping.row.total is not None else ""
    return (
        f"The map of {mapping.name} was stopped after {done:,}{of} rows. Run it again to continue; "
        "rows that have an answer do not run again."
    )


def planned(tool: Tool, rows: RowRunner, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RowMap:
    """Read the arguments of `Tool.map`.

    Raises
    ------
    InvalidInput
        The arguments do not form rows that fit the tool.
    """
    signature = tool.loaded.signature
    known = {parameter.name for parameter in signature.parameters}
    options = {name: value for name, value in kwargs.items() if name not in known and name in _OPTIONS}
    given = {name: value for name, value in kwargs.items() if name not in options}
    if unknown := next((name for name in given if name not in known), None):
        hint = did_you_mean(unknown, [*known, *_OPTIONS]) or f"It takes: {signature.text}"
        raise InvalidInput(f"{tool.name}.map does not take {unknown!r}.", hint=hint)
    if options.get("isolate", "auto") not in _ISOLATE:
        raise InvalidInput(f"isolate must be 'auto' or 'row'; got {options['isolate']!r:.40}.")
    if not isinstance(options.get("stop_on_error", False), bool):
        raise InvalidInput(f"stop_on_error must be True or False; got {options['stop_on_error']!r:.40}.")
    options["on"] = "" if options.get("on") is None else read_place(options["on"])
    limits = {name: value for name, value in options.items() if name not in _OWN}
    checked = ToolInput(operation=tool.name, parameters={}, **limits)
    options |= {name: getattr(checked, name) for name in limits}
    table = _table(signature, args, given)
    return RowMap(rows, tool.loaded, table, MapOptions(**options))


def _table(signature: Signature, args: Sequence[Any], given: Mapping[str, Any]) -> Table:
    if (
        len(args) == 1
        and not isinstance(args[0], Each)
        and is_table(args[0])
        and not _is_column(signature, args[0])
    ):
        return read_table(signature, args[0], given)
    varying = [value if isinstance(value, Each) else Each(value) for value in args]
    bound = signature.bind(varying, given)
    named = {name: _varying(signature, name, value) for name, value in bound.items()}
    return read_columns(signature, named)


def _is_column(signature: Signature, value: Any) -> bool:
    """Whether dicts are values of the first parameter: no key of theirs names a parameter."""
    if not isinstance(value, list | tuple):
        return False
    known = {parameter.name for parameter in signature.parameters}
    return bool(signature.parameters) and known.isdisjoint(map(str, value[0]))


def _varying(signature: Signature, name: str, value: Any) -> Any:
    """Let a keyword's value vary by row if the tool takes a single value and it is a list or Series."""
    if not isinstance(value, Each) and holds_many(value) and not signature.takes_many(name):
        return Each(value)
    return value
