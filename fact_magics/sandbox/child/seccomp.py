"""A second seccomp filter, installed through ctypes, that refuses system calls that no tool needs.

Landlock checks the opening of files, and sandlock checks connections. Neither checks, for example, a system
call that changes the mode of a file without opening it, changes the limits of the notebook's process, or
listens on a socket that was not bound.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    _Step = tuple[int, int, int, int]
    _Numbers = dict[str, tuple[int | None, int | None]]  # on x86-64, and on aarch64

_PR_SET_SECCOMP = 22
_FILTERED = 2
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _MASK, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST = 0x15, 0x35
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_OTHER_TABLE = 0x40000000  # marks x32's system calls; x32 has the same architecture number as x86-64


def _table(text: str) -> _Numbers:
    """Parse a table of system calls: a name, and its number or a dash on x86-64 and on aarch64."""
    words = text.split()
    numbers = [int(word) if word.isdigit() else None for word in words]
    return dict(zip(words[::3], zip(numbers[1::3], numbers[2::3], strict=True), strict=True))


# A process can change the mode, owner and times of its user's files even if it may not open them. The
# filter skips these calls and reports success, so that shutil.copy does not abort.
WITHOUT_EFFECT = _table("""
    chmod 90 -      fchmod 91 52    fchmodat 268 53    fchmodat2 452 452
    chown 92 -      fchown 93 55    lchown 94 -        fchownat 260 54
    utime 132 -     utimes 235 -    futimesat 261 -    utimensat 280 88
""")

# A process can change extended attributes in the same way. These calls fail as on a file system without such
# attributes; programs that copy files can handle that.
UNSUPPORTED: _Numbers = {
    **{f"xattr {number}": (188 + number, 5 + number) for number in range(12)},
    **{f"xattrat {number}": (463 + number, 463 + number) for number in range(4)},
    **_table("file_getattr 468 468    file_setattr 469 469"),
}

# Memory from memfd_create and memfd_secret counts against no limit until it is mapped. io_setup takes from a
# number of requests that the whole machine shares.
ABSENT = _table("""
    memfd_create 319 279    memfd_secret 447 447    modify_ldt 154 -       open_tree 428 428
    move_mount 429 429      fsopen 430 430          fsconfig 431 431       fsmount 432 432
    fspick 433 433          mount_setattr 442 442   statmount 457 457      listmount 458 458
    open_tree_attr 467 467  io_setup 206 0
""")

# For each process that leaves its session or group, sandlock 0.9.0 keeps a pidfd in the notebook's process
# until the sandbox ends. Sandlock also does not count fork(2), which no library uses, against the limit of
# processes. A socket that listens without being bound listens on every interface. Watching a directory
# reveals the names of its files, even if the directory can't be opened, and a user may only have a few
# watchers, which other programs need. Message queues outlive the call.
# sync and syncfs write out the whole machine's unsaved data; fsync writes out one open file. splice, tee and
# vmsplice let one byte in a pipe keep megabytes of memory that nothing else holds.
FORBIDDEN = _table("""
    setpgid 109 154              setsid 112 157          fork 57 -                  listen 50 201
    inotify_add_watch 254 27     fanotify_init 300 262   fanotify_mark 301 263      mq_open 240 180
    mq_unlink 241 181            syslog 103 116          kcmp 312 272               pidfd_getfd 438 438
    process_madvise 440 440      migrate_pages 256 238   move_pages 279 239         sync 162 81
    syncfs 306 267               splice 275 76           tee 276 77                 vmsplice 278 75
    inotify_init 253 -           inotify_init1 294 26
""")

# These calls can act on any process of the same user, including the zygote and the notebook. The only allowed
# pid is 0, which means the caller.
OF_A_PROCESS = _table("""
    prlimit64 302 261            sched_setparam 142 118  sched_setscheduler 144 119
    sched_setaffinity 203 122    sched_setattr 314 274
