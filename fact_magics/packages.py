"""The packages that tools can import: where they are installed, their versions, and when these change."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NAMES = ("site-packages", "dist-packages")


def module_path() -> tuple[str, ...]:
    """List the directories from which the notebook imports installed packages."""
    return tuple(entry for entry in _named(tuple(sys.path)) if exists(entry))


@lru_cache(maxsize=4)
def _named(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(entry for entry in path if Path(entry).name in _NAMES)


def exists(path: str) -> bool:
    """Tell whether a path exists; `Path.exists` raises an error if a directory on it may not be entered."""
    return os.path.exists(path)  # noqa: PTH110


def installed() -> tuple[int, ...]:
    """Return a value that changes whenever a package is installed, upgraded or removed.

    These are the times at which the directories of packages changed, in nanoseconds. An installer adds or
    removes the directory that names a package's version.
    """
    return tuple(map(_changed_ns, _named(tuple(sys.path))))


def _changed_ns(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns  # noqa: PTH116 - a cached run asks for it, and a Path takes longer
    except OSError:
        return 0


def from_elsewhere(imports: Iterable[str]) -> tuple[str, ...]:
    """Select the packages that do not belong to Python itself."""
    return tuple(name for name in imports if name not in sys.stdlib_module_names)


def versions(packages: Sequence[str]) -> list[str]:
    """Return ``NAME==VERSION`` for each distribution that provides one of the packages."""
    found = []
    names = _distributions(installed()) if packages else {}
    for package in packages:
        for name in sorted(set(names.get(package, ()))):
            try:
                found.append(f"{name}=={version(name)}")
            except PackageNotFoundError:
                found.append(name)
    return found


@lru_cache(maxsize=1)
def _distributions(_: tuple[int, ...]) -> Mapping[str, list[str]]:
    # Reading the metadata of every installed package takes tens of milliseconds.
    return packages_distributions()
