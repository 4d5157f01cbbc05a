"""The limits that a person may set, and how a limit that was reached is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.sandbox.policy import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.sandbox.outcome import Call

_MIB = 1 << 20
_MOST = 1 << 50
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a limit is written: in units of so many bytes, or as a count; and the least that a call needs."""

    field: str
    unit: int = 1
    least: int = 1


_SETTINGS = {
    "processes": _Setting("processes"),
    "threads": _Setting("threads", least=8),
    "disk_mb": _Setting("scratch_bytes", _MIB),
    "file_mb": _Setting("file_bytes", _MIB),
    "printed_mb": _Setting("printed_bytes", _MIB),
    "result_mb": _Setting("result_bytes", _MIB),
    "open_files": _Setting("open_files", least=32),
}
# What a limit is called, and the setting that raises it.
_KINDS = {
    "processes": ("processes", "processes"),
    "threads": ("threads", "threads"),
    "scratch": ("scratch directory", "disk_mb"),
    "file": ("file size", "file_mb"),
    "printed": ("printed output", "printed_mb"),
    "result": ("result", "result_mb"),
    "open files": ("open files", "open_files"),
}


def read_limits(given: Mapping[str, object]) -> Limits:
    """Take limits as ``%config FactMagics.limits`` writes them; those that are not named keep their defaults.

    Raises
    ------
    ValueError
        For a name that is no limit, or a value that is none: what is wrong, on one line.
    """
    return Limits(**{_setting(name).field: _value(name, value) for name, value in given.items()})


def _setting(name: object) -> _Setting:
    if name not in _SETTINGS:
        raise ValueError(f"{str(name)[:_SHOWN]!r} is no limit; there are {', '.join(_SETTINGS)}")
    return _SETTINGS[str(name)]


def _value(name: str, value: object) -> int:
    setting = _SETTINGS[name]
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    amount = number * setting.unit
    fits = setting.least <= amount <= _MOST and (setting.unit > 1 or amount == int(amount))
    if not fits:
        wanted = "a positive number of MB" if setting.unit > 1 else f"a whole number from {setting.least}"
        raise ValueError(f"{name!r} is {wanted}, not {repr(value)[:_SHOWN]}")
    return int(amount)


def describe(kind: str, call: Call, limits: Limits, cpu_seconds: int) -> tuple[str, str]:
    """Say which limit was reached, with its value, and what raises it.

    Parameters
    ----------
    kind : str
        ``time``, ``cpu``, ``memory``, ``processes``, ``threads``, ``scratch``, ``file``, ``printed``,
        ``result`` or ``open files``.
    cpu_seconds : int
        The limit of processor time.
    """
    if kind == "time":
        return f"time {call.timeout_seconds:g} s", "Raise it with --timeout."
    if kind == "cpu":
        return f"CPU {cpu_seconds} s", "All of its threads count. Raise it with --timeout."
    if kind == "memory":
        return f"memory {call.memory_mb} MB", "Raise it with --memory."
    label, name = _KINDS[kind]
    setting = _SETTINGS[name]
    value = getattr(limits, setting.field)
    text = f"{label} {megabytes(value)}" if setting.unit == _MIB else f"{label} {value}"
    return text, f"Raise it with %config FactMagics.limits = {_raised(limits, name)}."


def megabytes(size: int) -> str:
    """Write a number of bytes in MB."""
    amount = size / _MIB
    return f"{amount:.0f} MB" if amount >= 1_000 else f"{amount:.3g} MB"


def _raised(limits: Limits, name: str) -> str:
    """Write the setting with which one limit is twice what it is now, and the others stay."""
    default = Limits()
    told = {
        known: getattr(limits, setting.field)
        for known, setting in _SETTINGS.items()
        if getattr(limits, setting.field) != getattr(default, setting.field)
    }
    told[name] = 2 * getattr(limits, _SETTINGS[name].field)
    written = (f'"{known}": {_written(value / _SETTINGS[known].unit)}' for known, value in told.items())
    return f"{{{', '.join(written)}}}"


def _written(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:g}"
