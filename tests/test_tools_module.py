"""``from fact_magics.tools import NAME`` in a script: any thread, any loop, and an end without noise."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def script(plain_environment, tmp_path):
    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], env=plain_environment, cwd=tmp_path,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    made = run(
        """
        import asyncio
        from fact_magics import FactCore, ToolSpec
        async def main():
            async with FactCore() as core:
                await core.generate(ToolSpec("slugify", "Turn a title into a URL slug."))
        asyncio.run(main())
        """
    )
    assert made.returncode == 0, made.stderr
    return run


def test_a_stored_tool_is_called_from_the_main_thread_from_others_and_from_loops(script):
    done = script(
        """
        import asyncio, threading
        from concurrent.futures import ThreadPoolExecutor
        from fact_magics.tools import slugify

        print(slugify("Some Title"))
        with ThreadPoolExecutor(4) as pool:
            print(list(pool.map(slugify, ["A b", "C d", "E f"])))

        async def main():
            print(await asyncio.gather(*(slugify.acall(f"T {i}") for i in range(3))))
            print(slugify("In A Loop"))
        asyncio.run(main())
        thread = threading.Thread(target=lambda: print(slugify("Plain Thread")))
        thread.start(); thread.join()
        import sys
        print("IPython" in sys.modules)
        """
    )
    assert done.stdout.splitlines() == [
        "some-title",
        "['a-b', 'c-d', 'e-f']",
        "['t-0', 't-1', 't-2']",
        "in-a-loop",
        "plain-thread",
        "False",
    ]
    assert done.returncode == 0


def test_a_name_that_is_not_there_is_an_import_error_that_names_what_is_close(script):
    done = script("from fact_magics.tools import slugfy")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert "slugify" in done.stderr


def test_the_module_lists_the_toolbox_and_pretends_nothing(script):
    done = script(
        """
        import fact_magics.tools as tools
        print("slugify" in dir(tools), hasattr(tools, "__path__"))
        """
    )
    assert done.stdout.split() == ["True", "False"]


def test_importing_the_module_alone_opens_nothing(plain_environment, home, tmp_path):
    code = "import fact_magics.tools, threading; print(threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=plain_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
    assert not home.exists()


def test_a_thread_that_uses_a_closed_session_gets_one_clear_line_and_opens_nothing(script):
    out = script(
        """
        import threading
        from fact_magics.session import Session

        session = Session()
        session.core
        session.close()
        for use in (lambda: session.core, lambda: session.run(after()), lambda: session.submit(after())):
            async def after(): pass
            try:
                use()
            except Exception as error:
                print(f"{type(error).__name__}: {error}")
        for thread in threading.enumerate()[1:]:
            thread.join(10)  # the one of the closed database may still be ending
        print([thread.name for thread in threading.enumerate()])
        """
    )
    line = (
        "FactError: This session was closed. In a notebook, load the extension again: %load_ext fact_magics"
    )
    assert (out.stderr, out.stdout.splitlines()) == ("", [*[line] * 3, "['MainThread']"])
