"""`Host`, the shell that a cell runs in; `Work` and `Here`, the work that the cell waits for."""

from __future__ import annotations

import builtins
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fact_magics.errors import BindingRefused, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from fact_magics.core.handle import Tool
    from fact_magics.display.html import Record
    from fact_magics.display.live import View
    from fact_magics.notebook.in_kernel import KernelRun
    from fact_magics.notebook.presenter import Presenter
    from fact_magics.session import Session
    from fact_magics.tool import Status, ToolOutput


@dataclass(frozen=True, slots=True)
class Host:
    """The shell of a notebook, with its session and presenter."""

    shell: Any
    session: Session
    presenter: Presenter

    def own_names(self) -> dict[str, Any]:
        """Return the notebook's variables without those that IPython defines."""
        hidden = self.shell.user_ns_hidden
        names: dict[str, Any] = self.shell.user_ns
        return {name: value for name, value in names.items() if hidden.get(name, self) is not value}

    def bind(self, name: str, value: object) -> None:
        """Assign a value to a variable of the notebook."""
        self.shell.push({name: value})

    def rebind(self, tool: Tool) -> bool:
        """Bind a tool to its name if the name holds a version of it; tell whether it was bound."""
        from fact_magics.core.handle import Tool

        held = self.shell.user_ns.get(tool.name)
        if not isinstance(held, Tool) or held.name != tool.name:
            return False
        self.bind(tool.name, tool)
        return True

    def put_cell(self, text: str) -> None:
        """Add a cell below that contains this text; in a terminal, put the text into the next prompt."""
        self.shell.set_next_input(text)

    def show(self, record: Record) -> None:
        """Show a record as an output of its own."""
        self.presenter.display(record)

    def refuse_loss(self, name: str, *, replace: bool) -> None:
        """Raise `BindingRefused` if the name holds a value that is not a tool, unless `replace` is true."""
        from fact_magics.core.handle import Tool

        if replace:
            return
        missing = object()
        bound = self.shell.user_ns.get(name, getattr(builtins, name, missing))
        if bound is missing or isinstance(bound, Tool):
            return
        if name not in self.shell.user_ns:
            raise BindingRefused(
                f"{name!r} is the name of a Python built-in, which the tool would hide.",
                hint="Choose another name, or add --replace to hide it in this notebook.",
            )
        raise BindingRefused(
            f"{name!r} is already something else in this notebook, of type {type(bound).__name__}.",
            hint="Add --replace to replace it with the tool, or choose another name.",
        )

    def refuse_lost_code(self, name: str) -> None:
        """Raise `BindingRefused` if ``--into`` would replace a tool, a module, a built-in or other code."""
        from fact_magics.core.handle import Tool

        bound = self.shell.user_ns.get(name, getattr(builtins, name, None))
        kinds = {Tool: "a tool", ModuleType: "a module", type: "a class"}
        found = next((kind for known, kind in kinds.items() if isinstance(bound, known)), "")
        if name not in self.shell.user_ns and hasattr(builtins, name):
            found = "a Python built-in"
        elif not found and callable(bound):
            found = "a function" if hasattr(bound, "__name__") else f"of type {type(bound).__name__}"
        if found:
            raise BindingRefused(
                f"--into {name} would replace {name}, which is {found} in this notebook.",
                hint="Choose another name.",
            )


@dataclass(frozen=True, slots=True)
class Work:
    """Work that the core's loop does while a cell waits.

    Attributes
    ----------
    finish : callable
        Turns the result of the coroutine into the cell's value, on the cell's thread.
    fail : callable
        Shows partial output of work that failed or was interrupted; receives its final status.
    interrupted : callable
        Returns the error message of an interrupted cell; called after `fail`.
    follow : callable, optional
        Takes over the result at once, on the cell's thread, and returns a coroutine to wait for before
        `finish`, or None. An interrupt ends that coroutine, and the cell goes on.
    stored : callable, optional
        Returns the result if it was stored before an interrupt arrived, else None.
    """

    start: Callable[[], Coroutine[Any, Any, Any]]
    view: View
    finish: Callable[[Any], Any]
    fail: Callable[[Status], None]
    interrupted: Callable[[], str]
    follow: Callable[[Any], Coroutine[Any, Any, Any] | None] = lambda _: None
    stored: Callable[[], Any] = lambda: None

    def finish_alone(self, result: Any) -> Any:
        """Return the cell's value at once: nothing is waited for after an interrupt."""
        if (following := self.follow(result)) is not None:
            following.close()
        return self.finish(result)


class AlreadyStored(Exception):
    """An interrupt arrived when the work had stored its result."""

    def __init__(self, result: Any) -> None:
        self.result = result
        super().__init__()


@dataclass(frozen=True, slots=True)
class Here:
    """A run on the cell's own thread; `finish` turns its output into the cell's value."""

    run: KernelRun
    finish: Callable[[ToolOutput], Any]


def silenced(work: Work | Here | object) -> Work | Here | None:
    """Make None the cell's value, so that IPython displays nothing."""
    if not isinstance(work, Work | Here):
        return None

    def finish(result: Any) -> None:
        work.finish(result)

    return replace(work, finish=finish)


@contextmanager
def failure_shown(work: Work) -> Iterator[None]:
    """Show what failed work has so far; after an interrupt, raise `Interrupted` or `AlreadyStored`."""
    from fact_magics.bridge import STOPPED
    from fact_magics.tool import Status

    try:
        yield
    except STOPPED:
        if (result := work.stored()) is not None:
            _forget_interrupt()
            raise AlreadyStored(result) from None
        work.fail(Status.INTERRUPTED)
        raise Interrupted(work.interrupted()) from None
    except Exception:
        work.fail(Status.ERROR)
        raise


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Let an interrupt end the block, and the cell go on."""
    from fact_magics.bridge import STOPPED

    try:
        yield
    except STOPPED:
        _forget_interrupt()


def _forget_interrupt() -> None:
    import asyncio

    with suppress(RuntimeError):  # this thread has no running loop
        if (task := asyncio.current_task()) is not None:
            task.uncancel()


@contextmanager
def stoppable(view: View) -> Iterator[None]:
    """Make the view's Stop button interrupt the cell while it waits."""
    import asyncio

    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    waiting = True

    def stop() -> None:
        if waiting and task is not None:  # the cell may have finished since the click
            task.cancel()

    def stop_from_any_thread() -> None:
        loop.call_soon_threadsafe(stop)

    view.offer_stop(stop_from_any_thread)
    try:
        yield
    finally:
        waiting = False
