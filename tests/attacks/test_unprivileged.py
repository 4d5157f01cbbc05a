"""Who is not root gets the same protection: the attacks, and the honest programs, once more as ``nobody``."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

REPOSITORY = Path(__file__).parents[2]
SUITE = (
    "tests/attacks/test_attacks.py",
    "tests/attacks/test_persistence.py",
    "tests/attacks/test_broken_hosts.py",
    "tests/sandbox/test_honest.py",
)
NEEDED = ("pytest", "pytest-asyncio", "sandlock", "pydantic", "numpy", "pandas")
PROBE = "import fact_magics.sandbox, numpy, pandas, pytest, pytest_asyncio, sandlock"


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are for their owner alone."""
    made = Path(tempfile.mkdtemp(prefix="unprivileged-"))
    made.chmod(0o755)
    for name in ("home", "tmp"):
        (made / name).mkdir()
        (made / name).chmod(0o777)
    yield made
    shutil.rmtree(made)


def as_nobody(
    command: list[str], base: Path, path: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        user="nobody",
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
        cwd=base,
        env={
            "HOME": str(base / "home"),
            "TMPDIR": str(base / "tmp"),
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
    )


def link(source: str, target: str) -> None:
    """Copy a file without copying it, where both are on one file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def copy_interpreter(base: Path) -> str:
    """Copy this interpreter and its standard library to where it may be read and run."""
    version = sysconfig.get_python_version()
    (base / "python" / "bin").mkdir(parents=True)
    target = base / "python" / "bin" / f"python{version}"
    shutil.copy(Path(sys.executable).resolve(), target)
    unneeded = shutil.ignore_patterns("test", "tests", "site-packages", "idlelib", "ensurepip", "*.a")
    library = base / "python" / "lib" / f"python{version}"
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=unneeded, copy_function=link)
    for shared in Path(sysconfig.get_config_var("LIBDIR") or "").glob("libpython*.so*"):
        link(str(shared), str(base / "python" / "lib" / shared.name))
    return str(target)


def copy_packages(base: Path) -> str:
    """Copy the packages that the suite needs, and those that they need."""
    target = base / "site-packages"  # the name by which a sandbox knows such a directory
    waiting, copied = [*NEEDED, "fact_magics"], set[str]()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in copied:
            continue
        copied.add(name)
        with suppress(PackageNotFoundError):
            found = distribution(name)
            required = [line for line in found.requires or () if "extra ==" not in line]
            waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required]
            for file in found.files or ():
                source, place = Path(str(file.locate())), target / file
                if ".." not in file.parts and source.is_file():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    link(str(source), str(place))
    return str(target)


def interpreter(base: Path) -> tuple[str, list[str], dict[str, str]]:
    """Choose an interpreter and packages that nobody may read, and copy them if there are none."""
    sites = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    version = sysconfig.get_python_version()
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        with suppress(OSError):
            path = [str(base), *sites]
            if as_nobody([python, "-c", PROBE], base, path).returncode == 0:
                return python, path, {}
    copied = copy_interpreter(base)
    path = [str(base), copy_packages(base)]
    libraries = {"LD_LIBRARY_PATH": str(base / "python" / "lib")}
    probed = as_nobody([copied, "-c", PROBE], base, path, **libraries)
    assert probed.returncode == 0, probed.stderr
    return copied, path, libraries


def test_nobody_is_protected_as_root_is(base: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody; who runs this is unprivileged already")
    for part in ("fact_magics", "tests/attacks", "tests/sandbox"):
        shutil.copytree(REPOSITORY / part, base / part, ignore=shutil.ignore_patterns("__pycache__"))
    python, path, environment = interpreter(base)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--import-mode=importlib"]
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    ran = as_nobody([*command, *options, "--rootdir", str(base), *SUITE], base, path, **environment)
    assert ran.returncode == 0, ran.stdout[-10_000:] + ran.stderr[-2_000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed, ran.stdout
    assert int(passed[1]) >= 150
    assert "skipped" not in ran.stdout
