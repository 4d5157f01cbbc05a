"""Linux system calls, made through ctypes, that confine a zygote and each of its calls.

`sandlock` confines the zygote before this code runs. In addition, each call enters a Landlock domain of its
own. There it can't trace the zygote or other calls (or signal them, if the kernel has signal scopes), and can
write only to its scratch directory and to granted paths.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_PR_SET_PDEATHSIG = 1
_PR_GET_SECCOMP = 21
_PR_SET_CHILD_SUBREAPER = 36
_FILTERED = 2
_CAPABILITY_VERSION_3 = 0x20080522

_SYS_PIDFD_GETFD = 438  # these four calls have the same numbers on every architecture
_SYS_CREATE_RULESET = 444
_SYS_ADD_RULE = 445
_SYS_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_SCOPES = 0b11  # abstract Unix sockets, signals
_FIRST_ABI_WITH_REFER = 2
_FIRST_ABI_WITH_TRUNCATE = 3
_FIRST_ABI_WITH_SCOPES = 6
_WRITE_FILE = 1 << 1
_TRUNCATE = 1 << 14
_REFER = 1 << 13
_CHANGE_DIRECTORY = sum(1 << bit for bit in range(4, 13))  # rights to remove and create files of any kind


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Adopt every descendant whose parent ends, so that none can escape."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` here when the thread that started this process ends."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def drop_capabilities() -> None:
    """Give up the capabilities of root, so that root can't raise its hard limits again."""
    _libc.capset(struct.pack("II", _CAPABILITY_VERSION_3, 0), bytes(24))


def has_seccomp_filter() -> bool:
    """Tell whether this process has a seccomp filter."""
    return _prctl(_PR_GET_SECCOMP, 0) == _FILTERED


def take_descriptor(handle: int, number: int) -> int:
    """Copy a descriptor of the process of a pidfd, which this process must have the right to trace."""
    return _syscall(_SYS_PIDFD_GETFD, handle, number, 0)


def landlock_abi() -> int:
    """Return the version of the kernel's Landlock interface; 0 if the kernel has no Landlock."""
    return max(0, int(_libc.syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def can_reach(pid: int) -> bool:
    """Tell whether this process may signal `pid`; a Landlock domain with signal scope would forbid that."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, PermissionError)
    return True


def make_call_rules(writable: list[str]) -> int | None:
    """Make the rules of a call's domain; return their descriptor, or None if the kernel has no Landlock.

    The directories and files in `writable` stay writable if the outer domain allows it. Only the outer domain
    restricts reading.
    """
    abi = landlock_abi()
    if not abi:
        return None
    in_directory = _WRITE_FILE | _CHANGE_DIRECTORY
    on_file = _WRITE_FILE
    if abi >= _FIRST_ABI_WITH_REFER:
        in_directory |= _REFER
    if abi >= _FIRST_ABI_WITH_TRUNCATE:
        in_directory |= _TRUNCATE
        on_file |= _TRUNCATE
    # Older kernels accept a structure that is longer than their own if the rest is zero.
    attributes = _Ruleset(in_directory, 0, _SCOPES if abi >= _FIRST_ABI_WITH_SCOPES else 0)
    ruleset = _syscall(_SYS_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    try:
        for path in writable:
            _allow(ruleset, path, in_directory if os.path.isdir(path) else on_file)  # noqa: PTH112
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def enter_domain(ruleset: int) -> None:
    """Put this process into a Landlock domain of its own, for good. Each process that does so has another."""
    _syscall(_SYS_RESTRICT_SELF, ruleset, 0)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a path that can't be opened can't be written to either
    try:
        rule = _PathBeneath(access, parent)
        _syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


def _syscall(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, value: int) -> int:
    return int(_libc.prctl(option, value, 0, 0, 0))
