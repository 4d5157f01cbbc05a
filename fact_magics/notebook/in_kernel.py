"""``--in-kernel``: a run in the notebook's own process, on its live objects, without isolation."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from fact_magics.core.plan import Plan
from fact_magics.errors import Interrupted, IsolationError
from fact_magics.notebook.interrupts import handled_by, interruptible
from fact_magics.sandbox.child.worker import describe, load
from fact_magics.sandbox.limits import Limits
from fact_magics.sandbox.outcome import Outcome, ToolError
from fact_magics.sandbox.watch import Printed
from fact_magics.signature.signature import KINDS
from fact_magics.signature.vocabulary import ANY
from fact_magics.tool import Status
from fact_magics.values import ValueTypeError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from types import FrameType
    from typing import TextIO

    from fact_magics.core import FactCore
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.tool import ToolOutput

ISOLATION = ("none", "in kernel")
"""The isolation that is recorded for a run in the kernel."""

# The cell waits this long for a cancelled coroutine to end.
_GRACE_SECONDS = 1.5
# A record stores live objects of these types as data. For any other type, it stores the type's name.
_KEPT = (str, int, float, bool, type(None), list, tuple, dict, set, frozenset)


def unkept(options: Mapping[str, Any]) -> str:
    """Build a warning about options that have no effect in the kernel; empty if there are none."""
    warnings = []
    if given := [f"--{name}" for name in ("timeout", "memory", "allow") if name in options]:
        warnings.append(
            f"{' and '.join(given)} can't be applied in the kernel: nothing limits or stops a tool there, "
            "but you can interrupt the cell."
        )
    if "ttl" in options:
        warnings.append("--ttl can't be applied in the kernel: answers are not cached there.")
    return "\n".join(warnings)


class _Stopped(Exception):
    """The user stopped a coroutine. A KeyboardInterrupt would end the kernel's loop as well."""


