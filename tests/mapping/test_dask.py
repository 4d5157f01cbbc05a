"""Maps on real Dask clusters: the same answers as here, and nothing is lost or left."""

from __future__ import annotations

import asyncio
import logging.handlers
import os
import queue
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from dask_clusters import DaskCluster
from waiting import until_async

import fact_magics
from fact_magics.errors import FactError, InvalidInput, IsolationError
from fact_magics.mapping.calls import planned
from fact_magics.tool import Status

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_in_reserve")]

PLUS = "def f(n: int, k: int = 0) -> int:\n    return n + k\n"
NAP = "import time\n\ndef f(n: int) -> int:\n    time.sleep(0.03)\n    return n\n"
TOKEN = "sk-live-7c1e94b06a2d4f83"
BAD = """
def f(n: int) -> int:
    if n == 7:
        raise ValueError("no 7")
    while n == 30:
        pass
    return n
"""
# Each row leaves a file with the number of its process, and takes long.
LONG = """
import os, time

def f(n: int, folder: str) -> int:
    with open(f"{folder}/{n}", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
    return n
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers; a task is given up when the second worker dies on it."""
    with DaskCluster(tmp_path_factory.mktemp("dask"), allowed_failures=1) as running:
        running.variables["SERVICE_TOKEN"] = TOKEN
        running.add_worker()
        running.add_worker()
        yield running


@pytest.fixture
def folder(tmp_path):
    """A folder in which the rows of `LONG` may write; fact_magics keeps nothing there."""
    (tmp_path / "begun").mkdir()
    return tmp_path / "begun"


def options_of(folder: Path) -> dict:
    return {"folder": str(folder), "permissions": (f"write:{folder}",), "timeout_seconds": 600}


