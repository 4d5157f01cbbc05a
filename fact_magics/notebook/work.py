"""The work of a cell: what it runs in, what it waits for, and what it does at its end."""

from __future__ import annotations

import builtins
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fact_magics.errors import BindingRefused, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from fact_magics.display.live import View
    from fact_magics.notebook.in_kernel import KernelRun
    from fact_magics.notebook.presenter import Presenter
    from fact_magics.session import Session
    from fact_magics.tool import Status, ToolOutput


@dataclass(frozen=True, slots=True)
class Host:
    """One shell, whose variables the cells read and bind, with the session and what shows their work."""

    shell: Any
    session: Session
    presenter: Presenter

    def own_names(self) -> dict[str, Any]:
        """Give the notebook's variables without those that IPython put there."""
        put: dict[str, Any] = self.shell.user_ns_hidden
        return {name: value for name, value in self.shell.user_ns.items() if put.get(name, self) is not value}

    def bind(self, name: str, value: object) -> None:
        """Bind a variable of the notebook."""
        self.shell.push({name: value})

    def refuse_loss(self, name: str, *, replace: bool) -> None:
        """Refuse to bind a tool over something else, unless `replace` says so.

        Raises
        ------
        BindingRefused
            The name holds a value that is not a tool.
        """
        from fact_magics.core.handle import Tool

        if replace:
            return
        missing = object()
        bound = self.shell.user_ns.get(name, getattr(builtins, name, missing))
        if bound is missing or isinstance(bound, Tool):
            return
        raise BindingRefused(
            f"{name!r} is something else in this notebook already, of type {type(bound).__name__}.",
            hint="Add --replace to bind the tool in its place, or choose another name.",
        )


@dataclass(frozen=True, slots=True)
class Work:
    """The work that a cell waits for, and what the cell does at its end.

    Attributes
    ----------
    start : callable
        Creates the coroutine that runs on the core's loop.
    finish : callable
        Turns its result into the cell's value, on the cell's thread.
    fail : callable
        Shows partial output of work that failed or was interrupted; receives its final status.
    interrupted : str
        The line that an interrupted cell shows.
    """

    start: Callable[[], Coroutine[Any, Any, Any]]
    view: View
    finish: Callable[[Any], Any]
    fail: Callable[[Status], None]
    interrupted: str


@dataclass(frozen=True, slots=True)
class Here:
    """A run on the cell's own thread, and what the cell does with its output."""

    run: KernelRun
    finish: Callable[[ToolOutput], Any]


def silenced(work: Work | Here | object) -> Work | Here | None:
    """Give the cell no value, which would be displayed, after its work."""
    if not isinstance(work, Work | Here):
        return None

    def finish(result: Any) -> None:
        work.finish(result)

    return replace(work, finish=finish)


@contextmanager
def told(work: Work) -> Iterator[None]:
    """Show partial output of work that fails or is stopped, and raise its one-line error."""
    from fact_magics.bridge import STOPPED
    from fact_magics.tool import Status

    try:
        yield
    except STOPPED:
        work.fail(Status.INTERRUPTED)
        raise Interrupted(work.interrupted) from None
    except Exception:
        work.fail(Status.ERROR)
        raise


@contextmanager
def stoppable(view: View) -> Iterator[None]:
    """While a cell waits, let its view's Stop button act as an interrupt."""
    import asyncio

    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    waiting = True

    def stop() -> None:
        # The click may be handled when the cell has finished its work already.
        if waiting and task is not None:
            task.cancel()

    def stop_from_any_thread() -> None:
        loop.call_soon_threadsafe(stop)

    view.offer_stop(stop_from_any_thread)
    try:
        yield
    finally:
        waiting = False
