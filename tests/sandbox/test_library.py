"""What a zygote is sent of the standard library: all that it loads ahead, and it is what lies on the disk."""

from __future__ import annotations

import importlib
import inspect
import os
import py_compile
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox, library
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = b'{"args":[],"kwargs":{}}'
PROBE = """
import sys
for name in sys.argv[1:]:
    __import__(name)
for name, module in list(sys.modules.items()):
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    if name != "__main__" and origin.endswith(".py"):
        print(name)
"""
LOADERS = """
import sys
{imports}
def tool():
    return {{name: (type(module.__loader__).__name__, module.__file__, hasattr(module, "__path__"))
            for name, module in list(sys.modules.items()) if getattr(module, "__file__", None)}}
"""
# The interpreter itself loads these, before it is sent anything.
FIRST = {"encodings", "encodings.aliases", "encodings.utf_8"}


@pytest.mark.parametrize("preload", [frozenset(), library.STANDARD_MODULES], ids=["light", "standard"])
def test_all_that_is_loaded_ahead_is_named(preload: frozenset[str]) -> None:
    """On this Python, nothing that a zygote preloads imports a module that is missing from the list."""
    ahead = sorted(library.LIGHT_MODULES | preload)
    command = [sys.executable, "-I", "-S", "-c", PROBE, *ahead, "ctypes", "linecache", "select"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    named = set(library.library_modules(preload))
    assert {name for name in loaded - FIRST - named if not name.startswith("_sysconfigdata")} == set()


@pytest.mark.parametrize("imports", [(), ("sqlite3", "asyncio")])
async def test_a_zygote_loads_what_it_was_sent_as_if_from_the_disk(imports: tuple[str, ...]) -> None:
    """Packages are packages, and files are where they are: `inspect` finds the sources."""
    if not library.byte_code(("json",)):
        pytest.skip("this Python keeps no byte code beside its library")
    sandbox = Sandbox(mode="require", size=1)
    try:
        source = LOADERS.format(imports="".join(f"import {name}\n" for name in imports))
        outcome = await sandbox.run(Call(source, "tool", NOTHING, imports=imports))
    finally:
        await sandbox.aclose()
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    loaded = values.decode(outcome.result)
    for name in ("json", "json.decoder", "typing", *imports):
        loader, place, is_package = loaded[name]
        module = importlib.import_module(name)
        assert loader == "Sent"
        assert (place, is_package) == (inspect.getsourcefile(module), hasattr(module, "__path__"))


def test_byte_code_that_is_not_its_source_s_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that changed since it was compiled, and one that never was, is left to the child."""
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    for name in ("good", "changed", "fresh"):
        (tmp_path / f"{name}.py").write_text("x = 1\n", encoding="utf-8")
        if name != "fresh":
            py_compile.compile(str(tmp_path / f"{name}.py"))
    os.utime(tmp_path / "changed.py", (1, 1))
    assert set(library.byte_code(("good", "changed", "fresh", "absent"))) == {"good"}