def children_of(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def local_processes() -> list[psutil.Process]:
    """The processes of this process's local clusters, the schedulers first."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            words = " ".join(one.cmdline())
            if "mapping.dask" in words or "spawn_main" in words:
                found.append(one)
    return found


async def test_rows_on_a_cluster_are_runs_of_this_notebook(core, keep, cluster):
    tool = await keep(PLUS)
    result = await tool.amap(range(300), k=1, on=cluster.address)
    assert result == [n + 1 for n in range(300)]
    assert result.notes == ("The rows ran on 2 Dask workers.",)
    rows = await core.list_runs(parent_id=result.map_id, limit=None)
    assert sorted(row.input_data for row in rows) == sorted(f'{{"n":{n},"k":1}}' for n in range(300))
    again = await tool.amap(range(300), k=1)  # the same keys as here
    assert again.counts["cached"] == 300
    # Without a row to run, no cluster is needed.
    nowhere = await tool.amap(range(300), k=1, on="tcp://127.0.0.1:9")
    assert nowhere.counts["cached"] == 300
    for worker in cluster.workers:
        await until_async(lambda worker=worker: not children_of(worker))


async def test_failures_stay_beside_results_and_hanging_rows_are_found(core, keep, cluster):
    tool = await keep(BAD)
    result = await tool.amap(range(60), timeout_seconds=1.0, on=cluster.address)
    assert result.values == [None if n in (7, 30) else n for n in range(60)]
    assert "no 7" in result.errors[7]
    assert "time 1 s" in result.errors[30]
    (hanging,) = await core.list_runs(parent_id=result.map_id, status="timeout")
    assert hanging.input_data == '{"n":30}'


async def test_large_rows_travel_without_a_warning(core, keep, cluster, recwarn):
    tool = await keep("def f(text: str) -> str:\n    return text\n")
    large = "x" * (12 << 20)
    assert await tool.amap([large], on=cluster.address) == [large]
    assert not [one for one in recwarn if "graph" in str(one.message)]


async def test_rows_with_files_need_the_same_files_on_the_workers(core, keep, cluster, tmp_path, monkeypatch):
    tool = await keep("from pathlib import Path\n\ndef f(p: Path) -> str:\n    return p.read_text()\n")
    (tmp_path / "a").write_text("1")
    assert await tool.amap([tmp_path / "a"], on=cluster.address) == ["1"]
    (tmp_path / "a").write_text("2")
    other = {str(tmp_path / "a"): b"the digest of another content"}
    monkeypatch.setattr("fact_magics.mapping.dask.executor._digests", lambda calls: other)
    with pytest.raises(FactError, match=r"The file .*/a is missing there, or is not the same"):
        await tool.amap([tmp_path / "a"], on=cluster.address)


async def test_keys_that_a_worker_has_are_masked_there(core, keep, cluster, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "another-one-5f2c9d7e1b")
    tool = await keep(
        """
import os

def f(n: int) -> int:
    print("key", os.environ["SERVICE_TOKEN"])
    raise ValueError(os.environ["SERVICE_TOKEN"])
"""
    )
    allowed = {"permissions": ("env:SERVICE_TOKEN",), "yes_really": True}
    result = await tool.amap([1], **allowed, on=cluster.address)
    (row,) = await core.list_runs(parent_id=result.map_id)
    assert "raised ValueError" in result.errors[0]
    assert row.printed.startswith("key ")
    assert TOKEN not in f"{row} {result.errors}"


async def test_a_worker_that_is_killed_loses_nothing(core, keep, cluster):
    tool = await keep(NAP)
    running = asyncio.create_task(tool.amap(range(60), on=cluster.address))
    await until_async(lambda: core.rows.waiting or running.done())
    cluster.kill(cluster.workers[0])
    result = await running
    assert result == [*range(60)]
    assert result.counts == {"ok": 60, "cached": 0, "failed": 0, "skipped": 0}
    cluster.add_worker()


async def test_a_row_on_which_each_worker_dies_fails_alone(core, keep, cluster, folder):
    tool = await keep(LONG)
    running = asyncio.create_task(tool.amap([1], **options_of(folder), on=cluster.address))
    begun = folder / "1"
    for _ in range(2):
        await until_async(lambda: (begun.exists() and begun.read_text()) or running.done())
        row = int(begun.read_text())
        (worker,) = (one for one in cluster.workers if any(child.pid == row for child in children_of(one)))
        cluster.add_worker()
        begun.unlink()
        cluster.kill(worker)
    result = await running
    assert result.errors == {0: "f broke its own process: every Dask worker that ran this row died."}


@pytest.mark.parametrize("victim", ["workers", "scheduler"])
async def test_a_cluster_that_is_lost_ends_the_map_in_one_line(
    core, keep, folder, tmp_path_factory, monkeypatch, victim
):
    logged = logging.handlers.QueueHandler(queue.SimpleQueue())
    monkeypatch.setattr(logging.getLogger("distributed"), "handlers", [logged])
    monkeypatch.setattr("fact_magics.mapping.dask.cluster._GONE_SECONDS", 1.0)
    tool = await keep(LONG)
    with DaskCluster(tmp_path_factory.mktemp("lost")) as lost:
        worker = lost.add_worker()
        running = asyncio.create_task(tool.amap([1], **options_of(folder), on=lost.address))
        await until_async(lambda: (folder / "1").exists() or running.done())
        lost.kill(worker) if victim == "workers" else lost.scheduler.kill()
        with pytest.raises(FactError, match=r"at tcp://.* was lost\. Run the map again"):
            await running
    assert logged.queue.empty()


async def test_a_stopped_map_ends_its_rows_on_the_workers(core, keep, cluster, folder):
    tool = await keep(LONG)
    running = asyncio.create_task(tool.amap([1, 2, 3], **options_of(folder), on=cluster.address))
    begun = (folder / "1", folder / "2")
    await until_async(lambda: all(one.exists() for one in begun) or running.done())
    running.cancel()
    with pytest.raises(asyncio.CancelledError, match="stopped after 0 of 3 rows"):
        await running
    for worker in cluster.workers:
        await until_async(lambda worker=worker: not children_of(worker))


async def test_a_local_cluster_restarts_its_workers_and_leaves_nothing(core, keep):
    tool = await keep(NAP)
    mapping = planned(tool, core.rows, [range(40)], {"on": "dask"})
    told = []
    mapping.listen(told.append)
    running = asyncio.create_task(mapping.run())
    await until_async(lambda: core.rows.waiting or running.done())
    _, *workers = local_processes()
    workers[-1].kill()
    assert await running == [*range(40)]
    assert told[0].where == "starting a local Dask cluster"
    assert "Dask worker" in told[-1].where
    assert "dashboard: http://127.0.0.1:" in told[-1].where
    await until_async(lambda: not local_processes())
    assert not [*Path(tempfile.gettempdir()).glob(f"fact_magics-{os.getpid()}-dask-*")]


KILLED = """
import sys
from pathlib import Path
from fact_magics.tools import f
f.map([1, 2], folder=sys.argv[1], permissions=(f"write:{sys.argv[1]}",), timeout_seconds=600, on=sys.argv[2])
"""


@pytest.mark.parametrize("where", ["local", "address"])
async def test_a_killed_notebook_leaves_no_process(core, keep, cluster, folder, home, where):
    """The script has no ``if __name__ == "__main__"``, which multiprocessing would need."""
    await keep(LONG)
    script = home / "script.py"
    script.write_text(KILLED)
    environment = {
        **os.environ,
        "FACT_HOME": str(home),
        "PYTHONPATH": str(Path(fact_magics.__file__).parents[1]),
    }
    on = cluster.address if where == "address" else "dask"
    process = subprocess.Popen([sys.executable, str(script), str(folder), on], env=environment, cwd=home)
    await until_async(lambda: (folder / "1").exists() or process.poll() is not None)
    own = [one for one in children_of(process) if one.is_running()]
    rows = [psutil.Process(int((folder / "1").read_text()))]
    process.send_signal(signal.SIGKILL)
    process.wait()
    for one in (*own, *rows):
        await until_async(lambda one=one: not one.is_running() or one.status() == psutil.STATUS_ZOMBIE)


SPOILED = {
    "import sys; sys.modules['fact_magics'] = None": (FactError, "can't import fact_magics"),
    "import fact_magics._version as own; own.__version__ = '0.0.9'": (
        FactError,
        "fact_magics is 0.0.9 there, and .* in the notebook. Install the same versions",
    ),
    "import sys; sys.modules['sandlock'] = None": (IsolationError, "tcp://.*can't enforce which files"),
}


@pytest.mark.parametrize("first", [*SPOILED])
async def test_a_worker_that_can_not_run_the_rows_is_named(core, keep, cluster, first):
    tool = await keep(PLUS)
    kind, line = SPOILED[first]
    worker = cluster.add_worker(first)
    try:
        await workers(cluster, len(cluster.workers))
        with pytest.raises(kind, match=line) as caught:
            await tool.amap([1], on=cluster.address)
        assert len(caught.value.lines) == 1
    finally:
        cluster.kill(worker)
        await workers(cluster, len(cluster.workers))
    assert await tool.amap([1], on=cluster.address) == [1]


async def workers(cluster, number: int) -> None:
    """Wait until the scheduler has this many workers."""
    from distributed import Client

    async with Client(cluster.address, asynchronous=True, set_as_default=False) as client:
        while len(await client.nthreads()) != number:
            await asyncio.sleep(0.02)


async def test_a_cluster_without_workers_is_named(core, keep, tmp_path, monkeypatch):
    monkeypatch.setattr("fact_magics.mapping.dask.cluster._CONNECT_SECONDS", 1.0)
    tool = await keep(PLUS)
    with DaskCluster(tmp_path) as empty, pytest.raises(FactError, match="has no workers"):
        await tool.amap([1], on=empty.address)


async def test_an_address_where_nothing_listens_is_named_at_once(core, keep):
    tool = await keep(PLUS)
    with pytest.raises(
        FactError, match=r"at tcp://127\.0\.0\.1:9 can't be reached: nothing listens there\. Check the"
    ):
        await tool.amap([1], on="tcp://127.0.0.1:9")
    (line,) = await core.list_maps()
    assert line.status is Status.ERROR


async def test_an_address_where_nothing_answers_is_named(core, keep, monkeypatch):
    monkeypatch.setattr("fact_magics.mapping.dask.cluster._CONNECT_SECONDS", 0.5)
    tool = await keep(PLUS)
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(FactError, match=r"no scheduler answered within 0\.5 s"):
            await tool.amap([1], on=f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "on", ["Dask", "127.0.0.1:8786", "tcp://host", "http://host:1", "tcp://a:1/x", 3, True, b"x"]
)
async def test_a_place_that_is_no_cluster_is_refused(core, keep, on):
    tool = await keep(PLUS)
    with pytest.raises(InvalidInput, match=r"Write dask .*tcp://HOST:PORT"):
        await tool.amap([1], on=on)


async def test_a_missing_extra_is_named_with_the_command_to_install_it(core, keep, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    tool = await keep(PLUS)
    with pytest.raises(FactError, match=r'%pip install "fact_magics\[dask\]"'):
        await tool.amap([1], on="dask")