""")
# The same, but the pid is the second argument. The first must be the last number of the entry, which says
# that the second is a pid.
OF_SOME_PROCESSES = {"setpriority": ((141, 140), 0), "ioprio_set": ((251, 30), 1)}


class Flags(NamedTuple):
    """A system call that fails with `error` if its argument, masked with `mask`, equals `refused`."""

    numbers: tuple[int, int]
    argument: int
    mask: int
    refused: int
    error: int


_FAST_OPEN = 0x20000000
_THREAD, _FILES = 0x10000, 0x400  # a new thread; with the descriptors of the others
_SHARED_ANONYMOUS = 0x21
_UNSHARE = 2
_SET_PIPE_SIZE = 1031
_ALL_BITS = 0xFFFFFFFF

# TCP Fast Open connects while it sends, which bypasses sandlock's check of connect(2). The other calls hide
# what the parent measures: memory that several processes may share stays in use when all but one page of it
# is unmapped, and the parent can't see the descriptors of a thread that has its own.
FLAGS = {
    "sendto": Flags((44, 206), 3, _FAST_OPEN, _FAST_OPEN, errno.EOPNOTSUPP),
    "sendmsg": Flags((46, 211), 2, _FAST_OPEN, _FAST_OPEN, errno.EOPNOTSUPP),
    "sendmmsg": Flags((307, 269), 3, _FAST_OPEN, _FAST_OPEN, errno.EOPNOTSUPP),
    "mmap": Flags((9, 222), 3, _SHARED_ANONYMOUS, _SHARED_ANONYMOUS, errno.EOPNOTSUPP),
    "clone": Flags((56, 220), 0, _THREAD | _FILES, _THREAD, errno.EPERM),
    "close_range": Flags((436, 436), 2, _UNSHARE, _UNSHARE, errno.EINVAL),
    "fcntl": Flags((72, 25), 1, _ALL_BITS, _SET_PIPE_SIZE, errno.EPERM),
}

# The kernel allows space beyond the end of a file without regard to the limit of a file's size. So only
# fallocate's plain mode is allowed.
FALLOCATE = (285, 47)

# Refused once the process of a call has entered its own Landlock domain.
WALLS = {
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
PRCTL = (157, 167)

# For a pair of another kind, the kernel loads the protocol's module before it refuses.
SOCKET, SOCKETPAIR = (41, 198), (53, 199)
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_STREAM, _DATAGRAM = 1, 2
_TYPE_MASK = 0xF
_TCP, _UDP = 6, 17  # sandlock itself refuses UDP; MPTCP and SCTP would bypass Landlock

# The parent charges each socket and pipe the most that its buffers can hold, so a call may not enlarge them.
# (`FLAGS` refuses that for pipes.) For sockets, the filter skips the call and reports success, because the
# size of a buffer is only advice.
SETSOCKOPT = (54, 208)
_SOL_SOCKET = 1
_BUFFER_SIZES = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE

IOCTL = (16, 29)
_FILE_SYSTEMS = (0x6600, 0x5800, 0x9400, 0xF500)  # second bytes of ioctls for file flags, quotas, snapshots


def refuse_needless_calls() -> bool:
    """Install the filter for good, in this process and its children; False if the machine or kernel can't."""
    known = _ARCHITECTURES.get(os.uname().machine)
    return known is not None and Filter(program(*known)).install()


