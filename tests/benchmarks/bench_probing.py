"""How well probing tells weak examples from strong ones, on small problems with solutions and hidden tests.

Run it: ``python tests/benchmarks/bench_probing.py [N [S]]``, with N to use only every N-th problem, and S for
the seconds of a probe (1), which a busy machine may need more of. For each
solution, every change of one token that passes the examples and fails a hidden test is a change that probing
must notice, though it does not know the hidden tests. The changes are made here, not by `probing.rivals`.
"""

from __future__ import annotations

import ast
import asyncio
import io
import signal
import statistics
import sys
import time
import tokenize
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import Line, at_least, at_most

from fact_magics.probing import prober
from fact_magics.probing.prober import probe
from fact_magics.sandbox import Sandbox
from fact_magics.tool import Raised, Returned, ToolMetadata, ToolVersion
from fact_magics.values import encode
from fact_magics.writing.examples import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROBLEMS = Path(__file__).parent / "problems"
ANSWERS = 3
SECONDS = 0.5

_OTHER_TOKENS = {
    "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="), "==": ("!=",), "!=": ("==",),
    "+": ("-",), "-": ("+",), "*": ("+", "/"), "/": ("//", "*"), "//": ("/", "%"), "%": ("//",), "**": ("*",),
    "+=": ("-=",), "-=": ("+=",), "and": ("or",), "or": ("and",), "True": ("False",), "False": ("True",),
    "min": ("max",), "max": ("min",), "any": ("all",), "all": ("any",), "lower": ("upper",), "not": ("",),
    "isalpha": ("isalnum",), "isalnum": ("isalpha",), "isdigit": ("isalnum",), "isupper": ("isalpha",),
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A solution, its examples and the arguments of its hidden tests."""

    name: str
    source: str
    contract: str
    hidden: list[tuple[Any, ...]]


def problems() -> Iterator[Problem]:
    """Read the problems of all files."""
    for path in sorted(PROBLEMS.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        head = "\n".join(
            ast.get_source_segment(text, node) or ""
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
        )
        space: dict[str, Any] = {}
        exec(compile(tree, str(path), "exec"), space)  # noqa: S102 - these files belong to the benchmark
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                documented = ast.get_docstring(node) or ""
                contract = documented[documented.index(">>>") :]
                source = f"{head}\n\n\n{ast.get_source_segment(text, node)}\n".lstrip()
                yield Problem(node.name, source, contract, space[node.name].hidden)


def changes(source: str) -> Iterator[str]:
    """Change one token of the code at a time."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = source.splitlines(keepends=True)
    inside = False  # behind the docstring, where the body begins
    for token in tokens:
        if token.type == tokenize.STRING and token.string.startswith('"""'):
            inside = True
            continue
        others = _OTHER_TOKENS.get(token.string, ())
        if token.type == tokenize.NUMBER and token.string.isdigit():
            others = (str(int(token.string) + 1), str(max(0, int(token.string) - 1)))
        if not inside:
            continue
        row, column = token.start[0] - 1, token.start[1]
        for other in others:
            line = lines[row]
            changed = [*lines]
            changed[row] = f"{line[:column]}{other}{line[token.end[1] :]}"
            text = "".join(changed)
            try:
                compile(text, "<change>", "exec")
            except SyntaxError:
                continue
            if text != source:
                yield text


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def loaded(source: str, name: str) -> Callable[..., Any]:
    space: dict[str, Any] = {}
    exec(source, space)  # noqa: S102 - a problem of this benchmark, with one token changed
    function: Callable[..., Any] = space[name]
    return function


def answer(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    """Return what a call gives, as bytes to compare."""
    try:
        with limited(SECONDS):
            return encode(function(*[_copied(argument) for argument in args]))
    except Exception as error:  # noqa: BLE001 - each exception is an answer
        return type(error).__name__.encode()


def _copied(argument: Any) -> Any:
    return type(argument)(argument) if isinstance(argument, list | dict) else argument


def holds(function: Callable[..., Any], contract: str, name: str) -> bool:
    """Tell whether all examples of a contract hold."""
    for example in read_body(contract, name).examples:
        expected = example.expected
        try:
            with limited(SECONDS):
                got = function(*[_copied(argument) for argument in example.args], **example.kwargs)
        except Exception as error:  # noqa: BLE001
            if not (isinstance(expected, Raised) and expected.type_name == type(error).__name__):
                return False
        else:
            if not (isinstance(expected, Returned) and _equal(got, expected.value)):
                return False
    return True


def _equal(got: Any, expected: Any) -> bool:
    same_kind = type(got) is type(expected) or {type(got), type(expected)} <= {list, tuple}
    return bool(same_kind and got == expected)


def unnoticed(problem: Problem) -> list[str]:
    """List the changes of one token that pass the examples and fail a hidden test."""
    truth = loaded(problem.source, problem.name)
    right = [answer(truth, args) for args in problem.hidden]
    found = []
    for source in changes(problem.source):
        function = loaded(source, problem.name)
        passes = holds(function, problem.contract, problem.name)
        if passes and [answer(function, args) for args in problem.hidden] != right:
            found.append(source)
    return found


async def measure(every: int = 1, seconds: int = 1, *, shows: bool = False) -> list[Line]:
    """Probe each problem, answer its questions as its solution does, and judge the grown examples."""
    prober._QUICK_SECONDS = max(
        seconds, prober._QUICK_SECONDS
    )  # as many inputs as in a cell, whatever the time
    sandbox = Sandbox()
    await sandbox.start()
    with_one = said_open = wrong = excluded = empty = count = 0
    took = []
    for problem in list(problems())[::every]:
        count += 1
        changed = unnoticed(problem)
        contract = problem.contract
        for turn in range(ANSWERS + 1):
            about = ToolMetadata(name=problem.name, contract=contract, proven=True)
            started = time.perf_counter()
            found = await probe(ToolVersion(about, problem.source), sandbox, seconds, lambda _: None)
            took.append(time.perf_counter() - started)
            empty += sum(all(one.own for one in question.answers) for question in found.questions)
            if turn == 0 and changed:
                with_one += 1
                said_open += found.open > 0
                if not found.open and shows:
                    print(f"{problem.name} is not said to be open: {found.summary}")
            if not found.questions or turn == ANSWERS:
                break
            contract = f"{contract}\n\n{found.questions[0].lines(1)}"
        wrong += len(changed)
        left = [source for source in changed if holds(loaded(source, problem.name), contract, problem.name)]
        excluded += len(changed) - len(left)
        if shows:
            print(f"{problem.name}: {len(changed)} pass, {len(left)} left, {found.summary}")
            for source in left:
                lines = zip(problem.source.splitlines(), source.splitlines(), strict=True)
                print(*(f"    {one.strip()}  →  {other.strip()}" for one, other in lines if one != other))
    await sandbox.aclose()
    noticed = 100 * said_open / max(1, with_one)
    caught = 100 * excluded / max(1, wrong)
    return [
        at_least(
            "weak examples are said to be open",
            90,
            noticed,
            "%",
            f"{said_open} of {with_one} problems, {count} in all",
        ),
        at_least("changes excluded after three answers", 95, caught, "%", f"{excluded} of {wrong} changes"),
        at_most("questions that part nothing", 0, empty, "", f"{len(took)} probes"),
        at_most("a probe in a cell", 1.2, statistics.median(took), "s", f"longest {max(took):.2f} s"),
    ]


if __name__ == "__main__":
    for line in asyncio.run(measure(*map(int, sys.argv[1:3]), shows=True)):
        print(line)
