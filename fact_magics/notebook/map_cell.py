"""``%%fact_map``: read the rows from the cell, and prepare the work of the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fact_magics.notebook.bodies import read_map_body
from fact_magics.notebook.work import Work
from fact_magics.text import inert

if TYPE_CHECKING:
    from fact_magics.core.handle import Tool
    from fact_magics.mapping.result import MapResult
    from fact_magics.mapping.table import Table
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.notebook.work import Host
    from fact_magics.tool import Status


def prepare_map(host: Host, arguments: Arguments, body: str) -> Work | object:
    """Prepare the work of a ``%%fact_map`` cell."""
    from fact_magics.display.maps import map_record
    from fact_magics.mapping.calls import stopped_line
    from fact_magics.mapping.options import MapOptions
    from fact_magics.mapping.running import RowMap

    into = arguments.get("into")
    if into is not None:
        host.refuse_lost_code(into)
    core = host.session.core
    tool = core.pinned(arguments.words["NAME"]) or host.session.run(core.tool(arguments.words["NAME"]))
    if not body.strip():
        print(inert(_skeleton(tool)))  # noqa: T201 - lines to copy
        return None
    table = _table(tool, body, host.shell.user_ns)
    options = MapOptions(
        isolate=arguments.get("isolate", "auto"),
        stop_on_error=arguments.get("stop_on_error", False),
        on=arguments.get("on", ""),
        fresh=arguments.get("fresh", False),
        **arguments.run_request,
    )
    mapping = RowMap(core.rows, tool.loaded, table, options)
    view = host.presenter.map_view(tool.name, silent=arguments.silent)
    mapping.listen(view.put)

    def finish(result: MapResult) -> MapResult:
        if into is not None:
            host.bind(into, result)
        host.presenter.show(view, map_record(result), result)
        return result

    def fail(status: Status) -> None:
        if into is not None:
            host.bind(into, mapping.result())
        view.close(status)

    return Work(mapping.run, view, finish, fail, lambda: stopped_line(mapping))


def _skeleton(tool: Tool) -> str:
    """Write the body of the cell for the user to fill in: the first required parameter varies."""
    return tool.loaded.signature.skeleton().replace(" = ...", " = each(...)", 1)


def _table(tool: Tool, body: str, namespace: dict[str, Any]) -> Table:
    from fact_magics.errors import InvalidInput
    from fact_magics.mapping.table import Each, each, is_table, read_columns, read_table, refuse_unread

    read = read_map_body(body, namespace, each)
    signature = tool.loaded.signature
    if "lines" in read:
        return read_columns(signature, read["lines"])
    value = read["table"]
    refuse_unread(value)
    if is_table(value):
        return read_table(signature, value, {})
    if isinstance(value, Each) or not hasattr(value, "__iter__") or isinstance(value, str | bytes):
        first = signature.parameters[0].name if signature.parameters else "NAME"
        raise InvalidInput(
            f"The body is of type {type(value).__name__}, not a table.",
            hint=f"Write {first} = each(…), or an expression that gives a DataFrame or a list of dicts.",
        )
    if isinstance(value, list | tuple) or hasattr(value, "dtype"):
        first = signature.parameters[0].name if signature.parameters else ""
        return read_columns(signature, {first: each(value)})
    return read_table(signature, iter(value), {})
