"""Cells that make a tool ask the one question, once the tool is bound."""

from __future__ import annotations

from contextlib import contextmanager

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


@contextmanager
def interrupted_probe(desk):
    """Let the next probe not end, and interrupt the kernel when it has begun."""
    desk.run(
        "import fact_magics.core.growing as _growing\n_probe, _growing.reached = _growing.Growing.probe, False\n"
        "async def _endless(self, *args, **options):\n    import asyncio\n    _growing.reached = True\n    await asyncio.sleep(1000)\n"
        "_growing.Growing.probe = _endless\n"
        "import threading, time\n"
        "def _stop():\n    while not _growing.reached:\n        time.sleep(0.01)\n"
        "    import os, signal\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=_stop).start()"
    )
    yield
    desk.run("_growing.Growing.probe = _probe")


def test_an_interrupt_leaves_the_tool_bound(asking):
    with interrupted_probe(asking):
        cell = write(asking, "kept")
    assert cell.status == "ok", cell.traceback
    assert "kept 1.0.0" in cell.plain
    assert asking.value("kept('abcdefg')") == "abcde…"


def answered(desk, name, interrupted):
    """Write a tool, and answer its first question while an interrupt arrives; the cell must end well."""
    write(desk, name)
    desk.run(f"%fact probe {name} --seconds 8")
    with interrupted(desk):
        cell = desk.run(f"%fact answer {name} 1")
    assert cell.status == "ok", cell.traceback
    return cell


def test_an_interrupt_of_the_probe_leaves_the_answer_taken(asking):
    cell = answered(asking, "taken", interrupted_probe)
    assert "stopped; %fact probe taken starts it again" in cell.plain
    assert [put["source"] for put in cell.payload] == ["set_next_input"]
    assert asking.value("taken.version") == "1.1.0"


@contextmanager
def interrupted_when_stored(desk):
    """Interrupt the kernel when the next version is stored, before its cell knows."""
    desk.run(
        "import fact_magics.core.growing as _growing\n_keep = _growing.Growing.keep_cell\n"
        "async def _stopped(self, *args):\n    import asyncio, os, signal\n    _growing.Growing.keep_cell = _keep\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    await asyncio.sleep(1000)\n"
        "_growing.Growing.keep_cell = _stopped"
    )
    yield
    desk.run("_growing.Growing.keep_cell = _keep")


@pytest.mark.parametrize("above", ["", "%%time\n"], ids=["awaited", "blocking"])
def test_an_interrupt_that_comes_when_the_version_is_stored_leaves_it_bound(desk, above):
    """Otherwise another notebook would get a version that this cell calls stopped."""
    name = f"late_{len(above)}"
    desk.server.writes(CLIP.format(name=name))
    with interrupted_when_stored(desk):
        cell = desk.run(f"{above}%%fact_generate {name}\nWrite it.\n\n{EXAMPLES.format(name=name)}")
    assert cell.status == "ok", cell.traceback
    assert f"{name} 1.0.0" in cell.plain
    assert desk.value(f"{name}('abcdefg')") == "abcde…"
    assert desk.query("SELECT count(*) FROM tools WHERE name = ?", name) == [(1,)]


def test_the_same_holds_for_an_answer(asking):
    cell = answered(asking, "grown", interrupted_when_stored)
    assert "has not changed" not in cell.plain
    assert asking.value("grown.version") == "1.1.0"
