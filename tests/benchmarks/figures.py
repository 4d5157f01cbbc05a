"""What every benchmark here gives: lines of a promise, what was measured, and whether it holds."""

from __future__ import annotations

import os
import statistics
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPOSITORY = Path(__file__).parent.parent.parent
_SECRETS = ("_API_KEY", "_BASE_URL", "_API_BASE")


@dataclass(frozen=True)
class Line:
    """One figure beside what was promised for it.

    Attributes
    ----------
    name, promised : str
        What was measured, and what its figure must be.
    measured : str
        The medians that the figure comes from.
    figure : float
        What the promise is about.
    unit : str
        ``ms``, ``µs``, ``x``.
    holds : bool
        Whether the figure is within the promise.
    """

    name: str
    promised: str
    measured: str
    figure: float
    unit: str
    holds: bool

    def __str__(self) -> str:
        verdict = ("holds" if self.promised else "") if self.holds else "DOES NOT HOLD"
        return f"{self.name:<42} {self.promised:<9} {self.figure:8.2f} {self.unit:<3} {verdict:<14} {self.measured}"


def at_most(name: str, limit: float, figure: float, unit: str, measured: str) -> Line:
    """Judge a figure that must not be above a limit."""
    return Line(name, f"≤ {limit:g} {unit}", measured, figure, unit, figure <= limit)


def at_least(name: str, limit: float, figure: float, unit: str, measured: str) -> Line:
    """Judge a figure that must not be below a limit."""
    return Line(name, f"≥ {limit:g} {unit}", measured, figure, unit, figure >= limit)


def shown(name: str, figure: float, unit: str, measured: str) -> Line:
    """Show a figure for comparison, about which nothing is promised."""
    return Line(name, "", measured, figure, unit, True)


def median(values: Sequence[float]) -> float:
    """Take the middle one: a machine that is busy for a moment does not move it."""
    return statistics.median(values)


@contextmanager
def own_home() -> Iterator[dict[str, str]]:
    """Make a `FACT_HOME` that is gone afterwards; gives an environment that uses it, without keys."""
    with TemporaryDirectory(prefix="fact-bench-") as folder:
        env = {name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)}
        env.pop("DATABASE_URL", None)
        # As in an installed package, the bytecode is there; it stays out of the repository.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        path = [str(REPOSITORY), env.get("PYTHONPATH", "")]
        yield {
            **env,
            "FACT_HOME": folder,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode"),
            "IPYTHONDIR": str(Path(folder) / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(Path(folder) / "runtime"),
        }


def show(lines: Sequence[Line]) -> int:
    """Print lines, and give the exit code that says whether all hold."""
    for line in lines:
        print(line)
    sys.stdout.flush()
    return 0 if all(line.holds for line in lines) else 1
