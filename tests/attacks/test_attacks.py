"""What a hostile tool tries, one file an attack: without protection it succeeds, in the sandbox it does not.

An attack that can't succeed on this system at all, because it lacks a privilege or a device, is left out.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.sandbox.child.confine import landlock_abi
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Careless, Seen, Walled, World

pytestmark = pytest.mark.slow

TOOLS = Path(__file__).parent / "tools"
MIB = 1 << 20


def returned(world: World, seen: Seen) -> bool:
    """The tool says so itself, by a value that is not empty."""
    return bool(seen.value)


def took_secret(world: World, seen: Seen) -> bool:
    return world.secret in str(seen.value)


def heard(world: World, seen: Seen) -> bool:
    return bool(world.heard())


def reached_sentinel(world: World, seen: Seen) -> bool:
    return world.is_sentinel_changed()


def changed(name: str) -> Callable[[World, Seen], bool]:
    def is_changed(world: World, seen: Seen) -> bool:
        if name == "notebook.ipynb":
            return "import os" in world.text(name)
        return world.text(name) != f"KEY = '{world.secret}'\n"

    return is_changed


def planted(name: str) -> Callable[[World, Seen], bool]:
    return lambda world, seen: name in world.names()


def has_mode(name: str, mode: int) -> Callable[[World, Seen], bool]:
    return lambda world, seen: (world.folder / name).stat().st_mode & 0o777 == mode


def stays_alive(world: World, seen: Seen) -> bool:
    return seen.hung or seen.survivors > 0


def printed_much(world: World, seen: Seen) -> bool:
    return len(seen.printed) > 3 * MIB


def brought_the_host_down(world: World, seen: Seen) -> bool:
    return bool(seen.host_ended)


@dataclass(frozen=True)
class Attack:
    """One row: a file of the folder, how to tell that it succeeded, and how it ends in the sandbox."""

    name: str
    succeeded: Callable[[World, Seen], bool] = returned
    status: Status | None = None
    limit: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = 30.0
    possible: bool = True


def with_library(world: World) -> tuple[str, ...]:
    return (f"read:{world.folder / 'library'}",)


def with_outbox(world: World) -> tuple[str, ...]:
    return (f"write:{world.folder / 'outbox'}",)


def can_trace() -> bool:
    """Whether one process may look into another one that it did not start."""
    try:
        restricted = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text())
    except OSError:
        restricted = 0
    return restricted == 0 or (restricted < 3 and os.geteuid() == 0)


def setting(path: str) -> int:
    try:
        return int(Path("/proc/sys", path).read_text())
    except (OSError, ValueError):
        return 0


def has_user_namespaces() -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(0x10000000) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def has_32_bit_calls() -> bool:
    if os.uname().machine != "x86_64":
        return False
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # pytest's own handler would write to the terminal
        module: dict[str, Any] = {}
        exec((TOOLS / "processes/other_calling_convention.py").read_text(), module)  # noqa: S102 - ours
        os._exit(0 if module["tool"]({}) else 1)
    return os.waitpid(child, 0)[1] == 0


def has_attributes() -> bool:
    """Whether files have extended attributes where temporary ones are."""
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.setxattr(file.name, "user.origin", b"x")
        except OSError:
            return False
    return True


ROOT = os.geteuid() == 0
TRACING = can_trace()
X86 = os.uname().machine == "x86_64"
IPV6 = (
    socket.has_ipv6 and Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text() != ""
)
FAST_OPEN = bool(setting("net/ipv4/tcp_fastopen") & 1)

READ = {"succeeded": took_secret}
LIMIT = Status.LIMIT
LIBRARY: dict[str, Any] = {"options": {"permissions": with_library}}
OUTBOX: dict[str, Any] = {
    "succeeded": planted("outbox/after"),
    "options": {"permissions": with_outbox},
    "status": Status.OK,
}
SMALL: dict[str, Any] = {"options": {"memory_mb": 100}, "status": LIMIT, "limit": "memory 100 MB"}
SHORT: dict[str, Any] = {
    "options": {"timeout_seconds": 0.3},
    "seconds": 0.4,
    "status": Status.TIMEOUT,
    "limit": "time 0.3 s",
}
FLOOD: dict[str, Any] = {
    "succeeded": printed_much,
    "status": LIMIT,
    "limit": "printed output 2 MB",
}
DISK: dict[str, Any] = {"status": LIMIT, "limit": "scratch directory 6 MB"}
KILL: dict[str, Any] = {"succeeded": reached_sentinel}

ATTACKS = [
    Attack("files/read", **READ),
    Attack("files/read_dotenv", **READ),
    Attack("files/read_key", **READ),
    Attack("files/read_database", **READ),
    Attack("files/read_through_link", **READ),
    Attack("files/read_through_directory", **READ),
    Attack("files/read_through_dots", **READ),
    Attack("files/read_through_proc", **READ, possible=TRACING),
    Attack("files/read_through_root", **READ, possible=TRACING),
    Attack("files/read_by_hard_link", **READ),
    Attack("files/read_by_rename", **READ),
    Attack("files/read_by_a_program", **READ),
    Attack("files/read_by_a_child", **READ),
    Attack("files/list"),
    Attack("files/watch"),
    Attack("files/attributes", **READ, possible=has_attributes()),
    Attack("files/write", changed("secret.txt")),
    Attack("files/append_to_notebook", changed("notebook.ipynb")),
    Attack("files/truncate", changed("secret.txt")),
    Attack("files/delete", changed("secret.txt")),
    Attack("files/delete_tree", changed("secret.txt")),
    Attack("files/rename", changed("secret.txt")),
    Attack("files/replace", changed("secret.txt")),
    Attack("files/plant", planted("sitecustomize.py")),
    Attack("files/plant_directory", planted("numpy")),
    Attack("files/plant_link", planted("results.csv")),
    Attack("files/plant_hard_link", planted("evil")),
    Attack("files/plant_socket", planted("agent")),
    Attack("files/plant_fifo", planted("data.csv")),
    Attack("files/mode", has_mode(".ssh/id_ed25519", 0o777)),
    Attack("files/mode_of_folder", has_mode(".", 0)),
    Attack("files/mode_by_descriptor", has_mode("library/module.py", 0o777), **LIBRARY),
    Attack("files/times", lambda world, _: (world.folder / "secret.txt").stat().st_mtime == 1),
    Attack("files/write_library", changed("library/module.py"), **LIBRARY),
    Attack("files/write_library_by_hard_link", changed("library/module.py"), **LIBRARY),
    Attack("files/write_library_by_map", changed("library/module.py"), **LIBRARY),
    Attack("files/chroot", took_secret, possible=ROOT),
    Attack("files/mount", possible=ROOT),
    Attack("files/device", planted("null"), possible=ROOT),
    Attack(
        "files/owner", lambda world, _: (world.folder / "secret.txt").stat().st_uid == 12345, possible=ROOT
    ),
    Attack("files/shadow", possible=os.access("/etc/shadow", os.R_OK)),
    Attack("keys/environment", **READ),
    Attack("keys/environment_of_another", **READ),
    Attack("keys/environment_of_ancestors"),
    Attack("keys/memory_of_another", **READ, possible=TRACING),
    Attack("keys/memory_by_call", **READ, possible=TRACING),
    Attack("keys/arguments_of_others"),
    Attack("keys/inherited_descriptors", **READ),
    Attack("keys/frames", **READ),
    Attack("keys/objects", **READ),
    Attack("network/tcp", heard),
    Attack("network/tcp6", heard, possible=IPV6),
    Attack("network/http", heard),
    Attack("network/asynchronous", heard),
    Attack("network/from_a_child", heard),
    Attack("network/from_a_thread", heard),
    Attack("network/multipath", heard, possible=bool(setting("net/mptcp/enabled"))),
    Attack("network/fast_open", heard, possible=FAST_OPEN),
    Attack("network/fast_open_message", heard, possible=FAST_OPEN),
    Attack("network/udp", heard),
    Attack("network/udp_message", heard),
    Attack("network/unix", heard),
    Attack("network/unix_through_link", heard),
    Attack("network/unix_that_may_be_written", heard, options=OUTBOX["options"]),
    Attack("network/unix_datagram", heard),
    Attack("network/abstract", heard),
    Attack("network/abstract_datagram", heard),
    Attack("network/bind"),
    Attack("network/listen"),
    Attack("network/bind_datagram"),
    Attack("network/interfaces"),
    Attack("network/raw", possible=ROOT),
    Attack("network/connections"),
    Attack("processes/kill", **KILL),
    Attack("processes/stop", **KILL),
    Attack("processes/kill_group", **KILL),
    Attack("processes/kill_by_handle", **KILL),
    Attack("processes/kill_thread", **KILL),
    Attack("processes/kill_by_queue", **KILL),
    Attack("processes/kill_by_ownership", **KILL),
    Attack("processes/kill_from_a_child", **KILL),
    Attack("processes/signal_parent"),
    Attack("processes/signal_notebook"),
    Attack("processes/limits", **KILL),
    Attack("processes/limits_of_parent"),
    Attack("processes/slow_down", **KILL),
    Attack("processes/slow_down_parent"),
    Attack("processes/one_core", **KILL, possible=len(os.sched_getaffinity(0)) > 1),
    Attack("processes/idle", **KILL),
    Attack("processes/idle_disk", **KILL),
    Attack("processes/first_to_go", **KILL),
    Attack("processes/trace", possible=TRACING),
    Attack("processes/take_descriptor", possible=TRACING),
    Attack("processes/list"),
    Attack("processes/last_watchers", status=Status.OK),
    Attack("processes/program"),
    Attack("processes/user_namespace", possible=has_user_namespaces()),
    Attack("processes/other_calling_convention", status=Status.ERROR, possible=has_32_bit_calls()),
    Attack("processes/fork_bomb", status=LIMIT, limit="processes 16"),
    Attack("processes/thread_bomb", status=LIMIT, limit="threads 100"),
    Attack("processes/daemon", stays_alive, status=Status.OK),
    Attack("processes/deaf", stays_alive, **SHORT),
    Attack("processes/stopped", stays_alive, **SHORT),
    Attack("processes/busy", lambda _, seen: bool(seen.host_ended), **SHORT),
    Attack("processes/busy_in_c", lambda _, seen: bool(seen.host_ended), **SHORT),
    Attack("processes/after_in_thread", **OUTBOX),
    Attack("processes/after_at_exit", **OUTBOX),
    Attack("processes/after_in_destructor", **OUTBOX),
    Attack("processes/after_in_child", stays_alive, options=OUTBOX["options"], status=Status.OK),
    Attack("memory/bytes", **SMALL),
    Attack("memory/objects", **SMALL),
    Attack("memory/map", options={"memory_mb": 100}),
    Attack("memory/number", **SMALL),
    Attack("memory/nameless_file", options={"memory_mb": 100}),
    Attack("memory/children", lambda _, seen: seen.value == [0] * 6, **SMALL),
    Attack("memory/first_thread", lambda _, seen: seen.value == [0] * 6, **SMALL),
    Attack("memory/unreadable", lambda _, seen: seen.value == [0] * 6, possible=X86, **SMALL),
    Attack("memory/page_tables", lambda _, seen: seen.value == [0] * 3, **SMALL),
    Attack("memory/shared", options={"memory_mb": 100}),
    Attack("memory/own_descriptors", lambda _, seen: seen.value == [True] * 4),
    Attack("memory/pinned", status=Status.OK),
    Attack("memory/rules", status=Status.OK, possible=landlock_abi() >= 4),
    Attack("memory/filters", status=Status.OK),
    Attack("memory/recursion", brought_the_host_down, status=Status.ERROR),
    Attack("disk/one_file", status=LIMIT, limit="file size 2 MB"),
    Attack("disk/allocated", status=Status.OK),
    Attack("disk/sparse", status=LIMIT, limit="file size 2 MB"),
    Attack("disk/many_files", **DISK),
    Attack("disk/directories", **DISK),
    Attack("disk/deleted", **DISK),
    Attack("disk/mapped", **DISK),
    Attack("disk/in_flight", **DISK),
    Attack("disk/in_flight_within", **DISK),
    Attack("output/endless", **FLOOD),
    Attack("output/one_line", **FLOOD),
    Attack("output/by_descriptor", **FLOOD),
    Attack("output/errors", **FLOOD),
    Attack("output/children", **FLOOD),
    Attack(
        "output/result", lambda _, seen: len(seen.value or "") > 9 * MIB, status=LIMIT, limit="result 8 MB"
    ),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "attack", [pytest.param(attack, id=attack.name) for attack in ATTACKS if attack.possible]
)
async def test_an_attack_succeeds_without_protection_and_is_contained_with_it(
    attack: Attack, world: World, careless: Careless, walled: Walled
) -> None:
    source = (TOOLS / f"{attack.name}.py").read_text()
    world.reset()
    seen = careless.run(source, args=[world.facts(patience=0.05)], seconds=attack.seconds)
    assert attack.succeeded(world, seen), seen

    world.reset()
    options = dict(attack.options)
    if "permissions" in options:
        options["permissions"] = options["permissions"](world)
    seen = await walled.run(source, world.facts(patience=20), **options)
    assert not attack.succeeded(world, seen), seen
    assert seen.outcome is not None
    assert attack.status in (None, seen.outcome.status), seen
    assert attack.limit in (None, seen.outcome.limit), seen
    assert (await walled.run("def tool():\n    return 1")).value == 1


def test_every_attack_has_a_row() -> None:
    """A file that nothing runs proves nothing."""
    files = {str(path.relative_to(TOOLS).with_suffix("")) for path in TOOLS.rglob("*.py")}
    assert {attack.name for attack in ATTACKS} == files
    assert sum(attack.possible for attack in ATTACKS) >= 70