def no_more_walls() -> Filter:
    """Build the filter for the process of a call that refuses further filters and Landlock rules.

    The kernel's memory for them counts against no limit.
    """
    column, _ = _ARCHITECTURES[os.uname().machine]
    steps = [
        (_LOAD, 0, 0, _NUMBER),
        *_any_of([pair[column] for pair in WALLS.values()], _FAIL | errno.EPERM),
        *_on(PRCTL[column], [(_LOAD, 0, 0, _low_half(0)), *_any_of((_PR_SET_SECCOMP,), _FAIL | errno.EPERM)]),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return Filter(steps)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class Filter:
    """A filter of system calls that a process can install for good."""

    def __init__(self, steps: list[_Step]) -> None:
        code = b"".join(struct.pack("HBBI", *step) for step in steps)
        self._instructions = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // 8, ctypes.addressof(self._instructions))
        self._prctl = ctypes.CDLL(None).prctl

    def install(self) -> bool:
        """Filter this process and its children from now on; False if the kernel can't."""
        program = ctypes.byref(self._program)
        return int(self._prctl(_PR_SET_SECCOMP, _FILTERED, program, 0, 0)) == 0


def program(column: int, architecture: int) -> list[_Step]:
    """Build the filter. Each part returns a verdict, or leaves the call's number loaded for the next part."""

    def numbers(calls: _Numbers) -> list[int]:
        return [number for pair in calls.values() if (number := pair[column]) is not None]

    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 0, 1, _OTHER_TABLE),
        (_RETURN, 0, 0, _KILL),
        *_any_of(numbers(WITHOUT_EFFECT), _FAIL),
        *_any_of(numbers(UNSUPPORTED), _FAIL | errno.EOPNOTSUPP),
        *_any_of(numbers(ABSENT), _FAIL | errno.ENOSYS),
        *_any_of(numbers(FORBIDDEN), _FAIL | errno.EPERM),
    ]
    for number in numbers(OF_A_PROCESS):
        program += _on(number, [*_unless(0, (0,), errno.EPERM), (_RETURN, 0, 0, _ALLOW)])
    for pair, kind in OF_SOME_PROCESSES.values():
        checks = [*_unless(0, (kind,), errno.EPERM), *_unless(1, (0,), errno.EPERM)]
        program += _on(pair[column], [*checks, (_RETURN, 0, 0, _ALLOW)])
    for flags in FLAGS.values():
        checks = [(_LOAD, 0, 0, _low_half(flags.argument)), (_MASK, 0, 0, flags.mask)]
        checks += _any_of((flags.refused,), _FAIL | flags.error)
        program += _on(flags.numbers[column], [*checks, (_RETURN, 0, 0, _ALLOW)])
    program += _on(FALLOCATE[column], [*_unless(1, (0,), errno.EOPNOTSUPP), (_RETURN, 0, 0, _ALLOW)])
    program += _on(
        IOCTL[column],
        [
            (_LOAD, 0, 0, _low_half(1)),
            (_MASK, 0, 0, 0xFF00),
            *_any_of(_FILE_SYSTEMS, _FAIL | errno.EOPNOTSUPP),
            (_RETURN, 0, 0, _ALLOW),
        ],
    )
    program += _on(
        SETSOCKOPT[column],
        [
            (_LOAD, 0, 0, _low_half(1)),
            (_IF_EQUAL, 1, 0, _SOL_SOCKET),
            (_RETURN, 0, 0, _ALLOW),
            (_LOAD, 0, 0, _low_half(2)),
            *_any_of(_BUFFER_SIZES, _FAIL),
            (_RETURN, 0, 0, _ALLOW),
        ],
    )
    program += _on(SOCKET[column], _socket_rules())
    program += _on(
        SOCKETPAIR[column], [*_unless(0, (_AF_UNIX,), errno.EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]
    )
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _socket_rules() -> list[_Step]:
    """Allow only TCP and UDP over IP. Pairs of Unix sockets are made by another system call.

    Through Unix sockets, a tool could reach services of the desktop, or services that start containers. It
    could use sockets in directories that it may write to and, on kernels without Landlock's scopes, abstract
    sockets.
    """
    return [
        *_unless(0, (_AF_INET, _AF_INET6), errno.EAFNOSUPPORT),
        *_unless(1, (_STREAM, _DATAGRAM), errno.EPROTONOSUPPORT, mask=_TYPE_MASK),
        *_unless(2, (0, _TCP, _UDP), errno.EPROTONOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _any_of(values: Iterable[int], verdict: int) -> list[_Step]:
    """Build steps that return `verdict` if the loaded value is one of `values`."""
    known = list(values)
    jumps = [(_IF_EQUAL, len(known) - i - 1, int(i == len(known) - 1), v) for i, v in enumerate(known)]
    return [*jumps, (_RETURN, 0, 0, verdict)]


def _unless(argument: int, values: Iterable[int], code: int, *, mask: int | None = None) -> list[_Step]:
    """Build steps that load an argument, and fail with the error `code` unless it is one of `values`."""
    known = list(values)
    jumps = [(_IF_EQUAL, len(known) - i, 0, value) for i, value in enumerate(known)]
    masked = [] if mask is None else [(_MASK, 0, 0, mask)]
    return [(_LOAD, 0, 0, _low_half(argument)), *masked, *jumps, (_RETURN, 0, 0, _FAIL | code)]


def _on(number: int, steps: list[_Step]) -> list[_Step]:
    """Build steps that run `steps`, which return a verdict, if the call has this number."""
    return [(_IF_EQUAL, 0, len(steps), number), *steps]


def _low_half(argument: int) -> int:
    """Return the offset of an argument's low half: the kernel reads these arguments as C ints."""
    return 16 + 8 * argument
