"""Cells that make a tool ask the one question, once the tool is bound."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.kernel

CLIP = 'def {name}(text: str, size: int = 5) -> str:\n    """Shorten a text."""\n    return text[:size] + "…" if len(text) > size else text\n'
EXAMPLES = '>>> {name}("abcdefgh")\n"abcde…"\n'


@pytest.fixture
def asking(desk):
    """The kernel, with probing on."""
    assert desk.run("%config FactMagics.probe = 'auto'").status == "ok"
    yield desk
    desk.run("%config FactMagics.probe = 'off'")


def write(desk, name):
    return desk.write(name, CLIP.format(name=name), examples=EXAMPLES.format(name=name))


def test_the_record_says_how_far_the_examples_go_and_asks_one_question(asking):
    cell = write(asking, "clip")
    assert cell.status == "ok", cell.traceback
    assert len(cell.displays) == 1
    assert "changes would pass too" in cell.plain or "not known yet" in cell.plain
    assert asking.query("SELECT count(*) FROM probes WHERE tool_name = 'clip'") == [(1,)]
    assert asking.query("SELECT count(*) FROM tool_executions") == [(0,)]
    again = asking.run(f"%%fact_generate clip \nWrite clip.\n\n{EXAMPLES.format(name='clip')}")
    assert asking.query("SELECT count(*) FROM probes WHERE tool_name = 'clip'") == [(1,)]
    assert "no model was called" in again.plain


def test_an_answer_puts_the_grown_cell_below(asking):
    write(asking, "trim")
    asking.run("%fact probe trim --seconds 8")
    cell = asking.run(
        "%fact answer trim 1\nimport json\nprint(json.dumps(get_ipython().payload_manager.read_payload()))"
    )
    assert cell.status == "ok", cell.traceback
    assert "%%fact_generate trim" in cell.stdout
    assert asking.value("trim.version") == "1.1.0"


def test_a_probe_lists_surprises_with_the_lines_to_add(asking):
    source = 'def first(text: str) -> str:\n    """Give the first letter."""\n    return text[0]\n'
    asking.write("first", source, examples=">>> first(\"ab\")\n'a'\n")
    cell = asking.run("%fact probe first")
    assert cell.status == "ok", cell.traceback
    assert "raises IndexError" in cell.plain
    assert "<code>&gt;&gt;&gt; first('')\nTraceback (most recent call last):\nValueError</code>" in cell.html


def test_probing_is_left_out_of_cells_when_it_is_off(desk):
    cell = write(desk, "plain")
    assert cell.status == "ok"
    assert "would pass too" not in cell.plain
    assert desk.query("SELECT count(*) FROM probes WHERE tool_name = 'plain'") == [(0,)]


def test_an_interrupt_leaves_the_tool_bound(asking):
    asking.run(
        "import fact_magics.core.growing as _growing\n_probe = _growing.Growing.probe\n"
        "async def _endless(self, *args, **options):\n    import asyncio\n    _growing.reached = True\n    await asyncio.sleep(1000)\n"
        "_growing.Growing.probe = _endless\n"
        "import threading, time, _thread\n"
        "def _stop():\n    while not getattr(_growing, 'reached', False):\n        time.sleep(0.01)\n"
        "    import os, signal\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=_stop).start()"
    )
    cell = write(asking, "kept")
    asking.run("_growing.Growing.probe = _probe")
    assert cell.status == "ok", cell.traceback
    assert "kept 1.0.0" in cell.plain
    assert asking.value("kept('abcdefg')") == "abcde…"
