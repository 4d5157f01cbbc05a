"""Large parameters of tests, which are made when their test runs.

Each worker collects every file, and keeps the parameters. All that it keeps makes each of its forks slower.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


@dataclass(frozen=True)
class Late:
    """A parameter; its test gets what `make` returns."""

    make: Callable[[], Any]


@contextmanager
def made(item: pytest.Item) -> Iterator[None]:
    """Replace the late parameters of a test by what they make, until it has run."""
    call = getattr(item, "callspec", None)
    late = {} if call is None else {n: value for n, value in call.params.items() if isinstance(value, Late)}
    if late:
        call.params.update({name: value.make() for name, value in late.items()})
    try:
        yield
    finally:
        if late:
            call.params.update(late)
