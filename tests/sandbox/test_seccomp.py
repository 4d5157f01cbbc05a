"""The filter of system calls, judged as the kernel would judge it, for processors that are not here as well."""

from __future__ import annotations

import errno

import pytest

from fact_magics.sandbox.child import seccomp

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
OTHER = 0x40000003  # of 32-bit x86

# What a tool needs, by its numbers on both: read, write, openat, mmap, connect, clone, execve, exit_group.
NEEDED = [(0, 63), (1, 64), (257, 56), (9, 222), (42, 203), (56, 220), (59, 221), (231, 94)]


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Run the filter: what it returns, and that no jump leads out of it."""
    column, own = ARCHITECTURES[machine]
    program = seccomp.program(column, own)
    data = {0: number, 4: own if architecture is None else architecture}
    data |= {16 + 8 * at: value & 0xFFFFFFFF for at, value in enumerate(arguments)}
    loaded = at = 0
    while True:
        code, if_true, if_false, constant = program[at]
        assert max(if_true, if_false) < 256
        at += 1
        match code:
            case 0x20:
                loaded = data.get(constant, 0)
            case 0x54:
                loaded &= constant
            case 0x06:
                return constant
            case 0x15:
                at += if_true if loaded == constant else if_false
            case 0x35:
                at += if_true if loaded >= constant else if_false
            case _:
                raise AssertionError(f"no instruction {code:#x}")


def failing(code: int) -> int:
    return 0x00050000 | code


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestFilter:
    def test_what_tools_need_passes(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        assert {verdict(machine, numbers[column], 3, 0, 0) for numbers in NEEDED} == {ALLOWED}

    def test_each_call_gets_its_verdict(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        for calls, expected in (
            (seccomp.WITHOUT_EFFECT, failing(0)),
            (seccomp.UNSUPPORTED, failing(errno.EOPNOTSUPP)),
            (seccomp.ABSENT, failing(errno.ENOSYS)),
            (seccomp.FORBIDDEN, failing(errno.EPERM)),
        ):
            for name, numbers in calls.items():
                number = numbers[column]
                assert number is None or verdict(machine, number) == expected, name

    def test_no_number_stands_twice(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        tables = (
            seccomp.WITHOUT_EFFECT,
            seccomp.UNSUPPORTED,
            seccomp.ABSENT,
            seccomp.FORBIDDEN,
            seccomp.OF_A_PROCESS,
        )
        numbers = [
            number for table in tables for pair in table.values() if (number := pair[column]) is not None
        ]
        assert len(numbers) == len(set(numbers))

    def test_what_is_about_processes_is_about_the_caller(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        for name, numbers in seccomp.OF_A_PROCESS.items():
            number = numbers[column]
            assert number is not None
            assert verdict(machine, number, 0) == ALLOWED, name
            assert verdict(machine, number, 1) == failing(errno.EPERM), name
            assert verdict(machine, number, -1) == failing(errno.EPERM), name
        for name, (numbers, kind) in seccomp.OF_SOME_PROCESSES.items():
            assert verdict(machine, numbers[column], kind, 0) == ALLOWED, name
            assert verdict(machine, numbers[column], kind, 77) == failing(errno.EPERM), name
            assert verdict(machine, numbers[column], kind + 1, 0) == failing(errno.EPERM), name

    @pytest.mark.parametrize(
        ("name", "allowed", "refused", "code"),
        [
            ("sendto", 0x4000, 0x20004000, errno.EOPNOTSUPP),
            ("sendmsg", 0x4000, 0x20004000, errno.EOPNOTSUPP),
            ("sendmmsg", 0x4000, 0x20004000, errno.EOPNOTSUPP),
            ("mmap", 0x22, 0x21, errno.EOPNOTSUPP),
            ("mmap", 0x01, 0x23, errno.EOPNOTSUPP),  # a file; MAP_SHARED_VALIDATE
            ("clone", 0x3D0F00, 0x3D0B00, errno.EPERM),
            ("clone", 0x11, 0x10000, errno.EPERM),
            ("close_range", 0x4, 0x6, errno.EINVAL),
            ("fcntl", 1030, 1031, errno.EPERM),
        ],
    )
    def test_some_flags_are_refused(
        self, machine: str, name: str, allowed: int, refused: int, code: int
    ) -> None:
        flags = seccomp.FLAGS[name]
        before = [0] * flags.argument
        number = flags.numbers[ARCHITECTURES[machine][0]]
        assert verdict(machine, number, *before, allowed) == ALLOWED
        assert verdict(machine, number, *before, refused) == failing(code)

    def test_space_is_only_allocated_within_the_size_of_a_file(self, machine: str) -> None:
        number = seccomp.FALLOCATE[ARCHITECTURES[machine][0]]
        assert verdict(machine, number, 3, 0, 0, 1 << 20) == ALLOWED
        assert verdict(machine, number, 3, 1, 0, 1 << 20) == failing(errno.EOPNOTSUPP)

    def test_buffers_keep_their_size(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        number = seccomp.SETSOCKOPT[column]
        for option in (7, 8, 32, 33):
            assert verdict(machine, number, 3, 1, option) == failing(0)
            assert verdict(machine, number, 3, 6, option) == ALLOWED
        assert verdict(machine, number, 3, 1, 2) == ALLOWED

    @pytest.mark.parametrize(
        ("socket", "expected"),
        [
            ((2, 1, 0), ALLOWED),
            ((2, 1 | 0o2004000, 6), ALLOWED),
            ((10, 1, 0), ALLOWED),
            ((2, 2, 17), ALLOWED),  # sandlock's to refuse
            ((1, 1, 0), failing(errno.EAFNOSUPPORT)),
            ((16, 3, 0), failing(errno.EAFNOSUPPORT)),
            ((40, 1, 0), failing(errno.EAFNOSUPPORT)),
            ((2, 1, 262), failing(errno.EPROTONOSUPPORT)),
            ((2, 1, 256), failing(errno.EPROTONOSUPPORT)),
            ((2, 5, 132), failing(errno.EPROTONOSUPPORT)),
            ((2, 5, 0), failing(errno.EPROTONOSUPPORT)),
            ((2, 3, 1), failing(errno.EPROTONOSUPPORT)),
        ],
    )
    def test_sockets_are_of_tcp_and_udp(
        self, machine: str, socket: tuple[int, int, int], expected: int
    ) -> None:
        column, _ = ARCHITECTURES[machine]
        assert verdict(machine, seccomp.SOCKET[column], *socket) == expected

    def test_pairs_are_of_unix_sockets(self, machine: str) -> None:
        number = seccomp.SOCKETPAIR[ARCHITECTURES[machine][0]]
        assert verdict(machine, number, 1, 1) == ALLOWED
        for family in (2, 16, 38, 40):
            assert verdict(machine, number, family, 1) == failing(errno.EAFNOSUPPORT)

    def test_file_systems_take_no_orders(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        for request in (0x40086602, 0x401C5820, 0x5000940E):
            assert verdict(machine, seccomp.IOCTL[column], 3, request) == failing(errno.EOPNOTSUPP)
        for request in (0x5401, 0x5413, 0x541B):  # what terminals and pipes are asked
            assert verdict(machine, seccomp.IOCTL[column], 3, request) == ALLOWED

    def test_other_tables_of_calls_are_not_reached(self, machine: str) -> None:
        column, _ = ARCHITECTURES[machine]
        assert verdict(machine, NEEDED[0][column], architecture=OTHER) == KILLED
        assert verdict(machine, 0x40000000 | NEEDED[0][column]) == KILLED

    def test_a_machine_that_is_not_known_gets_no_filter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.uname", lambda: type("Names", (), {"machine": "riscv64"}))
        assert seccomp.refuse_needless_calls() is False
