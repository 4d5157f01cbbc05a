"""What a person sees when a tool reaches a limit, or for what it was not allowed: one line, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

ACT = '''
import os
import resource
import sqlite3
import subprocess
import time
import urllib.request


def act(what: str, path: str = "") -> str:
    """Do what is asked, which is too much."""
    if not what:
        return ""
    print("begun")
    print("half a line", end=" ")
    if what == "sleep":
        time.sleep(60)
    if what == "burn":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
        while True:
            pass
    if what == "memory":
        return str(len(bytearray(400 << 20)))
    if what == "processes":
        for _ in range(100):
            if not os.fork():
                time.sleep(60)
    if what == "file":
        with open("big", "wb") as file:
            file.write(bytes(9 << 20))
    if what == "disk":
        for number in range(8):
            with open(f"{number}", "wb") as file:
                file.write(os.urandom(3 << 20))
        time.sleep(60)
    if what == "print":
        while True:
            print("x" * 10_000)
    if what == "chat":
        for _ in range(140_000):
            os.write(1, b"yy")
    if what == "line":
        for _ in range(3):
            print("z" * (1 << 20), end="")
    if what == "return":
        return "x" * (5 << 20)
    if what == "open":
        kept = [open(os.devnull) for _ in range(100)]
    if what == "fetch":
        urllib.request.urlopen("https://api.example.com/items")
    if what == "read":
        open(path)
    if what == "write":
        open(path, "w")
    if what == "database":
        sqlite3.connect(path)
    if what == "variable":
        return os.environ["MY_REGION"]
    if what == "program":
        subprocess.run(["git", "status"])
    if what == "raise":
        raise PermissionError("ask somebody else")
    return what
'''

LIMITS = '{"processes": 8, "disk_mb": 16, "file_mb": 8, "printed_mb": 4, "result_mb": 4, "open_files": 64}'


@pytest.fixture(scope="module")
def limited(module_desk):
    """A kernel with the tool, and limits that are reached soon."""
    made = module_desk.write("act", ACT, examples=">>> act('')\n''\n", options="--attempts 1")
    assert made.status == "ok", made.traceback
    assert not module_desk.run(f"%config FactMagics.limits = {LIMITS}").stderr
    return module_desk


@pytest.fixture
def desk(limited):
    limited.server._script.clear()
    return limited


def last_row(desk):
    return desk.query("SELECT status, error FROM tool_executions ORDER BY rowid DESC LIMIT 1")[0]


@pytest.mark.parametrize(
    ("what", "options", "name", "says"),
    [
        ("sleep", "--timeout 0.5", "ToolTimedOut", ["time 0.5 s", "processor time", "--timeout"]),
        ("burn", "", "LimitReached", ["CPU 31 s", "--timeout"]),
        ("memory", "--memory 100", "LimitReached", ["memory 100 MB", "--memory"]),
        ("processes", "", "LimitReached", ["processes 8", '"processes": 16']),
        ("file", "", "LimitReached", ["file size 8 MB", '"file_mb": 16']),
        ("disk", "", "LimitReached", ["scratch directory 16 MB", '"disk_mb": 32']),
        ("return", "", "LimitReached", ["result 4 MB (5 MB used)", '"result_mb": 8']),
        ("open", "", "LimitReached", ["open files 64", '"open_files": 128']),
    ],
)
def test_each_limit_is_one_line_that_says_how_to_raise_it_under_what_was_printed(
    desk, what, options, name, says
):
    cell = desk.run(f"%%fact_run act {options}\nwhat = {what!r}")
    assert cell.error_name == name
    line, *frames = cell.error.splitlines()
    assert line.startswith("act was stopped by a limit: ")
    assert not frames
    for part in says:
        assert part in line
    assert cell.stdout == "begun\nhalf a line "
    assert "begun" not in cell.html
    assert last_row(desk) == ("timeout" if what == "sleep" else "limit", line)
    assert desk.value("act('')") == ""


def test_a_flood_is_cut_stopped_and_said_to_be(desk):
    cell = desk.run("%%fact_run act\nwhat = 'print'")
    assert cell.error_name == "LimitReached"
    assert "printed output 4 MB" in cell.error
    assert '"printed_mb": 8' in cell.error
    assert cell.stdout.count("begun") == 1
    assert "more bytes were printed, but are not shown" in cell.stdout
    assert "begun" not in cell.html
    assert len(cell.plain) < 100_000


@pytest.mark.parametrize("what", ["chat", "line"])
def test_much_that_is_printed_below_the_limit_is_cut_in_the_record_and_kept_so(desk, what):
    desk.run("%config FactMagics.live = 'off'")  # so that the record shows it
    cell = desk.run(f"%%fact_run act --no-raise --fresh\nwhat = {what!r}")
    desk.run("%config FactMagics.live = 'auto'")
    assert cell.status == "ok"
    for shown in (cell.plain, cell.html):
        assert "begun" in shown
        assert "more bytes were printed, but are not shown" in shown
    assert desk.value("len(_.metadata['printed']) < 300_000") is True


def test_the_kernel_does_not_grow_with_what_is_printed(desk):
    """Two hundred megabytes go through it, and never a tenth of that is kept."""

    def peak() -> int:
        lines = Path(f"/proc/{desk.kernel.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    desk.run('%config FactMagics.limits = {"printed_mb": 1000}')
    flood = "import os\n\ndef flood(mb: int) -> int:\n    for _ in range(16 * mb):\n        os.write(1, b'x' * 65_536)\n    return mb\n"
    desk.write("flood", flood, examples=">>> flood(0)\n0\n")
    desk.run("flood(2)")
    before = peak()
    assert desk.run("print(flood(200))").stdout.endswith("200\n")
    assert peak() - before < 20
    desk.run(f"%config FactMagics.limits = {LIMITS}")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "my data.csv").write_text("a")
    return tmp_path


@pytest.mark.parametrize(
    ("what", "target", "hint"),
    [
        ("fetch", "", "The tool may not reach api.example.com.\nTo allow it: --allow net:api.example.com"),
        (
            "read",
            "/my data.csv",
            "The tool may not read {}/my data.csv.\nTo allow it: --allow 'read:{}/my data.csv'",
        ),
        (
            "write",
            "/my data.csv",
            "The tool may not write to {}/my data.csv.\nTo allow it: --allow 'write:{}/my data.csv'",
        ),
        ("write", "/new.csv", "The tool may not write to {}.\nTo allow it: --allow write:{}"),
        ("database", "/new.db", "The tool may not write to {}.\nTo allow it: --allow write:{}"),
        ("variable", "", "The tool may not see the variable MY_REGION.\nTo allow it: --allow env:MY_REGION"),
    ],
)
def test_a_denied_action_names_the_permission_that_allows_it(desk, place, what, target, hint):
    desk.run("import os\nos.environ['MY_REGION'] = 'north'")
    body = f"what = {what!r}\npath = {str(place) + target!r}"
    cell = desk.run(f"%%fact_run act\n{body}")
    assert cell.error_name == "ToolFailed"
    line, allow, *_ = cell.error.splitlines()
    assert line.startswith("act raised ")
    assert f"{line}\n{allow}".endswith(hint.replace("{}", str(place)))
    assert f"  {allow}" in cell.traceback.splitlines()
    assert "begun" in cell.plain
    assert last_row(desk) == ("error", line)
    desk.run(f"%%fact_run act --no-raise\n{body}")
    assert desk.value("_.metadata['error']") == line
    if what in ("fetch", "database"):  # nobody is there; a journal is one thing more
        return
    permission = allow.removeprefix("To allow it: ")
    assert desk.run(f"%%fact_run act {permission}\n{body}").status == "ok"


@pytest.mark.parametrize("call", ["act", "await act.acall"])
def test_a_call_that_is_denied_says_where_to_grant_the_permission(desk, place, call):
    cell = desk.run(f"{call}(what='read', path={str(place / 'my data.csv')!r})")
    assert cell.error.splitlines()[1:3] == [
        f"To allow it: --allow 'read:{place}/my data.csv'",
        "A call takes no --allow: add it to a %%fact_run act cell, or generate act again with it.",
    ]


def test_an_edit_that_is_denied_says_how_to_grant_the_permission(desk):
    desk.run("import os\nos.environ['MY_REGION'] = 'north'")
    desk.write("home", "def home(n: int) -> str:\n    return 'north'\n", examples=">>> home(1)\n'north'\n")
    source = "import os\n\ndef home(n: int) -> str:\n    return os.environ['MY_REGION']\n"
    cell = desk.run(f"%%fact_edit home\n{source}")
    assert "%%fact_edit takes no --allow: correct the source, or generate home again with it." in cell.error


def test_what_is_no_matter_of_permissions_says_what_to_do_or_nothing(desk):
    cell = desk.run("%%fact_run act\nwhat = 'program'")
    assert "A tool can't start programs such as git. Do it in Python" in cell.error
    cell = desk.run("%%fact_run act\nwhat = 'raise'")
    assert cell.error.splitlines()[0] == "act raised PermissionError: ask somebody else"
    cell = desk.run("%%fact_run act\nwhat = 'read'\npath = '/etc/shadow'")
    assert "The tool may not read /etc/shadow. Allowing that is dangerous: " in cell.error
    assert "--allow" not in cell.error


def test_a_candidate_that_is_denied_what_it_needs_is_told_so_and_so_is_the_user(desk):
    source = "import os\n\ndef region(n: int) -> str:\n    return os.environ['MY_REGION']\n"
    desk.run("import os\nos.environ['MY_REGION'] = 'north'")
    cell = desk.write("region", source, source, examples=">>> region(1)\n'north'\n", options="--attempts 2")
    assert cell.error_name == "GenerationFailed"
    assert cell.error.splitlines() == [
        "No version of region was accepted in 2 attempts: the only example failed.",
        "region(1) should give 'north', but failed: the tool may not see the variable MY_REGION.",
        "To allow it: --allow env:MY_REGION",
        "Reword the description, correct an example, or raise --attempts.",
    ]
    hint = "The tool may not see the variable MY_REGION. To allow it: --allow env:MY_REGION"
    assert hint in desk.server.requests[-1].text
    allowed = desk.write(
        "region", source, examples=">>> region(1)\n'north'\n", options="--allow env:MY_REGION"
    )
    assert allowed.status == "ok", allowed.traceback


@pytest.mark.parametrize(
    "value", ['{"procs": 3}', '{"processes": 0}', '{"disk_mb": "much"}', '{"open_files": 1.5}', "3"]
)
def test_a_limit_that_is_none_is_refused_in_one_line_and_the_old_one_stays(desk, value):
    cell = desk.run(f"%config FactMagics.limits = {value}")
    assert len((cell.stderr or cell.error).strip().splitlines()) == 1
    assert "limits" in (cell.stderr or cell.error)
    assert "processes 8" in desk.run("%%fact_run act\nwhat = 'processes'").error
