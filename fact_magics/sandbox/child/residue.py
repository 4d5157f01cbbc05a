"""Find out whether a row of a batch left something behind in its process that a later row could notice.

The tool's own module is created again for each row. What is checked are the other modules, with the objects
that they hold, and the system's state of the process. Objects are compared by identity, which runs no code of
theirs.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from operator import is_
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OWN = "_fact_"
_HEAP_TYPE = 1 << 9
_LARGEST = 5_000  # items; of a larger container, only the number of items is compared
# Names by module, which are not checked: caches that don't affect answers, and what every row changes.
_CACHES = {
    "re": ("_cache", "_cache2"),
    "_strptime": ("_regex_cache", "_TimeRE_cache"),
    "linecache": ("cache",),
    "sys": ("modules", "path_importer_cache", "stdout", "stderr", "last_exc", "last_type", "last_value"),
    "urllib.parse": ("_hextobyte",),
    "builtins": ("_",),
}
# With these, code can reach modules that it does not name.
_REACHING = frozenset(
    ("sys", "_sys", "__import__", "importlib", "gc", "inspect", "ctypes", "types", "operator", "exec", "eval")
)
_MODULE_ATTRIBUTES = ("__builtins__", "__warningregistry__")
_Part = tuple[str, Any, tuple[object, ...]]


class Residue:
    """The state of a process; `found` later names the first difference from it.

    Looking at an object copies its page of memory, because the page is shared with the zygote until then. So
    how closely a module is looked at depends on what the tool's source names:

    - Of the packages that it names, the values of all modules, and the objects that these hold.
    - Of the modules that those import, the values.
    - Of all others, only the number of values.

    A source that names something that reaches every module, such as ``sys``, names all packages.
    """

    def __init__(self, code: CodeType) -> None:
        self._named = {name.partition(".")[0] for name in _names(code)} | {"builtins"}
        self._names_all = not self._named.isdisjoint(_REACHING)
        self._modules: dict[str, tuple[ModuleType, dict[str, object], list[_Part]]] = {}
        self._sizes: dict[str, tuple[ModuleType, int]] = {}
        self._include_new()
        self._system = _system()

    def _include_new(self) -> None:
        new = [
            (name, module)
            for name, module in list(sys.modules.items())
            if name not in self._modules
            and name not in self._sizes
            and not name.startswith(_OWN)
            and isinstance(module, ModuleType)
        ]
        below: set[str] = set()
        for name, module in new:
            if self._names_all or name.partition(".")[0] in self._named:
                known = dict(vars(module))
                skipped = _skipped(name)
                parts = [
                    (f"{name}.{key}", value, inside)
                    for key, value in known.items()
                    if key not in skipped and (inside := _inside(value)) is not None
                ]
                self._modules[name] = module, known, parts
                below.update(value.__name__ for value in known.values() if type(value) is ModuleType)
        submodules = _submodules()
        for name, module in new:
            if name in below and name not in self._modules:
                self._modules[name] = module, dict(vars(module)), []
            elif name not in self._modules:
                self._sizes[name] = module, len(vars(module)) - submodules.get(name, 0)

    def found(self) -> str:
        """Return the name of something that changed since this was made, or an empty text."""
        for name, (module, known, parts) in self._modules.items():
            if sys.modules.get(name) is not module:
                return f"the module {name}"
            now = vars(module)
            if len(now) != len(known) or not all(map(is_, now.values(), known.values())):
                if changed := _first_change(name, known, now):
                    return changed
                self._modules[name] = module, dict(now), parts
            for label, value, inside in parts:
                current = _inside(value)
                if current is None or len(current) != len(inside) or not all(map(is_, current, inside)):
                    return label
        submodules = _submodules()
        for name, (module, size) in self._sizes.items():
            if sys.modules.get(name) is not module or len(vars(module)) - submodules.get(name, 0) != size:
                return f"the module {name}"
        system = _system()
        if changed := next((key for key, value in system.items() if value != self._system.get(key)), ""):
            return changed
        self._include_new()  # a row may import a module
        return ""


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code uses, those of the modules that it imports among them."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _submodules() -> dict[str, int]:
    """Count the submodules of each package, which are values of its module from when they are imported."""
    counts: dict[str, int] = {}
    for name in sys.modules:
        package = name.rpartition(".")[0]
        counts[package] = counts.get(package, 0) + 1
    return counts


def _skipped(module: str) -> tuple[str, ...]:
    return _CACHES.get(module, ()) + _MODULE_ATTRIBUTES


def _first_change(module: str, known: dict[str, object], now: dict[str, Any]) -> str:
    skipped = _skipped(module)
    missing = object()
    for key in {**known, **now}:
        before, after = known.get(key, missing), now.get(key, missing)
        is_new_submodule = before is missing and isinstance(after, ModuleType)
        if before is not after and key not in skipped and not is_new_submodule:
            return f"{module}.{key}"
    return ""


def _inside(value: Any) -> tuple[object, ...] | None:
    """List the objects that a value holds directly; None if it holds none."""
    kind = type(value)
    if kind in _PLAIN:
        return None
    if kind is FunctionType:
        return value.__code__, value.__defaults__, value.__kwdefaults__, *value.__dict__.values()
    with suppress(BaseException):  # an object of a library may refuse to be looked at
        if isinstance(value, type):
            return (*vars(value).values(),) if value.__flags__ & _HEAP_TYPE else None
        if isinstance(value, dict):
            return (*value, *value.values()) if len(value) <= _LARGEST else (_counted(value),)
        if isinstance(value, list | set | frozenset):
            return tuple(value) if len(value) <= _LARGEST else (_counted(value),)
        if not isinstance(value, ModuleType):
            return (*vars(value).values(),)
    return None


def _counted(value: Any) -> object:
    return _SIZES.setdefault(len(value), len(value))


_SIZES: dict[int, int] = {}  # so that equal sizes are one object
_PLAIN = frozenset(
    {str, bytes, int, float, bool, complex, type(None), type(len), type(str.join), ModuleType, tuple}
)


def _system() -> dict[str, object]:
    """Read the state that the system, the interpreter and C code keep for this process."""
    mask = os.umask(0)
    os.umask(mask)
    free = os.dup(0)
    os.close(free)
    state: dict[str, object] = {
        "the working directory": os.getcwd(),  # noqa: PTH109 - pathlib would be one more import
        "the file mode mask": mask,
        "the environment": dict(os.environ),
        "open files": free,
        "threads": len(sys._current_frames()),  # noqa: SLF001 - counts threads of C code too
        "child processes": _has_children(),
        "files": _stamp(os.curdir),
        "signal handlers": [signal.getsignal(number) for number in _SIGNALS],
        "timers": [signal.getitimer(which) for which in (0, 1, 2)] if hasattr(signal, "getitimer") else None,
        "the priority": os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else None,
        "the interpreter": [read() for read in _INTERPRETER],
    }
    for name, read in _LIBRARIES:
        module: Any = sys.modules.get(name)
        if module is not None:
            with suppress(Exception):
                state[name] = read(module)
    return state


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _stamp(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - as above
    return found.st_mtime_ns, found.st_nlink


def _logging(module: Any) -> list[object]:
    loggers: Iterable[Any] = (module.root, *module.Logger.manager.loggerDict.values())
    return [
        module.Logger.manager.disable,
        *(
            (id(one), [*map(id, one.handlers)], one.level, one.disabled, one.propagate, [*one.filters])
            for one in loggers
            if hasattr(one, "handlers")
        ),
    ]


_SIGNALS = sorted(map(int, signal.valid_signals())) if hasattr(signal, "valid_signals") else []
_READS = (
    "getrecursionlimit getswitchinterval gettrace getprofile get_int_max_str_digits get_asyncgen_hooks "
    "get_coroutine_origin_tracking_depth"
)
_INTERPRETER: tuple[Any, ...] = (
    *(getattr(sys, name) for name in _READS.split() if hasattr(sys, name)),
    gc.isenabled,
    gc.get_threshold,
    gc.get_debug,
)
_LIBRARIES: tuple[tuple[str, Any], ...] = (
    ("atexit", lambda module: module._ncallbacks()),  # noqa: SLF001 - nothing else counts them
    ("_locale", lambda module: module.setlocale(module.LC_ALL)),
    ("random", lambda module: module.getstate()),
    (
        "decimal",
        lambda module: [
            repr(one) for one in (module.DefaultContext, module.BasicContext, module.ExtendedContext)
        ],
    ),
    ("csv", lambda module: (module.field_size_limit(), module.list_dialects())),
    ("socket", lambda module: module.getdefaulttimeout()),
    ("logging", _logging),
    ("resource", lambda module: [module.getrlimit(kind) for kind in range(16)]),
    ("numpy", lambda module: (module.geterr(), repr(module.get_printoptions()))),
    ("numpy.random", lambda module: repr(module.get_state(legacy=False))),
)
