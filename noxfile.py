"""The project's tasks: ``nox --list`` names them, ``nox -s fast`` runs one.

Tasks run in the environment that nox is installed in. Those with a Python version, and those that install
something, make an environment of their own.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
# Tools that are installed beside this interpreter are found without an activated environment.
BESIDE = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}

nox.options.sessions = ["lint", "types", "fast"]


@nox.session(python=False)
def fast(session: nox.Session) -> None:
    """Run the fast tests: no kernel, no browser, few processes."""
    session.run(sys.executable, "-m", "pytest", "--fast", *session.posargs)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the README's test command: it makes .venv and runs all tests but the longest."""
    readme = Path("README.md").read_text(encoding="utf-8")
    command = re.search(r"<!-- command: tests -->\n```sh\n(.*)\n```", readme)
    if command is None:
        session.error("README.md holds no test command")
    session.run("sh", "-c", command[1], external=True)


@nox.session(python=PYTHONS)
def fast_on(session: nox.Session) -> None:
    """Run the fast tests on another Python, in a new environment."""
    # Without byte code: the few modules that are imported are compiled as they are imported.
    session.install("--quiet", "--no-compile", "--constraint=tests/constraints.txt", "--editable=.[dev]")
    session.run("python", "-m", "pytest", "--fast", "-p", "no:cacheprovider")


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check the code with ruff, as the commit hooks do."""
    for hook in ("ruff-check", "ruff-format"):
        session.run(sys.executable, "-m", "pre_commit", "run", "--all-files", hook, env=BESIDE)


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types with mypy, as the commit hook does."""
    session.run(sys.executable, "-m", "pre_commit", "run", "--all-files", "mypy", env=BESIDE)


@nox.session(python=False)
def fix(session: nox.Session) -> None:
    """Format the code, and correct what ruff can correct by itself."""
    session.run(sys.executable, "-m", "ruff", "check", "--fix", success_codes=[0, 1])
    session.run(sys.executable, "-m", "ruff", "format")


@nox.session(python=False)
def picture(session: nox.Session) -> None:
    """Draw the rooms in CONTRIBUTING.md anew, from the imports."""
    session.run(sys.executable, "tests/test_rooms.py")


@nox.session(python=False)
def benchmarks(session: nox.Session) -> None:
    """Measure what is promised about speed."""
    session.run(sys.executable, "tests/benchmarks/run.py", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look up the pinned versions among the known vulnerabilities."""
    session.install("--quiet", "pip-audit")
    # Strict: a version that could not be looked up is not taken for a safe one.
    session.run("pip-audit", "--strict", "--requirement=tests/constraints.txt", "--no-deps", "--disable-pip")


@nox.session
def build(session: nox.Session) -> None:
    """Build what a release uploads into dist/, and check it."""
    session.install("--quiet", "build", "twine")
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").glob("fact_magics-*")))
