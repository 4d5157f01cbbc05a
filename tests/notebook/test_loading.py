"""``%load_ext`` stays light, and a terminal gets plain text that streams."""

from __future__ import annotations

import subprocess
import sys

import pytest
from waiting import BEGIN, tool_has_begun, until

pytestmark = pytest.mark.slow

HEAVY = ("anthropic", "pydantic", "litellm", "ipywidgets", "aiosqlite", "structlog", "httpx2", "sqlite3")


def python(code: str, env: dict[str, str], cwd) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_imports_no_provider_no_validator_and_no_widgets(plain_environment, tmp_path):
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nbefore = set(sys.modules)\n"
        "shell.extension_manager.load_extension('fact_magics')\nloaded = set(sys.modules) - before\n"
        f"print(sorted(m for m in {HEAVY!r} if m in loaded))\n"
    )
    assert python(code, plain_environment, tmp_path).strip() == "[]"


def test_loading_opens_nothing(plain_environment, home, tmp_path):
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\nimport time, threading\n"
        "shell = InteractiveShell.instance()\nshell.extension_manager.load_extension('fact_magics')\n"
        "time.sleep(1)\nprint([t.name for t in threading.enumerate() if t.name == 'fact_magics'])"
    )
    assert python(code, plain_environment, tmp_path).strip() == "[]"
    assert not home.exists()


# Each module of the package takes a while, as on a machine with more to do, and notes who imports it, and when.
WATCHED = """
import importlib.machinery, threading, time
loader, seen = importlib.machinery.SourceFileLoader, []
load = loader.exec_module
def slowly(self, module):
    if not module.__name__.startswith("fact_magics."):
        return load(self, module)
    thread = threading.current_thread()
    who = "main" if thread is threading.main_thread() else "ahead" if isinstance(thread, threading.Timer) else ""
    seen.append((time.monotonic(), who, module.__name__))
    time.sleep(0.01)
    load(self, module)
    seen.append((time.monotonic(), who, module.__name__))
loader.exec_module = slowly
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "fact_magics")
del seen[:]
while not seen:
    time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "first",
    [
        "shell.run_line_magic('config', 'FactMagics.limits = {\"processes\": 8}')",
        "assert shell.run_cell('%%fact_generate slugify\\nTurn a title into a URL slug.').success",
    ],
)
def test_what_is_imported_ahead_is_not_imported_at_the_same_time_by_the_first_cell(
    plain_environment, tmp_path, first
):
    """Threads that import modules of one package at once may find each other's half made."""
    code = (
        f"{WATCHED}\n{first}\nahead = [at for at, who, _ in seen if who == 'ahead']\nprint()\n"
        "print(len(ahead) > 20, {name for at, who, name in seen if who == 'main' and ahead[0] < at < ahead[-1]})"
    )
    assert python(code, plain_environment, tmp_path).splitlines()[-1] == "True set()"


# A session in a process of its own, whose kernel is idle for `idle[0]` seconds.
IDLE = """
import sys, threading, time
from fact_magics.session import Session
def until(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
def thread():
    return [t for t in threading.enumerate() if t.name == "fact-imports"]
SDK = "anthropic.resources.messages"
idle, session, finders = [9.0], Session(), [*sys.meta_path]
"""


@pytest.mark.parametrize(("key", "imported"), [({"ANTHROPIC_API_KEY": "sk-ant-x"}, True), ({}, False)])
def test_an_idle_kernel_imports_the_sdk_if_a_key_is_set(plain_environment, tmp_path, key, imported):
    code = (
        f"{IDLE}\nsession.start_ahead(lambda: idle[0])\nuntil(lambda: 'fact_magics.core' in sys.modules)\n"
        "session.wait_for_imports()\nuntil(lambda: not thread())\nprint(SDK in sys.modules, sys.meta_path == finders)"
    )
    assert python(code, {**plain_environment, **key}, tmp_path).split() == [str(imported), "True"]


def test_a_kernel_that_is_busy_imports_no_sdk_until_it_is_idle(plain_environment, tmp_path):
    code = (
        f"{IDLE}\nasked = []\n"
        "def seconds():\n    asked.append(1)\n    return idle[0]\n"
        "idle[0] = 0.0\nsession.start_ahead(seconds)\nuntil(lambda: len(asked) > 5)\nprint(SDK in sys.modules)\n"
        "idle[0] = 9.0\nprint(until(lambda: SDK in sys.modules))"
    )
    env = {**plain_environment, "ANTHROPIC_API_KEY": "sk-ant-x"}
    assert python(code, env, tmp_path).split() == ["False", "True"]


@pytest.mark.parametrize("end", ["session.close()", "session.hurry_imports()"])
def test_nothing_waits_for_an_idle_kernel_once_the_sdk_is_needed_or_the_session_closed(
    plain_environment, tmp_path, end
):
    code = (
        f"{IDLE}\nidle[0] = 0.0\nsession.start_ahead(lambda: idle[0])\nuntil(thread)\n{end}\n"
        "print(until(lambda: not thread()), SDK in sys.modules)"
    )
    env = {**plain_environment, "ANTHROPIC_API_KEY": "sk-ant-x"}
    assert python(code, env, tmp_path).split() == ["True", "False"]


