"""The limits that a user may set, and the words for a limit that was reached."""

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
    """One setting: its field in `Limits`, its unit in bytes (1 for a count), and its smallest value."""

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
# The name of each limit, and the setting that raises it.
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
    """Read limits as ``%config FactMagics.limits`` writes them; the others keep their defaults.

    Raises
    ------
    ValueError
        A name or a value is not valid; one line says why.
    """
    if unknown := [name for name in given if name not in _SETTINGS]:
        raise ValueError(f"{str(unknown[0])[:_SHOWN]!r} is not a limit; there are {', '.join(_SETTINGS)}")
    return Limits(**{_SETTINGS[name].field: _value(name, value) for name, value in given.items()})


def _value(name: str, value: object) -> int:
    setting = _SETTINGS[name]
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    amount = number * setting.unit
    fits = setting.least <= amount <= _MOST and (setting.unit > 1 or amount == int(amount))
    if not fits:
        wanted = "a positive number of MB" if setting.unit > 1 else f"a whole number from {setting.least}"
        raise ValueError(f"{name!r} must be {wanted}, not {repr(value)[:_SHOWN]}")
    return int(amount)


def describe(kind: str, call: Call, limits: Limits, cpu_seconds: int) -> tuple[str, str]:
    """Say which limit was reached, with its value, and how to raise it.

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
        return f"CPU {cpu_seconds} s", "The time of all its threads counts. Raise it with --timeout."
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
    """Write the setting that doubles one limit and keeps the others."""
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
