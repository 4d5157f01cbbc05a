"""A gauntlet for caches: seeded changes of tools and inputs, with what each question's answer must be.

`World` holds tools as a notebook has them, changes them at random, and asks questions. It computes each answer
itself, and it knows which questions were answered before: a right cache never gives another answer, and always
remembers.
"""

from __future__ import annotations

import importlib
import math
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKAGE = "gauntlet_package"

HEAD = "RATE = {constant}\n\n\ndef _helper(value):\n    return f'{{value}} {helper}'\n\n\n"
TOOLS = {
    "whole": "def whole(n: int) -> str:\n    if n == 424242:\n        return 'fixed'\n"
    "    return _helper(n * RATE){suffix}\n",
    "real": "def real(x: float) -> str:\n    if x == 424242:\n        return 'fixed'\n"
    "    return _helper(repr(x) * RATE){suffix}\n",
    "mixed": "def mixed(value: bool | int | float | str | None) -> str:\n    if value == 424242:\n        return 'fixed'\n"
    "    return _helper((type(value).__name__, repr(value), RATE)){suffix}\n",
    "text": "def text(words: str) -> str:\n    if words == '424242':\n        return 'fixed'\n"
    "    return _helper(words.encode().hex() * RATE){suffix}\n",
    "nested": "def nested(data: dict[str, list[float]]) -> str:\n    if '424242' in data:\n        return 'fixed'\n"
    "    return _helper((repr(data), RATE)){suffix}\n",
    "table": "def table(rows: list[dict[str, int | float]]) -> str:\n    if '424242' in rows[0]:\n        return 'fixed'\n"
    "    return _helper((repr(rows), RATE)){suffix}\n",
    "file": "from pathlib import Path\n\n\ndef file(path: Path) -> str:\n"
    "    if path.read_text() == '424242':\n        return 'fixed'\n"
    "    return _helper((path.read_text(), RATE)){suffix}\n",
    "package": f"import {PACKAGE}\n\n\ndef package(n: int) -> str:\n    if n == 424242:\n        return 'fixed'\n"
    f"    return _helper(({PACKAGE}.VALUE, n, RATE)){{suffix}}\n",
    "failing": "def failing(n: int) -> str:\n    if n == 424242:\n        return 'fixed'\n"
    "    if n % 2:\n        raise ValueError(n)\n    return _helper(n * RATE){suffix}\n",
}
# The answer to 424242 never changes, so that the tools stay proven while they are edited.
CONTRACTS = {
    "whole": ">>> whole(424242)\n'fixed'",
    "real": ">>> real(424242.0)\n'fixed'",
    "mixed": ">>> mixed(424242)\n'fixed'",
    "text": ">>> text('424242')\n'fixed'",
    "nested": ">>> nested({'424242': []})\n'fixed'",
    "table": ">>> table([{'424242': 1}])\n'fixed'",
    "file": ">>> file(Path('fixed.txt'))\n'fixed'",
    "package": ">>> package(424242)\n'fixed'",
    "failing": ">>> failing(424242)\n'fixed'",
}
# Of a hundred changes.
_FREQUENCIES = {
    "constant": 4,
    "helper": 4,
    "suffix": 4,
    "rollback": 3,
    "cell": 10,
    "content": 10,
    "version": 2,
    "input": 63,
}
_WORDS = ("caf\u00e9", "cafe\u0301", "", " ", "caf\u00e9 ", "\u212b", "\u00c5", "1", "None", "\U0001f600")
_REALS = (0.0, -0.0, 1.0, 0.1 + 0.2, 0.3, math.nan, math.inf, -math.inf, 5e-324, 1e308, 2**53 + 0.0)
_MIXED = (0, 0.0, -0.0, False, 1, 1.0, True, "1", "1.0", "True", None, "None", "", math.nan, 2**70, 2.0**70)


@dataclass(frozen=True)
class Question:
    """A call of a tool. Equal identities are the same question; `answer` is None if the tool raises."""

    tool: str
    parameters: dict[str, Any]
    identity: tuple[object, ...]
    answer: str | None


