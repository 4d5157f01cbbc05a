"""Make many objects: without Python's garbage collector or with fewer of its runs, or many tuples at once."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T", bound=tuple[Any, ...])

# The collector runs when there are so many more objects than at its last run; by default 700 or 2,000.
_MANY_OBJECTS = 50_000


def named_tuples(kind: type[T], *columns: Iterable[Any]) -> list[T]:
    """Make named tuples from columns of all their fields, in a third of the time that calling `kind` takes.

    The shortest column decides how many.
    """
    return [*map(partial(tuple.__new__, kind), zip(*columns, strict=False))]


@contextmanager
def uncollected() -> Iterator[None]:
    """Put the garbage collector off for a step of a few milliseconds, in all threads.

    It would run again and again while objects are made, and now and then look at all objects of the notebook.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class SeldomCollected:
    """Lets the garbage collector run seldom while work of several tasks makes objects that live on.

    It runs after some number of new objects, and looks at each of them. If they live on, it does so in vain,
    and looks at them again in later runs, together with all objects of the notebook.
    """

    def __init__(self) -> None:
        self._tasks = 0
        self._usual = self._set = gc.get_threshold()

    def __enter__(self) -> None:
        self._tasks += 1
        if self._tasks == 1:
            self._usual = objects, *others = gc.get_threshold()
            if 0 < objects < _MANY_OBJECTS:
                gc.set_threshold(_MANY_OBJECTS, *others)
            self._set = gc.get_threshold()

    def __exit__(self, *_: object) -> None:
        self._tasks -= 1
        if self._tasks == 0 and gc.get_threshold() == self._set:
            gc.set_threshold(*self._usual)
