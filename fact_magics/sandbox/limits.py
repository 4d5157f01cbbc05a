"""The limits of a call: their defaults, the settings that change them, and how to report a reached limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.sandbox.outcome import Call

_MIB = 1 << 20
_MOST = 1 << 50
_SHOWN = 40
_TABLE_FACTOR = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a call besides its wall time and memory.

    Attributes
    ----------
    result_bytes, printed_bytes, file_bytes, scratch_bytes : int
        The largest result, printed text, single file, and scratch directory. A result with tables may be
        `_TABLE_FACTOR` times as large, because their bytes are not parsed.
    printed_kept : int
        How many characters of printed text are kept.
    open_files : int
        How many files each process may have open.
    processes, threads : int
        How many processes and threads a whole call may have.
    """

    result_bytes: int = 64 * _MIB
    printed_bytes: int = 64 * _MIB
    printed_kept: int = 256 * 1024
    file_bytes: int = 512 * _MIB
    scratch_bytes: int = 1024 * _MIB
    open_files: int = 256
    processes: int = 64
    threads: int = 1024

    def most_bytes(self, call: Call) -> int:
        """Return the largest result of a call in bytes."""
        return self.result_bytes * (_TABLE_FACTOR if call.tables else 1)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a setting changes: the kind of limit, its label, its field in `Limits`, and its unit in bytes."""

    kind: str
    label: str
    field: str
    unit: int = 1
    least: int = 1


_SETTINGS = {
    "processes": _Setting("processes", "processes", "processes"),
    "threads": _Setting("threads", "threads", "threads", least=8),
    "disk_mb": _Setting("scratch", "scratch directory", "scratch_bytes", _MIB),
    "file_mb": _Setting("file", "file size", "file_bytes", _MIB),
    "printed_mb": _Setting("printed", "printed output", "printed_bytes", _MIB),
    "result_mb": _Setting("result", "result", "result_bytes", _MIB),
    "open_files": _Setting("open files", "open files", "open_files", least=32),
}


def read_limits(given: Mapping[str, object]) -> Limits:
    """Read the setting ``%config FactMagics.limits``; raises `ValueError` for a wrong name or value.

    Limits that are not given keep their defaults.
    """
    if unknown := [name for name in given if name not in _SETTINGS]:
        raise ValueError(f"{str(unknown[0])[:_SHOWN]!r} is not a limit; limits are {', '.join(_SETTINGS)}")
    return Limits(**{_SETTINGS[name].field: _value(name, value) for name, value in given.items()})


def _value(name: str, value: object) -> int:
    setting = _SETTINGS[name]
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    amount = number * setting.unit
    fits = setting.least <= amount <= _MOST and (setting.unit > 1 or amount == int(amount))
    if not fits:
        wanted = "a positive number of MB" if setting.unit > 1 else f"a whole number from {setting.least} up"
        raise ValueError(f"{name!r} must be {wanted}, not {repr(value)[:_SHOWN]}")
    return int(amount)


def describe(kind: str, call: Call, limits: Limits) -> tuple[str, str]:
    """Name the limit that was reached, with its value, and say how to raise it.

    The kind is ``time``, ``cpu``, ``memory``, or one of `_SETTINGS`.
    """
    if kind == "time":
        return f"time {call.timeout_seconds:g} s", "Raise it with --timeout."
    if kind == "cpu":
        return f"CPU {call.cpu_seconds} s", "The time of all threads is added up. Raise it with --timeout."
    if kind == "memory":
        return f"memory {call.memory_mb} MB", "Raise it with --memory."
    name, setting = next(item for item in _SETTINGS.items() if item[1].kind == kind)
    value = limits.most_bytes(call) if kind == "result" else getattr(limits, setting.field)
    text = f"{setting.label} {megabytes(value) if setting.unit == _MIB else value}"
    return text, f"Raise it with %config FactMagics.limits = {_raised(limits, name)}."


def megabytes(size: int) -> str:
    """Write a number of bytes in MB."""
    amount = size / _MIB
    return f"{amount:.0f} MB" if amount >= 1_000 else f"{amount:.3g} MB"


def _raised(limits: Limits, name: str) -> str:
    """Write the setting that doubles one limit and keeps the others."""
    written = []
    for known, setting in _SETTINGS.items():
        value = getattr(limits, setting.field)
        if known == name or value != getattr(Limits(), setting.field):
            amount = value * (2 if known == name else 1) / setting.unit
            written.append(f'"{known}": {f"{amount:.0f}" if amount.is_integer() else f"{amount:g}"}')
    return f"{{{', '.join(written)}}}"
