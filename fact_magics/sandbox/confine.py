"""What the child side asks of the Linux kernel, by ctypes: it runs in the sandbox, on the standard library.

`sandlock` has confined the zygote before any of this runs. What is added here is cheap enough for every call:
a Landlock domain of the call's own, in which it can neither signal nor trace its siblings and the zygote, and
writes in its scratch directory alone.
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

_SYS_CREATE_RULESET = 444  # the three calls have the same numbers on every architecture
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
_CHANGE_DIRECTORY = sum(1 << bit for bit in range(4, 13))  # remove, and make, every kind of file


_PR_SET_SECCOMP = 22
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_AF_NETLINK = 16
# The audit number of the architecture; socket; and setpgid, setsid, fork.
_NUMBERS = {"x86_64": (0xC000003E, 41, (109, 112, 57)), "aarch64": (0xC00000B7, 198, (154, 157))}


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> bool:
    """Adopt every descendant whose parent ends, so that none can leave the family."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0


def die_with_parent(signal_number: int) -> bool:
    """Have the kernel send `signal_number` here when the thread that started this process ends."""
    return _prctl(_PR_SET_PDEATHSIG, signal_number) == 0


def drop_capabilities() -> bool:
    """Give up root's powers for good: without it root could raise its hard limits again."""
    header = struct.pack("II", _CAPABILITY_VERSION_3, 0)
    return bool(_libc.capset(header, bytes(24)) == 0)


def has_seccomp_filter() -> bool:
    """Whether a seccomp filter is in force here."""
    return _prctl(_PR_GET_SECCOMP, 0) == _FILTERED


def landlock_abi() -> int:
    """Version of the kernel's Landlock, or 0 where there is none."""
    return max(0, int(_libc.syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def refuse_what_the_supervisor_keeps() -> bool:
    """Refuse the few system calls by which a process inside could use up the notebook's own descriptors.

    For each process that leaves its session or group, sandlock 0.9.0 keeps a pidfd in the process that
    supervises it, the notebook's, until the sandbox ends; and a socket for each netlink socket inside. A
    bare fork(2), which no library uses, it does not count against the cap on processes.

    Returns
    -------
    bool
        False on an architecture that is not known here, or where the filter can't be installed.
    """
    known = _NUMBERS.get(os.uname().machine)
    if known is None:
        return False
    architecture, socket_call, refused = known
    program = [
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),
        *(
            step
            for number in refused
            for step in ((_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE | errno.EPERM))
        ),
        (_JUMP_IF_EQUAL, 0, 3, socket_call),
        (_LOAD, 0, 0, 16),  # the first argument's low half: the family
        (_JUMP_IF_EQUAL, 0, 1, _AF_NETLINK),
        (_RETURN, 0, 0, _REFUSE | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    instructions = ctypes.create_string_buffer(code, len(code))
    filter_ = _Filter(len(program), ctypes.addressof(instructions))
    return int(_libc.prctl(_PR_SET_SECCOMP, _FILTERED, ctypes.byref(filter_), 0, 0)) == 0


def can_reach(pid: int) -> bool:
    """Whether this process may signal `pid`; a domain with signal scope may not, not even its own user's."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def enter_call_domain(writable: list[str]) -> bool:
    """Put this process into a Landlock domain of its own; there is no way back.

    Parameters
    ----------
    writable : list of str
        Directories and files that stay writable, as far as the outer domain lets them be. Reading is left to
        the outer domain.

    Returns
    -------
    bool
        False where the kernel has no Landlock.
    """
    abi = landlock_abi()
    if not abi:
        return False
    in_directory = _WRITE_FILE | _CHANGE_DIRECTORY
    on_file = _WRITE_FILE
    if abi >= _FIRST_ABI_WITH_REFER:
        in_directory |= _REFER
    if abi >= _FIRST_ABI_WITH_TRUNCATE:
        in_directory |= _TRUNCATE
        on_file |= _TRUNCATE
    # Older kernels refuse a structure longer than theirs only if the tail is not zero.
    attributes = _Ruleset(in_directory, 0, _SCOPES if abi >= _FIRST_ABI_WITH_SCOPES else 0)
    ruleset = _syscall(_SYS_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    try:
        for path in writable:
            _allow(ruleset, path, in_directory if os.path.isdir(path) else on_file)  # noqa: PTH112
        _syscall(_SYS_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what can't be opened can't be written either
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