def test_imports_pause_for_a_cell_and_yet_a_cell_that_needs_them_gets_them(plain_environment, tmp_path):
    """While the SDK is half imported a cell runs: first one that needs nothing, then one that imports the SDK."""
    code = (
        f"{IDLE}\nsession.start_ahead(lambda: idle[0])\nuntil(lambda: 'anthropic' in sys.modules)\nidle[0] = 0.0\n"
        "time.sleep(0.1)\nbefore = len(sys.modules)\ntime.sleep(0.1)\npaused = len(sys.modules) - before < 5\n"
        "import anthropic.resources.messages\nprint(paused, SDK in sys.modules)"
    )
    env = {**plain_environment, "ANTHROPIC_API_KEY": "sk-ant-x"}
    assert python(code, env, tmp_path).split() == ["True", "True"]


def test_importing_the_package_imports_no_ipython(plain_environment, tmp_path):
    code = "import sys, fact_magics, fact_magics.core\nprint('IPython' in sys.modules, 'anthropic' in sys.modules)"
    assert python(code, plain_environment, tmp_path).split() == ["False", "False"]


def test_a_generation_without_a_kernel_shows_plain_text(plain_environment, server, shout, tmp_path):
    """In an embedded shell, as in a script that runs cells."""
    server.writes(shout)
    cell = "%%fact_generate shout\nWrite text loudly.\n\n>>> shout(\"hi\")\n'HI!'\n"
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nshell.run_line_magic('load_ext', 'fact_magics')\n"
        f"assert shell.run_cell({cell!r}).success\n"
        "assert shell.run_cell('%%fact_run shout\\ntext = \"you\"').success\n"
        "print('ipywidgets' in sys.modules, shell.user_ns['shout'].metadata.proven)\n"
    )
    out = python(code, {**plain_environment, **server.environment()}, tmp_path)
    assert out.count("return text.upper()") == 1  # what streamed is not repeated
    assert "✓ shout(\"hi\") → 'HI!'" in out
    assert "'YOU!'" in out
    assert "\x1b" not in out
    assert out.rstrip().endswith("False True")


class Terminal:
    """A real ``ipython`` behind a pseudo-terminal."""

    def __init__(self, env, cwd) -> None:
        import pexpect

        command = ["-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit", "--colors=NoColor"]
        self.child = pexpect.spawn(
            sys.executable, command, env={**env, "TERM": "dumb"}, cwd=str(cwd), encoding="utf-8", timeout=60,
            dimensions=(50, 200),
        )  # fmt: skip
        self.child.expect(r"In \[1\]:")

    def run(self, code: str) -> str:
        self.child.sendline(f"get_ipython().run_cell({code!r});")
        self.child.expect(r"\r\n")
        self.child.expect(r"In \[\d+\]:")
        return self.child.before


def test_ipython_in_a_terminal_streams_plain_text_can_be_interrupted_and_exits(
    plain_environment, server, tmp_path, home
):
    terminal = Terminal({**plain_environment, **server.environment()}, tmp_path)
    terminal.run("%load_ext fact_magics")
    source = "def slowly(n: int) -> int:\n" + "    # a remark\n" * 40 + "    return n\n"
    server.writes(source, pace=40, chunk=12)
    terminal.child.sendline(
        'get_ipython().run_cell("%%fact_generate slowly\\nSlowly.\\n\\n>>> slowly(1)\\n1\\n");'
    )
    terminal.child.expect("a remark")  # long before the end
    assert terminal.child.expect(["return n", "a remark"]) == 1
    terminal.child.expect("proven on 1 example")
    terminal.child.expect(r"In \[\d+\]:")
    assert "42" in terminal.run("%%fact_run slowly\nn = 42")
    assert "cached" in terminal.run("%%fact_run slowly\nn = 42")

    server.writes(f"import time\n\ndef nap(n: int) -> int:\n    {BEGIN}\n    time.sleep(n)\n    return n\n")
    terminal.run("%%fact_generate nap\nNap.\n\n>>> nap(0)\n0\n")
    terminal.child.sendline('get_ipython().run_cell("%%fact_run nap\\nn = 60");')
    until(lambda: tool_has_begun(terminal.child.pid))
    terminal.child.sendintr()
    terminal.child.expect("nap was stopped", timeout=10)
    terminal.child.expect(r"In \[\d+\]:")
    rows = terminal.run("%fact history --json -n 1")
    assert '"interrupted"' in rows
    assert "Traceback" not in terminal.run("%%fact_run nap\nn = 'x'")
    terminal.child.sendline("exit")
    terminal.child.expect(__import__("pexpect").EOF, timeout=20)
    assert "Traceback" not in terminal.child.before
    terminal.child.wait()
    assert terminal.child.exitstatus == 0


def test_a_script_that_runs_cells_ends_by_itself(plain_environment, tmp_path):
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nshell.run_line_magic('load_ext', 'fact_magics')\n"
        "r = shell.run_cell('%%fact_generate slugify\\nTurn a title into a URL slug.')\nassert r.success\n"
        "print(shell.user_ns['slugify']('Some Title'))\n"
    )
    assert python(code, plain_environment, tmp_path).rstrip().endswith("some-title")