@dataclass
class World:
    """The tools and what they depend on. `folder` must be on `sys.path` for the package.

    Attributes
    ----------
    pinned : float
        How often a question goes to an earlier version.
    changes : Counter
        How many changes of each kind were made.
    versions : dict
        The parts of the source of each version that was stored, by name and version.
    current : dict
        The current version of each tool.
    """

    folder: Path
    seed: int
    pinned: float = 0.1
    changes: Counter[str] = field(default_factory=Counter)
    versions: dict[str, dict[str, dict[str, object]]] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - it decides nothing but the tests' changes
        self.parts = {name: {"constant": 1, "helper": "a", "suffix": ""} for name in TOOLS}
        self.version = 0
        self.path = self.folder / "given.txt"
        self.path.write_text("0")
        (self.folder.parent / "fixed.txt").write_text("424242")
        self.frame = pd.DataFrame({f"column {n}": range(200) for n in range(5)})
        self.install()

    def install(self) -> None:
        """Install the package in its next version, in this process too."""
        self.version += 1
        (self.folder / f"{PACKAGE}.py").write_text(f"VALUE = {self.version % 3}\n")
        for old in self.folder.glob(f"{PACKAGE}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        about = self.folder / f"{PACKAGE}-{self.version % 3}.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {self.version % 3}.0\n"
        )
        (about / "top_level.txt").write_text(f"{PACKAGE}\n")
        (about / "RECORD").write_text(f"{PACKAGE}.py,,\n")
        importlib.invalidate_caches()
        sys.modules.pop(PACKAGE, None)

    def source(self, name: str, version: str = "") -> str:
        """The source of a tool as it is now, or of an earlier version."""
        return (HEAD + TOOLS[name]).format(**(self.versions[name][version] if version else self.parts[name]))

    def stored(self, name: str, version: str) -> None:
        """Note the version under which the source of a tool was stored."""
        self.versions.setdefault(name, {})[version] = dict(self.parts[name])
        self.current[name] = version

    def change(self) -> tuple[str, str]:
        """Make one change; return its kind, and the name of the tool that must change, or an empty text."""
        kind = self.random.choices([*_FREQUENCIES], [*_FREQUENCIES.values()])[0]
        self.changes[kind] += 1
        name = self.random.choice([*TOOLS])
        if kind == "constant":
            self.parts[name]["constant"] = self.random.choice((1, 2, 3))
        elif kind == "helper":
            self.parts[name]["helper"] = self.random.choice("abc")
        elif kind == "suffix":
            self.parts[name]["suffix"] = self.random.choice(("", " + '!'", " + '?'", "  # as it was"))
        elif kind == "rollback":
            self.current[name] = self.random.choice([*self.versions[name]])
            self.parts[name] = dict(self.versions[name][self.current[name]])
        elif kind == "cell":
            row, column = self.random.randrange(200), self.random.randrange(5)
            self.frame = self.frame.copy()
            self.frame.iat[row, column] = self.random.randrange(3)
        elif kind == "content":
            self.path.write_text(str(self.random.randrange(5)))
        elif kind == "version":
            self.install()
        return kind, name if kind in (*self.parts[name], "rollback") else ""

    def ask(self, name: str) -> Question:
        """Choose an input for a tool."""
        key, value, told = self._input(name)
        version = self.random.choice([*self.versions[name]]) if self.random.random() < self.pinned else ""
        source = self.source(name, version)
        asked = f"{name}@{version}" if version else name
        return Question(asked, {key: value}, (name, source, *told), self._answer(name, source, {key: value}))

    def _input(self, name: str) -> tuple[str, Any, tuple[object, ...]]:
        """Return a parameter, its value, and what decides whether two values are the same question."""
        choose = self.random.choice
        if name == "real":
            value = choose((*_REALS, 1, 0))  # an integer is the same input as its float
            return "x", value, (repr(float(value)),)
        if name == "mixed":
            value = choose(_MIXED)
            return "value", value, (type(value).__name__, repr(value))
        if name == "text":
            value = choose(_WORDS)
            return "words", value, (value,)
        if name == "nested":
            data = {choose(_WORDS): [choose(_REALS) for _ in range(choose((0, 1, 2)))] for _ in range(2)}
            return "data", data, (repr(data),)
        if name == "table":
            frame = self.frame if choose((True, True, False)) else self.frame.astype(float)
            return "rows", frame, (repr(frame.to_dict("records")),)
        if name == "file":
            return "path", self.path, (self.path.read_text(),)
        if name == "package":
            value = choose((1, 2, 3))
            return "n", value, (value, self.version % 3)
        value = choose(range(8))
        return "n", value, (value,)

    def as_passed(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return an input as the tool gets it: validated and converted."""
        [(key, value)] = parameters.items()
        if name == "real":
            return {key: float(value)}
        return {key: value.to_dict("records") if name == "table" else value}

    def _answer(self, name: str, source: str, parameters: dict[str, Any]) -> str | None:
        namespace: dict[str, Any] = {}
        exec(source, namespace)  # noqa: S102 - the sources above
        function: Callable[..., str] = namespace[name]
        try:
            return function(**self.as_passed(name, parameters))
        except ValueError:
            return None