class _Escaped(Exception):
    """Carries an exception out of a coroutine; raised directly, it would end the kernel's loop."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised


@dataclass(slots=True)
class _Ending:
    """The outcome of a call: a value, an error, or an interrupt."""

    started: float = field(default_factory=time.perf_counter)
    value: Any = None
    error: ToolError | None = None
    interrupted: bool = False


class KernelRun:
    """One run of a tool in this process, on the calling thread. An instance runs only once.

    The tool receives an argument unchanged if its parameter is annotated ``Any``; the other arguments are
    validated, as in every run. Printed text is recorded, and shown at once.

    Raises
    ------
    IsolationError
        The settings require isolation.
    InvalidInput
        The input does not fit the signature.
    """

    def __init__(self, core: FactCore, tool: LoadedTool, parameters: Mapping[str, object]) -> None:
        name = tool.metadata.name
        if core.settings.isolation == "require":
            raise IsolationError(
                f"{name} was not run: --in-kernel isolates nothing, and isolation is required.",
                hint='Remove --in-kernel, or set %config FactMagics.isolation = "auto".',
            )
        signature = tool.signature
        takes_any = [parameter.name for parameter in signature.parameters if parameter.type == ANY]
        self._live = {name: parameters[name] for name in takes_any if name in parameters}
        validated = signature.validate({**parameters, **dict.fromkeys(self._live)})
        named = {name: _named(value) for name, value in self._live.items()}
        self._core = core
        self._tool = tool
        self._arguments = signature.wire(validated)
        self._planned = Plan(
            tool, signature.wire({**validated, **named}), "", permissions=tool.metadata.permissions
        )
        self._file = f"<{name}>"
        self._printed = Printed(Limits().printed_kept)

    def run(self, shell_loop: Callable[[], asyncio.AbstractEventLoop]) -> ToolOutput:
        """Run the tool; a coroutine runs on this thread's running loop, or else on `shell_loop`.

        If the user interrupts the run, it is recorded and `Interrupted` is raised.
        """
        with self._taken_down() as ending:
            value = self._call()
            ending.value = _run_on(shell_loop, self._wait(value)) if _is_coroutine(value) else value
        return self._conclude(ending)

    async def arun(self) -> ToolOutput:
        """Run the tool without blocking the running loop; otherwise like `run`."""
        with self._taken_down() as ending:
            with interruptible():
                value = self._call()
            ending.value = await self._wait(value) if _is_coroutine(value) else value
        return self._conclude(ending)

    def _call(self) -> Any:
        """Execute the source and call the tool; return its value or its coroutine."""
        source, name = self._tool.stored.source, self._tool.metadata.name
        module, classes = load(source, f"_fact_tool_{name}", self._file)
        given: Any = decode(self._arguments, classes=classes)
        args, kwargs = given["args"], given["kwargs"]
        by_position = [
            parameter.name
            for parameter in self._tool.signature.parameters
            if parameter.kind == KINDS.POSITIONAL_ONLY
        ]
        for parameter, value in self._live.items():
            if parameter in kwargs:
                kwargs[parameter] = value
            else:
                args[by_position.index(parameter)] = value
        return getattr(module, name)(*args, **kwargs)

    async def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = asyncio.get_running_loop()
        task = loop.create_task(_contained(coroutine))
        stopped = False

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal stopped
            del number
            stopped = True
            inside = self._is_running(frame)
            if not (inside and asyncio.current_task(loop) is task):
                loop.call_soon_threadsafe(task.cancel)  # wakes the loop if it is waiting
            if inside:
                # This ends a step that keeps the loop busy; the loop treats it as a cancellation.
                raise asyncio.CancelledError

        with handled_by(stop):
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait({task}, timeout=_GRACE_SECONDS)
                raise _Stopped from None
        if stopped:
            raise _Stopped
        return task.result()

    def _is_running(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                return True
            frame = frame.f_back
        return False

    @contextmanager
    def _taken_down(self) -> Iterator[_Ending]:
        """Record the printed text and the ending of the code in the ``with`` block."""
        metadata = self._tool.metadata
        log = self._core.log.bind(operation="run", tool=metadata.name, tool_id=metadata.id)
        log.info("run started", isolation=", ".join(ISOLATION))
        ending = _Ending()
        out = _Tee(sys.stdout, self._printed)
        err = _Tee(sys.stderr, self._printed)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                yield ending
            except GeneratorExit:  # the kernel is ending
                raise
            except (KeyboardInterrupt, _Stopped):
                ending.interrupted = True
            except _Escaped as escaped:
                ending.interrupted = isinstance(escaped.raised, KeyboardInterrupt)
                ending.error = self._describe(escaped.raised)
            except BaseException as raised:  # noqa: BLE001 - whatever it raises is its answer, SystemExit too
                ending.error = self._describe(raised)

    def _conclude(self, ending: _Ending) -> ToolOutput:
        """Build and record the output of the run."""
        metadata = self._tool.metadata
        returns_any = self._tool.signature.returns == ANY
        wire = None
        if ending.error is None and not ending.interrupted:
            try:
                kept = _named(ending.value) if returns_any else ending.value
                wire = encode(kept, tables=self._tool.signature.returns_tables)
            except ValueTypeError as error:
                ending.error = ToolError("ValueTypeError", str(error), "", ())
            if not returns_any:
                _close_figure(ending.value)
        status = Status.OK if wire is not None else Status.ERROR
        outcome = Outcome(
            status=Status.INTERRUPTED if ending.interrupted else status,
            result=wire,
            error=None if ending.interrupted else ending.error,
            printed=self._printed.close(),
            duration_ms=(time.perf_counter() - ending.started) * 1000,
            limit=None,
            isolation=ISOLATION,
        )
        output = self._core.conclude(self._planned, outcome)
        if output.success and returns_any:
            output.result = ending.value
        if ending.interrupted:
            raise Interrupted(f"{metadata.name} was stopped; the run is recorded as interrupted.")
        return output

    def _describe(self, raised: BaseException) -> ToolError:
        told = describe(raised, self._file)
        return ToolError(told["type"], told["message"], told["traceback"], ())


class _Tee:
    """Replaces a stream: records written text, and passes it to the stream."""

    def __init__(self, stream: TextIO, printed: Printed) -> None:
        self._stream = stream
        self._printed = printed

    def write(self, text: str) -> int:
        self._printed.feed(text.encode("utf-8", "replace"))
        return self._stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _close_figure(value: object) -> None:
    """Close a figure that pyplot made, else the notebook would show it again at the end of the cell."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and isinstance(value, pyplot.Figure):
        pyplot.close(value)


def _is_coroutine(value: object) -> bool:
    return isinstance(value, CoroutineType)


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit) as raised:
        raise _Escaped(raised) from None


def _run_on(shell_loop: Callable[[], asyncio.AbstractEventLoop], coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, even while this thread's loop is running, as in a kernel."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return shell_loop().run_until_complete(coroutine)
    import nest_asyncio2

    try:
        nest_asyncio2.apply(loop)
    except ValueError:
        coroutine.close()
        raise RuntimeError(
            "this kernel's event loop can't be nested: run the cell without another magic above it"
        ) from None
    return loop.run_until_complete(coroutine)


def _named(value: object) -> object:
    """Convert a live object for the record: keep plain data, and replace other values by their type."""
    if isinstance(value, _KEPT):
        try:
            encode(value)
        except (ValueTypeError, RecursionError):
            pass
        else:
            return value
    return f"a live {type(value).__name__}"
